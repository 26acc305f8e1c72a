/* The lanes of product_lowbit_dot.h for NEON: eight columns in two registers. Codes of weights are signed bytes, as those of A. Included after
 * dot_quarter: to four lanes are added the products of four bytes each of w with bytes 4 * i .. 4 * i + 3 of a. */
#ifndef FB_KERNELS_DOT_LANES_NEON_H
#define FB_KERNELS_DOT_LANES_NEON_H

#include <arm_neon.h>

#include "kernels/product_lowbit.h"

enum { DOT_PANELS = 1, DOT_SIGNED_ZERO = 0 };

typedef struct DotInts { int32x4_t lo, hi; } DotInts;
typedef struct DotPairs { int16x4_t even_lo, even_hi, odd_lo, odd_hi; } DotPairs;
typedef struct DotReals { float32x4_t lo, hi; } DotReals;
typedef struct DotPanel {
    const uint8_t *w;
    size_t gap;
} DotPanel;

LOWBIT_INLINE DotInts dot_load(DotPanel p, size_t at)
{
    return (DotInts){vreinterpretq_s32_u8(vld1q_u8(p.w + at)), vreinterpretq_s32_u8(vld1q_u8(p.w + at + 16))};
}
LOWBIT_INLINE uint16x8_t dot_eight_shorts(const uint8_t *at) { return vreinterpretq_u16_u8(vld1q_u8(at)); }
LOWBIT_INLINE DotReals dot_halves(DotPanel p, size_t at)
{
    const uint16x8_t halves = dot_eight_shorts(p.w + at);
    return (DotReals){vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(halves))), vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(halves)))};
}
LOWBIT_INLINE DotInts dot_widened(uint16x8_t x)
{
    return (DotInts){vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(x))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(x)))};
}
LOWBIT_INLINE DotInts dot_shorts(DotPanel p, size_t at) { return dot_widened(dot_eight_shorts(p.w + at)); }
LOWBIT_INLINE DotInts dot_bytes(DotPanel p, size_t at) { return dot_widened(vmovl_u8(vld1_u8(p.w + at))); }
LOWBIT_INLINE void dot_fetch(const uint8_t *w) { (void)w; } /* left to the processor */
LOWBIT_INLINE DotReals dot_load_sums(const float *c, bool both)
{
    (void)both;
    return (DotReals){vld1q_f32(c), vld1q_f32(c + 4)};
}
LOWBIT_INLINE void dot_store_sums(float *c, DotReals x, bool both)
{
    (void)both;
    vst1q_f32(c, x.lo);
    vst1q_f32(c + 4, x.hi);
}

LOWBIT_INLINE DotInts dot_set(int32_t x) { return (DotInts){vdupq_n_s32(x), vdupq_n_s32(x)}; }
LOWBIT_INLINE DotInts dot_add(DotInts a, DotInts b) { return (DotInts){vaddq_s32(a.lo, b.lo), vaddq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_sub(DotInts a, DotInts b) { return (DotInts){vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_mul(DotInts a, DotInts b) { return (DotInts){vmulq_s32(a.lo, b.lo), vmulq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_and(DotInts a, DotInts b) { return (DotInts){vandq_s32(a.lo, b.lo), vandq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_or(DotInts a, DotInts b) { return (DotInts){vorrq_s32(a.lo, b.lo), vorrq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_xor(DotInts a, DotInts b) { return (DotInts){veorq_s32(a.lo, b.lo), veorq_s32(a.hi, b.hi)}; }
LOWBIT_INLINE DotInts dot_left(DotInts a, int count)
{
    const int32x4_t by = vdupq_n_s32(count);
    return (DotInts){vshlq_s32(a.lo, by), vshlq_s32(a.hi, by)};
}
LOWBIT_INLINE int32x4_t dot_right_quarter(int32x4_t a, int32x4_t by)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), by));
}
LOWBIT_INLINE DotInts dot_right(DotInts a, int count)
{
    const int32x4_t by = vdupq_n_s32(-count);
    return (DotInts){dot_right_quarter(a.lo, by), dot_right_quarter(a.hi, by)};
}

LOWBIT_INLINE DotInts dot_table(const int8_t *sixteen)
{
    const int32x4_t table = vreinterpretq_s32_s8(vld1q_s8(sixteen));
    return (DotInts){table, table};
}
LOWBIT_INLINE int32x4_t dot_look_up_quarter(int32x4_t table, int32x4_t at)
{
    return vreinterpretq_s32_s8(vqtbl1q_s8(vreinterpretq_s8_s32(table), vreinterpretq_u8_s32(at)));
}
LOWBIT_INLINE DotInts dot_look_up(DotInts table, DotInts at)
{
    return (DotInts){dot_look_up_quarter(table.lo, at.lo), dot_look_up_quarter(table.hi, at.hi)};
}
LOWBIT_INLINE DotInts dot_byte(DotInts x, int i) { return dot_and(dot_right(x, 8 * i), dot_set(255)); }
LOWBIT_INLINE DotInts dot_signed_byte(DotInts x, int i)
{
    const DotInts top = dot_left(x, 24 - 8 * i);
    return (DotInts){vshrq_n_s32(top.lo, 24), vshrq_n_s32(top.hi, 24)};
}

#define DOT_FOUR(sum, w, a, i) \
    (DotInts) { dot_quarter(sum.lo, vreinterpretq_s8_s32((w).lo), a, i), dot_quarter(sum.hi, vreinterpretq_s8_s32((w).hi), a, i) }
LOWBIT_INLINE DotInts dot_16(DotInts sum, const DotInts *w, const int8_t *a)
{
    const int8x16_t codes = vld1q_s8(a);
    sum = DOT_FOUR(sum, w[0], codes, 0);
    sum = DOT_FOUR(sum, w[1], codes, 1);
    sum = DOT_FOUR(sum, w[2], codes, 2);
    return DOT_FOUR(sum, w[3], codes, 3);
}
LOWBIT_INLINE DotPairs dot_pair(DotInts even, DotInts odd)
{
    return (DotPairs){vmovn_s32(even.lo), vmovn_s32(even.hi), vmovn_s32(odd.lo), vmovn_s32(odd.hi)};
}
LOWBIT_INLINE DotInts dot_pairs(DotInts sum, DotPairs w, const int16_t *a)
{
    return (DotInts){vmlal_n_s16(vmlal_n_s16(sum.lo, w.even_lo, a[0]), w.odd_lo, a[1]),
                     vmlal_n_s16(vmlal_n_s16(sum.hi, w.even_hi, a[0]), w.odd_hi, a[1])};
}

LOWBIT_INLINE DotReals dot_real(float x) { return (DotReals){vdupq_n_f32(x), vdupq_n_f32(x)}; }
LOWBIT_INLINE DotReals dot_to_reals(DotInts x) { return (DotReals){vcvtq_f32_s32(x.lo), vcvtq_f32_s32(x.hi)}; }
LOWBIT_INLINE DotReals dot_as_reals(DotInts x) { return (DotReals){vreinterpretq_f32_s32(x.lo), vreinterpretq_f32_s32(x.hi)}; }
LOWBIT_INLINE DotReals dot_times(DotReals a, DotReals b) { return (DotReals){vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)}; }
LOWBIT_INLINE DotReals dot_fma(DotReals a, DotReals b, DotReals c) { return (DotReals){vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)}; }
LOWBIT_INLINE DotReals dot_minus(DotReals a, DotReals b, DotReals c)
{
    return (DotReals){vfmsq_f32(c.lo, a.lo, b.lo), vfmsq_f32(c.hi, a.hi, b.hi)};
}

#endif
