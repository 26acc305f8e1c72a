/* RNN, GRU and LSTM: meaning, checks, and the lowering that packs constant weights once. */
#include "ops/recurrent.h"

#include <string.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/shape_util.h"
#include "ops/table.h"

typedef struct ActivationRow {
    const char *name;
    bool has_alpha, has_beta;
    float alpha, beta;          /* defaults */
} ActivationRow;

static const ActivationRow activation_rows[FB_ACT_COUNT] = {
    [FB_ACT_AFFINE] = {"Affine", true, true, 1.0F, 0.0F},
    [FB_ACT_ELU] = {"Elu", true, false, 1.0F, 0.0F},
    [FB_ACT_HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2F, 0.5F},
    [FB_ACT_LEAKY_RELU] = {"LeakyRelu", true, false, 0.01F, 0.0F},
    [FB_ACT_RELU] = {"Relu", false, false, 0.0F, 0.0F},
    [FB_ACT_SCALED_TANH] = {"ScaledTanh", true, true, 1.0F, 1.0F},
    [FB_ACT_SIGMOID] = {"Sigmoid", false, false, 0.0F, 0.0F},
    [FB_ACT_SOFTPLUS] = {"Softplus", false, false, 0.0F, 0.0F},
    [FB_ACT_SOFTSIGN] = {"Softsign", false, false, 0.0F, 0.0F},
    [FB_ACT_TANH] = {"Tanh", false, false, 0.0F, 0.0F},
    [FB_ACT_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1.0F, 0.0F},
};

/* ---- decode ---- */

static FbStatus activation_kind(const FbBytes *name, FbActivationKind *kind, FbError *err)
{
    for (int k = 0; k < FB_ACT_COUNT; k++) {
        if (strlen(activation_rows[k].name) == name->count && memcmp(activation_rows[k].name, name->data, name->count) == 0) {
            *kind = (FbActivationKind)k;
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute 'activations' names '%.*s', which is not supported",
                        (int)(name->count < 40 ? name->count : 40), name->data ? (const char *)name->data : "");
}

/* alpha and beta are consumed in the order of the activations that take them. */
static FbStatus decode_activations(const FbNode *node, FbRecurrentParams *p, int per_direction, FbError *err)
{
    static const FbActivationKind defaults[] = {FB_ACT_SIGMOID, FB_ACT_TANH, FB_ACT_TANH};
    const FbAttribute *names = fb_node_attribute(node, "activations");
    const float *alpha, *beta;
    size_t alphas, betas, used_alpha = 0, used_beta = 0;
    FB_TRY(fb_attr_floats(node, "activation_alpha", &alpha, &alphas, err));
    FB_TRY(fb_attr_floats(node, "activation_beta", &beta, &betas, err));
    if (names && names->type != FB_ATTR_STRINGS) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'activations' is not a list of strings");
    }
    size_t count = names ? names->count : 0, needed = (size_t)(per_direction * p->directions);
    if (count != 0 && count != needed) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'activations' has %zu names, expected %zu", count, needed);
    }
    for (int d = 0; d < p->directions; d++) {
        for (int i = 0; i < per_direction; i++) {
            FbActivation *act = &p->act[d][i];
            act->kind = p->cell == FB_CELL_RNN ? FB_ACT_TANH : defaults[i];
            if (count) {
                FB_TRY(activation_kind(&names->strings[d * per_direction + i], &act->kind, err));
            }
            const ActivationRow *row = &activation_rows[act->kind];
            act->alpha = row->has_alpha && used_alpha < alphas ? alpha[used_alpha++] : row->alpha;
            act->beta = row->has_beta && used_beta < betas ? beta[used_beta++] : row->beta;
        }
    }
    return FB_OK;
}

