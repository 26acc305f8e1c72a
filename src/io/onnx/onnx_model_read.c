/* ModelProto -> FbModel: the entry of the loader. */
#include <string.h>

#include "base/text.h"
#include "io/onnx/onnx_load.h"
#include "passes/quant_fold.h"

enum { IR_NEWEST = 13, OPSET_NEWEST = 28 };

#define KNOWN_TAGS                                                                                                                \
    (FB_PROTOBUF_TAG(fb_onnx_Model_ir_version_tag) | FB_PROTOBUF_TAG(fb_onnx_Model_producer_name_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Model_producer_version_tag) | FB_PROTOBUF_TAG(fb_onnx_Model_domain_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Model_model_version_tag) | FB_PROTOBUF_TAG(fb_onnx_Model_doc_string_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Model_graph_tag) | FB_PROTOBUF_TAG(fb_onnx_Model_opset_import_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Model_metadata_props_tag) | FB_PROTOBUF_TAG(fb_onnx_Model_functions_tag))

FbStatus fb_onnx_read_opset(FbOnnxReader *reader, FbProtobufSpan span, FbArena *arena, FbOpset *opset)
{
    FbProtobufMessage message;
    FbProtobufField field;
    *opset = (FbOpset){.domain = ""};
    fb_protobuf_open(&message, &reader->file, span, "OperatorSetIdProto");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == fb_onnx_OperatorSetId_domain_tag) {
            fb_protobuf_name(&message, &field, arena, &opset->domain);
        } else if (field.tag == fb_onnx_OperatorSetId_version_tag) {
            fb_protobuf_int(&message, &field, &opset->version);
        }
    }
    FB_TRY(message.status);
    if (strcmp(opset->domain, "ai.onnx") == 0) {
        opset->domain = "";
    }
    if (opset->version <= 0 || opset->version > INT32_MAX) {
        return fb_protobuf_fail(&message, FB_ERR_FORMAT, "operator set '%.96s' has version %lld", opset->domain, (long long)opset->version);
    }
    if (opset->domain[0] == '\0' && opset->version > OPSET_NEWEST) {
        return fb_protobuf_fail(&message, FB_ERR_UNSUPPORTED, "the file needs ONNX operator set %lld; %d is the newest known",
                            (long long)opset->version, OPSET_NEWEST);
    }
    return FB_OK;
}

static FbStatus read_opsets(FbOnnxReader *reader, const FbOnnxSpans *spans, FbModel *model)
{
    if (spans->count > FB_ONNX_OPSETS_MAX) {
        return fb_error_set(reader->file.err, FB_ERR_BUDGET, "more than %d operator sets", FB_ONNX_OPSETS_MAX);
    }
    model->opsets = fb_arena_array(model->arena, spans->count, sizeof *model->opsets);
    if (model->opsets == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "operator sets", spans->count * sizeof *model->opsets);
    }
    for (size_t i = 0; i < spans->count; i++) {
        FbOpset opset;
        FB_TRY(fb_onnx_read_opset(reader, spans->items[i], model->arena, &opset));
        int64_t there = fb_model_opset(model, opset.domain);
        if (there != 0 && there != opset.version) {
            return fb_error_set(reader->file.err, FB_ERR_FORMAT, "operator set '%.96s' is imported in versions %lld and %lld", opset.domain,
                                (long long)there, (long long)opset.version);
        }
        if (there == 0) {
            model->opsets[model->opset_count++] = opset;
        }
    }
    if (model->opset_count == 0 && model->ir_version < 3) {
        return fb_model_set_opset(model, "", 1, reader->file.err); /* files of that time had no list */
    }
    return model->opset_count > 0 ? FB_OK : fb_error_set(reader->file.err, FB_ERR_FORMAT, "no operator set is imported (a truncated file?)");
}

