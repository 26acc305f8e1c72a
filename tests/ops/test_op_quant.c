/* Quantization operators: hand-computed codes, extremes, layouts of scales, malformed parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

static void test_half_to_even_and_saturation(void **state)
{
    static const int64_t dims[] = {9};
    static const float x[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e30f, -INFINITY, NAN, 127.5f}, scale = 1.0f;
    static const int8_t zero = 0, expected[] = {0, 2, 2, 0, -2, 127, -128, -128, 127};
    static const uint8_t zero_u = 3, expected_u[] = {3, 5, 5, 3, 1, 255, 0, 0, 131};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "QuantizeLinear", 13);
    op_test_f32(&test, 1, dims, x);
    op_test_f32(&test, 0, NULL, &scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 0, NULL, &zero));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_shape(&test, 0, FB_DTYPE_S8, 1, dims);
    op_expect_bytes(&test, 0, expected, sizeof expected);
    op_test_end(&test);

    op_test_begin(&test, "", "QuantizeLinear", 10);
    op_test_f32(&test, 1, dims, x);
    op_test_f32(&test, 0, NULL, &scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &zero_u));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, expected_u, sizeof expected_u);
    op_test_end(&test);
}

/* Scales per index of the middle axis, the last axis, and blocks of both, against numbers worked out by hand. */
static void test_layouts(void **state)
{
    static const int64_t dims[] = {2, 3, 2}, three[] = {3}, two[] = {2}, blocks_middle[] = {2, 2, 2}, blocks_last[] = {2, 3, 1};
    static const int8_t x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const float by_three[] = {1, 10, 100}, by_two[] = {1, 10}, middle[] = {1, 2, 3, 4, 5, 6, 7, 8}, last[] = {1, 2, 3, 4, 5, 6};
    static const float expect_middle_axis[] = {1, 2, 30, 40, 500, 600, 7, 8, 90, 100, 1100, 1200};
    static const float expect_last_axis[] = {1, 20, 3, 40, 5, 60, 7, 80, 9, 100, 11, 120};
    /* blocks of 2 along the middle axis: indices 0 and 1 share scales {1, 2} and {5, 6}, index 2 has {3, 4} and {7, 8} */
    static const float expect_middle_blocks[] = {1, 4, 3, 8, 15, 24, 35, 48, 45, 60, 77, 96};
    static const float expect_last_blocks[] = {1, 2, 6, 8, 15, 18, 28, 32, 45, 50, 66, 72};
    const struct {
        int64_t axis, block;
        const float *scale, *expected;
        int rank;
        const int64_t *scale_dims;
    } cases[] = {{1, 0, by_three, expect_middle_axis, 1, three},
                 {-1, 0, by_two, expect_last_axis, 1, two},
                 {1, 2, middle, expect_middle_blocks, 3, blocks_middle},
                 {2, 2, last, expect_last_blocks, 3, blocks_last}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OpTest test;
        op_test_begin(&test, "", "DequantizeLinear", 21);
        op_test_int(&test, "axis", cases[i].axis);
        op_test_int(&test, "block_size", cases[i].block);
        op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 3, dims, x));
        op_test_f32(&test, cases[i].rank, cases[i].scale_dims, cases[i].scale);
        assert_int_equal(op_test_run(&test), FB_OK);
        op_expect_f32(&test, 0, cases[i].expected, 12, 0);
        const FbTensor *real = test.outputs[0];
        OpTest back;
        op_test_begin(&back, "", "QuantizeLinear", 21);
        op_test_int(&back, "axis", cases[i].axis);
        op_test_int(&back, "block_size", cases[i].block);
        op_test_int(&back, "output_dtype", FB_DTYPE_S8);
        op_test_input(&back, real);
        op_test_f32(&back, cases[i].rank, cases[i].scale_dims, cases[i].scale);
        assert_int_equal(op_test_run(&back), FB_OK);
        op_expect_bytes(&back, 0, x, sizeof x);
        op_test_end(&back);
        op_test_end(&test);
    }
}

