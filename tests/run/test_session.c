/* Sessions on graphs made in C: shapes, data-dependent shapes, memory, observation, refusals. */
#include <stdio.h>
#include <stdlib.h>

#include "run/session_fixture.h"

/* y = Relu(x + c), any number of rows. */
static void test_chain(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(f.graph, "N"), 3));
    build_constant(f.graph, "c", FB_DTYPE_F32, 1, DIMS(3), (float[]){1, -2, 3});
    build_node(f.graph, "Add", 14, "x,c", "s");
    build_node(f.graph, "Relu", 14, "s", "y");
    build_output(f.graph, "y");
    create(&f);
    float data[6] = {0, 1, 2, -4, 5, -6};
    FbTensor x = floats(data, 2, DIMS(2, 3)), y;
    run(&f, &x, 1, &y, 1);
    check_floats(&y, 6, (float[]){1, 0, 5, 0, 3, 0});
    x = floats(data, 2, DIMS(1, 3));
    run(&f, &x, 1, &y, 1);
    check_floats(&y, 3, (float[]){1, 0, 5});
    end(&f);
}

/* Shape arithmetic is done when binding; Reshape is a view, so that only the Neg runs. */
static void test_known_shapes(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(f.graph, "N"), 4));
    build_node(f.graph, "Shape", 13, "x", "shape");
    build_constant(f.graph, "zero", FB_DTYPE_S64, 0, NULL, (int64_t[]){0});
    build_node(f.graph, "Gather", 13, "shape,zero", "n");
    build_ints(f.graph, "axes", 1, (int64_t[]){0});
    build_node(f.graph, "Unsqueeze", 13, "n,axes", "n1");
    build_ints(f.graph, "rest", 2, (int64_t[]){2, 2});
    build_node(f.graph, "Concat", 13, "n1,rest", "target");
    fb_graph_set_attribute_int(f.graph, (FbId)(f.graph->node_count - 1), "axis", 0, NULL);
    build_node(f.graph, "Reshape", 13, "x,target", "r");
    build_node(f.graph, "Neg", 13, "r", "y");
    build_output(f.graph, "y");
    create(&f);
    float data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    FbTensor x = floats(data, 2, DIMS(3, 4)), y;
    run(&f, &x, 1, &y, 1);
    assert_int_equal(y.rank, 3);
    assert_int_equal(y.dims[0], 3);
    assert_float_equal(((float *)y.data)[11], -12.0f, 0.0f);
    assert_int_equal(fb_instance_step_count(fb_session_instance(f.session)), 1);
    end(&f);
}

/* The target of a Reshape is an input: its value exists only when running. */
static void test_shape_from_data(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(4));
    build_input(f.graph, "target", FB_DTYPE_S64, 1, DIMS(2));
    build_node(f.graph, "Neg", 13, "x", "n");
    build_node(f.graph, "Mul", 14, "target,one", "scaled");
    build_ints(f.graph, "two", 1, (int64_t[]){1});
    f.graph->nodes[1]->inputs[1] = build_value(f.graph, "two");
    build_node(f.graph, "Reshape", 13, "n,scaled", "r");
    build_node(f.graph, "Neg", 13, "r", "y");
    build_output(f.graph, "y");
    create(&f);
    float data[4] = {1, 2, 3, 4};
    int64_t target[2] = {2, 2};
    FbTensor inputs[2] = {floats(data, 1, DIMS(4)), ints(target, 2)}, y;
    run(&f, inputs, 2, &y, 1);
    assert_int_equal(y.dims[0], 2);
    target[0] = 4;
    target[1] = 1;
    run(&f, inputs, 2, &y, 1);
    assert_int_equal(y.dims[0], 4);
    check_floats(&y, 4, data);
    target[0] = 3; /* cannot hold four elements */
    FbError err = {FB_OK, ""};
    assert_int_not_equal(fb_session_run(f.session, inputs, 2, &y, 1, &err), FB_OK);
    assert_non_null(strstr(err.message, "Reshape"));
    end(&f);
}

