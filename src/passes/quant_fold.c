/* Folding of QuantizeLinear and DequantizeLinear, see quant_fold.h. What is not folded stays a node and runs as one. */
#include "passes/quant_fold.h"

#include <string.h>

/* What a Q or DQ node says, normalised. */
typedef struct QuantParams {
    int64_t axis, block_size, dtype; /* dtype: output_dtype, 0 when absent */
    FbId scale_id, zero_id;
    FbConst *scale, *zero;
} QuantParams;

static bool is_quant_domain(const FbNode *node)
{
    return node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0;
}

/* False: attributes or inputs that a fold could not carry. */
static bool read_params(const FbGraph *graph, const FbNode *node, QuantParams *params)
{
    *params = (QuantParams){.axis = 1, .zero_id = FB_NONE};
    if (!is_quant_domain(node) || node->input_count < 2 || node->input_count > 3 || node->output_count != 1 || node->inputs[0] == FB_NONE ||
        node->inputs[1] == FB_NONE || node->outputs[0] == FB_NONE) {
        return false;
    }
    for (size_t i = 0; i < node->attribute_count; i++) {
        const FbAttribute *attribute = &node->attributes[i];
        if (attribute->type != FB_ATTR_INT || attribute->reference != NULL) {
            return false;
        }
        if (strcmp(attribute->name, "axis") == 0) {
            params->axis = attribute->i;
        } else if (strcmp(attribute->name, "block_size") == 0) {
            params->block_size = attribute->i;
        } else if (strcmp(attribute->name, "output_dtype") == 0) {
            params->dtype = attribute->i;
        } else if (strcmp(attribute->name, "saturate") == 0 ? attribute->i != 1
                                                             : strcmp(attribute->name, "precision") != 0 || attribute->i != 0) {
            return false;
        }
    }
    params->scale_id = node->inputs[1];
    params->zero_id = node->input_count == 3 ? node->inputs[2] : FB_NONE;
    params->scale = fb_graph_constant(graph, params->scale_id);
    params->zero = params->zero_id == FB_NONE ? NULL : fb_graph_constant(graph, params->zero_id);
    return params->scale != NULL && params->scale->encoding == NULL && params->scale->dtype == FB_DTYPE_F32 &&
           (params->zero_id == FB_NONE || (params->zero != NULL && params->zero->encoding == NULL));
}

static FbStatus same_bytes(const FbPlane *a, const FbPlane *b, bool *same, FbError *err)
{
    uint8_t x[512];
    uint8_t y[512];
    *same = a->bytes == b->bytes;
    if (*same && a->offset == b->offset && a->source == b->source && a->buffer == b->buffer) {
        return FB_OK;
    }
    for (uint64_t done = 0; *same && done < a->bytes; done += sizeof x) {
        size_t part = a->bytes - done < sizeof x ? (size_t)(a->bytes - done) : sizeof x;
        FB_TRY(fb_plane_read(a, done, x, part, err));
        FB_TRY(fb_plane_read(b, done, y, part, err));
        *same = memcmp(x, y, part) == 0;
    }
    return FB_OK;
}

static FbStatus same_const(const FbConst *a, const FbConst *b, bool *same, FbError *err)
{
    *same = a == b;
    if (a == b || a == NULL || b == NULL) {
        return FB_OK;
    }
    *same = a->dtype == b->dtype && fb_shape_equal(&a->shape, &b->shape);
    return *same ? same_bytes(&a->planes[FB_PLANE_CODES], &b->planes[FB_PLANE_CODES], same, err) : FB_OK;
}

/* The element type of the codes that a Q node makes; NONE when its parts disagree or the type has no row of integer codes. */
static FbDtype code_of(const QuantParams *params)
{
    FbDtype dtype = params->zero != NULL ? params->zero->dtype : params->dtype != 0 ? (FbDtype)params->dtype : FB_DTYPE_U8;
    if (params->dtype != 0 && params->dtype != (int64_t)dtype) {
        return FB_DTYPE_NONE;
    }
    FbDtypeKind kind = fb_dtype_info(dtype)->kind;
    bool integer = (kind == FB_KIND_SIGNED || kind == FB_KIND_UNSIGNED) && fb_dtype_bits(dtype) <= 16;
    return integer && fb_code_of_dtype(dtype) != NULL ? dtype : FB_DTYPE_NONE;
}

