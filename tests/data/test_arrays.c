/* .npy and .npz against values that NumPy wrote, row access in any order, and what the writer makes. */
#include "data_test.h"

#include <unistd.h>

#include "data/npz_write.h"
#include "tensor/tensor.h"

/* Element k of the fixtures before conversion; every type holds these multiples of a half, integers cut towards zero. */
static double fixture_value(size_t k) { return (double)k * 1.5 - 7; }

static void check_numbers(FbContext *context, FbArrays *arrays, const char *name, FbDtype dtype, bool absolute)
{
    size_t count = 0;
    void *data = test_array(context, arrays, name, &count);
    const FbArrayInfo *info = fb_arrays_info(arrays, (size_t)fb_arrays_find(arrays, name));
    assert_int_equal(info->dtype, dtype);
    assert_int_equal(count, 24);
    assert_int_equal(info->rank, 3);
    FbTensor tensor = {.dtype = dtype, .rank = 1, .dims = {24}, .data = data};
    for (size_t k = 0; k < count; k++) {
        double want = fixture_value(k);
        want = absolute && want < 0 ? -want : want;
        FbDtypeKind kind = fb_dtype_info(dtype)->kind;
        want = kind == FB_KIND_BOOL ? want > 0 : kind == FB_KIND_FLOAT ? want : (double)(int64_t)want;
        if (fb_tensor_number(&tensor, (int64_t)k) != want) {
            fail_msg("%s[%zu]: got %g, want %g", name, k, fb_tensor_number(&tensor, (int64_t)k), want);
        }
    }
    fb_free(context, data);
}

static void check_archive(const char *file)
{
    FbContext *context = test_context();
    FbArrays *arrays = test_arrays(context, file);
    FbError err = {0};
    assert_int_equal(fb_arrays_count(arrays), 16);
    check_numbers(context, arrays, "f4", FB_DTYPE_F32, false);
    check_numbers(context, arrays, "f8", FB_DTYPE_F64, false);
    check_numbers(context, arrays, "f2", FB_DTYPE_F16, false);
    check_numbers(context, arrays, "big_f4", FB_DTYPE_F32, false);
    check_numbers(context, arrays, "big_i8", FB_DTYPE_S64, false);
    check_numbers(context, arrays, "big_u2", FB_DTYPE_U16, true);
    check_numbers(context, arrays, "i1", FB_DTYPE_S8, false);
    check_numbers(context, arrays, "u1", FB_DTYPE_U8, true);
    check_numbers(context, arrays, "i4", FB_DTYPE_S32, false);
    check_numbers(context, arrays, "i8", FB_DTYPE_S64, false);
    check_numbers(context, arrays, "bool", FB_DTYPE_BOOL, false);
    check_numbers(context, arrays, "fortran", FB_DTYPE_F32, false);
    check_numbers(context, arrays, "fortran_big", FB_DTYPE_F64, false);
    size_t count = 0;
    float *scalar = test_array(context, arrays, "scalar", &count);
    assert_int_equal(count, 1);
    assert_true(scalar[0] == 2.5f);
    fb_free(context, scalar);
    fb_free(context, test_array(context, arrays, "empty", &count));
    assert_int_equal(count, 0);
    for (size_t i = 0; i < fb_arrays_count(arrays); i++) {
        assert_ok(fb_arrays_verify(arrays, i, &err));
    }
    fb_arrays_free(arrays);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void stored_archive(void **state)
{
    (void)state;
    check_archive("fixtures/stored.npz");
}

static void deflated_archive(void **state)
{
    (void)state;
    check_archive("fixtures/deflated.npz");
}

static void header_versions(void **state)
{
    (void)state;
    FbContext *context = test_context();
    static const char *const files[] = {"fixtures/version2.npy", "fixtures/version3.npy"};
    for (size_t i = 0; i < 2; i++) {
        FbArrays *arrays = test_arrays(context, files[i]);
        check_numbers(context, arrays, "", FB_DTYPE_F32, false);
        fb_arrays_free(arrays);
    }
    fb_context_free(context);
}

/* Rows forwards, backwards and repeated: a compressed member must be inflated again, not misread. */
static void rows_in_any_order(void **state)
{
    (void)state;
    static const char *const files[] = {"fixtures/stored.npz", "fixtures/deflated.npz"};
    FbContext *context = test_context();
    FbError err = {0};
    for (size_t f = 0; f < 2; f++) {
        FbArrays *arrays = test_arrays(context, files[f]);
        size_t at = (size_t)fb_arrays_find(arrays, "vector");
        static const size_t order[] = {4, 0, 3, 3, 1, 4, 2, 0};
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            float value = 0;
            assert_ok(fb_arrays_read(arrays, at, order[i], 1, &value, &err));
            assert_true(value == (float)fixture_value(order[i]));
        }
        float unused;
        assert_int_equal(fb_arrays_read(arrays, at, 5, 1, &unused, &err), FB_ERR_ARGUMENT);
        assert_int_equal(fb_arrays_read(arrays, at, 1, UINT64_MAX, &unused, &err), FB_ERR_ARGUMENT);
        fb_arrays_free(arrays);
    }
    fb_context_free(context);
}

