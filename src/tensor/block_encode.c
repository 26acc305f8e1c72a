/* Encoding of the block types with 32 elements by ggml's reference rounding: the scale comes from the extreme element, codes are computed
 * with the scale as it was before rounding to half precision. Files of other tools are equal byte for byte. */
#include <math.h>

#include "tensor/block_type.h"

enum { ELEMENTS = 32, HALF = 16 };

static void put_half(uint8_t *at, float value)
{
    uint16_t half = fb_f32_to_f16(value);
    at[0] = (uint8_t)half;
    at[1] = (uint8_t)(half >> 8);
}

/* The element of the largest magnitude, with its sign; the first of equals. */
static float extreme(const float *x)
{
    float most = 0.0f, value = 0.0f;
    for (int j = 0; j < ELEMENTS; j++) {
        if (fabsf(x[j]) > most) {
            most = fabsf(x[j]);
            value = x[j];
        }
    }
    return value;
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
static unsigned code_of(float x, int most)
{
    return !(x > 0.0f) ? 0u : x >= (float)most ? (unsigned)most : (unsigned)x;
}

static void put_nibbles(uint8_t *to, const unsigned *codes)
{
    for (int j = 0; j < HALF; j++) {
        to[j] = (uint8_t)((codes[j] & 15u) | (codes[j + HALF] & 15u) << 4);
    }
}

static void put_fifth_bits(uint8_t *to, const unsigned *codes)
{
    uint32_t high = 0;
    for (int j = 0; j < ELEMENTS; j++) {
        high |= (uint32_t)(codes[j] >> 4 & 1u) << j;
    }
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(high >> 8 * i);
    }
}

/* Scale without minimum: the extreme element gets code 0, so that one more level than in a symmetric grid is used. */
static void codes_signed(const float *x, int zero, uint8_t *scale_at, unsigned *codes)
{
    float scale = extreme(x) / (float)-zero;
    float factor = inverse(scale);
    put_half(scale_at, scale);
    for (int j = 0; j < ELEMENTS; j++) {
        float product = x[j] * factor;
        codes[j] = code_of(product + ((float)zero + 0.5f), 2 * zero - 1);
    }
}

static void codes_above_minimum(const float *x, int most, uint8_t *scale_at, unsigned *codes)
{
    float low, high;
    range(x, &low, &high);
    float scale = (high - low) / (float)most;
    float factor = inverse(scale);
    put_half(scale_at, scale);
    put_half(scale_at + 2, low);
    for (int j = 0; j < ELEMENTS; j++) {
        float product = (x[j] - low) * factor;
        codes[j] = code_of(product + 0.5f, most);
    }
}

void fb_encode_q4_0(const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 18) {
        unsigned codes[ELEMENTS];
        codes_signed(from, 8, to, codes);
        put_nibbles(to + 2, codes);
    }
}

void fb_encode_q4_1(const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 20) {
        unsigned codes[ELEMENTS];
        codes_above_minimum(from, 15, to, codes);
        put_nibbles(to + 4, codes);
    }
}

void fb_encode_q5_0(const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 22) {
        unsigned codes[ELEMENTS];
        codes_signed(from, 16, to, codes);
        put_fifth_bits(to + 2, codes);
        put_nibbles(to + 6, codes);
    }
}

void fb_encode_q5_1(const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 24) {
        unsigned codes[ELEMENTS];
        codes_above_minimum(from, 31, to, codes);
        put_fifth_bits(to + 4, codes);
        put_nibbles(to + 8, codes);
    }
}

/* Half away from zero, within the codes; an inverse that overflowed gives NaN for an element that is 0. */
static int round_code(float x)
{
    float rounded = isnan(x) ? 0.0f : roundf(x);
    return rounded < -128.0f ? -128 : rounded > 127.0f ? 127 : (int)rounded;
}

void fb_encode_q8_0(const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += ELEMENTS, to += 34) {
        float scale = fabsf(extreme(from)) / 127.0f;
        float factor = inverse(scale);
        put_half(to, scale);
        for (int j = 0; j < ELEMENTS; j++) {
            to[2 + j] = (uint8_t)round_code(from[j] * factor);
        }
    }
}
