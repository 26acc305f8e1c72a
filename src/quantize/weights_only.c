/* Weights in codes while the arithmetic stays in float: int8-weights, int4-weights, the half-precision presets, recurrent layers. */
#include "quantize/quantizer.h"

static bool is_half(const FbCode *code)
{
    return code->storage == FB_DTYPE_F16 || code->storage == FB_DTYPE_BF16;
}

/* Halves have neither scale nor zero point; they are shared like other encodings through the cache. */
static FbStatus convert_input(FbQuantizer *quantizer, FbId node, uint32_t index, const FbCode *code, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FbId input = graph->nodes[node]->inputs[index], value = FB_NONE;
    const FbConst *from = fb_graph_constant(graph, input);
    for (size_t i = 0; i < quantizer->cache.count; i++) {
        if (quantizer->cache.items[i].from == from) {
            fb_graph_set_input(graph, node, index, quantizer->cache.items[i].value);
            return FB_OK;
        }
    }
    FbEncoding encoding = {.code = code, .grain = FB_GRAIN_TENSOR, .scale = FB_DTYPE_F32};
    FbConst *made = NULL;
    FB_TRY(fb_weight_convert(graph, graph->values[input].name, from, &encoding, &made, err));
    FB_TRY(fb_quantizer_replace_input(quantizer, node, index, made, &value, err));
    uint64_t elements = (uint64_t)fb_shape_elements(&made->shape);
    quantizer->weight_elements += elements;
    quantizer->weight_bits += elements * (uint64_t)code->bits;
    quantizer->weights_quantized++;
    if (!fb_array_grow(quantizer->context, &quantizer->cache)) {
        return fb_quantizer_memory(quantizer, err);
    }
    quantizer->cache.items[quantizer->cache.count++] = (FbCachedWeight){from, encoding, true, value};
    return FB_OK;
}

/* Encodes one input; a reason when it stays as it is. */
static FbStatus encode_one(FbQuantizer *quantizer, FbId id, uint32_t index, const FbWeightSpec *spec, const char **reason, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    const FbConst *weight = fb_graph_constant(graph, node->inputs[index]);
    FbEncoding encoding;
    if (weight->dtype != FB_DTYPE_F32 || weight->encoding != NULL) {
        *reason = "its weight is not plain float32";
        return FB_OK;
    }
    if (fb_shape_elements(&weight->shape) < spec->min_elements) {
        *reason = "its weight is smaller than the recipe's min_elements";
        return FB_OK;
    }
    if (is_half(spec->code)) {
        return convert_input(quantizer, id, index, spec->code, err);
    }
    if (!fb_quantizer_encoding(node, index, &weight->shape, spec, &encoding)) {
        *reason = spec->grain == FB_GRAIN_BLOCK ? "its weight cannot be cut into blocks" : "its weight has no axis of channels";
        return FB_OK;
    }
    return fb_quantizer_encode_input(quantizer, id, index, &encoding, spec->symmetric, NULL, err);
}

static FbStatus encode_node(FbQuantizer *quantizer, FbId id, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    const FbQuantOp *op = fb_quant_op(node);
    const char *reason = "it has no constant weight";
    size_t before = quantizer->weights_quantized;
    for (uint32_t i = 0; op != NULL && i < node->input_count && i < 32; i++) {
        if ((op->weights >> i & 1) != 0 && node->inputs[i] != FB_NONE && fb_graph_constant(graph, node->inputs[i]) != NULL) {
            reason = NULL;
            FB_TRY(encode_one(quantizer, id, i, &quantizer->rule[id]->weights, &reason, err));
        }
    }
    if (reason != NULL && quantizer->weights_quantized == before) {
        quantizer->reason[id] = reason;
    }
    return FB_OK;
}

/* Recurrent layers that a rule wants dynamic and dynamic.c could not rewrite get their small weights all the same. */
static bool is_wanted(const FbQuantizer *quantizer, FbId id)
{
    const FbRule *rule = quantizer->rule[id];
    const FbNode *node = quantizer->graph->nodes[id];
    if (rule == NULL || !rule->weights.set || node->removed) {
        return false;
    }
    return rule->activations.kind == FB_ACTIVATION_FLOAT || (rule->activations.kind == FB_ACTIVATION_DYNAMIC && fb_quantizer_is_recurrent(node));
}

FbStatus fb_quantizer_weights(FbQuantizer *quantizer, FbError *err)
{
    FbStatus status = FB_OK;
    fb_progress_begin(quantizer->context, "weights", quantizer->order_count);
    for (size_t i = 0; status == FB_OK && i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        if (is_wanted(quantizer, id)) {
            status = encode_node(quantizer, id, err);
        }
        fb_progress_step(quantizer->context, i + 1);
    }
    fb_progress_end(quantizer->context);
    return status;
}
