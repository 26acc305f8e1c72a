/* Reductions of a row. Sums use 16 virtual lanes (element i goes to lane i mod 16) and a fixed tree: same bits on every row of the table.
 * count 0 gives 0 for sums, -inf for max, +inf for min. max and min are NaN when any element is. */
#ifndef FB_KERNELS_REDUCE_H
#define FB_KERNELS_REDUCE_H

#include "base/context.h"

typedef struct FbReduceF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    float (*sum)(const float *x, size_t count);
    float (*sum_abs)(const float *x, size_t count);
    float (*sum_squares)(const float *x, size_t count, float shift); /* of x - shift, an fma chain per lane */
    float (*max)(const float *x, size_t count);
    float (*min)(const float *x, size_t count);
} FbReduceF32Kernel;

extern const FbReduceF32Kernel *const fb_reduce_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_reduce_f32_kernel_count;
const FbReduceF32Kernel *fb_reduce_f32_pick(unsigned cpu);

#endif
