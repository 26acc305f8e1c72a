/* QOperator form: a convolution between Quants becomes QLinearConv, a product QLinearMatMul, or MatMulInteger with an integer bias where the
 * result stays real; data movement between them works on codes. For ONNX Runtime, what has no standard operator (Add, pooling by mean,
 * Concat, ...) becomes one of domain com.microsoft. All else stays in float between a dequantizer and a quantizer, and is listed. */
#include <math.h>

#include "quantize/qoperator.h"

static FbStatus no_memory(const FbRewriter *rewriter)
{
    return fb_quantizer_memory(rewriter->quantizer, rewriter->err);
}

static int opset(const FbRewriter *rewriter)
{
    return (int)fb_model_opset(rewriter->quantizer->model, "");
}

FbStatus fb_qoperator_value(const FbRewriter *rewriter, const char *base, const char *suffix, FbId *value)
{
    FbGraph *graph = rewriter->graph;
    const char *text = fb_arena_printf(graph->arena, "%s%s", base, suffix);
    const char *name = text == NULL ? NULL : fb_graph_unique_name(graph, text);
    return name == NULL ? no_memory(rewriter) : fb_graph_add_value(graph, name, value, rewriter->err);
}

static FbStatus new_node(const FbRewriter *rewriter, const char *op_type, const char *base, const FbId *inputs, size_t count, FbId result,
                         FbId beside, FbId *made)
{
    FbGraph *graph = rewriter->graph;
    const char *name = fb_arena_printf(graph->arena, "%s_%s", base, op_type);
    return name == NULL ? no_memory(rewriter)
                        : fb_graph_add_node(graph, "", op_type, opset(rewriter), name, inputs, count, &result, 1, beside, made, rewriter->err);
}

static const FbNode *producer(const FbRewriter *rewriter, FbId value)
{
    FbId id = value == FB_NONE ? FB_NONE : rewriter->graph->values[value].producer;
    return id == FB_NONE ? NULL : rewriter->graph->nodes[id];
}

static bool is_quant(const FbNode *node)
{
    return node != NULL && !node->removed && fb_node_is(node, "fewbit", "Quant") && node->quantize == NULL;
}

/* False: the value is not on a grid that codes can carry. */
bool fb_qoperator_grid(const FbRewriter *rewriter, FbId value, FbQuantizedGrid *grid)
{
    const FbNode *node = producer(rewriter, value);
    if (node == NULL) {
        return false;
    }
    bool dequantized = fb_node_is(node, "", "DequantizeLinear") && value < rewriter->value_count && rewriter->codes_of[value] != FB_NONE;
    if (!is_quant(node) && !dequantized) {
        return false;
    }
    *grid = (FbQuantizedGrid){node->inputs[1], node->inputs[2], FB_DTYPE_NONE};
    grid->code = fb_graph_constant(rewriter->graph, grid->zero)->dtype;
    return grid->code == FB_DTYPE_U8 || grid->code == FB_DTYPE_S8;
}

/* Makes `value` the dequantized form of `codes`. */
static FbStatus dequantize(FbRewriter *rewriter, FbId value, FbId codes, const FbQuantizedGrid *grid, FbId beside)
{
    FbId inputs[3] = {codes, grid->scale, grid->zero}, made = FB_NONE;
    FB_TRY(new_node(rewriter, "DequantizeLinear", rewriter->graph->values[value].name, inputs, 3, value, beside, &made));
    rewriter->codes_of[value] = codes;
    return FB_OK;
}

/* The codes of a quantized value: the Quant becomes a Q node and a DQ node. */
FbStatus fb_qoperator_codes(FbRewriter *rewriter, FbId value, const FbQuantizedGrid *grid, FbId *codes)
{
    FbGraph *graph = rewriter->graph;
    if (rewriter->codes_of[value] != FB_NONE) {
        *codes = rewriter->codes_of[value];
        return FB_OK;
    }
    FbId quant = graph->values[value].producer, made = FB_NONE;
    FbId inputs[3] = {graph->nodes[quant]->inputs[0], grid->scale, grid->zero};
    const char *base = graph->values[inputs[0]].name;
    FB_TRY(fb_qoperator_value(rewriter, base, "_codes", codes));
    FB_TRY(new_node(rewriter, "QuantizeLinear", base, inputs, 3, *codes, quant, &made));
    fb_graph_remove_node(graph, quant);
    return dequantize(rewriter, value, *codes, grid, quant);
}

