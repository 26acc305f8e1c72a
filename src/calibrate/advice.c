/* What makes a calibration doubtful, said through the log with stable ids. */
#include "calibrate/advice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "calibrate/digest.h"

enum { FEW_SAMPLES = 100 };

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, FB_DIGEST_BYTES);
}

/* The digests of all samples, sorted; freed with fb_free. */
static FbStatus sorted_digests(FbContext *context, const FbStatistics *statistics, uint8_t **digests, FbError *err)
{
    *digests = fb_alloc_array(context, statistics->sample_count + 1, FB_DIGEST_BYTES);
    if (*digests == NULL) {
        return fb_error_memory(context, err, "digests", statistics->sample_count);
    }
    for (size_t i = 0; i < statistics->sample_count; i++) {
        memcpy(*digests + i * FB_DIGEST_BYTES, statistics->samples[i].digest, FB_DIGEST_BYTES);
    }
    qsort(*digests, statistics->sample_count, FB_DIGEST_BYTES, compare_digests);
    return FB_OK;
}

static void advise_samples(FbContext *context, const FbStatistics *statistics, const uint8_t *digests)
{
    size_t count = statistics->sample_count, duplicates = 0;
    for (size_t i = 1; i < count; i++) {
        duplicates += compare_digests(digests + (i - 1) * FB_DIGEST_BYTES, digests + i * FB_DIGEST_BYTES) == 0;
    }
    if (count < FEW_SAMPLES) {
        fb_log(context, FB_LOG_WARNING, "few-samples", "only %zu calibration samples: ranges of rare inputs may be missing; %d or more are advised",
               count, FEW_SAMPLES);
    }
    if (duplicates > 0) {
        fb_log(context, FB_LOG_WARNING, "duplicate-samples", "%zu of %zu calibration samples are copies of others and add nothing", duplicates,
               count);
    }
}

static void advise_inputs(FbContext *context, const FbModel *model, const FbStatistics *statistics)
{
    for (size_t i = 0; i < fb_model_input_count(model); i++) {
        const FbValueStatistics *value = fb_statistics_find(statistics, fb_model_input(model, i).name);
        size_t blank = 0;
        char shown[100];
        if (value == NULL) {
            continue;
        }
        for (size_t s = 0; s < statistics->sample_count; s++) {
            blank += value->ranges[s].low == value->ranges[s].high;
        }
        if (blank > 0) {
            fb_log(context, FB_LOG_WARNING, "constant-input", "input '%s' has one and the same value everywhere in %zu of %zu samples",
                   fb_escape(value->name, shown, sizeof shown), blank, statistics->sample_count);
        }
    }
}

size_t fb_statistics_growing(const FbStatistics *statistics, double share, size_t *counted, const char **worst)
{
    size_t early = statistics->sample_count - statistics->sample_count / 5, growing = 0;
    double most = share;
    *counted = 0;
    *worst = NULL;
    for (size_t v = 0; v < statistics->value_count && early < statistics->sample_count; v++) {
        const FbValueStatistics *value = &statistics->values[v];
        double low = INFINITY, high = -INFINITY;
        for (size_t s = 0; s < early; s++) {
            low = (double)value->ranges[s].low < low ? (double)value->ranges[s].low : low;
            high = (double)value->ranges[s].high > high ? (double)value->ranges[s].high : high;
        }
        double width = high - low, all = (double)value->record->high - (double)value->record->low;
        if (value->record->count == 0 || !(width > 0)) {
            continue;
        }
        (*counted)++;
        growing += all > width * (1 + share);
        if (all / width - 1 > most) {
            most = all / width - 1;
            *worst = value->name;
        }
    }
    return growing;
}

static void advise_growth(FbContext *context, const FbStatistics *statistics)
{
    const char *worst = NULL;
    size_t counted = 0, growing = fb_statistics_growing(statistics, 0.1, &counted, &worst);
    char shown[100];
    if (statistics->sample_count >= 10 && growing * 10 > counted) {
        fb_log(context, FB_LOG_WARNING, "ranges-growing",
               "%zu of %zu ranges grew by more than 10 %% in the last fifth of the samples (most: '%s'): more samples are advised", growing,
               counted, worst != NULL ? fb_escape(worst, shown, sizeof shown) : "");
    }
}

/* Mass of `record` in and below the bin of `exponent` that ends at bin edge `end`. */
static double mass_below(const FbRecord *record, int exponent, size_t end, size_t *at, double *sum)
{
    int shift = exponent - record->exponent;
    double edge = ldexp((double)end - FB_RECORD_HALF, shift < 20 ? shift : 20) + FB_RECORD_HALF;
    while (*at < FB_RECORD_BINS && (double)(*at + 1) <= edge) {
        *sum += (double)record->bins[(*at)++];
    }
    return *sum / (double)record->count;
}

