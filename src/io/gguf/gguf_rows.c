/* Rows of tensors to be written, see gguf_rows.h. */
#include "io/gguf/gguf_rows.h"

#include <string.h>

#include "io/gguf/gguf_write.h"
#include "tensor/block_type.h"

int64_t fb_gguf_columns(const FbGgufTensor *tensor) { return tensor->shape.dims[tensor->shape.rank - 1]; }

int64_t fb_gguf_rows(const FbGgufTensor *tensor)
{
    int64_t rows = 1;
    for (int i = 0; i < tensor->shape.rank - 1; i++) {
        rows *= tensor->shape.dims[i];
    }
    return rows;
}

bool fb_gguf_number_of_constant(const FbConst *constant, uint32_t *number)
{
    int plain = constant->encoding == NULL ? fb_gguf_number_of_dtype(constant->dtype) : -1;
    if (constant->encoding != NULL && constant->encoding->blocks != NULL) {
        *number = (uint32_t)constant->encoding->blocks->number;
        return true;
    }
    *number = (uint32_t)plain;
    return plain >= 0;
}

bool fb_gguf_rows_stored(const FbGgufTensor *tensor)
{
    bool moved_elements = tensor->shape.rank == 1 && tensor->outer > 0; /* within a row */
    return tensor->values == NULL && !tensor->transposed && tensor->added == 0.0f && !moved_elements;
}

typedef struct FbGgufRun { /* rows that follow each other in a piece */
    const FbConst *piece;
    int64_t first, count;
} FbGgufRun;

/* Where row `at` of a matrix was before rows changed their order. */
static int64_t old_place(const FbGgufTensor *tensor, int64_t at)
{
    int64_t within = at % tensor->inner;
    int64_t group = at / tensor->inner;
    int64_t c = group % tensor->right;
    int64_t b = group / tensor->right % tensor->left;
    int64_t a = group / tensor->right / tensor->left;
    return ((a * tensor->right + c) * tensor->left + b) * tensor->inner + within;
}

/* The longest run that begins with row `row` of the tensor, at most `most` rows. */
static FbGgufRun run_at(const FbGgufTensor *tensor, int64_t row, int64_t most)
{
    int rank = tensor->shape.rank;
    int64_t rows = rank > 1 ? tensor->shape.dims[rank - 2] : 1;
    int64_t matrix = row / rows;
    int64_t at = row % rows;
    int64_t count = rows - at;
    if (tensor->outer > 0) {
        int64_t within = at % tensor->inner;
        at = old_place(tensor, at);
        count = tensor->inner - within;
    }
    bool stacked = tensor->piece_count > 1;
    int64_t whole = tensor->matrix_rows > 0 ? tensor->matrix_rows : rows;
    FbGgufRun run = {.piece = tensor->pieces[stacked ? matrix : 0], .first = (stacked ? 0 : matrix * whole) + tensor->first_row + at};
    run.count = count < most ? count : most;
    return run;
}

/* Elements of a vector in another order; vectors are small. */
static FbStatus read_vector(FbContext *context, const FbGgufTensor *tensor, float *to, FbError *err)
{
    int64_t count = fb_gguf_columns(tensor);
    float *from = fb_alloc_array(context, (size_t)count, sizeof *from);
    if (from == NULL) {
        return fb_error_memory(context, err, "a vector", (uint64_t)count * sizeof *from);
    }
    FbStatus status = fb_const_read_f32(context, tensor->pieces[0], 0, (size_t)count, from, err);
    for (int64_t i = 0; i < count && status == FB_OK; i++) {
        to[i] = from[old_place(tensor, i)];
    }
    fb_free(context, from);
    return status;
}

