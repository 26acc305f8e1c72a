/* TensorProto -> FbConst. Raw and external bytes stay where they are; the typed fields are decoded into memory. */
#include <string.h>

#include "base/checked.h"
#include "io/onnx/onnx_load.h"

enum { LOCATION_EXTERNAL = 1 };

#define KNOWN_TAGS                                                                                                                     \
    (FB_PROTOBUF_TAG(fb_onnx_Tensor_dims_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_data_type_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_float_data_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Tensor_int32_data_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_string_data_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Tensor_int64_data_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_name_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_raw_data_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Tensor_double_data_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_uint64_data_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Tensor_doc_string_tag) | FB_PROTOBUF_TAG(fb_onnx_Tensor_external_data_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Tensor_data_location_tag))

typedef struct TensorScan {
    FbOnnxReader *reader;
    FbProtobufMessage message;
    FbArena *arena;
    const char *name, *doc;
    int64_t dtype, location;
    int rank;
    int64_t dims[FB_RANK_MAX];
    bool has_raw, has_unknown;
    FbProtobufSpan raw;
    uint32_t typed_tag;      /* of the typed field that holds data; 0: none */
    FbOnnxExternalKeys external;
} TensorScan;

static void add_dim(TensorScan *scan, int64_t dim)
{
    if (scan->rank == FB_RANK_MAX) {
        fb_protobuf_fail(&scan->message, FB_ERR_UNSUPPORTED, "tensor '%s' has more than %d dimensions", scan->name, FB_RANK_MAX);
    } else if (dim < 0) {
        fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "tensor '%s' has the dimension %lld", scan->name, (long long)dim);
    } else {
        scan->dims[scan->rank++] = dim;
    }
}

static void scan_dims(TensorScan *scan, const FbProtobufField *field)
{
    if (field->wire != PB_WT_STRING) {
        if (fb_protobuf_expect(&scan->message, field, PB_WT_VARINT)) {
            add_dim(scan, (int64_t)field->value);
        }
        return;
    }
    FbProtobufMessage packed;
    fb_protobuf_open(&packed, &scan->reader->file, field->span, "packed dims");
    while (packed.stream.bytes_left > 0 && scan->message.status == FB_OK) {
        uint64_t value;
        if (!pb_decode_varint(&packed.stream, &value)) {
            fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "unreadable dimensions");
            return;
        }
        add_dim(scan, (int64_t)value);
    }
}

static void scan_external(TensorScan *scan, const FbProtobufField *field)
{
    const char *key = "";
    const char *value = "";
    FbProtobufMessage entry;
    FbProtobufField part;
    if (!fb_protobuf_expect(&scan->message, field, PB_WT_STRING)) {
        return;
    }
    fb_protobuf_open(&entry, &scan->reader->file, field->span, "external_data entry");
    while (fb_protobuf_next(&entry, &part)) {
        if (part.tag == fb_onnx_StringStringEntry_key_tag) {
            fb_protobuf_name(&entry, &part, scan->arena, &key);
        } else if (part.tag == fb_onnx_StringStringEntry_value_tag) {
            fb_protobuf_name(&entry, &part, scan->arena, &value);
        }
    }
    if (entry.status != FB_OK) {
        scan->message.status = entry.status;
        return;
    }
    const char **slot = strcmp(key, "location") == 0 ? &scan->external.location
                        : strcmp(key, "offset") == 0 ? &scan->external.offset
                        : strcmp(key, "length") == 0 ? &scan->external.length
                                                     : NULL;
    if (slot == NULL) {
        if (strcmp(key, "checksum") != 0) {
            fb_log(scan->reader->file.context, FB_LOG_NOTE, "external-key", "external data key '%s' is not interpreted", key);
        }
    } else if (*slot != NULL) {
        fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "external data key '%s' is given twice", key);
    } else {
        *slot = value;
    }
}

