/* Dynamic activations in ONNX's standard operators:
 *
 *   xq, xs, xz = DynamicQuantizeLinear(x)      y = Cast(MatMulInteger(xq, wq, xz)) * (xs * ws) + bias
 *
 * and ConvInteger likewise. The order of the factors is the one that ONNX Runtime fuses. Rows of an embedding table are gathered as codes
 * and dequantized after: Cast(Gather(wq, i)) * Gather(ws, i), so that a run never touches the whole table. */
#include "quantize/quantizer.h"

typedef struct Dynamic { /* one node being rewritten */
    FbQuantizer *quantizer;
    FbId node;
    const FbConst *weight; /* in codes */
    FbError *err;
} Dynamic;

typedef struct Codes { /* of one activation, shared by its users */
    FbId codes, scale, zero;
} Codes;

static const char *name_after(const Dynamic *dynamic, const char *base, const char *suffix)
{
    FbGraph *graph = dynamic->quantizer->graph;
    const char *text = fb_arena_printf(graph->arena, "%s%s", base, suffix);
    return text == NULL ? NULL : fb_graph_unique_name(graph, text);
}

static FbStatus new_value(const Dynamic *dynamic, const char *base, const char *suffix, FbId *value)
{
    const char *name = name_after(dynamic, base, suffix);
    return name == NULL ? fb_quantizer_memory(dynamic->quantizer, dynamic->err)
                        : fb_graph_add_value(dynamic->quantizer->graph, name, value, dynamic->err);
}

/* A node named after the one that it helps to replace, and `suffix`; its result is a new value, or `result` when that is not FB_NONE. */
static FbStatus new_node(const Dynamic *dynamic, const char *op_type, const char *suffix, const FbId *inputs, size_t count, FbId *result,
                         FbId *made)
{
    FbGraph *graph = dynamic->quantizer->graph;
    const char *base = fb_quantizer_node_name(graph, graph->nodes[dynamic->node]);
    const char *name = fb_arena_printf(graph->arena, "%s_%s", base, suffix);
    FbId node = FB_NONE;
    if (name == NULL) {
        return fb_quantizer_memory(dynamic->quantizer, dynamic->err);
    }
    if (*result == FB_NONE) {
        FB_TRY(new_value(dynamic, name, "_Output", result));
    }
    FB_TRY(fb_graph_add_node(graph, "", op_type, (int)fb_model_opset(dynamic->quantizer->model, ""), name, inputs, count, result, 1,
                             dynamic->node, &node, dynamic->err));
    if (made != NULL) {
        *made = node;
    }
    return FB_OK;
}

/* The DynamicQuantizeLinear of an activation, made when first asked for. It is found again as a user of the value. */
static FbStatus quantize_input(const Dynamic *dynamic, FbId x, Codes *codes)
{
    FbGraph *graph = dynamic->quantizer->graph;
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        if (!node->removed && fb_node_is(node, "", "DynamicQuantizeLinear") && node->inputs[0] == x) {
            *codes = (Codes){node->outputs[0], node->outputs[1], node->outputs[2]};
            return FB_OK;
        }
    }
    const char *base = graph->values[x].name;
    FB_TRY(new_value(dynamic, base, "_quantized", &codes->codes));
    FB_TRY(new_value(dynamic, base, "_scale", &codes->scale));
    FB_TRY(new_value(dynamic, base, "_zero_point", &codes->zero));
    FbId outputs[3] = {codes->codes, codes->scale, codes->zero}, node = FB_NONE;
    const char *name = fb_arena_printf(graph->arena, "%s_QuantizeLinear", base);
    if (name == NULL) {
        return fb_quantizer_memory(dynamic->quantizer, dynamic->err);
    }
    return fb_graph_add_node(graph, "", "DynamicQuantizeLinear", (int)fb_model_opset(dynamic->quantizer->model, ""), name, &x, 1, outputs, 3,
                             dynamic->node, &node, dynamic->err);
}

