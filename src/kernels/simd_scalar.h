/* Sixteen float lanes in plain C: the definition that simd_avx2.h and simd_avx512.h repeat with intrinsics. The *_body.h files are written
 * in these operations only and compiled once per instruction set, so that all rows give the same bits. */
#ifndef FB_KERNELS_SIMD_SCALAR_H
#define FB_KERNELS_SIMD_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/context.h"

#define FB_ISA(name) name##_scalar
#define FB_ISA_NAME "scalar"
#define FB_ISA_NEEDS FB_CPU_SCALAR

enum { FB_LANES = 16 };

typedef struct FbV { float x[16]; } FbV;
typedef struct FbVi { int32_t x[16]; } FbVi;
typedef struct FbVm { uint32_t x[16]; } FbVm; /* all ones or all zeros per lane */
typedef struct FbVb { uint8_t x[16]; } FbVb; /* sixteen codes */
typedef struct FbVp { int16_t x[32]; } FbVp; /* sixteen pairs of 16-bit numbers */

/* Calls, not inlined: sixteen checked lanes of every operation in every function made sanitizer builds of the scalar rows take minutes. */
#define FB_LANE_OP static __attribute__((noinline, unused))
#define FB_EACH(expression)               \
    for (int lane = 0; lane < 16; lane++) \
        r.x[lane] = (expression);         \
    return r

FB_LANE_OP FbV fb_v_load(const float *p) { FbV r; memcpy(r.x, p, sizeof r.x); return r; }
FB_LANE_OP void fb_v_store(float *p, FbV a) { memcpy(p, a.x, sizeof a.x); }
/* n in [0, 16]: lanes from n on are zero, or not written. */
FB_LANE_OP FbV fb_v_load_n(const float *p, size_t n)
{
    FbV r = {{0}};
    for (size_t lane = 0; lane < n; lane++) {
        r.x[lane] = p[lane];
    }
    return r;
}
FB_LANE_OP void fb_v_store_n(float *p, FbV a, size_t n)
{
    for (size_t lane = 0; lane < n; lane++) {
        p[lane] = a.x[lane];
    }
}
/* Sixteen halves, exact. The bits of a half moved to a float's places are 2^-112 times its value; infinity and NaN get the rest of their
 * exponent. */
static inline float fb_half_scalar(uint16_t half)
{
    const uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float size;
    uint32_t whole;
    memcpy(&size, &bits, sizeof size);
    size *= 0x1p112f;
    memcpy(&whole, &size, sizeof whole);
    whole |= (uint32_t)(half & 0x8000) << 16 | ((half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0u);
    memcpy(&size, &whole, sizeof size);
    return size;
}
FB_LANE_OP FbV fb_v_load_half(const uint16_t *p) { FbV r; FB_EACH(fb_half_scalar(p[lane])); }
FB_LANE_OP FbV fb_v_set(float value) { FbV r; FB_EACH(value); }
FB_LANE_OP FbV fb_v_add(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] + b.x[lane]); }
FB_LANE_OP FbV fb_v_sub(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] - b.x[lane]); }
FB_LANE_OP FbV fb_v_mul(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] * b.x[lane]); }
FB_LANE_OP FbV fb_v_div(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] / b.x[lane]); }
FB_LANE_OP FbV fb_v_fma(FbV a, FbV b, FbV c) { FbV r; FB_EACH(fmaf(a.x[lane], b.x[lane], c.x[lane])); }
FB_LANE_OP FbV fb_v_sqrt(FbV a) { FbV r; FB_EACH(sqrtf(a.x[lane])); }
/* The second operand when either is NaN or both are zero, as x86 has it. */
FB_LANE_OP FbV fb_v_min(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] < b.x[lane] ? a.x[lane] : b.x[lane]); }
FB_LANE_OP FbV fb_v_max(FbV a, FbV b) { FbV r; FB_EACH(a.x[lane] > b.x[lane] ? a.x[lane] : b.x[lane]); }

FB_LANE_OP FbVm fb_v_lt(FbV a, FbV b) { FbVm r; FB_EACH(a.x[lane] < b.x[lane] ? UINT32_MAX : 0); }
FB_LANE_OP FbVm fb_v_le(FbV a, FbV b) { FbVm r; FB_EACH(a.x[lane] <= b.x[lane] ? UINT32_MAX : 0); }
FB_LANE_OP FbV fb_v_select(FbVm mask, FbV yes, FbV no) { FbV r; FB_EACH(mask.x[lane] ? yes.x[lane] : no.x[lane]); }
FB_LANE_OP size_t fb_vm_count(FbVm mask, size_t n) /* lanes set among the first n */
{
    size_t count = 0;
    for (size_t lane = 0; lane < n; lane++) {
        count += mask.x[lane] != 0;
    }
    return count;
}

