/* One pass over the data: the float baseline (a session, stored or expected outputs) and the model on the same samples. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/option_struct.h"
#include "base/text.h"
#include "data/arrays.h"
#include "data/npz_write.h"
#include "evaluate/executions.h"
#include "tensor/tensor.h"

typedef struct Evaluator {
    FbContext *context;
    const FbModel *model, *baseline;
    FbArena *arena;
    FbSession *model_session, *baseline_session;
    FbArrays *stored;         /* of --baseline-outputs */
    bool expected;            /* the samples bring their expected outputs: they are the baseline */
    size_t input_count, output_count, baseline_outputs;
    size_t *baseline_input;   /* model input that feeds input i of the baseline */
    size_t *baseline_output;  /* output of the baseline, or stored array, that output i of the model is compared with */
    const char **names;
    FbTensor *outputs, *raw, *aligned, *fed; /* raw: the baseline's own order; aligned: the model's */
    void **rows;              /* buffers of stored rows */
    double model_seconds, baseline_seconds;
    FbNpzWriter *saved;       /* of --save-outputs */
    FbShape saved_shape;
    FbTally tally;
    FbExecutions executions;  /* mode INTEGER */
} Evaluator;

static FbStatus out_of_memory(Evaluator *e, FbError *err) { return fb_error_memory(e->context, err, "evaluation", sizeof *e); }

static FbStatus allocate(Evaluator *e, FbError *err)
{
    e->input_count = fb_model_input_count(e->model);
    e->output_count = fb_model_output_count(e->model);
    e->baseline_outputs = e->baseline != NULL ? fb_model_output_count(e->baseline) : 0;
    size_t inputs = e->baseline != NULL ? fb_model_input_count(e->baseline) : 0;
    e->names = fb_arena_array(e->arena, e->output_count + 1, sizeof *e->names);
    e->outputs = fb_arena_array(e->arena, e->output_count + 1, sizeof *e->outputs);
    e->aligned = fb_arena_array(e->arena, e->output_count + 1, sizeof *e->aligned);
    e->raw = fb_arena_array(e->arena, e->baseline_outputs + 1, sizeof *e->raw);
    e->fed = fb_arena_array(e->arena, inputs + 1, sizeof *e->fed);
    e->baseline_input = fb_arena_array(e->arena, inputs + 1, sizeof *e->baseline_input);
    e->baseline_output = fb_arena_array(e->arena, e->output_count + 1, sizeof *e->baseline_output);
    e->rows = fb_arena_array(e->arena, e->output_count + 1, sizeof *e->rows);
    if (e->names == NULL || e->outputs == NULL || e->aligned == NULL || e->raw == NULL || e->fed == NULL || e->baseline_input == NULL ||
        e->baseline_output == NULL || e->rows == NULL) {
        return out_of_memory(e, err);
    }
    for (size_t i = 0; i < e->output_count; i++) {
        e->names[i] = fb_model_output(e->model, i).name;
    }
    return e->output_count > 0 ? FB_OK : fb_error_set(err, FB_ERR_ARGUMENT, "the model has no outputs");
}

/* Inputs and outputs go by name; outputs of other names go by place when the counts agree. */
static FbStatus match_baseline(Evaluator *e, FbError *err)
{
    char shown[80];
    for (size_t i = 0; i < fb_model_input_count(e->baseline); i++) {
        const char *name = fb_model_input(e->baseline, i).name;
        size_t k = 0;
        while (k < e->input_count && strcmp(fb_model_input(e->model, k).name, name) != 0) {
            k++;
        }
        if (k == e->input_count) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "the baseline's input '%s' is no input of the model", fb_escape(name, shown, sizeof shown));
        }
        e->baseline_input[i] = k;
    }
    for (size_t i = 0; i < e->output_count; i++) {
        size_t k = 0;
        while (k < e->baseline_outputs && strcmp(fb_model_output(e->baseline, k).name, e->names[i]) != 0) {
            k++;
        }
        if (k == e->baseline_outputs) {
            if (e->baseline_outputs != e->output_count) {
                return fb_error_set(err, FB_ERR_ARGUMENT, "the model's output '%s' is no output of the baseline",
                                    fb_escape(e->names[i], shown, sizeof shown));
            }
            k = i;
        }
        e->baseline_output[i] = k;
    }
    return FB_OK;
}

