/* The fused operators that ONNX Runtime's optimizer writes become ONNX's own, which have packed weights, epilogues and integer forms here:
 *
 *   FusedConv, FusedGemm                    Conv or Gemm, Add, the activation
 *   BiasGelu, FastGelu, Gelu                Add, Gelu
 *   SkipLayerNormalization                  Add, Add, LayerNormalization
 *   SkipSimplifiedLayerNormalization        Add, Add, RMSNormalization
 *
 * For execution only. The arithmetic is the same, operation by operation. */
#include "passes/expand_node.h"

enum { EXPAND_DEPTH = 32, VERSION_GELU = 21, VERSION_RMS = 23 };

static void drop(const FbExpand *e, const FbNode *made, const char *const *names)
{
    for (; *names != NULL; names++) {
        fb_graph_drop_attribute(e->graph, made->id, *names);
    }
}

/* `value` plus `term` (FB_NONE: nothing) as a new value. */
static FbStatus add_term(const FbExpand *e, const FbNode *node, FbId *value, FbId term)
{
    FbId inputs[2] = {*value, term}, sum = FB_NONE;
    if (term == FB_NONE) {
        return FB_OK;
    }
    FB_TRY(fb_expand_emit(e, node, "Add", FB_EXPAND_VERSION, inputs, 2, &sum, NULL));
    *value = sum;
    return FB_OK;
}

static FbStatus scalar(const FbExpand *e, float number, FbId *value)
{
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .data = &number, .bytes = sizeof number};
    const char *name = fb_graph_unique_name(e->graph, "limit");
    return name == NULL ? fb_error_memory(e->graph->context, e->err, "a constant", 0) : fb_graph_add_constant(e->graph, name, &tensor, value, e->err);
}

/* The activation, its result being the node's output. */
static FbStatus activate(const FbExpand *e, const FbNode *node, const char *name, FbId value, const float *numbers, size_t count)
{
    FbId inputs[3] = {value, FB_NONE, FB_NONE}, output = node->outputs[0];
    FbNode *made = NULL;
    size_t input_count = 1;
    if (strcmp(name, "Clip") == 0) {
        for (size_t i = 0; i < count && i < 2; i++) {
            FB_TRY(scalar(e, numbers[i], &inputs[1 + i]));
            input_count = 2 + i;
        }
    }
    FB_TRY(fb_expand_emit(e, node, name, FB_EXPAND_VERSION, inputs, input_count, &output, &made));
    static const char *const parameters[] = {"alpha", "beta"};
    for (size_t i = 0; input_count == 1 && i < count && i < 2; i++) {
        FB_TRY(fb_graph_set_attribute_float(e->graph, made->id, parameters[i], numbers[i], e->err));
    }
    return FB_OK;
}

/* The text of a string attribute; "" when absent. */
static const char *text_of(const FbNode *node, const char *name)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_STRING ? (const char *)attribute->s.data : "";
}

/* Conv or Gemm of the first three inputs, the tensor to add, the activation; the last of them has the node's output. */
static FbStatus expand_product(const FbExpand *e, FbNode *node, const char *op_type, FbId term, const float *numbers, size_t count)
{
    static const char *const fused[] = {"activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma", NULL};
    const char *activation = text_of(node, "activation");
    bool more = activation[0] != '\0', adds = term != FB_NONE;
    FbNode *made = NULL;
    FbId value = more || adds ? FB_NONE : node->outputs[0];
    uint32_t inputs = node->input_count < 3 ? node->input_count : 3;
    fb_graph_remove_node(e->graph, node->id);
    FB_TRY(fb_expand_emit(e, node, op_type, FB_EXPAND_VERSION, node->inputs, inputs, &value, &made));
    FB_TRY(fb_expand_copy_attributes(e, node, made));
    drop(e, made, fused);
    if (adds && more) {
        FB_TRY(add_term(e, node, &value, term));
    } else if (adds) {
        FbId terms[2] = {value, term}, output = node->outputs[0];
        return fb_expand_emit(e, node, "Add", FB_EXPAND_VERSION, terms, 2, &output, NULL);
    }
    return more ? activate(e, node, activation, value, numbers, count) : FB_OK;
}

static FbStatus expand_conv(const FbExpand *e, FbNode *node)
{
    const FbAttribute *numbers = fb_node_attribute(node, "activation_params");
    bool given = numbers != NULL && numbers->type == FB_ATTR_FLOATS;
    return expand_product(e, node, "Conv", fb_expand_input(node, 3), given ? numbers->floats : NULL, given ? numbers->count : 0);
}

