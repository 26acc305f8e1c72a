/* Quants and encoded constants back into ONNX nodes, see quant_fold.h. Names follow ONNX Runtime's quantizer, so that its tools and
 * OpenVINO's recognise them. */
#include <string.h>

#include "graph/name_table.h"
#include "passes/quant_fold.h"
#include "passes/upgrade_opset.h"

typedef struct Unfold {
    FbModel *model;
    FbGraph *graph;
    FbArena *arena;      /* of this run */
    FbId *made;          /* per value: the last Q node made for it, or FB_NONE */
    size_t made_count;
    int64_t *first_use;  /* per value: the order key of its first user */
    FbError *err;
} Unfold;

static FbStatus no_memory(const Unfold *unfold, const char *what)
{
    return fb_error_memory(unfold->graph->context, unfold->err, what, 0);
}

/* ---- what the file's operator set must be ---- */

static int64_t opset_of_code(FbDtype code, bool per_axis, bool blocks)
{
    switch (code) {
    case FB_DTYPE_U2:
    case FB_DTYPE_S2:
        return 25;
    case FB_DTYPE_F4E2M1:
        return 23;
    case FB_DTYPE_U4:
    case FB_DTYPE_S4:
    case FB_DTYPE_U16:
    case FB_DTYPE_S16:
        return 21;
    case FB_DTYPE_F8E4M3FN:
    case FB_DTYPE_F8E4M3FNUZ:
    case FB_DTYPE_F8E5M2:
    case FB_DTYPE_F8E5M2FNUZ:
        return blocks ? 21 : 19;
    default:
        return blocks ? 21 : per_axis ? 13 : 10;
    }
}

static bool is_half(const FbConst *constant)
{
    return constant->encoding != NULL && (constant->encoding->code->storage == FB_DTYPE_F16 || constant->encoding->code->storage == FB_DTYPE_BF16);
}

static int64_t attribute_int(const FbNode *node, const char *name, int64_t fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_INT ? attribute->i : fallback;
}

static bool is_quant(const FbNode *node)
{
    return !node->removed && fb_node_is(node, "fewbit", "Quant");
}

static bool is_made_weight(const FbValue *value)
{
    return value->constant != NULL && value->constant->encoding != NULL && value->constant->dequantize == NULL && value->outer == FB_NONE;
}

/* The lowest operator set that what fewbit made needs; 0: it made nothing. */
static int64_t needed_opset(const FbGraph *graph)
{
    int64_t needed = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        if (is_quant(node) && node->quantize == NULL) {
            const FbConst *scale = fb_graph_constant(graph, node->inputs[1]);
            int64_t opset = opset_of_code((FbDtype)attribute_int(node, "code", FB_DTYPE_U8), scale != NULL && scale->shape.rank > 0,
                                          attribute_int(node, "block_size", 0) > 0);
            needed = opset > needed ? opset : needed;
        }
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        if (is_made_weight(&graph->values[v])) {
            const FbEncoding *encoding = graph->values[v].constant->encoding;
            int64_t opset = is_half(graph->values[v].constant)
                                ? (encoding->code->storage == FB_DTYPE_BF16 ? 13 : 6)
                                : opset_of_code(encoding->code->storage, encoding->grain == FB_GRAIN_AXIS, encoding->grain == FB_GRAIN_BLOCK);
            needed = opset > needed ? opset : needed;
        }
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        int64_t inner = needed_opset(graph->subgraphs[i]);
        needed = inner > needed ? inner : needed;
    }
    return needed;
}

/* ---- names ---- */

/* `<base>_<suffix>`, or with a number behind when a value has that name; NULL: no memory. */
static const char *free_name(const Unfold *unfold, const char *base, const char *suffix)
{
    char *name = fb_arena_printf(unfold->arena, "%s_%s", base, suffix);
    return name == NULL ? NULL : fb_graph_unique_name(unfold->graph, name);
}

/* The names of a node and of its output, `<base>_<kind>` and `<base>_<kind>_Output`. */
typedef struct NodeNames { const char *node, *output; } NodeNames;

