/* simd_scalar.h's sixteen lanes as four NEON registers (64-bit Arm). */
#ifndef FB_KERNELS_SIMD_NEON_H
#define FB_KERNELS_SIMD_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/context.h"

#define FB_ISA(name) name##_neon
#define FB_ISA_NAME "neon"
#define FB_ISA_NEEDS FB_CPU_NEON

enum { FB_LANES = 16 };

typedef struct FbV { float32x4_t q0, q1, q2, q3; } FbV;
typedef struct FbVi { int32x4_t q0, q1, q2, q3; } FbVi;
typedef struct FbVm { uint32x4_t q0, q1, q2, q3; } FbVm;
typedef uint8x16_t FbVb;
typedef struct FbVp { int16x8_t low0, low1, high0, high1; } FbVp; /* first and second of the pairs of lanes 0-7, 8-15 */

/* The four quarters of one operation. */
#define FB_QUARTERS_1(f, a) {f((a).q0), f((a).q1), f((a).q2), f((a).q3)}
#define FB_QUARTERS_2(f, a, b) {f((a).q0, (b).q0), f((a).q1, (b).q1), f((a).q2, (b).q2), f((a).q3, (b).q3)}
#define FB_QUARTERS_3(f, a, b, c) \
    {f((a).q0, (b).q0, (c).q0), f((a).q1, (b).q1, (c).q1), f((a).q2, (b).q2, (c).q2), f((a).q3, (b).q3, (c).q3)}

/* min(n, 4) lanes; NEON has no masks for memory. */
static inline int32x4_t fb_quarter_load(const int32_t *p, size_t n)
{
    if (n >= 4) {
        return vld1q_s32(p);
    }
    const int32x2_t zero = vdup_n_s32(0);
    if (n >= 2) {
        return vcombine_s32(vld1_s32(p), n == 3 ? vld1_lane_s32(p + 2, zero, 0) : zero);
    }
    return vcombine_s32(n == 1 ? vld1_lane_s32(p, zero, 0) : zero, zero);
}
static inline void fb_quarter_store(int32_t *p, int32x4_t a, size_t n)
{
    if (n >= 4) {
        vst1q_s32(p, a);
        return;
    }
    int32x2_t half = vget_low_s32(a);
    if (n >= 2) {
        vst1_s32(p, half);
        half = vget_high_s32(a);
        p += 2;
    }
    if (n & 1) {
        vst1_lane_s32(p, half, 0);
    }
}
static inline size_t fb_quarter_rest(size_t n, size_t before) { return n > before ? n - before : 0; }

static inline FbVi fb_vi_load(const int32_t *p) { return (FbVi){vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)}; }
static inline void fb_vi_store(int32_t *p, FbVi a)
{
    vst1q_s32(p, a.q0);
    vst1q_s32(p + 4, a.q1);
    vst1q_s32(p + 8, a.q2);
    vst1q_s32(p + 12, a.q3);
}
/* Calls, not inlined: the ends of rows, in many places. */
static __attribute__((noinline, unused)) FbVi fb_vi_load_n(const int32_t *p, size_t n)
{
    const size_t n1 = fb_quarter_rest(n, 4), n2 = fb_quarter_rest(n, 8), n3 = fb_quarter_rest(n, 12);
    const int32x4_t zero = vdupq_n_s32(0); /* no pointer is formed that is not used */
    return (FbVi){fb_quarter_load(p, n), n1 ? fb_quarter_load(p + 4, n1) : zero, n2 ? fb_quarter_load(p + 8, n2) : zero,
                  n3 ? fb_quarter_load(p + 12, n3) : zero};
}
static __attribute__((noinline, unused)) void fb_vi_store_n(int32_t *p, FbVi a, size_t n)
{
    fb_quarter_store(p, a.q0, n);
    if (n > 4) {
        fb_quarter_store(p + 4, a.q1, n - 4);
    }
    if (n > 8) {
        fb_quarter_store(p + 8, a.q2, n - 8);
    }
    if (n > 12) {
        fb_quarter_store(p + 12, a.q3, n - 12);
    }
}

