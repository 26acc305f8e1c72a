/* Integer products against plain loops: sizes around tiles and chunks, groups, strides, padding, zero points of every form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

enum { BIG = 200000 };
static uint8_t x_codes[BIG], w_codes[BIG], w_zeros[256];
static int32_t expected[BIG];

static void fill(void)
{
    uint32_t state = 12345;
    for (int i = 0; i < BIG; i++) {
        state = state * 1664525u + 1013904223u;
        x_codes[i] = i % 7 ? (uint8_t)(state >> 24) : 255; /* many extremes */
        w_codes[i] = i % 5 ? (uint8_t)(state >> 16) : 0;
    }
    for (int i = 0; i < 256; i++) {
        w_zeros[i] = (uint8_t)(i * 37);
    }
}

typedef struct ConvCase { int64_t n, c, h, w, filters, group, kernel, stride, pad, dilation; } ConvCase;

static int64_t out_dim(int64_t in, const ConvCase *c) { return (in + 2 * c->pad - c->dilation * (c->kernel - 1) - 1) / c->stride + 1; }

static int32_t conv_at(const ConvCase *c, int64_t n, int64_t f, int64_t oh, int64_t ow, int32_t x_zero, bool is_signed)
{
    int64_t each = c->c / c->group, first = f / (c->filters / c->group) * each, sum = 0;
    for (int64_t k = 0; k < each; k++) {
        for (int64_t i = 0; i < c->kernel * c->kernel; i++) {
            int64_t h = oh * c->stride - c->pad + i / c->kernel * c->dilation, w = ow * c->stride - c->pad + i % c->kernel * c->dilation;
            if (h >= 0 && h < c->h && w >= 0 && w < c->w) {
                uint8_t code = w_codes[(f * each + k) * c->kernel * c->kernel + i], zero = w_zeros[f];
                int32_t weight = is_signed ? (int8_t)code - (int8_t)zero : code - zero;
                sum += (int64_t)weight * (x_codes[((n * c->c + first + k) * c->h + h) * c->w + w] - x_zero);
            }
        }
    }
    return (int32_t)sum;
}

static void test_conv(void **state)
{
    static const ConvCase cases[] = {
        {2, 3, 9, 7, 70, 1, 3, 1, 1, 1},  {1, 300, 5, 5, 33, 1, 3, 2, 1, 1}, {1, 8, 20, 9, 8, 8, 3, 1, 1, 2},   {1, 12, 8, 8, 15, 3, 2, 1, 0, 1},
        {1, 1, 40, 3, 5, 1, 1, 1, 0, 1},  {2, 4, 6, 6, 4, 2, 5, 1, 2, 1},    {1, 513, 2, 2, 4, 1, 1, 1, 0, 1}, {1, 2, 11, 11, 32, 1, 7, 3, 3, 1},
    };
    const uint8_t x_zero = 129;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            const ConvCase *c = &cases[i];
            const int64_t x[] = {c->n, c->c, c->h, c->w}, w[] = {c->filters, c->c / c->group, c->kernel, c->kernel};
            const int64_t strides[] = {c->stride, c->stride}, dilations[] = {c->dilation, c->dilation}, pads[] = {c->pad, c->pad, c->pad, c->pad};
            const int64_t y[] = {c->n, c->filters, out_dim(c->h, c), out_dim(c->w, c)};
            int64_t at = 0;
            for (int64_t n = 0; n < y[0]; n++) {
                for (int64_t f = 0; f < y[1]; f++) {
                    for (int64_t p = 0; p < y[2] * y[3]; p++) {
                        expected[at++] = conv_at(c, n, f, p / y[3], p % y[3], x_zero, is_signed);
                    }
                }
            }
            OpTest test;
            op_test_begin(&test, "", "ConvInteger", 10);
            op_test_int(&test, "group", c->group);
            op_test_ints(&test, "strides", strides, 2);
            op_test_ints(&test, "dilations", dilations, 2);
            op_test_ints(&test, "pads", pads, 4);
            op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 4, x, x_codes));
            op_test_input(&test, op_test_tensor(&test, is_signed ? FB_DTYPE_S8 : FB_DTYPE_U8, 4, w, w_codes));
            op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &x_zero));
            op_test_input(&test, op_test_tensor(&test, is_signed ? FB_DTYPE_S8 : FB_DTYPE_U8, 1, &c->filters, w_zeros));
            assert_int_equal(op_test_run(&test), FB_OK);
            op_expect_shape(&test, 0, FB_DTYPE_S32, 4, y);
            op_expect_bytes(&test, 0, expected, (size_t)at * sizeof expected[0]);
            op_test_end(&test);
        }
    }
}

