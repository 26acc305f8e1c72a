/* C = A * W in exact integers: A are u8 codes, W s8 weights, sums int32. Serves MatMul, Gemm and convolution (indirection) on quantized
 * values; the integer twin of product_f32.h.
 *
 *   acc[r][n] = sum over t in [0, taps), k in [0, depth) of a[t][r][k] * w[t * depth + k][n]      then FbIntegerEpilogue
 *
 * The same bits on every row of the table, whatever the tile: no kernel may saturate, for any u8 and any s8 (-128 included). The caller
 * has proved |acc + offset| < 2^31. */
#ifndef FB_KERNELS_PRODUCT_U8S8_H
#define FB_KERNELS_PRODUCT_U8S8_H

#include "base/arena.h"
#include "base/context.h"
#include "kernels/epilogue.h"

enum { FB_U8S8_STEP = 4 }; /* bytes of A taken together: the depth of a tap is padded to a multiple of it with zero weights */

/* A packed matrix, for one kernel row. Its `panels` are [panel][tap][ceil(depth / 4)][col_tile][4], zero-padded. */
typedef struct FbPackedU8S8 {
    size_t depth, taps, cols;
    size_t panel_bytes, panel_count; /* a panel: col_tile columns */
    const int8_t *panels;
    const int32_t *column_sum;   /* [cols]: of the weights, for the zero point of A */
    const void *fixup;           /* kernel's own: what a row without exact pair products adds to be exact; NULL */
} FbPackedU8S8;

typedef struct FbProductU8S8 {
    size_t rows, cols;             /* any number of rows (they are cut into tiles inside); cols <= col_tile of the kernel row */
    const FbPackedU8S8 *w;
    size_t panel;                  /* which panel of w */
    const uint8_t *const *a;       /* [taps][a_row_stride] pointers to `depth` contiguous codes, READABLE UP TO a multiple of 4 */
    size_t a_row_stride;           /* pointers between taps */
    ptrdiff_t a_offset;            /* bytes added to every pointer but `zero` */
    const uint8_t *zero;           /* a row of the code of real zero (padding), or NULL */
    void *c;                       /* [rows][c_stride] of float or uint8_t as the epilogue stores; of int32_t when epilogue is NULL */
    size_t c_stride;               /* elements */
    const FbIntegerEpilogue *epilogue; /* offset, scale, bias, operands at the first row and column; NULL: store the sums */
} FbProductU8S8;

typedef struct FbProductU8S8Kernel {
    const char *name;
    unsigned needs;                /* FbCpu bits */
    size_t row_tile, col_tile;
    /* w(k, n) is w[k * depth_stride + n * col_stride], k = t * depth + d. Fills *packed; its memory is the arena's. */
    FbStatus (*pack)(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps, size_t depth,
                     size_t cols, FbPackedU8S8 *packed, FbError *err);
    void (*run)(const FbProductU8S8 *product);
} FbProductU8S8Kernel;

extern const FbProductU8S8Kernel *const fb_product_u8s8_kernels[]; /* best first, ends with scalar */
extern const size_t fb_product_u8s8_kernel_count;
const FbProductU8S8Kernel *fb_product_u8s8_pick(unsigned cpu);

/* ---- blocks: the twin of product_block.h ---- */

typedef struct FbProductU8S8Job {
    const FbProductU8S8Kernel *kernel;
    const FbPackedU8S8 *w;
    const uint8_t *zero;         /* see FbProductU8S8 */
    ptrdiff_t a_offset;
    void *c;                     /* row 0, column 0 */
    size_t c_stride;
    const FbIntegerEpilogue *epilogue; /* of row 0, column 0; NULL: store int32 sums */
    /* Fills a[tap * stride + i] for the rows first + i, i in [0, count). */
    void (*point)(const void *arg, size_t first, size_t count, size_t stride, const uint8_t **a);
    const void *arg;
} FbProductU8S8Job;

typedef struct FbTilingU8S8 {
    size_t row_block, col_block;   /* multiples of the kernel's tile */
    size_t row_blocks, col_blocks;
} FbTilingU8S8;

/* How to cut [rows, cols] into units of parallel work: by shape only. */
FbTilingU8S8 fb_product_u8s8_tiling(const FbProductU8S8Kernel *kernel, size_t rows, size_t cols, size_t taps_depth);
/* Pointers that a block of `rows` rows needs. */
size_t fb_product_u8s8_pointer_count(const FbProductU8S8Kernel *kernel, size_t rows, size_t taps);
/* Rows [row, row + rows), columns [col, col + cols); col is a multiple of the kernel's col_tile. */
void fb_product_u8s8_block(const FbProductU8S8Job *job, size_t row, size_t rows, size_t col, size_t cols, const uint8_t **pointers);
/* The epilogue of row 0, column 0, seen from row `row` and column `col`. */
void fb_integer_epilogue_shift(const FbIntegerEpilogue *from, size_t row, size_t col, FbIntegerEpilogue *to);

#endif