/* ---- weights ---- */

static FbStatus add_plane(const FbRewriter *rewriter, const char *base, const char *suffix, FbDtype dtype, const FbShape *shape,
                          const void *bytes, size_t count, FbId *value)
{
    FbConst *made = NULL;
    FB_TRY(fb_qoperator_value(rewriter, base, suffix, value));
    FB_TRY(fb_weight_plain(rewriter->graph, dtype, shape, bytes, count, &made, rewriter->err));
    return fb_graph_set_initializer(rewriter->graph, *value, made, rewriter->err);
}

static FbStatus zero_points(const FbRewriter *rewriter, const char *base, const FbConst *weight, const FbShape *shape, FbId *value)
{
    const FbPlane *plane = &weight->planes[FB_PLANE_ZERO];
    FbDtype dtype = weight->encoding->code->storage;
    if (weight->encoding->has_zero) {
        return add_plane(rewriter, base, "_zero_point", dtype, shape, fb_buffer_data(plane->buffer), (size_t)plane->bytes, value);
    }
    size_t count = (size_t)fb_shape_elements(shape);
    uint8_t *zeros = fb_arena_array(rewriter->quantizer->arena, count, 1);
    return zeros == NULL ? no_memory(rewriter) : add_plane(rewriter, base, "_zero_point", dtype, shape, zeros, count, value);
}

/* Codes, scales and zero points of an encoded 8-bit weight; a transposed product gets its codes transposed. */
FbStatus fb_qoperator_weight(FbRewriter *rewriter, FbId value, bool transposed, FbId out[3])
{
    FbGraph *graph = rewriter->graph;
    FbId *known = &rewriter->plain_of[3 * (size_t)value];
    if (known[0] != FB_NONE && !transposed) {
        memcpy(out, known, 3 * sizeof *out);
        return FB_OK;
    }
    const FbConst *weight = graph->values[value].constant;
    const FbPlane *codes = &weight->planes[FB_PLANE_CODES], *scales = &weight->planes[FB_PLANE_SCALE];
    const uint8_t *bytes = fb_buffer_data(codes->buffer);
    const char *base = graph->values[value].name;
    FbShape shape = weight->shape, scale_shape = fb_encoding_scale_shape(weight->encoding, &weight->shape);
    uint8_t *turned = NULL;
    if (transposed) {
        size_t rows = (size_t)shape.dims[0], cols = (size_t)shape.dims[1];
        turned = fb_alloc_array(graph->context, rows, cols);
        if (turned == NULL) {
            return no_memory(rewriter);
        }
        for (size_t i = 0; i < rows * cols; i++) {
            turned[i % cols * rows + i / cols] = bytes[i];
        }
        shape = fb_shape_make(2, (int64_t[]){(int64_t)cols, (int64_t)rows});
    }
    FbStatus status = add_plane(rewriter, base, "_quantized", weight->encoding->code->storage, &shape, transposed ? turned : bytes,
                                (size_t)codes->bytes, &out[0]);
    fb_free(graph->context, turned);
    FB_TRY(status);
    FB_TRY(add_plane(rewriter, base, "_scale", FB_DTYPE_F32, &scale_shape, fb_buffer_data(scales->buffer), (size_t)scales->bytes, &out[1]));
    FB_TRY(zero_points(rewriter, base, weight, &scale_shape, &out[2]));
    if (!transposed) {
        memcpy(known, out, 3 * sizeof *out);
    }
    return FB_OK;
}

bool fb_qoperator_has_codes(const FbRewriter *rewriter, FbId value)
{
    const FbConst *weight = value == FB_NONE || value >= rewriter->value_count ? NULL : rewriter->graph->values[value].constant;
    return weight != NULL && weight->encoding != NULL && weight->encoding->grain != FB_GRAIN_BLOCK && weight->encoding->code->bits == 8 &&
           weight->planes[FB_PLANE_CODES].buffer != NULL;
}

