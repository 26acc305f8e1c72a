/* The whole way on a small network of the test's own: calibrate, quantize, run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/random.h"
#include "calibrate/statistics.h"
#include "fewbit/fewbit.h"
#include "graph/model.h"

enum { SAMPLES = 24, SIDE = 8, CHANNELS = 3, HIDDEN = 8, CLASSES = 5 };

/* ---- the model: Conv, BatchNormalization, Relu, MaxPool, Conv (depthwise), Add, GlobalAveragePool, Flatten, Gemm ---- */

static FbId constant(FbGraph *graph, const char *name, int rank, const int64_t *dims, uint64_t stream, float scale, float shift)
{
    FbShape shape = fb_shape_make(rank, dims);
    size_t count = (size_t)fb_shape_elements(&shape);
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = fb_random_normal(1, stream, i) * scale + shift;
    }
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = rank, .data = values, .bytes = count * sizeof *values};
    memcpy(tensor.dims, shape.dims, sizeof tensor.dims);
    FbId value = FB_NONE;
    assert_int_equal(fb_graph_add_constant(graph, name, &tensor, &value, NULL), FB_OK);
    free(values);
    return value;
}

static FbId node(FbGraph *graph, const char *op_type, const char *result, size_t count, const FbId *inputs, FbId *id)
{
    FbId value = FB_NONE, made = FB_NONE;
    assert_int_equal(fb_graph_add_value(graph, result, &value, NULL), FB_OK);
    assert_int_equal(fb_graph_add_node(graph, "", op_type, 13, result, inputs, count, &value, 1, FB_NONE, &made, NULL), FB_OK);
    if (id != NULL) {
        *id = made;
    }
    return value;
}

static void set_ints(FbGraph *graph, FbId id, const char *name, size_t count, const int64_t *ints)
{
    assert_int_equal(fb_graph_set_attribute_ints(graph, id, name, ints, count, NULL), FB_OK);
}

static FbModel *make_model(FbContext *context)
{
    FbModel *model = NULL;
    FbId id = FB_NONE, x = FB_NONE;
    assert_int_equal(fb_model_create(context, &model, NULL), FB_OK);
    assert_int_equal(fb_graph_create(context, NULL, &model->graph, NULL), FB_OK);
    assert_int_equal(fb_model_set_opset(model, "", 13, NULL), FB_OK);
    model->ir_version = 8;
    FbGraph *g = model->graph;
    g->name = "small";
    assert_int_equal(fb_graph_add_value(g, "x", &x, NULL), FB_OK);
    g->values[x].dtype = FB_DTYPE_F32;
    g->values[x].shape = fb_shape_make(4, (int64_t[]){fb_graph_symbol(g, "N"), CHANNELS, SIDE, SIDE});
    assert_int_equal(fb_graph_add_input(g, x, NULL), FB_OK);
    FbId w1 = constant(g, "w1", 4, (int64_t[]){HIDDEN, CHANNELS, 3, 3}, 1, 0.3F, 0);
    FbId c1 = node(g, "Conv", "c1", 2, (FbId[]){x, w1}, &id);
    set_ints(g, id, "pads", 4, (int64_t[]){1, 1, 1, 1});
    const int64_t h[1] = {HIDDEN};
    FbId bn = node(g, "BatchNormalization", "bn", 5, (FbId[]){c1, constant(g, "gamma", 1, h, 2, 0.2F, 1), constant(g, "beta", 1, h, 3, 0.2F, 0),
                   constant(g, "mean", 1, h, 4, 0.1F, 0), constant(g, "variance", 1, h, 5, 0, 1)}, NULL);
    FbId relu = node(g, "Relu", "relu", 1, (FbId[]){bn}, NULL);
    FbId pool = node(g, "MaxPool", "pool", 1, (FbId[]){relu}, &id);
    set_ints(g, id, "kernel_shape", 2, (int64_t[]){2, 2});
    set_ints(g, id, "strides", 2, (int64_t[]){2, 2});
    FbId w2 = constant(g, "w2", 4, (int64_t[]){HIDDEN, 1, 3, 3}, 6, 0.4F, 0);
    FbId c2 = node(g, "Conv", "c2", 3, (FbId[]){pool, w2, constant(g, "b2", 1, h, 7, 0.1F, 0)}, &id);
    set_ints(g, id, "pads", 4, (int64_t[]){1, 1, 1, 1});
    assert_int_equal(fb_graph_set_attribute_int(g, id, "group", HIDDEN, NULL), FB_OK);
    FbId sum = node(g, "Add", "sum", 2, (FbId[]){c2, pool}, NULL);
    FbId mean = node(g, "GlobalAveragePool", "average", 1, (FbId[]){sum}, NULL);
    FbId flat = node(g, "Flatten", "flat", 1, (FbId[]){mean}, NULL);
    FbId w3 = constant(g, "w3", 2, (int64_t[]){CLASSES, HIDDEN}, 8, 0.5F, 0);
    FbId y = node(g, "Gemm", "y", 3, (FbId[]){flat, w3, constant(g, "b3", 1, (int64_t[]){CLASSES}, 9, 0.1F, 0)}, &id);
    assert_int_equal(fb_graph_set_attribute_int(g, id, "transB", 1, NULL), FB_OK);
    assert_int_equal(fb_graph_add_output(g, y, NULL), FB_OK);
    g->values[y].dtype = FB_DTYPE_F32;
    g->values[y].shape = fb_shape_make(2, (int64_t[]){fb_graph_symbol(g, "N"), CLASSES});
    return model;
}

