/* Depthwise convolution; included once per instruction set. */
#include "kernels/depthwise_f32.h"
#include "kernels/epilogue_math.h"

/* Any epilogue over a stored row. */
static void depthwise_epilogue(const FbDepthwiseF32 *d, size_t pixel)
{
    float *y = d->y + pixel * d->y_stride;
    for (size_t c = 0; c < d->channels; c += FB_LANES) {
        const size_t n = d->channels - c < FB_LANES ? d->channels - c : FB_LANES;
        fb_v_store_n(y + c, fb_epilogue_lanes(fb_v_load_n(y + c, n), d->epilogue, pixel, c, n), n);
    }
}

static inline void depthwise_store(const FbDepthwiseF32 *d, size_t pixel, size_t c, size_t n, FbV sum, const FbEpilogueSimple *simple, FbV bias)
{
    if (simple) {
        sum = fb_v_add(sum, bias);
        if (simple->add) {
            sum = fb_v_add(sum, fb_v_load_n(simple->add->operand + pixel * simple->add->operand_stride + c, n));
        }
        sum = fb_m_clamp(sum, fb_v_set(simple->low), fb_v_set(simple->high));
    }
    fb_v_store_n(d->y + pixel * d->y_stride + c, sum, n);
}

/* Channels [c, c + n) of four pixels: the weights are read once. */
static inline void depthwise_four(const FbDepthwiseF32 *d, size_t pixel, size_t c, size_t n, const FbEpilogueSimple *simple, FbV bias)
{
    const float *const *x = d->x + pixel * d->taps;
    FbV s0 = fb_v_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    if (n == FB_LANES) {
        for (size_t t = 0; t < d->taps; t++) {
            const FbV w = fb_v_load(d->w + t * d->channels + c);
            s0 = fb_v_fma(fb_v_load(x[t] + c), w, s0);
            s1 = fb_v_fma(fb_v_load(x[d->taps + t] + c), w, s1);
            s2 = fb_v_fma(fb_v_load(x[2 * d->taps + t] + c), w, s2);
            s3 = fb_v_fma(fb_v_load(x[3 * d->taps + t] + c), w, s3);
        }
    } else {
        for (size_t t = 0; t < d->taps; t++) {
            const FbV w = fb_v_load_n(d->w + t * d->channels + c, n);
            s0 = fb_v_fma(fb_v_load_n(x[t] + c, n), w, s0);
            s1 = fb_v_fma(fb_v_load_n(x[d->taps + t] + c, n), w, s1);
            s2 = fb_v_fma(fb_v_load_n(x[2 * d->taps + t] + c, n), w, s2);
            s3 = fb_v_fma(fb_v_load_n(x[3 * d->taps + t] + c, n), w, s3);
        }
    }
    depthwise_store(d, pixel, c, n, s0, simple, bias);
    depthwise_store(d, pixel + 1, c, n, s1, simple, bias);
    depthwise_store(d, pixel + 2, c, n, s2, simple, bias);
    depthwise_store(d, pixel + 3, c, n, s3, simple, bias);
}

static inline void depthwise_one(const FbDepthwiseF32 *d, size_t pixel, size_t c, size_t n, const FbEpilogueSimple *simple, FbV bias)
{
    const float *const *x = d->x + pixel * d->taps;
    FbV sum = fb_v_set(0.0f);
    for (size_t t = 0; t < d->taps; t++) {
        sum = fb_v_fma(fb_v_load_n(x[t] + c, n), fb_v_load_n(d->w + t * d->channels + c, n), sum);
    }
    depthwise_store(d, pixel, c, n, sum, simple, bias);
}

static void depthwise_run(const FbDepthwiseF32 *d)
{
    FbEpilogueSimple simple;
    const bool plain = d->epilogue && fb_epilogue_simple(d->epilogue, &simple);
    /* Channels innermost: the rows that the taps point at are read from their beginning to their end. */
    for (size_t pixel = 0; pixel < d->pixels;) {
        const size_t step = pixel + 4 <= d->pixels ? 4 : 1;
        for (size_t c = 0; c < d->channels; c += FB_LANES) {
            const size_t n = d->channels - c < FB_LANES ? d->channels - c : FB_LANES;
            const FbV bias = plain && d->epilogue->bias ? fb_v_load_n(d->epilogue->bias + c, n) : fb_v_set(-0.0f);
            if (step == 4) {
                depthwise_four(d, pixel, c, n, plain ? &simple : NULL, bias);
            } else {
                depthwise_one(d, pixel, c, n, plain ? &simple : NULL, bias);
            }
        }
        pixel += step;
    }
    for (size_t pixel = 0; d->epilogue && !plain && pixel < d->pixels; pixel++) {
        depthwise_epilogue(d, pixel);
    }
}

const FbDepthwiseF32Kernel FB_ISA(fb_depthwise_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, depthwise_run};
