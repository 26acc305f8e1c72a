/* One pass of the float model over the chosen samples. A sample counts when all its activations were finite, and then as a whole. */
#include "fewbit/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/option_struct.h"
#include "calibrate/advice.h"
#include "calibrate/digest.h"
#include "calibrate/selection.h"
#include "calibrate/statistics.h"
#include "calibrate/transform.h"
#include "fewbit/session.h"
#include "graph/model.h"
#include "passes/quant_placement.h"

enum { DRAFT_BYTES_MAX = 64 << 20, BATCH_MAX = 64 };

typedef struct Observed { /* one activation, in the session's order */
    FbValueStatistics *value;
    FbShape alone;     /* its shape in a run of one sample, rank -1: not seen yet */
    FbRecordDraft *drafts; /* batch */
    size_t filled;     /* samples of this run that it was seen for */
} Observed;

typedef struct Pass {
    FbContext *context;
    FbDataset *data;
    FbModel *model;          /* the clone that runs: transforms applied */
    FbStatistics *statistics;
    FbRecorder *recorder;
    FbSession *session;
    Observed *observed;      /* nodes' values, then the float inputs */
    const char **names;
    size_t observed_count, input_count;
    Observed **inputs;       /* per model input; NULL: not a float */
    size_t batch;            /* samples per run; falls to 1 when an activation cannot be cut by sample */
    size_t running;          /* samples of this run */
    bool shapes_known;       /* `alone` of every activation is of samples shaped like those held */
    bool not_separable;      /* set by the observer in a run of several samples */
    FbSampleMark *marks;     /* of the samples held */
    uint8_t **held;          /* per model input: the bytes of `batch` samples */
    FbTensor *shapes;        /* per model input: one sample's tensor, without data */
} Pass;

/* ---- what is observed ---- */

static FbStatus placed_values(const FbModel *model, FbArena *arena, const char ***names, size_t *count, FbError *err)
{
    const FbGraph *graph = model->graph;
    FbQuantPlacement placement = {.target = FB_QUANT_FOR_ONNXRUNTIME | FB_QUANT_FOR_OPENVINO};
    placement.quantized = fb_arena_array(arena, graph->node_count + 1, sizeof *placement.quantized);
    *names = fb_arena_array(arena, graph->value_count + 1, sizeof **names);
    if (placement.quantized == NULL || *names == NULL) {
        return fb_error_memory(model->context, err, "calibration", graph->value_count);
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        placement.quantized[n] = !graph->nodes[n]->removed;
    }
    FB_TRY(fb_quant_place(graph, arena, &placement, err));
    *count = 0;
    for (size_t v = 0; v < graph->value_count; v++) {
        if (placement.range_of[v] == (FbId)v && graph->values[v].producer != FB_NONE) {
            (*names)[(*count)++] = graph->values[v].name;
        }
    }
    return FB_OK;
}

static FbStatus collect_names(Pass *pass, FbArena *arena, FbError *err)
{
    FB_TRY(placed_values(pass->model, arena, &pass->names, &pass->observed_count, err));
    pass->input_count = fb_model_input_count(pass->model);
    size_t total = pass->observed_count + pass->input_count;
    const char **all = fb_arena_array(arena, total + 1, sizeof *all);
    pass->observed = fb_arena_array(arena, total + 1, sizeof *pass->observed);
    pass->inputs = fb_arena_array(arena, pass->input_count + 1, sizeof *pass->inputs);
    pass->held = fb_arena_array(arena, pass->input_count + 1, sizeof *pass->held);
    pass->shapes = fb_arena_array(arena, pass->input_count + 1, sizeof *pass->shapes);
    if (all == NULL || pass->observed == NULL || pass->inputs == NULL || pass->held == NULL || pass->shapes == NULL) {
        return fb_error_memory(pass->context, err, "calibration", total);
    }
    memcpy(all, pass->names, pass->observed_count * sizeof *all);
    size_t count = pass->observed_count;
    for (size_t i = 0; i < pass->input_count; i++) {
        FbPort port = fb_model_input(pass->model, i);
        if (port.dtype == FB_DTYPE_F32) {
            pass->inputs[i] = &pass->observed[count];
            all[count++] = port.name;
        }
    }
    for (size_t i = 0; i < count; i++) {
        pass->observed[i].alone.rank = -1;
    }
    pass->names = all;
    return FB_OK;
}

/* ---- one run ---- */

