/* GraphProto -> FbGraph. Weights, inputs and the names of all node outputs first, then the nodes: so a subgraph finds every name of the
 * graphs around it, whatever the order of fields in the file. */
#include <string.h>

#include "base/text.h"
#include "io/onnx/onnx_load.h"

#define KNOWN_TAGS                                                                                                            \
    (FB_PROTOBUF_TAG(fb_onnx_Graph_node_tag) | FB_PROTOBUF_TAG(fb_onnx_Graph_name_tag) | FB_PROTOBUF_TAG(fb_onnx_Graph_initializer_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Graph_doc_string_tag) | FB_PROTOBUF_TAG(fb_onnx_Graph_input_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Graph_output_tag) | FB_PROTOBUF_TAG(fb_onnx_Graph_value_info_tag))

#define INFO_KNOWN_TAGS (FB_PROTOBUF_TAG(fb_onnx_ValueInfo_name_tag) | FB_PROTOBUF_TAG(fb_onnx_ValueInfo_type_tag))

FbStatus fb_onnx_keep_span(FbProtobufReader *reader, FbOnnxSpans *spans, FbProtobufSpan span)
{
    if (spans->count >= FB_ONNX_VALUES_MAX) {
        return fb_error_set(reader->err, FB_ERR_BUDGET, "more than %d nodes or values in a graph", FB_ONNX_VALUES_MAX);
    }
    if (!fb_array_grow(reader->context, spans)) {
        return fb_error_memory(reader->context, reader->err, "the list of nodes", spans->count * sizeof span);
    }
    spans->items[spans->count++] = span;
    return FB_OK;
}

FbStatus fb_onnx_add_value(FbOnnxReader *reader, FbGraph *graph, const char *name, FbId *value)
{
    if (reader->values_left == 0) {
        return fb_error_set(reader->file.err, FB_ERR_BUDGET, "more than %d values", FB_ONNX_VALUES_MAX);
    }
    reader->values_left--;
    FB_TRY(fb_protobuf_charge(&reader->file, sizeof(FbValue) + strlen(name)));
    return fb_graph_add_value(graph, name, value, reader->file.err);
}

/* ---- types ---- */

typedef struct TypeScan {
    int64_t dtype;
    FbShape shape;
    bool plain; /* dtype and shape say all that the file says */
} TypeScan;

static FbStatus read_dimension(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, TypeScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    int64_t dim = FB_DIM_UNKNOWN;
    const char *name = NULL;
    bool has_value = false;
    fb_protobuf_open(&message, &reader->file, span, "TensorShapeProto.Dimension");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == fb_onnx_Dimension_dim_value_tag) {
            has_value = fb_protobuf_int(&message, &field, &dim);
        } else if (field.tag == fb_onnx_Dimension_dim_param_tag) {
            fb_protobuf_name(&message, &field, reader->scratch, &name);
        } else {
            scan->plain = false;
        }
    }
    FB_TRY(message.status);
    if (dim < 0 || name != NULL) {
        bool named = name != NULL && name[0] != '\0';
        bool odd = has_value || (!named && span.bytes > 0);
        dim = named ? fb_graph_symbol(graph, name) : FB_DIM_UNKNOWN;
        if (dim == 0) {
            return fb_error_memory(reader->file.context, reader->file.err, "a dimension's name", 0);
        }
        scan->plain = scan->plain && !odd && named == (dim != FB_DIM_UNKNOWN);
    }
    if (scan->shape.rank == FB_RANK_MAX) {
        scan->shape.rank = -2; /* too many: carried as bytes, unknown to us */
        scan->plain = false;
    } else if (scan->shape.rank >= 0) {
        scan->shape.dims[scan->shape.rank++] = dim;
    }
    return FB_OK;
}

static FbStatus read_shape(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, TypeScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    scan->shape.rank = 0;
    fb_protobuf_open(&message, &reader->file, span, "TensorShapeProto");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag != fb_onnx_TensorShape_dim_tag) {
            scan->plain = false;
        } else if (fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(read_dimension(reader, field.span, graph, scan));
        }
    }
    if (scan->shape.rank == -2) {
        scan->shape.rank = -1;
    }
    return message.status;
}

static FbStatus read_tensor_type(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, TypeScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &reader->file, span, "TypeProto.Tensor");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == fb_onnx_TensorType_elem_type_tag) {
            fb_protobuf_int(&message, &field, &scan->dtype);
        } else if (field.tag == fb_onnx_TensorType_shape_tag && fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(read_shape(reader, field.span, graph, scan));
        } else {
            scan->plain = false;
        }
    }
    return message.status;
}

