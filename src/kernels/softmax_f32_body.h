/* Softmax rows; included once per instruction set after reduce_body.h. */
#include "kernels/functions_math.h"
#include "kernels/softmax_f32.h"

/* Sum of exp(x - max), the terms stored to `terms` unless it is NULL. */
static float softmax_sum(const float *x, float *terms, size_t count, float max)
{
    const FbV top = fb_v_set(max);
    FbV lanes = fb_v_set(0.0f);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        const FbV e = fb_m_exp(fb_v_sub(fb_v_load(x + i), top));
        lanes = fb_v_add(lanes, e);
        if (terms) {
            fb_v_store(terms + i, e);
        }
    }
    if (i < count) { /* lanes that are not there add nothing */
        float tail[FB_LANES] = {0};
        const FbV e = fb_m_exp(fb_v_sub(fb_v_load_n(x + i, count - i), top));
        fb_v_store_n(tail, e, count - i);
        lanes = fb_v_add(lanes, fb_v_load(tail));
        if (terms) {
            fb_v_store_n(terms + i, e, count - i);
        }
    }
    return fb_v_sum(lanes);
}

static void softmax_row(const float *x, float *y, size_t count)
{
    const FbV sum = fb_v_set(softmax_sum(x, y, count, reduce_max(x, count)));
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        fb_v_store_n(y + i, fb_v_div(fb_v_load_n(y + i, n), sum), n);
    }
}

static void log_softmax_row(const float *x, float *y, size_t count)
{
    const float max = reduce_max(x, count);
    const FbV top = fb_v_set(max), shift = fb_m_log(fb_v_set(softmax_sum(x, NULL, count, max)));
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        fb_v_store_n(y + i, fb_v_sub(fb_v_sub(fb_v_load_n(x + i, n), top), shift), n);
    }
}

const FbSoftmaxF32Kernel FB_ISA(fb_softmax_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, softmax_row, log_softmax_row};