/* Cuts the tensor of a run of several samples into its samples; false when it has no such form. */
static bool separable(const Observed *observed, const FbTensor *tensor, size_t samples)
{
    const FbShape *alone = &observed->alone;
    if (alone->rank != tensor->rank || tensor->rank < 1 || alone->dims[0] > INT64_MAX / (int64_t)samples ||
        tensor->dims[0] != alone->dims[0] * (int64_t)samples) {
        return false;
    }
    return memcmp(alone->dims + 1, tensor->dims + 1, (size_t)(tensor->rank - 1) * sizeof *tensor->dims) == 0;
}

static FbStatus take(Pass *pass, Observed *observed, const FbTensor *tensor, size_t samples, FbError *err)
{
    int64_t elements = fb_tensor_elements(tensor);
    if (tensor->dtype != FB_DTYPE_F32 || elements < 0) {
        return FB_OK; /* never counted, so quantize says that there is no float range */
    }
    if (samples == 1) {
        observed->alone = fb_tensor_shape(tensor);
    } else if (!separable(observed, tensor, samples)) {
        pass->not_separable = true;
        return FB_OK;
    }
    uint64_t each = (uint64_t)elements / samples;
    if (each > UINT32_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "activation '%.100s' has more than 2^32 values", observed->value->name);
    }
    for (size_t s = 0; s < samples; s++) {
        fb_recorder_fill(pass->recorder, (const float *)tensor->data + s * each, (size_t)each, observed->value->record->exponent,
                         &observed->drafts[s]);
    }
    observed->filled = samples;
    return FB_OK;
}

static FbStatus on_value(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    Pass *pass = user;
    (void)channels_last; /* extremes and counts do not depend on the order within a sample */
    return take(pass, &pass->observed[index], tensor, pass->running, err);
}

static FbStatus run_samples(Pass *pass, size_t first, size_t samples, FbError *err)
{
    enum { INPUTS = 64 };
    FbTensor inputs[INPUTS], outputs[INPUTS];
    size_t output_count = fb_model_output_count(pass->model);
    if (pass->input_count > INPUTS || output_count > INPUTS) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "calibration of a model with more than %d inputs or outputs", INPUTS);
    }
    pass->running = samples;
    pass->not_separable = false;
    for (size_t i = 0; i < pass->observed_count; i++) {
        pass->observed[i].filled = 0;
    }
    for (size_t i = 0; i < pass->input_count; i++) {
        inputs[i] = pass->shapes[i];
        inputs[i].data = pass->held[i] + first * pass->shapes[i].bytes;
        if (samples > 1) {
            inputs[i].dims[0] *= (int64_t)samples;
            inputs[i].bytes *= samples;
        }
        if (pass->inputs[i] != NULL) {
            pass->inputs[i]->filled = 0;
            FB_TRY(take(pass, pass->inputs[i], &inputs[i], samples, err));
        }
    }
    return fb_session_run(pass->session, inputs, pass->input_count, outputs, output_count, err);
}

static bool sample_is_finite(const Pass *pass, size_t sample)
{
    for (size_t v = 0; v < pass->statistics->value_count; v++) {
        const Observed *observed = &pass->observed[v];
        if (observed->filled > 0 && !observed->drafts[sample].finite) {
            return false;
        }
    }
    return true;
}

static FbStatus commit_run(Pass *pass, size_t first, size_t samples, FbError *err)
{
    for (size_t s = 0; s < samples; s++) {
        size_t row = 0;
        if (!sample_is_finite(pass, s)) {
            pass->statistics->rejected++;
            fb_log(pass->context, FB_LOG_WARNING, "sample-rejected", "sample %llu makes NaN or infinite activations and is left out",
                   (unsigned long long)pass->marks[first + s].index);
            continue;
        }
        FB_TRY(fb_statistics_add_sample(pass->statistics, &pass->marks[first + s], &row, err));
        for (size_t v = 0; v < pass->statistics->value_count; v++) {
            Observed *observed = &pass->observed[v];
            if (observed->filled == 0) {
                continue;
            }
            const FbRecordDraft *draft = &observed->drafts[s];
            fb_record_commit(observed->value->record, draft);
            if (draft->count > 0) {
                observed->value->ranges[row] = (FbSampleRange){draft->low, draft->high};
            }
        }
    }
    return FB_OK;
}

