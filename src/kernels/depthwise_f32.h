/* Depthwise convolution on channels-last rows: y[pixel][c] = epilogue( fma chain over taps of x[pixel][tap][c] * w[tap][c] ), starting
 * from 0. Same bits on every row of the table. */
#ifndef FB_KERNELS_DEPTHWISE_F32_H
#define FB_KERNELS_DEPTHWISE_F32_H

#include "base/context.h"
#include "kernels/epilogue.h"

typedef struct FbDepthwiseF32 {
    size_t pixels, channels, taps;
    const float *const *x;       /* [pixels][taps] pointers to `channels` floats; padding points at zeros */
    const float *w;              /* [taps][channels] */
    float *y;                    /* [pixels][y_stride] */
    size_t y_stride;
    const FbEpilogue *epilogue;  /* NULL: store the accumulators */
} FbDepthwiseF32;

typedef struct FbDepthwiseF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*run)(const FbDepthwiseF32 *depthwise);
} FbDepthwiseF32Kernel;

extern const FbDepthwiseF32Kernel *const fb_depthwise_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_depthwise_f32_kernel_count;
const FbDepthwiseF32Kernel *fb_depthwise_f32_pick(unsigned cpu);

#endif
