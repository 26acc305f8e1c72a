/* The AVX-512 encoders of block types over emulated intrinsics, under a name of their own. */
#include "kernels/simd_avx512.h"

#undef FB_ISA
#define FB_ISA(name) name##_emulated
#include "kernels/block_encode_rows.h"