/* An output that is an input must not point into the caller's memory. */
static void test_output_is_input(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_node(f.graph, "Identity", 13, "x", "y");
    build_output(f.graph, "y");
    create(&f);
    float data[2] = {3, 4};
    FbTensor x = floats(data, 1, DIMS(2)), y;
    run(&f, &x, 1, &y, 1);
    data[0] = 0;
    check_floats(&y, 2, (float[]){3, 4});
    end(&f);
}

typedef struct Seen {
    size_t calls[4];
    float first[4];
} Seen;

static FbStatus observe(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    Seen *seen = user;
    (void)err;
    (void)channels_last;
    seen->calls[index]++;
    seen->first[index] = *(const float *)tensor->data;
    return FB_OK;
}

/* Values in the middle, an input, a view, and one that nobody else uses. */
static void test_observe(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(4));
    build_node(f.graph, "Neg", 13, "x", "n");
    build_ints(f.graph, "target", 2, (int64_t[]){2, 2});
    build_node(f.graph, "Reshape", 13, "n,target", "r");
    build_node(f.graph, "Abs", 13, "r", "unused");
    build_node(f.graph, "Exp", 13, "r", "e");
    build_node(f.graph, "Neg", 13, "e", "y");
    build_output(f.graph, "y");
    Seen seen = {{0}, {0}};
    const char *names[4] = {"n", "x", "r", "unused"};
    FbSessionOptions options = {.struct_bytes = sizeof options, .observed = names, .observed_count = 4, .observe = observe, .observe_user = &seen};
    assert_int_equal(fb_session_create(f.context, f.model, &options, &f.session, NULL), FB_OK);
    float data[4] = {5, 2, 3, 4};
    FbTensor x = floats(data, 1, DIMS(4)), y;
    run(&f, &x, 1, &y, 1);
    data[0] = 7;
    run(&f, &x, 1, &y, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(seen.calls[i], 2);
    }
    assert_float_equal(seen.first[0], -7.0f, 0.0f);
    assert_float_equal(seen.first[1], 7.0f, 0.0f);
    assert_float_equal(seen.first[2], -7.0f, 0.0f);
    assert_float_equal(seen.first[3], 7.0f, 0.0f);
    FbSession *none = NULL;
    names[0] = "nobody";
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_create(f.context, f.model, &options, &none, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "nobody"));
    end(&f);
}

static void test_wrong_inputs(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "picture", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(f.graph, "N"), 3));
    build_node(f.graph, "Neg", 13, "picture", "y");
    build_output(f.graph, "y");
    create(&f);
    float data[8] = {0};
    FbTensor x = floats(data, 2, DIMS(2, 4)), y;
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_run(f.session, &x, 1, &y, 1, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "input 'picture' has shape 2x4, expected"));
    x = floats(data, 2, DIMS(2, 3));
    x.dtype = FB_DTYPE_S32;
    assert_int_equal(fb_session_run(f.session, &x, 1, &y, 1, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "of type s32, expected f32"));
    x.dtype = FB_DTYPE_F32;
    x.bytes = 4;
    assert_int_equal(fb_session_run(f.session, &x, 1, &y, 1, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_session_run(f.session, &x, 0, &y, 1, &err), FB_ERR_ARGUMENT);
    end(&f);
}

static void test_unknown_operator(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_node(f.graph, "Frobnicate", 13, "x", "y");
    build_output(f.graph, "y");
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_create(f.context, f.model, NULL, &f.session, &err), FB_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "node 'y' (Frobnicate, version 13)"));
    end(&f);
}

/* A graph that feeds itself is refused, not followed. */
static void test_cycle(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_node(f.graph, "Identity", 13, "b", "a");
    build_node(f.graph, "Identity", 13, "a", "b");
    build_node(f.graph, "Neg", 13, "a", "y");
    build_output(f.graph, "y");
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_create(f.context, f.model, NULL, &f.session, &err), FB_ERR_FORMAT);
    end(&f);
}

/* Memory hooks that count. */
typedef struct Counter {
    size_t calls;
} Counter;

static void *count_allocate(void *user, size_t bytes)
{
    ((Counter *)user)->calls++;
    return malloc(bytes);
}

static void count_release(void *user, void *pointer, size_t bytes)
{
    (void)bytes;
    ((Counter *)user)->calls++;
    free(pointer);
}