FB_LANE_OP FbVi fb_v_bits(FbV a) { FbVi r; memcpy(r.x, a.x, sizeof r.x); return r; }
FB_LANE_OP FbV fb_v_from_bits(FbVi a) { FbV r; memcpy(r.x, a.x, sizeof r.x); return r; }
FB_LANE_OP FbVi fb_vi_set(int32_t value) { FbVi r; FB_EACH(value); }
FB_LANE_OP FbVi fb_vi_add(FbVi a, FbVi b) { FbVi r; FB_EACH((int32_t)((uint32_t)a.x[lane] + (uint32_t)b.x[lane])); }
FB_LANE_OP FbVi fb_vi_sub(FbVi a, FbVi b) { FbVi r; FB_EACH((int32_t)((uint32_t)a.x[lane] - (uint32_t)b.x[lane])); }
FB_LANE_OP FbVi fb_vi_mul(FbVi a, FbVi b) { FbVi r; FB_EACH((int32_t)((uint32_t)a.x[lane] * (uint32_t)b.x[lane])); } /* modulo 2^32 */
FB_LANE_OP FbVi fb_vi_and(FbVi a, FbVi b) { FbVi r; FB_EACH(a.x[lane] & b.x[lane]); }
FB_LANE_OP FbVi fb_vi_or(FbVi a, FbVi b) { FbVi r; FB_EACH(a.x[lane] | b.x[lane]); }
FB_LANE_OP FbVi fb_vi_shl23(FbVi a) { FbVi r; FB_EACH((int32_t)((uint32_t)a.x[lane] << 23)); }
FB_LANE_OP FbVi fb_vi_shr23(FbVi a) { FbVi r; FB_EACH((int32_t)((uint32_t)a.x[lane] >> 23)); } /* zeros come in */
FB_LANE_OP FbVi fb_vi_sra1(FbVi a) { FbVi r; FB_EACH((int32_t)(((uint32_t)a.x[lane] >> 1) | ((uint32_t)a.x[lane] & 0x80000000u))); }
FB_LANE_OP FbV fb_v_from_int(FbVi a) { FbV r; FB_EACH((float)a.x[lane]); }
FB_LANE_OP void fb_vi_store(int32_t *p, FbVi a) { memcpy(p, a.x, sizeof a.x); }
FB_LANE_OP FbVi fb_vi_load(const int32_t *p) { FbVi r; memcpy(r.x, p, sizeof r.x); return r; }
FB_LANE_OP FbVi fb_vi_load_n(const int32_t *p, size_t n) /* n in [0, 16], as fb_v_load_n */
{
    FbVi r = {{0}};
    memcpy(r.x, p, n * sizeof *p);
    return r;
}
FB_LANE_OP void fb_vi_store_n(int32_t *p, FbVi a, size_t n) { memcpy(p, a.x, n * sizeof *p); }

static inline float fb_round_half_even_scalar(float x)
{
    float size = fabsf(x);
    float rounded = copysignf((size + 8388608.0f) - 8388608.0f, x); /* 2^23: no bits are left below one */
    return size < 8388608.0f ? rounded : x;
}
FB_LANE_OP FbV fb_v_round(FbV a) { FbV r; FB_EACH(fb_round_half_even_scalar(a.x[lane])); }
/* Nearest integer, ties to even; NaN and what does not fit give INT32_MIN. */
FB_LANE_OP FbVi fb_v_to_int(FbV a)
{
    FbVi r;
    FB_EACH(a.x[lane] >= -2147483648.0f && a.x[lane] < 2147483648.0f ? (int32_t)fb_round_half_even_scalar(a.x[lane]) : INT32_MIN);
}