bool fb_qoperator_is_bias(const FbRewriter *rewriter, FbId value)
{
    const FbConst *bias = value == FB_NONE || value >= rewriter->value_count ? NULL : rewriter->graph->values[value].constant;
    return bias != NULL && bias->encoding != NULL && bias->encoding->code->storage == FB_DTYPE_S32;
}

FbStatus fb_qoperator_bias(FbRewriter *rewriter, FbId value, FbId *out)
{
    const FbConst *bias = rewriter->graph->values[value].constant;
    const FbPlane *codes = &bias->planes[FB_PLANE_CODES];
    return add_plane(rewriter, rewriter->graph->values[value].name, "_quantized", FB_DTYPE_S32, &bias->shape, fb_buffer_data(codes->buffer),
                     (size_t)codes->bytes, out);
}

/* ---- what stands behind a product ---- */

static FbStatus read_scalar(const FbRewriter *rewriter, FbId value, double *out)
{
    const FbConst *constant = value == FB_NONE ? NULL : fb_graph_constant(rewriter->graph, value);
    float number = 0;
    if (constant == NULL) {
        return FB_ERR_UNSUPPORTED;
    }
    FB_TRY(fb_const_read_f32(rewriter->graph->context, constant, 0, 1, &number, NULL));
    *out = (double)number;
    return FB_OK;
}

/* True when every code of the grid stands for a value that the node leaves as it is: then saturation does the clipping. */
static bool clip_is_redundant(const FbRewriter *rewriter, const FbNode *node, const FbQuantizedGrid *grid)
{
    double scale = 0, zero = 0, low = -INFINITY, high = INFINITY;
    bool is_signed = grid->code == FB_DTYPE_S8;
    if (read_scalar(rewriter, grid->scale, &scale) != FB_OK || read_scalar(rewriter, grid->zero, &zero) != FB_OK) {
        return false;
    }
    if (fb_node_is(node, "", "Relu")) {
        low = 0;
    } else {
        const FbAttribute *least = fb_node_attribute(node, "min"), *most = fb_node_attribute(node, "max");
        low = least != NULL ? (double)least->f : low;
        high = most != NULL ? (double)most->f : high;
        if ((node->input_count > 1 && node->inputs[1] != FB_NONE && read_scalar(rewriter, node->inputs[1], &low) != FB_OK) ||
            (node->input_count > 2 && node->inputs[2] != FB_NONE && read_scalar(rewriter, node->inputs[2], &high) != FB_OK)) {
            return false;
        }
    }
    double least_code = is_signed ? -128 : 0, most_code = is_signed ? 127 : 255;
    /* The rounded scale may place the last code a hair beyond the limit; less than a hundredth of a step moves no code. */
    return (least_code - zero) * scale >= low - 0.01 * scale && (most_code - zero) * scale <= high + 0.01 * scale;
}

/* Follows redundant clipping to the one Quant of the result; FB_NONE: there is none. */
FbId fb_qoperator_quant_behind(const FbRewriter *rewriter, FbId value, FbQuantizedGrid *grid)
{
    FbGraph *graph = rewriter->graph;
    const FbNode *clips[8];
    size_t clip_count = 0;
    for (;;) {
        if (value >= rewriter->value_count || rewriter->uses.start[value + 1] - rewriter->uses.start[value] != 1 ||
            fb_graph_is_output(graph, value)) {
            return FB_NONE;
        }
        const FbNode *next = graph->nodes[rewriter->uses.items[rewriter->uses.start[value]].node];
        if (is_quant(next) && fb_qoperator_grid(rewriter, next->outputs[0], grid)) {
            for (size_t i = 0; i < clip_count; i++) {
                if (!clip_is_redundant(rewriter, clips[i], grid)) {
                    return FB_NONE;
                }
            }
            return next->id;
        }
        const FbQuantOp *op = fb_quant_op(next);
        if (op == NULL || op->role != FB_QUANT_ROLE_TAIL || next->inputs[0] != value || clip_count == 8) {
            return FB_NONE;
        }
        clips[clip_count++] = next;
        value = next->outputs[0];
    }
}

