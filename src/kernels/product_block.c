/* Loops around the float product kernel. */
#include "kernels/product_block.h"

enum {
    BLOCK_A_FLOATS = 49152,  /* of A that a slab of a block of rows touches: 192 KB stay in the second cache beside the panels */
    BLOCK_ROWS_MAX = 384,
    SLAB_DEPTH = 384,        /* depth of a panel slab: 16 columns of it are 24 KB */
    UNITS_WANTED = 16,       /* units of work worth having, when each stays above UNIT_MACS */
    UNIT_MACS = 1 << 19
};

static size_t at_least(size_t a, size_t b) { return a > b ? a : b; }
static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }
static size_t up_to_multiple(size_t a, size_t of) { return (a + of - 1) / of * of; }

FbProductTiling fb_product_tiling(const FbProductF32Kernel *kernel, size_t rows, size_t cols, size_t taps_depth)
{
    FbProductTiling t;
    const size_t slab = at_most(at_least(taps_depth, 1), SLAB_DEPTH);
    const size_t most = at_least(at_most(BLOCK_A_FLOATS / slab, BLOCK_ROWS_MAX), 4 * kernel->row_tile);
    t.row_blocks = at_least((rows + most - 1) / most, 1);
    t.row_block = up_to_multiple(at_least((rows + t.row_blocks - 1) / t.row_blocks, 1), kernel->row_tile); /* of about equal height */
    t.row_blocks = (rows + t.row_block - 1) / t.row_block;
    size_t macs = rows * cols * taps_depth, units = at_most(macs / UNIT_MACS + 1, UNITS_WANTED);
    size_t splits = at_least((units + t.row_blocks - 1) / at_least(t.row_blocks, 1), 1);
    t.col_block = up_to_multiple(at_least((cols + splits - 1) / splits, 1), kernel->col_tile);
    t.col_blocks = (cols + t.col_block - 1) / t.col_block;
    return t;
}

size_t fb_product_pointer_count(const FbProductF32Kernel *kernel, size_t rows, size_t taps)
{
    return up_to_multiple(rows, kernel->row_tile) * taps;
}

/* The epilogue seen from the tile at (row, col). */
static void epilogue_at(const FbEpilogue *from, size_t row, size_t col, FbEpilogue *to)
{
    to->bias = from->bias ? from->bias + col : NULL;
    to->count = from->count;
    for (int i = 0; i < from->count; i++) {
        to->ops[i] = from->ops[i];
        if (to->ops[i].operand) {
            to->ops[i].operand += row * to->ops[i].operand_stride + col;
        }
    }
}

/* One panel against all row tiles of the block, over taps [tap, tap + taps) and depth [k, k + depth) of each. */
static void block_panel(const FbProductJob *job, size_t row, size_t rows, size_t col, size_t cols, const float **pointers, FbProductF32 *p,
                        bool last)
{
    const size_t tile = job->kernel->row_tile;
    FbEpilogue epilogue;
    const size_t first_tap = (size_t)(p->a - (const float *const *)pointers); /* tap number times row_tile */
    p->cols = cols;
    for (size_t i = 0; i < rows; i += tile) {
        p->rows = at_most(tile, rows - i);
        p->a = (const float *const *)pointers + i * job->taps + first_tap;
        p->c = job->c + (row + i) * job->c_stride + col;
        p->epilogue = NULL;
        if (last && job->epilogue) {
            epilogue_at(job->epilogue, row + i, col, &epilogue);
            p->epilogue = &epilogue;
        }
        job->kernel->run(p);
    }
    p->a = (const float *const *)pointers + first_tap;
}

void fb_product_block(const FbProductJob *job, size_t row, size_t rows, size_t col, size_t cols, const float **pointers)
{
    const size_t tile = job->kernel->row_tile, panel = job->kernel->col_tile;
    for (size_t i = 0; i < rows; i += tile) {
        job->point(job->arg, row + i, at_most(tile, rows - i), tile, pointers + i * job->taps);
    }
    if (job->depth == 0 || job->taps == 0) { /* empty sums still have an epilogue */
        FbProductF32 empty = {.a = (const float *const *)pointers, .a_row_stride = tile, .w = job->packed, .c_stride = job->c_stride};
        for (size_t n = col; n < col + cols; n += panel) {
            block_panel(job, row, rows, n, at_most(panel, col + cols - n), pointers, &empty, true);
        }
        return;
    }
    const size_t slab = job->taps * job->depth <= SLAB_DEPTH + SLAB_DEPTH / 2 ? job->taps * job->depth : SLAB_DEPTH;
    const size_t slab_taps = job->depth <= slab ? slab / job->depth : 1;
    const size_t slab_depth = at_most(job->depth, slab);
    FbProductF32 p = {.a_row_stride = tile, .zero = job->zero, .c_stride = job->c_stride};
    for (size_t tap = 0; tap < job->taps; tap += slab_taps) {
        for (size_t k = 0; k < job->depth; k += slab_depth) {
            p.taps = at_most(slab_taps, job->taps - tap);
            p.depth = at_most(slab_depth, job->depth - k);
            p.a = (const float *const *)pointers + tap * tile;
            p.a_offset = job->a_offset + (ptrdiff_t)k;
            p.accumulate = tap > 0 || k > 0;
            const bool last = tap + p.taps == job->taps && k + p.depth == job->depth;
            for (size_t n = col; n < col + cols; n += panel) {
                p.w = job->packed + (n / panel * job->taps * job->depth + tap * job->depth + k) * panel;
                block_panel(job, row, rows, n, at_most(panel, col + cols - n), pointers, &p, last);
            }
        }
    }
}
