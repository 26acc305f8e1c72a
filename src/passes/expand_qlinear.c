/* Integer operators (QLinearConv, QGemm, QLinearAdd, ...) become real operators between Quants, so that integer execution compiles one form.
 *
 * Every value of codes whose scale and zero point are known constants gets a twin, the real number of its codes:
 *
 *   QuantizeLinear(x)          twin = Quant(x)
 *   QLinearConv(a, w, ...)     twin = Quant(Conv(twin of a, encoded constant of w))
 *   MaxPool, Reshape, ... of codes    the same of the twin
 *   DequantizeLinear(codes)    is the twin, when the parameters are the same; else it stays
 *
 * Codes that something else still reads (a graph output, an operator that stays) come from a QuantizeLinear of the twin, which gives the
 * same codes: real = scale * (code - zero), divided by the scale, is within an ulp of a whole number. */
#include <math.h>

#include "passes/expand_node.h"

enum { EXPAND_DEPTH = 32 };

typedef struct Twin {
    FbId real;         /* FB_NONE: the value has none */
    FbExpandGrid grid;
    bool orphan;       /* the node that made the codes is gone */
} Twin;

typedef struct Expansion {
    FbExpand base;
    Twin *twins;       /* per value of the graph as it was */
    size_t count;
    const FbKeep *keep;
} Expansion;

typedef struct Operand { /* codes at an input of a node, with their grid */
    FbId codes;
    FbExpandGrid grid;
    bool constant;
    int axis;          /* of the scales of a constant */
} Operand;

static FbDtype codes_dtype(const Expansion *e, FbId codes)
{
    const FbConst *constant = fb_graph_constant(e->base.graph, codes);
    if (constant != NULL) {
        return constant->dtype;
    }
    return codes < e->count && e->twins[codes].real != FB_NONE ? e->twins[codes].grid.code : e->base.graph->values[codes].dtype;
}

/* Codes, scale, zero point at inputs at, scale_at, scale_at + 1. `axis`: along which constants may have several scales; -1: none; it counts
 * from the end when below -1: -2 is the last axis. */
static FbStatus read_operand(const Expansion *e, const FbNode *node, uint32_t at, uint32_t scale_at, int axis, Operand *operand, bool *ok)
{
    const FbGraph *graph = e->base.graph;
    FbId codes = fb_expand_input(node, at);
    *ok = false;
    if (codes == FB_NONE) {
        return FB_OK;
    }
    const FbConst *constant = fb_graph_constant(graph, codes);
    if (constant != NULL && constant->encoding != NULL) {
        return FB_OK;
    }
    int rank = constant == NULL ? -1 : constant->shape.rank, along = axis < -1 ? rank + axis + 1 : axis;
    bool many = constant != NULL && along >= 0 && along < rank;
    *operand = (Operand){.codes = codes, .constant = constant != NULL, .axis = many ? along : -1};
    FB_TRY(fb_expand_read_grid(&e->base, node, scale_at, many ? constant->shape.dims[along] : 1, codes_dtype(e, codes), &operand->grid, ok));
    FbDtype dtype = codes_dtype(e, codes);
    *ok = *ok && (dtype == FB_DTYPE_NONE || dtype == operand->grid.code);
    return FB_OK;
}

/* The value that holds the operand's real numbers. */
static FbStatus real_of(Expansion *e, const FbNode *node, const Operand *operand, FbId *real)
{
    if (operand->constant) {
        return fb_expand_encoded(&e->base, operand->codes, operand->axis, &operand->grid, real);
    }
    if (operand->codes < e->count && e->twins[operand->codes].real != FB_NONE &&
        fb_expand_same_grid(&e->twins[operand->codes].grid, &operand->grid)) {
        *real = e->twins[operand->codes].real;
        return FB_OK;
    }
    FbId inputs[3] = {operand->codes, operand->grid.scale, operand->grid.zero};
    FB_TRY(fb_expand_value(&e->base, e->base.graph->values[operand->codes].name, "_real", real));
    return fb_expand_emit(&e->base, node, "DequantizeLinear", FB_EXPAND_VERSION, inputs, operand->grid.zero == FB_NONE ? 2 : 3, real, NULL);
}

static void set_twin(Expansion *e, FbId codes, FbId real, const FbExpandGrid *grid, bool orphan)
{
    if (codes < e->count) {
        e->twins[codes] = (Twin){real, *grid, orphan};
    }
}

