/* The low-bit product for AVX2: blocks of 256, with small scales by runs of 32 or 16. A scale multiplies where pairs of 16 bits become
 * lanes of 32. A block goes by chunks, each of which is unpacked in parts of 32 elements. */
#include "kernels/product_lowbit_avx2.h"

#include "tensor/block_type.h"

typedef struct LowbitLarge {
    __m256 d, dmin;
    __m256i scales[4];   /* bytes: as the form has them */
    __m256i minima[8];   /* pairs of 16 bits: minima of two runs */
} LowbitLarge;

typedef struct LowbitPart { /* 32 elements */
    __m256i codes[8];
    __m256i scale[2];    /* of each half, or [0] of all: pairs of 16 bits, both the same */
    __m256i zero;        /* what the two runs' sums are multiplied with and taken away; pairs of 16 bits */
} LowbitPart;

/* Byte `i` of each lane, twice, as unsigned and as signed 16 bits. */
LOWBIT_INLINE __m256i pick_unsigned(__m256i bytes, int i)
{
    const __m128i lanes = _mm_setr_epi8(0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128);
    return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(_mm_add_epi8(lanes, _mm_set1_epi16((short)i))));
}
LOWBIT_INLINE __m256i pick_signed(__m256i bytes, int i)
{
    const __m128i lanes = _mm_setr_epi8(-128, 0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12);
    const __m256i which = _mm256_broadcastsi128_si256(_mm_add_epi8(lanes, _mm_set1_epi16((short)(i << 8))));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, which), 8);
}
/* Bytes i and i + 1 of each lane as a pair of 16 bits. */
LOWBIT_INLINE __m256i pair_unsigned(__m256i bytes, int i)
{
    const __m128i lanes = _mm_setr_epi8(0, -128, 1, -128, 4, -128, 5, -128, 8, -128, 9, -128, 12, -128, 13, -128);
    return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(_mm_add_epi8(lanes, _mm_set1_epi16((short)i))));
}
LOWBIT_INLINE __m256i pair_signed(__m256i bytes, int i)
{
    const __m128i lanes = _mm_setr_epi8(-128, 0, -128, 1, -128, 4, -128, 5, -128, 8, -128, 9, -128, 12, -128, 13);
    const __m256i which = _mm256_broadcastsi128_si256(_mm_add_epi8(lanes, _mm_set1_epi16((short)(i << 8))));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, which), 8);
}
LOWBIT_INLINE __m256i bits_of(__m256i x, int shift, int mask)
{
    return _mm256_and_si256(_mm256_srli_epi16(x, shift), _mm256_set1_epi8((char)mask));
}

LOWBIT_INLINE __m256 finish(const LowbitLarge *h, const FbCodes256 *a, __m256i sum, __m256 c)
{
    return _mm256_fmadd_ps(_mm256_mul_ps(h->d, _mm256_set1_ps(a->scale)), _mm256_cvtepi32_ps(sum), c);
}
LOWBIT_INLINE __m256 finish_minima(const LowbitLarge *h, const FbCodes256 *a, const int16_t *sums, int pairs, __m256i sum, __m256 c)
{
    __m256i minima = _mm256_madd_epi16(h->minima[0], lowbit_four(sums));
    for (int i = 1; i < pairs; i++) {
        minima = _mm256_add_epi32(minima, _mm256_madd_epi16(h->minima[i], lowbit_four(sums + 2 * i)));
    }
    c = finish(h, a, sum, c);
    return _mm256_fnmadd_ps(_mm256_mul_ps(h->dmin, _mm256_set1_ps(a->scale)), _mm256_cvtepi32_ps(minima), c);
}

/* ---- q4_K, q5_K: eight scales and minima of 6 bits in twelve bytes ---- */

