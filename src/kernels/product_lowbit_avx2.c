/* The low-bit product for AVX2: blocks of 32, halves, and rounding A. */
#include "kernels/product_lowbit_avx2.h"

#include "kernels/product_lowbit_epilogue.h"
#include "tensor/block_type.h"

/* ---- blocks of 32: 256 codes unpacked once for all rows ---- */

typedef struct LowbitWeights {
    __m256 d, minimum;
    __m256i codes[8];        /* unsigned, or magnitudes of signed ones */
    __m256i whole[8];        /* signed codes, where codes are their magnitudes */
} LowbitWeights;

LOWBIT_INLINE __m256 add_sum(const LowbitWeights *w, const FbCodes32 *a, __m256i sum, __m256 c)
{
    return _mm256_fmadd_ps(_mm256_mul_ps(w->d, _mm256_set1_ps(a->scale)), _mm256_cvtepi32_ps(sum), c);
}
LOWBIT_INLINE __m256 add_minimum(const LowbitWeights *w, const FbCodes32 *a, __m256 c)
{
    return _mm256_fmadd_ps(w->minimum, _mm256_set1_ps(a->scaled_sum), c);
}
LOWBIT_INLINE __m256i in_lanes(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
LOWBIT_INLINE __m256i sum8_of(const FbCodes32 *a) { return _mm256_set1_epi32(a->sum8); }

/* Low nibbles are the first half, high nibbles the second. */
LOWBIT_INLINE void unpack_nibbles(const uint8_t *from, __m256i *codes)
{
    const __m256i mask = _mm256_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        const __m256i both = lowbit_load(from + 32 * i);
        codes[i] = _mm256_and_si256(both, mask);
        codes[i + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
    }
}

/* Bits 4 i .. 4 i + 3 of each lane become bit 4 of the four bytes of register i. */
LOWBIT_INLINE void add_fifth_bits(__m256i bits, __m256i *codes)
{
    const __m256i low = _mm256_set1_epi32(0x08040201), high = _mm256_set1_epi32((int32_t)0x80402010u), sixteen = _mm256_set1_epi8(16);
    const __m256i lane = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    for (int i = 0; i < 8; i++) {
        const __m256i mask = i % 2 == 0 ? low : high;
        const __m256i byte = _mm256_shuffle_epi8(bits, _mm256_add_epi8(lane, _mm256_set1_epi8((char)(i / 2))));
        const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(byte, mask), mask);
        codes[i] = _mm256_or_si256(codes[i], _mm256_and_si256(set, sixteen));
    }
}

LOWBIT_INLINE void q4_0_unpack(const uint8_t *w, LowbitWeights *x)
{
    x->d = lowbit_halves(w);
    unpack_nibbles(w + 16, x->codes);
}
LOWBIT_INLINE __m256 q4_0_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    return add_sum(x, a, _mm256_sub_epi32(in_lanes(lowbit_pairs_u4(x->codes, a->codes)), sum8_of(a)), c);
}

LOWBIT_INLINE void q4_1_unpack(const uint8_t *w, LowbitWeights *x)
{
    x->d = lowbit_halves(w);
    x->minimum = lowbit_halves(w + 16);
    unpack_nibbles(w + 32, x->codes);
}
LOWBIT_INLINE __m256 q4_1_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    return add_minimum(x, a, add_sum(x, a, in_lanes(lowbit_pairs_u4(x->codes, a->codes)), c));
}

LOWBIT_INLINE __m256i sum_u5(const LowbitWeights *x, const FbCodes32 *a)
{
    return _mm256_add_epi32(in_lanes(lowbit_pairs_u5(x->codes, a->codes)), in_lanes(lowbit_pairs_u5(x->codes + 4, a->codes + 16)));
}
LOWBIT_INLINE void q5_0_unpack(const uint8_t *w, LowbitWeights *x)
{
    x->d = lowbit_halves(w);
    unpack_nibbles(w + 48, x->codes);
    add_fifth_bits(lowbit_load(w + 16), x->codes);
}
LOWBIT_INLINE __m256 q5_0_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    return add_sum(x, a, _mm256_sub_epi32(sum_u5(x, a), _mm256_slli_epi32(sum8_of(a), 1)), c);
}