/* Removes what stood between the product's result and the Quant, both included; the Quant's value then comes from `codes`. */
FbStatus fb_qoperator_finish(FbRewriter *rewriter, FbId product, FbId quant, FbId codes, const FbQuantizedGrid *grid)
{
    FbGraph *graph = rewriter->graph;
    FbId result = graph->nodes[quant]->outputs[0], node = quant;
    while (node != product) { /* each has one user, so the way back is the way here */
        FbId before = graph->values[graph->nodes[node]->inputs[0]].producer;
        fb_graph_remove_node(graph, node);
        node = before;
    }
    fb_graph_remove_node(graph, product);
    return dequantize(rewriter, result, codes, grid, quant);
}

/* ---- the operators ---- */

static FbStatus rewrite_conv(FbRewriter *rewriter, FbId id, bool *done)
{
    FbGraph *graph = rewriter->graph;
    const FbNode *node = graph->nodes[id];
    FbQuantizedGrid x, y;
    FbId bias = node->input_count > 2 ? node->inputs[2] : FB_NONE, quant = FB_NONE;
    *done = fb_qoperator_has_codes(rewriter, node->inputs[1]) && (bias == FB_NONE || fb_qoperator_is_bias(rewriter, bias)) &&
            fb_qoperator_grid(rewriter, node->inputs[0], &x);
    if (*done) {
        quant = fb_qoperator_quant_behind(rewriter, node->outputs[0], &y);
        *done = quant != FB_NONE;
    }
    if (!*done) {
        return FB_OK;
    }
    FbId inputs[9], weight[3], codes = FB_NONE, made = FB_NONE;
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &x, &inputs[0]));
    FB_TRY(fb_qoperator_weight(rewriter, node->inputs[1], false, weight));
    memcpy(&inputs[1], (FbId[]){x.scale, x.zero, weight[0], weight[1], weight[2], y.scale, y.zero, FB_NONE}, 8 * sizeof *inputs);
    if (bias != FB_NONE) {
        FB_TRY(fb_qoperator_bias(rewriter, bias, &inputs[8]));
    }
    const char *base = fb_quantizer_node_name(graph, node);
    FB_TRY(fb_qoperator_value(rewriter, graph->values[node->outputs[0]].name, "_codes", &codes));
    FB_TRY(new_node(rewriter, "QLinearConv", base, inputs, bias != FB_NONE ? 9 : 8, codes, id, &made));
    FbAttribute *attributes = NULL;
    FB_TRY(fb_graph_copy_attributes(graph, node->attributes, node->attribute_count, &attributes, rewriter->err));
    graph->nodes[made]->attributes = attributes;
    graph->nodes[made]->attribute_count = node->attribute_count;
    return fb_qoperator_finish(rewriter, id, quant, codes, &y);
}

static FbStatus rewrite_matmul(FbRewriter *rewriter, FbId id, bool *done)
{
    FbGraph *graph = rewriter->graph;
    const FbNode *node = graph->nodes[id];
    FbQuantizedGrid a, b, y;
    bool coded = fb_qoperator_has_codes(rewriter, node->inputs[1]);
    FbId quant = fb_qoperator_quant_behind(rewriter, node->outputs[0], &y);
    *done = quant != FB_NONE && fb_qoperator_grid(rewriter, node->inputs[0], &a) && (coded || fb_qoperator_grid(rewriter, node->inputs[1], &b));
    if (!*done) {
        return FB_OK;
    }
    FbId inputs[8] = {FB_NONE, a.scale, a.zero, FB_NONE, FB_NONE, FB_NONE, y.scale, y.zero}, codes = FB_NONE, made = FB_NONE;
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &a, &inputs[0]));
    if (coded) {
        FB_TRY(fb_qoperator_weight(rewriter, node->inputs[1], false, &inputs[3]));
    } else {
        FB_TRY(fb_qoperator_codes(rewriter, node->inputs[1], &b, &inputs[3]));
        inputs[4] = b.scale;
        inputs[5] = b.zero;
    }
    FB_TRY(fb_qoperator_value(rewriter, graph->values[node->outputs[0]].name, "_codes", &codes));
    FB_TRY(new_node(rewriter, "QLinearMatMul", fb_quantizer_node_name(graph, node), inputs, 8, codes, id, &made));
    return fb_qoperator_finish(rewriter, id, quant, codes, &y);
}

