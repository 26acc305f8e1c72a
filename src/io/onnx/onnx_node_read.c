/* NodeProto -> FbNode; the values of Constant nodes. */
#include <string.h>

#include "base/text.h"
#include "io/onnx/onnx_load.h"

#define KNOWN_TAGS                                                                                                       \
    (FB_PROTOBUF_TAG(fb_onnx_Node_input_tag) | FB_PROTOBUF_TAG(fb_onnx_Node_output_tag) | FB_PROTOBUF_TAG(fb_onnx_Node_name_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Node_op_type_tag) | FB_PROTOBUF_TAG(fb_onnx_Node_attribute_tag) | \
     FB_PROTOBUF_TAG(fb_onnx_Node_doc_string_tag) | FB_PROTOBUF_TAG(fb_onnx_Node_domain_tag) | FB_PROTOBUF_TAG(fb_onnx_Node_overload_tag))

FbStatus fb_onnx_read_node_outputs(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &scope->reader->file, span, "NodeProto");
    while (fb_protobuf_next(&message, &field)) {
        const char *name;
        FbId value;
        if (field.tag == fb_onnx_Node_output_tag && fb_protobuf_name(&message, &field, scope->reader->scratch, &name) && name[0] != '\0') {
            FB_TRY(fb_onnx_add_value(scope->reader, graph, name, &value));
        }
    }
    return message.status;
}

typedef struct NodeScan {
    const char *name, *op_type, *domain, *overload, *doc;
    FbId *inputs, *outputs;
    size_t input_count, output_count, attribute_count;
    bool has_unknown;
} NodeScan;

/* Counts first, so that the lists have their size. */
static FbStatus count_parts(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, NodeScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    FbOnnxReader *reader = scope->reader;
    fb_protobuf_open(&message, &reader->file, span, "NodeProto");
    while (fb_protobuf_next(&message, &field)) {
        scan->input_count += field.tag == fb_onnx_Node_input_tag;
        scan->output_count += field.tag == fb_onnx_Node_output_tag;
        scan->attribute_count += field.tag == fb_onnx_Node_attribute_tag;
        scan->has_unknown = scan->has_unknown || !fb_protobuf_is_known(KNOWN_TAGS, field.tag);
        switch (field.tag) {
        case fb_onnx_Node_name_tag:
            fb_protobuf_name(&message, &field, reader->scratch, &scan->name);
            break;
        case fb_onnx_Node_op_type_tag:
            fb_protobuf_name(&message, &field, reader->scratch, &scan->op_type);
            break;
        case fb_onnx_Node_domain_tag:
            fb_protobuf_name(&message, &field, reader->scratch, &scan->domain);
            break;
        case fb_onnx_Node_overload_tag:
            fb_protobuf_name(&message, &field, graph->arena, &scan->overload);
            break;
        case fb_onnx_Node_doc_string_tag:
            fb_protobuf_text(&message, &field, graph->arena, &scan->doc);
            break;
        default:
            break;
        }
    }
    FB_TRY(message.status);
    if (scan->op_type[0] == '\0') {
        return fb_protobuf_fail(&message, FB_ERR_FORMAT, "node '%.96s' has no operator", scan->name);
    }
    if (scan->attribute_count > FB_ONNX_ATTRIBUTES_MAX) {
        return fb_protobuf_fail(&message, FB_ERR_BUDGET, "a node with more than %d attributes", FB_ONNX_ATTRIBUTES_MAX);
    }
    uint64_t bytes = sizeof(FbNode) + (scan->input_count + scan->output_count) * sizeof(FbId);
    FB_TRY(fb_protobuf_charge(&reader->file, bytes));
    scan->inputs = fb_arena_array(reader->scratch, scan->input_count, sizeof *scan->inputs);
    scan->outputs = fb_arena_array(reader->scratch, scan->output_count, sizeof *scan->outputs);
    return scan->inputs == NULL || scan->outputs == NULL ? fb_error_memory(reader->file.context, reader->file.err, "a node", bytes) : FB_OK;
}

static FbStatus read_ports(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, NodeScan *scan)
{
    FbProtobufMessage message;
    FbProtobufField field;
    size_t inputs = 0;
    size_t outputs = 0;
    fb_protobuf_open(&message, &scope->reader->file, span, "NodeProto");
    while (fb_protobuf_next(&message, &field)) {
        const char *name;
        if (field.tag != fb_onnx_Node_input_tag && field.tag != fb_onnx_Node_output_tag) {
            continue;
        }
        if (!fb_protobuf_name(&message, &field, scope->reader->scratch, &name)) {
            break;
        }
        FbId value = FB_NONE;
        if (field.tag == fb_onnx_Node_output_tag) {
            value = name[0] == '\0' ? FB_NONE : fb_graph_find_value(graph, name);
            FB_TRY(outputs < scan->output_count ? FB_OK : fb_protobuf_changed(&scope->reader->file));
            scan->outputs[outputs++] = value;
        } else {
            if (name[0] != '\0') {
                FB_TRY(fb_graph_resolve(graph, name, &value, scope->reader->file.err));
            }
            FB_TRY(inputs < scan->input_count ? FB_OK : fb_protobuf_changed(&scope->reader->file));
            scan->inputs[inputs++] = value;
        }
    }
    FB_TRY(message.status);
    return inputs == scan->input_count && outputs == scan->output_count ? FB_OK : fb_protobuf_changed(&scope->reader->file);
}

