/* simd_scalar.h's sixteen lanes as one AVX-512 register. */
#ifndef FB_KERNELS_SIMD_AVX512_H
#define FB_KERNELS_SIMD_AVX512_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/context.h"
#include "kernels/intrinsics_avx512.h"

#define FB_ISA(name) name##_avx512
#define FB_ISA_NAME "avx512"
#define FB_ISA_NEEDS FB_CPU_AVX512

enum { FB_LANES = 16 };

typedef __m512 FbV;
typedef __m512i FbVi;
typedef __mmask16 FbVm;

typedef __m512i FbVp;

#include "kernels/simd_bytes_x86.h"

static inline __mmask16 fb_mask_first(size_t n) { return (__mmask16)((1u << n) - 1); }

static inline FbV fb_v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline FbV fb_v_load_half(const uint16_t *p)
{
    const __m256 low = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m256 high = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
static inline void fb_v_store(float *p, FbV a) { _mm512_storeu_ps(p, a); }
static inline FbV fb_v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(fb_mask_first(n), p); }
static inline void fb_v_store_n(float *p, FbV a, size_t n) { _mm512_mask_storeu_ps(p, fb_mask_first(n), a); }
static inline FbV fb_v_set(float value) { return _mm512_set1_ps(value); }
static inline FbV fb_v_add(FbV a, FbV b) { return _mm512_add_ps(a, b); }
static inline FbV fb_v_sub(FbV a, FbV b) { return _mm512_sub_ps(a, b); }
static inline FbV fb_v_mul(FbV a, FbV b) { return _mm512_mul_ps(a, b); }
static inline FbV fb_v_div(FbV a, FbV b) { return _mm512_div_ps(a, b); }
static inline FbV fb_v_fma(FbV a, FbV b, FbV c) { return _mm512_fmadd_ps(a, b, c); }
static inline FbV fb_v_sqrt(FbV a) { return _mm512_sqrt_ps(a); }
static inline FbV fb_v_min(FbV a, FbV b) { return _mm512_min_ps(a, b); }
static inline FbV fb_v_max(FbV a, FbV b) { return _mm512_max_ps(a, b); }

static inline FbVm fb_v_lt(FbV a, FbV b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline FbVm fb_v_le(FbV a, FbV b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline FbV fb_v_select(FbVm mask, FbV yes, FbV no) { return _mm512_mask_blend_ps(mask, no, yes); }
static inline size_t fb_vm_count(FbVm mask, size_t n) { return (size_t)_mm_popcnt_u32((unsigned)mask & (unsigned)fb_mask_first(n)); }

static inline FbVi fb_v_bits(FbV a) { return _mm512_castps_si512(a); }
static inline FbV fb_v_from_bits(FbVi a) { return _mm512_castsi512_ps(a); }
static inline FbVi fb_vi_set(int32_t value) { return _mm512_set1_epi32(value); }
static inline FbVi fb_vi_add(FbVi a, FbVi b) { return _mm512_add_epi32(a, b); }
static inline FbVi fb_vi_sub(FbVi a, FbVi b) { return _mm512_sub_epi32(a, b); }
static inline FbVi fb_vi_mul(FbVi a, FbVi b) { return _mm512_mullo_epi32(a, b); }
static inline FbVi fb_vi_and(FbVi a, FbVi b) { return _mm512_and_si512(a, b); }
static inline FbVi fb_vi_or(FbVi a, FbVi b) { return _mm512_or_si512(a, b); }
static inline FbVi fb_vi_shl23(FbVi a) { return _mm512_slli_epi32(a, 23); }
static inline FbVi fb_vi_shr23(FbVi a) { return _mm512_srli_epi32(a, 23); }
static inline FbVi fb_vi_sra1(FbVi a) { return _mm512_srai_epi32(a, 1); }
static inline FbV fb_v_from_int(FbVi a) { return _mm512_cvtepi32_ps(a); }
static inline void fb_vi_store(int32_t *p, FbVi a) { _mm512_storeu_si512(p, a); }
static inline FbVi fb_vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline FbVi fb_vi_load_n(const int32_t *p, size_t n) { return _mm512_castps_si512(_mm512_maskz_loadu_ps(fb_mask_first(n), (const float *)(const void *)p)); }
static inline void fb_vi_store_n(int32_t *p, FbVi a, size_t n) { _mm512_mask_storeu_ps((float *)(void *)p, fb_mask_first(n), _mm512_castsi512_ps(a)); }
static inline FbV fb_v_round(FbV a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline FbVi fb_v_to_int(FbV a) { return _mm512_cvtps_epi32(a); }

static inline FbVi fb_vi_from_bytes(FbVb a) { return _mm512_cvtepu8_epi32(a); }
static inline FbVi fb_vi_load_bytes(const uint8_t *p) { return fb_vi_from_bytes(fb_vb_load(p)); }
static inline FbVb fb_vb_codes(FbV a, FbVi zero)
{
    const FbVi code = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(65536.0f), a)), zero); /* NaN: INT32_MIN */
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(code, _mm512_setzero_si512()));
}

static inline FbVp fb_vp_codes(const uint8_t *x0, const uint8_t *x1)
{
    return _mm512_or_si512(fb_vi_load_bytes(x0), _mm512_slli_epi32(fb_vi_load_bytes(x1), 16));
}
static inline FbVp fb_vp_load(const int16_t *p) { return _mm512_loadu_si512(p); }
static inline void fb_vp_store(int16_t *p, FbVp a) { _mm512_storeu_si512(p, a); }
static inline FbVp fb_vp_weights(const int16_t *w0, const int16_t *w1, size_t n)
{
    int16_t pairs[32] = {0};
    for (size_t lane = 0; lane < n; lane++) {
        pairs[2 * lane] = w0[lane];
        pairs[2 * lane + 1] = w1 ? w1[lane] : 0;
    }
    return fb_vp_load(pairs);
}
static inline FbVi fb_vi_dot2(FbVi sum, FbVp x, FbVp w) { return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w)); }
static inline FbVi fb_vi_ordered(FbVi sum) { return sum; }

static inline FbVi fb_vi_unordered(FbVi a) { return a; }
static inline FbV fb_v_unordered(FbV a) { return a; }
static inline FbVb fb_vb_codes_unordered(FbV a, FbVi zero) { return fb_vb_codes(a, zero); }

static inline float fb_v_highest(FbV a)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
static inline float fb_v_sum(FbV a)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#endif
