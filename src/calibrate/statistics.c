/* Statistics in memory: creation, look-up, growth by samples, exact merging. */
#include "calibrate/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/sha256.h"

int fb_sample_mark_compare(const FbSampleMark *a, const FbSampleMark *b)
{
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    return memcmp(a->digest, b->digest, FB_DIGEST_BYTES);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const FbValueStatistics *)a)->name, ((const FbValueStatistics *)b)->name);
}

static FbStatus init_value(FbContext *context, FbValueStatistics *value, const char *name, FbError *err)
{
    value->name = fb_strdup(context, name);
    value->record = fb_alloc(context, sizeof *value->record);
    if (value->name == NULL || value->record == NULL) {
        return fb_error_memory(context, err, "statistics of an activation", sizeof *value->record);
    }
    fb_record_reset(value->record);
    return FB_OK;
}

static void free_value(FbContext *context, FbValueStatistics *value)
{
    fb_free(context, value->name);
    fb_free(context, value->record);
    fb_free(context, value->ranges);
}

FbStatus fb_statistics_create(FbContext *context, const char model_hash[65], const char *const *names, size_t count,
                              FbStatistics **statistics, FbError *err)
{
    *statistics = NULL;
    FbStatus status = FB_OK;
    FbStatistics *made = fb_alloc_zero(context, sizeof *made);
    if (made == NULL) {
        return fb_error_memory(context, err, "statistics", sizeof *made);
    }
    made->context = context;
    memcpy(made->model_hash, model_hash, 64);
    made->values = fb_alloc_array(context, count > 0 ? count : 1, sizeof *made->values);
    if (made->values == NULL) {
        status = fb_error_memory(context, err, "statistics", count * sizeof *made->values);
        goto done;
    }
    memset(made->values, 0, (count > 0 ? count : 1) * sizeof *made->values);
    for (size_t i = 0; i < count && status == FB_OK; i++) {
        made->value_count = i + 1;
        status = init_value(context, &made->values[i], names[i], err);
    }
    if (status != FB_OK) {
        goto done;
    }
    qsort(made->values, made->value_count, sizeof *made->values, compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < made->value_count; i++) {
        if (kept > 0 && strcmp(made->values[kept - 1].name, made->values[i].name) == 0) {
            free_value(context, &made->values[i]);
        } else {
            made->values[kept++] = made->values[i];
        }
    }
    made->value_count = kept;
    *statistics = made;
    return FB_OK;
done:
    fb_statistics_free(made);
    return status;
}

void fb_statistics_free(FbStatistics *statistics)
{
    if (statistics == NULL) {
        return;
    }
    FbContext *context = statistics->context;
    for (size_t i = 0; statistics->values != NULL && i < statistics->value_count; i++) {
        free_value(context, &statistics->values[i]);
    }
    fb_free(context, statistics->values);
    fb_free(context, statistics->samples);
    fb_free(context, statistics);
}

