/* Data sets: telling the kind of DATA by its content, the public calls, the hash. */
#include "data/dataset.h"

#include <string.h>

#include "base/file.h"
#include "base/file_error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/arrays.h"
#include "data/preprocess.h"
#include "tensor/dtype.h"

static FbStatus copy_ports(FbDataset *d, const FbPort *ports, size_t count, FbError *err)
{
    d->ports = fb_alloc_zero(d->context, (count + 1) * sizeof *d->ports);
    d->inputs = fb_alloc_zero(d->context, (count + 1) * sizeof *d->inputs);
    d->views = fb_alloc_zero(d->context, (count + 1) * sizeof *d->views);
    if (d->ports == NULL || d->inputs == NULL || d->views == NULL) {
        return fb_error_memory(d->context, err, "data set", count * sizeof *d->inputs);
    }
    for (size_t i = 0; i < count; i++) {
        char *name = fb_strdup(d->context, ports[i].name);
        if (name == NULL) {
            return fb_error_memory(d->context, err, "data set", strlen(ports[i].name));
        }
        d->ports[i] = ports[i];
        d->ports[i].name = name;
        d->port_count++;
    }
    return FB_OK;
}

static FbStatus create_dataset(FbContext *context, const FbPort *ports, size_t port_count, const char *path, FbDataset **dataset, FbError *err)
{
    FbDataset *d = fb_alloc_zero(context, sizeof *d);
    *dataset = NULL;
    if (d == NULL) {
        return fb_error_memory(context, err, "data set", sizeof *d);
    }
    d->context = context;
    d->folder = fb_strdup(context, path);
    FbStatus status = d->folder == NULL ? fb_error_memory(context, err, "data set", strlen(path)) : copy_ports(d, ports, port_count, err);
    if (status != FB_OK) {
        fb_dataset_free(d);
        return status;
    }
    *dataset = d;
    return FB_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static FbStatus open_file(FbDataset *d, FbError *err)
{
    FbSource *source = NULL;
    uint8_t first[8] = {0};
    char shown[200];
    FB_TRY(fb_source_open(d->context, d->folder, &source, err));
    size_t bytes = fb_source_bytes(source) < sizeof first ? (size_t)fb_source_bytes(source) : sizeof first;
    FbStatus status = fb_source_read(source, 0, first, bytes, err);
    fb_source_release(source);
    FB_TRY(status);
    fb_path_shown(d->folder, shown, sizeof shown);
    if (fb_arrays_is_one(first, bytes)) {
        return fb_dataset_open_arrays(d, err);
    }
    if (ends_with(d->folder, ".jsonl") || first[0] == '{') {
        return fb_dataset_open_jsonl(d, err);
    }
    if (memcmp(first, "\x89PNG", 4) == 0 || memcmp(first, "\xff\xd8\xff", 3) == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: one picture; give the folder that holds the pictures", shown);
    }
    if (ends_with(d->folder, ".txt")) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: plain text needs a tokenizer; give token ids as .jsonl or .npz", shown);
    }
    return fb_error_set(err, FB_ERR_FORMAT,
                        "%s: not data that fewbit knows: a folder of pictures, .npz, .npy, .jsonl or ONNX test_data_set folders", shown);
}

static FbStatus open_kind(FbDataset *d, const char *preprocess, FbError *err)
{
    const FbFileHooks *files = fb_context_files(d->context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes = 0;
    int error = files->kind(files->user, d->folder, &kind, &bytes);
    if (error != 0) {
        return fb_error_file(err, error, "open", d->folder);
    }
    if (kind == FB_FILE_REGULAR) {
        return open_file(d, err);
    }
    if (kind != FB_FILE_FOLDER) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: neither a file nor a folder", d->folder);
    }
    bool onnx = false;
    FB_TRY(fb_dataset_open_onnx(d, &onnx, err));
    return onnx ? FB_OK : fb_dataset_open_pictures(d, preprocess, err);
}

FbStatus fb_dataset_open_ports(FbContext *context, const FbPort *ports, size_t port_count, const char *path, const char *preprocess,
                               FbDataset **dataset, FbError *err)
{
    FbDataset *d = NULL;
    *dataset = NULL;
    FB_TRY(create_dataset(context, ports, port_count, path, &d, err));
    FbStatus status = open_kind(d, preprocess, err);
    if (status == FB_OK && d->count == 0) {
        status = fb_error_set(err, FB_ERR_ARGUMENT, "%s: no samples", path);
    }
    if (status != FB_OK) {
        fb_dataset_free(d);
        return status;
    }
    *dataset = d;
    return FB_OK;
}

