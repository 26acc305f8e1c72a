/* The epilogue on sixteen accumulators; included after one of the simd_*.h. Bias, then the kinds in order, each as its stand-alone
 * operator computes it. */
#ifndef FB_KERNELS_EPILOGUE_MATH_H
#define FB_KERNELS_EPILOGUE_MATH_H

#include <math.h>

#include "kernels/epilogue.h"
#include "kernels/functions_math.h"

/* The operand of ADD and MUL at lanes [column, column + n) of row `row`. */
static inline FbV fb_epilogue_operand(const FbEpilogueOp *op, size_t row, size_t column, size_t n)
{
    const size_t at = row * op->operand_stride + column;
    if (op->codes) {
        const FbVb codes = n == FB_LANES ? fb_vb_load(op->codes + at) : fb_vb_load_n(op->codes + at, n);
        return fb_v_mul(fb_v_set(op->a), fb_v_sub(fb_v_from_int(fb_vi_from_bytes(codes)), fb_v_set(op->b)));
    }
    return n == FB_LANES ? fb_v_load(op->operand + at) : fb_v_load_n(op->operand + at, n);
}

static inline FbV fb_epilogue_round(FbV x, const FbEpilogueOp *op)
{
    const FbV a = fb_v_set(op->a), b = fb_v_set(op->b);
    return fb_v_mul(fb_v_sub(fb_m_grid(x, a, b, fb_v_set((float)op->low), fb_v_set((float)op->high)), b), a);
}

static inline FbV epilogue_kind(FbV x, const FbEpilogueOp *op, size_t row, size_t column, size_t n)
{
    const FbV a = fb_v_set(op->a), b = fb_v_set(op->b);
    switch (op->kind) {
    case FB_EPILOGUE_CLAMP: return fb_m_clamp(x, a, b);
    case FB_EPILOGUE_ADD: return fb_v_add(x, fb_epilogue_operand(op, row, column, n));
    case FB_EPILOGUE_MUL: return fb_v_mul(x, fb_epilogue_operand(op, row, column, n));
    case FB_EPILOGUE_ROUND: return fb_epilogue_round(x, op);
    case FB_EPILOGUE_LEAKY: return fb_m_leaky(x, a);
    case FB_EPILOGUE_SIGMOID: return fb_m_sigmoid(x);
    case FB_EPILOGUE_SILU: return fb_m_silu(x);
    case FB_EPILOGUE_TANH: return fb_m_tanh(x);
    case FB_EPILOGUE_HARD_SIGMOID: return fb_m_hard_sigmoid(x, a, b);
    case FB_EPILOGUE_HARD_SWISH: return fb_m_hard_swish(x);
    case FB_EPILOGUE_GELU_ERF: return fb_m_gelu_erf(x);
    }
    return x;
}

/* Lanes [column, column + n) of row `row` of the tile. */
static inline FbV fb_epilogue_lanes(FbV x, const FbEpilogue *epilogue, size_t row, size_t column, size_t n)
{
    if (epilogue->bias) {
        x = fb_v_add(x, fb_v_load_n(epilogue->bias + column, n));
    }
    for (int i = 0; i < epilogue->count; i++) {
        x = epilogue_kind(x, &epilogue->ops[i], row, column, n);
    }
    return x;
}

/* The frequent shapes, straight-line: bias, at most one ADD, at most one CLAMP after it. A missing part is its exact identity:
 * -0 for the bias, the infinities for the clamp. */
typedef struct FbEpilogueSimple {
    const FbEpilogueOp *add;
    float low, high;
} FbEpilogueSimple;

static inline bool fb_epilogue_simple(const FbEpilogue *epilogue, FbEpilogueSimple *simple)
{
    *simple = (FbEpilogueSimple){NULL, -INFINITY, INFINITY};
    int i = 0;
    if (i < epilogue->count && epilogue->ops[i].kind == FB_EPILOGUE_ADD && !epilogue->ops[i].codes) {
        simple->add = &epilogue->ops[i++];
    }
    if (i < epilogue->count && epilogue->ops[i].kind == FB_EPILOGUE_CLAMP) {
        simple->low = epilogue->ops[i].a;
        simple->high = epilogue->ops[i++].b;
    }
    return i == epilogue->count;
}

#endif
