/* The encoders of kernels/block_encode.h; included once per instruction set after its simd_*.h. What is done once per block is the
 * definition's (tensor/block_pack.h). */
#include "kernels/block_encode.h"
#include "kernels/block_search_body.h"
#include "tensor/block_pack.h"

enum { SMALL = 32, TOGETHER_MOST = SMALL * FB_LANES };

/* Up to `together` blocks from `block` on: where they lie, or a copy with zeros after them. */
static inline const float *lanes_blocks(const float *from, size_t elements, size_t block, size_t count, size_t together, float *padded)
{
    if (count == together) {
        return from + block * elements;
    }
    memset(padded, 0, TOGETHER_MOST * sizeof *padded);
    memcpy(padded, from + block * elements, count * elements * sizeof *padded);
    return padded;
}

static inline size_t lanes_count(size_t blocks, size_t block, size_t together)
{
    return blocks - block < together ? blocks - block : together;
}

/* Sixteen codes: fb_block_nearest of x, clamped, above `zero`. */
static inline void put_nearest(FbV x, int low, int high, int zero, uint8_t *codes)
{
    FbV code = lanes_clamp(lanes_nearest(x), fb_v_set((float)low), fb_v_set((float)high));
    fb_vb_store(codes, fb_vb_codes(code, fb_vi_set(zero)));
}

/* Codes of n elements, whole sixteens, on a searched grid. */
static inline void grid_of(const float *x, int n, float inverse, float low, int top, uint8_t *codes)
{
    for (int i = 0; i < n; i += FB_LANES) {
        put_nearest(fb_v_mul(fb_v_set(inverse), fb_v_sub(fb_v_load(x + i), fb_v_set(low))), 0, top, 0, codes + i);
    }
}

static inline void grid_signed(const float *x, int n, float inverse, int zero, uint8_t *codes)
{
    for (int i = 0; i < n; i += FB_LANES) {
        put_nearest(fb_v_mul(fb_v_set(inverse), fb_v_load(x + i)), -zero, zero - 1, inverse != 0.0f ? zero : 0, codes + i);
    }
}

/* The last rounding of the types of 256 elements, to what is stored: (x + minimum) / scale, or x / scale. */
static inline void grid_of_stored(const float *x, int n, float scale, float minimum, int top, uint8_t *codes)
{
    for (int i = 0; i < n; i += FB_LANES) {
        put_nearest(fb_v_div(fb_v_add(fb_v_load(x + i), fb_v_set(minimum)), fb_v_set(scale)), 0, top, 0, codes + i);
    }
}

static inline void grid_signed_stored(const float *x, float scale, int zero, uint8_t *codes)
{
    put_nearest(fb_v_div(fb_v_load(x), fb_v_set(scale)), -zero, zero - 1, zero, codes);
}

/* Weights with importance of elements that have one mean square. */
static inline void weights_of(const float *x, const float *importance, int n, float sigma2, float *weights)
{
    for (int i = 0; i < n; i++) {
        weights[i] = importance[i] * sqrtf(sigma2 + x[i] * x[i]);
    }
}

static inline FbV lanes_sum(const LaneGroups *x, int n)
{
    FbV sum = fb_v_set(0.0f);
    for (int j = 0; j < n; j++) {
        sum = fb_v_add(sum, fb_v_load(x->of[j]));
    }
    return sum;
}

/* Types of 256 elements with minima. */

static inline void minimum_plain_weights(const LaneGroups *x, int n, LaneGroups *w)
{
    FbV mean = fb_v_set(0.0f);
    if (n > 16) {
        for (int j = 0; j < n; j++) {
            FbV here = fb_v_load(x->of[j]);
            mean = fb_v_add(mean, fb_v_mul(here, here));
        }
        mean = fb_v_sqrt(fb_v_div(mean, fb_v_set((float)n)));
    }
    for (int j = 0; j < n; j++) {
        fb_v_store(w->of[j], fb_v_add(mean, fb_m_abs(fb_v_load(x->of[j]))));
    }
}