/* ---- data ---- */

typedef struct Data {
    float values[CHANNELS * SIDE * SIDE];
    FbTensor tensor;
    size_t poisoned; /* this sample holds a NaN; SIZE_MAX: none */
    size_t first;    /* index of the first sample */
} Data;

static FbStatus read_sample(void *user, size_t index, FbSample *sample, FbError *err)
{
    Data *data = user;
    (void)err;
    for (size_t i = 0; i < sizeof data->values / sizeof data->values[0]; i++) {
        data->values[i] = fb_random_normal(2, data->first + index, i);
    }
    if (index == data->poisoned) {
        data->values[17] = NAN;
    }
    data->tensor = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 4, .dims = {1, CHANNELS, SIDE, SIDE}, .data = data->values, .bytes = sizeof data->values};
    *sample = (FbSample){.inputs = &data->tensor, .input_count = 1, .label = (int64_t)(index % 3), .name = "sample"};
    return FB_OK;
}

typedef struct Log {
    char ids[1024];
} Log;

static void on_log(void *user, FbLogLevel level, const char *id, const char *message)
{
    Log *log = user;
    (void)level;
    (void)message;
    if (strlen(log->ids) + strlen(id) + 2 < sizeof log->ids) {
        strcat(strcat(log->ids, id), " ");
    }
}

static FbContext *make_context(int threads, const char *isa, Log *log)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads, .isa = isa, .user = log, .log = log != NULL ? on_log : NULL};
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

static FbStatus calibrate(FbContext *context, const FbModel *model, size_t samples, size_t batch, size_t poisoned, size_t first,
                          FbStatistics **statistics, FbError *err)
{
    Data data = {.poisoned = poisoned, .first = first};
    FbDataset *set = NULL;
    FbCalibrateOptions options = {.struct_bytes = sizeof options, .batch = batch};
    assert_int_equal(fb_dataset_from_callback(context, samples, read_sample, &data, &set, err), FB_OK);
    FbStatus status = fb_calibrate(context, model, set, &options, statistics, err);
    fb_dataset_free(set);
    return status;
}

static FbRecipe *preset(FbContext *context, const char *name)
{
    FbRecipe *recipe = NULL;
    assert_int_equal(fb_recipe_preset(context, name, &recipe, NULL), FB_OK);
    return recipe;
}

static void check(FbStatus status, const FbError *err)
{
    if (status != FB_OK) {
        fail_msg("%d: %s", (int)status, err->message);
    }
}

/* Output of the model on sample `index`. */
static void run(FbContext *context, const FbModel *model, size_t index, float out[CLASSES])
{
    FbSession *session = NULL;
    FbError err = {0};
    FbSessionOptions options = {.struct_bytes = sizeof options};
    Data data = {.poisoned = SIZE_MAX};
    FbSample sample;
    FbTensor result;
    assert_int_equal(read_sample(&data, index, &sample, NULL), FB_OK);
    check(fb_session_create(context, model, &options, &session, &err), &err);
    check(fb_session_run(session, sample.inputs, 1, &result, 1, &err), &err);
    memcpy(out, result.data, CLASSES * sizeof *out);
    fb_session_free(session);
}

