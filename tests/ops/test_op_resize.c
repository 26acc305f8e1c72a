/* Resize and sampling operators on cases worked out by hand, and numbers that no size may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

static void begin(OpTest *t, int64_t width, const float *x, float scale)
{
    op_test_begin(t, "", "Resize", 19);
    op_test_f32(t, 2, (int64_t[]){1, width}, x);
    op_test_input(t, NULL);
    op_test_f32(t, 1, (int64_t[]){2}, (float[]){1, scale});
}

typedef struct LineCase {
    const char *mode, *coordinate, *nearest;
    float scale;
    int64_t in, out;
    float x[4], y[8];
} LineCase;

static void lines(void **state)
{
    (void)state;
    static const LineCase cases[] = {
        {"nearest", "half_pixel", "round_prefer_floor", 2, 2, 4, {1, 2}, {1, 1, 2, 2}},
        {"nearest", "asymmetric", "floor", 1.5F, 2, 3, {1, 2}, {1, 1, 2}},
        {"nearest", "asymmetric", "ceil", 1.5F, 2, 3, {1, 2}, {1, 2, 2}},
        {"linear", "half_pixel", "floor", 2, 2, 4, {1, 2}, {1, 1.25F, 1.75F, 2}},
        {"linear", "align_corners", "floor", 2, 2, 4, {0, 3}, {0, 1, 2, 3}},
        {"linear", "asymmetric", "floor", 2, 2, 4, {0, 2}, {0, 1, 2, 2}},
        {"linear", "pytorch_half_pixel", "floor", 0.25F, 4, 1, {5, 6, 7, 8}, {5}},
        {"cubic", "align_corners", "floor", 2, 2, 4, {0, 0}, {0, 0, 0, 0}},
        {"linear", "half_pixel", "floor", 0.5F, 4, 2, {0, 2, 4, 8}, {1, 6}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OpTest t;
        begin(&t, cases[i].in, cases[i].x, cases[i].scale);
        op_test_string(&t, "mode", cases[i].mode);
        op_test_string(&t, "coordinate_transformation_mode", cases[i].coordinate);
        op_test_string(&t, "nearest_mode", cases[i].nearest);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){1, cases[i].out});
        op_expect_f32(&t, 0, cases[i].y, cases[i].out, 2);
        op_test_end(&t);
    }
}

/* Half way between two elements the cubic weights are a/8, 1/2 - a/8, 1/2 - a/8, a/8 with a = -3/4. */
static void cubic_half_way(void **state)
{
    (void)state;
    OpTest t;
    const float x[4] = {0, 8, 24, 0}, a = -0.75F;
    begin(&t, 4, x, 0.25F); /* one output, at coordinate 1.5 */
    op_test_string(&t, "mode", "cubic");
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){32 * (0.5F - a / 8)}, 1, 2);
    op_test_end(&t);
}

static void sizes_and_policies(void **state)
{
    (void)state;
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    static const int64_t expected[][2] = {{7, 8}, {7, 7}, {8, 8}};
    const float x[4] = {1, 2, 3, 4};
    for (int i = 0; i < 3; i++) {
        OpTest t;
        op_test_begin(&t, "", "Resize", 19);
        op_test_f32(&t, 2, (int64_t[]){2, 2}, x);
        op_test_input(&t, NULL);
        op_test_input(&t, NULL);
        op_test_s64(&t, 1, (int64_t[]){2}, (int64_t[]){7, 8});
        op_test_string(&t, "keep_aspect_ratio_policy", policies[i]);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 2, expected[i]);
        op_test_end(&t);
    }
}

static void bytes_are_copied(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "Resize", 13);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_U8, 2, (int64_t[]){2, 2}, (uint8_t[]){1, 2, 3, 4}));
    op_test_input(&t, NULL);
    op_test_f32(&t, 1, (int64_t[]){2}, (float[]){2, 1});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (uint8_t[]){1, 2, 1, 2, 3, 4, 3, 4}, 8);
    op_test_end(&t);
}

static void scales_are_checked(void **state)
{
    (void)state;
    const float bad[] = {0, -1, NAN, INFINITY, 1e30F};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        OpTest t;
        begin(&t, 2, (float[]){1, 2}, bad[i]);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
    }
}