static void test_matmul(void **state)
{
    static const int64_t cases[][5] = {{1, 1, 1, 1, 1}, {2, 1, 70, 600, 90}, {2, 2, 65, 257, 33}, {1, 3, 3, 256, 64}, {1, 1, 1, 1000, 5}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t a_batch = cases[i][0], b_batch = cases[i][1], m = cases[i][2], k = cases[i][3], n = cases[i][4], at = 0;
        int64_t batch = a_batch > b_batch ? a_batch : b_batch;
        const int64_t a[] = {a_batch, m, k}, b[] = {b_batch, k, n}, y[] = {batch, m, n};
        for (int64_t s = 0; s < batch; s++) {
            for (int64_t row = 0; row < m; row++) {
                for (int64_t col = 0; col < n; col++) {
                    int64_t sum = 0;
                    for (int64_t j = 0; j < k; j++) {
                        int32_t left = x_codes[((a_batch == 1 ? 0 : s) * m + row) * k + j] - w_zeros[row];
                        int32_t right = (int8_t)w_codes[((b_batch == 1 ? 0 : s) * k + j) * n + col] - (int8_t)w_zeros[col];
                        sum += (int64_t)left * right;
                    }
                    expected[at++] = (int32_t)sum;
                }
            }
        }
        OpTest test;
        op_test_begin(&test, "", "MatMulInteger", 10);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 3, a, x_codes));
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 3, b, w_codes));
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 1, &m, w_zeros));
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 1, &n, w_zeros));
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_shape(&test, 0, FB_DTYPE_S32, 3, y);
        op_expect_bytes(&test, 0, expected, (size_t)at * sizeof expected[0]);
        op_test_end(&test);
    }
}

static void test_qlinear_conv(void **state)
{
    /* one pixel, two channels: sums 10 * 2 + 20 * -3 + 7 = -33 and 10 * 1 + 20 * 4 + 0 = 90; times 0.5 * {1, 0.25} / 2 */
    const int64_t x[] = {1, 2, 1, 1}, w[] = {2, 2, 1, 1}, two[] = {2};
    const uint8_t codes[] = {11, 21}, x_zero = 1, y_zero = 10, result[] = {2, 16}; /* rint(-8.25) + 10, rint(5.625) + 10 */
    const int8_t weights[] = {2, -3, 1, 4}, w_zero = 0;
    const int32_t bias[] = {7, 0};
    const float x_scale = 0.5f, w_scale[] = {1, 0.25f}, y_scale = 2;
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "QLinearConv", 10);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 4, x, codes));
    op_test_f32(&test, 0, NULL, &x_scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &x_zero));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 4, w, weights));
    op_test_f32(&test, 1, two, w_scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 0, NULL, &w_zero));
    op_test_f32(&test, 0, NULL, &y_scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &y_zero));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S32, 1, two, bias));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, result, 2);
    op_test_end(&test);
}

/* A code tensor with its scale and zero point as three inputs. */
static void add_triple(OpTest *test, int rank, const int64_t *dims, const uint8_t *codes, float scale, uint8_t zero)
{
    if (dims) {
        op_test_input(test, op_test_tensor(test, FB_DTYPE_U8, rank, dims, codes));
    }
    op_test_f32(test, 0, NULL, &scale);
    op_test_input(test, op_test_tensor(test, FB_DTYPE_U8, 0, NULL, &zero));
}

static void test_qlinear(void **state)
{
    const int64_t four[] = {1, 2, 1, 2}, channel[] = {2, 1, 1}, pooled[] = {1, 2, 1, 1}, joined[] = {1, 4, 1, 2};
    const uint8_t a[] = {10, 20, 30, 250}, b[] = {2, 4};
    /* a: 0.5 (q - 10) = 0 5 10 120; b: 1 (q - 3) = -1 1; codes of scale 0.25 and zero 4 */
    const uint8_t sum[] = {0, 20, 48, 255}, product[] = {4, 0, 44, 255}, leaky[] = {4, 24, 44, 255}, mean[] = {14, 255};
    const uint8_t both[] = {4, 24, 44, 255, 4, 24, 44, 255};
    OpTest test;
    (void)state;
    for (int i = 0; i < 2; i++) {
        op_test_begin(&test, "com.microsoft", i ? "QLinearMul" : "QLinearAdd", 1);
        add_triple(&test, 4, four, a, 0.5f, 10);
        add_triple(&test, 3, channel, b, 1, 3);
        add_triple(&test, 0, NULL, NULL, 0.25f, 4);
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_bytes(&test, 0, i ? product : sum, 4);
        op_test_end(&test);
    }
    op_test_begin(&test, "com.microsoft", "QLinearLeakyRelu", 1);
    add_triple(&test, 4, four, a, 0.5f, 10);
    add_triple(&test, 0, NULL, NULL, 0.25f, 4);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, leaky, 4);
    op_test_end(&test);
    op_test_begin(&test, "com.microsoft", "QLinearGlobalAveragePool", 1);
    add_triple(&test, 4, four, a, 0.5f, 10);
    add_triple(&test, 0, NULL, NULL, 0.25f, 4);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_shape(&test, 0, FB_DTYPE_U8, 4, pooled);
    op_expect_bytes(&test, 0, mean, 2);
    op_test_end(&test);
    op_test_begin(&test, "com.microsoft", "QLinearConcat", 1);
    op_test_int(&test, "axis", 1);
    add_triple(&test, 0, NULL, NULL, 0.25f, 4);
    add_triple(&test, 4, four, a, 0.5f, 10);
    add_triple(&test, 4, four, a, 0.5f, 10);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_shape(&test, 0, FB_DTYPE_U8, 4, joined);
    op_expect_bytes(&test, 0, both, 8);
    op_test_end(&test);
}

int main(void)
{
    fill();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv), cmocka_unit_test(test_matmul), cmocka_unit_test(test_qlinear_conv),
                                       cmocka_unit_test(test_qlinear)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
