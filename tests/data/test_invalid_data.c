/* Every damaged file of invalid/: the expected status, a message that names the file, little memory, nothing left behind. */
#include "data_test.h"

static FbStatus read_it(FbContext *context, const char *name, FbError *err)
{
    char path[512], *bytes = NULL;
    size_t count = 0;
    snprintf(path, sizeof path, "%s/tests/data/invalid/%s", FB_SOURCE_DIR, name);
    if (strncmp(name, "np", 2) != 0) {
        FbImage image = {0};
        assert_int_equal(fb_file_read_all(context, path, 1 << 20, &bytes, &count, err), FB_OK);
        FbStatus status = fb_image_decode(context, name, (const uint8_t *)bytes, count, &image, err);
        if (status != FB_OK) {
            assert_null(image.pixels);
        }
        fb_image_reset(context, &image);
        fb_free(context, bytes);
        return status;
    }
    FbSource *source = NULL;
    FbArrays *arrays = NULL;
    FbStatus status = fb_source_open(context, path, &source, err);
    assert_int_equal(status, FB_OK);
    status = fb_arrays_open(context, source, &arrays, err);
    for (size_t i = 0; status == FB_OK && i < fb_arrays_count(arrays); i++) {
        status = fb_arrays_verify(arrays, i, err);
    }
    fb_source_release(source);
    fb_arrays_free(arrays);
    return status;
}

static void every_case(void **state)
{
    (void)state;
    FILE *list = fopen(test_path("invalid.tsv"), "r");
    char name[128], want[32];
    size_t cases = 0;
    assert_non_null(list);
    while (fscanf(list, "%127s %31s", name, want) == 2) {
        FbContext *context = test_context();
        FbError err = {0};
        FbStatus status = read_it(context, name, &err);
        if (strcmp(fb_status_name(status), want) != 0) {
            fail_msg("%s: status %s, want %s (%s)", name, fb_status_name(status), want, err.message);
        }
        if (strstr(err.message, name) == NULL) {
            fail_msg("%s is not named in: %s", name, err.message);
        }
        if (fb_context_memory_peak(context) > 64 << 20) {
            fail_msg("%s took %llu bytes", name, (unsigned long long)fb_context_memory_peak(context));
        }
        assert_int_equal(fb_context_memory_now(context), 0);
        fb_context_free(context);
        cases++;
    }
    fclose(list);
    assert_true(cases >= 50);
}

/* Each byte of a small archive cut off: never a success, never a crash. */
static void every_truncation(void **state)
{
    (void)state;
    static const char *const files[] = {"fixtures/rows.npz", "fixtures/version2.npy"};
    FbContext *context = test_context();
    FbError err = {0};
    for (size_t f = 0; f < 2; f++) {
        char *bytes = NULL;
        size_t count = 0;
        assert_ok(fb_file_read_all(context, test_path(files[f]), 1 << 20, &bytes, &count, &err));
        for (size_t cut = 0; cut < count; cut++) {
            FbSource *source = NULL;
            FbArrays *arrays = NULL;
            assert_ok(fb_source_from_memory(context, bytes, cut, &source, &err));
            assert_int_not_equal(fb_arrays_open(context, source, &arrays, &err), FB_OK);
            fb_source_release(source);
        }
        fb_free(context, bytes);
    }
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case), cmocka_unit_test(every_truncation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
