/* Codes for the NEON instructions that multiply signed bytes only: a - 128 stands for a, and 128 times the sum of a column's weights is added
 * in the end. Sums wrap as int32 does; the total fits. */
#ifndef FB_KERNELS_PRODUCT_U8S8_NEON_SIGNED_H
#define FB_KERNELS_PRODUCT_U8S8_NEON_SIGNED_H

#include "kernels/product_u8s8_neon.h"

static inline FbVi product_start(const FbProductU8S8 *p)
{
    const FbVi sums = fb_vi_load_n(p->w->column_sum + p->panel * COL_TILE, p->cols);
    return (FbVi){vshlq_n_s32(sums.q0, 7), vshlq_n_s32(sums.q1, 7), vshlq_n_s32(sums.q2, 7), vshlq_n_s32(sums.q3, 7)};
}

/* Four codes less 128, four times. */
static inline int8x16_t product_codes(const uint8_t *a)
{
    uint32_t quad;
    memcpy(&quad, a, sizeof quad);
    return vreinterpretq_s8_u32(vdupq_n_u32(quad ^ 0x80808080u));
}

#endif
