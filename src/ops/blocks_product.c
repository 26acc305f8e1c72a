/* Products with weights in block types: through the float kernels, or on codes. */
#include "ops/blocks_product.h"

#include "kernels/product_f32.h"
#include "kernels/product_lowbit.h"
#include "ops/fused.h"

enum {
    SLAB_DEPTH = 512,  /* elements of a panel that are decoded at a time; a multiple of every block */
    ROW_BLOCK = 192,   /* rows that share a decoded panel: a slab of them stays in the second cache */
    ROW_TILE_MAX = 16,
    CODES_ROWS = 64,   /* that panels pass by: their parts of 256 elements stay in the first cache */
    UNIT_BYTES = 128 << 10,  /* of weights in a unit of work at least, as long as there are UNITS_WANTED units */
    UNITS_WANTED = 16,
    ROW_STEP = 4,      /* rows that kernels take together */
    ASIDE_ROWS = 16
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

static void product_in_float(FbContext *context, const FbBlocksProduct *product)
{
    BlocksFloat f = {.product = product, .kernel = fb_product_f32_pick(fb_context_cpu(context))};
    f.row_blocks = (product->rows + ROW_BLOCK - 1) / ROW_BLOCK;
    f.row_block = (product->rows + f.row_blocks - 1) / f.row_blocks;
    f.row_block = (f.row_block + f.kernel->row_tile - 1) / f.kernel->row_tile * f.kernel->row_tile;
    f.row_blocks = (product->rows + f.row_block - 1) / f.row_block;
    f.col_blocks = (product->w->rows + f.kernel->col_tile - 1) / f.kernel->col_tile;
    f.slot_floats = slot_floats(f.kernel, product->w);
    fb_parallel(context, float_units, &f, f.row_blocks * f.col_blocks, 65536 / (product->w->depth * f.kernel->col_tile + 1) + 1);
}

/* ---- on codes ---- */

typedef struct BlocksCodes {
    const FbBlocksProduct *product;
    const FbProductLowbitKernel *kernel;
    FbLowbitRun run;
    size_t elements;          /* of a block; 1: A stays float */
    const void *a;            /* rounded, or the product's own */
    size_t a_stride;          /* bytes */
    size_t row_block, row_blocks, panel_block, panel_blocks;
} BlocksCodes;

static size_t at_least(size_t a, size_t b) { return a > b ? a : b; }

static size_t codes_stride(const FbPackedBlocks *w)
{
    const size_t group = w->type->elements == 1 ? sizeof(float) : w->type->elements == 32 ? sizeof(FbCodes32) : sizeof(FbCodes256);
    return w->row_blocks * group;
}

bool fb_blocks_product_has_codes(const FbPackedBlocks *w) { return fb_lowbit_form_of(w->type->number) != FB_LOWBIT_COUNT; }
bool fb_blocks_product_is_exact(const FbPackedBlocks *w) { return w->type->elements == 1; }

size_t fb_blocks_product_scratch(FbContext *context, const FbPackedBlocks *w, size_t rows, bool codes)
{
    if (codes) {
        return w->type->elements == 1 ? 0 : rows * codes_stride(w);
    }
    return (size_t)fb_context_threads(context) * slot_floats(fb_product_f32_pick(fb_context_cpu(context)), w) * sizeof(float);
}

static void round_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const BlocksCodes *c = arg;
    const FbBlocksProduct *b = c->product;
    (void)slot;
    for (size_t r = begin; r < end; r++) {
        char *to = (char *)b->scratch + r * c->a_stride;
        if (c->elements == 32) {
            c->kernel->codes32(b->a + r * b->w->depth, b->w->row_blocks, (FbCodes32 *)(void *)to);
        } else {
            c->kernel->codes256(b->a + r * b->w->depth, b->w->row_blocks, (FbCodes256 *)(void *)to);
        }
    }
}