static FbStatus read_properties(FbOnnxReader *reader, const FbOnnxSpans *spans, FbModel *model)
{
    model->properties = fb_arena_array(model->arena, spans->count, sizeof *model->properties);
    if (model->properties == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "properties", spans->count * sizeof *model->properties);
    }
    for (size_t i = 0; i < spans->count; i++) {
        FbProperty *property = &model->properties[i];
        *property = (FbProperty){"", ""};
        FbProtobufMessage message;
        FbProtobufField field;
        fb_protobuf_open(&message, &reader->file, spans->items[i], "metadata entry");
        while (fb_protobuf_next(&message, &field)) {
            if (field.tag == fb_onnx_StringStringEntry_key_tag) {
                fb_protobuf_name(&message, &field, model->arena, &property->key);
            } else if (field.tag == fb_onnx_StringStringEntry_value_tag) {
                fb_protobuf_text(&message, &field, model->arena, &property->value);
            }
        }
        FB_TRY(message.status);
        model->property_count++;
    }
    return FB_OK;
}

typedef struct ModelScan {
    FbOnnxSpans opsets, properties, functions;
    FbProtobufSpan graph;
    size_t graph_count;
    bool has_unknown, has_ir;
} ModelScan;

static FbStatus keep(FbProtobufMessage *message, const FbProtobufField *field, FbOnnxSpans *list)
{
    return fb_protobuf_expect(message, field, PB_WT_STRING) ? fb_onnx_keep_span(message->reader, list, field->span) : message->status;
}

static FbStatus scan_model(FbOnnxReader *reader, FbProtobufSpan span, FbModel *model, ModelScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &reader->file, span, "ModelProto");
    while (fb_protobuf_next(&message, &field)) {
        switch (field.tag) {
        case fb_onnx_Model_ir_version_tag:
            scan->has_ir = fb_protobuf_int(&message, &field, &model->ir_version);
            break;
        case fb_onnx_Model_model_version_tag:
            model->has_model_version = fb_protobuf_int(&message, &field, &model->model_version);
            break;
        case fb_onnx_Model_producer_name_tag:
            fb_protobuf_name(&message, &field, model->arena, &model->producer_name);
            break;
        case fb_onnx_Model_producer_version_tag:
            fb_protobuf_name(&message, &field, model->arena, &model->producer_version);
            break;
        case fb_onnx_Model_domain_tag:
            fb_protobuf_name(&message, &field, model->arena, &model->domain);
            break;
        case fb_onnx_Model_doc_string_tag:
            fb_protobuf_text(&message, &field, model->arena, &model->doc);
            break;
        case fb_onnx_Model_graph_tag:
            scan->graph_count += fb_protobuf_expect(&message, &field, PB_WT_STRING);
            scan->graph = field.span;
            break;
        case fb_onnx_Model_opset_import_tag:
            FB_TRY(keep(&message, &field, &scan->opsets));
            break;
        case fb_onnx_Model_metadata_props_tag:
            FB_TRY(keep(&message, &field, &scan->properties));
            break;
        case fb_onnx_Model_functions_tag:
            FB_TRY(keep(&message, &field, &scan->functions));
            break;
        default:
            scan->has_unknown = true;
        }
    }
    return message.status;
}

static FbStatus check_header(FbOnnxReader *reader, const FbModel *model, const ModelScan *scan)
{
    if (scan->graph_count != 1) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "not an ONNX model: it has %zu graphs, expected 1", scan->graph_count);
    }
    if (!scan->has_ir || model->ir_version <= 0) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "the IR version is %lld", (long long)model->ir_version);
    }
    if (model->ir_version > IR_NEWEST) {
        return fb_error_set(reader->file.err, FB_ERR_UNSUPPORTED, "the file needs ONNX IR version %lld; %d is the newest known",
                            (long long)model->ir_version, IR_NEWEST);
    }
    return FB_OK;
}

static FbStatus read_functions(FbOnnxReader *reader, const FbOnnxSpans *spans, FbModel *model)
{
    model->functions = fb_arena_array(model->arena, spans->count, sizeof *model->functions);
    if (model->functions == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "functions", spans->count * sizeof *model->functions);
    }
    for (size_t i = 0; i < spans->count; i++) {
        model->function_count = i + 1;
        FB_TRY(fb_onnx_read_function(reader, spans->items[i], model, &model->functions[i]));
    }
    return FB_OK;
}

