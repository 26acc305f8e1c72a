/* Normalization of rows. Sums use 16 virtual lanes and the fixed tree: same bits on every row of the table. x and y may be the same. */
#ifndef FB_KERNELS_NORM_F32_H
#define FB_KERNELS_NORM_F32_H

#include "base/context.h"

typedef struct FbNormF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    /* Mean and 1 / sqrt(mean of (x - mean)^2 + epsilon) of a row; `center` false: the mean counts as 0. */
    void (*moments)(const float *x, size_t count, float epsilon, bool center, float *mean, float *inverse);
    /* y = (x - mean) * inverse * scale + bias, scale and bias per element or NULL (1, 0). */
    void (*apply)(const float *x, float *y, size_t count, float mean, float inverse, const float *scale, const float *bias);
    /* y = (x - mean) * factor + bias: one mean, factor and bias for the row; or one per element. */
    void (*affine)(const float *x, float *y, size_t count, float mean, float factor, float bias);
    void (*affine_channels)(const float *x, float *y, size_t count, const float *mean, const float *factor, const float *bias);
} FbNormF32Kernel;

extern const FbNormF32Kernel *const fb_norm_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_norm_f32_kernel_count;
const FbNormF32Kernel *fb_norm_f32_pick(unsigned cpu);

#endif
