/* What is in a model, as the JSON document "fewbit.inspect/1". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json.h"
#include "base/text.h"
#include "graph/model.h"

typedef struct PlaneKey { const void *home; uint64_t offset, bytes; FbDtype dtype; } PlaneKey;

typedef struct Inspect {
    FbContext *context;
    FbArena *arena;
    json_t *operators, *weights, *float_nodes;
    int64_t parameters, nodes, quantized_weights, quantized_activations;
    FB_ARRAY(PlaneKey) planes; /* of all weights; those that share bytes are counted once */
    FB_ARRAY(const char *) external;
    bool failed;               /* no memory */
} Inspect;

void fb_text_free(FbContext *context, char *text)
{
    fb_free(context, text);
}

/* Names come from files: what is not UTF-8 is escaped, because JSON must be. */
static json_t *text(const char *name)
{
    json_t *value = json_string(name);
    if (value == NULL) {
        char shown[512];
        value = json_string(fb_escape(name, shown, sizeof shown));
    }
    return value;
}

static void put(Inspect *inspect, json_t *object, const char *key, json_t *value)
{
    inspect->failed |= json_object_set_new(object, key, value) != 0;
}

static void append(Inspect *inspect, json_t *array, json_t *value)
{
    inspect->failed |= json_array_append_new(array, value) != 0;
}

static json_t *shape_of(const FbGraph *graph, const FbShape *shape)
{
    json_t *dims = json_array();
    if (shape->rank < 0) {
        json_decref(dims);
        return json_null();
    }
    for (int i = 0; dims != NULL && i < shape->rank; i++) {
        const char *symbol = fb_graph_symbol_name(graph, shape->dims[i]);
        json_array_append_new(dims, shape->dims[i] >= 0 ? json_integer(shape->dims[i]) : symbol != NULL ? text(symbol) : json_null());
    }
    return dims;
}

static json_t *ports(Inspect *inspect, const FbGraph *graph, const FbId *ids, size_t count, bool fed_only)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const FbValue *value = &graph->values[ids[i]];
        if (fed_only && value->is_initializer) {
            continue;
        }
        json_t *port = json_object();
        put(inspect, port, "name", text(value->name));
        put(inspect, port, "dtype", value->dtype == FB_DTYPE_NONE ? json_null() : json_string(fb_dtype_name(value->dtype)));
        put(inspect, port, "shape", shape_of(graph, &value->shape));
        append(inspect, list, port);
    }
    return list;
}

/* ---- weights ---- */

static void note_plane(Inspect *inspect, const FbPlane *plane, FbDtype dtype)
{
    if (plane->bytes == 0) {
        return;
    }
    if (!fb_array_grow(inspect->context, &inspect->planes)) {
        inspect->failed = true;
        return;
    }
    const void *home = plane->buffer != NULL ? (const void *)plane->buffer : plane->source;
    inspect->planes.items[inspect->planes.count++] = (PlaneKey){home, plane->offset, plane->bytes, dtype};
}

static void note_external(Inspect *inspect, const char *location)
{
    for (size_t i = 0; location != NULL && i < inspect->external.count; i++) {
        if (strcmp(inspect->external.items[i], location) == 0) {
            return;
        }
    }
    if (location != NULL && fb_array_grow(inspect->context, &inspect->external)) {
        inspect->external.items[inspect->external.count++] = location;
    }
}

