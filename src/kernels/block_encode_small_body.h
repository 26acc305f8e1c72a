/* Encoders of the types with 32 elements, and of IQ4_XS, whose groups are such blocks; included after block_encode_body.h. */

/* Largest and smallest of 32 elements; the sign of a zero is free. */
static inline void ends_of(const float *x, float *low, float *high)
{
    FbV a = fb_v_load(x), b = fb_v_load(x + FB_LANES);
    *high = fb_v_highest(fb_v_max(a, b));
    *low = -fb_v_highest(fb_m_neg(fb_v_min(a, b)));
}

/* fb_block_extreme by its ends; equally large ones of either sign are looked for one by one. */
static inline float extreme_of(const float *x)
{
    float low, high;
    ends_of(x, &low, &high);
    return high > -low ? high : -low > high ? low : fb_block_extreme(x, SMALL);
}

static inline float inverse_or_zero(float scale)
{
    return scale != 0.0f ? 1.0f / scale : 0.0f;
}

/* fb_f32_to_f16; what stays normal is rounded here, to even, by adding just under half of the last place kept. */
static inline void put_float(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const float size = fabsf(value);
    if (size >= 0x1p-14f && size < 65520.0f) {
        const uint32_t magnitude = (bits & 0x7FFFFFFFu) - 0x38000000u;
        fb_block_put_half(at, (uint16_t)((bits >> 16 & 0x8000u) | (magnitude + 0xFFFu + (magnitude >> 13 & 1u)) >> 13));
    } else {
        fb_block_put_half(at, fb_f32_to_f16(value));
    }
}

/* Truncated within the codes, NaN as 0; as floats. */
static inline FbV truncated_lanes(FbV x, FbV low, FbV factor, FbV shift, FbV most)
{
    FbV code = fb_v_add(fb_v_mul(fb_v_sub(x, low), factor), shift);
    code = fb_v_min(fb_v_max(code, fb_v_set(0.0f)), most);
    FbV nearest = fb_v_round(code);
    return fb_v_select(fb_v_lt(code, nearest), fb_v_sub(nearest, fb_v_set(1.0f)), nearest);
}

/* A block's codes without a search, 4 or 5 bits, the fifth bits before the nibbles. Nibbles are packed as numbers: low + 16 * high is exact. */
static inline void put_truncated(const float *x, float low, float factor, float shift, int most, uint8_t *to)
{
    const FbV l = fb_v_set(low), f = fb_v_set(factor), s = fb_v_set(shift), end = fb_v_set((float)most), sixteen = fb_v_set(16.0f);
    FbV first = truncated_lanes(fb_v_load(x), l, f, s, end), second = truncated_lanes(fb_v_load(x + FB_LANES), l, f, s, end);
    if (most == 31) {
        uint8_t codes[SMALL];
        fb_vb_store(codes, fb_vb_codes(first, fb_vi_set(0)));
        fb_vb_store(codes + FB_LANES, fb_vb_codes(second, fb_vi_set(0)));
        fb_pack_fifth_bits(to, codes);
        to += 4;
        first = fb_v_select(fb_v_le(sixteen, first), fb_v_sub(first, sixteen), first);
        second = fb_v_select(fb_v_le(sixteen, second), fb_v_sub(second, sixteen), second);
    }
    fb_vb_store(to, fb_vb_codes(fb_v_add(first, fb_v_mul(second, sixteen)), fb_vi_set(0)));
}

static inline void encode_signed(int zero, size_t bytes, const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += SMALL, to += bytes) {
        const float scale = extreme_of(from) / (float)-zero;
        put_float(to, scale);
        put_truncated(from, 0.0f, inverse_or_zero(scale), (float)zero + 0.5f, 2 * zero - 1, to + 2);
    }
}

static inline void encode_above_minimum(int most, size_t bytes, const float *from, uint8_t *to, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, from += SMALL, to += bytes) {
        float low, high;
        ends_of(from, &low, &high);
        for (int i = 0; low == 0.0f && i < SMALL; i++) {
            if (from[i] == 0.0f) { /* the first zero's sign is stored */
                low = from[i];
                break;
            }
        }
        const float scale = high > low ? (high - low) / (float)most : 0.0f; /* zeros of both signs have no range */
        put_float(to, scale);
        put_float(to + 2, low);
        put_truncated(from, low, inverse_or_zero(scale), 0.5f, most, to + 4);
    }
}

/* Half away from zero, at most 127 in size, NaN as 0; as codes of a grid with zero 128. */
static inline FbVb codes_of_q8_0(FbV x)
{
    FbV size = fb_v_min(fb_v_max(fb_m_abs(x), fb_v_set(0.0f)), fb_v_set(127.0f));
    FbV code = fb_v_round(size);
    code = fb_v_select(fb_v_le(fb_v_add(code, fb_v_set(0.5f)), size), fb_v_add(code, fb_v_set(1.0f)), code); /* a half that went to an even one below */
    return fb_vb_codes(fb_v_select(fb_v_lt(x, fb_v_set(0.0f)), fb_m_neg(code), code), fb_vi_set(128));
}

