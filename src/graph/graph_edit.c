/* Edits of a graph: attributes, removed nodes, replaced uses, names. */
#include <string.h>

#include "base/text.h"
#include "graph/graph.h"
#include "graph/name_table.h"

/* The node's attribute of that name, cleared, or a new one; NULL: no memory. */
static FbAttribute *edit_attribute(FbGraph *graph, FbNode *node, const char *name)
{
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, name) == 0) {
            node->attributes[i] = (FbAttribute){.name = node->attributes[i].name};
            return &node->attributes[i];
        }
    }
    FbAttribute *list = fb_arena_array(graph->arena, node->attribute_count + 1, sizeof *list);
    char *copy = fb_arena_strdup(graph->arena, name);
    if (list == NULL || copy == NULL) {
        return NULL;
    }
    if (node->attribute_count > 0) {
        memcpy(list, node->attributes, node->attribute_count * sizeof *list);
    }
    node->attributes = list;
    list[node->attribute_count].name = copy;
    return &list[node->attribute_count++];
}

static FbStatus no_memory(FbGraph *graph, FbError *err)
{
    return fb_error_memory(graph->context, err, "an attribute", sizeof(FbAttribute));
}

FbStatus fb_graph_set_attribute_int(FbGraph *graph, FbId node, const char *name, int64_t i, FbError *err)
{
    FbAttribute *attribute = edit_attribute(graph, graph->nodes[node], name);
    if (attribute == NULL) {
        return no_memory(graph, err);
    }
    attribute->type = FB_ATTR_INT;
    attribute->i = i;
    return FB_OK;
}

FbStatus fb_graph_set_attribute_float(FbGraph *graph, FbId node, const char *name, float f, FbError *err)
{
    FbAttribute *attribute = edit_attribute(graph, graph->nodes[node], name);
    if (attribute == NULL) {
        return no_memory(graph, err);
    }
    attribute->type = FB_ATTR_FLOAT;
    attribute->f = f;
    return FB_OK;
}

FbStatus fb_graph_set_attribute_ints(FbGraph *graph, FbId node, const char *name, const int64_t *ints, size_t count, FbError *err)
{
    int64_t *copy = fb_arena_array(graph->arena, count, sizeof *copy);
    FbAttribute *attribute = copy == NULL ? NULL : edit_attribute(graph, graph->nodes[node], name);
    if (attribute == NULL) {
        return no_memory(graph, err);
    }
    if (count > 0) {
        memcpy(copy, ints, count * sizeof *copy);
    }
    attribute->type = FB_ATTR_INTS;
    attribute->ints = copy;
    attribute->count = count;
    return FB_OK;
}

FbStatus fb_graph_set_attribute_string(FbGraph *graph, FbId node, const char *name, const char *s, FbError *err)
{
    char *copy = fb_arena_strdup(graph->arena, s);
    FbAttribute *attribute = copy == NULL ? NULL : edit_attribute(graph, graph->nodes[node], name);
    if (attribute == NULL) {
        return no_memory(graph, err);
    }
    attribute->type = FB_ATTR_STRING;
    attribute->s = (FbBytes){(const uint8_t *)copy, strlen(copy)};
    return FB_OK;
}

void fb_graph_drop_attribute(FbGraph *graph, FbId id, const char *name)
{
    FbNode *node = graph->nodes[id];
    size_t kept = 0;
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, name) != 0) {
            node->attributes[kept++] = node->attributes[i];
        }
    }
    node->attribute_count = kept;
}

void fb_graph_remove_node(FbGraph *graph, FbId id)
{
    FbNode *node = graph->nodes[id];
    node->removed = true;
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FB_NONE && graph->values[node->outputs[i]].producer == id) {
            graph->values[node->outputs[i]].producer = FB_NONE;
        }
    }
}

void fb_graph_restore_node(FbGraph *graph, FbId id)
{
    FbNode *node = graph->nodes[id];
    node->removed = false;
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FB_NONE) {
            graph->values[node->outputs[i]].producer = id;
        }
    }
}

void fb_graph_set_input(FbGraph *graph, FbId node, size_t index, FbId value)
{
    graph->nodes[node]->inputs[index] = value;
}

FbStatus fb_graph_set_inputs(FbGraph *graph, FbId node, const FbId *inputs, size_t count, FbError *err)
{
    FbId *copy = fb_arena_array(graph->arena, count, sizeof *copy);
    if (copy == NULL) {
        return fb_error_memory(graph->context, err, "a node's inputs", (uint64_t)count * sizeof *copy);
    }
    if (count > 0) {
        memcpy(copy, inputs, count * sizeof *copy);
    }
    graph->nodes[node]->inputs = copy;
    graph->nodes[node]->input_count = (uint32_t)count;
    return FB_OK;
}

FbStatus fb_graph_add_node_output(FbGraph *graph, FbId id, FbId value, FbError *err)
{
    FbNode *node = graph->nodes[id];
    FbId *list = fb_arena_array(graph->arena, node->output_count + 1u, sizeof *list);
    if (list == NULL) {
        return fb_error_memory(graph->context, err, "a node's outputs", (node->output_count + 1u) * sizeof *list);
    }
    if (node->output_count > 0) {
        memcpy(list, node->outputs, node->output_count * sizeof *list);
    }
    list[node->output_count++] = value;
    node->outputs = list;
    graph->values[value].producer = id;
    return FB_OK;
}

void fb_graph_replace_uses(FbGraph *graph, FbId from, FbId to, bool outputs)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        FbNode *node = graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] == from) {
                node->inputs[i] = to;
            }
        }
    }
    for (size_t i = 0; outputs && i < graph->output_count; i++) {
        if (graph->outputs[i] == from) {
            graph->outputs[i] = to;
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FbGraph *inner = graph->subgraphs[g];
        for (size_t v = 0; v < inner->value_count; v++) {
            if (inner->values[v].outer == from) {
                inner->values[v].outer = to;
            }
        }
    }
}

bool fb_graph_is_output(const FbGraph *graph, FbId value)
{
    for (size_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == value) {
            return true;
        }
    }
    return false;
}

FbStatus fb_graph_rename_value(FbGraph *graph, FbId value, const char *name, FbError *err)
{
    if (fb_graph_find_value(graph, name) != FB_NONE) {
        char shown[128];
        return fb_error_set(err, FB_ERR_FORMAT, "value '%s' is defined twice", fb_escape(name, shown, sizeof shown));
    }
    char *copy = fb_arena_strdup(graph->arena, name);
    if (copy == NULL || !fb_name_table_add(graph->names, copy, value)) {
        return fb_error_memory(graph->context, err, "a value's name", strlen(name));
    }
    fb_name_table_remove(graph->names, graph->values[value].name);
    graph->values[value].name = copy;
    return FB_OK;
}

const char *fb_graph_value_name(const FbGraph *graph, FbId value)
{
    while (graph->values[value].outer != FB_NONE && graph->parent != NULL) {
        value = graph->values[value].outer;
        graph = graph->parent;
    }
    return graph->values[value].name;
}
