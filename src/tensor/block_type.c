/* The table of block types. */
#include "tensor/block_type.h"

#include <math.h>
#include <string.h>

/* name, what, bits of a code, ggml number, elements and bytes of a block, elements per finest scale, type of the block's scale,
 * decoding, bytes of the half-precision scale and minimum, encoding */
#define ROW(name, summary, bits, number, elements, bytes, run, scale, decode, scale_at, minimum_at, encode) \
    {{name, summary, FB_DTYPE_NONE, bits, 0, (1 << (bits)) - 1, 0, 0, NULL}, number, elements, bytes, run, scale, decode, scale_at, minimum_at, encode}

const FbBlockType fb_block_types[] = {
    ROW("f16", "half-precision floats", 16, 1, 1, 2, 1, FB_DTYPE_NONE, fb_decode_f16, 0, -1, fb_encode_f16),
    ROW("bf16", "the upper half of single-precision floats", 16, 30, 1, 2, 1, FB_DTYPE_NONE, fb_decode_bf16, -1, -1, fb_encode_bf16),
    ROW("q4_0", "4 bits, scale per 32", 4, 2, 32, 18, 32, FB_DTYPE_F16, fb_decode_q4_0, 0, -1, fb_encode_q4_0),
    ROW("q4_1", "4 bits, scale and minimum per 32", 4, 3, 32, 20, 32, FB_DTYPE_F16, fb_decode_q4_1, 0, 2, fb_encode_q4_1),
    ROW("q5_0", "5 bits, scale per 32", 5, 6, 32, 22, 32, FB_DTYPE_F16, fb_decode_q5_0, 0, -1, fb_encode_q5_0),
    ROW("q5_1", "5 bits, scale and minimum per 32", 5, 7, 32, 24, 32, FB_DTYPE_F16, fb_decode_q5_1, 0, 2, fb_encode_q5_1),
    ROW("q8_0", "8 bits, scale per 32", 8, 8, 32, 34, 32, FB_DTYPE_F16, fb_decode_q8_0, 0, -1, fb_encode_q8_0),
    ROW("q8_1", "8 bits, scale and sum per 32", 8, 9, 32, 40, 32, FB_DTYPE_F16, NULL, -1, -1, NULL),
    ROW("q2_K", "2 bits, 4-bit scale and minimum per 16", 2, 10, 256, 84, 16, FB_DTYPE_F16, fb_decode_q2_k, 80, 82, fb_encode_q2_k),
    ROW("q3_K", "3 bits, 6-bit scale per 16", 3, 11, 256, 110, 16, FB_DTYPE_F16, fb_decode_q3_k, 108, -1, fb_encode_q3_k),
    ROW("q4_K", "4 bits, 6-bit scale and minimum per 32", 4, 12, 256, 144, 32, FB_DTYPE_F16, fb_decode_q4_k, 0, 2, fb_encode_q4_k),
    ROW("q5_K", "5 bits, 6-bit scale and minimum per 32", 5, 13, 256, 176, 32, FB_DTYPE_F16, fb_decode_q5_k, 0, 2, fb_encode_q5_k),
    ROW("q6_K", "6 bits, 8-bit scale per 16", 6, 14, 256, 210, 16, FB_DTYPE_F16, fb_decode_q6_k, 208, -1, fb_encode_q6_k),
    ROW("q8_K", "8 bits, float scale per 256", 8, 15, 256, 292, 256, FB_DTYPE_F32, NULL, -1, -1, NULL),
    ROW("iq2_xxs", "2.06 bits, codebook", 2, 16, 256, 66, 32, FB_DTYPE_F16, fb_decode_iq2_xxs, -1, -1, NULL),
    ROW("iq2_xs", "2.31 bits, codebook", 2, 17, 256, 74, 16, FB_DTYPE_F16, fb_decode_iq2_xs, -1, -1, NULL),
    ROW("iq3_xxs", "3.06 bits, codebook", 3, 18, 256, 98, 32, FB_DTYPE_F16, fb_decode_iq3_xxs, -1, -1, NULL),
    ROW("iq1_s", "1.56 bits, codebook", 1, 19, 256, 50, 32, FB_DTYPE_F16, fb_decode_iq1_s, -1, -1, NULL),
    ROW("iq4_nl", "4 bits, 16 uneven levels, scale per 32", 4, 20, 32, 18, 32, FB_DTYPE_F16, fb_decode_iq4_nl, 0, -1, fb_encode_iq4_nl),
    ROW("iq3_s", "3.44 bits, codebook", 3, 21, 256, 110, 32, FB_DTYPE_F16, fb_decode_iq3_s, -1, -1, NULL),
    ROW("iq2_s", "2.56 bits, codebook", 2, 22, 256, 82, 16, FB_DTYPE_F16, fb_decode_iq2_s, -1, -1, NULL),
    ROW("iq4_xs", "4 bits, 16 uneven levels, 6-bit scale per 32", 4, 23, 256, 136, 32, FB_DTYPE_F16, fb_decode_iq4_xs, 0, -1, fb_encode_iq4_xs),
    ROW("iq1_m", "1.75 bits, codebook", 1, 29, 256, 56, 16, FB_DTYPE_F16, fb_decode_iq1_m, -1, -1, NULL),
    ROW("tq1_0", "ternary, five per byte, scale per 256", 2, 34, 256, 54, 256, FB_DTYPE_F16, fb_decode_tq1_0, 52, -1, fb_encode_tq1_0),
    ROW("tq2_0", "ternary, four per byte, scale per 256", 2, 35, 256, 66, 256, FB_DTYPE_F16, fb_decode_tq2_0, 64, -1, fb_encode_tq2_0),
    ROW("mxfp4", "4-bit floats, power-of-two scale per 32", 4, 39, 32, 17, 32, FB_DTYPE_F8E8M0, fb_decode_mxfp4, -1, -1, fb_encode_mxfp4),
    ROW("nvfp4", "4-bit floats, 8-bit float scale per 16", 4, 40, 64, 36, 16, FB_DTYPE_F8E4M3FN, fb_decode_nvfp4, -1, -1, NULL),
    ROW("q1_0", "1 bit, scale per 128", 1, 41, 128, 18, 128, FB_DTYPE_F16, fb_decode_q1_0, -1, -1, NULL),
};
const size_t fb_block_type_count = sizeof fb_block_types / sizeof fb_block_types[0];