static bool node_names(const Unfold *unfold, const char *base, const char *kind, NodeNames *names)
{
    FbArena *arena = unfold->graph->arena;
    for (unsigned k = 0;; k++) {
        names->node = k == 0 ? fb_arena_printf(arena, "%s_%s", base, kind) : fb_arena_printf(arena, "%s_%s_%u", base, kind, k);
        names->output = names->node == NULL ? NULL : fb_arena_printf(arena, "%s_Output", names->node);
        if (names->output == NULL || fb_graph_find_value(unfold->graph, names->output) == FB_NONE) {
            return names->output != NULL;
        }
    }
}

static bool has_fixed_name(const FbGraph *graph, FbId value)
{
    return fb_graph_is_output(graph, value) || graph->values[value].is_input;
}

/* ---- constants ---- */

/* A new initializer with the bytes of `plane`; the plane's references are shared. */
static FbStatus add_plane(const Unfold *unfold, const char *name, const FbPlane *plane, FbDtype dtype, const FbShape *shape, FbId *value)
{
    FbGraph *graph = unfold->graph;
    FbConst *constant = fb_graph_new_const(graph);
    if (name == NULL || constant == NULL) {
        return no_memory(unfold, "a constant");
    }
    constant->dtype = dtype;
    constant->shape = *shape;
    constant->planes[FB_PLANE_CODES] = *plane;
    fb_buffer_retain(plane->buffer);
    if (plane->source != NULL) {
        fb_source_retain(plane->source);
    }
    FB_TRY(fb_graph_add_value(graph, name, value, unfold->err));
    return fb_graph_set_initializer(graph, *value, constant, unfold->err);
}

static FbStatus add_zeros(const Unfold *unfold, const char *name, FbDtype dtype, const FbShape *shape, FbId *value)
{
    uint64_t bytes;
    int64_t elements = fb_shape_elements(shape);
    if (elements < 0 || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes)) {
        return fb_error_set(unfold->err, FB_ERR_INTERNAL, "zero points without a size");
    }
    FbPlane plane = {.buffer = fb_buffer_create(unfold->graph->context, (size_t)bytes), .bytes = bytes};
    if (plane.buffer == NULL) {
        return no_memory(unfold, "zero points");
    }
    memset(fb_buffer_data(plane.buffer), 0, (size_t)bytes);
    FbStatus status = add_plane(unfold, name, &plane, dtype, shape, value);
    fb_buffer_release(plane.buffer);
    return status;
}

/* DequantizeLinear's output has the type of its scale, so scales of other types are written as the f32 values they stand for. */
static FbStatus add_scale(const Unfold *unfold, const char *name, const FbConst *constant, const FbShape *shape, FbId *value)
{
    const FbPlane *plane = &constant->planes[FB_PLANE_SCALE];
    if (constant->encoding->scale == FB_DTYPE_F32) {
        return add_plane(unfold, name, plane, FB_DTYPE_F32, shape, value);
    }
    FbConst stored = {.dtype = constant->encoding->scale, .shape = *shape};
    stored.planes[FB_PLANE_CODES] = *plane;
    size_t count = (size_t)fb_shape_elements(shape);
    FbPlane decoded = {.buffer = fb_buffer_create(unfold->graph->context, count * sizeof(float)), .bytes = count * sizeof(float)};
    if (decoded.buffer == NULL) {
        return no_memory(unfold, "scales");
    }
    FbStatus status = fb_const_read_f32(unfold->graph->context, &stored, 0, count, fb_buffer_data(decoded.buffer), unfold->err);
    if (status == FB_OK) {
        status = add_plane(unfold, name, &decoded, FB_DTYPE_F32, shape, value);
    }
    fb_buffer_release(decoded.buffer);
    return status;
}

/* ---- nodes that were folded ---- */

static FbStatus restore_quant(const Unfold *unfold, FbNode *quant, bool *restored)
{
    FbGraph *graph = unfold->graph;
    FbNode *quantize = quant->quantize;
    FbNode *dequantize = quant->dequantize;
    FbId zero = quant->input_count > 2 ? quant->inputs[2] : FB_NONE;
    bool same = quantize->inputs[1] == quant->inputs[1] && (quantize->input_count > 2 ? quantize->inputs[2] : FB_NONE) == zero;
    /* New parameters, or a Q that came back for another input: such a Quant is written as one of ours. */
    *restored = same && (quantize->removed || quantize->inputs[0] == quant->inputs[0]);
    if (!*restored) {
        return FB_OK;
    }
    fb_graph_remove_node(graph, quant->id);
    if (quantize->removed) {
        fb_graph_set_input(graph, quantize->id, 0, quant->inputs[0]);
        fb_graph_restore_node(graph, quantize->id);
    }
    dequantize->outputs[0] = quant->outputs[0];
    fb_graph_restore_node(graph, dequantize->id);
    return FB_OK;
}

