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

/* Sixteen codes in both halves. */
static inline __m256i load_window(const uint8_t *window)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)window));
}

/* Steps of one row; rows beyond `rows`, a constant of the caller, disappear when the tile is inlined. */
#define START(i) __m256i lo##i = _mm256_setzero_si256(), hi##i = _mm256_setzero_si256();
#define POINTER(i) const uint8_t *a##i = product_row(p, tap, row + (i < rows ? i : 0));
#define QUAD_STEP(i)                                                                                                   \
    if (i < rows) {                                                                                                    \
        const __m256i x = spread(a##i + k), y = spread(a##i + k + FB_U8S8_STEP);                                       \
        lo##i = add_pairs(lo##i, _mm256_add_epi16(_mm256_maddubs_epi16(x, w0), _mm256_maddubs_epi16(y, w2)));          \
        hi##i = add_pairs(hi##i, _mm256_add_epi16(_mm256_maddubs_epi16(x, w1), _mm256_maddubs_epi16(y, w3)));          \
    }
#define PAIR_STEP(i)                                                \
    if (i < rows) {                                                 \
        const __m256i x = spread(a##i + k);                         \
        lo##i = add_pairs(lo##i, _mm256_maddubs_epi16(x, w0));      \
        hi##i = add_pairs(hi##i, _mm256_maddubs_epi16(x, w1));      \
    }
#define COPY(i)                                                                                                                     \
    if (i < rows) {                                                                                                                 \
        _mm_storeu_si128((__m128i *)(void *)shallow[i], _mm_maskload_epi32((const int *)(const void *)a##i, mask));                 \
        a##i = shallow[i];                                                                                                          \
    }
#define FIX_STEP(i)                                                                                \
    if (i < rows) {                                                                                \
        const __m256i x = load_window(a##i + from);                                                \
        lo##i = add_pairs(lo##i, _mm256_maddubs_epi16(_mm256_shuffle_epi8(x, index0), w0));        \
        hi##i = add_pairs(hi##i, _mm256_maddubs_epi16(_mm256_shuffle_epi8(x, index1), w1));        \
    }
#define FINISH(i)                                                                  \
    if (i < rows) {                                                                \
        product_finish_quick(p, finish, row + i, 0, (FbVi){lo##i, hi##i});         \
    }
#define KEEP(i)                                            \
    if (i < rows) {                                        \
        fb_vi_store(sums[i], (FbVi){lo##i, hi##i});        \
    }

FB_INTEGER_INLINE void product_tile(const FbProductU8S8 *p, const ProductFinish *finish, const size_t row, const size_t rows)
{
    const FbPackedU8S8 *packed = p->w;
    const FbPairsPanel *panel = (const FbPairsPanel *)packed->fixup + p->panel;
    const size_t steps = (packed->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP, bytes = steps * FB_U8S8_STEP;
    const int8_t *w = packed->panels + p->panel * packed->panel_bytes;
    size_t fix = 0;
    EACH_ROW(START)
    for (size_t tap = 0; tap < packed->taps; tap++) {
        EACH_ROW(POINTER)
        size_t k = 0;
        if (panel->quads) {
            for (; k + 2 * FB_U8S8_STEP <= bytes; k += 2 * FB_U8S8_STEP, w += 2 * STEP_BYTES) {
                const __m256i w0 = load_weights(w), w1 = load_weights(w + 32), w2 = load_weights(w + 64), w3 = load_weights(w + 96);
                EACH_ROW(QUAD_STEP)
            }
        }
        for (; k < bytes; k += FB_U8S8_STEP, w += STEP_BYTES) {
            const __m256i w0 = load_weights(w), w1 = load_weights(w + 32);
            EACH_ROW(PAIR_STEP)
        }
        if (!panel->end) {
            continue;
        }
        uint8_t shallow[ROW_TILE][FB_PAIRS_WINDOW]; /* a window reaches beyond what may be read: zeros */
        if (bytes < FB_PAIRS_WINDOW) {
            const __m128i mask = _mm256_castsi256_si128(fb_mask_lo(steps));
            EACH_ROW(COPY)
        }
        for (const size_t end = panel->end[tap]; fix < end; fix++) {
            const FbPairsFix *f = &panel->fix[fix];
            const size_t from = panel->window[fix];
            const __m256i index0 = load_weights((const int8_t *)f->index), index1 = load_weights((const int8_t *)f->index + 32);
            const __m256i w0 = load_weights(f->excess), w1 = load_weights(f->excess + 32);
            EACH_ROW(FIX_STEP)
        }
    }
    if (finish->quick) {
        EACH_ROW(FINISH)
        return;
    }
    int32_t sums[ROW_TILE][FB_LANES];
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
    product_finish_panel(p);
}

const FbProductU8S8Kernel fb_product_u8s8_avx2 = {"avx2", FB_CPU_AVX2, ROW_TILE, FB_PAIRS_COLUMNS, fb_product_u8s8_pack_pairs, product_run};
