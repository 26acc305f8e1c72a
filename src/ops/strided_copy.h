/* Copying between two strided views of equal dimensions: the engine of Transpose, Slice, Concat, Split, Expand, Tile, DepthToSpace. */
#ifndef FB_OPS_STRIDED_COPY_H
#define FB_OPS_STRIDED_COPY_H

#include "tensor/tensor.h"

enum { FB_COPY_RANK_MAX = 2 * FB_RANK_MAX };

typedef struct FbStridedCopy {
    int bits;                                /* of one element: 2, 4 or a multiple of 8 */
    int rank;
    int64_t dims[FB_COPY_RANK_MAX];
    int64_t from_stride[FB_COPY_RANK_MAX];   /* in elements; 0 repeats, negative reverses */
    int64_t to_stride[FB_COPY_RANK_MAX];     /* in elements; >= 0, and no element is written twice */
} FbStridedCopy;

/* Copies every element; from_first and to_first are the element numbers of index (0, 0, ...). The views do not overlap. Sub-byte
 * elements are merged into the bytes that `to` holds. Runs in parallel, cut by shape. */
void fb_strided_copy(FbContext *context, const FbStridedCopy *copy, const void *from, int64_t from_first, void *to, int64_t to_first);

/* Row-major strides of dims. */
void fb_row_major_strides(const int64_t *dims, int rank, int64_t *strides);

/* `count` elements of `bits` from one row-major buffer to another. */
void fb_copy_elements(int bits, const void *from, int64_t from_first, void *to, int64_t to_first, int64_t count);

#endif
