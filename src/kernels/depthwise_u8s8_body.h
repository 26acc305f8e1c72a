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

/* Sixteen channels of a part. */
typedef struct DepthwiseBlock {
    size_t begin;                              /* the last block may overlap the one before it */
    FbVi offset;                               /* plain: what sums begin with; in the order of sums, as the scale */
    FbV scale;
    int16_t w[DEPTHWISE_PAIRS][2 * FB_LANES];  /* pairs of taps (0, 1), (2, 3), ... */
} DepthwiseBlock;

typedef struct DepthwisePart {
    const FbDepthwiseU8S8 *d;
    FbIntegerPlan plan;
    bool plain;                                /* codes of sums times scales, and nothing else */
    FbVi zero;
    FbVb low, high;
    size_t blocks;
    DepthwiseBlock block[DEPTHWISE_PART / FB_LANES];
} DepthwisePart;

/* Sums of `rows` pixels, a constant of the caller; in the order of sums. */
DEPTHWISE_INLINE void depthwise_u8_sums(const FbDepthwiseU8S8 *d, const DepthwiseBlock *b, size_t pixel, const size_t rows, FbVi sum[DEPTHWISE_ROWS])
{
    const size_t taps = d->taps, c = b->begin;
    const uint8_t *const *x = d->x + pixel * taps;
    FbVi s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (size_t pair = 0, t = 0; t < taps; pair++, t += 2) {
        const FbVp w = fb_vp_load(b->w[pair]);
        const size_t u = t + 1 < taps ? t + 1 : t; /* the weight of a missing tap is 0 */
        s0 = fb_vi_dot2(s0, fb_vp_codes(x[t] + c, x[u] + c), w);
        if (rows == DEPTHWISE_ROWS) {
            s1 = fb_vi_dot2(s1, fb_vp_codes(x[taps + t] + c, x[taps + u] + c), w);
            s2 = fb_vi_dot2(s2, fb_vp_codes(x[2 * taps + t] + c, x[2 * taps + u] + c), w);
            s3 = fb_vi_dot2(s3, fb_vp_codes(x[3 * taps + t] + c, x[3 * taps + u] + c), w);
        }
    }
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

/* plain is a constant of the caller, as rows. */
DEPTHWISE_INLINE void depthwise_u8_pixels(const DepthwisePart *p, size_t pixel, const size_t rows, const bool plain)
{
    const FbDepthwiseU8S8 *d = p->d;
    const size_t element = d->epilogue->codes ? sizeof(uint8_t) : sizeof(float);
    for (size_t block = 0; block < p->blocks; block++) {
        const DepthwiseBlock *b = &p->block[block];
        const FbVi start = plain ? b->offset : fb_vi_set(0);
        FbVi sum[DEPTHWISE_ROWS] = {start, start, start, start};
        depthwise_u8_sums(d, b, pixel, rows, sum);
        for (size_t i = 0; i < rows; i++) {
            void *y = (char *)d->y + ((pixel + i) * d->y_stride + b->begin) * element;
            if (plain) {
                const FbVb codes = fb_vb_codes_unordered(fb_v_mul(fb_v_from_int(sum[i]), b->scale), p->zero);
                fb_vb_store(y, fb_vb_min(fb_vb_max(codes, p->low), p->high));
            } else {
                fb_integer_lanes(&p->plan, fb_vi_ordered(sum[i]), pixel + i, b->begin, y, FB_LANES);
            }
        }
    }
}

static void depthwise_u8_weights(DepthwisePart *p, size_t channel, size_t channels)
{
    const FbDepthwiseU8S8 *d = p->d;
    const size_t row = d->channels; /* of weights: one tap */
    p->blocks = 0;
    for (size_t c = 0; c < channels; c += FB_LANES, p->blocks++) {
        DepthwiseBlock *b = &p->block[p->blocks];
        b->begin = channels - c < FB_LANES ? channel + channels - FB_LANES : channel + c;
        b->offset = fb_vi_unordered(fb_vi_load(d->epilogue->offset + b->begin));
        b->scale = fb_v_unordered(fb_v_load(d->epilogue->scale + b->begin));
        const int16_t *w = d->w + b->begin;
        for (size_t t = 0; t < d->taps; t += 2) {
            fb_vp_store(b->w[t / 2], fb_vp_weights(w + t * row, t + 1 < d->taps ? w + (t + 1) * row : NULL, FB_LANES));
        }
    }
}

/* Few channels, or very many taps: one channel after the other. */
static void depthwise_u8_each(const FbDepthwiseU8S8 *d, const FbIntegerPlan *plan)
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

#define DEPTHWISE_RUN(name, plain)                                                \
    static void name(const DepthwisePart *p)                                      \
    {                                                                             \
        size_t pixel = 0;                                                         \
        for (; pixel + DEPTHWISE_ROWS <= p->d->pixels; pixel += DEPTHWISE_ROWS) { \
            depthwise_u8_pixels(p, pixel, DEPTHWISE_ROWS, plain);                 \
        }                                                                         \
        for (; pixel < p->d->pixels; pixel++) {                                   \
            depthwise_u8_pixels(p, pixel, 1, plain);                              \
        }                                                                         \
    }
DEPTHWISE_RUN(depthwise_u8_plain, true)
DEPTHWISE_RUN(depthwise_u8_any, false)
#undef DEPTHWISE_RUN

static void depthwise_u8_run(const FbDepthwiseU8S8 *d)
{
    const FbIntegerEpilogue *e = d->epilogue;
    DepthwisePart part;
    part.d = d;
    part.plan = fb_integer_plan(e);
    if (d->channels < FB_LANES || d->taps > 2 * DEPTHWISE_PAIRS) {
        depthwise_u8_each(d, &part.plan);
        return;
    }
    part.plain = e->codes && part.plan.count == 0 && !e->real.bias && e->inverse == 1.0f && !e->table;
    part.zero = fb_vi_set(e->grid.zero);
    part.low = fb_vb_set(part.plan.low_code);
    part.high = fb_vb_set(part.plan.high_code);
    for (size_t channel = 0; channel < d->channels; channel += DEPTHWISE_PART) {
        const size_t left = d->channels - channel;
        depthwise_u8_weights(&part, channel, left < DEPTHWISE_PART ? left : DEPTHWISE_PART);
        (part.plain ? depthwise_u8_plain : depthwise_u8_any)(&part);
    }
}

const FbDepthwiseU8S8Kernel FB_ISA(fb_depthwise_u8s8) = {FB_ISA_NAME, FB_ISA_NEEDS, depthwise_u8_run};
#undef DEPTHWISE_INLINE
