/* The integer product for NEON with matrix products: usmmla multiplies 2 rows of 8 codes with 2 columns of 8 weights, u8 by s8, exactly.
 * A tile of 6 x 16 is three pairs of rows by eight pairs of columns.
 *
 * Its panels have two quads of a column side by side, [panel][tap][pair of quads][col_tile][8]; of an odd number of quads the last one stays
 * [col_tile][4]. */
#include "kernels/simd_neon.h"

enum { ROW_TILE = 6 };
#include "kernels/product_u8s8_neon.h"

enum { PAIR = 2 * FB_U8S8_STEP, PAIR_BYTES = COL_TILE * PAIR };

/* Two rows by sixteen columns: of two columns each, {row 0: column 0, 1, row 1: column 0, 1}. */
typedef struct Sums { int32x4_t c0, c2, c4, c6, c8, c10, c12, c14; } Sums;

/* Two columns of a pair of quads; `quad`: of one quad and zeros. */
PRODUCT_INLINE int8x16_t weights_pair(const int8_t *w, size_t column) { return vld1q_s8(w + column * PAIR); }
PRODUCT_INLINE int8x16_t weights_quad(const int8_t *w, size_t column)
{
    const int32x4_t four = vreinterpretq_s32_s8(vld1q_s8(w + column / 4 * 4 * FB_U8S8_STEP)), zero = vdupq_n_s32(0);
    return vreinterpretq_s8_s32(column % 4 == 0 ? vzip1q_s32(four, zero) : vzip2q_s32(four, zero));
}

PRODUCT_INLINE uint8x16_t codes_pair(const uint8_t *a, const uint8_t *b) { return vcombine_u8(vld1_u8(a), vld1_u8(b)); }
PRODUCT_INLINE uint8x16_t codes_quad(const uint8_t *a, const uint8_t *b)
{
    uint32_t first, second;
    memcpy(&first, a, sizeof first);
    memcpy(&second, b, sizeof second);
    return vcombine_u8(vcreate_u8(first), vcreate_u8(second));
}

PRODUCT_INLINE int32x4_t quarter_of(int32x4_t left, int32x4_t right, bool second)
{
    const int64x2_t a = vreinterpretq_s64_s32(left), b = vreinterpretq_s64_s32(right);
    return vreinterpretq_s32_s64(second ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
}
PRODUCT_INLINE FbVi sums_row(Sums s, bool second)
{
    return (FbVi){quarter_of(s.c0, s.c2, second), quarter_of(s.c4, s.c6, second), quarter_of(s.c8, s.c10, second),
                  quarter_of(s.c12, s.c14, second)};
}

#define EACH_PAIR(X) X(0) X(1) X(2)
#define EACH_COLUMN(X) X(0) X(2) X(4) X(6) X(8) X(10) X(12) X(14)

/* Two columns of one step of depth. */
#define TILE_COLUMN(weights, n)                                        \
    {                                                                  \
        const int8x16_t column = weights(w, n);                        \
        sum0.c##n = vusmmlaq_s32(sum0.c##n, codes0, column);           \
        if (pairs > 1) {                                               \
            sum1.c##n = vusmmlaq_s32(sum1.c##n, codes1, column);       \
        }                                                              \
        if (pairs > 2) {                                               \
            sum2.c##n = vusmmlaq_s32(sum2.c##n, codes2, column);       \
        }                                                              \
    }

/* `pairs` is a constant of the caller. Of an odd number of rows the last one is computed twice. */
PRODUCT_INLINE void tile_of(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t rows, const size_t pairs)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const Sums none = {zero, zero, zero, zero, zero, zero, zero, zero};
#define TILE_START(i) Sums sum##i = none;
    EACH_PAIR(TILE_START)
    const int8_t *w = product_panel(p);
    const size_t quads = product_quads(p), last = row + rows - 1;
    for (size_t tap = 0; tap < p->w->taps; tap++) {
#define TILE_POINTER(i)                                                                      \
    const uint8_t *a##i = i < pairs ? product_row(p, tap, row + 2 * i) : NULL;               \
    const uint8_t *b##i = i < pairs ? product_row(p, tap, row + 2 * i < last ? row + 2 * i + 1 : last) : NULL;
        EACH_PAIR(TILE_POINTER)
        size_t at = 0;
        for (; at + PAIR <= quads * FB_U8S8_STEP; at += PAIR, w += PAIR_BYTES) {
#define TILE_PAIR(i) const uint8x16_t codes##i = i < pairs ? codes_pair(a##i + at, b##i + at) : vdupq_n_u8(0);
            EACH_PAIR(TILE_PAIR)
#define TILE_PAIR_COLUMN(n) TILE_COLUMN(weights_pair, n)
            EACH_COLUMN(TILE_PAIR_COLUMN)
        }
        if (quads % 2 != 0) {
#define TILE_QUAD(i) const uint8x16_t codes##i = i < pairs ? codes_quad(a##i + at, b##i + at) : vdupq_n_u8(0);
            EACH_PAIR(TILE_QUAD)
#define TILE_QUAD_COLUMN(n) TILE_COLUMN(weights_quad, n)
            EACH_COLUMN(TILE_QUAD_COLUMN)
            w += PAIR_BYTES / 2;
        }
    }
#define TILE_STORE(i)                                                     \
    if (i < pairs) {                                                      \
        product_store(p, plan, row + 2 * i, sums_row(sum##i, false));     \
        if (row + 2 * i < last) {                                         \
            product_store(p, plan, row + 2 * i + 1, sums_row(sum##i, true)); \
        }                                                                 \
    }
    EACH_PAIR(TILE_STORE)
#undef TILE_START
#undef TILE_POINTER
#undef TILE_PAIR
#undef TILE_PAIR_COLUMN
#undef TILE_QUAD
#undef TILE_QUAD_COLUMN
#undef TILE_STORE
}

static void product_tile(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t rows)
{
    if (rows > 4) {
        tile_of(p, plan, row, rows, 3);
    } else if (rows > 2) {
        tile_of(p, plan, row, rows, 2);
    } else {
        tile_of(p, plan, row, rows, 1);
    }
}

static FbStatus product_pack_pairs(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                                   size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err)
{
    FB_TRY(product_pack(context, arena, w, depth_stride, col_stride, taps, depth, cols, packed, err));
    const size_t quads = depth / FB_U8S8_STEP + (depth % FB_U8S8_STEP != 0);
    int8_t *panels = (int8_t *)packed->panels; /* the arena's, just written */
    for (size_t tap = 0; tap < packed->panel_count * taps; tap++) {
        for (size_t pair = 0; pair < quads / 2; pair++) {
            int8_t *to = panels + tap * quads * (PAIR_BYTES / 2) + pair * PAIR_BYTES, from[PAIR_BYTES];
            memcpy(from, to, sizeof from);
            for (size_t n = 0; n < COL_TILE; n++) {
                memcpy(to + n * PAIR, from + n * FB_U8S8_STEP, FB_U8S8_STEP);
                memcpy(to + n * PAIR + FB_U8S8_STEP, from + PAIR_BYTES / 2 + n * FB_U8S8_STEP, FB_U8S8_STEP);
            }
        }
    }
    return FB_OK;
}

const FbProductU8S8Kernel fb_product_u8s8_neon_i8mm = {"neon_i8mm", FB_CPU_NEON | FB_CPU_NEON_I8MM, ROW_TILE, COL_TILE, product_pack_pairs, product_run};
