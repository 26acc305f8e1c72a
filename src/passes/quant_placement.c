/* Quant placement. Backwards: what integer operators want quantized, through data movement up to its source. Forwards: whose range each
 * Quant has. A node that turns out to lack a range is given up, and all is done again until nothing changes. */
#include "passes/quant_placement.h"

typedef struct Place {
    const FbGraph *graph;
    FbArena *arena;
    FbQuantPlacement *out;
    FbUses uses;
    FbId *order;
    size_t count;
    bool *wanted; /* per value */
} Place;

static FbId input_of(const FbNode *node, uint32_t i)
{
    return i < node->input_count ? node->inputs[i] : FB_NONE;
}

static bool is_constant(const FbGraph *graph, FbId value)
{
    return value != FB_NONE && fb_graph_constant(graph, value) != NULL;
}

static size_t use_count(const FbUses *uses, FbId value)
{
    return uses->start[value + 1] - uses->start[value];
}

FbId fb_quant_tail(const FbGraph *graph, const FbUses *uses, FbId value)
{
    while (use_count(uses, value) == 1 && !fb_graph_is_output(graph, value)) {
        FbUse use = uses->items[uses->start[value]];
        const FbNode *next = graph->nodes[use.node];
        const FbQuantOp *op = fb_quant_op(next);
        if (use.index != 0 || op == NULL || op->role != FB_QUANT_ROLE_TAIL || next->output_count == 0) {
            break;
        }
        value = next->outputs[0];
    }
    return value;
}

/* Inputs that must be quantized for the node to be computed on integers; returns how many. */
static size_t data_inputs(const FbGraph *graph, const FbNode *node, const FbQuantOp *op, FbId *inputs)
{
    size_t count = 0;
    uint32_t last = op->role == FB_QUANT_ROLE_JOIN ? node->input_count : op->role == FB_QUANT_ROLE_BINARY ? 2 : 1;
    if (fb_node_is(node, "", "MatMul")) {
        last = 2;
    }
    for (uint32_t i = 0; i < last && i < node->input_count; i++) {
        if (!is_constant(graph, node->inputs[i])) {
            inputs[count++] = node->inputs[i];
        }
    }
    return count;
}

static double float_attribute(const FbNode *node, const char *name, double fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL ? (double)attribute->f : fallback;
}

/* Why a node with an integer form cannot have it; NULL: it can. */
static const char *product_obstacle(const FbGraph *graph, const FbNode *node)
{
    bool matmul = fb_node_is(node, "", "MatMul");
    bool constant[2] = {is_constant(graph, input_of(node, 0)), is_constant(graph, input_of(node, 1))};
    if (constant[0] && (constant[1] || !matmul)) {
        return "its input is constant";
    }
    if (!matmul && !constant[1]) {
        return "its weight is not constant";
    }
    if (!matmul && input_of(node, 2) != FB_NONE && !is_constant(graph, input_of(node, 2))) {
        return "its bias is not constant";
    }
    for (int i = 0; i < 2; i++) {
        const FbConst *weight = constant[i] ? fb_graph_constant(graph, node->inputs[i]) : NULL;
        if (weight != NULL && (weight->dtype != FB_DTYPE_F32 || weight->encoding != NULL)) {
            return "its weight is not plain float32";
        }
    }
    if (fb_node_is(node, "", "Gemm")) {
        const FbAttribute *trans_a = fb_node_attribute(node, "transA");
        if ((trans_a != NULL && trans_a->i != 0) || float_attribute(node, "alpha", 1) != 1 || float_attribute(node, "beta", 1) != 1) {
            return "a Gemm with transA, alpha or beta has no integer form";
        }
    }
    return NULL;
}

/* Padding with 0 keeps the grid, because every grid holds 0. */
static bool pads_with_zero(const FbGraph *graph, const FbNode *node)
{
    const FbAttribute *mode = fb_node_attribute(node, "mode"), *value = fb_node_attribute(node, "value");
    if (mode != NULL && strcmp((const char *)mode->s.data, "constant") != 0) {
        return true; /* copies elements */
    }
    FbId fill = node->version >= 11 ? input_of(node, 2) : FB_NONE;
    if (fill == FB_NONE) {
        return value == NULL || value->f == 0;
    }
    const FbConst *constant = fb_graph_constant(graph, fill);
    float number = 1;
    return constant != NULL && fb_const_read_f32(graph->context, constant, 0, 1, &number, NULL) == FB_OK && number == 0;
}

