/* Dynamic quantization as ONNX Runtime's tools and fewbit's own quantizer write it becomes a product of a dynamic Quant and an encoded constant:
 *
 *   DynamicQuantizeLinear(x) -> codes, s, z;  MatMulInteger | ConvInteger(codes, W, z, W's zero point) -> Cast to float -> Mul by s and W's
 *   scale, in any order and grouping          =>   MatMul | Conv(Quant(x, dynamic), W's real numbers)
 *
 * The nodes in between are left for others that may read them, and go as dead code otherwise. */
#include "passes/expand_node.h"

enum { EXPAND_DEPTH = 32 };

typedef struct Dynamic {
    FbExpand base;
    FbUses uses;      /* as the graph was */
    size_t count;     /* values then */
    FbId *quants;     /* per value: the dynamic Quant of it that this pass made, or FB_NONE */
} Dynamic;

/* The value is a tensor of one scale or several: output 1 of `quantize`, or a constant. */
typedef struct Factors {
    FbId quantize;    /* the DynamicQuantizeLinear node whose scale is among the factors; FB_NONE */
    FbId constant;    /* the constant factor; FB_NONE */
    bool other;       /* something else, or two of one kind */
} Factors;

static const FbNode *producer_of(const FbGraph *graph, FbId value)
{
    FbId node = value == FB_NONE ? FB_NONE : graph->values[value].producer;
    return node == FB_NONE || graph->nodes[node]->removed ? NULL : graph->nodes[node];
}

static bool is_dynamic(const FbNode *node) { return node != NULL && fb_node_is(node, "", "DynamicQuantizeLinear"); }

static void add_leaf(const FbGraph *graph, FbId value, Factors *factors)
{
    const FbNode *node = producer_of(graph, value);
    if (value != FB_NONE && fb_graph_constant(graph, value) != NULL) {
        factors->other = factors->other || factors->constant != FB_NONE;
        factors->constant = value;
    } else if (is_dynamic(node) && node->output_count > 1 && node->outputs[1] == value) {
        factors->other = factors->other || factors->quantize != FB_NONE;
        factors->quantize = node->id;
    } else {
        factors->other = true;
    }
}

/* A factor: a leaf, or the product of two leaves. */
static void add_factor(const FbGraph *graph, FbId value, Factors *factors)
{
    const FbNode *node = producer_of(graph, value);
    if (node != NULL && fb_node_is(node, "", "Mul") && node->input_count == 2) {
        add_leaf(graph, node->inputs[0], factors);
        add_leaf(graph, node->inputs[1], factors);
    } else {
        add_leaf(graph, value, factors);
    }
}

/* The only node that reads the value, if it is of this type; NULL. */
static FbNode *only_reader(const Dynamic *d, FbId value, const char *op_type)
{
    const FbGraph *graph = d->base.graph;
    if (value == FB_NONE || value >= d->count || d->uses.start[value + 1] - d->uses.start[value] != 1) {
        return NULL;
    }
    FbNode *node = graph->nodes[d->uses.items[d->uses.start[value]].node];
    return !node->removed && fb_node_is(node, "", op_type) && node->output_count == 1 ? node : NULL;
}

/* The Mul that ends the pattern behind the integer product, and the factors on the way; NULL: no such pattern. */
static FbNode *find_end(const Dynamic *d, const FbNode *product, Factors *factors)
{
    const FbGraph *graph = d->base.graph;
    FbNode *cast = only_reader(d, product->outputs[0], "Cast");
    const FbAttribute *to = cast != NULL ? fb_node_attribute(cast, "to") : NULL;
    *factors = (Factors){FB_NONE, FB_NONE, false};
    if (to == NULL || to->i != FB_DTYPE_F32) {
        return NULL;
    }
    FbId value = cast->outputs[0];
    for (int i = 0; i < 2; i++) {
        FbNode *mul = only_reader(d, value, "Mul");
        if (mul == NULL || mul->input_count != 2 || mul->inputs[0] == mul->inputs[1]) {
            return NULL;
        }
        add_factor(graph, mul->inputs[mul->inputs[0] == value ? 1 : 0], factors);
        if (factors->other) {
            return NULL;
        }
        if (factors->quantize != FB_NONE && factors->constant != FB_NONE) {
            return mul;
        }
        value = mul->outputs[0];
    }
    return NULL;
}

