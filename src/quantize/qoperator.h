/* What the two halves of the QOperator form share: values on grids, their codes, weights and biases as plain constants. */
#ifndef FB_QUANTIZE_QOPERATOR_H
#define FB_QUANTIZE_QOPERATOR_H

#include "quantize/quantizer.h"

typedef struct FbRewriter {
    FbQuantizer *quantizer;
    FbGraph *graph;
    FbUses uses;       /* before the first edit */
    size_t value_count; /* of that time */
    FbId *codes_of;    /* per value made by a Quant: its codes, once there; FB_NONE */
    FbId *plain_of;    /* per encoded weight: its codes, scales and zero points as plain constants, three ids each; FB_NONE */
    FbError *err;
} FbRewriter;

/* The parameters of a value that a Quant made or that was rewritten to codes. */
typedef struct FbQuantizedGrid {
    FbId scale, zero;
    FbDtype code;
} FbQuantizedGrid;

FbStatus fb_qoperator_value(const FbRewriter *rewriter, const char *base, const char *suffix, FbId *value);
/* False: the value is not on a grid that codes can carry. */
bool fb_qoperator_grid(const FbRewriter *rewriter, FbId value, FbQuantizedGrid *grid);
/* The codes of a quantized value: its Quant becomes a Q node and a DQ node. */
FbStatus fb_qoperator_codes(FbRewriter *rewriter, FbId value, const FbQuantizedGrid *grid, FbId *codes);
bool fb_qoperator_has_codes(const FbRewriter *rewriter, FbId weight);
/* Codes, scales and zero points of such a weight; a transposed product gets its codes transposed. */
FbStatus fb_qoperator_weight(FbRewriter *rewriter, FbId value, bool transposed, FbId out[3]);
bool fb_qoperator_is_bias(const FbRewriter *rewriter, FbId value);
FbStatus fb_qoperator_bias(FbRewriter *rewriter, FbId value, FbId *out);
/* Follows clipping that saturation does anyway to the one Quant of the result; FB_NONE: there is none. */
FbId fb_qoperator_quant_behind(const FbRewriter *rewriter, FbId value, FbQuantizedGrid *grid);
/* Removes the node and what stood between its result and the Quant, both included; the Quant's value then comes from `codes`. */
FbStatus fb_qoperator_finish(FbRewriter *rewriter, FbId node, FbId quant, FbId codes, const FbQuantizedGrid *grid);

/* qoperator_microsoft.c: the operators of domain com.microsoft, which ONNX Runtime has. *done: the node is one now. */
FbStatus fb_qoperator_microsoft(FbRewriter *rewriter, FbId node, bool *done);

#endif
