/* Static activations: places Quants, chooses their ranges from the statistics, encodes weights and biases of integer products. */
#include "quantize/quantizer.h"

#include <math.h>

#include "passes/quant_insert.h"

typedef struct Range { /* of one value that other Quants may share */
    FbId value;
    const FbActivationSpec *spec;
    const FbValueStatistics *statistics;
    float scale;
    int32_t zero;
    FbId scale_value, zero_value; /* once in the graph */
} Range;

typedef struct Plan {
    FbQuantizer *quantizer;
    FbQuantPlacement placement;
    Range *ranges;
    size_t range_count;
    uint32_t *range_index; /* per value id: its range; UINT32_MAX */
    size_t value_count;    /* of the two arrays by value: constants and Quants made later are not in them */
} Plan;

static bool usable(void *user, FbId value)
{
    const FbQuantizer *quantizer = user;
    return fb_statistics_find(quantizer->statistics, quantizer->graph->values[value].name) != NULL;
}

/* Nodes that only move or clip values follow what is around them, unless excluded. */
static bool follows(const FbNode *node)
{
    const FbQuantOp *op = fb_quant_op(node);
    return op != NULL && (op->role == FB_QUANT_ROLE_PASS || op->role == FB_QUANT_ROLE_TAIL);
}

static FbStatus place(Plan *plan, FbError *err)
{
    FbQuantizer *quantizer = plan->quantizer;
    FbQuantPlacement *placement = &plan->placement;
    placement->target = quantizer->recipe->target == FB_TARGET_OPENVINO ? FB_QUANT_FOR_OPENVINO : FB_QUANT_FOR_ONNXRUNTIME;
    placement->usable = usable;
    placement->user = quantizer;
    placement->quantized = fb_arena_array(quantizer->arena, quantizer->node_count + 1, sizeof *placement->quantized);
    if (placement->quantized == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (size_t i = 0; i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        const FbRule *rule = quantizer->rule[id];
        bool wished = rule != NULL && rule->activations.kind == FB_ACTIVATION_STATIC;
        placement->quantized[id] = quantizer->reason[id] == NULL && (wished || (rule == NULL && follows(quantizer->graph->nodes[id])));
    }
    FB_TRY(fb_quant_place(quantizer->graph, quantizer->arena, placement, err));
    for (size_t i = 0; i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        const FbRule *rule = quantizer->rule[id];
        bool other = rule != NULL && rule->activations.kind != FB_ACTIVATION_STATIC;
        if (!placement->quantized[id] && quantizer->reason[id] == NULL && !other) {
            const char *reason = placement->reason[id];
            quantizer->reason[id] = reason != NULL ? reason : "no rule of the recipe covers it";
        }
    }
    return FB_OK;
}

static void choose_ranges(void *arg, size_t slot, size_t begin, size_t end)
{
    const Plan *plan = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        Range *range = &plan->ranges[i];
        const FbObserverSettings *settings = &range->spec->settings;
        double low = 0, high = 0;
        range->spec->observer->range(plan->quantizer->statistics, range->statistics, settings, &low, &high);
        fb_range_to_scale(settings->code, settings->symmetric, low, high, &range->scale, &range->zero);
    }
}

/* Every value that is the root of a Quant gets a range; all of them are searched in parallel. */
static FbStatus find_ranges(Plan *plan, FbError *err)
{
    FbQuantizer *quantizer = plan->quantizer;
    FbGraph *graph = quantizer->graph;
    plan->value_count = graph->value_count;
    plan->ranges = fb_arena_array(quantizer->arena, graph->value_count + 1, sizeof *plan->ranges);
    plan->range_index = fb_arena_array(quantizer->arena, graph->value_count + 1, sizeof *plan->range_index);
    if (plan->ranges == NULL || plan->range_index == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        plan->range_index[v] = UINT32_MAX;
        if (plan->placement.range_of[v] != (FbId)v) {
            continue;
        }
        const FbRule *rule = quantizer->rule[plan->placement.rule_of[v]];
        plan->range_index[v] = (uint32_t)plan->range_count;
        plan->ranges[plan->range_count++] = (Range){.value = (FbId)v, .spec = &rule->activations, .scale_value = FB_NONE,
            .statistics = fb_statistics_find(quantizer->statistics, graph->values[v].name)};
    }
    fb_parallel(quantizer->context, choose_ranges, plan, plan->range_count, 1);
    return FB_OK;
}

