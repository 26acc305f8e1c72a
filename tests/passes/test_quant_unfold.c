/* Quants and encoded weights made by fewbit: the nodes and names they are written as, and that reading them gives the same again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context_test.h"
#include "passes/quant_fold.h"

static FbError err;

#define OK(call) \
    do { \
        if ((call) != FB_OK) { \
            fail_msg("%s: %s", #call, err.message); \
        } \
    } while (0)

static FbId value(FbGraph *graph, const char *name)
{
    FbId id;
    OK(fb_graph_add_value(graph, name, &id, &err));
    graph->values[id].dtype = FB_DTYPE_F32;
    return id;
}

static FbId constant(FbGraph *graph, const char *name, FbDtype dtype, int rank, const int64_t *dims, void *data, size_t bytes)
{
    FbTensor tensor = {.dtype = dtype, .rank = rank, .data = data, .bytes = bytes};
    for (int i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
    }
    FbId id;
    OK(fb_graph_add_constant(graph, name, &tensor, &id, &err));
    return id;
}

static FbId node(FbGraph *graph, const char *op_type, const FbId *inputs, size_t count, FbId output)
{
    FbId id;
    OK(fb_graph_add_node(graph, "", op_type, 11, op_type, inputs, count, &output, 1, FB_NONE, &id, &err));
    return id;
}

static void set_plane(FbConst *c, FbPlaneKind kind, const void *bytes, size_t count)
{
    c->planes[kind] = (FbPlane){.buffer = fb_buffer_create(context, count), .bytes = count};
    assert_non_null(c->planes[kind].buffer);
    memcpy(fb_buffer_data(c->planes[kind].buffer), bytes, count);
}

static const float scales[4] = {0.5f, 0.25f, 2.0f, 1.0f};
static const int8_t codes[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};

/* Makes the value an initializer with this encoding over `codes`. */
static void encode(FbGraph *graph, FbId id, const FbShape *shape, const FbEncoding *encoding, size_t code_bytes, size_t scale_count)
{
    FbConst *c = fb_graph_new_const(graph);
    FbEncoding *kept = fb_arena_alloc(graph->arena, sizeof *kept);
    assert_true(c != NULL && kept != NULL);
    *kept = *encoding;
    c->dtype = FB_DTYPE_F32;
    c->shape = *shape;
    c->encoding = kept;
    set_plane(c, FB_PLANE_CODES, codes, code_bytes);
    if (scale_count > 0) {
        set_plane(c, FB_PLANE_SCALE, scales, scale_count * sizeof(float));
    }
    OK(fb_graph_set_initializer(graph, id, c, &err));
}

static FbId quant(FbGraph *graph, FbId x, FbId scale, FbId zero, FbId output, FbDtype code)
{
    FbId inputs[3] = {x, scale, zero};
    FbId id;
    OK(fb_graph_add_node(graph, "fewbit", "Quant", 1, "", inputs, zero == FB_NONE ? 2 : 3, &output, 1, FB_NONE, &id, &err));
    OK(fb_graph_set_attribute_int(graph, id, "code", code, &err));
    OK(fb_graph_set_attribute_int(graph, id, "dtype", FB_DTYPE_F32, &err));
    return id;
}

/* x -> two Quants with the same parameters -> MatMul w (s8, one scale per column) and Relu. Operator set 11, IR 3. */
static FbModel *make_model(void)
{
    FbModel *model;
    OK(fb_model_create(context, &model, &err));
    OK(fb_graph_create(context, NULL, &model->graph, &err));
    model->ir_version = 3;
    OK(fb_model_set_opset(model, "", 11, &err));
    FbGraph *g = model->graph;
    float scale = 0.1f;
    uint8_t zero = 7;
    FbId x = value(g, "x");
    FbId w = value(g, "w");
    FbId xa = value(g, "xa");
    FbId xb = value(g, "xb");
    FbId y = value(g, "y");
    FbId z = value(g, "z");
    FbId s = constant(g, "x_scale", FB_DTYPE_F32, 0, NULL, &scale, sizeof scale);
    FbId p = constant(g, "x_zero_point", FB_DTYPE_U8, 0, NULL, &zero, sizeof zero);
    OK(fb_graph_add_input(g, x, &err));
    OK(fb_graph_add_input(g, w, &err)); /* as files of IR 3 have it */
    OK(fb_graph_add_output(g, y, &err));
    OK(fb_graph_add_output(g, z, &err));
    FbEncoding encoding = {.code = fb_code_find("s8"), .grain = FB_GRAIN_AXIS, .axis = 1, .scale = FB_DTYPE_F32};
    FbShape shape = {.rank = 2, .dims = {3, 4}};
    encode(g, w, &shape, &encoding, 12, 4);
    quant(g, x, s, p, xa, FB_DTYPE_U8);
    quant(g, x, s, p, xb, FB_DTYPE_U8);
    node(g, "MatMul", (FbId[]){xa, w}, 2, y);
    node(g, "Relu", &xb, 1, z);
    return model;
}

