/* What quantization knows of an operator: which inputs are weights, and how Quants stand around it. */
#ifndef FB_PASSES_QUANT_OPS_H
#define FB_PASSES_QUANT_OPS_H

#include "graph/graph.h"

typedef enum FbQuantRole {
    FB_QUANT_ROLE_FLOAT = 0, /* no integer form: inputs and output stay real */
    FB_QUANT_ROLE_PRODUCT,   /* Conv, MatMul, Gemm: quantized inputs and constant weights */
    FB_QUANT_ROLE_BINARY,    /* Add, Mul of two activations */
    FB_QUANT_ROLE_POINTWISE, /* one activation in, other values out: pooling by mean, Sigmoid */
    FB_QUANT_ROLE_JOIN,      /* Concat */
    FB_QUANT_ROLE_PASS,      /* moves elements: the output has the parameters of input 0 */
    FB_QUANT_ROLE_TAIL       /* Relu, Clip: part of what comes before; the Quant stands behind it */
} FbQuantRole;

enum { FB_QUANT_FOR_ONNXRUNTIME = 1, FB_QUANT_FOR_OPENVINO = 2 };

typedef struct FbQuantOp {
    const char *op_type;
    FbQuantRole role;
    unsigned targets;   /* runtimes that compute it on integers (PASS: on any) */
    uint32_t weights;   /* bit i: input i is a weight when it is constant */
    const char *reason; /* why a FLOAT row stays in float */
} FbQuantOp;

extern const FbQuantOp fb_quant_ops[];
extern const size_t fb_quant_op_count;

/* The row of a node of ONNX's domain; NULL: none. */
const FbQuantOp *fb_quant_op(const FbNode *node);
/* The axis of output channels of weight `input`, or with `depth` the axis along which products sum; -1: none. */
int fb_quant_weight_axis(const FbNode *node, uint32_t input, int rank, bool depth);

#endif
