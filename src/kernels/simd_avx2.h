/* simd_scalar.h's sixteen lanes as two AVX2 registers. */
#ifndef FB_KERNELS_SIMD_AVX2_H
#define FB_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/context.h"

#define FB_ISA(name) name##_avx2
#define FB_ISA_NAME "avx2"
#define FB_ISA_NEEDS FB_CPU_AVX2

enum { FB_LANES = 16 };

typedef struct FbV { __m256 lo, hi; } FbV;
typedef struct FbVi { __m256i lo, hi; } FbVi;
typedef struct FbVm { __m256 lo, hi; } FbVm;

typedef struct FbVp { __m256i lo, hi; } FbVp; /* pairs of lanes 0-3, 8-11 and 4-7, 12-15 */

#include "kernels/simd_bytes_x86.h"

/* Sixteen ones, then sixteen zeros: the mask for n lanes starts 16 - n elements in. */
static const int32_t fb_mask_window_avx2[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
static inline __m256i fb_mask_lo(size_t n) { return _mm256_loadu_si256((const __m256i *)(const void *)(fb_mask_window_avx2 + 16 - n)); }
static inline __m256i fb_mask_hi(size_t n) { return _mm256_loadu_si256((const __m256i *)(const void *)(fb_mask_window_avx2 + 24 - n)); }

static inline FbV fb_v_load(const float *p) { return (FbV){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline FbV fb_v_load_half(const uint16_t *p)
{
    return (FbV){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)))};
}
static inline void fb_v_store(float *p, FbV a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline FbV fb_v_load_n(const float *p, size_t n)
{
    return n > 8 ? (FbV){_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, fb_mask_hi(n))}
                 : (FbV){_mm256_maskload_ps(p, fb_mask_lo(n)), _mm256_setzero_ps()};
}
static inline void fb_v_store_n(float *p, FbV a, size_t n)
{
    if (n > 8) {
        _mm256_storeu_ps(p, a.lo);
        _mm256_maskstore_ps(p + 8, fb_mask_hi(n), a.hi);
    } else {
        _mm256_maskstore_ps(p, fb_mask_lo(n), a.lo);
    }
}
static inline FbV fb_v_set(float value) { return (FbV){_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
static inline FbV fb_v_add(FbV a, FbV b) { return (FbV){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline FbV fb_v_sub(FbV a, FbV b) { return (FbV){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline FbV fb_v_mul(FbV a, FbV b) { return (FbV){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline FbV fb_v_div(FbV a, FbV b) { return (FbV){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static inline FbV fb_v_fma(FbV a, FbV b, FbV c) { return (FbV){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
static inline FbV fb_v_sqrt(FbV a) { return (FbV){_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
static inline FbV fb_v_min(FbV a, FbV b) { return (FbV){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
static inline FbV fb_v_max(FbV a, FbV b) { return (FbV){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }

static inline FbVm fb_v_lt(FbV a, FbV b) { return (FbVm){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)}; }
static inline FbVm fb_v_le(FbV a, FbV b) { return (FbVm){_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ)}; }
static inline FbV fb_v_select(FbVm mask, FbV yes, FbV no)
{
    return (FbV){_mm256_blendv_ps(no.lo, yes.lo, mask.lo), _mm256_blendv_ps(no.hi, yes.hi, mask.hi)};
}
static inline size_t fb_vm_count(FbVm mask, size_t n)
{
    unsigned bits = (unsigned)_mm256_movemask_ps(mask.lo) | (unsigned)_mm256_movemask_ps(mask.hi) << 8;
    return (size_t)_mm_popcnt_u32(bits & (unsigned)((1u << n) - 1));
}

static inline FbVi fb_v_bits(FbV a) { return (FbVi){_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
static inline FbV fb_v_from_bits(FbVi a) { return (FbV){_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
static inline FbVi fb_vi_set(int32_t value) { return (FbVi){_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
static inline FbVi fb_vi_add(FbVi a, FbVi b) { return (FbVi){_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
static inline FbVi fb_vi_sub(FbVi a, FbVi b) { return (FbVi){_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
static inline FbVi fb_vi_mul(FbVi a, FbVi b) { return (FbVi){_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)}; }
static inline FbVi fb_vi_and(FbVi a, FbVi b) { return (FbVi){_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
static inline FbVi fb_vi_or(FbVi a, FbVi b) { return (FbVi){_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
static inline FbVi fb_vi_shl23(FbVi a) { return (FbVi){_mm256_slli_epi32(a.lo, 23), _mm256_slli_epi32(a.hi, 23)}; }
static inline FbVi fb_vi_shr23(FbVi a) { return (FbVi){_mm256_srli_epi32(a.lo, 23), _mm256_srli_epi32(a.hi, 23)}; }
static inline FbVi fb_vi_sra1(FbVi a) { return (FbVi){_mm256_srai_epi32(a.lo, 1), _mm256_srai_epi32(a.hi, 1)}; }
static inline FbV fb_v_from_int(FbVi a) { return (FbV){_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
static inline void fb_vi_store(int32_t *p, FbVi a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(void *)(p + 8), a.hi);
}
static inline FbVi fb_vi_load(const int32_t *p)
{
    return (FbVi){_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_loadu_si256((const __m256i *)(const void *)(p + 8))};
}
static inline FbVi fb_vi_load_n(const int32_t *p, size_t n)
{
    return n > 8 ? (FbVi){_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_maskload_epi32(p + 8, fb_mask_hi(n))}
                 : (FbVi){_mm256_maskload_epi32(p, fb_mask_lo(n)), _mm256_setzero_si256()};
}
static inline void fb_vi_store_n(int32_t *p, FbVi a, size_t n)
{
    if (n > 8) {
        _mm256_storeu_si256((__m256i *)(void *)p, a.lo);
        _mm256_maskstore_epi32(p + 8, fb_mask_hi(n), a.hi);
    } else {
        _mm256_maskstore_epi32(p, fb_mask_lo(n), a.lo);
    }
}
static inline FbV fb_v_round(FbV a)
{
    return (FbV){_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline FbVi fb_v_to_int(FbV a) { return (FbVi){_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }

static inline FbVi fb_vi_from_bytes(FbVb a) { return (FbVi){_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8))}; }
static inline FbVi fb_vi_load_bytes(const uint8_t *p)
{
    return (FbVi){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)),
                  _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 8)))};
}
static inline FbVb fb_vb_codes(FbV a, FbVi zero)
{
    const __m256 top = _mm256_set1_ps(65536.0f); /* what does not fit would become INT32_MIN; NaN stays and does */
    const __m256i lo = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_min_ps(top, a.lo)), zero.lo);
    const __m256i hi = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_min_ps(top, a.hi)), zero.hi);
    const __m256i both = _mm256_packs_epi32(lo, hi); /* per half: four of lo, four of hi */
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return _mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0));
}

static inline FbVp fb_vp_interleave(__m256i a, __m256i b) { return (FbVp){_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)}; }
static inline FbVp fb_vp_codes(const uint8_t *x0, const uint8_t *x1)
{
    return fb_vp_interleave(_mm256_cvtepu8_epi16(fb_vb_load(x0)), _mm256_cvtepu8_epi16(fb_vb_load(x1)));
}
static inline FbVp fb_vp_weights(const int16_t *w0, const int16_t *w1, size_t n)
{
    int16_t a[16] = {0}, b[16] = {0};
    if (n == 16) {
        const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)w0);
        return fb_vp_interleave(first, w1 ? _mm256_loadu_si256((const __m256i *)(const void *)w1) : _mm256_setzero_si256());
    }
    memcpy(a, w0, n * sizeof *a);
    if (w1) {
        memcpy(b, w1, n * sizeof *b);
    }
    return fb_vp_interleave(_mm256_loadu_si256((const __m256i *)(const void *)a), _mm256_loadu_si256((const __m256i *)(const void *)b));
}
static inline FbVp fb_vp_load(const int16_t *p)
{
    return (FbVp){_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_loadu_si256((const __m256i *)(const void *)(p + 16))};
}
static inline void fb_vp_store(int16_t *p, FbVp a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(void *)(p + 16), a.hi);
}
static inline FbVi fb_vi_dot2(FbVi sum, FbVp x, FbVp w)
{
    return (FbVi){_mm256_add_epi32(sum.lo, _mm256_madd_epi16(x.lo, w.lo)), _mm256_add_epi32(sum.hi, _mm256_madd_epi16(x.hi, w.hi))};
}
static inline FbVi fb_vi_ordered(FbVi sum)
{
    return (FbVi){_mm256_permute2x128_si256(sum.lo, sum.hi, 0x20), _mm256_permute2x128_si256(sum.lo, sum.hi, 0x31)};
}

static inline FbVi fb_vi_unordered(FbVi a) { return fb_vi_ordered(a); } /* the same exchange of the two middle quarters */
static inline FbV fb_v_unordered(FbV a)
{
    return (FbV){_mm256_permute2f128_ps(a.lo, a.hi, 0x20), _mm256_permute2f128_ps(a.lo, a.hi, 0x31)};
}
static inline FbVb fb_vb_codes_unordered(FbV a, FbVi zero) /* packing puts them in order */
{
    const __m256 top = _mm256_set1_ps(65536.0f);
    const __m256i lo = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_min_ps(top, a.lo)), zero.lo);
    const __m256i hi = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_min_ps(top, a.hi)), zero.hi);
    const __m256i both = _mm256_packs_epi32(lo, hi);
    return _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
}

static inline float fb_v_highest(FbV a)
{
    __m256 eight = _mm256_max_ps(a.lo, a.hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
static inline float fb_v_sum(FbV a)
{
    __m256 eight = _mm256_add_ps(a.lo, a.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#endif
