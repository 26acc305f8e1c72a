/* AttributeProto -> FbAttribute. Two passes: what is there, then the values. */
#include <string.h>

#include "io/onnx/onnx_load.h"

#define KNOWN_TAGS                                                                                                                      \
    (FB_PROTOBUF_TAG(fb_onnx_Attribute_name_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_f_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_i_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Attribute_s_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_t_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_g_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Attribute_floats_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_ints_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_strings_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Attribute_graphs_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_doc_string_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Attribute_type_tag) | FB_PROTOBUF_TAG(fb_onnx_Attribute_ref_attr_name_tag))

/* Which field holds the value of a type; index: FbAttributeType. */
static const uint32_t value_tags[] = {
    0,
    fb_onnx_Attribute_f_tag,
    fb_onnx_Attribute_i_tag,
    fb_onnx_Attribute_s_tag,
    fb_onnx_Attribute_t_tag,
    fb_onnx_Attribute_g_tag,
    fb_onnx_Attribute_floats_tag,
    fb_onnx_Attribute_ints_tag,
    fb_onnx_Attribute_strings_tag,
    fb_onnx_Attribute_tensors_tag,
    fb_onnx_Attribute_graphs_tag,
    fb_onnx_Attribute_sparse_tensor_tag,
    fb_onnx_Attribute_sparse_tensors_tag,
    fb_onnx_Attribute_tp_tag,
    fb_onnx_Attribute_type_protos_tag,
};
enum { TYPE_COUNT = sizeof value_tags / sizeof *value_tags };

typedef struct AttributeScan {
    const FbOnnxScope *scope;
    FbOnnxReader *reader;
    FbGraph *graph;
    FbProtobufMessage message;
    FbAttribute *to;
    int64_t type;
    uint64_t entries[TYPE_COUNT]; /* of each type's field */
    bool has_unknown;
} AttributeScan;

static int type_of_tag(uint32_t tag)
{
    for (int t = 1; t < TYPE_COUNT; t++) {
        if (value_tags[t] == tag) {
            return t;
        }
    }
    return 0;
}

/* Entries of a repeated number, packed or not. */
static bool count_entries(AttributeScan *scan, const FbProtobufField *field, int type)
{
    if (field->wire != PB_WT_STRING || (type != FB_ATTR_FLOATS && type != FB_ATTR_INTS)) {
        scan->entries[type]++;
        return true;
    }
    if (type == FB_ATTR_FLOATS) {
        if (field->span.bytes % 4 != 0) {
            fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "attribute '%.96s': damaged floats", scan->to->name);
            return false;
        }
        scan->entries[type] += field->span.bytes / 4;
        return true;
    }
    FbProtobufMessage packed;
    uint64_t value;
    fb_protobuf_open(&packed, &scan->reader->file, field->span, "packed ints");
    while (packed.stream.bytes_left > 0) {
        if (!pb_decode_varint(&packed.stream, &value)) {
            fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "attribute '%.96s': damaged integers", scan->to->name);
            return false;
        }
        scan->entries[type]++;
    }
    return true;
}

static FbStatus scan_attribute(AttributeScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage *message = &scan->message;
    FbProtobufField field;
    FbArena *arena = scan->graph->arena;
    fb_protobuf_open(message, &scan->reader->file, span, "AttributeProto");
    while (fb_protobuf_next(message, &field)) {
        int type = type_of_tag(field.tag);
        if (type != 0) {
            count_entries(scan, &field, type);
        } else if (field.tag == fb_onnx_Attribute_name_tag) {
            fb_protobuf_name(message, &field, arena, &scan->to->name);
        } else if (field.tag == fb_onnx_Attribute_ref_attr_name_tag) {
            fb_protobuf_name(message, &field, arena, &scan->to->reference);
        } else if (field.tag == fb_onnx_Attribute_doc_string_tag) {
            fb_protobuf_text(message, &field, arena, &scan->to->doc);
        } else if (field.tag == fb_onnx_Attribute_type_tag) {
            fb_protobuf_int(message, &field, &scan->type);
        } else {
            scan->has_unknown = true;
        }
    }
    return message->status;
}

