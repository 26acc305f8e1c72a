/* First, random and stratified selection; the random ones depend on the seed and the number of samples only. */
#include "calibrate/selection.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { STREAM_SAMPLES = 1, STREAM_CLASSES = 2 };

static int compare_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Fisher and Yates, the first `wanted` places only. */
static void shuffle(size_t *items, size_t count, size_t wanted, uint64_t seed, uint64_t stream)
{
    for (size_t i = 0; i < wanted && i + 1 < count; i++) {
        size_t j = i + (size_t)fb_random_below(seed, stream, i, count - i);
        size_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

typedef struct Labelled {
    int64_t label;
    size_t index; /* of the sample */
    size_t turn;  /* in which round its class gives it */
    uint64_t order; /* of its class within a round */
} Labelled;

static int compare_labels(const void *a, const void *b)
{
    const Labelled *x = a, *y = b;
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_turns(const void *a, const void *b)
{
    const Labelled *x = a, *y = b;
    if (x->turn != y->turn) {
        return x->turn < y->turn ? -1 : 1;
    }
    if (x->order != y->order) {
        return x->order < y->order ? -1 : 1;
    }
    return x->label < y->label ? -1 : x->label > y->label;
}

FbStatus fb_select_stratified(FbContext *context, const int64_t *labels, size_t count, size_t wanted, uint64_t seed, size_t *indices,
                              FbError *err)
{
    Labelled *items = fb_alloc_array(context, count, sizeof *items);
    size_t *order = fb_alloc_array(context, count, sizeof *order);
    if (items == NULL || order == NULL) {
        fb_free(context, items);
        fb_free(context, order);
        return fb_error_memory(context, err, "selection of samples", count * sizeof *items);
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = (Labelled){.label = labels[i], .index = i};
    }
    qsort(items, count, sizeof *items, compare_labels);
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        while (end < count && items[end].label == items[begin].label) {
            end++;
        }
        for (size_t i = begin; i < end; i++) {
            order[i - begin] = i - begin;
        }
        uint64_t class_stream = fb_random_u64(seed, STREAM_CLASSES, (uint64_t)items[begin].label);
        shuffle(order, end - begin, end - begin, seed, class_stream);
        for (size_t i = begin; i < end; i++) {
            items[begin + order[i - begin]].turn = i - begin;
            items[i].order = class_stream;
        }
    }
    qsort(items, count, sizeof *items, compare_turns);
    for (size_t i = 0; i < wanted; i++) {
        indices[i] = items[i].index;
    }
    qsort(indices, wanted, sizeof *indices, compare_size);
    fb_free(context, items);
    fb_free(context, order);
    return FB_OK;
}

static FbStatus select_by_label(FbContext *context, FbDataset *data, size_t wanted, uint64_t seed, size_t *indices, FbError *err)
{
    size_t total = fb_dataset_count(data);
    int64_t *labels = fb_alloc_array(context, total, sizeof *labels);
    if (labels == NULL) {
        return fb_error_memory(context, err, "labels", total * sizeof *labels);
    }
    FbStatus status = FB_OK;
    for (size_t i = 0; i < total && status == FB_OK; i++) {
        FbSample sample;
        status = fb_check_cancel(context, err);
        if (status == FB_OK) {
            status = fb_dataset_read(data, i, &sample, err);
        }
        labels[i] = status == FB_OK ? sample.label : -1;
    }
    if (status == FB_OK) {
        status = fb_select_stratified(context, labels, total, wanted, seed, indices, err);
    }
    fb_free(context, labels);
    return status;
}

FbStatus fb_select_samples(FbContext *context, FbDataset *data, FbSelection selection, size_t wanted, uint64_t seed, size_t **indices,
                           size_t *count, FbError *err)
{
    size_t total = fb_dataset_count(data);
    *indices = NULL;
    if (total == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the calibration data holds no samples: ranges cannot be measured");
    }
    size_t taken = selection == FB_SELECT_ALL || wanted == 0 || wanted > total ? total : wanted;
    if (selection == FB_SELECT_STRATIFIED && !fb_dataset_has_labels(data)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "stratified selection needs labels, and the data has none; use random");
    }
    size_t *chosen = fb_alloc_array(context, total, sizeof *chosen);
    if (chosen == NULL) {
        return fb_error_memory(context, err, "selection of samples", total * sizeof *chosen);
    }
    FbStatus status = FB_OK;
    for (size_t i = 0; i < total; i++) {
        chosen[i] = i;
    }
    if (selection == FB_SELECT_RANDOM) {
        shuffle(chosen, total, taken, seed, STREAM_SAMPLES);
        qsort(chosen, taken, sizeof *chosen, compare_size);
    } else if (selection == FB_SELECT_STRATIFIED && taken < total) {
        status = select_by_label(context, data, taken, seed, chosen, err);
    }
    if (status != FB_OK) {
        fb_free(context, chosen);
        return status;
    }
    *indices = chosen;
    *count = taken;
    return FB_OK;
}