/* Weight, its scale and zero point as the product has them. The scale of several numbers lies along the product's columns or channels. */
static bool scale_fits(const FbConst *scale, const FbConst *weight, bool conv)
{
    int64_t count = fb_shape_elements(&scale->shape);
    int rank = scale->shape.rank, axis = conv ? rank - (weight->shape.rank - 1) : rank - 1; /* where columns or channels are in it */
    int64_t wanted = weight->shape.dims[conv ? 0 : weight->shape.rank - 1];
    if (count == 1) {
        return rank <= weight->shape.rank; /* more axes would add axes to the result */
    }
    return rank <= weight->shape.rank && axis >= 0 && axis < rank && count == wanted && scale->shape.dims[axis] == wanted;
}

/* A dynamic Quant of x, made when first asked for. */
static FbStatus quantized(Dynamic *d, const FbNode *beside, FbId x, FbId *value)
{
    FbGraph *graph = d->base.graph;
    FbNode *made = NULL;
    if (x < d->count && d->quants[x] != FB_NONE) {
        *value = d->quants[x];
        return FB_OK;
    }
    FB_TRY(fb_expand_value(&d->base, graph->values[x].name, "_quantized", value));
    FB_TRY(fb_expand_emit(&d->base, beside, "Quant", 1, &x, 1, value, &made));
    FB_TRY(fb_graph_set_attribute_int(graph, made->id, "code", FB_DTYPE_U8, d->base.err));
    FB_TRY(fb_graph_set_attribute_int(graph, made->id, "dtype", FB_DTYPE_F32, d->base.err));
    FB_TRY(fb_graph_set_attribute_int(graph, made->id, "dynamic", 1, d->base.err));
    if (x < d->count) {
        d->quants[x] = *value;
    }
    return FB_OK;
}

/* Grid of the weight `codes` from values `scale` and `zero`, through a node that has both as inputs 0 and 1. */
static FbStatus weight_grid(const Dynamic *d, FbId codes, FbId scale, FbId zero, int64_t many, FbExpandGrid *grid, bool *ok)
{
    FbId inputs[2] = {scale, zero};
    FbNode node = {.inputs = inputs, .input_count = 2};
    const FbConst *constant = fb_graph_constant(d->base.graph, codes);
    *ok = false;
    if (constant == NULL || constant->encoding != NULL || constant->shape.rank < 2) {
        return FB_OK;
    }
    FB_TRY(fb_expand_read_grid(&d->base, &node, 0, many, constant->dtype, grid, ok));
    *ok = *ok && grid->code == constant->dtype;
    return FB_OK;
}

static FbStatus expand_product(Dynamic *d, FbNode *product)
{
    FbGraph *graph = d->base.graph;
    bool conv = strcmp(product->op_type, "ConvInteger") == 0, ok;
    Factors factors;
    const FbNode *quantize = producer_of(graph, product->inputs[0]);
    FbId weight = fb_expand_input(product, 1);
    const FbConst *codes = weight == FB_NONE ? NULL : fb_graph_constant(graph, weight);
    FbNode *end = is_dynamic(quantize) && quantize->outputs[0] == product->inputs[0] ? find_end(d, product, &factors) : NULL, *made = NULL;
    if (end == NULL || factors.quantize != quantize->id || codes == NULL || quantize->output_count < 3 || codes->shape.rank < 2 ||
        quantize->outputs[2] == FB_NONE || fb_expand_input(product, 2) != quantize->outputs[2] || quantize->inputs[0] == FB_NONE) {
        return FB_OK;
    }
    int axis = conv ? 0 : codes->shape.rank - 1;
    FbExpandGrid grid;
    const FbConst *scale = fb_graph_constant(graph, factors.constant);
    FB_TRY(weight_grid(d, weight, factors.constant, fb_expand_input(product, 3), codes->shape.dims[axis], &grid, &ok));
    if (!ok || !scale_fits(scale, codes, conv)) {
        return FB_OK;
    }
    FbId inputs[2], output = end->outputs[0];
    FB_TRY(quantized(d, quantize, quantize->inputs[0], &inputs[0]));
    FB_TRY(fb_expand_encoded(&d->base, weight, axis, &grid, &inputs[1]));
    fb_graph_remove_node(graph, end->id);
    FB_TRY(fb_expand_emit(&d->base, end, conv ? "Conv" : "MatMul", FB_EXPAND_VERSION, inputs, 2, &output, &made));
    return conv ? fb_expand_copy_attributes(&d->base, product, made) : FB_OK;
}

