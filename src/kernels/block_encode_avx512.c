/* The encoders of block types, compiled for avx512. */
#include "kernels/simd_avx512.h"

#include "kernels/block_encode_rows.h"
