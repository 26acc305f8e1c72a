/* ONNX test_data_set folders: input_K.pb in the order of the model's inputs, output_K.pb as expected outputs; one folder is one sample. */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "data/dataset.h"
#include "io/onnx/onnx.h"

enum { TARGETS_MAX = 1024 };

typedef struct OnnxState {
    FB_ARRAY(char *) folders; /* paths */
    FbTensor *targets;
    size_t target_count, target_capacity;
} OnnxState;

static void drop_targets(FbDataset *d, OnnxState *s)
{
    for (size_t i = 0; i < s->target_count; i++) {
        fb_free(d->context, s->targets[i].data);
    }
    s->target_count = 0;
}

static void onnx_free(FbDataset *d)
{
    OnnxState *s = d->state;
    drop_targets(d, s);
    fb_free(d->context, s->targets);
    for (size_t i = 0; i < s->folders.count; i++) {
        fb_free(d->context, s->folders.items[i]);
    }
    fb_array_free(d->context, &s->folders);
    fb_free(d->context, s);
}

/* "folder/input_3.pb" when it is a file; NULL: it is not there, or no memory (then *status says so). */
static char *part_path(FbDataset *d, const char *folder, const char *kind, size_t index, FbStatus *status, FbError *err)
{
    const FbFileHooks *files = fb_context_files(d->context);
    char name[40];
    int file_kind = FB_FILE_OTHER;
    uint64_t bytes = 0;
    snprintf(name, sizeof name, "%s_%zu.pb", kind, index);
    char *path = fb_path_join(d->context, folder, name);
    if (path == NULL) {
        *status = fb_error_memory(d->context, err, "path", 1);
    } else if (files->kind(files->user, path, &file_kind, &bytes) != 0 || file_kind != FB_FILE_REGULAR) {
        fb_free(d->context, path);
        path = NULL;
    }
    return path;
}

static FbStatus read_input(FbDataset *d, const char *folder, size_t index, FbError *err)
{
    FbStatus status = FB_OK;
    FbTensor tensor = {0};
    char *path = part_path(d, folder, "input", index, &status, err);
    FB_TRY(status);
    if (path == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: no input_%zu.pb for the model's input '%s'", d->name, index, d->ports[index].name);
    }
    status = fb_onnx_load_tensor(d->context, path, &tensor, err);
    fb_free(d->context, path);
    FB_TRY(status);
    status = fb_dataset_check_shape(d, index, d->name, tensor.rank, tensor.dims, err);
    if (status == FB_OK && tensor.dtype != d->ports[index].dtype) {
        status = fb_error_set(err, FB_ERR_FORMAT, "%s: input_%zu.pb holds %s, the model's input takes %s", d->name, index,
                              fb_dtype_name(tensor.dtype), fb_dtype_name(d->ports[index].dtype));
    }
    if (status == FB_OK) {
        status = fb_dataset_shape_input(d, index, tensor.dtype, tensor.rank, tensor.dims, err);
    }
    if (status == FB_OK && tensor.bytes > 0) {
        memcpy(d->inputs[index].tensor.data, tensor.data, tensor.bytes);
    }
    fb_free(d->context, tensor.data);
    return status;
}

static FbStatus read_targets(FbDataset *d, const char *folder, FbError *err)
{
    OnnxState *s = d->state;
    drop_targets(d, s);
    for (size_t i = 0; i < TARGETS_MAX; i++) {
        FbStatus status = FB_OK;
        char *path = part_path(d, folder, "output", i, &status, err);
        if (path == NULL) {
            return status;
        }
        if (!fb_array_reserve_bytes(d->context, (void **)&s->targets, s->target_count, &s->target_capacity, sizeof *s->targets)) {
            status = fb_error_memory(d->context, err, "expected outputs", sizeof *s->targets);
        } else {
            status = fb_onnx_load_tensor(d->context, path, &s->targets[s->target_count], err);
            s->target_count += status == FB_OK ? 1 : 0;
        }
        fb_free(d->context, path);
        FB_TRY(status);
    }
    return FB_OK;
}

static FbStatus onnx_read(FbDataset *d, size_t index, FbError *err)
{
    OnnxState *s = d->state;
    const char *folder = s->folders.items[index], *slash = strrchr(folder, '/');
    snprintf(d->name, sizeof d->name, "%.250s", slash != NULL && slash[1] != '\0' ? slash + 1 : folder);
    d->sample.name = d->name;
    for (size_t i = 0; i < d->port_count; i++) {
        FB_TRY(read_input(d, folder, i, err));
    }
    FB_TRY(read_targets(d, folder, err));
    d->sample.targets = s->targets;
    d->sample.target_count = s->target_count;
    return FB_OK;
}

static const FbDatasetKind onnx_kind = {"onnx", "ONNX test_data_set folders: input_K.pb, output_K.pb", onnx_read, onnx_free};

static FbStatus has_inputs(FbDataset *d, const char *folder, bool *answer, FbError *err)
{
    FbStatus status = FB_OK;
    char *path = part_path(d, folder, "input", 0, &status, err);
    *answer = path != NULL;
    fb_free(d->context, path);
    return status;
}

/* The folder itself, or its sub-folders named ...test_data_set_... in sorted order. */
static FbStatus collect(FbDataset *d, OnnxState *s, FbError *err)
{
    FbNames names;
    bool here = false;
    FB_TRY(has_inputs(d, d->folder, &here, err));
    if (here) {
        char *path = fb_strdup(d->context, d->folder);
        if (path == NULL || !fb_array_grow(d->context, &s->folders)) {
            fb_free(d->context, path);
            return fb_error_memory(d->context, err, "path", 1);
        }
        s->folders.items[s->folders.count++] = path;
        return FB_OK;
    }
    FB_TRY(fb_names_list(d->context, d->folder, &names, err));
    FbStatus status = FB_OK;
    for (size_t i = 0; status == FB_OK && i < names.count; i++) {
        if (strstr(names.items[i], "test_data_set_") == NULL) {
            continue;
        }
        bool there = false;
        char *path = fb_path_join(d->context, d->folder, names.items[i]);
        status = path == NULL ? fb_error_memory(d->context, err, "path", 1) : has_inputs(d, path, &there, err);
        if (status == FB_OK && there && fb_array_grow(d->context, &s->folders)) {
            s->folders.items[s->folders.count++] = path;
            path = NULL;
        } else if (status == FB_OK && there) {
            status = fb_error_memory(d->context, err, "path", 1);
        }
        fb_free(d->context, path);
    }
    fb_names_reset(&names);
    return status;
}

FbStatus fb_dataset_open_onnx(FbDataset *d, bool *found, FbError *err)
{
    OnnxState *s = fb_alloc_zero(d->context, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(d->context, err, "data set", sizeof *s);
    }
    d->kind = &onnx_kind;
    d->state = s;
    FbStatus status = collect(d, s, err);
    d->count = s->folders.count;
    *found = d->count > 0;
    if (status != FB_OK || !*found) {
        onnx_free(d);
        d->kind = NULL;
        d->state = NULL;
    }
    return status;
}