static inline FbVi fb_v_bits(FbV a) { return (FbVi)FB_QUARTERS_1(vreinterpretq_s32_f32, a); }
static inline FbV fb_v_from_bits(FbVi a) { return (FbV)FB_QUARTERS_1(vreinterpretq_f32_s32, a); }
static inline float32x4_t fb_load_half4(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline FbV fb_v_load_half(const uint16_t *p)
{
    return (FbV){fb_load_half4(p), fb_load_half4(p + 4), fb_load_half4(p + 8), fb_load_half4(p + 12)};
}
static inline FbV fb_v_load(const float *p) { return (FbV){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
static inline void fb_v_store(float *p, FbV a)
{
    vst1q_f32(p, a.q0);
    vst1q_f32(p + 4, a.q1);
    vst1q_f32(p + 8, a.q2);
    vst1q_f32(p + 12, a.q3);
}
/* Lanes as bits: what they hold does not matter for moving them. */
static inline FbV fb_v_load_n(const float *p, size_t n) { return fb_v_from_bits(fb_vi_load_n((const int32_t *)(const void *)p, n)); }
static inline void fb_v_store_n(float *p, FbV a, size_t n) { fb_vi_store_n((int32_t *)(void *)p, fb_v_bits(a), n); }

static inline FbV fb_v_set(float value)
{
    const float32x4_t q = vdupq_n_f32(value);
    return (FbV){q, q, q, q};
}
static inline float32x4_t fb_quarter_fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
/* Not vminq and vmaxq: those give NaN for NaN and order the zeros. */
static inline float32x4_t fb_quarter_min(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float32x4_t fb_quarter_max(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline FbV fb_v_add(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(vaddq_f32, a, b); }
static inline FbV fb_v_sub(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(vsubq_f32, a, b); }
static inline FbV fb_v_mul(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(vmulq_f32, a, b); }
static inline FbV fb_v_div(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(vdivq_f32, a, b); }
static inline FbV fb_v_fma(FbV a, FbV b, FbV c) { return (FbV)FB_QUARTERS_3(fb_quarter_fma, a, b, c); }
static inline FbV fb_v_sqrt(FbV a) { return (FbV)FB_QUARTERS_1(vsqrtq_f32, a); }
static inline FbV fb_v_min(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(fb_quarter_min, a, b); }
static inline FbV fb_v_max(FbV a, FbV b) { return (FbV)FB_QUARTERS_2(fb_quarter_max, a, b); }

static inline FbVm fb_v_lt(FbV a, FbV b) { return (FbVm)FB_QUARTERS_2(vcltq_f32, a, b); }
static inline FbVm fb_v_le(FbV a, FbV b) { return (FbVm)FB_QUARTERS_2(vcleq_f32, a, b); }
static inline FbV fb_v_select(FbVm mask, FbV yes, FbV no) { return (FbV)FB_QUARTERS_3(vbslq_f32, mask, yes, no); }
/* Sixteen ones, then sixteen zeros: the first n lanes start 16 - n elements in. */
static const uint32_t fb_ones_window[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static inline size_t fb_vm_count(FbVm mask, size_t n)
{
    const uint32_t *ones = fb_ones_window + 16 - n;
    const uint32x4_t low = vaddq_u32(vandq_u32(mask.q0, vld1q_u32(ones)), vandq_u32(mask.q1, vld1q_u32(ones + 4)));
    const uint32x4_t high = vaddq_u32(vandq_u32(mask.q2, vld1q_u32(ones + 8)), vandq_u32(mask.q3, vld1q_u32(ones + 12)));
    return vaddvq_u32(vaddq_u32(low, high));
}

static inline FbVi fb_vi_set(int32_t value)
{
    const int32x4_t q = vdupq_n_s32(value);
    return (FbVi){q, q, q, q};
}
static inline int32x4_t fb_quarter_shl23(int32x4_t a) { return vshlq_n_s32(a, 23); }
static inline int32x4_t fb_quarter_shr23(int32x4_t a) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), 23)); }
static inline int32x4_t fb_quarter_sra1(int32x4_t a) { return vshrq_n_s32(a, 1); }
static inline FbVi fb_vi_add(FbVi a, FbVi b) { return (FbVi)FB_QUARTERS_2(vaddq_s32, a, b); }
static inline FbVi fb_vi_sub(FbVi a, FbVi b) { return (FbVi)FB_QUARTERS_2(vsubq_s32, a, b); }
static inline FbVi fb_vi_mul(FbVi a, FbVi b) { return (FbVi)FB_QUARTERS_2(vmulq_s32, a, b); }
static inline FbVi fb_vi_and(FbVi a, FbVi b) { return (FbVi)FB_QUARTERS_2(vandq_s32, a, b); }
static inline FbVi fb_vi_or(FbVi a, FbVi b) { return (FbVi)FB_QUARTERS_2(vorrq_s32, a, b); }
static inline FbVi fb_vi_shl23(FbVi a) { return (FbVi)FB_QUARTERS_1(fb_quarter_shl23, a); }
static inline FbVi fb_vi_shr23(FbVi a) { return (FbVi)FB_QUARTERS_1(fb_quarter_shr23, a); }
static inline FbVi fb_vi_sra1(FbVi a) { return (FbVi)FB_QUARTERS_1(fb_quarter_sra1, a); }
static inline FbV fb_v_from_int(FbVi a) { return (FbV)FB_QUARTERS_1(vcvtq_f32_s32, a); }
static inline FbV fb_v_round(FbV a) { return (FbV)FB_QUARTERS_1(vrndnq_f32, a); }
/* The instruction saturates and has 0 for NaN: what does not fit is replaced. */
static inline int32x4_t fb_quarter_to_int(float32x4_t a)
{
    const uint32x4_t fits = vandq_u32(vcgeq_f32(a, vdupq_n_f32(-0x1p31f)), vcltq_f32(a, vdupq_n_f32(0x1p31f)));
    return vbslq_s32(fits, vcvtnq_s32_f32(a), vdupq_n_s32(INT32_MIN));
}
static inline FbVi fb_v_to_int(FbV a) { return (FbVi)FB_QUARTERS_1(fb_quarter_to_int, a); }

/* Sixteen codes. */
static inline FbVb fb_vb_load(const uint8_t *p) { return vld1q_u8(p); }
static inline void fb_vb_store(uint8_t *p, FbVb a) { vst1q_u8(p, a); }
static inline FbVb fb_vb_load_n(const uint8_t *p, size_t n)
{
    uint8_t copy[16] = {0};
    memcpy(copy, p, n);
    return vld1q_u8(copy);
}
static inline void fb_vb_store_n(uint8_t *p, FbVb a, size_t n)
{
    uint8_t copy[16];
    vst1q_u8(copy, a);
    memcpy(p, copy, n);
}
static inline FbVb fb_vb_set(uint8_t value) { return vdupq_n_u8(value); }
static inline FbVb fb_vb_min(FbVb a, FbVb b) { return vminq_u8(a, b); }
static inline FbVb fb_vb_max(FbVb a, FbVb b) { return vmaxq_u8(a, b); }
static inline FbVb fb_vb_zip_low(FbVb a, FbVb b) { return vzip1q_u8(a, b); }
static inline FbVb fb_vb_zip_high(FbVb a, FbVb b) { return vzip2q_u8(a, b); }
static inline FbVi fb_vi_from_bytes(FbVb a)
{
    const uint16x8_t low = vmovl_u8(vget_low_u8(a)), high = vmovl_high_u8(a);
    return (FbVi){vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_high_u16(low)),
                  vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_high_u16(high))};
}
static inline FbVi fb_vi_load_bytes(const uint8_t *p) { return fb_vi_from_bytes(vld1q_u8(p)); }
/* Every step saturates; NaN, which the conversion makes 0, is made the code 0. */
static inline uint16x4_t fb_quarter_codes(float32x4_t a, int32x4_t zero)
{
    const int32x4_t code = vqaddq_s32(vcvtnq_s32_f32(a), zero);
    return vqmovun_s32(vandq_s32(code, vreinterpretq_s32_u32(vceqq_f32(a, a))));
}
static inline FbVb fb_vb_codes(FbV a, FbVi zero)
{
    const uint16x8_t low = vcombine_u16(fb_quarter_codes(a.q0, zero.q0), fb_quarter_codes(a.q1, zero.q1));
    const uint16x8_t high = vcombine_u16(fb_quarter_codes(a.q2, zero.q2), fb_quarter_codes(a.q3, zero.q3));
    return vcombine_u8(vqmovn_u16(low), vqmovn_u16(high));
}
/* A look-up instruction has 64 entries and gives 0, or leaves the lane, beyond them. */
static inline void fb_vb_map(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256])
{
    const uint8x16x4_t t0 = vld1q_u8_x4(table), t1 = vld1q_u8_x4(table + 64), t2 = vld1q_u8_x4(table + 128), t3 = vld1q_u8_x4(table + 192);
    const uint8x16_t next = vdupq_n_u8(64);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        uint8x16_t at = vld1q_u8(x + i), found = vqtbl4q_u8(t0, at);
        at = vsubq_u8(at, next);
        found = vqtbx4q_u8(found, t1, at);
        at = vsubq_u8(at, next);
        found = vqtbx4q_u8(found, t2, at);
        at = vsubq_u8(at, next);
        vst1q_u8(y + i, vqtbx4q_u8(found, t3, at));
    }
    for (; i < count; i++) {
        y[i] = table[x[i]];
    }
}

