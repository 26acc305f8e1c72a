/* c = a * w + bias in float with packed weights, in parallel: for operators that multiply inside a larger step. */
#ifndef FB_OPS_DENSE_H
#define FB_OPS_DENSE_H

#include "kernels/product_f32.h"

enum { FB_DENSE_ROWS_MAX = 64 }; /* rows of a tile at most */

typedef struct FbDense {
    const FbProductF32Kernel *kernel;
    const float *a;              /* [rows][depth] */
    size_t rows, depth, cols;
    const float *packed;         /* as fb_product_f32_pack makes it */
    const float *bias;           /* [cols], or NULL */
    float *c;                    /* [rows][c_stride] */
    size_t c_stride;
} FbDense;

/* One fma chain per element, in depth order. */
void fb_dense_f32(FbContext *context, const FbDense *dense);
/* The columns of one panel only, first = index of the panel * kernel->col_tile; `panel` is packed for it. */
void fb_dense_panel_f32(const FbDense *dense, size_t first, const float *panel);

#endif