static void scan_typed(TensorScan *scan, const FbProtobufField *field)
{
    if (field->wire == PB_WT_STRING && field->span.bytes == 0 && field->tag != fb_onnx_Tensor_string_data_tag) {
        return; /* an empty packed field is no data */
    }
    if (scan->typed_tag != 0 && scan->typed_tag != field->tag) {
        fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "tensor '%s' has its data in two fields", scan->name);
    }
    scan->typed_tag = field->tag;
}

static FbStatus scan_tensor(TensorScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage *message = &scan->message;
    FbProtobufField field;
    fb_protobuf_open(message, &scan->reader->file, span, "TensorProto");
    while (fb_protobuf_next(message, &field)) {
        switch (field.tag) {
        case fb_onnx_Tensor_name_tag:
            fb_protobuf_name(message, &field, scan->arena, &scan->name);
            break;
        case fb_onnx_Tensor_doc_string_tag:
            fb_protobuf_text(message, &field, scan->arena, &scan->doc);
            break;
        case fb_onnx_Tensor_data_type_tag:
            fb_protobuf_int(message, &field, &scan->dtype);
            break;
        case fb_onnx_Tensor_data_location_tag:
            fb_protobuf_int(message, &field, &scan->location);
            break;
        case fb_onnx_Tensor_dims_tag:
            scan_dims(scan, &field);
            break;
        case fb_onnx_Tensor_raw_data_tag:
            scan->has_raw = fb_protobuf_expect(message, &field, PB_WT_STRING);
            scan->raw = field.span;
            break;
        case fb_onnx_Tensor_external_data_tag:
            scan_external(scan, &field);
            break;
        case fb_onnx_Tensor_segment_tag:
            fb_protobuf_fail(message, FB_ERR_UNSUPPORTED, "tensors in segments are not supported");
            break;
        case fb_onnx_Tensor_float_data_tag:
        case fb_onnx_Tensor_int32_data_tag:
        case fb_onnx_Tensor_int64_data_tag:
        case fb_onnx_Tensor_uint64_data_tag:
        case fb_onnx_Tensor_double_data_tag:
        case fb_onnx_Tensor_string_data_tag:
            scan_typed(scan, &field);
            break;
        default:
            scan->has_unknown = true;
        }
    }
    return message->status;
}

/* ---- typed fields ---- */

typedef struct TypedLayout {
    uint32_t tag;
    unsigned unit_bytes;   /* bytes that one entry of the field stands for */
    pb_wire_type_t wire;   /* of one entry */
} TypedLayout;

/* Complex numbers take two entries per element; sub-byte types put one byte's worth of elements into an entry. */
static TypedLayout layout_of(FbDtype dtype)
{
    switch (dtype) {
    case FB_DTYPE_F32:
    case FB_DTYPE_C64:
        return (TypedLayout){fb_onnx_Tensor_float_data_tag, 4, PB_WT_32BIT};
    case FB_DTYPE_F64:
    case FB_DTYPE_C128:
        return (TypedLayout){fb_onnx_Tensor_double_data_tag, 8, PB_WT_64BIT};
    case FB_DTYPE_S64:
        return (TypedLayout){fb_onnx_Tensor_int64_data_tag, 8, PB_WT_VARINT};
    case FB_DTYPE_U64:
        return (TypedLayout){fb_onnx_Tensor_uint64_data_tag, 8, PB_WT_VARINT};
    case FB_DTYPE_U32:
        return (TypedLayout){fb_onnx_Tensor_uint64_data_tag, 4, PB_WT_VARINT};
    case FB_DTYPE_S32:
        return (TypedLayout){fb_onnx_Tensor_int32_data_tag, 4, PB_WT_VARINT};
    case FB_DTYPE_U16:
    case FB_DTYPE_S16:
    case FB_DTYPE_F16:
    case FB_DTYPE_BF16:
        return (TypedLayout){fb_onnx_Tensor_int32_data_tag, 2, PB_WT_VARINT};
    default:
        return (TypedLayout){fb_onnx_Tensor_int32_data_tag, 1, PB_WT_VARINT};
    }
}