FbStatus fb_recurrent_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    FbRecurrentParams *p = params;
    const char *direction;
    int64_t layout;
    p->cell = node->op_type[0] == 'R' ? FB_CELL_RNN : node->op_type[0] == 'G' ? FB_CELL_GRU : FB_CELL_LSTM;
    p->gates = p->cell == FB_CELL_RNN ? 1 : p->cell == FB_CELL_GRU ? 3 : 4;
    FB_TRY(fb_attr_required_int(node, "hidden_size", &p->hidden, err));
    FB_TRY(fb_attr_string(node, "direction", "forward", &direction, err));
    FB_TRY(fb_attr_int(node, "layout", 0, &layout, err));
    FB_TRY(fb_attr_float(node, "clip", 0.0F, &p->clip, err));
    FB_TRY(fb_attr_bool(node, "linear_before_reset", false, &p->linear_before_reset, err));
    FB_TRY(fb_attr_bool(node, "input_forget", false, &p->input_forget, err));
    p->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    p->reverse = strcmp(direction, "reverse") == 0;
    p->batch_first = layout == 1;
    if (p->directions == 1 && !p->reverse && strcmp(direction, "forward") != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'direction' is '%s', expected forward, reverse or bidirectional", direction);
    }
    if (p->hidden < 1 || p->hidden > 1 << 24) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'hidden_size' is %lld", (long long)p->hidden);
    }
    if (layout != 0 && layout != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'layout' is %lld, expected 0 or 1", (long long)layout);
    }
    if (!(p->clip >= 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'clip' is %g, expected a positive number", (double)p->clip);
    }
    return decode_activations(node, p, p->cell == FB_CELL_LSTM ? 3 : p->cell == FB_CELL_GRU ? 2 : 1, err);
}

/* ---- infer ---- */

/* Input i, if it is there, has rank `rank` and these dimensions; an expected dimension < 0 is open. */
static FbStatus check_shape(const FbInfer *infer, int i, int rank, int64_t d0, int64_t d1, int64_t d2, FbError *err)
{
    const int64_t expected[3] = {d0, d1, d2};
    FB_TRY(fb_check_rank(infer, i, rank, rank, err));
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank < 0) {
        return FB_OK;
    }
    for (int d = 0; d < rank; d++) {
        int64_t dim = infer->inputs[i].shape.dims[d];
        if (dim >= 0 && expected[d] >= 0 && dim != expected[d]) {
            return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of input %d of %s is %lld, expected %lld", d, i, infer->node->op_type,
                                (long long)dim, (long long)expected[d]);
        }
    }
    return FB_OK;
}

static FbStatus check_inputs(FbInfer *infer, const FbRecurrentParams *p, int64_t batch, int64_t input, bool exchanged, FbError *err)
{
    int64_t d = p->directions, n = p->hidden, width = p->gates * n;
    int64_t s0 = p->batch_first ? batch : d, s1 = p->batch_first ? d : batch;
    FB_TRY(check_shape(infer, 1, 3, d, exchanged ? input : width, exchanged ? width : input, err));
    FB_TRY(check_shape(infer, 2, 3, d, exchanged ? n : width, exchanged ? width : n, err));
    FB_TRY(check_shape(infer, 3, 2, d, 2 * width, 0, err));
    FB_TRY(check_shape(infer, 4, 1, batch, 0, 0, err));
    FB_TRY(check_shape(infer, 5, 3, s0, s1, n, err));
    FB_TRY(check_shape(infer, 6, 3, s0, s1, n, err));
    return check_shape(infer, 7, 2, d, 3 * n, 0, err);
}

FbStatus fb_recurrent_infer(FbInfer *infer, bool exchanged, FbError *err)
{
    const FbRecurrentParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    int64_t time = FB_DIM_UNKNOWN, batch = FB_DIM_UNKNOWN, input = FB_DIM_UNKNOWN;
    if (x->rank == 3) {
        time = x->dims[p->batch_first ? 1 : 0];
        batch = x->dims[p->batch_first ? 0 : 1];
        input = x->dims[2];
    }
    FB_TRY(check_inputs(infer, p, batch, input, exchanged, err));
    const FbShape sums = {.rank = 4, .dims = {time, batch, p->gates, p->hidden}}; /* working memory, also of an input without columns */
    FB_TRY(fb_check_size(infer, &sums, FB_DTYPE_C128, err));
    for (int i = 0; i < infer->output_count; i++) {
        FbShape *out = &infer->outputs[i].shape;
        infer->outputs[i].dtype = FB_DTYPE_F32;
        const int64_t y[4] = {p->batch_first ? batch : time, p->batch_first ? time : p->directions, p->batch_first ? p->directions : batch, p->hidden};
        const int64_t state[3] = {p->batch_first ? batch : p->directions, p->batch_first ? p->directions : batch, p->hidden};
        *out = i == 0 ? fb_shape_make(4, y) : fb_shape_make(3, state);
    }
    return FB_OK;
}

