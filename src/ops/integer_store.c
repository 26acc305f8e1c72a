/* Epilogues of integer products. */
#include "ops/integer_store.h"

#include <math.h>

#include "ops/codes_store.h"

bool fb_integer_store_accepts(const FbPrepare *prepare)
{
    const bool codes = prepare->grids != NULL && prepare->grids[0] != NULL;
    const bool dynamic = prepare->dynamic_a && prepare->inputs[0].dtype == FB_DTYPE_F32;
    const bool stores = prepare->store_grid == NULL ||
                        (prepare->fused_count > 0 && prepare->fused[prepare->fused_count - 1].kind == FB_EPILOGUE_ROUND);
    return (codes || dynamic) && stores && prepare->constants[0] == NULL && fb_fused_accepts(prepare);
}

/* ---- the rest in the store's units ---- */

/* Operations that commute with a change of the unit; a float operand of ADD would have to be divided per element. */
static bool scales(const FbFusedOp *op)
{
    return op->kind == FB_EPILOGUE_CLAMP || op->kind == FB_EPILOGUE_ROUND || op->kind == FB_EPILOGUE_LEAKY || op->kind == FB_EPILOGUE_MUL ||
           (op->kind == FB_EPILOGUE_ADD && op->operand_grid);
}

static void change_unit(FbIntegerStore *store)
{
    bool all = store->codes;
    for (int i = 0; i < store->fused.count; i++) {
        all = all && scales(&store->fused.ops[i]);
    }
    store->unit = all ? (double)store->grid.scale : 1;
    store->inverse = store->codes && !all ? 1 / store->grid.scale : 1;
    for (int i = 0; i < store->fused.count; i++) {
        FbFusedOp *op = &store->fused.ops[i];
        switch (op->kind) {
        case FB_EPILOGUE_ADD:
        case FB_EPILOGUE_MUL:
            if (op->operand_grid) {
                const double unit = op->kind == FB_EPILOGUE_ADD ? store->unit : 1;
                op->a = (float)((double)op->operand_grid->scale / unit);
                op->b = (float)op->operand_grid->zero;
            }
            break;
        case FB_EPILOGUE_CLAMP:
            op->a = (float)((double)op->a / store->unit);
            op->b = (float)((double)op->b / store->unit);
            break;
        case FB_EPILOGUE_ROUND: op->a = (float)((double)op->a / store->unit); break;
        case FB_EPILOGUE_LEAKY:
        case FB_EPILOGUE_SIGMOID:
        case FB_EPILOGUE_SILU:
        case FB_EPILOGUE_TANH:
        case FB_EPILOGUE_HARD_SIGMOID:
        case FB_EPILOGUE_HARD_SWISH:
        case FB_EPILOGUE_GELU_ERF: break;
        }
    }
}

/* ---- offsets, scales, bias ---- */

/* The bias as int32 in units of the sums, when it was made so: codes whose scale is that of the sums. *made false: it was not. */
static FbStatus bias_codes(const FbPrepare *prepare, const FbIntegerStore *store, float beta, double a_scale, int32_t *codes, bool *made,
                           FbError *err)
{
    const FbConst *bias = prepare->constants[2];
    const FbEncoding *e = bias->encoding;
    *made = false;
    if (!e || e->grain == FB_GRAIN_BLOCK || e->scale != FB_DTYPE_F32 || e->code->storage != FB_DTYPE_S32 || e->has_zero) {
        return FB_OK;
    }
    for (size_t c = 0; c < store->columns; c++) {
        float scale;
        const double want = fabs(a_scale * store->weight_scale[c] * store->alpha);
        FB_TRY(fb_plane_read(&bias->planes[FB_PLANE_SCALE], (e->grain == FB_GRAIN_AXIS ? c : 0) * sizeof scale, &scale, sizeof scale, err));
        if (!(fabs((double)scale * (double)beta - want) <= 1e-6 * want)) {
            return FB_OK;
        }
    }
    *made = true;
    return fb_const_read_codes(bias, FB_PLANE_CODES, 0, store->columns, codes, err);
}

/* offset[c], starting from the bias; false when a sum might leave int32. */
static bool make_offsets(const FbIntegerStore *store, const FbIntegerWeight *weight, int32_t zero, int32_t *offset)
{
    for (size_t c = 0; c < store->columns; c++) {
        const int64_t exact = (int64_t)offset[c] - (int64_t)zero * store->column_sum[c];
        if (255 * weight->absolute[c] + (exact < 0 ? -exact : exact) > INT32_MAX) {
            return false;
        }
        offset[c] = (int32_t)exact;
    }
    return true;
}