typedef struct TypedSink {
    const TypedLayout *layout;
    uint8_t *to;
    uint64_t done, capacity; /* bytes */
} TypedSink;

static bool put_entry(TypedSink *sink, uint64_t value)
{
    if (sink->capacity - sink->done < sink->layout->unit_bytes) {
        return false;
    }
    for (unsigned b = 0; b < sink->layout->unit_bytes; b++) {
        sink->to[sink->done++] = (uint8_t)(value >> (8 * b));
    }
    return true;
}

static bool put_packed(TypedSink *sink, FbProtobufMessage *packed)
{
    while (packed->stream.bytes_left > 0) {
        uint64_t value = 0;
        uint32_t word = 0;
        bool ok = sink->layout->wire == PB_WT_VARINT  ? pb_decode_varint(&packed->stream, &value)
                  : sink->layout->wire == PB_WT_64BIT ? pb_decode_fixed64(&packed->stream, &value)
                                                      : pb_decode_fixed32(&packed->stream, &word);
        if (!ok || !put_entry(sink, sink->layout->wire == PB_WT_32BIT ? word : value)) {
            return false;
        }
    }
    return true;
}

static FbStatus read_typed(TensorScan *scan, FbDtype dtype, uint64_t bytes, FbPlane *plane)
{
    TypedLayout layout = layout_of(dtype);
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &scan->reader->file, scan->message.span, "TensorProto");
    /* One entry takes at least a byte in the file, so a tensor much larger than its message is a lie told before memory is asked for. */
    if (layout.tag != scan->typed_tag || bytes / layout.unit_bytes > message.span.bytes) {
        return fb_protobuf_fail(&message, FB_ERR_FORMAT, "tensor '%s': its data does not fit its type and dimensions", scan->name);
    }
    plane->buffer = fb_buffer_create(scan->reader->file.context, (size_t)bytes);
    if (plane->buffer == NULL) {
        return fb_error_memory(scan->reader->file.context, scan->reader->file.err, "a tensor", bytes);
    }
    plane->bytes = bytes;
    TypedSink sink = {&layout, fb_buffer_data(plane->buffer), 0, bytes};
    bool fits = true;
    while (fits && fb_protobuf_next(&message, &field)) {
        if (field.tag != layout.tag) {
            continue;
        }
        if (field.wire == PB_WT_STRING) {
            FbProtobufMessage packed;
            fb_protobuf_open(&packed, &scan->reader->file, field.span, "packed data");
            fits = put_packed(&sink, &packed);
        } else {
            fits = fb_protobuf_expect(&message, &field, layout.wire) && put_entry(&sink, field.value);
        }
    }
    if (scan->reader->file.broken != FB_OK) {
        return scan->reader->file.broken;
    }
    FB_TRY(message.status);
    if (!fits || sink.done != bytes) {
        return fb_protobuf_fail(&message, FB_ERR_FORMAT, "tensor '%s' has %s data than its dimensions say", scan->name, fits ? "less" : "more");
    }
    return FB_OK;
}

/* ---- putting it together ---- */

static FbStatus read_raw(TensorScan *scan, uint64_t bytes, FbPlane *plane)
{
    if (scan->raw.bytes != bytes) {
        return fb_protobuf_fail(&scan->message, FB_ERR_FORMAT, "tensor '%s' has %llu bytes of data, its type and dimensions need %llu", scan->name,
                                (unsigned long long)scan->raw.bytes, (unsigned long long)bytes);
    }
    *plane = (FbPlane){.source = fb_source_retain(scan->reader->file.source), .offset = scan->raw.offset, .bytes = bytes};
    return FB_OK;
}

