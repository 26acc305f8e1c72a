/* Batch norm behind a product with constant weights goes into the weights. */
#include <math.h>

#include "passes/passes.h"

/* The product as the fold sees it: element i of the weight belongs to output channel (i / inner) % channels, or for a transposed
 * convolution to group * inner_channels + ... as channel_of computes. */
typedef struct Product {
    FbId node;
    FbId weight, bias; /* value ids; bias FB_NONE: absent */
    int64_t channels;
    enum { PRODUCT_CONV, PRODUCT_CONV_TRANSPOSE, PRODUCT_GEMM, PRODUCT_GEMM_TRANSPOSED } kind;
    int64_t group;
} Product;

typedef struct Scales { /* per output channel, in double */
    double *multiply, *shift, *mean;
} Scales;

static const FbConst *plain_f32(const FbGraph *graph, FbId value)
{
    const FbConst *constant = value == FB_NONE ? NULL : graph->values[value].constant;
    return constant != NULL && constant->dtype == FB_DTYPE_F32 && constant->encoding == NULL ? constant : NULL;
}

static FbId input_of(const FbNode *node, uint32_t i)
{
    return i < node->input_count ? node->inputs[i] : FB_NONE;
}

static int64_t int_attribute(const FbNode *node, const char *name, int64_t fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_INT ? attribute->i : fallback;
}

static float float_attribute(const FbNode *node, const char *name, float fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_FLOAT ? attribute->f : fallback;
}

/* Fills kind, group and channels from the producing node; false when it is no product that can take the scales. */
static bool describe_product(const FbGraph *graph, FbId id, Product *product)
{
    const FbNode *node = graph->nodes[id];
    const FbConst *weight = plain_f32(graph, input_of(node, 1));
    product->node = id;
    product->weight = input_of(node, 1);
    product->bias = input_of(node, 2);
    product->group = int_attribute(node, "group", 1);
    if (weight == NULL || weight->shape.rank < 2 || product->group < 1 || (product->bias != FB_NONE && plain_f32(graph, product->bias) == NULL)) {
        return false;
    }
    const int64_t *dims = weight->shape.dims;
    if (fb_node_is(node, "", "Conv") && weight->shape.rank >= 3) {
        product->kind = PRODUCT_CONV;
        product->channels = dims[0];
    } else if (fb_node_is(node, "", "ConvTranspose") && weight->shape.rank >= 3) {
        product->kind = PRODUCT_CONV_TRANSPOSE;
        product->channels = dims[1] * product->group;
        if (dims[0] % product->group != 0) {
            return false;
        }
    } else if (fb_node_is(node, "", "Gemm") && weight->shape.rank == 2 && float_attribute(node, "alpha", 1.0f) == 1.0f &&
               float_attribute(node, "beta", 1.0f) == 1.0f) {
        bool transposed = int_attribute(node, "transB", 0) != 0;
        product->kind = transposed ? PRODUCT_GEMM_TRANSPOSED : PRODUCT_GEMM;
        product->channels = transposed ? dims[0] : dims[1];
    } else {
        return false;
    }
    if (product->bias == FB_NONE) {
        return true;
    }
    const FbShape *bias = &graph->values[product->bias].constant->shape;
    return bias->rank == 1 && bias->dims[0] == product->channels;
}

static int64_t channel_of(const Product *product, const FbShape *shape, int64_t i)
{
    int64_t inner = 1;
    switch (product->kind) {
    case PRODUCT_CONV:
    case PRODUCT_GEMM_TRANSPOSED:
        for (int d = 1; d < shape->rank; d++) {
            inner *= shape->dims[d];
        }
        return i / inner;
    case PRODUCT_GEMM:
        return i % shape->dims[1];
    case PRODUCT_CONV_TRANSPOSE:
        break;
    }
    for (int d = 2; d < shape->rank; d++) {
        inner *= shape->dims[d];
    }
    int64_t in_channel = i / inner / shape->dims[1], per_group = shape->dims[0] / product->group;
    return in_channel / per_group * shape->dims[1] + i / inner % shape->dims[1];
}

