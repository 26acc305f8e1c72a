/* From a row of sums in registers to the store of product_u8s8.h; included after one of the simd_*.h. */
#ifndef FB_KERNELS_PRODUCT_U8S8_FINISH_H
#define FB_KERNELS_PRODUCT_U8S8_FINISH_H

#include "kernels/integer_epilogue.h"
#include "kernels/product_u8s8.h"

/* Where column `column` of row `row` is stored. */
static inline void *product_at(const FbProductU8S8 *p, size_t row, size_t column)
{
    const size_t at = row * p->c_stride + column;
    return !p->epilogue ? (void *)((int32_t *)p->c + at) : p->epilogue->codes ? (void *)((uint8_t *)p->c + at) : (void *)((float *)p->c + at);
}

/* The rare ways to finish. Kept apart: they would crowd the registers of the frequent one. */
static __attribute__((noinline)) void product_finish_any(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t column,
                                                         const int32_t sums[FB_LANES])
{
    const size_t n = p->cols - column < FB_LANES ? p->cols - column : FB_LANES;
    if (!p->epilogue) {
        fb_vi_store_n(product_at(p, row, column), fb_vi_load(sums), n);
    } else {
        fb_integer_lanes(plan, fb_vi_load(sums), row, column, product_at(p, row, column), n);
    }
}

/* Sixteen sums from `column` on of row `row`; column is less than p->cols. */
FB_INTEGER_INLINE void product_finish(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t column, FbVi sum)
{
    if (p->cols - column >= FB_LANES && plan->straight) {
        const FbVi offset = fb_vi_load(p->epilogue->offset + column);
        const FbV scale = fb_v_load(p->epilogue->scale + column);
        FbV x = fb_v_mul(fb_v_from_int(fb_vi_add(sum, offset)), scale);
        x = fb_integer_straight(plan, x, row, column, FB_LANES);
        fb_integer_store(plan, x, product_at(p, row, column), FB_LANES);
        return;
    }
    int32_t sums[FB_LANES];
    fb_vi_store(sums, sum);
    product_finish_any(p, plan, row, column, sums);
}

/* A row that is padding points at the codes of zero, which do not move with the image. */
static inline const uint8_t *product_row(const FbProductU8S8 *p, size_t tap, size_t row)
{
    const uint8_t *a = p->a[tap * p->a_row_stride + row];
    return a == p->zero ? a : a + p->a_offset;
}

static inline int32_t product_quad(const uint8_t *a) /* FB_U8S8_STEP codes */
{
    int32_t quad;
    memcpy(&quad, a, sizeof quad);
    return quad;
}

#endif