LOWBIT_INLINE void q5_1_unpack(const uint8_t *w, LowbitWeights *x)
{
    x->d = lowbit_halves(w);
    x->minimum = lowbit_halves(w + 16);
    unpack_nibbles(w + 64, x->codes);
    add_fifth_bits(lowbit_load(w + 32), x->codes);
}
LOWBIT_INLINE __m256 q5_1_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    return add_minimum(x, a, add_sum(x, a, sum_u5(x, a), c));
}

/* Signed codes: magnitude times A with the code's sign. A pair is at most 2 * 128 * 127. */
LOWBIT_INLINE void take_magnitudes(LowbitWeights *x)
{
    for (int i = 0; i < 8; i++) {
        x->codes[i] = _mm256_abs_epi8(x->whole[i]);
    }
}
LOWBIT_INLINE __m256 signed_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) {
        const __m256i turned = _mm256_sign_epi8(lowbit_four(a->codes + 4 * i), x->whole[i]);
        sum = _mm256_add_epi32(sum, in_lanes(_mm256_maddubs_epi16(x->codes[i], turned)));
    }
    return add_sum(x, a, sum, c);
}
LOWBIT_INLINE void q8_0_unpack(const uint8_t *w, LowbitWeights *x)
{
    x->d = lowbit_halves(w);
    for (int i = 0; i < 8; i++) {
        x->whole[i] = lowbit_load(w + 16 + 32 * i);
    }
    take_magnitudes(x);
}
#define q8_0_row signed_row

LOWBIT_INLINE void iq4_nl_unpack(const uint8_t *w, LowbitWeights *x)
{
    const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)fb_iq4_levels));
    x->d = lowbit_halves(w);
    unpack_nibbles(w + 16, x->whole);
    for (int i = 0; i < 8; i++) {
        x->whole[i] = _mm256_shuffle_epi8(levels, x->whole[i]);
    }
    take_magnitudes(x);
}
#define iq4_nl_row signed_row

/* Doubled values plus 12: 0 .. 24. */
LOWBIT_INLINE void mxfp4_unpack(const uint8_t *w, LowbitWeights *x)
{
    const __m256i levels = _mm256_broadcastsi128_si256(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    const __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)w));
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    x->d = _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
    unpack_nibbles(w + 8, x->codes);
    for (int i = 0; i < 8; i++) {
        x->codes[i] = _mm256_shuffle_epi8(levels, x->codes[i]);
    }
}
LOWBIT_INLINE __m256 mxfp4_row(const LowbitWeights *x, const FbCodes32 *a, __m256 c)
{
    const __m256i sum8 = sum8_of(a);
    return add_sum(x, a, _mm256_sub_epi32(sum_u5(x, a), _mm256_add_epi32(sum8, _mm256_srai_epi32(sum8, 1))), c);
}

enum { UNPACKED_BLOCKS = 8, TILE_BLOCKS = 128 };

/* name_few: a panel as it is; name_some: blocks [block, block + count) of a panel, unpacked; rows from `first` on. */
#define LOWBIT_EACH_ROW_CALL(row, x, at, rows) \
    s0 = row(x, a0 + (at), s0);                \
    if ((rows) > 1) {                          \
        s1 = row(x, a1 + (at), s1);            \
    }                                          \
    if ((rows) > 2) {                          \
        s2 = row(x, a2 + (at), s2);            \
    }                                          \
    if ((rows) > 3) {                          \
        s3 = row(x, a3 + (at), s3);            \
    }
