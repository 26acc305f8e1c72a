/* Reading importance matrices, see imatrix.h. Source of both forms: llama.cpp, tools/imatrix. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file_error.h"
#include "base/text.h"
#include "io/gguf/gguf_reader.h"
#include "io/gguf/imatrix.h"

enum { ENTRIES_MAX = 1 << 20, NAME_MAX_BYTES = 255, DATASET_MAX = 4096 };

static FbStatus check_numbers(const FbImatrixRow *row, const char *what, const float *values, size_t count, FbError *err)
{
    char shown[120];
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]) || values[i] < 0.0f) {
            return fb_error_set(err, FB_ERR_FORMAT, "importance of '%s': %s %zu is %g", fb_escape(row->name, shown, sizeof shown), what, i,
                                (double)values[i]);
        }
    }
    return FB_OK;
}

/* ---- GGUF ---- */

static FbStatus odd_tensor(const char *name, const char *why, FbError *err)
{
    char shown[120];
    return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s' of an importance matrix %s", fb_escape(name, shown, sizeof shown), why);
}

static FbStatus read_pair(FbImatrix *imatrix, const FbCheckpoint *table, const FbTableTensor *sums, size_t length, FbError *err)
{
    char name[FB_GGUF_NAME_MAX + 16];
    FbImatrixRow *row;
    snprintf(name, sizeof name, "%.*s.counts", (int)length, sums->name);
    const FbTableTensor *counts = fb_checkpoint_tensor(table, name);
    name[length] = '\0';
    const FbShape *shape = &sums->constant.shape;
    int64_t columns = shape->dims[shape->rank - 1], matrices = shape->rank > 1 ? shape->dims[shape->rank - 2] : 1;
    if (counts == NULL) {
        return odd_tensor(sums->name, "has no counts beside it", err);
    }
    if (sums->constant.dtype != FB_DTYPE_F32 || sums->constant.encoding != NULL || counts->constant.dtype != FB_DTYPE_F32 ||
        counts->constant.encoding != NULL || fb_shape_elements(shape) != columns * matrices || fb_shape_elements(&counts->constant.shape) != matrices) {
        return odd_tensor(sums->name, "and its counts are no floats of one shape", err);
    }
    FB_TRY(fb_imatrix_add(imatrix, name, (size_t)columns, (size_t)matrices, &row, err));
    FB_TRY(fb_const_read_f32(imatrix->context, &sums->constant, 0, (size_t)(columns * matrices), row->sums, err));
    FB_TRY(fb_const_read_f32(imatrix->context, &counts->constant, 0, (size_t)matrices, row->counts, err));
    FB_TRY(check_numbers(row, "sum", row->sums, row->columns * row->matrices, err));
    return check_numbers(row, "count", row->counts, row->matrices, err);
}

static FbStatus read_about(FbImatrix *imatrix, const FbCheckpoint *table, FbError *err)
{
    const FbMeta *datasets = fb_checkpoint_meta(table, "imatrix.datasets");
    FbBytes *names;
    fb_meta_integer(fb_checkpoint_meta(table, "imatrix.chunk_count"), &imatrix->chunks);
    fb_meta_integer(fb_checkpoint_meta(table, "imatrix.chunk_size"), &imatrix->chunk_size);
    imatrix->chunks = imatrix->chunks >= 0 && imatrix->chunks <= INT32_MAX ? imatrix->chunks : 0;
    imatrix->chunk_size = imatrix->chunk_size >= 0 && imatrix->chunk_size <= INT32_MAX ? imatrix->chunk_size : 0;
    if (datasets != NULL && datasets->is_array && datasets->type == FB_META_STRING && datasets->count > 0) {
        FB_TRY(fb_meta_read_strings(imatrix->arena, datasets, &names, err));
        imatrix->datasets = names;
        imatrix->dataset_count = (size_t)datasets->count;
    }
    return FB_OK;
}

static FbStatus read_gguf(FbImatrix *imatrix, FbSource *source, const char *path, FbError *err)
{
    static const char tail[] = ".in_sum2";
    FbCheckpoint *table;
    FB_TRY(fb_gguf_open_source(imatrix->context, source, path, &table, err));
    FbStatus status = FB_OK;
    const char *type = fb_meta_text(fb_checkpoint_meta(table, "general.type"));
    if (type == NULL || strcmp(type, "imatrix") != 0) {
        status = fb_error_set(err, FB_ERR_FORMAT, "this GGUF file is no importance matrix: general.type is not 'imatrix'");
    }
    status = status == FB_OK ? read_about(imatrix, table, err) : status;
    for (size_t i = 0; i < table->tensor_count && status == FB_OK; i++) {
        const char *name = table->tensors[i].name;
        size_t length = strlen(name);
        if (length > sizeof tail - 1 && strcmp(name + length - (sizeof tail - 1), tail) == 0) {
            status = read_pair(imatrix, table, &table->tensors[i], length - (sizeof tail - 1), err);
        }
    }
    fb_checkpoint_free(table);
    return status;
}