typedef struct Callback {
    FbReadSample read;
    void *user;
} Callback;

static FbStatus callback_read(FbDataset *d, size_t index, FbError *err)
{
    Callback *callback = d->state;
    return callback->read(callback->user, index, &d->sample, err);
}

static void callback_free(FbDataset *d) { fb_free(d->context, d->state); }

static const FbDatasetKind callback_kind = {"callback", "the caller's own samples", callback_read, callback_free};

FbStatus fb_dataset_from_callback(FbContext *context, size_t count, FbReadSample read, void *user, FbDataset **dataset, FbError *err)
{
    FbDataset *d = NULL;
    *dataset = NULL;
    FB_TRY(create_dataset(context, NULL, 0, "callback", &d, err));
    Callback *callback = fb_alloc_zero(context, sizeof *callback);
    if (callback == NULL) {
        fb_dataset_free(d);
        return fb_error_memory(context, err, "data set", sizeof *callback);
    }
    *callback = (Callback){read, user};
    d->kind = &callback_kind;
    d->state = callback;
    d->count = count;
    d->has_labels = true; /* samples may have one; without, label is -1 */
    *dataset = d;
    return FB_OK;
}

void fb_dataset_free(FbDataset *d)
{
    if (d == NULL) {
        return;
    }
    if (d->kind != NULL && d->state != NULL) {
        d->kind->free(d);
    }
    for (size_t i = 0; i < d->port_count; i++) {
        fb_free(d->context, (char *)d->ports[i].name);
        fb_free(d->context, d->inputs[i].tensor.data);
    }
    fb_free(d->context, d->ports);
    fb_free(d->context, d->inputs);
    fb_free(d->context, d->views);
    fb_free(d->context, d->folder);
    fb_free(d->context, d);
}

size_t fb_dataset_count(const FbDataset *dataset) { return dataset->count; }

int fb_dataset_has_labels(const FbDataset *dataset) { return dataset->has_labels; }

FbStatus fb_dataset_read(FbDataset *d, size_t index, FbSample *sample, FbError *err)
{
    if (index >= d->count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sample %zu of a data set of %zu", index, d->count);
    }
    memset(&d->sample, 0, sizeof d->sample);
    d->sample.label = -1;
    d->sample.position = -1;
    FB_TRY(d->kind->read(d, index, err));
    if (d->kind != &callback_kind) {
        for (size_t i = 0; i < d->port_count; i++) {
            d->views[i] = d->inputs[i].tensor;
        }
        d->sample.inputs = d->views;
        d->sample.input_count = d->port_count;
    }
    if (d->sample.name == NULL) {
        d->sample.name = "sample";
    }
    *sample = d->sample;
    return FB_OK;
}

const char *fb_preprocess_name(size_t index, const char **summary)
{
    if (index >= fb_preprocess_name_count) {
        return NULL;
    }
    if (summary != NULL) {
        *summary = fb_preprocess_names[index].summary;
    }
    return fb_preprocess_names[index].name;
}

/* Numbers go into the hash as little-endian bytes, so that machines agree. */
static void hash_number(FbSha256 *hash, int64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    }
    fb_sha256_add(hash, bytes, sizeof bytes);
}

static void hash_sample(FbSha256 *hash, const FbSample *sample)
{
    fb_sha256_add(hash, sample->name, strlen(sample->name) + 1);
    hash_number(hash, sample->label);
    hash_number(hash, sample->position);
    for (size_t i = 0; i < sample->input_count; i++) {
        const FbTensor *tensor = &sample->inputs[i];
        hash_number(hash, tensor->dtype);
        hash_number(hash, tensor->rank);
        for (int k = 0; k < tensor->rank; k++) {
            hash_number(hash, tensor->dims[k]);
        }
        fb_sha256_add(hash, tensor->data, tensor->bytes);
    }
}

FbStatus fb_dataset_hash(FbDataset *d, char sha256[65], FbError *err)
{
    FbSha256 *hash = fb_sha256_create(d->context);
    FbStatus status = FB_OK;
    if (hash == NULL) {
        return fb_error_memory(d->context, err, "hash", 1);
    }
    hash_number(hash, (int64_t)d->count);
    for (size_t i = 0; status == FB_OK && i < d->count; i++) {
        FbSample sample;
        status = fb_check_cancel(d->context, err);
        status = status == FB_OK ? fb_dataset_read(d, i, &sample, err) : status;
        if (status == FB_OK) {
            hash_sample(hash, &sample);
        }
    }
    if (status != FB_OK) {
        fb_sha256_drop(hash);
        return status;
    }
    fb_sha256_finish(hash, sha256);
    return FB_OK;
}