LOWBIT_INLINE void scales_head(const uint8_t *w, LowbitLarge *h)
{
    const __m256i a = lowbit_load(w + 32), b = lowbit_load(w + 64), c = lowbit_load(w + 96);
    const __m256i upper = _mm256_set1_epi8(0x30);
    h->d = lowbit_halves(w);
    h->dmin = lowbit_halves(w + 16);
    h->scales[0] = bits_of(a, 0, 63);
    h->scales[1] = _mm256_or_si256(bits_of(c, 0, 15), _mm256_and_si256(_mm256_srli_epi16(a, 2), upper));
    const __m256i first = bits_of(b, 0, 63);
    const __m256i second = _mm256_or_si256(bits_of(c, 4, 15), _mm256_and_si256(_mm256_srli_epi16(b, 2), upper));
    h->minima[0] = pair_unsigned(first, 0);
    h->minima[1] = pair_unsigned(first, 2);
    h->minima[2] = pair_unsigned(second, 0);
    h->minima[3] = pair_unsigned(second, 2);
}
LOWBIT_INLINE __m256i scale_of_run(const LowbitLarge *h, size_t run)
{
    const __m256i lanes = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128));
    return _mm256_shuffle_epi8(h->scales[run / 4], _mm256_add_epi8(lanes, _mm256_set1_epi16((short)(run % 4))));
}

#define q4_k_head scales_head
LOWBIT_INLINE void q4_k_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    for (size_t i = 0; i < 8; i++) {
        x->codes[i] = bits_of(lowbit_load(w + 128 + chunk * 256 + i * 32), 4 * part, 15);
    }
    x->scale[0] = scale_of_run(h, 2 * chunk + (size_t)part);
}
LOWBIT_INLINE __m256i q4_k_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    const __m256i pairs = lowbit_pairs_u4(x->codes, a->codes + chunk * 64 + part * 32);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, x->scale[0]));
}
#define q4_k_finish(h, a, sum, c) finish_minima(h, a, (a)->sums32, 4, sum, c)

#define q5_k_head scales_head
LOWBIT_INLINE void q5_k_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    const __m256i sixteen = _mm256_set1_epi8(16);
    const __m128i shift = _mm_cvtsi32_si128((int)(2 * chunk) + part);
    for (size_t i = 0; i < 8; i++) {
        const __m256i high = _mm256_srl_epi16(lowbit_load(w + 128 + i * 32), shift); /* the wanted bit in place 0 of each byte */
        const __m256i low = bits_of(lowbit_load(w + 384 + chunk * 256 + i * 32), 4 * part, 15);
        x->codes[i] = _mm256_or_si256(low, _mm256_and_si256(_mm256_slli_epi16(high, 4), sixteen));
    }
    x->scale[0] = scale_of_run(h, 2 * chunk + (size_t)part);
}
LOWBIT_INLINE __m256i q5_k_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    const int8_t *codes = a->codes + chunk * 64 + part * 32;
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(lowbit_pairs_u5(x->codes, codes), x->scale[0]));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(lowbit_pairs_u5(x->codes + 4, codes + 16), x->scale[0]));
}
#define q5_k_finish q4_k_finish

/* ---- q6_K: sixteen signed scales; a code is 32 too large, which the sums of A take back ---- */

