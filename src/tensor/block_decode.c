/* Decoding of the block types with 32 elements. Products and sums are rounded one by one, as the formulas of the types say. */
#include <string.h>

#include "tensor/block_type.h"

enum { ELEMENTS = 32, HALF = 16 };

const int8_t fb_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void fb_decode_f16(const uint8_t *from, float *to, size_t blocks)
{
    fb_decode_f32(FB_DTYPE_F16, from, 0, to, blocks);
}

void fb_decode_bf16(const uint8_t *from, float *to, size_t blocks)
{
    fb_decode_f32(FB_DTYPE_BF16, from, 0, to, blocks);
}

/* Element j is the low nibble of byte j, element j + 16 its high nibble. */
void fb_decode_q4_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 18, to += ELEMENTS) {
        float scale = fb_block_half(from);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)((from[2 + j] & 15) - 8);
            to[j + HALF] = scale * (float)((from[2 + j] >> 4) - 8);
        }
    }
}

void fb_decode_q4_1(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 20, to += ELEMENTS) {
        float scale = fb_block_half(from);
        float minimum = fb_block_half(from + 2);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)(from[4 + j] & 15) + minimum;
            to[j + HALF] = scale * (float)(from[4 + j] >> 4) + minimum;
        }
    }
}

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The fifth bit of element j is bit j of a word before the nibbles. */
void fb_decode_q5_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 22, to += ELEMENTS) {
        float scale = fb_block_half(from);
        uint32_t high = word_at(from + 2);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)((int)((from[6 + j] & 15u) | (high >> j & 1) << 4) - 16);
            to[j + HALF] = scale * (float)((int)(from[6 + j] >> 4 | (high >> (j + HALF) & 1) << 4) - 16);
        }
    }
}

void fb_decode_q5_1(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 24, to += ELEMENTS) {
        float scale = fb_block_half(from);
        float minimum = fb_block_half(from + 2);
        uint32_t high = word_at(from + 4);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)((from[8 + j] & 15u) | (high >> j & 1) << 4) + minimum;
            to[j + HALF] = scale * (float)(from[8 + j] >> 4 | (high >> (j + HALF) & 1) << 4) + minimum;
        }
    }
}

void fb_decode_q8_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 34, to += ELEMENTS) {
        float scale = fb_block_half(from);
        for (int j = 0; j < ELEMENTS; j++) {
            to[j] = scale * (float)(int8_t)from[2 + j];
        }
    }
}

void fb_decode_iq4_nl(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 18, to += ELEMENTS) {
        float scale = fb_block_half(from);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)fb_iq4_levels[from[2 + j] & 15];
            to[j + HALF] = scale * (float)fb_iq4_levels[from[2 + j] >> 4];
        }
    }
}

/* Built from bits so that subnormal powers are exact. */
float fb_block_half_power(uint8_t exponent)
{
    uint32_t bits = exponent < 2 ? UINT32_C(0x00200000) << exponent : (uint32_t)(exponent - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void fb_decode_mxfp4(const uint8_t *from, float *to, size_t blocks)
{
    static const int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; /* of the E2M1 values */
    for (size_t b = 0; b < blocks; b++, from += 17, to += ELEMENTS) {
        float scale = fb_block_half_power(from[0]);
        for (int j = 0; j < HALF; j++) {
            to[j] = scale * (float)twice[from[1 + j] & 15];
            to[j + HALF] = scale * (float)twice[from[1 + j] >> 4];
        }
    }
}
