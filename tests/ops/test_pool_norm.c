/* Pooling, normalization and softmax: cases worked out by hand, and the channels-last form against the plain one. */
#include "op_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void max_pool(void **state)
{
    (void)state;
    OpTest t;
    const int64_t dims[] = {1, 1, 3, 3}, kernel[] = {2, 2}, strides[] = {2, 2};
    const float x[] = {1, 2, 3, 9, 5, 6, 7, 8, 4};
    for (int order = 0; order < 2; order++) {
        op_test_begin(&t, "", "MaxPool", 12);
        op_test_f32(&t, 4, dims, x);
        op_test_ints(&t, "kernel_shape", kernel, 2);
        op_test_ints(&t, "strides", strides, 2);
        op_test_int(&t, "ceil_mode", 1);
        op_test_int(&t, "storage_order", order);
        op_test_outputs(&t, 2);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (const int64_t[]){1, 1, 2, 2});
        op_expect_f32(&t, 0, (const float[]){9, 6, 8, 4}, 4, 0);
        op_expect_bytes(&t, 1, order ? (const int64_t[]){1, 7, 5, 8} : (const int64_t[]){3, 5, 7, 8}, 32);
        op_test_end(&t);
    }
    op_test_begin(&t, "", "MaxPool", 12);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_U8, 3, (const int64_t[]){1, 1, 4}, (const uint8_t[]){1, 200, 3, 4}));
    op_test_ints(&t, "kernel_shape", kernel, 1);
    op_test_ints(&t, "dilations", strides, 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (const uint8_t[]){3, 200}, 2);
    op_test_end(&t);
}

static void average_pool(void **state)
{
    (void)state;
    const int64_t dims[] = {1, 1, 4}, kernel[] = {3}, strides[] = {2}, pads[] = {1, 1};
    const float x[] = {3, 6, 9, 12}, without[] = {4.5f, 9, 12}, with[] = {3, 9, 6};
    for (int include = 0; include < 2; include++) { /* windows: -1..1, 1..3, 3..5; the last counts one place of padding */
        OpTest t;
        op_test_begin(&t, "", "AveragePool", 19);
        op_test_f32(&t, 3, dims, x);
        op_test_ints(&t, "kernel_shape", kernel, 1);
        op_test_ints(&t, "strides", strides, 1);
        op_test_ints(&t, "pads", pads, 2);
        op_test_int(&t, "ceil_mode", 1);
        op_test_int(&t, "count_include_pad", include);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_f32(&t, 0, include ? with : without, 3, 0);
        op_test_end(&t);
    }
}

static void lp_and_global_pools(void **state)
{
    (void)state;
    static const struct { const char *op; float want[2]; } cases[] = {
        {"GlobalAveragePool", {2.5f, -3}}, {"GlobalMaxPool", {4, -1}}, {"GlobalLpPool", {5.47722578f, 6.70820379f}}};
    OpTest t;
    const float x[] = {1, 2, 3, 4, -5, -4, -1, -2}, y[] = {-5, -4, -1, -2};
    for (size_t i = 0; i < 3; i++) {
        op_test_begin(&t, "", cases[i].op, 2);
        op_test_f32(&t, 4, (const int64_t[]){1, 2, 2, 2}, x);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (const int64_t[]){1, 2, 1, 1});
        if (i == 2) {
            op_expect_f32(&t, 0, (const float[]){sqrtf(30), sqrtf(46)}, 2, 1);
        } else {
            op_expect_f32(&t, 0, cases[i].want, 2, 0);
        }
        op_test_end(&t);
    }
    op_test_begin(&t, "", "LpPool", 18);
    op_test_f32(&t, 3, (const int64_t[]){1, 1, 4}, y);
    op_test_ints(&t, "kernel_shape", (const int64_t[]){2}, 1);
    op_test_int(&t, "p", 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){9, 5, 3}, 3, 0);
    op_test_end(&t);
}

