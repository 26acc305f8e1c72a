/* QOperator form with the operators that ONNX Runtime has beside ONNX's, in domain com.microsoft: QLinearAdd, QLinearMul, QLinearConcat, pooling by
 * mean, functions of one value, QGemm. */
#include "quantize/qoperator.h"

static FbStatus emit(const FbRewriter *rewriter, const char *op_type, const FbId *inputs, size_t count, FbId result, FbId beside, FbId *made)
{
    FbGraph *graph = rewriter->graph;
    FbModel *model = rewriter->quantizer->model;
    const char *name = fb_arena_printf(graph->arena, "%s_%s", fb_quantizer_node_name(graph, graph->nodes[beside]), op_type);
    if (name == NULL) {
        return fb_quantizer_memory(rewriter->quantizer, rewriter->err);
    }
    if (fb_model_opset(model, "com.microsoft") == 0) {
        FB_TRY(fb_model_set_opset(model, "com.microsoft", 1, rewriter->err));
    }
    return fb_graph_add_node(graph, "com.microsoft", op_type, 1, name, inputs, count, &result, 1, beside, made, rewriter->err);
}

static FbStatus copy_attributes(const FbRewriter *rewriter, FbId from, FbId to)
{
    FbNode **nodes = rewriter->graph->nodes;
    FB_TRY(fb_graph_copy_attributes(rewriter->graph, nodes[from]->attributes, nodes[from]->attribute_count, &nodes[to]->attributes, rewriter->err));
    nodes[to]->attribute_count = nodes[from]->attribute_count;
    return FB_OK;
}

/* All inputs and, behind the node, the result are on grids of one type of codes. */
static bool on_grids(const FbRewriter *rewriter, const FbNode *node, FbQuantizedGrid *inputs, FbQuantizedGrid *result, FbId *quant)
{
    *quant = fb_qoperator_quant_behind(rewriter, node->outputs[0], result);
    bool all = *quant != FB_NONE && node->input_count > 0;
    for (uint32_t i = 0; all && i < node->input_count; i++) {
        all = node->inputs[i] != FB_NONE && fb_qoperator_grid(rewriter, node->inputs[i], &inputs[i]) && inputs[i].code == result->code;
    }
    return all;
}

/* The new node's result, `codes`, in place of the node's. */
static FbStatus replace(FbRewriter *rewriter, FbId id, const char *op_type, const FbId *inputs, size_t count, FbId quant, const FbQuantizedGrid *y,
                        FbId *made)
{
    const FbNode *node = rewriter->graph->nodes[id];
    FbId codes = FB_NONE;
    FB_TRY(fb_qoperator_value(rewriter, rewriter->graph->values[node->outputs[0]].name, "_codes", &codes));
    FB_TRY(emit(rewriter, op_type, inputs, count, codes, id, made));
    FB_TRY(copy_attributes(rewriter, id, *made));
    return fb_qoperator_finish(rewriter, id, quant, codes, y);
}

static FbStatus rewrite_pair(FbRewriter *rewriter, FbId id, const char *op_type, bool *done)
{
    const FbNode *node = rewriter->graph->nodes[id];
    FbQuantizedGrid operands[2], y;
    FbId quant = FB_NONE, made = FB_NONE, codes[2];
    *done = node->input_count == 2 && on_grids(rewriter, node, operands, &y, &quant);
    if (!*done) {
        return FB_OK;
    }
    for (int i = 0; i < 2; i++) {
        FB_TRY(fb_qoperator_codes(rewriter, node->inputs[i], &operands[i], &codes[i]));
    }
    FbId inputs[8] = {codes[0], operands[0].scale, operands[0].zero, codes[1], operands[1].scale, operands[1].zero, y.scale, y.zero};
    return replace(rewriter, id, op_type, inputs, 8, quant, &y, &made);
}

/* False: attributes that the integer operator has not, or means otherwise. */
static bool attributes_fit(const FbNode *node)
{
    const FbAttribute *dilations = fb_node_attribute(node, "dilations"), *ceil = fb_node_attribute(node, "ceil_mode");
    const FbAttribute *padding = fb_node_attribute(node, "count_include_pad");
    return dilations == NULL && !(ceil != NULL && ceil->i != 0 && padding != NULL && padding->i != 0);
}

static FbStatus rewrite_unary(FbRewriter *rewriter, FbId id, const char *op_type, bool *done)
{
    const FbNode *node = rewriter->graph->nodes[id];
    FbQuantizedGrid x, y;
    FbId quant = FB_NONE, made = FB_NONE, codes = FB_NONE;
    *done = node->input_count == 1 && attributes_fit(node) && on_grids(rewriter, node, &x, &y, &quant);
    if (!*done) {
        return FB_OK;
    }
    bool pool = fb_node_is(node, "", "GlobalAveragePool") || fb_node_is(node, "", "AveragePool");
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &x, &codes));
    FbId inputs[5] = {codes, x.scale, x.zero, y.scale, y.zero};
    FB_TRY(replace(rewriter, id, op_type, inputs, 5, quant, &y, &made));
    return pool ? fb_graph_set_attribute_int(rewriter->graph, made, "channels_last", 0, rewriter->err) : FB_OK;
}