/* Quant of `real` as the twin of the node's output; the node goes when it is replaced. */
static FbStatus finish(Expansion *e, const FbNode *node, FbId real, const FbExpandGrid *grid, bool replaced)
{
    FbNode *quant = NULL;
    FbId twin = FB_NONE, codes = node->outputs[0];
    FbId inputs[3] = {real, grid->scale, grid->zero};
    FB_TRY(fb_expand_emit(&e->base, node, "Quant", 1, inputs, grid->zero == FB_NONE ? 2 : 3, &twin, &quant));
    FB_TRY(fb_graph_set_attribute_int(e->base.graph, quant->id, "code", grid->code, e->base.err));
    FB_TRY(fb_graph_set_attribute_int(e->base.graph, quant->id, "dtype", FB_DTYPE_F32, e->base.err));
    if (replaced) {
        fb_graph_remove_node(e->base.graph, node->id);
    }
    set_twin(e, codes, twin, grid, replaced);
    return FB_OK;
}

static FbStatus expand_quantize(Expansion *e, FbNode *node)
{
    FbExpandGrid grid;
    bool ok;
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, "axis") != 0) { /* with one scale the axis says nothing */
            return FB_OK;
        }
    }
    FB_TRY(fb_expand_read_grid(&e->base, node, 1, 1, FB_DTYPE_U8, &grid, &ok));
    return ok && fb_graph_constant(e->base.graph, node->inputs[0]) == NULL ? finish(e, node, node->inputs[0], &grid, false) : FB_OK;
}

/* Gives `real` the name and place of `output`, a graph output or observed value. */
static FbStatus take_over(Expansion *e, FbNode *node, FbId real, FbId output)
{
    FbGraph *graph = e->base.graph;
    FbId producer = graph->values[real].producer;
    fb_graph_remove_node(graph, node->id);
    if (real < e->count || producer == FB_NONE) { /* has a name of its own already */
        return fb_expand_emit(&e->base, node, "Identity", FB_EXPAND_VERSION, &real, 1, &output, NULL);
    }
    for (uint32_t i = 0; i < graph->nodes[producer]->output_count; i++) {
        FbId *made = &graph->nodes[producer]->outputs[i];
        *made = *made == real ? output : *made;
    }
    graph->values[output].producer = producer;
    graph->values[real].producer = FB_NONE;
    fb_graph_replace_uses(graph, real, output, false);
    for (size_t v = 0; v < e->count; v++) {
        e->twins[v].real = e->twins[v].real == real ? output : e->twins[v].real;
    }
    return FB_OK;
}

static FbStatus expand_dequantize(Expansion *e, FbNode *node)
{
    FbGraph *graph = e->base.graph;
    FbId codes = node->inputs[0], output = node->outputs[0];
    FbExpandGrid grid;
    bool ok;
    if (codes == FB_NONE || codes >= e->count || e->twins[codes].real == FB_NONE || output == FB_NONE) {
        return FB_OK;
    }
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, "axis") != 0) {
            return FB_OK;
        }
    }
    FB_TRY(fb_expand_read_grid(&e->base, node, 1, 1, e->twins[codes].grid.code, &grid, &ok));
    if (!ok || !fb_expand_same_grid(&grid, &e->twins[codes].grid)) {
        return FB_OK;
    }
    if (fb_graph_is_output(graph, output) || fb_keep_value(e->keep, output)) {
        return take_over(e, node, e->twins[codes].real, output);
    }
    fb_graph_replace_uses(graph, output, e->twins[codes].real, false);
    fb_graph_remove_node(graph, node->id);
    return FB_OK;
}

/* ---- products ---- */

/* Scales of a bias: those of the product's sums, per column when the weight has several. *ok false: a scale is no normal number. */
static FbStatus bias_scales(const Expansion *e, const Operand *a, const Operand *w, double factor, float **scales, bool *ok)
{
    *scales = fb_arena_array(e->base.arena, w->grid.count, sizeof **scales);
    if (*scales == NULL) {
        return fb_error_memory(e->base.graph->context, e->base.err, "a bias", w->grid.count);
    }
    *ok = true;
    for (size_t i = 0; i < w->grid.count; i++) {
        (*scales)[i] = (float)((double)a->grid.scales[0] * (double)w->grid.scales[i] * factor);
        *ok = *ok && isnormal((*scales)[i]);
    }
    return FB_OK;
}