/* The node is a batch norm in inference over `channels` constant parameters. */
static bool batch_norm_is_plain(const FbGraph *graph, const FbNode *node)
{
    if (!fb_node_is(node, "", "BatchNormalization") || node->version < 7 || node->input_count != 5 || int_attribute(node, "training_mode", 0) != 0 ||
        int_attribute(node, "spatial", 1) != 1) {
        return false;
    }
    for (uint32_t o = 1; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE) {
            return false;
        }
    }
    for (uint32_t i = 1; i < 5; i++) {
        if (plain_f32(graph, node->inputs[i]) == NULL) {
            return false;
        }
    }
    return node->inputs[0] != FB_NONE && node->output_count > 0 && node->outputs[0] != FB_NONE;
}

static FbStatus read_scales(const FbGraph *graph, const FbNode *norm, int64_t channels, FbArena *arena, Scales *scales, FbError *err)
{
    double *values = fb_arena_array(arena, (size_t)channels * 3, sizeof *values);
    float *raw = fb_arena_array(arena, (size_t)channels * 4, sizeof *raw);
    if (values == NULL || raw == NULL) {
        return fb_error_memory(graph->context, err, "batch norm", (uint64_t)channels);
    }
    for (uint32_t i = 0; i < 4; i++) {
        FB_TRY(fb_const_read_f32(graph->context, graph->values[norm->inputs[i + 1]].constant, 0, (size_t)channels,
                                 raw + (size_t)i * (size_t)channels, err));
    }
    *scales = (Scales){values, values + channels, values + 2 * channels};
    double epsilon = (double)float_attribute(norm, "epsilon", 1e-5f);
    for (int64_t c = 0; c < channels; c++) {
        scales->multiply[c] = (double)raw[c] / sqrt((double)raw[3 * channels + c] + epsilon);
        scales->shift[c] = (double)raw[channels + c];
        scales->mean[c] = (double)raw[2 * channels + c];
    }
    return FB_OK;
}

/* Puts `tensor` behind input `index` of the product: in place of the old constant when nobody else uses it, else as a new value. */
static FbStatus install(FbGraph *graph, const Product *product, size_t index, FbId old, bool shared, const FbTensor *tensor, FbError *err)
{
    if (old != FB_NONE && !shared) {
        FbConst *constant = fb_graph_new_const(graph);
        FbBuffer *buffer = constant != NULL ? fb_buffer_create(graph->context, tensor->bytes) : NULL;
        if (buffer == NULL) {
            return fb_error_memory(graph->context, err, "folded weights", tensor->bytes);
        }
        memcpy(fb_buffer_data(buffer), tensor->data, tensor->bytes);
        constant->dtype = tensor->dtype;
        constant->shape = fb_tensor_shape(tensor);
        constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = tensor->bytes, .buffer = buffer};
        FbValue *value = &graph->values[old];
        if (value->producer != FB_NONE) { /* a Constant node's value becomes an initializer */
            fb_graph_remove_node(graph, value->producer);
        }
        return fb_graph_set_initializer(graph, old, constant, err);
    }
    const char *base = old != FB_NONE ? graph->values[old].name
                                      : fb_arena_printf(graph->arena, "%s_bias", graph->values[product->weight].name);
    const char *name = base != NULL ? fb_graph_unique_name(graph, base) : NULL;
    FbId value = FB_NONE;
    if (name == NULL) {
        return fb_error_memory(graph->context, err, "folded weights", 0);
    }
    FB_TRY(fb_graph_add_constant(graph, name, tensor, &value, err));
    FbNode *node = graph->nodes[product->node];
    if (index < node->input_count) {
        fb_graph_set_input(graph, product->node, index, value);
        return FB_OK;
    }
    FbId inputs[3] = {FB_NONE, FB_NONE, FB_NONE};
    memcpy(inputs, node->inputs, (node->input_count < 3 ? node->input_count : 3) * sizeof *inputs);
    inputs[index] = value;
    return fb_graph_set_inputs(graph, product->node, inputs, index + 1, err);
}

static FbStatus fold_weight(FbGraph *graph, const Product *product, const Scales *scales, bool shared, FbError *err)
{
    FbTensor tensor = {0};
    FB_TRY(fb_const_load(graph->context, graph->values[product->weight].constant, &tensor, err));
    FbShape shape = fb_tensor_shape(&tensor);
    int64_t count = fb_tensor_elements(&tensor);
    float *w = tensor.data;
    for (int64_t i = 0; i < count; i++) {
        w[i] = (float)((double)w[i] * scales->multiply[channel_of(product, &shape, i)]);
    }
    FbStatus status = install(graph, product, 1, product->weight, shared, &tensor, err);
    fb_free(graph->context, tensor.data);
    return status;
}

