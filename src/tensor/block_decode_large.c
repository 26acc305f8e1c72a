/* Decoding of the block types with 256 elements, in sub-blocks with small scales of their own. */
#include "tensor/block_type.h"

enum { ELEMENTS = 256 };

/* 16 bytes: scale in the low nibble, minimum in the high one; 64 bytes; d, dmin. Each half of 128 elements has 32 bytes of four 2-bit
 * planes; a plane is 32 consecutive elements, two sub-blocks. */
void fb_decode_q2_k(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 84) {
        float d = fb_block_half(from + 80);
        float dmin = fb_block_half(from + 82);
        for (int sub = 0; sub < 16; sub++) {
            float scale = d * (float)(from[sub] & 15);
            float minimum = dmin * (float)(from[sub] >> 4);
            const uint8_t *codes = from + 16 + sub / 8 * 32 + sub % 2 * 16;
            int shift = sub % 8 / 2 * 2;
            for (int i = 0; i < 16; i++) {
                *to++ = scale * (float)(codes[i] >> shift & 3) - minimum;
            }
        }
    }
}

/* 32 bytes of high bits; 64 bytes of low bits as in q2_K; twelve bytes of sixteen 6-bit scales; d. A high bit that is clear takes 4 away. */
void fb_decode_q3_k(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 110) {
        const uint8_t *packed = from + 96;
        float d = fb_block_half(from + 108);
        for (int sub = 0; sub < 16; sub++) {
            int low = sub < 8 ? packed[sub] & 15 : packed[sub - 8] >> 4;
            int high = packed[8 + sub % 4] >> sub / 4 * 2 & 3;
            float scale = d * (float)((low | high << 4) - 32);
            const uint8_t *codes = from + 32 + sub / 8 * 32 + sub % 2 * 16;
            const uint8_t *mask = from + sub % 2 * 16;
            int shift = sub % 8 / 2 * 2;
            for (int i = 0; i < 16; i++) {
                int code = (codes[i] >> shift & 3) - (mask[i] >> sub / 2 & 1 ? 0 : 4);
                *to++ = scale * (float)code;
            }
        }
    }
}

/* Scale and minimum j of eight, 6 bits each, out of twelve bytes. */
static void scale_and_minimum(const uint8_t *s, int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *minimum = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/* d, dmin, twelve bytes of scales and minima; 128 bytes: every 64 elements use 32, low nibbles first. */
void fb_decode_q4_k(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 144) {
        float d = fb_block_half(from);
        float dmin = fb_block_half(from + 2);
        for (int sub = 0; sub < 8; sub++) {
            int sc, m;
            scale_and_minimum(from + 4, sub, &sc, &m);
            float scale = d * (float)sc;
            float minimum = dmin * (float)m;
            const uint8_t *codes = from + 16 + sub / 2 * 32;
            int shift = sub % 2 * 4;
            for (int i = 0; i < 32; i++) {
                *to++ = scale * (float)(codes[i] >> shift & 15) - minimum;
            }
        }
    }
}

/* As q4_K, with 32 bytes of fifth bits before the nibbles: bit `sub` of byte i. */
void fb_decode_q5_k(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 176) {
        float d = fb_block_half(from);
        float dmin = fb_block_half(from + 2);
        for (int sub = 0; sub < 8; sub++) {
            int sc, m;
            scale_and_minimum(from + 4, sub, &sc, &m);
            float scale = d * (float)sc;
            float minimum = dmin * (float)m;
            const uint8_t *high = from + 16;
            const uint8_t *codes = from + 48 + sub / 2 * 32;
            int shift = sub % 2 * 4;
            for (int i = 0; i < 32; i++) {
                int code = (codes[i] >> shift & 15) | (high[i] >> sub & 1) << 4;
                *to++ = scale * (float)code - minimum;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 scales, d. Of 128 elements, quarter q takes bytes 32 (q & 1) .. of the nibbles. */
void fb_decode_q6_k(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 210) {
        float d = fb_block_half(from + 208);
        for (int sub = 0; sub < 16; sub++) {
            float scale = d * (float)(int8_t)from[192 + sub];
            int half = sub / 8, quarter = sub % 8 / 2, within = sub % 2 * 16;
            const uint8_t *low = from + half * 64 + quarter % 2 * 32 + within;
            const uint8_t *high = from + 128 + half * 32 + within;
            for (int i = 0; i < 16; i++) {
                int code = (low[i] >> quarter / 2 * 4 & 15) | (high[i] >> quarter * 2 & 3) << 4;
                *to++ = scale * (float)(code - 32);
            }
        }
    }
}

/* d; high bit pairs of eight 6-bit scales in a half word; their low nibbles in four bytes; nibbles as in q4_0, 16 bytes per 32 elements. */
void fb_decode_iq4_xs(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 136) {
        float d = fb_block_half(from);
        int high = from[2] | from[3] << 8;
        for (int sub = 0; sub < 8; sub++, to += 32) {
            int scale_code = (from[4 + sub / 2] >> sub % 2 * 4 & 15) | (high >> sub * 2 & 3) << 4;
            float scale = d * (float)(scale_code - 32);
            const uint8_t *codes = from + 8 + sub * 16;
            for (int i = 0; i < 16; i++) {
                to[i] = scale * (float)fb_iq4_levels[codes[i] & 15];
                to[i + 16] = scale * (float)fb_iq4_levels[codes[i] >> 4];
            }
        }
    }
}

/* Digit `n` of a byte that holds base-3 digits as a fraction: multiply by 3^n modulo 256, the next digit is the carry of times three. */
static int ternary_digit(uint8_t byte, int n)
{
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    uint8_t rest = (uint8_t)(byte * powers[n]);
    return rest * 3 >> 8;
}

/* Digits of `width` bytes at a time: digit n of all bytes, then digit n + 1. */
static float *ternary_run(const uint8_t *bytes, int width, int digits, float scale, float *to)
{
    for (int n = 0; n < digits; n++) {
        for (int i = 0; i < width; i++) {
            *to++ = (float)(ternary_digit(bytes[i], n) - 1) * scale;
        }
    }
    return to;
}

/* 48 bytes of five digits (32, then 16 together), 4 bytes of four digits, d. */
void fb_decode_tq1_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 54) {
        float d = fb_block_half(from + 52);
        to = ternary_run(from, 32, 5, d, to);
        to = ternary_run(from + 32, 16, 5, d, to);
        to = ternary_run(from + 48, 4, 4, d, to);
    }
}

/* 64 bytes of four 2-bit planes as in q2_K, d. */
void fb_decode_tq2_0(const uint8_t *from, float *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += 66) {
        float d = fb_block_half(from + 64);
        for (int i = 0; i < ELEMENTS; i++) {
            int code = from[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
            *to++ = (float)(code - 1) * d;
        }
    }
}