static void encode_q8_0(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance;
    for (size_t b = 0; b < blocks; b++, from += SMALL, to += 34) {
        const float scale = fabsf(extreme_of(from)) / 127.0f;
        const FbV factor = fb_v_set(inverse_or_zero(scale));
        put_float(to, scale);
        fb_vb_store(to + 2, codes_of_q8_0(fb_v_mul(fb_v_load(from), factor)));
        fb_vb_store(to + 18, codes_of_q8_0(fb_v_mul(fb_v_load(from + FB_LANES), factor)));
        for (int i = 0; i < SMALL; i++) {
            to[2 + i] ^= 0x80;
        }
    }
}

/* Codes of E2M1 values, doubled, in steps of a power of two; from equally near ones the smaller, and 0 rather than -0. */
static inline FbV codes_of_e2m1(FbV x, float scale)
{
    static const float bounds[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f}; /* beyond which the next one is nearer */
    const FbV size = fb_m_abs(x), none = fb_v_set(0.0f);
    FbV code = none;
    for (int i = 0; i < 7; i++) {
        code = fb_v_select(fb_v_lt(fb_v_set(bounds[i] * scale), size), fb_v_set((float)(i + 1)), code);
    }
    FbV negative = fb_v_select(fb_v_lt(none, code), fb_v_add(code, fb_v_set(8.0f)), code);
    return fb_v_select(fb_v_lt(x, none), negative, code);
}

static void encode_mxfp4(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    (void)importance;
    for (size_t b = 0; b < blocks; b++, from += SMALL, to += 17) {
        to[0] = fb_mxfp4_exponent(fabsf(extreme_of(from)));
        const float scale = fb_block_half_power(to[0]);
        FbV first = codes_of_e2m1(fb_v_load(from), scale), second = codes_of_e2m1(fb_v_load(from + FB_LANES), scale);
        fb_vb_store(to + 1, fb_vb_codes(fb_v_add(first, fb_v_mul(second, fb_v_set(16.0f))), fb_vi_set(0)));
    }
}

/* Sixteen blocks of weights with importance; those without any have zeros and are encoded by the definition. */
typedef struct SmallGroups {
    LaneGroups x, w;
    const float *blocks;
    size_t count;
    float padded[TOGETHER_MOST];
} SmallGroups;

static inline void small_weighted(const float *from, const float *importance, float sigma2, size_t block, size_t blocks, SmallGroups *groups)
{
    float weights[TOGETHER_MOST] = {0};
    groups->count = lanes_count(blocks, block, FB_LANES);
    groups->blocks = lanes_blocks(from, SMALL, block, groups->count, FB_LANES, groups->padded);
    weights_of(groups->blocks, importance + block * SMALL, (int)groups->count * SMALL, sigma2, weights);
    lanes_gather(groups->blocks, SMALL, &groups->x);
    lanes_gather(weights, SMALL, &groups->w);
}

static inline bool small_has_importance(const float *importance, size_t block)
{
    return fb_block_any(importance + block * SMALL, SMALL);
}

static inline void pack_small(uint8_t *to, size_t bytes, const uint8_t *codes, bool fifth)
{
    if (fifth) {
        fb_pack_fifth_bits(to + bytes - 20, codes);
    }
    fb_pack_nibbles(to + bytes - 16, codes);
}

static inline void encode_signed_weighted(int zero, size_t bytes, FbBlockEncode definition, const float *from, const float *importance, uint8_t *to,
                                          size_t blocks)
{
    const float sigma2 = fb_block_sum_squares(from, (int64_t)blocks * SMALL) / (float)((int64_t)blocks * SMALL);
    float scale[FB_LANES], inverse[FB_LANES];
    uint8_t codes[SMALL];
    SmallGroups groups;
    for (size_t b = 0; b < blocks; b += FB_LANES) {
        FbV kept;
        small_weighted(from, importance, sigma2, b, blocks, &groups);
        fb_v_store(scale, lanes_search_signed(&groups.x, &groups.w, SMALL, zero, &kept));
        fb_v_store(inverse, kept);
        for (size_t k = 0; k < groups.count; k++) {
            uint8_t *out = to + (b + k) * bytes;
            if (!small_has_importance(importance, b + k)) {
                definition(groups.blocks + k * SMALL, NULL, out, 1);
                continue;
            }
            put_float(out, scale[k]);
            grid_signed(groups.blocks + k * SMALL, SMALL, inverse[k], zero, codes);
            pack_small(out, bytes, codes, zero == 16);
        }
    }
}