static void test_packed_codes(void **state)
{
    static const int64_t dims[] = {3};
    static const float x[] = {-9, 3, 100}, scale = 1;
    static const uint8_t expected[] = {0x38, 0x07}, zero = 0; /* -8 and 3, then 7 and an empty nibble */
    static const float back[] = {-8, 3, 7};
    OpTest test, other;
    (void)state;
    op_test_begin(&test, "", "QuantizeLinear", 21);
    op_test_f32(&test, 1, dims, x);
    op_test_f32(&test, 0, NULL, &scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S4, 0, NULL, &zero));
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, expected, sizeof expected);
    op_test_begin(&other, "", "DequantizeLinear", 21);
    op_test_input(&other, test.outputs[0]);
    op_test_f32(&other, 0, NULL, &scale);
    assert_int_equal(op_test_run(&other), FB_OK);
    op_expect_f32(&other, 0, back, 3, 0);
    op_test_end(&other);
    op_test_end(&test);
}

/* Quant must equal QuantizeLinear followed by DequantizeLinear, bit for bit, for every storage type and layout. */
static void test_quant_is_the_pair(void **state)
{
    static const FbDtype codes[] = {FB_DTYPE_U8, FB_DTYPE_S8, FB_DTYPE_U16, FB_DTYPE_S16, FB_DTYPE_S4, FB_DTYPE_U2, FB_DTYPE_F8E4M3FN,
                                    FB_DTYPE_F8E5M2, FB_DTYPE_F4E2M1};
    const int64_t dims[] = {3, 5, 37}, per_axis[] = {37}, blocks[] = {3, 5, 3};
    float x[3 * 5 * 37], scale[45];
    uint8_t zero[45 * 2] = {0};
    (void)state;
    for (int i = 0; i < 3 * 5 * 37; i++) {
        x[i] = (float)((i * 7919) % 1000 - 500) / 16.0f;
    }
    for (int i = 0; i < 45; i++) {
        scale[i] = 0.01f * (float)(i + 1);
    }
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        for (int form = 0; form < 3; form++) {
            OpTest q, dq, both;
            OpTest *tests[] = {&q, &both};
            op_test_begin(&q, "", "QuantizeLinear", 23);
            op_test_begin(&both, "fewbit", "Quant", 1);
            op_test_begin(&dq, "", "DequantizeLinear", 23);
            op_test_int(&both, "code", codes[c]);
            for (int i = 0; i < 2; i++) {
                op_test_int(tests[i], "axis", 2);
                op_test_int(tests[i], "block_size", form == 2 ? 16 : 0);
                op_test_f32(tests[i], 3, dims, x);
                op_test_f32(tests[i], form == 0 ? 0 : form == 1 ? 1 : 3, form == 1 ? per_axis : blocks, scale);
                op_test_input(tests[i], op_test_tensor(tests[i], codes[c], form == 0 ? 0 : form == 1 ? 1 : 3, form == 1 ? per_axis : blocks, zero));
            }
            assert_int_equal(op_test_run(&q), FB_OK);
            op_test_int(&dq, "axis", 2);
            op_test_int(&dq, "block_size", form == 2 ? 16 : 0);
            op_test_input(&dq, q.outputs[0]);
            op_test_input(&dq, q.inputs[1]);
            op_test_input(&dq, q.inputs[2]);
            assert_int_equal(op_test_run(&dq), FB_OK);
            assert_int_equal(op_test_run(&both), FB_OK);
            op_expect_bytes(&both, 0, dq.outputs[0]->data, dq.outputs[0]->bytes);
            op_test_end(&dq);
            op_test_end(&q);
            op_test_end(&both);
        }
    }
}

