/* The AVX-512 row kernels over emulated intrinsics, under names of their own. */
#include "kernels/simd_avx512.h"

#undef FB_ISA
#define FB_ISA(name) name##_emulated
#include "kernels/rows_body.h"
