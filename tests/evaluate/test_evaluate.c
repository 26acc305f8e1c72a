/* fb_evaluate end to end on a small model, against metrics that NumPy computed from ONNX Runtime's outputs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/context.h"
#include "fewbit/fewbit.h"

#define assert_ok(call)                                                   \
    do {                                                                  \
        FbStatus assert_status = (call);                                  \
        if (assert_status != FB_OK) {                                     \
            fail_msg("%s: %s", #call, err.message);                       \
        }                                                                 \
    } while (0)

typedef struct Setup {
    FbContext *context;
    FbModel *baseline, *model;
    FbDataset *data;
    FbError err;
} Setup;

static const char *fixture(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/tests/evaluate/fixtures/%s", FB_SOURCE_DIR, name);
    return path;
}

static void set_up(Setup *s)
{
    FbError err = {0};
    memset(s, 0, sizeof *s);
    assert_ok(fb_context_create(NULL, &s->context, &err));
    assert_ok(fb_model_load(s->context, fixture("tiny.onnx"), &s->baseline, &err));
    assert_ok(fb_model_load(s->context, fixture("tiny_int8.onnx"), &s->model, &err));
    assert_ok(fb_dataset_open(s->context, s->model, fixture("tiny.npz"), NULL, &s->data, &err));
}

static void tear_down(Setup *s)
{
    fb_dataset_free(s->data);
    fb_model_free(s->model);
    fb_model_free(s->baseline);
    assert_int_equal(fb_context_memory_now(s->context), 0);
    fb_context_free(s->context);
}

static void check_near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("%s: got %.12g, want %.12g", what, got, want);
    }
}

static void compare_expected(const FbEvaluation *e)
{
    FILE *f = fopen(fixture("tiny_expected.txt"), "r");
    unsigned long long n[2][4], agreement;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "top1 %llu %llu %llu %llu top5 %llu %llu %llu %llu agreement %llu", &n[0][0], &n[0][1], &n[0][2], &n[0][3], &n[1][0],
                            &n[1][1], &n[1][2], &n[1][3], &agreement), 9);
    const FbPaired *got[2] = {&e->top1, &e->top5};
    for (int i = 0; i < 2; i++) {
        FbPaired want = fb_paired_compare(n[i][0], n[i][1], n[i][2], n[i][3]);
        check_near("baseline", got[i]->baseline, want.baseline, 1e-15);
        check_near("model", got[i]->model, want.model, 1e-15);
        check_near("low", got[i]->low, want.low, 1e-12);
        check_near("p", got[i]->p_value, want.p_value, 1e-12);
    }
    check_near("agreement", e->agreement, (double)agreement / 300, 1e-15);
    assert_int_equal(e->differing_top1, 300 - agreement);
    assert_int_equal(e->output_count, 2);
    for (int i = 0; i < 2; i++) {
        char name[20];
        double sqnr, cosine, mean, most, range;
        assert_int_equal(fscanf(f, "%19s %lf %lf %lf %lf %lf", name, &sqnr, &cosine, &mean, &most, &range), 6);
        assert_string_equal(name, e->outputs[i].name);
        check_near("sqnr", e->outputs[i].sqnr_db, sqnr, 1e-4);
        check_near("cosine", e->outputs[i].cosine, cosine, 1e-6);
        check_near("mean", e->outputs[i].mean_difference, mean, 1e-5);
        check_near("max", e->outputs[i].max_difference, most, 1e-4);
        check_near("range", e->outputs[i].range, range, 1e-4);
    }
    fclose(f);
}

static void against_runtime(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline = s.baseline, .max_loss = 50};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    assert_int_equal(e.samples, 300);
    assert_int_equal(e.classes, 8);
    assert_string_equal(e.judged, "scores");
    assert_true(e.gate_set && e.gate_passed);
    compare_expected(&e);
    char *json = NULL;
    assert_ok(fb_evaluation_json(s.context, &e, &json, &err));
    assert_non_null(strstr(json, "\"fewbit.evaluate/1\""));
    fb_free(s.context, json);
    fb_evaluation_free(s.context, &e);
    tear_down(&s);
}

/* Stored float outputs instead of a baseline model: the same figures. */
static void stored_outputs(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline_outputs = fixture("tiny_outputs.npz"), .max_loss = -1};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    compare_expected(&e);
    assert_false(e.gate_set);
    fb_evaluation_free(s.context, &e);
    options.baseline = s.baseline;
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    options.baseline = NULL;
    options.baseline_outputs = fixture("tiny.npz");
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "'scores'"));
    tear_down(&s);
}

