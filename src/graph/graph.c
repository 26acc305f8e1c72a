/* Making graphs: values, nodes, constants, names. */
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "graph/name_table.h"

enum { FB_SYMBOLS_MAX = 4096 }; /* looked up one by one */

static FbStatus out_of_memory(const FbGraph *graph, const char *what, FbError *err)
{
    return fb_error_memory(graph->context, err, what, 0);
}

/* Room for one more item in a list that is a pointer, a count and a capacity. */
#define RESERVE(graph, list, count, capacity) \
    fb_array_reserve_bytes((graph)->context, (void **)&(list), (count), &(capacity), sizeof *(list))

FbStatus fb_graph_create(FbContext *context, FbGraph *parent, FbGraph **out, FbError *err)
{
    *out = NULL;
    if (parent != NULL && !RESERVE(parent, parent->subgraphs, parent->subgraph_count, parent->subgraph_capacity)) {
        return out_of_memory(parent, "a subgraph", err);
    }
    FbGraph *graph = fb_alloc_zero(context, sizeof *graph);
    if (graph == NULL) {
        return fb_error_memory(context, err, "a graph", sizeof *graph);
    }
    graph->context = context;
    graph->arena = fb_arena_create(context);
    graph->names = fb_name_table_create(context);
    if (graph->arena == NULL || graph->names == NULL) {
        fb_graph_free(graph);
        return fb_error_memory(context, err, "a graph", sizeof *graph);
    }
    graph->parent = parent;
    if (parent != NULL) {
        graph->slot = parent->subgraph_count;
        parent->subgraphs[parent->subgraph_count++] = graph;
    }
    *out = graph;
    return FB_OK;
}

static void release_const(FbConst *constant)
{
    for (int i = 0; i < FB_PLANE_COUNT; i++) {
        fb_buffer_release(constant->planes[i].buffer);
        fb_source_release(constant->planes[i].source);
    }
}

static void leave_parent(FbGraph *graph)
{
    FbGraph *parent = graph->parent;
    if (parent != NULL) {
        parent->subgraphs[graph->slot] = parent->subgraphs[--parent->subgraph_count];
        parent->subgraphs[graph->slot]->slot = graph->slot;
    }
}

void fb_graph_free(FbGraph *graph)
{
    if (graph == NULL) {
        return;
    }
    FbContext *context = graph->context;
    leave_parent(graph);
    while (graph->subgraph_count > 0) {
        fb_graph_free(graph->subgraphs[graph->subgraph_count - 1]);
    }
    for (size_t i = 0; i < graph->constant_count; i++) {
        release_const(graph->constants[i]);
    }
    fb_free(context, graph->nodes);
    fb_free(context, graph->values);
    fb_free(context, graph->inputs);
    fb_free(context, graph->outputs);
    fb_free(context, graph->initializers);
    fb_free(context, graph->infos);
    fb_free(context, graph->symbols);
    fb_free(context, graph->constants);
    fb_free(context, graph->subgraphs);
    fb_name_table_free(graph->names);
    fb_arena_free(graph->arena);
    fb_free(context, graph);
}

FbId fb_graph_find_value(const FbGraph *graph, const char *name)
{
    return fb_name_table_find(graph->names, name);
}

FbStatus fb_graph_add_value(FbGraph *graph, const char *name, FbId *value, FbError *err)
{
    if (fb_graph_find_value(graph, name) != FB_NONE) {
        char shown[128];
        return fb_error_set(err, FB_ERR_FORMAT, "value '%s' is defined twice", fb_escape(name, shown, sizeof shown));
    }
    if (graph->value_count >= (size_t)UINT32_MAX - 1 || !RESERVE(graph, graph->values, graph->value_count, graph->value_capacity)) {
        return out_of_memory(graph, "values", err);
    }
    char *copy = fb_arena_strdup(graph->arena, name);
    if (copy == NULL || !fb_name_table_add(graph->names, copy, (FbId)graph->value_count)) {
        return out_of_memory(graph, "a value's name", err);
    }
    *value = (FbId)graph->value_count;
    graph->values[graph->value_count++] =
        (FbValue){.name = copy, .shape = {.rank = -1}, .producer = FB_NONE, .outer = FB_NONE};
    return FB_OK;
}