static const Range *range_of_input(const Plan *plan, FbId value)
{
    FbId root = value < plan->value_count ? plan->placement.range_of[value] : FB_NONE;
    return root == FB_NONE ? NULL : &plan->ranges[plan->range_index[root]];
}

/* ---- weights and biases ---- */

/* A constant whose only dimension is not 1 counts as a vector. */
static bool as_vector(const FbConst *constant, int64_t *count)
{
    *count = fb_shape_elements(&constant->shape);
    int rank = constant->shape.rank;
    return constant->dtype == FB_DTYPE_F32 && constant->encoding == NULL && rank >= 1 && *count > 0 &&
           constant->shape.dims[rank - 1] == *count;
}

static FbStatus encode_bias(Plan *plan, FbId node, const Range *input, const float *scales, size_t scale_count, FbError *err)
{
    FbQuantizer *quantizer = plan->quantizer;
    FbGraph *graph = quantizer->graph;
    FbId bias = graph->nodes[node]->inputs[2], value = FB_NONE;
    FbConst vector = *fb_graph_constant(graph, bias), *made = NULL;
    vector.shape = fb_shape_make(1, &(int64_t){fb_shape_elements(&vector.shape)});
    FB_TRY(fb_bias_encode(graph, graph->values[bias].name, &vector, input->scale, scales, scale_count, &made, err));
    FB_TRY(fb_quantizer_replace_input(quantizer, node, 2, made, &value, err));
    graph->values[value].shape = made->shape;
    return FB_OK;
}

