/* AVX-512 intrinsics by SIMDe over AVX2 and FMA, so that the AVX-512 rows are tested on machines without them. Stands in for the header of
 * the same name in src; adds the intrinsics that SIMDe 0.7.4 lacks. */
#ifndef FB_TESTS_EMULATED_INTRINSICS_AVX512_H
#define FB_TESTS_EMULATED_INTRINSICS_AVX512_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#include <stdint.h>
#include <string.h>

static inline __m512 emulated_maskz_loadu_ps(__mmask16 mask, const float *p)
{
    float lanes[16] = {0};
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1) {
            lanes[i] = p[i];
        }
    }
    return _mm512_loadu_ps(lanes);
}
static inline void emulated_mask_storeu_ps(float *p, __mmask16 mask, __m512 a)
{
    float lanes[16];
    _mm512_storeu_ps(lanes, a);
    for (int i = 0; i < 16; i++) {
        if (mask >> i & 1) {
            p[i] = lanes[i];
        }
    }
}
static inline __m512i emulated_cvtps_epi32(__m512 a)
{
    float lanes[16];
    int32_t ints[16];
    _mm512_storeu_ps(lanes, a);
    for (int i = 0; i < 16; i++) {
        ints[i] = lanes[i] >= -2147483648.0f && lanes[i] < 2147483648.0f ? (int32_t)nearbyintf(lanes[i]) : INT32_MIN;
    }
    return _mm512_loadu_si512(ints);
}
static inline __m512 emulated_cvtepi32_ps(__m512i a)
{
    float lanes[16];
    int32_t ints[16];
    _mm512_storeu_si512(ints, a);
    for (int i = 0; i < 16; i++) {
        lanes[i] = (float)ints[i];
    }
    return _mm512_loadu_ps(lanes);
}
static inline __m512i emulated_srai_epi32(__m512i a, unsigned shift)
{
    int32_t ints[16];
    _mm512_storeu_si512(ints, a);
    for (int i = 0; i < 16; i++) {
        ints[i] = (int32_t)((int64_t)ints[i] >> shift);
    }
    return _mm512_loadu_si512(ints);
}
static inline __m512i emulated_cvtepu8_epi32(__m128i a)
{
    uint8_t bytes[16];
    int32_t ints[16];
    _mm_storeu_si128((__m128i *)(void *)bytes, a);
    for (int i = 0; i < 16; i++) {
        ints[i] = bytes[i];
    }
    return _mm512_loadu_si512(ints);
}
static inline __m128i emulated_cvtusepi32_epi8(__m512i a)
{
    uint32_t ints[16];
    uint8_t bytes[16];
    _mm512_storeu_si512(ints, a);
    for (int i = 0; i < 16; i++) {
        bytes[i] = (uint8_t)(ints[i] > 255 ? 255 : ints[i]);
    }
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}
#undef _mm512_madd_epi16 /* SIMDe's own name for it takes four arguments */
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtusepi32_epi8 emulated_cvtusepi32_epi8
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_srai_epi32 emulated_srai_epi32

#endif
