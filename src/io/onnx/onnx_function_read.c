/* FunctionProto -> FbFunction: a graph whose inputs and outputs are names only. */
#include <string.h>

#include "io/onnx/onnx_load.h"

#define KNOWN_TAGS                                                                                                             \
    (FB_PROTOBUF_TAG(fb_onnx_Function_name_tag) | FB_PROTOBUF_TAG(fb_onnx_Function_input_tag) | FB_PROTOBUF_TAG(fb_onnx_Function_output_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Function_attribute_tag) | FB_PROTOBUF_TAG(fb_onnx_Function_node_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Function_opset_import_tag) | FB_PROTOBUF_TAG(fb_onnx_Function_domain_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Function_attribute_proto_tag) | FB_PROTOBUF_TAG(fb_onnx_Function_value_info_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Function_overload_tag))

typedef struct FunctionScan {
    FbOnnxSpans inputs, outputs, attributes, nodes, opsets, defaults, infos;
    bool has_unknown;
} FunctionScan;

static FbOnnxSpans *list_of(FunctionScan *scan, uint32_t tag)
{
    switch (tag) {
    case fb_onnx_Function_input_tag:
        return &scan->inputs;
    case fb_onnx_Function_output_tag:
        return &scan->outputs;
    case fb_onnx_Function_attribute_tag:
        return &scan->attributes;
    case fb_onnx_Function_node_tag:
        return &scan->nodes;
    case fb_onnx_Function_opset_import_tag:
        return &scan->opsets;
    case fb_onnx_Function_attribute_proto_tag:
        return &scan->defaults;
    case fb_onnx_Function_value_info_tag:
        return &scan->infos;
    default:
        return NULL;
    }
}

static FbStatus scan_function(FbOnnxReader *reader, FbProtobufSpan span, FbModel *model, FbFunction *function, FunctionScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &reader->file, span, "FunctionProto");
    while (fb_protobuf_next(&message, &field)) {
        FbOnnxSpans *list = list_of(scan, field.tag);
        if (list != NULL && fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(fb_onnx_keep_span(&reader->file, list, field.span));
        } else if (field.tag == fb_onnx_Function_name_tag) {
            fb_protobuf_name(&message, &field, model->arena, &function->name);
        } else if (field.tag == fb_onnx_Function_domain_tag) {
            fb_protobuf_name(&message, &field, model->arena, &function->domain);
        } else if (field.tag == fb_onnx_Function_overload_tag) {
            fb_protobuf_name(&message, &field, model->arena, &function->overload);
        } else if (!fb_protobuf_is_known(KNOWN_TAGS, field.tag)) {
            scan->has_unknown = true;
        }
    }
    FB_TRY(message.status);
    return function->name[0] != '\0' ? FB_OK : fb_protobuf_fail(&message, FB_ERR_FORMAT, "a function without a name");
}

static FbStatus span_name(FbOnnxReader *reader, FbProtobufSpan span, FbArena *arena, const char **name)
{
    FbProtobufMessage message;
    FbProtobufField field = {.wire = PB_WT_STRING, .span = span};
    fb_protobuf_open(&message, &reader->file, span, "FunctionProto");
    return fb_protobuf_name(&message, &field, arena, name) ? FB_OK : message.status;
}

static FbStatus read_names(FbOnnxReader *reader, FbModel *model, FbFunction *function, const FunctionScan *scan)
{
    FbGraph *body = function->body;
    const char *name;
    FbId id;
    for (size_t i = 0; i < scan->inputs.count; i++) {
        FB_TRY(span_name(reader, scan->inputs.items[i], reader->scratch, &name));
        FB_TRY(fb_onnx_add_value(reader, body, name, &id));
        FB_TRY(fb_graph_add_input(body, id, reader->file.err));
    }
    function->attributes = fb_arena_array(model->arena, scan->attributes.count, sizeof *function->attributes);
    if (function->attributes == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "a function", scan->attributes.count * sizeof *function->attributes);
    }
    for (size_t i = 0; i < scan->attributes.count; i++) {
        FB_TRY(span_name(reader, scan->attributes.items[i], model->arena, &function->attributes[i]));
        function->attribute_count++;
    }
    return FB_OK;
}

static FbStatus read_opsets_and_defaults(FbOnnxReader *reader, FbModel *model, FbFunction *function, const FunctionScan *scan)
{
    function->opsets = fb_arena_array(model->arena, scan->opsets.count, sizeof *function->opsets);
    FbAttribute *defaults = fb_arena_array(model->arena, scan->defaults.count, sizeof *defaults);
    if (function->opsets == NULL || defaults == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "a function", scan->defaults.count * sizeof *defaults);
    }
    for (size_t i = 0; i < scan->opsets.count; i++) {
        FB_TRY(fb_onnx_read_opset(reader, scan->opsets.items[i], model->arena, &function->opsets[i]));
        function->opset_count++;
    }
    FbOnnxScope scope = {reader, function->opsets, function->opset_count};
    function->defaults = defaults;
    for (size_t i = 0; i < scan->defaults.count; i++) {
        FB_TRY(fb_onnx_read_attribute(&scope, scan->defaults.items[i], function->body, &defaults[i]));
        function->default_count++;
    }
    return FB_OK;
}

static FbStatus fill_function(FbOnnxReader *reader, FbProtobufSpan span, FbModel *model, FbFunction *function, FunctionScan *scan)
{
    const char *name;
    FbId id;
    FB_TRY(scan_function(reader, span, model, function, scan));
    FB_TRY(fb_graph_create(reader->file.context, NULL, &function->body, reader->file.err));
    FB_TRY(read_names(reader, model, function, scan));
    FB_TRY(read_opsets_and_defaults(reader, model, function, scan));
    FbOnnxScope scope = {reader, function->opsets, function->opset_count};
    FB_TRY(fb_onnx_read_nodes(&scope, &scan->nodes, function->body));
    for (size_t i = 0; i < scan->outputs.count; i++) {
        FB_TRY(span_name(reader, scan->outputs.items[i], reader->scratch, &name));
        FB_TRY(fb_graph_resolve(function->body, name, &id, reader->file.err));
        FB_TRY(fb_graph_add_output(function->body, id, reader->file.err));
    }
    FB_TRY(fb_onnx_read_infos(&scope, &scan->infos, function->body));
    if (scan->has_unknown) {
        FB_TRY(fb_protobuf_unknown(&reader->file, span, "FunctionProto", KNOWN_TAGS, model->arena, &function->extra));
    }
    return FB_OK;
}

FbStatus fb_onnx_read_function(FbOnnxReader *reader, FbProtobufSpan span, FbModel *model, FbFunction *function)
{
    FunctionScan scan = {.has_unknown = false};
    function->name = "";
    function->domain = "";
    FbStatus status = fill_function(reader, span, model, function, &scan);
    FbOnnxSpans *lists[] = {&scan.inputs, &scan.outputs, &scan.attributes, &scan.nodes, &scan.opsets, &scan.defaults, &scan.infos};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        fb_array_free(reader->file.context, lists[i]);
    }
    return status == FB_OK ? FB_OK : fb_error_context(reader->file.err, status, "function '%.96s'", function->name);
}
