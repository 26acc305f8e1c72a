/* Which nodes compute in float, and why: told from shape arithmetic by types passed on from constants and inputs. */
#include "quantize/quantizer.h"

/* Element types of results that are not those of the first input. */
typedef struct TypeRule {
    const char *op_type;
    FbDtype dtype; /* NONE: of input `like` */
    uint32_t like;
} TypeRule;

static const TypeRule type_rules[] = {
    {"And", FB_DTYPE_BOOL, 0},     {"ArgMax", FB_DTYPE_S64, 0},    {"ArgMin", FB_DTYPE_S64, 0}, {"Equal", FB_DTYPE_BOOL, 0},
    {"Greater", FB_DTYPE_BOOL, 0}, {"GreaterOrEqual", FB_DTYPE_BOOL, 0}, {"Less", FB_DTYPE_BOOL, 0}, {"LessOrEqual", FB_DTYPE_BOOL, 0},
    {"NonZero", FB_DTYPE_S64, 0},  {"Not", FB_DTYPE_BOOL, 0},      {"Or", FB_DTYPE_BOOL, 0},    {"Shape", FB_DTYPE_S64, 0},
    {"Size", FB_DTYPE_S64, 0},     {"Where", FB_DTYPE_NONE, 1},    {"Xor", FB_DTYPE_BOOL, 0},   {"OneHot", FB_DTYPE_NONE, 2},
};

static FbDtype result_type(const FbNode *node, const FbDtype *types)
{
    uint32_t like = 0;
    if (fb_node_is(node, "", "Cast")) {
        const FbAttribute *to = fb_node_attribute(node, "to");
        return to != NULL ? (FbDtype)to->i : FB_DTYPE_NONE;
    }
    if (fb_node_is(node, "", "ConstantOfShape")) {
        const FbAttribute *value = fb_node_attribute(node, "value");
        return value != NULL && value->tensor != NULL ? value->tensor->dtype : FB_DTYPE_F32;
    }
    for (size_t i = 0; i < sizeof type_rules / sizeof type_rules[0]; i++) {
        if (strcmp(type_rules[i].op_type, node->op_type) == 0) {
            if (type_rules[i].dtype != FB_DTYPE_NONE) {
                return type_rules[i].dtype;
            }
            like = type_rules[i].like;
        }
    }
    FbId input = like < node->input_count ? node->inputs[like] : FB_NONE;
    return input != FB_NONE ? types[input] : FB_DTYPE_NONE;
}

/* Types of all values, as far as they follow; NONE elsewhere. Read before anything is edited. */
FbStatus fb_quantizer_types(FbQuantizer *quantizer, FbError *err)
{
    const FbGraph *graph = quantizer->graph;
    FbDtype *types = fb_arena_array(quantizer->arena, graph->value_count + 1, sizeof *types);
    quantizer->computes = fb_arena_array(quantizer->arena, graph->node_count + 1, sizeof *quantizer->computes);
    if (types == NULL || quantizer->computes == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        const FbConst *constant = fb_graph_constant(graph, (FbId)v);
        types[v] = constant != NULL ? constant->dtype : graph->values[v].dtype;
    }
    for (size_t i = 0; i < quantizer->order_count; i++) {
        const FbNode *node = graph->nodes[quantizer->order[i]];
        FbDtype result = result_type(node, types);
        bool silent = fb_node_is(node, "", "Constant") || fb_node_is(node, "", "ConstantOfShape") || fb_node_is(node, "", "Cast") ||
                      fb_node_is(node, "", "Identity");
        for (uint32_t k = 0; k < node->output_count; k++) {
            FbId output = node->outputs[k];
            if (output != FB_NONE && types[output] == FB_DTYPE_NONE) {
                types[output] = result;
            }
            bool real = output != FB_NONE && (types[output] == FB_DTYPE_NONE || fb_dtype_info(types[output])->kind == FB_KIND_FLOAT);
            quantizer->computes[node->id] = quantizer->computes[node->id] || (real && !silent);
        }
    }
    return FB_OK;
}

/* A node under a rule that only touches weights is in float by intention; it has a line only when its weight was left, too. Moving data is
 * no arithmetic: it has a line only where codes could have been moved. */
static const char *reason_of(const FbQuantizer *quantizer, FbId id)
{
    const FbNode *node = quantizer->graph->nodes[id];
    const FbQuantOp *op = fb_quant_op(node);
    bool is_static = fb_recipe_needs_data(quantizer->recipe) != 0;
    if (!quantizer->computes[id] || (op != NULL && op->role == FB_QUANT_ROLE_PASS && !is_static && op->weights == 0)) {
        return NULL;
    }
    if (quantizer->reason[id] == NULL && quantizer->rule[id] == NULL && !is_static) {
        return "no rule of the recipe covers it";
    }
    return quantizer->reason[id];
}

FbStatus fb_quantizer_list_left(FbQuantizer *quantizer, FbError *err)
{
    const FbGraph *graph = quantizer->graph;
    for (size_t i = 0; i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        const FbNode *node = graph->nodes[id];
        const char *reason = reason_of(quantizer, id);
        if (reason == NULL) {
            continue;
        }
        /* Names live in the graph's arena; the report outlives the graph. */
        const char *name = fb_arena_strdup(quantizer->arena, fb_quantizer_node_name(graph, node));
        const char *type = fb_arena_strdup(quantizer->arena, node->op_type), *why = fb_arena_strdup(quantizer->arena, reason);
        if (name == NULL || type == NULL || why == NULL || !fb_array_grow(quantizer->context, &quantizer->left)) {
            return fb_quantizer_memory(quantizer, err);
        }
        quantizer->left.items[quantizer->left.count++] = (FbLeftInFloat){name, type, why};
    }
    return FB_OK;
}