static FbStatus expand_conv(Expansion *e, FbNode *node)
{
    Operand x, w;
    FbExpandGrid y;
    FbNode *made = NULL;
    float *scales = NULL;
    FbId inputs[3] = {FB_NONE, FB_NONE, FB_NONE}, real = FB_NONE, bias = fb_expand_input(node, 8);
    bool x_ok, w_ok, y_ok, bias_ok;
    FB_TRY(read_operand(e, node, 0, 1, -1, &x, &x_ok));
    FB_TRY(read_operand(e, node, 3, 4, 0, &w, &w_ok));
    FB_TRY(fb_expand_read_grid(&e->base, node, 6, 1, FB_DTYPE_NONE, &y, &y_ok));
    const FbConst *b = bias == FB_NONE ? NULL : fb_graph_constant(e->base.graph, bias);
    bool b_ok = bias == FB_NONE || (b != NULL && b->encoding == NULL && b->dtype == FB_DTYPE_S32 && b->shape.rank == 1);
    if (!x_ok || x.constant || !w_ok || !w.constant || !y_ok || !b_ok) {
        return FB_OK;
    }
    FB_TRY(bias_scales(e, &x, &w, 1, &scales, &bias_ok));
    if (!bias_ok || (b != NULL && w.grid.count > 1 && b->shape.dims[0] != (int64_t)w.grid.count)) {
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &x, &inputs[0]));
    FB_TRY(real_of(e, node, &w, &inputs[1]));
    if (bias != FB_NONE) {
        FB_TRY(fb_expand_bias(&e->base, bias, scales, w.grid.count, &inputs[2]));
    }
    FB_TRY(fb_expand_emit(&e->base, node, "Conv", FB_EXPAND_VERSION, inputs, bias == FB_NONE ? 2 : 3, &real, &made));
    FB_TRY(fb_expand_copy_attributes(&e->base, node, made));
    return finish(e, node, real, &y, true);
}

static FbStatus expand_matmul(Expansion *e, FbNode *node)
{
    Operand a, b;
    FbExpandGrid y;
    FbId inputs[2], real = FB_NONE;
    bool a_ok, b_ok, y_ok;
    FB_TRY(read_operand(e, node, 0, 1, -1, &a, &a_ok));
    FB_TRY(read_operand(e, node, 3, 4, -2, &b, &b_ok));
    FB_TRY(fb_expand_read_grid(&e->base, node, 6, 1, FB_DTYPE_NONE, &y, &y_ok));
    if (!a_ok || !b_ok || !y_ok || (a.constant && b.constant) || (b.grid.count > 1 && b.axis == 0)) { /* a vector's scales would scale rows */
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &a, &inputs[0]));
    FB_TRY(real_of(e, node, &b, &inputs[1]));
    FB_TRY(fb_expand_emit(&e->base, node, "MatMul", FB_EXPAND_VERSION, inputs, 2, &real, NULL));
    return finish(e, node, real, &y, true);
}

static double float_attribute(const FbNode *node, const char *name, double fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_FLOAT ? (double)attribute->f : fallback;
}

static int64_t int_attribute(const FbNode *node, const char *name)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_INT ? attribute->i : 0;
}

/* The third input of QGemm may have every shape that broadcasts; several scales must run along its last axis. */
static bool gemm_bias_ok(const FbConst *c, size_t scales)
{
    return c != NULL && c->encoding == NULL && c->dtype == FB_DTYPE_S32 &&
           (scales == 1 || (c->shape.rank >= 1 && c->shape.dims[c->shape.rank - 1] == (int64_t)scales));
}

static FbStatus expand_gemm(Expansion *e, FbNode *node)
{
    Operand a, b;
    FbExpandGrid y = {0};
    FbNode *made = NULL;
    float *scales = NULL;
    FbId inputs[3] = {FB_NONE, FB_NONE, FB_NONE}, real = FB_NONE, c = fb_expand_input(node, 6);
    bool a_ok, b_ok, y_ok = true, c_ok, quantized = fb_expand_input(node, 8) != FB_NONE;
    FB_TRY(read_operand(e, node, 0, 1, -1, &a, &a_ok));
    FB_TRY(read_operand(e, node, 3, 4, int_attribute(node, "transB") != 0 ? 0 : 1, &b, &b_ok));
    if (quantized) {
        FB_TRY(fb_expand_read_grid(&e->base, node, 7, 1, a.grid.code, &y, &y_ok));
    }
    if (!a_ok || !b_ok || !y_ok || (a.constant && b.constant) ||
        (c != FB_NONE && !gemm_bias_ok(fb_graph_constant(e->base.graph, c), b.grid.count))) {
        return FB_OK;
    }
    FB_TRY(bias_scales(e, &a, &b, float_attribute(node, "alpha", 1), &scales, &c_ok));
    if (!c_ok) {
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &a, &inputs[0]));
    FB_TRY(real_of(e, node, &b, &inputs[1]));
    if (c != FB_NONE) {
        FB_TRY(fb_expand_bias(&e->base, c, scales, b.grid.count, &inputs[2]));
    }
    FbId output = node->outputs[0];
    if (!quantized) { /* the real result has the node's own output */
        fb_graph_remove_node(e->base.graph, node->id);
        real = output;
    }
    FB_TRY(fb_expand_emit(&e->base, node, "Gemm", FB_EXPAND_VERSION, inputs, c == FB_NONE ? 2 : 3, &real, &made));
    FB_TRY(fb_expand_copy_attributes(&e->base, node, made));
    return quantized ? finish(e, node, real, &y, true) : FB_OK;
}

