/* Encoding of the types whose levels are uneven (IQ4_NL, IQ4_XS, MXFP4) or three (TQ1_0, TQ2_0), and of one bit (Q1_0).
 * Source of the methods: ggml; tensors are equal byte for byte. */
#include <math.h>
#include <string.h>

#include "tensor/block_pack.h"

enum { GROUP = 32, LARGE = 256, GROUPS = LARGE / GROUP };

static float inverse_of(float scale)
{
    return scale != 0.0f ? 1.0f / scale : 0.0f;
}

static void put_levels(uint8_t *to, const float *x, float inverse)
{
    for (int i = 0; i < GROUP / 2; i++) {
        to[i] = (uint8_t)(fb_nearest_level(inverse * x[i]) | fb_nearest_level(inverse * x[i + GROUP / 2]) << 4);
    }
}

/* Weights of importance; without (or all zero) the squares. */
static float scale_of_levels(const float *x, const float *importance, float sigma2)
{
    float weights[GROUP];
    if (importance != NULL && fb_block_any(importance, GROUP)) {
        fb_block_weights(x, importance, GROUP, sigma2, weights);
    } else {
        for (int i = 0; i < GROUP; i++) {
            weights[i] = x[i] * x[i];
        }
    }
    return fb_search_levels(x, weights, GROUP);
}

void fb_encode_iq4_nl(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += GROUP, to += 18) {
        float sigma2 = fb_block_sum_squares(from, GROUP) * (2.0f / GROUP);
        float scale = scale_of_levels(from, importance == NULL ? NULL : importance + b * GROUP, sigma2);
        fb_block_put_half(to, fb_f32_to_f16(scale));
        put_levels(to + 2, from, inverse_of(scale));
    }
}

void fb_iq4_xs_scales(const float *scales, uint8_t *to, float *inverses)
{
    float scale = -fb_block_extreme(scales, GROUPS) / 32.0f;
    float inverse = inverse_of(scale);
    memset(to, 0, 8);
    fb_block_put_half(to, fb_f32_to_f16(scale));
    for (int g = 0; g < GROUPS; g++) {
        int code = fb_block_clamp(fb_block_nearest(inverse * scales[g]), -32, 31);
        unsigned stored = (unsigned)(code + 32);
        inverses[g] = inverse_of(scale * (float)code);
        to[2 + g / 4] |= (uint8_t)(stored >> 4 << g % 4 * 2);
        to[4 + g / 2] |= (uint8_t)((stored & 15) << g % 2 * 4);
    }
}

void fb_encode_iq4_xs(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += LARGE, to += 136) {
        float sigma2 = fb_block_sum_squares(from, LARGE) * (2.0f / LARGE), scales[GROUPS], inverses[GROUPS];
        for (int g = 0; g < GROUPS; g++) {
            scales[g] = scale_of_levels(from + GROUP * g, importance == NULL ? NULL : importance + b * LARGE + (size_t)(GROUP * g), sigma2);
        }
        fb_iq4_xs_scales(scales, to, inverses);
        for (int g = 0; g < GROUPS; g++) {
            put_levels(to + 8 + g * 16, from + GROUP * g, inverses[g]);
        }
    }
}

/* The exponent of the largest magnitude, taken from its base-2 logarithm rounded to float: of a number so close below a power of two that the
 * logarithm is that power's, the power's exponent. The distance in units of the last place grows with the logarithm's own unit. */
static int logarithm(float most)
{
    uint32_t bits;
    memcpy(&bits, &most, sizeof bits);
    int exponent = (int)(bits >> 23) - 127;
    unsigned size = (unsigned)(exponent >= 0 ? exponent : -1 - exponent), near = 44; /* of the logarithms below the next power's */
    for (unsigned top = 64; top > 0 && !(size & top); top >>= 1) {
        near >>= 1;
    }
    return exponent + ((bits & 0x7FFFFF) >= 0x800000 - near);
}

uint8_t fb_mxfp4_exponent(float most)
{
    int exponent = most > 0.0f ? logarithm(most) - 2 + 127 : 0;
    return (uint8_t)(exponent < 0 ? 0 : exponent);
}

/* Nearest of the E2M1 values, doubled; the first of equally near ones, so 0 and never -0. */
static unsigned nearest_e2m1(float x, float scale)
{
    static const int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    unsigned best = 0;
    float error = fabsf(0.0f * scale - x);
    for (unsigned code = 1; code < 16; code++) {
        float other = fabsf((float)twice[code] * scale - x);
        if (other < error) {
            best = code;
            error = other;
        }
    }
    return best;
}

void fb_encode_mxfp4(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance; /* the power of two does not depend on it */
    for (size_t b = 0; b < blocks; b++, from += GROUP, to += 17) {
        to[0] = fb_mxfp4_exponent(fabsf(fb_block_extreme(from, GROUP)));
        float scale = fb_block_half_power(to[0]);
        for (int i = 0; i < GROUP / 2; i++) {
            to[1 + i] = (uint8_t)(nearest_e2m1(from[i], scale) | nearest_e2m1(from[i + GROUP / 2], scale) << 4);
        }
    }
}

/* 0, 1, 2 for -1, 0, 1 times the scale; halves go outwards. */
static unsigned ternary_code(float x, float inverse)
{
    float product = x * inverse;
    return product >= 0.5f ? 2u : product <= -0.5f ? 0u : 1u;
}

/* `digits` elements, `stride` apart, as a fraction in base 3 of five digits, rounded up so that multiplying by 3 brings the digits back. */
static uint8_t ternary_byte(const float *x, int stride, int digits, float inverse)
{
    unsigned number = 0;
    for (int n = 0; n < 5; n++) {
        number = number * 3 + (n < digits ? ternary_code(x[n * stride], inverse) : 0);
    }
    return (uint8_t)((number * 256 + 242) / 243);
}

void fb_encode_tq1_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance; /* the scale is the largest magnitude */
    for (size_t b = 0; b < blocks; b++, from += LARGE, to += 54) {
        float scale = fabsf(fb_block_extreme(from, LARGE)), inverse = inverse_of(scale);
        for (int i = 0; i < 32; i++) {
            to[i] = ternary_byte(from + i, 32, 5, inverse);
        }
        for (int i = 0; i < 16; i++) {
            to[32 + i] = ternary_byte(from + 160 + i, 16, 5, inverse);
        }
        for (int i = 0; i < 4; i++) {
            to[48 + i] = ternary_byte(from + 240 + i, 4, 4, inverse);
        }
        fb_block_put_half(to + 52, fb_f32_to_f16(scale));
    }
}

void fb_encode_tq2_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance;
    for (size_t b = 0; b < blocks; b++, from += LARGE, to += 66) {
        float scale = fabsf(fb_block_extreme(from, LARGE)), inverse = inverse_of(scale);
        for (int i = 0; i < 64; i++) {
            const float *x = from + i / 32 * 128 + i % 32;
            unsigned byte = 0;
            for (int n = 0; n < 4; n++) {
                byte |= ternary_code(x[32 * n], inverse) << 2 * n;
            }
            to[i] = (uint8_t)byte;
        }
        fb_block_put_half(to + 64, fb_f32_to_f16(scale));
    }
}