static FbStatus infer_recurrent(FbInfer *infer, FbError *err)
{
    for (int i = 0; i < infer->input_count; i++) {
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(i == 4 ? FB_DTYPE_S32 : FB_DTYPE_F32), err));
    }
    return fb_recurrent_infer(infer, false, err);
}

/* ---- run with weights that are computed by the graph ---- */

static size_t scratch_recurrent(const FbCall *call)
{
    const FbRecurrentParams *p = call->params;
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    size_t packed = fb_recurrent_packed_count(kernel, p, call->inputs[0]->dims[2]);
    return ((size_t)p->directions * packed + fb_recurrent_work_count(&(FbRecurrentProducts){.kernel = kernel}, p, call->inputs[0])) * sizeof(float);
}

static FbRecurrentWeights pack_direction(const FbProductF32Kernel *kernel, const FbRecurrentParams *p, int64_t input, const FbTensor *w,
                                         const FbTensor *r, int d, float *packed)
{
    int64_t width = p->gates * p->hidden;
    return fb_recurrent_pack(kernel, p, input, (const float *)w->data + d * width * input, (const float *)r->data + d * width * p->hidden, packed);
}

static FbStatus run_recurrent(const FbCall *call, FbError *err)
{
    const FbRecurrentParams *p = call->params;
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    FbRecurrentWeights weights[2] = {{0}, {0}};
    float *work = call->scratch;
    int64_t input = call->inputs[0]->dims[2];
    for (int d = 0; d < p->directions; d++) {
        weights[d] = pack_direction(kernel, p, input, call->inputs[1], call->inputs[2], d, work);
        work += fb_recurrent_packed_count(kernel, p, input);
    }
    return fb_recurrent_run(call, &(FbRecurrentProducts){kernel, weights, NULL}, work, err);
}

/* ---- run with constant weights ---- */

typedef struct PackedState {
    const FbProductF32Kernel *kernel;
    FbRecurrentWeights weights[2];
    FbTensor constants[FB_RECURRENT_INPUTS]; /* biases and other small constants; data NULL: an input of the call */
} PackedState;

static bool accepts_packed(const FbPrepare *prepare)
{
    const FbConst *w = prepare->constants[1], *r = prepare->constants[2];
    return w && r && w->dtype == FB_DTYPE_F32 && r->dtype == FB_DTYPE_F32 && prepare->fused_count == 0 && w->shape.rank == 3 && r->shape.rank == 3;
}

FbStatus fb_recurrent_keep(const FbPrepare *prepare, int i, FbTensor *kept, FbError *err)
{
    FbTensor loaded = {0};
    FB_TRY(fb_const_load(prepare->context, prepare->constants[i], &loaded, err));
    *kept = loaded;
    kept->data = fb_arena_alloc(prepare->arena, loaded.bytes ? loaded.bytes : 1);
    if (kept->data) {
        memcpy(kept->data, loaded.data, loaded.bytes);
    }
    fb_free(prepare->context, loaded.data);
    return kept->data ? FB_OK : fb_error_memory(prepare->context, err, "recurrent constants", loaded.bytes);
}

FbStatus fb_recurrent_run_kept(const FbCall *call, const FbTensor *kept, const FbRecurrentProducts *products, FbError *err)
{
    const FbTensor *inputs[FB_RECURRENT_INPUTS] = {NULL};
    FbCall full = *call;
    for (int i = 0; i < call->input_count && i < FB_RECURRENT_INPUTS; i++) {
        inputs[i] = kept[i].data ? &kept[i] : call->inputs[i];
    }
    full.inputs = inputs;
    return fb_recurrent_run(&full, products, call->scratch, err);
}