LOWBIT_INLINE void q6_k_head(const uint8_t *w, LowbitLarge *h)
{
    h->d = lowbit_halves(w);
    for (size_t i = 0; i < 4; i++) {
        h->scales[i] = lowbit_load(w + 16 + i * 32);
    }
}
LOWBIT_INLINE void q6_k_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    const uint8_t *low = w + 144 + chunk * 512 + (size_t)(part % 2) * 256, *high = w + 1168 + chunk * 256;
    for (size_t i = 0; i < 8; i++) {
        const __m256i upper = _mm256_and_si256(part == 0   ? _mm256_slli_epi16(lowbit_load(high + i * 32), 4)
                                               : part == 1 ? _mm256_slli_epi16(lowbit_load(high + i * 32), 2)
                                               : part == 2 ? lowbit_load(high + i * 32)
                                                           : _mm256_srli_epi16(lowbit_load(high + i * 32), 2),
                                               _mm256_set1_epi8(0x30));
        x->codes[i] = _mm256_or_si256(bits_of(lowbit_load(low + i * 32), part / 2 * 4, 15), upper);
    }
    const __m256i scales = h->scales[2 * chunk + (size_t)(part / 2)];
    x->scale[0] = pick_signed(scales, part % 2 * 2);
    x->scale[1] = pick_signed(scales, part % 2 * 2 + 1);
    x->zero = _mm256_slli_epi16(pair_signed(scales, part % 2 * 2), 5);
}
LOWBIT_INLINE __m256i q6_k_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    const int8_t *codes = a->codes + chunk * 128 + part * 32;
    sum = _mm256_sub_epi32(sum, _mm256_madd_epi16(x->zero, lowbit_four(a->sums16 + chunk * 8 + part * 2)));
    const __m256i first = _mm256_add_epi32(_mm256_madd_epi16(lowbit_pairs_u6(x->codes, codes), x->scale[0]),
                                           _mm256_madd_epi16(lowbit_pairs_u6(x->codes + 2, codes + 8), x->scale[0]));
    const __m256i second = _mm256_add_epi32(_mm256_madd_epi16(lowbit_pairs_u6(x->codes + 4, codes + 16), x->scale[1]),
                                            _mm256_madd_epi16(lowbit_pairs_u6(x->codes + 6, codes + 24), x->scale[1]));
    return _mm256_add_epi32(sum, _mm256_add_epi32(first, second));
}
#define q6_k_finish finish

/* ---- q2_K, q3_K: planes of two bits, scales by 16 ---- */

LOWBIT_INLINE void q2_k_head(const uint8_t *w, LowbitLarge *h)
{
    h->d = lowbit_halves(w);
    h->dmin = lowbit_halves(w + 16);
    for (size_t i = 0; i < 4; i++) {
        const __m256i both = lowbit_load(w + 32 + i * 32);
        h->scales[i] = bits_of(both, 0, 15);
        h->minima[2 * i] = pair_unsigned(bits_of(both, 4, 15), 0);
        h->minima[2 * i + 1] = pair_unsigned(bits_of(both, 4, 15), 2);
    }
}
LOWBIT_INLINE void q2_k_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    for (size_t i = 0; i < 8; i++) {
        x->codes[i] = bits_of(lowbit_load(w + 160 + chunk * 256 + i * 32), 2 * part, 3);
    }
    const __m256i scales = h->scales[2 * chunk + (size_t)(part / 2)];
    x->scale[0] = pick_unsigned(scales, part % 2 * 2);
    x->scale[1] = pick_unsigned(scales, part % 2 * 2 + 1);
}
LOWBIT_INLINE __m256i runs_of_16(const LowbitPart *x, const int8_t *codes, __m256i sum)
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(lowbit_pairs_u5(x->codes, codes), x->scale[0]));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(lowbit_pairs_u5(x->codes + 4, codes + 16), x->scale[1]));
}
LOWBIT_INLINE __m256i q2_k_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    return runs_of_16(x, a->codes + chunk * 128 + part * 32, sum);
}
#define q2_k_finish(h, a, sum, c) finish_minima(h, a, (a)->sums16, 8, sum, c)

