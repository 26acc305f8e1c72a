/* The embedded example, end to end through the public interface: quantize a small classifier two ways, evaluate both against the float model
 * on the same 2,000 pictures (the static one on integers), print one table, the speed, and a verdict. Exit code 0 only when the gate passes.
 * usage: demo FOLDER_OF_EXAMPLE OUTPUT_FOLDER */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fewbit/fewbit.h"

enum { ROWS = 3, BLOCKS = 12, BLOCK_RUNS = 20 };
static const double max_loss = 2.0; /* points */

typedef struct Row {
    const char *name, *preset, *execution; /* preset NULL: the float model itself */
    FbMode mode;
    char path[1024];
    long bytes;
    double ms;
    FbEvaluation evaluation;
} Row;

static int fail(const FbError *err)
{
    fprintf(stderr, "demo: error: %s\n", err->message);
    return fb_status_exit_code(err->status);
}

static long file_bytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return -1;
    }
    long bytes = ftell(file);
    fclose(file);
    return bytes;
}

static double seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Writes the quantized model that `preset` gives. */
static FbStatus make_model(FbContext *context, const char *float_path, const FbStatistics *statistics, Row *row, FbError *err)
{
    FbModel *model = NULL;
    FbRecipe *recipe = NULL;
    FbSaveOptions save = {.struct_bytes = sizeof save, .overwrite = 1};
    FbStatus status = fb_model_load(context, float_path, &model, err);
    if (status == FB_OK) {
        status = fb_recipe_preset(context, row->preset, &recipe, err);
    }
    if (status == FB_OK) {
        status = fb_quantize(context, model, recipe, statistics, NULL, err);
    }
    if (status == FB_OK) {
        status = fb_model_save(context, model, row->path, &save, NULL, err);
    }
    fb_recipe_free(recipe);
    fb_model_free(model);
    return status;
}

/* Runs a block of one session; the shortest run in ms goes to *ms. */
static FbStatus run_block(FbSession *session, const FbSample *sample, double *ms, FbError *err)
{
    FbTensor output;
    FbStatus status = FB_OK;
    for (int k = 0; k < BLOCK_RUNS && status == FB_OK; k++) {
        double begin = seconds_now();
        status = fb_session_run(session, sample->inputs, sample->input_count, &output, 1, err);
        double spent = (seconds_now() - begin) * 1e3;
        *ms = spent < *ms ? spent : *ms;
    }
    return status;
}

/* Milliseconds of one picture on one thread: all models in turns, so that a slow moment of the machine meets each of them. */
static FbStatus measure(Row *rows, FbDataset *data, FbError *err)
{
    FbContextOptions single = {.struct_bytes = sizeof single, .threads = 1};
    FbContext *context = NULL;
    FbModel *models[ROWS] = {NULL};
    FbSession *sessions[ROWS] = {NULL};
    FbSample sample;
    FbStatus status = fb_context_create(&single, &context, err);
    for (int k = 0; k < ROWS && status == FB_OK; k++) {
        FbSessionOptions options = {.struct_bytes = sizeof options, .mode = rows[k].mode};
        rows[k].ms = 1e9;
        status = fb_model_load(context, rows[k].path, &models[k], err);
        status = status == FB_OK ? fb_session_create(context, models[k], &options, &sessions[k], err) : status;
    }
    status = status == FB_OK ? fb_dataset_read(data, 0, &sample, err) : status;
    for (int k = 0; k < ROWS * BLOCKS && status == FB_OK; k++) {
        status = run_block(sessions[k % ROWS], &sample, &rows[k % ROWS].ms, err);
    }
    for (int k = 0; k < ROWS; k++) {
        fb_session_free(sessions[k]);
        fb_model_free(models[k]);
    }
    fb_context_free(context);
    return status;
}

static FbStatus evaluate(FbContext *context, const FbModel *baseline, FbDataset *data, Row *row, FbError *err)
{
    FbModel *model = NULL;
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline = baseline, .max_loss = max_loss, .mode = row->mode};
    FbStatus status = fb_model_load(context, row->path, &model, err);
    if (status == FB_OK) {
        status = fb_evaluate(context, model, data, &options, &row->evaluation, err);
    }
    row->bytes = file_bytes(row->path);
    fb_model_free(model);
    return status;
}

static void print_row(const Row *row, long float_bytes)
{
    const FbPaired *top1 = &row->evaluation.top1;
    printf("%-13s %9ld  %5.2f  %6.2f %%", row->name, row->bytes, (double)float_bytes / (double)row->bytes, 100 * top1->model);
    if (row->preset == NULL) {
        printf("  %-23s  %9s", "-", "-");
    } else {
        char change[64];
        snprintf(change, sizeof change, "%+.2f [%+.2f, %+.2f]", 100 * top1->difference, 100 * top1->low, 100 * top1->high);
        printf("  %-23s  %7.2f %%", change, 100 * row->evaluation.agreement);
    }
    printf("  %6.3f  %s\n", row->ms, row->execution);
}

