/* LSTM as DynamicQuantizeLSTM of com.microsoft, which ONNX Runtime and fewbit run in integers: x and h get their ranges at run time, W and R
 * are s8 codes [directions, depth, 4 * hidden] with a scale per direction and gate row. */
#include "quantize/quantizer.h"

const char *fb_dynamic_lstm_obstacle(const FbQuantizer *quantizer, FbId id)
{
    const FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    const FbAttribute *layout = fb_node_attribute(node, "layout");
    if (quantizer->recipe->target != FB_TARGET_ONNXRUNTIME) {
        return "only ONNX Runtime has a dynamic integer form of LSTM";
    }
    if (layout != NULL && layout->i != 0) {
        return "the dynamic integer form of LSTM has no layout with the batch first";
    }
    for (uint32_t i = 1; i <= 2; i++) {
        const FbConst *weight = node->inputs[i] != FB_NONE ? fb_graph_constant(graph, node->inputs[i]) : NULL;
        if (weight == NULL || weight->dtype != FB_DTYPE_F32 || weight->encoding != NULL || weight->shape.rank != 3 ||
            fb_shape_elements(&weight->shape) <= 0) {
            return "its weights are not plain float32 constants";
        }
    }
    return NULL;
}

/* [directions, rows, depth] as [directions * rows, depth], so that each row has a scale. */
static FbStatus push_weight(FbQuantizer *quantizer, FbId value, FbConst **made, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const FbConst *from = fb_graph_constant(graph, value);
    FbConst *flat = fb_graph_share_const(graph, from);
    if (flat == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    flat->shape = fb_shape_make(2, (int64_t[]){from->shape.dims[0] * from->shape.dims[1], from->shape.dims[2]});
    FbEncoding encoding = {.code = fb_code_find("s8"), .grain = FB_GRAIN_AXIS, .axis = 0, .scale = FB_DTYPE_F32};
    return fb_quantizer_push(quantizer, value, flat, &encoding, true, NULL, made, err);
}

FbStatus fb_dynamic_lstm_prepare(FbQuantizer *quantizer, FbId id, FbDynamicLstm **lstm, FbError *err)
{
    const FbNode *node = quantizer->graph->nodes[id];
    FbDynamicLstm *made = fb_arena_alloc(quantizer->arena, sizeof *made);
    if (made == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(push_weight(quantizer, node->inputs[1], &made->w, err));
    FB_TRY(push_weight(quantizer, node->inputs[2], &made->r, err));
    *lstm = made;
    return FB_OK;
}

/* Codes, scales and zero points of one weight as initializers beside the old one. */
static FbStatus add_weight(FbQuantizer *quantizer, FbId old, int64_t directions, const FbConst *made, FbId *codes, FbId *scale, FbId *zero,
                           FbError *err)
{
    const char *base = quantizer->graph->values[old].name;
    const FbPlane *plane = &made->planes[FB_PLANE_CODES];
    const int8_t *from = fb_buffer_data(plane->buffer);
    int64_t rows = made->shape.dims[0] / directions, depth = made->shape.dims[1];
    int8_t *to = fb_alloc(quantizer->context, (size_t)plane->bytes);
    if (to == NULL) {
        return fb_error_memory(quantizer->context, err, "quantized weights", plane->bytes);
    }
    for (int64_t i = 0; i < directions * rows * depth; i++) {
        int64_t d = i / (rows * depth), row = i / depth % rows, k = i % depth;
        to[(d * depth + k) * rows + row] = from[i];
    }
    FbTensor tensor = {.dtype = FB_DTYPE_S8, .rank = 3, .dims = {directions, depth, rows}, .data = to, .bytes = (size_t)plane->bytes};
    FbStatus status = fb_quantizer_add_constant(quantizer, base, "_quantized", &tensor, codes, err);
    memset(to, 0, (size_t)(directions * rows)); /* there are at least as many codes */
    FbTensor zeros = {.dtype = FB_DTYPE_S8, .rank = 2, .dims = {directions, rows}, .data = to, .bytes = (size_t)(directions * rows)};
    if (status == FB_OK) {
        status = fb_quantizer_add_constant(quantizer, base, "_zero_point", &zeros, zero, err);
    }
    fb_free(quantizer->context, to);
    FB_TRY(status);
    const FbPlane *scales = &made->planes[FB_PLANE_SCALE];
    FbTensor factors = {.dtype = FB_DTYPE_F32, .rank = 2, .dims = {directions, rows}, .data = (void *)(uintptr_t)fb_buffer_data(scales->buffer),
                        .bytes = (size_t)scales->bytes};
    return fb_quantizer_add_constant(quantizer, base, "_scale", &factors, scale, err);
}

/* LSTM's attributes but those that the new operator does not have. */
static FbStatus copy_attributes(FbGraph *graph, const FbNode *from, FbNode *to, FbError *err)
{
    FB_TRY(fb_graph_copy_attributes(graph, from->attributes, from->attribute_count, &to->attributes, err));
    size_t kept = 0;
    for (size_t i = 0; i < from->attribute_count; i++) {
        const char *name = to->attributes[i].name;
        if (strcmp(name, "layout") != 0 && strcmp(name, "output_sequence") != 0) {
            to->attributes[kept++] = to->attributes[i];
        }
    }
    to->attribute_count = (uint32_t)kept;
    return FB_OK;
}

FbStatus fb_dynamic_lstm_rewrite(FbQuantizer *quantizer, FbId id, const FbDynamicLstm *lstm, FbError *err)
{
    enum { FLOAT_INPUTS = 8, INPUTS = 12, OUTPUTS = 3 };
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    const char *name = fb_arena_printf(graph->arena, "%s_quant", fb_quantizer_node_name(graph, node));
    FbId inputs[INPUTS], outputs[OUTPUTS], made = FB_NONE;
    int64_t directions = fb_graph_constant(graph, node->inputs[1])->shape.dims[0];
    if (name == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (uint32_t i = 0; i < FLOAT_INPUTS; i++) {
        inputs[i] = i < node->input_count ? node->inputs[i] : FB_NONE;
    }
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        outputs[i] = i < node->output_count ? node->outputs[i] : FB_NONE;
    }
    FB_TRY(add_weight(quantizer, node->inputs[1], directions, lstm->w, &inputs[1], &inputs[8], &inputs[9], err));
    FB_TRY(add_weight(quantizer, node->inputs[2], directions, lstm->r, &inputs[2], &inputs[10], &inputs[11], err));
    fb_graph_remove_node(graph, id);
    if (fb_model_opset(quantizer->model, "com.microsoft") == 0) {
        FB_TRY(fb_model_set_opset(quantizer->model, "com.microsoft", 1, err));
    }
    FB_TRY(fb_graph_add_node(graph, "com.microsoft", "DynamicQuantizeLSTM", 1, name, inputs, INPUTS, outputs, node->output_count, id, &made, err));
    return copy_attributes(graph, node, graph->nodes[made], err);
}
