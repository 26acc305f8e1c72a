/* Dynamic quantization to u8 codes. */
#ifndef FB_OPS_DYNAMIC_RANGE_H
#define FB_OPS_DYNAMIC_RANGE_H

#include "base/context.h"

/* Scale and zero point of u8 codes over the finite values of x. Source: ONNX DynamicQuantizeLinear; a range of 0 has scale 1. The same
 * bits for every number of threads. */
void fb_dynamic_range(FbContext *context, const float *x, size_t count, float *scale, uint8_t *zero);
/* The same from a range that is known; low <= 0 <= high. */
void fb_dynamic_grid(float low, float high, float *scale, uint8_t *zero);

#endif
