/* Bodies of the ONNX messages from tensor to graph and function. Fields in the order of their numbers, as other writers have them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/onnx/onnx_writer.h"

/* ---- tensors ---- */

typedef struct Entry { const char *key, *value; } Entry;

static bool write_entry(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const Entry *entry = subject;
    (void)graph;
    return fb_onnx_put_text(stream, fb_onnx_StringStringEntry_key_tag, entry->key) &&
           fb_onnx_put_text(stream, fb_onnx_StringStringEntry_value_tag, entry->value);
}

static uint64_t external_offset(const FbOnnxWriter *writer, const FbConst *constant, const FbGraph *graph)
{
    const FbOnnxExternalPlan *plan = &writer->external;
    return plan->offsets == NULL || plan->graph != graph ? UINT64_MAX : plan->offsets[constant->index];
}

static bool write_external(pb_ostream_t *stream, const FbOnnxWriter *writer, uint64_t offset, uint64_t bytes)
{
    char numbers[2][24];
    snprintf(numbers[0], sizeof numbers[0], "%" PRIu64, offset);
    snprintf(numbers[1], sizeof numbers[1], "%" PRIu64, bytes);
    Entry entries[3] = {{"location", writer->external.location}, {"offset", numbers[0]}, {"length", numbers[1]}};
    for (int i = 0; i < 3; i++) {
        if (!fb_onnx_put_message(stream, fb_onnx_Tensor_external_data_tag, write_entry, &entries[i], NULL)) {
            return false;
        }
    }
    return fb_onnx_put_int(stream, fb_onnx_Tensor_data_location_tag, 1);
}

static bool write_raw_data(pb_ostream_t *stream, FbOnnxWriter *writer, const FbPlane *plane)
{
    if (!pb_encode_tag(stream, PB_WT_STRING, fb_onnx_Tensor_raw_data_tag) || !pb_encode_varint(stream, plane->bytes)) {
        return false;
    }
    if (stream->callback != NULL) {
        writer->status = fb_onnx_put_plane(writer, writer->output, plane);
    }
    stream->bytes_written += (size_t)plane->bytes;
    return writer->status == FB_OK;
}

bool fb_onnx_write_tensor(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbOnnxNamedTensor *tensor = subject;
    const FbConst *constant = tensor->constant;
    FbOnnxWriter *writer = stream->state;
    if (constant->strings.count > 0) {
        return fb_onnx_put_raw(stream, constant->strings);
    }
    if (constant->encoding != NULL) {
        writer->status = fb_error_set(writer->err, FB_ERR_INTERNAL, "an encoded weight reached the writer");
        return false;
    }
    for (int i = 0; i < constant->shape.rank; i++) {
        if (!fb_onnx_put_int(stream, fb_onnx_Tensor_dims_tag, constant->shape.dims[i])) {
            return false;
        }
    }
    const FbPlane *plane = &constant->planes[FB_PLANE_CODES];
    uint64_t offset = external_offset(writer, constant, graph);
    return fb_onnx_put_int(stream, fb_onnx_Tensor_data_type_tag, constant->dtype) &&
           fb_onnx_put_text(stream, fb_onnx_Tensor_name_tag, tensor->name) &&
           (offset != UINT64_MAX || write_raw_data(stream, writer, plane)) &&
           fb_onnx_put_text(stream, fb_onnx_Tensor_doc_string_tag, constant->doc) &&
           (offset == UINT64_MAX || write_external(stream, writer, offset, plane->bytes)) && fb_onnx_put_raw(stream, constant->extra);
}

/* ---- attributes and nodes ---- */

