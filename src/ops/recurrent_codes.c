/* Products of u8 codes and 8-bit weights for recurrent layers: rows quantized over their own range, exact sums, back to reals. */
#include <math.h>
#include <string.h>

#include "ops/dynamic_range.h"
#include "ops/recurrent.h"

void fb_recurrent_codes_tools(FbContext *context, FbRecurrentCodes *codes)
{
    codes->rows = fb_codes_pick(fb_context_cpu(context));
    codes->scan = fb_scan_f32_pick(fb_context_cpu(context));
    codes->reals = fb_lstm_pick(fb_context_cpu(context));
}

FbCodedRow fb_coded_row(const FbRecurrentCodes *codes, const float *x, size_t count, uint8_t *to)
{
    FbRangeF32 range = codes->scan->range(x, count);
    FbCodedRow row;
    uint8_t zero;
    fb_dynamic_grid(range.low < 0 ? range.low : 0, range.high > 0 ? range.high : 0, &row.scale, &zero);
    row.zero = zero;
    const FbCodeGrid grid = {row.scale, row.zero, 0, 255};
    codes->rows->quantize(x, to, count, &grid);
    memset(to + count, 0, fb_coded_stride(count) - count);
    return row;
}

/* The definition: sums modulo 2^32, as every kernel's would be where they do not fit. */
static void multiply_plain(const FbCodedMatrix *matrix, const uint8_t *const *a, size_t rows, int32_t *sums)
{
    for (size_t r = 0; r < rows; r++) {
        int32_t *to = sums + r * matrix->cols;
        memset(to, 0, matrix->cols * sizeof *to);
        for (size_t k = 0; k < matrix->depth; k++) {
            const uint8_t *w = matrix->plain + k * matrix->cols;
            for (size_t c = 0; c < matrix->cols; c++) {
                to[c] = (int32_t)((uint32_t)to[c] + (uint32_t)(a[r][k] * (int8_t)(w[c] ^ matrix->flip)));
            }
        }
    }
}

void fb_coded_multiply(const FbProductU8S8Kernel *kernel, const FbCodedMatrix *matrix, const uint8_t *const *a, size_t rows, int32_t *sums)
{
    if (!kernel) {
        multiply_plain(matrix, a, rows, sums);
        return;
    }
    FbProductU8S8 product = {.rows = rows, .w = &matrix->packed, .a = a, .a_row_stride = rows, .c_stride = matrix->cols};
    for (size_t c = 0; c < matrix->cols; c += kernel->col_tile) {
        product.cols = matrix->cols - c < kernel->col_tile ? matrix->cols - c : kernel->col_tile;
        product.panel = c / kernel->col_tile;
        product.c = sums + c;
        kernel->run(&product);
    }
}

/* sum (a - az)(w - wz) = sum a w  -  az sum w  -  wz sum (a - az) */
void fb_coded_real(const FbLstmKernel *kernel, const FbCodedMatrix *matrix, const uint8_t *a, FbCodedRow row, const int32_t *sums, float *to,
                   bool accumulate)
{
    FbCodeSums all = {.count = matrix->cols, .sums = sums, .column_sum = matrix->column_sum, .zero = matrix->zero, .a_zero = row.zero,
                      .a_scale = row.scale, .scale = matrix->scale, .add = accumulate, .to = to};
    for (size_t k = 0; matrix->zero && k < matrix->depth; k++) {
        all.centered += a[k] - row.zero;
    }
    kernel->reals(&all);
}
