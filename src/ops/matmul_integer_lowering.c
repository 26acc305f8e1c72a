/* MatMul and Gemm of u8 codes with a constant encoded second operand. Real inputs are first quantized with the range of the run where the
 * plan asks for it. */
#include "ops/dynamic_codes.h"
#include "ops/integer_store.h"
#include "ops/matmul.h"

typedef struct MatmulState {
    const FbProductU8S8Kernel *product;
    size_t depth, columns;
    bool dynamic;
    FbPackedU8S8 packed;
    FbIntegerStore store;
} MatmulState;

typedef struct MatmulBound {
    size_t rows;             /* of all batches */
    FbTilingU8S8 tiling;
    size_t dynamic_bytes;    /* of the scratch, before the pointers */
    size_t pointers;         /* per slot */
} MatmulBound;

typedef struct MatmulRun {
    const MatmulState *state;
    const MatmulBound *bound;
    const uint8_t *a;
    void *y;
    FbIntegerEpilogue epilogue;
    const uint8_t **pointers;
    size_t a_stride, y_stride; /* from row to row */
} MatmulRun;

static int column_axis(const FbPrepare *prepare)
{
    const FbMatmulParams *p = prepare->params;
    return p->transpose_b ? 0 : 1;
}

static bool matmul_accepts(const FbPrepare *prepare)
{
    const FbMatmulParams *p = prepare->params;
    const FbConst *b = prepare->constants[1];
    if (!b || b->shape.rank != 2 || p->transpose_a || !(p->alpha > 0)) {
        return false;
    }
    const int axis = column_axis(prepare);
    const FbConst *c = prepare->input_count > 2 ? prepare->constants[2] : NULL;
    if (c) { /* one number per column */
        const bool row = c->shape.rank == 1 || (c->shape.rank == 2 && c->shape.dims[0] == 1);
        if (!row || c->shape.dims[c->shape.rank - 1] != b->shape.dims[axis]) {
            return false;
        }
    }
    return fb_integer_weight_accepts(b, axis, b->shape.dims[1 - axis]) && fb_integer_store_accepts(prepare);
}

static FbStatus matmul_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbMatmulParams *p = prepare->params;
    const FbShape *shape = &prepare->constants[1]->shape;
    const int axis = column_axis(prepare);
    MatmulState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "matrix product", sizeof *s);
    }
    s->product = fb_product_u8s8_pick(fb_context_cpu(prepare->context));
    s->dynamic = !prepare->grids || !prepare->grids[0];
    s->depth = (size_t)shape->dims[1 - axis];
    s->columns = (size_t)shape->dims[axis];
    FbIntegerWeight weight;
    FB_TRY(fb_integer_weight_read(prepare, axis, &weight, err));
    const FbIntegerMatrix matrix = {weight.codes, 1, s->depth, s->columns, 0, p->transpose_b ? 1 : s->columns, p->transpose_b ? s->depth : 1};
    FbStatus status = fb_integer_weight_pack(prepare, s->product, &matrix, 1, weight.summands, &s->packed, err);
    if (status == FB_OK) { /* beta is for Gemm's own third input, not for a bias that the compiler found behind the node */
        const bool own = prepare->node->input_count > 2 && prepare->node->inputs[2] != FB_NONE;
        status = fb_integer_store_prepare(prepare, &weight, p->alpha, own ? p->beta : 1, &s->store, err);
    }
    fb_integer_weight_free(prepare->context, &weight);
    *state = s;
    return status;
}

static FbStatus matmul_bind(FbBind *bind, FbError *err)
{
    const MatmulState *s = bind->state;
    const FbTensor *a = bind->call->inputs[0];
    const size_t elements = (size_t)fb_tensor_elements(a);
    MatmulBound *m = fb_arena_alloc(bind->arena, sizeof *m);
    if (!m) {
        return fb_error_memory(bind->context, err, "matrix product", sizeof *m);
    }
    m->rows = elements / s->depth;
    m->dynamic_bytes = s->dynamic ? fb_dynamic_codes_bytes(elements, s->columns) : 0;
    m->tiling = fb_product_u8s8_tiling(s->product, m->rows, s->columns, s->packed.taps * s->depth);
    m->pointers = fb_product_u8s8_pointer_count(s->product, m->tiling.row_block, s->packed.taps);
    bind->scratch_bytes = m->dynamic_bytes + (size_t)fb_context_threads(bind->context) * m->pointers * sizeof(const uint8_t *);
    bind->bound = m;
    return FB_OK;
}

static void point(const void *arg, size_t first, size_t count, size_t stride, const uint8_t **a)
{
    const MatmulRun *r = arg;
    for (size_t t = 0; t < r->state->packed.taps; t++) {
        for (size_t i = 0; i < count; i++) {
            a[t * stride + i] = r->a + (first + i) * r->a_stride;
        }
    }
}

static void product_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulRun *r = arg;
    const MatmulState *s = r->state;
    const FbTilingU8S8 *t = &r->bound->tiling;
    const FbProductU8S8Job job = {s->product, &s->packed, NULL, 0, r->y, r->y_stride, &r->epilogue, point, r};
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit / t->col_blocks * t->row_block, col = unit % t->col_blocks * t->col_block;
        const size_t rows = r->bound->rows - row, cols = s->columns - col;
        fb_product_u8s8_block(&job, row, rows < t->row_block ? rows : t->row_block, col, cols < t->col_block ? cols : t->col_block,
                              r->pointers + slot * r->bound->pointers);
    }
}

static FbStatus matmul_run_lowered(const FbCall *call, FbError *err)
{
    const MatmulState *s = call->state;
    const MatmulBound *m = call->bound;
    const FbTensor *a = call->inputs[0];
    if (m->rows == 0) {
        return FB_OK;
    }
    FbDynamicCodes dynamic = {.codes = a->data};
    if (s->dynamic) {
        fb_dynamic_codes_run(call->context, &s->store, a->data, (size_t)fb_tensor_elements(a), call->scratch, &dynamic);
    }
    MatmulRun r = {.state = s, .bound = m, .a = dynamic.codes, .y = call->outputs[0]->data,
                   .pointers = (const uint8_t **)(void *)((char *)call->scratch + m->dynamic_bytes),
                   .a_stride = fb_call_stride(call, 0, s->depth), .y_stride = fb_call_stride(call, -1, s->columns)};
    fb_integer_store_epilogue(&s->store, call, dynamic.offset, dynamic.scales, &r.epilogue);
    const size_t blocks = m->tiling.row_blocks * m->tiling.col_blocks, macs = m->rows * s->columns * s->depth / blocks;
    fb_parallel(call->context, product_units, &r, blocks, macs < ((size_t)1 << 19) ? ((size_t)1 << 19) / (macs + 1) + 1 : 1);
    return fb_check_cancel(call->context, err);
}

static uint64_t matmul_macs(const FbCall *call)
{
    const MatmulState *s = call->state;
    const MatmulBound *m = call->bound;
    return (uint64_t)m->rows * s->columns * s->depth;
}

/* Quantizing goes over all elements in one. */
static bool matmul_strided(const FbCall *call, int i)
{
    return i != 0 || !((const MatmulState *)call->state)->dynamic;
}

static const char *matmul_kernel(const void *state)
{
    (void)state;
    return "product_u8s8";
}

const FbLowering fb_matmul_integer_lowering = {.name = "matmul_u8s8", .accepts = matmul_accepts, .prepare = matmul_prepare, .bind = matmul_bind,
                                               .run = matmul_run_lowered, .macs = matmul_macs, .kernel = matmul_kernel, .strided = matmul_strided};
