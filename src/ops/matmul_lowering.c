/* MatMul and Gemm through the product kernels: a constant second operand is packed once, a run-time one at the start of each call. */
#include "kernels/product_block.h"
#include "ops/fused.h"
#include "ops/matmul.h"

typedef struct MatmulState {
    const FbProductF32Kernel *product;
    const float *a;      /* a constant first operand, or NULL */
    const float *packed; /* a constant second operand, one matrix after the other, or NULL */
    size_t packed_matrix;
    FbFused fused;
} MatmulState;

typedef struct MatmulBound {
    FbMatmul shape;          /* one matrix of all rows when the second operand does not change with the batch */
    FbProductTiling tiling;
    size_t packed_matrix, packed_bytes, copy_bytes; /* of the scratch: B packed here, A transposed */
    size_t pointers;         /* per slot */
} MatmulBound;

typedef struct MatmulRun {
    const MatmulState *state;
    const MatmulBound *bound;
    const float *a, *b, *packed;
    float *pack_to, *copy_to;
    float alpha;
    float *y;
    FbEpilogue epilogue;
    const float **pointers;
} MatmulRun;

static bool from_node(const FbPrepare *prepare, int input)
{
    return input < (int)prepare->node->input_count && prepare->node->inputs[input] != FB_NONE;
}

/* Gemm's C serves as a bias when it is one number per column. */
static bool is_bias(const FbConst *c)
{
    return c->shape.rank == 1 || (c->shape.rank == 2 && c->shape.dims[0] == 1);
}

static bool matmul_accepts(const FbPrepare *prepare)
{
    const FbConst *a = prepare->constants[0], *b = prepare->constants[1];
    if (prepare->inputs[0].dtype != FB_DTYPE_F32 || prepare->inputs[1].dtype != FB_DTYPE_F32 || !fb_fused_accepts(prepare)) {
        return false;
    }
    const FbConst *c = prepare->input_count > 2 ? prepare->constants[2] : NULL;
    if (c) { /* a single number per row of C would need another epilogue; so would a C that N is not known to equal */
        const FbMatmulParams *p = prepare->params;
        const FbShape *w = b ? &b->shape : &prepare->inputs[1].shape;
        const int64_t n = w->rank < 2 ? -1 : w->dims[p->transpose_b ? w->rank - 2 : w->rank - 1];
        if (!is_bias(c) || c->shape.dims[c->shape.rank - 1] != n) {
            return false;
        }
    }
    return !(a && b);
}

static FbStatus pack_constant(const FbPrepare *prepare, MatmulState *s, FbError *err)
{
    const FbMatmulParams *p = prepare->params;
    const FbConst *b = prepare->constants[1];
    const int64_t one[1] = {b->shape.rank == 1 ? b->shape.dims[0] : b->shape.dims[b->shape.rank - (p->transpose_b ? 1 : 2)]};
    const FbMatmulParams plain = {.transpose_b = p->transpose_b};
    const FbMatmul shape = fb_matmul_of(&plain, 1, one, b->shape.rank, b->shape.dims);
    const size_t matrix = (size_t)(shape.k * shape.n);
    s->packed_matrix = fb_product_f32_packed_count(s->product, (size_t)shape.k, (size_t)shape.n);
    float *packed = fb_arena_array(prepare->arena, (size_t)shape.b_batches, s->packed_matrix * sizeof *packed);
    float *w = fb_alloc_array(prepare->context, matrix, sizeof *w);
    if (!packed || !w) {
        fb_free(prepare->context, w);
        return fb_error_memory(prepare->context, err, "packed weights", s->packed_matrix * sizeof *packed);
    }
    FbStatus status = FB_OK;
    for (size_t i = 0; i < (size_t)shape.b_batches && status == FB_OK; i++) {
        status = fb_const_read_f32(prepare->context, b, i * matrix, matrix, w, err);
        for (size_t k = 0; status == FB_OK && p->gemm && k < matrix; k++) {
            w[k] = p->alpha * w[k];
        }
        if (status == FB_OK) {
            fb_product_f32_pack(s->product, w, (size_t)shape.b_depth, (size_t)shape.b_col, (size_t)shape.k, (size_t)shape.n,
                                packed + i * s->packed_matrix);
        }
    }
    fb_free(prepare->context, w);
    s->packed = packed;
    return status;
}