#define LOWBIT_32(name, bytes, many)                                                                                           \
    LOWBIT_INLINE void name##_few(const FbProductLowbit *p, const uint8_t *w, float *c, const size_t rows)                     \
    {                                                                                                                          \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                                            \
        LOWBIT_ROWS_OF(FbCodes32, p, 0, rows);                                                                                 \
        for (size_t b = 0; b < p->blocks; b++, w += (bytes) * FB_LOWBIT_COLS) {                                                \
            LowbitWeights x;                                                                                                   \
            lowbit_fetch_ahead(w, (bytes) * FB_LOWBIT_COLS);                                                                   \
            name##_unpack(w, &x);                                                                                              \
            LOWBIT_EACH_ROW_CALL(name##_row, &x, b, rows)                                                                      \
        }                                                                                                                      \
        LOWBIT_EACH_ROW(LOWBIT_STORE, rows)                                                                                    \
    }                                                                                                                          \
    LOWBIT_INLINE void name##_some(const FbProductLowbit *p, const LowbitWeights *x, size_t block, size_t count, size_t first, \
                               float *c, const size_t rows)                                                                    \
    {                                                                                                                          \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                                                            \
        LOWBIT_ROWS_OF(FbCodes32, p, first, rows);                                                                             \
        if (block > 0) {                                                                                                       \
            LOWBIT_EACH_ROW(LOWBIT_LOAD, rows)                                                                                 \
        }                                                                                                                      \
        for (size_t b = 0; b < count; b++) {                                                                                   \
            LOWBIT_EACH_ROW_CALL(name##_row, &x[b], block + b, rows)                                                           \
        }                                                                                                                      \
        LOWBIT_EACH_ROW(LOWBIT_STORE, rows)                                                                                    \
    }                                                                                                                          \
    static void name##_many(const FbProductLowbit *p)                                                                          \
    {                                                                                                                          \
        LowbitWeights x[UNPACKED_BLOCKS];                                                                                      \
        const size_t panel_bytes = p->blocks * (bytes) * FB_LOWBIT_COLS;                                                       \
        for (size_t block = 0; block < p->blocks; block += UNPACKED_BLOCKS) {                                                  \
            const size_t count = p->blocks - block < UNPACKED_BLOCKS ? p->blocks - block : UNPACKED_BLOCKS;                    \
            for (size_t i = 0; i < p->panels; i++) {                                                                           \
                const uint8_t *w = p->w + i * panel_bytes + block * (bytes) * FB_LOWBIT_COLS;                                  \
                for (size_t b = 0; b < count; b++) {                                                                           \
                    name##_unpack(w + b * (bytes) * FB_LOWBIT_COLS, &x[b]);                                                    \
                }                                                                                                              \
                if (i + 1 < p->panels) {                                                                                       \
                    lowbit_fetch(w + panel_bytes, count * (bytes) * FB_LOWBIT_COLS);                                           \
                }                                                                                                              \
                for (size_t first = 0; first < p->rows; first += LOWBIT_FEW) {                                                 \
                    float *c = p->c + i * FB_LOWBIT_COLS + first * p->c_stride;                                                \
                    switch (p->rows - first) {                                                                                 \
                    case 1: name##_some(p, x, block, count, first, c, 1); break;                                               \
                    case 2: name##_some(p, x, block, count, first, c, 2); break;                                               \
                    case 3: name##_some(p, x, block, count, first, c, 3); break;                                               \
                    default: name##_some(p, x, block, count, first, c, 4); break;                                              \
                    }                                                                                                          \
                }                                                                                                              \
            }                                                                                                                  \
        }                                                                                                                      \
    }                                                                                                                          \
    LOWBIT_ENTRY(name, bytes, many)

/* q4_0 with two panels at a time; its nibbles are taken apart on the way. */
LOWBIT_INLINE LowbitPairs both_nibbles(LowbitPairs sum, const __m256i *low, const __m256i *high, const int8_t *a)
{
    return lowbit_pairs_add(lowbit_pairs_add(sum, low[0], low[1], a), high[0], high[1], a + 16);
}
LOWBIT_INLINE void q4_0_add(const __m256 *d, const FbCodes32 *a, LowbitPairs pairs, __m256 *c)
{
    const __m256 scale = _mm256_set1_ps(a->scale);
    const __m256i zero = sum8_of(a);
    const __m256 first = _mm256_cvtepi32_ps(_mm256_sub_epi32(in_lanes(pairs.p0), zero));
    const __m256 second = _mm256_cvtepi32_ps(_mm256_sub_epi32(in_lanes(pairs.p1), zero));
    c[0] = _mm256_fmadd_ps(_mm256_mul_ps(d[0], scale), first, c[0]);
    c[1] = _mm256_fmadd_ps(_mm256_mul_ps(d[1], scale), second, c[1]);
}
/* Blocks [0, count) from where w and a point. */
static void q4_0_tile(const uint8_t *w0, const uint8_t *w1, const FbCodes32 *const *rows, size_t count, bool first, float *c, size_t c_stride)
{
    __m256 sums[8];
    for (size_t i = 0; i < 8; i++) {
        sums[i] = first ? _mm256_setzero_ps() : _mm256_loadu_ps(c + i / 2 * c_stride + i % 2 * FB_LOWBIT_COLS);
    }
    const __m256i mask = _mm256_set1_epi8(15);
    const FbCodes32 *a0 = rows[0], *a1 = rows[1], *a2 = rows[2], *a3 = rows[3];
    const size_t steps = lowbit_steps;
    for (size_t b = 0; b < count; b++, w0 += 18 * FB_LOWBIT_COLS, w1 += 18 * FB_LOWBIT_COLS, a0++, a1++, a2++, a3++) {
        const LowbitPairs zero = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        LowbitSums s = {zero, zero, zero, zero};
        for (size_t i = 0; i < steps; i++) {
            const __m256i x0 = lowbit_load(w0 + 16 + 32 * i), x1 = lowbit_load(w1 + 16 + 32 * i);
            const __m256i low[2] = {_mm256_and_si256(x0, mask), _mm256_and_si256(x1, mask)};
            const __m256i high[2] = {_mm256_and_si256(_mm256_srli_epi16(x0, 4), mask), _mm256_and_si256(_mm256_srli_epi16(x1, 4), mask)};
            s.r0 = both_nibbles(s.r0, low, high, a0->codes + 4 * i);
            s.r1 = both_nibbles(s.r1, low, high, a1->codes + 4 * i);
            s.r2 = both_nibbles(s.r2, low, high, a2->codes + 4 * i);
            s.r3 = both_nibbles(s.r3, low, high, a3->codes + 4 * i);
        }
        const __m256 d[2] = {lowbit_halves(w0), lowbit_halves(w1)};
        q4_0_add(d, a0, s.r0, sums);
        q4_0_add(d, a1, s.r1, sums + 2);
        q4_0_add(d, a2, s.r2, sums + 4);
        q4_0_add(d, a3, s.r3, sums + 6);
    }
    for (size_t i = 0; i < 8; i++) {
        _mm256_storeu_ps(c + i / 2 * c_stride + i % 2 * FB_LOWBIT_COLS, sums[i]);
    }
}
static void q4_0_tiles(const FbProductLowbit *p)
{
    const size_t panel_bytes = p->blocks * 18 * FB_LOWBIT_COLS;
    for (size_t block = 0; block < p->blocks; block += TILE_BLOCKS) {
        const size_t count = p->blocks - block < TILE_BLOCKS ? p->blocks - block : TILE_BLOCKS;
        for (size_t panel = 0; panel < p->panels; panel += 2) {
            const uint8_t *w = p->w + panel * panel_bytes + block * 18 * FB_LOWBIT_COLS;
            for (size_t side = 2; panel + 2 < p->panels && side < 4; side++) {
                lowbit_fetch(w + side * panel_bytes, count * 18 * FB_LOWBIT_COLS);
            }
            for (size_t r = 0; r < p->rows; r += 4) {
                const FbCodes32 *rows[4];
                for (size_t i = 0; i < 4; i++) {
                    rows[i] = (const FbCodes32 *)(const void *)((const char *)p->a + (r + i) * p->a_stride) + block;
                }
                q4_0_tile(w, w + panel_bytes, rows, count, block == 0, p->c + r * p->c_stride + panel * FB_LOWBIT_COLS, p->c_stride);
            }
        }
    }
}
static void q4_0_many(const FbProductLowbit *p);
static void q4_0_divided(const FbProductLowbit *p) { lowbit_divide(p, 18, q4_0_tiles, q4_0_many); }

LOWBIT_32(q4_0, 18, q4_0_divided)
LOWBIT_32(q4_1, 20, q4_1_many)
LOWBIT_32(q5_0, 22, q5_0_many)
LOWBIT_32(q5_1, 24, q5_1_many)
LOWBIT_32(q8_0, 34, q8_0_many)
LOWBIT_32(iq4_nl, 18, iq4_nl_many)
LOWBIT_32(mxfp4, 17, mxfp4_many)

/* ---- halves: A stays float ---- */

LOWBIT_INLINE __m256 f16_eight(const uint8_t *w) { return lowbit_halves(w); }
LOWBIT_INLINE __m256 bf16_eight(const uint8_t *w)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)w)), 16));
}

