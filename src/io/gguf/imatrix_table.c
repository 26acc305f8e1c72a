/* The table of an importance matrix, and writing it. See imatrix.h. */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/text.h"
#include "graph/name_table.h"
#include "io/gguf/gguf_write.h"
#include "io/gguf/imatrix.h"

FbStatus fb_imatrix_create(FbContext *context, FbImatrix **out, FbError *err)
{
    FbImatrix *imatrix = fb_alloc_zero(context, sizeof *imatrix);
    *out = NULL;
    if (imatrix == NULL) {
        return fb_error_memory(context, err, "an importance matrix", sizeof *imatrix);
    }
    imatrix->context = context;
    imatrix->arena = fb_arena_create(context);
    imatrix->names = fb_name_table_create(context);
    if (imatrix->arena == NULL || imatrix->names == NULL) {
        fb_imatrix_free(imatrix);
        return fb_error_memory(context, err, "an importance matrix", sizeof *imatrix);
    }
    *out = imatrix;
    return FB_OK;
}

void fb_imatrix_free(FbImatrix *imatrix)
{
    if (imatrix == NULL) {
        return;
    }
    fb_name_table_free(imatrix->names);
    if (imatrix->arena != NULL) {
        fb_arena_free(imatrix->arena);
    }
    fb_free(imatrix->context, imatrix->rows);
    fb_free(imatrix->context, imatrix);
}

FbStatus fb_imatrix_add(FbImatrix *imatrix, const char *name, size_t columns, size_t matrices, FbImatrixRow **row, FbError *err)
{
    char shown[120];
    size_t elements;
    if (name[0] == '\0' || columns == 0 || matrices == 0 || fb_name_table_find(imatrix->names, name) != FB_NONE) {
        return fb_error_set(err, FB_ERR_FORMAT, "importance of '%s': %s", fb_escape(name, shown, sizeof shown),
                            name[0] == '\0' || columns == 0 || matrices == 0 ? "nothing is there" : "it is there twice");
    }
    if (!fb_array_reserve_bytes(imatrix->context, (void **)&imatrix->rows, imatrix->row_count, &imatrix->row_capacity, sizeof *imatrix->rows) ||
        !fb_mul_size(columns, matrices, &elements)) {
        return fb_error_memory(imatrix->context, err, "an importance matrix", columns);
    }
    FbImatrixRow *added = &imatrix->rows[imatrix->row_count];
    *added = (FbImatrixRow){.name = fb_arena_strdup(imatrix->arena, name), .columns = columns, .matrices = matrices};
    added->sums = fb_arena_array(imatrix->arena, elements, sizeof *added->sums);
    added->counts = fb_arena_array(imatrix->arena, matrices, sizeof *added->counts);
    if (added->name == NULL || added->sums == NULL || added->counts == NULL ||
        !fb_name_table_add(imatrix->names, added->name, (FbId)imatrix->row_count)) {
        return fb_error_memory(imatrix->context, err, "an importance matrix", elements * sizeof *added->sums);
    }
    imatrix->row_count++;
    *row = added;
    return FB_OK;
}

const FbImatrixRow *fb_imatrix_find(const FbImatrix *imatrix, const char *name)
{
    FbId id = fb_name_table_find(imatrix->names, name);
    return id != FB_NONE ? &imatrix->rows[id] : NULL;
}

FbStatus fb_imatrix_add_datasets(FbImatrix *imatrix, const FbBytes *names, size_t count, FbError *err)
{
    size_t all = imatrix->dataset_count + count;
    FbBytes *list = fb_arena_array(imatrix->arena, all, sizeof *list);
    for (size_t i = 0; list != NULL && i < all; i++) {
        FbBytes from = i < imatrix->dataset_count ? imatrix->datasets[i] : names[i - imatrix->dataset_count];
        char *copy = fb_arena_alloc(imatrix->arena, from.count + 1);
        if (copy == NULL) {
            list = NULL;
            break;
        }
        memcpy(copy, from.data, from.count);
        list[i] = (FbBytes){(const uint8_t *)copy, from.count};
    }
    if (list == NULL) {
        return fb_error_memory(imatrix->context, err, "the names of texts", all * sizeof *list);
    }
    imatrix->datasets = list;
    imatrix->dataset_count = all;
    return FB_OK;
}

void fb_imatrix_means(const FbImatrixRow *row, float *to)
{
    for (size_t m = 0; m < row->matrices; m++) {
        for (size_t i = 0; i < row->columns; i++) {
            to[m * row->columns + i] = row->counts[m] > 0.0f ? row->sums[m * row->columns + i] / row->counts[m] : 1.0f;
        }
    }
}

static FbStatus put_rows(const FbImatrix *imatrix, FbGgufWriter *writer, FbError *err)
{
    for (size_t i = 0; i < imatrix->row_count; i++) {
        const FbImatrixRow *row = &imatrix->rows[i];
        char name[FB_GGUF_NAME_MAX + 16];
        FbShape sums = {2, {(int64_t)row->matrices, (int64_t)row->columns}}, counts = {2, {(int64_t)row->matrices, 1}};
        snprintf(name, sizeof name, "%.*s.in_sum2", FB_GGUF_NAME_MAX, row->name);
        FB_TRY(fb_gguf_put_tensor(writer, name, &sums, 0, err));
        snprintf(name, sizeof name, "%.*s.counts", FB_GGUF_NAME_MAX, row->name);
        FB_TRY(fb_gguf_put_tensor(writer, name, &counts, 0, err));
    }
    return FB_OK;
}

static FbStatus put_all(const FbImatrix *imatrix, FbGgufWriter *writer, FbError *err)
{
    FB_TRY(fb_gguf_put_text(writer, "general.type", "imatrix", err));
    FB_TRY(fb_gguf_put_texts(writer, "imatrix.datasets", imatrix->datasets, imatrix->dataset_count, err));
    FB_TRY(fb_gguf_put_u32(writer, "imatrix.chunk_count", (uint32_t)imatrix->chunks, err));
    FB_TRY(fb_gguf_put_u32(writer, "imatrix.chunk_size", (uint32_t)imatrix->chunk_size, err));
    return put_rows(imatrix, writer, err);
}

FbStatus fb_imatrix_write(const FbImatrix *imatrix, const char *path, bool overwrite, FbError *err)
{
    FbGgufWriter *writer;
    FB_TRY(fb_gguf_writer_create(imatrix->context, &writer, err));
    FbStatus status = put_all(imatrix, writer, err);
    status = status == FB_OK ? fb_gguf_start(writer, path, overwrite, err) : status;
    for (size_t i = 0; i < imatrix->row_count && status == FB_OK; i++) {
        const FbImatrixRow *row = &imatrix->rows[i];
        status = fb_gguf_write(writer, row->sums, row->columns * row->matrices * sizeof *row->sums, err);
        status = status == FB_OK ? fb_gguf_write(writer, row->counts, row->matrices * sizeof *row->counts, err) : status;
    }
    status = status == FB_OK ? fb_gguf_commit(writer, NULL, err) : status;
    fb_gguf_writer_free(writer);
    return status;
}
