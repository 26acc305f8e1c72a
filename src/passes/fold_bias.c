/* Addition of a constant per channel becomes the bias of the product before it. */
#include "passes/fold_bias.h"

static const FbConst *plain_f32(const FbGraph *graph, FbId value)
{
    const FbConst *constant = value == FB_NONE ? NULL : graph->values[value].constant;
    return constant != NULL && constant->dtype == FB_DTYPE_F32 && constant->encoding == NULL ? constant : NULL;
}

/* Output channels of a convolution that can take a bias; 0: none. */
static int64_t channels_of(const FbGraph *graph, const FbNode *node, int *rank)
{
    bool transposed = fb_node_is(node, "", "ConvTranspose");
    if ((!transposed && !fb_node_is(node, "", "Conv")) || node->input_count < 2 ||
        (node->input_count > 2 && node->inputs[2] != FB_NONE)) {
        return 0;
    }
    const FbConst *weight = plain_f32(graph, node->inputs[1]);
    if (weight == NULL || weight->shape.rank < 3) {
        return 0;
    }
    const FbAttribute *group = fb_node_attribute(node, "group");
    *rank = weight->shape.rank;
    return transposed ? weight->shape.dims[1] * (group != NULL ? group->i : 1) : weight->shape.dims[0];
}

/* The shape holds `channels` elements along the axis of channels of a tensor of `rank`, and is 1 elsewhere. */
static bool is_per_channel(const FbShape *shape, int64_t channels, int rank)
{
    if (shape->rank > rank || shape->rank < rank - 1) {
        return false;
    }
    for (int i = 0; i < shape->rank; i++) {
        int axis = i + rank - shape->rank;
        if (shape->dims[i] != (axis == 1 ? channels : 1)) {
            return false;
        }
    }
    return true;
}

static FbStatus attach_bias(FbGraph *graph, FbId product, const FbNode *add, FbId constant, int64_t channels, FbError *err)
{
    FbTensor tensor = {0};
    FB_TRY(fb_const_load(graph->context, graph->values[constant].constant, &tensor, err));
    tensor.rank = 1;
    tensor.dims[0] = channels;
    const char *name = fb_graph_unique_name(graph, graph->values[constant].name);
    FbId bias = FB_NONE;
    FbStatus status = name == NULL ? fb_error_memory(graph->context, err, "a bias", tensor.bytes)
                                   : fb_graph_add_constant(graph, name, &tensor, &bias, err);
    fb_free(graph->context, tensor.data);
    FB_TRY(status);
    FbNode *node = graph->nodes[product];
    FbId inputs[3] = {node->inputs[0], node->inputs[1], bias};
    FbId result = add->outputs[0];
    FB_TRY(fb_graph_set_inputs(graph, product, inputs, 3, err));
    fb_graph_remove_node(graph, add->id);
    graph->values[node->outputs[0]].producer = FB_NONE;
    node->outputs[0] = result;
    graph->values[result].producer = product;
    return FB_OK;
}

FbStatus fb_pass_fold_bias(FbGraph *graph, size_t *folded, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "folding biases", 0);
    }
    FbUses uses;
    FbStatus status = fb_graph_uses(graph, arena, &uses, err);
    size_t count = 0, node_count = graph->node_count, value_count = graph->value_count;
    for (size_t n = 0; status == FB_OK && n < node_count; n++) {
        FbNode *add = graph->nodes[n];
        if (add->removed || !fb_node_is(add, "", "Add") || add->input_count != 2 || add->output_count != 1) {
            continue;
        }
        for (uint32_t side = 0; side < 2 && status == FB_OK; side++) {
            FbId sum = add->inputs[side], constant = add->inputs[1 - side];
            int rank = 0;
            const FbConst *operand = plain_f32(graph, constant);
            if (operand == NULL || sum >= value_count || graph->values[sum].producer == FB_NONE ||
                uses.start[sum + 1] - uses.start[sum] != 1 || fb_graph_is_output(graph, sum)) {
                continue;
            }
            FbId product = graph->values[sum].producer;
            int64_t channels = channels_of(graph, graph->nodes[product], &rank);
            if (channels > 0 && is_per_channel(&operand->shape, channels, rank)) {
                status = attach_bias(graph, product, add, constant, channels, err);
                count++;
                break;
            }
        }
    }
    fb_arena_free(arena);
    if (folded != NULL) {
        *folded = count;
    }
    return status;
}
