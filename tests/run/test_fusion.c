/* Fusion and channels-last regions change no bit: every graph is run as it is and with all its values observed, which keeps each of them
 * from being fused away; outputs must be equal, and the number of steps tells that fusion took place. */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "run/build_graph.h"
#include "run/plan.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

typedef struct Case {
    FbContext *context;
    FbModel *model;
    FbGraph *graph;
    uint64_t seed;
} Case;

static void begin(Case *c)
{
    c->context = build_context(2);
    c->model = build_model(c->context);
    c->graph = c->model->graph;
    c->seed = 1;
}

static float *noise(Case *c, size_t count)
{
    float *data = fb_arena_array(c->graph->arena, count + 1, sizeof *data);
    assert_non_null(data);
    c->seed++;
    for (size_t i = 0; i < count; i++) {
        data[i] = fb_random_normal(c->seed, 0, i);
    }
    return data;
}

static void weight(Case *c, const char *name, int rank, const int64_t *dims)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    build_constant(c->graph, name, FB_DTYPE_F32, rank, dims, noise(c, count));
}

static FbStatus ignore(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    (void)index;
    (void)tensor;
    (void)channels_last;
    (void)err;
    ++*(size_t *)user;
    return FB_OK;
}

/* Runs with or without observing everything; *data is a copy of output 0. Returns the number of executed steps. */
static size_t run(Case *c, bool observe_all, const FbTensor *inputs, size_t input_count, float **data, size_t *bytes)
{
    const char *names[64];
    size_t count = 0, seen = 0;
    for (size_t n = 0; observe_all && n < c->graph->node_count; n++) {
        names[count++] = c->graph->values[c->graph->nodes[n]->outputs[0]].name;
    }
    FbSessionOptions options = {.struct_bytes = sizeof options, .observed = names, .observed_count = count, .observe = ignore, .observe_user = &seen};
    FbSession *session = NULL;
    FbError err = {FB_OK, ""};
    FbTensor output;
    if (fb_session_create(c->context, c->model, &options, &session, &err) != FB_OK ||
        fb_session_run(session, inputs, input_count, &output, 1, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(seen, count);
    *bytes = output.bytes;
    *data = malloc(output.bytes + 1);
    assert_non_null(*data);
    memcpy(*data, output.data, output.bytes);
    size_t steps = fb_instance_step_count(fb_session_instance(session));
    fb_session_free(session);
    return steps;
}

static void check(Case *c, size_t steps, const FbTensor *inputs, size_t input_count)
{
    float *fused, *plain;
    size_t fused_bytes, plain_bytes;
    size_t fused_steps = run(c, false, inputs, input_count, &fused, &fused_bytes);
    run(c, true, inputs, input_count, &plain, &plain_bytes);
    assert_int_equal(fused_bytes, plain_bytes);
    for (size_t i = 0; i < fused_bytes / sizeof(float); i++) {
        if (memcmp(&fused[i], &plain[i], sizeof(float)) != 0) {
            fail_msg("element %zu: %.9g fused, %.9g alone", i, (double)fused[i], (double)plain[i]);
        }
    }
    assert_int_equal(fused_steps, steps);
    free(fused);
    free(plain);
    fb_model_free(c->model);
    assert_int_equal(fb_context_memory_now(c->context), 0);
    fb_context_free(c->context);
}

static FbTensor tensor(Case *c, int rank, const int64_t *dims)
{
    FbTensor t = {.dtype = FB_DTYPE_F32, .rank = rank, .bytes = sizeof(float)};
    for (int i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        t.bytes *= (size_t)dims[i];
    }
    t.data = noise(c, t.bytes / sizeof(float));
    return t;
}

static void conv(Case *c, const char *inputs, const char *output, int64_t pad)
{
    FbId node = build_node(c->graph, "Conv", 11, inputs, output);
    assert_int_equal(fb_graph_set_attribute_ints(c->graph, node, "pads", DIMS(pad, pad, pad, pad), 4, NULL), FB_OK);
}

/* Layout, conv + bias + relu, layout. */
static void test_conv_relu(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(c.graph, "N"), 5, 9, 7));
    weight(&c, "w", 4, DIMS(20, 5, 3, 3));
    weight(&c, "b", 3, DIMS(20, 1, 1));
    conv(&c, "x,w", "p", 1);
    build_node(c.graph, "Add", 14, "p,b", "s");
    build_node(c.graph, "Relu", 14, "s", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 4, DIMS(2, 5, 9, 7));
    check(&c, 3, &x, 1);
}

/* A residual block: the sum goes into the second product, both stay channels last. */
static void test_residual(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(c.graph, "N"), 8, 6, 6));
    weight(&c, "w", 4, DIMS(8, 8, 3, 3));
    weight(&c, "v", 4, DIMS(8, 8, 1, 1));
    weight(&c, "b", 1, DIMS(8));
    conv(&c, "x,w,b", "p", 1);
    build_node(c.graph, "Relu", 14, "p", "r");
    conv(&c, "r,v", "q", 0);
    build_node(c.graph, "Add", 14, "x,q", "s");
    build_node(c.graph, "Relu", 14, "s", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 4, DIMS(3, 8, 6, 6));
    check(&c, 4, &x, 1);
}