static inline void fb_vb_map_pair(const uint8_t *x0, uint8_t *y0, const uint8_t *x1, uint8_t *y1, const uint8_t table[256])
{
    fb_vb_map(x0, y0, 16, table);
    fb_vb_map(x1, y1, 16, table);
}

static inline void fb_v_map(const uint8_t *x, float *y, size_t count, const float table[256])
{
    for (size_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

static inline FbVp fb_vp_codes(const uint8_t *x0, const uint8_t *x1)
{
    const uint8x16_t a = vld1q_u8(x0), b = vld1q_u8(x1);
    return (FbVp){vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a))), vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(b))),
                  vreinterpretq_s16_u16(vmovl_high_u8(a)), vreinterpretq_s16_u16(vmovl_high_u8(b))};
}
static inline FbVp fb_vp_load(const int16_t *p) { return (FbVp){vld1q_s16(p), vld1q_s16(p + 8), vld1q_s16(p + 16), vld1q_s16(p + 24)}; }
static inline void fb_vp_store(int16_t *p, FbVp a)
{
    vst1q_s16(p, a.low0);
    vst1q_s16(p + 8, a.low1);
    vst1q_s16(p + 16, a.high0);
    vst1q_s16(p + 24, a.high1);
}
static inline FbVp fb_vp_weights(const int16_t *w0, const int16_t *w1, size_t n)
{
    int16_t a[16] = {0}, b[16] = {0};
    memcpy(a, w0, n * sizeof *a);
    if (w1) {
        memcpy(b, w1, n * sizeof *b);
    }
    return (FbVp){vld1q_s16(a), vld1q_s16(b), vld1q_s16(a + 8), vld1q_s16(b + 8)};
}
static inline FbVi fb_vi_dot2(FbVi sum, FbVp x, FbVp w)
{
    sum.q0 = vmlal_s16(vmlal_s16(sum.q0, vget_low_s16(x.low0), vget_low_s16(w.low0)), vget_low_s16(x.low1), vget_low_s16(w.low1));
    sum.q1 = vmlal_high_s16(vmlal_high_s16(sum.q1, x.low0, w.low0), x.low1, w.low1);
    sum.q2 = vmlal_s16(vmlal_s16(sum.q2, vget_low_s16(x.high0), vget_low_s16(w.high0)), vget_low_s16(x.high1), vget_low_s16(w.high1));
    sum.q3 = vmlal_high_s16(vmlal_high_s16(sum.q3, x.high0, w.high0), x.high1, w.high1);
    return sum;
}
static inline FbVi fb_vi_ordered(FbVi sum) { return sum; }

static inline FbVi fb_vi_unordered(FbVi a) { return a; }
static inline FbV fb_v_unordered(FbV a) { return a; }
static inline FbVb fb_vb_codes_unordered(FbV a, FbVi zero) { return fb_vb_codes(a, zero); }

/* The fixed tree: lane i + lane i + 8, then + 4, + 2, + 1. */
static inline float fb_v_highest(FbV a)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.q0, a.q2), vmaxq_f32(a.q1, a.q3)));
}
static inline float fb_v_sum(FbV a)
{
    const float32x4_t four = vaddq_f32(vaddq_f32(a.q0, a.q2), vaddq_f32(a.q1, a.q3));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#undef FB_QUARTERS_1
#undef FB_QUARTERS_2
#undef FB_QUARTERS_3
#endif
