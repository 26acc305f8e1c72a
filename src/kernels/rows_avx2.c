/* The row kernels of every primitive, compiled for avx2. */
#include "kernels/simd_avx2.h"

#include "kernels/rows_body.h"
