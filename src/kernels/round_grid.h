/* Rows to the grid of an integer code of at most 16 bits, and back, in float32 exactly as ONNX QuantizeLinear and DequantizeLinear:
 *
 *   q = clamp(round_half_even(x / scale) + zero, low, high)   (a true division; NaN gives low)       real = (q - zero) * scale
 *
 * The _channels forms take one scale and zero point per element of the row (channels last); zero may be NULL: all 0. x and y may be the
 * same. Same bits on every row of the table. */
#ifndef FB_KERNELS_ROUND_GRID_H
#define FB_KERNELS_ROUND_GRID_H

#include "base/context.h"

typedef struct FbGridF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*round_tensor)(const float *x, float *y, size_t count, float scale, int32_t zero, int32_t low, int32_t high);
    void (*round_channels)(const float *x, float *y, size_t count, const float *scale, const int32_t *zero, int32_t low, int32_t high);
    void (*quantize_u8)(const float *x, uint8_t *q, size_t count, float scale, int32_t zero);
    void (*quantize_s8)(const float *x, int8_t *q, size_t count, float scale, int32_t zero);
    void (*quantize_u16)(const float *x, uint16_t *q, size_t count, float scale, int32_t zero);
    void (*quantize_s16)(const float *x, int16_t *q, size_t count, float scale, int32_t zero);
    void (*dequantize_u8)(const uint8_t *q, float *y, size_t count, float scale, int32_t zero);
    void (*dequantize_s8)(const int8_t *q, float *y, size_t count, float scale, int32_t zero);
} FbGridF32Kernel;

extern const FbGridF32Kernel *const fb_grid_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_grid_f32_kernel_count;
const FbGridF32Kernel *fb_grid_f32_pick(unsigned cpu);

#endif