static inline void encode_minimum_weighted(int most, size_t bytes, FbBlockEncode definition, const float *from, const float *importance, uint8_t *to,
                                           size_t blocks)
{
    const FbRangeSearch search = {most, 36, -0.9f, 0.05f, false};
    const float sigma2 = fb_block_sum_squares(from, (int64_t)blocks * SMALL) / (float)((int64_t)blocks * SMALL);
    LaneMinima found;
    uint8_t codes[SMALL];
    SmallGroups groups;
    for (size_t b = 0; b < blocks; b += FB_LANES) {
        small_weighted(from, importance, sigma2, b, blocks, &groups);
        LaneRange r = lanes_search_range(&search, &groups.x, &groups.w, SMALL);
        fb_v_store(found.scale, r.scale);
        fb_v_store(found.low, r.kept_low);
        fb_v_store(found.inverse, r.kept_inverse);
        fb_v_store(found.minimum, r.low);
        for (size_t k = 0; k < groups.count; k++) {
            uint8_t *out = to + (b + k) * bytes;
            if (!small_has_importance(importance, b + k)) {
                definition(groups.blocks + k * SMALL, NULL, out, 1);
                continue;
            }
            put_float(out, found.scale[k]);
            put_float(out + 2, found.minimum[k]);
            grid_of(groups.blocks + k * SMALL, SMALL, found.inverse[k], found.low[k], most, codes);
            pack_small(out, bytes, codes, most == 31);
        }
    }
}

#define FB_SMALL_TYPE(name, plain, weighted, top, bytes)                                                   \
    static void encode_##name(const float *from, const float *importance, uint8_t *to, size_t blocks)       \
    {                                                                                                        \
        if (importance == NULL) {                                                                            \
            plain(top, bytes, from, to, blocks);                                                             \
        } else {                                                                                             \
            weighted(top, bytes, fb_encode_##name, from, importance, to, blocks);                            \
        }                                                                                                    \
    }
FB_SMALL_TYPE(q4_0, encode_signed, encode_signed_weighted, 8, 18)
FB_SMALL_TYPE(q4_1, encode_above_minimum, encode_minimum_weighted, 15, 20)
FB_SMALL_TYPE(q5_0, encode_signed, encode_signed_weighted, 16, 22)
FB_SMALL_TYPE(q5_1, encode_above_minimum, encode_minimum_weighted, 31, 24)
#undef FB_SMALL_TYPE

/* IQ4: `elements` share a mean square, 32 a scale. Weights without importance are squares. */
static inline void level_scales(const float *x, const float *importance, int elements, float scales[FB_LANES])
{
    float weights[TOGETHER_MOST];
    LaneGroups groups, w;
    for (int i = 0; i < TOGETHER_MOST; i++) {
        weights[i] = x[i] * x[i];
    }
    for (int i = 0; importance != NULL && i < TOGETHER_MOST; i += elements) {
        const float sigma2 = fb_block_sum_squares(x + i, elements) * (2.0f / (float)elements);
        for (int g = i; g < i + elements; g += SMALL) {
            if (fb_block_any(importance + g, SMALL)) {
                weights_of(x + g, importance + g, SMALL, sigma2, weights + g);
            }
        }
    }
    lanes_gather(x, SMALL, &groups);
    lanes_gather(weights, SMALL, &w);
    fb_v_store(scales, lanes_search_levels(&groups, &w, SMALL));
}

static inline void put_levels(uint8_t *to, const float *x, float inverse)
{
    uint8_t codes[SMALL];
    for (int i = 0; i < SMALL; i++) {
        const float at = inverse * x[i];
        int level = 0;
        for (int k = 0; k < 15; k++) {
            level += at >= fb_iq4_bounds[k];
        }
        codes[i] = (uint8_t)level;
    }
    fb_pack_nibbles(to, codes);
}

static void encode_iq4_nl(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    float padded[TOGETHER_MOST], padded_importance[TOGETHER_MOST], scales[FB_LANES];
    for (size_t b = 0; b < blocks; b += FB_LANES) {
        const size_t count = lanes_count(blocks, b, FB_LANES);
        const float *x = lanes_blocks(from, SMALL, b, count, FB_LANES, padded);
        const float *weights = importance == NULL ? NULL : lanes_blocks(importance, SMALL, b, count, FB_LANES, padded_importance);
        level_scales(x, weights, SMALL, scales);
        for (size_t k = 0; k < count; k++) {
            put_float(to + (b + k) * 18, scales[k]);
            put_levels(to + (b + k) * 18 + 2, x + k * SMALL, inverse_or_zero(scales[k]));
        }
    }
}

static void encode_iq4_xs(const float *from, const float *importance, uint8_t *to, size_t blocks)
{
    const size_t together = 2;
    float padded[TOGETHER_MOST], padded_importance[TOGETHER_MOST], scales[FB_LANES];
    for (size_t b = 0; b < blocks; b += together) {
        const size_t count = lanes_count(blocks, b, together);
        const float *x = lanes_blocks(from, FB_LARGE_ELEMENTS, b, count, together, padded);
        const float *weights = importance == NULL ? NULL : lanes_blocks(importance, FB_LARGE_ELEMENTS, b, count, together, padded_importance);
        level_scales(x, weights, FB_LARGE_ELEMENTS, scales);
        for (size_t k = 0; k < count; k++) {
            float inverses[8];
            uint8_t *out = to + (b + k) * 136;
            fb_iq4_xs_scales(scales + 8 * k, out, inverses);
            for (int g = 0; g < 8; g++) {
                put_levels(out + 8 + 16 * g, x + k * FB_LARGE_ELEMENTS + (size_t)(SMALL * g), inverses[g]);
            }
        }
    }
}
