/* vpdpbusd and vpdpwssd on 256 bits, written out: four products u8 * s8, or two of s16, are added to each int32, which wraps. Stands in for
 * the header of the same name in src. */
#ifndef FB_TESTS_EMULATED_INTRINSICS_AVXVNNI_H
#define FB_TESTS_EMULATED_INTRINSICS_AVXVNNI_H

#include <immintrin.h>
#include <stdint.h>

static inline __m256i emulated_dpbusd(__m256i sum, __m256i a, __m256i b)
{
    uint32_t sums[8];
    uint8_t codes[32];
    int8_t weights[32];
    _mm256_storeu_si256((__m256i *)(void *)sums, sum);
    _mm256_storeu_si256((__m256i *)(void *)codes, a);
    _mm256_storeu_si256((__m256i *)(void *)weights, b);
    for (int i = 0; i < 32; i++) {
        sums[i / 4] += (uint32_t)(codes[i] * weights[i]);
    }
    return _mm256_loadu_si256((const __m256i *)(const void *)sums);
}
static inline __m256i emulated_dpwssd(__m256i sum, __m256i a, __m256i b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
#define _mm256_dpwssd_avx_epi32 emulated_dpwssd
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd

#endif