/* Scales, minima, sums of weights, and the grids of the codes, of sixteen groups. */
typedef struct LaneMinima { float scale[FB_LANES], minimum[FB_LANES], inverse[FB_LANES], low[FB_LANES], sum[FB_LANES]; } LaneMinima;

static inline void minimum_search(const FbMinimumType *type, const float *x, const float *weights, LaneMinima *found)
{
    LaneGroups groups, w;
    lanes_gather(x, type->group, &groups);
    if (weights == NULL) {
        minimum_plain_weights(&groups, type->group, &w);
    } else {
        lanes_gather(weights, type->group, &w);
        fb_v_store(found->sum, lanes_sum(&w, type->group));
    }
    LaneRange r = lanes_search_range(weights == NULL ? &type->plain : &type->weighted, &groups, &w, type->group);
    fb_v_store(found->scale, r.scale);
    fb_v_store(found->minimum, fb_m_neg(r.low));
    fb_v_store(found->inverse, r.kept_inverse);
    fb_v_store(found->low, r.kept_low);
}

static inline void minimum_codes(const FbMinimumType *type, const float *x, const LaneMinima *found, int first, FbMinimumBlock *block)
{
    const float d = fb_f16_to_f32(block->scale), m = fb_f16_to_f32(block->minimum);
    for (int g = 0; g < FB_LARGE_ELEMENTS / type->group; g++, x += type->group) {
        const float scale = d * (float)block->scales[g], minimum = m * (float)block->minima[g];
        uint8_t *codes = block->codes + g * type->group;
        if (scale != 0.0f) {
            grid_of_stored(x, type->group, scale, minimum, type->top, codes);
        } else {
            grid_of(x, type->group, found->inverse[first + g], found->low[first + g], type->top, codes);
        }
    }
}

static inline void encode_minimum(const FbMinimumType *type, FbBlockEncode definition, void (*pack)(const FbMinimumBlock *, uint8_t *),
                                  const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    const int groups = FB_LARGE_ELEMENTS / type->group;
    const size_t together = (size_t)(FB_LANES / groups);
    float padded[TOGETHER_MOST], weights[TOGETHER_MOST];
    LaneMinima found;
    FbMinimumBlock block;
    for (size_t b = 0; b < blocks; b += together) {
        const size_t count = lanes_count(blocks, b, together);
        const float *x = lanes_blocks(from, FB_LARGE_ELEMENTS, b, count, together, padded);
        memset(weights, 0, sizeof weights);
        for (size_t k = 0; importance != NULL && k < count; k++) {
            const float *one = x + k * FB_LARGE_ELEMENTS;
            const float sigma2 = type->sigma * fb_block_sum_squares(one, FB_LARGE_ELEMENTS) / (float)FB_LARGE_ELEMENTS;
            weights_of(one, importance + (b + k) * FB_LARGE_ELEMENTS, FB_LARGE_ELEMENTS, sigma2, weights + k * FB_LARGE_ELEMENTS);
        }
        minimum_search(type, x, importance == NULL ? NULL : weights, &found);
        for (size_t k = 0; k < count; k++) {
            const int first = (int)k * groups;
            uint8_t *out = to + (b + k) * (size_t)type->bytes;
            if (importance != NULL && !fb_block_any(importance + (b + k) * FB_LARGE_ELEMENTS, FB_LARGE_ELEMENTS)) {
                definition(x + k * FB_LARGE_ELEMENTS, NULL, out, 1);
                continue;
            }
            fb_minimum_scales(type, found.scale + first, found.minimum + first, importance == NULL ? NULL : found.sum + first, &block);
            minimum_codes(type, x + k * FB_LARGE_ELEMENTS, &found, first, &block);
            pack(&block, out);
        }
    }
}

static void encode_q2_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    encode_minimum(&fb_q2_k_minimum, fb_encode_q2_k, fb_pack_q2_k, from, importance, to, blocks);
}

static void encode_q4_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    encode_minimum(&fb_q4_k_minimum, fb_encode_q4_k, fb_pack_q4_k, from, importance, to, blocks);
}

static void encode_q5_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    encode_minimum(&fb_q5_k_minimum, fb_encode_q5_k, fb_pack_q5_k, from, importance, to, blocks);
}