/* Signal to noise of the quantized model, in decibels, over samples not used for calibration. */
static double quality(FbContext *context, const FbModel *quantized)
{
    double signal = 0, noise = 0;
    FbModel *model = make_model(context);
    for (size_t i = 100; i < 120; i++) {
        float a[CLASSES], b[CLASSES];
        run(context, model, i, a);
        run(context, quantized, i, b);
        for (int k = 0; k < CLASSES; k++) {
            signal += (double)a[k] * (double)a[k];
            noise += (double)(a[k] - b[k]) * (double)(a[k] - b[k]);
        }
    }
    fb_model_free(model);
    return 10 * log10(signal / noise);
}

static size_t count_nodes(const FbModel *model, const char *domain, const char *op_type)
{
    size_t count = 0;
    for (size_t n = 0; n < model->graph->node_count; n++) {
        count += !model->graph->nodes[n]->removed && fb_node_is(model->graph->nodes[n], domain, op_type);
    }
    return count;
}

/* ---- tests ---- */

static void test_static(void **state)
{
    (void)state;
    Log log = {0};
    FbError err = {0};
    FbContext *context = make_context(2, NULL, &log);
    FbModel *model = make_model(context);
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = preset(context, "int8-static");
    FbQuantizeReport report;
    check(calibrate(context, model, SAMPLES, 1, SIZE_MAX, 0, &statistics, &err), &err);
    assert_non_null(strstr(log.ids, "few-samples"));
    check(fb_quantize(context, model, recipe, statistics, &report, &err), &err);
    /* x, relu, pool, c2, sum, average, flat; y stays real */
    assert_int_equal(count_nodes(model, "fewbit", "Quant"), 7);
    assert_int_equal(count_nodes(model, "", "BatchNormalization"), 0);
    assert_int_equal(report.activations_quantized, 7);
    assert_int_equal(report.weights_quantized, 3);
    assert_int_equal(report.left_count, 0);
    uint64_t elements = HIDDEN * CHANNELS * 9 + HIDDEN * 9 + CLASSES * HIDDEN, scales = HIDDEN + HIDDEN + CLASSES;
    assert_true(fabs(report.effective_bits - (double)(elements * 8 + scales * 32) / (double)elements) < 1e-12);
    assert_true(report.bytes_after < report.bytes_before);
    assert_non_null(strstr(fb_model_property(model, "fewbit.recipe"), "\"name\":\"int8-static\""));
    /* moved data has the parameters of its source */
    FbId relu = fb_graph_find_value(model->graph, "relu"), pool = fb_graph_find_value(model->graph, "pool"), scale[2] = {FB_NONE, FB_NONE};
    for (size_t n = 0; n < model->graph->node_count; n++) {
        const FbNode *quant = model->graph->nodes[n];
        if (!quant->removed && fb_node_is(quant, "fewbit", "Quant")) {
            scale[0] = quant->inputs[0] == relu ? quant->inputs[1] : scale[0];
            scale[1] = quant->inputs[0] == pool ? quant->inputs[1] : scale[1];
        }
    }
    assert_true(scale[0] != FB_NONE && scale[0] == scale[1]);
    double decibels = quality(context, model);
    if (decibels < 30) {
        fail_msg("only %.1f dB", decibels);
    }
    fb_quantize_report_free(context, &report);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_model_free(model);
    fb_context_free(context);
}

/* SHA-256 of the written file, and of the statistics, for one way to compute. */
static void hash_of(int threads, const char *isa, size_t batch, const char *format, char file[65], uint8_t **bytes, size_t *count, FbContext **kept)
{
    FbError err = {0};
    FbContext *context = make_context(threads, isa, NULL);
    FbModel *model = make_model(context);
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = preset(context, "int8-static");
    char path[80];
    snprintf(path, sizeof path, "quantize_test_%ld.onnx", (long)getpid());
    check(calibrate(context, model, SAMPLES, batch, SIZE_MAX, 0, &statistics, &err), &err);
    check(fb_statistics_encode(statistics, bytes, count, &err), &err);
    check(fb_recipe_set(recipe, "calibrator", "mse", &err), &err);
    check(fb_recipe_set(recipe, "format", format, &err), &err);
    check(fb_quantize(context, model, recipe, statistics, NULL, &err), &err);
    FbSaveOptions save = {.struct_bytes = sizeof save, .overwrite = 1};
    check(fb_model_save(context, model, path, &save, file, &err), &err);
    remove(path);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_model_free(model);
    *kept = context;
}

