/* Reductions, searches, running sums, tensor makers, losses: hand-computed values, empty sets, extremes, malformed parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

static void reduce(OpTest *test, const char *op, int rank, const int64_t *dims, const float *x, const int64_t *axes, int64_t axis_count, int keep)
{
    op_test_begin(test, "", op, 18);
    op_test_int(test, "keepdims", keep);
    op_test_f32(test, rank, dims, x);
    if (axes) {
        op_test_s64(test, 1, &axis_count, axes);
    }
    assert_int_equal(op_test_run(test), FB_OK);
}

static void test_reduce_axes(void **state)
{
    const int64_t dims[] = {2, 3, 2}, middle[] = {1}, outer[] = {0, -1}, kept[] = {2, 1, 2}, dropped[] = {3}, none[] = {1, 1, 1};
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const float sum_middle[] = {9, 12, 27, 30}, max_outer[] = {8, 10, 12}, all[] = {78}, mean_middle[] = {3, 4, 9, 10};
    OpTest test;
    (void)state;
    reduce(&test, "ReduceMean", 3, dims, x, middle, 1, 1);
    op_expect_shape(&test, 0, FB_DTYPE_F32, 3, kept);
    op_expect_f32(&test, 0, mean_middle, 4, 0);
    op_test_end(&test);
    reduce(&test, "ReduceMax", 3, dims, x, outer, 2, 0);
    op_expect_shape(&test, 0, FB_DTYPE_F32, 1, dropped);
    op_expect_f32(&test, 0, max_outer, 3, 0);
    op_test_end(&test);
    reduce(&test, "ReduceSum", 3, dims, x, NULL, 0, 1);
    op_expect_shape(&test, 0, FB_DTYPE_F32, 3, none);
    op_expect_f32(&test, 0, all, 1, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "ReduceSum", 11); /* axes as an attribute */
    op_test_ints(&test, "axes", middle, 1);
    op_test_f32(&test, 3, dims, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, sum_middle, 4, 0);
    op_test_end(&test);
}

static void test_reduce_empty_and_extreme(void **state)
{
    const int64_t empty[] = {0, 2}, first[] = {0}, four[] = {4};
    const float zero[] = {0, 0}, one[] = {1, 1}, low[] = {-INFINITY, -INFINITY}, high[] = {INFINITY, INFINITY}, nan_pair[] = {NAN, NAN};
    const struct {
        const char *op;
        const float *expected;
    } cases[] = {{"ReduceSum", zero}, {"ReduceProd", one},       {"ReduceMax", low},           {"ReduceMin", high},      {"ReduceL1", zero},
                 {"ReduceL2", zero},  {"ReduceLogSum", low},     {"ReduceLogSumExp", low},     {"ReduceMean", nan_pair}, {"ReduceSumSquare", zero}};
    const float large[] = {1000, 1000, -INFINITY, 999}, one_nan[] = {1, NAN, 3, 2}, expected[] = {1000.8619948f}, is_nan[] = {NAN};
    OpTest test;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reduce(&test, cases[i].op, 2, empty, zero, first, 1, 0);
        op_expect_f32(&test, 0, cases[i].expected, 2, 0);
        op_test_end(&test);
    }
    const int64_t nothing[] = {2, 0}; /* outputs without elements */
    reduce(&test, "ReduceSum", 2, nothing, zero, first, 1, 0);
    op_expect_shape(&test, 0, FB_DTYPE_F32, 1, (const int64_t[]){0});
    op_test_end(&test);
    reduce(&test, "ReduceLogSumExp", 1, four, large, NULL, 0, 0); /* exp alone would overflow: 1000 + log(2 + 1/e) */
    op_expect_f32(&test, 0, expected, 1, 1);
    op_test_end(&test);
    reduce(&test, "ReduceMax", 1, four, one_nan, NULL, 0, 0);
    op_expect_f32(&test, 0, is_nan, 1, 0);
    op_test_end(&test);
}

/* Sums over lengths around the lanes and blocks, along the last axis and across rows, against plain double sums. */
static void test_reduce_lengths(void **state)
{
    static float x[2 * 1100];
    (void)state;
    for (int i = 0; i < 2200; i++) {
        x[i] = (float)((i * 37) % 101) / 8;
    }
    for (int64_t n = 1; n <= 1100; n += n < 40 ? 1 : 353) {
        for (int64_t axis = 0; axis < 2; axis++) {
            const int64_t dims[] = {axis ? 2 : n, axis ? n : 2};
            float expected[2];
            OpTest test;
            for (int k = 0; k < 2; k++) {
                double sum = 0;
                for (int64_t i = 0; i < n; i++) {
                    sum += (double)x[axis ? k * n + i : i * 2 + k];
                }
                expected[k] = (float)sum; /* eighths: exact in any order */
            }
            reduce(&test, "ReduceSum", 2, dims, x, &axis, 1, 0);
            op_expect_f32(&test, 0, expected, 2, 0);
            op_test_end(&test);
        }
    }
}

