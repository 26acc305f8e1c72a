/* A block of a float product, cut into kernel tiles: pointers to the rows of A are made once per block, the depth is cut so that a slab of
 * the packed panel stays in the first cache. Neither changes the chain of an output element. */
#ifndef FB_KERNELS_PRODUCT_BLOCK_H
#define FB_KERNELS_PRODUCT_BLOCK_H

#include "kernels/product_f32.h"

typedef struct FbProductJob {
    const FbProductF32Kernel *kernel;
    size_t rows, cols, depth, taps;
    const float *packed;         /* [panel][taps * depth][col_tile] */
    const float *zero;           /* see FbProductF32 */
    ptrdiff_t a_offset;
    float *c;                    /* row 0, column 0 */
    size_t c_stride;
    const FbEpilogue *epilogue;  /* bias and operands of row 0, column 0; NULL: none */
    /* Fills a[tap * stride + i] for the rows first + i, i in [0, count). */
    void (*point)(const void *arg, size_t first, size_t count, size_t stride, const float **a);
    const void *arg;
} FbProductJob;

typedef struct FbProductTiling {
    size_t row_block, col_block;   /* multiples of the kernel's tile */
    size_t row_blocks, col_blocks;
} FbProductTiling;

/* How to cut [rows, cols] of this depth into units of parallel work: by shape only. */
FbProductTiling fb_product_tiling(const FbProductF32Kernel *kernel, size_t rows, size_t cols, size_t taps_depth);
/* Pointers that a block of `rows` rows needs. */
size_t fb_product_pointer_count(const FbProductF32Kernel *kernel, size_t rows, size_t taps);
/* Rows [row, row + rows), columns [col, col + cols); col is a multiple of the kernel's col_tile. */
void fb_product_block(const FbProductJob *job, size_t row, size_t rows, size_t col, size_t cols, const float **pointers);

#endif