static void float_against_itself(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline = s.baseline, .max_loss = 0};
    assert_ok(fb_evaluate(s.context, s.baseline, s.data, &options, &e, &err));
    assert_true(isinf(e.outputs[0].sqnr_db) && e.outputs[0].max_difference == 0);
    check_near("agreement", e.agreement, 1, 0);
    assert_true(e.gate_set && !e.gate_passed); /* a loss of 0 is not below 0 */
    fb_evaluation_free(s.context, &e);
    tear_down(&s);
}

static void other_output_and_faults(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .max_loss = -1, .output = "hidden"};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    assert_string_equal(e.judged, "hidden");
    assert_int_equal(e.classes, 16);
    assert_true(isnan(e.top1.baseline) && e.top1.model >= 0 && !e.has_agreement && !e.has_loss);
    fb_evaluation_free(s.context, &e);
    options.output = "score";
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "did you mean 'scores'"));
    options.output = NULL;
    options.max_loss = 2;
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    tear_down(&s);
}

static void save_inputs(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e, again;
    FbDataset *copy = NULL;
    char path[64], hash[65], copy_hash[65];
    set_up(&s);
    snprintf(path, sizeof path, "test_evaluate_%d.npz", (int)getpid());
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline = s.baseline, .max_loss = -1, .save_inputs = path};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    assert_ok(fb_dataset_open(s.context, s.model, path, NULL, &copy, &err));
    assert_ok(fb_dataset_hash(s.data, hash, &err));
    assert_ok(fb_dataset_hash(copy, copy_hash, &err));
    assert_string_equal(hash, copy_hash);
    assert_int_not_equal(fb_evaluate(s.context, s.model, s.data, &options, &again, &err), FB_OK); /* the file exists */
    options.overwrite = 1;
    options.save_inputs = path;
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &again, &err));
    check_near("same figures", again.outputs[0].sqnr_db, e.outputs[0].sqnr_db, 0);
    fb_evaluation_free(s.context, &again);
    fb_evaluation_free(s.context, &e);
    fb_dataset_free(copy);
    remove(path);
    tear_down(&s);
}

/* The float model's saved outputs serve as the baseline: the same figures as with the model itself. */
static void save_outputs(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    char path[64];
    set_up(&s);
    snprintf(path, sizeof path, "test_evaluate_out_%d.npz", (int)getpid());
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .max_loss = -1, .save_outputs = path, .output = "hidden"};
    assert_ok(fb_evaluate(s.context, s.baseline, s.data, &options, &e, &err));
    fb_evaluation_free(s.context, &e);
    options = (FbEvaluateOptions){.struct_bytes = sizeof options, .max_loss = -1, .baseline_outputs = path};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    compare_expected(&e);
    fb_evaluation_free(s.context, &e);
    assert_ok(fb_evaluate(s.context, s.baseline, s.data, &options, &e, &err));
    assert_true(isinf(e.outputs[0].sqnr_db) && isinf(e.outputs[1].sqnr_db));
    fb_evaluation_free(s.context, &e);
    remove(path);
    tear_down(&s);
}

typedef struct Given {
    float values[12];
    FbTensor tensor;
    float scores[8], hidden[16];
    FbTensor expected[2];
} Given;

/* Expected outputs of the samples serve as the baseline: all zero here, so every difference is the model's own output. */
static FbStatus give_expected(void *user, size_t index, FbSample *sample, FbError *err)
{
    Given *given = user;
    (void)err;
    memset(given, 0, sizeof *given);
    given->values[index] = 1;
    given->tensor = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, 12}, .data = given->values, .bytes = 48};
    given->expected[0] = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, 8}, .data = given->scores, .bytes = 32};
    given->expected[1] = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, 16}, .data = given->hidden, .bytes = 64};
    sample->inputs = &given->tensor;
    sample->input_count = 1;
    sample->targets = given->expected;
    sample->target_count = index == 4 ? 1 : 2;
    sample->name = "given";
    return FB_OK;
}

