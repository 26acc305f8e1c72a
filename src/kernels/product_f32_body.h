/* The float product: a tile of PRODUCT_ROWS rows and one panel of PRODUCT_VECTORS times sixteen columns, accumulators in registers.
 * Included once per instruction set, after its simd_*.h and
 *   PRODUCT_ROW_TILE, PRODUCT_EACH_ROW(X)   the number of rows and X(0) X(1) ...
 *   FbPanel, panel_*                        the vectors of one panel row (product_f32_panel.h) */
#include "kernels/epilogue_math.h"
#include "kernels/product_f32.h"

#define PRODUCT_INLINE static inline __attribute__((always_inline))

/* A row that is padding points at the zeros, which do not move with the image. */
static inline const float *product_row(const FbProductF32 *p, size_t tap, size_t row)
{
    const float *a = p->a[tap * p->a_row_stride + row];
    return a == p->zero ? a : a + p->a_offset;
}

/* Any epilogue, over the accumulators that the tile stored. Kept apart: accumulators that are passed on do not stay in registers. */
static void product_epilogue(const FbProductF32 *p)
{
    for (size_t row = 0; row < p->rows; row++) {
        float *c = p->c + row * p->c_stride;
        for (size_t column = 0; column < p->cols; column += FB_LANES) {
            const size_t n = p->cols - column < FB_LANES ? p->cols - column : FB_LANES;
            fb_v_store_n(c + column, fb_epilogue_lanes(fb_v_load_n(c + column, n), p->epilogue, row, column, n), n);
        }
    }
}

PRODUCT_INLINE void product_store(const FbProductF32 *p, size_t row, FbPanel sum, const FbEpilogueSimple *simple, FbPanel bias)
{
    if (simple) {
        sum = panel_add(sum, bias);
        if (simple->add) {
            sum = panel_add(sum, panel_load(simple->add->operand + row * simple->add->operand_stride, p->cols));
        }
        sum = panel_clamp(sum, simple->low, simple->high);
    }
    panel_store(p->c + row * p->c_stride, sum, p->cols);
}

/* `rows` is a constant of the caller: what lies beyond it disappears when this is inlined. */
PRODUCT_INLINE void product_tile(const FbProductF32 *p, const size_t rows)
{
#define PRODUCT_START(i) FbPanel sum##i = i < rows && p->accumulate ? panel_load(p->c + i * p->c_stride, p->cols) : panel_set(0.0f);
    PRODUCT_EACH_ROW(PRODUCT_START)
    const float *w = p->w;
    for (size_t tap = 0; tap < p->taps; tap++) {
#define PRODUCT_POINTER(i) const float *a##i = i < rows ? product_row(p, tap, i) : NULL;
        PRODUCT_EACH_ROW(PRODUCT_POINTER)
        for (size_t k = 0; k < p->depth; k++) {
            const FbPanel weights = panel_load_all(w);
            w += PRODUCT_COL_TILE;
#define PRODUCT_STEP(i)                                \
    if (i < rows) {                                    \
        sum##i = panel_fma(a##i[k], weights, sum##i);  \
    }
            PRODUCT_EACH_ROW(PRODUCT_STEP)
        }
    }
    FbEpilogueSimple simple;
    if (p->epilogue && fb_epilogue_simple(p->epilogue, &simple)) {
        const FbPanel bias = p->epilogue->bias ? panel_load(p->epilogue->bias, p->cols) : panel_set(-0.0f);
#define PRODUCT_FINISH(i)                            \
    if (i < rows) {                                  \
        product_store(p, i, sum##i, &simple, bias);  \
    }
        PRODUCT_EACH_ROW(PRODUCT_FINISH)
        return;
    }
#define PRODUCT_PLAIN(i)                                      \
    if (i < rows) {                                           \
        product_store(p, i, sum##i, NULL, panel_set(0.0f));   \
    }
    PRODUCT_EACH_ROW(PRODUCT_PLAIN)
    if (p->epilogue) {
        product_epilogue(p);
    }
#undef PRODUCT_START
#undef PRODUCT_POINTER
#undef PRODUCT_STEP
#undef PRODUCT_FINISH
#undef PRODUCT_PLAIN
}

static void product_run(const FbProductF32 *p)
{
#define PRODUCT_CASE(i)                     \
    if (p->rows == PRODUCT_ROW_TILE - i) {  \
        product_tile(p, PRODUCT_ROW_TILE - i); \
    } else
    PRODUCT_EACH_ROW(PRODUCT_CASE)
    {
        return;
    }
#undef PRODUCT_CASE
}

const FbProductF32Kernel FB_ISA(fb_product_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, PRODUCT_ROW_TILE, PRODUCT_COL_TILE, product_run};
