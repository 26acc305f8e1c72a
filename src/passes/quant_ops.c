/* The table of operators as quantization sees them: ONNX Runtime's and OpenVINO's conventions. */
#include "passes/quant_ops.h"

#define BOTH (FB_QUANT_FOR_ONNXRUNTIME | FB_QUANT_FOR_OPENVINO)
#define ORT FB_QUANT_FOR_ONNXRUNTIME

const FbQuantOp fb_quant_ops[] = {
    {"Conv", FB_QUANT_ROLE_PRODUCT, BOTH, 1U << 1, NULL},
    {"ConvTranspose", FB_QUANT_ROLE_PRODUCT, FB_QUANT_FOR_OPENVINO, 1U << 1, NULL},
    {"Gemm", FB_QUANT_ROLE_PRODUCT, BOTH, 1U << 1, NULL},
    {"MatMul", FB_QUANT_ROLE_PRODUCT, BOTH, 1U << 0 | 1U << 1, NULL},
    {"Add", FB_QUANT_ROLE_BINARY, BOTH, 0, NULL},
    {"Mul", FB_QUANT_ROLE_BINARY, ORT, 0, NULL},
    {"AveragePool", FB_QUANT_ROLE_POINTWISE, BOTH, 0, NULL},
    {"GlobalAveragePool", FB_QUANT_ROLE_POINTWISE, BOTH, 0, NULL},
    {"LeakyRelu", FB_QUANT_ROLE_POINTWISE, ORT, 0, NULL},
    {"Sigmoid", FB_QUANT_ROLE_POINTWISE, ORT, 0, NULL},
    {"Concat", FB_QUANT_ROLE_JOIN, BOTH, 0, NULL},
    {"DepthToSpace", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Expand", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Flatten", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Gather", FB_QUANT_ROLE_PASS, BOTH, 1U << 0, NULL},
    {"Identity", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"MaxPool", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Pad", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Reshape", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Resize", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Slice", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"SpaceToDepth", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Split", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Squeeze", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Transpose", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Unsqueeze", FB_QUANT_ROLE_PASS, BOTH, 0, NULL},
    {"Clip", FB_QUANT_ROLE_TAIL, BOTH, 0, NULL},
    {"Relu", FB_QUANT_ROLE_TAIL, BOTH, 0, NULL},
    {"GRU", FB_QUANT_ROLE_FLOAT, 0, 1U << 1 | 1U << 2, "recurrent steps stay in float"},
    {"LSTM", FB_QUANT_ROLE_FLOAT, 0, 1U << 1 | 1U << 2, "recurrent steps stay in float"},
    {"RNN", FB_QUANT_ROLE_FLOAT, 0, 1U << 1 | 1U << 2, "recurrent steps stay in float"},
    {"Softmax", FB_QUANT_ROLE_FLOAT, 0, 0, "a softmax loses too much in 8 bits"},
};
const size_t fb_quant_op_count = sizeof fb_quant_ops / sizeof fb_quant_ops[0];

const FbQuantOp *fb_quant_op(const FbNode *node)
{
    if (node->domain[0] != '\0') {
        return NULL;
    }
    for (size_t i = 0; i < fb_quant_op_count; i++) {
        if (strcmp(fb_quant_ops[i].op_type, node->op_type) == 0) {
            return &fb_quant_ops[i];
        }
    }
    return NULL;
}

static bool is_true(const FbNode *node, const char *attribute)
{
    const FbAttribute *found = fb_node_attribute(node, attribute);
    return found != NULL && found->i != 0;
}

int fb_quant_weight_axis(const FbNode *node, uint32_t input, int rank, bool depth)
{
    if (fb_node_is(node, "", "Conv")) {
        return rank >= 3 && !depth ? 0 : -1;
    }
    if (fb_node_is(node, "", "ConvTranspose")) {
        return rank >= 3 && !depth ? 1 : -1;
    }
    if (fb_node_is(node, "", "Gemm") && rank == 2 && input == 1) {
        return is_true(node, "transB") == depth ? 1 : 0;
    }
    if (fb_node_is(node, "", "MatMul") && rank >= 2) {
        return (input == 1) == depth ? rank - 2 : rank - 1;
    }
    if (fb_node_is(node, "", "Gather")) { /* one scale per row of an embedding table */
        return rank == 2 ? (depth ? 1 : 0) : -1;
    }
    if (fb_node_is(node, "", "LSTM") || fb_node_is(node, "", "GRU") || fb_node_is(node, "", "RNN")) {
        return rank == 3 ? (depth ? 2 : 1) : -1;
    }
    return -1;
}