static FbStatus open_stored(Evaluator *e, const char *path, size_t samples, FbError *err)
{
    FbSource *source = NULL;
    char shown[80];
    FB_TRY(fb_source_open(e->context, path, &source, err));
    FbStatus status = fb_arrays_open(e->context, source, &e->stored, err);
    fb_source_release(source);
    FB_TRY(status);
    for (size_t i = 0; i < e->output_count; i++) {
        int at = fb_arrays_find(e->stored, e->names[i]);
        if (at < 0) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "%s: no array named '%s', the model's output", path,
                                fb_escape(e->names[i], shown, sizeof shown));
        }
        const FbArrayInfo *info = fb_arrays_info(e->stored, (size_t)at);
        if (info->rank == 0 || info->rows != samples) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: array '%s' has %" PRIu64 " rows for %zu samples", path, info->name, info->rows, samples);
        }
        FB_TRY(fb_arrays_verify(e->stored, (size_t)at, err));
        e->baseline_output[i] = (size_t)at;
        e->rows[i] = fb_arena_alloc(e->arena, info->row_bytes);
        if (e->rows[i] == NULL) {
            return out_of_memory(e, err);
        }
    }
    return FB_OK;
}

/* Row `index` of the stored outputs in the model's shape: (N, ...) gives (1, ...); with one axis more the row is the whole output. */
static FbStatus read_stored(Evaluator *e, size_t index, FbError *err)
{
    for (size_t i = 0; i < e->output_count; i++) {
        const FbArrayInfo *info = fb_arrays_info(e->stored, e->baseline_output[i]);
        FbTensor *to = &e->aligned[i];
        int rank = 0;
        memset(to, 0, sizeof *to);
        if (info->rank != e->outputs[i].rank + 1) {
            to->dims[rank++] = 1;
        }
        for (int d = 1; d < info->rank && rank < FB_RANK_MAX; d++) {
            to->dims[rank++] = info->dims[d];
        }
        to->rank = rank;
        to->dtype = info->dtype;
        to->bytes = info->row_bytes;
        to->data = e->rows[i];
        FB_TRY(fb_arrays_read(e->stored, e->baseline_output[i], index, 1, to->data, err));
    }
    return FB_OK;
}

static FbStatus check_inputs(const Evaluator *e, const FbSample *sample, FbError *err)
{
    if (sample->input_count != e->input_count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sample '%s' has %zu inputs, the model %zu", sample->name, sample->input_count, e->input_count);
    }
    for (size_t i = 0; i < sample->input_count; i++) {
        const FbTensor *tensor = &sample->inputs[i];
        int64_t count = fb_dtype_info(tensor->dtype)->kind == FB_KIND_FLOAT ? fb_tensor_elements(tensor) : 0;
        for (int64_t k = 0; k < count; k++) {
            if (!isfinite(fb_output_value(tensor, k))) {
                return fb_error_set(err, FB_ERR_NUMERIC, "sample '%s': input '%s' holds NaN or infinity at element %" PRId64, sample->name,
                                    fb_model_input(e->model, i).name, k);
            }
        }
    }
    return FB_OK;
}

/* Row `index` of an output; row 0 begins the array. */
static FbStatus save_row(Evaluator *e, size_t output, size_t index, size_t count, const char *sample, FbError *err)
{
    const FbTensor *tensor = &e->outputs[output];
    FbShape shape = fb_tensor_shape(tensor);
    if (index == 0) {
        int64_t dims[FB_NPY_RANK_MAX];
        int rank = fb_stacked_shape(tensor, count, dims);
        e->saved_shape = shape;
        FB_TRY(fb_npz_begin(e->saved, e->names[output], tensor->dtype, rank, dims, err));
    } else if (!fb_shape_equal(&e->saved_shape, &shape)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "sample '%s' gives output '%s' another shape than the first: they do not fit one array", sample,
                            e->names[output]);
    }
    return fb_npz_write(e->saved, tensor->data, tensor->bytes, err);
}