/* x * Sigmoid(x), concatenation of channels, and a depthwise product behind. */
static void test_silu_concat(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 4, DIMS(1, 4, 5, 6));
    weight(&c, "w", 4, DIMS(6, 4, 1, 1));
    weight(&c, "u", 4, DIMS(6, 4, 3, 3));
    weight(&c, "d", 4, DIMS(12, 1, 3, 3));
    conv(&c, "x,w", "p", 0);
    build_node(c.graph, "Sigmoid", 13, "p", "sp");
    build_node(c.graph, "Mul", 14, "p,sp", "a");
    conv(&c, "x,u", "q", 1);
    build_node(c.graph, "Sigmoid", 13, "q", "sq");
    build_node(c.graph, "Mul", 14, "sq,q", "b");
    FbId concat = build_node(c.graph, "Concat", 13, "a,b", "ab");
    fb_graph_set_attribute_int(c.graph, concat, "axis", 1, NULL);
    FbId deep = build_node(c.graph, "Conv", 11, "ab,d", "e");
    fb_graph_set_attribute_int(c.graph, deep, "group", 12, NULL);
    build_node(c.graph, "LeakyRelu", 16, "e", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 4, DIMS(1, 4, 5, 6));
    check(&c, 6, &x, 1); /* layout, two products, concat, product, layout */
}

/* Every activation that an epilogue knows, behind a matrix product with a bias. */
static void test_activations(void **state)
{
    static const char *const names[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        Case c;
        begin(&c);
        build_input(c.graph, "x", FB_DTYPE_F32, 3, DIMS(fb_graph_symbol(c.graph, "N"), 7, 33));
        weight(&c, "w", 2, DIMS(33, 45));
        weight(&c, "b", 1, DIMS(45));
        build_node(c.graph, "MatMul", 13, "x,w", "p");
        build_node(c.graph, "Add", 14, "b,p", "s");
        build_node(c.graph, names[i], strcmp(names[i], "HardSwish") == 0 ? 22 : 16, "s", "y");
        build_output(c.graph, "y");
        FbTensor x = tensor(&c, 3, DIMS(2, 7, 33));
        check(&c, 1, &x, 1);
    }
}

static void test_clip(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 2, DIMS(3, 8));
    weight(&c, "w", 2, DIMS(8, 17));
    build_float(c.graph, "low", -0.5f);
    build_float(c.graph, "high", 0.75f);
    build_node(c.graph, "Gemm", 13, "x,w", "p");
    build_node(c.graph, "Clip", 13, "p,low,high", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 2, DIMS(3, 8));
    check(&c, 1, &x, 1);
}

static void test_gelu(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(c.graph, "N"), 24));
    weight(&c, "w", 2, DIMS(24, 40));
    weight(&c, "b", 1, DIMS(40));
    build_float(c.graph, "root", 1.41421356f);
    build_float(c.graph, "one", 1.0f);
    build_float(c.graph, "half", 0.5f);
    build_node(c.graph, "MatMul", 13, "x,w", "p");
    build_node(c.graph, "Add", 14, "p,b", "s");
    build_node(c.graph, "Div", 14, "s,root", "d");
    build_node(c.graph, "Erf", 13, "d", "e");
    build_node(c.graph, "Add", 14, "e,one", "f");
    build_node(c.graph, "Mul", 14, "s,f", "g");
    build_node(c.graph, "Mul", 14, "g,half", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 2, DIMS(19, 24));
    check(&c, 1, &x, 1);
}

/* An operand that broadcasts must not be taken for a residual. */
static void test_broadcast_operand(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(c.graph, "N"), 8));
    build_input(c.graph, "z", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(c.graph, "M"), 9));
    weight(&c, "w", 2, DIMS(8, 9));
    build_node(c.graph, "MatMul", 13, "x,w", "p");
    build_node(c.graph, "Add", 14, "p,z", "y");
    build_output(c.graph, "y");
    FbTensor inputs[2] = {tensor(&c, 2, DIMS(4, 8)), tensor(&c, 2, DIMS(1, 9))};
    check(&c, 2, inputs, 2);
}

/* Symbols that say equal but are not: an error, never a wrong result. */
static void test_false_symbols(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    int64_t n = fb_graph_symbol(c.graph, "N");
    build_input(c.graph, "x", FB_DTYPE_F32, 2, DIMS(n, 8));
    build_input(c.graph, "z", FB_DTYPE_F32, 2, DIMS(n, 9));
    weight(&c, "w", 2, DIMS(8, 9));
    build_node(c.graph, "MatMul", 13, "x,w", "p");
    build_node(c.graph, "Add", 14, "p,z", "y");
    build_output(c.graph, "y");
    FbTensor inputs[2] = {tensor(&c, 2, DIMS(4, 8)), tensor(&c, 2, DIMS(1, 9))}, y;
    FbSession *session = NULL;
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_create(c.context, c.model, NULL, &session, NULL), FB_OK);
    assert_int_equal(fb_session_run(session, inputs, 2, &y, 1, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "symbolic"));
    fb_session_free(session);
    fb_model_free(c.model);
    fb_context_free(c.context);
}

