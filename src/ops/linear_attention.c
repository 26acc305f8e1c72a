/* State-space building blocks: LinearAttention, CausalConvWithState. */
#include <math.h>
#include <string.h>

#include "kernels/functions.h"
#include "ops/elements.h"
#include "ops/shape_util.h"
#include "ops/table.h"

#define MASK_WORK (FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16))

static FbStatus must_equal(int64_t a, int64_t b, const char *what, FbError *err)
{
    return a >= 0 && b >= 0 && a != b ? fb_error_set(err, FB_ERR_FORMAT, "%s is %lld, expected %lld", what, (long long)a, (long long)b) : FB_OK;
}

/* ---- LinearAttention ---- */

typedef struct LinearParams {
    int64_t q_heads, kv_heads;
    float scale;              /* 0: 1 / sqrt(depth) */
    bool gated, delta;
} LinearParams;

static FbStatus decode_linear(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
    LinearParams *p = params;
    const char *rule;
    FB_TRY(fb_attr_required_int(node, "q_num_heads", &p->q_heads, err));
    FB_TRY(fb_attr_required_int(node, "kv_num_heads", &p->kv_heads, err));
    FB_TRY(fb_attr_float(node, "scale", 0.0F, &p->scale, err));
    FB_TRY(fb_attr_string(node, "update_rule", "gated_delta", &rule, err));
    int r = 0;
    while (r < 4 && strcmp(rule, rules[r]) != 0) {
        r++;
    }
    if (r == 4) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'update_rule' is '%s', expected linear, gated, delta or gated_delta", rule);
    }
    p->gated = r & 1;
    p->delta = r & 2;
    if (p->kv_heads < 1 || p->q_heads < 1 || p->q_heads > INT32_MAX || p->q_heads % p->kv_heads != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld query heads cannot share %lld key heads", (long long)p->q_heads, (long long)p->kv_heads);
    }
    return FB_OK;
}

static FbStatus depth_of(const FbShape *shape, int64_t heads, int64_t *depth, FbError *err)
{
    *depth = FB_DIM_UNKNOWN;
    if (shape->rank != 3 || shape->dims[2] < 0) {
        return FB_OK;
    }
    if (shape->dims[2] % heads != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a last axis of %lld cannot be divided into %lld heads", (long long)shape->dims[2],
                            (long long)heads);
    }
    *depth = shape->dims[2] / heads;
    return FB_OK;
}

/* Inputs 0 to 2, 4 and 5 are [batch, time, ...]. */
static FbStatus check_packed(const FbInfer *infer, int i, FbError *err)
{
    const FbShape *q = &infer->inputs[0].shape;
    FB_TRY(fb_check_rank(infer, i, 3, 3, err));
    FB_TRY(fb_check_same_dtype(infer, 0, i, err));
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank != 3 || q->rank != 3) {
        return FB_OK;
    }
    FB_TRY(must_equal(infer->inputs[i].shape.dims[0], q->dims[0], "the batch of an input", err));
    return must_equal(infer->inputs[i].shape.dims[1], q->dims[1], "the length of an input", err);
}

static FbStatus check_gates(const FbInfer *infer, const LinearParams *p, int64_t depth, FbError *err)
{
    if (fb_infer_has(infer, 4) != p->gated || fb_infer_has(infer, 5) != p->delta) {
        return fb_error_set(err, FB_ERR_FORMAT, "the update rule %s 'decay' and %s 'beta'", p->gated ? "needs" : "forbids",
                            p->delta ? "needs" : "forbids");
    }
    int64_t decay = p->gated && infer->inputs[4].shape.rank == 3 ? infer->inputs[4].shape.dims[2] : -1;
    int64_t beta = p->delta && infer->inputs[5].shape.rank == 3 ? infer->inputs[5].shape.dims[2] : -1;
    if (decay >= 0 && decay != p->kv_heads && depth >= 0 && decay != p->kv_heads * depth) {
        return fb_error_set(err, FB_ERR_FORMAT, "the last axis of 'decay' is %lld, expected %lld or %lld", (long long)decay,
                            (long long)p->kv_heads, (long long)(p->kv_heads * depth));
    }
    if (beta >= 0 && beta != p->kv_heads && beta != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "the last axis of 'beta' is %lld, expected %lld or 1", (long long)beta, (long long)p->kv_heads);
    }
    return FB_OK;
}

