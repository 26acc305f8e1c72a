/* The AVX-512 intrinsics. A header of its own so that tests can put an emulation in its place on machines without them. */
#ifndef FB_KERNELS_INTRINSICS_AVX512_H
#define FB_KERNELS_INTRINSICS_AVX512_H

#include <immintrin.h>

#endif
