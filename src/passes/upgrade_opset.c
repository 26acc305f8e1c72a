/* Rewrites a model for a newer ONNX operator set, see upgrade_opset.h. One row per operator and the version that changed it; source: the
 * change log of the ONNX operators. Operators without a row only gained types or attributes whose defaults keep the old meaning. */
#include "passes/upgrade_opset.h"

#include <string.h>

#include "base/text.h"

enum { OLDEST = 7 }; /* before it arithmetic broadcast by attribute */

typedef struct Upgrade {
    FbGraph *graph;
    FbNode *node;
    int64_t to; /* the model's new version */
    FbError *err;
} Upgrade;

static FbStatus cannot(const Upgrade *up, const char *why)
{
    char name[96];
    return fb_error_set(up->err, FB_ERR_UNSUPPORTED, "node '%s' (%s): cannot be rewritten for operator set %lld: %s",
                        fb_escape(up->node->name, name, sizeof name), up->node->op_type, (long long)up->to, why);
}

static FbStatus no_memory(const Upgrade *up)
{
    return fb_error_memory(up->graph->context, up->err, "rewriting a node", 0);
}

/* ---- small tools ---- */

/* A name for something that belongs to the node: after its first output, which is unique. */
static const char *part_name(const Upgrade *up, const char *suffix)
{
    FbGraph *graph = up->graph;
    const char *base = up->node->output_count > 0 && up->node->outputs[0] != FB_NONE ? graph->values[up->node->outputs[0]].name : "node";
    char *name = fb_arena_printf(graph->arena, "%s_%s", base, suffix);
    return name == NULL ? NULL : fb_graph_unique_name(graph, name);
}

static FbStatus add_tensor(const Upgrade *up, const char *suffix, FbDtype dtype, const void *data, int rank, size_t count, FbId *value)
{
    const char *name = part_name(up, suffix);
    if (name == NULL) {
        return no_memory(up);
    }
    size_t bytes = count * (size_t)fb_dtype_bits(dtype) / 8;
    FbTensor tensor = {.dtype = dtype, .rank = rank, .dims = {(int64_t)count}, .data = (void *)(uintptr_t)data, .bytes = bytes};
    return fb_graph_add_constant(up->graph, name, &tensor, value, up->err);
}

/* Puts `value` at input `index`, growing the list with absent inputs. */
static FbStatus put_input(const Upgrade *up, size_t index, FbId value)
{
    FbId list[8];
    size_t count = up->node->input_count;
    if (count > 8 || index >= 8) {
        return cannot(up, "too many inputs");
    }
    for (size_t i = 0; i < 8; i++) {
        list[i] = i < count ? up->node->inputs[i] : FB_NONE;
    }
    list[index] = value;
    count = index >= count ? index + 1 : count;
    return fb_graph_set_inputs(up->graph, up->node->id, list, count, up->err);
}

/* An ints attribute becomes input `index`; absent: nothing happens. */
static FbStatus ints_to_input(const Upgrade *up, const char *name, size_t index)
{
    const FbAttribute *attribute = fb_node_attribute(up->node, name);
    FbId value;
    if (attribute == NULL) {
        return FB_OK;
    }
    if (attribute->type != FB_ATTR_INTS || attribute->reference != NULL) {
        return cannot(up, "an attribute of another kind");
    }
    FB_TRY(add_tensor(up, name, FB_DTYPE_S64, attribute->ints, 1, attribute->count, &value));
    fb_graph_drop_attribute(up->graph, up->node->id, name);
    return put_input(up, index, value);
}

/* The element type of the node's first input as far as declared; F32 otherwise, because the attribute forms were made for it. */
static FbDtype input_dtype(const Upgrade *up)
{
    FbDtype dtype = up->node->input_count > 0 && up->node->inputs[0] != FB_NONE ? up->graph->values[up->node->inputs[0]].dtype : FB_DTYPE_NONE;
    return dtype == FB_DTYPE_NONE ? FB_DTYPE_F32 : dtype;
}

/* A float attribute becomes a scalar input of the first input's type. */
static FbStatus float_to_input(const Upgrade *up, const char *name, size_t index)
{
    const FbAttribute *attribute = fb_node_attribute(up->node, name);
    FbId value;
    if (attribute == NULL) {
        return FB_OK;
    }
    if (attribute->type != FB_ATTR_FLOAT || attribute->reference != NULL) {
        return cannot(up, "an attribute of another kind");
    }
    uint8_t scalar[8];
    FbDtype dtype = input_dtype(up);
    double wide = attribute->f;
    if (dtype == FB_DTYPE_F64) {
        memcpy(scalar, &wide, sizeof wide);
    } else if (dtype == FB_DTYPE_F32 || dtype == FB_DTYPE_F16) {
        fb_encode_f32(dtype, &attribute->f, scalar, 0, 1);
    } else {
        return cannot(up, "its input is not a float tensor");
    }
    FB_TRY(add_tensor(up, name, dtype, scalar, 0, 1, &value));
    fb_graph_drop_attribute(up->graph, up->node->id, name);
    return put_input(up, index, value);
}