/* Scale s: low nibble s of the first eight bytes (high nibble from 8 on), upper bits in bytes 8 to 11, four to a byte; 32 too large. */
LOWBIT_INLINE void q3_k_head(const uint8_t *w, LowbitLarge *h)
{
    const __m256i first = lowbit_load(w + 16), second = lowbit_load(w + 48), third = lowbit_load(w + 80);
    const __m256i upper = _mm256_set1_epi8(0x30), zero = _mm256_set1_epi8(32);
    h->d = lowbit_halves(w);
    h->scales[0] = _mm256_or_si256(bits_of(first, 0, 15), _mm256_and_si256(_mm256_slli_epi16(third, 4), upper));
    h->scales[1] = _mm256_or_si256(bits_of(second, 0, 15), _mm256_and_si256(_mm256_slli_epi16(third, 2), upper));
    h->scales[2] = _mm256_or_si256(bits_of(first, 4, 15), _mm256_and_si256(third, upper));
    h->scales[3] = _mm256_or_si256(bits_of(second, 4, 15), _mm256_and_si256(_mm256_srli_epi16(third, 2), upper));
    for (size_t i = 0; i < 4; i++) {
        h->scales[i] = _mm256_sub_epi8(h->scales[i], zero);
    }
}
/* Codes with their third bit are 4 too large. */
LOWBIT_INLINE void q3_k_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    const __m128i shift = _mm_cvtsi32_si128((int)(4 * chunk) + part);
    const __m256i four = _mm256_set1_epi8(4);
    for (size_t i = 0; i < 8; i++) {
        const __m256i high = _mm256_slli_epi16(_mm256_srl_epi16(lowbit_load(w + 112 + i * 32), shift), 2);
        x->codes[i] = _mm256_or_si256(bits_of(lowbit_load(w + 368 + chunk * 256 + i * 32), 2 * part, 3), _mm256_and_si256(high, four));
    }
    const __m256i scales = h->scales[2 * chunk + (size_t)(part / 2)];
    x->scale[0] = pick_signed(scales, part % 2 * 2);
    x->scale[1] = pick_signed(scales, part % 2 * 2 + 1);
    x->zero = _mm256_slli_epi16(pair_signed(scales, part % 2 * 2), 2);
}
LOWBIT_INLINE __m256i q3_k_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    sum = _mm256_sub_epi32(sum, _mm256_madd_epi16(x->zero, lowbit_four(a->sums16 + chunk * 8 + part * 2)));
    return runs_of_16(x, a->codes + chunk * 128 + part * 32, sum);
}
#define q3_k_finish finish

/* ---- iq4_XS: signed levels, eight scales whose upper bits lie apart; 32 too large ---- */

LOWBIT_INLINE void iq4_xs_head(const uint8_t *w, LowbitLarge *h)
{
    const __m256i low = lowbit_load(w + 32);
    h->d = lowbit_halves(w);
    h->scales[0] = bits_of(low, 0, 15); /* of even runs */
    h->scales[1] = bits_of(low, 4, 15);
    h->scales[2] = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(w + 16)));
}
LOWBIT_INLINE void iq4_xs_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)fb_iq4_levels));
    const int run = (int)chunk * 2 + part;
    for (int i = 0; i < 4; i++) {
        const __m256i both = lowbit_load(w + 64 + run * 128 + i * 32);
        x->codes[i] = _mm256_shuffle_epi8(levels, bits_of(both, 0, 15));
        x->codes[i + 4] = _mm256_shuffle_epi8(levels, bits_of(both, 4, 15));
    }
    const __m256i upper = _mm256_and_si256(_mm256_srl_epi32(h->scales[2], _mm_cvtsi32_si128(2 * run)), _mm256_set1_epi32(3));
    const __m256i twice = _mm256_slli_epi16(_mm256_or_si256(upper, _mm256_slli_epi32(upper, 16)), 4);
    x->scale[0] = _mm256_sub_epi16(_mm256_or_si256(pick_unsigned(h->scales[part], (int)chunk), twice), _mm256_set1_epi16(32));
}
LOWBIT_INLINE __m256i iq4_xs_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    const int8_t *codes = a->codes + chunk * 64 + part * 32;
    for (int i = 0; i < 8; i++) { /* a pair is at most 2 * 127 * 127 */
        const __m256i turned = _mm256_sign_epi8(lowbit_four(codes + 4 * i), x->codes[i]);
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x->codes[i]), turned);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, x->scale[0]));
    }
    return sum;
}
#define iq4_xs_finish finish

/* ---- tq2_0: no small scales; codes are 1 too large ---- */