static void put_weight(Inspect *inspect, const FbGraph *graph, const FbValue *value)
{
    const FbConst *constant = value->constant;
    const FbEncoding *encoding = constant->encoding;
    FbDtypeKind kind = fb_dtype_info(constant->dtype)->kind;
    json_t *weight = json_object();
    put(inspect, weight, "name", text(value->name));
    put(inspect, weight, "shape", shape_of(graph, &constant->shape));
    put(inspect, weight, "encoding", json_string(encoding != NULL ? encoding->code->name : fb_dtype_name(constant->dtype)));
    if (encoding != NULL) {
        static const char *const grains[] = {"tensor", "axis", "block"};
        put(inspect, weight, "grain", json_string(grains[encoding->grain]));
        if (encoding->grain != FB_GRAIN_TENSOR) {
            put(inspect, weight, "axis", json_integer(encoding->axis));
        }
        if (encoding->grain == FB_GRAIN_BLOCK) {
            put(inspect, weight, "block", json_integer(encoding->block));
        }
        put(inspect, weight, "zero_point", json_boolean(encoding->has_zero));
        inspect->quantized_weights++;
    }
    put(inspect, weight, "bytes", json_integer((json_int_t)fb_const_stored_bytes(constant)));
    append(inspect, inspect->weights, weight);
    if (kind == FB_KIND_FLOAT) {
        inspect->parameters += fb_shape_elements(&constant->shape);
    }
    note_plane(inspect, &constant->planes[FB_PLANE_CODES], encoding != NULL ? encoding->code->storage : constant->dtype);
    note_plane(inspect, &constant->planes[FB_PLANE_SCALE], encoding != NULL ? encoding->scale : FB_DTYPE_F32);
    note_plane(inspect, &constant->planes[FB_PLANE_ZERO], encoding != NULL ? encoding->code->storage : FB_DTYPE_U8);
    note_external(inspect, constant->external_location);
}

/* ---- nodes ---- */

static bool has_weight_input(const FbNode *node)
{
    static const char *const types[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (fb_node_is(node, "", types[i])) {
            return true;
        }
    }
    return false;
}

static void look_at_node(Inspect *inspect, const FbGraph *graph, const FbNode *node)
{
    char key[256];
    char type[160];
    bool quant = fb_node_is(node, "fewbit", "Quant");
    fb_escape(node->op_type, type, sizeof type);
    snprintf(key, sizeof key, "%.90s%s%.160s", node->domain[0] != '\0' && !quant ? node->domain : "",
             node->domain[0] != '\0' && !quant ? "." : "", type);
    fb_escape(key, type, sizeof type);
    put(inspect, inspect->operators, type, json_integer(json_integer_value(json_object_get(inspect->operators, type)) + 1));
    inspect->nodes++;
    if (quant) {
        bool weight = fb_graph_constant(graph, node->inputs[0]) != NULL;
        inspect->quantized_weights += weight;
        inspect->quantized_activations += !weight;
    }
    const FbConst *constant = has_weight_input(node) && node->input_count > 1 ? fb_graph_constant(graph, node->inputs[1]) : NULL;
    if (constant != NULL && constant->encoding == NULL && fb_dtype_info(constant->dtype)->kind == FB_KIND_FLOAT) {
        json_t *entry = json_object();
        char reason[80];
        snprintf(reason, sizeof reason, "its weight is %s", fb_dtype_name(constant->dtype));
        put(inspect, entry, "name", text(node->name));
        put(inspect, entry, "type", text(node->op_type));
        put(inspect, entry, "reason", json_string(reason));
        append(inspect, inspect->float_nodes, entry);
    }
}

static FbStatus look_at_graph(Inspect *inspect, const FbGraph *graph, FbError *err)
{
    FbUses uses;
    const bool *is_output;
    FB_TRY(fb_graph_uses(graph, inspect->arena, &uses, err));
    FB_TRY(fb_graph_output_flags(graph, inspect->arena, &is_output, err));
    for (size_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n]->removed) {
            look_at_node(inspect, graph, graph->nodes[n]);
        }
    }
    for (FbId v = 0; v < graph->value_count; v++) {
        const FbValue *value = &graph->values[v];
        bool used = uses.start[v] < uses.start[v + 1] || is_output[v];
        if (value->constant != NULL && used) {
            put_weight(inspect, graph, value);
        }
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(look_at_graph(inspect, graph->subgraphs[i], err)); /* depth is capped by the loader */
    }
    return FB_OK;
}

/* ---- the document ---- */