/* MatMulIntegerToFloat has scales and zero points apart from each other: a, b, a's scale, b's scale, a's zero point, b's zero point, bias. */
static FbStatus expand_to_float(Expansion *e, FbNode *node)
{
    FbId ordered[6] = {node->inputs[0], fb_expand_input(node, 2), fb_expand_input(node, 4), fb_expand_input(node, 1), fb_expand_input(node, 3),
                       fb_expand_input(node, 5)};
    FbNode view = *node;
    Operand a, b;
    FbId inputs[2], terms[2] = {FB_NONE, fb_expand_input(node, 6)}, output = node->outputs[0];
    bool a_ok, b_ok;
    view.inputs = ordered;
    view.input_count = 6;
    FB_TRY(read_operand(e, &view, 0, 1, -1, &a, &a_ok));
    FB_TRY(read_operand(e, &view, 3, 4, -2, &b, &b_ok));
    if (!a_ok || !b_ok || a.constant || (b.grid.count > 1 && b.axis == 0)) {
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &a, &inputs[0]));
    FB_TRY(real_of(e, node, &b, &inputs[1]));
    fb_graph_remove_node(e->base.graph, node->id);
    if (terms[1] == FB_NONE) {
        return fb_expand_emit(&e->base, node, "MatMul", FB_EXPAND_VERSION, inputs, 2, &output, NULL);
    }
    FB_TRY(fb_expand_emit(&e->base, node, "MatMul", FB_EXPAND_VERSION, inputs, 2, &terms[0], NULL));
    return fb_expand_emit(&e->base, node, "Add", FB_EXPAND_VERSION, terms, 2, &output, NULL);
}

/* ---- the others ---- */

static FbStatus expand_pair(Expansion *e, FbNode *node)
{
    Operand a, b;
    FbExpandGrid y;
    FbId inputs[2], real = FB_NONE;
    bool a_ok, b_ok, y_ok;
    FB_TRY(read_operand(e, node, 0, 1, -1, &a, &a_ok));
    FB_TRY(read_operand(e, node, 3, 4, -1, &b, &b_ok));
    FB_TRY(fb_expand_read_grid(&e->base, node, 6, 1, a_ok ? a.grid.code : FB_DTYPE_NONE, &y, &y_ok));
    if (!a_ok || !b_ok || !y_ok || (a.constant && b.constant)) {
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &a, &inputs[0]));
    if (b.codes == a.codes && fb_expand_same_grid(&a.grid, &b.grid)) {
        inputs[1] = inputs[0];
    } else {
        FB_TRY(real_of(e, node, &b, &inputs[1]));
    }
    FB_TRY(fb_expand_emit(&e->base, node, strcmp(node->op_type, "QLinearAdd") == 0 ? "Add" : "Mul", FB_EXPAND_VERSION, inputs, 2, &real, NULL));
    return finish(e, node, real, &y, true);
}

