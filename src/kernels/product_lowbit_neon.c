/* The low-bit product for NEON without dot products, halves, and rounding A. */
#include "kernels/simd_neon.h"

#include "kernels/product_lowbit_epilogue.h"

/* A product of a code of A with one of weights is at most 127 * 128: a pair stays in 16 bits. */
#define dot_quarter(sum, w, a, i) dot_four_by_pairs(sum, w, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(a), i)))
static inline int32x4_t dot_four_by_pairs(int32x4_t sum, int8x16_t w, int8x16_t a)
{
    return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)), vmull_high_s8(w, a)));
}
#include "kernels/dot_lanes_neon.h"

#include "kernels/product_lowbit_dot.h"

/* ---- halves: A stays float ---- */

LOWBIT_INLINE DotReals half_numbers(const uint8_t *w, const bool brain)
{
    const uint16x8_t x = dot_eight_shorts(w);
    return brain ? (DotReals){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(x, 16))}
                 : dot_halves((DotPanel){w, 0}, 0);
}

/* `rows` and `panels` are constants of the caller: all chains of the tile are in registers. */
LOWBIT_INLINE void half_tile(const FbProductLowbit *p, size_t row, size_t panel, const size_t rows, const size_t panels, const bool brain)
{
    enum { BYTES = 2 * FB_LOWBIT_COLS };
    const uint8_t *w = p->w + panel * p->blocks * BYTES;
    float *c = p->c + row * p->c_stride + panel * FB_LOWBIT_COLS;
    DotReals sums[4][4];
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < panels; i++) {
            sums[r][i] = dot_real(0);
        }
    }
    for (size_t k = 0; k < p->blocks; k++) {
        DotReals x[4];
        for (size_t i = 0; i < panels; i++) {
            x[i] = half_numbers(w + (i * p->blocks + k) * BYTES, brain);
        }
        for (size_t r = 0; r < rows; r++) {
            const DotReals a = dot_real(((const float *)(const void *)((const char *)p->a + (row + r) * p->a_stride))[k]);
            for (size_t i = 0; i < panels; i++) {
                sums[r][i] = dot_fma(a, x[i], sums[r][i]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < panels; i++) {
            dot_store_sums(c + r * p->c_stride + i * FB_LOWBIT_COLS, sums[r][i], false);
        }
    }
}
LOWBIT_INLINE void half_run(const FbProductLowbit *p, const bool brain)
{
    size_t row = 0;
    for (; row + 4 <= p->rows; row += 4) {
        size_t panel = 0;
        for (; panel + 2 <= p->panels; panel += 2) {
            half_tile(p, row, panel, 4, 2, brain);
        }
        if (panel < p->panels) {
            half_tile(p, row, panel, 4, 1, brain);
        }
    }
    for (; row < p->rows; row++) {
        size_t panel = 0;
        for (; panel + 4 <= p->panels; panel += 4) {
            half_tile(p, row, panel, 1, 4, brain);
        }
        for (; panel < p->panels; panel++) {
            half_tile(p, row, panel, 1, 1, brain);
        }
    }
}
static void f16_run(const FbProductLowbit *p) { half_run(p, false); }
static void bf16_run(const FbProductLowbit *p) { half_run(p, true); }

/* ---- rounding A ---- */

/* The scale of a group and the factor by which its numbers become codes. Magnitudes compare as their bits do. */
static float scale_of(const float *x, size_t count, float *inverse)
{
    uint32x4_t most = vdupq_n_u32(0);
    for (size_t i = 0; i < count; i += 4) {
        most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffff)));
    }
    const uint32_t bits = vmaxvq_u32(most);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    *inverse = 0.0f;
    if (bits >= UINT32_C(0x7f800000)) {
        return NAN;
    }
    if (largest < 0x1p-100f) {
        return 0.0f;
    }
    *inverse = 127.0f / largest;
    return largest / 127.0f;
}

static inline int16x4_t codes_of_4(const float *x, float inverse) { return vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse))); }
static inline int8x8_t codes_of_8(const float *x, float inverse)
{
    return vmovn_s16(vcombine_s16(codes_of_4(x, inverse), codes_of_4(x + 4, inverse)));
}
/* 16 codes, zeros where the inverse is 0. Returns their sum. */
static inline int32_t codes_of_16(const float *x, float inverse, int8_t *to)
{
    int8x16_t codes = vdupq_n_s8(0);
    if (inverse != 0.0f) {
        codes = vcombine_s8(codes_of_8(x, inverse), codes_of_8(x + 8, inverse));
    }
    vst1q_s8(to, codes);
    return vaddlvq_s8(codes);
}

static void codes_32(const float *x, size_t groups, FbCodes32 *to)
{
    for (size_t g = 0; g < groups; g++, x += 32, to++) {
        float inverse;
        to->scale = scale_of(x, 32, &inverse);
        const int32_t first = codes_of_16(x, inverse, to->codes), sum = first + codes_of_16(x + 16, inverse, to->codes + 16);
        to->sum8 = 8 * sum;
        to->scaled_sum = to->scale * (float)sum;
    }
}

static void codes_256(const float *x, size_t groups, FbCodes256 *to)
{
    for (size_t g = 0; g < groups; g++, x += 256, to++) {
        float inverse;
        to->scale = scale_of(x, 256, &inverse);
        for (size_t i = 0; i < 16; i++) {
            to->sums16[i] = (int16_t)codes_of_16(x + 16 * i, inverse, to->codes + 16 * i);
        }
        for (size_t i = 0; i < 8; i++) {
            to->sums32[i] = (int16_t)(to->sums16[2 * i] + to->sums16[2 * i + 1]);
        }
    }
}

const FbProductLowbitKernel fb_product_lowbit_neon = {
    FB_ISA_NAME, FB_ISA_NEEDS, codes_32, codes_256, fb_lowbit_epilogue, {f16_run, bf16_run, DOT_RUNS}};