/* ---- the older form: counts and texts with their lengths in front, all numbers 32 bits wide ---- */

static FbStatus take_count(FbGgufReader *reader, uint32_t most, uint32_t *out, const char *what)
{
    FB_TRY(fb_gguf_take_u32(reader, out, what));
    return *out <= most ? FB_OK : fb_error_set(reader->err, FB_ERR_FORMAT, "%s is %u, at most %u is read", what, (unsigned)*out, (unsigned)most);
}

static FbStatus read_entry(FbImatrix *imatrix, FbGgufReader *reader, FbError *err)
{
    char name[NAME_MAX_BYTES + 1];
    uint32_t length, calls, values;
    FbImatrixRow *row;
    FB_TRY(take_count(reader, NAME_MAX_BYTES, &length, "the length of a name"));
    FB_TRY(fb_gguf_take(reader, name, length, "a name"));
    name[length] = '\0';
    if (strlen(name) != length) {
        return fb_error_set(err, FB_ERR_FORMAT, "a name has a NUL in it");
    }
    FB_TRY(fb_gguf_take_u32(reader, &calls, "a number of calls"));
    FB_TRY(take_count(reader, INT32_MAX, &values, "a number of values"));
    if (values > fb_gguf_left(reader) / sizeof(float)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%u values are announced, the file ends before", (unsigned)values);
    }
    FB_TRY(fb_imatrix_add(imatrix, name, values, 1, &row, err));
    FB_TRY(fb_gguf_take(reader, row->sums, values * sizeof(float), "values"));
    row->counts[0] = calls > 0 && calls <= INT32_MAX ? (float)calls : 1.0f; /* the values are means already where no calls are counted */
    return check_numbers(row, "value", row->sums, row->columns, err);
}

static FbStatus read_old(FbImatrix *imatrix, FbGgufReader *reader, FbError *err)
{
    uint32_t entries, length, chunks;
    imatrix->counts_chunks = true;
    FB_TRY(take_count(reader, ENTRIES_MAX, &entries, "the number of weights"));
    if (entries == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "no weights are in it");
    }
    for (uint32_t i = 0; i < entries; i++) {
        FB_TRY(read_entry(imatrix, reader, err));
    }
    if (fb_gguf_left(reader) < 8) {
        return FB_OK; /* the oldest files end here */
    }
    FB_TRY(fb_gguf_take_u32(reader, &chunks, "the number of chunks"));
    FB_TRY(take_count(reader, DATASET_MAX, &length, "the length of the data set's name"));
    imatrix->chunks = chunks <= INT32_MAX ? chunks : 0;
    uint8_t dataset[DATASET_MAX];
    FB_TRY(fb_gguf_take(reader, dataset, length, "the data set's name"));
    return length > 0 ? fb_imatrix_add_datasets(imatrix, &(FbBytes){dataset, length}, 1, err) : FB_OK;
}

static FbStatus read_any(FbImatrix *imatrix, FbSource *source, const char *path, FbError *err)
{
    char magic[4] = "";
    uint64_t bytes = fb_source_bytes(source);
    if (bytes >= sizeof magic) {
        FB_TRY(fb_source_read(source, 0, magic, sizeof magic, err));
    }
    if (memcmp(magic, "GGUF", sizeof magic) == 0) {
        return read_gguf(imatrix, source, path, err);
    }
    FbGgufReader *reader = fb_alloc_zero(imatrix->context, sizeof *reader);
    if (reader == NULL) {
        return fb_error_memory(imatrix->context, err, "a reader", sizeof *reader);
    }
    reader->source = source;
    reader->bytes = bytes;
    reader->err = err;
    FbStatus status = read_old(imatrix, reader, err);
    fb_free(imatrix->context, reader);
    return status;
}

FbStatus fb_imatrix_read_source(FbContext *context, FbSource *source, const char *path, FbImatrix **out, FbError *err)
{
    char shown[200];
    FB_TRY(fb_imatrix_create(context, out, err));
    FbStatus status = read_any(*out, source, path, err);
    if (status == FB_OK) {
        return FB_OK;
    }
    fb_imatrix_free(*out);
    *out = NULL;
    return fb_error_context(err, status, "%s", fb_path_shown(path, shown, sizeof shown));
}

FbStatus fb_imatrix_read(FbContext *context, const char *path, FbImatrix **out, FbError *err)
{
    FbSource *source;
    *out = NULL;
    FB_TRY(fb_source_open(context, path, &source, err));
    FbStatus status = fb_imatrix_read_source(context, source, path, out, err);
    fb_source_release(source);
    return status;
}
