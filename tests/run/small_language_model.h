/* A language model of two layers with fixed random weights, made in C for tests. */
#ifndef FB_TESTS_SMALL_LANGUAGE_MODEL_H
#define FB_TESTS_SMALL_LANGUAGE_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "run/build_graph.h"

enum { SMALL_VOCABULARY = 61, SMALL_HIDDEN = 32, SMALL_HEADS = 4, SMALL_LAYERS = 2 };

static inline void small_noise(FbGraph *graph, const char *name, uint64_t stream, int64_t rows, int64_t cols, float scale)
{
    float *data = malloc((size_t)(rows * cols) * sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < rows * cols; i++) {
        data[i] = fb_random_normal(11, stream, (uint64_t)i) * scale;
    }
    build_constant(graph, name, FB_DTYPE_F32, cols == 1 ? 1 : 2, (int64_t[]){rows, cols}, data);
    free(data);
}

static inline void small_product(FbGraph *graph, const char *inputs, const char *output)
{
    FbId node = build_node(graph, "Gemm", 13, inputs, output);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "transB", 1, NULL), FB_OK);
}

static inline void small_layer(FbGraph *graph, int layer, float scale)
{
    char in[80], out[32];
    static const char *const parts[4] = {"q", "k", "v", "o"};
    for (int p = 0; p < 4; p++) {
        snprintf(out, sizeof out, "w%s%d", parts[p], layer);
        small_noise(graph, out, (uint64_t)(10 * layer + p), SMALL_HIDDEN, SMALL_HIDDEN, scale);
    }
    for (int p = 0; p < 3; p++) {
        snprintf(in, sizeof in, "x%d,w%s%d", layer, parts[p], layer);
        snprintf(out, sizeof out, "%s%d", parts[p], layer);
        small_product(graph, in, out);
    }
    FbId ids[6], y, node;
    snprintf(in, sizeof in, "q%d,k%d,v%d,positions,sequences,slopes", layer, layer, layer);
    build_ports(graph, in, ids);
    snprintf(out, sizeof out, "a%d", layer);
    y = build_value(graph, out);
    assert_int_equal(fb_graph_add_node(graph, "fewbit", "Attention", 1, out, ids, 6, &y, 1, FB_NONE, &node, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "q_num_heads", SMALL_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "kv_num_heads", SMALL_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "layer", layer, NULL), FB_OK);
    snprintf(in, sizeof in, "a%d,wo%d", layer, layer);
    snprintf(out, sizeof out, "p%d", layer);
    small_product(graph, in, out);
    snprintf(in, sizeof in, "x%d,p%d", layer, layer);
    snprintf(out, sizeof out, "x%d", layer + 1);
    build_node(graph, "Add", 14, in, out);
}

/* scale: of all weights; 0 makes every token equally probable. */
static inline FbModel *small_language_model(FbContext *context, float scale)
{
    FbModel *model = build_model(context);
    FbGraph *graph = model->graph;
    const int64_t tokens = fb_graph_symbol(graph, "tokens"), rows = fb_graph_symbol(graph, "rows");
    build_input(graph, "input_ids", FB_DTYPE_S64, 1, &tokens);
    build_input(graph, "positions", FB_DTYPE_S64, 1, &tokens);
    build_input(graph, "sequences", FB_DTYPE_S64, 1, &tokens);
    build_input(graph, "output_rows", FB_DTYPE_S64, 1, &rows);
    small_noise(graph, "embedding", 99, SMALL_VOCABULARY, SMALL_HIDDEN, scale);
    small_noise(graph, "slopes", 98, SMALL_HEADS, 1, scale);
    build_node(graph, "Gather", 13, "embedding,input_ids", "x0");
    for (int layer = 0; layer < SMALL_LAYERS; layer++) {
        small_layer(graph, layer, scale);
    }
    char last[16];
    snprintf(last, sizeof last, "x%d", SMALL_LAYERS);
    FbId inputs[2] = {build_value(graph, last), build_value(graph, "output_rows")}, y = build_value(graph, "wanted");
    assert_int_equal(fb_graph_add_node(graph, "", "Gather", 13, "wanted", inputs, 2, &y, 1, FB_NONE, NULL, NULL), FB_OK);
    small_product(graph, "wanted,embedding", "logits");
    FbId logits = build_value(graph, "logits");
    graph->values[logits].dtype = FB_DTYPE_F32;
    graph->values[logits].shape = fb_shape_make(2, (int64_t[]){rows, SMALL_VOCABULARY});
    build_output(graph, "logits");
    return model;
}

#endif
