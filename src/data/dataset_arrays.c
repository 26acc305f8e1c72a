/* Samples from .npz and .npy: row i of every array that is named as a model input, `labels` and `position` beside them.
 * An array of the input's rank is (N, ...): its row becomes (1, ...). An array with one axis more is already shaped per sample, which is
 * how models whose batch axis is not the first are fed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "data/arrays.h"
#include "data/dataset.h"

typedef struct ArrayState {
    FbArrays *arrays;
    size_t *which;      /* array of each port */
    int64_t *labels;    /* or NULL */
    int64_t *positions; /* or NULL */
    void *raw;          /* one row in the file's type, where it differs from the model's */
    size_t raw_bytes;
} ArrayState;

static void arrays_free(FbDataset *d)
{
    ArrayState *s = d->state;
    fb_arrays_free(s->arrays);
    fb_free(d->context, s->which);
    fb_free(d->context, s->labels);
    fb_free(d->context, s->positions);
    fb_free(d->context, s->raw);
    fb_free(d->context, s);
}

/* The shape of one sample of an array. */
static void sample_shape(const FbArrayInfo *info, const FbPort *port, int *rank, int64_t dims[FB_NPY_RANK_MAX])
{
    int count = 0;
    if (port->rank != info->rank - 1) {
        dims[count++] = 1;
    }
    for (int i = 1; i < info->rank; i++) {
        dims[count++] = info->dims[i];
    }
    *rank = count;
}

static FbStatus arrays_read(FbDataset *d, size_t index, FbError *err)
{
    ArrayState *s = d->state;
    for (size_t i = 0; i < d->port_count; i++) {
        const FbArrayInfo *info = fb_arrays_info(s->arrays, s->which[i]);
        const FbPort *port = &d->ports[i];
        int rank = 0;
        int64_t dims[FB_NPY_RANK_MAX];
        sample_shape(info, port, &rank, dims);
        FB_TRY(fb_dataset_shape_input(d, i, port->dtype, rank, dims, err));
        bool same = info->dtype == port->dtype && port->dtype != FB_DTYPE_BOOL;
        void *raw = same ? d->inputs[i].tensor.data : s->raw;
        FB_TRY(fb_arrays_read(s->arrays, s->which[i], index, 1, raw, err));
        if (!same) {
            size_t elements = info->row_bytes / ((size_t)fb_dtype_bits(info->dtype) / 8);
            FB_TRY(fb_convert_elements(info->name, info->dtype, raw, port->dtype, d->inputs[i].tensor.data, elements, err));
        }
    }
    d->sample.label = s->labels != NULL ? s->labels[index] : -1;
    d->sample.position = s->positions != NULL ? s->positions[index] : -1;
    snprintf(d->name, sizeof d->name, "row %zu", index);
    d->sample.name = d->name;
    return FB_OK;
}

static const FbDatasetKind arrays_kind = {"npz", ".npz and .npy: arrays named as the model's inputs, labels, position", arrays_read, arrays_free};

/* labels or position: one integer per sample, shape (N) or (N, 1). */
static FbStatus load_integers(FbDataset *d, ArrayState *s, const char *name, int64_t **out, FbError *err)
{
    int at = fb_arrays_find(s->arrays, name);
    if (at < 0) {
        return FB_OK;
    }
    const FbArrayInfo *info = fb_arrays_info(s->arrays, (size_t)at);
    FbDtypeKind kind = fb_dtype_info(info->dtype)->kind;
    bool flat = info->rank == 1 || (info->rank == 2 && info->dims[1] == 1);
    if (!flat || (kind != FB_KIND_SIGNED && kind != FB_KIND_UNSIGNED)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' must be one integer per sample", d->folder, name);
    }
    if (info->rows != d->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: %" PRIu64 " %s for %zu samples", d->folder, info->rows, name, d->count);
    }
    size_t bytes = d->count * info->row_bytes;
    void *raw = fb_alloc(d->context, bytes);
    *out = fb_alloc_array(d->context, d->count, sizeof **out);
    FbStatus status = raw == NULL || *out == NULL ? fb_error_memory(d->context, err, name, d->count * sizeof **out)
                                                  : fb_arrays_verify(s->arrays, (size_t)at, err);
    if (status == FB_OK) {
        status = fb_arrays_read(s->arrays, (size_t)at, 0, info->rows, raw, err);
    }
    if (status == FB_OK) {
        status = fb_convert_elements(name, info->dtype, raw, FB_DTYPE_S64, *out, d->count, err);
    }
    for (size_t i = 0; status == FB_OK && i < d->count; i++) {
        if ((*out)[i] < 0) {
            status = fb_error_set(err, FB_ERR_FORMAT, "%s: %s of sample %zu is %" PRId64, d->folder, name, i, (*out)[i]);
        }
    }
    fb_free(d->context, raw);
    return status;
}

