/* The lane operations of scalar. */
#include "kernels/simd_scalar.h"

#include "kernels/lanes/lanes_body.h"