static FbStatus read_type(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, FbValue *value)
{
    FbProtobufMessage message;
    FbProtobufField field;
    TypeScan scan = {.shape = {.rank = -1}, .plain = true};
    size_t fields = 0;
    fb_protobuf_open(&message, &reader->file, span, "TypeProto");
    while (fb_protobuf_next(&message, &field)) {
        fields++;
        if (field.tag != fb_onnx_Type_tensor_type_tag) {
            scan.plain = false;
        } else if (fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(read_tensor_type(reader, field.span, graph, &scan));
        }
    }
    FB_TRY(message.status);
    if (scan.dtype <= 0 || scan.dtype >= FB_DTYPE_COUNT) {
        scan.dtype = FB_DTYPE_NONE;
        scan.plain = false;
    }
    if (value->constant == NULL) {
        value->dtype = (FbDtype)scan.dtype;
        value->shape = scan.shape;
    }
    /* The type of a weight is its tensor's; what the file declares beside it is carried along. */
    if (!scan.plain || fields != 1 || value->constant != NULL || value->is_initializer) {
        return fb_protobuf_bytes(&reader->file, graph->arena, span, &value->type_raw);
    }
    value->type_raw = (FbBytes){NULL, 0};
    return FB_OK;
}

/* ---- value infos ---- */

static FbStatus info_name(FbOnnxReader *reader, FbProtobufSpan span, const char **name)
{
    FbProtobufMessage message;
    FbProtobufField field;
    *name = "";
    fb_protobuf_open(&message, &reader->file, span, "ValueInfoProto");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == fb_onnx_ValueInfo_name_tag) {
            fb_protobuf_name(&message, &field, reader->scratch, name);
        }
    }
    FB_TRY(message.status);
    return (*name)[0] != '\0' ? FB_OK : fb_protobuf_fail(&message, FB_ERR_FORMAT, "an input, output or value without a name");
}

static FbStatus read_info(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, FbId id)
{
    FbProtobufMessage message;
    FbProtobufField field;
    bool has_unknown = false;
    fb_protobuf_open(&message, &reader->file, span, "ValueInfoProto");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == fb_onnx_ValueInfo_type_tag && fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(read_type(reader, field.span, graph, &graph->values[id]));
        }
        has_unknown = has_unknown || !fb_protobuf_is_known(INFO_KNOWN_TAGS, field.tag);
    }
    FB_TRY(message.status);
    if (has_unknown) {
        FB_TRY(fb_protobuf_unknown(&reader->file, span, "ValueInfoProto", INFO_KNOWN_TAGS, graph->arena, &graph->values[id].info_extra));
    }
    return FB_OK;
}

FbStatus fb_onnx_read_infos(const FbOnnxScope *scope, const FbOnnxSpans *infos, FbGraph *graph)
{
    FbOnnxReader *reader = scope->reader;
    for (size_t i = 0; i < infos->count; i++) {
        const char *name;
        FB_TRY(info_name(reader, infos->items[i], &name));
        FbId id = fb_graph_find_value(graph, name);
        if (id == FB_NONE) {
            FB_TRY(fb_onnx_add_value(reader, graph, name, &id));
        }
        if (graph->values[id].has_info) {
            continue; /* said twice: the first holds */
        }
        FB_TRY(read_info(reader, infos->items[i], graph, id));
        graph->values[id].has_info = true;
        if (!fb_array_reserve_bytes(graph->context, (void **)&graph->infos, graph->info_count, &graph->info_capacity, sizeof(FbId))) {
            return fb_error_memory(graph->context, reader->file.err, "values", sizeof(FbId));
        }
        graph->infos[graph->info_count++] = id;
    }
    return FB_OK;
}

static FbStatus twice(FbOnnxReader *reader, const char *what, const char *name)
{
    char shown[128];
    return fb_error_set(reader->file.err, FB_ERR_FORMAT, "%s '%s' is listed twice", what, fb_escape(name, shown, sizeof shown));
}

static FbStatus read_input(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph)
{
    const char *name;
    FB_TRY(info_name(scope->reader, span, &name));
    FbId id = fb_graph_find_value(graph, name);
    if (id == FB_NONE) {
        FB_TRY(fb_onnx_add_value(scope->reader, graph, name, &id));
    } else if (graph->values[id].is_input) {
        return twice(scope->reader, "input", name);
    }
    FB_TRY(fb_graph_add_input(graph, id, scope->reader->file.err));
    return read_info(scope->reader, span, graph, id);
}

static FbStatus read_initializer(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph)
{
    FbConst *constant;
    const char *name;
    FbOnnxReader *reader = scope->reader;
    FB_TRY(fb_onnx_read_tensor(reader, span, graph, &constant, &name));
    if (name[0] == '\0') {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "an initializer without a name at byte %llu", (unsigned long long)span.offset);
    }
    FbId id = fb_graph_find_value(graph, name);
    if (id == FB_NONE) {
        FB_TRY(fb_onnx_add_value(reader, graph, name, &id));
    } else if (graph->values[id].is_initializer) {
        return twice(reader, "initializer", name);
    }
    return fb_graph_set_initializer(graph, id, constant, reader->file.err);
}

static FbStatus read_output(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph)
{
    FbOnnxReader *reader = scope->reader;
    const char *name;
    FbId id;
    FB_TRY(info_name(reader, span, &name));
    FbStatus status = fb_graph_resolve(graph, name, &id, reader->file.err);
    if (status != FB_OK) {
        return fb_error_context(reader->file.err, status, "graph output");
    }
    FB_TRY(fb_graph_add_output(graph, id, reader->file.err));
    return read_info(reader, span, graph, id);
}