static FbStatus infer_linear(FbInfer *infer, FbError *err)
{
    const LinearParams *p = infer->params;
    const FbShape *q = &infer->inputs[0].shape;
    int64_t depth, key_depth, value_depth;
    FB_TRY(fb_check_input_dtype(infer, 0, MASK_WORK, err));
    FB_TRY(fb_check_input_dtype(infer, 3, MASK_WORK, err));
    for (int i = 0; i < 6; i++) {
        if (i != 3) {
            FB_TRY(check_packed(infer, i, err));
        }
    }
    FB_TRY(depth_of(q, p->q_heads, &depth, err));
    FB_TRY(depth_of(&infer->inputs[1].shape, p->kv_heads, &key_depth, err));
    FB_TRY(depth_of(&infer->inputs[2].shape, p->kv_heads, &value_depth, err));
    FB_TRY(must_equal(key_depth, depth, "the head size of the keys", err));
    FB_TRY(check_gates(infer, p, depth, err));
    if (depth == 0 || value_depth == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "heads of %lld and %lld numbers: there is no state", (long long)depth, (long long)value_depth);
    }
    int64_t batch = q->rank == 3 ? q->dims[0] : FB_DIM_UNKNOWN, length = q->rank == 3 ? q->dims[1] : FB_DIM_UNKNOWN;
    const int64_t y[3] = {batch, length, value_depth < 0 ? FB_DIM_UNKNOWN : value_depth * p->q_heads};
    const int64_t state[4] = {batch, p->kv_heads, depth, value_depth};
    FB_TRY(fb_check_rank(infer, 3, 4, 4, err));
    for (int i = 0; fb_infer_has(infer, 3) && infer->inputs[3].shape.rank == 4 && i < 4; i++) {
        FB_TRY(must_equal(infer->inputs[3].shape.dims[i], state[i], "a dimension of the past state", err));
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = fb_shape_make(3, y);
    if (infer->output_count > 1) {
        infer->outputs[1].dtype = fb_infer_has(infer, 3) ? infer->inputs[3].dtype : infer->inputs[0].dtype;
        infer->outputs[1].shape = fb_shape_make(4, state);
    }
    return FB_OK;
}

typedef struct LinearTask {
    const FbCall *call;
    const LinearParams *params;
    int64_t batch, length, depth, value_depth;
    float scale;
    FbUnaryF32 exp;
    float *work;              /* per slot: state, then key, query, decay and two value rows */
    size_t work_count;
} LinearTask;

static void load(const FbTensor *tensor, int64_t first, int64_t count, float *to)
{
    fb_work_load(tensor->dtype, tensor->data, first, 1, FB_WORK_F32, to, (size_t)count);
}

/* state *= exp(decay) per key row. */
static void decay_state(const LinearTask *task, int64_t row, int64_t head, float *state, float *decay)
{
    const FbTensor *input = task->call->inputs[4];
    int64_t width = input->dims[2], depth = task->depth;
    bool per_head = width == task->params->kv_heads;
    load(input, row * width + (per_head ? head : head * depth), per_head ? 1 : depth, decay);
    task->exp(decay, decay, (size_t)(per_head ? 1 : depth), 0, 0);
    for (int64_t d = 0; d < depth; d++) {
        for (int64_t m = 0; m < task->value_depth; m++) {
            state[d * task->value_depth + m] *= decay[per_head ? 0 : d];
        }
    }
}

/* value = beta * (value - state^T key): what the state already holds is taken off. */
static void correct_value(const LinearTask *task, int64_t row, int64_t head, const float *state, const float *key, float *value, float *held)
{
    const FbTensor *input = task->call->inputs[5];
    float beta;
    load(input, row * input->dims[2] + (input->dims[2] == 1 ? 0 : head), 1, &beta);
    memset(held, 0, (size_t)task->value_depth * sizeof *held);
    for (int64_t d = 0; d < task->depth; d++) {
        for (int64_t m = 0; m < task->value_depth; m++) {
            held[m] += state[d * task->value_depth + m] * key[d];
        }
    }
    for (int64_t m = 0; m < task->value_depth; m++) {
        value[m] = beta * (value[m] - held[m]);
    }
}

