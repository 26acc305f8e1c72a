/* What stands between the int32 sums of a lowered product and its stored values: the fused operations, arranged so that the kernel has the
 * least to do. */
#ifndef FB_OPS_INTEGER_STORE_H
#define FB_OPS_INTEGER_STORE_H

#include "ops/fused.h"
#include "ops/integer_weight.h"

typedef struct FbIntegerStore { /* kept in a lowering's state */
    size_t columns;
    FbFused fused;               /* what the kernel does in real arithmetic, in units of `unit`; its bias too */
    bool codes;
    FbCodeGrid grid;
    double unit;                 /* the grid's scale, or 1: real units */
    float inverse;
    const uint8_t *table;
    double alpha;                /* Gemm's */
    const double *weight_scale;  /* [columns] */
    const int32_t *column_sum;   /* [columns] */
    const int32_t *offset;       /* [columns], for the grid of input 0; NULL: input 0 is quantized per run */
    const float *scale;
} FbIntegerStore;

/* The part of `accepts` that all integer products share: codes or dynamic quantization at input 0, a bias that is constant if any. */
bool fb_integer_store_accepts(const FbPrepare *prepare);
/* `columns` of the whole output; alpha multiplies the product, beta the bias. */
FbStatus fb_integer_store_prepare(const FbPrepare *prepare, const FbIntegerWeight *weight, float alpha, float beta, FbIntegerStore *store,
                                  FbError *err);
/* Offsets and scales of a run that quantized input 0 itself. */
void fb_integer_store_dynamic(const FbIntegerStore *store, float scale, int32_t zero, int32_t *offset, float *scales);
/* The epilogue of row 0, column 0, with the offsets and scales of the store or, where these are not NULL, of this run. */
void fb_integer_store_epilogue(const FbIntegerStore *store, const FbCall *call, const int32_t *offset, const float *scales,
                               FbIntegerEpilogue *epilogue);

#endif
