/* Softmax of a row. The sum uses 16 virtual lanes and the fixed tree: same bits on every row of the table. x and y may be the same. */
#ifndef FB_KERNELS_SOFTMAX_F32_H
#define FB_KERNELS_SOFTMAX_F32_H

#include "base/context.h"

typedef struct FbSoftmaxF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*softmax)(const float *x, float *y, size_t count);     /* exp(x - max) / sum */
    void (*log_softmax)(const float *x, float *y, size_t count); /* (x - max) - log(sum) */
} FbSoftmaxF32Kernel;

extern const FbSoftmaxF32Kernel *const fb_softmax_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_softmax_f32_kernel_count;
const FbSoftmaxF32Kernel *fb_softmax_f32_pick(unsigned cpu);

#endif