/* The product of a dynamic Quant of x with a weight of codes, and a bias (FB_NONE: none), in place of the node. */
static FbStatus replace_fused(Dynamic *d, FbNode *node, FbId x, FbId weight, FbId scale, FbId zero, FbId bias)
{
    FbGraph *graph = d->base.graph;
    FbId output = node->outputs[0], product = FB_NONE;
    const FbConst *codes = weight == FB_NONE ? NULL : fb_graph_constant(graph, weight);
    FbExpandGrid grid;
    bool ok;
    if (codes == NULL || codes->shape.rank < 2 || x == FB_NONE) {
        return FB_OK;
    }
    int axis = codes->shape.rank - 1;
    FB_TRY(weight_grid(d, weight, scale, zero, codes->shape.dims[axis], &grid, &ok));
    if (!ok) {
        return FB_OK;
    }
    FbId inputs[2], terms[2] = {FB_NONE, bias};
    FB_TRY(quantized(d, node, x, &inputs[0]));
    FB_TRY(fb_expand_encoded(&d->base, weight, axis, &grid, &inputs[1]));
    fb_graph_remove_node(graph, node->id);
    if (bias == FB_NONE) {
        return fb_expand_emit(&d->base, node, "MatMul", FB_EXPAND_VERSION, inputs, 2, &output, NULL);
    }
    FB_TRY(fb_expand_emit(&d->base, node, "MatMul", FB_EXPAND_VERSION, inputs, 2, &product, NULL));
    terms[0] = product;
    return fb_expand_emit(&d->base, node, "Add", FB_EXPAND_VERSION, terms, 2, &output, NULL);
}

/* DynamicQuantizeMatMul(x, W, scale, zero point or absent, bias or absent) */
static FbStatus expand_fused(Dynamic *d, FbNode *node)
{
    return replace_fused(d, node, node->inputs[0], fb_expand_input(node, 1), fb_expand_input(node, 2), fb_expand_input(node, 3),
                         fb_expand_input(node, 4));
}

/* MatMulIntegerToFloat(codes, W, s, scale, z, zero point or absent, bias or absent) behind DynamicQuantizeLinear(x) -> codes, s, z */
static FbStatus expand_to_float(Dynamic *d, FbNode *node)
{
    const FbNode *quantize = producer_of(d->base.graph, node->inputs[0]);
    if (!is_dynamic(quantize) || quantize->output_count < 3 || quantize->outputs[0] != node->inputs[0] ||
        fb_expand_input(node, 2) != quantize->outputs[1] || fb_expand_input(node, 4) != quantize->outputs[2] ||
        quantize->outputs[1] == FB_NONE || quantize->outputs[2] == FB_NONE) {
        return FB_OK;
    }
    return replace_fused(d, node, quantize->inputs[0], fb_expand_input(node, 1), fb_expand_input(node, 3), fb_expand_input(node, 5),
                         fb_expand_input(node, 6));
}

static FbStatus expand_graph(FbGraph *graph, FbArena *arena, int depth, FbError *err)
{
    Dynamic d = {.base = {graph, arena, err}, .count = graph->value_count};
    size_t nodes = graph->node_count;
    if (depth > EXPAND_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", EXPAND_DEPTH);
    }
    FB_TRY(fb_graph_uses(graph, arena, &d.uses, err));
    d.quants = fb_arena_array(arena, d.count + 1, sizeof *d.quants);
    if (d.quants == NULL) {
        return fb_error_memory(graph->context, err, "dynamic quantization", d.count);
    }
    memset(d.quants, 0xff, (d.count + 1) * sizeof *d.quants); /* FB_NONE */
    for (size_t n = 0; n < nodes; n++) {
        FbNode *node = graph->nodes[n];
        if (node->removed || node->input_count < 2 || node->output_count == 0 || node->inputs[0] == FB_NONE || node->outputs[0] == FB_NONE) {
            continue;
        }
        if (fb_node_is(node, "", "MatMulInteger") || fb_node_is(node, "", "ConvInteger")) {
            FB_TRY(expand_product(&d, node));
        } else if (fb_node_is(node, "com.microsoft", "DynamicQuantizeMatMul")) {
            FB_TRY(expand_fused(&d, node));
        } else if (fb_node_is(node, "com.microsoft", "MatMulIntegerToFloat")) {
            FB_TRY(expand_to_float(&d, node));
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(expand_graph(graph->subgraphs[g], arena, depth + 1, err));
    }
    return FB_OK;
}

FbStatus fb_pass_expand_dynamic(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    (void)keep; /* every value that the file names stays: only the node that makes the last one changes */
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "dynamic quantization", 0);
    }
    FbStatus status = expand_graph(graph, arena, 0, err);
    fb_arena_free(arena);
    return status;
}
