/* The lane operations of AVX-512 over emulated intrinsics. */
#include "kernels/simd_avx512.h"

#undef FB_ISA
#define FB_ISA(name) name##_emulated
#include "kernels/lanes/lanes_body.h"
