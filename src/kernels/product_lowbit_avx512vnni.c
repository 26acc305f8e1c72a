/* The low-bit product for AVX-512 VNNI. */
#include "kernels/dot_lanes_avx512.h"

#define DOT_KERNEL fb_product_lowbit_avx512vnni
#include "kernels/product_lowbit_dot_row.h"
