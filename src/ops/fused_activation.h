/* The activation that ONNX Runtime's fused operators carry as attributes. */
#ifndef FB_OPS_FUSED_ACTIVATION_H
#define FB_OPS_FUSED_ACTIVATION_H

#include "kernels/functions.h"
#include "ops/op.h"

typedef struct FbFusedActivation {
    bool present;
    FbUnaryKind kind;
    float a, b;
} FbFusedActivation;

/* Attribute `activation` and its numbers, given as they are in the node; FB_ERR_UNSUPPORTED for a function that is none of ours. */
FbStatus fb_fused_activation_decode(const char *name, const float *numbers, size_t count, FbFusedActivation *activation, FbError *err);
/* In place. */
void fb_fused_activation_apply(FbContext *context, const FbFusedActivation *activation, float *data, size_t count);

#endif