static void test_dynamic(void **state)
{
    /* ONNX's own example: max 2, min -3: scale 5 / 255, zero point round(3 / scale) = 153 */
    static const int64_t dims[] = {6};
    static const float x[] = {0, 2, -3, -2.5f, 1.34f, 0.5f}, scale = 0.0196078438f, none[] = {0, 0};
    static const uint8_t zero = 153, expected[] = {153, 255, 0, 26, 221, 179}, zeros[] = {0, 0};
    const int64_t two[] = {2}, empty[] = {0};
    OpTest test;
    (void)state;
    op_test_begin(&test, "", "DynamicQuantizeLinear", 11);
    op_test_f32(&test, 1, dims, x);
    op_test_outputs(&test, 3);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, expected, sizeof expected);
    op_expect_f32(&test, 1, &scale, 1, 1);
    op_expect_bytes(&test, 2, &zero, 1);
    op_test_end(&test);

    op_test_begin(&test, "", "DynamicQuantizeLinear", 11); /* all zero: no division by zero */
    op_test_f32(&test, 1, two, none);
    op_test_outputs(&test, 3);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 0, zeros, 2);
    op_test_end(&test);

    op_test_begin(&test, "", "DynamicQuantizeLinear", 11); /* nothing at all */
    op_test_f32(&test, 1, empty, none);
    op_test_outputs(&test, 3);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_expect_bytes(&test, 2, zeros, 1);
    op_test_end(&test);

    op_test_begin(&test, "fewbit", "Quant", 1); /* to codes and back: codes above less 153, times the scale */
    op_test_int(&test, "dynamic", 1);
    op_test_f32(&test, 1, dims, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    float real[6];
    for (int i = 0; i < 6; i++) {
        real[i] = (float)(expected[i] - 153) * (5.0f / 255);
    }
    op_expect_f32(&test, 0, real, 6, 0);
    op_test_end(&test);
}

static void test_malformed(void **state)
{
    static const int64_t dims[] = {2, 3}, two[] = {2}, three[] = {3};
    static const float x[6], scale[6] = {1, 1, 1, 1, 1, 1};
    const struct {
        int64_t axis, block;
        int rank;
        const int64_t *scale_dims;
    } cases[] = {{2, 0, 1, three}, {-3, 0, 1, two}, {1, 0, 1, two}, {1, 0, 2, dims}, {1, -1, 0, NULL}, {1, 2, 2, dims}, {1, 2, 1, three}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OpTest test;
        op_test_begin(&test, "", "QuantizeLinear", 21);
        op_test_int(&test, "axis", cases[i].axis);
        op_test_int(&test, "block_size", cases[i].block);
        op_test_f32(&test, 2, dims, x);
        op_test_f32(&test, cases[i].rank, cases[i].scale_dims, scale);
        assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
        op_test_end(&test);
    }
    OpTest test;
    const uint8_t zero = 0;
    op_test_begin(&test, "", "DequantizeLinear", 21); /* zero point of another type */
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_S8, 0, NULL, &zero));
    op_test_f32(&test, 0, NULL, scale);
    op_test_input(&test, op_test_tensor(&test, FB_DTYPE_U8, 0, NULL, &zero));
    assert_int_equal(op_test_run(&test), FB_ERR_FORMAT);
    op_test_end(&test);
    op_test_begin(&test, "", "QuantizeLinear", 21); /* a type that nobody quantizes */
    op_test_s64(&test, 0, NULL, (const int64_t[]){1});
    op_test_f32(&test, 0, NULL, scale);
    assert_int_equal(op_test_run(&test), FB_ERR_UNSUPPORTED);
    op_test_end(&test);
    op_test_begin(&test, "", "QuantizeLinear", 13); /* a scale of 0 saturates, it does not stop the program */
    op_test_f32(&test, 2, dims, x);
    op_test_f32(&test, 0, NULL, x);
    assert_int_equal(op_test_run(&test), FB_OK);
    op_test_end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_to_even_and_saturation), cmocka_unit_test(test_layouts), cmocka_unit_test(test_packed_codes),
        cmocka_unit_test(test_quant_is_the_pair),           cmocka_unit_test(test_dynamic), cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
