/* Operators on rows that compute in float between codes: what their lowering asks the operator's own file. */
#ifndef FB_OPS_CODES_ROWS_H
#define FB_OPS_CODES_ROWS_H

#include "ops/lowering.h"

typedef enum FbRowsKind { FB_ROWS_LAYER = 0, FB_ROWS_RMS, FB_ROWS_SOFTMAX } FbRowsKind;

typedef struct FbRowsParams {
    FbRowsKind kind;
    int64_t axis;    /* first axis of the row, maybe negative */
    bool flatten;    /* SOFTMAX: all axes from `axis` on are one row; false: `axis` alone is */
    float epsilon;   /* LAYER, RMS */
} FbRowsParams;

/* norm_layer.c and softmax.c: their decoded params as above. */
void fb_layer_rows_params(const void *params, FbRowsParams *rows);
void fb_softmax_rows_params(const void *params, FbRowsParams *rows);

static inline void fb_rows_params(const FbNode *node, const void *params, FbRowsParams *rows)
{
    if (strcmp(node->op_type, "Softmax") == 0) {
        fb_softmax_rows_params(params, rows);
    } else {
        fb_layer_rows_params(params, rows);
    }
}

extern const FbLowering fb_codes_rows_lowering;

#endif