FbStatus fb_quantizer_add_constant(FbQuantizer *quantizer, const char *base, const char *suffix, const FbTensor *tensor, FbId *value,
                                   FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const char *text = fb_arena_printf(graph->arena, "%s%s", base, suffix), *name = text ? fb_graph_unique_name(graph, text) : NULL;
    return name == NULL ? fb_quantizer_memory(quantizer, err) : fb_graph_add_constant(graph, name, tensor, value, err);
}

static FbStatus add_plain(const Dynamic *dynamic, const char *base, const char *suffix, FbDtype dtype, const FbShape *shape, const void *bytes,
                          size_t count, FbId *value)
{
    FbTensor tensor = {.dtype = dtype, .rank = shape->rank, .data = (void *)(uintptr_t)bytes, .bytes = count};
    memcpy(tensor.dims, shape->dims, sizeof tensor.dims);
    return fb_quantizer_add_constant(dynamic->quantizer, base, suffix, &tensor, value, dynamic->err);
}

/* Codes [rows, cols] of a weight stored [cols, rows]. */
static void transpose_codes(const uint8_t *from, uint8_t *to, size_t cols, size_t rows)
{
    for (size_t c = 0; c < cols; c++) {
        for (size_t r = 0; r < rows; r++) {
            to[r * cols + c] = from[c * rows + r];
        }
    }
}

typedef struct Weight { /* of the rewritten node, as constants of the graph */
    FbId codes, scale, zero; /* zero: only of convolutions */
} Weight;

static FbStatus add_codes(const Dynamic *dynamic, const char *base, const FbConst *made, bool transposed, bool conv, Weight *weight)
{
    FbQuantizer *quantizer = dynamic->quantizer;
    const FbPlane *plane = &made->planes[FB_PLANE_CODES];
    FbShape shape = made->shape;
    const uint8_t *codes = fb_buffer_data(plane->buffer);
    uint8_t *copy = fb_alloc(quantizer->context, (size_t)plane->bytes);
    if (copy == NULL) {
        return fb_error_memory(quantizer->context, dynamic->err, "quantized weights", plane->bytes);
    }
    if (transposed) {
        transpose_codes(codes, copy, (size_t)shape.dims[0], (size_t)shape.dims[1]);
        int64_t first = shape.dims[0];
        shape.dims[0] = shape.dims[1];
        shape.dims[1] = first;
    } else {
        memcpy(copy, codes, (size_t)plane->bytes);
    }
    bool shift = conv && made->encoding->code->storage == FB_DTYPE_S8;
    for (uint64_t i = 0; shift && i < plane->bytes; i++) {
        copy[i] ^= 0x80; /* code + 128: ONNX Runtime's ConvInteger takes unsigned weights only */
    }
    FbStatus status = add_plain(dynamic, base, "_quantized", shift ? FB_DTYPE_U8 : made->encoding->code->storage, &shape, copy,
                                (size_t)plane->bytes, &weight->codes);
    fb_free(quantizer->context, copy);
    FB_TRY(status);
    uint8_t zero = 128;
    FbShape scalar = {.rank = 0};
    weight->zero = FB_NONE;
    return conv ? add_plain(dynamic, base, "_zero_point", FB_DTYPE_U8, &scalar, &zero, 1, &weight->zero) : FB_OK;
}

/* Queues the codes of the node's weight. */
static FbStatus prepare_weight(FbQuantizer *quantizer, FbId id, FbConst **made, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    bool gather = fb_node_is(node, "", "Gather");
    FbId input = node->inputs[gather ? 0 : 1];
    const FbConst *from = fb_graph_constant(graph, input);
    FbWeightSpec spec = quantizer->rule[id]->weights;
    FbEncoding encoding;
    if (gather) {
        encoding = (FbEncoding){.code = fb_code_find("s8"), .grain = FB_GRAIN_AXIS, .axis = 0, .scale = FB_DTYPE_F32};
    } else if (!fb_quantizer_encoding(node, 1, &from->shape, &spec, &encoding) || encoding.grain == FB_GRAIN_BLOCK || encoding.has_zero) {
        encoding = (FbEncoding){.code = fb_code_find("s8"), .grain = FB_GRAIN_TENSOR, .scale = FB_DTYPE_F32};
    }
    uint64_t dead = quantizer->dead_scales;
    FB_TRY(fb_quantizer_push(quantizer, input, from, &encoding, true, NULL, made, err));
    quantizer->dead_scales = gather ? dead : quantizer->dead_scales; /* rows of zeros are padding, no channels */
    return FB_OK;
}

