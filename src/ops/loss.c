/* Loss functions that exported training graphs hold: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. */
#include <math.h>
#include <string.h>

#include "kernels/functions.h"
#include "kernels/reduce.h"
#include "ops/shape_util.h"
#include "ops/table.h"

typedef enum LossReduction { LOSS_NONE, LOSS_MEAN, LOSS_SUM } LossReduction;

typedef struct LossParams {
    LossReduction reduction;
    bool softmax;               /* SoftmaxCrossEntropyLoss: scores are not log-probabilities yet */
    bool has_ignored;
    int64_t ignored;
} LossParams;

static FbStatus decode_loss(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    LossParams *p = params;
    const char *reduction;
    FB_TRY(fb_attr_string(node, "reduction", "mean", &reduction, err));
    FB_TRY(fb_attr_int(node, "ignore_index", 0, &p->ignored, err));
    p->has_ignored = fb_node_attribute(node, "ignore_index") != NULL;
    p->softmax = node->op_type[0] == 'S';
    p->reduction = strcmp(reduction, "none") == 0 ? LOSS_NONE : strcmp(reduction, "sum") == 0 ? LOSS_SUM : LOSS_MEAN;
    if (p->reduction == LOSS_MEAN && strcmp(reduction, "mean") != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'reduction' is '%s', expected none, mean or sum", reduction);
    }
    return FB_OK;
}

/* Scores [batch, classes, d...], target [batch, d...], weight [classes]. */
static FbStatus check_loss(const FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape, *target = &infer->inputs[1].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
    if (x->rank < 0 || target->rank < 0) {
        return FB_OK;
    }
    FB_TRY(fb_check_rank(infer, 1, x->rank - 1, x->rank - 1, err));
    for (int i = 0; i < target->rank; i++) {
        int64_t expected = x->dims[i == 0 ? 0 : i + 1];
        if (expected >= 0 && target->dims[i] >= 0 && expected != target->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d of the target is %lld, expected %lld", i, (long long)target->dims[i],
                                (long long)expected);
        }
    }
    if (fb_infer_has(infer, 2) && infer->inputs[2].shape.rank == 1) {
        int64_t weights = infer->inputs[2].shape.dims[0];
        if (weights >= 0 && x->dims[1] >= 0 && weights != x->dims[1]) {
            return fb_error_set(err, FB_ERR_FORMAT, "%lld weights for %lld classes", (long long)weights, (long long)x->dims[1]);
        }
    }
    return FB_OK;
}

static FbStatus infer_loss(FbInfer *infer, FbError *err)
{
    const LossParams *p = infer->params;
    FB_TRY(check_loss(infer, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = (FbShape){.rank = 0};
    if (p->reduction == LOSS_NONE) {
        infer->outputs[0].shape = infer->inputs[1].shape;
    }
    if (infer->output_count > 1) {
        infer->outputs[1].dtype = infer->inputs[0].dtype;
        infer->outputs[1].shape = infer->inputs[0].shape;
    }
    return FB_OK;
}

typedef struct LossSizes { int64_t batch, classes, inner; } LossSizes;

static LossSizes loss_sizes(const FbTensor *x)
{
    LossSizes s = {.batch = x->dims[0], .classes = x->dims[1], .inner = 1};
    for (int i = 2; i < x->rank; i++) {
        s.inner *= x->dims[i];
    }
    return s;
}

static size_t scratch_loss(const FbCall *call) { return 2 * (size_t)call->inputs[0]->dims[1] * sizeof(float); }

/* Log-probabilities of one place: x - max - log(sum(exp(x - max))). */
static void log_softmax(const FbCall *call, float *row, float *spare, size_t count)
{
    unsigned cpu = fb_context_cpu(call->context);
    const FbReduceF32Kernel *reduce = fb_reduce_f32_pick(cpu);
    float largest = reduce->max(row, count), sum;
    for (size_t i = 0; i < count; i++) {
        row[i] -= largest;
    }
    fb_unary_f32_pick(cpu, FB_UNARY_EXP)(row, spare, count, 0, 0);
    sum = reduce->sum(spare, count);
    fb_unary_f32_pick(cpu, FB_UNARY_LOG)(&sum, &sum, 1, 0, 0);
    for (size_t i = 0; i < count; i++) {
        row[i] -= sum;
    }
}

static FbStatus check_targets(const FbCall *call, const LossParams *p, int64_t classes, FbError *err)
{
    int64_t count = fb_tensor_elements(call->inputs[1]);
    for (int64_t i = 0; i < count; i++) {
        int64_t target = fb_tensor_int(call->inputs[1], i);
        if ((target < 0 || target >= classes) && !(p->has_ignored && target == p->ignored)) {
            return fb_error_set(err, FB_ERR_FORMAT, "target %lld at position %lld is outside of [0, %lld]", (long long)target, (long long)i,
                                (long long)classes - 1);
        }
    }
    return FB_OK;
}

static FbStatus run_loss(const FbCall *call, FbError *err)
{
    const LossParams *p = call->params;
    const FbTensor *x = call->inputs[0], *weights = fb_call_input(call, 2);
    FbTensor *loss = call->outputs[0], *logs = fb_call_output(call, 1);
    LossSizes s = loss_sizes(x);
    float *row = call->scratch, *spare = row + s.classes;
    double sum = 0, weight_sum = 0;
    FB_TRY(check_targets(call, p, s.classes, err));
    for (int64_t n = 0; s.classes > 0 && n < s.batch * s.inner; n++) {
        int64_t first = n / s.inner * s.classes * s.inner + n % s.inner, target = fb_tensor_int(call->inputs[1], n);
        for (int64_t c = 0; c < s.classes; c++) {
            row[c] = ((const float *)x->data)[first + c * s.inner];
        }
        if (p->softmax) {
            log_softmax(call, row, spare, (size_t)s.classes);
        }
        for (int64_t c = 0; logs && c < s.classes; c++) {
            ((float *)logs->data)[first + c * s.inner] = row[c];
        }
        bool ignored = p->has_ignored && target == p->ignored;
        float weight = ignored ? 0.0F : weights ? ((const float *)weights->data)[target] : 1.0F;
        float value = ignored ? 0.0F : -weight * row[target];
        sum += value;
        weight_sum += weight;
        if (loss && p->reduction == LOSS_NONE) {
            ((float *)loss->data)[n] = value;
        }
    }
    if (loss && p->reduction != LOSS_NONE) {
        *(float *)loss->data = (float)(p->reduction == LOSS_SUM ? sum : sum / weight_sum);
    }
    return FB_OK;
}

static const char *const attributes[] = {"ignore_index", "reduction", NULL};

static const FbOp rows[] = {
    {.name = "NegativeLogLikelihoodLoss", .domain = "", .summary = "minus the log-probability of the target", .since = 12,
     .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(LossParams),
     .attributes = attributes, .decode = decode_loss, .infer = infer_loss, .scratch = scratch_loss, .run = run_loss},
    {.name = "SoftmaxCrossEntropyLoss", .domain = "", .summary = "minus the log-softmax of the target's score", .since = 12,
     .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(LossParams),
     .attributes = attributes, .decode = decode_loss, .infer = infer_loss, .scratch = scratch_loss, .run = run_loss},
};
const FbOpFamily fb_ops_loss = {rows, sizeof rows / sizeof rows[0]};
