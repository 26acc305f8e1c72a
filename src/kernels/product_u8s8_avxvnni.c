/* The integer product for AVX-VNNI. */
#include "kernels/simd_avx2.h"

#define PRODUCT_KERNEL fb_product_u8s8_avxvnni
#include "kernels/product_u8s8_6x16.h"