static int64_t int_attribute(const FbNode *node, const char *name, int64_t fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_INT ? attribute->i : fallback;
}

static bool string_is(const FbNode *node, const char *name, const char *text)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL && attribute->type == FB_ATTR_STRING && attribute->s.count == strlen(text) &&
           memcmp(attribute->s.data, text, attribute->s.count) == 0;
}

static FbStatus rename_operator(const Upgrade *up, const char *op_type)
{
    up->node->op_type = fb_arena_strdup(up->graph->arena, op_type);
    return up->node->op_type == NULL ? no_memory(up) : FB_OK;
}

/* ---- one function per change ---- */

static FbStatus axes_at_1(const Upgrade *up) { return ints_to_input(up, "axes", 1); }

static FbStatus slice_10(const Upgrade *up)
{
    FB_TRY(ints_to_input(up, "starts", 1));
    FB_TRY(ints_to_input(up, "ends", 2));
    return ints_to_input(up, "axes", 3);
}

static FbStatus clip_11(const Upgrade *up)
{
    FB_TRY(float_to_input(up, "min", 1));
    return float_to_input(up, "max", 2);
}

static FbStatus pad_11(const Upgrade *up)
{
    FB_TRY(ints_to_input(up, "pads", 1));
    return float_to_input(up, "value", 2);
}

static FbStatus dropout_12(const Upgrade *up)
{
    const FbAttribute *ratio = fb_node_attribute(up->node, "ratio");
    FbId value;
    if (ratio == NULL || ratio->type != FB_ATTR_FLOAT) {
        return FB_OK;
    }
    FB_TRY(add_tensor(up, "ratio", FB_DTYPE_F32, &ratio->f, 0, 1, &value));
    fb_graph_drop_attribute(up->graph, up->node->id, "ratio");
    return put_input(up, 1, value);
}

static FbStatus batch_norm_9(const Upgrade *up)
{
    if (int_attribute(up->node, "spatial", 1) != 1) {
        return cannot(up, "statistics per pixel (spatial = 0) are gone");
    }
    fb_graph_drop_attribute(up->graph, up->node->id, "spatial");
    return FB_OK;
}

static FbStatus batch_norm_14(const Upgrade *up)
{
    FbUses uses;
    FbArena *arena = fb_arena_create(up->graph->context);
    FbStatus status = arena == NULL ? no_memory(up) : fb_graph_uses(up->graph, arena, &uses, up->err);
    for (uint32_t i = 1; i < up->node->output_count && status == FB_OK; i++) {
        FbId id = up->node->outputs[i];
        if (id != FB_NONE && (uses.start[id] != uses.start[id + 1] || fb_graph_is_output(up->graph, id))) {
            status = cannot(up, "its training outputs are used");
        } else if (id != FB_NONE) {
            up->graph->values[id].producer = FB_NONE;
        }
    }
    fb_arena_free(arena);
    up->node->output_count = up->node->output_count > 0 ? 1 : 0;
    return status;
}

/* The rank of a value as far as it can be told without operator knowledge; -1. */
static int known_rank(const FbGraph *graph, FbId id)
{
    const FbValue *value = &graph->values[id];
    if (value->shape.rank >= 0 || value->producer == FB_NONE) {
        return value->shape.rank;
    }
    const FbNode *node = graph->nodes[value->producer];
    if (fb_node_is(node, "", "Gemm") || fb_node_is(node, "", "Flatten")) {
        return 2;
    }
    const FbConst *shape = fb_node_is(node, "", "Reshape") && node->input_count == 2 && node->inputs[1] != FB_NONE
                               ? fb_graph_constant(graph, node->inputs[1])
                               : NULL;
    return shape != NULL && shape->shape.rank == 1 ? (int)shape->shape.dims[0] : -1;
}

