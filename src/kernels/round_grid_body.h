/* Rows to an integer grid and back; included once per instruction set. */
#include <math.h>

#include "kernels/functions_math.h"
#include "kernels/round_grid.h"

static inline FbV grid_round(FbV x, FbV scale, FbV zero, FbV low, FbV high)
{
    return fb_v_mul(fb_v_sub(fb_m_grid(x, scale, zero, low, high), zero), scale);
}

static void grid_round_tensor(const float *x, float *y, size_t count, float scale, int32_t zero, int32_t low, int32_t high)
{
    const FbV s = fb_v_set(scale), z = fb_v_set((float)zero), l = fb_v_set((float)low), h = fb_v_set((float)high);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        fb_v_store(y + i, grid_round(fb_v_load(x + i), s, z, l, h));
    }
    if (i < count) {
        fb_v_store_n(y + i, grid_round(fb_v_load_n(x + i, count - i), s, z, l, h), count - i);
    }
}

static void grid_round_channels(const float *x, float *y, size_t count, const float *scale, const int32_t *zero, int32_t low, int32_t high)
{
    const FbV l = fb_v_set((float)low), h = fb_v_set((float)high);
    for (size_t i = 0; i < count; i += FB_LANES) {
        size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        int32_t zeros[FB_LANES] = {0};
        if (zero) {
            memcpy(zeros, zero + i, n * sizeof *zeros);
        }
        FbV z = fb_v_from_int(fb_vi_load(zeros));
        FbV v = grid_round(fb_v_load_n(x + i, n), fb_v_load_n(scale + i, n), z, l, h);
        fb_v_store_n(y + i, v, n);
    }
}

/* Codes of sixteen elements (n of them real) as integers. */
static inline void grid_codes(const float *x, size_t n, FbV scale, FbV zero, FbV low, FbV high, int32_t codes[FB_LANES])
{
    FbV v = n == FB_LANES ? fb_v_load(x) : fb_v_load_n(x, n);
    fb_vi_store(codes, fb_v_to_int(fb_m_grid(v, scale, zero, low, high)));
}

#define FB_QUANTIZE(name, type, low, high)                                                    \
    static void grid_##name(const float *x, type *q, size_t count, float scale, int32_t zero) \
    {                                                                                         \
        const FbV s = fb_v_set(scale), z = fb_v_set((float)zero);                             \
        const FbV l = fb_v_set((float)(low)), h = fb_v_set((float)(high));                    \
        int32_t codes[FB_LANES];                                                              \
        size_t i = 0;                                                                         \
        for (; i + FB_LANES <= count; i += FB_LANES) {                                        \
            grid_codes(x + i, FB_LANES, s, z, l, h, codes);                                   \
            for (size_t lane = 0; lane < FB_LANES; lane++) {                                  \
                q[i + lane] = (type)codes[lane];                                              \
            }                                                                                 \
        }                                                                                     \
        if (i < count) {                                                                      \
            grid_codes(x + i, count - i, s, z, l, h, codes);                                  \
            for (size_t lane = 0; i + lane < count; lane++) {                                 \
                q[i + lane] = (type)codes[lane];                                              \
            }                                                                                 \
        }                                                                                     \
    }
FB_QUANTIZE(quantize_u8, uint8_t, 0, 255)
FB_QUANTIZE(quantize_s8, int8_t, -128, 127)
FB_QUANTIZE(quantize_u16, uint16_t, 0, 65535)
FB_QUANTIZE(quantize_s16, int16_t, -32768, 32767)
#undef FB_QUANTIZE

#define FB_DEQUANTIZE(name, type)                                                             \
    static void grid_##name(const type *q, float *y, size_t count, float scale, int32_t zero) \
    {                                                                                         \
        for (size_t i = 0; i < count; i++) { /* exact in float: codes are small */            \
            y[i] = (float)((int32_t)q[i] - zero) * scale;                                     \
        }                                                                                     \
    }
FB_DEQUANTIZE(dequantize_u8, uint8_t)
FB_DEQUANTIZE(dequantize_s8, int8_t)
#undef FB_DEQUANTIZE

const FbGridF32Kernel FB_ISA(fb_grid_f32) = {FB_ISA_NAME,       FB_ISA_NEEDS,      grid_round_tensor,  grid_round_channels, grid_quantize_u8,
                                             grid_quantize_s8,  grid_quantize_u16, grid_quantize_s16, grid_dequantize_u8,  grid_dequantize_s8};