/* Puts codes and scales beside the weight; the scales are shaped to broadcast over the result. */
static FbStatus add_weight(const Dynamic *dynamic, bool transposed, bool conv, Weight *weight)
{
    const FbGraph *graph = dynamic->quantizer->graph;
    const char *base = graph->values[graph->nodes[dynamic->node]->inputs[1]].name;
    const FbConst *made = dynamic->weight;
    FB_TRY(add_codes(dynamic, base, made, transposed, conv, weight));
    const FbPlane *scales = &made->planes[FB_PLANE_SCALE];
    FbShape shape = fb_encoding_scale_shape(made->encoding, &made->shape);
    for (int i = made->shape.rank - 2; conv && shape.rank > 0 && i > 0; i--) {
        shape.dims[shape.rank++] = 1; /* [channels, 1, 1] */
    }
    return add_plain(dynamic, base, "_scale", FB_DTYPE_F32, &shape, fb_buffer_data(scales->buffer), (size_t)scales->bytes, &weight->scale);
}

/* The bias of a convolution as [channels, 1, 1]. */
static FbStatus add_bias(const Dynamic *dynamic, FbId bias, int weight_rank, FbId *value)
{
    FbQuantizer *quantizer = dynamic->quantizer;
    FbTensor tensor = {0};
    FB_TRY(fb_const_load(quantizer->context, fb_graph_constant(quantizer->graph, bias), &tensor, dynamic->err));
    FbShape shape = fb_tensor_shape(&tensor);
    while (shape.rank < weight_rank - 1) {
        shape.dims[shape.rank++] = 1;
    }
    FbStatus status = add_plain(dynamic, quantizer->graph->values[bias].name, "_reshaped", FB_DTYPE_F32, &shape, tensor.data, tensor.bytes, value);
    fb_free(quantizer->context, tensor.data);
    return status;
}

static double float_attribute(const FbNode *node, const char *name, double fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL ? (double)attribute->f : fallback;
}

static int64_t int_attribute(const FbNode *node, const char *name)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL ? attribute->i : 0;
}

static const char *gather_obstacle(const FbGraph *graph, const FbNode *node, int64_t min_elements)
{
    const FbConst *table = node->inputs[0] != FB_NONE ? fb_graph_constant(graph, node->inputs[0]) : NULL;
    if (table == NULL || table->dtype != FB_DTYPE_F32 || table->encoding != NULL || table->shape.rank != 2 || int_attribute(node, "axis") != 0) {
        return "it does not gather rows of a constant float32 table";
    }
    return fb_shape_elements(&table->shape) < min_elements ? "its table is smaller than the recipe's min_elements" : NULL;
}