static FbStatus read_data(TensorScan *scan, FbConst *constant)
{
    FbProtobufMessage *message = &scan->message;
    FbPlane *plane = &constant->planes[FB_PLANE_CODES];
    bool external = scan->location == LOCATION_EXTERNAL;
    int64_t elements;
    uint64_t bytes;
    if (!fb_product_dims(scan->dims, scan->rank, &elements)) {
        return fb_protobuf_fail(message, FB_ERR_FORMAT, "tensor '%s' has more elements than can be counted", scan->name);
    }
    if ((scan->has_raw && scan->typed_tag != 0) || (external && (scan->raw.bytes > 0 || scan->typed_tag != 0))) {
        return fb_protobuf_fail(message, FB_ERR_FORMAT, "tensor '%s' has its data in two places", scan->name);
    }
    if (constant->dtype == FB_DTYPE_STRING) {
        if (scan->has_raw || external || (scan->typed_tag != 0 && scan->typed_tag != fb_onnx_Tensor_string_data_tag)) {
            return fb_protobuf_fail(message, FB_ERR_FORMAT, "tensor '%s' of strings without string_data", scan->name);
        }
        return fb_protobuf_bytes(&scan->reader->file, scan->arena, message->span, &constant->strings);
    }
    if (!fb_dtype_storage(constant->dtype, (uint64_t)elements, &bytes)) {
        return fb_protobuf_fail(message, FB_ERR_FORMAT, "tensor '%s' is larger than any file", scan->name);
    }
    if (external) {
        constant->external_location = scan->external.location;
        FbStatus status = fb_onnx_read_external(scan->reader, &scan->external, bytes, plane);
        return status == FB_OK ? FB_OK : fb_error_context(scan->reader->file.err, status, "tensor '%.96s'", scan->name);
    }
    if (scan->has_raw) {
        return read_raw(scan, bytes, plane);
    }
    if (scan->typed_tag == 0) {
        return bytes == 0 ? FB_OK : fb_protobuf_fail(message, FB_ERR_FORMAT, "tensor '%s' has no data", scan->name);
    }
    constant->typed_field = true;
    return read_typed(scan, constant->dtype, bytes, plane);
}

FbStatus fb_onnx_read_tensor(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, FbConst **out, const char **name)
{
    TensorScan scan = {.reader = reader, .arena = graph->arena, .name = ""};
    FB_TRY(scan_tensor(&scan, span));
    if (scan.dtype <= 0) {
        return fb_protobuf_fail(&scan.message, FB_ERR_FORMAT, "tensor '%.96s' has no element type", scan.name);
    }
    if (scan.dtype >= FB_DTYPE_COUNT) {
        return fb_protobuf_fail(&scan.message, FB_ERR_UNSUPPORTED, "tensor '%.96s' has the element type number %lld, which is not known",
                                scan.name, (long long)scan.dtype);
    }
    if (scan.location != 0 && scan.location != LOCATION_EXTERNAL) {
        return fb_protobuf_fail(&scan.message, FB_ERR_FORMAT, "tensor '%.96s' has the data location %lld", scan.name, (long long)scan.location);
    }
    FB_TRY(fb_protobuf_charge(&reader->file, sizeof(FbConst)));
    FbConst *constant = fb_graph_new_const(graph);
    if (constant == NULL) {
        return fb_error_memory(reader->file.context, reader->file.err, "a tensor", sizeof *constant);
    }
    constant->dtype = (FbDtype)scan.dtype;
    constant->shape = fb_shape_make(scan.rank, scan.dims);
    constant->doc = scan.doc;
    FB_TRY(read_data(&scan, constant));
    if (scan.has_unknown && constant->dtype != FB_DTYPE_STRING) {
        FB_TRY(fb_protobuf_unknown(&reader->file, span, "TensorProto", KNOWN_TAGS, graph->arena, &constant->extra));
    }
    *out = constant;
    *name = scan.name;
    return FB_OK;
}
