/* Encoding of the block types with 256 elements in groups, each with a small scale of its own: the groups' scales are searched for
 * (block_search.h), stored as codes of few bits times the block's half-precision scale, and the elements rounded once more to what is stored.
 * Source of the method: ggml's k-quants; tensors are equal byte for byte. */
#include <math.h>
#include <string.h>

#include "tensor/block_search.h"
#include "tensor/block_type.h"

enum { ELEMENTS = 256, GROUPS_MOST = 16 };

/* Four 2-bit planes of 32 elements in 32 bytes, twice. */
static void put_planes(uint8_t *to, const uint8_t *codes)
{
    for (int i = 0; i < 64; i++) {
        const uint8_t *c = codes + i / 32 * 128 + i % 32;
        to[i] = (uint8_t)((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}

/* Types with a minimum per group. */
typedef struct MinimumType {
    int group;             /* elements */
    int top, scale_top;    /* largest code of an element; of a group's scale and minimum */
    float sigma;           /* factor of the block's mean square in the weights of importance */
    FbRangeSearch plain, weighted;
} MinimumType;

static const MinimumType q2_k = {16, 3, 15, 1.0f, {3, 15, -0.5f, 0.1f, true}, {3, 36, -0.9f, 0.05f, false}};
static const MinimumType q4_k = {32, 15, 63, 2.0f, {15, 20, -1.0f, 0.1f, false}, {15, 36, -0.9f, 0.05f, false}};
static const MinimumType q5_k = {32, 31, 63, 2.0f, {31, 15, -0.5f, 0.1f, false}, {31, 36, -0.9f, 0.05f, false}};

typedef struct MinimumBlock {
    uint8_t codes[ELEMENTS], scales[GROUPS_MOST], minima[GROUPS_MOST];
    uint16_t scale, minimum; /* half-precision */
} MinimumBlock;

static float largest(const float *x, int count)
{
    float most = 0.0f;
    for (int i = 0; i < count; i++) {
        most = x[i] > most ? x[i] : most;
    }
    return most;
}

/* Codes of positive numbers in steps of the largest one's share. */
static uint16_t share_codes(const float *x, int count, int top, uint8_t *codes)
{
    float most = largest(x, count);
    float inverse = most > 0.0f ? (float)top / most : 0.0f;
    for (int i = 0; i < count; i++) {
        uint8_t code = (uint8_t)fb_block_nearest(inverse * x[i]);
        codes[i] = code > top ? (uint8_t)top : code;
    }
    return fb_f32_to_f16(most / (float)top);
}

/* Weights of an element without importance: its magnitude, above the group's mean where the groups are large. */
static void plain_weights(const float *x, int count, float *weights)
{
    float mean = count > 16 ? sqrtf(fb_block_sum_squares(x, count) / (float)count) : 0.0f;
    for (int i = 0; i < count; i++) {
        weights[i] = mean + fabsf(x[i]);
    }
}

static void round_again(const MinimumType *type, const float *x, MinimumBlock *block)
{
    for (int g = 0; g < ELEMENTS / type->group; g++) {
        float scale = fb_f16_to_f32(block->scale) * (float)block->scales[g];
        float minimum = fb_f16_to_f32(block->minimum) * (float)block->minima[g];
        for (int i = g * type->group; i < (g + 1) * type->group && scale != 0.0f; i++) {
            block->codes[i] = (uint8_t)fb_block_clamp(fb_block_nearest((x[i] + minimum) / scale), 0, type->top);
        }
    }
}

static void with_minima(const MinimumType *type, const float *x, const float *importance, MinimumBlock *block)
{
    int groups = ELEMENTS / type->group;
    float scales[GROUPS_MOST], minima[GROUPS_MOST], sums[GROUPS_MOST], weights[32];
    if (importance == NULL || !fb_block_any(importance, ELEMENTS)) {
        for (int g = 0; g < groups; g++) {
            const float *group = x + g * type->group;
            plain_weights(group, type->group, weights);
            scales[g] = fb_search_range(&type->plain, group, weights, type->group, block->codes + g * type->group, &minima[g]);
        }
        block->scale = share_codes(scales, groups, type->scale_top, block->scales);
        block->minimum = share_codes(minima, groups, type->scale_top, block->minima);
    } else {
        float sigma2 = type->sigma * fb_block_sum_squares(x, ELEMENTS) / (float)ELEMENTS;
        for (int g = 0; g < groups; g++) {
            const float *group = x + g * type->group;
            fb_block_weights(group, importance + g * type->group, type->group, sigma2, weights);
            sums[g] = 0.0f;
            for (int i = 0; i < type->group; i++) {
                sums[g] += weights[i];
            }
            scales[g] = fb_search_range(&type->weighted, group, weights, type->group, block->codes + g * type->group, &minima[g]);
        }
        block->scale = fb_f32_to_f16(fb_search_positive(scales, sums, groups, type->scale_top, block->scales));
        block->minimum = fb_f32_to_f16(fb_search_positive(minima, sums, groups, type->scale_top, block->minima));
    }
    round_again(type, x, block);
}

void fb_encode_q2_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 84) {
        MinimumBlock block;
        with_minima(&q2_k, from, importance == NULL ? NULL : importance + b * ELEMENTS, &block);
        for (int g = 0; g < 16; g++) {
            to[g] = (uint8_t)(block.scales[g] | block.minima[g] << 4);
        }
        put_planes(to + 16, block.codes);
        fb_block_put_half(to + 80, block.scale);
        fb_block_put_half(to + 82, block.minimum);
    }
}

/* Eight scales and eight minima of 6 bits in twelve bytes. */
static void put_scales_and_minima(uint8_t *to, const uint8_t *scales, const uint8_t *minima)
{
    for (int j = 0; j < 4; j++) {
        to[j] = (uint8_t)(scales[j] | scales[j + 4] >> 4 << 6);
        to[j + 4] = (uint8_t)(minima[j] | minima[j + 4] >> 4 << 6);
        to[j + 8] = (uint8_t)((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
    }
}

static void put_low_nibbles(uint8_t *to, const uint8_t *codes)
{
    for (int i = 0; i < 128; i++) {
        const uint8_t *c = codes + i / 32 * 64 + i % 32;
        to[i] = (uint8_t)((c[0] & 15) | (c[32] & 15) << 4);
    }
}

void fb_encode_q4_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 144) {
        MinimumBlock block;
        with_minima(&q4_k, from, importance == NULL ? NULL : importance + b * ELEMENTS, &block);
        fb_block_put_half(to, block.scale);
        fb_block_put_half(to + 2, block.minimum);
        put_scales_and_minima(to + 4, block.scales, block.minima);
        put_low_nibbles(to + 16, block.codes);
    }
}

void fb_encode_q5_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 176) {
        MinimumBlock block;
        with_minima(&q5_k, from, importance == NULL ? NULL : importance + b * ELEMENTS, &block);
        fb_block_put_half(to, block.scale);
        fb_block_put_half(to + 2, block.minimum);
        put_scales_and_minima(to + 4, block.scales, block.minima);
        for (int i = 0; i < 32; i++) {
            unsigned high = 0;
            for (int g = 0; g < 8; g++) {
                high |= (unsigned)(block.codes[32 * g + i] >> 4 & 1) << g;
            }
            to[16 + i] = (uint8_t)high;
        }
        put_low_nibbles(to + 48, block.codes);
    }
}