LOWBIT_INLINE void tq2_0_head(const uint8_t *w, LowbitLarge *h) { h->d = lowbit_halves(w); }
LOWBIT_INLINE void tq2_0_part(const uint8_t *w, const LowbitLarge *h, size_t chunk, int part, LowbitPart *x)
{
    (void)h;
    for (size_t i = 0; i < 8; i++) {
        x->codes[i] = bits_of(lowbit_load(w + 16 + chunk * 256 + i * 32), 2 * part, 3);
    }
}
LOWBIT_INLINE __m256i tq2_0_row(const LowbitPart *x, const FbCodes256 *a, size_t chunk, int part, __m256i sum)
{
    const __m256i pairs = lowbit_pairs_u4(x->codes, a->codes + chunk * 128 + part * 32);
    const __m256i codes = _mm256_set1_epi32(a->sums32[chunk * 4 + (size_t)part]);
    return _mm256_sub_epi32(_mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))), codes);
}
#define tq2_0_finish finish

/* ---- all rows against a panel ---- */

#define LARGE_ADD(name, x, part)                                        \
    i0 = name##_row(x, a0 + b, chunk, part, i0);                        \
    if (rows > 1) {                                                     \
        i1 = name##_row(x, a1 + b, chunk, part, i1);                    \
    }                                                                   \
    if (rows > 2) {                                                     \
        i2 = name##_row(x, a2 + b, chunk, part, i2);                    \
    }                                                                   \
    if (rows > 3) {                                                     \
        i3 = name##_row(x, a3 + b, chunk, part, i3);                    \
    }
#define LARGE_PART(name, part)                  \
    do {                                        \
        LowbitPart x;                           \
        name##_part(w, &h, chunk, part, &x);    \
        LARGE_ADD(name, &x, part)               \
    } while (0)
#define LARGE_PARTS_2(name) LARGE_PART(name, 0); LARGE_PART(name, 1)
#define LARGE_PARTS_4(name) LARGE_PARTS_2(name); LARGE_PART(name, 2); LARGE_PART(name, 3)
#define LARGE_FINISH(name, h)                           \
    s0 = name##_finish(h, a0 + b, i0, s0);              \
    if (rows > 1) {                                     \
        s1 = name##_finish(h, a1 + b, i1, s1);          \
    }                                                   \
    if (rows > 2) {                                     \
        s2 = name##_finish(h, a2 + b, i2, s2);          \
    }                                                   \
    if (rows > 3) {                                     \
        s3 = name##_finish(h, a3 + b, i3, s3);          \
    }
#define UNPACK_2(name) name##_part(w, h, chunk, 0, &x[chunk * 2]); name##_part(w, h, chunk, 1, &x[chunk * 2 + 1])
#define UNPACK_4(name)                                                                                        \
    name##_part(w, h, chunk, 0, &x[chunk * 4]); name##_part(w, h, chunk, 1, &x[chunk * 4 + 1]);               \
    name##_part(w, h, chunk, 2, &x[chunk * 4 + 2]); name##_part(w, h, chunk, 3, &x[chunk * 4 + 3])
#define ADD_2(name) LARGE_ADD(name, &x[chunk * 2], 0) LARGE_ADD(name, &x[chunk * 2 + 1], 1)
#define ADD_4(name)                                                               \
    LARGE_ADD(name, &x[chunk * 4], 0) LARGE_ADD(name, &x[chunk * 4 + 1], 1)       \
    LARGE_ADD(name, &x[chunk * 4 + 2], 2) LARGE_ADD(name, &x[chunk * 4 + 3], 3)

