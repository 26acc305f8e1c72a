/* Experts whose matrices are in block types: packed once, decoded panel by panel for those that a run uses. */
#include "ops/blocks_product.h"
#include "ops/experts.h"

enum { FIRST_WEIGHT = 2, KINDS = 3 };

typedef struct ExpertsState {
    const FbPackedBlocks **w;  /* per weight input */
    bool *codes;               /* which multiply as they are, with tokens rounded to 8 bits */
    size_t count;
} ExpertsState;

static bool experts_accepts(const FbPrepare *prepare)
{
    for (int i = FIRST_WEIGHT; i < prepare->input_count; i++) {
        if (!fb_packed_blocks_accepts(prepare->constants[i], false)) {
            return false;
        }
    }
    return prepare->fused_count == 0 && prepare->constants[0] == NULL && prepare->constants[1] == NULL;
}

static FbStatus experts_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    ExpertsState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    size_t count = (size_t)prepare->input_count - FIRST_WEIGHT;
    if (s != NULL) {
        s->w = fb_arena_array(prepare->arena, count, sizeof(FbPackedBlocks *));
        s->codes = fb_arena_array(prepare->arena, count, sizeof *s->codes);
        s->count = count;
    }
    if (s == NULL || s->w == NULL || s->codes == NULL) {
        return fb_error_memory(prepare->context, err, "experts", count * sizeof *s);
    }
    for (size_t i = 0; i < count; i++) {
        FB_TRY(fb_block_store_get(prepare->store, prepare->constants[FIRST_WEIGHT + i], false, &s->w[i], err));
        s->codes[i] = fb_blocks_product_has_codes(s->w[i]) && (prepare->integer_mode || fb_blocks_product_is_exact(s->w[i]));
    }
    *state = s;
    return FB_OK;
}

static FbStatus experts_bind(FbBind *bind, FbError *err)
{
    const ExpertsState *s = bind->state;
    FbExpertsProduct *product = fb_arena_alloc(bind->arena, sizeof *product);
    if (product == NULL) {
        return fb_error_memory(bind->context, err, "experts", sizeof *product);
    }
    size_t rows = (size_t)bind->call->inputs[0]->dims[0];
    for (size_t i = 0; i < s->count; i++) {
        size_t bytes = fb_blocks_product_scratch(bind->context, s->w[i], rows, s->codes[i]);
        product->scratch_bytes = bytes > product->scratch_bytes ? bytes : product->scratch_bytes;
    }
    bind->scratch_bytes = fb_experts_scratch(bind->call, product->scratch_bytes);
    bind->bound = product;
    return FB_OK;
}

static void blocks_product(const FbCall *call, int kind, size_t expert, const float *a, size_t rows, float *c, void *scratch)
{
    const ExpertsState *s = call->state;
    size_t each = s->count / KINDS, experts = (size_t)call->inputs[1]->dims[1];
    bool stacked = each != experts || s->w[0]->matrices == experts;
    size_t which = (size_t)kind * each + (stacked ? 0 : expert);
    const FbBlocksProduct product = {.w = s->w[which], .matrix = stacked ? expert : 0, .rows = rows, .a = a, .c = c, .c_stride = s->w[which]->rows,
                                     .codes = s->codes[which], .scratch = scratch};
    fb_blocks_product(call->context, &product);
}

static FbStatus experts_run(const FbCall *call, FbError *err)
{
    const FbExpertsProduct *bound = call->bound;
    const FbExpertsProduct product = {blocks_product, bound->scratch_bytes};
    return fb_experts_run(call, &product, err);
}

static uint64_t experts_macs(const FbCall *call)
{
    const FbExpertsParams *p = call->params;
    FbExpertsSizes s = fb_experts_sizes(call);
    return (uint64_t)s.tokens * (uint64_t)p->top_k * KINDS * s.hidden * s.width;
}

static const char *experts_kernel(const void *state)
{
    const ExpertsState *s = state;
    return s->codes[0] ? "product_lowbit" : "product_f32";
}

const FbLowering fb_experts_blocks_lowering = {.name = "experts_blocks", .accepts = experts_accepts, .prepare = experts_prepare,
                                               .bind = experts_bind, .run = experts_run, .macs = experts_macs, .kernel = experts_kernel};