static void restore_weight(const Unfold *unfold, FbId id)
{
    FbValue *value = &unfold->graph->values[id];
    FbNode *node = value->constant->dequantize;
    value->constant = NULL;
    node->outputs[0] = id;
    fb_graph_restore_node(unfold->graph, node->id);
}

/* ---- nodes for Quants that fewbit made ---- */

static FbStatus copy_quant_attributes(const Unfold *unfold, const FbNode *quant, FbId to)
{
    FbGraph *graph = unfold->graph;
    const FbConst *scale = fb_graph_constant(graph, quant->inputs[1]);
    if (scale != NULL && scale->shape.rank > 0) {
        FB_TRY(fb_graph_set_attribute_int(graph, to, "axis", attribute_int(quant, "axis", 1), unfold->err));
    }
    int64_t block = attribute_int(quant, "block_size", 0);
    return block > 0 ? fb_graph_set_attribute_int(graph, to, "block_size", block, unfold->err) : FB_OK;
}

/* The Q node made before for the same value with the same parameters, or FB_NONE. */
static FbId shared_q(const Unfold *unfold, const FbNode *quant, FbId zero)
{
    FbId id = quant->inputs[0] < unfold->made_count ? unfold->made[quant->inputs[0]] : FB_NONE;
    if (id == FB_NONE) {
        return FB_NONE;
    }
    const FbNode *q = unfold->graph->nodes[id];
    bool same = q->inputs[1] == quant->inputs[1] && (zero == FB_NONE || q->inputs[2] == zero) &&
                attribute_int(q, "axis", 1) == attribute_int(quant, "axis", 1) &&
                attribute_int(q, "block_size", 0) == attribute_int(quant, "block_size", 0);
    return same ? id : FB_NONE;
}

static FbStatus make_q(const Unfold *unfold, const FbNode *quant, const char *base, FbId zero, int version, FbId *q)
{
    FbGraph *graph = unfold->graph;
    NodeNames names;
    FbId codes;
    const FbConst *scale = fb_graph_constant(graph, quant->inputs[1]);
    if (scale == NULL) {
        return fb_error_set(unfold->err, FB_ERR_INTERNAL, "the scale of '%.96s' is not a constant", base);
    }
    if (zero == FB_NONE) {
        FB_TRY(add_zeros(unfold, free_name(unfold, base, "zero_point"), (FbDtype)attribute_int(quant, "code", FB_DTYPE_U8), &scale->shape,
                         &zero));
    }
    if (!node_names(unfold, base, "QuantizeLinear", &names)) {
        return no_memory(unfold, "a name");
    }
    FB_TRY(fb_graph_add_value(graph, names.output, &codes, unfold->err));
    FbId inputs[3] = {quant->inputs[0], quant->inputs[1], zero};
    FB_TRY(fb_graph_add_node(graph, "", "QuantizeLinear", version, names.node, inputs, 3, &codes, 1, quant->id, q, unfold->err));
    if (quant->inputs[0] < unfold->made_count) {
        unfold->made[quant->inputs[0]] = *q;
    }
    return copy_quant_attributes(unfold, quant, *q);
}

static FbStatus expand_quant(const Unfold *unfold, FbNode *quant)
{
    FbGraph *graph = unfold->graph;
    FbId zero = quant->input_count > 2 ? quant->inputs[2] : FB_NONE;
    FbId output = quant->outputs[0];
    const char *base = fb_graph_value_name(graph, has_fixed_name(graph, output) ? output : quant->inputs[0]);
    int version = (int)fb_model_opset(unfold->model, "");
    NodeNames names;
    FbId q = shared_q(unfold, quant, zero);
    FbId dq;
    if (q == FB_NONE) {
        FB_TRY(make_q(unfold, quant, base, zero, version, &q));
    }
    fb_graph_remove_node(graph, quant->id);
    if (!node_names(unfold, base, "DequantizeLinear", &names)) {
        return no_memory(unfold, "a name");
    }
    if (!has_fixed_name(graph, output) && strcmp(graph->values[output].name, names.output) != 0) {
        FB_TRY(fb_graph_rename_value(graph, output, names.output, unfold->err));
    }
    FbId inputs[3] = {graph->nodes[q]->outputs[0], graph->nodes[q]->inputs[1], graph->nodes[q]->inputs[2]};
    FB_TRY(fb_graph_add_node(graph, "", "DequantizeLinear", version, names.node, inputs, 3, &output, 1, quant->id, &dq, unfold->err));
    return copy_quant_attributes(unfold, quant, dq);
}

