/* Decoding of the block types whose elements come from codebooks (block_grids.c), and of NVFP4 and Q1_0. Products are rounded one by one, as the
 * formulas of the types say. */
#include "tensor/block_grids.h"
#include "tensor/block_type.h"

enum { LARGE_GROUPS = 8 }; /* of 32 elements in a block of 256 */

static unsigned half_word(const uint8_t *at)
{
    return at[0] | (unsigned)at[1] << 8;
}

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Seven signs; the eighth makes their number even. */
static unsigned even_signs(unsigned seven)
{
    unsigned parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return seven | (parity & 1) << 7;
}

/* Eight elements of IQ2. */
static float *put_iq2(float scale, unsigned entry, unsigned signs, float *to)
{
    static const float levels[4] = {8.0f, 25.0f, 43.0f, 0.0f};
    for (int i = 0; i < 8; i++) {
        float value = scale * levels[entry >> 2 * i & 3];
        *to++ = signs >> i & 1 ? -value : value;
    }
    return to;
}

/* d; per group of 32 four bytes of entries and a word: four times seven signs, 4 bits of scale. */
void fb_decode_iq2_xxs(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 66) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            const uint8_t *entries = from + 2 + 8 * g;
            uint32_t rest = word(entries + 4);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
            for (int part = 0; part < 4; part++) {
                to = put_iq2(scale, fb_grid_iq2_xxs[entries[part]], even_signs(rest >> 7 * part & 127), to);
            }
        }
    }
}

/* Scale of half a group, a nibble. */
static float half_group_scale(float d, uint8_t nibbles, int part)
{
    return d * (0.5f + (float)(part < 2 ? nibbles & 15 : nibbles >> 4)) * 0.25f;
}

/* d; 32 half words: 9 bits of entry, seven signs; eight bytes of scales, a nibble per 16 elements. */
void fb_decode_iq2_xs(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 74) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            for (int part = 0; part < 4; part++) {
                unsigned code = half_word(from + 2 + 8 * g + 2 * part);
                to = put_iq2(half_group_scale(d, from[66 + g], part), fb_grid_iq2_xs[code & 511], even_signs(code >> 9), to);
            }
        }
    }
}

/* d; 32 low bytes of entries; 32 bytes of signs; eight bytes of high bit pairs; eight bytes of scales. */
void fb_decode_iq2_s(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 82) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            for (int part = 0; part < 4; part++) {
                unsigned entry = from[2 + 4 * g + part] | (from[66 + g] >> 2 * part & 3u) << 8;
                to = put_iq2(half_group_scale(d, from[74 + g], part), fb_grid_iq2_s[entry], from[34 + 4 * g + part], to);
            }
        }
    }
}

/* Four elements of IQ3. */
static float *put_iq3(float scale, unsigned entry, const uint8_t *levels, unsigned signs, float *to)
{
    for (int i = 0; i < 4; i++) {
        float value = scale * (float)levels[entry >> 3 * i & 7];
        *to++ = signs >> i & 1 ? -value : value;
    }
    return to;
}

/* d; 64 entries; eight words of signs and scales as in iq2_xxs. */
void fb_decode_iq3_xxs(const uint8_t *from, float *to, size_t blocks)
{
    static const uint8_t levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    for (size_t b = 0; b < blocks; b++, from += 98) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            uint32_t rest = word(from + 66 + 4 * g);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
            for (int part = 0; part < 8; part++) {
                unsigned signs = even_signs(rest >> part / 2 * 7 & 127) >> part % 2 * 4;
                to = put_iq3(scale, fb_grid_iq3_xxs[from[2 + 8 * g + part]], levels, signs, to);
            }
        }
    }
}