static void grid_places(void **state)
{
    (void)state;
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    /* centre of the left pixel, the middle, half a pixel beyond the right edge, nowhere */
    const float grid[8] = {-0.5F, 0, 0, 0, 1.5F, 0, NAN, 0};
    static const float expected[3][3] = {{1, 2, 0}, {1, 2, 3}, {1, 2, 3}};
    for (int i = 0; i < 3; i++) {
        OpTest t;
        op_test_begin(&t, "", "GridSample", 20);
        op_test_f32(&t, 4, (int64_t[]){1, 1, 1, 2}, (float[]){1, 3});
        op_test_f32(&t, 4, (int64_t[]){1, 1, 4, 2}, grid);
        op_test_string(&t, "padding_mode", paddings[i]);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){1, 1, 1, 4});
        const float *got = t.outputs[0]->data;
        for (int k = 0; k < 3; k++) {
            assert_true(fabsf(got[k] - expected[i][k]) < 1e-6F);
        }
        op_test_end(&t);
    }
}

static void boxes_are_suppressed(void **state)
{
    (void)state;
    OpTest t;
    /* the second overlaps the first by 1/3, the third is the first again with a tie in score */
    const float boxes[] = {0, 0, 1, 1, 0, 0.5F, 1, 1.5F, 1, 1, 0, 0}, scores[] = {0.5F, 0.75F, 0.5F};
    op_test_begin(&t, "", "NonMaxSuppression", 11);
    op_test_f32(&t, 3, (int64_t[]){1, 3, 4}, boxes);
    op_test_f32(&t, 3, (int64_t[]){1, 1, 3}, scores);
    op_test_s64(&t, 1, (int64_t[]){1}, (int64_t[]){3});
    op_test_f32(&t, 1, (int64_t[]){1}, (float[]){0.5F});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_S64, 2, (int64_t[]){2, 3});
    op_expect_bytes(&t, 0, (int64_t[]){0, 0, 1, 0, 0, 0}, 48);
    op_test_end(&t);
}

/* Dimensions that no memory stands behind must not become loops. */
static void empty_boxes_take_no_time(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "NonMaxSuppression", 11);
    op_test_f32(&t, 3, (int64_t[]){(int64_t)1 << 40, 0, 4}, NULL);
    op_test_f32(&t, 3, (int64_t[]){(int64_t)1 << 40, 1 << 20, 0}, NULL);
    op_test_s64(&t, 1, (int64_t[]){1}, (int64_t[]){3});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_S64, 2, (int64_t[]){0, 3});
    op_test_end(&t);
}

static void empty_heads_are_refused(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "Attention", 23);
    for (int i = 0; i < 3; i++) {
        op_test_f32(&t, 4, (int64_t[]){1, 1, (int64_t)1 << 40, 0}, NULL);
    }
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void regions_are_checked(void **state)
{
    (void)state;
    static const float rois[][4] = {{0, 0, 1, 1}, {0, 0, 1e30F, 1}, {0, 0, NAN, 1}};
    static const int64_t batch[] = {1, 0, 0};
    for (int i = 0; i < 3; i++) {
        OpTest t;
        op_test_begin(&t, "", "RoiAlign", 16);
        op_test_f32(&t, 4, (int64_t[]){1, 1, 2, 2}, (float[]){1, 2, 3, 4});
        op_test_f32(&t, 2, (int64_t[]){1, 4}, rois[i]);
        op_test_s64(&t, 1, (int64_t[]){1}, &batch[i]);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
    }
}

/* A prime length, a composite one and a power of two against the defining sum. */
static void fourier_lengths(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 7, 12, 15, 16};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        OpTest t;
        int64_t n = sizes[k];
        float x[32];
        for (int64_t i = 0; i < 2 * n; i++) {
            x[i] = (float)((i * 7 + 3) % 11) - 5;
        }
        op_test_begin(&t, "", "DFT", 20);
        op_test_f32(&t, 3, (int64_t[]){1, n, 2}, x);
        assert_int_equal(op_test_run(&t), FB_OK);
        const float *got = t.outputs[0]->data;
        for (int64_t f = 0; f < n; f++) {
            double re = 0, im = 0;
            for (int64_t i = 0; i < n; i++) {
                double angle = -6.283185307179586 * (double)(f * i) / (double)n;
                re += (double)x[2 * i] * cos(angle) - (double)x[2 * i + 1] * sin(angle);
                im += (double)x[2 * i] * sin(angle) + (double)x[2 * i + 1] * cos(angle);
            }
            assert_true(fabs((double)got[2 * f] - re) < 1e-4 && fabs((double)got[2 * f + 1] - im) < 1e-4);
        }
        op_test_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines), cmocka_unit_test(cubic_half_way), cmocka_unit_test(sizes_and_policies), cmocka_unit_test(bytes_are_copied),
        cmocka_unit_test(scales_are_checked), cmocka_unit_test(grid_places), cmocka_unit_test(boxes_are_suppressed),
        cmocka_unit_test(empty_boxes_take_no_time), cmocka_unit_test(empty_heads_are_refused),
        cmocka_unit_test(regions_are_checked), cmocka_unit_test(fourier_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
