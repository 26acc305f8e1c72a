/* Decoded If, Loop and Scan. */
#ifndef FB_OPS_CONTROL_FLOW_H
#define FB_OPS_CONTROL_FLOW_H

#include "ops/op.h"

typedef struct FbIfParams {
    FbGraph *then_branch, *else_branch;
} FbIfParams;

typedef struct FbLoopParams {
    FbGraph *body;    /* (iteration, condition, carried...) -> (condition, carried..., stacked...) */
    uint32_t carried;
} FbLoopParams;

typedef struct FbScanParams {
    FbGraph *body;    /* (carried..., slices...) -> (carried..., slices...) */
    uint32_t carried, scanned;
    const int64_t *input_axes, *output_axes, *input_directions, *output_directions; /* NULL: zeros */
} FbScanParams;

#endif
