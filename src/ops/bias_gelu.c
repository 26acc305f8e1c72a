/* The forms of GELU that ONNX Runtime's optimizer writes in domain com.microsoft: Gelu, BiasGelu, FastGelu, QuickGelu. */
#include "kernels/functions.h"
#include "ops/attribute.h"
#include "ops/check.h"

typedef struct GeluParams {
    FbUnaryKind kind;
    bool quick;     /* x * sigmoid(alpha x) */
    float alpha;
} GeluParams;

static FbStatus decode_gelu(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    GeluParams *p = params;
    (void)arena;
    p->quick = strcmp(node->op_type, "QuickGelu") == 0;
    p->kind = p->quick ? FB_UNARY_SIGMOID : strcmp(node->op_type, "FastGelu") == 0 ? FB_UNARY_GELU_TANH : FB_UNARY_GELU_ERF;
    return fb_attr_float(node, "alpha", 1.702f, &p->alpha, err);
}

static FbStatus infer_gelu(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    fb_infer_same_as(infer, 0);
    if (!fb_infer_has(infer, 1)) {
        return FB_OK;
    }
    const FbShape *bias = &infer->inputs[1].shape;
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 1, 1, err));
    if (x->rank > 0 && bias->rank == 1 && x->dims[x->rank - 1] >= 0 && bias->dims[0] >= 0 && x->dims[x->rank - 1] != bias->dims[0]) {
        return fb_error_set(err, FB_ERR_FORMAT, "the bias holds %lld numbers, the last axis %lld", (long long)bias->dims[0],
                            (long long)x->dims[x->rank - 1]);
    }
    return FB_OK;
}

typedef struct GeluWork {
    const GeluParams *params;
    FbUnaryF32 run;
    const float *x, *bias;
    float *y;
    size_t row, count; /* elements of a unit; all */
} GeluWork;

static void gelu_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const GeluWork *w = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        size_t first = unit * w->row, count = w->count - first < w->row ? w->count - first : w->row;
        const float *x = w->x + first;
        float *y = w->y + first;
        for (size_t i = 0; i < count; i++) {
            y[i] = w->bias ? x[i] + w->bias[i] : w->params->quick ? w->params->alpha * x[i] : x[i];
        }
        w->run(y, y, count, 0, 0);
        for (size_t i = 0; w->params->quick && i < count; i++) {
            y[i] *= x[i];
        }
    }
}

static FbStatus run_gelu(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0], *bias = fb_call_input(call, 1);
    GeluWork work = {.params = call->params, .x = x->data, .y = call->outputs[0]->data, .bias = bias ? bias->data : NULL,
                     .row = bias ? (size_t)fb_tensor_elements(bias) : 4096, .count = (size_t)fb_tensor_elements(x)};
    work.run = fb_unary_f32_pick(fb_context_cpu(call->context), work.params->kind);
    if (work.count > 0) {
        fb_parallel(call->context, gelu_task, &work, (work.count + work.row - 1) / work.row, 1 + 16384 / work.row);
    }
    return fb_check_cancel(call->context, err);
}

static const char *const quick_names[] = {"alpha", NULL};

#define GELU(NAME, TEXT, MIN, MAX, NAMES)                                                                                       \
    {                                                                                                                           \
        .domain = "com.microsoft", .name = NAME, .summary = TEXT, .since = 1, .newest = 1, .min_inputs = MIN, .max_inputs = MAX, \
        .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(GeluParams), .decode = decode_gelu, .infer = infer_gelu,      \
        .run = run_gelu, .attributes = NAMES                                                                                    \
    }

static const FbOp rows[] = {
    GELU("BiasGelu", "Gelu of x plus a bias", 2, 2, NULL),
    GELU("FastGelu", "Gelu in its tanh form, of x plus a bias", 1, 2, NULL),
    GELU("Gelu", "Gaussian error linear unit", 1, 1, NULL),
    GELU("QuickGelu", "x sigmoid(alpha x)", 1, 1, quick_names),
};

const FbOpFamily fb_ops_bias_gelu = {rows, sizeof rows / sizeof rows[0]};
