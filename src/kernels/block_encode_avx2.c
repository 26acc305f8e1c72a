/* The encoders of block types, compiled for avx2. */
#include "kernels/simd_avx2.h"

#include "kernels/block_encode_rows.h"