/* Some panels against some rows; the last panel's columns may be too many for C. */
static void panels_by_rows(const BlocksCodes *c, size_t row, size_t rows, size_t panel, size_t panels)
{
    const FbBlocksProduct *b = c->product;
    const FbPackedBlocks *w = b->w;
    const size_t col = panel * FB_PANEL_ROWS, cols = at_most(panels * FB_PANEL_ROWS, w->rows - col), whole = cols / FB_PANEL_ROWS;
    float aside[ASIDE_ROWS * FB_LOWBIT_COLS];
    FbProductLowbit p = {.rows = rows, .blocks = w->row_blocks, .panels = whole, .w = fb_packed_panel(w, b->matrix, panel),
                         .a = (const char *)c->a + row * c->a_stride, .a_stride = c->a_stride, .c = b->c + row * b->c_stride + col,
                         .c_stride = b->c_stride};
    if (whole > 0) {
        c->run(&p);
    }
    p.w = fb_packed_panel(w, b->matrix, panel + whole);
    p.panels = 1;
    p.c = aside;
    p.c_stride = FB_LOWBIT_COLS;
    for (size_t first = 0; whole < panels && first < rows; first += p.rows) {
        p.rows = at_most(ASIDE_ROWS, rows - first);
        p.a = (const char *)c->a + (row + first) * c->a_stride;
        c->run(&p);
        for (size_t r = 0; r < p.rows; r++) {
            memcpy(b->c + (row + first + r) * b->c_stride + col + whole * FB_PANEL_ROWS, aside + r * FB_LOWBIT_COLS,
                   (cols - whole * FB_PANEL_ROWS) * sizeof *aside);
        }
    }
}

/* Unit: some panels against a block of rows. */
static void code_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const BlocksCodes *c = arg;
    const FbBlocksProduct *b = c->product;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit / c->panel_blocks * c->row_block, rows = at_most(c->row_block, b->rows - row);
        const size_t first = unit % c->panel_blocks * c->panel_block, panels = at_most(c->panel_block, b->w->panels - first);
        panels_by_rows(c, row, rows, first, panels);
        if (b->epilogue != NULL && (b->epilogue->bias != NULL || b->epilogue->count > 0)) {
            const size_t col = first * FB_PANEL_ROWS, cols = at_most(panels * FB_PANEL_ROWS, b->w->rows - col);
            FbEpilogue epilogue;
            fb_epilogue_shift(b->epilogue, row, col, &epilogue);
            c->kernel->epilogue(&epilogue, rows, cols, b->c + row * b->c_stride + col, b->c_stride);
        }
    }
}

static void product_on_codes(FbContext *context, const FbBlocksProduct *product)
{
    const FbPackedBlocks *w = product->w;
    const unsigned cpu = fb_context_cpu(context);
    BlocksCodes c = {.product = product, .kernel = fb_product_lowbit_pick(cpu), .elements = (size_t)w->type->elements,
                     .run = fb_product_lowbit_run(cpu, fb_lowbit_form_of(w->type->number)), .a = product->scratch, .a_stride = codes_stride(w)};
    if (c.elements == 1) {
        c.a = product->a;
    } else {
        fb_parallel(context, round_rows, &c, product->rows, 16384 / (w->depth + 1) + 1);
    }
    c.row_blocks = at_least((product->rows + CODES_ROWS - 1) / CODES_ROWS, 1); /* of about equal height */
    c.row_block = ((product->rows + c.row_blocks - 1) / c.row_blocks + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
    c.row_blocks = (product->rows + c.row_block - 1) / c.row_block;
    c.panel_block = at_least(at_most(UNIT_BYTES / w->panel_bytes + 1, w->panels / UNITS_WANTED + 1) / 2 * 2, 2); /* kernels like pairs */
    c.panel_blocks = (w->panels + c.panel_block - 1) / c.panel_block;
    fb_parallel(context, code_units, &c, c.row_blocks * c.panel_blocks, 1);
}

void fb_blocks_product(FbContext *context, const FbBlocksProduct *product)
{
    if (product->rows == 0) {
        return;
    }
    if (product->codes) {
        product_on_codes(context, product);
    } else {
        product_in_float(context, product);
    }
}
