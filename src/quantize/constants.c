/* Replacing weights of nodes: in place, shared, or beside the old value. */
#include "quantize/quantizer.h"

const char *fb_quantizer_node_name(const FbGraph *graph, const FbNode *node)
{
    if (node->name != NULL && node->name[0] != '\0') {
        return node->name;
    }
    return node->output_count > 0 && node->outputs[0] != FB_NONE ? graph->values[node->outputs[0]].name : "";
}

bool fb_quantizer_encoding(const FbNode *node, uint32_t index, const FbShape *shape, const FbWeightSpec *spec, FbEncoding *encoding)
{
    bool is_unsigned = fb_dtype_info(spec->code->storage)->kind == FB_KIND_UNSIGNED;
    *encoding = (FbEncoding){.code = spec->code, .grain = spec->grain, .scale = FB_DTYPE_F32, .has_zero = is_unsigned || !spec->symmetric};
    if (spec->grain == FB_GRAIN_TENSOR) {
        return true;
    }
    encoding->axis = fb_quant_weight_axis(node, index, shape->rank, spec->grain == FB_GRAIN_BLOCK);
    encoding->block = spec->grain == FB_GRAIN_BLOCK ? spec->block : 0;
    return encoding->axis >= 0 && shape->dims[encoding->axis] > 0;
}

static size_t count_uses(const FbGraph *graph, FbId value)
{
    size_t count = fb_graph_is_output(graph, value) ? 1 : 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            count += node->inputs[i] == value;
        }
    }
    for (size_t s = 0; s < graph->subgraph_count; s++) {
        const FbGraph *inner = graph->subgraphs[s];
        for (size_t v = 0; inner != NULL && v < inner->value_count; v++) {
            count += inner->values[v].outer == value;
        }
    }
    return count;
}

FbStatus fb_quantizer_replace_input(FbQuantizer *quantizer, FbId node, uint32_t index, FbConst *constant, FbId *value, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FbId old = graph->nodes[node]->inputs[index];
    *value = old;
    if (graph->values[old].outer == FB_NONE && count_uses(graph, old) == 1) {
        FbId producer = graph->values[old].producer; /* a Constant node */
        if (producer != FB_NONE) {
            fb_graph_remove_node(graph, producer);
        }
        fb_graph_drop_initializer(graph, old); /* an initializer that is an input, too, could be replaced by the caller */
        return fb_graph_set_initializer(graph, old, constant, err);
    }
    const char *name = fb_graph_unique_name(graph, graph->values[old].name);
    if (name == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(fb_graph_add_value(graph, name, value, err));
    FB_TRY(fb_graph_set_initializer(graph, *value, constant, err));
    fb_graph_set_input(graph, node, index, *value);
    return FB_OK;
}

static bool same_encoding(const FbEncoding *a, const FbEncoding *b)
{
    return a->code == b->code && a->grain == b->grain && a->axis == b->axis && a->block == b->block && a->has_zero == b->has_zero;
}

FbStatus fb_quantizer_push(FbQuantizer *quantizer, FbId value, const FbConst *from, const FbEncoding *encoding, bool symmetric,
                           const double *least, FbConst **made, FbError *err)
{
    const char *name = fb_arena_strdup(quantizer->arena, quantizer->graph->values[value].name); /* the report shows it */
    FbWeightResult result;
    if (name == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(fb_weight_prepare(quantizer->graph, name, from, encoding, symmetric, least, made, &result, err));
    quantizer->weight_elements += result.elements;
    quantizer->weight_bits += result.bits;
    quantizer->dead_scales += result.dead;
    quantizer->weights_quantized++;
    return fb_units_push(quantizer->context, &quantizer->units, name, from, *made, symmetric, err);
}

FbStatus fb_quantizer_run_units(FbQuantizer *quantizer, FbError *err)
{
    const FbGraph *graph = quantizer->graph;
    bool *used = fb_arena_array(quantizer->arena, graph->constant_count + 1, sizeof *used);
    if (used == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        const FbValue *value = &graph->values[v];
        if (value->constant != NULL && value->is_initializer) {
            used[value->constant->index] = true;
        }
    }
    return fb_units_run(quantizer->context, &quantizer->units, used, err);
}

FbStatus fb_quantizer_encode_input(FbQuantizer *quantizer, FbId node, uint32_t index, const FbEncoding *encoding, bool symmetric,
                                   const double *least, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FbId input = graph->nodes[node]->inputs[index], value = FB_NONE;
    const FbConst *from = fb_graph_constant(graph, input);
    for (size_t i = 0; least == NULL && i < quantizer->cache.count; i++) {
        const FbCachedWeight *cached = &quantizer->cache.items[i];
        if (cached->from == from && cached->symmetric == symmetric && same_encoding(&cached->encoding, encoding)) {
            fb_graph_set_input(graph, node, index, cached->value);
            return FB_OK;
        }
    }
    FbConst *made = NULL;
    FB_TRY(fb_quantizer_push(quantizer, input, from, encoding, symmetric, least, &made, err));
    FB_TRY(fb_quantizer_replace_input(quantizer, node, index, made, &value, err));
    if (least == NULL) {
        if (!fb_array_grow(quantizer->context, &quantizer->cache)) {
            return fb_quantizer_memory(quantizer, err);
        }
        quantizer->cache.items[quantizer->cache.count++] = (FbCachedWeight){from, *encoding, symmetric, value};
    }
    return FB_OK;
}

FbStatus fb_quantizer_sweep(FbQuantizer *quantizer, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FbArena *arena = fb_arena_create(quantizer->context);
    FbUses uses;
    if (arena == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FbStatus status = fb_graph_uses(graph, arena, &uses, err);
    for (size_t v = 0; status == FB_OK && v < graph->value_count; v++) {
        FbValue *value = &graph->values[v];
        if (value->is_initializer && uses.start[v + 1] == uses.start[v] && !fb_graph_is_output(graph, (FbId)v)) {
            fb_graph_drop_initializer(graph, (FbId)v);
            value->constant = NULL; /* else its codes would still be written */
        }
    }
    fb_arena_free(arena);
    return status;
}