/* ---- Q then DQ ---- */

typedef struct Fold {
    FbGraph *graph;
    FbUses uses;
    const bool *is_output;
    FbArena *arena;
    FbError *err;
} Fold;

/* Every user of Q's output must be a DQ with the same parameters. */
static FbStatus pairs_up(const Fold *fold, const FbNode *quantize, const QuantParams *params, bool *pairs)
{
    FbGraph *graph = fold->graph;
    FbId codes = quantize->outputs[0];
    uint32_t begin = fold->uses.start[codes];
    uint32_t end = fold->uses.start[codes + 1];
    *pairs = begin < end && !fold->is_output[codes];
    for (uint32_t u = begin; u < end && *pairs; u++) {
        const FbNode *node = graph->nodes[fold->uses.items[u].node];
        QuantParams other;
        if (fold->uses.items[u].index != 0 || !fb_node_is(node, quantize->domain, "DequantizeLinear") ||
            !read_params(graph, node, &other) || other.axis != params->axis || other.block_size != params->block_size ||
            (other.dtype != 0 && other.dtype != FB_DTYPE_F32)) {
            *pairs = false;
            return FB_OK;
        }
        FB_TRY(same_const(params->scale, other.scale, pairs, fold->err));
        if (*pairs) {
            FB_TRY(same_const(params->zero, other.zero, pairs, fold->err));
        }
    }
    return FB_OK;
}

static FbStatus make_quant(const Fold *fold, FbNode *quantize, FbNode *dequantize, const QuantParams *params, FbDtype code)
{
    FbGraph *graph = fold->graph;
    FbId inputs[3] = {quantize->inputs[0], params->scale_id, params->zero_id};
    size_t count = params->zero_id == FB_NONE ? 2 : 3;
    FbId id;
    fb_graph_remove_node(graph, dequantize->id);
    FB_TRY(fb_graph_add_node(graph, "fewbit", "Quant", 1, quantize->name, inputs, count, dequantize->outputs, 1, dequantize->id, &id,
                             fold->err));
    FB_TRY(fb_graph_set_attribute_int(graph, id, "axis", params->axis, fold->err));
    FB_TRY(fb_graph_set_attribute_int(graph, id, "block_size", params->block_size, fold->err));
    FB_TRY(fb_graph_set_attribute_int(graph, id, "code", code, fold->err));
    FB_TRY(fb_graph_set_attribute_int(graph, id, "dtype", FB_DTYPE_F32, fold->err));
    graph->nodes[id]->quantize = quantize;
    graph->nodes[id]->dequantize = dequantize;
    return FB_OK;
}

static FbStatus fold_pair(const Fold *fold, FbNode *quantize)
{
    QuantParams params;
    bool pairs;
    if (!read_params(fold->graph, quantize, &params)) {
        return FB_OK;
    }
    FbDtype code = code_of(&params);
    if (code == FB_DTYPE_NONE) {
        return FB_OK;
    }
    FB_TRY(pairs_up(fold, quantize, &params, &pairs));
    if (!pairs) {
        return FB_OK;
    }
    FbId codes = quantize->outputs[0];
    for (uint32_t u = fold->uses.start[codes]; u < fold->uses.start[codes + 1]; u++) {
        FB_TRY(make_quant(fold, quantize, fold->graph->nodes[fold->uses.items[u].node], &params, code));
    }
    fb_graph_remove_node(fold->graph, quantize->id);
    return FB_OK;
}

/* ---- integer constant then DQ ---- */

