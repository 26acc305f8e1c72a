/* Parameters of the convolution operators, shared by their plain and lowered forms. */
#ifndef FB_OPS_CONV_H
#define FB_OPS_CONV_H

#include "ops/lowering.h"
#include "ops/window.h"

typedef struct FbConvParams {
    FbWindowParams window;
    int64_t group;
    /* ConvTranspose only: */
    int output_padding_count, output_shape_count;
    int64_t output_padding[FB_SPATIAL_MAX], output_shape[FB_SPATIAL_MAX];
} FbConvParams;

extern const FbLowering fb_conv_lowering, fb_conv_integer_lowering;
/* The parts of Conv's row, for operators that begin with a convolution: params begin with FbConvParams. */
FbStatus fb_conv_decode(const FbNode *node, FbArena *arena, void *params, FbError *err);
FbStatus fb_conv_infer(FbInfer *infer, FbError *err);
size_t fb_conv_scratch(const FbCall *call);
FbStatus fb_conv_run(const FbCall *call, FbError *err);
FbStatus fb_conv_transpose_infer(FbInfer *infer, FbError *err);
FbStatus fb_conv_transpose_run(const FbCall *call, FbError *err);

#endif
