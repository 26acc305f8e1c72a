/* What the library tells about the machine: features, kernel rows, peaks. */
#include "kernels/product_f32.h"
#include "run/session_fixture.h"

#include "fewbit/hardware.h"

static FbContext *make_context(int threads, const char *isa)
{
    FbContext *context = NULL;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads, .isa = isa};
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

static void features_follow_the_cap(void **state)
{
    (void)state;
    FbContext *best = make_context(1, NULL), *scalar = make_context(1, "scalar");
    FbFeature with, without;
    size_t count = 0;
    for (; fb_hardware_feature(best, count, &with); count++) {
        assert_true(fb_hardware_feature(scalar, count, &without));
        assert_string_equal(with.name, without.name);
        assert_int_equal(with.present, without.present);
        assert_int_equal(with.used, with.present);
        assert_int_equal(without.used, count == 0);
    }
    assert_true(count > 1);
    assert_false(fb_hardware_feature(best, count, &with));
    fb_context_free(scalar);
    fb_context_free(best);
}

static void kernels_name_the_row_in_use(void **state)
{
    (void)state;
    FbContext *best = make_context(1, NULL), *scalar = make_context(1, "scalar");
    FbKernelInfo info;
    bool product = false;
    for (size_t i = 0; fb_hardware_kernel(best, i, &info); i++) {
        size_t rows = 0, found = 0;
        for (; info.rows[rows] != NULL; rows++) {
            found += strcmp(info.rows[rows], info.row) == 0;
        }
        assert_int_equal(found, 1);
        if (strcmp(info.primitive, "product_f32") == 0) {
            product = true;
            assert_int_equal(rows, fb_product_f32_kernel_count);
            assert_string_equal(info.row, fb_product_f32_pick(fb_context_cpu(best))->name);
        }
        assert_true(fb_hardware_kernel(scalar, i, &info));
        assert_string_equal(info.row, "scalar");
    }
    assert_true(product);
    fb_context_free(scalar);
    fb_context_free(best);
}

static void peaks_are_measured_when_asked_for(void **state)
{
    (void)state;
    FbContext *context = make_context(2, NULL);
    FbHardwarePeaks peaks;
    assert_int_equal(fb_hardware_measure(context, FB_MEASURE_PRODUCTS, &peaks, NULL), FB_OK);
    assert_int_equal(peaks.threads, 2);
    assert_true(peaks.f32_macs > 1e5); /* slower than any machine that runs this */
    assert_true(peaks.read_bytes == 0);
    assert_string_equal(peaks.f32_row, fb_product_f32_pick(fb_context_cpu(context))->name);
    assert_int_equal(fb_hardware_measure(context, FB_MEASURE_MEMORY, &peaks, NULL), FB_OK);
    assert_true(peaks.f32_macs == 0 && peaks.f32_row == NULL);
    assert_true(peaks.read_bytes > 1e6);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void peaks_stay_in_the_memory_cap(void **state)
{
    (void)state;
    FbContext *context = NULL;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 1 << 20};
    FbHardwarePeaks peaks;
    FbError err;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    assert_int_equal(fb_hardware_measure(context, FB_MEASURE_MEMORY, &peaks, &err), FB_ERR_BUDGET);
    assert_int_equal(fb_hardware_measure(context, FB_MEASURE_PRODUCTS, &peaks, &err), FB_OK);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_follow_the_cap),
        cmocka_unit_test(kernels_name_the_row_in_use),
        cmocka_unit_test(peaks_are_measured_when_asked_for),
        cmocka_unit_test(peaks_stay_in_the_memory_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