/* The type that the file says, or (files before IR 2) the only field that is there; no other field may hold a value. */
static FbStatus settle_type(AttributeScan *scan)
{
    const char *name = scan->to->name;
    if (name == NULL || name[0] == '\0') {
        return fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "an attribute without a name");
    }
    if (scan->type < 0 || scan->type >= TYPE_COUNT) {
        return fb_protobuf_fail(&scan->message, FB_ERR_UNSUPPORTED, "attribute '%.96s' has the type number %lld, which is not known", name,
                                (long long)scan->type);
    }
    for (int t = 1; t < TYPE_COUNT && scan->type == 0; t++) {
        if (scan->entries[t] > 0) {
            scan->type = t;
        }
    }
    if (scan->to->reference != NULL && scan->to->reference[0] == '\0') {
        scan->to->reference = NULL;
    }
    for (int t = 1; t < TYPE_COUNT; t++) {
        if (scan->entries[t] > 0 && (t != scan->type || scan->to->reference != NULL)) {
            return fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "attribute '%.96s' holds a value of another kind than its type says", name);
        }
    }
    bool single = scan->type == FB_ATTR_TENSOR || scan->type == FB_ATTR_GRAPH;
    if (single && scan->to->reference == NULL && scan->entries[scan->type] != 1) {
        return fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "attribute '%.96s' has %llu values, expected 1", name,
                                (unsigned long long)scan->entries[scan->type]);
    }
    scan->to->type = (FbAttributeType)scan->type;
    return FB_OK;
}

/* ---- values ---- */

/* Room for one more entry, as many as were counted. */
static bool has_room(AttributeScan *scan, size_t at)
{
    if (at >= scan->entries[scan->to->type]) {
        scan->message.status = fb_protobuf_changed(&scan->reader->file);
        return false;
    }
    return true;
}

static bool read_numbers(AttributeScan *scan, const FbProtobufField *field, float *floats, int64_t *ints, size_t *at)
{
    FbProtobufMessage *message = &scan->message;
    uint32_t word = (uint32_t)field->value;
    if (field->wire != PB_WT_STRING) {
        if (!fb_protobuf_expect(message, field, floats != NULL ? PB_WT_32BIT : PB_WT_VARINT) || !has_room(scan, *at)) {
            return false;
        }
        if (floats != NULL) {
            memcpy(&floats[(*at)++], &word, sizeof word);
        } else {
            ints[(*at)++] = (int64_t)field->value;
        }
        return true;
    }
    FbProtobufMessage packed;
    fb_protobuf_open(&packed, &scan->reader->file, field->span, "packed numbers");
    while (packed.stream.bytes_left > 0) {
        uint64_t value = 0;
        bool ok = floats != NULL ? pb_decode_fixed32(&packed.stream, &word) : pb_decode_varint(&packed.stream, &value);
        if (!ok) {
            fb_protobuf_fail(message, FB_ERR_FORMAT, "attribute '%.96s': damaged numbers", scan->to->name);
            return false;
        }
        if (!has_room(scan, *at)) {
            return false;
        }
        if (floats != NULL) {
            memcpy(&floats[(*at)++], &word, sizeof word);
        } else {
            ints[(*at)++] = (int64_t)value;
        }
    }
    return true;
}

static FbStatus read_graph_value(AttributeScan *scan, const FbProtobufField *field, FbGraph **graph)
{
    if (!fb_protobuf_expect(&scan->message, field, PB_WT_STRING)) {
        return scan->message.status;
    }
    return fb_onnx_read_graph(scan->scope, field->span, scan->graph, graph);
}

static FbStatus read_tensor_value(AttributeScan *scan, const FbProtobufField *field)
{
    const char *name;
    if (!fb_protobuf_expect(&scan->message, field, PB_WT_STRING)) {
        return scan->message.status;
    }
    FB_TRY(fb_onnx_read_tensor(scan->reader, field->span, scan->graph, &scan->to->tensor, &name));
    scan->to->tensor->name = name[0] == '\0' ? NULL : name;
    return FB_OK;
}