static FbStatus expand_gemm(const FbExpand *e, FbNode *node)
{
    static const char *const names[] = {"activation_alpha", "activation_beta"};
    float numbers[2] = {0};
    size_t count = 0;
    for (const FbAttribute *a; count < 2 && (a = fb_node_attribute(node, names[count])) != NULL; count++) {
        numbers[count] = a->f;
    }
    return expand_product(e, node, "Gemm", FB_NONE, numbers, count);
}

static FbStatus expand_gelu(const FbExpand *e, FbNode *node)
{
    FbId value = node->inputs[0], output = node->outputs[0];
    FbNode *made = NULL;
    bool tanh = strcmp(node->op_type, "FastGelu") == 0;
    fb_graph_remove_node(e->graph, node->id);
    FB_TRY(add_term(e, node, &value, fb_expand_input(node, 1)));
    FB_TRY(fb_expand_emit(e, node, "Gelu", VERSION_GELU, &value, 1, &output, &made));
    return tanh ? fb_graph_set_attribute_string(e->graph, made->id, "approximate", "tanh", e->err) : FB_OK;
}

static bool wanted(const FbNode *node, uint32_t output) { return output < node->output_count && node->outputs[output] != FB_NONE; }

static FbStatus expand_skip(const FbExpand *e, FbNode *node)
{
    bool simple = strcmp(node->op_type, "SkipSimplifiedLayerNormalization") == 0;
    FbId gamma = fb_expand_input(node, 2), beta = simple ? FB_NONE : fb_expand_input(node, 3), bias = fb_expand_input(node, simple ? 3 : 4);
    FbId terms[2] = {node->inputs[0], fb_expand_input(node, 1)}, sum = FB_NONE, output = node->outputs[0];
    const FbAttribute *epsilon = fb_node_attribute(node, "epsilon");
    FbNode *made = NULL;
    if (terms[1] == FB_NONE || gamma == FB_NONE || wanted(node, 1) || wanted(node, 2)) {
        return FB_OK;
    }
    bool keeps = wanted(node, 3);
    fb_graph_remove_node(e->graph, node->id);
    if (keeps && bias == FB_NONE) {
        sum = node->outputs[3];
    }
    FB_TRY(fb_expand_emit(e, node, "Add", FB_EXPAND_VERSION, terms, 2, &sum, NULL));
    if (bias != FB_NONE) {
        FbId more[2] = {sum, bias};
        sum = keeps ? node->outputs[3] : FB_NONE;
        FB_TRY(fb_expand_emit(e, node, "Add", FB_EXPAND_VERSION, more, 2, &sum, NULL));
    }
    FbId inputs[3] = {sum, gamma, beta};
    FB_TRY(fb_expand_emit(e, node, simple ? "RMSNormalization" : "LayerNormalization", simple ? VERSION_RMS : FB_EXPAND_VERSION, inputs,
                          beta != FB_NONE ? 3 : 2, &output, &made));
    return fb_graph_set_attribute_float(e->graph, made->id, "epsilon", epsilon != NULL ? epsilon->f : 1e-12f, e->err);
}

static const struct {
    const char *op_type;
    FbStatus (*expand)(const FbExpand *e, FbNode *node);
} rows[] = {
    {"BiasGelu", expand_gelu},
    {"FastGelu", expand_gelu},
    {"FusedConv", expand_conv},
    {"FusedGemm", expand_gemm},
    {"Gelu", expand_gelu},
    {"SkipLayerNormalization", expand_skip},
    {"SkipSimplifiedLayerNormalization", expand_skip},
};

static FbStatus expand_graph(FbGraph *graph, FbArena *arena, int depth, FbError *err)
{
    FbExpand e = {graph, arena, err};
    size_t nodes = graph->node_count;
    if (depth > EXPAND_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", EXPAND_DEPTH);
    }
    for (size_t n = 0; n < nodes; n++) {
        FbNode *node = graph->nodes[n];
        bool whole = !node->removed && strcmp(node->domain, "com.microsoft") == 0 && node->input_count > 0 && node->output_count > 0 &&
                     node->inputs[0] != FB_NONE && node->outputs[0] != FB_NONE;
        for (size_t i = 0; whole && i < sizeof rows / sizeof rows[0]; i++) {
            if (strcmp(rows[i].op_type, node->op_type) == 0) {
                FB_TRY(rows[i].expand(&e, node));
                break;
            }
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(expand_graph(graph->subgraphs[g], arena, depth + 1, err));
    }
    return FB_OK;
}

FbStatus fb_pass_expand_fused(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    (void)keep; /* every value that the file names stays */
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "fused operators", 0);
    }
    FbStatus status = expand_graph(graph, arena, 0, err);
    fb_arena_free(arena);
    return status;
}
