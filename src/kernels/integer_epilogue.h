/* FbIntegerEpilogue on sixteen int32 sums; included after one of the simd_*.h. One source for every instruction set: the same bits.
 *
 * Codes. Multiplication by a positive number and rint are monotone, so a CLAMP that comes last is the same as a clamp of the codes between
 * the codes of its bounds, and takes part in the grid's own. What is no number gets the lowest code that can be stored. */
#ifndef FB_KERNELS_INTEGER_EPILOGUE_H
#define FB_KERNELS_INTEGER_EPILOGUE_H

#include "kernels/epilogue_math.h"

#define FB_INTEGER_INLINE static inline __attribute__((always_inline))

/* An epilogue made ready, once per run of a kernel. */
typedef struct FbIntegerPlan {
    const FbIntegerEpilogue *epilogue;
    int count;                       /* of the ops that are left when bounds have taken the last CLAMP */
    float low, high;                 /* of a last CLAMP, or the infinities */
    uint8_t low_code, high_code;     /* of all codes */
    bool straight;                   /* the ops are at most `round`, then `add` */
    const FbEpilogueOp *round, *add;
    const uint8_t *table;            /* looked up by fb_integer_store */
    float round_inverse;             /* 1 / round's a: a division for each element would cost more than the product of few channels */
} FbIntegerPlan;

static inline uint8_t integer_bound(float value, const FbIntegerEpilogue *e)
{
    const float low = (float)e->grid.low, high = (float)e->grid.high;
    const float code = rintf(value * e->inverse) + (float)e->grid.zero;
    return (uint8_t)(code > low ? (code < high ? code : high) : low);
}

static inline FbIntegerPlan fb_integer_plan(const FbIntegerEpilogue *e)
{
    FbIntegerPlan plan = {.epilogue = e, .count = e->real.count, .low = -INFINITY, .high = INFINITY,
                          .table = e->table};
    if (plan.count > 0 && e->real.ops[plan.count - 1].kind == FB_EPILOGUE_CLAMP) {
        plan.count--;
        plan.low = e->real.ops[plan.count].a;
        plan.high = e->real.ops[plan.count].b;
    }
    if (e->codes) {
        plan.low_code = integer_bound(plan.low, e);
        plan.high_code = integer_bound(plan.high, e);
    }
    int i = 0;
    if (i < plan.count && e->real.ops[i].kind == FB_EPILOGUE_ROUND) {
        plan.round_inverse = 1.0f / e->real.ops[i].a;
        plan.round = &e->real.ops[i++];
    }
    if (i < plan.count && e->real.ops[i].kind == FB_EPILOGUE_ADD) {
        plan.add = &e->real.ops[i++];
    }
    plan.straight = i == plan.count;
    return plan;
}

/* Reals of lanes [column, column + n) of row `row`, before the last CLAMP. */
FB_INTEGER_INLINE FbV fb_integer_straight(const FbIntegerPlan *plan, FbV x, size_t row, size_t column, size_t n)
{
    if (plan->epilogue->real.bias) {
        x = fb_v_add(x, fb_v_load_n(plan->epilogue->real.bias + column, n));
    }
    if (plan->round) {
        const FbEpilogueOp *op = plan->round;
        const FbV zero = fb_v_set(op->b);
        x = fb_m_grid_of(fb_v_mul(x, fb_v_set(plan->round_inverse)), zero, fb_v_set((float)op->low), fb_v_set((float)op->high));
        x = fb_v_mul(fb_v_sub(x, zero), fb_v_set(op->a));
    }
    if (plan->add) {
        x = fb_v_add(x, fb_epilogue_operand(plan->add, row, column, n));
    }
    return x;
}

static inline FbV fb_integer_any(const FbIntegerPlan *plan, FbV x, size_t row, size_t column, size_t n)
{
    const FbEpilogue *real = &plan->epilogue->real;
    if (real->bias) {
        x = fb_v_add(x, fb_v_load_n(real->bias + column, n));
    }
    for (int i = 0; i < plan->count; i++) {
        x = epilogue_kind(x, &real->ops[i], row, column, n);
    }
    return x;
}

/* Stores n lanes at c, which is where the lanes' column and row begin. */
FB_INTEGER_INLINE void fb_integer_store(const FbIntegerPlan *plan, FbV x, void *c, size_t n)
{
    const FbIntegerEpilogue *e = plan->epilogue;
    if (!e->codes) {
        x = fb_m_clamp(x, fb_v_set(plan->low), fb_v_set(plan->high));
        if (n == FB_LANES) {
            fb_v_store(c, x);
        } else {
            fb_v_store_n(c, x, n);
        }
        return;
    }
    FbVb codes = fb_vb_codes(fb_v_mul(x, fb_v_set(e->inverse)), fb_vi_set(e->grid.zero));
    codes = fb_vb_min(fb_vb_max(codes, fb_vb_set(plan->low_code)), fb_vb_set(plan->high_code));
    if (n == FB_LANES) {
        fb_vb_store(c, codes);
    } else {
        fb_vb_store_n(c, codes, n);
    }
    if (plan->table) {
        fb_vb_map(c, c, n, plan->table);
    }
}

/* Sums of lanes [column, column + n) of row `row`, column a multiple of 16 from what the epilogue's pointers mean. */
FB_INTEGER_INLINE void fb_integer_lanes(const FbIntegerPlan *plan, FbVi sum, size_t row, size_t column, void *c, size_t n)
{
    const FbIntegerEpilogue *e = plan->epilogue;
    const FbVi offset = n == FB_LANES ? fb_vi_load(e->offset + column) : fb_vi_load_n(e->offset + column, n);
    const FbV scale = n == FB_LANES ? fb_v_load(e->scale + column) : fb_v_load_n(e->scale + column, n);
    FbV x = fb_v_mul(fb_v_from_int(fb_vi_add(sum, offset)), scale);
    x = plan->straight ? fb_integer_straight(plan, x, row, column, n) : fb_integer_any(plan, x, row, column, n);
    fb_integer_store(plan, x, c, n);
}

/* A row of sums. c is where the row begins. */
static inline void fb_integer_row(const FbIntegerPlan *plan, const int32_t *sums, size_t row, void *c, size_t count)
{
    const size_t element = plan->epilogue->codes ? sizeof(uint8_t) : sizeof(float);
    for (size_t column = 0; column < count; column += FB_LANES) {
        const size_t n = count - column < FB_LANES ? count - column : FB_LANES;
        const FbVi sum = n == FB_LANES ? fb_vi_load(sums + column) : fb_vi_load_n(sums + column, n);
        fb_integer_lanes(plan, sum, row, column, (char *)c + column * element, n);
    }
}

#endif
