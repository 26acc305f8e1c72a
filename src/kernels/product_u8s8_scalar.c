/* The integer product in plain C: what every other row has to equal. */
#include "kernels/simd_scalar.h"

#include "kernels/integer_epilogue.h"
#include "kernels/product_u8s8_pack.h"

enum { ROW_TILE = 4, COL_TILE = 16 };

static void sum_row(const FbProductU8S8 *p, size_t row, int32_t sums[COL_TILE])
{
    const int8_t *w = p->w->panels + p->panel * p->w->panel_bytes;
    const size_t quads = (p->w->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP;
    memset(sums, 0, COL_TILE * sizeof *sums);
    for (size_t tap = 0; tap < p->w->taps; tap++, w += quads * COL_TILE * FB_U8S8_STEP) {
        const uint8_t *a = p->a[tap * p->a_row_stride + row];
        a += a == p->zero ? 0 : p->a_offset;
        for (size_t d = 0; d < p->w->depth; d++) {
            const int8_t *quad = w + d / FB_U8S8_STEP * COL_TILE * FB_U8S8_STEP + d % FB_U8S8_STEP;
            for (size_t n = 0; n < p->cols; n++) {
                sums[n] = (int32_t)((uint32_t)sums[n] + (uint32_t)(a[d] * quad[n * FB_U8S8_STEP])); /* the total fits, parts may not */
            }
        }
    }
}

static void product_run(const FbProductU8S8 *p)
{
    int32_t sums[COL_TILE];
    const FbIntegerPlan plan = p->epilogue ? fb_integer_plan(p->epilogue) : (FbIntegerPlan){0};
    for (size_t row = 0; row < p->rows; row++) {
        const size_t at = row * p->c_stride;
        sum_row(p, row, sums);
        if (!p->epilogue) {
            memcpy((int32_t *)p->c + at, sums, p->cols * sizeof *sums);
        } else if (p->epilogue->codes) {
            fb_integer_row(&plan, sums, row, (uint8_t *)p->c + at, p->cols);
        } else {
            fb_integer_row(&plan, sums, row, (float *)p->c + at, p->cols);
        }
    }
}

static FbStatus product_pack(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                             size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err)
{
    return fb_product_u8s8_pack(context, arena, w, depth_stride, col_stride, taps, depth, cols, COL_TILE, packed, err);
}

const FbProductU8S8Kernel fb_product_u8s8_scalar = {"scalar", FB_CPU_SCALAR, ROW_TILE, COL_TILE, product_pack, product_run};
