/* The main job with the n-th allocation or file operation failing: an error, nothing half-written under the final name, no leak, and the
 * same call works right after. Sampled: the first calls one by one, then every STEP-th; all of them with FB_FAULTS=all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "faults/faults.h"
#include "fewbit/fewbit.h"

static const char *const model_path = FB_SOURCE_DIR "/examples/fashion/fashion.onnx";

static FbStatus read_sample(void *user, size_t index, FbSample *sample, FbError *err)
{
    static float pixels[28 * 28];
    static FbTensor input;
    (void)user;
    (void)err;
    for (size_t k = 0; k < 28 * 28; k++) {
        pixels[k] = (float)((k * 7 + index * 31) % 256);
    }
    input = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 4, .dims = {1, 1, 28, 28}, .data = pixels, .bytes = sizeof pixels};
    *sample = (FbSample){.inputs = &input, .input_count = 1, .label = (int64_t)index, .name = "made"};
    return FB_OK;
}

/* Load, calibrate, quantize, save, load again, evaluate in all three modes: every parser, writer and the executor. */
static FbStatus main_job(FbContext *context, const char *output, FbError *err)
{
    FbModel *model = NULL, *quantized = NULL;
    FbDataset *data = NULL;
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = NULL;
    FbEvaluation evaluation = {0};
    FbSaveOptions save = {.struct_bytes = sizeof save, .overwrite = 1};
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .max_loss = -1, .mode = FB_MODE_INTEGER};
    FbStatus status = fb_model_load(context, model_path, &model, err);
    if (status == FB_OK) { status = fb_dataset_from_callback(context, 2, read_sample, NULL, &data, err); }
    if (status == FB_OK) { status = fb_calibrate(context, model, data, NULL, &statistics, err); }
    if (status == FB_OK) { status = fb_recipe_preset(context, "int8-static", &recipe, err); }
    if (status == FB_OK) { status = fb_quantize(context, model, recipe, statistics, NULL, err); }
    if (status == FB_OK) { status = fb_model_save(context, model, output, &save, NULL, err); }
    if (status == FB_OK) { status = fb_model_load(context, output, &quantized, err); }
    if (status == FB_OK) {
        options.baseline = model;
        status = fb_evaluate(context, quantized, data, &options, &evaluation, err);
    }
    fb_evaluation_free(context, &evaluation);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_dataset_free(data);
    fb_model_free(quantized);
    fb_model_free(model);
    return status;
}

static FbStatus run_with(Faults *faults, const char *output, FbError *err)
{
    FbContext *context;
    FbStatus status = faults_context(faults, &context, err);
    if (status == FB_OK) {
        status = main_job(context, output, err);
    }
    fb_context_free(context);
    return status;
}

static const char *output_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/fewbit-faults-%d.onnx", (int)getpid());
    return path;
}

/* The file is either absent or loads whole. */
static void check_output(const char *path)
{
    if (access(path, F_OK) != 0) {
        return;
    }
    FbError err = {0};
    FbContext *context = NULL;
    FbModel *model = NULL;
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    assert_int_equal(fb_model_load(context, path, &model, &err), FB_OK);
    fb_model_free(model);
    fb_context_free(context);
    remove(path);
}

static uint64_t next_call(uint64_t k, uint64_t whole, uint64_t step)
{
    return getenv("FB_FAULTS") != NULL || k < whole ? k + 1 : k + step;
}

static void check_one(Faults *faults, uint64_t k)
{
    FbError err = {0};
    FbStatus status = run_with(faults, output_path(), &err);
    if (status != FB_OK) {
        assert_true(err.message[0] != '\0');
        assert_int_not_equal(status, FB_ERR_INTERNAL);
    }
    if (faults->live_bytes != 0) {
        fail_msg("call %llu: %lld bytes leaked (status %d: %s)", (unsigned long long)k, (long long)faults->live_bytes, status, err.message);
    }
    check_output(output_path());
}

static void allocation_failures(void **state)
{
    (void)state;
    Faults count = {0};
    FbError err = {0};
    if (run_with(&count, output_path(), &err) != FB_OK) {
        fail_msg("the job fails by itself: %s", err.message);
    }
    assert_int_equal(count.live_bytes, 0);
    assert_true(count.allocations > 500 && count.operations > 20); /* the job really goes through the hooks */
    check_output(output_path());
    uint64_t step = count.allocations / 150 + 1;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (uint64_t k = 1; k <= count.allocations; k = next_call(k, 100, step)) {
            Faults faults = {.allocation_fails_at = k, .persistent = persistent};
            check_one(&faults, k);
        }
    }
}

static void file_failures(void **state)
{
    (void)state;
    static const int errors[] = {EIO, ENOSPC, EACCES};
    Faults count = {0};
    FbError err = {0};
    assert_int_equal(run_with(&count, output_path(), &err), FB_OK);
    check_output(output_path());
    uint64_t step = count.operations / 100 + 1;
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
        for (uint64_t k = 1; k <= count.operations; k = next_call(k, 50, step)) {
            Faults faults = {.operation_fails_at = k, .error = errors[e], .persistent = (int)(e % 2)};
            FbError failure = {0};
            FbStatus status = run_with(&faults, output_path(), &failure);
            if (status == FB_OK) {
                fail_msg("file operation %llu failed with errno %d and nobody noticed", (unsigned long long)k, errors[e]);
            }
            assert_int_equal(faults.live_bytes, 0);
            check_output(output_path());
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocation_failures), cmocka_unit_test(file_failures)};
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