static FbStatus matmul_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbMatmulParams *p = prepare->params;
    MatmulState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "matrix product", sizeof *s);
    }
    s->product = fb_product_f32_pick(fb_context_cpu(prepare->context));
    const FbConst *c = prepare->input_count > 2 ? prepare->constants[2] : NULL;
    const size_t columns = c ? (size_t)c->shape.dims[c->shape.rank - 1] : 0;
    FB_TRY(fb_fused_prepare(prepare, columns, &s->fused, err));
    if (c && p->gemm && from_node(prepare, 2)) { /* not a bias that the compiler found behind the node */
        float *scaled = fb_arena_array(prepare->arena, columns, sizeof *scaled);
        if (!scaled) {
            return fb_error_memory(prepare->context, err, "bias", columns * sizeof *scaled);
        }
        for (size_t i = 0; i < columns; i++) {
            scaled[i] = p->beta * s->fused.bias[i];
        }
        s->fused.bias = scaled;
    }
    if (prepare->constants[0]) {
        FB_TRY(fb_prepare_floats(prepare, 0, &s->a, err));
    }
    if (prepare->constants[1]) {
        FB_TRY(pack_constant(prepare, s, err));
    }
    *state = s;
    return FB_OK;
}

static FbStatus matmul_bind(FbBind *bind, FbError *err)
{
    const FbMatmulParams *p = bind->params;
    const MatmulState *s = bind->state;
    const FbTensor *a = bind->call->inputs[0], *b = bind->call->inputs[1];
    MatmulBound *m = fb_arena_alloc(bind->arena, sizeof *m);
    if (!m) {
        return fb_error_memory(bind->context, err, "matrix product", sizeof *m);
    }
    m->shape = fb_matmul_of(p, a->rank, a->dims, b->rank, b->dims);
    bool dense = m->shape.b_batches == 1 && !p->transpose_a;
    for (int i = 0; i < m->shape.batch_rank; i++) {
        dense = dense && (m->shape.a_batch[i] != 0 || m->shape.batch[i] == 1);
    }
    if (dense) { /* rows of all batches are one matrix */
        m->shape.m *= m->shape.batches;
        m->shape.batches = 1;
        m->shape.batch_rank = 0;
    }
    const size_t depth = (size_t)m->shape.k, cols = (size_t)m->shape.n;
    m->packed_matrix = fb_product_f32_packed_count(s->product, depth, cols);
    m->packed_bytes = s->packed ? 0 : fb_up_to_line((size_t)m->shape.b_batches * m->packed_matrix * sizeof(float));
    m->copy_bytes = p->transpose_a ? fb_up_to_line((size_t)(m->shape.m * m->shape.k) * sizeof(float)) : 0;
    m->tiling = fb_product_tiling(s->product, (size_t)m->shape.m, cols, depth);
    m->pointers = fb_product_pointer_count(s->product, m->tiling.row_block, 1);
    bind->scratch_bytes = m->packed_bytes + m->copy_bytes + (size_t)fb_context_threads(bind->context) * m->pointers * sizeof(const float *);
    bind->bound = m;
    return FB_OK;
}

/* Unit: one panel of one matrix of B. */
static void pack_panels(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulRun *r = arg;
    const FbMatmul *shape = &r->bound->shape;
    const size_t tile = r->state->product->col_tile, depth = (size_t)shape->k, panels = ((size_t)shape->n + tile - 1) / tile;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t matrix = unit / panels, first = unit % panels * tile;
        const size_t cols = (size_t)shape->n - first < tile ? (size_t)shape->n - first : tile;
        float *to = r->pack_to + matrix * r->bound->packed_matrix + first * depth;
        fb_product_f32_pack(r->state->product, r->b + matrix * depth * (size_t)shape->n + first * (size_t)shape->b_col, (size_t)shape->b_depth,
                            (size_t)shape->b_col, depth, cols, to);
        for (size_t i = 0; r->alpha != 1.0f && i < depth * tile; i++) {
            to[i] = r->alpha * to[i];
        }
    }
}

/* Gemm's transposed A, unit: one row of the copy. */
static void transpose_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulRun *r = arg;
    const FbMatmul *shape = &r->bound->shape;
    (void)slot;
    for (size_t m = begin; m < end; m++) {
        for (size_t k = 0; k < (size_t)shape->k; k++) {
            r->copy_to[m * (size_t)shape->k + k] = r->a[k * (size_t)shape->m + m];
        }
    }
}