/* The smallest weight scales at which no bias passes 32 bits (ONNX Runtime raises them in the same case); NULL in *least: all do. */
static FbStatus bias_bounds(FbQuantizer *quantizer, const FbConst *bias, const Range *input, float *scales, size_t scale_count, double **least,
                            FbError *err)
{
    const double largest = 2147483000.0; /* below 2^31 by more than the rounding of the scales */
    size_t count = (size_t)fb_shape_elements(&bias->shape);
    float *values = fb_arena_array(quantizer->arena, count, sizeof *values);
    double *bounds = fb_arena_array(quantizer->arena, scale_count, sizeof *bounds);
    if (values == NULL || bounds == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(fb_const_read_f32(quantizer->context, bias, 0, count, values, err));
    for (size_t c = 0; c < count; c++) {
        size_t s = scale_count > 1 ? c : 0;
        double bound = fabs((double)values[c]) / largest / (double)input->scale;
        bounds[s] = bound > bounds[s] ? bound : bounds[s];
        if ((double)scales[s] < bounds[s]) {
            *least = bounds;
            scales[s] = (float)bounds[s];
        }
    }
    return FB_OK;
}

static FbStatus encode_product(Plan *plan, FbId id, FbError *err)
{
    FbQuantizer *quantizer = plan->quantizer;
    FbGraph *graph = quantizer->graph;
    const FbNode *node = graph->nodes[id];
    const FbRule *rule = quantizer->rule[id];
    const FbQuantOp *op = fb_quant_op(node);
    for (uint32_t i = 0; i < node->input_count && i < 32; i++) {
        const FbConst *weight = node->inputs[i] == FB_NONE ? NULL : fb_graph_constant(graph, node->inputs[i]);
        FbEncoding encoding;
        if ((op->weights >> i & 1) == 0 || weight == NULL || !rule->weights.set || weight->dtype != FB_DTYPE_F32 || weight->encoding != NULL) {
            continue;
        }
        FbWeightSpec spec = rule->weights;
        if (!fb_quantizer_encoding(node, i, &weight->shape, &spec, &encoding)) {
            spec.grain = FB_GRAIN_TENSOR;
            fb_quantizer_encoding(node, i, &weight->shape, &spec, &encoding);
        }
        FbShape scale_shape = fb_encoding_scale_shape(&encoding, &weight->shape);
        size_t scale_count = (size_t)fb_shape_elements(&scale_shape);
        const FbConst *bias = node->input_count > 2 && node->inputs[2] != FB_NONE ? fb_graph_constant(graph, node->inputs[2]) : NULL;
        const Range *input = range_of_input(plan, node->inputs[0]);
        int64_t bias_count = 0;
        double *least = NULL;
        float *scales = fb_arena_array(quantizer->arena, scale_count, sizeof *scales);
        if (scales == NULL) {
            return fb_quantizer_memory(quantizer, err);
        }
        bool with_bias = bias != NULL && i == 1 && input != NULL && spec.symmetric && encoding.grain != FB_GRAIN_BLOCK &&
                         as_vector(bias, &bias_count) && (scale_count == 1 || (size_t)bias_count == scale_count);
        if (with_bias) {
            FB_TRY(fb_weight_scales(graph, graph->values[node->inputs[i]].name, weight, &encoding, spec.symmetric, scales, NULL, err));
            FB_TRY(bias_bounds(quantizer, bias, input, scales, scale_count, &least, err));
        }
        FB_TRY(fb_quantizer_encode_input(quantizer, id, i, &encoding, spec.symmetric, least, err));
        if (with_bias) {
            const FbConst *made = fb_graph_constant(graph, node->inputs[i]);
            FB_TRY(encode_bias(plan, id, input, fb_buffer_data(made->planes[FB_PLANE_SCALE].buffer), scale_count, err));
        }
    }
    return FB_OK;
}

/* ---- Quants ---- */

static FbStatus insert_quants(Plan *plan, FbError *err)
{
    FbQuantizer *quantizer = plan->quantizer;
    FbGraph *graph = quantizer->graph;
    const FbId *range_of = plan->placement.range_of;
    for (size_t i = 0; i < plan->range_count; i++) {
        Range *range = &plan->ranges[i];
        FB_TRY(fb_quant_add_parameters(graph, graph->values[range->value].name, range->spec->settings.code, range->scale, range->zero,
                                       &range->scale_value, &range->zero_value, err));
    }
    for (size_t v = 0; v < plan->value_count; v++) {
        if (range_of[v] == FB_NONE) {
            continue;
        }
        const Range *range = &plan->ranges[plan->range_index[range_of[v]]];
        FbId quantized = FB_NONE;
        FB_TRY(fb_quant_insert(graph, (FbId)v, range->scale_value, range->zero_value, range->spec->settings.code, &quantized, err));
        quantizer->activations_quantized++;
    }
    return FB_OK;
}

FbStatus fb_quantizer_static(FbQuantizer *quantizer, FbError *err)
{
    Plan plan = {.quantizer = quantizer};
    FB_TRY(place(&plan, err));
    FB_TRY(find_ranges(&plan, err));
    fb_progress_begin(quantizer->context, "weights", quantizer->order_count);
    FbStatus status = FB_OK;
    for (size_t i = 0; status == FB_OK && i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        const FbQuantOp *op = fb_quant_op(quantizer->graph->nodes[id]);
        if (plan.placement.quantized[id] && op->role == FB_QUANT_ROLE_PRODUCT) {
            status = fb_check_cancel(quantizer->context, err);
            status = status == FB_OK ? encode_product(&plan, id, err) : status;
        }
        fb_progress_step(quantizer->context, i + 1);
    }
    fb_progress_end(quantizer->context);
    return status == FB_OK ? insert_quants(&plan, err) : status;
}
