/* The row kernels of every primitive, compiled for neon. */
#include "kernels/simd_neon.h"

#include "kernels/rows_body.h"
