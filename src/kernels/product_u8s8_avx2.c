/* The integer product for AVX2: 4 x 16. vpmaddubsw on lanes that packing has proved small, then fix steps (product_u8s8_pairs.h). */
#include "kernels/simd_avx2.h"

#include "kernels/product_u8s8_finish.h"
#include "kernels/product_u8s8_pairs.h"

#define EACH_ROW(X) X(0) X(1) X(2) X(3)
enum { ROW_TILE = 4, STEP_BYTES = FB_PAIRS_COLUMNS * FB_U8S8_STEP };

static inline __m256i load_weights(const int8_t *w) { return _mm256_load_si256((const __m256i *)(const void *)w); }
static inline __m256i spread(const uint8_t *a) { return _mm256_set1_epi32(product_quad(a)); }

/* sum + the sums of pairs of 16-bit lanes. */
static inline __m256i add_pairs(__m256i sum, __m256i pairs)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* The codes that a fix step chooses. An index below 16 stays below 128 in `low` and is above in `high`, where vpshufb gives 0 for it; one in
 * [16, 32) the other way round. */
static inline __m256i choose(const uint8_t *window, __m256i low, __m256i high)
{
    const __m256i first = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)window));
    const __m256i second = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(window + 16)));
    return _mm256_or_si256(_mm256_shuffle_epi8(first, low), _mm256_shuffle_epi8(second, high));
}

/* `rows` is a constant of the caller: what lies beyond it disappears when this is inlined. */
FB_INTEGER_INLINE void product_tile(const FbProductU8S8 *p, const ProductFinish *finish, const size_t row, const size_t rows)
{
    const FbPackedU8S8 *packed = p->w;
    const FbPairsPanel *panel = (const FbPairsPanel *)packed->fixup + p->panel;
    const size_t steps = (packed->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP, bytes = steps * FB_U8S8_STEP;
    const int8_t *w = packed->panels + p->panel * packed->panel_bytes;
    size_t fix = 0;
#define START(i) __m256i lo##i = _mm256_setzero_si256(), hi##i = _mm256_setzero_si256();
    EACH_ROW(START)
    for (size_t tap = 0; tap < packed->taps; tap++) {
#define POINTER(i) const uint8_t *a##i = product_row(p, tap, row + (i < rows ? i : 0));
        EACH_ROW(POINTER)
        size_t k = 0;
        if (panel->quads) {
            for (; k + 2 * FB_U8S8_STEP <= bytes; k += 2 * FB_U8S8_STEP, w += 2 * STEP_BYTES) {
                const __m256i w0 = load_weights(w), w1 = load_weights(w + 32), w2 = load_weights(w + 64), w3 = load_weights(w + 96);
#define QUAD_STEP(i)                                                                                                   \
    if (i < rows) {                                                                                                    \
        const __m256i x = spread(a##i + k), y = spread(a##i + k + FB_U8S8_STEP);                                       \
        lo##i = add_pairs(lo##i, _mm256_add_epi16(_mm256_maddubs_epi16(x, w0), _mm256_maddubs_epi16(y, w2)));          \
        hi##i = add_pairs(hi##i, _mm256_add_epi16(_mm256_maddubs_epi16(x, w1), _mm256_maddubs_epi16(y, w3)));          \
    }
                EACH_ROW(QUAD_STEP)
            }
        }
        for (; k < bytes; k += FB_U8S8_STEP, w += STEP_BYTES) {
            const __m256i w0 = load_weights(w), w1 = load_weights(w + 32);
#define PAIR_STEP(i)                                                \
    if (i < rows) {                                                 \
        const __m256i x = spread(a##i + k);                         \
        lo##i = add_pairs(lo##i, _mm256_maddubs_epi16(x, w0));      \
        hi##i = add_pairs(hi##i, _mm256_maddubs_epi16(x, w1));      \
    }
            EACH_ROW(PAIR_STEP)
        }
        if (!panel->end) {
            continue;
        }
        uint8_t shallow[ROW_TILE][FB_PAIRS_WINDOW]; /* a window reaches beyond what may be read: zeros */
        if (bytes < FB_PAIRS_WINDOW) {
            const __m256i mask = fb_mask_lo(steps);
#define COPY(i)                                                                                                                     \
    if (i < rows) {                                                                                                                 \
        _mm256_storeu_si256((__m256i *)(void *)shallow[i], _mm256_maskload_epi32((const int *)(const void *)a##i, mask));           \
        a##i = shallow[i];                                                                                                          \
    }
            EACH_ROW(COPY)
        }
        /* One half of the columns after the other: both at once need more registers than there are. */
        const size_t end = panel->end[tap];
#define FIX_STEP(sum, i)                                                                                  \
    if (i < rows) {                                                                                       \
        sum##i = add_pairs(sum##i, _mm256_maddubs_epi16(choose(a##i + from, low, high), excess));         \
    }
#define FIX_LO(i) FIX_STEP(lo, i)
#define FIX_HI(i) FIX_STEP(hi, i)
#define FIX_HALF(step, at)                                                                                \
    for (size_t j = fix; j < end; j++) {                                                                  \
        const size_t from = panel->window[j];                                                             \
        const __m256i index = load_weights((const int8_t *)panel->fix[j].index + at);                     \
        const __m256i excess = load_weights(panel->fix[j].excess + at);                                   \
        const __m256i low = _mm256_add_epi8(index, _mm256_set1_epi8(0x70));                               \
        const __m256i high = _mm256_sub_epi8(index, _mm256_set1_epi8(16));                                \
        EACH_ROW(step)                                                                                    \
    }
        FIX_HALF(FIX_LO, 0)
        FIX_HALF(FIX_HI, 32)
        fix = end;
    }
    if (finish->quick) {
#define FINISH(i)                                                                  \
    if (i < rows) {                                                                \
        product_finish_quick(p, finish, row + i, 0, (FbVi){lo##i, hi##i});         \
    }
        EACH_ROW(FINISH)
        return;
    }
    int32_t sums[ROW_TILE][FB_LANES];
#define KEEP(i)                                            \
    if (i < rows) {                                        \
        fb_vi_store(sums[i], (FbVi){lo##i, hi##i});        \
    }
    EACH_ROW(KEEP)
    product_finish_rows(p, finish, row, rows, 1, sums[0]);
}

static void product_run(const FbProductU8S8 *p)
{
    const ProductFinish finish = product_finish_of(p);
    size_t row = 0;
    for (; row + ROW_TILE <= p->rows; row += ROW_TILE) {
        product_tile(p, &finish, row, ROW_TILE);
    }
    switch (p->rows - row) {
    case 3: product_tile(p, &finish, row, 3); break;
    case 2: product_tile(p, &finish, row, 2); break;
    case 1: product_tile(p, &finish, row, 1); break;
    }
}

const FbProductU8S8Kernel fb_product_u8s8_avx2 = {"avx2", FB_CPU_AVX2, ROW_TILE, FB_PAIRS_COLUMNS, fb_product_u8s8_pack_pairs, product_run};
