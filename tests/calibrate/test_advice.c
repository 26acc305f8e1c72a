/* The warnings of a calibration, through the context's log: each is raised by data that deserves it, alone, and by no other data here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/context.h"
#include "base/random.h"
#include "fewbit/fewbit.h"
#include "graph/model.h"

enum { SAMPLES = 120, WIDTH = 64, NOBODY = 100000 };

typedef struct Data {
    size_t first;      /* number of sample 0: equal numbers are equal samples */
    size_t copies;     /* so many samples in a row are the same */
    size_t constant;   /* index of a sample with one value everywhere */
    size_t wider_from; /* from this index on, values are twice as large */
    float shift;       /* added to all */
    float values[WIDTH];
    FbTensor tensor;
} Data;

typedef struct Log {
    char ids[256];     /* each followed by a space */
    char message[512]; /* the last one */
} Log;

static const Data plain = {.copies = 1, .constant = NOBODY, .wider_from = NOBODY};

static FbStatus read_sample(void *user, size_t index, FbSample *sample, FbError *err)
{
    Data *data = user;
    (void)err;
    for (size_t i = 0; i < WIDTH; i++) {
        float value = (float)(fb_random_unit(5, data->first + index / data->copies, i) * 2 - 1);
        data->values[i] = index == data->constant ? 0.5F : value * (index >= data->wider_from ? 2.0F : 1.0F) + data->shift;
    }
    data->tensor = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, WIDTH}, .data = data->values, .bytes = sizeof data->values};
    sample->inputs = &data->tensor;
    sample->input_count = 1;
    return FB_OK;
}

static void on_log(void *user, FbLogLevel level, const char *id, const char *message)
{
    Log *log = user;
    size_t used = strlen(log->ids);
    if (level == FB_LOG_WARNING) {
        snprintf(log->ids + used, sizeof log->ids - used, "%s ", id);
        snprintf(log->message, sizeof log->message, "%s", message);
    }
}

/* x -> Relu -> y */
static FbModel *make_model(FbContext *context)
{
    FbModel *model = NULL;
    FbId value[2] = {FB_NONE, FB_NONE}, made = FB_NONE;
    assert_int_equal(fb_model_create(context, &model, NULL), FB_OK);
    assert_int_equal(fb_graph_create(context, NULL, &model->graph, NULL), FB_OK);
    assert_int_equal(fb_model_set_opset(model, "", 13, NULL), FB_OK);
    model->ir_version = 8;
    FbGraph *graph = model->graph;
    graph->name = "relu";
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fb_graph_add_value(graph, i == 0 ? "x" : "y", &value[i], NULL), FB_OK);
        graph->values[value[i]].dtype = FB_DTYPE_F32;
        graph->values[value[i]].shape = fb_shape_make(2, (int64_t[]){fb_graph_symbol(graph, "N"), WIDTH});
    }
    assert_int_equal(fb_graph_add_input(graph, value[0], NULL), FB_OK);
    assert_int_equal(fb_graph_add_node(graph, "", "Relu", 13, "relu", &value[0], 1, &value[1], 1, FB_NONE, &made, NULL), FB_OK);
    assert_int_equal(fb_graph_add_output(graph, value[1], NULL), FB_OK);
    return model;
}

/* Calibrates with `count` samples of `data`; `evaluation` may be NULL. */
static Log calibrate(Data data, size_t count, const Data *evaluation)
{
    Log log = {.ids = ""};
    FbError err = {0};
    FbContext *context = NULL;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .user = &log, .log = on_log};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
    FbModel *model = make_model(context);
    FbDataset *set = NULL, *judged = NULL;
    FbStatistics *statistics = NULL;
    Data copy = evaluation != NULL ? *evaluation : plain;
    assert_int_equal(fb_dataset_from_callback(context, count, read_sample, &data, &set, &err), FB_OK);
    assert_int_equal(fb_dataset_from_callback(context, SAMPLES, read_sample, &copy, &judged, &err), FB_OK);
    FbCalibrateOptions how = {.struct_bytes = sizeof how, .batch = 1, .evaluation = evaluation != NULL ? judged : NULL};
    if (fb_calibrate(context, model, set, &how, &statistics, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    fb_statistics_free(statistics);
    fb_dataset_free(judged);
    fb_dataset_free(set);
    fb_model_free(model);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
    return log;
}

static void check(const Log *log, const char *ids, const char *words)
{
    assert_string_equal(log->ids, ids);
    if (strstr(log->message, words) == NULL) {
        fail_msg("'%s' is not in: %s", words, log->message);
    }
}

static void test_silence(void **state)
{
    (void)state;
    Data other = plain;
    other.first = SAMPLES; /* the number after the last calibration sample's */
    Log log = calibrate(plain, SAMPLES, NULL);
    check(&log, "", "");
    log = calibrate(plain, SAMPLES, &other);
    check(&log, "", "");
}

static void test_few_samples(void **state)
{
    (void)state;
    Log log = calibrate(plain, 99, NULL);
    check(&log, "few-samples ", "only 99 ");
    log = calibrate(plain, 100, NULL);
    check(&log, "", "");
}

static void test_duplicates(void **state)
{
    (void)state;
    Data data = plain;
    data.copies = 3;
    Log log = calibrate(data, SAMPLES, NULL);
    check(&log, "duplicate-samples ", "80 of 120 ");
}

static void test_constant_input(void **state)
{
    (void)state;
    Data data = plain;
    data.constant = 7;
    Log log = calibrate(data, SAMPLES, NULL);
    check(&log, "constant-input ", "'x' has one and the same value everywhere in 1 of 120 ");
}

static void test_growing(void **state)
{
    (void)state;
    Data data = plain;
    data.wider_from = SAMPLES - SAMPLES / 5; /* the last fifth */
    Log log = calibrate(data, SAMPLES, NULL);
    check(&log, "ranges-growing ", "1 of 1 ranges ");
    data.wider_from -= 10; /* ten wide samples before the last fifth: the width is known by then */
    log = calibrate(data, SAMPLES, NULL);
    check(&log, "", "");
}

static void test_shared_samples(void **state)
{
    (void)state;
    Data evaluation = plain;
    evaluation.first = SAMPLES - 1; /* its sample 0 is the last calibration sample */
    Log log = calibrate(plain, SAMPLES, &evaluation);
    check(&log, "samples-in-evaluation-set ", "1 samples ");
}

static void test_other_distribution(void **state)
{
    (void)state;
    Data evaluation = plain;
    evaluation.first = SAMPLES;
    evaluation.shift = 0.5F; /* a quarter of the width: the largest distance is 0.25 */
    Log log = calibrate(plain, SAMPLES, &evaluation);
    check(&log, "distribution-differs ", "input 'x'");
    evaluation.shift = 0.1F; /* 0.05 */
    log = calibrate(plain, SAMPLES, &evaluation);
    check(&log, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence),       cmocka_unit_test(test_few_samples),    cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_constant_input), cmocka_unit_test(test_growing),        cmocka_unit_test(test_shared_samples),
        cmocka_unit_test(test_other_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