/* Types of 256 elements with signed scales. */

/* Squares instead of the weights of groups that have none. */
static inline void signed_weights(const float *x, float *weights, int n)
{
    for (int i = 0; i < n; i += 16) {
        if (!fb_block_any(weights + i, 16)) {
            for (int j = i; j < i + 16; j++) {
                weights[j] = x[j] * x[j];
            }
        }
    }
}

static inline void signed_search(const float *x, float *weights, int zero, float scale[FB_LANES], float inverse[FB_LANES])
{
    LaneGroups groups, w;
    FbV kept;
    lanes_gather(x, 16, &groups);
    signed_weights(x, weights, FB_LARGE_ELEMENTS);
    lanes_gather(weights, 16, &w);
    fb_v_store(scale, lanes_search_signed(&groups, &w, 16, zero, &kept));
    fb_v_store(inverse, kept);
}

/* Groups whose stored scale is 0 keep the codes of their search; `inverse` NULL: those are there already. */
static inline void signed_codes(const float *x, const float *inverse, int zero, FbSignedBlock *block)
{
    const float d = fb_f16_to_f32(block->scale);
    for (int g = 0; g < FB_LARGE_GROUPS; g++, x += 16) {
        const float scale = d * (float)block->scales[g];
        if (scale != 0.0f) {
            grid_signed_stored(x, scale, zero, block->codes + 16 * g);
        } else if (inverse != NULL) {
            grid_signed(x, 16, inverse[g], zero, block->codes + 16 * g);
        }
    }
}

static void encode_q6_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float weights[FB_LARGE_ELEMENTS] = {0}, scale[FB_LANES], inverse[FB_LANES];
    FbSignedBlock block;
    for (size_t b = 0; b < blocks; b++, from += FB_LARGE_ELEMENTS, to += 210) {
        for (int i = 0; i < FB_LARGE_ELEMENTS; i++) {
            weights[i] = importance == NULL ? from[i] * from[i] : importance[b * FB_LARGE_ELEMENTS + (size_t)i];
        }
        signed_search(from, weights, 32, scale, inverse);
        if (!fb_q6_k_scales(scale, &block)) {
            memset(to, 0, 210);
            continue;
        }
        signed_codes(from, inverse, 32, &block);
        fb_pack_q6_k(&block, to);
    }
}

/* With importance: searched for as q6_K's; without: by moves. */
static inline void search_q3_k(const float *x, const float *importance, FbSignedBlock *block)
{
    float scale[FB_LANES], inverse[FB_LANES], sums[FB_LANES], weights[FB_LARGE_ELEMENTS];
    LaneGroups groups, codes;
    if (importance == NULL || !fb_block_any(importance, FB_LARGE_ELEMENTS)) {
        lanes_gather(x, 16, &groups);
        fb_v_store(scale, lanes_search_moves(&groups, 16, 4, &codes));
        for (int i = 0; i < FB_LARGE_ELEMENTS; i++) {
            block->codes[i] = (uint8_t)((int)codes.of[i % 16][i / 16] + 4);
        }
        fb_q3_k_scales(scale, NULL, block);
        return;
    }
    weights_of(x, importance, FB_LARGE_ELEMENTS, 2.0f * fb_block_sum_squares(x, FB_LARGE_ELEMENTS) / (float)FB_LARGE_ELEMENTS, weights);
    lanes_gather(weights, 16, &groups);
    fb_v_store(sums, lanes_sum(&groups, 16));
    signed_search(x, weights, 4, scale, inverse);
    for (int g = 0; g < FB_LARGE_GROUPS; g++) {
        grid_signed(x + 16 * g, 16, inverse[g], 4, block->codes + 16 * g);
    }
    fb_q3_k_scales(scale, sums, block);
}

static void encode_q3_k(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    FbSignedBlock block;
    for (size_t b = 0; b < blocks; b++, from += FB_LARGE_ELEMENTS, to += 110) {
        search_q3_k(from, importance == NULL ? NULL : importance + b * FB_LARGE_ELEMENTS, &block);
        signed_codes(from, NULL, 4, &block);
        fb_pack_q3_k(&block, to);
    }
}
