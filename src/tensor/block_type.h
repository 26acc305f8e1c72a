/* Block types: small groups of elements stored together with their scales, as GGUF files have them. One row per type; decoding and encoding
 * go by whole blocks. Half-precision floats are here as blocks of one element, so that a graph's weights may lie in them.
 *
 * Source: the GGUF and ggml documents; the layouts are those of ggml's numbered tensor types. All numbers are little-endian. */
#ifndef FB_TENSOR_BLOCK_TYPE_H
#define FB_TENSOR_BLOCK_TYPE_H

#include "tensor/encoding.h"

enum { FB_BLOCK_ELEMENTS_MAX = 256, FB_BLOCK_BYTES_MAX = 292 };

typedef struct FbBlockType {
    FbCode code;           /* its name is the type's: "q4_K"; storage is NONE, because codes and scales lie together */
    int number;            /* ggml's type number */
    int elements, bytes;   /* of one block */
    int run;               /* consecutive elements that share the finest scale */
    FbDtype scale;         /* type of the block's scale */
    void (*decode)(const uint8_t *from, float *to, size_t blocks); /* NULL: the size is known, elements cannot be read */
    void (*encode)(const float *from, uint8_t *to, size_t blocks); /* NULL: read only; ggml's reference rounding, finite numbers only */
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
void fb_encode_q4_0(const float *from, uint8_t *to, size_t blocks);
void fb_encode_q4_1(const float *from, uint8_t *to, size_t blocks);
void fb_encode_q5_0(const float *from, uint8_t *to, size_t blocks);
void fb_encode_q5_1(const float *from, uint8_t *to, size_t blocks);
void fb_encode_q8_0(const float *from, uint8_t *to, size_t blocks);

/* The sixteen levels of IQ4_NL and IQ4_XS. */
extern const int8_t fb_iq4_levels[16];

/* A half at an address that need not be aligned. */
static inline float fb_block_half(const uint8_t *at)
{
    return fb_f16_to_f32((uint16_t)(at[0] | at[1] << 8));
}

#endif
