/* Operators that read and write by index, on cases worked out by hand, and indices outside of the tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "op_harness.h"

static const float counting[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void begin(OpTest *t, const char *op, int version, int rank, const int64_t *dims)
{
    op_test_begin(t, "", op, version);
    op_test_f32(t, rank, dims, counting);
}

static void gather(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Gather", 13, 2, (int64_t[]){3, 4});
    op_test_int(&t, "axis", 1);
    op_test_s64(&t, 2, (int64_t[]){1, 2}, (int64_t[]){-1, 1});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 3, (int64_t[]){3, 1, 2});
    op_expect_f32(&t, 0, (float[]){3, 1, 7, 5, 11, 9}, 6, 0);
    op_test_end(&t);

    op_test_begin(&t, "", "Gather", 21); /* packed elements */
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_S4, 1, (int64_t[]){5}, (uint8_t[]){0x21, 0x43, 0x05}));
    op_test_s64(&t, 1, (int64_t[]){3}, (int64_t[]){4, 0, 3});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (uint8_t[]){0x15, 0x04}, 2);
    op_test_end(&t);
}

/* The first bad index is named together with the limits. */
static void indices_are_checked(void **state)
{
    (void)state;
    static const int64_t bad[] = {3, -4, INT64_MAX, INT64_MIN};
    static const char *const readers[] = {"Gather", "GatherElements", "GatherND"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t r = 0; r < 3; r++) {
            OpTest t;
            begin(&t, readers[r], 13, 2, (int64_t[]){3, 4});
            op_test_s64(&t, 2, (int64_t[]){1, 1}, &bad[i]);
            assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
            assert_non_null(strstr(t.error.message, "[-3, 2]"));
            op_test_end(&t);
        }
        OpTest t;
        begin(&t, "ScatterElements", 18, 2, (int64_t[]){3, 4});
        op_test_s64(&t, 2, (int64_t[]){1, 1}, &bad[i]);
        op_test_f32(&t, 2, (int64_t[]){1, 1}, counting);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
        begin(&t, "ScatterND", 18, 2, (int64_t[]){3, 4});
        op_test_s64(&t, 2, (int64_t[]){1, 1}, &bad[i]);
        op_test_f32(&t, 2, (int64_t[]){1, 4}, counting);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
    }
}

static void gather_elements(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "GatherElements", 13, 2, (int64_t[]){3, 4});
    op_test_int(&t, "axis", 0);
    op_test_s64(&t, 2, (int64_t[]){2, 3}, (int64_t[]){2, -2, 0, 0, 0, 2});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){8, 5, 2, 0, 1, 10}, 6, 0);
    op_test_end(&t);
}

static void gather_nd(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "GatherND", 13, 3, (int64_t[]){2, 2, 3});
    op_test_int(&t, "batch_dims", 1);
    op_test_s64(&t, 2, (int64_t[]){2, 1}, (int64_t[]){1, 0});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 2, (int64_t[]){2, 3});
    op_expect_f32(&t, 0, (float[]){3, 4, 5, 6, 7, 8}, 6, 0);
    op_test_end(&t);
}

static void scatter_reductions(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    static const float expected[] = {3, 16, 120, 8, 2}; /* element 5 gets 8, then 3; min also 2 */
    for (int r = 0; r < 5; r++) {
        OpTest t;
        float last = r == 4 ? 2.0F : 3.0F;
        begin(&t, "ScatterElements", 18, 1, (int64_t[]){12});
        op_test_string(&t, "reduction", names[r]);
        op_test_s64(&t, 1, (int64_t[]){2}, (int64_t[]){5, -7});
        op_test_f32(&t, 1, (int64_t[]){2}, (float[]){8, last});
        assert_int_equal(op_test_run(&t), FB_OK);
        float all[12];
        memcpy(all, counting, sizeof all);
        all[5] = expected[r];
        op_expect_f32(&t, 0, all, 12, 0);
        op_test_end(&t);
    }
}

static void scatter_integers_wrap(void **state)
{
    (void)state;
    OpTest t;
    op_test_begin(&t, "", "ScatterND", 18);
    op_test_string(&t, "reduction", "add");
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_U8, 1, (int64_t[]){3}, (uint8_t[]){250, 1, 2}));
    op_test_s64(&t, 2, (int64_t[]){2, 1}, (int64_t[]){0, 2});
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_U8, 1, (int64_t[]){2}, (uint8_t[]){10, 10}));
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_bytes(&t, 0, (uint8_t[]){4, 1, 12}, 3);
    op_test_end(&t);
}

static void compress(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "Compress", 11, 2, (int64_t[]){3, 4});
    op_test_int(&t, "axis", 1);
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_BOOL, 1, (int64_t[]){2}, (uint8_t[]){0, 1}));
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){1, 5, 9}, 3, 0);
    op_test_end(&t);
    begin(&t, "Compress", 11, 1, (int64_t[]){2}); /* selects what is not there */
    op_test_input(&t, op_test_tensor(&t, FB_DTYPE_BOOL, 1, (int64_t[]){3}, (uint8_t[]){0, 1, 1}));
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

static void tensor_scatter(void **state)
{
    (void)state;
    OpTest t;
    begin(&t, "TensorScatter", 24, 3, (int64_t[]){2, 3, 2});
    op_test_f32(&t, 3, (int64_t[]){2, 2, 2}, (float[]){-1, -2, -3, -4, -5, -6, -7, -8});
    op_test_s64(&t, 1, (int64_t[]){2}, (int64_t[]){1, 2});
    op_test_string(&t, "mode", "circular");
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){0, 1, -1, -2, -3, -4, -7, -8, 8, 9, -5, -6}, 12, 0);
    op_test_end(&t);
    begin(&t, "TensorScatter", 24, 3, (int64_t[]){2, 3, 2}); /* linear: does not fit behind index 2 */
    op_test_f32(&t, 3, (int64_t[]){2, 2, 2}, counting);
    op_test_s64(&t, 1, (int64_t[]){2}, (int64_t[]){1, 2});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gather), cmocka_unit_test(indices_are_checked), cmocka_unit_test(gather_elements), cmocka_unit_test(gather_nd),
        cmocka_unit_test(scatter_reductions), cmocka_unit_test(scatter_integers_wrap), cmocka_unit_test(compress), cmocka_unit_test(tensor_scatter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
