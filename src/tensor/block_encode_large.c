/* Encoding of the block types with 256 elements in groups, each with a small scale of its own: the groups' scales are searched for
 * (block_search.h), stored as codes of few bits times the block's half-precision scale, and the elements rounded once more to what is stored.
 * Source of the method: ggml's k-quants; tensors are equal byte for byte. */
#include <math.h>

#include "tensor/block_pack.h"

enum { ELEMENTS = FB_LARGE_ELEMENTS, GROUPS_MOST = FB_LARGE_GROUPS };

static const float *at_block(const float *importance, size_t block)
{
    return importance == NULL || !fb_block_any(importance + block * ELEMENTS, ELEMENTS) ? NULL : importance + block * ELEMENTS;
}

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

void fb_minimum_scales(const FbMinimumType *type, const float *scales, const float *minima, const float *sums, FbMinimumBlock *block)
{
    int groups = ELEMENTS / type->group;
    if (sums == NULL) {
        block->scale = share_codes(scales, groups, type->scale_top, block->scales);
        block->minimum = share_codes(minima, groups, type->scale_top, block->minima);
    } else {
        block->scale = fb_f32_to_f16(fb_search_positive(scales, sums, groups, type->scale_top, block->scales));
        block->minimum = fb_f32_to_f16(fb_search_positive(minima, sums, groups, type->scale_top, block->minima));
    }
}

/* Weights of an element without importance: its magnitude, above the group's mean where the groups are large. */
static void plain_weights(const float *x, int count, float *weights)
{
    float mean = count > 16 ? sqrtf(fb_block_sum_squares(x, count) / (float)count) : 0.0f;
    for (int i = 0; i < count; i++) {
        weights[i] = mean + fabsf(x[i]);
    }
}

static void round_again(const FbMinimumType *type, const float *x, FbMinimumBlock *block)
{
    for (int g = 0; g < ELEMENTS / type->group; g++) {
        float scale = fb_f16_to_f32(block->scale) * (float)block->scales[g];
        float minimum = fb_f16_to_f32(block->minimum) * (float)block->minima[g];
        for (int i = g * type->group; i < (g + 1) * type->group && scale != 0.0f; i++) {
            block->codes[i] = (uint8_t)fb_block_clamp(fb_block_nearest((x[i] + minimum) / scale), 0, type->top);
        }
    }
}

static float sum(const float *x, int count)
{
    float all = 0.0f;
    for (int i = 0; i < count; i++) {
        all += x[i];
    }
    return all;
}

static void with_minima(const FbMinimumType *type, const float *x, const float *importance, FbMinimumBlock *block)
{
    int groups = ELEMENTS / type->group;
    float scales[GROUPS_MOST], minima[GROUPS_MOST], sums[GROUPS_MOST], weights[32];
    float sigma2 = importance == NULL ? 0.0f : type->sigma * fb_block_sum_squares(x, ELEMENTS) / (float)ELEMENTS;
    for (int g = 0; g < groups; g++) {
        const float *group = x + g * type->group;
        if (importance == NULL) {
            plain_weights(group, type->group, weights);
        } else {
            fb_block_weights(group, importance + g * type->group, type->group, sigma2, weights);
        }
        sums[g] = sum(weights, type->group);
        const FbRangeSearch *search = importance == NULL ? &type->plain : &type->weighted;
        scales[g] = fb_search_range(search, group, weights, type->group, block->codes + g * type->group, &minima[g]);
    }
    fb_minimum_scales(type, scales, minima, importance == NULL ? NULL : sums, block);
    round_again(type, x, block);
}

void fb_encode_q2_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 84) {
        FbMinimumBlock block;
        with_minima(&fb_q2_k_minimum, from, at_block(importance, b), &block);
        fb_pack_q2_k(&block, to);
    }
}

void fb_encode_q4_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 144) {
        FbMinimumBlock block;
        with_minima(&fb_q4_k_minimum, from, at_block(importance, b), &block);
        fb_pack_q4_k(&block, to);
    }
}

void fb_encode_q5_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 176) {
        FbMinimumBlock block;
        with_minima(&fb_q5_k_minimum, from, at_block(importance, b), &block);
        fb_pack_q5_k(&block, to);
    }
}

static void round_signed_again(const float *x, int zero, FbSignedBlock *block)
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

void fb_q3_k_scales(const float *scales, const float *sums, FbSignedBlock *block)
{
    uint8_t codes[16];
    if (sums != NULL) {
        block->scale = fb_f32_to_f16(fb_search_signed(scales, sums, 16, 32, codes));
        for (int g = 0; g < 16; g++) {
            block->scales[g] = (int8_t)(codes[g] - 32);
        }
        return;
    }
    float extreme = fb_block_extreme(scales, 16);
    float inverse = extreme != 0.0f ? -32.0f / extreme : 0.0f;
    block->scale = fb_f32_to_f16(extreme != 0.0f ? 1.0f / inverse : 0.0f);
    for (int g = 0; g < 16; g++) {
        block->scales[g] = extreme != 0.0f ? (int8_t)fb_block_clamp((int8_t)fb_block_nearest(inverse * scales[g]), -32, 31) : -32;
    }
}

static void search_q3_k(const float *x, const float *importance, FbSignedBlock *block)
{
    float scales[16], sums[16], weights[16], squares[16];
    float sigma2 = importance == NULL ? 0.0f : 2.0f * fb_block_sum_squares(x, ELEMENTS) / (float)ELEMENTS;
    for (int g = 0; g < 16; g++, x += 16) {
        if (importance == NULL) {
            scales[g] = fb_search_signed_moves(x, 16, 4, block->codes + 16 * g);
            continue;
        }
        fb_block_weights(x, importance + 16 * g, 16, sigma2, weights);
        sums[g] = sum(weights, 16);
        scales[g] = fb_search_signed(x, group_weights(x, weights, squares), 16, 4, block->codes + 16 * g);
    }
    fb_q3_k_scales(scales, importance == NULL ? NULL : sums, block);
}

void fb_encode_q3_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 110) {
        FbSignedBlock block;
        search_q3_k(from, at_block(importance, b), &block);
        round_signed_again(from, 4, &block);
        fb_pack_q3_k(&block, to);
    }
}

bool fb_q6_k_scales(const float *scales, FbSignedBlock *block)
{
    float extreme = fb_block_extreme(scales, 16);
    if (fabsf(extreme) < FB_GROUP_ZERO) {
        return false;
    }
    float inverse = -128.0f / extreme;
    block->scale = fb_f32_to_f16(1.0f / inverse);
    for (int g = 0; g < 16; g++) {
        int code = fb_block_nearest(inverse * scales[g]);
        block->scales[g] = (int8_t)(code > 127 ? 127 : code);
    }
    return true;
}

void fb_encode_q6_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 210) {
        FbSignedBlock block;
        float scales[16], squares[16];
        for (int g = 0; g < 16; g++) {
            const float *x = from + 16 * g, *weights = importance == NULL ? NULL : importance + b * ELEMENTS + (size_t)(16 * g);
            scales[g] = fb_search_signed(x, group_weights(x, weights, squares), 16, 32, block.codes + 16 * g);
        }
        if (fb_q6_k_scales(scales, &block)) {
            round_signed_again(from, 32, &block);
            fb_pack_q6_k(&block, to);
        } else {
            memset(to, 0, 210);
        }
    }
}
