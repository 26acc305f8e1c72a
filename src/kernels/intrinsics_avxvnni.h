/* The AVX-VNNI intrinsics. A header of its own so that tests can put an emulation in its place on machines without them. */
#ifndef FB_KERNELS_INTRINSICS_AVXVNNI_H
#define FB_KERNELS_INTRINSICS_AVXVNNI_H

#include <immintrin.h>

#endif
