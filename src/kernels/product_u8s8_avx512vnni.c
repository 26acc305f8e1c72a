/* The integer product for AVX-512 VNNI. */
#include "kernels/simd_avx512.h"

#define PRODUCT_KERNEL fb_product_u8s8_avx512vnni
#include "kernels/product_u8s8_12x32.h"