static const FbNode *find_node(const FbGraph *graph, const char *name)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n]->removed && strcmp(graph->nodes[n]->name, name) == 0) {
            return graph->nodes[n];
        }
    }
    fail_msg("no node %s", name);
    return NULL;
}

static const char *input_name(const FbGraph *graph, const FbNode *n, size_t i) { return graph->values[n->inputs[i]].name; }

static void test_names_by_convention(void **state)
{
    (void)state;
    FbModel *model = make_model();
    OK(fb_model_unfold_quants(model, &err));
    const FbGraph *g = model->graph;
    assert_int_equal(fb_model_opset(model, ""), 13); /* one scale per column */
    assert_int_equal(model->ir_version, 7);
    const FbNode *q = find_node(g, "x_QuantizeLinear");
    assert_string_equal(g->values[q->outputs[0]].name, "x_QuantizeLinear_Output");
    assert_string_equal(input_name(g, q, 1), "x_scale");
    assert_string_equal(input_name(g, q, 2), "x_zero_point");
    const FbNode *a = find_node(g, "x_DequantizeLinear");
    const FbNode *b = find_node(g, "x_DequantizeLinear_1"); /* both Quants share the Q */
    assert_string_equal(g->values[a->outputs[0]].name, "x_DequantizeLinear_Output");
    assert_int_equal(a->inputs[0], q->outputs[0]);
    assert_int_equal(b->inputs[0], q->outputs[0]);
    const FbNode *w = find_node(g, "w_DequantizeLinear");
    assert_string_equal(input_name(g, w, 0), "w_quantized");
    assert_string_equal(input_name(g, w, 1), "w_scale");
    assert_string_equal(input_name(g, w, 2), "w_zero_point");
    assert_string_equal(g->values[w->outputs[0]].name, "w_DequantizeLinear_Output");
    assert_int_equal(fb_node_attribute(w, "axis")->i, 1);
    assert_null(fb_node_attribute(a, "axis"));
    assert_int_equal(g->input_count, 1); /* a quantized weight is no input any more */
    const FbConst *zero = fb_graph_constant(g, w->inputs[2]);
    assert_int_equal(zero->dtype, FB_DTYPE_S8);
    assert_int_equal(zero->shape.dims[0], 4);
    fb_model_free(model);
}

static size_t count_live(const FbGraph *graph, const char *op_type)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        count += !graph->nodes[n]->removed && strcmp(graph->nodes[n]->op_type, op_type) == 0;
    }
    return count;
}

static void test_fold_of_unfolded(void **state)
{
    (void)state;
    FbModel *model = make_model();
    float before[12], after[12];
    FbId w = fb_graph_find_value(model->graph, "w");
    OK(fb_const_read_f32(context, fb_graph_constant(model->graph, w), 0, 12, before, &err));
    OK(fb_model_unfold_quants(model, &err));
    OK(fb_graph_fold_quants(model->graph, &err));
    assert_int_equal(count_live(model->graph, "Quant"), 2);
    assert_int_equal(count_live(model->graph, "QuantizeLinear") + count_live(model->graph, "DequantizeLinear"), 0);
    w = fb_graph_find_value(model->graph, "w_DequantizeLinear_Output");
    OK(fb_const_read_f32(context, fb_graph_constant(model->graph, w), 0, 12, after, &err));
    assert_memory_equal(before, after, sizeof before);
    assert_true(after[0] == 0.5f && after[1] == -0.5f && after[2] == 6.0f && after[11] == -12.0f);
    /* And back, from a clone: the same nodes as were folded. */
    FbModel *clone;
    OK(fb_model_clone(model, &clone, &err));
    OK(fb_model_unfold_quants(clone, &err));
    assert_int_equal(count_live(clone->graph, "QuantizeLinear"), 1);
    assert_int_equal(count_live(clone->graph, "DequantizeLinear"), 3);
    find_node(clone->graph, "x_DequantizeLinear_1");
    fb_model_free(clone);
    fb_model_free(model);
}

