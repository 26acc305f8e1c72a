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
void fb_lowbit_iq4_xs_avx2(const FbProductLowbit *product);
void fb_lowbit_tq2_0_avx2(const FbProductLowbit *product);

LOWBIT_INLINE __m256i lowbit_load(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }
LOWBIT_INLINE __m256 lowbit_halves(const void *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
LOWBIT_INLINE __m256i lowbit_four(const void *at) /* four bytes of A, or two sums, to all lanes */
{
    int32_t four;
    memcpy(&four, at, sizeof four);
    return _mm256_set1_epi32(four);
}
LOWBIT_INLINE __m256i lowbit_pairs(__m256i w, const int8_t *a) { return _mm256_maddubs_epi16(w, lowbit_four(a)); }

/* 32 codes up to 15 in w[0..8) with 32 codes of A. */
LOWBIT_INLINE __m256i lowbit_pairs_u4(const __m256i *w, const int8_t *a)
{
    const __m256i low = _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4)),
                                         _mm256_add_epi16(lowbit_pairs(w[2], a + 8), lowbit_pairs(w[3], a + 12)));
    const __m256i high = _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[4], a + 16), lowbit_pairs(w[5], a + 20)),
                                          _mm256_add_epi16(lowbit_pairs(w[6], a + 24), lowbit_pairs(w[7], a + 28)));
    return _mm256_add_epi16(low, high);
}
/* 16 codes up to 31. */
LOWBIT_INLINE __m256i lowbit_pairs_u5(const __m256i *w, const int8_t *a)
{
    return _mm256_add_epi16(_mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4)),
                            _mm256_add_epi16(lowbit_pairs(w[2], a + 8), lowbit_pairs(w[3], a + 12)));
}
/* 8 codes up to 63. */
LOWBIT_INLINE __m256i lowbit_pairs_u6(const __m256i *w, const int8_t *a)
{
    return _mm256_add_epi16(lowbit_pairs(w[0], a), lowbit_pairs(w[1], a + 4));
}

/* A kernel takes up to four rows at a time, their number known to the compiler. Few rows pass by a panel as it is; for more, some blocks of
 * all panels and rows are done before the next, so that these parts of A stay in the first cache; each is unpacked once, and C holds the
 * chains in between. */
enum { LOWBIT_FEW = 4 };
#define LOWBIT_ENTRY(name, bytes, many)                                                                      \
    void fb_lowbit_##name##_avx2(const FbProductLowbit *p)                                                   \
    {                                                                                                        \
        for (size_t i = 0; p->rows <= LOWBIT_FEW && i < p->panels; i++) {                                    \
            const uint8_t *w = p->w + i * p->blocks * (bytes) * FB_LOWBIT_COLS;                              \
            float *c = p->c + i * FB_LOWBIT_COLS;                                                            \
            switch (p->rows) {                                                                               \
            case 1: name##_few(p, w, c, 1); break;                                                           \
            case 2: name##_few(p, w, c, 2); break;                                                           \
            case 3: name##_few(p, w, c, 3); break;                                                           \
            default: name##_few(p, w, c, 4); break;                                                          \
            }                                                                                                \
        }                                                                                                    \
        if (p->rows > LOWBIT_FEW) {                                                                          \
            many(p);                                                                                         \
        }                                                                                                    \
    }

/* Asks for what is needed soon: the part of the next panel that follows comes while rows pass by this one. */
LOWBIT_INLINE void lowbit_fetch(const uint8_t *w, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) {
        _mm_prefetch((const char *)w + i, _MM_HINT_T0);
    }
}

/* For few rows, which pass by the weights at the memory's speed: what is LOWBIT_AHEAD bytes on is asked for in time, sooner than the hardware
 * would. An address behind the end is never read. */
enum { LOWBIT_AHEAD = 3072 };
LOWBIT_INLINE void lowbit_fetch_ahead(const uint8_t *w, size_t bytes) { lowbit_fetch((const uint8_t *)((uintptr_t)w + LOWBIT_AHEAD), bytes); }

/* ---- two panels at once: what is sent to all lanes serves both ---- */

typedef struct LowbitPairs { __m256i p0, p1; } LowbitPairs;
typedef struct LowbitSums { LowbitPairs r0, r1, r2, r3; } LowbitSums; /* of four rows */

LOWBIT_INLINE LowbitPairs lowbit_pairs_add(LowbitPairs sum, __m256i w0, __m256i w1, const int8_t *a)
{
    const __m256i x = lowbit_four(a);
    return (LowbitPairs){_mm256_add_epi16(sum.p0, _mm256_maddubs_epi16(w0, x)), _mm256_add_epi16(sum.p1, _mm256_maddubs_epi16(w1, x))};
}

/* Read at run time, so that a loop over the registers of a run stays a loop: unrolled, it would keep more sums than there are registers. */
static const volatile size_t lowbit_steps = 4;

/* Four rows and two panels at a time by `tiles`; what is left over by `rest`. */
LOWBIT_INLINE void lowbit_divide(const FbProductLowbit *p, size_t bytes, FbLowbitRun tiles, FbLowbitRun rest)
{
    FbProductLowbit part = *p;
    part.rows = p->rows / 4 * 4;
    part.panels = p->panels / 2 * 2;
    if (part.panels > 0) {
        tiles(&part);
    }
    if (p->panels % 2 != 0) {
        FbProductLowbit last = part;
        last.panels = 1;
        last.w += part.panels * p->blocks * bytes * FB_LOWBIT_COLS;
        last.c += part.panels * FB_LOWBIT_COLS;
        rest(&last);
    }
    if (part.rows < p->rows) {
        FbProductLowbit few = *p;
        few.rows = p->rows - part.rows;
        few.a = (const char *)p->a + part.rows * p->a_stride;
        few.c += part.rows * p->c_stride;
        rest(&few);
    }
}

/* Rows first .. first + 3, as far as there are; beyond that the first again, which nobody looks at. */
#define LOWBIT_ROWS_OF(A, p, first, rows)                                                                       \
    const A *const a0 = (const A *)(const void *)((const char *)(p)->a + (first) * (p)->a_stride);              \
    const A *const a1 = (const A *)(const void *)((const char *)a0 + ((rows) > 1 ? (p)->a_stride : 0));         \
    const A *const a2 = (const A *)(const void *)((const char *)a0 + ((rows) > 2 ? 2 * (p)->a_stride : 0));     \
    const A *const a3 = (const A *)(const void *)((const char *)a0 + ((rows) > 3 ? 3 * (p)->a_stride : 0))

/* s1, s2, s3 too when there are so many rows. */
#define LOWBIT_EACH_ROW(X, rows) \
    X(0);                        \
    if ((rows) > 1) {            \
        X(1);                    \
    }                            \
    if ((rows) > 2) {            \
        X(2);                    \
    }                            \
    if ((rows) > 3) {            \
        X(3);                    \
    }
#define LOWBIT_LOAD(r) s##r = _mm256_loadu_ps(c + (r) * p->c_stride)
#define LOWBIT_STORE(r) _mm256_storeu_ps(c + (r) * p->c_stride, s##r)

#endif