/* ---- nodes for weights that fewbit encoded ---- */

/* The value stops being a constant; its name is free for others. */
static FbStatus free_weight_value(const Unfold *unfold, FbId id, const char *output)
{
    FbGraph *graph = unfold->graph;
    FbValue *value = &graph->values[id];
    if (value->producer != FB_NONE) {
        fb_graph_remove_node(graph, value->producer); /* the Constant node that held it */
    }
    fb_graph_drop_initializer(graph, id);
    value->constant = NULL;
    value->type_raw = (FbBytes){NULL, 0};
    return has_fixed_name(graph, id) ? FB_OK : fb_graph_rename_value(graph, id, output, unfold->err);
}

/* Half-precision weights: the stored type and a Cast. */
static FbStatus expand_half(const Unfold *unfold, FbId id, const FbConst *constant, const char *base)
{
    FbGraph *graph = unfold->graph;
    FbDtype dtype = constant->encoding->code->storage;
    FbId stored;
    FbId cast;
    NodeNames names;
    if (!node_names(unfold, base, "Cast", &names)) {
        return no_memory(unfold, "a name");
    }
    FB_TRY(free_weight_value(unfold, id, names.output));
    FB_TRY(add_plane(unfold, free_name(unfold, base, dtype == FB_DTYPE_F16 ? "float16" : "bfloat16"), &constant->planes[FB_PLANE_CODES], dtype,
                     &constant->shape, &stored));
    FB_TRY(fb_graph_add_node(graph, "", "Cast", (int)fb_model_opset(unfold->model, ""), names.node, &stored, 1, &id, 1, FB_NONE, &cast,
                             unfold->err));
    graph->nodes[cast]->order = unfold->first_use[id];
    return fb_graph_set_attribute_int(graph, cast, "to", FB_DTYPE_F32, unfold->err);
}

static FbStatus expand_weight(const Unfold *unfold, FbId id)
{
    FbGraph *graph = unfold->graph;
    const FbConst *constant = graph->values[id].constant;
    const FbEncoding *encoding = constant->encoding;
    const char *base = graph->values[id].name;
    FbDtype storage = encoding->code->storage;
    if (is_half(constant)) {
        return expand_half(unfold, id, constant, base);
    }
    if (encoding->code->levels != NULL || encoding->blocks != NULL) {
        return fb_error_set(unfold->err, FB_ERR_UNSUPPORTED, "weight '%.96s': ONNX has no %s codes", base, encoding->code->name);
    }
    FbShape scales = fb_encoding_scale_shape(encoding, &constant->shape);
    NodeNames names;
    FbId inputs[3];
    FbId dq;
    if (!node_names(unfold, base, "DequantizeLinear", &names)) {
        return no_memory(unfold, "a name");
    }
    FB_TRY(free_weight_value(unfold, id, names.output));
    FB_TRY(add_plane(unfold, free_name(unfold, base, "quantized"), &constant->planes[FB_PLANE_CODES], storage, &constant->shape, &inputs[0]));
    FB_TRY(add_scale(unfold, free_name(unfold, base, "scale"), constant, &scales, &inputs[1]));
    const char *zero_name = free_name(unfold, base, "zero_point");
    if (encoding->has_zero) {
        FB_TRY(add_plane(unfold, zero_name, &constant->planes[FB_PLANE_ZERO], storage, &scales, &inputs[2]));
    } else {
        FB_TRY(add_zeros(unfold, zero_name, storage, &scales, &inputs[2]));
    }
    FB_TRY(fb_graph_add_node(graph, "", "DequantizeLinear", (int)fb_model_opset(unfold->model, ""), names.node, inputs, 3, &id, 1, FB_NONE,
                             &dq, unfold->err));
    graph->nodes[dq]->order = unfold->first_use[id];
    if (encoding->grain != FB_GRAIN_TENSOR) {
        FB_TRY(fb_graph_set_attribute_int(graph, dq, "axis", encoding->axis, unfold->err));
    }
    return encoding->grain == FB_GRAIN_BLOCK ? fb_graph_set_attribute_int(graph, dq, "block_size", encoding->block, unfold->err) : FB_OK;
}