/* Why the node cannot be rewritten; NULL: it can. */
static const char *obstacle(const FbGraph *graph, const FbNode *node, int64_t min_elements)
{
    if (fb_node_is(node, "", "Gather")) {
        return gather_obstacle(graph, node, min_elements);
    }
    bool gemm = fb_node_is(node, "", "Gemm"), conv = fb_node_is(node, "", "Conv");
    if (!gemm && !conv && !fb_node_is(node, "", "MatMul")) {
        return "the operator has no dynamic integer form";
    }
    const FbConst *weight = node->input_count > 1 && node->inputs[1] != FB_NONE ? fb_graph_constant(graph, node->inputs[1]) : NULL;
    if (weight == NULL || node->inputs[0] == FB_NONE || fb_graph_constant(graph, node->inputs[0]) != NULL) {
        return "its second operand is not a constant weight";
    }
    if (weight->dtype != FB_DTYPE_F32 || weight->encoding != NULL || (!conv && weight->shape.rank != 2) || (conv && weight->shape.rank < 3)) {
        return "its weight is not a plain float32 matrix";
    }
    if (gemm && (int_attribute(node, "transA") != 0 || float_attribute(node, "alpha", 1) != 1 || float_attribute(node, "beta", 1) != 1)) {
        return "a Gemm with transA, alpha or beta has no integer form";
    }
    if (conv && node->input_count > 2 && node->inputs[2] != FB_NONE && fb_graph_constant(graph, node->inputs[2]) == NULL) {
        return "its bias is not constant";
    }
    return NULL;
}

/* The table's rows as codes, and a scale per row. */
static FbStatus rewrite_gather(const Dynamic *dynamic)
{
    FbQuantizer *quantizer = dynamic->quantizer;
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[dynamic->node];
    const FbConst *made = dynamic->weight;
    const char *base = graph->values[node->inputs[0]].name;
    const FbPlane *codes = &made->planes[FB_PLANE_CODES], *scales = &made->planes[FB_PLANE_SCALE];
    FbShape column = fb_shape_make(2, (int64_t[]){made->shape.dims[0], 1});
    FbId table = FB_NONE, scale = FB_NONE, rows = FB_NONE, real = FB_NONE, factors = FB_NONE, cast = FB_NONE, y = node->outputs[0];
    FB_TRY(add_plain(dynamic, base, "_quantized", FB_DTYPE_S8, &made->shape, fb_buffer_data(codes->buffer), (size_t)codes->bytes, &table));
    FB_TRY(add_plain(dynamic, base, "_scale", FB_DTYPE_F32, &column, fb_buffer_data(scales->buffer), (size_t)scales->bytes, &scale));
    FbId indices = node->inputs[1];
    fb_graph_remove_node(graph, dynamic->node);
    FB_TRY(new_node(dynamic, "Gather", "quant", (FbId[]){table, indices}, 2, &rows, NULL));
    FB_TRY(new_node(dynamic, "Cast", "cast", &rows, 1, &real, &cast));
    FB_TRY(fb_graph_set_attribute_int(graph, cast, "to", FB_DTYPE_F32, dynamic->err));
    FB_TRY(new_node(dynamic, "Gather", "scales", (FbId[]){scale, indices}, 2, &factors, NULL));
    return new_node(dynamic, "Mul", "dequant", (FbId[]){real, factors}, 2, &y, NULL);
}

static FbStatus rewrite(const Dynamic *dynamic)
{
    FbGraph *graph = dynamic->quantizer->graph;
    const FbNode *node = graph->nodes[dynamic->node];
    bool conv = fb_node_is(node, "", "Conv"), gemm = fb_node_is(node, "", "Gemm");
    FbId x = node->inputs[0], bias = (conv || gemm) && node->input_count > 2 ? node->inputs[2] : FB_NONE, y = node->outputs[0];
    int weight_rank = fb_graph_constant(graph, node->inputs[1])->shape.rank;
    Codes codes;
    Weight weight;
    FB_TRY(quantize_input(dynamic, x, &codes));
    FB_TRY(add_weight(dynamic, gemm && int_attribute(node, "transB") != 0, conv, &weight));
    if (conv && bias != FB_NONE) {
        FB_TRY(add_bias(dynamic, bias, weight_rank, &bias));
    }
    fb_graph_remove_node(graph, dynamic->node);
    FbId sum = FB_NONE, real = FB_NONE, factor = FB_NONE, product = bias == FB_NONE ? y : FB_NONE, made = FB_NONE;
    FbId operands[4] = {codes.codes, weight.codes, codes.zero, weight.zero};
    FB_TRY(new_node(dynamic, conv ? "ConvInteger" : "MatMulInteger", "quant", operands, conv ? 4 : 3, &sum, &made));
    if (conv) {
        FbAttribute *attributes = NULL;
        FB_TRY(fb_graph_copy_attributes(graph, node->attributes, node->attribute_count, &attributes, dynamic->err));
        graph->nodes[made]->attributes = attributes;
        graph->nodes[made]->attribute_count = node->attribute_count;
    }
    FB_TRY(new_node(dynamic, "Cast", "cast", &sum, 1, &real, &made));
    FB_TRY(fb_graph_set_attribute_int(graph, made, "to", FB_DTYPE_F32, dynamic->err));
    FbId scales[2] = {codes.scale, weight.scale};
    FB_TRY(new_node(dynamic, "Mul", "scales", scales, 2, &factor, NULL));
    FbId factors[2] = {real, factor};
    FB_TRY(new_node(dynamic, "Mul", "dequant", factors, 2, &product, NULL));
    if (bias != FB_NONE) {
        FbId terms[2] = {product, bias};
        FB_TRY(new_node(dynamic, "Add", "bias", terms, 2, &y, NULL));
    }
    return FB_OK;
}