FbStatus fb_graph_resolve(FbGraph *graph, const char *name, FbId *value, FbError *err)
{
    /* The nearest enclosing graph that has the name; then a value in every graph on the way down. Depth is capped by the loader. */
    FbGraph *home = graph;
    FbId id = FB_NONE;
    while (home != NULL && (id = fb_graph_find_value(home, name)) == FB_NONE) {
        home = home->parent;
    }
    if (home == NULL) {
        char shown[128];
        return fb_error_set(err, FB_ERR_FORMAT, "value '%s' is used but nothing defines it", fb_escape(name, shown, sizeof shown));
    }
    while (home != graph) {
        FbGraph *below = graph;
        while (below->parent != home) {
            below = below->parent;
        }
        FbId inner;
        FB_TRY(fb_graph_add_value(below, name, &inner, err));
        FbValue *to = &below->values[inner];
        const FbValue *from = &home->values[id];
        to->outer = id;
        to->dtype = from->dtype;
        id = inner;
        home = below;
    }
    *value = id;
    return FB_OK;
}

const char *fb_graph_unique_name(FbGraph *graph, const char *base)
{
    if (fb_graph_find_value(graph, base) == FB_NONE) {
        return fb_arena_strdup(graph->arena, base);
    }
    for (unsigned long i = 1;; i++) {
        char *name = fb_arena_printf(graph->arena, "%s_%lu", base, i);
        if (name == NULL || fb_graph_find_value(graph, name) == FB_NONE) {
            return name;
        }
    }
}

static FbId *copy_ids(FbGraph *graph, const FbId *ids, size_t count)
{
    FbId *copy = fb_arena_array(graph->arena, count, sizeof *copy);
    if (copy != NULL && count > 0) {
        memcpy(copy, ids, count * sizeof *copy);
    }
    return copy;
}

FbStatus fb_graph_add_node(FbGraph *graph, const char *domain, const char *op_type, int version, const char *name, const FbId *inputs,
                           size_t input_count, const FbId *outputs, size_t output_count, FbId beside, FbId *id, FbError *err)
{
    if (graph->node_count >= (size_t)UINT32_MAX - 1 || !RESERVE(graph, graph->nodes, graph->node_count, graph->node_capacity)) {
        return out_of_memory(graph, "nodes", err);
    }
    FbNode *node = fb_arena_alloc(graph->arena, sizeof *node);
    if (node == NULL) {
        return out_of_memory(graph, "a node", err);
    }
    node->name = fb_arena_strdup(graph->arena, name == NULL ? "" : name);
    node->op_type = fb_arena_strdup(graph->arena, op_type);
    node->domain = fb_arena_strdup(graph->arena, domain);
    node->inputs = copy_ids(graph, inputs, input_count);
    node->outputs = copy_ids(graph, outputs, output_count);
    if (node->name == NULL || node->op_type == NULL || node->domain == NULL || node->inputs == NULL || node->outputs == NULL) {
        return out_of_memory(graph, "a node", err);
    }
    node->version = version;
    node->input_count = (uint32_t)input_count;
    node->output_count = (uint32_t)output_count;
    node->order = beside == FB_NONE ? graph->next_order++ : graph->nodes[beside]->order;
    node->id = (FbId)graph->node_count;
    for (size_t i = 0; i < output_count; i++) {
        if (outputs[i] == FB_NONE) {
            continue;
        }
        FbValue *value = &graph->values[outputs[i]];
        if (value->producer != FB_NONE || value->outer != FB_NONE) {
            char shown[128];
            return fb_error_set(err, FB_ERR_FORMAT, "value '%s' is the output of two nodes", fb_escape(value->name, shown, sizeof shown));
        }
        value->producer = node->id;
    }
    graph->nodes[graph->node_count++] = node;
    if (id != NULL) {
        *id = node->id;
    }
    return FB_OK;
}

FbConst *fb_graph_new_const(FbGraph *graph)
{
    if (graph->constant_count >= UINT32_MAX || !RESERVE(graph, graph->constants, graph->constant_count, graph->constant_capacity)) {
        return NULL;
    }
    FbConst *constant = fb_arena_alloc(graph->arena, sizeof *constant);
    if (constant != NULL) {
        constant->index = (uint32_t)graph->constant_count;
        graph->constants[graph->constant_count++] = constant;
    }
    return constant;
}

FbConst *fb_graph_share_const(FbGraph *graph, const FbConst *from)
{
    FbConst *constant = fb_graph_new_const(graph);
    if (constant == NULL) {
        return NULL;
    }
    uint32_t index = constant->index;
    *constant = *from;
    constant->index = index;
    for (int i = 0; i < FB_PLANE_COUNT; i++) {
        fb_buffer_retain(constant->planes[i].buffer);
        if (constant->planes[i].source != NULL) {
            fb_source_retain(constant->planes[i].source);
        }
    }
    return constant;
}