static FbStatus add_step(const Upgrade *up, const char *op_type, const FbId *inputs, size_t count, const char *suffix, FbId *output, FbId *id)
{
    const char *name = part_name(up, suffix);
    if (name == NULL) {
        return no_memory(up);
    }
    if (*output == FB_NONE) {
        FB_TRY(fb_graph_add_value(up->graph, name, output, up->err));
    }
    return fb_graph_add_node(up->graph, "", op_type, (int)up->to, name, inputs, count, output, 1, up->node->id, id, up->err);
}

/* Before 13 the axis split the shape into a matrix whose rows were normalised; since 13 only the axis itself is. Equal for the last axis,
 * otherwise the matrix is made: Flatten, Softmax, Reshape back. */
static FbStatus softmax_13(const Upgrade *up)
{
    FbGraph *graph = up->graph;
    FbNode *node = up->node;
    int64_t axis = int_attribute(node, "axis", 1);
    int rank = known_rank(graph, node->inputs[0]);
    if (axis == -1 || (rank > 0 && axis == rank - 1)) {
        return fb_graph_set_attribute_int(graph, node->id, "axis", -1, up->err);
    }
    FbId input = node->inputs[0];
    FbId output = node->outputs[0];
    FbId shape = FB_NONE;
    FbId matrix = FB_NONE;
    FbId rows;
    FbId id;
    const char *name = part_name(up, "rows");
    FB_TRY(add_step(up, "Shape", &input, 1, "shape", &shape, &id));
    FB_TRY(add_step(up, "Flatten", &input, 1, "matrix", &matrix, &id));
    FB_TRY(fb_graph_set_attribute_int(graph, id, "axis", axis, up->err));
    if (name == NULL) {
        return no_memory(up);
    }
    FB_TRY(fb_graph_add_value(graph, name, &rows, up->err));
    fb_graph_set_input(graph, node->id, 0, matrix);
    graph->values[output].producer = FB_NONE;
    node->outputs[0] = rows;
    graph->values[rows].producer = node->id;
    FB_TRY(fb_graph_set_attribute_int(graph, node->id, "axis", -1, up->err));
    FbId inputs[2] = {rows, shape};
    return add_step(up, "Reshape", inputs, 2, "reshape", &output, &id);
}

static FbStatus split_13(const Upgrade *up) { return ints_to_input(up, "split", 1); }

static FbStatus split_18(const Upgrade *up)
{
    bool sizes = up->node->input_count > 1 && up->node->inputs[1] != FB_NONE;
    return sizes ? FB_OK : fb_graph_set_attribute_int(up->graph, up->node->id, "num_outputs", up->node->output_count, up->err);
}

static FbStatus top_k_10(const Upgrade *up)
{
    const FbAttribute *k = fb_node_attribute(up->node, "k");
    FbId value;
    if (k == NULL || k->type != FB_ATTR_INT) {
        return FB_OK;
    }
    FB_TRY(add_tensor(up, "k", FB_DTYPE_S64, &k->i, 1, 1, &value));
    fb_graph_drop_attribute(up->graph, up->node->id, "k");
    return put_input(up, 1, value);
}

static FbStatus upsample_10(const Upgrade *up)
{
    const FbAttribute *scales = fb_node_attribute(up->node, "scales");
    FbId value;
    if (scales != NULL && scales->type == FB_ATTR_FLOATS) {
        FB_TRY(add_tensor(up, "scales", FB_DTYPE_F32, scales->floats, 1, scales->count, &value));
        fb_graph_drop_attribute(up->graph, up->node->id, "scales");
        FB_TRY(put_input(up, 1, value));
    }
    return rename_operator(up, "Resize");
}

/* Resize's inputs (X, scales) become (X, roi, scales); its pixel rule was asymmetric with rounding down. */
static FbStatus resize_11(const Upgrade *up)
{
    FbId roi;
    FbId scales = up->node->input_count > 1 ? up->node->inputs[1] : FB_NONE;
    FB_TRY(add_tensor(up, "roi", FB_DTYPE_F32, NULL, 1, 0, &roi));
    FB_TRY(put_input(up, 1, roi));
    FB_TRY(put_input(up, 2, scales));
    FB_TRY(fb_graph_set_attribute_string(up->graph, up->node->id, "coordinate_transformation_mode", "asymmetric", up->err));
    return fb_graph_set_attribute_string(up->graph, up->node->id, "nearest_mode", "floor", up->err);
}

static FbStatus scatter_11(const Upgrade *up) { return rename_operator(up, "ScatterElements"); }

static FbStatus roi_align_16(const Upgrade *up)
{
    return fb_graph_set_attribute_string(up->graph, up->node->id, "coordinate_transformation_mode", "output_half_pixel", up->err);
}

