/* From a row of sums in registers to the store of product_u8s8.h; included after one of the simd_*.h. */
#ifndef FB_KERNELS_PRODUCT_U8S8_FINISH_H
#define FB_KERNELS_PRODUCT_U8S8_FINISH_H

#include "kernels/integer_epilogue.h"
#include "kernels/product_u8s8.h"

enum { PRODUCT_VECTORS_MAX = 2 }; /* of sixteen columns in a panel */

/* All that the store of a panel needs, made ready once per run. */
typedef struct ProductFinish {
    FbIntegerPlan plan;
    bool quick;                          /* whole vectors and the frequent kinds */
    FbVi offset[PRODUCT_VECTORS_MAX];
    FbV scale[PRODUCT_VECTORS_MAX], bias[PRODUCT_VECTORS_MAX];
    size_t n[PRODUCT_VECTORS_MAX];       /* columns of the vector */
    const float *biased;
    const FbEpilogueOp *round, *add;
    bool codes, scaled;                  /* scaled: inverse is not 1 */
    float inverse;
    int32_t zero;
    uint8_t low_code, high_code;
} ProductFinish;

static inline ProductFinish product_finish_of(const FbProductU8S8 *p)
{
    ProductFinish f;
    memset(&f, 0, sizeof f);
    if (!p->epilogue) {
        return f;
    }
    const FbIntegerEpilogue *e = p->epilogue;
    f.plan = fb_integer_plan(e);
    f.plan.table = NULL; /* product_finish_panel's */
    f.quick = f.plan.straight && p->cols % FB_LANES == 0;
    for (size_t v = 0; v < PRODUCT_VECTORS_MAX && v * FB_LANES < p->cols; v++) {
        const size_t at = v * FB_LANES;
        f.n[v] = p->cols - at < FB_LANES ? p->cols - at : FB_LANES;
        f.offset[v] = fb_vi_load_n(e->offset + at, f.n[v]);
        f.scale[v] = fb_v_load_n(e->scale + at, f.n[v]);
        f.bias[v] = e->real.bias ? fb_v_load_n(e->real.bias + at, f.n[v]) : fb_v_set(0);
    }
    f.biased = e->real.bias;
    f.round = f.plan.round;
    f.add = f.plan.add;
    f.codes = e->codes;
    f.inverse = e->inverse;
    f.scaled = e->inverse != 1; /* 1 changes no bit */
    f.zero = e->grid.zero;
    f.low_code = f.plan.low_code;
    f.high_code = f.plan.high_code;
    return f;
}

/* Where vector `v` of row `row` is stored. */
static inline void *product_at(const FbProductU8S8 *p, size_t row, size_t v)
{
    const size_t at = row * p->c_stride + v * FB_LANES;
    return !p->epilogue ? (void *)((int32_t *)p->c + at) : p->epilogue->codes ? (void *)((uint8_t *)p->c + at) : (void *)((float *)p->c + at);
}

enum { PRODUCT_TOGETHER = 8 }; /* rows */

/* One operation on the reals of `rows` rows from `row` on, x[rows][vectors]: the functions of neighbouring vectors overlap, each of them being a
 * long chain of operations that wait for each other. */
static inline void product_apply(const FbEpilogueOp *op, const ProductFinish *f, size_t row, size_t rows, size_t vectors, FbV *x)
{
    const size_t count = rows * vectors;
#define PRODUCT_EACH(function)             \
    for (size_t i = 0; i < count; i++) {   \
        x[i] = function(x[i]);             \
    }
    switch (op->kind) {
    case FB_EPILOGUE_SIGMOID: PRODUCT_EACH(fb_m_sigmoid) return;
    case FB_EPILOGUE_SILU: PRODUCT_EACH(fb_m_silu) return;
    case FB_EPILOGUE_TANH: PRODUCT_EACH(fb_m_tanh) return;
    case FB_EPILOGUE_GELU_ERF: PRODUCT_EACH(fb_m_gelu_erf) return;
    case FB_EPILOGUE_CLAMP:
    case FB_EPILOGUE_ADD:
    case FB_EPILOGUE_MUL:
    case FB_EPILOGUE_ROUND:
    case FB_EPILOGUE_LEAKY:
    case FB_EPILOGUE_HARD_SIGMOID:
    case FB_EPILOGUE_HARD_SWISH: break;
    }
#undef PRODUCT_EACH
    for (size_t i = 0; i < count; i++) {
        x[i] = epilogue_kind(x[i], op, row + i / vectors, i % vectors * FB_LANES, f->n[i % vectors]);
    }
}