static void test_same_bits(void **state)
{
    (void)state;
    static const struct Way { int threads; const char *isa; size_t batch; } ways[] = {
        {1, NULL, 1}, {2, NULL, 1}, {3, NULL, 1}, {2, NULL, 4}, {3, NULL, 7}, {1, "scalar", 1}, {2, "avx2", 5},
    };
    for (int form = 0; form < 2; form++) {
        char first[65] = "", hash[65];
        uint8_t *first_bytes = NULL;
        size_t first_count = 0;
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            uint8_t *bytes = NULL;
            size_t count = 0;
            FbContext *context = NULL;
            hash_of(ways[i].threads, ways[i].isa, ways[i].batch, form == 0 ? "qdq" : "qoperator", hash, &bytes, &count, &context);
            if (i == 0) {
                first_bytes = malloc(count);
                memcpy(first_bytes, bytes, count);
                first_count = count;
                strcpy(first, hash);
            }
            assert_int_equal(count, first_count);
            assert_memory_equal(bytes, first_bytes, count);
            if (strcmp(hash, first) != 0) {
                fail_msg("way %zu gave another file", i);
            }
            fb_free(context, bytes);
            fb_context_free(context);
        }
        free(first_bytes);
    }
}

/* The model in QOperator form for a target, against the same Quants simulated. */
static FbModel *qoperator_for(FbContext *context, const char *target, size_t left)
{
    FbError err = {0};
    FbModel *model = make_model(context), *simulated = make_model(context);
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = preset(context, "int8-static");
    FbQuantizeReport report;
    check(calibrate(context, model, SAMPLES, 1, SIZE_MAX, 0, &statistics, &err), &err);
    check(fb_recipe_set(recipe, "target", target, &err), &err);
    check(fb_quantize(context, simulated, recipe, statistics, NULL, &err), &err);
    check(fb_recipe_set(recipe, "format", "qoperator", &err), &err);
    check(fb_quantize(context, model, recipe, statistics, &report, &err), &err);
    assert_int_equal(count_nodes(model, "", "QLinearConv"), 2);
    assert_int_equal(count_nodes(model, "", "Conv") + count_nodes(model, "", "Gemm") + count_nodes(model, "", "Relu"), 0);
    assert_int_equal(report.left_count, left);
    for (size_t i = 100; i < 110; i++) { /* the same arithmetic, up to a rounding here and there */
        float a[CLASSES], b[CLASSES];
        run(context, simulated, i, a);
        run(context, model, i, b);
        for (int k = 0; k < CLASSES; k++) {
            assert_true(fabsf(a[k] - b[k]) < 0.05F);
        }
    }
    assert_true(quality(context, model) > 30);
    fb_quantize_report_free(context, &report);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_model_free(simulated);
    return model;
}

static void test_qoperator(void **state)
{
    (void)state;
    FbContext *context = make_context(1, NULL, NULL);
    FbModel *model = qoperator_for(context, "onnxruntime", 0);
    assert_int_equal(count_nodes(model, "com.microsoft", "QLinearAdd"), 1);
    assert_int_equal(count_nodes(model, "com.microsoft", "QLinearGlobalAveragePool"), 1);
    assert_int_equal(count_nodes(model, "com.microsoft", "QGemm"), 1);
    assert_int_equal(count_nodes(model, "", "QuantizeLinear"), 1); /* of the input */
    for (size_t v = 0; v < model->graph->value_count; v++) { /* or the writer would write codes that nobody reads */
        assert_true(model->graph->values[v].constant == NULL || model->graph->values[v].constant->encoding == NULL);
    }
    assert_int_equal(fb_model_opset(model, "com.microsoft"), 1);
    fb_model_free(model);
    model = qoperator_for(context, "openvino", 2); /* which has ONNX's operators only: Add, GlobalAveragePool */
    assert_int_equal(count_nodes(model, "", "MatMulInteger"), 1);
    assert_int_equal(fb_model_opset(model, "com.microsoft"), 0);
    fb_model_free(model);
    fb_context_free(context);
}

