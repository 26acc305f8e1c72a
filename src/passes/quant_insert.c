/* Putting a Quant behind a value. */
#include "passes/quant_insert.h"

static const char *name_after(FbGraph *graph, const char *name, const char *suffix)
{
    const char *text = fb_arena_printf(graph->arena, "%s%s", name, suffix);
    return text == NULL ? NULL : fb_graph_unique_name(graph, text);
}

static FbStatus no_memory(FbGraph *graph, FbError *err)
{
    return fb_error_memory(graph->context, err, "a quantizer", 0);
}

FbStatus fb_quant_add_parameters(FbGraph *graph, const char *name, const FbCode *code, float scale, int32_t zero_point, FbId *scale_value,
                                 FbId *zero_value, FbError *err)
{
    const char *scale_name = name_after(graph, name, "_scale");
    if (scale_name == NULL) {
        return no_memory(graph, err);
    }
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .data = &scale, .bytes = sizeof scale};
    FB_TRY(fb_graph_add_constant(graph, scale_name, &tensor, scale_value, err));
    const char *zero_name = name_after(graph, name, "_zero_point");
    if (zero_name == NULL) {
        return no_memory(graph, err);
    }
    uint8_t byte = (uint8_t)zero_point;
    uint16_t half = (uint16_t)zero_point;
    bool wide = fb_dtype_bits(code->storage) == 16;
    FbTensor zero = {.dtype = code->storage, .data = wide ? (void *)&half : (void *)&byte, .bytes = wide ? 2 : 1};
    return fb_graph_add_constant(graph, zero_name, &zero, zero_value, err);
}

/* The producing node gives its result to a new value, and `value` is free to become the Quant's output. Nodes that read `value` then read
 * the quantized one without an edit. */
static FbStatus detach_producer(FbGraph *graph, FbId value, FbId *raw, FbError *err)
{
    const char *name = name_after(graph, graph->values[value].name, "_unquantized");
    if (name == NULL) {
        return no_memory(graph, err);
    }
    FB_TRY(fb_graph_add_value(graph, name, raw, err));
    FbId producer = graph->values[value].producer;
    FbNode *node = graph->nodes[producer];
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == value) {
            node->outputs[i] = *raw;
        }
    }
    graph->values[*raw].producer = producer;
    graph->values[*raw].dtype = graph->values[value].dtype;
    graph->values[*raw].shape = graph->values[value].shape;
    graph->values[value].producer = FB_NONE;
    return FB_OK;
}

FbStatus fb_quant_insert(FbGraph *graph, FbId value, FbId scale, FbId zero, const FbCode *code, FbId *quantized, FbError *err)
{
    FbId raw = value, result = value, beside = graph->values[value].producer, node = FB_NONE;
    if (beside != FB_NONE && fb_graph_is_output(graph, value)) {
        FB_TRY(detach_producer(graph, value, &raw, err));
    } else {
        const char *name = name_after(graph, graph->values[value].name, "_quantized");
        if (name == NULL) {
            return no_memory(graph, err);
        }
        FB_TRY(fb_graph_add_value(graph, name, &result, err));
        graph->values[result].dtype = graph->values[value].dtype;
        graph->values[result].shape = graph->values[value].shape;
        fb_graph_replace_uses(graph, value, result, false);
    }
    const char *name = fb_arena_printf(graph->arena, "%s_Quant", graph->values[value].name);
    FbId inputs[3] = {raw, scale, zero};
    if (name == NULL) {
        return no_memory(graph, err);
    }
    FB_TRY(fb_graph_add_node(graph, "fewbit", "Quant", 1, name, inputs, 3, &result, 1, beside, &node, err));
    *quantized = result;
    FB_TRY(fb_graph_set_attribute_int(graph, node, "code", code->storage, err));
    return fb_graph_set_attribute_int(graph, node, "dtype", FB_DTYPE_F32, err);
}