/* Types with signed scales per 16 elements and no minimum. */
typedef struct SignedBlock {
    uint8_t codes[ELEMENTS];
    int8_t scales[16];
    uint16_t scale;
} SignedBlock;

static void round_signed_again(const float *x, int zero, SignedBlock *block)
{
    for (int g = 0; g < 16; g++) {
        float scale = fb_f16_to_f32(block->scale) * (float)block->scales[g];
        for (int i = g * 16; i < (g + 1) * 16 && scale != 0.0f; i++) {
            block->codes[i] = (uint8_t)(zero + fb_block_clamp(fb_block_nearest(x[i] / scale), -zero, zero - 1));
        }
    }
}

/* A group whose importance is all zero counts as if there were none. */
static const float *group_weights(const float *x, const float *weights, float *squares)
{
    if (weights != NULL && fb_block_any(weights, 16)) {
        return weights;
    }
    for (int i = 0; i < 16; i++) {
        squares[i] = x[i] * x[i];
    }
    return squares;
}

static void search_q3_k(const float *x, const float *importance, SignedBlock *block)
{
    float scales[16], sums[16], weights[16], squares[16];
    if (importance != NULL && fb_block_any(importance, ELEMENTS)) {
        uint8_t codes[16];
        float sigma2 = 2.0f * fb_block_sum_squares(x, ELEMENTS) / (float)ELEMENTS;
        for (int g = 0; g < 16; g++) {
            fb_block_weights(x + 16 * g, importance + 16 * g, 16, sigma2, weights);
            sums[g] = 0.0f;
            for (int i = 0; i < 16; i++) {
                sums[g] += weights[i];
            }
            scales[g] = fb_search_signed(x + 16 * g, group_weights(x + 16 * g, weights, squares), 16, 4, block->codes + 16 * g);
        }
        block->scale = fb_f32_to_f16(fb_search_signed(scales, sums, 16, 32, codes));
        for (int g = 0; g < 16; g++) {
            block->scales[g] = (int8_t)(codes[g] - 32);
        }
        return;
    }
    for (int g = 0; g < 16; g++) {
        scales[g] = fb_search_signed_moves(x + 16 * g, 16, 4, block->codes + 16 * g);
    }
    float extreme = fb_block_extreme(scales, 16);
    float inverse = extreme != 0.0f ? -32.0f / extreme : 0.0f;
    block->scale = fb_f32_to_f16(extreme != 0.0f ? 1.0f / inverse : 0.0f);
    for (int g = 0; g < 16; g++) {
        block->scales[g] = extreme != 0.0f ? (int8_t)fb_block_clamp((int8_t)fb_block_nearest(inverse * scales[g]), -32, 31) : -32;
    }
}