/* Columns of the piece's matrices as rows: rows [first, first + count) of matrices of [rows, columns]. */
static FbStatus read_columns(FbContext *context, const FbGgufTensor *tensor, int64_t rows, int64_t columns, int64_t first, int64_t count, float *to,
                             FbError *err)
{
    int64_t step = tensor->step > 0 ? tensor->step : 1, width = tensor->matrix_rows > 0 ? tensor->matrix_rows : rows;
    float *line = count > 0 ? fb_alloc_array(context, (size_t)((count - 1) * step + 1), sizeof *line) : NULL;
    if (line == NULL && count > 0) {
        return fb_error_memory(context, err, "a row", (uint64_t)count * (uint64_t)step * sizeof *line);
    }
    FbStatus status = FB_OK;
    while (count > 0 && status == FB_OK) {
        int64_t matrix = first / rows, at = first % rows, some = rows - at < count ? rows - at : count;
        for (int64_t k = 0; k < columns && status == FB_OK; k++) {
            uint64_t from = (uint64_t)((matrix * columns + k) * width + tensor->first_row + at * step);
            status = fb_const_read_f32(context, tensor->pieces[0], from, (size_t)((some - 1) * step + 1), line, err);
            for (int64_t r = 0; r < some && status == FB_OK; r++) {
                to[r * columns + k] = line[r * step];
            }
        }
        first += some;
        count -= some;
        to += some * columns;
    }
    fb_free(context, line);
    return status;
}

static FbStatus read_transposed(FbContext *context, const FbGgufTensor *tensor, int64_t first, int64_t count, float *to, FbError *err)
{
    int rank = tensor->shape.rank;
    int64_t columns = fb_gguf_columns(tensor);
    bool vectors = rank == 2 && tensor->step > 0;
    return vectors ? read_columns(context, tensor, columns, 1, first * columns, count * columns, to, err)
                   : read_columns(context, tensor, tensor->shape.dims[rank - 2], columns, first, count, to, err);
}

static FbStatus read_runs(FbContext *context, const FbGgufTensor *tensor, int64_t first, int64_t count, float *to, FbError *err)
{
    int64_t columns = fb_gguf_columns(tensor);
    while (count > 0) {
        FbGgufRun run = run_at(tensor, first, count);
        FB_TRY(fb_const_read_f32(context, run.piece, (uint64_t)(run.first * columns), (size_t)(run.count * columns), to, err));
        first += run.count;
        count -= run.count;
        to += run.count * columns;
    }
    return FB_OK;
}

FbStatus fb_gguf_rows_read(FbContext *context, const FbGgufTensor *tensor, int64_t first, int64_t count, float *to, FbError *err)
{
    int64_t columns = fb_gguf_columns(tensor);
    if (tensor->values != NULL) {
        memcpy(to, tensor->values + first * columns, (size_t)(count * columns) * sizeof *to);
    } else if (tensor->transposed) {
        FB_TRY(read_transposed(context, tensor, first, count, to, err));
    } else if (tensor->shape.rank == 1 && tensor->outer > 0) {
        FB_TRY(read_vector(context, tensor, to, err));
    } else {
        FB_TRY(read_runs(context, tensor, first, count, to, err));
    }
    for (int64_t i = 0; i < count * columns && tensor->added != 0.0f; i++) {
        to[i] += tensor->added;
    }
    return FB_OK;
}

FbStatus fb_gguf_rows_copy(const FbGgufTensor *tensor, int64_t first, int64_t count, uint8_t *to, FbError *err)
{
    uint64_t row_bytes;
    FbShape row = fb_shape_make(1, &(int64_t){fb_gguf_columns(tensor)});
    if (!fb_gguf_tensor_bytes(tensor->number, &row, &row_bytes)) {
        return fb_error_set(err, FB_ERR_INTERNAL, "rows of a type without a size");
    }
    while (count > 0) {
        FbGgufRun run = run_at(tensor, first, count);
        size_t bytes = (size_t)((uint64_t)run.count * row_bytes);
        FB_TRY(fb_plane_read(&run.piece->planes[FB_PLANE_CODES], (uint64_t)run.first * row_bytes, to, bytes, err));
        first += run.count;
        count -= run.count;
        to += bytes;
    }
    return FB_OK;
}