/* Panels side by side: a chain waits for its last sum, two do not wait for each other and are as fast as memory. More would lie a power of two
 * apart and push each other out of the cache. */
enum { HALF_PANELS = 2, HALF_DEPTH = 256 };
#define LOWBIT_HALVES(name)                                                                                             \
    LOWBIT_INLINE void name##_side(const FbProductLowbit *p, size_t first, const size_t panels)                         \
    {                                                                                                                   \
        const size_t panel_bytes = p->blocks * 2 * FB_LOWBIT_COLS;                                                      \
        const uint8_t *w = p->w + first * panel_bytes;                                                                  \
        for (size_t r = 0; r < p->rows; r++) {                                                                          \
            const float *a = (const float *)(const void *)((const char *)p->a + r * p->a_stride);                       \
            float *c = p->c + r * p->c_stride + first * FB_LOWBIT_COLS;                                                 \
            __m256 sums[HALF_PANELS];                                                                                   \
            for (size_t i = 0; i < panels; i++) {                                                                       \
                sums[i] = _mm256_setzero_ps();                                                                          \
            }                                                                                                           \
            for (size_t k = 0; k < p->blocks; k++) {                                                                    \
                const __m256 x = _mm256_set1_ps(a[k]);                                                                  \
                for (size_t i = 0; i < panels; i++) {                                                                   \
                    const uint8_t *eight = w + i * panel_bytes + k * 2 * FB_LOWBIT_COLS;                                \
                    lowbit_fetch_ahead(eight, 2 * FB_LOWBIT_COLS);                                                      \
                    sums[i] = _mm256_fmadd_ps(x, name##_eight(eight), sums[i]);                                         \
                }                                                                                                       \
            }                                                                                                           \
            for (size_t i = 0; i < panels; i++) {                                                                       \
                _mm256_storeu_ps(c + i * FB_LOWBIT_COLS, sums[i]);                                                      \
            }                                                                                                           \
        }                                                                                                               \
    }                                                                                                                   \
    static void name##_rest(const FbProductLowbit *p)                                                                   \
    {                                                                                                                   \
        size_t panel = 0;                                                                                               \
        for (; panel + HALF_PANELS <= p->panels; panel += HALF_PANELS) {                                                \
            name##_side(p, panel, HALF_PANELS);                                                                         \
        }                                                                                                               \
        for (; panel < p->panels; panel++) {                                                                            \
            name##_side(p, panel, 1);                                                                                   \
        }                                                                                                               \
    }
/* Four rows and two panels; parts of A that stay in a near cache. */
#define LOWBIT_HALVES_MANY(name)                                                                                        \
    LOWBIT_INLINE void name##_tile(const FbProductLowbit *p, const uint8_t *w0, const uint8_t *w1, size_t first, size_t count, \
                               size_t row, float *c)                                                                    \
    {                                                                                                                   \
        __m256 s[8];                                                                                                    \
        const float *a[4];                                                                                              \
        for (size_t r = 0; r < 4; r++) {                                                                                \
            a[r] = (const float *)(const void *)((const char *)p->a + (row + r) * p->a_stride) + first;                 \
            s[2 * r] = first > 0 ? _mm256_loadu_ps(c + r * p->c_stride) : _mm256_setzero_ps();                          \
            s[2 * r + 1] = first > 0 ? _mm256_loadu_ps(c + r * p->c_stride + FB_LOWBIT_COLS) : _mm256_setzero_ps();     \
        }                                                                                                               \
        for (size_t k = 0; k < count; k++) {                                                                            \
            const __m256 x0 = name##_eight(w0 + 16 * k), x1 = name##_eight(w1 + 16 * k);                                \
            for (size_t r = 0; r < 4; r++) {                                                                            \
                const __m256 y = _mm256_set1_ps(a[r][k]);                                                               \
                s[2 * r] = _mm256_fmadd_ps(y, x0, s[2 * r]);                                                            \
                s[2 * r + 1] = _mm256_fmadd_ps(y, x1, s[2 * r + 1]);                                                    \
            }                                                                                                           \
        }                                                                                                               \
        for (size_t r = 0; r < 4; r++) {                                                                                \
            _mm256_storeu_ps(c + r * p->c_stride, s[2 * r]);                                                            \
            _mm256_storeu_ps(c + r * p->c_stride + FB_LOWBIT_COLS, s[2 * r + 1]);                                       \
        }                                                                                                               \
    }                                                                                                                   \
    static void name##_tiles(const FbProductLowbit *p)                                                                  \
    {                                                                                                                   \
        const size_t panel_bytes = p->blocks * 2 * FB_LOWBIT_COLS;                                                      \
        for (size_t first = 0; first < p->blocks; first += HALF_DEPTH) {                                                \
            const size_t count = p->blocks - first < HALF_DEPTH ? p->blocks - first : HALF_DEPTH;                       \
            for (size_t panel = 0; panel < p->panels; panel += 2) {                                                     \
                const uint8_t *w = p->w + panel * panel_bytes + first * 16;                                             \
                for (size_t r = 0; r < p->rows; r += 4) {                                                               \
                    name##_tile(p, w, w + panel_bytes, first, count, r, p->c + r * p->c_stride + panel * FB_LOWBIT_COLS); \
                }                                                                                                       \
            }                                                                                                           \
        }                                                                                                               \
    }                                                                                                                   \
    void fb_lowbit_##name##_avx2(const FbProductLowbit *p)                                                              \
    {                                                                                                                   \
        if (p->rows < 4) {                                                                                              \
            name##_rest(p);                                                                                             \
        } else {                                                                                                        \
            lowbit_divide(p, 2, name##_tiles, name##_rest);                                                             \
        }                                                                                                               \
    }
LOWBIT_HALVES(f16)
LOWBIT_HALVES(bf16)
LOWBIT_HALVES_MANY(f16)
LOWBIT_HALVES_MANY(bf16)

/* ---- rounding A ---- */

LOWBIT_INLINE __m256i magnitude(__m256 x) { return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff)); }

