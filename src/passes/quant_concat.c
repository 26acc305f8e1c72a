/* A Quant behind a Concat moves in front of it, to every input: the same numbers, as both work element by element. What makes an input then
 * stores it on the grid of the whole, so that integer execution has nothing left to convert where values are joined. */
#include "passes/expand_node.h"

/* A Quant of one constant scale, to 8 bits. */
static FbStatus read_quant(const FbExpand *expand, const FbNode *node, FbExpandGrid *grid, bool *ok)
{
    *ok = false;
    if (!fb_node_is(node, "fewbit", "Quant") || node->input_count < 2 || node->output_count != 1 || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    const FbAttribute *code = fb_node_attribute(node, "code"), *dynamic = fb_node_attribute(node, "dynamic");
    if (code == NULL || (dynamic != NULL && dynamic->i != 0)) {
        return FB_OK;
    }
    return fb_expand_read_grid(expand, node, 1, 1, (FbDtype)code->i, grid, ok);
}

/* The Concat whose output nobody but this Quant sees; NULL. */
static FbNode *joined_by(const FbGraph *graph, const FbUses *uses, const FbKeep *keep, const FbNode *quant)
{
    const FbId value = quant->inputs[0], producer = value == FB_NONE ? FB_NONE : graph->values[value].producer;
    FbNode *node = producer == FB_NONE ? NULL : graph->nodes[producer];
    if (node == NULL || !fb_node_is(node, "", "Concat") || uses->start[value + 1] - uses->start[value] != 1 ||
        fb_graph_is_output(graph, value) || fb_keep_value(keep, value)) {
        return NULL;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == FB_NONE || fb_graph_constant(graph, node->inputs[i]) != NULL) {
            return NULL;
        }
    }
    return node;
}

static FbStatus move_one(FbExpand *expand, const FbUses *uses, const FbKeep *keep, FbNode *quant)
{
    FbGraph *graph = expand->graph;
    FbExpandGrid grid, own;
    bool ok;
    FB_TRY(read_quant(expand, quant, &grid, &ok));
    FbNode *concat = ok ? joined_by(graph, uses, keep, quant) : NULL;
    if (concat == NULL) {
        return FB_OK;
    }
    for (uint32_t i = 0; i < concat->input_count; i++) {
        const FbId input = concat->inputs[i], producer = graph->values[input].producer;
        bool has_grid = false;
        if (producer != FB_NONE) {
            FB_TRY(read_quant(expand, graph->nodes[producer], &own, &has_grid));
        }
        if (has_grid && fb_expand_same_grid(&own, &grid)) {
            continue;
        }
        FbId made = FB_NONE;
        FbNode *node = NULL;
        const FbId zero = fb_expand_input(quant, 2);
        FB_TRY(fb_expand_value(expand, graph->values[input].name, "_joined", &made));
        FB_TRY(fb_expand_emit(expand, quant, "Quant", quant->version, (FbId[]){input, quant->inputs[1], zero}, zero == FB_NONE ? 2 : 3, &made, &node));
        FB_TRY(fb_expand_copy_attributes(expand, quant, node));
        fb_graph_set_input(graph, concat->id, i, made);
    }
    const FbId joined = concat->outputs[0], result = quant->outputs[0];
    fb_graph_remove_node(graph, quant->id);
    graph->values[joined].producer = FB_NONE;
    concat->outputs[0] = result; /* may be an output of the graph, whose name stays */
    graph->values[result].producer = concat->id;
    return FB_OK;
}

FbStatus fb_pass_quant_before_concat(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    FbUses uses;
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "moving Quants", 0);
    }
    FbExpand expand = {graph, arena, err};
    FbStatus status = fb_graph_uses(graph, arena, &uses, err); /* of the values that were there: only those are asked for */
    const size_t count = graph->node_count;
    for (size_t n = 0; status == FB_OK && n < count; n++) {
        if (!graph->nodes[n]->removed) {
            status = move_one(&expand, &uses, keep, graph->nodes[n]);
        }
    }
    fb_arena_free(arena);
    return status;
}