static void writer_round_trip(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbError err = {0};
    FbNpzWriter *writer = NULL;
    char path[64];
    snprintf(path, sizeof path, "test_arrays_%d.npz", (int)getpid());
    float a[6] = {1, -2, 3.5f, 0, 5, 6};
    int64_t b[2] = {-1, INT64_MAX};
    assert_ok(fb_npz_create(context, path, true, &writer, &err));
    assert_ok(fb_npz_begin(writer, "a", FB_DTYPE_F32, 2, (int64_t[]){3, 2}, &err));
    assert_ok(fb_npz_write(writer, a, 4, &err));
    assert_ok(fb_npz_write(writer, a + 1, 20, &err));
    assert_ok(fb_npz_begin(writer, "folder/b", FB_DTYPE_S64, 1, (int64_t[]){2}, &err));
    assert_ok(fb_npz_write(writer, b, sizeof b, &err));
    assert_ok(fb_npz_begin(writer, "c", FB_DTYPE_BOOL, 0, NULL, &err));
    assert_ok(fb_npz_write(writer, "\1", 1, &err));
    assert_int_equal(fb_npz_write(writer, "\1", 1, &err), FB_ERR_INTERNAL);
    assert_int_equal(fb_npz_begin(writer, "../d", FB_DTYPE_F32, 0, NULL, &err), FB_ERR_UNSUPPORTED);
    assert_ok(fb_npz_commit(writer, &err));

    FbSource *source = NULL;
    FbArrays *arrays = NULL;
    assert_ok(fb_source_open(context, path, &source, &err));
    assert_ok(fb_arrays_open(context, source, &arrays, &err));
    fb_source_release(source);
    assert_int_equal(fb_arrays_count(arrays), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(fb_arrays_verify(arrays, i, &err));
    }
    size_t count = 0;
    float *a2 = test_array(context, arrays, "a", &count);
    assert_memory_equal(a2, a, sizeof a);
    assert_int_equal(fb_arrays_info(arrays, 0)->dims[0], 3);
    int64_t *b2 = test_array(context, arrays, "folder/b", &count);
    assert_memory_equal(b2, b, sizeof b);
    fb_free(context, a2);
    fb_free(context, b2);
    fb_arrays_free(arrays);
    remove(path);

    /* A member that was not filled is an error and leaves no file. */
    assert_ok(fb_npz_create(context, path, true, &writer, &err));
    assert_ok(fb_npz_begin(writer, "a", FB_DTYPE_F32, 1, (int64_t[]){2}, &err));
    assert_int_equal(fb_npz_commit(writer, &err), FB_ERR_INTERNAL);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_archive), cmocka_unit_test(deflated_archive), cmocka_unit_test(header_versions),
        cmocka_unit_test(rows_in_any_order), cmocka_unit_test(writer_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