/* The samples held, in one run if they can be told apart in it, else one by one. */
static FbStatus run_held(Pass *pass, size_t held, FbError *err)
{
    size_t done = 0;
    if (held > 1 && pass->batch > 1 && !pass->shapes_known) { /* the first sample alone tells the shapes */
        FB_TRY(run_samples(pass, 0, 1, err));
        FB_TRY(commit_run(pass, 0, 1, err));
        done = 1;
    }
    pass->shapes_known = held > 1;
    if (held - done > 1 && pass->batch > 1) {
        FB_TRY(run_samples(pass, done, held - done, err));
        if (!pass->not_separable) {
            return commit_run(pass, done, held - done, err);
        }
        pass->batch = 1;
    }
    for (; done < held; done++) {
        FB_TRY(fb_check_cancel(pass->context, err));
        FB_TRY(run_samples(pass, done, 1, err));
        FB_TRY(commit_run(pass, done, 1, err));
    }
    return FB_OK;
}

/* ---- samples ---- */

/* True when the sample has the shapes of those held, so that it may join their run. */
static bool same_shapes(const Pass *pass, const FbSample *sample)
{
    for (size_t i = 0; i < pass->input_count; i++) {
        const FbTensor *a = &pass->shapes[i], *b = &sample->inputs[i];
        FbShape x = fb_tensor_shape(a), y = fb_tensor_shape(b);
        if (a->dtype != b->dtype || !fb_shape_equal(&x, &y)) {
            return false;
        }
    }
    return true;
}

static FbStatus hold(Pass *pass, const FbSample *sample, size_t place, FbError *err)
{
    for (size_t i = 0; i < pass->input_count; i++) {
        const FbTensor *input = &sample->inputs[i];
        size_t bytes = 0;
        FbShape shape = fb_tensor_shape(input), before = fb_tensor_shape(&pass->shapes[i]);
        if (place == 0) {
            pass->shapes_known = pass->shapes_known && fb_shape_equal(&shape, &before);
            pass->shapes[i] = *input;
            fb_free(pass->context, pass->held[i]);
            pass->held[i] = fb_mul_size(input->bytes, pass->batch, &bytes) ? fb_alloc(pass->context, bytes) : NULL;
            if (pass->held[i] == NULL) {
                return fb_error_memory(pass->context, err, "a batch of samples", bytes);
            }
        }
        if (input->bytes > 0) {
            memcpy(pass->held[i] + place * input->bytes, input->data, input->bytes);
        }
    }
    return FB_OK;
}

static FbStatus read_sample(Pass *pass, size_t index, FbSample *sample, FbError *err)
{
    FB_TRY(fb_check_cancel(pass->context, err));
    FB_TRY(fb_dataset_read(pass->data, index, sample, err));
    if (sample->input_count != pass->input_count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sample %zu has %zu inputs, the model %zu", index, sample->input_count, pass->input_count);
    }
    return FB_OK;
}

static FbStatus run_all(Pass *pass, const size_t *indices, size_t count, FbError *err)
{
    size_t held = 0;
    FbStatus status = FB_OK;
    fb_progress_begin(pass->context, "calibrate", count);
    for (size_t i = 0; i < count && status == FB_OK; i++) {
        FbSample sample;
        status = read_sample(pass, indices[i], &sample, err);
        if (status == FB_OK && held > 0 && (held == pass->batch || !same_shapes(pass, &sample))) {
            status = run_held(pass, held, err);
            held = 0;
        }
        if (status == FB_OK) {
            status = fb_sample_digest(pass->context, &sample, pass->marks[held].digest, err);
            pass->marks[held].index = indices[i];
        }
        if (status == FB_OK) {
            status = hold(pass, &sample, held++, err);
        }
        fb_progress_step(pass->context, i + 1 - held);
    }
    if (status == FB_OK && held > 0) {
        status = run_held(pass, held, err);
    }
    fb_progress_end(pass->context);
    return status;
}

/* ---- the whole ---- */

/* Samples of one run are told apart along the first axis, which the model must leave open in every input. */
static size_t possible_batch(const Pass *pass, size_t wanted)
{
    size_t drafts = pass->statistics->value_count * sizeof(FbRecordDraft);
    size_t most = drafts > 0 ? DRAFT_BYTES_MAX / drafts : BATCH_MAX;
    wanted = wanted > BATCH_MAX ? BATCH_MAX : wanted;
    wanted = wanted > most ? most : wanted;
    for (size_t i = 0; i < pass->input_count; i++) {
        FbPort port = fb_model_input(pass->model, i);
        if (port.rank < 1 || port.dims[0] >= 0) {
            return 1;
        }
    }
    return wanted > 1 ? wanted : 1;
}