static FbStatus fold_bias(FbGraph *graph, const Product *product, const Scales *scales, bool shared, FbArena *arena, FbError *err)
{
    size_t channels = (size_t)product->channels;
    float *bias = fb_arena_array(arena, channels, sizeof *bias);
    if (bias == NULL) {
        return fb_error_memory(graph->context, err, "folded bias", channels);
    }
    if (product->bias != FB_NONE) {
        FB_TRY(fb_const_read_f32(graph->context, graph->values[product->bias].constant, 0, channels, bias, err));
    }
    for (size_t c = 0; c < channels; c++) {
        bias[c] = (float)(((double)bias[c] - scales->mean[c]) * scales->multiply[c] + scales->shift[c]);
    }
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 1, .dims = {product->channels}, .data = bias, .bytes = channels * sizeof *bias};
    return install(graph, product, 2, product->bias, shared, &tensor, err);
}

/* Uses of every value by nodes, of the graph as it is now; subgraph captures count. */
typedef struct Counter {
    FbArena *arena;
    FbUses uses;
    size_t value_count; /* when counted; values made since are used once */
} Counter;

static uint32_t use_count(const Counter *counter, FbId value)
{
    if (value == FB_NONE || value >= counter->value_count) {
        return value != FB_NONE;
    }
    return counter->uses.start[value + 1] - counter->uses.start[value];
}

static FbStatus fold_one(FbGraph *graph, FbId norm_id, const Counter *counter, const FbKeep *keep, bool *folded, FbError *err)
{
    FbNode *norm = graph->nodes[norm_id];
    *folded = false;
    if (norm->removed || !batch_norm_is_plain(graph, norm)) {
        return FB_OK;
    }
    FbId middle = norm->inputs[0];
    Product product;
    if (graph->values[middle].producer == FB_NONE || use_count(counter, middle) != 1 || fb_graph_is_output(graph, middle) ||
        fb_keep_value(keep, middle) || !describe_product(graph, graph->values[middle].producer, &product)) {
        return FB_OK;
    }
    for (uint32_t i = 1; i < 5; i++) {
        const FbShape *shape = &graph->values[norm->inputs[i]].constant->shape;
        if (shape->rank != 1 || shape->dims[0] != product.channels) {
            return FB_OK;
        }
    }
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "batch norm", 0);
    }
    Scales scales = {0};
    FbStatus status = read_scales(graph, norm, product.channels, arena, &scales, err);
    if (status == FB_OK) {
        status = fold_bias(graph, &product, &scales, use_count(counter, product.bias) > 1, arena, err);
    }
    if (status == FB_OK) {
        status = fold_weight(graph, &product, &scales, use_count(counter, product.weight) > 1, err);
    }
    fb_arena_free(arena);
    FB_TRY(status);
    FbId out = norm->outputs[0];
    fb_graph_remove_node(graph, norm_id);
    graph->nodes[product.node]->outputs[0] = out;
    graph->values[out].producer = product.node;
    graph->values[middle].producer = FB_NONE;
    *folded = true;
    return FB_OK;
}

FbStatus fb_pass_fold_batch_norm(FbGraph *graph, const FbKeep *keep, size_t *folded, FbError *err)
{
    Counter counter = {.arena = fb_arena_create(graph->context), .value_count = graph->value_count};
    if (counter.arena == NULL) {
        return fb_error_memory(graph->context, err, "batch norm", 0);
    }
    /* A fold changes uses only of values it replaces: counts taken once stay right, because weights made here are used once. */
    FbStatus status = fb_graph_uses(graph, counter.arena, &counter.uses, err);
    size_t count = 0, node_count = graph->node_count;
    for (size_t n = 0; status == FB_OK && n < node_count; n++) {
        bool done = false;
        status = fold_one(graph, (FbId)n, &counter, keep, &done, err);
        count += done;
    }
    if (status == FB_OK && folded != NULL) {
        *folded = count;
    }
    fb_arena_free(counter.arena);
    return status;
}
