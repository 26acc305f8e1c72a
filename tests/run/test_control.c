/* If, Loop and Scan through nested plans. */
#include "run/session_fixture.h"

static void test_if(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_input(f.graph, "c", FB_DTYPE_BOOL, 0, NULL);
    FbId node = build_node(f.graph, "If", 16, "c", "z");
    FbGraph *then_body = build_body(f.graph, node, "then_branch"), *else_body = build_body(f.graph, node, "else_branch");
    build_node(then_body, "Neg", 13, "x", "t");
    build_output(then_body, "t");
    build_node(else_body, "Add", 14, "x,x", "e");
    build_output(else_body, "e");
    build_node(f.graph, "Abs", 13, "z", "y");
    build_output(f.graph, "y");
    build_output(f.graph, "z");
    create(&f);
    float data[2] = {1, -2};
    uint8_t flag = 1;
    FbTensor inputs[2] = {floats(data, 1, DIMS(2)), {.dtype = FB_DTYPE_BOOL, .data = &flag, .bytes = 1}}, outputs[2];
    run(&f, inputs, 2, outputs, 2);
    check_floats(&outputs[1], 2, (float[]){-1, 2});
    check_floats(&outputs[0], 2, (float[]){1, 2});
    flag = 0;
    run(&f, inputs, 2, outputs, 2);
    check_floats(&outputs[1], 2, (float[]){2, -4});
    end(&f);
}

/* Running sum with every partial sum stacked: v' = v + x, scan v'. */
static void test_loop(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_input(f.graph, "trips", FB_DTYPE_S64, 0, NULL);
    FbId node = build_node(f.graph, "Loop", 16, "trips,,x", "v,all");
    FbGraph *body = build_body(f.graph, node, "body");
    build_input(body, "i", FB_DTYPE_S64, 0, NULL);
    build_input(body, "go", FB_DTYPE_BOOL, 0, NULL);
    build_input(body, "v_in", FB_DTYPE_F32, 1, DIMS(2));
    build_node(body, "Add", 14, "v_in,x", "v_out");
    build_node(body, "Identity", 14, "go", "go_out");
    build_node(body, "Neg", 13, "v_out", "stacked");
    build_output(body, "go_out");
    build_output(body, "v_out");
    build_output(body, "stacked");
    build_output(f.graph, "v");
    build_output(f.graph, "all");
    create(&f);
    float data[2] = {1, 10};
    int64_t trips = 3;
    FbTensor inputs[2] = {floats(data, 1, DIMS(2)), {.dtype = FB_DTYPE_S64, .data = &trips, .bytes = 8}}, outputs[2];
    run(&f, inputs, 2, outputs, 2);
    check_floats(&outputs[0], 2, (float[]){4, 40});
    assert_int_equal(outputs[1].dims[0], 3);
    check_floats(&outputs[1], 6, (float[]){-2, -20, -3, -30, -4, -40});
    trips = 0;
    run(&f, inputs, 2, outputs, 2);
    check_floats(&outputs[0], 2, data);
    assert_int_equal(outputs[1].rank, 2);
    assert_int_equal(outputs[1].dims[0], 0);
    end(&f);
}

static void test_scan(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "s", FB_DTYPE_F32, 1, DIMS(2));
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(3, 2));
    FbId node = build_node(f.graph, "Scan", 16, "s,x", "last,all");
    assert_int_equal(fb_graph_set_attribute_int(f.graph, node, "num_scan_inputs", 1, NULL), FB_OK);
    FbGraph *body = build_body(f.graph, node, "body");
    build_input(body, "a", FB_DTYPE_F32, 1, DIMS(2));
    build_input(body, "b", FB_DTYPE_F32, 1, DIMS(2));
    build_node(body, "Add", 14, "a,b", "sum");
    build_node(body, "Neg", 13, "sum", "out");
    build_output(body, "sum");
    build_output(body, "out");
    build_output(f.graph, "last");
    build_output(f.graph, "all");
    create(&f);
    float start[2] = {0, 1}, data[6] = {1, 2, 3, 4, 5, 6};
    FbTensor inputs[2] = {floats(start, 1, DIMS(2)), floats(data, 2, DIMS(3, 2))}, outputs[2];
    run(&f, inputs, 2, outputs, 2);
    check_floats(&outputs[0], 2, (float[]){9, 13});
    check_floats(&outputs[1], 6, (float[]){-1, -3, -4, -7, -9, -13});
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_if), cmocka_unit_test(test_loop), cmocka_unit_test(test_scan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
