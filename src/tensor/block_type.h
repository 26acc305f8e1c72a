/* Block types: small groups of elements stored together with their scales, as GGUF files have them. One row per type; decoding and encoding
 * go by whole blocks. Half-precision floats are here as blocks of one element, so that a graph's weights may lie in them.
 *
 * Source: the GGUF and ggml documents; the layouts are those of ggml's numbered tensor types. All numbers are little-endian. */
#ifndef FB_TENSOR_BLOCK_TYPE_H
#define FB_TENSOR_BLOCK_TYPE_H

#include "tensor/encoding.h"

enum { FB_BLOCK_ELEMENTS_MAX = 256, FB_BLOCK_BYTES_MAX = 292 };

/* Encodes finite numbers, byte for byte as ggml does. `importance`: NULL, or one weight >= 0 per element; then `from` is one whole row, because
 * some types weigh an element by its row's mean square too. Blocks (groups) whose importance is all zero are encoded as without. */
typedef void (*FbBlockEncode)(const float *from, const float *importance, uint8_t *to, size_t blocks);

typedef struct FbBlockType {
    FbCode code;           /* its name is the type's: "q4_K"; storage is NONE, because codes and scales lie together */
    int number;            /* ggml's type number */
    int elements, bytes;   /* of one block */
    int run;               /* consecutive elements that share the finest scale */
    FbDtype scale;         /* type of the block's scale */
    void (*decode)(const uint8_t *from, float *to, size_t blocks); /* NULL: the size is known, elements cannot be read */
    int scale_at, minimum_at; /* byte of the block's half-precision scale (f16: the element) and minimum; -1: none such */
    FbBlockEncode encode;  /* NULL: read only */
} FbBlockType;

extern const FbBlockType fb_block_types[];
extern const size_t fb_block_type_count;
const FbBlockType *fb_block_type_find(const char *name);   /* NULL: unknown */
const FbBlockType *fb_block_type_of_number(uint32_t number); /* NULL: none, or a type of plain elements */

/* The encoding of a constant of `rank` >= 1 whose last axis is cut into such blocks. */
FbEncoding fb_block_encoding(const FbBlockType *type, int rank);

/* Encodes whole blocks. FB_ERR_NUMERIC when a number is not finite or a scale does not fit (the message has the element's index, counted from
 * `first`). *zeroed, if not NULL, grows by the blocks with a non-zero element whose stored scale became 0. */
FbStatus fb_block_encode(const FbBlockType *type, const float *from, uint64_t first, uint8_t *to, size_t blocks, uint64_t *zeroed, FbError *err);

/* The same for rows: `encode` is the type's own or a kernel's (kernels/block_encode.h), `importance` NULL or what fb_block_check_importance
 * accepted, of a row's length. */
typedef struct FbBlockRows {
    const FbBlockType *type;
    FbBlockEncode encode;    /* NULL: the type's */
    const float *importance;
    size_t blocks;           /* of a row */
} FbBlockRows;
FbStatus fb_block_encode_rows(const FbBlockRows *job, const float *from, uint64_t first, uint8_t *to, size_t rows, uint64_t *zeroed, FbError *err);

/* FB_ERR_NUMERIC when a weight is not finite or negative. */
FbStatus fb_block_check_importance(const float *importance, size_t count, FbError *err);

/* Rows of the table, by file. */
void fb_decode_f16(const uint8_t *from, float *to, size_t blocks);
void fb_decode_bf16(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q4_0(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q4_1(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q5_0(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q5_1(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q8_0(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq4_nl(const uint8_t *from, float *to, size_t blocks);
void fb_decode_mxfp4(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q2_k(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q3_k(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q4_k(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q5_k(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q6_k(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq4_xs(const uint8_t *from, float *to, size_t blocks);
void fb_decode_tq1_0(const uint8_t *from, float *to, size_t blocks);
void fb_decode_tq2_0(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq2_xxs(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq2_xs(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq2_s(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq3_xxs(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq3_s(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq1_s(const uint8_t *from, float *to, size_t blocks);
void fb_decode_iq1_m(const uint8_t *from, float *to, size_t blocks);
void fb_decode_nvfp4(const uint8_t *from, float *to, size_t blocks);
void fb_decode_q1_0(const uint8_t *from, float *to, size_t blocks);
void fb_encode_f16(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_bf16(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q4_0(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q4_1(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q5_0(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q5_1(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q8_0(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q2_k(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q3_k(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q4_k(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q5_k(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_q6_k(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_iq4_nl(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_iq4_xs(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_mxfp4(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_tq1_0(const float *from, const float *importance, uint8_t *to, size_t blocks);
void fb_encode_tq2_0(const float *from, const float *importance, uint8_t *to, size_t blocks);

/* The sixteen levels of IQ4_NL and IQ4_XS. */
extern const int8_t fb_iq4_levels[16];

/* 2^(exponent - 128): half of an E8M0 value, because MXFP4's levels are taken doubled. */
float fb_block_half_power(uint8_t exponent);

/* A half at an address that need not be aligned. */
static inline float fb_block_half(const uint8_t *at)
{
    return fb_f16_to_f32((uint16_t)(at[0] | at[1] << 8));
}

static inline void fb_block_put_half(uint8_t *at, uint16_t half)
{
    at[0] = (uint8_t)half;
    at[1] = (uint8_t)(half >> 8);
}

#endif
