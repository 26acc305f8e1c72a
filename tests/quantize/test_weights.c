/* Encoding of weights: hand-computed codes and scales, every grain against a plain definition, numeric policy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "quantize/units.h"
#include "quantize/weights.h"

static FbContext *context;
static FbGraph *graph;

static int setup(void **state)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 3};
    (void)state;
    return fb_context_create(&options, &context, NULL) == FB_OK && fb_graph_create(context, NULL, &graph, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fb_graph_free(graph);
    fb_context_free(context);
    return 0;
}

static const FbConst *make(const float *values, int rank, const int64_t *dims)
{
    FbShape shape = fb_shape_make(rank, dims);
    FbConst *made = NULL;
    assert_int_equal(fb_weight_plain(graph, FB_DTYPE_F32, &shape, values, (size_t)fb_shape_elements(&shape) * 4, &made, NULL), FB_OK);
    return made;
}

static FbStatus encode(const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric, const double *least, FbConst **made,
                       FbWeightResult *result, FbError *err)
{
    FbUnits units = {0};
    FbStatus status = fb_weight_prepare(graph, name, from, encoding, symmetric, least, made, result, err);
    if (status == FB_OK) {
        status = fb_units_push(context, &units, name, from, *made, symmetric, err);
    }
    if (status == FB_OK) {
        status = fb_units_run(context, &units, NULL, err);
    }
    fb_array_free(context, &units);
    return status;
}

static const float *scales_of(const FbConst *constant)
{
    return fb_buffer_data(constant->planes[FB_PLANE_SCALE].buffer);
}

static void test_hand_computed(void **state)
{
    (void)state;
    const float w[6] = {1, -2, 12.7F, 0, 0, 0};
    FbEncoding encoding = {.code = fb_code_find("s8"), .grain = FB_GRAIN_AXIS, .axis = 0, .scale = FB_DTYPE_F32};
    FbConst *made = NULL;
    FbWeightResult result;
    assert_int_equal(encode("w", make(w, 2, (int64_t[]){2, 3}), &encoding, true, NULL, &made, &result, NULL), FB_OK);
    const int8_t *codes = fb_buffer_data(made->planes[FB_PLANE_CODES].buffer);
    assert_true(fabsf(scales_of(made)[0] - 0.1F) < 1e-8F && scales_of(made)[1] == scales_of(made)[0]); /* dead: the smallest of the others */
    assert_memory_equal(codes, ((const int8_t[]){10, -20, 127, 0, 0, 0}), 6);
    assert_true(result.dead == 1 && result.elements == 6 && result.bits == 6 * 8 + 2 * 32);
    float back[6];
    assert_int_equal(fb_const_read_f32(context, made, 0, 6, back, NULL), FB_OK);
    assert_true(fabsf(back[2] - 12.7F) < 1e-5F && back[3] == 0 && back[5] == 0);
    const double least[2] = {0.2, 0};
    assert_int_equal(encode("w", make(w, 2, (int64_t[]){2, 3}), &encoding, true, least, &made, &result, NULL), FB_OK);
    codes = fb_buffer_data(made->planes[FB_PLANE_CODES].buffer);
    assert_true((double)scales_of(made)[0] >= 0.2 && scales_of(made)[0] < 0.2001F);
    assert_memory_equal(codes, ((const int8_t[]){5, -10, 64}), 3);
}

