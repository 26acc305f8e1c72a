/* The AVX-VNNI low-bit product over emulated instructions, under a name of its own. */
#include "kernels/dot_lanes_avxvnni.h"

#define DOT_KERNEL fb_product_lowbit_avxvnni_emulated
#include "kernels/product_lowbit_dot_row.h"