/* The encoding that parameters of these shapes mean; false: none of ours. */
static bool encoding_of(const FbConst *codes, const QuantParams *params, FbEncoding *encoding)
{
    const FbShape *shape = &codes->shape;
    int64_t axis = params->axis < 0 ? params->axis + shape->rank : params->axis;
    int64_t scales = fb_shape_elements(&params->scale->shape);
    *encoding = (FbEncoding){.code = fb_code_of_dtype(codes->dtype), .scale = FB_DTYPE_F32, .has_zero = params->zero != NULL};
    if (encoding->code == NULL || codes->dtype == FB_DTYPE_F16 || codes->dtype == FB_DTYPE_BF16) {
        return false;
    }
    if (params->zero != NULL && params->zero->dtype != codes->dtype) {
        return false;
    }
    /* One scale of rank 0 or 1 stands for the whole tensor; ONNX Runtime writes biases with scale [1] and zero point []. */
    if (scales == 1 && params->scale->shape.rank <= 1 && params->block_size == 0) {
        return params->zero == NULL || (fb_shape_elements(&params->zero->shape) == 1 && params->zero->shape.rank <= 1);
    }
    if (params->zero != NULL && !fb_shape_equal(&params->zero->shape, &params->scale->shape)) {
        return false;
    }
    if (axis < 0 || axis >= shape->rank || params->block_size < 0) {
        return false;
    }
    encoding->axis = (int)axis;
    encoding->grain = params->block_size > 0 ? FB_GRAIN_BLOCK : FB_GRAIN_AXIS;
    encoding->block = params->block_size;
    FbShape expected = fb_encoding_scale_shape(encoding, shape);
    return fb_shape_equal(&expected, &params->scale->shape);
}

static void share_plane(FbConst *to, FbPlaneKind kind, const FbConst *from)
{
    FbPlane plane = from->planes[FB_PLANE_CODES];
    fb_buffer_retain(plane.buffer);
    if (plane.source != NULL) {
        fb_source_retain(plane.source);
    }
    to->planes[kind] = plane;
}

static FbStatus fold_constant(const Fold *fold, FbNode *node)
{
    FbGraph *graph = fold->graph;
    QuantParams params;
    FbEncoding encoding;
    if (!read_params(graph, node, &params) || (params.dtype != 0 && params.dtype != FB_DTYPE_F32)) {
        return FB_OK;
    }
    FbConst *codes = fb_graph_constant(graph, node->inputs[0]);
    if (codes == NULL || codes->encoding != NULL || !encoding_of(codes, &params, &encoding) ||
        fold->is_output[node->outputs[0]]) {
        return FB_OK;
    }
    FbConst *constant = fb_graph_new_const(graph);
    FbEncoding *kept = fb_arena_alloc(graph->arena, sizeof *kept);
    if (constant == NULL || kept == NULL) {
        return fb_error_memory(graph->context, fold->err, "a constant", sizeof *constant);
    }
    *kept = encoding;
    constant->dtype = FB_DTYPE_F32;
    constant->shape = codes->shape;
    constant->encoding = kept;
    constant->dequantize = node;
    share_plane(constant, FB_PLANE_CODES, codes);
    share_plane(constant, FB_PLANE_SCALE, params.scale);
    if (params.zero != NULL) {
        share_plane(constant, FB_PLANE_ZERO, params.zero);
    }
    fb_graph_remove_node(graph, node->id);
    FbValue *value = &graph->values[node->outputs[0]];
    value->constant = constant;
    value->dtype = FB_DTYPE_F32;
    if (value->shape.rank < 0) {
        value->shape = constant->shape;
    }
    return FB_OK;
}

static FbStatus fold_graph(FbGraph *graph, FbArena *arena, FbError *err)
{
    Fold fold = {.graph = graph, .arena = arena, .err = err};
    size_t nodes = graph->node_count; /* Quants are added behind */
    FB_TRY(fb_graph_uses(graph, arena, &fold.uses, err));
    FB_TRY(fb_graph_output_flags(graph, arena, &fold.is_output, err));
    for (size_t n = 0; n < nodes; n++) {
        if (!graph->nodes[n]->removed && strcmp(graph->nodes[n]->op_type, "QuantizeLinear") == 0) {
            FB_TRY(fold_pair(&fold, graph->nodes[n]));
        }
    }
    for (size_t n = 0; n < nodes; n++) {
        if (!graph->nodes[n]->removed && strcmp(graph->nodes[n]->op_type, "DequantizeLinear") == 0) {
            FB_TRY(fold_constant(&fold, graph->nodes[n]));
        }
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(fold_graph(graph->subgraphs[i], arena, err)); /* depth is capped by the loader */
    }
    return FB_OK;
}

FbStatus fb_graph_fold_quants(FbGraph *graph, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "folding", 0);
    }
    FbStatus status = fold_graph(graph, arena, err);
    fb_arena_free(arena);
    return status;
}