static void test_no_allocation(void **state)
{
    (void)state;
    Counter counter = {0};
    FbAllocator allocator = {&counter, count_allocate, count_release};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 2, .allocator = &allocator};
    Fixture f = {0};
    assert_int_equal(fb_context_create(&options, &f.context, NULL), FB_OK);
    f.model = build_model(f.context);
    f.graph = f.model->graph;
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(f.graph, "N"), 64));
    build_node(f.graph, "Softmax", 13, "x", "p");
    build_node(f.graph, "Transpose", 13, "p", "t");
    build_node(f.graph, "Exp", 13, "t", "y");
    build_output(f.graph, "y");
    build_output(f.graph, "x");
    FbError err = {FB_OK, ""};
    if (fb_session_create(f.context, f.model, NULL, &f.session, &err) == FB_ERR_UNSUPPORTED) {
        f.graph->nodes[0]->op_type = "Neg";
        create(&f);
    }
    float *data = calloc(64 * 100, sizeof *data);
    FbTensor x = floats(data, 2, DIMS(100, 64)), y[2];
    run(&f, &x, 1, y, 2);
    size_t before = counter.calls;
    run(&f, &x, 1, y, 2);
    run(&f, &x, 1, y, 2);
    assert_int_equal(counter.calls, before);
    free(data);
    end(&f);
}

/* Refuses every allocation from the k-th on. */
typedef struct Refuser {
    size_t calls, limit;
} Refuser;

static void *refuse_allocate(void *user, size_t bytes)
{
    Refuser *refuser = user;
    return refuser->calls++ < refuser->limit ? malloc(bytes) : NULL;
}

static void refuse_release(void *user, void *pointer, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(pointer);
}

static void build_everything(FbGraph *graph)
{
    static const float weights[2 * 3 * 9] = {1.0f, 2.0f};
    build_input(graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(graph, "N"), 3, 4, 4));
    build_input(graph, "c", FB_DTYPE_BOOL, 0, NULL);
    build_constant(graph, "w", FB_DTYPE_F32, 4, DIMS(2, 3, 3, 3), weights);
    build_node(graph, "Conv", 11, "x,w", "p");
    build_node(graph, "Relu", 14, "p", "r");
    build_ints(graph, "flat", 2, (int64_t[]){-1, 8});
    build_node(graph, "Reshape", 13, "r,flat", "m");
    FbId node = build_node(graph, "If", 16, "c", "z");
    FbGraph *then_body = build_body(graph, node, "then_branch"), *else_body = build_body(graph, node, "else_branch");
    build_node(then_body, "Neg", 13, "m", "t");
    build_output(then_body, "t");
    build_node(else_body, "Add", 14, "m,m", "e");
    build_output(else_body, "e");
    build_node(graph, "Exp", 13, "z", "y");
    build_output(graph, "y");
}

/* Whichever allocation fails, the answer is an error and nothing is lost. */
static void test_refused_allocations(void **state)
{
    (void)state;
    static float data[2 * 48];
    bool finished = false;
    for (size_t refused = 0; !finished; refused++) {
        Refuser refuser = {0, SIZE_MAX};
        FbAllocator allocator = {&refuser, refuse_allocate, refuse_release};
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .allocator = &allocator};
        Fixture f = {0};
        assert_int_equal(fb_context_create(&options, &f.context, NULL), FB_OK);
        f.model = build_model(f.context);
        build_everything(f.model->graph);
        uint8_t flag = (uint8_t)(refused & 1);
        FbTensor inputs[2] = {floats(data, 4, DIMS(2, 3, 4, 4)), {.dtype = FB_DTYPE_BOOL, .data = &flag, .bytes = 1}}, y;
        FbError err = {FB_OK, ""};
        refuser.calls = 0;
        refuser.limit = refused;
        FbStatus status = fb_session_create(f.context, f.model, NULL, &f.session, &err);
        if (status == FB_OK) {
            status = fb_session_run(f.session, inputs, 2, &y, 1, &err);
        }
        finished = status == FB_OK;
        assert_true(finished || (status == FB_ERR_NO_MEMORY && err.message[0] != '\0'));
        refuser.limit = SIZE_MAX;
        if (!finished && f.session != NULL) { /* and the session still works afterwards */
            run(&f, inputs, 2, &y, 1);
        }
        end(&f);
        assert_true(refused < 10000);
    }
}