static FbStatus read_single(AttributeScan *scan, const FbProtobufField *field)
{
    FbProtobufMessage *message = &scan->message;
    FbAttribute *to = scan->to;
    uint32_t word = (uint32_t)field->value;
    switch (to->type) {
    case FB_ATTR_FLOAT:
        if (fb_protobuf_expect(message, field, PB_WT_32BIT)) {
            memcpy(&to->f, &word, sizeof word);
        }
        return message->status;
    case FB_ATTR_INT:
        fb_protobuf_int(message, field, &to->i);
        return message->status;
    case FB_ATTR_STRING:
        return fb_protobuf_expect(message, field, PB_WT_STRING) ? fb_protobuf_bytes(&scan->reader->file, scan->graph->arena, field->span, &to->s)
                                                            : message->status;
    case FB_ATTR_TENSOR:
        return read_tensor_value(scan, field);
    case FB_ATTR_GRAPH:
        return read_graph_value(scan, field, &to->graph);
    default:
        return FB_OK;
    }
}

static FbStatus read_values(AttributeScan *scan)
{
    FbAttribute *to = scan->to;
    FbArena *arena = scan->graph->arena;
    size_t count = (size_t)scan->entries[to->type];
    FB_TRY(fb_protobuf_charge(&scan->reader->file, (uint64_t)count * sizeof(FbBytes)));
    float *floats = to->type == FB_ATTR_FLOATS ? fb_arena_array(arena, count, sizeof *floats) : NULL;
    int64_t *ints = to->type == FB_ATTR_INTS ? fb_arena_array(arena, count, sizeof *ints) : NULL;
    FbBytes *strings = to->type == FB_ATTR_STRINGS ? fb_arena_array(arena, count, sizeof *strings) : NULL;
    FbGraph **graphs = to->type == FB_ATTR_GRAPHS ? fb_arena_array(arena, count, sizeof *graphs) : NULL;
    bool list = to->type == FB_ATTR_FLOATS || to->type == FB_ATTR_INTS || to->type == FB_ATTR_STRINGS || to->type == FB_ATTR_GRAPHS;
    if (list && floats == NULL && ints == NULL && strings == NULL && graphs == NULL) {
        return fb_error_memory(scan->reader->file.context, scan->reader->file.err, "an attribute", (uint64_t)count * sizeof *strings);
    }
    FbProtobufMessage *message = &scan->message;
    FbProtobufField field;
    size_t at = 0;
    fb_protobuf_open(message, &scan->reader->file, message->span, "AttributeProto");
    while (fb_protobuf_next(message, &field)) {
        if (field.tag != value_tags[to->type]) {
            continue;
        }
        FbStatus status = FB_OK;
        if (floats != NULL || ints != NULL) {
            read_numbers(scan, &field, floats, ints, &at);
        } else if (list && !has_room(scan, at)) {
            break;
        } else if (strings != NULL && fb_protobuf_expect(message, &field, PB_WT_STRING)) {
            status = fb_protobuf_bytes(&scan->reader->file, arena, field.span, &strings[at++]);
        } else if (graphs != NULL) {
            status = read_graph_value(scan, &field, &graphs[at++]);
        } else if (!list) {
            status = read_single(scan, &field);
        }
        FB_TRY(status);
    }
    FB_TRY(message->status);
    if (list && at != count) {
        return fb_protobuf_changed(&scan->reader->file);
    }
    to->count = list ? count : 0;
    to->floats = floats;
    to->ints = ints;
    to->strings = strings;
    to->graphs = graphs;
    return FB_OK;
}

FbStatus fb_onnx_read_attribute(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, FbAttribute *attribute)
{
    AttributeScan scan = {.scope = scope, .reader = scope->reader, .graph = graph, .to = attribute};
    FB_TRY(fb_protobuf_charge(&scope->reader->file, sizeof *attribute));
    FB_TRY(scan_attribute(&scan, span));
    FB_TRY(settle_type(&scan));
    switch (attribute->type) {
    case FB_ATTR_TENSORS:
    case FB_ATTR_SPARSE:
    case FB_ATTR_SPARSES:
    case FB_ATTR_TYPE:
    case FB_ATTR_TYPES:
        return fb_protobuf_bytes(&scope->reader->file, graph->arena, span, &attribute->raw);
    default:
        break;
    }
    FB_TRY(read_values(&scan));
    if (scan.has_unknown) {
        FB_TRY(fb_protobuf_unknown(&scope->reader->file, span, "AttributeProto", KNOWN_TAGS, graph->arena, &attribute->extra));
    }
    return FB_OK;
}