static FbStatus make_drafts(Pass *pass, FbArena *arena, FbError *err)
{
    size_t total = pass->statistics->value_count;
    pass->marks = fb_arena_array(arena, pass->batch, sizeof *pass->marks);
    if (pass->marks == NULL) {
        return fb_error_memory(pass->context, err, "calibration", pass->batch);
    }
    for (size_t v = 0; v < total; v++) {
        pass->observed[v].value = NULL;
        for (size_t k = 0; k < total; k++) {
            if (strcmp(pass->statistics->values[k].name, pass->names[v]) == 0) {
                pass->observed[v].value = &pass->statistics->values[k];
            }
        }
        pass->observed[v].drafts = fb_arena_array(arena, pass->batch, sizeof *pass->observed[v].drafts);
        if (pass->observed[v].value == NULL || pass->observed[v].drafts == NULL) {
            return fb_error_memory(pass->context, err, "histograms", pass->batch * sizeof *pass->observed[v].drafts);
        }
    }
    return FB_OK;
}

static FbStatus start(Pass *pass, const FbModel *model, const FbCalibrateOptions *options, FbArena *arena, FbError *err)
{
    char hash[65];
    FB_TRY(fb_model_clone(model, &pass->model, err));
    FB_TRY(fb_model_hash(pass->model, hash, err));
    for (int t = 0; t < FB_TRANSFORM_COUNT; t++) {
        FB_TRY(fb_transform_apply((FbTransform)t, pass->model, err));
    }
    FB_TRY(collect_names(pass, arena, err));
    size_t total = pass->observed_count;
    for (size_t i = 0; i < pass->input_count; i++) {
        total += pass->inputs[i] != NULL;
    }
    FB_TRY(fb_statistics_create(pass->context, hash, pass->names, total, &pass->statistics, err));
    pass->statistics->selection = options->selection;
    pass->statistics->seed = options->seed;
    pass->recorder = fb_recorder_create(pass->context);
    if (pass->recorder == NULL) {
        return fb_error_memory(pass->context, err, "histograms", 0);
    }
    pass->batch = possible_batch(pass, options->batch);
    FB_TRY(make_drafts(pass, arena, err));
    FbSessionOptions session = {.struct_bytes = sizeof session, .mode = FB_MODE_FLOAT, .observed = pass->names,
                                .observed_count = pass->observed_count, .observe = on_value, .observe_user = pass};
    return fb_session_create(pass->context, pass->model, &session, &pass->session, err);
}

static FbStatus check_rejected(const FbStatistics *statistics, size_t count, FbError *err)
{
    if (statistics->rejected > count / 100) {
        return fb_error_set(err, FB_ERR_NUMERIC,
                            "%llu of %zu calibration samples make NaN or infinite activations (more than 1 %%): check the data, its preprocessing "
                            "and the float model",
                            (unsigned long long)statistics->rejected, count);
    }
    return FB_OK;
}

static void finish(Pass *pass)
{
    for (size_t i = 0; pass->held != NULL && i < pass->input_count; i++) {
        fb_free(pass->context, pass->held[i]);
    }
    fb_session_free(pass->session);
    fb_recorder_free(pass->recorder);
    fb_model_free(pass->model);
}

FbStatus fb_calibrate(FbContext *context, const FbModel *model, FbDataset *data, const FbCalibrateOptions *given, FbStatistics **statistics,
                      FbError *err)
{
    FbCalibrateOptions all = {.struct_bytes = sizeof all}, *options = &all;
    Pass pass = {.context = context, .data = data};
    size_t *indices = NULL, count = 0;
    *statistics = NULL;
    FB_TRY(fb_options_read(&all, sizeof all, given, "FbCalibrateOptions", err));
    FB_TRY(fb_select_samples(context, data, options->selection, options->samples, options->seed, &indices, &count, err));
    FbArena *arena = fb_arena_create(context);
    FbStatus status = arena == NULL ? fb_error_memory(context, err, "calibration", 0) : start(&pass, model, options, arena, err);
    if (status == FB_OK) {
        status = run_all(&pass, indices, count, err);
    }
    if (status == FB_OK) {
        status = check_rejected(pass.statistics, count, err);
    }
    if (status == FB_OK) {
        status = fb_calibration_advice(context, pass.model, pass.statistics, options->evaluation, err);
    }
    finish(&pass);
    fb_arena_free(arena);
    fb_free(context, indices);
    if (status != FB_OK) {
        fb_statistics_free(pass.statistics);
        return status;
    }
    *statistics = pass.statistics;
    return FB_OK;
}
