/* Products with weights that are packed in block types: c[r][n] = epilogue( sum over k of a[r][k] * w[n][k] ).
 *
 * On codes, A is rounded to 8 bits on the fly and the kernels of product_lowbit.h multiply what lies in the panels. In float the weights are decoded, a panel at a time, into the float product kernels: the bits are those of a product with the decoded
 * matrix. */
#ifndef FB_OPS_BLOCKS_PRODUCT_H
#define FB_OPS_BLOCKS_PRODUCT_H

#include "kernels/epilogue.h"
#include "ops/packed_blocks.h"

typedef struct FbBlocksProduct {
    const FbPackedBlocks *w;
    size_t matrix;               /* which of w's */
    size_t rows;                 /* of a and c */
    const float *a;              /* [rows][w->depth] */
    float *c;                    /* [rows][c_stride], w->rows columns are written */
    size_t c_stride;
    const FbEpilogue *epilogue;  /* NULL: none */
    bool codes;                  /* fb_blocks_product_has_codes said yes */
    void *scratch;               /* fb_blocks_product_scratch bytes, aligned to 64 */
} FbBlocksProduct;

/* True when a kernel multiplies this type's blocks as they are; A is rounded unless the blocks are halves. */
bool fb_blocks_product_has_codes(const FbPackedBlocks *w);
/* True when that changes no bit: halves. */
bool fb_blocks_product_is_exact(const FbPackedBlocks *w);
size_t fb_blocks_product_scratch(FbContext *context, const FbPackedBlocks *w, size_t rows, bool codes);
/* In parallel; work is cut by shape only. */
void fb_blocks_product(FbContext *context, const FbBlocksProduct *product);

#endif