static void read_state(const LinearTask *task, int64_t row, int64_t head, const float *state, float *query, float *out)
{
    const LinearParams *p = task->params;
    FbTensor *y = task->call->outputs[0];
    load(task->call->inputs[0], (row * p->q_heads + head) * task->depth, task->depth, query);
    memset(out, 0, (size_t)task->value_depth * sizeof *out);
    for (int64_t d = 0; d < task->depth; d++) {
        for (int64_t m = 0; m < task->value_depth; m++) {
            out[m] += state[d * task->value_depth + m] * query[d];
        }
    }
    for (int64_t m = 0; m < task->value_depth; m++) {
        out[m] *= task->scale;
    }
    if (y) {
        fb_work_store(y->dtype, y->data, (row * p->q_heads + head) * task->value_depth, FB_WORK_F32, out, (size_t)task->value_depth);
    }
}

static void linear_heads(void *arg, size_t slot, size_t begin, size_t end)
{
    const LinearTask *task = arg;
    const LinearParams *p = task->params;
    const FbTensor *past = fb_call_input(task->call, 3);
    FbTensor *present = fb_call_output(task->call, 1);
    int64_t depth = task->depth, value_depth = task->value_depth, cells = depth * value_depth;
    float *state = task->work + slot * task->work_count, *key = state + cells, *query = key + depth, *decay = query + depth;
    float *value = decay + depth + 1, *spare = value + value_depth;
    for (size_t i = begin; i < end; i++) {
        int64_t batch = (int64_t)i / p->kv_heads, head = (int64_t)i % p->kv_heads, group = p->q_heads / p->kv_heads;
        memset(state, 0, (size_t)cells * sizeof *state);
        if (past) {
            load(past, (int64_t)i * cells, cells, state);
        }
        for (int64_t t = 0; t < task->length; t++) {
            int64_t row = batch * task->length + t;
            load(task->call->inputs[1], (row * p->kv_heads + head) * depth, depth, key);
            load(task->call->inputs[2], (row * p->kv_heads + head) * value_depth, value_depth, value);
            if (p->gated) {
                decay_state(task, row, head, state, decay);
            }
            if (p->delta) {
                correct_value(task, row, head, state, key, value, spare);
            }
            for (int64_t d = 0; d < depth; d++) {
                for (int64_t m = 0; m < value_depth; m++) {
                    state[d * value_depth + m] += key[d] * value[m];
                }
            }
            for (int64_t g = 0; g < group; g++) {
                read_state(task, row, head * group + g, state, query, spare);
            }
        }
        if (present) {
            fb_work_store(present->dtype, present->data, (int64_t)i * cells, FB_WORK_F32, state, (size_t)cells);
        }
    }
}

static void linear_task(const FbCall *call, LinearTask *task)
{
    const LinearParams *p = call->params;
    const FbTensor *q = call->inputs[0], *v = call->inputs[2];
    *task = (LinearTask){.call = call, .params = p, .batch = q->dims[0], .length = q->dims[1], .depth = q->dims[2] / p->q_heads,
                         .value_depth = v->dims[2] / p->kv_heads, .work = call->scratch};
    task->scale = p->scale != 0 ? p->scale : 1.0F / sqrtf((float)task->depth);
    task->work_count = (size_t)(task->depth * task->value_depth + 3 * task->depth + 1 + 2 * task->value_depth);
}

static size_t scratch_linear(const FbCall *call)
{
    LinearTask task;
    linear_task(call, &task);
    return task.work_count * (size_t)fb_context_threads(call->context) * sizeof(float);
}

static FbStatus run_linear(const FbCall *call, FbError *err)
{
    LinearTask task;
    linear_task(call, &task);
    task.exp = fb_unary_f32_pick(fb_context_cpu(call->context), FB_UNARY_EXP);
    fb_parallel(call->context, linear_heads, &task, (size_t)(task.batch * task.params->kv_heads), 1);
    return fb_check_cancel(call->context, err);
}

/* ---- CausalConvWithState ---- */

typedef struct CausalParams { bool silu; } CausalParams;

static FbStatus decode_causal(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    const char *activation;
    FB_TRY(fb_attr_string(node, "activation", "none", &activation, err));
    ((CausalParams *)params)->silu = strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0;
    if (!((CausalParams *)params)->silu && strcmp(activation, "none") != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'activation' is '%s', expected none, silu or swish", activation);
    }
    return FB_OK;
}