static int by_place(const void *a, const void *b)
{
    const PlaneKey *x = a;
    const PlaneKey *y = b;
    if (x->home != y->home) {
        return (uintptr_t)x->home < (uintptr_t)y->home ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static json_t *sizes_by_type(Inspect *inspect)
{
    json_t *sizes = json_object();
    uint64_t totals[FB_DTYPE_COUNT] = {0};
    if (inspect->planes.count > 1) {
        qsort(inspect->planes.items, inspect->planes.count, sizeof *inspect->planes.items, by_place);
    }
    for (size_t i = 0; i < inspect->planes.count; i++) {
        const PlaneKey *plane = &inspect->planes.items[i];
        bool again = i > 0 && by_place(plane - 1, plane) == 0;
        totals[plane->dtype] += again ? 0 : plane->bytes;
    }
    for (int d = 0; d < FB_DTYPE_COUNT; d++) {
        if (totals[d] > 0) {
            put(inspect, sizes, fb_dtype_name((FbDtype)d), json_integer((json_int_t)totals[d]));
        }
    }
    return sizes;
}

static json_t *opsets(Inspect *inspect, const FbModel *model)
{
    json_t *list = json_array();
    for (size_t i = 0; i < model->opset_count; i++) {
        json_t *entry = json_object();
        put(inspect, entry, "domain", text(model->opsets[i].domain));
        put(inspect, entry, "version", json_integer(model->opsets[i].version));
        append(inspect, list, entry);
    }
    return list;
}

static json_t *optional_text(const char *value) { return value == NULL ? json_null() : text(value); }

static json_t *model_part(Inspect *inspect, const FbModel *model)
{
    json_t *part = json_object();
    put(inspect, part, "path", optional_text(model->path));
    put(inspect, part, "bytes", json_integer((json_int_t)model->file_bytes));
    put(inspect, part, "parameters", json_integer(inspect->parameters));
    put(inspect, part, "nodes", json_integer(inspect->nodes));
    put(inspect, part, "format", json_string("onnx"));
    put(inspect, part, "ir_version", json_integer(model->ir_version));
    put(inspect, part, "producer", optional_text(model->producer_name));
    put(inspect, part, "producer_version", optional_text(model->producer_version));
    put(inspect, part, "local_functions", json_integer((json_int_t)model->function_count));
    return part;
}

static json_t *document(Inspect *inspect, const FbModel *model)
{
    json_t *root = json_object();
    json_t *quantized = json_object();
    json_t *external = json_array();
    json_t *properties = json_object();
    const FbGraph *graph = model->graph;
    put(inspect, root, "schema", json_string("fewbit.inspect/1"));
    put(inspect, root, "version", json_string(fb_version()));
    put(inspect, root, "model", model_part(inspect, model));
    put(inspect, root, "opsets", opsets(inspect, model));
    put(inspect, root, "inputs", ports(inspect, graph, graph->inputs, graph->input_count, true));
    put(inspect, root, "outputs", ports(inspect, graph, graph->outputs, graph->output_count, false));
    put(inspect, root, "operators", json_incref(inspect->operators));
    put(inspect, root, "sizes_by_type", sizes_by_type(inspect));
    put(inspect, root, "weights", json_incref(inspect->weights));
    put(inspect, quantized, "weights", json_integer(inspect->quantized_weights));
    put(inspect, quantized, "activations", json_integer(inspect->quantized_activations));
    put(inspect, quantized, "float_nodes", json_incref(inspect->float_nodes));
    put(inspect, root, "quantized", quantized);
    for (size_t i = 0; i < inspect->external.count; i++) {
        append(inspect, external, text(inspect->external.items[i]));
    }
    put(inspect, root, "external_files", external);
    for (size_t i = 0; i < model->property_count; i++) {
        char key[256];
        put(inspect, properties, fb_escape(model->properties[i].key, key, sizeof key), text(model->properties[i].value));
    }
    put(inspect, root, "properties", properties);
    return root;
}

FbStatus fb_model_inspect(FbContext *context, const FbModel *model, char **json, FbError *err)
{
    Inspect inspect = {.context = context, .arena = fb_arena_create(context)};
    json_t *root = NULL;
    inspect.operators = json_object();
    inspect.weights = json_array();
    inspect.float_nodes = json_array();
    *json = NULL;
    FbStatus status = inspect.arena == NULL ? fb_error_memory(context, err, "inspecting", 0) : look_at_graph(&inspect, model->graph, err);
    if (status == FB_OK) {
        root = document(&inspect, model);
        status = inspect.failed || root == NULL ? fb_error_memory(context, err, "inspecting", 0) : fb_json_dump(context, root, true, json, err);
    }
    json_decref(root);
    json_decref(inspect.operators);
    json_decref(inspect.weights);
    json_decref(inspect.float_nodes);
    fb_array_free(context, &inspect.planes);
    fb_array_free(context, &inspect.external);
    fb_arena_free(inspect.arena);
    return status;
}
