/* A mixture of experts, shared by the plain and the lowered form: which experts serve a token, and what follows their products. */
#ifndef FB_OPS_EXPERTS_H
#define FB_OPS_EXPERTS_H

#include "kernels/functions.h"
#include "ops/lowering.h"

typedef struct FbExpertsParams {
    int64_t top_k;
    bool normalize;
    FbUnaryKind activation;
} FbExpertsParams;

typedef struct FbExpertsSizes { size_t tokens, hidden, experts, width; } FbExpertsSizes;

/* c[rows][outputs] = a times the transposed matrix of an expert; kind 0: gate, 1: up, 2: down. */
typedef struct FbExpertsProduct {
    void (*run)(const FbCall *call, int kind, size_t expert, const float *a, size_t rows, float *c, void *scratch);
    size_t scratch_bytes;
} FbExpertsProduct;

/* Of concrete shapes that infer has accepted. */
FbExpertsSizes fb_experts_sizes(const FbCall *call);
/* The whole scratch of a call; SIZE_MAX when it overflows. */
size_t fb_experts_scratch(const FbCall *call, size_t product_bytes);
FbStatus fb_experts_run(const FbCall *call, const FbExpertsProduct *product, FbError *err);

extern const FbLowering fb_experts_blocks_lowering;

#endif