static FbStatus fill_model(FbOnnxReader *reader, FbModel *model, ModelScan *scan)
{
    FbProtobufSpan whole = {0, fb_source_bytes(reader->file.source)};
    FB_TRY(scan_model(reader, whole, model, scan));
    FB_TRY(check_header(reader, model, scan));
    FB_TRY(read_opsets(reader, &scan->opsets, model));
    FB_TRY(read_properties(reader, &scan->properties, model));
    FbOnnxScope scope = {reader, model->opsets, model->opset_count};
    FB_TRY(fb_onnx_read_graph(&scope, scan->graph, NULL, &model->graph));
    FB_TRY(read_functions(reader, &scan->functions, model));
    if (scan->has_unknown) {
        FB_TRY(fb_protobuf_unknown(&reader->file, whole, "ModelProto", KNOWN_TAGS, model->arena, &model->extra));
    }
    return fb_onnx_check_model(model, reader->file.err);
}

/* The error of a file that is not ONNX should say what it is instead. */
static FbStatus explain(FbOnnxReader *reader, const char *path, FbStatus status)
{
    uint8_t head[64];
    char shown[200];
    uint64_t bytes = fb_source_bytes(reader->file.source);
    size_t count = bytes < sizeof head ? (size_t)bytes : sizeof head;
    fb_escape(path, shown, sizeof shown);
    if (status == FB_ERR_FORMAT) {
        if (bytes == 0) {
            return fb_error_set(reader->file.err, status, "%s: the file is empty", shown);
        }
        if (fb_source_read(reader->file.source, 0, head, count, NULL) == FB_OK && fb_onnx_sniff(head, count) != NULL) {
            return fb_error_set(reader->file.err, status, "%s: not an ONNX model: %s", shown, fb_onnx_sniff(head, count));
        }
    }
    return fb_error_context(reader->file.err, status, "%s", shown);
}

static const char *folder_of(FbArena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    return slash == path ? "/" : fb_arena_strndup(arena, path, (size_t)(slash - path));
}

static FbStatus load_source(FbOnnxReader *reader, const char *path, FbModel *model)
{
    ModelScan scan = {.graph_count = 0};
    reader->scratch = fb_arena_create(reader->file.context);
    reader->folder = reader->scratch == NULL ? NULL : folder_of(reader->scratch, path);
    model->path = fb_arena_strdup(model->arena, path);
    FbStatus status = reader->folder == NULL || model->path == NULL
                          ? fb_error_memory(reader->file.context, reader->file.err, "a model", 0)
                          : FB_OK;
    if (status == FB_OK) {
        model->file_bytes = fb_source_bytes(reader->file.source);
        status = fill_model(reader, model, &scan);
    }
    if (status != FB_OK) {
        status = explain(reader, path, status);
    }
    fb_array_free(reader->file.context, &scan.opsets);
    fb_array_free(reader->file.context, &scan.properties);
    fb_array_free(reader->file.context, &scan.functions);
    for (size_t i = 0; i < reader->externals.count; i++) {
        fb_source_release(reader->externals.items[i].source);
    }
    fb_array_free(reader->file.context, &reader->externals);
    fb_arena_free(reader->scratch);
    fb_free(reader->file.context, reader->file.window);
    return status;
}

FbStatus fb_onnx_load_source(FbContext *context, FbSource *source, const char *path, bool fold, FbModel **out, FbError *err)
{
    FbModel *model = NULL;
    FbError local; /* the reader always has somewhere to write */
    *out = NULL;
    FbOnnxReader reader = {.file = {.context = context,
                                    .source = source,
                                    .err = err == NULL ? &local : err,
                                    .format = FB_ONNX_FILE_FORMAT,
                                    .kept_max = FB_ONNX_METADATA_MAX,
                                    .kept_left = FB_ONNX_METADATA_MAX},
                           .nodes_left = FB_ONNX_NODES_MAX,
                           .values_left = FB_ONNX_VALUES_MAX};
    FbStatus status = fb_model_create(context, &model, err);
    if (status == FB_OK) {
        status = load_source(&reader, path, model);
    }
    if (status == FB_OK && fold) {
        status = fb_graph_fold_quants(model->graph, err);
    }
    if (status != FB_OK) {
        fb_model_free(model);
        return status;
    }
    *out = model;
    return FB_OK;
}
