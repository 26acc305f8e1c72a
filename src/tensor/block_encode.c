/* Encoding of the block types with 32 elements by ggml's reference rounding: the scale comes from the extreme element, codes are computed
 * with the scale as it was before rounding to half precision. With importance the scale (and minimum) is searched for (block_search.h), the
 * weight of an element being importance * sqrt(mean square of the row + x^2). Files of other tools are equal byte for byte. */
#include <math.h>

#include "tensor/block_pack.h"

enum { ELEMENTS = 32 };

static void put_float(uint8_t *at, float value)
{
    fb_block_put_half(at, fb_f32_to_f16(value));
}

static void range(const float *x, float *low, float *high)
{
    *low = x[0];
    *high = x[0];
    for (int j = 1; j < ELEMENTS; j++) {
        *low = x[j] < *low ? x[j] : *low;
        *high = x[j] > *high ? x[j] : *high;
    }
}

static float inverse(float scale)
{
    return scale != 0.0f ? 1.0f / scale : 0.0f;
}

/* Truncates; beyond the ends the end. An inverse that overflowed gives infinity, or NaN for an element that is 0. */
static uint8_t code_of(float x, int most)
{
    return !(x > 0.0f) ? 0 : x >= (float)most ? (uint8_t)most : (uint8_t)x;
}

/* Scale without minimum: the extreme element gets code 0, so that one more level than in a symmetric grid is used. */
static void codes_signed(const float *x, int zero, uint8_t *scale_at, uint8_t *codes)
{
    float scale = fb_block_extreme(x, ELEMENTS) / (float)-zero;
    float factor = inverse(scale);
    put_float(scale_at, scale);
    for (int j = 0; j < ELEMENTS; j++) {
        float product = x[j] * factor;
        codes[j] = code_of(product + ((float)zero + 0.5f), 2 * zero - 1);
    }
}

static void codes_above_minimum(const float *x, int most, uint8_t *scale_at, uint8_t *codes)
{
    float low, high;
    range(x, &low, &high);
    float scale = (high - low) / (float)most;
    float factor = inverse(scale);
    put_float(scale_at, scale);
    put_float(scale_at + 2, low);
    for (int j = 0; j < ELEMENTS; j++) {
        float product = (x[j] - low) * factor;
        codes[j] = code_of(product + 0.5f, most);
    }
}

/* A row's mean square, where it is asked for. */
static float row_sigma2(const float *row, const float *importance, size_t blocks)
{
    int64_t count = (int64_t)blocks * ELEMENTS;
    return importance == NULL ? 0.0f : fb_block_sum_squares(row, count) / (float)count;
}

/* Whether this block has importance; then its weights. */
static bool block_weights(const float *x, const float *importance, size_t block, float sigma2, float *weights)
{
    if (importance == NULL || !fb_block_any(importance + block * ELEMENTS, ELEMENTS)) {
        return false;
    }
    fb_block_weights(x, importance + block * ELEMENTS, ELEMENTS, sigma2, weights);
    return true;
}

static void signed_block(const float *x, const float *importance, size_t block, float sigma2, int zero, uint8_t *scale_at, uint8_t *codes)
{
    float weights[ELEMENTS];
    if (block_weights(x, importance, block, sigma2, weights)) {
        put_float(scale_at, fb_search_signed(x, weights, ELEMENTS, zero, codes));
    } else {
        codes_signed(x, zero, scale_at, codes);
    }
}

static void minimum_block(const float *x, const float *importance, size_t block, float sigma2, int most, uint8_t *scale_at, uint8_t *codes)
{
    float weights[ELEMENTS], minimum;
    if (block_weights(x, importance, block, sigma2, weights)) {
        FbRangeSearch search = {most, 36, -0.9f, 0.05f, false};
        put_float(scale_at, fb_search_range(&search, x, weights, ELEMENTS, codes, &minimum));
        put_float(scale_at + 2, -minimum);
    } else {
        codes_above_minimum(x, most, scale_at, codes);
    }
}

void fb_encode_q4_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float sigma2 = row_sigma2(from, importance, blocks);
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 18) {
        uint8_t codes[ELEMENTS];
        signed_block(from, importance, b, sigma2, 8, to, codes);
        fb_pack_nibbles(to + 2, codes);
    }
}

void fb_encode_q4_1(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float sigma2 = row_sigma2(from, importance, blocks);
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 20) {
        uint8_t codes[ELEMENTS];
        minimum_block(from, importance, b, sigma2, 15, to, codes);
        fb_pack_nibbles(to + 4, codes);
    }
}

void fb_encode_q5_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float sigma2 = row_sigma2(from, importance, blocks);
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 22) {
        uint8_t codes[ELEMENTS];
        signed_block(from, importance, b, sigma2, 16, to, codes);
        fb_pack_fifth_bits(to + 2, codes);
        fb_pack_nibbles(to + 6, codes);
    }
}

void fb_encode_q5_1(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float sigma2 = row_sigma2(from, importance, blocks);
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 24) {
        uint8_t codes[ELEMENTS];
        minimum_block(from, importance, b, sigma2, 31, to, codes);
        fb_pack_fifth_bits(to + 4, codes);
        fb_pack_nibbles(to + 8, codes);
    }
}

/* Half away from zero, within the codes; an inverse that overflowed gives NaN for an element that is 0. */
static int round_code(float x)
{
    float rounded = isnan(x) ? 0.0f : roundf(x);
    return rounded < -127.0f ? -127 : rounded > 127.0f ? 127 : (int)rounded;
}

void fb_encode_q8_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance; /* the scale is the extreme element's */
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 34) {
        float scale = fabsf(fb_block_extreme(from, ELEMENTS)) / 127.0f;
        float factor = inverse(scale);
        put_float(to, scale);
        for (int j = 0; j < ELEMENTS; j++) {
            to[2 + j] = (uint8_t)round_code(from[j] * factor);
        }
    }
}

void fb_encode_f16(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance;
    for (size_t i = 0; i < blocks; i++) {
        put_float(to + 2 * i, from[i]);
    }
}

void fb_encode_bf16(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance;
    for (size_t i = 0; i < blocks; i++) {
        fb_block_put_half(to + 2 * i, fb_f32_to_bf16(from[i]));
    }
}