/* QLinearSigmoid, QLinearLeakyRelu, QLinearAveragePool, QLinearGlobalAveragePool: the name says what they are of one operand. */
static FbStatus expand_unary(Expansion *e, FbNode *node)
{
    Operand x;
    FbExpandGrid y;
    FbNode *made = NULL;
    FbId input, real = FB_NONE;
    bool x_ok, y_ok;
    FB_TRY(read_operand(e, node, 0, 1, -1, &x, &x_ok));
    FB_TRY(fb_expand_read_grid(&e->base, node, 3, 1, x_ok ? x.grid.code : FB_DTYPE_NONE, &y, &y_ok));
    /* With both attributes the integer operator divides by more than AveragePool does. */
    bool odd = int_attribute(node, "ceil_mode") != 0 && int_attribute(node, "count_include_pad") != 0;
    if (!x_ok || x.constant || !y_ok || odd || int_attribute(node, "channels_last") != 0) {
        return FB_OK;
    }
    FB_TRY(real_of(e, node, &x, &input));
    FB_TRY(fb_expand_emit(&e->base, node, node->op_type + strlen("QLinear"), FB_EXPAND_VERSION, &input, 1, &real, &made));
    FB_TRY(fb_expand_copy_attributes(&e->base, node, made));
    fb_graph_drop_attribute(e->base.graph, made->id, "channels_last");
    return finish(e, node, real, &y, true);
}

static FbStatus expand_concat(Expansion *e, FbNode *node)
{
    uint32_t count = (node->input_count - 2) / 3;
    Operand *parts = fb_arena_array(e->base.arena, count + 1, sizeof *parts);
    FbId *inputs = fb_arena_array(e->base.arena, count + 1, sizeof *inputs), real = FB_NONE;
    FbExpandGrid y;
    FbNode *made = NULL;
    bool ok, constant = true;
    if (parts == NULL || inputs == NULL) {
        return fb_error_memory(e->base.graph->context, e->base.err, "a concatenation", count);
    }
    FB_TRY(fb_expand_read_grid(&e->base, node, 0, 1, FB_DTYPE_NONE, &y, &ok));
    for (uint32_t i = 0; ok && i < count; i++) {
        FB_TRY(read_operand(e, node, 2 + 3 * i, 3 + 3 * i, -1, &parts[i], &ok));
        constant = constant && parts[i].constant;
    }
    if (!ok || constant || node->input_count % 3 != 2) {
        return FB_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        FB_TRY(real_of(e, node, &parts[i], &inputs[i]));
    }
    FB_TRY(fb_expand_emit(&e->base, node, "Concat", FB_EXPAND_VERSION, inputs, count, &real, &made));
    FB_TRY(fb_expand_copy_attributes(&e->base, node, made));
    return finish(e, node, real, &y, true);
}

static bool is_nearest(const FbNode *node)
{
    const FbAttribute *mode = fb_node_attribute(node, "mode");
    return mode == NULL || (mode->type == FB_ATTR_STRING && mode->s.count == 7 && memcmp(mode->s.data, "nearest", 7) == 0);
}

/* Operators that only move elements, or pick the largest, mean the same for codes and for what they stand for. */
static FbStatus expand_move(Expansion *e, FbNode *node)
{
    FbId codes = node->inputs[0];
    if (codes == FB_NONE || codes >= e->count || e->twins[codes].real == FB_NONE || (fb_node_is(node, "", "Resize") && !is_nearest(node)) ||
        (fb_node_is(node, "", "MaxPool") && node->output_count > 1)) {
        return FB_OK;
    }
    FbGraph *graph = e->base.graph;
    Twin twin = e->twins[codes];
    FbId *inputs = fb_arena_array(e->base.arena, node->input_count, sizeof *inputs);
    FbId *outputs = fb_arena_array(e->base.arena, node->output_count, sizeof *outputs), made;
    if (inputs == NULL || outputs == NULL) {
        return fb_error_memory(graph->context, e->base.err, "an operator", node->output_count);
    }
    memcpy(inputs, node->inputs, node->input_count * sizeof *inputs);
    inputs[0] = twin.real;
    for (uint32_t i = 0; i < node->output_count; i++) {
        outputs[i] = FB_NONE;
        if (node->outputs[i] != FB_NONE) {
            FB_TRY(fb_expand_value(&e->base, graph->values[node->outputs[i]].name, "_real", &outputs[i]));
        }
    }
    FB_TRY(fb_graph_add_node(graph, "", node->op_type, node->version, node->name, inputs, node->input_count, outputs, node->output_count,
                             node->id, &made, e->base.err));
    FB_TRY(fb_expand_copy_attributes(&e->base, node, graph->nodes[made]));
    fb_graph_remove_node(graph, node->id);
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FB_NONE) {
            set_twin(e, node->outputs[i], outputs[i], &twin.grid, true);
        }
    }
    return FB_OK;
}

/* ---- the graph ---- */

typedef struct Row {
    const char *domain, *op_type;
    FbStatus (*expand)(Expansion *e, FbNode *node);
} Row;

