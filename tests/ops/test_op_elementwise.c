/* Element-wise operators: hand-computed values, extremes, broadcasting, integer traps, types that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

static void check_unary(const char *op, int version, const float *x, const float *expected, int64_t count, unsigned ulps)
{
    OpTest test;
    op_test_begin(&test, "", op, version);
    op_test_f32(&test, 1, &count, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, expected, count, ulps);
    op_test_end(&test);
}

static void test_unary_extremes(void **state)
{
    const float x[] = {-INFINITY, -1.5f, -0.0f, 0.0f, 0.5f, 2.5f, INFINITY, NAN};
    const float relu[] = {0, 0, -0.0f, 0, 0.5f, 2.5f, INFINITY, NAN};
    const float round_even[] = {-INFINITY, -2, -0.0f, 0, 0, 2, INFINITY, NAN};
    const float sign[] = {-1, -1, 0, 0, 1, 1, 1, NAN};
    const float absolute[] = {INFINITY, 1.5f, 0, 0, 0.5f, 2.5f, INFINITY, NAN};
    const float recip[] = {-0.0f, -1 / 1.5f, -INFINITY, INFINITY, 2, 0.4f, 0, NAN};
    const float sigmoid[] = {0, 0.18242552f, 0.5f, 0.5f, 0.62245933f, 0.92414182f, 1, NAN};
    const float tanh_values[] = {-1, -0.90514825f, -0.0f, 0, 0.46211716f, 0.98661430f, 1, NAN};
    const float softsign[] = {-1, -0.6f, -0.0f, 0, 1 / 3.0f, 2.5f / 3.5f, 1, NAN};
    (void)state;
    check_unary("Round", 11, x, round_even, 8, 0);
    check_unary("Sign", 13, x, sign, 8, 0);
    check_unary("Abs", 13, x, absolute, 8, 0);
    check_unary("Reciprocal", 13, x, recip, 8, 0);
    check_unary("Sigmoid", 13, x, sigmoid, 8, 2);
    check_unary("Tanh", 13, x, tanh_values, 8, 2);
    check_unary("Softsign", 1, x, softsign, 8, 1);
    OpTest test;
    const int64_t dims[] = {8};
    op_test_begin(&test, "", "Relu", 14);
    op_test_f32(&test, 1, dims, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    for (int i = 0; i < 8; i++) { /* zeros of either sign are fine */
        float got = ((const float *)test.outputs[0]->data)[i];
        assert_true(isnan(relu[i]) ? isnan(got) : got == relu[i]);
    }
    op_test_end(&test);
}

static void test_integers_unary(void **state)
{
    const int64_t dims[] = {3}, x[] = {INT64_MIN, -5, 7}, absolute[] = {INT64_MIN, 5, 7}, negative[] = {INT64_MIN, 5, -7};
    const uint64_t big[] = {0, 1, UINT64_MAX}, signs[] = {0, 1, 1};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Abs", 13); /* the most negative number has no positive twin: it wraps */
    op_test_s64(&test, 1, dims, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, absolute, sizeof absolute);
    op_test_end(&test);
    op_test_begin(&test, "", "Neg", 13);
    op_test_s64(&test, 1, dims, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, negative, sizeof negative);
    op_test_end(&test);
    op_test_begin(&test, "", "Sign", 13);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U64, 1, dims, big));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, signs, sizeof signs);
    op_test_end(&test);
    op_test_begin(&test, "", "Exp", 13); /* no exponential of integers in ONNX */
    op_test_s64(&test, 1, dims, x);
    assert_int_equal(op_test_run(&test), FB_ERR_UNSUPPORTED);
    op_test_end(&test);
}

/* Long enough for every path of kernels and threads; checks all against one formula. */
static void test_broadcast_forms(void **state)
{
    enum { N = 3, C = 70, P = 131 };
    static float a[N * C * P], b[N * C * P], expected[N * C * P];
    const int64_t full[] = {N, C, P}, forms[][3] = {{N, C, P}, {1, C, 1}, {1, 1, P}, {N, 1, P}, {1, 1, 1}, {N, C, 1}};
    (void)state;
    for (int i = 0; i < N * C * P; i++) {
        a[i] = (float)(i % 97) - 40;
        b[i] = (float)(i % 31) + 0.25f;
    }
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        for (int swap = 0; swap < 2; swap++) {
            for (int n = 0; n < N; n++) {
                for (int c = 0; c < C; c++) {
                    for (int p = 0; p < P; p++) {
                        int64_t at = ((forms[f][0] > 1 ? n : 0) * forms[f][1] + (forms[f][1] > 1 ? c : 0)) * forms[f][2] + (forms[f][2] > 1 ? p : 0);
                        int i = (n * C + c) * P + p;
                        expected[i] = swap ? b[at] - a[i] : a[i] - b[at];
                    }
                }
            }
            OpTest test;
            op_test_begin(&test, "", "Sub", 14);
            for (int k = 0; k < 2; k++) {
                if (k == swap) {
                    op_test_f32(&test, 3, full, a);
                } else {
                    op_test_f32(&test, 3, forms[f], b);
                }
            }
            assert_int_equal(op_test_run(&test), FB_OK);
            op_expect_shape(&test, 0, FB_DTYPE_F32, 3, full);
            op_expect_f32(&test, 0, expected, N * C * P, 0);
            op_test_end(&test);
        }
    }
}

