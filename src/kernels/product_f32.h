/* C = A * W with one fma chain per output element, in k order. Serves MatMul, Gemm and convolution (indirection).
 *
 *   c[r][n] = epilogue( fma chain over t in [0, taps), k in [0, depth) of a[t][r][k] * w[(t * depth + k)][n] )
 *
 * starting from 0 (or from c when `accumulate`). Same bits on every row of the table, whatever the tile. */
#ifndef FB_KERNELS_PRODUCT_F32_H
#define FB_KERNELS_PRODUCT_F32_H

#include <stdbool.h>

#include "base/context.h"
#include "kernels/epilogue.h"

typedef struct FbProductF32 {
    size_t rows, cols;             /* of this tile: rows <= row_tile, cols <= col_tile of the kernel row */
    size_t depth;                  /* floats per tap, > 0 */
    size_t taps;                   /* 1 for MatMul; kernel height * width for a convolution */
    const float *const *a;         /* [taps][row_stride] pointers to `depth` contiguous floats */
    size_t a_row_stride;           /* pointers between taps */
    ptrdiff_t a_offset;            /* floats added to every pointer but `zero`: one indirection serves all images of a batch and groups */
    const float *zero;             /* a row of `depth` zeros (padding), or NULL */
    const float *w;                /* packed panel: [taps * depth][col_tile], columns past `cols` are zero */
    float *c;                      /* [rows][c_stride] */
    size_t c_stride;
    bool accumulate;               /* continue the chain that c holds (no epilogue was applied yet) */
    const FbEpilogue *epilogue;    /* NULL: store the accumulators */
} FbProductF32;

typedef struct FbProductF32Kernel {
    const char *name;
    unsigned needs;                /* FbCpu bits */
    size_t row_tile, col_tile;
    void (*run)(const FbProductF32 *product);
} FbProductF32Kernel;

extern const FbProductF32Kernel *const fb_product_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_product_f32_kernel_count;
const FbProductF32Kernel *fb_product_f32_pick(unsigned cpu);

/* Floats of a packed matrix of `depth` rows and `cols` columns. */
size_t fb_product_f32_packed_count(const FbProductF32Kernel *kernel, size_t depth, size_t cols);
/* Packs columns [0, cols) of w[depth][cols] given by strides into panels of col_tile columns, zero-padded. */
void fb_product_f32_pack(const FbProductF32Kernel *kernel, const float *w, size_t depth_stride, size_t col_stride, size_t depth, size_t cols,
                         float *packed);

#endif
