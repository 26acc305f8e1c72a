/* Constant folding through the caller's evaluator. */
#include "passes/passes.h"

enum { FB_FOLD_ARITY = 64 }; /* nodes with more inputs or outputs are left alone */

static bool has_subgraph(const FbNode *node)
{
    for (size_t a = 0; a < node->attribute_count; a++) {
        if (node->attributes[a].type == FB_ATTR_GRAPH || node->attributes[a].type == FB_ATTR_GRAPHS) {
            return true;
        }
    }
    return false;
}

static bool is_foldable(const FbGraph *graph, const FbNode *node, const FbKeep *keep)
{
    if (node->input_count > FB_FOLD_ARITY || node->output_count > FB_FOLD_ARITY || node->output_count == 0 || has_subgraph(node)) {
        return false;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == FB_NONE) {
            continue;
        }
        const FbConst *constant = fb_graph_constant(graph, node->inputs[i]);
        if (constant == NULL || constant->dtype == FB_DTYPE_STRING || (constant->encoding != NULL && constant->encoding->blocks != NULL)) {
            return false; /* weights in blocks are not decoded as a whole */
        }
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        FbId value = node->outputs[o];
        if (value != FB_NONE && (graph->values[value].constant != NULL || fb_keep_value(keep, value) || fb_graph_is_output(graph, value))) {
            return false;
        }
    }
    return true;
}

/* Turns a node's output into an initializer with the tensor's bytes. */
static FbStatus make_constant(FbGraph *graph, FbId value, const FbTensor *tensor, FbError *err)
{
    FbConst *constant = fb_graph_new_const(graph);
    FbBuffer *buffer = constant != NULL ? fb_buffer_create(graph->context, tensor->bytes) : NULL;
    if (buffer == NULL) {
        return fb_error_memory(graph->context, err, "a folded constant", tensor->bytes);
    }
    if (tensor->bytes > 0) {
        memcpy(fb_buffer_data(buffer), tensor->data, tensor->bytes);
    }
    constant->dtype = tensor->dtype;
    constant->shape = fb_tensor_shape(tensor);
    constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = tensor->bytes, .buffer = buffer};
    return fb_graph_set_initializer(graph, value, constant, err);
}

/* Loads the inputs, evaluates, installs the results. */
static FbStatus fold_node(FbGraph *graph, FbId id, FbEvaluateNode evaluate, void *user, FbError *err)
{
    const FbNode *node = graph->nodes[id];
    FbTensor inputs[FB_FOLD_ARITY] = {{0}}, outputs[FB_FOLD_ARITY] = {{0}};
    const FbTensor *given[FB_FOLD_ARITY] = {0};
    uint64_t bytes = 0;
    FbStatus status = FB_OK;
    for (uint32_t i = 0; status == FB_OK && i < node->input_count; i++) {
        if (node->inputs[i] != FB_NONE) {
            status = fb_const_load(graph->context, fb_graph_constant(graph, node->inputs[i]), &inputs[i], err);
            given[i] = &inputs[i];
            bytes += inputs[i].bytes;
        }
    }
    bool done = false;
    if (status == FB_OK) {
        status = evaluate(user, graph, node, given, outputs, bytes * 4 + (1u << 20), &done, err);
    }
    FbId targets[FB_FOLD_ARITY];
    uint32_t target_count = node->output_count;
    memcpy(targets, node->outputs, target_count * sizeof *targets);
    if (status == FB_OK && done) {
        fb_graph_remove_node(graph, id);
        for (uint32_t o = 0; status == FB_OK && o < target_count; o++) {
            if (targets[o] != FB_NONE) {
                status = make_constant(graph, targets[o], &outputs[o], err);
            }
        }
    }
    for (uint32_t i = 0; i < FB_FOLD_ARITY; i++) {
        fb_free(graph->context, inputs[i].data);
        fb_free(graph->context, outputs[i].data);
    }
    return status;
}

FbStatus fb_pass_fold_constants(FbGraph *graph, const FbKeep *keep, FbEvaluateNode evaluate, void *user, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "constant folding", 0);
    }
    FbId *order = NULL;
    size_t count = 0;
    FbStatus status = fb_graph_sort(graph, arena, &order, &count, err);
    for (size_t i = 0; status == FB_OK && i < count; i++) {
        if (is_foldable(graph, graph->nodes[order[i]], keep)) {
            status = fold_node(graph, order[i], evaluate, user, err);
        }
    }
    fb_arena_free(arena);
    return status;
}