static FbStatus whole_division(const char *op, int fmod_form, FbDtype dtype, const void *a, const void *b, const void *expected, size_t bytes)
{
    OpTest test;
    int64_t count = (int64_t)bytes * 8 / fb_dtype_bits(dtype);
    op_test_begin(&test, "", op, 14);
    if (fmod_form >= 0) {
        op_test_int(&test, "fmod", fmod_form);
    }
    op_test_input(&test, op_test_tensor(&test, dtype, 1, &count, a));
    op_test_input(&test, op_test_tensor(&test, dtype, 1, &count, b));
    FbStatus status = op_test_run(&test);
    if (status == FB_OK) {
        op_expect_bytes(&test, 0, expected, bytes);
    }
    op_test_end(&test);
    return status;
}

static void test_whole_division_never_traps(void **state)
{
    const int32_t a[] = {INT32_MIN, -7, 7, -7}, b[] = {-1, 2, -2, -2}, quotient[] = {INT32_MIN, -3, -3, 3};
    const int32_t floor_mod[] = {0, 1, -1, -1}, c_mod[] = {0, -1, 1, -1}, zero[] = {1, 0, 1, 1};
    const int64_t wide[] = {INT64_MIN}, minus_one[] = {-1}, wrapped[] = {INT64_MIN}, none[] = {0};
    (void)state;
    assert_int_equal(whole_division("Div", -1, FB_DTYPE_S32, a, b, quotient, sizeof a), FB_OK);
    assert_int_equal(whole_division("Mod", 0, FB_DTYPE_S32, a, b, floor_mod, sizeof a), FB_OK);
    assert_int_equal(whole_division("Mod", 1, FB_DTYPE_S32, a, b, c_mod, sizeof a), FB_OK);
    assert_int_equal(whole_division("Div", -1, FB_DTYPE_S64, wide, minus_one, wrapped, sizeof wide), FB_OK);
    assert_int_equal(whole_division("Mod", 0, FB_DTYPE_S64, wide, minus_one, none, sizeof wide), FB_OK);
    assert_int_equal(whole_division("Div", -1, FB_DTYPE_S32, a, zero, NULL, sizeof a), FB_ERR_NUMERIC);
    assert_int_equal(whole_division("Mod", 0, FB_DTYPE_S32, a, zero, NULL, sizeof a), FB_ERR_NUMERIC);
    assert_int_equal(whole_division("Mod", 1, FB_DTYPE_U32, a, zero, NULL, sizeof a), FB_ERR_NUMERIC);
}

static void test_min_max_variadic(void **state)
{
    const int64_t dims[] = {3}, one[] = {1};
    const float a[] = {1, NAN, 3}, b[] = {2, 2, NAN}, c[] = {0}, largest[] = {2, NAN, NAN}, smallest[] = {0, NAN, NAN};
    const float third[] = {1, 2, 3}, mean[] = {1, 4.0f / 3, 5.0f / 3};
    OpTest test;
    (void)state;
    for (int i = 0; i < 2; i++) {
        op_test_begin(&test, "", i ? "Min" : "Max", 13);
        op_test_f32(&test, 1, dims, a);
        op_test_f32(&test, 1, dims, b);
        op_test_f32(&test, 1, one, c);
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_f32(&test, 0, i ? smallest : largest, 3, 0);
        op_test_end(&test);
    }
    op_test_begin(&test, "", "Mean", 13);
    op_test_f32(&test, 1, dims, third);
    op_test_f32(&test, 1, one, b); /* 2 */
    op_test_f32(&test, 1, one, c); /* 0 */
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, mean, 3, 0);
    op_test_end(&test);
}

static void test_pow_mixed(void **state)
{
    const int64_t dims[] = {6}, whole[] = {2, 3, -1, 0, 2, 10}, exponent[] = {62, 0, -3, -1, -1, 3}, power[] = {(int64_t)1 << 62, 1, -1, 0, 0, 1000};
    const float base[] = {-8, 2, 9, 0, -0.0f, -2}, by[] = {3, -1, 0.5f, 0, 0.5f, 2}, real[] = {-512, 0.5f, 3, 1, 0, 4};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Pow", 15);
    op_test_s64(&test, 1, dims, whole);
    op_test_s64(&test, 1, dims, exponent);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, power, sizeof power);
    op_test_end(&test);
    op_test_begin(&test, "", "Pow", 15);
    op_test_f32(&test, 1, dims, base);
    op_test_f32(&test, 1, dims, by);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, real, 6, 0);
    op_test_end(&test);
}

