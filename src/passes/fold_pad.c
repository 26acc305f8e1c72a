/* Pad in front of a convolution goes into the convolution's own padding, which reads zeros without copying. */
#include "passes/passes.h"

typedef struct Pads { /* per axis of the padded tensor */
    int rank;
    int64_t begin[FB_RANK_MAX], end[FB_RANK_MAX];
} Pads;

/* A constant input as int64 numbers; false when it is no constant or too long. */
static bool read_ints(const FbGraph *graph, FbId value, int64_t *out, int64_t want)
{
    const FbConst *constant = value == FB_NONE ? NULL : fb_graph_constant(graph, value);
    FbTensor tensor;
    if (constant == NULL || constant->dtype != FB_DTYPE_S64 || fb_shape_elements(&constant->shape) != want ||
        fb_const_load(graph->context, constant, &tensor, NULL) != FB_OK) {
        return false;
    }
    for (int64_t i = 0; i < want; i++) {
        out[i] = fb_tensor_int(&tensor, i);
    }
    fb_free(graph->context, tensor.data);
    return true;
}

/* The value that the Pad fills in is absent or a constant 0. */
static bool fills_zero(const FbGraph *graph, const FbNode *node)
{
    const FbConst *constant = node->input_count < 3 || node->inputs[2] == FB_NONE ? NULL : fb_graph_constant(graph, node->inputs[2]);
    if (node->input_count < 3 || node->inputs[2] == FB_NONE) {
        return true;
    }
    float value = 1.0f;
    return constant != NULL && constant->dtype == FB_DTYPE_F32 && fb_shape_elements(&constant->shape) == 1 &&
           fb_const_read_f32(graph->context, constant, 0, 1, &value, NULL) == FB_OK && value == 0.0f;
}

/* A constant Pad with zeros over all axes of a known rank. */
static bool read_pad(const FbGraph *graph, const FbNode *node, int rank, Pads *pads)
{
    const FbAttribute *mode = fb_node_attribute(node, "mode");
    int64_t flat[2 * FB_RANK_MAX];
    bool is_zero_pad = mode == NULL || (mode->s.count == 8 && memcmp(mode->s.data, "constant", 8) == 0);
    if (!fb_node_is(node, "", "Pad") || node->version < 11 || !is_zero_pad || node->input_count < 2 || node->input_count > 3 || rank < 3 ||
        !read_ints(graph, node->inputs[1], flat, 2 * rank) || !fills_zero(graph, node)) {
        return false;
    }
    pads->rank = rank;
    for (int i = 0; i < rank; i++) {
        pads->begin[i] = flat[i];
        pads->end[i] = flat[rank + i];
        if (flat[i] < 0 || flat[rank + i] < 0 || (i < 2 && (flat[i] != 0 || flat[rank + i] != 0))) {
            return false;
        }
    }
    return true;
}

/* Adds the amounts to the convolution's pads; false when it pads by a rule of its own. */
static bool add_pads(FbGraph *graph, FbId conv, const Pads *pads, FbStatus *status, FbError *err)
{
    const FbNode *node = graph->nodes[conv];
    const FbAttribute *rule = fb_node_attribute(node, "auto_pad"), *own = fb_node_attribute(node, "pads");
    int spatial = pads->rank - 2;
    int64_t sum[2 * FB_RANK_MAX] = {0};
    bool explicit_pads = rule == NULL || (rule->s.count == 6 && memcmp(rule->s.data, "NOTSET", 6) == 0) ||
                         (rule->s.count == 5 && memcmp(rule->s.data, "VALID", 5) == 0);
    if (!explicit_pads || (own != NULL && (own->type != FB_ATTR_INTS || own->count != (size_t)(2 * spatial)))) {
        return false;
    }
    for (int i = 0; i < spatial; i++) {
        int64_t begin = own != NULL ? own->ints[i] : 0, end = own != NULL ? own->ints[spatial + i] : 0;
        if (begin < 0 || end < 0 || begin > INT32_MAX || end > INT32_MAX || pads->begin[i + 2] > INT32_MAX || pads->end[i + 2] > INT32_MAX) {
            return false;
        }
        sum[i] = begin + pads->begin[i + 2];
        sum[spatial + i] = end + pads->end[i + 2];
    }
    *status = fb_graph_set_attribute_ints(graph, conv, "pads", sum, (size_t)(2 * spatial), err);
    if (*status == FB_OK && rule != NULL) {
        *status = fb_graph_set_attribute_string(graph, conv, "auto_pad", "NOTSET", err);
    }
    return true;
}

static FbStatus fold_one(FbGraph *graph, FbId conv, const FbUses *uses, const FbKeep *keep, FbError *err)
{
    const FbNode *node = graph->nodes[conv];
    if (node->removed || !fb_node_is(node, "", "Conv") || node->input_count < 2 || node->inputs[0] == FB_NONE || node->inputs[1] == FB_NONE) {
        return FB_OK;
    }
    FbId padded = node->inputs[0], producer = graph->values[padded].producer;
    const FbConst *weight = fb_graph_constant(graph, node->inputs[1]);
    Pads pads;
    if (weight == NULL || producer == FB_NONE || uses->start[padded + 1] - uses->start[padded] != 1 || fb_graph_is_output(graph, padded) ||
        fb_keep_value(keep, padded) || !read_pad(graph, graph->nodes[producer], weight->shape.rank, &pads)) {
        return FB_OK;
    }
    FbStatus status = FB_OK;
    if (add_pads(graph, conv, &pads, &status, err) && status == FB_OK) {
        fb_graph_set_input(graph, conv, 0, graph->nodes[producer]->inputs[0]);
    }
    return status;
}

FbStatus fb_pass_fold_pad(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    FbUses uses;
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "folding Pad", 0);
    }
    FbStatus status = fb_graph_uses(graph, arena, &uses, err);
    size_t count = graph->node_count;
    for (size_t n = 0; status == FB_OK && n < count; n++) {
        status = fold_one(graph, (FbId)n, &uses, keep, err);
    }
    fb_arena_free(arena);
    return status;
}
