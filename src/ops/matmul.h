/* MatMul and Gemm: what both mean for given shapes, shared by the plain and the lowered form. */
#ifndef FB_OPS_MATMUL_H
#define FB_OPS_MATMUL_H

#include "ops/lowering.h"

typedef struct FbMatmulParams {
    bool gemm;
    bool transpose_a, transpose_b;
    float alpha, beta;
} FbMatmulParams;

/* y[batch][m][n] = sum over k of a[...] b[...]; strides in elements. */
typedef struct FbMatmul {
    int64_t m, n, k;
    int64_t a_row, a_depth, b_depth, b_col;
    int batch_rank;
    int64_t batch[FB_RANK_MAX];                        /* of the output */
    int64_t a_batch[FB_RANK_MAX], b_batch[FB_RANK_MAX]; /* strides, 0 where the operand is repeated */
    int64_t batches, b_batches;                        /* matrices in the output, in B */
} FbMatmul;

/* Concrete shapes that infer has accepted. */
FbMatmul fb_matmul_of(const FbMatmulParams *params, int a_rank, const int64_t *a, int b_rank, const int64_t *b);
/* Where the matrices of output matrix `index` begin. */
void fb_matmul_offsets(const FbMatmul *matmul, int64_t index, int64_t *a, int64_t *b);

extern const FbLowering fb_matmul_lowering, fb_matmul_integer_lowering, fb_matmul_blocks_lowering;
/* The parts of the rows, for operators that begin with a product: params begin with FbMatmulParams. */
FbStatus fb_gemm_decode(const FbNode *node, FbArena *arena, void *params, FbError *err);
FbStatus fb_gemm_infer(FbInfer *infer, FbError *err);
FbStatus fb_matmul_infer(FbInfer *infer, FbError *err);
size_t fb_matmul_scratch(const FbCall *call);
FbStatus fb_matmul_run(const FbCall *call, FbError *err);
/* The plain product of inputs 0 and 1 with other strides than their dimensions have. */
FbStatus fb_matmul_run_shape(const FbCall *call, const FbMatmulParams *params, const FbMatmul *shape, FbError *err);

#endif