typedef struct MatmulRows { const float *a; size_t depth; } MatmulRows;

static void point(const void *arg, size_t first, size_t count, size_t stride, const float **a)
{
    const MatmulRows *rows = arg;
    (void)stride;
    for (size_t i = 0; i < count; i++) {
        a[i] = rows->a + (first + i) * rows->depth;
    }
}

static void product_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulRun *r = arg;
    const MatmulBound *m = r->bound;
    const FbProductTiling *t = &m->tiling;
    const size_t rows = (size_t)m->shape.m, cols = (size_t)m->shape.n, depth = (size_t)m->shape.k;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t matrix = unit / (t->row_blocks * t->col_blocks), block = unit % (t->row_blocks * t->col_blocks);
        const size_t row = block / t->col_blocks * t->row_block, col = block % t->col_blocks * t->col_block;
        int64_t a_at, b_at;
        fb_matmul_offsets(&m->shape, (int64_t)matrix, &a_at, &b_at);
        const MatmulRows source = {r->a + a_at, depth};
        FbEpilogue epilogue;
        fb_epilogue_shift(&r->epilogue, matrix * rows, 0, &epilogue);
        const FbProductJob job = {r->state->product, rows, cols, depth, 1,
                                  r->packed + (depth ? (size_t)b_at / (depth * cols) * m->packed_matrix : 0), NULL, 0,
                                  r->y + matrix * rows * cols, cols, &epilogue, point, &source};
        fb_product_block(&job, row, rows - row < t->row_block ? rows - row : t->row_block, col,
                         cols - col < t->col_block ? cols - col : t->col_block, r->pointers + slot * m->pointers);
    }
}

static FbStatus matmul_run_lowered(const FbCall *call, FbError *err)
{
    const FbMatmulParams *p = call->params;
    const MatmulState *s = call->state;
    const MatmulBound *m = call->bound;
    char *scratch = call->scratch;
    if (fb_tensor_elements(call->outputs[0]) == 0) {
        return FB_OK;
    }
    MatmulRun r = {.state = s, .bound = m, .a = s->a ? s->a : call->inputs[0]->data, .b = call->inputs[1]->data, .packed = s->packed,
                   .alpha = p->gemm ? p->alpha : 1.0f, .y = call->outputs[0]->data};
    const size_t panels = ((size_t)m->shape.n + s->product->col_tile - 1) / s->product->col_tile;
    if (!s->packed) {
        r.pack_to = (float *)(void *)scratch;
        const size_t panel = (size_t)m->shape.k * s->product->col_tile;
        fb_parallel(call->context, pack_panels, &r, (size_t)m->shape.b_batches * panels, panel < 32768 ? 32768 / (panel + 1) + 1 : 1);
        r.packed = r.pack_to;
    }
    if (p->transpose_a) {
        r.copy_to = (float *)(void *)(scratch + m->packed_bytes);
        fb_parallel(call->context, transpose_rows, &r, (size_t)m->shape.m, 16);
        r.a = r.copy_to;
    }
    r.pointers = (const float **)(void *)(scratch + m->packed_bytes + m->copy_bytes);
    fb_fused_epilogue(&s->fused, call, (size_t)m->shape.n, &r.epilogue);
    const size_t blocks = m->tiling.row_blocks * m->tiling.col_blocks;
    const size_t macs = (size_t)(m->shape.m * m->shape.n * m->shape.k) / blocks;
    fb_parallel(call->context, product_units, &r, (size_t)m->shape.batches * blocks, macs < ((size_t)1 << 18) ? ((size_t)1 << 18) / (macs + 1) + 1 : 1);
    return fb_check_cancel(call->context, err);
}

static uint64_t matmul_macs(const FbCall *call)
{
    const MatmulBound *m = call->bound;
    return (uint64_t)(m->shape.batches * m->shape.m * m->shape.n * m->shape.k);
}

static const char *matmul_kernel(const void *state)
{
    (void)state;
    return "product_f32";
}

const FbLowering fb_matmul_lowering = {.name = "matmul", .accepts = matmul_accepts, .prepare = matmul_prepare, .bind = matmul_bind,
                                       .run = matmul_run_lowered, .macs = matmul_macs, .kernel = matmul_kernel};
