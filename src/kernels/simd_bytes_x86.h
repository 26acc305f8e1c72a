/* Sixteen codes in an SSE register: the part of simd_scalar.h's byte lanes that the x86 instruction sets share. */
#ifndef FB_KERNELS_SIMD_BYTES_X86_H
#define FB_KERNELS_SIMD_BYTES_X86_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m128i FbVb;

static inline FbVb fb_vb_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline void fb_vb_store(uint8_t *p, FbVb a) { _mm_storeu_si128((__m128i *)(void *)p, a); }
static inline FbVb fb_vb_load_n(const uint8_t *p, size_t n)
{
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, n);
    return fb_vb_load(bytes);
}
static inline void fb_vb_store_n(uint8_t *p, FbVb a, size_t n)
{
    uint8_t bytes[16];
    fb_vb_store(bytes, a);
    memcpy(p, bytes, n);
}
static inline FbVb fb_vb_set(uint8_t value) { return _mm_set1_epi8((char)value); }
static inline FbVb fb_vb_min(FbVb a, FbVb b) { return _mm_min_epu8(a, b); }
static inline FbVb fb_vb_max(FbVb a, FbVb b) { return _mm_max_epu8(a, b); }
static inline FbVb fb_vb_zip_low(FbVb a, FbVb b) { return _mm_unpacklo_epi8(a, b); }
static inline FbVb fb_vb_zip_high(FbVb a, FbVb b) { return _mm_unpackhi_epi8(a, b); }

/* Sixteen tables of sixteen entries, looked up by the low four bits; the right one is chosen by the bits above, from bit 4 to bit 7, each of
 * which is shifted to the top of its byte for the blend. */
static inline __m256i fb_vb_table(const uint8_t table[256], int part, __m256i index)
{
    const __m128i entries = _mm_loadu_si128((const __m128i *)(const void *)(table + 16 * part));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), index);
}
static inline __m256i fb_vb_lookup(const uint8_t table[256], __m256i x)
{
    const __m256i index = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const __m256i bit4 = _mm256_slli_epi16(x, 3), bit5 = _mm256_slli_epi16(x, 2), bit6 = _mm256_slli_epi16(x, 1);
    __m256i quarter[4];
    for (int i = 0; i < 4; i++) {
        const __m256i first = _mm256_blendv_epi8(fb_vb_table(table, 4 * i, index), fb_vb_table(table, 4 * i + 1, index), bit4);
        const __m256i second = _mm256_blendv_epi8(fb_vb_table(table, 4 * i + 2, index), fb_vb_table(table, 4 * i + 3, index), bit4);
        quarter[i] = _mm256_blendv_epi8(first, second, bit5);
    }
    return _mm256_blendv_epi8(_mm256_blendv_epi8(quarter[0], quarter[1], bit6), _mm256_blendv_epi8(quarter[2], quarter[3], bit6), x);
}
static inline void fb_vb_map(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256])
{
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const __m256i codes = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        _mm256_storeu_si256((__m256i *)(void *)(y + i), fb_vb_lookup(table, codes));
    }
    for (; i < count; i++) {
        y[i] = table[x[i]];
    }
}

/* Sixteen codes from each of two places. */
static inline void fb_vb_map_pair(const uint8_t *x0, uint8_t *y0, const uint8_t *x1, uint8_t *y1, const uint8_t table[256])
{
    const __m256i found = fb_vb_lookup(table, _mm256_inserti128_si256(_mm256_castsi128_si256(fb_vb_load(x0)), fb_vb_load(x1), 1));
    fb_vb_store(y0, _mm256_castsi256_si128(found));
    fb_vb_store(y1, _mm256_extracti128_si256(found, 1));
}

/* Eight codes at a time from one load; written out so that no compiler makes gathers of it, which are slower. */
static inline void fb_v_map(const uint8_t *x, float *y, size_t count, const float table[256])
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t codes;
        memcpy(&codes, x + i, sizeof codes);
        const __m128 low = _mm_setr_ps(table[codes & 255], table[codes >> 8 & 255], table[codes >> 16 & 255], table[codes >> 24 & 255]);
        const __m128 high = _mm_setr_ps(table[codes >> 32 & 255], table[codes >> 40 & 255], table[codes >> 48 & 255], table[codes >> 56]);
        _mm_storeu_ps(y + i, low);
        _mm_storeu_ps(y + i + 4, high);
    }
    for (; i < count; i++) {
        y[i] = table[x[i]];
    }
}

#endif