static FbStatus grid_sample_20(const Upgrade *up)
{
    if (fb_node_attribute(up->node, "mode") == NULL || string_is(up->node, "mode", "bilinear")) {
        return fb_graph_set_attribute_string(up->graph, up->node->id, "mode", "linear", up->err);
    }
    return string_is(up->node, "mode", "bicubic") ? fb_graph_set_attribute_string(up->graph, up->node->id, "mode", "cubic", up->err) : FB_OK;
}

static FbStatus refuse(const Upgrade *up) { return cannot(up, "its definition changed"); }

typedef struct UpgradeRow {
    const char *op_type;
    int at; /* the version whose definition is reached */
    FbStatus (*apply)(const Upgrade *up);
} UpgradeRow;

/* In the order of versions, so that several apply one after the other. */
static const UpgradeRow rows[] = {
    {"BatchNormalization", 9, batch_norm_9},
    {"Scan", 9, refuse},
    {"Slice", 10, slice_10},
    {"TopK", 10, top_k_10},
    {"Upsample", 10, upsample_10},
    {"Clip", 11, clip_11},
    {"Pad", 11, pad_11},
    {"Resize", 11, resize_11},
    {"Scatter", 11, scatter_11},
    {"Dropout", 12, dropout_12},
    {"Softmax", 13, softmax_13},
    {"LogSoftmax", 13, softmax_13},
    {"Hardmax", 13, softmax_13},
    {"Squeeze", 13, axes_at_1},
    {"Unsqueeze", 13, axes_at_1},
    {"ReduceSum", 13, axes_at_1},
    {"Split", 13, split_13},
    {"BatchNormalization", 14, batch_norm_14},
    {"RoiAlign", 16, roi_align_16},
    {"ReduceMax", 18, axes_at_1},
    {"ReduceMin", 18, axes_at_1},
    {"ReduceMean", 18, axes_at_1},
    {"ReduceProd", 18, axes_at_1},
    {"ReduceL1", 18, axes_at_1},
    {"ReduceL2", 18, axes_at_1},
    {"ReduceLogSum", 18, axes_at_1},
    {"ReduceLogSumExp", 18, axes_at_1},
    {"ReduceSumSquare", 18, axes_at_1},
    {"Split", 18, split_18},
    {"GridSample", 20, grid_sample_20},
    {"DFT", 20, refuse},
    {"GroupNormalization", 21, refuse},
};

static FbStatus upgrade_node(FbGraph *graph, FbNode *node, int64_t to, FbError *err)
{
    Upgrade up = {graph, node, to, err};
    int from = node->version;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        if (from < rows[r].at && rows[r].at <= to && strcmp(node->op_type, rows[r].op_type) == 0) {
            FB_TRY(rows[r].apply(&up));
        }
    }
    node->version = (int)to;
    return FB_OK;
}

static FbStatus upgrade_graph(FbGraph *graph, int64_t to, FbError *err)
{
    size_t nodes = graph->node_count;
    for (size_t n = 0; n < nodes; n++) {
        FbNode *node = graph->nodes[n];
        if (node->domain[0] != '\0' || node->version >= to) {
            continue;
        }
        if (node->removed) { /* a folded Q or DQ, which may come back; neither has a row above */
            node->version = (int)to;
        } else {
            FB_TRY(upgrade_node(graph, node, to, err));
        }
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(upgrade_graph(graph->subgraphs[i], to, err)); /* depth is capped by the loader */
    }
    return FB_OK;
}

FbStatus fb_model_upgrade_opset(FbModel *model, int64_t to, FbError *err)
{
    int64_t from = fb_model_opset(model, "");
    if (from >= to) {
        return FB_OK;
    }
    if (from < OLDEST) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the file has ONNX operator set %lld; it can be rewritten from %d on", (long long)from,
                            OLDEST);
    }
    FB_TRY(upgrade_graph(model->graph, to, err));
    return fb_model_set_opset(model, "", to, err);
}

enum { IR_WITHOUT_WEIGHTS_AS_INPUTS = 4 };

void fb_model_raise_ir(FbModel *model)
{
    int64_t opset = fb_model_opset(model, "");
    int64_t ir = opset >= 25   ? 13
                 : opset >= 24 ? 12
                 : opset >= 23 ? 11
                 : opset >= 21 ? 10
                 : opset >= 19 ? 9
                 : opset >= 15 ? 8
                 : opset >= 12 ? 7
                 : opset >= 11 ? 6
                               : IR_WITHOUT_WEIGHTS_AS_INPUTS;
    model->ir_version = model->ir_version < ir ? ir : model->ir_version;
}