static void test_without_data(void **state)
{
    (void)state;
    static const struct Case { const char *preset; double least; size_t weights; } cases[] = {
        {"int8-dynamic", 35, 1}, {"int8-weights", 1000, 0}, {"int4-weights", 1000, 0}, {"float16", 60, 2}, {"bfloat16", 40, 2},
    };
    FbError err = {0};
    FbContext *context = make_context(2, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FbModel *model = make_model(context);
        FbRecipe *recipe = preset(context, cases[i].preset);
        FbQuantizeReport report;
        check(fb_quantize(context, model, recipe, NULL, &report, &err), &err);
        assert_int_equal(report.weights_quantized, cases[i].weights); /* all weights here are smaller than 1,024 elements */
        double decibels = quality(context, model);
        if (!(decibels >= cases[i].least)) {
            fail_msg("%s: only %.1f dB", cases[i].preset, decibels);
        }
        fb_quantize_report_free(context, &report);
        fb_recipe_free(recipe);
        fb_model_free(model);
    }
    fb_context_free(context);
}

static void test_refusals(void **state)
{
    (void)state;
    FbError err = {0};
    FbContext *context = make_context(1, NULL, NULL);
    FbModel *model = make_model(context), *other = make_model(context);
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = preset(context, "int8-static");
    check(calibrate(context, model, SAMPLES, 1, SIZE_MAX, 0, &statistics, &err), &err);
    assert_int_equal(fb_quantize(context, model, recipe, NULL, NULL, &err), FB_ERR_ARGUMENT);
    float change = 0.25F;
    FbId w3 = fb_graph_find_value(other->graph, "w3");
    memcpy(fb_buffer_data(other->graph->values[w3].constant->planes[FB_PLANE_CODES].buffer), &change, sizeof change);
    assert_int_equal(fb_quantize(context, other, recipe, statistics, NULL, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, statistics->model_hash)); /* both hashes */
    assert_int_equal(count_nodes(other, "fewbit", "Quant"), 0);
    check(fb_recipe_set(recipe, "exclude", "cc1", &err), &err);
    assert_int_equal(fb_quantize(context, model, recipe, statistics, NULL, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "c1"));
    assert_int_equal(count_nodes(model, "", "BatchNormalization"), 1); /* unchanged on failure */
    fb_recipe_free(recipe);
    recipe = preset(context, "int8-static");
    check(fb_recipe_set(recipe, "exclude", "type:Gemm", &err), &err);
    check(fb_recipe_set(recipe, "exclude", "first", &err), &err);
    FbQuantizeReport report;
    check(fb_quantize(context, model, recipe, statistics, &report, &err), &err);
    size_t excluded = 0;
    for (size_t i = 0; i < report.left_count; i++) {
        excluded += strstr(report.left[i].reason, "excluded") != NULL && (strcmp(report.left[i].type, "Gemm") == 0 || strcmp(report.left[i].type, "Conv") == 0);
    }
    assert_int_equal(excluded, 2);
    fb_quantize_report_free(context, &report);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_model_free(model);
    fb_model_free(other);
    fb_context_free(context);
}

static void test_bad_samples(void **state)
{
    (void)state;
    Log log = {0};
    FbError err = {0};
    FbContext *context = make_context(1, NULL, &log);
    FbModel *model = make_model(context);
    FbStatistics *whole = NULL, *half = NULL, *other = NULL;
    assert_int_equal(calibrate(context, model, 50, 4, 20, 0, &whole, &err), FB_ERR_NUMERIC); /* 2 % */
    assert_null(whole);
    check(calibrate(context, model, 100, 4, 20, 0, &whole, &err), &err); /* 1 % */
    assert_true(whole->rejected == 1 && whole->sample_count == 99);
    assert_non_null(strstr(log.ids, "sample-rejected"));
    fb_statistics_free(whole);
    assert_int_equal(calibrate(context, model, 0, 1, SIZE_MAX, 0, &whole, &err), FB_ERR_ARGUMENT);
    /* two halves through the whole pass: ranges and histograms equal the whole's */
    check(calibrate(context, model, 20, 3, SIZE_MAX, 0, &whole, &err), &err);
    check(calibrate(context, model, 12, 1, SIZE_MAX, 0, &half, &err), &err);
    check(calibrate(context, model, 8, 2, SIZE_MAX, 12, &other, &err), &err);
    check(fb_statistics_merge(half, other, &err), &err);
    for (size_t v = 0; v < whole->value_count; v++) {
        assert_memory_equal(whole->values[v].record, half->values[v].record, sizeof *whole->values[v].record);
    }
    fb_statistics_free(whole);
    fb_statistics_free(half);
    fb_statistics_free(other);
    fb_model_free(model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static),  cmocka_unit_test(test_same_bits), cmocka_unit_test(test_qoperator),
        cmocka_unit_test(test_without_data), cmocka_unit_test(test_refusals),  cmocka_unit_test(test_bad_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