static void test_legacy_broadcast(void **state)
{
    const int64_t dims[] = {1, 2, 2}, two[] = {2};
    const float a[] = {1, 2, 3, 4}, b[] = {10, 20}, channel[] = {11, 12, 23, 24};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Add", 6);
    op_test_int(&test, "broadcast", 1);
    op_test_int(&test, "axis", 1);
    op_test_f32(&test, 3, dims, a);
    op_test_f32(&test, 1, two, b);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, channel, 4, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "Add", 7); /* the attributes are gone */
    op_test_int(&test, "axis", 1);
    op_test_f32(&test, 3, dims, a);
    op_test_f32(&test, 1, two, b);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
}

static void test_clip_and_where(void **state)
{
    const int64_t dims[] = {4}, empty[] = {0};
    const float x[] = {-5, 0, 5, NAN}, low = 2, high = 1, crossed[] = {1, 1, 1, NAN}, upper[] = {-5, 0, 1, NAN};
    const uint8_t pick[] = {1, 0, 1, 0}, whole_low = 100, values[] = {0, 100, 200, 255}, clipped[] = {100, 100, 200, 255};
    const float y[] = {1, 2, 3, 4}, chosen[] = {-5, 2, 5, 4};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Clip", 13); /* both bounds, crossed: the upper one wins */
    op_test_f32(&test, 1, dims, x);
    op_test_f32(&test, 0, NULL, &low);
    op_test_f32(&test, 0, NULL, &high);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, crossed, 4, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "Clip", 13); /* only the upper one */
    op_test_f32(&test, 1, dims, x);
    op_test_input(&test, NULL);
    op_test_f32(&test, 0, NULL, &high);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, upper, 4, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "Clip", 13);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 1, dims, values));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &whole_low));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, clipped, 4);
    op_test_end(&test);
    op_test_begin(&test, "", "Where", 16);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_BOOL, 1, dims, pick));
    op_test_f32(&test, 1, dims, x);
    op_test_f32(&test, 1, dims, y);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_f32(&test, 0, chosen, 4, 0);
    op_test_end(&test);
    op_test_begin(&test, "", "Add", 14); /* nothing plus one number is nothing */
    op_test_f32(&test, 1, empty, x);
    op_test_f32(&test, 0, NULL, &low);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_shape(&test, 0, FB_DTYPE_F32, 1, empty);
    op_test_end(&test);
}

static void test_half_types_and_casts(void **state)
{
    const int64_t dims[] = {4}, wide[] = {257, -1, 65536, 3};
    const uint16_t ones[] = {0x3c00, 0x3c00, 0x7bff, 0xfc00}, sums[] = {0x4000, 0x4000, 0x7c00, 0xfc00};
    const uint8_t low_bytes[] = {1, 255, 0, 3};
    const float reals[] = {-1.9f, 300.7f, NAN, 1e30f};
    const int32_t whole[] = {-1, 300, 0, INT32_MAX};
    const uint8_t bools[] = {1, 1, 1, 1};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "Add", 14); /* half: overflow becomes infinity */
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_F16, 1, dims, ones));
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_F16, 1, dims, ones));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, sums, sizeof sums);
    op_test_end(&test);
    op_test_begin(&test, "", "Cast", 13);
    op_test_int(&test, "to", FB_DTYPE_U8);
    op_test_s64(&test, 1, dims, wide);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, low_bytes, sizeof low_bytes);
    op_test_end(&test);
    op_test_begin(&test, "", "Cast", 13);
    op_test_int(&test, "to", FB_DTYPE_S32);
    op_test_f32(&test, 1, dims, reals);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, whole, sizeof whole);
    op_test_end(&test);
    op_test_begin(&test, "", "Cast", 13);
    op_test_int(&test, "to", FB_DTYPE_BOOL);
    op_test_f32(&test, 1, dims, reals);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, bools, sizeof bools);
    op_test_end(&test);
    op_test_begin(&test, "", "Cast", 13);
    op_test_int(&test, "to", FB_DTYPE_STRING);
    op_test_f32(&test, 1, dims, reals);
    assert_int_equal(op_test_run(&test), FB_ERR_UNSUPPORTED);
    op_test_end(&test);
    op_test_begin(&test, "", "Cast", 13);
    op_test_int(&test, "to", 1000);
    op_test_f32(&test, 1, dims, reals);
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary_extremes),    cmocka_unit_test(test_integers_unary), cmocka_unit_test(test_broadcast_forms),
        cmocka_unit_test(test_whole_division_never_traps), cmocka_unit_test(test_min_max_variadic), cmocka_unit_test(test_pow_mixed),
        cmocka_unit_test(test_legacy_broadcast),  cmocka_unit_test(test_clip_and_where), cmocka_unit_test(test_half_types_and_casts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
