/* DynamicQuantizeLSTM with constant weights: packed once for the kernel of integer products. */
#include "graph/graph.h"
#include "ops/recurrent.h"

enum { FIRST_SCALE = 8, DEPTH_MAX = 32768 }; /* 255 * 255 * depth < 2^31 */

typedef struct PackedState {
    FbRecurrentCodes codes;
    FbTensor constants[FB_RECURRENT_INPUTS]; /* but the weights; data NULL: an input of the call */
} PackedState;

static bool accepts_packed(const FbPrepare *prepare)
{
    const FbConst *const *constants = (const FbConst *const *)prepare->constants;
    for (int i = 1; i < prepare->input_count; i++) {
        bool needed = i <= 2 || i == 8 || i == 10;
        if ((needed && !constants[i]) || (constants[i] && constants[i]->encoding) || (prepare->grids && prepare->grids[i])) {
            return false;
        }
        if (i >= FIRST_SCALE && !constants[i] && prepare->inputs[i].present) {
            return false;
        }
    }
    return prepare->input_count > 10 && prepare->fused_count == 0 && !prepare->store_grid && !(prepare->grids && prepare->grids[0]) &&
           !prepare->dynamic_a && constants[1]->shape.dims[1] <= DEPTH_MAX && constants[2]->shape.dims[1] <= DEPTH_MAX;
}

/* Packs direction d of weight input i, whose scale is input `scale` and zero point the one after. */
static FbStatus pack_matrix(const FbPrepare *prepare, PackedState *state, const FbTensor *weight, int scale, int d, FbCodedMatrix *matrix,
                            FbError *err)
{
    const FbRecurrentParams *p = prepare->params;
    const FbTensor *zero = scale + 1 < prepare->input_count && state->constants[scale + 1].data ? &state->constants[scale + 1] : NULL;
    float *numbers = fb_arena_array(prepare->arena, fb_coded_columns_count(p), sizeof *numbers);
    int8_t *codes = fb_alloc(prepare->context, weight->bytes + 1);
    if (!numbers || !codes) {
        fb_free(prepare->context, codes);
        return fb_error_memory(prepare->context, err, "packed recurrent weights", weight->bytes);
    }
    fb_coded_matrix(matrix, weight, &state->constants[scale], zero, d, fb_coded_columns(p, &numbers));
    for (size_t i = 0; i < matrix->depth * matrix->cols; i++) {
        codes[i] = (int8_t)(matrix->plain[i] ^ matrix->flip);
    }
    FbStatus status = state->codes.kernel->pack(prepare->context, prepare->arena, codes, matrix->cols, 1, 1, matrix->depth, matrix->cols,
                                                &matrix->packed, err);
    matrix->plain = NULL;
    fb_free(prepare->context, codes);
    return status;
}

static FbStatus pack_weight(const FbPrepare *prepare, PackedState *state, int i, FbCodedMatrix matrices[2], FbError *err)
{
    const FbRecurrentParams *p = prepare->params;
    FbTensor weight = {0};
    FB_TRY(fb_const_load(prepare->context, prepare->constants[i], &weight, err));
    FbStatus status = FB_OK;
    for (int d = 0; status == FB_OK && d < p->directions; d++) {
        status = pack_matrix(prepare, state, &weight, i == 1 ? 8 : 10, d, &matrices[d], err);
    }
    fb_free(prepare->context, weight.data);
    return status;
}

static FbStatus prepare_packed(const FbPrepare *prepare, void **state, FbError *err)
{
    PackedState *packed = fb_arena_alloc(prepare->arena, sizeof *packed);
    if (!packed) {
        return fb_error_memory(prepare->context, err, "packed recurrent weights", sizeof *packed);
    }
    *state = packed;
    fb_recurrent_codes_tools(prepare->context, &packed->codes);
    packed->codes.kernel = fb_product_u8s8_pick(fb_context_cpu(prepare->context));
    for (int i = 3; i < prepare->input_count && i < FB_RECURRENT_INPUTS; i++) {
        if (prepare->constants[i]) {
            FB_TRY(fb_recurrent_keep(prepare, i, &packed->constants[i], err));
        }
    }
    FB_TRY(pack_weight(prepare, packed, 1, packed->codes.w, err));
    return pack_weight(prepare, packed, 2, packed->codes.r, err);
}

static FbStatus bind_packed(FbBind *bind, FbError *err)
{
    (void)err;
    const PackedState *state = bind->state;
    const FbRecurrentProducts products = {.codes = &state->codes};
    bind->scratch_bytes = fb_recurrent_work_count(&products, bind->params, bind->call->inputs[0]) * sizeof(float);
    return FB_OK;
}

static FbStatus run_packed(const FbCall *call, FbError *err)
{
    const PackedState *state = call->state;
    return fb_recurrent_run_kept(call, state->constants, &(FbRecurrentProducts){.codes = &state->codes}, err);
}

static const char *kernel_packed(const void *state)
{
    (void)state;
    return "product_u8s8";
}

const FbLowering fb_recurrent_dynamic_lowering = {.name = "recurrent_u8s8", .accepts = accepts_packed, .prepare = prepare_packed, .bind = bind_packed,
                                           .run = run_packed, .macs = fb_recurrent_macs, .kernel = kernel_packed};