/* What is in the archive, for messages. */
static void list_names(const FbArrays *arrays, FbText *text)
{
    size_t count = fb_arrays_count(arrays);
    for (size_t i = 0; i < count && i < 8; i++) {
        char shown[60];
        fb_text_printf(text, "%s'%s'", i > 0 ? ", " : "", fb_escape(fb_arrays_info(arrays, i)->name, shown, sizeof shown));
    }
    fb_text_add(text, count == 0 ? "none" : count > 8 ? ", ..." : "");
}

static bool is_reserved(const char *name) { return strcmp(name, "labels") == 0 || strcmp(name, "position") == 0; }

/* The only array that could be the model's only input; -1: not clear. */
static int only_array(const FbDataset *d, const FbArrays *arrays)
{
    int found = -1;
    if (d->port_count != 1) {
        return -1;
    }
    for (size_t i = 0; i < fb_arrays_count(arrays); i++) {
        if (!is_reserved(fb_arrays_info(arrays, i)->name)) {
            if (found >= 0) {
                return -1;
            }
            found = (int)i;
        }
    }
    return found;
}

static FbStatus match_port(FbDataset *d, ArrayState *s, size_t port, FbError *err)
{
    char shown[80];
    int at = fb_arrays_find(s->arrays, d->ports[port].name);
    if (at < 0) {
        at = only_array(d, s->arrays);
        if (at >= 0 && fb_arrays_info(s->arrays, (size_t)at)->name[0] != '\0') {
            fb_log(d->context, FB_LOG_NOTE, "array-name", "%s: its only array '%s' is taken for the model's only input '%s'", d->folder,
                   fb_arrays_info(s->arrays, (size_t)at)->name, fb_escape(d->ports[port].name, shown, sizeof shown));
        }
    }
    if (at < 0) {
        FbText names;
        fb_text_init(&names, d->context);
        list_names(s->arrays, &names);
        FbStatus status = fb_error_set(err, FB_ERR_ARGUMENT, "%s: no array named '%s', the model's input; there are %s", d->folder,
                                       fb_escape(d->ports[port].name, shown, sizeof shown), names.data != NULL ? names.data : "others");
        fb_text_reset(&names);
        return status;
    }
    const FbArrayInfo *info = fb_arrays_info(s->arrays, (size_t)at);
    s->which[port] = (size_t)at;
    if (info->rank == 0 || info->row_bytes == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: array '%s' holds no samples", d->folder, info->name);
    }
    if (port > 0 && info->rows != d->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: array '%s' has %" PRIu64 " samples, the others have %zu", d->folder, info->name, info->rows,
                            d->count);
    }
    d->count = (size_t)info->rows;
    s->raw_bytes = info->row_bytes > s->raw_bytes ? info->row_bytes : s->raw_bytes;
    int rank = 0;
    int64_t dims[FB_NPY_RANK_MAX];
    sample_shape(info, &d->ports[port], &rank, dims);
    FB_TRY(fb_dataset_check_shape(d, port, d->folder, rank, dims, err));
    return fb_arrays_verify(s->arrays, (size_t)at, err);
}

static void note_unused(FbDataset *d, const ArrayState *s)
{
    for (size_t i = 0; i < fb_arrays_count(s->arrays); i++) {
        const char *name = fb_arrays_info(s->arrays, i)->name;
        bool used = is_reserved(name);
        char shown[80];
        for (size_t k = 0; k < d->port_count; k++) {
            used = used || s->which[k] == i;
        }
        if (!used) {
            fb_log(d->context, FB_LOG_NOTE, "unused-array", "%s: array '%s' is no input of the model", d->folder,
                   fb_escape(name, shown, sizeof shown));
        }
    }
}

FbStatus fb_dataset_open_arrays(FbDataset *d, FbError *err)
{
    FbSource *source = NULL;
    ArrayState *s = fb_alloc_zero(d->context, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(d->context, err, "data set", sizeof *s);
    }
    d->kind = &arrays_kind;
    d->state = s;
    s->which = fb_alloc_zero(d->context, (d->port_count + 1) * sizeof *s->which);
    if (s->which == NULL) {
        return fb_error_memory(d->context, err, "data set", d->port_count);
    }
    FB_TRY(fb_source_open(d->context, d->folder, &source, err));
    FbStatus status = fb_arrays_open(d->context, source, &s->arrays, err);
    fb_source_release(source);
    FB_TRY(status);
    if (d->port_count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the model has no inputs to feed");
    }
    for (size_t i = 0; i < d->port_count; i++) {
        FB_TRY(match_port(d, s, i, err));
    }
    s->raw = fb_alloc(d->context, s->raw_bytes);
    if (s->raw == NULL) {
        return fb_error_memory(d->context, err, "sample", s->raw_bytes);
    }
    FB_TRY(load_integers(d, s, "labels", &s->labels, err));
    FB_TRY(load_integers(d, s, "position", &s->positions, err));
    d->has_labels = s->labels != NULL;
    note_unused(d, s);
    return FB_OK;
}