/* d; 64 low bytes of entries; eight bytes of ninth bits; 32 bytes of signs; four bytes of scales, a nibble per 32 elements. */
void fb_decode_iq3_s(const uint8_t *from, float *to, size_t blocks)
{
    static const uint8_t levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    for (size_t b = 0; b < blocks; b++, from += 110) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            float scale = d * (float)(1 + 2 * (from[106 + g / 2] >> g % 2 * 4 & 15));
            for (int part = 0; part < 8; part++) {
                unsigned entry = from[2 + 8 * g + part] | (from[66 + g] >> part & 1u) << 8;
                to = put_iq3(scale, fb_grid_iq3_s[entry], levels, (unsigned)from[74 + 4 * g + part / 2] >> part % 2 * 4, to);
            }
        }
    }
}

/* Eight elements of IQ1: a third of a step beside the level. */
static float *put_iq1(float scale, unsigned entry, bool below, float *to)
{
    for (int i = 0; i < 8; i++) {
        float level = (float)((int)(entry >> 2 * i & 3) - 1);
        *to++ = scale * (level + (below ? -0.125f : 0.125f));
    }
    return to;
}

/* d; 32 low bytes of entries; eight half words: four times three high bits, 3 bits of scale, the side. */
void fb_decode_iq1_s(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 50) {
        float d = fb_block_half(from);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            unsigned rest = half_word(from + 34 + 2 * g);
            float scale = d * (float)(2 * (rest >> 12 & 7) + 1);
            for (int part = 0; part < 4; part++) {
                unsigned entry = from[2 + 4 * g + part] | (rest >> 3 * part & 7) << 8;
                to = put_iq1(scale, fb_grid_iq1[entry], rest >> 15 != 0, to);
            }
        }
    }
}

/* 32 low bytes of entries; 32 nibbles: three high bits, the side; four half words: four 3-bit scales per 16 elements, 4 bits of d. */
void fb_decode_iq1_m(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 56) {
        uint16_t half = 0;
        for (int i = 0; i < 4; i++) {
            half |= (uint16_t)((half_word(from + 48 + 2 * i) >> 12) << 4 * i);
        }
        float d = fb_f16_to_f32(half);
        for (int g = 0; g < LARGE_GROUPS; g++) {
            for (int part = 0; part < 4; part++) {
                unsigned scale = half_word(from + 48 + g / 2 * 2) >> (g % 2 * 6 + part / 2 * 3) & 7;
                unsigned nibble = (unsigned)from[32 + 2 * g + part / 2] >> part % 2 * 4 & 15;
                unsigned entry = from[4 * g + part] | (nibble & 7) << 8;
                to = put_iq1(d * (float)(2 * scale + 1), fb_grid_iq1[entry], nibble >> 3 != 0, to);
            }
        }
    }
}

/* Half of an unsigned E4M3 value, because the levels are taken doubled; the code of NaN gives 0. */
static float half_e4m3(uint8_t code)
{
    int exponent = code >> 3 & 15, significand = code & 7;
    float step = fb_block_half_power((uint8_t)(128 + (exponent > 0 ? exponent - 1 : 0) - 10)); /* of the last place, halved */
    return code == 0x7F ? 0.0f : (float)(significand + (exponent > 0 ? 8 : 0)) * step;
}

/* Four scales of 16 elements; 32 bytes, nibbles as in mxfp4 within each 16. */
void fb_decode_nvfp4(const uint8_t *from, float *to, size_t blocks)
{
    static const int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    for (size_t b = 0; b < blocks; b++, from += 36) {
        for (int g = 0; g < 4; g++, to += 16) {
            float scale = half_e4m3(from[g]);
            const uint8_t *codes = from + 4 + 8 * g;
            for (int i = 0; i < 8; i++) {
                to[i] = scale * (float)twice[codes[i] & 15];
                to[i + 8] = scale * (float)twice[codes[i] >> 4];
            }
        }
    }
}

/* d; 16 bytes of signs, set for +d. */
void fb_decode_q1_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 18) {
        float d = fb_block_half(from);
        for (int i = 0; i < 128; i++) {
            *to++ = from[2 + i / 8] >> i % 8 & 1 ? d : -d;
        }
    }
}
