/* The lanes of product_lowbit_dot.h for AVX-512 VNNI: a register has eight columns of one panel and eight of the next; behind the last of an
 * odd number of panels comes itself. Codes of weights are unsigned. */
#ifndef FB_KERNELS_DOT_LANES_AVX512_H
#define FB_KERNELS_DOT_LANES_AVX512_H

#include <string.h>

#include "kernels/intrinsics_avx512.h"
#include "kernels/product_lowbit.h"

#define DOT_NAME "avx512vnni"
#define DOT_NEEDS (FB_CPU_AVX2 | FB_CPU_AVX512 | FB_CPU_AVX512VNNI)
#define DOT_LOWER fb_product_lowbit_avx2

enum { DOT_PANELS = 2, DOT_SIGNED_ZERO = 128 };

typedef __m512i DotInts;
typedef __m512i DotPairs; /* two numbers of 16 bits in a lane */
typedef __m512 DotReals;
typedef struct DotPanel {
    const uint8_t *w;
    size_t gap; /* from a panel to the next, 0: there is none */
} DotPanel;

LOWBIT_INLINE __m128i dot_sixteen(const void *at) { return _mm_loadu_si128((const __m128i *)at); }
LOWBIT_INLINE __m256i dot_half(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)(const void *)at); }
LOWBIT_INLINE DotInts dot_both(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }
LOWBIT_INLINE DotReals dot_both_reals(__m256 low, __m256 high)
{
    return _mm512_castsi512_ps(dot_both(_mm256_castps_si256(low), _mm256_castps_si256(high)));
}
LOWBIT_INLINE DotInts dot_load(DotPanel p, size_t at) { return dot_both(dot_half(p.w + at), dot_half(p.w + at + p.gap)); }
LOWBIT_INLINE DotReals dot_halves(DotPanel p, size_t at)
{
    return dot_both_reals(_mm256_cvtph_ps(dot_sixteen(p.w + at)), _mm256_cvtph_ps(dot_sixteen(p.w + at + p.gap)));
}
LOWBIT_INLINE DotInts dot_shorts(DotPanel p, size_t at)
{
    return dot_both(_mm256_cvtepu16_epi32(dot_sixteen(p.w + at)), _mm256_cvtepu16_epi32(dot_sixteen(p.w + at + p.gap)));
}
LOWBIT_INLINE __m256i dot_eight_bytes(const uint8_t *at) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)at)); }
LOWBIT_INLINE DotInts dot_bytes(DotPanel p, size_t at) { return dot_both(dot_eight_bytes(p.w + at), dot_eight_bytes(p.w + at + p.gap)); }
LOWBIT_INLINE void dot_fetch(const uint8_t *w) { _mm_prefetch((const char *)w, _MM_HINT_T0); }
LOWBIT_INLINE DotReals dot_load_sums(const float *c, bool both)
{
    return both ? _mm512_loadu_ps(c) : _mm512_castps256_ps512(_mm256_loadu_ps(c));
}
LOWBIT_INLINE void dot_store_sums(float *c, DotReals x, bool both)
{
    if (both) {
        _mm512_storeu_ps(c, x);
    } else {
        _mm256_storeu_ps(c, _mm512_castps512_ps256(x));
    }
}

LOWBIT_INLINE DotInts dot_set(int32_t x) { return _mm512_set1_epi32(x); }
LOWBIT_INLINE DotInts dot_add(DotInts a, DotInts b) { return _mm512_add_epi32(a, b); }
LOWBIT_INLINE DotInts dot_sub(DotInts a, DotInts b) { return _mm512_sub_epi32(a, b); }
LOWBIT_INLINE DotInts dot_mul(DotInts a, DotInts b) { return _mm512_mullo_epi32(a, b); }
LOWBIT_INLINE DotInts dot_and(DotInts a, DotInts b) { return _mm512_and_si512(a, b); }
LOWBIT_INLINE DotInts dot_or(DotInts a, DotInts b) { return _mm512_or_si512(a, b); }
LOWBIT_INLINE DotInts dot_xor(DotInts a, DotInts b) { return _mm512_xor_si512(a, b); }
LOWBIT_INLINE DotInts dot_left(DotInts a, int count) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(count)); }
LOWBIT_INLINE DotInts dot_right(DotInts a, int count) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(count)); }

LOWBIT_INLINE DotInts dot_table(const int8_t *sixteen) { return _mm512_broadcast_i32x4(dot_sixteen(sixteen)); }
LOWBIT_INLINE DotInts dot_look_up(DotInts table, DotInts at) { return _mm512_shuffle_epi8(table, at); }
LOWBIT_INLINE DotInts dot_byte(DotInts x, int i)
{
    const __m128i lanes = _mm_setr_epi8(0, -128, -128, -128, 4, -128, -128, -128, 8, -128, -128, -128, 12, -128, -128, -128);
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_add_epi32(lanes, _mm_set1_epi32(i))));
}
LOWBIT_INLINE DotInts dot_signed_byte(DotInts x, int i) { return _mm512_srai_epi32(_mm512_sll_epi32(x, _mm_cvtsi32_si128(24 - 8 * i)), 24); }

LOWBIT_INLINE DotInts dot_four(DotInts sum, DotInts w, const int8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
}
LOWBIT_INLINE DotInts dot_16(DotInts sum, const DotInts *w, const int8_t *a)
{
    return dot_four(dot_four(dot_four(dot_four(sum, w[0], a), w[1], a + 4), w[2], a + 8), w[3], a + 12);
}
LOWBIT_INLINE DotPairs dot_pair(DotInts even, DotInts odd) { return dot_or(dot_and(even, dot_set(0xffff)), _mm512_slli_epi32(odd, 16)); }
LOWBIT_INLINE DotInts dot_pairs(DotInts sum, DotPairs w, const int16_t *a)
{
    int32_t two;
    memcpy(&two, a, sizeof two);
    return _mm512_dpwssd_epi32(sum, w, _mm512_set1_epi32(two));
}

LOWBIT_INLINE DotReals dot_real(float x) { return _mm512_set1_ps(x); }
LOWBIT_INLINE DotReals dot_to_reals(DotInts x) { return _mm512_cvtepi32_ps(x); }
LOWBIT_INLINE DotReals dot_as_reals(DotInts x) { return _mm512_castsi512_ps(x); }
LOWBIT_INLINE DotReals dot_times(DotReals a, DotReals b) { return _mm512_mul_ps(a, b); }
LOWBIT_INLINE DotReals dot_fma(DotReals a, DotReals b, DotReals c) { return _mm512_fmadd_ps(a, b, c); }
LOWBIT_INLINE DotReals dot_minus(DotReals a, DotReals b, DotReals c) { return _mm512_fnmadd_ps(a, b, c); }

#endif