static FbStatus infer_causal(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, MASK_WORK, err));
    for (int i = 1; i < 4; i++) {
        FB_TRY(fb_check_same_dtype(infer, 0, i, err));
        FB_TRY(fb_check_rank(infer, i, i == 2 ? 1 : 3, i == 2 ? 1 : 3, err));
    }
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    int64_t batch = x->rank == 3 ? x->dims[0] : FB_DIM_UNKNOWN, channels = x->rank == 3 ? x->dims[1] : FB_DIM_UNKNOWN;
    int64_t taps = w->rank == 3 ? w->dims[2] : FB_DIM_UNKNOWN;
    if (taps == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "the kernel is empty");
    }
    const int64_t state[3] = {batch, channels, taps < 0 ? FB_DIM_UNKNOWN : taps - 1};
    if (w->rank == 3) {
        FB_TRY(must_equal(w->dims[0], channels, "the number of kernels", err));
        FB_TRY(must_equal(w->dims[1], 1, "the second axis of the kernel", err));
    }
    if (fb_infer_has(infer, 2) && infer->inputs[2].shape.rank == 1) {
        FB_TRY(must_equal(infer->inputs[2].shape.dims[0], channels, "the size of the bias", err));
    }
    for (int i = 0; fb_infer_has(infer, 3) && infer->inputs[3].shape.rank == 3 && i < 3; i++) {
        FB_TRY(must_equal(infer->inputs[3].shape.dims[i], state[i], "a dimension of the past state", err));
    }
    fb_infer_same_as(infer, 0);
    if (infer->output_count > 1) {
        infer->outputs[1].dtype = infer->inputs[0].dtype;
        infer->outputs[1].shape = fb_shape_make(3, state);
    }
    return FB_OK;
}

static size_t scratch_causal(const FbCall *call)
{
    return (size_t)(2 * call->inputs[0]->dims[2] + 2 * call->inputs[1]->dims[2]) * sizeof(float);
}

static FbStatus run_causal(const FbCall *call, FbError *err)
{
    (void)err;
    const CausalParams *p = call->params;
    const FbTensor *x = call->inputs[0], *w = call->inputs[1], *bias = fb_call_input(call, 2), *past = fb_call_input(call, 3);
    FbTensor *y = call->outputs[0], *present = fb_call_output(call, 1);
    int64_t channels = x->dims[1], length = x->dims[2], taps = w->dims[2], pad = taps - 1;
    float *padded = call->scratch, *weight = padded + length + pad, *out = weight + taps;
    if ((!y || !y->bytes) && (!present || !present->bytes)) {
        return FB_OK;
    }
    FbUnaryF32 silu = fb_unary_f32_pick(fb_context_cpu(call->context), FB_UNARY_SILU);
    for (int64_t n = 0; n < x->dims[0] * channels; n++) {
        float offset = 0;
        memset(padded, 0, (size_t)pad * sizeof *padded);
        if (past) {
            load(past, n * pad, pad, padded);
        }
        if (bias) {
            load(bias, n % channels, 1, &offset);
        }
        load(x, n * length, length, padded + pad);
        load(w, n % channels * taps, taps, weight);
        for (int64_t t = 0; t < length; t++) {
            float sum = 0;
            for (int64_t k = 0; k < taps; k++) {
                sum += padded[t + k] * weight[k];
            }
            out[t] = sum + offset;
        }
        if (p->silu) {
            silu(out, out, (size_t)length, 0, 0);
        }
        if (y) {
            fb_work_store(y->dtype, y->data, n * length, FB_WORK_F32, out, (size_t)length);
        }
        if (present) {
            fb_work_store(present->dtype, present->data, n * pad, FB_WORK_F32, padded + length, (size_t)pad);
        }
    }
    return FB_OK;
}

static const char *const linear_attributes[] = {"chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule", NULL};
static const char *const causal_attributes[] = {"activation", NULL};

static const FbOp rows[] = {
    {.name = "LinearAttention", .domain = "", .summary = "attention by a recurrent state", .since = 27, .newest = FB_OPSET_NEWEST,
     .min_inputs = 3, .max_inputs = 6, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(LinearParams),
     .attributes = linear_attributes, .decode = decode_linear, .infer = infer_linear, .scratch = scratch_linear, .run = run_linear},
    {.name = "CausalConvWithState", .domain = "", .summary = "depthwise convolution over the past, with its carry", .since = 27,
     .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 4, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(CausalParams),
     .attributes = causal_attributes, .decode = decode_causal, .infer = infer_causal, .scratch = scratch_causal, .run = run_causal},
};
const FbOpFamily fb_ops_linear_attention = {rows, sizeof rows / sizeof rows[0]};
