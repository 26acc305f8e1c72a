/* The AVX-512 VNNI low-bit product over emulated intrinsics, under a name of its own. */
#define LOWBIT_INLINE static __attribute__((noinline, unused)) /* calls: emulated instructions are long */
#include "kernels/dot_lanes_avx512.h"

#define DOT_KERNEL fb_product_lowbit_avx512vnni_emulated
#include "kernels/product_lowbit_dot_row.h"