/* scale[n] of the accumulators: input scale times weight scale, as a constant. */
static FbStatus accumulator_scale(const FbRewriter *rewriter, const char *base, const FbQuantizedGrid *x, const FbConst *weight, FbId *value)
{
    FbShape shape = fb_encoding_scale_shape(weight->encoding, &weight->shape);
    size_t count = (size_t)fb_shape_elements(&shape);
    float *scales = fb_arena_array(rewriter->quantizer->arena, count, sizeof *scales);
    double input = 0;
    if (scales == NULL) {
        return no_memory(rewriter);
    }
    FB_TRY(read_scalar(rewriter, x->scale, &input));
    const float *weight_scales = fb_buffer_data(weight->planes[FB_PLANE_SCALE].buffer);
    for (size_t i = 0; i < count; i++) {
        scales[i] = (float)input * weight_scales[i];
    }
    return add_plane(rewriter, base, "_accumulator_scale", FB_DTYPE_F32, &shape, scales, count * sizeof *scales, value);
}

/* A product whose result is real, or that has a bias: MatMulInteger, integer bias, one factor. */
static FbStatus rewrite_product(FbRewriter *rewriter, FbId id, bool *done)
{
    FbGraph *graph = rewriter->graph;
    const FbNode *node = graph->nodes[id];
    bool gemm = fb_node_is(node, "", "Gemm");
    FbId bias = gemm && node->input_count > 2 ? node->inputs[2] : FB_NONE, result = node->outputs[0];
    const FbAttribute *trans_b = gemm ? fb_node_attribute(node, "transB") : NULL;
    FbQuantizedGrid x;
    *done = fb_qoperator_has_codes(rewriter, node->inputs[1]) && graph->values[node->inputs[1]].constant->shape.rank == 2 &&
            (bias == FB_NONE || fb_qoperator_is_bias(rewriter, bias)) && fb_qoperator_grid(rewriter, node->inputs[0], &x);
    if (!*done) {
        return FB_OK;
    }
    const char *base = fb_quantizer_node_name(graph, node);
    const FbConst *coded = graph->values[node->inputs[1]].constant;
    FbId weight[3], codes = FB_NONE, sum = FB_NONE, real = FB_NONE, scale = FB_NONE, made = FB_NONE;
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &x, &codes));
    FB_TRY(fb_qoperator_weight(rewriter, node->inputs[1], trans_b != NULL && trans_b->i != 0, weight));
    FB_TRY(accumulator_scale(rewriter, base, &x, coded, &scale));
    fb_graph_remove_node(graph, id);
    FbId operands[4] = {codes, weight[0], x.zero, weight[2]};
    FB_TRY(fb_qoperator_value(rewriter, base, "_sums", &sum));
    FB_TRY(new_node(rewriter, "MatMulInteger", base, operands, coded->encoding->has_zero ? 4 : 3, sum, id, &made));
    if (bias != FB_NONE) {
        FbId terms[2] = {sum, FB_NONE};
        FB_TRY(fb_qoperator_bias(rewriter, bias, &terms[1]));
        FB_TRY(fb_qoperator_value(rewriter, base, "_biased", &sum));
        FB_TRY(new_node(rewriter, "Add", base, terms, 2, sum, id, &made));
    }
    FB_TRY(fb_qoperator_value(rewriter, base, "_real", &real));
    FB_TRY(new_node(rewriter, "Cast", base, &sum, 1, real, id, &made));
    FB_TRY(fb_graph_set_attribute_int(graph, made, "to", FB_DTYPE_F32, rewriter->err));
    FbId factors[2] = {real, scale};
    return new_node(rewriter, "Mul", base, factors, 2, result, id, &made);
}