/* name_few: a panel as it is; name_some: block b of a panel, unpacked; rows from `first` on. n: parts of a chunk. */
#define LOWBIT_256(name, bytes, chunks, n)                                                                                        \
    LOWBIT_INLINE void name##_few(const FbProductLowbit *p, const uint8_t *w, float *c, const size_t rows)                        \
    {                                                                                                                             \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                                               \
        LOWBIT_ROWS_OF(FbCodes256, p, 0, rows);                                                                                   \
        for (size_t b = 0; b < p->blocks; b++, w += (bytes) * FB_LOWBIT_COLS) {                                                   \
            LowbitLarge h;                                                                                                        \
            __m256i i0 = _mm256_setzero_si256(), i1 = i0, i2 = i0, i3 = i0;                                                       \
            lowbit_fetch_ahead(w, (bytes) * FB_LOWBIT_COLS);                                                                      \
            name##_head(w, &h);                                                                                                   \
            for (size_t chunk = 0; chunk < (chunks); chunk++) {                                                                   \
                LARGE_PARTS_##n(name);                                                                                            \
            }                                                                                                                     \
            LARGE_FINISH(name, &h)                                                                                                \
        }                                                                                                                         \
        LOWBIT_EACH_ROW(LOWBIT_STORE, rows)                                                                                       \
    }                                                                                                                             \
    LOWBIT_INLINE void name##_some(const FbProductLowbit *p, const LowbitLarge *h, const LowbitPart *x, size_t b, size_t first,   \
                               float *c, const size_t rows)                                                                       \
    {                                                                                                                             \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                                               \
        __m256i i0 = _mm256_setzero_si256(), i1 = i0, i2 = i0, i3 = i0;                                                           \
        LOWBIT_ROWS_OF(FbCodes256, p, first, rows);                                                                               \
        for (size_t chunk = 0; chunk < (chunks); chunk++) {                                                                       \
            ADD_##n(name)                                                                                                         \
        }                                                                                                                         \
        if (b > 0) {                                                                                                              \
            LOWBIT_EACH_ROW(LOWBIT_LOAD, rows)                                                                                    \
        }                                                                                                                         \
        LARGE_FINISH(name, h)                                                                                                     \
        LOWBIT_EACH_ROW(LOWBIT_STORE, rows)                                                                                       \
    }                                                                                                                             \
    static void name##_unpack(const uint8_t *w, LowbitLarge *h, LowbitPart *x)                                                    \
    {                                                                                                                             \
        name##_head(w, h);                                                                                                        \
        for (size_t chunk = 0; chunk < (chunks); chunk++) {                                                                       \
            UNPACK_##n(name);                                                                                                     \
        }                                                                                                                         \
    }                                                                                                                             \
    static void name##_many(const FbProductLowbit *p)                                                                             \
    {                                                                                                                             \
        LowbitLarge h;                                                                                                            \
        LowbitPart x[8];                                                                                                          \
        const size_t panel_bytes = p->blocks * (bytes) * FB_LOWBIT_COLS;                                                          \
        for (size_t b = 0; b < p->blocks; b++) {                                                                                  \
            for (size_t i = 0; i < p->panels; i++) {                                                                              \
                const uint8_t *w = p->w + i * panel_bytes + b * (bytes) * FB_LOWBIT_COLS;                                         \
                name##_unpack(w, &h, x);                                                                                          \
                if (i + 1 < p->panels) {                                                                                          \
                    lowbit_fetch(w + panel_bytes, (bytes) * FB_LOWBIT_COLS);                                                      \
                }                                                                                                                 \
                for (size_t first = 0; first < p->rows; first += LOWBIT_FEW) {                                                    \
                    float *c = p->c + i * FB_LOWBIT_COLS + first * p->c_stride;                                                   \
                    switch (p->rows - first) {                                                                                    \
                    case 1: name##_some(p, &h, x, b, first, c, 1); break;                                                         \
                    case 2: name##_some(p, &h, x, b, first, c, 2); break;                                                         \
                    case 3: name##_some(p, &h, x, b, first, c, 3); break;                                                         \
                    default: name##_some(p, &h, x, b, first, c, 4); break;                                                        \
                    }                                                                                                             \
                }                                                                                                                 \
            }                                                                                                                     \
        }                                                                                                                         \
    }                                                                                                                             \
    LOWBIT_ENTRY(name, bytes, name##_many)

LOWBIT_256(q2_k, 84, 2, 4)
LOWBIT_256(q3_k, 110, 2, 4)
LOWBIT_256(q4_k, 144, 4, 2)
LOWBIT_256(q5_k, 176, 4, 2)
LOWBIT_256(q6_k, 210, 2, 4)
LOWBIT_256(iq4_xs, 136, 4, 2)
LOWBIT_256(tq2_0, 66, 2, 4)
