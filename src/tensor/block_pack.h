/* What the encoders of a block type share, element by element or by vectors: a block after its searches, and how its codes are packed. */
#ifndef FB_TENSOR_BLOCK_PACK_H
#define FB_TENSOR_BLOCK_PACK_H

#include <string.h>

#include "tensor/block_search.h"
#include "tensor/block_type.h"

enum { FB_LARGE_ELEMENTS = 256, FB_LARGE_GROUPS = 16 };

/* Types of 256 elements with a minimum per group. */
typedef struct FbMinimumType {
    int group, bytes;      /* elements of a group, bytes of a block */
    int top, scale_top;    /* largest code of an element; of a group's scale and minimum */
    float sigma;           /* factor of the block's mean square in the weights of importance */
    FbRangeSearch plain, weighted;
} FbMinimumType;

static const FbMinimumType fb_q2_k_minimum = {16, 84, 3, 15, 1.0f, {3, 15, -0.5f, 0.1f, true}, {3, 36, -0.9f, 0.05f, false}};
static const FbMinimumType fb_q4_k_minimum = {32, 144, 15, 63, 2.0f, {15, 20, -1.0f, 0.1f, false}, {15, 36, -0.9f, 0.05f, false}};
static const FbMinimumType fb_q5_k_minimum = {32, 176, 31, 63, 2.0f, {31, 15, -0.5f, 0.1f, false}, {31, 36, -0.9f, 0.05f, false}};

typedef struct FbMinimumBlock {
    uint8_t codes[FB_LARGE_ELEMENTS], scales[FB_LARGE_GROUPS], minima[FB_LARGE_GROUPS];
    uint16_t scale, minimum; /* half-precision */
} FbMinimumBlock;

/* Types of 256 elements with signed scales per 16 elements and no minimum. */
typedef struct FbSignedBlock {
    uint8_t codes[FB_LARGE_ELEMENTS];
    int8_t scales[FB_LARGE_GROUPS];
    uint16_t scale;
} FbSignedBlock;

/* Once the groups' scales and minima are known: their codes, and the half-precision steps of these. `sums`: the groups' weights; NULL: no
 * importance, codes are shares of the largest. */
void fb_minimum_scales(const FbMinimumType *type, const float *scales, const float *minima, const float *sums, FbMinimumBlock *block);
void fb_q3_k_scales(const float *scales, const float *sums, FbSignedBlock *block);
bool fb_q6_k_scales(const float *scales, FbSignedBlock *block); /* false: a block of zeros, all bytes 0 */
void fb_iq4_xs_scales(const float *scales, uint8_t *to, float *inverses); /* the first eight bytes, and one over each group's stored scale */

/* The E8M0 byte of a block whose largest magnitude is `most`. */
uint8_t fb_mxfp4_exponent(float most);

