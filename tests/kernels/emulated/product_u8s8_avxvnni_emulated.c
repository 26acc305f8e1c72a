/* The AVX-VNNI product over an emulated instruction, under a name of its own. */
#include "kernels/simd_avx2.h"

#define PRODUCT_KERNEL fb_product_u8s8_avxvnni_emulated
#include "kernels/product_u8s8_6x16.h"