/* A value reused after its last reader must not disturb a long-lived one. */
static void test_lifetimes(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(16));
    build_node(f.graph, "Neg", 13, "x", "a");
    const char *previous = "a";
    char names[12][16];
    for (int i = 0; i < 12; i++) {
        char ports[32];
        snprintf(names[i], sizeof names[i], "v%d", i);
        snprintf(ports, sizeof ports, "%s,x", previous);
        build_node(f.graph, "Add", 14, ports, names[i]);
        previous = names[i];
    }
    build_node(f.graph, "Sub", 14, "v11,a", "d"); /* 12 x */
    build_node(f.graph, "Add", 14, "v5,d", "y");  /* 5 x + 12 x */
    build_output(f.graph, "y");
    create(&f);
    float data[16], want[16];
    for (int i = 0; i < 16; i++) {
        data[i] = (float)i;
        want[i] = 17.0f * (float)i;
    }
    FbTensor x = floats(data, 1, DIMS(16)), y;
    run(&f, &x, 1, &y, 1);
    check_floats(&y, 16, want);
    uint64_t bytes;
    bool complete;
    const FbTensor *given = &x;
    assert_int_equal(fb_instance_forecast(fb_session_instance(f.session), &given, &bytes, &complete, NULL), FB_OK);
    assert_true(complete);
    assert_true(bytes >= 3 * 64 && bytes <= 5 * 64); /* a, v5 and a few in flight, not fifteen */
    end(&f);
}

/* Thousands of steps take the other way of placing values: x + x + ... in a chain, with an early value read at the end. */
static void test_long_chain(void **state)
{
    (void)state;
    enum { LENGTH = 5000 };
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(20));
    char previous[16] = "x", name[16], ports[40];
    for (int i = 0; i < LENGTH; i++) {
        snprintf(name, sizeof name, "v%d", i);
        snprintf(ports, sizeof ports, "%s,x", previous);
        FbId node = build_node(f.graph, i % 2 == 0 ? "Add" : "Max", 14, ports, name);
        assert_int_equal(node, i);
        memcpy(previous, name, sizeof previous);
    }
    build_node(f.graph, "Sub", 14, "v4999,v0", "y"); /* 2501 x - 2 x for x >= 0 */
    build_output(f.graph, "y");
    create(&f);
    float data[20], want[20];
    for (int i = 0; i < 20; i++) {
        data[i] = (float)i;
        want[i] = 2499.0f * (float)i;
    }
    FbTensor x = floats(data, 1, DIMS(20)), y;
    run(&f, &x, 1, &y, 1);
    check_floats(&y, 20, want);
    uint64_t bytes;
    bool complete;
    const FbTensor *given = &x;
    assert_int_equal(fb_instance_forecast(fb_session_instance(f.session), &given, &bytes, &complete, NULL), FB_OK);
    assert_true(complete && bytes <= 4 * 128);
    end(&f);
}

static void test_budget(void **state)
{
    (void)state;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 4 << 20};
    Fixture f = {0};
    assert_int_equal(fb_context_create(&options, &f.context, NULL), FB_OK);
    f.model = build_model(f.context);
    f.graph = f.model->graph;
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(fb_graph_symbol(f.graph, "N"), 1024));
    build_node(f.graph, "Neg", 13, "x", "y");
    build_output(f.graph, "y");
    create(&f);
    float *data = calloc(4096 * 1024, sizeof *data);
    FbTensor x = floats(data, 2, DIMS(4096, 1024)), y;
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_session_run(f.session, &x, 1, &y, 1, &err), FB_ERR_BUDGET);
    x = floats(data, 2, DIMS(1, 1024));
    run(&f, &x, 1, &y, 1);
    free(data);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),          cmocka_unit_test(test_known_shapes), cmocka_unit_test(test_shape_from_data),
        cmocka_unit_test(test_output_is_input), cmocka_unit_test(test_observe),          cmocka_unit_test(test_wrong_inputs),
        cmocka_unit_test(test_unknown_operator), cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_long_chain),      cmocka_unit_test(test_cycle),      cmocka_unit_test(test_budget),          cmocka_unit_test(test_refused_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
