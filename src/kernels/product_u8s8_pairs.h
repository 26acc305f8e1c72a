/* Packing for vpmaddubsw: products of a u8 and an s8, added in pairs and SATURATED to int16 (Intel 64 and IA-32 Architectures Software
 * Developer's Manual, volume 2, PMADDUBSW). Products stay exact when weights that share a 16-bit lane are proved small:
 *
 *   positive weights of a lane sum up to at most 128, negative ones to at least -128: then for codes in [0, 255] any subset of the
 *   lane's products lies in [-255 * 128, 255 * 128] = [-32640, 32640], inside int16.
 *
 * A lane is a pair of weights, or, when products of two steps are added in 16 bits before they are widened (faster by a quarter), the
 * four weights of two pairs. Where weights break the rule, packing takes the excess off them and puts it into FIX STEPS: a fix step
 * covers a window of 16 codes of one tap; each column chooses up to four codes of the window (vpshufb) and multiplies them by the excess
 * (vpmaddubsw; its two lanes follow the same rule). w = clipped + excess holds exactly, -128 included, so that every sum is exact.
 *
 * Each panel takes the lanes, pairs or quads, that cost less. Weights of a normal distribution with sigma 36 take about one fix step for
 * each window, narrower ones few; uniform weights in +-127 stay in pairs. */
#ifndef FB_KERNELS_PRODUCT_U8S8_PAIRS_H
#define FB_KERNELS_PRODUCT_U8S8_PAIRS_H

#include "kernels/product_u8s8.h"

enum {
    FB_PAIRS_COLUMNS = 16,
    FB_PAIRS_WINDOW = 16,        /* with 32, two shuffles a step, ResNet-50 took 5 % longer on Zen 3 */
    /* Measured on Zen 3, in thirteenths of a cycle for one row and sixteen columns: */
    FB_PAIRS_COST_QUAD_STEP = 20, /* four codes */
    FB_PAIRS_COST_PAIR_STEP = 25, /* four codes */
    FB_PAIRS_COST_FIX = 28
};

typedef struct FbPairsFix {
    uint8_t index[FB_PAIRS_COLUMNS * FB_U8S8_STEP]; /* of a code in the window, for each column and place */
    int8_t excess[FB_PAIRS_COLUMNS * FB_U8S8_STEP];
} FbPairsFix;

/* FbPackedU8S8.fixup: one for each panel. Fix steps of tap t are [end[t - 1], end[t]). */
typedef struct FbPairsPanel {
    bool quads;
    const uint32_t *end;     /* [taps]; NULL: no fix steps at all */
    const uint32_t *window;  /* [steps] first code; window + 16 <= depth padded to a multiple of 4, or 0 where that is less than 16 */
    const FbPairsFix *fix;   /* [steps] */
} FbPairsPanel;

/* As FbProductU8S8Kernel.pack, with fixup. */
FbStatus fb_product_u8s8_pack_pairs(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                                    size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err);

#endif