/* The weights of a recurrent layer: two of them. Layers that cannot be rewritten keep their arithmetic in float (weights_only.c). */
static FbStatus prepare_recurrent(FbQuantizer *quantizer, FbId id, FbDynamicLstm **lstm, FbError *err)
{
    if (!fb_node_is(quantizer->graph->nodes[id], "", "LSTM")) {
        return FB_OK;
    }
    const char *why = fb_dynamic_lstm_obstacle(quantizer, id);
    if (why != NULL) {
        quantizer->reason[id] = why;
        return FB_OK;
    }
    return fb_dynamic_lstm_prepare(quantizer, id, lstm, err);
}

/* Per place in the order: the weight in codes of the nodes that will be rewritten; NULL. */
static FbStatus prepare_weights(FbQuantizer *quantizer, FbConst **weights, FbDynamicLstm **lstms, FbError *err)
{
    for (size_t i = 0; i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        const FbRule *rule = quantizer->rule[id];
        if (rule == NULL || rule->activations.kind != FB_ACTIVATION_DYNAMIC) {
            continue;
        }
        if (fb_quantizer_is_recurrent(quantizer->graph->nodes[id])) {
            FB_TRY(prepare_recurrent(quantizer, id, &lstms[i], err));
            continue;
        }
        const char *why = obstacle(quantizer->graph, quantizer->graph->nodes[id], rule->weights.min_elements);
        if (why != NULL) {
            quantizer->reason[id] = why;
            continue;
        }
        FB_TRY(prepare_weight(quantizer, id, &weights[i], err));
    }
    return fb_units_run(quantizer->context, &quantizer->units, NULL, err); /* what follows copies the codes */
}

FbStatus fb_quantizer_dynamic(FbQuantizer *quantizer, FbError *err)
{
    FbConst **weights = fb_arena_array(quantizer->arena, quantizer->order_count + 1, sizeof *weights);
    FbDynamicLstm **lstms = fb_arena_array(quantizer->arena, quantizer->order_count + 1, sizeof *lstms);
    if (weights == NULL || lstms == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(prepare_weights(quantizer, weights, lstms, err));
    for (size_t i = 0; i < quantizer->order_count; i++) {
        if (lstms[i] != NULL) {
            FB_TRY(fb_dynamic_lstm_rewrite(quantizer, quantizer->order[i], lstms[i], err));
            quantizer->activations_quantized++;
        }
        if (weights[i] == NULL) {
            continue;
        }
        FB_TRY(fb_check_cancel(quantizer->context, err));
        Dynamic dynamic = {quantizer, quantizer->order[i], weights[i], err};
        if (fb_node_is(quantizer->graph->nodes[dynamic.node], "", "Gather")) {
            FB_TRY(rewrite_gather(&dynamic));
        } else {
            FB_TRY(rewrite(&dynamic));
            quantizer->activations_quantized++;
        }
    }
    return FB_OK;
}
