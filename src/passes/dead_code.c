/* Dead code: a node stays when one of its outputs is a graph output, is kept, or is used by a node that stays. */
#include "passes/passes.h"

enum { FB_DEAD_DEPTH = 32 };

static FbStatus clean_graph(FbGraph *graph, const FbKeep *keep, int depth, FbError *err);

/* Marks what a subgraph reads of the graph that encloses it. */
static void mark_captures(const FbGraph *body, bool *wanted)
{
    for (size_t v = 0; v < body->value_count; v++) {
        if (body->values[v].outer != FB_NONE) {
            wanted[body->values[v].outer] = true;
        }
    }
}

static FbStatus clean_subgraphs(const FbNode *node, bool *wanted, int depth, FbError *err)
{
    for (size_t a = 0; a < node->attribute_count; a++) {
        const FbAttribute *attribute = &node->attributes[a];
        size_t count = attribute->type == FB_ATTR_GRAPHS ? attribute->count : attribute->type == FB_ATTR_GRAPH ? 1 : 0;
        for (size_t g = 0; g < count; g++) {
            FbGraph *body = attribute->type == FB_ATTR_GRAPH ? attribute->graph : attribute->graphs[g];
            if (body != NULL) {
                FB_TRY(clean_graph(body, NULL, depth + 1, err));
                mark_captures(body, wanted);
            }
        }
    }
    return FB_OK;
}

static bool node_is_wanted(const FbNode *node, const bool *wanted)
{
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE && wanted[node->outputs[o]]) {
            return true;
        }
    }
    return false;
}

static FbStatus clean_graph(FbGraph *graph, const FbKeep *keep, int depth, FbError *err)
{
    if (depth > FB_DEAD_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_DEAD_DEPTH);
    }
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "dead code", 0);
    }
    FbId *order = NULL;
    size_t count = 0;
    FbStatus status = fb_graph_sort(graph, arena, &order, &count, err);
    bool *wanted = status == FB_OK ? fb_arena_array(arena, graph->value_count + 1, sizeof *wanted) : NULL;
    if (status == FB_OK && wanted == NULL) {
        status = fb_error_memory(graph->context, err, "dead code", graph->value_count);
    }
    if (status == FB_OK) {
        for (size_t o = 0; o < graph->output_count; o++) {
            wanted[graph->outputs[o]] = true;
        }
        for (size_t v = 0; v < graph->value_count; v++) {
            wanted[v] = wanted[v] || fb_keep_value(keep, (FbId)v);
        }
    }
    for (size_t i = count; status == FB_OK && i-- > 0;) {
        FbNode *node = graph->nodes[order[i]];
        if (!node_is_wanted(node, wanted)) {
            fb_graph_remove_node(graph, order[i]);
            continue;
        }
        for (uint32_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] != FB_NONE) {
                wanted[node->inputs[k]] = true;
            }
        }
        status = clean_subgraphs(node, wanted, depth, err);
    }
    /* A capture that nobody reads any more must not keep its source alive. */
    for (size_t v = 0; status == FB_OK && v < graph->value_count; v++) {
        if (graph->values[v].outer != FB_NONE && !wanted[v]) {
            graph->values[v].outer = FB_NONE;
        }
    }
    fb_arena_free(arena);
    return status;
}

FbStatus fb_pass_dead_code(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    return clean_graph(graph, keep, 0, err);
}