FB_LANE_OP FbVb fb_vb_load(const uint8_t *p) { FbVb r; memcpy(r.x, p, sizeof r.x); return r; }
FB_LANE_OP void fb_vb_store(uint8_t *p, FbVb a) { memcpy(p, a.x, sizeof a.x); }
FB_LANE_OP FbVb fb_vb_load_n(const uint8_t *p, size_t n) /* n in [0, 16], as fb_v_load_n */
{
    FbVb r = {{0}};
    memcpy(r.x, p, n);
    return r;
}
FB_LANE_OP void fb_vb_store_n(uint8_t *p, FbVb a, size_t n) { memcpy(p, a.x, n); }
FB_LANE_OP FbVb fb_vb_set(uint8_t value) { FbVb r; FB_EACH(value); }
FB_LANE_OP FbVb fb_vb_min(FbVb a, FbVb b) { FbVb r; FB_EACH(a.x[lane] < b.x[lane] ? a.x[lane] : b.x[lane]); }
FB_LANE_OP FbVb fb_vb_max(FbVb a, FbVb b) { FbVb r; FB_EACH(a.x[lane] > b.x[lane] ? a.x[lane] : b.x[lane]); }
/* a[0] b[0] a[1] b[1] ...: the first halves, the second halves. */
FB_LANE_OP FbVb fb_vb_zip_low(FbVb a, FbVb b) { FbVb r; FB_EACH(lane % 2 ? b.x[lane / 2] : a.x[lane / 2]); }
FB_LANE_OP FbVb fb_vb_zip_high(FbVb a, FbVb b) { FbVb r; FB_EACH(lane % 2 ? b.x[8 + lane / 2] : a.x[8 + lane / 2]); }
FB_LANE_OP FbVi fb_vi_from_bytes(FbVb a) { FbVi r; FB_EACH(a.x[lane]); }
FB_LANE_OP FbVi fb_vi_load_bytes(const uint8_t *p) { FbVi r; FB_EACH(p[lane]); }
/* clamp(round_half_even(a) + zero, 0, 255), zero in [0, 255]; NaN gives 0. */
FB_LANE_OP FbVb fb_vb_codes(FbV a, FbVi zero)
{
    FbVb r;
    for (int lane = 0; lane < 16; lane++) {
        float code = fb_round_half_even_scalar(a.x[lane]) + (float)zero.x[lane];
        r.x[lane] = (uint8_t)(code > 0.0f ? code < 255.0f ? code : 255.0f : 0.0f);
    }
    return r;
}

/* y[i] = table[x[i]]; x and y may be the same. */
FB_LANE_OP void fb_vb_map(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256])
{
    for (size_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}
/* Sixteen codes from each of two places. */
FB_LANE_OP void fb_vb_map_pair(const uint8_t *x0, uint8_t *y0, const uint8_t *x1, uint8_t *y1, const uint8_t table[256])
{
    fb_vb_map(x0, y0, 16, table);
    fb_vb_map(x1, y1, 16, table);
}
FB_LANE_OP void fb_v_map(const uint8_t *x, float *y, size_t count, const float table[256])
{
    for (size_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

/* Pairs (x0[lane], x1[lane]) of codes; of weights, where lanes from n on are zero and w1 may be NULL: zeros. */
FB_LANE_OP FbVp fb_vp_codes(const uint8_t *x0, const uint8_t *x1)
{
    FbVp r;
    for (int lane = 0; lane < 16; lane++) {
        r.x[2 * lane] = x0[lane];
        r.x[2 * lane + 1] = x1[lane];
    }
    return r;
}
FB_LANE_OP FbVp fb_vp_weights(const int16_t *w0, const int16_t *w1, size_t n)
{
    FbVp r = {{0}};
    for (size_t lane = 0; lane < n; lane++) {
        r.x[2 * lane] = w0[lane];
        r.x[2 * lane + 1] = w1 ? w1[lane] : 0;
    }
    return r;
}
FB_LANE_OP FbVp fb_vp_load(const int16_t *p) { FbVp r; memcpy(r.x, p, sizeof r.x); return r; }
FB_LANE_OP void fb_vp_store(int16_t *p, FbVp a) { memcpy(p, a.x, sizeof a.x); }
/* sum + x[0] * w[0] + x[1] * w[1] of each pair, exact. The lanes of sums are in an order of the instruction set's own until fb_vi_ordered. */
FB_LANE_OP FbVi fb_vi_dot2(FbVi sum, FbVp x, FbVp w)
{
    FbVi r;
    FB_EACH(sum.x[lane] + (int32_t)x.x[2 * lane] * w.x[2 * lane] + (int32_t)x.x[2 * lane + 1] * w.x[2 * lane + 1]);
}
FB_LANE_OP FbVi fb_vi_ordered(FbVi sum) { return sum; }
/* Into that order; and codes (fb_vb_codes) out of it. */
FB_LANE_OP FbVi fb_vi_unordered(FbVi a) { return a; }
FB_LANE_OP FbV fb_v_unordered(FbV a) { return a; }
FB_LANE_OP FbVb fb_vb_codes_unordered(FbV a, FbVi zero) { return fb_vb_codes(a, zero); }

/* The largest lane of finite numbers; the sign of a zero is free. */
FB_LANE_OP float fb_v_highest(FbV a)
{
    float most = a.x[0];
    for (int lane = 1; lane < 16; lane++) {
        most = a.x[lane] > most ? a.x[lane] : most;
    }
    return most;
}

/* The fixed tree: lane i + lane i + 8, then + 4, + 2, + 1. */
FB_LANE_OP float fb_v_sum(FbV a)
{
    for (int half = 8; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            a.x[lane] = a.x[lane] + a.x[lane + half];
        }
    }
    return a.x[0];
}

#undef FB_EACH
#undef FB_LANE_OP
#endif
