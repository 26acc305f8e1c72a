/* The AVX-VNNI low-bit product over emulated instructions, under a name of its own. */
#define LOWBIT_INLINE static __attribute__((noinline, unused)) /* calls: emulated instructions are long */
#include "kernels/dot_lanes_avxvnni.h"

#define DOT_KERNEL fb_product_lowbit_avxvnni_emulated
#include "kernels/product_lowbit_dot_row.h"
