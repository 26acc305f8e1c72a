/* The row kernels of every primitive, compiled for avx512. */
#include "kernels/simd_avx512.h"

#include "kernels/rows_body.h"