static inline void fb_pack_nibbles(uint8_t *to, const uint8_t *codes)
{
    for (int j = 0; j < 16; j++) {
        to[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
    }
}

/* Bit 4 of eight codes at a time: the product moves bit 0 of byte i to bit 56 + i. */
static inline void fb_pack_fifth_bits(uint8_t *to, const uint8_t *codes)
{
    for (int i = 0; i < 4; i++) {
        const uint8_t *c = codes + 8 * i;
        uint64_t eight = (uint64_t)c[0] | (uint64_t)c[1] << 8 | (uint64_t)c[2] << 16 | (uint64_t)c[3] << 24 | (uint64_t)c[4] << 32 | (uint64_t)c[5] << 40 |
                         (uint64_t)c[6] << 48 | (uint64_t)c[7] << 56;
        to[i] = (uint8_t)((eight >> 4 & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56);
    }
}

/* Four 2-bit planes of 32 elements in 32 bytes, twice. */
static inline void fb_pack_planes(uint8_t *to, const uint8_t *codes)
{
    for (int half = 0; half < 2; half++, to += 32, codes += 128) {
        for (int i = 0; i < 32; i++) {
            to[i] = (uint8_t)((codes[i] & 3) | (codes[i + 32] & 3) << 2 | (codes[i + 64] & 3) << 4 | (codes[i + 96] & 3) << 6);
        }
    }
}

/* Eight scales and eight minima of 6 bits in twelve bytes. */
static inline void fb_pack_scales_and_minima(uint8_t *to, const uint8_t *scales, const uint8_t *minima)
{
    for (int j = 0; j < 4; j++) {
        to[j] = (uint8_t)(scales[j] | scales[j + 4] >> 4 << 6);
        to[j + 4] = (uint8_t)(minima[j] | minima[j + 4] >> 4 << 6);
        to[j + 8] = (uint8_t)((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
    }
}

/* Every 64 elements in 32 bytes, low nibbles first. */
static inline void fb_pack_low_nibbles(uint8_t *to, const uint8_t *codes)
{
    for (int part = 0; part < 4; part++, to += 32, codes += 64) {
        for (int i = 0; i < 32; i++) {
            to[i] = (uint8_t)((codes[i] & 15) | (codes[i + 32] & 15) << 4);
        }
    }
}

static inline void fb_pack_q2_k(const FbMinimumBlock *block, uint8_t *to)
{
    for (int g = 0; g < 16; g++) {
        to[g] = (uint8_t)(block->scales[g] | block->minima[g] << 4);
    }
    fb_pack_planes(to + 16, block->codes);
    fb_block_put_half(to + 80, block->scale);
    fb_block_put_half(to + 82, block->minimum);
}

static inline void fb_pack_q4_k(const FbMinimumBlock *block, uint8_t *to)
{
    fb_block_put_half(to, block->scale);
    fb_block_put_half(to + 2, block->minimum);
    fb_pack_scales_and_minima(to + 4, block->scales, block->minima);
    fb_pack_low_nibbles(to + 16, block->codes);
}

static inline void fb_pack_q5_k(const FbMinimumBlock *block, uint8_t *to)
{
    fb_block_put_half(to, block->scale);
    fb_block_put_half(to + 2, block->minimum);
    fb_pack_scales_and_minima(to + 4, block->scales, block->minima);
    for (int i = 0; i < 32; i++) {
        unsigned high = 0;
        for (int g = 0; g < 8; g++) {
            high |= (unsigned)(block->codes[32 * g + i] >> 4 & 1) << g;
        }
        to[16 + i] = (uint8_t)high;
    }
    fb_pack_low_nibbles(to + 48, block->codes);
}

static inline void fb_pack_q3_k(const FbSignedBlock *block, uint8_t *to)
{
    memset(to, 0, 110);
    for (int i = 0; i < 32; i++) {
        unsigned high = 0;
        for (int plane = 0; plane < 8; plane++) {
            high |= (unsigned)(block->codes[32 * plane + i] >> 2 & 1) << plane;
        }
        to[i] = (uint8_t)high;
    }
    fb_pack_planes(to + 32, block->codes);
    for (int g = 0; g < 16; g++) {
        unsigned code = (unsigned)(block->scales[g] + 32);
        to[96 + g % 8] |= (uint8_t)((code & 15) << g / 8 * 4);
        to[104 + g % 4] |= (uint8_t)((code >> 4) << g / 4 * 2);
    }
    fb_block_put_half(to + 108, block->scale);
}

static inline void fb_pack_q6_k(const FbSignedBlock *block, uint8_t *to)
{
    for (int half = 0; half < 2; half++) {
        const uint8_t *c = block->codes + 128 * half;
        uint8_t *low = to + 64 * half, *high = to + 128 + 32 * half;
        for (int i = 0; i < 32; i++) {
            low[i] = (uint8_t)((c[i] & 15) | (c[i + 64] & 15) << 4);
            low[i + 32] = (uint8_t)((c[i + 32] & 15) | (c[i + 96] & 15) << 4);
            high[i] = (uint8_t)(c[i] >> 4 | c[i + 32] >> 4 << 2 | c[i + 64] >> 4 << 4 | c[i + 96] >> 4 << 6);
        }
    }
    memcpy(to + 192, block->scales, 16);
    fb_block_put_half(to + 208, block->scale);
}

#endif