static void expected_outputs(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    FbDataset *data = NULL;
    Given given;
    set_up(&s);
    assert_ok(fb_dataset_from_callback(s.context, 3, give_expected, &given, &data, &err));
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .max_loss = 101};
    assert_ok(fb_evaluate(s.context, s.baseline, data, &options, &e, &err));
    assert_true(e.has_baseline && e.has_agreement && e.gate_passed);
    assert_true(e.outputs[0].range == 0 && e.outputs[0].max_difference > 0);
    fb_evaluation_free(s.context, &e);
    fb_dataset_free(data);
    assert_ok(fb_dataset_from_callback(s.context, 5, give_expected, &given, &data, &err));
    assert_int_equal(fb_evaluate(s.context, s.baseline, data, &options, &e, &err), FB_ERR_FORMAT);
    fb_dataset_free(data);
    tear_down(&s);
}

static FbStatus give(void *user, size_t index, FbSample *sample, FbError *err)
{
    Given *given = user;
    (void)err;
    for (int i = 0; i < 12; i++) {
        given->values[i] = index == 3 ? NAN : 1;
    }
    given->tensor = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, 12}, .data = given->values, .bytes = 48};
    sample->inputs = &given->tensor;
    sample->input_count = 1;
    sample->name = "given";
    return FB_OK;
}

static void nan_in_a_sample(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    FbDataset *data = NULL;
    Given given;
    set_up(&s);
    assert_ok(fb_dataset_from_callback(s.context, 5, give, &given, &data, &err));
    assert_int_equal(fb_evaluate(s.context, s.model, data, NULL, &e, &err), FB_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "given"));
    fb_dataset_free(data);
    tear_down(&s);
}

/* Mode INTEGER: what is said of the simulated execution beside it is what a simulated run says. */
static void both_executions(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation simulated, integer;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = sizeof options, .baseline = s.baseline, .max_loss = -1};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &simulated, &err));
    assert_false(simulated.has_executions);
    options.mode = FB_MODE_INTEGER;
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &integer, &err));
    assert_true(integer.has_executions);
    check_near("top-1", integer.simulated_top1.model, simulated.top1.model, 0);
    check_near("p", integer.simulated_top5.p_value, simulated.top5.p_value, 0);
    check_near("agreement", integer.simulated_agreement, simulated.agreement, 0);
    assert_true(integer.execution_differing_top1 <= 15); /* of 300 */
    assert_int_equal(integer.execution_output_count, 2);
    for (int i = 0; i < 2; i++) {
        const FbOutputDifference *output = &integer.execution_outputs[i];
        assert_string_equal(output->name, simulated.outputs[i].name);
        assert_int_equal(output->elements, simulated.outputs[i].elements);
        assert_true(output->differing <= output->elements);
        assert_true(output->sqnr_db > simulated.outputs[i].sqnr_db + 6); /* far nearer to each other than to the float model */
    }
    assert_true(integer.code_samples > 0 && integer.codes_compared > 0);
    assert_true(integer.codes_differing * 100 <= integer.codes_compared);
    fb_evaluation_free(s.context, &integer);
    fb_evaluation_free(s.context, &simulated);
    tear_down(&s);
}

/* Options of a caller who knew fewer of them; a size that cannot be. */
static void options_of_another_size(void **state)
{
    (void)state;
    Setup s;
    FbError err = {0};
    FbEvaluation e;
    set_up(&s);
    FbEvaluateOptions options = {.struct_bytes = offsetof(FbEvaluateOptions, mode), .max_loss = -1, .mode = FB_MODE_INTEGER};
    assert_ok(fb_evaluate(s.context, s.model, s.data, &options, &e, &err));
    assert_false(e.has_executions);
    fb_evaluation_free(s.context, &e);
    options.struct_bytes = sizeof options + 1;
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    options.struct_bytes = 0;
    assert_int_equal(fb_evaluate(s.context, s.model, s.data, &options, &e, &err), FB_ERR_ARGUMENT);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_runtime),         cmocka_unit_test(stored_outputs), cmocka_unit_test(float_against_itself),
        cmocka_unit_test(other_output_and_faults), cmocka_unit_test(save_inputs),    cmocka_unit_test(save_outputs), cmocka_unit_test(expected_outputs), cmocka_unit_test(nan_in_a_sample),
        cmocka_unit_test(both_executions),         cmocka_unit_test(options_of_another_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
