/* The low-bit product for AVX-VNNI. */
#include "kernels/dot_lanes_avxvnni.h"

#define DOT_KERNEL fb_product_lowbit_avxvnni
#include "kernels/product_lowbit_dot_row.h"