static void test_taken_names_and_outputs(void **state)
{
    (void)state;
    FbModel *model = make_model();
    FbGraph *g = model->graph;
    float one = 1;
    FbId out = value(g, "out");
    FbId raw = value(g, "out_raw");
    constant(g, "w_scale", FB_DTYPE_F32, 0, NULL, &one, sizeof one);
    constant(g, "x_QuantizeLinear_Output", FB_DTYPE_F32, 0, NULL, &one, sizeof one);
    node(g, "Neg", (FbId[]){fb_graph_find_value(g, "x")}, 1, raw);
    quant(g, raw, fb_graph_find_value(g, "x_scale"), FB_NONE, out, FB_DTYPE_S16);
    OK(fb_graph_add_output(g, out, &err));
    OK(fb_model_unfold_quants(model, &err));
    assert_int_equal(fb_model_opset(model, ""), 21); /* 16-bit codes */
    assert_int_equal(model->ir_version, 10);
    assert_string_equal(g->values[find_node(g, "x_QuantizeLinear_1")->outputs[0]].name, "x_QuantizeLinear_1_Output");
    assert_string_equal(input_name(g, find_node(g, "w_DequantizeLinear"), 1), "w_scale_1");
    const FbNode *dq = find_node(g, "out_DequantizeLinear");
    assert_string_equal(g->values[dq->outputs[0]].name, "out"); /* an output keeps its name */
    assert_string_equal(input_name(g, dq, 2), "out_zero_point"); /* written, because it carries the type */
    assert_int_equal(fb_graph_constant(g, dq->inputs[2])->dtype, FB_DTYPE_S16);
    fb_model_free(model);
}

static void test_blocks_and_halves(void **state)
{
    (void)state;
    FbModel *model = make_model();
    FbGraph *g = model->graph;
    FbId b = value(g, "b4");
    FbId h = value(g, "h");
    FbEncoding blocks = {.code = fb_code_find("s4"), .grain = FB_GRAIN_BLOCK, .axis = 0, .block = 3, .scale = FB_DTYPE_F32};
    FbEncoding half = {.code = fb_code_find("f16"), .grain = FB_GRAIN_TENSOR, .scale = FB_DTYPE_F32};
    encode(g, b, &(FbShape){.rank = 2, .dims = {4, 2}}, &blocks, 4, 4);
    encode(g, h, &(FbShape){.rank = 1, .dims = {2}}, &half, 4, 0);
    node(g, "MatMul", (FbId[]){fb_graph_find_value(g, "y"), b}, 2, value(g, "yb"));
    node(g, "Add", (FbId[]){fb_graph_find_value(g, "yb"), h}, 2, value(g, "yh"));
    OK(fb_model_unfold_quants(model, &err));
    assert_int_equal(fb_model_opset(model, ""), 21);
    const FbNode *dq = find_node(g, "b4_DequantizeLinear");
    assert_int_equal(fb_node_attribute(dq, "block_size")->i, 3);
    assert_int_equal(fb_node_attribute(dq, "axis")->i, 0);
    const FbConst *scale = fb_graph_constant(g, dq->inputs[1]);
    assert_true(scale->shape.rank == 2 && scale->shape.dims[0] == 2 && scale->shape.dims[1] == 2);
    const FbNode *cast = find_node(g, "h_Cast");
    assert_string_equal(input_name(g, cast, 0), "h_float16");
    assert_int_equal(fb_graph_constant(g, cast->inputs[0])->dtype, FB_DTYPE_F16);
    assert_int_equal(fb_node_attribute(cast, "to")->i, FB_DTYPE_F32);
    /* Every consumer comes after its weight's node, and no sooner than it must. */
    FbId *order;
    size_t count;
    OK(fb_graph_sort(g, g->arena, &order, &count, &err));
    assert_int_equal(count, 10);
    fb_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_by_convention),
        cmocka_unit_test(test_fold_of_unfolded),
        cmocka_unit_test(test_taken_names_and_outputs),
        cmocka_unit_test(test_blocks_and_halves),
    };
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