static FbStatus real_bias(const FbPrepare *prepare, FbIntegerStore *store, float beta, FbError *err)
{
    const size_t count = store->columns;
    float *bias = fb_arena_array(prepare->arena, count, sizeof *bias);
    if (!bias) {
        return fb_error_memory(prepare->context, err, "bias", count * sizeof *bias);
    }
    FB_TRY(fb_const_read_f32(prepare->context, prepare->constants[2], 0, count, bias, err));
    for (size_t c = 0; c < count; c++) {
        bias[c] = (float)((double)bias[c] * (double)beta / store->unit);
    }
    store->fused.bias = bias;
    return FB_OK;
}

static FbStatus constant_grid(const FbPrepare *prepare, const FbIntegerWeight *weight, float beta, bool has_bias, FbIntegerStore *store,
                              FbError *err)
{
    const FbCodeGrid *grid = prepare->grids[0];
    int32_t *offset = fb_arena_array(prepare->arena, store->columns, sizeof *offset);
    float *scale = fb_arena_array(prepare->arena, store->columns, sizeof *scale);
    bool made = false;
    if (!offset || !scale) {
        return fb_error_memory(prepare->context, err, "scales of a step", store->columns * sizeof *scale);
    }
    if (has_bias) {
        FB_TRY(bias_codes(prepare, store, beta, (double)grid->scale, offset, &made, err));
    }
    if (!made || !make_offsets(store, weight, grid->zero, offset)) {
        made = false;
        memset(offset, 0, store->columns * sizeof *offset);
        if (!make_offsets(store, weight, grid->zero, offset)) {
            return fb_error_set(err, FB_ERR_INTERNAL, "the weights of a column add up to more than 32 bits hold");
        }
    }
    for (size_t c = 0; c < store->columns; c++) {
        scale[c] = (float)((double)grid->scale * store->weight_scale[c] * store->alpha / store->unit);
    }
    store->offset = offset;
    store->scale = scale;
    return has_bias && !made ? real_bias(prepare, store, beta, err) : FB_OK;
}

FbStatus fb_integer_store_prepare(const FbPrepare *prepare, const FbIntegerWeight *weight, float alpha, float beta, FbIntegerStore *store,
                                  FbError *err)
{
    *store = (FbIntegerStore){.columns = weight->columns, .codes = prepare->store_grid != NULL, .alpha = (double)alpha,
                              .weight_scale = weight->scale, .column_sum = weight->sum};
    const bool has_bias = prepare->input_count > 2 && prepare->constants[2];
    if (has_bias && fb_shape_elements(&prepare->constants[2]->shape) != (int64_t)store->columns) {
        return fb_error_set(err, FB_ERR_FORMAT, "bias does not have %zu elements", store->columns);
    }
    store->fused.count = prepare->fused_count;
    memcpy(store->fused.ops, prepare->fused, sizeof store->fused.ops);
    if (prepare->store_grid != NULL) {
        store->grid = *prepare->store_grid;
        store->fused.count--; /* the store is this ROUND */
        FB_TRY(fb_codes_fold_rounds(prepare, store->fused.ops, &store->fused.count, &store->grid, &store->table, err));
        store->fused.count = fb_codes_fold_clamps(store->fused.ops, store->fused.count, &store->grid);
    }
    change_unit(store);
    if (prepare->grids && prepare->grids[0]) {
        return constant_grid(prepare, weight, beta, has_bias, store, err);
    }
    return has_bias ? real_bias(prepare, store, beta, err) : FB_OK;
}

void fb_integer_store_dynamic(const FbIntegerStore *store, float scale, int32_t zero, int32_t *offset, float *scales)
{
    for (size_t c = 0; c < store->columns; c++) {
        offset[c] = -zero * store->column_sum[c];
        scales[c] = (float)((double)scale * store->weight_scale[c] * store->alpha / store->unit);
    }
}

void fb_integer_store_epilogue(const FbIntegerStore *store, const FbCall *call, const int32_t *offset, const float *scales,
                               FbIntegerEpilogue *epilogue)
{
    *epilogue = (FbIntegerEpilogue){.offset = offset ? offset : store->offset, .scale = scales ? scales : store->scale,
                                    .codes = store->codes, .inverse = store->inverse, .grid = store->grid, .table = store->table};
    fb_fused_epilogue(&store->fused, call, store->columns, &epilogue->real);
    for (int i = 0; i < store->fused.count; i++) {
        FbEpilogueOp *op = &epilogue->real.ops[i];
        if (fb_fused_has_operand(&store->fused.ops[i]) && store->fused.ops[i].operand_grid) {
            op->codes = call->inputs[store->fused.ops[i].operand]->data;
            op->operand = NULL;
        }
    }
}
