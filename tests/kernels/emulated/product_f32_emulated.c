/* The AVX-512 product over emulated intrinsics, under a name of its own. */
#include "kernels/simd_avx512.h"

#undef FB_ISA
#define FB_ISA(name) name##_emulated
#include "kernels/product_f32_12x32.h"
