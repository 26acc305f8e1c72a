/* Products with weights in block types, through the float kernels. */
#include "ops/blocks_product.h"

#include "kernels/product_f32.h"
#include "ops/fused.h"

enum {
    SLAB_DEPTH = 512,  /* elements of a panel that are decoded at a time; a multiple of every block */
    ROW_BLOCK = 192,   /* rows that share a decoded panel: a slab of them stays in the second cache */
    ROW_TILE_MAX = 16
};

typedef struct BlocksFloat {
    const FbBlocksProduct *product;
    const FbProductF32Kernel *kernel;
    size_t row_block, row_blocks, col_blocks;
    size_t slot_floats;  /* of scratch: the decoded panel, then one row */
} BlocksFloat;

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

static size_t slab_of(const FbPackedBlocks *w) { return at_most(w->depth, SLAB_DEPTH); }

static size_t slot_floats(const FbProductF32Kernel *kernel, const FbPackedBlocks *w)
{
    return ((kernel->col_tile + 1) * slab_of(w) + 15) / 16 * 16;
}

size_t fb_blocks_product_scratch(FbContext *context, const FbPackedBlocks *w, size_t rows)
{
    (void)rows;
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(context));
    return (size_t)fb_context_threads(context) * slot_floats(kernel, w) * sizeof(float);
}

/* Columns [col, col + cols) over depth [k, k + depth), as the float kernel wants them. */
static void decode_panel(const BlocksFloat *f, size_t col, size_t cols, size_t k, size_t depth, float *panel, float *row)
{
    const FbPackedBlocks *w = f->product->w;
    const size_t tile = f->kernel->col_tile, elements = (size_t)w->type->elements;
    for (size_t n = 0; n < tile; n++) {
        if (n < cols) {
            fb_packed_blocks_decode(w, f->product->matrix, col + n, k / elements, depth / elements, row);
        }
        for (size_t i = 0; i < depth; i++) {
            panel[i * tile + n] = n < cols ? row[i] : 0.0f;
        }
    }
}

/* All tiles of a block of rows with one slab of a panel. */
static void slab_tiles(const BlocksFloat *f, size_t row, size_t rows, FbProductF32 *p, size_t k, size_t col)
{
    const FbBlocksProduct *b = f->product;
    const size_t depth = b->w->depth;
    const bool last = k + p->depth == depth;
    const float *pointers[ROW_TILE_MAX];
    FbEpilogue epilogue;
    for (size_t r = row; r < row + rows; r += f->kernel->row_tile) {
        p->rows = at_most(f->kernel->row_tile, row + rows - r);
        for (size_t i = 0; i < p->rows; i++) {
            pointers[i] = b->a + (r + i) * depth + k;
        }
        p->a = pointers;
        p->a_row_stride = p->rows;
        p->c = b->c + r * b->c_stride + col;
        p->epilogue = NULL;
        if (last && b->epilogue != NULL) {
            fb_epilogue_shift(b->epilogue, r, col, &epilogue);
            p->epilogue = &epilogue;
        }
        f->kernel->run(p);
    }
}

/* Unit: one panel of columns against one block of rows. */
static void float_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const BlocksFloat *f = arg;
    const FbBlocksProduct *b = f->product;
    const size_t slab = slab_of(b->w), tile = f->kernel->col_tile;
    float *panel = (float *)b->scratch + slot * f->slot_floats;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit / f->col_blocks * f->row_block, col = unit % f->col_blocks * tile;
        FbProductF32 p = {.cols = at_most(tile, b->w->rows - col), .taps = 1, .w = panel, .c_stride = b->c_stride};
        for (size_t k = 0; k < b->w->depth; k += slab) {
            p.depth = at_most(slab, b->w->depth - k);
            p.accumulate = k > 0;
            decode_panel(f, col, p.cols, k, p.depth, panel, panel + tile * slab);
            slab_tiles(f, row, at_most(f->row_block, b->rows - row), &p, k, col);
        }
    }
}

void fb_blocks_product(FbContext *context, const FbBlocksProduct *product)
{
    if (product->rows == 0) {
        return;
    }
    BlocksFloat f = {.product = product, .kernel = fb_product_f32_pick(fb_context_cpu(context))};
    f.row_blocks = (product->rows + ROW_BLOCK - 1) / ROW_BLOCK;
    f.row_block = (product->rows + f.row_blocks - 1) / f.row_blocks;
    f.row_block = (f.row_block + f.kernel->row_tile - 1) / f.kernel->row_tile * f.kernel->row_tile;
    f.row_blocks = (product->rows + f.row_block - 1) / f.row_block;
    f.col_blocks = (product->w->rows + f.kernel->col_tile - 1) / f.kernel->col_tile;
    f.slot_floats = slot_floats(f.kernel, product->w);
    fb_parallel(context, float_units, &f, f.row_blocks * f.col_blocks, 65536 / (product->w->depth * f.kernel->col_tile + 1) + 1);
}