static int print_table(const Row *rows, size_t count, const char *example, const char *output)
{
    size_t samples = rows[0].evaluation.samples;
    printf("\nFashion-MNIST classifier (batch norm, depthwise layers, ReLU6): 500 pictures to calibrate, %zu others to test\n\n", samples);
    printf("%-13s %9s  %5s  %8s  %-23s  %9s  %6s  %s\n", "model", "bytes", "ratio", "top-1", "change [low, high]", "agreement", "ms",
           "execution");
    for (size_t k = 0; k < count; k++) {
        print_row(&rows[k], rows[0].bytes);
    }
    const FbEvaluation *judged = &rows[1].evaluation;
    printf("\nspeed of one picture on one thread, in turns: float %.3f ms, int8-static on integers %.3f ms: %.2f times as fast\n", rows[0].ms, rows[1].ms,
           rows[0].ms / rows[1].ms);
    printf("integers against their simulation in float: %zu of %zu codes differ, %zu of %zu answers\n", judged->codes_differing, judged->codes_compared,
           judged->execution_differing_top1, samples);
    printf("verdict: %s (loss %.1f %s %g points, %zu samples)\n", judged->gate_passed ? "acceptable" : "not acceptable", judged->loss_points,
           judged->gate_passed ? "<" : ">=", max_loss, samples);
    printf("next:\n  fewbit inspect %s/fashion.int8.onnx\n", output);
    printf("  fewbit bench %s/fashion.int8.onnx --baseline %s/fashion.onnx --profile\n", output, example);
    printf("  fewbit evaluate %s/fashion.int8.onnx --data %s/test.npz --baseline %s/fashion.onnx --max-loss 2\n", output, example, example);
    printf("  fewbit quantize YOUR_MODEL.onnx --calibration YOUR_PICTURES/\n");
    return judged->gate_passed ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: demo FOLDER_OF_EXAMPLE OUTPUT_FOLDER\n");
        return 2;
    }
    Row rows[ROWS] = {{.name = "FP32", .execution = "float", .mode = FB_MODE_FLOAT},
                      {.name = "int8-static", .preset = "int8-static", .execution = "integers", .mode = FB_MODE_INTEGER},
                      {.name = "int8-weights", .preset = "int8-weights", .execution = "float on decoded weights", .mode = FB_MODE_FLOAT}};
    char calibration_path[1024], test_path[1024];
    snprintf(rows[0].path, sizeof rows[0].path, "%s/fashion.onnx", argv[1]);
    snprintf(rows[1].path, sizeof rows[1].path, "%s/fashion.int8.onnx", argv[2]);
    snprintf(rows[2].path, sizeof rows[2].path, "%s/fashion.weights8.onnx", argv[2]);
    snprintf(calibration_path, sizeof calibration_path, "%s/calibration.npz", argv[1]);
    snprintf(test_path, sizeof test_path, "%s/test.npz", argv[1]);

    FbError err = {.status = FB_OK};
    FbContext *context = NULL;
    FbModel *baseline = NULL;
    FbDataset *calibration = NULL, *test = NULL;
    FbStatistics *statistics = NULL;
    FbStatus status = fb_context_create(NULL, &context, &err);
    if (status == FB_OK) {
        status = fb_model_load(context, rows[0].path, &baseline, &err);
    }
    if (status == FB_OK) {
        status = fb_dataset_open(context, baseline, calibration_path, NULL, &calibration, &err);
    }
    if (status == FB_OK) {
        status = fb_dataset_open(context, baseline, test_path, NULL, &test, &err);
    }
    if (status == FB_OK) {
        status = fb_calibrate(context, baseline, calibration, NULL, &statistics, &err);
    }
    for (size_t k = 0; k < ROWS && status == FB_OK; k++) {
        if (rows[k].preset != NULL) {
            status = make_model(context, rows[0].path, statistics, &rows[k], &err);
        }
        if (status == FB_OK) {
            status = evaluate(context, baseline, test, &rows[k], &err);
        }
    }
    if (status == FB_OK) {
        status = measure(rows, test, &err);
    }
    int code = status == FB_OK ? print_table(rows, ROWS, argv[1], argv[2]) : fail(&err);
    for (size_t k = 0; k < ROWS; k++) {
        fb_evaluation_free(context, &rows[k].evaluation);
    }
    fb_statistics_free(statistics);
    fb_dataset_free(test);
    fb_dataset_free(calibration);
    fb_model_free(baseline);
    fb_context_free(context);
    return code;
}