/* An archive takes one array after the other, so outputs beside the judged one are computed again. */
static FbStatus save_others(Evaluator *e, FbDataset *data, FbError *err)
{
    size_t count = fb_dataset_count(data);
    for (size_t k = 0; k < e->output_count; k++) {
        for (size_t i = 0; k != e->tally.judged && i < count; i++) {
            FbSample sample;
            FB_TRY(fb_check_cancel(e->context, err));
            FB_TRY(fb_dataset_read(data, i, &sample, err));
            FB_TRY(fb_session_run(e->model_session, sample.inputs, sample.input_count, e->outputs, e->output_count, err));
            FB_TRY(save_row(e, k, i, count, sample.name, err));
        }
    }
    FbNpzWriter *writer = e->saved;
    e->saved = NULL;
    return fb_npz_commit(writer, err);
}

static bool has_baseline(const Evaluator *e) { return e->baseline_session != NULL || e->stored != NULL || e->expected; }

static FbStatus run_sample(Evaluator *e, FbDataset *data, size_t index, FbError *err)
{
    FbSample sample;
    FB_TRY(fb_dataset_read(data, index, &sample, err));
    FB_TRY(check_inputs(e, &sample, err));
    double start = fb_clock_seconds();
    FB_TRY(fb_session_run(e->model_session, sample.inputs, sample.input_count, e->outputs, e->output_count, err));
    e->model_seconds += fb_clock_seconds() - start;
    if (e->saved != NULL) {
        FB_TRY(save_row(e, e->tally.judged, index, fb_dataset_count(data), sample.name, err));
    }
    if (e->baseline_session != NULL) {
        size_t count = fb_model_input_count(e->baseline);
        for (size_t i = 0; i < count; i++) {
            e->fed[i] = sample.inputs[e->baseline_input[i]];
        }
        start = fb_clock_seconds();
        FB_TRY(fb_session_run(e->baseline_session, e->fed, count, e->raw, e->baseline_outputs, err));
        e->baseline_seconds += fb_clock_seconds() - start;
        for (size_t i = 0; i < e->output_count; i++) {
            e->aligned[i] = e->raw[e->baseline_output[i]];
        }
    } else if (e->stored != NULL) {
        FB_TRY(read_stored(e, index, err));
    }
    const FbTensor *baseline = has_baseline(e) ? e->aligned : NULL;
    if (e->expected) {
        if (sample.target_count != e->output_count) {
            return fb_error_set(err, FB_ERR_FORMAT, "sample '%s' has %zu expected outputs, the model %zu", sample.name, sample.target_count,
                                e->output_count);
        }
        baseline = sample.targets;
    }
    FB_TRY(fb_tally_add(&e->tally, &sample, baseline, e->outputs, err));
    return e->executions.session != NULL ? fb_executions_add(&e->executions, &sample, baseline, e->outputs, err) : FB_OK;
}

static FbStatus choose_output(const Evaluator *e, const char *wanted, size_t *judged, FbError *err)
{
    char shown[80];
    *judged = 0;
    for (size_t i = 0; wanted != NULL && i < e->output_count; i++) {
        if (strcmp(e->names[i], wanted) == 0) {
            *judged = i;
            return FB_OK;
        }
    }
    if (wanted == NULL) {
        return FB_OK;
    }
    const char *nearest = fb_nearest_name(wanted, e->names, e->output_count);
    return fb_error_set(err, FB_ERR_ARGUMENT, "the model has no output '%s'; %s '%s'", fb_escape(wanted, shown, sizeof shown),
                        nearest != NULL ? "did you mean" : "the first is", nearest != NULL ? nearest : e->names[0]);
}