/* Outputs are few in sane files; in others the check must not take quadratic time. */
static FbStatus check_output_twice(FbOnnxReader *reader, const FbGraph *graph)
{
    bool *seen = fb_alloc_zero(reader->file.context, graph->value_count + 1);
    if (seen == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "outputs", graph->value_count);
    }
    FbStatus status = FB_OK;
    for (size_t i = 0; i < graph->output_count && status == FB_OK; i++) {
        if (seen[graph->outputs[i]]) {
            status = twice(reader, "output", graph->values[graph->outputs[i]].name);
        }
        seen[graph->outputs[i]] = true;
    }
    fb_free(reader->file.context, seen);
    return status;
}

/* ---- the graph ---- */

typedef struct GraphScan {
    FbOnnxSpans inputs, initializers, nodes, outputs, infos;
    bool has_unknown;
} GraphScan;

static FbStatus scan_graph(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, GraphScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    FbOnnxReader *reader = scope->reader;
    fb_protobuf_open(&message, &reader->file, span, "GraphProto");
    while (fb_protobuf_next(&message, &field)) {
        FbOnnxSpans *list = NULL;
        switch (field.tag) {
        case fb_onnx_Graph_node_tag:
            list = &scan->nodes;
            break;
        case fb_onnx_Graph_initializer_tag:
            list = &scan->initializers;
            break;
        case fb_onnx_Graph_input_tag:
            list = &scan->inputs;
            break;
        case fb_onnx_Graph_output_tag:
            list = &scan->outputs;
            break;
        case fb_onnx_Graph_value_info_tag:
            list = &scan->infos;
            break;
        case fb_onnx_Graph_name_tag:
            fb_protobuf_name(&message, &field, graph->arena, &graph->name);
            break;
        case fb_onnx_Graph_doc_string_tag:
            fb_protobuf_text(&message, &field, graph->arena, &graph->doc);
            break;
        case fb_onnx_Graph_sparse_initializer_tag:
            return fb_protobuf_fail(&message, FB_ERR_UNSUPPORTED, "sparse initializers are not supported");
        default:
            scan->has_unknown = true;
        }
        if (list != NULL && fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(fb_onnx_keep_span(&reader->file, list, field.span));
        }
    }
    return message.status;
}

FbStatus fb_onnx_read_nodes(const FbOnnxScope *scope, const FbOnnxSpans *nodes, FbGraph *graph)
{
    for (size_t i = 0; i < nodes->count; i++) {
        FB_TRY(fb_onnx_read_node_outputs(scope, nodes->items[i], graph));
    }
    for (size_t i = 0; i < nodes->count; i++) {
        FB_TRY(fb_onnx_read_node(scope, nodes->items[i], graph));
        if (i % 1024 == 0) {
            FB_TRY(fb_check_cancel(scope->reader->file.context, scope->reader->file.err));
        }
    }
    graph->read_count = graph->node_count;
    return FB_OK;
}

static FbStatus fill_graph(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, GraphScan *scan)
{
    FbOnnxReader *reader = scope->reader;
    FB_TRY(scan_graph(scope, span, graph, scan));
    for (size_t i = 0; i < scan->initializers.count; i++) {
        FB_TRY(read_initializer(scope, scan->initializers.items[i], graph));
    }
    for (size_t i = 0; i < scan->inputs.count; i++) {
        FB_TRY(read_input(scope, scan->inputs.items[i], graph));
    }
    FB_TRY(fb_onnx_read_nodes(scope, &scan->nodes, graph));
    for (size_t i = 0; i < scan->outputs.count; i++) {
        FB_TRY(read_output(scope, scan->outputs.items[i], graph));
    }
    FB_TRY(check_output_twice(reader, graph));
    FB_TRY(fb_onnx_read_infos(scope, &scan->infos, graph));
    if (scan->has_unknown) {
        FB_TRY(fb_protobuf_unknown(&reader->file, span, "GraphProto", KNOWN_TAGS, graph->arena, &graph->extra));
    }
    return FB_OK;
}

FbStatus fb_onnx_read_graph(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *parent, FbGraph **out)
{
    FbOnnxReader *reader = scope->reader;
    if (reader->depth >= FB_ONNX_DEPTH_MAX) {
        return fb_error_set(reader->file.err, FB_ERR_BUDGET, "graphs nested deeper than %d", FB_ONNX_DEPTH_MAX);
    }
    FbGraph *graph;
    FB_TRY(fb_protobuf_charge(&reader->file, 4096));
    FB_TRY(fb_graph_create(reader->file.context, parent, &graph, reader->file.err));
    *out = graph;
    GraphScan scan = {.has_unknown = false};
    reader->depth++;
    FbStatus status = fill_graph(scope, span, graph, &scan);
    reader->depth--;
    fb_array_free(reader->file.context, &scan.inputs);
    fb_array_free(reader->file.context, &scan.initializers);
    fb_array_free(reader->file.context, &scan.nodes);
    fb_array_free(reader->file.context, &scan.outputs);
    fb_array_free(reader->file.context, &scan.infos);
    return status;
}