/* fb_integer_lanes operation by operation; at most PRODUCT_TOGETHER rows, `vectors` that have columns. stride: sums from row to row. */
static inline void product_finish_together(const FbProductU8S8 *p, const ProductFinish *f, size_t row, size_t rows, size_t vectors,
                                           const int32_t *sums, size_t stride)
{
    FbV x[PRODUCT_TOGETHER * PRODUCT_VECTORS_MAX];
    for (size_t i = 0; i < rows * vectors; i++) {
        const size_t v = i % vectors;
        const FbVi sum = fb_vi_load(sums + i / vectors * stride + v * FB_LANES);
        x[i] = fb_v_mul(fb_v_from_int(fb_vi_add(sum, f->offset[v])), f->scale[v]);
        x[i] = f->biased ? fb_v_add(x[i], f->bias[v]) : x[i];
    }
    for (int o = 0; o < f->plan.count; o++) {
        product_apply(&p->epilogue->real.ops[o], f, row, rows, vectors, x);
    }
    for (size_t i = 0; i < rows * vectors; i++) {
        fb_integer_store(&f->plan, x[i], product_at(p, row + i / vectors, i % vectors), f->n[i % vectors]);
    }
}

/* Any way to finish: sums are [rows][vectors][16]. A tile stores them and calls this once: a call amid the rows would keep the sums of
 * the others out of registers. */
static __attribute__((noinline)) void product_finish_rows(const FbProductU8S8 *p, const ProductFinish *f, size_t row, size_t rows,
                                                          size_t vectors, const int32_t *sums)
{
    if (p->epilogue && !f->plan.straight) {
        const size_t used = (p->cols + FB_LANES - 1) / FB_LANES;
        for (size_t i = 0; i < rows; i += PRODUCT_TOGETHER) {
            product_finish_together(p, f, row + i, rows - i < PRODUCT_TOGETHER ? rows - i : PRODUCT_TOGETHER, used, sums + i * vectors * FB_LANES,
                                    vectors * FB_LANES);
        }
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t v = 0; v < vectors && v * FB_LANES < p->cols; v++) {
            const FbVi sum = fb_vi_load(sums + (i * vectors + v) * FB_LANES);
            const size_t left = p->cols - v * FB_LANES, n = left < FB_LANES ? left : FB_LANES;
            if (!p->epilogue) {
                fb_vi_store_n(product_at(p, row + i, v), sum, n);
            } else {
                fb_integer_lanes(&f->plan, sum, row + i, v * FB_LANES, product_at(p, row + i, v), n);
            }
        }
    }
}

/* Sums of vector `v` of row `row` where f->quick; the same operations as fb_integer_lanes. */
FB_INTEGER_INLINE void product_finish_quick(const FbProductU8S8 *p, const ProductFinish *f, size_t row, size_t v, FbVi sum)
{
    FbV x = fb_v_mul(fb_v_from_int(fb_vi_add(sum, f->offset[v])), f->scale[v]);
    if (f->biased) {
        x = fb_v_add(x, f->bias[v]);
    }
    if (f->round) {
        x = fb_epilogue_round(x, f->round);
    }
    if (f->add) {
        x = fb_v_add(x, fb_epilogue_operand(f->add, row, v * FB_LANES, FB_LANES));
    }
    const size_t at = row * p->c_stride + v * FB_LANES;
    if (!f->codes) {
        fb_v_store((float *)p->c + at, fb_m_clamp(x, fb_v_set(f->plan.low), fb_v_set(f->plan.high)));
        return;
    }
    if (f->scaled) {
        x = fb_v_mul(x, fb_v_set(f->inverse));
    }
    const FbVb codes = fb_vb_codes(x, fb_vi_set(f->zero));
    fb_vb_store((uint8_t *)p->c + at, fb_vb_min(fb_vb_max(codes, fb_vb_set(f->low_code)), fb_vb_set(f->high_code)));
}

/* After all rows of a run: codes that are stored by now go through the table, two rows at a time. */
static void product_finish_panel(const FbProductU8S8 *p)
{
    if (!p->epilogue || !p->epilogue->codes || !p->epilogue->table) {
        return;
    }
    const uint8_t *table = p->epilogue->table;
    for (size_t column = 0; column < p->cols; column += FB_LANES) {
        const size_t left = p->cols - column;
        uint8_t *c = (uint8_t *)p->c + column;
        size_t row = 0;
        for (; left >= FB_LANES && row + 2 <= p->rows; row += 2, c += 2 * p->c_stride) {
            fb_vb_map_pair(c, c, c + p->c_stride, c + p->c_stride, table);
        }
        for (; row < p->rows; row++, c += p->c_stride) {
            fb_vb_map(c, c, left < FB_LANES ? left : FB_LANES, table);
        }
    }
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