static const char *obstacle(const Place *place, const FbNode *node, const FbQuantOp *op)
{
    const FbGraph *graph = place->graph;
    if (op == NULL) {
        return "the operator has no integer form";
    }
    if (op->role == FB_QUANT_ROLE_FLOAT) {
        return op->reason;
    }
    if ((op->targets & place->out->target) == 0) {
        return "the target computes it in float";
    }
    if (op->role == FB_QUANT_ROLE_PRODUCT) {
        return product_obstacle(graph, node);
    }
    if (op->role == FB_QUANT_ROLE_PASS) {
        if (fb_node_is(node, "", "Pad") && !pads_with_zero(graph, node)) {
            return "it pads with something else than 0";
        }
        bool indices = fb_node_is(node, "", "MaxPool") && node->output_count > 1 && node->outputs[1] != FB_NONE;
        return indices ? "its second output has indices" : is_constant(graph, input_of(node, 0)) ? "its input is constant" : NULL;
    }
    for (uint32_t i = 0; i < node->input_count && op->role != FB_QUANT_ROLE_TAIL; i++) {
        if (is_constant(graph, node->inputs[i])) {
            return "a constant operand: computed in float within the step before";
        }
    }
    return NULL;
}

/* A product whose result may stay real: only these have integer kernels with a float result. */
static bool output_may_be_real(const FbNode *node)
{
    return fb_node_is(node, "", "MatMul") || fb_node_is(node, "", "Gemm");
}

static FbStatus mark_wanted(Place *place, FbError *err)
{
    const FbGraph *graph = place->graph;
    FbQuantPlacement *out = place->out;
    memset(place->wanted, 0, graph->value_count * sizeof *place->wanted);
    size_t widest = 2;
    for (size_t i = 0; i < place->count; i++) {
        const FbNode *node = graph->nodes[place->order[i]];
        widest = node->input_count > widest ? node->input_count : widest;
    }
    FbId *inputs = fb_arena_array(place->arena, widest, sizeof *inputs);
    if (inputs == NULL) {
        return fb_error_memory(graph->context, err, "quantizer placement", widest);
    }
    for (size_t i = place->count; i-- > 0;) {
        FbId id = place->order[i];
        const FbNode *node = graph->nodes[id];
        const FbQuantOp *op = fb_quant_op(node);
        if (op == NULL || !out->quantized[id] || op->role == FB_QUANT_ROLE_TAIL) {
            continue;
        }
        if (op->role == FB_QUANT_ROLE_PASS) {
            for (uint32_t k = 0; k < node->output_count; k++) {
                if (node->outputs[k] != FB_NONE && place->wanted[node->outputs[k]]) {
                    place->wanted[node->inputs[0]] = true;
                    out->rule_of[node->inputs[0]] = out->rule_of[node->outputs[k]];
                }
            }
            continue;
        }
        size_t count = data_inputs(graph, node, op, inputs);
        for (size_t k = 0; k < count; k++) {
            place->wanted[inputs[k]] = true;
            out->rule_of[inputs[k]] = id; /* the first user in topological order has the last word */
        }
    }
    return FB_OK;
}

static void mark_ranges(Place *place)
{
    const FbGraph *graph = place->graph;
    FbQuantPlacement *out = place->out;
    for (size_t v = 0; v < graph->value_count; v++) {
        out->range_of[v] = place->wanted[v] ? (FbId)v : FB_NONE;
    }
    for (size_t i = 0; i < place->count; i++) {
        FbId id = place->order[i];
        const FbNode *node = graph->nodes[id];
        const FbQuantOp *op = fb_quant_op(node);
        if (op == NULL || !out->quantized[id] || node->output_count == 0 || node->outputs[0] == FB_NONE) {
            continue;
        }
        if (op->role == FB_QUANT_ROLE_PASS) {
            for (uint32_t k = 0; k < node->output_count; k++) {
                if (node->outputs[k] != FB_NONE && place->wanted[node->outputs[k]]) {
                    out->range_of[node->outputs[k]] = out->range_of[node->inputs[0]];
                }
            }
        } else if (op->role != FB_QUANT_ROLE_TAIL && !output_may_be_real(node)) {
            FbId tail = fb_quant_tail(graph, &place->uses, node->outputs[0]);
            if (out->range_of[tail] == FB_NONE) {
                out->range_of[tail] = tail;
                out->rule_of[tail] = id;
            }
        }
    }
}

