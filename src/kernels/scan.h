/* One look at a row of activations or weights: the range of its finite values and how many are not finite. Exact on every row. */
#ifndef FB_KERNELS_SCAN_H
#define FB_KERNELS_SCAN_H

#include "base/context.h"

typedef struct FbRangeF32 {
    float low, high;   /* over the finite values: +inf, -inf when there are none. A zero may have either sign. */
    size_t nonfinite;  /* NaN and infinities */
} FbRangeF32;

typedef struct FbScanF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    FbRangeF32 (*range)(const float *x, size_t count);
} FbScanF32Kernel;

extern const FbScanF32Kernel *const fb_scan_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_scan_f32_kernel_count;
const FbScanF32Kernel *fb_scan_f32_pick(unsigned cpu);

#endif
