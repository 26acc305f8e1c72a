/* The operator table: rows are sound, look-up gives reasons, decode refuses what does not belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "op_harness.h"
#include "ops/attribute.h"

static void test_rows_are_sound(void **state)
{
    (void)state;
    assert_true(fb_op_count() > 0);
    for (size_t i = 0; i < fb_op_count(); i++) {
        const FbOp *a = fb_op_at(i);
        assert_non_null(a);
        if (!a->name || !a->summary || !a->infer || !a->domain || a->since < 1 || a->since > a->newest || a->min_inputs < 0 ||
            (a->max_inputs >= 0 && a->max_inputs < a->min_inputs) || (a->params_bytes && !a->decode) || 
            (!a->run && !a->lowering && (a->flags & FB_OP_CONTROL) == 0)) {
            fail_msg("row %zu (%s) is incomplete", i, a->name ? a->name : "?");
        }
        for (size_t j = 0; j < i; j++) {
            const FbOp *b = fb_op_at(j);
            if (strcmp(a->name, b->name) == 0 && strcmp(a->domain, b->domain) == 0 && a->since <= b->newest && b->since <= a->newest) {
                fail_msg("two rows serve %s", a->name);
            }
        }
    }
    assert_null(fb_op_at(fb_op_count()));
}

static void test_find_gives_reasons(void **state)
{
    char why[320];
    (void)state;
    assert_non_null(fb_op_find("", "Add", 13, why, sizeof why));
    assert_non_null(fb_op_find("ai.onnx", "Add", 13, why, sizeof why));
    assert_null(fb_op_find("", "Sigmiod", 13, why, sizeof why));
    assert_non_null(strstr(why, "'Sigmoid'"));
    assert_null(fb_op_find("", "Gelu", 13, why, sizeof why));
    assert_non_null(strstr(why, "operator set 20"));
    assert_null(fb_op_find("", "Add", 1000, why, sizeof why));
    assert_non_null(strstr(why, "up to"));
    assert_null(fb_op_find("org.example", "Frobnicate", 1, why, sizeof why));
    assert_non_null(strstr(why, "org.example"));
}

static void test_decode_checks(void **state)
{
    static const float one = 1;
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Relu", 14);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT); /* no input */
    assert_non_null(strstr(test.error.message, "0 inputs"));
    op_test_end(&test);

    op_test_begin(&test, "", "LeakyRelu", 16);
    op_test_f32(&test, 0, NULL, &one);
    op_test_float(&test, "alhpa", 0.5f);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    assert_non_null(strstr(test.error.message, "'alpha'"));
    op_test_end(&test);

    op_test_begin(&test, "", "LeakyRelu", 16);
    op_test_f32(&test, 0, NULL, &one);
    op_test_int(&test, "alpha", 1);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT); /* wrong type */
    assert_non_null(strstr(test.error.message, "expected float"));
    op_test_end(&test);

    op_test_begin(&test, "", "LeakyRelu", 16);
    op_test_f32(&test, 0, NULL, &one);
    op_test_float(&test, "alpha", 0.5f);
    op_test_float(&test, "alpha", 0.5f);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT); /* twice */
    op_test_end(&test);

    op_test_begin(&test, "", "Add", 13);
    op_test_input(&test, NULL);
    op_test_f32(&test, 0, NULL, &one);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT); /* a required input is absent */
    op_test_end(&test);
}

static FbShape broadcast(FbShape a, FbShape b, FbStatus expected)
{
    FbShape out = {.rank = -7};
    assert_int_equal(fb_shape_broadcast(&a, &b, &out, NULL), expected);
    return out;
}

static void test_broadcast_of_shapes(void **state)
{
    (void)state;
    FbShape out = broadcast((FbShape){3, {2, 1, 4}}, (FbShape){2, {3, 1}}, FB_OK);
    assert_int_equal(out.rank, 3);
    assert_int_equal(out.dims[0], 2);
    assert_int_equal(out.dims[1], 3);
    assert_int_equal(out.dims[2], 4);
    broadcast((FbShape){1, {2}}, (FbShape){1, {3}}, FB_ERR_FORMAT);
    out = broadcast((FbShape){1, {0}}, (FbShape){1, {1}}, FB_OK);
    assert_int_equal(out.dims[0], 0);
    out = broadcast((FbShape){2, {-2, -1}}, (FbShape){2, {-2, -1}}, FB_OK); /* a symbol stays, two unknown sizes stay unknown */
    assert_int_equal(out.dims[0], -2);
    assert_int_equal(out.dims[1], -1);
    out = broadcast((FbShape){2, {-2, -3}}, (FbShape){2, {-4, 5}}, FB_OK);
    assert_int_equal(out.dims[0], FB_DIM_UNKNOWN);
    assert_int_equal(out.dims[1], 5);
    out = broadcast((FbShape){-1, {0}}, (FbShape){2, {-4, 5}}, FB_OK);
    assert_int_equal(out.rank, -1);
}

static void test_axis(void **state)
{
    int axis = 9;
    (void)state;
    assert_int_equal(fb_axis_normalize(-1, 3, &axis, NULL), FB_OK);
    assert_int_equal(axis, 2);
    assert_int_equal(fb_axis_normalize(3, 3, &axis, NULL), FB_ERR_FORMAT);
    assert_int_equal(fb_axis_normalize(-4, 3, &axis, NULL), FB_ERR_FORMAT);
    assert_int_equal(fb_axis_normalize(INT64_MIN, 3, &axis, NULL), FB_ERR_FORMAT);
    assert_int_equal(fb_axis_normalize(0, 0, &axis, NULL), FB_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_sound),      cmocka_unit_test(test_find_gives_reasons), cmocka_unit_test(test_decode_checks),
        cmocka_unit_test(test_broadcast_of_shapes), cmocka_unit_test(test_axis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