/* Every grain, axis and code against extremes and rounding written out per element. */
static void test_grains(void **state)
{
    (void)state;
    const int64_t dims[3] = {5, 70, 9};
    const size_t count = 5 * 70 * 9;
    static const struct Case { const char *code; FbGrain grain; int axis; int64_t block; bool symmetric; } cases[] = {
        {"s8", FB_GRAIN_TENSOR, 0, 0, true}, {"s8", FB_GRAIN_AXIS, 0, 0, true},   {"s8", FB_GRAIN_AXIS, 1, 0, true},
        {"s8", FB_GRAIN_AXIS, 2, 0, true},   {"u8", FB_GRAIN_AXIS, 1, 0, false},  {"s4", FB_GRAIN_BLOCK, 0, 2, true},
        {"s4", FB_GRAIN_BLOCK, 1, 32, true}, {"u4", FB_GRAIN_BLOCK, 2, 4, false}, {"s4", FB_GRAIN_AXIS, 2, 0, true},
    };
    float *w = malloc(count * sizeof *w), *back = malloc(count * sizeof *back);
    for (size_t i = 0; i < count; i++) {
        w[i] = fb_random_normal(5, 1, i) * (float)(1 + i % 7);
    }
    const FbConst *from = make(w, 3, dims);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        FbEncoding encoding = {.code = fb_code_find(cases[c].code), .grain = cases[c].grain, .axis = cases[c].axis, .block = cases[c].block,
                               .scale = FB_DTYPE_F32, .has_zero = !cases[c].symmetric};
        FbConst *made = NULL;
        FbWeightResult result;
        assert_int_equal(encode("w", from, &encoding, cases[c].symmetric, NULL, &made, &result, NULL), FB_OK);
        assert_int_equal(fb_const_read_f32(context, made, 0, count, back, NULL), FB_OK);
        for (size_t i = 0; i < count; i += 13) {
            double low = 0, high = 0;
            size_t place[3] = {i / 630, i / 9 % 70, i % 9};
            for (size_t k = 0; k < count; k++) { /* who shares the scale of i */
                size_t other[3] = {k / 630, k / 9 % 70, k % 9};
                bool shared = true;
                for (int a = 0; a < 3; a++) {
                    bool scaled = a == encoding.axis;
                    shared = shared && (encoding.grain == FB_GRAIN_TENSOR || (encoding.grain == FB_GRAIN_AXIS && !scaled) ||
                                        (encoding.grain == FB_GRAIN_BLOCK && scaled ? place[a] / (size_t)encoding.block == other[a] / (size_t)encoding.block
                                                                                    : place[a] == other[a]));
                }
                low = shared && (double)w[k] < low ? (double)w[k] : low;
                high = shared && (double)w[k] > high ? (double)w[k] : high;
            }
            float scale = 0;
            int32_t zero = 0;
            fb_range_to_scale(encoding.code, cases[c].symmetric, low, high, &scale, &zero);
            double q = rint((double)(w[i] / scale)) + zero;
            q = q < encoding.code->low ? encoding.code->low : q > encoding.code->high ? encoding.code->high : q;
            if (back[i] != (float)(q - zero) * scale) {
                fail_msg("case %zu element %zu: %g, expected %g", c, i, (double)back[i], (q - zero) * (double)scale);
            }
        }
    }
    free(w);
    free(back);
}

static void test_numeric_policy(void **state)
{
    (void)state;
    float w[4] = {1, NAN, INFINITY, 70000};
    FbEncoding encoding = {.code = fb_code_find("s8"), .scale = FB_DTYPE_F32}, half = {.code = fb_code_find("f16"), .scale = FB_DTYPE_F32};
    FbEncoding brain = {.code = fb_code_find("bf16"), .scale = FB_DTYPE_F32};
    FbConst *made = NULL;
    FbWeightResult result;
    FbError err = {0};
    assert_int_equal(encode("conv.w", make(w, 1, (int64_t[]){4}), &encoding, true, NULL, &made, &result, &err), FB_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "conv.w"));
    assert_non_null(strstr(err.message, "2 values"));
    assert_non_null(strstr(err.message, "element 1"));
    w[1] = 0.1F;
    w[2] = -3;
    assert_int_equal(fb_weight_convert(graph, "conv.w", make(w, 1, (int64_t[]){4}), &half, &made, &err), FB_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "element 3"));
    assert_int_equal(fb_weight_convert(graph, "conv.w", make(w, 1, (int64_t[]){4}), &brain, &made, &err), FB_OK);
    float back[4];
    assert_int_equal(fb_const_read_f32(context, made, 0, 4, back, NULL), FB_OK);
    assert_true(back[0] == 1 && back[2] == -3 && fabsf(back[3] - 70000) < 300);
    assert_int_equal(made->planes[FB_PLANE_CODES].bytes, 8);
}

static void test_bias(void **state)
{
    (void)state;
    const float bias[3] = {1, -0.25F, 100}, scales[3] = {0.5F, 0.25F, 1e-9F};
    FbConst *made = NULL;
    FbError err = {0};
    assert_int_equal(fb_bias_encode(graph, "b", make(bias, 1, (int64_t[]){3}), 0.5F, scales, 3, &made, &err), FB_ERR_NUMERIC);
    assert_int_equal(fb_bias_encode(graph, "b", make(bias, 1, (int64_t[]){2}), 0.5F, scales, 2, &made, &err), FB_OK);
    const int32_t *codes = fb_buffer_data(made->planes[FB_PLANE_CODES].buffer);
    assert_true(codes[0] == 4 && codes[1] == -2);
    float back[2];
    assert_int_equal(fb_const_read_f32(context, made, 0, 2, back, NULL), FB_OK);
    assert_true(back[0] == 1 && back[1] == -0.25F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_computed),
        cmocka_unit_test(test_grains),
        cmocka_unit_test(test_numeric_policy),
        cmocka_unit_test(test_bias),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
