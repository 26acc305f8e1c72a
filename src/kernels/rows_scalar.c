/* The row kernels of every primitive, compiled for scalar. */
#include "kernels/simd_scalar.h"

#include "kernels/rows_body.h"