static void batch_normalization(void **state)
{
    (void)state;
    OpTest t;
    const int64_t c[] = {2};
    op_test_begin(&t, "", "BatchNormalization", 15);
    op_test_f32(&t, 3, (const int64_t[]){1, 2, 2}, (const float[]){1, 2, 3, 4});
    op_test_f32(&t, 1, c, (const float[]){2, 1});
    op_test_f32(&t, 1, c, (const float[]){10, 20});
    op_test_f32(&t, 1, c, (const float[]){1, 3});
    op_test_f32(&t, 1, c, (const float[]){3.5f, 0.5f});
    op_test_float(&t, "epsilon", 0.5f);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){10, 11, 20, 21}, 4, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "BatchNormalization", 15); /* training: mean 2, variance 1; running = 0.5 of each */
    op_test_f32(&t, 3, (const int64_t[]){1, 1, 2}, (const float[]){1, 3});
    for (int i = 0; i < 4; i++) {
        op_test_f32(&t, 1, (const int64_t[]){1}, (const float[]){i % 2 ? 0.0f : 2.0f}); /* scale 2, bias 0, mean 2, variance 0 */
    }
    op_test_float(&t, "epsilon", 0);
    op_test_float(&t, "momentum", 0.5f);
    op_test_int(&t, "training_mode", 1);
    op_test_outputs(&t, 3);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){-2, 2}, 2, 0);
    op_expect_f32(&t, 1, (const float[]){2}, 1, 0);
    op_expect_f32(&t, 2, (const float[]){0.5f}, 1, 0);
    op_test_end(&t);
}

static void instance_and_group(void **state)
{
    (void)state;
    OpTest t;
    const int64_t c[] = {2};
    const float x[] = {1, 3, 10, 14};
    op_test_begin(&t, "", "InstanceNormalization", 6);
    op_test_f32(&t, 3, (const int64_t[]){1, 2, 2}, x);
    op_test_f32(&t, 1, c, (const float[]){1, 3});
    op_test_f32(&t, 1, c, (const float[]){0, 5});
    op_test_float(&t, "epsilon", 0);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){-1, 1, 2, 8}, 4, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "GroupNormalization", 21); /* one group: mean 7, variance (36 + 16 + 9 + 49) / 4 = 27.5 */
    op_test_f32(&t, 3, (const int64_t[]){1, 2, 2}, x);
    op_test_f32(&t, 1, c, (const float[]){1, 2});
    op_test_f32(&t, 1, c, (const float[]){0, 1});
    op_test_int(&t, "num_groups", 1);
    op_test_float(&t, "epsilon", 8.5f);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){-1, -4.0f / 6, 2, 1 + 14.0f / 6}, 4, 2);
    op_test_end(&t);
}

static void layer_and_rms(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "LayerNormalization", 17);
    op_test_f32(&t, 2, (const int64_t[]){2, 4}, (const float[]){1, 2, 3, 6, 0, 0, 0, 0});
    op_test_f32(&t, 1, (const int64_t[]){4}, (const float[]){1, 2, 3, 4});
    op_test_f32(&t, 1, (const int64_t[]){4}, (const float[]){0, 0, 1, 1});
    op_test_float(&t, "epsilon", 0.5f);
    op_test_outputs(&t, 3);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){-1, -1, 1, 7, 0, 0, 1, 1}, 8, 0);
    op_expect_shape(&t, 1, FB_DTYPE_F32, 2, (const int64_t[]){2, 1});
    op_expect_f32(&t, 1, (const float[]){3, 0}, 2, 0);
    op_expect_f32(&t, 2, (const float[]){0.5f, sqrtf(2)}, 2, 1);
    op_test_end(&t);

    op_test_begin(&t, "", "RMSNormalization", 23);
    op_test_f32(&t, 2, (const int64_t[]){1, 4}, (const float[]){1, 2, 3, 6});
    op_test_f32(&t, 1, (const int64_t[]){1}, (const float[]){8});
    op_test_float(&t, "epsilon", 3.5f);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){2, 4, 6, 12}, 4, 0);
    op_test_end(&t);
}

static void rare_norms(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "LRN", 13);
    op_test_f32(&t, 3, (const int64_t[]){1, 3, 1}, (const float[]){1, 2, 4});
    op_test_int(&t, "size", 2); /* c and c + 1 */
    op_test_float(&t, "alpha", 2);
    op_test_float(&t, "beta", 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){1.0f / 6, 2.0f / 21, 4.0f / 17}, 3, 1);
    op_test_end(&t);

    op_test_begin(&t, "", "LpNormalization", 22);
    op_test_f32(&t, 2, (const int64_t[]){2, 2}, (const float[]){3, 0, 4, 0});
    op_test_int(&t, "axis", 0);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){0.6f, 0, 0.8f, 0}, 4, 1);
    op_test_end(&t);

    op_test_begin(&t, "", "MeanVarianceNormalization", 13);
    op_test_f32(&t, 2, (const int64_t[]){2, 2}, (const float[]){1, 3, 3, 7});
    op_test_ints(&t, "axes", (const int64_t[]){-2}, 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (const float[]){-1, -1, 1, 1}, 4, 1);
    op_test_end(&t);
}

