/* The searches of block_search.h for one group, element by element: what the vector kernels are checked against. */
#include "tensor/block_search.h"

#include "tensor/block_type.h"

enum { PASSES = 5 }; /* of moving codes */

float fb_block_extreme(const float *x, int count)
{
    float most = 0.0f, value = 0.0f;
    for (int i = 0; i < count; i++) {
        if (fabsf(x[i]) > most) {
            most = fabsf(x[i]);
            value = x[i];
        }
    }
    return value;
}

float fb_block_sum_squares(const float *x, int64_t count)
{
    float sum = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

void fb_block_weights(const float *x, const float *importance, int count, float sigma2, float *weights)
{
    for (int i = 0; i < count; i++) {
        weights[i] = importance[i] * sqrtf(sigma2 + x[i] * x[i]);
    }
}

bool fb_block_any(const float *importance, int count)
{
    for (int i = 0; i < count; i++) {
        if (importance[i] != 0.0f) {
            return true;
        }
    }
    return false;
}

static void clear(uint8_t *codes, int count)
{
    for (int i = 0; i < count; i++) {
        codes[i] = 0;
    }
}

typedef struct BlockFit { float xl, ll; } BlockFit; /* weighted sums of x * code and code * code */

static BlockFit fit_signed(const float *x, const float *weights, int count, int zero, float inverse)
{
    BlockFit fit = {0.0f, 0.0f};
    for (int i = 0; i < count; i++) {
        float l = (float)fb_block_clamp(fb_block_nearest(inverse * x[i]), -zero, zero - 1);
        fit.xl += weights[i] * x[i] * l;
        fit.ll += weights[i] * l * l;
    }
    return fit;
}

float fb_search_signed(const float *x, const float *weights, int count, int zero, uint8_t *codes)
{
    float extreme = fb_block_extreme(x, count);
    if (fabsf(extreme) < FB_GROUP_ZERO) {
        clear(codes, count);
        return 0.0f;
    }
    float kept = (float)-zero / extreme;
    BlockFit fit = fit_signed(x, weights, count, zero, kept);
    float scale = fit.ll != 0.0f ? fit.xl / fit.ll : 0.0f;
    float best = scale * fit.xl;
    for (int step = -9; step <= 9; step++) {
        float inverse = -((float)zero + 0.1f * (float)step) / extreme;
        fit = fit_signed(x, weights, count, zero, inverse);
        if (step != 0 && fit.ll > 0.0f && fit.xl * fit.xl > best * fit.ll) {
            scale = fit.xl / fit.ll;
            best = scale * fit.xl;
            kept = inverse;
        }
    }
    for (int i = 0; i < count; i++) {
        codes[i] = (uint8_t)(zero + fb_block_clamp(fb_block_nearest(kept * x[i]), -zero, zero - 1));
    }
    return scale;
}

float fb_search_signed_moves(const float *x, int count, int zero, uint8_t *codes)
{
    float extreme = fb_block_extreme(x, count);
    clear(codes, count);
    if (fabsf(extreme) < FB_GROUP_ZERO) {
        return 0.0f;
    }
    float inverse = (float)-zero / extreme;
    BlockFit fit = {0.0f, 0.0f};
    for (int i = 0; i < count; i++) {
        int code = fb_block_clamp(fb_block_nearest(inverse * x[i]), -zero, zero - 1);
        float w = x[i] * x[i], l = (float)code;
        codes[i] = (uint8_t)(code + zero);
        fit.xl += w * x[i] * l;
        fit.ll += w * l * l;
    }
    bool moved = true;
    for (int pass = 0; pass < PASSES && moved; pass++) {
        moved = false;
        for (int i = 0; i < count; i++) {
            float w = x[i] * x[i], l = (float)(codes[i] - zero);
            BlockFit rest = {fit.xl - w * x[i] * l, fit.ll - w * l * l};
            if (!(rest.xl > 0.0f)) {
                continue;
            }
            int code = fb_block_clamp(fb_block_nearest(x[i] * rest.ll / rest.xl), -zero, zero - 1);
            float m = (float)code;
            rest.xl += w * x[i] * m;
            rest.ll += w * m * m;
            if (code + zero != codes[i] && rest.ll > 0.0f && rest.xl * rest.xl * fit.ll > fit.xl * fit.xl * rest.ll) {
                codes[i] = (uint8_t)(code + zero);
                fit = rest;
                moved = true;
            }
        }
    }
    return fit.ll > 0.0f ? fit.xl / fit.ll : 0.0f;
}

typedef struct RangeSums { float w, x, l, ll, xl; } RangeSums; /* of the weights, and weighted */

/* Codes of one candidate grid and the sums over them. */
static void candidate(const float *x, const float *weights, int count, int top, float inverse, float low, uint8_t *codes, RangeSums *sums)
{
    sums->l = sums->ll = sums->xl = 0.0f;
    for (int i = 0; i < count; i++) {
        codes[i] = (uint8_t)fb_block_clamp(fb_block_nearest(inverse * (x[i] - low)), 0, top);
        float l = (float)codes[i];
        sums->l += weights[i] * l;
        sums->ll += weights[i] * l * l;
        sums->xl += weights[i] * l * x[i];
    }
}

static float error_of(const float *x, const float *weights, int count, const uint8_t *codes, float scale, float low, bool absolute)
{
    float error = 0.0f;
    for (int i = 0; i < count; i++) {
        float difference = scale * (float)codes[i] + low - x[i];
        error += weights[i] * (absolute ? fabsf(difference) : difference * difference);
    }
    return error;
}

float fb_search_range(const FbRangeSearch *search, const float *x, const float *weights, int count, uint8_t *codes, float *minimum)
{
    enum { MOST = 32 };
    uint8_t tried[MOST];
    float low = x[0], high = x[0];
    RangeSums sums = {weights[0], weights[0] * x[0], 0, 0, 0};
    for (int i = 1; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        sums.w += weights[i];
        sums.x += weights[i] * x[i];
    }
    low = low > 0.0f ? 0.0f : low;
    if (high <= low) {
        clear(codes, count);
        *minimum = -low;
        return 0.0f;
    }
    float inverse = (float)search->top / (high - low), scale = 1.0f / inverse;
    candidate(x, weights, count, search->top, inverse, low, codes, &sums);
    float best = error_of(x, weights, count, codes, scale, low, search->absolute);
    for (int step = 0; step <= search->steps; step++) {
        inverse = (search->first + search->step * (float)step + (float)search->top) / (high - low);
        candidate(x, weights, count, search->top, inverse, low, tried, &sums);
        float determinant = sums.w * sums.ll - sums.l * sums.l;
        if (!(determinant > 0.0f)) {
            continue;
        }
        float new_scale = (sums.w * sums.xl - sums.x * sums.l) / determinant;
        float new_low = (sums.ll * sums.x - sums.l * sums.xl) / determinant;
        if (new_low > 0.0f) { /* a positive minimum cannot be stored */
            new_low = 0.0f;
            new_scale = sums.xl / sums.ll;
        }
        float error = error_of(x, weights, count, tried, new_scale, new_low, search->absolute);
        if (error < best) {
            memcpy(codes, tried, (size_t)count);
            best = error;
            scale = new_scale;
            low = new_low; /* the next candidates start there */
        }
    }
    *minimum = -low;
    return scale;
}

/* The codes of 8-bit scales wrap, should a scale be negative: only a group of numbers beyond all reason has one. */
static uint8_t positive_code(float x, int top)
{
    int code = fb_block_nearest(x);
    return (uint8_t)(code > top ? top : code);
}

static float error_positive(const float *x, const float *weights, int count, int top, float inverse)
{
    float scale = 1.0f / inverse, error = 0.0f;
    for (int i = 0; i < count; i++) {
        int code = fb_block_nearest(inverse * x[i]);
        float difference = x[i] - scale * (float)(code > top ? top : code);
        error += weights[i] * difference * difference;
    }
    return error;
}

static BlockFit move_positive(const float *x, const float *weights, int count, int top, uint8_t *codes, BlockFit fit)
{
    bool moved = true;
    for (int pass = 0; pass < PASSES && moved; pass++) {
        moved = false;
        for (int i = 0; i < count; i++) {
            float w = weights[i], l = (float)codes[i];
            BlockFit rest = {fit.xl - w * x[i] * l, fit.ll - w * l * l};
            if (!(rest.xl > 0.0f && rest.ll > 0.0f)) {
                continue;
            }
            int code = fb_block_nearest(x[i] * rest.ll / rest.xl);
            code = code > top ? top : code;
            float m = (float)code;
            rest.xl += w * x[i] * m;
            rest.ll += w * m * m;
            if (code != codes[i] && rest.xl * rest.xl * fit.ll > fit.xl * fit.xl * rest.ll) {
                codes[i] = (uint8_t)code;
                fit = rest;
                moved = true;
            }
        }
    }
    return fit;
}

float fb_search_positive(const float *x, const float *weights, int count, int top, uint8_t *codes)
{
    float most = 0.0f;
    for (int i = 0; i < count; i++) {
        most = x[i] > most ? x[i] : most;
    }
    clear(codes, count);
    if (most < FB_GROUP_ZERO) {
        return 0.0f;
    }
    float kept = (float)top / most, best = error_positive(x, weights, count, top, kept);
    for (int step = -4; step <= 4; step++) {
        float inverse = (0.1f * (float)step + (float)top) / most;
        float error = error_positive(x, weights, count, top, inverse);
        if (step != 0 && error < best) {
            best = error;
            kept = inverse;
        }
    }
    BlockFit fit = {0.0f, 0.0f};
    for (int i = 0; i < count; i++) {
        codes[i] = positive_code(kept * x[i], top);
        float l = (float)codes[i];
        fit.xl += weights[i] * x[i] * l;
        fit.ll += weights[i] * l * l;
    }
    fit = move_positive(x, weights, count, top, codes, fit);
    return fit.ll > 0.0f ? fit.xl / fit.ll : 0.0f;
}

const float fb_iq4_bounds[15] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f, -28.5f, -16.0f, -4.5f, 7.0f, 19.0f, 31.5f, 45.5f, 61.0f, 79.0f, 101.0f};

