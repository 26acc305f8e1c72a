/* Tensors as a GGUF file will have them, made of the tensors of a checkpoint: the same, rows in another order, transposed, or the matrices of
 * the experts stacked. Read by rows, so that no tensor is ever held whole. */
#ifndef FB_IO_GGUF_ROWS_H
#define FB_IO_GGUF_ROWS_H

#include "io/gguf/gguf.h"

/* What decides which types the weights get, besides their names. */
typedef struct FbGgufFacts {
    const char *architecture;                 /* general.architecture */
    int64_t layers, experts, heads, kv_heads; /* 0: not known */
} FbGgufFacts;

typedef struct FbGgufTensor {
    const char *name;        /* in the file to be written */
    FbShape shape;           /* outermost first */
    uint32_t number;         /* ggml's type of the elements as they are now */
    /* Stacked along the outermost axis; of one piece, `first_row` and `rows` cut a part out of each of its matrices. */
    const FbConst **pieces; size_t piece_count;
    int64_t first_row, matrix_rows; /* of the pieces: where a matrix's part begins, and the rows of a whole matrix */
    /* Row (a, b, c, d) of the new order, sizes [outer, left, right, inner], is row (a, c, b, d) of the old one; outer 0: no change. */
    int64_t outer, left, right, inner;
    /* Rows of the file are columns of the piece's matrices: of each `first_row` and every `step`-th after it, out of `matrix_rows`. A stack of
     * vectors (rank 2, step > 0) is taken as matrices of one column. */
    bool transposed;
    int64_t step;            /* 0: 1 */
    float added;             /* to every element */
    const float *values;     /* elements that were computed, instead of pieces */
} FbGgufTensor;

int64_t fb_gguf_rows(const FbGgufTensor *tensor);    /* of all matrices */
int64_t fb_gguf_columns(const FbGgufTensor *tensor);
/* Whether rows may be copied as they are stored. */
bool fb_gguf_rows_stored(const FbGgufTensor *tensor);
/* Rows [first, first + count) as floats, or as they are stored (fb_gguf_rows_stored). */
FbStatus fb_gguf_rows_read(FbContext *context, const FbGgufTensor *tensor, int64_t first, int64_t count, float *to, FbError *err);
FbStatus fb_gguf_rows_copy(const FbGgufTensor *tensor, int64_t first, int64_t count, uint8_t *to, FbError *err);

/* ggml's number of a constant's elements; false: it has none (fp8, codes with separate scales). */
bool fb_gguf_number_of_constant(const FbConst *constant, uint32_t *number);

#endif
