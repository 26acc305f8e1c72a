/* What the NEON rows of the integer product share: panels of sixteen columns, rows cut into tiles, the store. Included after simd_neon.h and
 * ROW_TILE; the row defines product_tile. */
#ifndef FB_KERNELS_PRODUCT_U8S8_NEON_H
#define FB_KERNELS_PRODUCT_U8S8_NEON_H

#include "kernels/integer_epilogue.h"
#include "kernels/product_u8s8_pack.h"

#define PRODUCT_INLINE static inline __attribute__((always_inline))

enum { COL_TILE = 16 };

static inline const int8_t *product_panel(const FbProductU8S8 *p) { return p->w->panels + p->panel * p->w->panel_bytes; }
static inline size_t product_quads(const FbProductU8S8 *p) { return (p->w->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP; }

static inline const uint8_t *product_row(const FbProductU8S8 *p, size_t tap, size_t row)
{
    const uint8_t *a = p->a[tap * p->a_row_stride + row];
    return a == p->zero ? a : a + p->a_offset;
}

/* Not inlined: a tile has up to six rows, and there is a tile for each number of rows. */
static __attribute__((noinline)) void product_store(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, FbVi sum)
{
    const size_t at = row * p->c_stride;
    if (!p->epilogue) {
        fb_vi_store_n((int32_t *)p->c + at, sum, p->cols);
    } else {
        void *c = p->epilogue->codes ? (void *)((uint8_t *)p->c + at) : (void *)((float *)p->c + at);
        fb_integer_lanes(plan, sum, row, 0, c, p->cols);
    }
}

static void product_tile(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t rows);

static void product_run(const FbProductU8S8 *p)
{
    const FbIntegerPlan plan = p->epilogue ? fb_integer_plan(p->epilogue) : (FbIntegerPlan){0};
    for (size_t row = 0; row < p->rows; row += ROW_TILE) {
        product_tile(p, &plan, row, p->rows - row < ROW_TILE ? p->rows - row : ROW_TILE);
    }
}

static FbStatus product_pack(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                             size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err)
{
    return fb_product_u8s8_pack(context, arena, w, depth_stride, col_stride, taps, depth, cols, COL_TILE, packed, err);
}

#endif
