/* The encoders of block types, compiled for neon. */
#include "kernels/simd_neon.h"

#include "kernels/block_encode_rows.h"