/* Layout borders: transposes that only rename the order cost nothing, per-channel constants follow the order, a reshape needs a border. */
static void test_forms(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    build_input(c.graph, "x", FB_DTYPE_F32, 4, DIMS(2, 6, 7, 3)); /* N H W C */
    FbId first = build_node(c.graph, "Transpose", 13, "x", "t");
    fb_graph_set_attribute_ints(c.graph, first, "perm", DIMS(0, 3, 1, 2), 4, NULL);
    weight(&c, "w", 4, DIMS(5, 3, 3, 3));
    weight(&c, "scale", 4, DIMS(1, 5, 1, 1));
    weight(&c, "slope", 3, DIMS(5, 1, 1));
    conv(&c, "t,w", "p", 1);
    build_node(c.graph, "Mul", 14, "p,scale", "m");
    build_node(c.graph, "PRelu", 16, "m,slope", "r");
    FbId last = build_node(c.graph, "Transpose", 13, "r", "back");
    fb_graph_set_attribute_ints(c.graph, last, "perm", DIMS(0, 2, 3, 1), 4, NULL);
    build_ints(c.graph, "flat", 2, (int64_t[]){2, -1});
    build_node(c.graph, "Reshape", 13, "back,flat", "y");
    build_output(c.graph, "y");
    FbTensor x = tensor(&c, 4, DIMS(2, 6, 7, 3));
    check(&c, 3, &x, 1); /* product, Mul, PRelu */
}

static void quant(Case *c, const char *input, const char *output, const char *scale, const char *zero, FbDtype code)
{
    char ports[64];
    snprintf(ports, sizeof ports, "%s,%s,%s", input, scale, zero);
    FbId node = build_node(c->graph, "Quant", 1, ports, output);
    c->graph->nodes[node]->domain = "fewbit";
    assert_int_equal(fb_graph_set_attribute_int(c->graph, node, "code", code, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(c->graph, node, "dtype", FB_DTYPE_F32, NULL), FB_OK);
}

static void quantized_model(Case *c)
{
    build_input(c->graph, "x", FB_DTYPE_F32, 4, DIMS(2, 3, 6, 5));
    weight(c, "w", 4, DIMS(7, 3, 3, 3));
    build_float(c->graph, "sx", 0.031f);
    build_float(c->graph, "sy", 0.11f);
    build_constant(c->graph, "zx", FB_DTYPE_U8, 0, NULL, (uint8_t[]){131});
    build_constant(c->graph, "zy", FB_DTYPE_S8, 0, NULL, (int8_t[]){-128});
    quant(c, "x", "xq", "sx", "zx", FB_DTYPE_U8);
    conv(c, "xq,w", "p", 1);
    build_node(c->graph, "Relu", 14, "p", "r");
    quant(c, "r", "y", "sy", "zy", FB_DTYPE_S8);
    build_output(c->graph, "y");
}

/* A Quant behind a product is rounding in its epilogue. */
static void test_quant(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    quantized_model(&c);
    FbTensor x = tensor(&c, 4, DIMS(2, 3, 6, 5));
    check(&c, 4, &x, 1); /* Quant, layout, product, layout */
}

/* In float mode the Quants are not there: the result is that of the graph without them. */
static void test_float_mode(void **state)
{
    (void)state;
    Case c;
    begin(&c);
    quantized_model(&c);
    FbTensor x = tensor(&c, 4, DIMS(2, 3, 6, 5)), got, want;
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_FLOAT};
    FbSession *session = NULL, *plain = NULL;
    assert_int_equal(fb_session_create(c.context, c.model, &options, &session, NULL), FB_OK);
    FbGraph *g = c.graph;
    fb_graph_set_input(g, g->values[fb_graph_find_value(g, "p")].producer, 0, fb_graph_find_value(g, "x"));
    g->outputs[0] = fb_graph_find_value(g, "r");
    assert_int_equal(fb_session_create(c.context, c.model, NULL, &plain, NULL), FB_OK);
    assert_int_equal(fb_session_run(session, &x, 1, &got, 1, NULL), FB_OK);
    assert_int_equal(fb_session_run(plain, &x, 1, &want, 1, NULL), FB_OK);
    assert_int_equal(got.bytes, want.bytes);
    assert_memory_equal(got.data, want.data, want.bytes);
    fb_session_free(session);
    fb_session_free(plain);
    fb_model_free(c.model);
    fb_context_free(c.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_relu),         cmocka_unit_test(test_residual),     cmocka_unit_test(test_silu_concat),
        cmocka_unit_test(test_activations),       cmocka_unit_test(test_clip),         cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_broadcast_operand), cmocka_unit_test(test_false_symbols), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_quant),             cmocka_unit_test(test_float_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
