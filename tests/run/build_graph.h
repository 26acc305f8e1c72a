/* Small models made in C for tests: values by name, nodes by names. Every failure is a test failure. */
#ifndef FB_TESTS_BUILD_GRAPH_H
#define FB_TESTS_BUILD_GRAPH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/model.h"

static inline FbContext *build_context(int threads)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

static inline FbModel *build_model(FbContext *context)
{
    FbModel *model = NULL;
    assert_int_equal(fb_model_create(context, &model, NULL), FB_OK);
    if (model->graph == NULL) {
        assert_int_equal(fb_graph_create(context, NULL, &model->graph, NULL), FB_OK);
    }
    return model;
}

static inline FbId build_value(FbGraph *graph, const char *name)
{
    if (name[0] == '\0') {
        return FB_NONE;
    }
    FbId id = fb_graph_find_value(graph, name);
    if (id != FB_NONE) {
        return id;
    }
    if (graph->parent != NULL && fb_graph_resolve(graph, name, &id, NULL) == FB_OK) {
        return id;
    }
    assert_int_equal(fb_graph_add_value(graph, name, &id, NULL), FB_OK);
    return id;
}

/* dims: -2 and below are symbols. */
static inline void build_input(FbGraph *graph, const char *name, FbDtype dtype, int rank, const int64_t *dims)
{
    FbId id;
    assert_int_equal(fb_graph_add_value(graph, name, &id, NULL), FB_OK);
    graph->values[id].dtype = dtype;
    graph->values[id].shape = fb_shape_make(rank, dims);
    assert_int_equal(fb_graph_add_input(graph, id, NULL), FB_OK);
}

static inline void build_output(FbGraph *graph, const char *name)
{
    assert_int_equal(fb_graph_add_output(graph, build_value(graph, name), NULL), FB_OK);
}

static inline void build_constant(FbGraph *graph, const char *name, FbDtype dtype, int rank, const int64_t *dims, const void *data)
{
    FbTensor tensor = {.dtype = dtype, .rank = rank, .data = (void *)(uintptr_t)data};
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        elements *= dims[i];
    }
    tensor.bytes = (size_t)elements * (size_t)fb_dtype_bits(dtype) / 8;
    FbId id;
    assert_int_equal(fb_graph_add_constant(graph, name, &tensor, &id, NULL), FB_OK);
}

static inline void build_float(FbGraph *graph, const char *name, float value)
{
    build_constant(graph, name, FB_DTYPE_F32, 0, NULL, &value);
}

static inline void build_ints(FbGraph *graph, const char *name, size_t count, const int64_t *values)
{
    int64_t dim = (int64_t)count;
    build_constant(graph, name, FB_DTYPE_S64, 1, &dim, values);
}

/* Ports as one text: "x,w,b" -> "y". An empty name is an absent input. */
static inline size_t build_ports(FbGraph *graph, const char *names, FbId *ids)
{
    size_t count = 0;
    const char *at = names;
    for (;;) {
        char name[64];
        size_t length = strcspn(at, ",");
        assert_true(length < sizeof name);
        memcpy(name, at, length);
        name[length] = '\0';
        ids[count++] = build_value(graph, name);
        if (at[length] == '\0') {
            return count;
        }
        at += length + 1;
    }
}

static inline FbId build_node(FbGraph *graph, const char *op_type, int version, const char *inputs, const char *outputs)
{
    FbId in[16], out[16], node;
    size_t input_count = build_ports(graph, inputs, in);
    size_t output_count = 0;
    const char *at = outputs;
    /* Outputs are new values of this graph, also when an enclosing graph has the name. */
    for (;;) {
        char name[64];
        size_t length = strcspn(at, ",");
        memcpy(name, at, length);
        name[length] = '\0';
        out[output_count] = fb_graph_find_value(graph, name);
        if (out[output_count] == FB_NONE) {
            assert_int_equal(fb_graph_add_value(graph, name, &out[output_count], NULL), FB_OK);
        }
        output_count++;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (inputs[0] == '\0') {
        input_count = 0;
    }
    assert_int_equal(fb_graph_add_node(graph, "", op_type, version, out[0] == FB_NONE ? op_type : graph->values[out[0]].name, in, input_count,
                                       out, output_count, FB_NONE, &node, NULL), FB_OK);
    return node;
}

/* A subgraph as an attribute of a node. */
static inline FbGraph *build_body(FbGraph *graph, FbId node, const char *attribute)
{
    FbGraph *body = NULL;
    assert_int_equal(fb_graph_create(graph->context, graph, &body, NULL), FB_OK);
    FbNode *owner = graph->nodes[node];
    FbAttribute *attributes = fb_arena_array(graph->arena, owner->attribute_count + 1, sizeof *attributes);
    assert_non_null(attributes);
    if (owner->attribute_count) {
        memcpy(attributes, owner->attributes, owner->attribute_count * sizeof *attributes);
    }
    attributes[owner->attribute_count] = (FbAttribute){.name = attribute, .type = FB_ATTR_GRAPH, .graph = body};
    owner->attributes = attributes;
    owner->attribute_count++;
    return body;
}

#endif