int fb_nearest_level(float x)
{
    int level = 0;
    for (int i = 0; i < 15; i++) {
        level += x >= fb_iq4_bounds[i];
    }
    return level;
}

static BlockFit fit_levels(const float *x, const float *weights, int count, float inverse)
{
    BlockFit fit = {0.0f, 0.0f};
    for (int i = 0; i < count; i++) {
        float q = (float)fb_iq4_levels[fb_nearest_level(inverse * x[i])];
        fit.xl += weights[i] * q * x[i];
        fit.ll += weights[i] * q * q;
    }
    return fit;
}

float fb_search_levels(const float *x, const float *weights, int count)
{
    enum { AROUND = 7 };
    float extreme = fb_block_extreme(x, count);
    if (fabsf(extreme) < FB_GROUP_ZERO) {
        return 0.0f;
    }
    float first = -extreme / (float)fb_iq4_levels[0];
    BlockFit fit = fit_levels(x, weights, count, 1.0f / first);
    float scale = fit.ll > 0.0f ? fit.xl / fit.ll : 0.0f;
    float best = scale * fit.xl;
    for (int step = -AROUND; step <= AROUND; step++) {
        fit = fit_levels(x, weights, count, (float)(step + fb_iq4_levels[0]) / extreme);
        if (fit.ll > 0.0f && fit.xl * fit.xl > best * fit.ll) {
            scale = fit.xl / fit.ll;
            best = scale * fit.xl;
        }
    }
    return scale;
}