static bool value_is_usable(const Place *place, FbId value)
{
    FbId root = place->out->range_of[value];
    return root == FB_NONE || place->out->usable == NULL || place->out->usable(place->out->user, root);
}

/* Gives up nodes one of whose values has no range; true when there were any. */
static bool drop_unusable(Place *place)
{
    static const char *const no_range = "the statistics hold no float range for its input or output";
    const FbGraph *graph = place->graph;
    FbQuantPlacement *out = place->out;
    bool dropped = false;
    for (size_t i = 0; i < place->count; i++) {
        FbId id = place->order[i];
        const FbNode *node = graph->nodes[id];
        const FbQuantOp *op = fb_quant_op(node);
        if (op == NULL || !out->quantized[id] || op->role == FB_QUANT_ROLE_TAIL || op->role == FB_QUANT_ROLE_PASS) {
            continue;
        }
        bool usable = node->output_count > 0 && value_is_usable(place, fb_quant_tail(graph, &place->uses, node->outputs[0]));
        for (uint32_t k = 0; k < node->input_count && usable; k++) {
            usable = node->inputs[k] == FB_NONE || value_is_usable(place, node->inputs[k]);
        }
        if (!usable) {
            out->quantized[id] = false;
            out->reason[id] = no_range;
            dropped = true;
        }
    }
    return dropped;
}

/* A PASS node counts as quantized when a quantized value goes through it. */
static void finish_passes(Place *place)
{
    const FbGraph *graph = place->graph;
    FbQuantPlacement *out = place->out;
    for (size_t i = 0; i < place->count; i++) {
        FbId id = place->order[i];
        const FbNode *node = graph->nodes[id];
        const FbQuantOp *op = fb_quant_op(node);
        if (op != NULL && op->role == FB_QUANT_ROLE_PASS && out->quantized[id]) {
            bool moved = out->range_of[node->inputs[0]] != FB_NONE;
            out->quantized[id] = moved;
            out->reason[id] = moved ? NULL : "no quantized value goes through it";
        }
        if (op != NULL && op->role == FB_QUANT_ROLE_TAIL && out->quantized[id]) {
            FbId value = input_of(node, 0);
            FbId producer = value != FB_NONE ? graph->values[value].producer : FB_NONE;
            out->quantized[id] = producer != FB_NONE && out->quantized[producer];
            out->reason[id] = out->quantized[id] ? NULL : "the step before it is in float";
        }
    }
}

static FbStatus prepare(Place *place, FbError *err)
{
    const FbGraph *graph = place->graph;
    FbQuantPlacement *out = place->out;
    place->wanted = fb_arena_array(place->arena, graph->value_count + 1, sizeof *place->wanted);
    out->range_of = fb_arena_array(place->arena, graph->value_count + 1, sizeof *out->range_of);
    out->rule_of = fb_arena_array(place->arena, graph->value_count + 1, sizeof *out->rule_of);
    out->reason = fb_arena_array(place->arena, graph->node_count + 1, sizeof *out->reason);
    if (place->wanted == NULL || out->range_of == NULL || out->rule_of == NULL || out->reason == NULL) {
        return fb_error_memory(graph->context, err, "quantizer placement", graph->value_count);
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        out->rule_of[v] = FB_NONE;
    }
    FB_TRY(fb_graph_sort(graph, place->arena, &place->order, &place->count, err));
    FB_TRY(fb_graph_uses(graph, place->arena, &place->uses, err));
    for (size_t i = 0; i < place->count; i++) {
        FbId id = place->order[i];
        const FbNode *node = graph->nodes[id];
        const char *why = obstacle(place, node, fb_quant_op(node));
        if (out->quantized[id] && why != NULL) {
            out->quantized[id] = false;
        }
        out->reason[id] = out->quantized[id] ? NULL : why;
    }
    return FB_OK;
}

FbStatus fb_quant_place(const FbGraph *graph, FbArena *arena, FbQuantPlacement *placement, FbError *err)
{
    Place place = {.graph = graph, .arena = arena, .out = placement};
    FB_TRY(prepare(&place, err));
    do {
        FB_TRY(mark_wanted(&place, err));
        mark_ranges(&place);
    } while (drop_unusable(&place));
    finish_passes(&place);
    return FB_OK;
}
