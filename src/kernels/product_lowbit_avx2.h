/* What the AVX2 files of the low-bit product share. A register of weights has four bytes of each of eight columns; four bytes of A go to
 * all lanes. Products of unsigned codes and signed ones are added in pairs of 16 bits; what may be added there without overflow follows from
 * the largest code: pairs of codes up to 15 take eight additions (8 * 2 * 15 * 127 < 2^15), up to 31 four, up to 63 two. */
#ifndef FB_KERNELS_PRODUCT_LOWBIT_AVX2_H
#define FB_KERNELS_PRODUCT_LOWBIT_AVX2_H

#include "kernels/simd_avx2.h"

#include "kernels/product_lowbit.h"

void fb_lowbit_f16_avx2(const FbProductLowbit *product);
void fb_lowbit_bf16_avx2(const FbProductLowbit *product);
void fb_lowbit_q4_0_avx2(const FbProductLowbit *product);
void fb_lowbit_q4_1_avx2(const FbProductLowbit *product);
void fb_lowbit_q5_0_avx2(const FbProductLowbit *product);
void fb_lowbit_q5_1_avx2(const FbProductLowbit *product);
void fb_lowbit_q8_0_avx2(const FbProductLowbit *product);
void fb_lowbit_iq4_nl_avx2(const FbProductLowbit *product);
void fb_lowbit_mxfp4_avx2(const FbProductLowbit *product);
void fb_lowbit_q2_k_avx2(const FbProductLowbit *product);
void fb_lowbit_q3_k_avx2(const FbProductLowbit *product);
void fb_lowbit_q4_k_avx2(const FbProductLowbit *product);
void fb_lowbit_q5_k_avx2(const FbProductLowbit *product);
void fb_lowbit_q6_k_avx2(const FbProductLowbit *product);

#define FB_INLINE static inline __attribute__((always_inline))

FB_INLINE __m256i lowbit_load(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }
FB_INLINE __m256 lowbit_halves(const void *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
FB_INLINE __m256i lowbit_four(const void *at) /* four bytes of A, or two sums, to all lanes */
{
    int32_t four;
    memcpy(&four, at, sizeof four);
    return _mm256_set1_epi32(four);
}
FB_INLINE __m256i lowbit_pairs(__m256i w, const int8_t *a) { return _mm256_maddubs_epi16(w, lowbit_four(a)); }

/* 32 codes up to 15 in w[0..8) with 32 codes of A. */
FB_INLINE __m256i lowbit_pairs_u4(const __m256i *w, const int8_t *a)
{
    const __m256i low = _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4)),
                                         _mm256_add_epi16(lowbit_pairs(w[2], a + 8), lowbit_pairs(w[3], a + 12)));
    const __m256i high = _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[4], a + 16), lowbit_pairs(w[5], a + 20)),
                                          _mm256_add_epi16(lowbit_pairs(w[6], a + 24), lowbit_pairs(w[7], a + 28)));
    return _mm256_add_epi16(low, high);
}
/* 16 codes up to 31. */
FB_INLINE __m256i lowbit_pairs_u5(const __m256i *w, const int8_t *a)
{
    return _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4)),
                            _mm256_add_epi16(lowbit_pairs(w[2], a + 8), lowbit_pairs(w[3], a + 12)));
}
/* 8 codes up to 63. */
FB_INLINE __m256i lowbit_pairs_u6(const __m256i *w, const int8_t *a)
{
    return _mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4));
}

/* Kernels: all rows of a call against one panel, the number of rows known to the compiler. `A` is the type of a group of A.
 * name_rows(w, a0, a1, a2, a3, blocks, sums, rows) is defined by the file. */
#define LOWBIT_KERNEL(name, A, bytes)                                                                                       \
    FB_INLINE void name##_panels(const FbProductLowbit *p, const size_t rows)                                               \
    {                                                                                                                       \
        const A *a[FB_LOWBIT_ROWS];                                                                                         \
        for (size_t r = 0; r < FB_LOWBIT_ROWS; r++) {                                                                       \
            a[r] = (const A *)(const void *)((const char *)p->a + (r < rows ? r : 0) * p->a_stride);                        \
        }                                                                                                                   \
        for (size_t panel = 0; panel < p->panels; panel++) {                                                                \
            name##_rows(p->w + panel * p->blocks * (bytes) * FB_LOWBIT_COLS, a[0], a[1], a[2], a[3], p->blocks,             \
                        p->c + panel * FB_LOWBIT_COLS, p->c_stride, rows);                                                  \
        }                                                                                                                   \
    }                                                                                                                       \
    void fb_lowbit_##name##_avx2(const FbProductLowbit *p)                                                                  \
    {                                                                                                                       \
        switch (p->rows) {                                                                                                  \
        case 1: name##_panels(p, 1); break;                                                                                 \
        case 2: name##_panels(p, 2); break;                                                                                 \
        case 3: name##_panels(p, 3); break;                                                                                 \
        default: name##_panels(p, 4); break;                                                                                \
        }                                                                                                                   \
    }

#define LOWBIT_STORE                                    \
    _mm256_storeu_ps(c, s0);                            \
    if (rows > 1) {                                     \
        _mm256_storeu_ps(c + c_stride, s1);             \
    }                                                   \
    if (rows > 2) {                                     \
        _mm256_storeu_ps(c + 2 * c_stride, s2);         \
    }                                                   \
    if (rows > 3) {                                     \
        _mm256_storeu_ps(c + 3 * c_stride, s3);         \
    }

#endif
