/* Depthwise convolution of codes; included once per instruction set. Taps are taken two at a time with 16-bit multiplications; their weights are
 * interleaved in front of a part of the channels. */
#include "kernels/depthwise_u8s8.h"
#include "kernels/integer_epilogue.h"

#define DEPTHWISE_INLINE static inline __attribute__((always_inline))

enum {
    DEPTHWISE_PART = 64,  /* channels: a cache line of codes */
    DEPTHWISE_PAIRS = 32, /* of taps */
    DEPTHWISE_ROWS = 4    /* pixels at a time */
};

/* One part of the channels: blocks of sixteen, the last of which may overlap the one before it. */
typedef struct DepthwisePart {
    const FbDepthwiseU8S8 *d;
    FbIntegerPlan plan;
    size_t begin[DEPTHWISE_PART / FB_LANES], blocks;
    int16_t w[DEPTHWISE_PART / FB_LANES][DEPTHWISE_PAIRS][2 * FB_LANES];
} DepthwisePart;

/* Sums of taps of `rows` pixels, a constant of the caller. */
DEPTHWISE_INLINE void depthwise_u8_sums(const DepthwisePart *p, size_t pixel, size_t block, const size_t rows, FbVi sum[DEPTHWISE_ROWS])
{
    const size_t taps = p->d->taps, c = p->begin[block];
    const uint8_t *const *x = p->d->x + pixel * taps;
    FbVi s0 = fb_vi_set(0), s1 = s0, s2 = s0, s3 = s0;
    for (size_t pair = 0, t = 0; t < taps; pair++, t += 2) {
        const FbVp w = fb_vp_load(p->w[block][pair]);
        const size_t u = t + 1 < taps ? t + 1 : t; /* the weight of a missing tap is 0 */
        s0 = fb_vi_dot2(s0, fb_vp_codes(x[t] + c, x[u] + c), w);
        if (rows == DEPTHWISE_ROWS) {
            s1 = fb_vi_dot2(s1, fb_vp_codes(x[taps + t] + c, x[taps + u] + c), w);
            s2 = fb_vi_dot2(s2, fb_vp_codes(x[2 * taps + t] + c, x[2 * taps + u] + c), w);
            s3 = fb_vi_dot2(s3, fb_vp_codes(x[3 * taps + t] + c, x[3 * taps + u] + c), w);
        }
    }
    sum[0] = fb_vi_ordered(s0), sum[1] = fb_vi_ordered(s1), sum[2] = fb_vi_ordered(s2), sum[3] = fb_vi_ordered(s3);
}

DEPTHWISE_INLINE void depthwise_u8_pixels(const DepthwisePart *p, size_t pixel, const size_t rows)
{
    const FbDepthwiseU8S8 *d = p->d;
    const size_t element = d->epilogue->codes ? sizeof(uint8_t) : sizeof(float);
    for (size_t block = 0; block < p->blocks; block++) {
        FbVi sum[DEPTHWISE_ROWS];
        depthwise_u8_sums(p, pixel, block, rows, sum);
        for (size_t i = 0; i < rows; i++) {
            void *y = (char *)d->y + ((pixel + i) * d->y_stride + p->begin[block]) * element;
            fb_integer_lanes(&p->plan, sum[i], pixel + i, p->begin[block], y, FB_LANES);
        }
    }
}

static void depthwise_u8_weights(DepthwisePart *p, size_t channel, size_t channels)
{
    const FbDepthwiseU8S8 *d = p->d;
    p->blocks = 0;
    for (size_t c = 0; c < channels; c += FB_LANES, p->blocks++) {
        const size_t begin = channels - c < FB_LANES ? channel + channels - FB_LANES : channel + c;
        p->begin[p->blocks] = begin;
        for (size_t t = 0; t < d->taps; t += 2) {
            const int16_t *w = d->w + t * d->channels + begin;
            fb_vp_store(p->w[p->blocks][t / 2], fb_vp_weights(w, t + 1 < d->taps ? w + d->channels : NULL, FB_LANES));
        }
    }
}

/* Few channels, or very many taps: one channel after the other. */
static void depthwise_u8_plain(const FbDepthwiseU8S8 *d, const FbIntegerPlan *plan)
{
    const size_t element = d->epilogue->codes ? sizeof(uint8_t) : sizeof(float);
    for (size_t pixel = 0; pixel < d->pixels; pixel++) {
        const uint8_t *const *x = d->x + pixel * d->taps;
        for (size_t c = 0; c < d->channels; c += FB_LANES) {
            const size_t n = d->channels - c < FB_LANES ? d->channels - c : FB_LANES;
            int32_t sums[FB_LANES] = {0};
            for (size_t t = 0; t < d->taps; t++) {
                for (size_t i = 0; i < n; i++) {
                    sums[i] += (int32_t)x[t][c + i] * d->w[t * d->channels + c + i];
                }
            }
            fb_integer_lanes(plan, fb_vi_load(sums), pixel, c, (char *)d->y + (pixel * d->y_stride + c) * element, n);
        }
    }
}

static void depthwise_u8_run(const FbDepthwiseU8S8 *d)
{
    if (d->channels < FB_LANES || d->taps > 2 * DEPTHWISE_PAIRS) {
        const FbIntegerPlan plan = fb_integer_plan(d->epilogue);
        depthwise_u8_plain(d, &plan);
        return;
    }
    DepthwisePart part;
    part.d = d;
    part.plan = fb_integer_plan(d->epilogue);
    for (size_t channel = 0; channel < d->channels;) {
        const size_t left = d->channels - channel, channels = left < DEPTHWISE_PART ? left : DEPTHWISE_PART;
        depthwise_u8_weights(&part, channel, channels);
        size_t pixel = 0;
        for (; pixel + DEPTHWISE_ROWS <= d->pixels; pixel += DEPTHWISE_ROWS) {
            depthwise_u8_pixels(&part, pixel, DEPTHWISE_ROWS);
        }
        for (; pixel < d->pixels; pixel++) {
            depthwise_u8_pixels(&part, pixel, 1);
        }
        channel += channels;
    }
}

const FbDepthwiseU8S8Kernel FB_ISA(fb_depthwise_u8s8) = {FB_ISA_NAME, FB_ISA_NEEDS, depthwise_u8_run};
#undef DEPTHWISE_INLINE
