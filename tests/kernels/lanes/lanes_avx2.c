/* The lane operations of avx2. */
#include "kernels/simd_avx2.h"

#include "kernels/lanes/lanes_body.h"