static FbStatus read_attributes(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, FbNode *node, size_t count)
{
    FbProtobufMessage message;
    FbProtobufField field;
    node->attributes = fb_arena_array(graph->arena, count, sizeof *node->attributes);
    if (node->attributes == NULL) {
        return fb_error_memory(scope->reader->file.context, scope->reader->file.err, "attributes", count * sizeof *node->attributes);
    }
    fb_protobuf_open(&message, &scope->reader->file, span, "NodeProto");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag != fb_onnx_Node_attribute_tag || !fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            continue;
        }
        FB_TRY(node->attribute_count < count ? FB_OK : fb_protobuf_changed(&scope->reader->file));
        FbAttribute *attribute = &node->attributes[node->attribute_count];
        FB_TRY(fb_onnx_read_attribute(scope, field.span, graph, attribute));
        if (fb_node_attribute(node, attribute->name) != NULL) {
            return fb_protobuf_fail(&message, FB_ERR_FORMAT, "attribute '%.96s' is given twice", attribute->name);
        }
        node->attribute_count++;
    }
    return message.status;
}

/* The constant that a Constant node's attribute means; NULL for the kinds that no operator takes (strings, sparse). */
static FbStatus constant_value(const FbOnnxScope *scope, FbGraph *graph, const FbNode *node, FbConst **out)
{
    const FbAttribute *attribute = node->attribute_count == 1 ? &node->attributes[0] : NULL;
    *out = NULL;
    if (attribute == NULL || attribute->reference != NULL) {
        return FB_OK;
    }
    if (attribute->type == FB_ATTR_TENSOR) {
        *out = attribute->tensor;
        return FB_OK;
    }
    bool floats = attribute->type == FB_ATTR_FLOAT || attribute->type == FB_ATTR_FLOATS;
    bool ints = attribute->type == FB_ATTR_INT || attribute->type == FB_ATTR_INTS;
    bool scalar = attribute->type == FB_ATTR_FLOAT || attribute->type == FB_ATTR_INT;
    if (!floats && !ints) {
        return FB_OK;
    }
    int64_t count = scalar ? 1 : (int64_t)attribute->count;
    size_t bytes = (size_t)count * (floats ? sizeof(float) : sizeof(int64_t));
    FbConst *constant = fb_graph_new_const(graph);
    FbBuffer *buffer = constant == NULL ? NULL : fb_buffer_create(graph->context, bytes);
    if (buffer == NULL) {
        return fb_error_memory(graph->context, scope->reader->file.err, "a constant", bytes);
    }
    const void *from = scalar ? (floats ? (const void *)&attribute->f : &attribute->i)
                              : (floats ? (const void *)attribute->floats : attribute->ints);
    if (bytes > 0) {
        memcpy(fb_buffer_data(buffer), from, bytes);
    }
    constant->dtype = floats ? FB_DTYPE_F32 : FB_DTYPE_S64;
    constant->shape = fb_shape_make(scalar ? 0 : 1, &count);
    constant->planes[FB_PLANE_CODES] = (FbPlane){.buffer = buffer, .bytes = bytes};
    *out = constant;
    return FB_OK;
}

static FbStatus settle_constant(const FbOnnxScope *scope, FbGraph *graph, const FbNode *node)
{
    if (!fb_node_is(node, "", "Constant") || node->output_count != 1 || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    FbConst *constant;
    FB_TRY(constant_value(scope, graph, node, &constant));
    if (constant != NULL) {
        FbValue *value = &graph->values[node->outputs[0]];
        value->constant = constant;
        value->dtype = constant->dtype;
        value->shape = constant->shape;
    }
    return FB_OK;
}

static int opset_version(const FbOnnxScope *scope, const char *domain)
{
    for (size_t i = 0; i < scope->opset_count; i++) {
        if (strcmp(scope->opsets[i].domain, domain) == 0) {
            return (int)scope->opsets[i].version;
        }
    }
    return 1; /* private domains are often not imported; version 1 is what they have */
}

static FbStatus build_node(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, NodeScan *scan)
{
    FbError *err = scope->reader->file.err;
    FbId id;
    FB_TRY(read_ports(scope, span, graph, scan));
    if (scope->reader->nodes_left == 0) {
        return fb_error_set(err, FB_ERR_BUDGET, "more than %d nodes", FB_ONNX_NODES_MAX);
    }
    scope->reader->nodes_left--;
    FB_TRY(fb_graph_add_node(graph, scan->domain, scan->op_type, opset_version(scope, scan->domain), scan->name, scan->inputs,
                             scan->input_count, scan->outputs, scan->output_count, FB_NONE, &id, err));
    FbNode *node = graph->nodes[id];
    node->overload = scan->overload;
    node->doc = scan->doc;
    FB_TRY(read_attributes(scope, span, graph, node, scan->attribute_count));
    if (scan->has_unknown) {
        FB_TRY(fb_protobuf_unknown(&scope->reader->file, span, "NodeProto", KNOWN_TAGS, graph->arena, &node->extra));
    }
    return settle_constant(scope, graph, node);
}

FbStatus fb_onnx_read_node(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph)
{
    NodeScan scan = {.name = "", .op_type = "", .domain = ""};
    FB_TRY(count_parts(scope, span, graph, &scan));
    if (strcmp(scan.domain, "ai.onnx") == 0) {
        scan.domain = "";
    }
    FbStatus status = build_node(scope, span, graph, &scan);
    if (status != FB_OK && !scope->reader->located) {
        scope->reader->located = true; /* the innermost node is enough */
        char name[80];
        char op_type[64];
        return fb_error_context(scope->reader->file.err, status, "node '%s' (%s)", fb_escape(scan.name, name, sizeof name),
                                fb_escape(scan.op_type, op_type, sizeof op_type));
    }
    return status;
}