static bool write_list(pb_ostream_t *stream, const FbAttribute *attribute, const FbGraph *graph)
{
    (void)graph;
    for (size_t i = 0; i < attribute->count; i++) {
        bool ok = true;
        if (attribute->type == FB_ATTR_FLOATS) {
            ok = fb_onnx_put_float(stream, fb_onnx_Attribute_floats_tag, attribute->floats[i]);
        } else if (attribute->type == FB_ATTR_INTS) {
            ok = fb_onnx_put_int(stream, fb_onnx_Attribute_ints_tag, attribute->ints[i]);
        } else if (attribute->type == FB_ATTR_STRINGS) {
            ok = fb_onnx_put_bytes(stream, fb_onnx_Attribute_strings_tag, attribute->strings[i].data, attribute->strings[i].count);
        } else if (attribute->type == FB_ATTR_GRAPHS) {
            ok = fb_onnx_put_message(stream, fb_onnx_Attribute_graphs_tag, fb_onnx_write_graph, NULL, attribute->graphs[i]);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool write_value(pb_ostream_t *stream, const FbAttribute *attribute, const FbGraph *graph)
{
    FbOnnxNamedTensor tensor = {attribute->tensor, attribute->tensor == NULL ? NULL : attribute->tensor->name};
    if (attribute->reference != NULL) {
        return true;
    }
    switch (attribute->type) {
    case FB_ATTR_FLOAT:
        return fb_onnx_put_float(stream, fb_onnx_Attribute_f_tag, attribute->f);
    case FB_ATTR_INT:
        return fb_onnx_put_int(stream, fb_onnx_Attribute_i_tag, attribute->i);
    case FB_ATTR_STRING:
        return fb_onnx_put_bytes(stream, fb_onnx_Attribute_s_tag, attribute->s.data, attribute->s.count);
    case FB_ATTR_TENSOR:
        return fb_onnx_put_message(stream, fb_onnx_Attribute_t_tag, fb_onnx_write_tensor, &tensor, graph);
    case FB_ATTR_GRAPH:
        return fb_onnx_put_message(stream, fb_onnx_Attribute_g_tag, fb_onnx_write_graph, NULL, attribute->graph);
    default:
        return write_list(stream, attribute, graph);
    }
}

bool fb_onnx_write_attribute(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbAttribute *attribute = subject;
    if (attribute->raw.count > 0) {
        return fb_onnx_put_raw(stream, attribute->raw);
    }
    return fb_onnx_put_text(stream, fb_onnx_Attribute_name_tag, attribute->name) && write_value(stream, attribute, graph) &&
           fb_onnx_put_text(stream, fb_onnx_Attribute_doc_string_tag, attribute->doc) &&
           fb_onnx_put_int(stream, fb_onnx_Attribute_type_tag, attribute->type) &&
           fb_onnx_put_text(stream, fb_onnx_Attribute_ref_attr_name_tag, attribute->reference) && fb_onnx_put_raw(stream, attribute->extra);
}

bool fb_onnx_write_node(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbNode *node = subject;
    bool ok = true;
    for (uint32_t i = 0; i < node->input_count && ok; i++) {
        ok = fb_onnx_put_text(stream, fb_onnx_Node_input_tag, node->inputs[i] == FB_NONE ? "" : fb_graph_value_name(graph, node->inputs[i]));
    }
    for (uint32_t i = 0; i < node->output_count && ok; i++) {
        ok = fb_onnx_put_text(stream, fb_onnx_Node_output_tag,
                              node->outputs[i] == FB_NONE ? "" : graph->values[node->outputs[i]].name);
    }
    ok = ok && (node->name[0] == '\0' || fb_onnx_put_text(stream, fb_onnx_Node_name_tag, node->name)) &&
         fb_onnx_put_text(stream, fb_onnx_Node_op_type_tag, node->op_type);
    for (size_t i = 0; i < node->attribute_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Node_attribute_tag, fb_onnx_write_attribute, &node->attributes[i], graph);
    }
    return ok && fb_onnx_put_text(stream, fb_onnx_Node_doc_string_tag, node->doc) &&
           (node->domain[0] == '\0' || fb_onnx_put_text(stream, fb_onnx_Node_domain_tag, node->domain)) &&
           fb_onnx_put_text(stream, fb_onnx_Node_overload_tag, node->overload) && fb_onnx_put_raw(stream, node->extra);
}

/* ---- values ---- */

static bool write_dimension(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const int64_t *dim = subject;
    if (*dim >= 0) {
        return fb_onnx_put_int(stream, fb_onnx_Dimension_dim_value_tag, *dim);
    }
    return fb_onnx_put_text(stream, fb_onnx_Dimension_dim_param_tag, fb_graph_symbol_name(graph, *dim));
}

static bool write_shape(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbShape *shape = subject;
    for (int i = 0; i < shape->rank; i++) {
        if (!fb_onnx_put_message(stream, fb_onnx_TensorShape_dim_tag, write_dimension, &shape->dims[i], graph)) {
            return false;
        }
    }
    return true;
}

static bool write_tensor_type(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbValue *value = subject;
    return fb_onnx_put_int(stream, fb_onnx_TensorType_elem_type_tag, value->dtype) &&
           (value->shape.rank < 0 || fb_onnx_put_message(stream, fb_onnx_TensorType_shape_tag, write_shape, &value->shape, graph));
}

static bool write_type(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbValue *value = subject;
    if (value->type_raw.count > 0) {
        return fb_onnx_put_raw(stream, value->type_raw);
    }
    return fb_onnx_put_message(stream, fb_onnx_Type_tensor_type_tag, write_tensor_type, value, graph);
}

bool fb_onnx_write_info(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbId *id = subject;
    const FbValue *value = &graph->values[*id];
    bool typed = value->type_raw.count > 0 || value->dtype != FB_DTYPE_NONE;
    return fb_onnx_put_text(stream, fb_onnx_ValueInfo_name_tag, fb_graph_value_name(graph, *id)) &&
           (!typed || fb_onnx_put_message(stream, fb_onnx_ValueInfo_type_tag, write_type, value, graph)) &&
           fb_onnx_put_raw(stream, value->info_extra);
}

static bool write_infos(pb_ostream_t *stream, uint32_t tag, const FbId *ids, size_t count, const FbGraph *graph)
{
    for (size_t i = 0; i < count; i++) {
        if (!fb_onnx_put_message(stream, tag, fb_onnx_write_info, &ids[i], graph)) {
            return false;
        }
    }
    return true;
}

/* ---- graphs and functions ---- */

static bool write_nodes(pb_ostream_t *stream, uint32_t tag, const FbGraph *graph)
{
    for (size_t i = 0; i < graph->written_count; i++) {
        if (!fb_onnx_put_message(stream, tag, fb_onnx_write_node, graph->nodes[graph->written[i]], graph)) {
            return false;
        }
    }
    return true;
}

bool fb_onnx_write_graph(pb_ostream_t *stream, const void *unused, const FbGraph *graph)
{
    (void)unused;
    bool ok = write_nodes(stream, fb_onnx_Graph_node_tag, graph) && fb_onnx_put_text(stream, fb_onnx_Graph_name_tag, graph->name);
    for (size_t i = 0; i < graph->initializer_count && ok; i++) {
        const FbValue *value = &graph->values[graph->initializers[i]];
        FbOnnxNamedTensor tensor = {value->constant, value->name};
        ok = fb_onnx_put_message(stream, fb_onnx_Graph_initializer_tag, fb_onnx_write_tensor, &tensor, graph);
    }
    return ok && fb_onnx_put_text(stream, fb_onnx_Graph_doc_string_tag, graph->doc) &&
           write_infos(stream, fb_onnx_Graph_input_tag, graph->inputs, graph->input_count, graph) &&
           write_infos(stream, fb_onnx_Graph_output_tag, graph->outputs, graph->output_count, graph) &&
           write_infos(stream, fb_onnx_Graph_value_info_tag, graph->infos, graph->info_count, graph) && fb_onnx_put_raw(stream, graph->extra);
}

bool fb_onnx_write_opset(pb_ostream_t *stream, const void *subject, const FbGraph *unused)
{
    const FbOpset *opset = subject;
    (void)unused;
    return fb_onnx_put_text(stream, fb_onnx_OperatorSetId_domain_tag, opset->domain) &&
           fb_onnx_put_int(stream, fb_onnx_OperatorSetId_version_tag, opset->version);
}

static bool write_port_names(pb_ostream_t *stream, uint32_t tag, const FbId *ids, size_t count, const FbGraph *graph)
{
    for (size_t i = 0; i < count; i++) {
        if (!fb_onnx_put_text(stream, tag, graph->values[ids[i]].name)) {
            return false;
        }
    }
    return true;
}

bool fb_onnx_write_function(pb_ostream_t *stream, const void *subject, const FbGraph *body)
{
    const FbFunction *function = subject;
    bool ok = fb_onnx_put_text(stream, fb_onnx_Function_name_tag, function->name) &&
              write_port_names(stream, fb_onnx_Function_input_tag, body->inputs, body->input_count, body) &&
              write_port_names(stream, fb_onnx_Function_output_tag, body->outputs, body->output_count, body);
    for (size_t i = 0; i < function->attribute_count && ok; i++) {
        ok = fb_onnx_put_text(stream, fb_onnx_Function_attribute_tag, function->attributes[i]);
    }
    ok = ok && write_nodes(stream, fb_onnx_Function_node_tag, body);
    for (size_t i = 0; i < function->opset_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Function_opset_import_tag, fb_onnx_write_opset, &function->opsets[i], NULL);
    }
    ok = ok && fb_onnx_put_text(stream, fb_onnx_Function_doc_string_tag, body->doc) &&
         fb_onnx_put_text(stream, fb_onnx_Function_domain_tag, function->domain);
    for (size_t i = 0; i < function->default_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Function_attribute_proto_tag, fb_onnx_write_attribute, &function->defaults[i], body);
    }
    return ok && write_infos(stream, fb_onnx_Function_value_info_tag, body->infos, body->info_count, body) &&
           fb_onnx_put_text(stream, fb_onnx_Function_overload_tag, function->overload) && fb_onnx_put_raw(stream, function->extra);
}
