/* The steps that a session tells of: what they are, how much they compute and read, how long they take. */
#include "passes/quant_fold.h"
#include "run/session_fixture.h"

static void product_and_what_it_took_in(void **state)
{
    (void)state;
    Fixture f;
    FbStepInfo info;
    begin(&f);
    float weight[12] = {1, -1, 2, 0, 1, 1, -2, 3, 0, 1, 0, -1}, data[6] = {1, 2, 3, 4, 5, 6};
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(2, 3));
    build_constant(f.graph, "w", FB_DTYPE_F32, 2, DIMS(3, 4), weight);
    build_node(f.graph, "MatMul", 13, "x,w", "p");
    build_node(f.graph, "Relu", 14, "p", "r");
    build_node(f.graph, "Cos", 7, "r", "y");
    build_output(f.graph, "y");
    create(&f);
    assert_int_equal(fb_session_step_count(f.session), 0);
    assert_false(fb_session_step(f.session, 0, &info));
    FbTensor x = floats(data, 2, DIMS(2, 3)), y;
    run(&f, &x, 1, &y, 1);
    assert_int_equal(fb_session_step_count(f.session), 2);
    assert_true(fb_session_step(f.session, 0, &info));
    assert_string_equal(info.type, "MatMul");
    assert_string_equal(info.fused, "Relu");
    assert_string_equal(info.kernel, "product_f32");
    assert_true(info.isa[0] != '\0');
    assert_string_equal(info.reason, "");
    assert_false(info.integer);
    assert_int_equal(info.macs, 2 * 3 * 4);
    assert_string_equal(info.weight, "f32");
    assert_int_equal(info.weight_bytes, 3 * 4 * 4);
    assert_int_equal(info.input_bytes, 2 * 3 * 4);
    assert_int_equal(info.output_bytes, 2 * 4 * 4);
    assert_int_equal(info.input.rank, 2);
    assert_int_equal(info.input.dims[1], 3);
    assert_int_equal(info.output.dims[1], 4);
    assert_int_equal(info.output.dtype, FB_DTYPE_F32);
    assert_null(info.output.data);
    assert_true(info.seconds == 0);
    assert_true(fb_session_step(f.session, 1, &info));
    assert_string_equal(info.type, "Cos");
    assert_string_equal(info.kernel, "operator");
    assert_string_equal(info.weight, "");
    assert_int_equal(info.macs, 0);
    assert_false(fb_session_step(f.session, 2, &info));
    end(&f);
}

static void times_only_when_profiled(void **state)
{
    (void)state;
    Fixture f;
    FbStepInfo info;
    begin(&f);
    static float data[1 << 16];
    build_input(f.graph, "x", FB_DTYPE_F32, 1, DIMS(1 << 16));
    build_node(f.graph, "Cos", 7, "x", "y");
    build_output(f.graph, "y");
    create(&f);
    FbTensor x = floats(data, 1, DIMS(1 << 16)), y;
    fb_session_profile(f.session, 1);
    run(&f, &x, 1, &y, 1);
    assert_true(fb_session_step(f.session, 0, &info));
    double first = info.seconds;
    assert_true(first > 0 && first < 60);
    for (int i = 0; i < 5; i++) {
        run(&f, &x, 1, &y, 1);
    }
    assert_true(fb_session_step(f.session, 0, &info));
    assert_true(info.seconds > 0 && info.seconds <= first);
    end(&f);
}

static void control_is_one_step(void **state)
{
    (void)state;
    Fixture f;
    FbStepInfo info;
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
    create(&f);
    float data[2] = {1, -2};
    uint8_t flag = 1;
    FbTensor inputs[2] = {floats(data, 1, DIMS(2)), {.dtype = FB_DTYPE_BOOL, .data = &flag, .bytes = 1}}, y;
    fb_session_profile(f.session, 1);
    run(&f, inputs, 2, &y, 1);
    assert_int_equal(fb_session_step_count(f.session), 2);
    assert_true(fb_session_step(f.session, 0, &info));
    assert_string_equal(info.type, "If");
    assert_string_equal(info.kernel, "nested plans");
    assert_true(info.seconds > 0);
    assert_int_equal(info.output_bytes, 8);
    assert_true(fb_session_step(f.session, 1, &info));
    assert_string_equal(info.type, "Abs");
    end(&f);
}

/* A Quant at the input, a Transpose that moves its codes, a CumSum that has no form on codes. */
static void integers_and_the_reason_for_float(void **state)
{
    (void)state;
    Fixture f;
    FbStepInfo info;
    const uint8_t zero = 128;
    const int64_t axis = 0;
    float data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    begin(&f);
    build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(3, 4));
    build_float(f.graph, "scale", 0.5f);
    build_constant(f.graph, "zero", FB_DTYPE_U8, 0, NULL, &zero);
    build_constant(f.graph, "axis", FB_DTYPE_S64, 0, NULL, &axis);
    build_node(f.graph, "QuantizeLinear", 13, "x,scale,zero", "q");
    build_node(f.graph, "DequantizeLinear", 13, "q,scale,zero", "d");
    build_node(f.graph, "Transpose", 13, "d", "t");
    build_node(f.graph, "CumSum", 14, "t,axis", "y");
    build_output(f.graph, "y");
    assert_int_equal(fb_graph_fold_quants(f.graph, NULL), FB_OK);
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_INTEGER};
    assert_int_equal(fb_session_create(f.context, f.model, &options, &f.session, NULL), FB_OK);
    FbTensor x = floats(data, 2, DIMS(3, 4)), y;
    run(&f, &x, 1, &y, 1);
    assert_int_equal(fb_session_step_count(f.session), 4);
    static const char *const types[] = {"to codes", "Transpose", "to reals", "CumSum"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(fb_session_step(f.session, i, &info));
        assert_string_equal(info.type, types[i]);
        assert_int_equal(info.integer, i == 1);
        assert_int_equal(info.reason[0] != '\0', i == 3);
        assert_int_equal(info.input.dtype, i == 1 || i == 2 ? FB_DTYPE_U8 : FB_DTYPE_F32);
        assert_int_equal(info.output_bytes, i == 0 || i == 1 ? 12 : 48);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_and_what_it_took_in),
        cmocka_unit_test(times_only_when_profiled),
        cmocka_unit_test(control_is_one_step),
        cmocka_unit_test(integers_and_the_reason_for_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
