/* The table of integer product kernels and the loops around them. */
#include "kernels/product_u8s8.h"

#if defined(__x86_64__)
#define ARCHITECTURE_ROWS &fb_product_u8s8_avx512vnni, &fb_product_u8s8_avxvnni, &fb_product_u8s8_avx2,
extern const FbProductU8S8Kernel fb_product_u8s8_avx512vnni, fb_product_u8s8_avxvnni, fb_product_u8s8_avx2;
#elif defined(__aarch64__)
#define ARCHITECTURE_ROWS &fb_product_u8s8_neon_i8mm, &fb_product_u8s8_neon_dot, &fb_product_u8s8_neon,
extern const FbProductU8S8Kernel fb_product_u8s8_neon_i8mm, fb_product_u8s8_neon_dot, fb_product_u8s8_neon;
#else
#define ARCHITECTURE_ROWS
#endif
extern const FbProductU8S8Kernel fb_product_u8s8_scalar;
const FbProductU8S8Kernel *const fb_product_u8s8_kernels[] = {ARCHITECTURE_ROWS &fb_product_u8s8_scalar};
const size_t fb_product_u8s8_kernel_count = sizeof fb_product_u8s8_kernels / sizeof *fb_product_u8s8_kernels;

enum {
    BLOCK_A_BYTES = 192 << 10, /* of A in a block of rows: they stay in the second cache beside a panel */
    BLOCK_ROWS_MAX = 384,
    UNITS_WANTED = 16,         /* units of work worth having, when each stays above UNIT_MACS */
    UNIT_MACS = 1 << 20
};

static size_t at_least(size_t a, size_t b) { return a > b ? a : b; }
static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }
static size_t up_to_multiple(size_t a, size_t of) { return (a + of - 1) / of * of; }

const FbProductU8S8Kernel *fb_product_u8s8_pick(unsigned cpu)
{
    size_t i = 0;
    while (i + 1 < fb_product_u8s8_kernel_count && (fb_product_u8s8_kernels[i]->needs & ~cpu) != 0) {
        i++;
    }
    return fb_product_u8s8_kernels[i];
}

FbTilingU8S8 fb_product_u8s8_tiling(const FbProductU8S8Kernel *kernel, size_t rows, size_t cols, size_t taps_depth)
{
    FbTilingU8S8 t;
    const size_t most = at_least(at_most(BLOCK_A_BYTES / at_least(taps_depth, 1), BLOCK_ROWS_MAX), 4 * kernel->row_tile);
    t.row_blocks = at_least((rows + most - 1) / most, 1);
    t.row_block = up_to_multiple(at_least((rows + t.row_blocks - 1) / t.row_blocks, 1), kernel->row_tile); /* of about equal height */
    t.row_blocks = (rows + t.row_block - 1) / t.row_block;
    const size_t units = at_most(rows * cols * taps_depth / UNIT_MACS + 1, UNITS_WANTED);
    const size_t splits = at_least((units + t.row_blocks - 1) / at_least(t.row_blocks, 1), 1);
    t.col_block = up_to_multiple(at_least((cols + splits - 1) / splits, 1), kernel->col_tile);
    t.col_blocks = (cols + t.col_block - 1) / t.col_block;
    return t;
}

size_t fb_product_u8s8_pointer_count(const FbProductU8S8Kernel *kernel, size_t rows, size_t taps)
{
    return up_to_multiple(rows, kernel->row_tile) * taps;
}

void fb_integer_epilogue_shift(const FbIntegerEpilogue *from, size_t row, size_t col, FbIntegerEpilogue *to)
{
    *to = *from;
    to->offset += col;
    to->scale += col;
    if (to->real.bias) {
        to->real.bias += col;
    }
    for (int i = 0; i < to->real.count; i++) {
        FbEpilogueOp *op = &to->real.ops[i];
        const size_t at = row * op->operand_stride + col;
        if (op->operand) {
            op->operand += at;
        }
        if (op->codes) {
            op->codes += at;
        }
    }
}

void fb_product_u8s8_block(const FbProductU8S8Job *job, size_t row, size_t rows, size_t col, size_t cols, const uint8_t **pointers)
{
    const size_t panel = job->kernel->col_tile;
    const size_t element = !job->epilogue ? sizeof(int32_t) : job->epilogue->codes ? sizeof(uint8_t) : sizeof(float);
    job->point(job->arg, row, rows, rows, pointers);
    FbIntegerEpilogue epilogue;
    FbProductU8S8 p = {.rows = rows, .w = job->w, .a = (const uint8_t *const *)pointers, .a_row_stride = rows, .a_offset = job->a_offset,
                       .zero = job->zero, .c_stride = job->c_stride};
    for (size_t n = col; n < col + cols; n += panel) {
        p.cols = at_most(panel, col + cols - n);
        p.panel = n / panel;
        p.c = (char *)job->c + (row * job->c_stride + n) * element;
        if (job->epilogue) {
            fb_integer_epilogue_shift(job->epilogue, row, n, &epilogue);
            p.epilogue = &epilogue;
        }
        job->kernel->run(&p);
    }
}