static FbStatus rewrite_concat(FbRewriter *rewriter, FbId id, const char *op_type, bool *done)
{
    const FbNode *node = rewriter->graph->nodes[id];
    FbArena *arena = rewriter->quantizer->arena;
    FbQuantizedGrid *parts = fb_arena_array(arena, node->input_count + 1, sizeof *parts), y;
    FbId *inputs = fb_arena_array(arena, 2 + 3 * (size_t)node->input_count, sizeof *inputs), quant = FB_NONE, made = FB_NONE;
    if (parts == NULL || inputs == NULL) {
        return fb_quantizer_memory(rewriter->quantizer, rewriter->err);
    }
    *done = on_grids(rewriter, node, parts, &y, &quant);
    if (!*done) {
        return FB_OK;
    }
    inputs[0] = y.scale;
    inputs[1] = y.zero;
    for (uint32_t i = 0; i < node->input_count; i++) {
        FB_TRY(fb_qoperator_codes(rewriter, node->inputs[i], &parts[i], &inputs[2 + 3 * i]));
        inputs[3 + 3 * i] = parts[i].scale;
        inputs[4 + 3 * i] = parts[i].zero;
    }
    return replace(rewriter, id, op_type, inputs, 2 + 3 * (size_t)node->input_count, quant, &y, &made);
}

/* With a Quant behind it the result is codes, else real. */
static FbStatus rewrite_gemm(FbRewriter *rewriter, FbId id, const char *op_type, bool *done)
{
    FbGraph *graph = rewriter->graph;
    const FbNode *node = graph->nodes[id];
    FbQuantizedGrid a, y;
    FbId bias = node->input_count > 2 ? node->inputs[2] : FB_NONE, inputs[9] = {0}, made = FB_NONE, result = node->outputs[0];
    *done = fb_qoperator_has_codes(rewriter, node->inputs[1]) && graph->values[node->inputs[1]].constant->shape.rank == 2 &&
            (bias == FB_NONE || fb_qoperator_is_bias(rewriter, bias)) && fb_qoperator_grid(rewriter, node->inputs[0], &a);
    if (!*done) {
        return FB_OK;
    }
    FbId quant = fb_qoperator_quant_behind(rewriter, result, &y);
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &a, &inputs[0]));
    inputs[1] = a.scale;
    inputs[2] = a.zero;
    FB_TRY(fb_qoperator_weight(rewriter, node->inputs[1], false, &inputs[3]));
    inputs[6] = FB_NONE;
    if (bias != FB_NONE) {
        FB_TRY(fb_qoperator_bias(rewriter, bias, &inputs[6]));
    }
    if (quant != FB_NONE) {
        inputs[7] = y.scale;
        inputs[8] = y.zero;
        FB_TRY(replace(rewriter, id, op_type, inputs, 9, quant, &y, &made));
    } else {
        fb_graph_remove_node(graph, id);
        FB_TRY(emit(rewriter, op_type, inputs, bias != FB_NONE ? 7 : 6, result, id, &made));
        FB_TRY(copy_attributes(rewriter, id, made));
    }
    fb_graph_drop_attribute(graph, made, "beta"); /* 1 */
    return FB_OK;
}

static const struct {
    const char *op_type, *integer;
    FbStatus (*rewrite)(FbRewriter *rewriter, FbId id, const char *op_type, bool *done);
} rows[] = {
    {"Add", "QLinearAdd", rewrite_pair},
    {"AveragePool", "QLinearAveragePool", rewrite_unary},
    {"Concat", "QLinearConcat", rewrite_concat},
    {"Gemm", "QGemm", rewrite_gemm},
    {"GlobalAveragePool", "QLinearGlobalAveragePool", rewrite_unary},
    {"LeakyRelu", "QLinearLeakyRelu", rewrite_unary},
    {"Mul", "QLinearMul", rewrite_pair},
    {"Sigmoid", "QLinearSigmoid", rewrite_unary},
};

FbStatus fb_qoperator_microsoft(FbRewriter *rewriter, FbId id, bool *done)
{
    const FbNode *node = rewriter->graph->nodes[id];
    *done = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (fb_node_is(node, "", rows[i].op_type)) {
            return rows[i].rewrite(rewriter, id, rows[i].integer, done);
        }
    }
    return FB_OK;
}