/* Data movement on codes, for operators whose one output has the parameters of the input. */
static FbStatus rewrite_pass(FbRewriter *rewriter, FbId id, bool *done)
{
    static const char *const movers[] = {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"};
    FbGraph *graph = rewriter->graph;
    FbNode *node = graph->nodes[id];
    FbQuantizedGrid x, y;
    *done = false;
    for (size_t i = 0; i < sizeof movers / sizeof movers[0] && !*done; i++) {
        *done = strcmp(movers[i], node->op_type) == 0;
    }
    *done = *done && node->output_count == 1 && fb_qoperator_grid(rewriter, node->inputs[0], &x) &&
            fb_qoperator_quant_behind(rewriter, node->outputs[0], &y) != FB_NONE && x.scale == y.scale && x.zero == y.zero;
    if (!*done) {
        return FB_OK;
    }
    FbId quant = graph->nodes[rewriter->uses.items[rewriter->uses.start[node->outputs[0]]].node]->id;
    FbId from = FB_NONE, codes = FB_NONE, made = FB_NONE;
    if (!is_quant(graph->nodes[quant])) {
        *done = false; /* a clip between: not a mover's business */
        return FB_OK;
    }
    FB_TRY(fb_qoperator_codes(rewriter, node->inputs[0], &x, &from));
    FB_TRY(fb_qoperator_value(rewriter, graph->values[node->outputs[0]].name, "_codes", &codes));
    FbId *inputs = fb_arena_array(rewriter->quantizer->arena, node->input_count, sizeof *inputs);
    if (inputs == NULL) {
        return no_memory(rewriter);
    }
    memcpy(inputs, node->inputs, node->input_count * sizeof *inputs);
    inputs[0] = from;
    FB_TRY(fb_graph_add_node(graph, node->domain, node->op_type, node->version, node->name, inputs, node->input_count, &codes, 1, id, &made,
                             rewriter->err));
    graph->nodes[made]->attributes = node->attributes;
    graph->nodes[made]->attribute_count = node->attribute_count;
    return fb_qoperator_finish(rewriter, id, quant, codes, &y);
}

static FbStatus rewrite_node(FbRewriter *rewriter, FbId id)
{
    FbQuantizer *quantizer = rewriter->quantizer;
    const FbNode *node = rewriter->graph->nodes[id];
    const FbQuantOp *op = fb_quant_op(node);
    bool done = false;
    if (op == NULL || node->removed || node->output_count == 0 || quantizer->reason[id] != NULL || op->role == FB_QUANT_ROLE_TAIL) {
        return FB_OK;
    }
    if (quantizer->recipe->target != FB_TARGET_OPENVINO) {
        FB_TRY(fb_qoperator_microsoft(rewriter, id, &done));
    }
    if (done) {
        return FB_OK;
    }
    if (fb_node_is(node, "", "Conv")) {
        FB_TRY(rewrite_conv(rewriter, id, &done));
    } else if (op->role == FB_QUANT_ROLE_PASS) {
        FB_TRY(rewrite_pass(rewriter, id, &done));
        done = true; /* in float it computes nothing either */
    } else if (fb_node_is(node, "", "MatMul") || fb_node_is(node, "", "Gemm")) {
        if (fb_node_is(node, "", "MatMul")) {
            FB_TRY(rewrite_matmul(rewriter, id, &done));
        }
        if (!done) {
            FB_TRY(rewrite_product(rewriter, id, &done));
        }
    }
    if (!done) {
        quantizer->reason[id] = "QOperator form has no operator for it here";
    }
    return FB_OK;
}

FbStatus fb_quantizer_qoperator(FbQuantizer *quantizer, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FbRewriter rewriter = {.quantizer = quantizer, .graph = graph, .value_count = graph->value_count, .err = err};
    rewriter.codes_of = fb_arena_array(quantizer->arena, graph->value_count + 1, sizeof *rewriter.codes_of);
    rewriter.plain_of = fb_arena_array(quantizer->arena, 3 * graph->value_count + 1, sizeof *rewriter.plain_of);
    FbId *order = NULL;
    size_t count = 0;
    if (rewriter.codes_of == NULL || rewriter.plain_of == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    memset(rewriter.codes_of, 0xFF, (graph->value_count + 1) * sizeof *rewriter.codes_of);
    memset(rewriter.plain_of, 0xFF, (3 * graph->value_count + 1) * sizeof *rewriter.plain_of);
    FB_TRY(fb_graph_uses(graph, quantizer->arena, &rewriter.uses, err));
    FB_TRY(fb_graph_sort(graph, quantizer->arena, &order, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (order[i] < quantizer->node_count) { /* Quants were added behind them */
            FB_TRY(rewrite_node(&rewriter, order[i]));
        }
    }
    return FB_OK;
}
