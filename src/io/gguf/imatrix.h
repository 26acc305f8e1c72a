/* Importance of the columns of weights, as llama.cpp's imatrix files have it: mean squares of what a weight is multiplied with. Read from
 * GGUF files and from the older .dat form, written as GGUF. */
#ifndef FB_IO_GGUF_IMATRIX_H
#define FB_IO_GGUF_IMATRIX_H

#include "io/gguf/gguf.h"

typedef struct FbImatrixRow {
    const char *name;       /* of the weight */
    size_t columns, matrices;
    float *sums;            /* of squares, [matrices, columns] */
    float *counts;          /* how many were added, per matrix */
} FbImatrixRow;

typedef struct FbImatrix {
    FbContext *context;
    FbArena *arena;
    FbImatrixRow *rows; size_t row_count, row_capacity;
    struct FbNameTable *names;
    FbBytes *datasets; size_t dataset_count; /* names, also NUL-terminated */
    int64_t chunks, chunk_size; /* 0: not said */
    bool counts_chunks;     /* the older form: means times chunks, and chunks instead of counts */
} FbImatrix;

FbStatus fb_imatrix_create(FbContext *context, FbImatrix **out, FbError *err);
void fb_imatrix_free(FbImatrix *imatrix); /* NULL is fine */
/* Numbers that are not finite or negative, and rows that do not belong together, are FB_ERR_FORMAT. */
FbStatus fb_imatrix_read(FbContext *context, const char *path, FbImatrix **out, FbError *err);
FbStatus fb_imatrix_read_source(FbContext *context, FbSource *source, const char *path, FbImatrix **out, FbError *err);
/* A zeroed row; a name that exists is FB_ERR_FORMAT. The name is copied. */
FbStatus fb_imatrix_add(FbImatrix *imatrix, const char *name, size_t columns, size_t matrices, FbImatrixRow **row, FbError *err);
const FbImatrixRow *fb_imatrix_find(const FbImatrix *imatrix, const char *name); /* NULL: absent */
/* Means of squares, [matrices, columns]; 1 everywhere for a matrix that nothing was multiplied with. */
void fb_imatrix_means(const FbImatrixRow *row, float *to);
FbStatus fb_imatrix_add_datasets(FbImatrix *imatrix, const FbBytes *names, size_t count, FbError *err); /* copied */
/* Adds what `from` has to `to`, which is not of the older form. Where only one has a count for each matrix of a weight, the other's single one holds
 * for all; the older form counts chunks of `chunk_size`. chunks of `to` follow from the counts. `to` is unspecified after an error. FB_ERR_ARGUMENT:
 * they are of different models; FB_ERR_NUMERIC: a sum is not finite. */
FbStatus fb_imatrix_merge(FbImatrix *to, const FbImatrix *from, int64_t chunk_size, FbError *err);
/* As llama-imatrix writes it. */
FbStatus fb_imatrix_write(const FbImatrix *imatrix, const char *path, bool overwrite, FbError *err);

#endif
