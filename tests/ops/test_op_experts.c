/* Experts of domain fewbit: a case computed by hand in both forms of the weights, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "op_harness.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

enum { EXPERTS = 3, HIDDEN = 2, WIDTH = 1 };

/* exp of them: 1, 2, 5; equal. x * sigmoid(x) of 64 is 64: what a gate gives times `up` is 1 for the first token and 4 for the second. */
static const float x[] = {1, 0, 2, 0}, logits[] = {0, 0.693147181f, 1.609437912f, 7, 7, 7};
static const float gate[] = {64, 0, 64, 0, 64, 0}, up[] = {0.015625f, 0, 0.015625f, 0, 0.015625f, 0}, down[] = {1, 1, 0, 7, 7, 0};
static OpTest test;

static void begin(int64_t top_k, bool normalize, const char *activation)
{
    op_test_begin(&test, "fewbit", "Experts", 1);
    op_test_int(&test, "top_k", top_k);
    op_test_int(&test, "normalize", normalize);
    op_test_string(&test, "activation", activation);
    op_test_f32(&test, 2, DIMS(2, HIDDEN), x);
    op_test_f32(&test, 2, DIMS(2, EXPERTS), logits);
}

static void stacked(void)
{
    op_test_f32(&test, 3, DIMS(EXPERTS, WIDTH, HIDDEN), gate);
    op_test_f32(&test, 3, DIMS(EXPERTS, WIDTH, HIDDEN), up);
    op_test_f32(&test, 3, DIMS(EXPERTS, HIDDEN, WIDTH), down);
}

static void single(void)
{
    const float *const kinds[] = {gate, up, down};
    for (int kind = 0; kind < 3; kind++) {
        for (int e = 0; e < EXPERTS; e++) {
            op_test_f32(&test, 2, kind == 2 ? DIMS(HIDDEN, WIDTH) : DIMS(WIDTH, HIDDEN), kinds[kind] + e * WIDTH * HIDDEN);
        }
    }
}

static void test_values(void **state)
{
    (void)state;
    static const float normalized[] = {5, 2, 2, 16}, plain[] = {4.375f, 1.75f, 4.0f / 3, 32.0f / 3}, all[] = {4.5f, 1.875f, 32.0f / 3, 32.0f / 3};
    static const struct { int64_t top_k; bool normalize; const float *expected; } cases[] = {{2, true, normalized}, {2, false, plain}, {3, false, all}, {3, true, all}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        begin(cases[i / 2].top_k, cases[i / 2].normalize, "silu");
        (i % 2 == 0 ? stacked : single)();
        if (op_test_run(&test) != FB_OK) {
            fail_msg("%s", test.error.message);
        }
        op_expect_shape(&test, 0, FB_DTYPE_F32, 2, DIMS(2, HIDDEN));
        op_expect_f32(&test, 0, cases[i / 2].expected, 4, 8);
        op_test_end(&test);
    }
}

/* Which experts served a token, and what entered their products: by hand 64 * x * sigmoid(64 * x) * up. */
static void test_observed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(2, true, "silu");
        (i == 0 ? stacked : single)();
        op_test_outputs(&test, 3);
        if (op_test_run(&test) != FB_OK) {
            fail_msg("%s", test.error.message);
        }
        op_expect_shape(&test, 1, FB_DTYPE_S64, 2, DIMS(2, 2));
        op_expect_shape(&test, 2, FB_DTYPE_F32, 3, DIMS(2, 2, WIDTH));
        assert_memory_equal(test.outputs[1]->data, DIMS(2, 1, 0, 1), 4 * sizeof(int64_t));
        op_expect_f32(&test, 2, (const float[]){1, 1, 4, 4}, 4, 8);
        op_expect_f32(&test, 0, (const float[]){5, 2, 2, 16}, 4, 8);
        op_test_end(&test);
    }
}

static void refused(FbStatus status, const char *part)
{
    FbStatus got = op_test_run(&test);
    if (got != status || strstr(test.error.message, part) == NULL) {
        fail_msg("status %s, message '%s' lacks '%s'", fb_status_name(got), test.error.message, part);
    }
    op_test_end(&test);
}

static void test_refused(void **state)
{
    (void)state;
    begin(0, true, "silu");
    stacked();
    refused(FB_ERR_FORMAT, "'top_k' is 0");
    begin(4, true, "silu");
    stacked();
    refused(FB_ERR_FORMAT, "at least 4 experts");
    begin(4, true, "silu");
    single();
    refused(FB_ERR_FORMAT, "at least 4 experts");
    begin(2, true, "relu");
    stacked();
    refused(FB_ERR_FORMAT, "'activation'");
    begin(2, true, "silu"); /* a weight too many */
    stacked();
    op_test_f32(&test, 3, DIMS(EXPERTS, HIDDEN, WIDTH), down);
    refused(FB_ERR_FORMAT, "4 weights");
    begin(2, true, "silu"); /* down as gate */
    op_test_f32(&test, 3, DIMS(EXPERTS, WIDTH, HIDDEN), gate);
    op_test_f32(&test, 3, DIMS(EXPERTS, HIDDEN, WIDTH), down);
    op_test_f32(&test, 3, DIMS(EXPERTS, HIDDEN, WIDTH), down);
    refused(FB_ERR_FORMAT, "input 3 has shape 3x2x1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_observed), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
