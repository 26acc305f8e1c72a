/* The embedded example's sets: 500 pictures to calibrate, 2,000 to test, no picture in both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fewbit/fewbit.h"

enum { PIXELS = 28 * 28, CALIBRATION = 500, TEST = 2000 };

#define EXAMPLE FB_SOURCE_DIR "/examples/fashion/"

static float *read_all(FbContext *context, const FbModel *model, const char *path, size_t expected)
{
    FbError err = {0};
    FbDataset *data = NULL;
    float *pixels = malloc(expected * PIXELS * sizeof *pixels);
    assert_non_null(pixels);
    assert_int_equal(fb_dataset_open(context, model, path, NULL, &data, &err), FB_OK);
    assert_int_equal(fb_dataset_count(data), expected);
    assert_true(fb_dataset_has_labels(data));
    for (size_t k = 0; k < expected; k++) {
        FbSample sample;
        assert_int_equal(fb_dataset_read(data, k, &sample, &err), FB_OK);
        assert_int_equal(sample.inputs[0].bytes, PIXELS * sizeof *pixels);
        assert_in_range(sample.label, 0, 9);
        memcpy(pixels + k * PIXELS, sample.inputs[0].data, PIXELS * sizeof *pixels);
    }
    fb_dataset_free(data);
    return pixels;
}

static void sets_are_disjoint(void **state)
{
    (void)state;
    FbError err = {0};
    FbContext *context = NULL;
    FbModel *model = NULL;
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    assert_int_equal(fb_model_load(context, EXAMPLE "fashion.onnx", &model, &err), FB_OK);
    float *calibration = read_all(context, model, EXAMPLE "calibration.npz", CALIBRATION);
    float *test = read_all(context, model, EXAMPLE "test.npz", TEST);
    for (size_t i = 0; i < CALIBRATION; i++) {
        for (size_t j = 0; j < TEST; j++) {
            assert_memory_not_equal(calibration + i * PIXELS, test + j * PIXELS, PIXELS * sizeof *test);
        }
    }
    free(test);
    free(calibration);
    fb_model_free(model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sets_are_disjoint)};
    return cmocka_run_group_tests_name("example_sets", tests, NULL, NULL);
}
