/* Operators that move elements, on cases worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "op_harness.h"

static const float counting[24] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* One f32 input of `rank` dims counting up from 0, then 1-D s64 inputs. */
static void begin(OpTest *t, const char *op, int version, int rank, const int64_t *dims)
{
    op_test_begin(t, "", op, version);
    op_test_f32(t, rank, dims, counting);
}

static void add_list(OpTest *t, int count, const int64_t *values) { op_test_s64(t, 1, (int64_t[]){count}, values); }

static void reshape_rules(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Reshape", 21, 3, (int64_t[]){2, 3, 4});
    add_list(&t, 3, (int64_t[]){0, -1, 2});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 3, (int64_t[]){2, 6, 2});
    op_expect_f32(&t, 0, counting, 24, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "Reshape", 21); /* allowzero: 0 is a size */
    op_test_f32(&t, 2, (int64_t[]){0, 3}, counting);
    add_list(&t, 2, (int64_t[]){3, 0});
    op_test_int(&t, "allowzero", 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){3, 0});
    op_test_end(&t);
}

static void reshape_refuses(void **state)
{
    (void)state;
    static const int64_t bad[][3] = {{-1, -1, 2}, {5, -1, 2}, {2, 3, 5}, {-2, 3, 4}, {INT64_MAX, INT64_MAX, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        OpTest t;
        begin(&t, "Reshape", 21, 3, (int64_t[]){2, 3, 4});
        add_list(&t, 3, bad[i]);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
    }
}

static void squeeze_and_unsqueeze(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Squeeze", 11, 4, (int64_t[]){1, 3, 1, 2}); /* attribute form */
    op_test_ints(&t, "axes", (int64_t[]){-2}, 1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 3, (int64_t[]){1, 3, 2});
    op_test_end(&t);

    begin(&t, "Squeeze", 13, 4, (int64_t[]){1, 3, 1, 2}); /* no axes: all of size 1 */
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){3, 2});
    op_test_end(&t);

    begin(&t, "Unsqueeze", 13, 2, (int64_t[]){3, 2});
    add_list(&t, 2, (int64_t[]){-1, 0});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){1, 3, 2, 1});
    op_test_end(&t);

    begin(&t, "Unsqueeze", 13, 2, (int64_t[]){3, 2});
    add_list(&t, 2, (int64_t[]){1, 1});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);

    begin(&t, "Squeeze", 13, 2, (int64_t[]){3, 2});
    add_list(&t, 1, (int64_t[]){0});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void flatten_axis(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Flatten", 13, 3, (int64_t[]){2, 3, 4});
    op_test_int(&t, "axis", -1);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){6, 4});
    op_test_end(&t);
}

static void transpose_all_orders(void **state)
{
    (void)state;
    static const int64_t perms[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const int64_t dims[3] = {2, 3, 4}, strides[3] = {12, 4, 1};
    for (size_t p = 0; p < 6; p++) {
        OpTest t;
        float expected[24];
        int64_t out[3] = {dims[perms[p][0]], dims[perms[p][1]], dims[perms[p][2]]};
        int n = 0;
        for (int64_t i = 0; i < out[0]; i++) {
            for (int64_t j = 0; j < out[1]; j++) {
                for (int64_t k = 0; k < out[2]; k++) {
                    expected[n++] = (float)(i * strides[perms[p][0]] + j * strides[perms[p][1]] + k * strides[perms[p][2]]);
                }
            }
        }
        begin(&t, "Transpose", 21, 3, dims);
        op_test_ints(&t, "perm", perms[p], 3);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 3, out);
        op_expect_f32(&t, 0, expected, 24, 0);
        op_test_end(&t);
    }
}

/* Sizes around the block of the transpose, for every element width. */
static void transpose_widths(void **state)
{
    (void)state;
    static const FbDtype types[] = {FB_DTYPE_U8, FB_DTYPE_S16, FB_DTYPE_S32, FB_DTYPE_F64, FB_DTYPE_C128};
    for (size_t d = 0; d < sizeof types / sizeof types[0]; d++) {
        size_t width = (size_t)fb_dtype_bits(types[d]) / 8;
        for (int64_t rows = 15; rows <= 33; rows += 9) {
            for (int64_t cols = 1; cols <= 35; cols += 17) {
                static uint8_t data[33 * 35 * 16], expected[33 * 35 * 16];
                for (size_t i = 0; i < sizeof data; i++) {
                    data[i] = (uint8_t)(i * 37 + i / 251);
                }
                for (int64_t r = 0; r < rows; r++) {
                    for (int64_t c = 0; c < cols; c++) {
                        memcpy(expected + (size_t)(c * rows + r) * width, data + (size_t)(r * cols + c) * width, width);
                    }
                }
                OpTest t;
                op_test_begin(&t, "", "Transpose", 13);
                op_test_input(&t, op_test_tensor(&t, types[d], 2, (int64_t[]){rows, cols}, data));
                assert_int_equal(op_test_run(&t), FB_OK);
                op_expect_bytes(&t, 0, expected, (size_t)(rows * cols) * width);
                op_test_end(&t);
            }
        }
    }
}