static void test_reduce_malformed(void **state)
{
    const int64_t dims[] = {2, 2}, axes[][2] = {{2, 0}, {-3, 0}, {1, 1}, {1, -1}}, two[] = {2};
    const float x[4] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++) {
        OpTest test;
        op_test_begin(&test, "", "ReduceSum", 13);
        op_test_f32(&test, 2, dims, x);
        op_test_s64(&test, 1, two, axes[i]);
        assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
        op_test_end(&test);
    }
    OpTest test;
    op_test_begin(&test, "", "ReduceSum", 13); /* the attribute of older versions */
    op_test_ints(&test, "axes", two, 1);
    op_test_f32(&test, 2, dims, x);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
}

static void test_arg_and_topk(void **state)
{
    const int64_t dims[] = {2, 4}, k = 3, one[] = {1}, too_many = 5;
    const float x[] = {1, 3, 3, -1, NAN, 5, 2, 5};
    const int64_t first[] = {1, 0}, last[] = {2, 0}, smallest[] = {3, 0}, order[] = {1, 2, 0, 0, 1, 3};
    const float top[] = {3, 3, 1, NAN, 5, 5};
    OpTest test;
    (void)state;
    for (int i = 0; i < 3; i++) {
        op_test_begin(&test, "", i == 2 ? "ArgMin" : "ArgMax", 13);
        op_test_int(&test, "axis", -1);
        op_test_int(&test, "select_last_index", i == 1);
        op_test_int(&test, "keepdims", 0);
        op_test_f32(&test, 2, dims, x);
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_bytes(&test, 0, i == 0 ? first : i == 1 ? last : smallest, sizeof first);
        op_test_end(&test);
    }
    op_test_begin(&test, "", "TopK", 11);
    op_test_f32(&test, 2, dims, x);
    op_test_s64(&test, 1, one, &k);
    op_test_outputs(&test, 2);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, top, 6, 0);
    op_expect_bytes(&test, 1, order, sizeof order);
    op_test_end(&test);
    op_test_begin(&test, "", "TopK", 11);
    op_test_f32(&test, 2, dims, x);
    op_test_s64(&test, 1, one, &too_many);
    op_test_outputs(&test, 2);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
}

/* TopK of a few thousand numbers against counting: value i is (i * 7919) mod 4099, all different. */
static void test_topk_large(void **state)
{
    enum { N = 4099, K = 1000 };
    static int64_t x[N];
    const int64_t dims[] = {N}, one[] = {1}, k = K;
    OpTest test;
    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = (int64_t)i * 7919 % N;
    }
    op_test_begin(&test, "", "TopK", 11);
    op_test_int(&test, "largest", 0);
    op_test_s64(&test, 1, dims, x);
    op_test_s64(&test, 1, one, &k);
    op_test_outputs(&test, 2);
    assert_int_equal(op_test_run(&test), FB_OK);
    for (int i = 0; i < K; i++) {
        assert_int_equal(((const int64_t *)test.outputs[0]->data)[i], i);
        assert_int_equal(x[((const int64_t *)test.outputs[1]->data)[i]], i);
    }
    op_test_end(&test);
}

static void test_makers(void **state)
{
    const int64_t start = 10, limit = 3, delta = -3, range[] = {10, 7, 4}, zero = 0, three[] = {3}, shape[] = {2, -1}, two[] = {2};
    const float f_start = 0, f_limit = 1, f_delta = 0.25f, quarters[] = {0, 0.25f, 0.5f, 0.75f};
    const int64_t square[] = {3, 3}, indices[] = {1, -1, 7}, depth = 2, one[] = {1};
    const float m[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, upper[] = {0, 2, 3, 0, 0, 6, 0, 0, 0}, lower[] = {1, 0, 0, 4, 5, 0, 7, 8, 9};
    const float values[] = {-1, 5}, hot[] = {-1, 5, -1, 5, -1, -1};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Range", 11);
    op_test_s64(&test, 0, NULL, &start);
    op_test_s64(&test, 0, NULL, &limit);
    op_test_s64(&test, 0, NULL, &delta);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_shape(&test, 0, FB_DTYPE_S64, 1, three);
    op_expect_bytes(&test, 0, range, sizeof range);
    op_test_end(&test);
    op_test_begin(&test, "", "Range", 11);
    op_test_s64(&test, 0, NULL, &start);
    op_test_s64(&test, 0, NULL, &limit);
    op_test_s64(&test, 0, NULL, &zero);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
    op_test_begin(&test, "", "Range", 11);
    op_test_f32(&test, 0, NULL, &f_start);
    op_test_f32(&test, 0, NULL, &f_limit);
    op_test_f32(&test, 0, NULL, &f_delta);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, quarters, 4, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "ConstantOfShape", 9);
    op_test_s64(&test, 1, two, shape);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
    op_test_begin(&test, "", "Trilu", 14);
    op_test_f32(&test, 2, square, m);
    op_test_s64(&test, 0, NULL, one);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, upper, 9, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "Trilu", 14);
    op_test_int(&test, "upper", 0);
    op_test_f32(&test, 2, square, m);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, lower, 9, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "OneHot", 11); /* the last index is out of range: off everywhere */
    op_test_s64(&test, 1, three, indices);
    op_test_s64(&test, 0, NULL, &depth);
    op_test_f32(&test, 1, two, values);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, hot, 6, 0);
    op_test_end(&test);
}

