/* Adding importance matrices. See imatrix.h. Source of what counts as equal: llama.cpp, tools/imatrix. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/imatrix.h"

static FbStatus differ(const FbImatrixRow *to, const FbImatrixRow *from, FbError *err)
{
    char shown[120];
    return fb_error_set(err, FB_ERR_ARGUMENT, "importance of '%s' has %zu columns in %zu matrices, before %zu in %zu: they are of different models",
                        fb_escape(to->name, shown, sizeof shown), from->columns, from->matrices, to->columns, to->matrices);
}

/* The count of a row that has one only holds for each of `matrices`. */
static FbStatus spread(FbImatrix *imatrix, FbImatrixRow *row, size_t matrices, FbError *err)
{
    float *counts = fb_arena_array(imatrix->arena, matrices, sizeof *counts);
    if (counts == NULL) {
        return fb_error_memory(imatrix->context, err, "an importance matrix", matrices * sizeof *counts);
    }
    for (size_t m = 0; m < matrices; m++) {
        counts[m] = row->counts[0];
    }
    row->columns = row->columns * row->matrices / matrices;
    row->matrices = matrices;
    row->counts = counts;
    return FB_OK;
}

static FbStatus add_row(FbImatrix *to, const FbImatrixRow *from, float scale, bool *common, FbError *err)
{
    const FbImatrixRow *there = fb_imatrix_find(to, from->name);
    FbImatrixRow *row = there != NULL ? &to->rows[there - to->rows] : NULL;
    char shown[120];
    *common = *common || row != NULL;
    if (row == NULL) {
        FB_TRY(fb_imatrix_add(to, from->name, from->columns, from->matrices, &row, err));
    }
    if (row->columns * row->matrices != from->columns * from->matrices ||
        (row->matrices != from->matrices && row->matrices != 1 && from->matrices != 1)) {
        return differ(row, from, err);
    }
    if (row->matrices < from->matrices) {
        FB_TRY(spread(to, row, from->matrices, err));
    }
    for (size_t m = 0; m < row->matrices; m++) {
        row->counts[m] += scale * from->counts[from->matrices == 1 ? 0 : m];
    }
    for (size_t i = 0; i < row->columns * row->matrices; i++) {
        row->sums[i] += scale * from->sums[i];
        if (!isfinite(row->sums[i]) || !isfinite(row->counts[i / row->columns])) {
            return fb_error_set(err, FB_ERR_NUMERIC, "importance of '%s': sum %zu, or its count, is not finite", fb_escape(row->name, shown, sizeof shown), i);
        }
    }
    return FB_OK;
}

FbStatus fb_imatrix_merge(FbImatrix *to, const FbImatrix *from, int64_t chunk_size, FbError *err)
{
    bool common = to->row_count == 0;
    float most = 0.0f, scale = from->counts_chunks ? (float)chunk_size : 1.0f;
    char shown[120];
    for (size_t i = 0; i < from->row_count; i++) {
        FB_TRY(add_row(to, &from->rows[i], scale, &common, err));
    }
    if (!common) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "it is of another model: it has no weight of those before, such as '%s'",
                            fb_escape(to->rows[0].name, shown, sizeof shown));
    }
    FB_TRY(fb_imatrix_add_datasets(to, from->datasets, from->dataset_count, err));
    for (size_t i = 0; i < to->row_count; i++) {
        for (size_t m = 0; m < to->rows[i].matrices; m++) {
            most = to->rows[i].counts[m] > most ? to->rows[i].counts[m] : most;
        }
    }
    to->chunk_size = chunk_size;
    to->chunks = chunk_size > 0 && most / (float)chunk_size < (float)INT32_MAX ? (int64_t)(most / (float)chunk_size) : 0;
    return FB_OK;
}