static void transpose_four_bits(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "Transpose", 21);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_U4, 2, (int64_t[]){3, 2}, (uint8_t[]){0x21, 0x43, 0x65})); /* 1 2 / 3 4 / 5 6 */
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (uint8_t[]){0x31, 0x25, 0x64}, 3); /* 1 3 5 / 2 4 6 */
    op_test_end(&t);
}

static void concat_and_split(void **state)
{
    (void)state;
    OpTest t;
    const float a[] = {1, 2, 3, 4}, b[] = {5, 6}, joined[] = {1, 2, 5, 3, 4, 6};
    op_test_begin(&t, "", "Concat", 13);
    op_test_int(&t, "axis", -1);
    op_test_f32(&t, 2, (int64_t[]){2, 2}, a);
    op_test_f32(&t, 2, (int64_t[]){2, 1}, b);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){2, 3});
    op_expect_f32(&t, 0, joined, 6, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "Split", 13);
    op_test_int(&t, "axis", 1);
    op_test_f32(&t, 2, (int64_t[]){2, 3}, joined);
    add_list(&t, 2, (int64_t[]){2, 1});
    op_test_outputs(&t, 2);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, a, 4, 0);
    op_expect_f32(&t, 1, b, 2, 0);
    op_test_end(&t);

    begin(&t, "Split", 18, 1, (int64_t[]){7}); /* the last part is the short one */
    op_test_int(&t, "num_outputs", 3);
    op_test_outputs(&t, 3);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 1, (int64_t[]){3});
    op_expect_f32(&t, 2, counting + 6, 1, 0);
    op_test_end(&t);

    begin(&t, "Split", 13, 1, (int64_t[]){7}); /* before 18 the parts must be equal */
    op_test_outputs(&t, 3);
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);

    begin(&t, "Split", 13, 1, (int64_t[]){7});
    add_list(&t, 2, (int64_t[]){-1, 8});
    op_test_outputs(&t, 2);
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

typedef struct SliceCase { int64_t start, end, step; int count; float expected[10]; } SliceCase;

static void slice_ends(void **state)
{
    (void)state;
    static const SliceCase cases[] = {
        {2, 5, 1, 3, {2, 3, 4}},
        {-3, INT64_MAX, 1, 3, {7, 8, 9}},
        {1, 1000, 4, 3, {1, 5, 9}},
        {20, 0, -3, 3, {9, 6, 3}},
        {-1, INT64_MIN, -4, 3, {9, 5, 1}},
        {5, 5, 1, 0, {0}},
        {3, 7, -1, 0, {0}},
        {0, 10, INT64_MAX, 1, {0}},
        {9, INT64_MIN, INT64_MIN, 1, {9}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OpTest t;
        begin(&t, "Slice", 13, 1, (int64_t[]){10});
        add_list(&t, 1, &cases[i].start);
        add_list(&t, 1, &cases[i].end);
        op_test_input(&t, NULL);
        add_list(&t, 1, &cases[i].step);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 1, (int64_t[]){cases[i].count});
        op_expect_f32(&t, 0, cases[i].expected, cases[i].count, 0);
        op_test_end(&t);
    }
}