static void test_integer_products(void **state)
{
    enum { K = 40000 }; /* more than an int32 sum of 255 * 255 holds */
    static uint8_t a[K], b[K];
    const int64_t row[] = {1, K}, column[] = {K, 1}, two[] = {2, 2};
    const uint8_t small_a[] = {1, 2, 3, 4}, small_b[] = {5, 6, 7, 8}, zero_a = 1, zero_b = 6;
    const int32_t small[] = {1, 2, 1, 6}; /* [0 1; 2 3] * [-1 0; 1 2] */
    const int32_t wrapped[] = {(int32_t)(2601000000u)};
    OpTest test;
    (void)state;
    memset(a, 255, K);
    memset(b, 255, K);
    op_test_begin(&test, "", "MatMulInteger", 10);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, two, small_a));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, two, small_b));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &zero_a));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &zero_b));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, small, sizeof small);
    op_test_end(&test);
    op_test_begin(&test, "", "MatMulInteger", 10); /* 40000 * 255 * 255, low 32 bits */
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, row, a));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, column, b));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, wrapped, sizeof wrapped);
    op_test_end(&test);
    /* QLinearMatMul of the same: the exact sum 2,601,000,000 times 1e-7 is 260, which saturates; times 5e-8 it is 130 */
    for (int i = 0; i < 2; i++) {
        const float one = 1, y_scale = i ? 2e7f : 1e7f;
        const uint8_t none = 0, expected = i ? 130 : 255;
        op_test_begin(&test, "", "QLinearMatMul", 10);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, row, a));
        op_test_f32(&test, 0, NULL, &one);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &none));
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 2, column, b));
        op_test_f32(&test, 0, NULL, &one);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &none));
        op_test_f32(&test, 0, NULL, &y_scale);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &none));
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_bytes(&test, 0, &expected, 1);
        op_test_end(&test);
    }
}

static void test_einsum_and_loss(void **state)
{
    const int64_t two[] = {2, 2}, batch[] = {2}, one[] = {1};
    const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, product[] = {19, 22, 43, 50}, trace[] = {5}, transposed[] = {1, 3, 2, 4};
    const float scores[] = {0, 0, 0, 1.0986122887f}; /* log 3: probabilities 1/2 and 3/4 */
    const int64_t targets[] = {0, 1}, bad[] = {0, 2};
    const float loss[] = {(0.6931471806f + 0.2876820724f) / 2};
    OpTest test;
    (void)state;
    const struct {
        const char *equation;
        int operands;
        const float *expected;
        int64_t count;
    } cases[] = {{"ij,jk->ik", 2, product, 4}, {"ij,jk", 2, product, 4}, {"ii", 1, trace, 1}, {"ba", 1, transposed, 4}, {"...ij,...jk->...ik", 2, product, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        op_test_begin(&test, "", "Einsum", 12);
        op_test_string(&test, "equation", cases[i].equation);
        op_test_f32(&test, 2, two, a);
        if (cases[i].operands == 2) {
            op_test_f32(&test, 2, two, b);
        }
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_f32(&test, 0, cases[i].expected, cases[i].count, 0);
        op_test_end(&test);
    }
    static const char *const broken[] = {"", "ij->ijk", "ij->k", "ij->ii", "i1", "ij-ij", "ijk", "ij,jk", "....ij", "ij->i>"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        op_test_begin(&test, "", "Einsum", 12);
        op_test_string(&test, "equation", broken[i]);
        op_test_f32(&test, 2, two, a);
        assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
        op_test_end(&test);
    }
    for (int i = 0; i < 2; i++) {
        op_test_begin(&test, "", "SoftmaxCrossEntropyLoss", 13);
        op_test_f32(&test, 2, two, scores);
        op_test_s64(&test, 1, batch, i ? bad : targets);
        assert_int_equal(op_test_run(&test), i ? FB_ERR_FORMAT : FB_OK); /* a target that is no class is found, not read past the end */
        if (!i) {
            op_expect_f32(&test, 0, loss, 1, 2);
        }
        op_test_end(&test);
    }
    op_test_begin(&test, "", "SoftmaxCrossEntropyLoss", 13);
    op_test_f32(&test, 2, two, scores);
    op_test_s64(&test, 1, one, targets);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce_axes),  cmocka_unit_test(test_reduce_empty_and_extreme), cmocka_unit_test(test_reduce_lengths),
        cmocka_unit_test(test_reduce_malformed), cmocka_unit_test(test_arg_and_topk),         cmocka_unit_test(test_topk_large),
        cmocka_unit_test(test_makers),       cmocka_unit_test(test_integer_products),         cmocka_unit_test(test_einsum_and_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
