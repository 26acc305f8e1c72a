/* The integer product with vpdpbusd, which adds four products u8 * s8 to an int32 without saturation: exact as it stands. Included once per
 * instruction set, after its simd_*.h and
 *   PRODUCT_ROW_TILE, PRODUCT_EACH_ROW(X)   the number of rows and X(0) X(1) ...
 *   PRODUCT_VECTORS                         1 or 2 times sixteen columns
 *   FbSpread, product_spread, product_dot   a quad of codes in all lanes; sixteen sums plus quads times 64 weights
 *   PRODUCT_KERNEL, PRODUCT_NAME, PRODUCT_NEEDS */
#include "kernels/product_u8s8_finish.h"
#include "kernels/product_u8s8_pack.h"

enum { PRODUCT_COL_TILE = 16 * PRODUCT_VECTORS, PRODUCT_STEP_BYTES = PRODUCT_COL_TILE * FB_U8S8_STEP };

/* `rows` is a constant of the caller: what lies beyond it disappears when this is inlined. */
FB_INTEGER_INLINE void product_tile(const FbProductU8S8 *p, const ProductFinish *finish, const size_t row, const size_t rows)
{
    const FbPackedU8S8 *packed = p->w;
    const size_t bytes = (packed->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP * FB_U8S8_STEP;
    const int8_t *w = packed->panels + p->panel * packed->panel_bytes;
#define PRODUCT_START(i) FbVi sum##i = fb_vi_set(0), more##i = fb_vi_set(0);
    PRODUCT_EACH_ROW(PRODUCT_START)
    for (size_t tap = 0; tap < packed->taps; tap++) {
#define PRODUCT_POINTER(i) const uint8_t *a##i = i < rows ? product_row(p, tap, row + i) : NULL;
        PRODUCT_EACH_ROW(PRODUCT_POINTER)
        for (size_t k = 0; k < bytes; k += FB_U8S8_STEP, w += PRODUCT_STEP_BYTES) {
            const FbVi weights = fb_vi_load((const int32_t *)(const void *)w);
            const FbVi right = PRODUCT_VECTORS > 1 ? fb_vi_load((const int32_t *)(const void *)(w + PRODUCT_STEP_BYTES / 2)) : weights;
#define PRODUCT_STEP(i)                                                                        \
    if (i < rows) {                                                                            \
        const FbSpread quad = product_spread(a##i + k);                                        \
        sum##i = product_dot(sum##i, quad, weights);                                           \
        more##i = PRODUCT_VECTORS > 1 ? product_dot(more##i, quad, right) : more##i;           \
    }
            PRODUCT_EACH_ROW(PRODUCT_STEP)
        }
    }
    if (finish->quick && p->cols == PRODUCT_COL_TILE) {
#define PRODUCT_FINISH(i)                                                        \
    if (i < rows) {                                                              \
        product_finish_quick(p, finish, row + i, 0, sum##i);                     \
        if (PRODUCT_VECTORS > 1) {                                               \
            product_finish_quick(p, finish, row + i, 1, more##i);                \
        }                                                                        \
    }
        PRODUCT_EACH_ROW(PRODUCT_FINISH)
        return;
    }
    int32_t sums[PRODUCT_ROW_TILE][PRODUCT_VECTORS][FB_LANES];
#define PRODUCT_KEEP(i)                                                          \
    if (i < rows) {                                                              \
        fb_vi_store(sums[i][0], sum##i);                                         \
        fb_vi_store(sums[i][PRODUCT_VECTORS - 1], PRODUCT_VECTORS > 1 ? more##i : sum##i); \
    }
    PRODUCT_EACH_ROW(PRODUCT_KEEP)
    product_finish_rows(p, finish, row, rows, PRODUCT_VECTORS, sums[0][0]);
#undef PRODUCT_START
#undef PRODUCT_POINTER
#undef PRODUCT_STEP
#undef PRODUCT_FINISH
#undef PRODUCT_KEEP
}

static void product_run(const FbProductU8S8 *p)
{
    const ProductFinish finish = product_finish_of(p);
    size_t row = 0;
    for (; row + PRODUCT_ROW_TILE <= p->rows; row += PRODUCT_ROW_TILE) {
        product_tile(p, &finish, row, PRODUCT_ROW_TILE);
    }
#define PRODUCT_CASE(i)                          \
    if (p->rows - row == i) {                    \
        product_tile(p, &finish, row, i);          \
    }
    if (row < p->rows) {
        PRODUCT_EACH_ROW(PRODUCT_CASE)
    }
#undef PRODUCT_CASE
    product_finish_panel(p);
}

static FbStatus product_pack(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                             size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err)
{
    return fb_product_u8s8_pack(context, arena, w, depth_stride, col_stride, taps, depth, cols, PRODUCT_COL_TILE, packed, err);
}

const FbProductU8S8Kernel PRODUCT_KERNEL = {PRODUCT_NAME, PRODUCT_NEEDS, PRODUCT_ROW_TILE, PRODUCT_COL_TILE, product_pack, product_run};