const FbBlockType *fb_block_type_find(const char *name)
{
    for (size_t i = 0; i < fb_block_type_count; i++) {
        if (strcmp(fb_block_types[i].code.name, name) == 0) {
            return &fb_block_types[i];
        }
    }
    return NULL;
}

const FbBlockType *fb_block_type_of_number(uint32_t number)
{
    for (size_t i = 0; i < fb_block_type_count; i++) {
        if ((uint32_t)fb_block_types[i].number == number && fb_block_types[i].elements > 1) {
            return &fb_block_types[i];
        }
    }
    return NULL;
}

FbEncoding fb_block_encoding(const FbBlockType *type, int rank)
{
    return (FbEncoding){.code = &type->code, .grain = FB_GRAIN_BLOCK, .axis = rank - 1, .block = type->run, .scale = type->scale, .blocks = type};
}

static bool half_fits(const uint8_t *block, int at)
{
    return at < 0 || isfinite(fb_block_half(block + at));
}

/* Whether sixteen numbers are all finite; without branches, so that compilers make vectors of it. */
static bool all_finite(const float *x)
{
    uint32_t bits[16], most = 0;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < 16; i++) {
        most |= ((bits[i] & 0x7f800000u) + 0x00800000u) & 0x80000000u;
    }
    return most == 0;
}

static FbStatus check_finite(const float *x, size_t count, uint64_t first, FbError *err)
{
    for (size_t i = 0; i < count; i++) {
        if (i % 16 == 0) {
            while (count - i >= 16 && all_finite(x + i)) {
                i += 16;
            }
            if (i == count) {
                break;
            }
        }
        if (!isfinite(x[i])) {
            return fb_error_set(err, FB_ERR_NUMERIC, "element %llu is %s", (unsigned long long)(first + i), isnan(x[i]) ? "not a number" : "infinite");
        }
    }
    return FB_OK;
}

/* Whether a block with a scale of 0 lost elements. */
static bool is_lost(const FbBlockType *type, const uint8_t *block, const float *x)
{
    if (type->scale_at < 0 || fb_block_half(block + type->scale_at) != 0.0f) {
        return false;
    }
    bool uniform = true, any = false; /* a block of one value needs no scale where there is a minimum */
    for (int i = 0; i < type->elements; i++) {
        any = any || x[i] != 0.0f;
        uniform = uniform && x[i] == x[0];
    }
    return any && !(type->minimum_at >= 0 && uniform);
}

FbStatus fb_block_encode_rows(const FbBlockRows *job, const float *from, uint64_t first, uint8_t *to, size_t rows, uint64_t *zeroed, FbError *err)
{
    const FbBlockType *type = job->type;
    size_t elements = (size_t)type->elements, blocks = rows * job->blocks;
    FbBlockEncode encode = job->encode != NULL ? job->encode : type->encode;
    if (encode == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "type %s can be read, not written", type->code.name);
    }
    FB_TRY(check_finite(from, blocks * elements, first, err));
    if (job->importance == NULL) {
        encode(from, NULL, to, blocks);
    } else {
        for (size_t r = 0; r < rows; r++) {
            encode(from + r * job->blocks * elements, job->importance, to + r * job->blocks * (size_t)type->bytes, job->blocks);
        }
    }
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *block = to + b * (size_t)type->bytes;
        if (!half_fits(block, type->scale_at) || !half_fits(block, type->minimum_at)) {
            return fb_error_set(err, FB_ERR_NUMERIC, "the scale of the block at element %llu is too large for half precision",
                                (unsigned long long)(first + b * elements));
        }
        if (zeroed != NULL) {
            *zeroed += is_lost(type, block, from + b * elements);
        }
    }
    return FB_OK;
}

FbStatus fb_block_encode(const FbBlockType *type, const float *from, uint64_t first, uint8_t *to, size_t blocks, uint64_t *zeroed, FbError *err)
{
    FbBlockRows job = {type, NULL, NULL, blocks};
    return fb_block_encode_rows(&job, from, first, to, 1, zeroed, err);
}

FbStatus fb_block_check_importance(const float *importance, size_t count, FbError *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(importance[i]) || importance[i] < 0.0f) {
            return fb_error_set(err, FB_ERR_NUMERIC, "importance %zu is %s", i,
                                isnan(importance[i]) ? "not a number" : importance[i] < 0.0f ? "negative" : "infinite");
        }
    }
    return FB_OK;
}
