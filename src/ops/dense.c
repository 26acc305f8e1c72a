/* Products in float inside larger steps. */
#include "ops/dense.h"

#include <string.h>

static void tile(const FbDense *dense, size_t row, size_t first, const float *panel)
{
    const FbProductF32Kernel *kernel = dense->kernel;
    size_t rows = dense->rows - row < kernel->row_tile ? dense->rows - row : kernel->row_tile;
    size_t cols = dense->cols - first < kernel->col_tile ? dense->cols - first : kernel->col_tile;
    float *c = dense->c + row * dense->c_stride + first;
    const float *pointers[FB_DENSE_ROWS_MAX];
    FbEpilogue epilogue = {.bias = dense->bias ? dense->bias + first : NULL};
    if (dense->depth == 0) {
        for (size_t r = 0; r < rows; r++) {
            for (size_t n = 0; n < cols; n++) {
                c[r * dense->c_stride + n] = epilogue.bias ? epilogue.bias[n] : 0;
            }
        }
        return;
    }
    rows = rows < FB_DENSE_ROWS_MAX ? rows : FB_DENSE_ROWS_MAX;
    for (size_t r = 0; r < rows; r++) {
        pointers[r] = dense->a + (row + r) * dense->depth;
    }
    FbProductF32 product = {.rows = rows, .cols = cols, .depth = dense->depth, .taps = 1, .a = pointers, .a_row_stride = rows, .w = panel, .c = c,
                            .c_stride = dense->c_stride, .epilogue = dense->bias ? &epilogue : NULL};
    kernel->run(&product);
}

static size_t row_step(const FbProductF32Kernel *kernel) { return kernel->row_tile < FB_DENSE_ROWS_MAX ? kernel->row_tile : FB_DENSE_ROWS_MAX; }

void fb_dense_panel_f32(const FbDense *dense, size_t first, const float *panel)
{
    for (size_t row = 0; row < dense->rows; row += row_step(dense->kernel)) {
        tile(dense, row, first, panel);
    }
}

static void panel_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const FbDense *dense = arg;
    size_t width = dense->kernel->col_tile, panels = (dense->cols + width - 1) / width;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        size_t first = i % panels * width;
        tile(dense, i / panels * row_step(dense->kernel), first, dense->packed + first * dense->depth);
    }
}

void fb_dense_f32(FbContext *context, const FbDense *dense)
{
    size_t width = dense->kernel->col_tile, step = row_step(dense->kernel);
    size_t tasks = (dense->rows + step - 1) / step * ((dense->cols + width - 1) / width);
    fb_parallel(context, panel_task, (void *)(uintptr_t)dense, tasks, 1 + 4096 / (dense->depth + 1));
}
