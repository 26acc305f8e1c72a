/* Nodes that hand their input through in inference: Identity, Dropout, and Quant for sessions that run in float. */
#include "passes/passes.h"

enum { FB_QUANT_DEPTH = 32 };

/* Dropout does nothing unless it trains: from version 12 on that is input 2, a constant here or else unknown. */
static bool dropout_is_identity(const FbGraph *graph, const FbNode *node)
{
    for (uint32_t o = 1; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE) {
            return false;
        }
    }
    if (node->version < 7) {
        const FbAttribute *test = fb_node_attribute(node, "is_test");
        return test != NULL && test->i != 0;
    }
    if (node->version < 12 || node->input_count < 3 || node->inputs[2] == FB_NONE) {
        return true;
    }
    const FbConst *training = graph->values[node->inputs[2]].constant;
    FbTensor tensor = {0};
    if (training == NULL || training->dtype != FB_DTYPE_BOOL || fb_const_load(graph->context, training, &tensor, NULL) != FB_OK) {
        return false;
    }
    bool off = tensor.bytes == 1 && *(const uint8_t *)tensor.data == 0;
    fb_free(graph->context, tensor.data);
    return off;
}

static bool hands_through(const FbGraph *graph, const FbNode *node)
{
    if (node->removed || node->input_count < 1 || node->output_count < 1 || node->inputs[0] == FB_NONE || node->outputs[0] == FB_NONE) {
        return false;
    }
    return fb_node_is(node, "", "Identity") || (fb_node_is(node, "", "Dropout") && dropout_is_identity(graph, node));
}

FbStatus fb_pass_remove_identity(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    (void)err;
    for (size_t n = 0; n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        if (!hands_through(graph, node) || fb_keep_value(keep, node->outputs[0]) || fb_graph_is_output(graph, node->outputs[0])) {
            continue;
        }
        FbId from = node->outputs[0], to = node->inputs[0];
        fb_graph_remove_node(graph, (FbId)n);
        fb_graph_replace_uses(graph, from, to, false);
    }
    return FB_OK;
}

static FbStatus remove_quant(FbGraph *graph, const FbKeep *keep, int depth, FbError *err)
{
    if (depth > FB_QUANT_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_QUANT_DEPTH);
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        if (node->removed) {
            continue;
        }
        for (size_t a = 0; a < node->attribute_count; a++) {
            if (node->attributes[a].type == FB_ATTR_GRAPH && node->attributes[a].graph != NULL) {
                FB_TRY(remove_quant(node->attributes[a].graph, NULL, depth + 1, err));
            }
        }
        if (!fb_node_is(node, "fewbit", "Quant") || node->input_count < 1 || node->output_count < 1 || node->outputs[0] == FB_NONE) {
            continue;
        }
        FbId from = node->outputs[0], to = node->inputs[0];
        if (fb_graph_is_output(graph, from) || fb_keep_value(keep, from)) {
            /* A value that must exist keeps its name: the node becomes an Identity. */
            node->op_type = "Identity";
            node->domain = "";
            node->version = 13;
            node->input_count = 1;
            node->attribute_count = 0;
            continue;
        }
        fb_graph_remove_node(graph, (FbId)n);
        fb_graph_replace_uses(graph, from, to, false);
    }
    return FB_OK;
}

FbStatus fb_pass_remove_quant(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    return remove_quant(graph, keep, 0, err);
}