static const Row table[] = {
    {"", "QuantizeLinear", expand_quantize},
    {"com.microsoft", "QuantizeLinear", expand_quantize},
    {"", "DequantizeLinear", expand_dequantize},
    {"com.microsoft", "DequantizeLinear", expand_dequantize},
    {"", "QLinearConv", expand_conv},
    {"", "QLinearMatMul", expand_matmul},
    {"com.microsoft", "MatMulIntegerToFloat", expand_to_float},
    {"com.microsoft", "QGemm", expand_gemm},
    {"com.microsoft", "QLinearAdd", expand_pair},
    {"com.microsoft", "QLinearMul", expand_pair},
    {"com.microsoft", "QLinearAveragePool", expand_unary},
    {"com.microsoft", "QLinearConcat", expand_concat},
    {"com.microsoft", "QLinearGlobalAveragePool", expand_unary},
    {"com.microsoft", "QLinearLeakyRelu", expand_unary},
    {"com.microsoft", "QLinearSigmoid", expand_unary},
    {"", "DepthToSpace", expand_move},
    {"", "Expand", expand_move},
    {"", "Flatten", expand_move},
    {"", "Gather", expand_move},
    {"", "Identity", expand_move},
    {"", "MaxPool", expand_move},
    {"", "Reshape", expand_move},
    {"", "Resize", expand_move},
    {"", "Slice", expand_move},
    {"", "SpaceToDepth", expand_move},
    {"", "Split", expand_move},
    {"", "Squeeze", expand_move},
    {"", "Transpose", expand_move},
    {"", "Unsqueeze", expand_move},
};

static FbStatus expand_node(Expansion *e, FbNode *node)
{
    if (node->input_count == 0 || node->output_count == 0 || node->inputs[0] == FB_NONE || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (fb_node_is(node, table[i].domain, table[i].op_type)) {
            return table[i].expand(e, node);
        }
    }
    return FB_OK;
}

/* Codes that lost their node and still have a reader come from their twin. */
static FbStatus restore_codes(Expansion *e)
{
    FbGraph *graph = e->base.graph;
    const bool *is_output;
    FbUses uses;
    FB_TRY(fb_graph_uses(graph, e->base.arena, &uses, e->base.err));
    FB_TRY(fb_graph_output_flags(graph, e->base.arena, &is_output, e->base.err));
    for (FbId v = 0; v < e->count; v++) {
        const Twin *twin = &e->twins[v];
        if (twin->real == FB_NONE || !twin->orphan || (uses.start[v] == uses.start[v + 1] && !is_output[v] && !fb_keep_value(e->keep, v))) {
            continue;
        }
        FbId inputs[3] = {twin->real, twin->grid.scale, twin->grid.zero}, node;
        FB_TRY(fb_graph_add_node(graph, "", "QuantizeLinear", FB_EXPAND_VERSION, graph->values[v].name, inputs, twin->grid.zero == FB_NONE ? 2 : 3,
                                 &v, 1, graph->values[twin->real].producer, &node, e->base.err));
        FB_TRY(fb_graph_set_attribute_int(graph, node, "output_dtype", twin->grid.code, e->base.err));
    }
    return FB_OK;
}

static FbStatus expand_graph(FbGraph *graph, const FbKeep *keep, FbArena *arena, int depth, FbError *err)
{
    Expansion e = {.base = {graph, arena, err}, .count = graph->value_count, .keep = keep};
    FbId *order = NULL;
    size_t count = 0;
    if (depth > EXPAND_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", EXPAND_DEPTH);
    }
    FB_TRY(fb_graph_sort(graph, arena, &order, &count, err));
    e.twins = fb_arena_array(arena, e.count + 1, sizeof *e.twins);
    if (e.twins == NULL) {
        return fb_error_memory(graph->context, err, "integer operators", e.count);
    }
    for (size_t v = 0; v < e.count; v++) {
        e.twins[v].real = FB_NONE;
    }
    for (size_t i = 0; i < count; i++) {
        FB_TRY(expand_node(&e, graph->nodes[order[i]]));
    }
    FB_TRY(restore_codes(&e));
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(expand_graph(graph->subgraphs[g], NULL, arena, depth + 1, err));
    }
    return FB_OK;
}

FbStatus fb_pass_expand_qlinear(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "integer operators", 0);
    }
    FbStatus status = expand_graph(graph, keep, arena, 0, err);
    fb_arena_free(arena);
    return status;
}
