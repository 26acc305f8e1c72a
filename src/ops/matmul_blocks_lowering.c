/* MatMul and Gemm with a second operand in block types: Gemm's transposed weight, [outputs][inputs] as checkpoints have it; or
 * [inputs][outputs] in blocks of one element. */
#include "ops/blocks_product.h"
#include "ops/fused.h"
#include "ops/matmul.h"

typedef struct MatmulBlocksState {
    const FbPackedBlocks *w;
    bool codes;
    FbFused fused;
} MatmulBlocksState;

typedef struct MatmulBlocksBound { size_t rows; } MatmulBlocksBound;

static bool has_input(const FbPrepare *prepare, int input)
{
    return input < (int)prepare->node->input_count && prepare->node->inputs[input] != FB_NONE;
}

static bool matmul_blocks_accepts(const FbPrepare *prepare)
{
    const FbMatmulParams *p = prepare->params;
    const FbConst *b = prepare->constants[1], *c = prepare->input_count > 2 ? prepare->constants[2] : NULL;
    if (!fb_packed_blocks_accepts(b, !p->transpose_b) || b->shape.rank != 2 || prepare->constants[0] != NULL || p->transpose_a ||
        prepare->inputs[0].dtype != FB_DTYPE_F32 || prepare->inputs[0].shape.rank == 1 || !fb_fused_accepts(prepare)) {
        return false;
    }
    if (p->gemm && (p->alpha != 1.0f || (has_input(prepare, 2) && p->beta != 1.0f))) {
        return false;
    }
    const int64_t columns = b->shape.dims[p->transpose_b ? 0 : 1];
    const bool bias = c != NULL && (c->shape.rank == 1 || (c->shape.rank == 2 && c->shape.dims[0] == 1));
    return c == NULL || (bias && c->shape.dims[c->shape.rank - 1] == columns);
}

static FbStatus matmul_blocks_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbMatmulParams *p = prepare->params;
    MatmulBlocksState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(prepare->context, err, "matrix product", sizeof *s);
    }
    FB_TRY(fb_block_store_get(prepare->store, prepare->constants[1], !p->transpose_b, &s->w, err));
    s->codes = fb_blocks_product_has_codes(s->w) && (prepare->integer_mode || fb_blocks_product_is_exact(s->w));
    FB_TRY(fb_fused_prepare(prepare, s->w->rows, &s->fused, err));
    *state = s;
    return FB_OK;
}

static FbStatus matmul_blocks_bind(FbBind *bind, FbError *err)
{
    const MatmulBlocksState *s = bind->state;
    MatmulBlocksBound *bound = fb_arena_alloc(bind->arena, sizeof *bound);
    if (bound == NULL) {
        return fb_error_memory(bind->context, err, "matrix product", sizeof *bound);
    }
    bound->rows = (size_t)fb_tensor_elements(bind->call->inputs[0]) / s->w->depth;
    bind->scratch_bytes = fb_blocks_product_scratch(bind->context, s->w, bound->rows, s->codes);
    bind->bound = bound;
    return FB_OK;
}

static FbStatus matmul_blocks_run(const FbCall *call, FbError *err)
{
    const MatmulBlocksState *s = call->state;
    const MatmulBlocksBound *bound = call->bound;
    FbEpilogue epilogue;
    fb_fused_epilogue(&s->fused, call, s->w->rows, &epilogue);
    const FbBlocksProduct product = {.w = s->w, .rows = bound->rows, .a = call->inputs[0]->data, .c = call->outputs[0]->data,
                                     .c_stride = s->w->rows, .epilogue = &epilogue, .codes = s->codes, .scratch = call->scratch};
    fb_blocks_product(call->context, &product);
    return fb_check_cancel(call->context, err);
}

static uint64_t matmul_blocks_macs(const FbCall *call)
{
    const MatmulBlocksState *s = call->state;
    const MatmulBlocksBound *bound = call->bound;
    return (uint64_t)bound->rows * s->w->rows * s->w->depth;
}

static const char *matmul_blocks_kernel(const void *state)
{
    const MatmulBlocksState *s = state;
    return s->codes ? "product_lowbit" : "product_f32";
}

const FbLowering fb_matmul_blocks_lowering = {.name = "matmul_blocks", .accepts = matmul_blocks_accepts, .prepare = matmul_blocks_prepare,
                                              .bind = matmul_blocks_bind, .run = matmul_blocks_run, .macs = matmul_blocks_macs,
                                              .kernel = matmul_blocks_kernel};