static void slice_refuses(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Slice", 13, 1, (int64_t[]){10});
    add_list(&t, 1, (int64_t[]){0});
    add_list(&t, 1, (int64_t[]){5});
    add_list(&t, 1, (int64_t[]){0});
    add_list(&t, 1, (int64_t[]){0}); /* a step of 0 */
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
    begin(&t, "Slice", 13, 1, (int64_t[]){10});
    add_list(&t, 1, (int64_t[]){0});
    add_list(&t, 1, (int64_t[]){5});
    add_list(&t, 1, (int64_t[]){1}); /* no such axis */
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void pad_modes(void **state)
{
    (void)state;
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    static const float expected[4][10] = {{9, 9, 9, 9, 0, 1, 2, 9, 9, 9}, {0, 0, 0, 0, 0, 1, 2, 2, 2, 2}, {0, 1, 2, 1, 0, 1, 2, 1, 0, 1},
                                          {2, 0, 1, 2, 0, 1, 2, 0, 1, 2}};
    for (int m = 0; m < 4; m++) {
        OpTest t;
        begin(&t, "Pad", 19, 1, (int64_t[]){3});
        add_list(&t, 2, (int64_t[]){4, 3});
        op_test_f32(&t, 0, NULL, (float[]){9});
        op_test_string(&t, "mode", modes[m]);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_f32(&t, 0, expected[m], 10, 0);
        op_test_end(&t);
    }
}

static void pad_axes_and_crops(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Pad", 18, 2, (int64_t[]){2, 4});
    add_list(&t, 2, (int64_t[]){0, 1});
    op_test_input(&t, NULL);
    add_list(&t, 1, (int64_t[]){-1});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){2, 5});
    op_test_end(&t);

    begin(&t, "Pad", 10, 2, (int64_t[]){2, 4}); /* negative pads crop; attribute form */
    op_test_ints(&t, "pads", (int64_t[]){0, 0, 0, -2}, 4);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){0, 1, 4, 5}, 4, 0);
    op_test_end(&t);

    begin(&t, "Pad", 18, 2, (int64_t[]){2, 4}); /* input form */
    add_list(&t, 4, (int64_t[]){0, 0, 0, -2});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){0, 1, 4, 5}, 4, 0);
    op_test_end(&t);

    begin(&t, "Pad", 18, 1, (int64_t[]){3});
    add_list(&t, 2, (int64_t[]){-2, -2});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
    begin(&t, "Pad", 18, 1, (int64_t[]){3});
    add_list(&t, 2, (int64_t[]){INT64_MAX, INT64_MAX});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void expand_and_tile(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Expand", 13, 2, (int64_t[]){2, 1});
    add_list(&t, 3, (int64_t[]){2, 1, 3});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 3, (int64_t[]){2, 2, 3});
    op_expect_f32(&t, 0, (float[]){0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}, 12, 0);
    op_test_end(&t);

    begin(&t, "Tile", 13, 2, (int64_t[]){2, 2});
    add_list(&t, 2, (int64_t[]){2, 2});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3}, 16, 0);
    op_test_end(&t);

    begin(&t, "Tile", 13, 2, (int64_t[]){2, 2}); /* 2^62 elements of 4 bytes */
    add_list(&t, 2, (int64_t[]){(int64_t)1 << 30, (int64_t)1 << 30});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void depth_and_space(void **state)
{
    (void)state;
    OpTest t;
    static const float space[16] = {0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15};
    begin(&t, "DepthToSpace", 13, 4, (int64_t[]){1, 8, 1, 2}); /* DCR: channel c of block (i, j) is (2 i + j) * 2 + c */
    op_test_int(&t, "blocksize", 2);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){1, 2, 2, 4});
    op_expect_f32(&t, 0, (float[]){0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15}, 16, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "SpaceToDepth", 13);
    op_test_f32(&t, 4, (int64_t[]){1, 2, 2, 4}, space);
    op_test_int(&t, "blocksize", 2);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, counting, 16, 0);
    op_test_end(&t);

    begin(&t, "DepthToSpace", 13, 4, (int64_t[]){1, 4, 1, 2}); /* CRD with one channel equals DCR */
    op_test_int(&t, "blocksize", 2);
    op_test_string(&t, "mode", "CRD");
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){0, 2, 1, 3, 4, 6, 5, 7}, 8, 0);
    op_test_end(&t);
}

static void reverse_sequences(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "ReverseSequence", 10, 2, (int64_t[]){2, 3});
    op_test_int(&t, "batch_axis", 0);
    op_test_int(&t, "time_axis", 1);
    add_list(&t, 2, (int64_t[]){2, 3});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){1, 0, 2, 5, 4, 3}, 6, 0);
    op_test_end(&t);
    begin(&t, "ReverseSequence", 10, 2, (int64_t[]){2, 3});
    op_test_int(&t, "batch_axis", 0);
    op_test_int(&t, "time_axis", 1);
    add_list(&t, 2, (int64_t[]){2, 4});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshape_rules), cmocka_unit_test(reshape_refuses), cmocka_unit_test(squeeze_and_unsqueeze),
        cmocka_unit_test(flatten_axis), cmocka_unit_test(transpose_all_orders), cmocka_unit_test(transpose_widths),
        cmocka_unit_test(transpose_four_bits), cmocka_unit_test(concat_and_split), cmocka_unit_test(slice_ends), cmocka_unit_test(slice_refuses),
        cmocka_unit_test(pad_modes), cmocka_unit_test(pad_axes_and_crops), cmocka_unit_test(expand_and_tile), cmocka_unit_test(depth_and_space),
        cmocka_unit_test(reverse_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
