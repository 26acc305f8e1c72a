/* Conv and ConvTranspose: hand-computed cases, refusals, and the lowering against the plain run bit for bit. */
#include "lowering_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct Shape { int64_t dims[5]; int rank; } Shape;

static void known_conv(void **state)
{
    (void)state;
    OpTest t;
    const int64_t x_dims[] = {1, 1, 3, 3}, w_dims[] = {1, 1, 2, 2}, b_dims[] = {1}, pads[] = {1, 0, 0, 1};
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 10, 100, 1000}, b[] = {0.5f};
    op_test_begin(&t, "", "Conv", 11);
    op_test_f32(&t, 4, x_dims, x);
    op_test_f32(&t, 4, w_dims, w);
    op_test_f32(&t, 1, b_dims, b);
    op_test_ints(&t, "pads", pads, 4); /* one row above, one column to the right */
    assert_int_equal(op_test_run(&t), FB_OK);
    const float y[] = {2100.5f, 3200.5f, 300.5f, 5421.5f, 6532.5f, 603.5f, 8754.5f, 9865.5f, 906.5f};
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (const int64_t[]){1, 1, 3, 3});
    op_expect_f32(&t, 0, y, 9, 0);
    op_test_end(&t);
}

static void known_same_padding(void **state)
{
    (void)state;
    const int64_t x_dims[] = {1, 1, 4}, w_dims[] = {1, 1, 2};
    const float x[] = {1, 2, 3, 4}, w[] = {1, 10};
    const float upper[] = {21, 32, 43, 4}, lower[] = {10, 21, 32, 43};
    for (int i = 0; i < 2; i++) {
        OpTest t;
        op_test_begin(&t, "", "Conv", 1);
        op_test_f32(&t, 3, x_dims, x);
        op_test_f32(&t, 3, w_dims, w);
        op_test_string(&t, "auto_pad", i ? "SAME_LOWER" : "SAME_UPPER");
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_f32(&t, 0, i ? lower : upper, 4, 0);
        op_test_end(&t);
    }
}

static void known_transpose(void **state)
{
    (void)state;
    OpTest t;
    const int64_t x_dims[] = {1, 1, 2, 2}, w_dims[] = {1, 2, 2, 2}, strides[] = {2, 2}, extra[] = {1, 0};
    const float x[] = {1, 2, 3, 4}, w[] = {1, 10, 100, 1000, 0, 0, 0, 1};
    op_test_begin(&t, "", "ConvTranspose", 11);
    op_test_f32(&t, 4, x_dims, x);
    op_test_f32(&t, 4, w_dims, w);
    op_test_ints(&t, "strides", strides, 2);
    op_test_ints(&t, "output_padding", extra, 2);
    assert_int_equal(op_test_run(&t), FB_OK);
    const float y[] = {1, 10, 2, 20, 100, 1000, 200, 2000, 3, 30, 4, 40, 300, 3000, 400, 4000, 0, 0, 0, 0,
                       0, 0,  0, 0,  0,   1,    0,   2,    0, 0,  0, 0,  0,   3,    0,   4,    0, 0, 0, 0};
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (const int64_t[]){1, 2, 5, 4});
    op_expect_f32(&t, 0, y, 40, 0);
    op_test_end(&t);
}

static void refused(void **state)
{
    (void)state;
    const int64_t x_dims[] = {1, 3, 4, 4}, w_dims[] = {2, 2, 3, 3}, big_dims[] = {2, 3, 7, 3}, pads[] = {1, 1}, zero[] = {0, 1};
    float values[200] = {0};
    static const FbStatus want = FB_ERR_FORMAT;
    for (int i = 0; i < 4; i++) {
        OpTest t;
        op_test_begin(&t, "", "Conv", 11);
        op_test_f32(&t, 4, x_dims, values);
        op_test_f32(&t, 4, i == 0 ? w_dims : big_dims, values);
        if (i == 2) {
            op_test_ints(&t, "pads", pads, 2);
        } else if (i == 3) {
            op_test_ints(&t, "strides", zero, 2);
        }
        assert_int_equal(op_test_run(&t), want);
        op_test_end(&t);
    }
}

typedef struct Case {
    int64_t n, c, m, group;
    int spatial;
    int64_t in[3], kernel[3], stride[3], dilation[3], pads[6];
} Case;