/* The scale for a largest magnitude, given in lanes. */
static float scale_of(__m256i most, float *inverse)
{
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
    const int32_t bits = _mm_cvtsi128_si32(four);
    const float largest = _mm_cvtss_f32(_mm_castsi128_ps(four));
    *inverse = 0.0f;
    if (bits >= 0x7f800000) {
        return (float)NAN;
    }
    if (largest < 0x1p-100f) {
        return 0.0f;
    }
    *inverse = 127.0f / largest;
    return largest / 127.0f;
}

LOWBIT_INLINE __m256i codes_of_8(const float *x, __m256 inverse) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse)); }

/* 32 codes in order; zeros where the inverse is 0. */
LOWBIT_INLINE __m256i codes_of_32(const float *x, float inverse)
{
    const __m256 factor = _mm256_set1_ps(inverse);
    if (inverse == 0.0f) {
        return _mm256_setzero_si256();
    }
    const __m256i low = _mm256_packs_epi32(codes_of_8(x, factor), codes_of_8(x + 8, factor));
    const __m256i high = _mm256_packs_epi32(codes_of_8(x + 16, factor), codes_of_8(x + 24, factor));
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

LOWBIT_INLINE __m256i largest_of_32(const float *x, __m256i most)
{
    for (int i = 0; i < 4; i++) {
        most = _mm256_max_epi32(most, magnitude(_mm256_loadu_ps(x + 8 * i)));
    }
    return most;
}

/* Sums of 16 codes each, as two numbers. */
LOWBIT_INLINE void sums_of_16(__m256i codes, int32_t *first, int32_t *second)
{
    const __m256i four = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
    __m128i low = _mm256_castsi256_si128(four), high = _mm256_extracti128_si256(four, 1);
    low = _mm_hadd_epi32(low, high);
    low = _mm_hadd_epi32(low, low);
    *first = _mm_cvtsi128_si32(low);
    *second = _mm_extract_epi32(low, 1);
}

static void codes_32(const float *x, size_t groups, FbCodes32 *to)
{
    for (size_t g = 0; g < groups; g++, x += 32, to++) {
        float inverse;
        int32_t first, second;
        to->scale = scale_of(largest_of_32(x, _mm256_setzero_si256()), &inverse);
        const __m256i codes = codes_of_32(x, inverse);
        _mm256_storeu_si256((__m256i *)(void *)to->codes, codes);
        sums_of_16(codes, &first, &second);
        to->sum8 = 8 * (first + second);
        to->scaled_sum = to->scale * (float)(first + second);
    }
}

static void codes_256(const float *x, size_t groups, FbCodes256 *to)
{
    for (size_t g = 0; g < groups; g++, x += 256, to++) {
        float inverse;
        __m256i most = _mm256_setzero_si256();
        for (size_t i = 0; i < 256; i += 32) {
            most = largest_of_32(x + i, most);
        }
        to->scale = scale_of(most, &inverse);
        for (size_t i = 0; i < 8; i++) {
            int32_t first, second;
            const __m256i codes = codes_of_32(x + 32 * i, inverse);
            _mm256_storeu_si256((__m256i *)(void *)(to->codes + 32 * i), codes);
            sums_of_16(codes, &first, &second);
            to->sums16[2 * i] = (int16_t)first;
            to->sums16[2 * i + 1] = (int16_t)second;
            to->sums32[i] = (int16_t)(first + second);
        }
    }
}

const FbProductLowbitKernel fb_product_lowbit_avx2 = {
    FB_ISA_NAME, FB_ISA_NEEDS, codes_32, codes_256, fb_lowbit_epilogue,
    {fb_lowbit_f16_avx2, fb_lowbit_bf16_avx2, fb_lowbit_q4_0_avx2, fb_lowbit_q4_1_avx2, fb_lowbit_q5_0_avx2, fb_lowbit_q5_1_avx2,
     fb_lowbit_q8_0_avx2, fb_lowbit_iq4_nl_avx2, fb_lowbit_mxfp4_avx2, fb_lowbit_q2_k_avx2, fb_lowbit_q3_k_avx2, fb_lowbit_q4_k_avx2,
     fb_lowbit_q5_k_avx2, fb_lowbit_q6_k_avx2, fb_lowbit_iq4_xs_avx2, fb_lowbit_tq2_0_avx2}};