static FbStatus prepare(Evaluator *e, FbDataset *data, const FbEvaluateOptions *options, FbError *err)
{
    size_t judged = 0;
    FbSessionOptions float_mode = {.struct_bytes = sizeof float_mode, .mode = FB_MODE_FLOAT};
    FbSessionOptions model_mode = {.struct_bytes = sizeof model_mode, .mode = options->mode};
    if (e->baseline != NULL && options->baseline_outputs != NULL) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a baseline model and stored baseline outputs: give one of them");
    }
    FB_TRY(allocate(e, err));
    FB_TRY(choose_output(e, options->output, &judged, err));
    if (e->baseline != NULL) {
        FB_TRY(match_baseline(e, err));
        FB_TRY(fb_session_create(e->context, e->baseline, &float_mode, &e->baseline_session, err));
    } else if (options->baseline_outputs != NULL) {
        FB_TRY(open_stored(e, options->baseline_outputs, fb_dataset_count(data), err));
    } else {
        FbSample first;
        FB_TRY(fb_dataset_read(data, 0, &first, err));
        e->expected = first.target_count > 0;
        if (options->max_loss >= 0 && !e->expected) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "a gate on the loss needs a baseline");
        }
    }
    FB_TRY(fb_session_create(e->context, e->model, &model_mode, &e->model_session, err));
    if (options->save_outputs != NULL) {
        FB_TRY(fb_npz_create(e->context, options->save_outputs, options->overwrite != 0, &e->saved, err));
    }
    FB_TRY(fb_tally_init(&e->tally, e->context, e->names, e->output_count, judged, err));
    for (size_t i = 0; i < e->input_count; i++) {
        if (strcmp(fb_model_input(e->model, i).name, "attention_mask") == 0) {
            e->tally.mask_input = (int)i;
        }
    }
    return options->mode == FB_MODE_INTEGER ? fb_executions_init(&e->executions, e->context, e->model, &e->tally, err) : FB_OK;
}

static FbStatus run_all(Evaluator *e, FbDataset *data, FbError *err)
{
    size_t count = fb_dataset_count(data);
    FbStatus status = FB_OK;
    fb_progress_begin(e->context, "evaluate", count);
    for (size_t i = 0; status == FB_OK && i < count; i++) {
        status = fb_check_cancel(e->context, err);
        status = status == FB_OK ? run_sample(e, data, i, err) : status;
        fb_progress_step(e->context, i + 1);
    }
    fb_progress_end(e->context);
    return status;
}

FbStatus fb_evaluate(FbContext *context, const FbModel *model, FbDataset *data, const FbEvaluateOptions *given, FbEvaluation *evaluation,
                     FbError *err)
{
    FbEvaluateOptions copy = {.struct_bytes = sizeof copy, .max_loss = -1};
    const FbEvaluateOptions *options = &copy;
    memset(evaluation, 0, sizeof *evaluation);
    FB_TRY(fb_options_read(&copy, sizeof copy, given, "FbEvaluateOptions", err));
    Evaluator e = {.context = context, .model = model, .baseline = options->baseline, .arena = fb_arena_create(context)};
    FbArena *kept = fb_arena_create(context);
    FbStatus status = e.arena == NULL || kept == NULL ? out_of_memory(&e, err) : prepare(&e, data, options, err);
    if (status == FB_OK && options->save_inputs != NULL) {
        status = fb_dataset_save(context, model, data, options->save_inputs, options->overwrite, err);
    }
    status = status == FB_OK ? run_all(&e, data, err) : status;
    status = status == FB_OK && e.saved != NULL ? save_others(&e, data, err) : status;
    if (status == FB_OK) {
        evaluation->baseline_seconds = e.baseline_seconds;
        evaluation->model_seconds = e.model_seconds;
        status = fb_tally_finish(&e.tally, has_baseline(&e), options->max_loss, kept, evaluation, err);
    }
    if (status == FB_OK && e.executions.session != NULL) {
        status = fb_executions_finish(&e.executions, has_baseline(&e), kept, evaluation, err);
    }
    if (status == FB_OK) {
        evaluation->owner = kept;
    } else {
        memset(evaluation, 0, sizeof *evaluation);
        fb_arena_free(kept);
    }
    fb_npz_abandon(e.saved);
    fb_tally_reset(&e.tally);
    fb_executions_reset(&e.executions);
    fb_session_free(e.model_session);
    fb_session_free(e.baseline_session);
    fb_arrays_free(e.stored);
    fb_arena_free(e.arena);
    return status;
}

void fb_evaluation_free(FbContext *context, FbEvaluation *evaluation)
{
    (void)context;
    if (evaluation != NULL) {
        fb_arena_free(evaluation->owner);
        memset(evaluation, 0, sizeof *evaluation);
    }
}