static const Case cases[] = {
    {1, 3, 8, 1, 2, {9, 11}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},          /* few channels, padded copy */
    {2, 3, 20, 1, 2, {7, 7}, {3, 5}, {1, 2}, {2, 1}, {0, 0, 0, 0}},          /* few channels, no padding */
    {2, 5, 7, 1, 2, {6, 5}, {3, 3}, {1, 1}, {1, 2}, {2, 0, 1, 3}},           /* dilation in a row: indirect */
    {3, 20, 33, 1, 2, {5, 7}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},         /* pointwise */
    {1, 24, 17, 1, 2, {8, 8}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}},         /* strided 1 x 1 */
    {1, 32, 40, 1, 2, {9, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 40, 12, 4, 2, {6, 6}, {3, 2}, {1, 1}, {1, 1}, {1, 0, 0, 1}},         /* groups */
    {2, 19, 19, 19, 2, {8, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},        /* depthwise */
    {1, 32, 32, 32, 2, {9, 9}, {5, 3}, {2, 2}, {1, 1}, {2, 1, 2, 1}},
    {1, 6, 12, 6, 2, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},          /* depthwise, two per channel */
    {2, 18, 5, 1, 1, {23}, {4}, {3}, {2}, {3, 1}},
    {1, 16, 16, 16, 1, {30}, {3}, {1}, {1}, {1, 1}},
    {1, 17, 9, 1, 3, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {1, 0, 1, 0, 1, 0}},
    {1, 2, 4, 1, 3, {4, 5, 6}, {2, 3, 2}, {2, 1, 1}, {2, 1, 1}, {1, 1, 1, 1, 1, 0}},
};

static void begin_case(OpTest *t, const Case *c, bool bias, uint64_t seed)
{
    int64_t x_dims[5] = {c->n, c->c}, w_dims[5] = {c->m, c->c / c->group};
    int64_t x_count = c->n * c->c, w_count = c->m * w_dims[1];
    for (int i = 0; i < c->spatial; i++) {
        x_dims[2 + i] = c->in[i];
        w_dims[2 + i] = c->kernel[i];
        x_count *= c->in[i];
        w_count *= c->kernel[i];
    }
    float *x = malloc((size_t)x_count * 4), *w = malloc((size_t)w_count * 4), *b = malloc((size_t)c->m * 4);
    assert_true(x && w && b);
    lowering_fill(x, x_count, seed);
    lowering_fill(w, w_count, seed + 1);
    lowering_fill(b, c->m, seed + 2);
    op_test_begin(t, "", "Conv", 11);
    op_test_f32(t, 2 + c->spatial, x_dims, x);
    op_test_f32(t, 2 + c->spatial, w_dims, w);
    if (bias) {
        op_test_f32(t, 1, &c->m, b);
    }
    op_test_int(t, "group", c->group);
    op_test_ints(t, "strides", c->stride, (size_t)c->spatial);
    op_test_ints(t, "dilations", c->dilation, (size_t)c->spatial);
    op_test_ints(t, "pads", c->pads, 2 * (size_t)c->spatial);
    free(x), free(w), free(b);
}

static void lowered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OpTest t;
        begin_case(&t, &cases[i], i % 2 == 0, i * 10);
        assert_int_equal(op_test_run(&t), FB_OK);
        const LoweringTest how = {.constants = 6, .channels_last = true};
        lowering_test(&t, &how, t.outputs[0]->data);
        op_test_end(&t);
    }
}

/* conv + late bias + residual + relu in one step: the same numbers as one after the other. */
static void lowered_fused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OpTest t;
        begin_case(&t, &cases[i], false, i * 10 + 5);
        assert_int_equal(op_test_run(&t), FB_OK);
        const int64_t count = fb_tensor_elements(t.outputs[0]), pixels = count / (cases[i].n * cases[i].m);
        FbTensor *operand = op_test_tensor(&t, FB_DTYPE_F32, t.outputs[0]->rank, t.outputs[0]->dims, t.outputs[0]->data);
        float *bias = malloc((size_t)cases[i].m * 4), *expected = malloc((size_t)count * 4);
        assert_true(bias && expected);
        lowering_fill(operand->data, count, 99);
        lowering_fill(bias, cases[i].m, 77);
        for (int64_t k = 0; k < count; k++) {
            const float biased = ((float *)t.outputs[0]->data)[k] + bias[k / pixels % cases[i].m];
            const float sum = biased + ((float *)operand->data)[k];
            expected[k] = sum > 0 ? sum : 0.0f;
        }
        const LoweringTest how = {.constants = 2, .channels_last = true, .fused_count = 2,
                                  .fused = {{.kind = FB_EPILOGUE_ADD, .operand = 0}, {.kind = FB_EPILOGUE_CLAMP, .b = INFINITY, .operand = -1}},
                                  .operand = operand, .late_bias = bias, .late_bias_count = cases[i].m};
        lowering_test(&t, &how, expected);
        free(bias), free(expected);
        op_test_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_conv), cmocka_unit_test(known_same_padding), cmocka_unit_test(known_transpose),
                                       cmocka_unit_test(refused),    cmocka_unit_test(lowered),            cmocka_unit_test(lowered_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
