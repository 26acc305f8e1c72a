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

/* What replaces each value; itself when nothing does. One sweep at the end rewrites all readers, so that long chains cost no more than
 * short ones. */
typedef struct Replacements {
    FbArena *arena;
    FbId *by;
    size_t count;
} Replacements;

static FbStatus begin_replacing(const FbGraph *graph, Replacements *replacements, FbError *err)
{
    replacements->count = graph->value_count;
    replacements->arena = fb_arena_create(graph->context);
    replacements->by = replacements->arena == NULL ? NULL : fb_arena_array(replacements->arena, graph->value_count + 1, sizeof(FbId));
    if (replacements->by == NULL) {
        fb_arena_free(replacements->arena);
        return fb_error_memory(graph->context, err, "replacing values", graph->value_count);
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        replacements->by[v] = (FbId)v;
    }
    return FB_OK;
}

static FbId resolve(Replacements *replacements, FbId value)
{
    FbId end = value;
    while (replacements->by[end] != end) {
        end = replacements->by[end];
    }
    while (replacements->by[value] != end) { /* shortens the way for the next */
        FbId next = replacements->by[value];
        replacements->by[value] = end;
        value = next;
    }
    return end;
}

/* Node inputs and what subgraphs read; graph outputs keep their values. Frees the replacements. */
static void apply_replacements(FbGraph *graph, Replacements *replacements)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        for (uint32_t i = 0; !graph->nodes[n]->removed && i < graph->nodes[n]->input_count; i++) {
            FbId *input = &graph->nodes[n]->inputs[i];
            *input = *input == FB_NONE ? FB_NONE : resolve(replacements, *input);
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FbGraph *inner = graph->subgraphs[g];
        for (size_t v = 0; v < inner->value_count; v++) {
            FbId *outer = &inner->values[v].outer;
            *outer = *outer == FB_NONE ? FB_NONE : resolve(replacements, *outer);
        }
    }
    fb_arena_free(replacements->arena);
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
    Replacements replacements;
    FB_TRY(begin_replacing(graph, &replacements, err));
    for (size_t n = 0; n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        if (!hands_through(graph, node) || fb_keep_value(keep, node->outputs[0]) || fb_graph_is_output(graph, node->outputs[0])) {
            continue;
        }
        replacements.by[node->outputs[0]] = node->inputs[0];
        fb_graph_remove_node(graph, (FbId)n);
    }
    apply_replacements(graph, &replacements);
    return FB_OK;
}

static FbStatus remove_quant(FbGraph *graph, const FbKeep *keep, int depth, FbError *err)
{
    if (depth > FB_QUANT_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_QUANT_DEPTH);
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(remove_quant(graph->subgraphs[g], NULL, depth + 1, err));
    }
    Replacements replacements;
    FB_TRY(begin_replacing(graph, &replacements, err));
    for (size_t n = 0; n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        if (node->removed || !fb_node_is(node, "fewbit", "Quant") || node->input_count < 1 || node->inputs[0] == FB_NONE ||
            node->output_count < 1 || node->outputs[0] == FB_NONE) {
            continue;
        }
        if (fb_graph_is_output(graph, node->outputs[0]) || fb_keep_value(keep, node->outputs[0])) {
            /* A value that must exist keeps its name: the node becomes an Identity. */
            node->op_type = "Identity";
            node->domain = "";
            node->version = 13;
            node->input_count = 1;
            node->attribute_count = 0;
            continue;
        }
        replacements.by[node->outputs[0]] = node->inputs[0];
        fb_graph_remove_node(graph, (FbId)n);
    }
    apply_replacements(graph, &replacements);
    return FB_OK;
}

FbStatus fb_pass_remove_quant(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    return remove_quant(graph, keep, 0, err);
}
