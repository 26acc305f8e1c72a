/* MatMul and Gemm: hand-computed cases in several types, refusals, and the lowering against the plain run bit for bit. */
#include "lowering_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void known_types(void **state)
{
    (void)state;
    OpTest t;
    const int64_t a_dims[] = {2, 2}, b_dims[] = {2, 3};
    op_test_begin(&t, "", "MatMul", 13);
    op_test_f32(&t, 2, a_dims, (const float[]){1, 2, 3, 4});
    op_test_f32(&t, 2, b_dims, (const float[]){1, 10, 100, 2, 20, 200});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){5, 50, 500, 11, 110, 1100}, 6, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "MatMul", 13);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_S32, 2, a_dims, (const int32_t[]){1, -2, 3, 4}));
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_S32, 2, b_dims, (const int32_t[]){1, 10, 100, 2, 20, 200}));
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (const int32_t[]){-3, -30, -300, 11, 110, 1100}, 24);
    op_test_end(&t);

    op_test_begin(&t, "", "MatMul", 13);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_F64, 1, a_dims, (const double[]){1, 1e-12}));
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_F64, 2, b_dims, (const double[]){1, 2, 3, 1, 1, 1}));
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F64, 1, (const int64_t[]){3});
    op_expect_bytes(&t, 0, (const double[]){1 + 1e-12, 2 + 1e-12, 3 + 1e-12}, 24);
    op_test_end(&t);
}

static void known_gemm(void **state)
{
    (void)state;
    OpTest t;
    const int64_t a_dims[] = {2, 2}, b_dims[] = {3, 2}, c_dims[] = {2, 1};
    op_test_begin(&t, "", "Gemm", 13);
    op_test_f32(&t, 2, a_dims, (const float[]){1, 3, 2, 4}); /* transposed: 1 2 / 3 4 */
    op_test_f32(&t, 2, b_dims, (const float[]){1, 2, 10, 20, 100, 200});
    op_test_f32(&t, 2, c_dims, (const float[]){1, 2});
    op_test_int(&t, "transA", 1);
    op_test_int(&t, "transB", 1);
    op_test_float(&t, "alpha", 0.5f);
    op_test_float(&t, "beta", 2.0f);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){4.5f, 27, 252, 9.5f, 59, 554}, 6, 0);
    op_test_end(&t);
}

static void refused(void **state)
{
    (void)state;
    OpTest t;
    const int64_t a_dims[] = {2, 3}, b_dims[] = {2, 3};
    const float values[6] = {0};
    op_test_begin(&t, "", "MatMul", 13);
    op_test_f32(&t, 2, a_dims, values);
    op_test_f32(&t, 2, b_dims, values);
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

typedef struct Case {
    const char *op;
    int a_rank, b_rank;
    int64_t a[4], b[4];
    bool transpose_a, transpose_b;
    float alpha;
} Case;

static const Case cases[] = {
    {"MatMul", 2, 2, {7, 33}, {33, 19}, 0, 0, 1},
    {"MatMul", 3, 2, {2, 5, 40}, {40, 50}, 0, 0, 1},
    {"MatMul", 4, 4, {2, 3, 9, 8}, {2, 3, 8, 17}, 0, 0, 1},
    {"MatMul", 4, 3, {2, 3, 9, 8}, {1, 8, 17}, 0, 0, 1},
    {"MatMul", 2, 4, {4, 8}, {2, 3, 8, 17}, 0, 0, 1},
    {"MatMul", 4, 4, {2, 1, 4, 8}, {1, 3, 8, 5}, 0, 0, 1},
    {"MatMul", 1, 2, {70}, {70, 90}, 0, 0, 1},
    {"MatMul", 2, 1, {9, 70}, {70}, 0, 0, 1},
    {"MatMul", 1, 1, {70}, {70}, 0, 0, 1},
    {"MatMul", 2, 2, {13, 900}, {900, 70}, 0, 0, 1},
    {"Gemm", 2, 2, {12, 20}, {20, 30}, 0, 0, 1},
    {"Gemm", 2, 2, {20, 12}, {30, 20}, 1, 1, 0.3f},
    {"Gemm", 2, 2, {1, 500}, {1000, 500}, 0, 1, 1},
    {"Gemm", 2, 2, {4, 0}, {0, 3}, 0, 0, 1},
};

static int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= dims[i];
    }
    return count;
}

static void begin_case(OpTest *t, const Case *c, bool third, uint64_t seed)
{
    const int64_t a_count = count_of(c->a_rank, c->a), b_count = count_of(c->b_rank, c->b);
    float *a = malloc((size_t)a_count * 4 + 4), *b = malloc((size_t)b_count * 4 + 4);
    assert_true(a && b);
    lowering_fill(a, a_count, seed);
    lowering_fill(b, b_count, seed + 1);
    op_test_begin(t, "", c->op, 13);
    op_test_f32(t, c->a_rank, c->a, a);
    op_test_f32(t, c->b_rank, c->b, b);
    if (third) {
        const int64_t n = c->b[c->transpose_b ? 0 : 1];
        float *bias = malloc((size_t)n * 4);
        assert_non_null(bias);
        lowering_fill(bias, n, seed + 3);
        op_test_f32(t, 1, &n, bias);
        op_test_float(t, "beta", 0.7f);
        free(bias);
    }
    if (c->op[0] == 'G') {
        op_test_int(t, "transA", c->transpose_a);
        op_test_int(t, "transB", c->transpose_b);
        op_test_float(t, "alpha", c->alpha);
    }
    free(a), free(b);
}

static void lowered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned constants = 0; constants < 3; constants++) { /* neither, A, B */
            for (int third = 0; third < (cases[i].op[0] == 'G' ? 2 : 1); third++) {
                OpTest t;
                begin_case(&t, &cases[i], third, i * 10);
                assert_int_equal(op_test_run(&t), FB_OK);
                const LoweringTest how = {.constants = constants | 4};
                lowering_test(&t, &how, t.outputs[0]->data);
                op_test_end(&t);
            }
        }
    }
}

/* Product, bias found behind it, Gelu, residual in one step. */
static void lowered_fused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].b_rank < 2 || cases[i].a[cases[i].a_rank - 1] == 0) {
            continue;
        }
        OpTest t;
        begin_case(&t, &cases[i], false, i * 10 + 5);
        assert_int_equal(op_test_run(&t), FB_OK);
        const FbTensor *y = t.outputs[0];
        const int64_t count = fb_tensor_elements(y), n = y->dims[y->rank - 1];
        FbTensor *operand = op_test_tensor(&t, FB_DTYPE_F32, y->rank, y->dims, y->data);
        float *bias = malloc((size_t)n * 4), *expected = malloc((size_t)count * 4);
        assert_true(bias && expected);
        lowering_fill(operand->data, count, 99);
        lowering_fill(bias, n, 77);
        for (int64_t k = 0; k < count; k++) {
            float biased = ((float *)y->data)[k] + bias[k % n];
            biased = biased < 0 ? biased * 0.1f : biased;
            expected[k] = biased * ((float *)operand->data)[k];
        }
        const LoweringTest how = {.constants = 2, .fused_count = 2,
                                  .fused = {{.kind = FB_EPILOGUE_LEAKY, .a = 0.1f, .operand = -1}, {.kind = FB_EPILOGUE_MUL, .operand = 0}},
                                  .operand = operand, .late_bias = bias, .late_bias_count = n};
        lowering_test(&t, &how, expected);
        free(bias), free(expected);
        op_test_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_types), cmocka_unit_test(known_gemm), cmocka_unit_test(refused),
                                       cmocka_unit_test(lowered), cmocka_unit_test(lowered_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