FbConst *fb_graph_constant(const FbGraph *graph, FbId value)
{
    while (value != FB_NONE && graph != NULL) {
        const FbValue *v = &graph->values[value];
        if (v->constant != NULL || v->outer == FB_NONE) {
            return v->constant;
        }
        value = v->outer;
        graph = graph->parent;
    }
    return NULL;
}

FbStatus fb_graph_set_initializer(FbGraph *graph, FbId value, FbConst *constant, FbError *err)
{
    FbValue *v = &graph->values[value];
    if (!v->is_initializer) {
        if (!RESERVE(graph, graph->initializers, graph->initializer_count, graph->initializer_capacity)) {
            return out_of_memory(graph, "initializers", err);
        }
        graph->initializers[graph->initializer_count++] = value;
    }
    v->is_initializer = true;
    v->constant = constant;
    v->dtype = constant->dtype;
    v->shape = constant->shape;
    return FB_OK;
}

static size_t remove_id(FbId *ids, size_t count, FbId id)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != id) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

void fb_graph_drop_initializer(FbGraph *graph, FbId value)
{
    FbValue *v = &graph->values[value];
    if (!v->is_initializer) {
        return;
    }
    graph->initializer_count = remove_id(graph->initializers, graph->initializer_count, value);
    v->is_initializer = false;
    if (v->is_input) {
        graph->input_count = remove_id(graph->inputs, graph->input_count, value);
        v->is_input = false;
    }
}

FbStatus fb_graph_add_constant(FbGraph *graph, const char *name, const FbTensor *tensor, FbId *value, FbError *err)
{
    FB_TRY(fb_graph_add_value(graph, name, value, err));
    FbConst *constant = fb_graph_new_const(graph);
    if (constant == NULL) {
        return out_of_memory(graph, "a constant", err);
    }
    FbPlane *codes = &constant->planes[FB_PLANE_CODES];
    codes->buffer = fb_buffer_create(graph->context, tensor->bytes);
    if (codes->buffer == NULL) {
        return fb_error_memory(graph->context, err, "a constant", tensor->bytes);
    }
    if (tensor->bytes > 0) {
        memcpy(fb_buffer_data(codes->buffer), tensor->data, tensor->bytes);
    }
    codes->bytes = tensor->bytes;
    constant->dtype = tensor->dtype;
    constant->shape = fb_tensor_shape(tensor);
    return fb_graph_set_initializer(graph, *value, constant, err);
}

static FbStatus add_port(FbGraph *graph, FbId **list, size_t *count, size_t *capacity, FbId value, FbError *err)
{
    if (!fb_array_reserve_bytes(graph->context, (void **)list, *count, capacity, sizeof **list)) {
        return out_of_memory(graph, "inputs and outputs", err);
    }
    (*list)[(*count)++] = value;
    return FB_OK;
}

FbStatus fb_graph_add_input(FbGraph *graph, FbId value, FbError *err)
{
    graph->values[value].is_input = true;
    return add_port(graph, &graph->inputs, &graph->input_count, &graph->input_capacity, value, err);
}

FbStatus fb_graph_add_output(FbGraph *graph, FbId value, FbError *err)
{
    return add_port(graph, &graph->outputs, &graph->output_count, &graph->output_capacity, value, err);
}

int64_t fb_graph_symbol(FbGraph *graph, const char *name)
{
    for (size_t i = 0; i < graph->symbol_count; i++) {
        if (strcmp(graph->symbols[i], name) == 0) {
            return -((int64_t)i + 2);
        }
    }
    if (graph->symbol_count >= FB_SYMBOLS_MAX) {
        return FB_DIM_UNKNOWN;
    }
    char *copy = fb_arena_strdup(graph->arena, name);
    if (copy == NULL || !RESERVE(graph, graph->symbols, graph->symbol_count, graph->symbol_capacity)) {
        return 0;
    }
    graph->symbols[graph->symbol_count++] = copy;
    return -((int64_t)graph->symbol_count + 1);
}

const char *fb_graph_symbol_name(const FbGraph *graph, int64_t dim)
{
    if (dim >= FB_DIM_UNKNOWN || (uint64_t)(-(dim + 2)) >= graph->symbol_count) {
        return NULL;
    }
    return graph->symbols[-(dim + 2)];
}

const FbAttribute *fb_node_attribute(const FbNode *node, const char *name)
{
    for (size_t i = 0; i < node->attribute_count; i++) {
        if (strcmp(node->attributes[i].name, name) == 0) {
            return &node->attributes[i];
        }
    }
    return NULL;
}