/* ---- the graph ---- */

static FbStatus start(Unfold *unfold)
{
    FbGraph *graph = unfold->graph;
    FbUses uses;
    FB_TRY(fb_graph_uses(graph, unfold->arena, &uses, unfold->err));
    unfold->made_count = graph->value_count;
    unfold->made = fb_arena_array(unfold->arena, graph->value_count, sizeof *unfold->made);
    unfold->first_use = fb_arena_array(unfold->arena, graph->value_count, sizeof *unfold->first_use);
    if (unfold->made == NULL || unfold->first_use == NULL) {
        return no_memory(unfold, "unfolding");
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        unfold->made[v] = FB_NONE;
        unfold->first_use[v] = graph->next_order;
        for (uint32_t u = uses.start[v]; u < uses.start[v + 1]; u++) {
            int64_t order = graph->nodes[uses.items[u].node]->order;
            unfold->first_use[v] = order < unfold->first_use[v] ? order : unfold->first_use[v];
        }
    }
    return FB_OK;
}

/* ONNX Runtime refuses two nodes of one name: nodes made by fewbit step aside. Files keep the names that they came with. */
static FbStatus name_nodes(const Unfold *unfold)
{
    FbGraph *graph = unfold->graph;
    FbNameTable *names = fb_name_table_create(graph->context);
    bool ok = names != NULL;
    for (FbId n = 0; ok && n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        const char *base = node->name;
        if (node->removed || base[0] == '\0') {
            continue;
        }
        for (unsigned k = 1; ok && n >= graph->read_count && fb_name_table_find(names, node->name) != FB_NONE; k++) {
            node->name = fb_arena_printf(graph->arena, "%s_%u", base, k);
            ok = node->name != NULL;
        }
        if (ok && fb_name_table_find(names, node->name) == FB_NONE) {
            ok = fb_name_table_add(names, node->name, n);
        }
    }
    fb_name_table_free(names);
    return ok ? FB_OK : no_memory(unfold, "names");
}

static FbStatus unfold_graph(FbModel *model, FbGraph *graph, FbArena *arena, FbError *err)
{
    Unfold unfold = {.model = model, .graph = graph, .arena = arena, .err = err};
    size_t nodes = graph->node_count;
    size_t values = graph->value_count;
    FB_TRY(start(&unfold));
    for (size_t n = 0; n < nodes; n++) {
        FbNode *node = graph->nodes[n];
        bool restored = false;
        if (is_quant(node) && node->quantize != NULL) {
            FB_TRY(restore_quant(&unfold, node, &restored));
        }
        if (is_quant(node) && !restored) {
            FB_TRY(expand_quant(&unfold, node));
        }
    }
    for (FbId v = 0; v < values; v++) {
        const FbValue *value = &graph->values[v];
        if (value->constant == NULL || value->constant->encoding == NULL || value->outer != FB_NONE) {
            continue;
        }
        if (value->constant->dequantize != NULL) {
            restore_weight(&unfold, v);
        } else {
            FB_TRY(expand_weight(&unfold, v));
        }
    }
    FB_TRY(name_nodes(&unfold));
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(unfold_graph(model, graph->subgraphs[i], arena, err)); /* depth is capped by the loader */
    }
    return FB_OK;
}

FbStatus fb_model_unfold_quants(FbModel *model, FbError *err)
{
    int64_t needed = needed_opset(model->graph);
    if (needed > fb_model_opset(model, "")) {
        FB_TRY(fb_model_upgrade_opset(model, needed, err));
    }
    if (needed > 0) {
        fb_model_raise_ir(model);
    }
    FbArena *arena = fb_arena_create(model->context);
    if (arena == NULL) {
        return fb_error_memory(model->context, err, "unfolding", 0);
    }
    FbStatus status = unfold_graph(model, model->graph, arena, err);
    fb_arena_free(arena);
    return status;
}
