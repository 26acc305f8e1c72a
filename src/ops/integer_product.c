/* Exact integer sums and requantization of products. */
#include "ops/integer_product.h"

#include <math.h>

void fb_integer_begin(FbIntegerSums *sums, size_t count)
{
    memset(sums->part, 0, count * sizeof sums->part[0]);
    memset(sums->total, 0, count * sizeof sums->total[0]);
    sums->pending = 0;
}

void fb_integer_flush(FbIntegerSums *sums, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sums->total[i] += sums->part[i];
        sums->part[i] = 0;
    }
    sums->pending = 0;
}

const float fb_integer_padding[FB_INTEGER_DEPTH];

size_t fb_integer_cols(const FbProductF32Kernel *kernel)
{
    return kernel->col_tile < FB_INTEGER_COLS ? kernel->col_tile : FB_INTEGER_COLS;
}

void fb_integer_tile_begin(FbIntegerTile *tile, const FbProductF32Kernel *kernel, size_t rows, size_t cols)
{
    tile->kernel = kernel;
    tile->rows = rows;
    tile->cols = cols;
    tile->chunks = 0;
    memset(tile->part, 0, rows * cols * sizeof tile->part[0]);
    memset(tile->total, 0, rows * cols * sizeof tile->total[0]);
}

static void tile_flush(FbIntegerTile *tile)
{
    for (size_t i = 0; i < tile->rows * tile->cols; i++) {
        tile->total[i] += tile->part[i];
        tile->part[i] = 0;
    }
    tile->chunks = 0;
}

void fb_integer_tile_add(FbIntegerTile *tile, const float *const *a, size_t taps, size_t depth, ptrdiff_t offset)
{
    FbProductF32 product = {.cols = tile->cols, .depth = depth, .taps = taps, .a_row_stride = FB_INTEGER_ROWS, .a_offset = offset,
                            .zero = fb_integer_padding, .w = tile->panel, .c_stride = tile->cols};
    for (size_t row = 0; row < tile->rows; row += tile->kernel->row_tile) {
        product.rows = tile->rows - row < tile->kernel->row_tile ? tile->rows - row : tile->kernel->row_tile;
        product.a = a + row;
        product.c = tile->sums + row * tile->cols;
        tile->kernel->run(&product);
    }
    for (size_t i = 0; i < tile->rows * tile->cols; i++) {
        tile->part[i] += (int32_t)tile->sums[i];
    }
    if (++tile->chunks == FB_INTEGER_CHUNK / FB_INTEGER_DEPTH) {
        tile_flush(tile);
    }
}

void fb_integer_tile_end(FbIntegerTile *tile) { tile_flush(tile); }

void fb_integer_center(const FbTensor *tensor, int64_t first, int64_t stride, float zero, float *to, size_t count)
{
    if (tensor->dtype == FB_DTYPE_S8) {
        const int8_t *from = (const int8_t *)tensor->data + first;
        for (size_t i = 0; i < count; i++) {
            to[i] = (float)from[(int64_t)i * stride] - zero;
        }
    } else {
        const uint8_t *from = (const uint8_t *)tensor->data + first;
        for (size_t i = 0; i < count; i++) {
            to[i] = (float)from[(int64_t)i * stride] - zero;
        }
    }
}

void fb_integer_requantize(int64_t sum, double multiplier, int32_t zero, FbTensor *to, int64_t at)
{
    float real = rintf((float)sum * (float)multiplier) + (float)zero;
    float low = to->dtype == FB_DTYPE_S8 ? -128.0f : 0.0f, high = to->dtype == FB_DTYPE_S8 ? 127.0f : 255.0f;
    float code = real > low ? (real < high ? real : high) : low; /* NaN, from a scale that is one: low */
    ((uint8_t *)to->data)[at] = (uint8_t)(int)code;
}

FbStatus fb_integer_check_triple(const FbInfer *infer, int first, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, first, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, first + 1, FB_MASK_SCALES, err));
    return fb_check_same_dtype(infer, first, first + 2, err);
}

FbStatus fb_integer_check_count(const FbTensor *tensor, int64_t many, int64_t more, const char *what, FbError *err)
{
    int64_t count = tensor ? fb_tensor_elements(tensor) : 1;
    if (count == 1 || count == many || count == more) {
        return FB_OK;
    }
    return fb_error_set(err, FB_ERR_FORMAT, "the %s holds %lld numbers, expected 1 or %lld", what, (long long)count, (long long)many);
}