double fb_record_distance(const FbRecord *a, const FbRecord *b)
{
    int exponent = a->exponent > b->exponent ? a->exponent : b->exponent;
    size_t a_at = 0, b_at = 0;
    double a_sum = 0, b_sum = 0, largest = 0;
    if (a->count == 0 || b->count == 0) {
        return a->count == b->count ? 0 : 1;
    }
    for (size_t end = 1; end <= FB_RECORD_BINS; end++) {
        double difference = fabs(mass_below(a, exponent, end, &a_at, &a_sum) - mass_below(b, exponent, end, &b_at, &b_sum));
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

typedef struct Comparison { /* of the evaluation set with the calibration set */
    FbRecorder *recorder;
    FbRecord **records; /* per model input; NULL: not a float */
    size_t input_count;
    size_t shared;
} Comparison;

static FbStatus add_evaluation_sample(Comparison *comparison, const FbSample *sample, FbRecordDraft *draft)
{
    for (size_t i = 0; i < comparison->input_count && i < sample->input_count; i++) {
        const FbTensor *input = &sample->inputs[i];
        int64_t elements = fb_tensor_elements(input);
        if (comparison->records[i] == NULL || input->dtype != FB_DTYPE_F32 || elements <= 0 || elements > UINT32_MAX) {
            continue;
        }
        fb_recorder_fill(comparison->recorder, input->data, (size_t)elements, comparison->records[i]->exponent, draft);
        if (draft->finite) {
            fb_record_commit(comparison->records[i], draft);
        }
    }
    return FB_OK;
}

static FbStatus read_evaluation(FbContext *context, FbDataset *evaluation, const FbStatistics *statistics, const uint8_t *digests,
                                Comparison *comparison, FbRecordDraft *draft, FbError *err)
{
    size_t total = fb_dataset_count(evaluation);
    fb_progress_begin(context, "compare data", total);
    FbStatus status = FB_OK;
    for (size_t i = 0; i < total && status == FB_OK; i++) {
        FbSample sample;
        uint8_t digest[FB_DIGEST_BYTES];
        status = fb_check_cancel(context, err);
        status = status == FB_OK ? fb_dataset_read(evaluation, i, &sample, err) : status;
        status = status == FB_OK ? fb_sample_digest(context, &sample, digest, err) : status;
        if (status == FB_OK) {
            comparison->shared += bsearch(digest, digests, statistics->sample_count, FB_DIGEST_BYTES, compare_digests) != NULL;
            status = add_evaluation_sample(comparison, &sample, draft);
        }
        fb_progress_step(context, i + 1);
    }
    fb_progress_end(context);
    return status;
}

/* Mean of the values of a histogram. */
static double mean_of(const FbRecord *record)
{
    double sum = 0;
    for (size_t i = 0; i < FB_RECORD_BINS; i++) {
        sum += (double)record->bins[i] * fb_record_center(record->exponent, i);
    }
    return record->count > 0 ? sum / (double)record->count : 0;
}

static void report_comparison(FbContext *context, const FbModel *model, const FbStatistics *statistics, const Comparison *comparison)
{
    const double different = 0.15; /* pictures of one source, 100 and more of them, stay below 0.05 */
    char shown[100];
    if (comparison->shared > 0) {
        fb_log(context, FB_LOG_WARNING, "samples-in-evaluation-set",
               "%zu samples of the evaluation set were used for calibration: the measured accuracy will be too good", comparison->shared);
    }
    for (size_t i = 0; i < comparison->input_count; i++) {
        const char *name = fb_model_input(model, i).name;
        const FbValueStatistics *value = comparison->records[i] != NULL ? fb_statistics_find(statistics, name) : NULL;
        double distance = value != NULL ? fb_record_distance(value->record, comparison->records[i]) : 0;
        if (value != NULL && distance > different) {
            fb_log(context, FB_LOG_WARNING, "distribution-differs",
                   "input '%s': calibration and evaluation data differ (distance %.2f, means %.4g and %.4g): same source, same preprocessing?",
                   fb_escape(name, shown, sizeof shown), distance, mean_of(value->record), mean_of(comparison->records[i]));
        }
    }
}

static FbStatus compare(FbContext *context, const FbModel *model, const FbStatistics *statistics, const uint8_t *digests, FbDataset *evaluation,
                        FbError *err)
{
    FbArena *arena = fb_arena_create(context);
    Comparison comparison = {.recorder = fb_recorder_create(context), .input_count = fb_model_input_count(model)};
    FbRecordDraft *draft = arena != NULL ? fb_arena_alloc(arena, sizeof *draft) : NULL;
    comparison.records = arena != NULL ? fb_arena_array(arena, comparison.input_count + 1, sizeof *comparison.records) : NULL;
    FbStatus status = FB_OK;
    if (comparison.recorder == NULL || draft == NULL || comparison.records == NULL) {
        status = fb_error_memory(context, err, "comparison of data sets", 0);
    }
    for (size_t i = 0; i < comparison.input_count && status == FB_OK; i++) {
        if (fb_model_input(model, i).dtype == FB_DTYPE_F32) {
            comparison.records[i] = fb_arena_alloc(arena, sizeof **comparison.records);
            if (comparison.records[i] == NULL) {
                status = fb_error_memory(context, err, "comparison of data sets", sizeof **comparison.records);
                break;
            }
            fb_record_reset(comparison.records[i]);
        }
    }
    if (status == FB_OK) {
        status = read_evaluation(context, evaluation, statistics, digests, &comparison, draft, err);
    }
    if (status == FB_OK) {
        report_comparison(context, model, statistics, &comparison);
    }
    fb_recorder_free(comparison.recorder);
    fb_arena_free(arena);
    return status;
}

FbStatus fb_calibration_advice(FbContext *context, const FbModel *model, const FbStatistics *statistics,
                               FbDataset *evaluation, FbError *err)
{
    uint8_t *digests = NULL;
    FB_TRY(sorted_digests(context, statistics, &digests, err));
    advise_samples(context, statistics, digests);
    advise_inputs(context, model, statistics);
    advise_growth(context, statistics);
    FbStatus status = evaluation != NULL ? compare(context, model, statistics, digests, evaluation, err) : FB_OK;
    fb_free(context, digests);
    return status;
}
