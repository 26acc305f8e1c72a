/* What lowered products share: the epilogue of a call, and constants read into the plan. */
#ifndef FB_OPS_FUSED_H
#define FB_OPS_FUSED_H

#include "ops/lowering.h"

typedef struct FbFused { /* kept in a lowering's state */
    int count;
    FbFusedOp ops[FB_EPILOGUE_MAX];
    const float *bias;   /* NULL: none */
} FbFused;

/* Copies the fused operations and reads the bias, constants[2], of `count` elements, when there is one. */
FbStatus fb_fused_prepare(const FbPrepare *prepare, size_t count, FbFused *fused, FbError *err);
/* True when the bias, if any, is a constant and the fused operands are where they can be. */
bool fb_fused_accepts(const FbPrepare *prepare);
/* The epilogue of row 0, column 0; operands have `stride` floats between rows. */
void fb_fused_epilogue(const FbFused *fused, const FbCall *call, size_t stride, FbEpilogue *epilogue);
/* The same, seen from row `row` and column `col`. */
void fb_epilogue_shift(const FbEpilogue *from, size_t row, size_t col, FbEpilogue *to);
/* All of a constant as floats in the arena. */
FbStatus fb_prepare_floats(const FbPrepare *prepare, int input, const float **floats, FbError *err);

#endif