static FbValueStatistics *find(const FbStatistics *statistics, const char *name)
{
    size_t low = 0, high = statistics->value_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(statistics->values[middle].name, name);
        if (order == 0) {
            return &statistics->values[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const FbValueStatistics *fb_statistics_find(const FbStatistics *statistics, const char *name)
{
    const FbValueStatistics *value = find(statistics, name);
    return value != NULL && value->record->count > 0 ? value : NULL;
}

/* Capacity for `capacity` samples in the marks and every value. */
static FbStatus reserve(FbStatistics *statistics, size_t capacity, FbError *err)
{
    FbContext *context = statistics->context;
    if (capacity <= statistics->sample_capacity) {
        return FB_OK;
    }
    FbSampleMark *samples = fb_realloc_array(context, statistics->samples, capacity, sizeof *samples);
    if (samples == NULL) {
        return fb_error_memory(context, err, "list of samples", capacity * sizeof *samples);
    }
    statistics->samples = samples;
    for (size_t i = 0; i < statistics->value_count; i++) {
        FbSampleRange *ranges = fb_realloc_array(context, statistics->values[i].ranges, capacity, sizeof *ranges);
        if (ranges == NULL) {
            return fb_error_memory(context, err, "ranges of samples", capacity * sizeof *ranges);
        }
        statistics->values[i].ranges = ranges;
    }
    statistics->sample_capacity = capacity;
    return FB_OK;
}

FbStatus fb_statistics_add_sample(FbStatistics *statistics, const FbSampleMark *mark, size_t *row, FbError *err)
{
    size_t count = statistics->sample_count;
    if (count == statistics->sample_capacity) {
        FB_TRY(reserve(statistics, count < 32 ? 64 : count * 2, err));
    }
    size_t at = count;
    while (at > 0 && fb_sample_mark_compare(mark, &statistics->samples[at - 1]) < 0) {
        at--;
    }
    if (at > 0 && fb_sample_mark_compare(mark, &statistics->samples[at - 1]) == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sample %llu is already part of these statistics", (unsigned long long)mark->index);
    }
    memmove(&statistics->samples[at + 1], &statistics->samples[at], (count - at) * sizeof *statistics->samples);
    statistics->samples[at] = *mark;
    for (size_t i = 0; i < statistics->value_count; i++) {
        FbSampleRange *ranges = statistics->values[i].ranges;
        memmove(&ranges[at + 1], &ranges[at], (count - at) * sizeof *ranges);
        ranges[at] = (FbSampleRange){INFINITY, -INFINITY};
    }
    statistics->sample_count = count + 1;
    *row = at;
    return FB_OK;
}

FbStatus fb_statistics_data_hash(const FbStatistics *statistics, char sha256[65], FbError *err)
{
    FbSha256 *hash = fb_sha256_create(statistics->context);
    if (hash == NULL) {
        return fb_error_memory(statistics->context, err, "hash", 0);
    }
    for (size_t i = 0; i < statistics->sample_count; i++) {
        uint8_t index[8];
        for (int b = 0; b < 8; b++) {
            index[b] = (uint8_t)(statistics->samples[i].index >> (8 * b));
        }
        fb_sha256_add(hash, index, sizeof index);
        fb_sha256_add(hash, statistics->samples[i].digest, FB_DIGEST_BYTES);
    }
    fb_sha256_finish(hash, sha256);
    return FB_OK;
}

/* What would make a merge fail is looked for before anything changes. */
static FbStatus check_merge(const FbStatistics *into, const FbStatistics *from, FbError *err)
{
    if (strcmp(into->model_hash, from->model_hash) != 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "statistics of two models cannot be merged: model hash %.16s... and %.16s...",
                            into->model_hash, from->model_hash);
    }
    if (into->value_count != from->value_count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "statistics of %zu and of %zu activations cannot be merged", into->value_count,
                            from->value_count);
    }
    for (size_t i = 0; i < into->value_count; i++) {
        if (strcmp(into->values[i].name, from->values[i].name) != 0) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "statistics with and without an activation cannot be merged: '%.100s'",
                                into->values[i].name);
        }
        if (!fb_record_can_merge(into->values[i].record, from->values[i].record)) {
            return fb_error_set(err, FB_ERR_BUDGET, "too many values in the merged statistics of '%.100s'", into->values[i].name);
        }
    }
    size_t a = 0, b = 0;
    while (a < into->sample_count && b < from->sample_count) {
        int order = fb_sample_mark_compare(&into->samples[a], &from->samples[b]);
        if (order == 0) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "sample %llu is part of both statistics",
                                (unsigned long long)into->samples[a].index);
        }
        a += order < 0;
        b += order > 0;
    }
    return FB_OK;
}

FbStatus fb_statistics_merge(FbStatistics *statistics, const FbStatistics *other, FbError *err)
{
    FB_TRY(check_merge(statistics, other, err));
    size_t total = 0;
    if (!fb_add_size(statistics->sample_count, other->sample_count, &total)) {
        return fb_error_set(err, FB_ERR_BUDGET, "too many samples in the merged statistics");
    }
    FB_TRY(reserve(statistics, total, err));
    for (size_t i = 0; i < statistics->value_count; i++) {
        fb_record_merge(statistics->values[i].record, other->values[i].record);
    }
    /* From the end, so that the merged list grows into the free room. */
    size_t a = statistics->sample_count, b = other->sample_count;
    for (size_t to = total; b > 0; to--) {
        bool own = a > 0 && fb_sample_mark_compare(&statistics->samples[a - 1], &other->samples[b - 1]) > 0;
        statistics->samples[to - 1] = own ? statistics->samples[a - 1] : other->samples[b - 1];
        for (size_t i = 0; i < statistics->value_count; i++) {
            statistics->values[i].ranges[to - 1] = own ? statistics->values[i].ranges[a - 1] : other->values[i].ranges[b - 1];
        }
        a -= own;
        b -= !own;
    }
    statistics->sample_count = total;
    statistics->rejected += other->rejected;
    if (statistics->selection != other->selection || statistics->seed != other->seed) {
        statistics->selection = FB_SELECT_ALL; /* no single selection describes the union; the list of samples does */
        statistics->seed = 0;
    }
    return FB_OK;
}