static FbStatus prepare_packed(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbRecurrentParams *p = prepare->params;
    FbContext *context = prepare->context;
    FbTensor w = {0}, r = {0};
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(context));
    int64_t input = prepare->constants[1]->shape.dims[2];
    size_t count = fb_recurrent_packed_count(kernel, p, input);
    PackedState *packed = fb_arena_alloc(prepare->arena, sizeof *packed);
    float *panels = fb_arena_array(prepare->arena, count * (size_t)p->directions, sizeof *panels);
    if (!packed || !panels) {
        return fb_error_memory(context, err, "packed recurrent weights", count * (size_t)p->directions * sizeof *panels);
    }
    FbStatus status = fb_const_load(context, prepare->constants[1], &w, err);
    if (status == FB_OK) {
        status = fb_const_load(context, prepare->constants[2], &r, err);
    }
    for (int d = 0; status == FB_OK && d < p->directions; d++) {
        packed->weights[d] = pack_direction(kernel, p, input, &w, &r, d, panels + (size_t)d * count);
    }
    for (int i = 3; status == FB_OK && i < prepare->input_count && i < FB_RECURRENT_INPUTS; i++) {
        status = prepare->constants[i] ? fb_recurrent_keep(prepare, i, &packed->constants[i], err) : FB_OK;
    }
    packed->kernel = kernel;
    fb_free(context, w.data);
    fb_free(context, r.data);
    *state = packed;
    return status;
}

static FbStatus bind_packed(FbBind *bind, FbError *err)
{
    (void)err;
    const PackedState *state = bind->state;
    const FbRecurrentProducts products = {state->kernel, state->weights, NULL};
    bind->scratch_bytes = fb_recurrent_work_count(&products, bind->params, bind->call->inputs[0]) * sizeof(float);
    return FB_OK;
}

static FbStatus run_packed(const FbCall *call, FbError *err)
{
    const PackedState *state = call->state;
    return fb_recurrent_run_kept(call, state->constants, &(FbRecurrentProducts){state->kernel, state->weights, NULL}, err);
}

uint64_t fb_recurrent_macs(const FbCall *call)
{
    const FbRecurrentParams *p = call->params;
    FbRecurrentSizes size = fb_recurrent_sizes(p, call->inputs[0]);
    return (uint64_t)(p->directions * size.time * size.batch * size.gates * size.hidden * (size.input + size.hidden));
}

static const char *kernel_recurrent(const void *state)
{
    (void)state;
    return "product_f32";
}

static const FbLowering packed_lowering = {.name = "recurrent_f32", .accepts = accepts_packed, .prepare = prepare_packed, .bind = bind_packed,
                                           .run = run_packed, .macs = fb_recurrent_macs, .kernel = kernel_recurrent};

static const char *const attributes[] = {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget",
                                         "layout", "linear_before_reset", "output_sequence", NULL};

static const FbOp rows[] = {
    {.name = "RNN", .domain = "", .summary = "a simple recurrent layer", .since = 7, .newest = FB_OPSET_NEWEST, .min_inputs = 3, .max_inputs = 6,
     .min_outputs = 0, .max_outputs = 2, .params_bytes = sizeof(FbRecurrentParams), .attributes = attributes, .decode = fb_recurrent_decode,
     .infer = infer_recurrent, .scratch = scratch_recurrent, .run = run_recurrent, .lowering = &packed_lowering},
    {.name = "GRU", .domain = "", .summary = "a gated recurrent layer", .since = 7, .newest = FB_OPSET_NEWEST, .min_inputs = 3, .max_inputs = 6,
     .min_outputs = 0, .max_outputs = 2, .params_bytes = sizeof(FbRecurrentParams), .attributes = attributes, .decode = fb_recurrent_decode,
     .infer = infer_recurrent, .scratch = scratch_recurrent, .run = run_recurrent, .lowering = &packed_lowering},
    {.name = "LSTM", .domain = "", .summary = "a long short-term memory layer", .since = 7, .newest = FB_OPSET_NEWEST, .min_inputs = 3,
     .max_inputs = 8, .min_outputs = 0, .max_outputs = 3, .params_bytes = sizeof(FbRecurrentParams), .attributes = attributes,
     .decode = fb_recurrent_decode, .infer = infer_recurrent, .scratch = scratch_recurrent, .run = run_recurrent, .lowering = &packed_lowering},
};
const FbOpFamily fb_ops_recurrent = {rows, sizeof rows / sizeof rows[0]};