static void softmax_axes(void **state)
{
    (void)state;
    const float ln = logf(3);
    const float x[] = {0, ln, ln, ln};
    static const struct { const char *op; int version; int64_t axis; float want[4]; } cases[] = {
        {"Softmax", 13, -1, {0.25f, 0.75f, 0.5f, 0.5f}},        {"Softmax", 13, 0, {0.25f, 0.5f, 0.75f, 0.5f}},
        {"Softmax", 11, 0, {0.1f, 0.3f, 0.3f, 0.3f}},            {"LogSoftmax", 13, 1, {-1.38629436f, -0.287682072f, -0.693147181f, -0.693147181f}},
        {"Hardmax", 13, 1, {0, 1, 1, 0}},                        {"Hardmax", 11, 0, {0, 1, 0, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OpTest t;
        op_test_begin(&t, "", cases[i].op, cases[i].version);
        op_test_f32(&t, 2, (const int64_t[]){2, 2}, x);
        op_test_int(&t, "axis", cases[i].axis);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_f32(&t, 0, cases[i].want, 4, 4);
        op_test_end(&t);
    }
    OpTest t;
    op_test_begin(&t, "", "Softmax", 13);
    op_test_f32(&t, 2, (const int64_t[]){2, 2}, x);
    op_test_int(&t, "axis", 2);
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

/* The same numbers in either memory order, bit for bit, through row->run with channels_last. */
static void channels_last(void **state)
{
    (void)state;
    static const char *const names[] = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "LRN"};
    enum { N = 2, C = 19, H = 5, W = 6 };
    float x[N * C * H * W];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        x[i] = sinf((float)i);
    }
    for (size_t op = 0; op < sizeof names / sizeof *names; op++) {
        OpTest t;
        op_test_begin(&t, "", names[op], 15);
        op_test_f32(&t, 4, (const int64_t[]){N, C, H, W}, x);
        for (int i = 0; op == 4 && i < 4; i++) {
            float v[C];
            for (int c = 0; c < C; c++) {
                v[c] = 0.5f + (float)(c * (i + 1) % 7);
            }
            op_test_f32(&t, 1, (const int64_t[]){C}, v);
        }
        const int64_t kernel[] = {3, 2}, strides[] = {2, 1}, pads[] = {1, 1, 1, 0}; /* the attributes point here until the node is decoded */
        if (op < 2) {
            op_test_ints(&t, "kernel_shape", kernel, 2);
            op_test_ints(&t, "strides", strides, 2);
            op_test_ints(&t, "pads", pads, 4);
        } else if (op == 5) {
            op_test_int(&t, "size", 3);
        }
        assert_int_equal(op_test_run(&t), FB_OK);
        const FbOp *row;
        void *params;
        assert_int_equal(fb_op_decode(&t.node, t.arena, &row, &params, NULL), FB_OK);
        const int64_t oh = t.outputs[0]->dims[2], ow = t.outputs[0]->dims[3];
        FbTensor *in = op_test_tensor(&t, FB_DTYPE_F32, 4, (const int64_t[]){N, H, W, C}, x);
        const FbShape out_shape = {4, {N, oh, ow, C}};
        FbTensor *out = fb_tensor_create(t.arena, FB_DTYPE_F32, &out_shape);
        assert_non_null(out);
        for (int i = 0; i < N * C * H * W; i++) {
            ((float *)in->data)[(i / (C * H * W) * H * W + i % (H * W)) * C + i / (H * W) % C] = x[i];
        }
        const FbTensor *inputs[5] = {in, t.inputs[1], t.inputs[2], t.inputs[3], t.inputs[4]};
        FbCall call = {.context = t.context, .node = &t.node, .params = params, .input_count = t.input_count, .output_count = 1,
                       .inputs = inputs, .outputs = &out, .channels_last = true};
        call.scratch_bytes = row->scratch ? row->scratch(&call) : 0;
        call.scratch = fb_alloc(t.context, call.scratch_bytes);
        assert_int_equal(row->run(&call, NULL), FB_OK);
        fb_free(t.context, call.scratch);
        for (int64_t i = 0; i < N * C * oh * ow; i++) {
            const int64_t last = (i / (C * oh * ow) * oh * ow + i % (oh * ow)) * C + i / (oh * ow) % C;
            if (((float *)t.outputs[0]->data)[i] != ((float *)out->data)[last]) {
                fail_msg("%s: element %lld differs between the memory orders", names[op], (long long)i);
            }
        }
        op_test_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(max_pool),   cmocka_unit_test(average_pool), cmocka_unit_test(lp_and_global_pools),
                                       cmocka_unit_test(batch_normalization), cmocka_unit_test(instance_and_group),
                                       cmocka_unit_test(layer_and_rms), cmocka_unit_test(rare_norms), cmocka_unit_test(softmax_axes),
                                       cmocka_unit_test(channels_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
