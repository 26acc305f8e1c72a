/* Row reductions; included once per instruction set. */
#include <math.h>

#include "kernels/functions_math.h"
#include "kernels/reduce.h"

static float reduce_sum(const float *x, size_t count)
{
    FbV lanes = fb_v_set(0.0f);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        lanes = fb_v_add(lanes, fb_v_load(x + i));
    }
    return fb_v_sum(i < count ? fb_v_add(lanes, fb_v_load_n(x + i, count - i)) : lanes);
}

static float reduce_sum_abs(const float *x, size_t count)
{
    FbV lanes = fb_v_set(0.0f);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        lanes = fb_v_add(lanes, fb_m_abs(fb_v_load(x + i)));
    }
    return fb_v_sum(i < count ? fb_v_add(lanes, fb_m_abs(fb_v_load_n(x + i, count - i))) : lanes);
}

static float reduce_sum_squares(const float *x, size_t count, float shift)
{
    const FbV away = fb_v_set(shift);
    FbV lanes = fb_v_set(0.0f);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        FbV d = fb_v_sub(fb_v_load(x + i), away);
        lanes = fb_v_fma(d, d, lanes);
    }
    if (i < count) { /* lanes that are not there must add 0, not shift^2 */
        float tail[FB_LANES] = {0};
        fb_v_store_n(tail, fb_v_sub(fb_v_load_n(x + i, count - i), away), count - i);
        FbV d = fb_v_load(tail);
        lanes = fb_v_fma(d, d, lanes);
    }
    return fb_v_sum(lanes);
}

/* The sixteen lanes of `best` folded; NaN when `bad` lanes were seen. */
static float reduce_fold(FbV best, size_t bad, bool largest)
{
    float lanes[FB_LANES];
    fb_v_store(lanes, best);
    float result = lanes[0];
    for (int lane = 1; lane < FB_LANES; lane++) {
        result = (largest ? lanes[lane] > result : lanes[lane] < result) ? lanes[lane] : result;
    }
    return bad ? NAN : result;
}

static float reduce_extreme(const float *x, size_t count, bool largest)
{
    FbV best = fb_v_set(largest ? -INFINITY : INFINITY), probe = fb_v_set(0.0f);
    const FbV zero = fb_v_set(0.0f);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        FbV v = fb_v_load(x + i);
        best = largest ? fb_v_max(v, best) : fb_v_min(v, best); /* NaN keeps best */
        probe = fb_v_select(fb_v_le(v, v), probe, v);           /* and is remembered here */
    }
    if (i < count) {
        float tail[FB_LANES];
        fb_v_store(tail, fb_v_set(x[i]));
        fb_v_store_n(tail, fb_v_load_n(x + i, count - i), count - i);
        FbV v = fb_v_load(tail);
        best = largest ? fb_v_max(v, best) : fb_v_min(v, best);
        probe = fb_v_select(fb_v_le(v, v), probe, v);
    }
    return reduce_fold(best, FB_LANES - fb_vm_count(fb_v_le(probe, zero), FB_LANES), largest);
}

static float reduce_max(const float *x, size_t count) { return reduce_extreme(x, count, true); }
static float reduce_min(const float *x, size_t count) { return reduce_extreme(x, count, false); }

const FbReduceF32Kernel FB_ISA(fb_reduce_f32) = {FB_ISA_NAME,        FB_ISA_NEEDS, reduce_sum, reduce_sum_abs,
                                                 reduce_sum_squares, reduce_max,   reduce_min};
