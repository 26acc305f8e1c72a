/* The lane operations of neon. */
#include "kernels/simd_neon.h"

#include "kernels/lanes/lanes_body.h"
