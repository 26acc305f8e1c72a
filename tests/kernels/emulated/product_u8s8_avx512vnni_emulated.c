/* The AVX-512 VNNI product over emulated intrinsics, under a name of its own. */
#include "kernels/simd_avx512.h"

#define PRODUCT_KERNEL fb_product_u8s8_avx512vnni_emulated
#include "kernels/product_u8s8_12x32.h"
