/* The exact product of 8-bit codes that MatMulInteger, QLinearMatMul and ONNX Runtime's further operators share. */
#ifndef FB_OPS_INTEGER_MATMUL_H
#define FB_OPS_INTEGER_MATMUL_H

#include "ops/integer_product.h"

/* Operands as stacks of matrices: a [batches][rows][depth], b [batches][depth][cols], repeated by NumPy's rules. */
typedef struct FbIntegerStack {
    int64_t rows, depth, cols, batches;
    FbShape batch, a_batch, b_batch;
} FbIntegerStack;

/* Shapes of numpy.matmul; the output in *out. Unknown dimensions pass. */
FbStatus fb_integer_stack(FbShape a, FbShape b, FbIntegerStack *stack, FbShape *out, FbError *err);

typedef enum FbIntegerStore { FB_STORE_SUMS = 0, FB_STORE_CODES, FB_STORE_REALS } FbIntegerStore;

typedef struct FbIntegerMatmul {
    const FbTensor *a, *b, *a_zero, *b_zero;                /* zeros NULL: 0 */
    FbIntegerStore store;                                   /* s32 sums; codes of y_scale and y_zero; float */
    const FbTensor *a_scale, *b_scale, *y_scale, *y_zero;   /* scales: not NULL for CODES and REALS */
    float alpha;                                            /* CODES, REALS: factor of the sums */
    const FbTensor *c;                                      /* s32, added to the sums; broadcasts to [rows, cols]; NULL */
    const FbTensor *bias;                                   /* REALS: added per column, [cols]; NULL */
    FbTensor *to;
    /* filled by fb_integer_matmul_run */
    FbIntegerStack stack;
    int64_t c_row, c_col;
    float *centered;                                        /* a less its zero points */
    const FbProductF32Kernel *kernel;
    int64_t panels, row_groups;
} FbIntegerMatmul;

/* scratch: a float per element of a. */
FbStatus fb_integer_matmul_run(FbContext *context, FbIntegerMatmul *work, float *scratch, FbError *err);

#endif