void fb_encode_q3_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 110) {
        SignedBlock block;
        search_q3_k(from, importance == NULL ? NULL : importance + b * ELEMENTS, &block);
        round_signed_again(from, 4, &block);
        memset(to, 0, 110);
        for (int i = 0; i < ELEMENTS; i++) {
            to[i % 32] |= (uint8_t)((block.codes[i] >> 2) << i / 32);
        }
        put_planes(to + 32, block.codes);
        for (int g = 0; g < 16; g++) {
            unsigned code = (unsigned)(block.scales[g] + 32);
            to[96 + g % 8] |= (uint8_t)((code & 15) << g / 8 * 4);
            to[104 + g % 4] |= (uint8_t)((code >> 4) << g / 4 * 2);
        }
        fb_block_put_half(to + 108, block.scale);
    }
}

static void put_q6_k(const SignedBlock *block, uint8_t *to)
{
    for (int i = 0; i < 64; i++) {
        const uint8_t *c = block->codes + i / 32 * 128 + i % 32;
        uint8_t *low = to + i / 32 * 64 + i % 32;
        low[0] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
        low[32] = (uint8_t)((c[32] & 15) | (c[96] & 15) << 4);
        to[128 + i] = (uint8_t)(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
    }
    memcpy(to + 192, block->scales, 16);
    fb_block_put_half(to + 208, block->scale);
}

void fb_encode_q6_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 210) {
        SignedBlock block;
        float scales[16], squares[16];
        for (int g = 0; g < 16; g++) {
            const float *x = from + 16 * g, *weights = importance == NULL ? NULL : importance + b * ELEMENTS + (size_t)(16 * g);
            scales[g] = fb_search_signed(x, group_weights(x, weights, squares), 16, 32, block.codes + 16 * g);
        }
        float extreme = fb_block_extreme(scales, 16);
        if (fabsf(extreme) < FB_GROUP_ZERO) {
            memset(to, 0, 210);
            continue;
        }
        float inverse = -128.0f / extreme;
        block.scale = fb_f32_to_f16(1.0f / inverse);
        for (int g = 0; g < 16; g++) {
            int code = fb_block_nearest(inverse * scales[g]);
            block.scales[g] = (int8_t)(code > 127 ? 127 : code);
        }
        round_signed_again(from, 32, &block);
        put_q6_k(&block, to);
    }
}
