/* Pooling of channels-last rows: y[pixel][c] over the taps of x[pixel][tap][c]. Same bits on every row of the table. */
#ifndef FB_KERNELS_POOL_F32_H
#define FB_KERNELS_POOL_F32_H

#include "base/context.h"

typedef struct FbPoolF32 {
    size_t pixels, channels, taps;
    const float *const *x;  /* [pixels][taps] pointers to `channels` floats; NULL: padding, left out */
    const float *divisor;   /* average: per pixel */
    float *y;               /* [pixels][channels] */
} FbPoolF32;

typedef struct FbPoolF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*max)(const FbPoolF32 *pool);     /* -inf where every tap is padding; NaN when a tap is NaN */
    void (*average)(const FbPoolF32 *pool); /* the taps added in order, then a true division */
} FbPoolF32Kernel;

extern const FbPoolF32Kernel *const fb_pool_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_pool_f32_kernel_count;
const FbPoolF32Kernel *fb_pool_f32_pick(unsigned cpu);

#endif
