/* Depthwise convolution of codes on channels-last rows: acc[pixel][c] = sum over taps of x[pixel][tap][c] * w[tap][c], exact in int32, then
 * FbIntegerEpilogue. Same bits on every row of the table. */
#ifndef FB_KERNELS_DEPTHWISE_U8S8_H
#define FB_KERNELS_DEPTHWISE_U8S8_H

#include "base/context.h"
#include "kernels/epilogue.h"

typedef struct FbDepthwiseU8S8 {
    size_t pixels, channels, taps;
    const uint8_t *const *x;     /* [pixels][taps] pointers to `channels` codes; padding points at codes of real zero */
    const int16_t *w;            /* [taps][channels]: weights of 8 bits, or weight - zero point */
    void *y;                     /* [pixels][y_stride] of uint8_t or float as the epilogue stores */
    size_t y_stride;             /* elements */
    const FbIntegerEpilogue *epilogue; /* not NULL */
} FbDepthwiseU8S8;

typedef struct FbDepthwiseU8S8Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*run)(const FbDepthwiseU8S8 *depthwise);
} FbDepthwiseU8S8Kernel;

extern const FbDepthwiseU8S8Kernel *const fb_depthwise_u8s8_kernels[]; /* best first, ends with scalar */
extern const size_t fb_depthwise_u8s8_kernel_count;
const FbDepthwiseU8S8Kernel *fb_depthwise_u8s8_pick(unsigned cpu);

#endif
