/* Unary operators: one rule of running (blocks of elements, converted to a work type and back) and a table of functions. */
#include "ops/attribute.h"
#include "ops/elements.h"
#include "ops/unary_functions.h"

#include <math.h>

enum { UNARY_GRAIN = 16384 }; /* elements per piece of work */

typedef struct UnaryParams {
    const FbUnaryFunction *function;
    float a, b;
} UnaryParams;

static FbStatus decode_plain(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    UnaryParams *p = params;
    p->function = fb_unary_function(node->op_type);
    return p->function ? FB_OK : fb_error_set(err, FB_ERR_INTERNAL, "no function for %s", node->op_type);
}

/* Attribute names and defaults of the operators that have parameters, as ONNX has them in every version. */
static const struct {
    const char *op_type, *a_name, *b_name;
    float a, b;
} parameters[] = {
    {"Celu", "alpha", NULL, 1.0f, 0},
    {"Elu", "alpha", NULL, 1.0f, 0},
    {"HardSigmoid", "alpha", "beta", 0.2f, 0.5f},
    {"LeakyRelu", "alpha", NULL, 0.01f, 0},
    {"Selu", "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Shrink", "lambd", "bias", 0.5f, 0},
    {"Swish", "alpha", NULL, 1.0f, 0},
    {"ThresholdedRelu", "alpha", NULL, 1.0f, 0},
};

static FbStatus decode_parameters(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    UnaryParams *p = params;
    FB_TRY(decode_plain(node, arena, params, err));
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        if (strcmp(parameters[i].op_type, node->op_type) == 0) {
            FB_TRY(fb_attr_float(node, parameters[i].a_name, parameters[i].a, &p->a, err));
            if (parameters[i].b_name) {
                FB_TRY(fb_attr_float(node, parameters[i].b_name, parameters[i].b, &p->b, err));
            }
        }
    }
    if (node->version < 6 && fb_node_is(node, "", "Selu")) { /* the first version had shorter defaults */
        FB_TRY(fb_attr_float(node, "alpha", 1.6732f, &p->a, err));
        FB_TRY(fb_attr_float(node, "gamma", 1.0507f, &p->b, err));
    }
    if (fb_node_is(node, "", "Celu") && p->a == 0.0f) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'alpha' of Celu is 0, it is a divisor");
    }
    return FB_OK;
}

static FbStatus decode_gelu(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    UnaryParams *p = params;
    const char *form;
    (void)arena;
    FB_TRY(fb_attr_string(node, "approximate", "none", &form, err));
    if (strcmp(form, "none") != 0 && strcmp(form, "tanh") != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'approximate' of Gelu must be 'none' or 'tanh'");
    }
    p->function = fb_unary_function(strcmp(form, "tanh") == 0 ? "Gelu tanh" : "Gelu");
    return FB_OK;
}

static FbStatus infer_unary(FbInfer *infer, FbError *err)
{
    const UnaryParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, p->function->types, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

typedef struct UnaryWork {
    const FbUnaryFunction *function;
    FbUnaryF32 kernel; /* NULL: use function->wide */
    float a, b;
    const FbTensor *from;
    FbTensor *to;
} UnaryWork;

/* One block: load, compute, store. */
static void unary_block(const UnaryWork *work, int64_t first, size_t count)
{
    FbWorkBlock x, y;
    const FbTensor *from = work->from;
    FbWork type = fb_work_of(from->dtype);
    bool whole = (type == FB_WORK_S64 || type == FB_WORK_U64) && work->function->whole;
    if (!whole && (type != FB_WORK_F32 || !work->kernel)) {
        type = FB_WORK_F64;
    }
    fb_work_load(from->dtype, from->data, first, 1, type, &x, count);
    if (whole) {
        work->function->whole(x.s64, y.s64, count); /* unsigned 64-bit values share the bits; their operators do not look at the sign */
    } else if (type == FB_WORK_F32) {
        work->kernel(x.f32, y.f32, count, work->a, work->b);
    } else {
        work->function->wide(x.f64, y.f64, count, (double)work->a, (double)work->b);
    }
    fb_work_store(work->to->dtype, work->to->data, first, type, &y, count);
}

static void unary_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const UnaryWork *work = arg;
    (void)slot;
    if (work->from->dtype == FB_DTYPE_F32 && work->kernel) {
        work->kernel((const float *)work->from->data + begin, (float *)work->to->data + begin, end - begin, work->a, work->b);
        return;
    }
    for (size_t at = begin; at < end; at += FB_WORK_BLOCK) {
        unary_block(work, (int64_t)at, end - at < FB_WORK_BLOCK ? end - at : FB_WORK_BLOCK);
    }
}

static void unary_all(const FbCall *call, const FbUnaryFunction *function, float a, float b)
{
    UnaryWork work = {.function = function, .a = a, .b = b, .from = call->inputs[0], .to = call->outputs[0]};
    if (function->kind != (FbUnaryKind)FB_UNARY_NO_KERNEL) {
        work.kernel = fb_unary_f32_pick(fb_context_cpu(call->context), function->kind);
    }
    fb_parallel(call->context, unary_task, &work, (size_t)fb_tensor_elements(work.from), UNARY_GRAIN);
}

static FbStatus run_unary(const FbCall *call, FbError *err)
{
    const UnaryParams *p = call->params;
    (void)err;
    unary_all(call, p->function, p->a, p->b);
    return FB_OK;
}

/* The sign of an unsigned 64-bit value above 2^63 is 1, its absolute value itself: signed loops would see a negative number. */
static FbStatus run_unary_u64_aware(const FbCall *call, FbError *err)
{
    if (call->inputs[0]->dtype != FB_DTYPE_U64) {
        return run_unary(call, err);
    }
    const uint64_t *from = call->inputs[0]->data;
    uint64_t *to = call->outputs[0]->data;
    bool is_sign = fb_node_is(call->node, "", "Sign");
    int64_t count = fb_tensor_elements(call->inputs[0]);
    for (int64_t i = 0; i < count; i++) {
        to[i] = is_sign ? from[i] != 0 : from[i];
    }
    return FB_OK;
}

/* ---- Clip ---- */

static FbStatus decode_clip(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    UnaryParams *p = params;
    FB_TRY(decode_plain(node, arena, params, err));
    p->a = -INFINITY;
    p->b = INFINITY;
    if (node->version < 11) {
        FB_TRY(fb_attr_float(node, "min", -3.402823466e+38f, &p->a, err));
        FB_TRY(fb_attr_float(node, "max", 3.402823466e+38f, &p->b, err));
    } else if (node->attribute_count) {
        return fb_error_set(err, FB_ERR_FORMAT, "Clip has no attribute '%s' from operator set 11 on", node->attributes[0].name);
    }
    if (node->version < 11 && node->input_count > 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "Clip takes one input before operator set 11");
    }
    return FB_OK;
}

static FbStatus infer_clip(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    for (int i = 1; i < 3; i++) {
        FB_TRY(fb_check_same_dtype(infer, 0, i, err));
        if (fb_infer_has(infer, i)) {
            const FbShape *shape = &infer->inputs[i].shape;
            bool one = shape->rank <= 0 || (shape->rank == 1 && (shape->dims[0] == 1 || shape->dims[0] < 0));
            if (!one) { /* ONNX asks for a scalar; a list of one is common in files */
                return fb_error_set(err, FB_ERR_FORMAT, "Clip's bound (input %d) must be a scalar", i);
            }
        }
    }
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus run_clip(const FbCall *call, FbError *err)
{
    const UnaryParams *p = call->params;
    const FbTensor *bounds[2] = {fb_call_input(call, 1), fb_call_input(call, 2)};
    const FbTensor *from = call->inputs[0];
    FbWork type = fb_work_of(from->dtype);
    for (int i = 0; i < 2; i++) {
        if (bounds[i] && fb_tensor_elements(bounds[i]) != 1) {
            return fb_error_set(err, FB_ERR_FORMAT, "Clip's bound (input %d) must hold one value", i + 1);
        }
    }
    if (type == FB_WORK_F32) {
        float a = p->a, b = p->b;
        if (bounds[0]) {
            fb_work_load(from->dtype, bounds[0]->data, 0, 1, type, &a, 1);
        }
        if (bounds[1]) {
            fb_work_load(from->dtype, bounds[1]->data, 0, 1, type, &b, 1);
        }
        unary_all(call, p->function, a, b);
        return FB_OK;
    }
    FbWorkBlock x;
    double low = (double)p->a, high = (double)p->b;
    int64_t s_low = INT64_MIN, s_high = INT64_MAX, count = fb_tensor_elements(from);
    uint64_t u_low = 0, u_high = UINT64_MAX;
    void *lows[] = {NULL, &low, &s_low, &u_low}, *highs[] = {NULL, &high, &s_high, &u_high};
    if (bounds[0]) {
        fb_work_load(from->dtype, bounds[0]->data, 0, 1, type, lows[type], 1);
    }
    if (bounds[1]) {
        fb_work_load(from->dtype, bounds[1]->data, 0, 1, type, highs[type], 1);
    }
    for (int64_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = (size_t)(count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK);
        fb_work_load(from->dtype, from->data, at, 1, type, &x, n);
        for (size_t i = 0; i < n; i++) { /* the upper bound wins when they cross */
            if (type == FB_WORK_F64) {
                x.f64[i] = x.f64[i] < low ? low : x.f64[i];
                x.f64[i] = x.f64[i] > high ? high : x.f64[i];
            } else if (type == FB_WORK_S64) {
                x.s64[i] = x.s64[i] < s_low ? s_low : x.s64[i];
                x.s64[i] = x.s64[i] > s_high ? s_high : x.s64[i];
            } else {
                x.u64[i] = x.u64[i] < u_low ? u_low : x.u64[i];
                x.u64[i] = x.u64[i] > u_high ? u_high : x.u64[i];
            }
        }
        fb_work_store(from->dtype, call->outputs[0]->data, at, type, &x, n);
    }
    return FB_OK;
}

/* ---- predicates ---- */

typedef struct InfParams { bool positive, negative; } InfParams;

static FbStatus decode_isinf(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    InfParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_bool(node, "detect_positive", true, &p->positive, err));
    return fb_attr_bool(node, "detect_negative", true, &p->negative, err);
}

static FbStatus infer_predicate(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS | FB_MASK_F8, err));
    fb_infer_same_as(infer, 0);
    infer->outputs[0].dtype = FB_DTYPE_BOOL;
    return FB_OK;
}

static FbStatus run_predicate(const FbCall *call, FbError *err)
{
    const InfParams *p = call->params; /* NULL: IsNaN */
    const FbTensor *from = call->inputs[0];
    uint8_t *to = call->outputs[0]->data;
    int64_t count = fb_tensor_elements(from);
    FbWorkBlock x;
    (void)err;
    for (int64_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = (size_t)(count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK);
        fb_work_load(from->dtype, from->data, at, 1, FB_WORK_F64, &x, n);
        for (size_t i = 0; i < n; i++) {
            double v = x.f64[i];
            to[at + (int64_t)i] = p ? isinf(v) && (v > 0 ? p->positive : p->negative) : isnan(v);
        }
    }
    return FB_OK;
}

static FbStatus infer_not(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_BOOL), err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus run_not(const FbCall *call, FbError *err)
{
    const uint8_t *from = call->inputs[0]->data;
    uint8_t *to = call->outputs[0]->data;
    int64_t count = fb_tensor_elements(call->inputs[0]);
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        to[i] = !from[i];
    }
    return FB_OK;
}

/* ---- Identity and Dropout ---- */

static FbStatus infer_identity(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus run_identity(const FbCall *call, FbError *err)
{
    (void)err;
    if (call->outputs[0]->data != call->inputs[0]->data && call->inputs[0]->bytes) {
        memcpy(call->outputs[0]->data, call->inputs[0]->data, call->inputs[0]->bytes);
    }
    return FB_OK;
}

/* A training_mode that is true, unless the ratio is 0 and nothing would be dropped. */
static bool is_training(const FbTensor *ratio, const FbTensor *training)
{
    return fb_tensor_elements(training) == 1 && fb_tensor_int(training, 0) != 0 &&
           (!ratio || fb_tensor_elements(ratio) != 1 || fb_tensor_number(ratio, 0) != 0);
}

static FbStatus infer_dropout(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    fb_infer_same_as(infer, 0);
    if (infer->output_count > 1 && infer->outputs[1].present) {
        infer->outputs[1].shape = infer->inputs[0].shape;
        infer->outputs[1].dtype = infer->node->version < 10 ? infer->inputs[0].dtype : FB_DTYPE_BOOL;
    }
    const FbTensor *training = fb_infer_has(infer, 2) ? fb_infer_value(infer, 2) : NULL;
    const FbTensor *ratio = training && fb_infer_has(infer, 1) ? fb_infer_value(infer, 1) : NULL;
    if (training && !infer->pending && is_training(ratio, training)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Dropout in training mode: models run in inference mode here");
    }
    return FB_OK;
}

/* Inference: the input itself, the mask all ones. */
static FbStatus run_dropout(const FbCall *call, FbError *err)
{
    (void)err;
    FbTensor *mask = fb_call_output(call, 1);
    if (mask) {
        FbWorkBlock ones;
        int64_t count = fb_tensor_elements(mask);
        FbWork type = fb_work_of(mask->dtype);
        for (int i = 0; i < FB_WORK_BLOCK; i++) {
            if (type == FB_WORK_F32) {
                ones.f32[i] = 1;
            } else if (type == FB_WORK_F64) {
                ones.f64[i] = 1;
            } else {
                ones.s64[i] = 1;
            }
        }
        for (int64_t at = 0; at < count; at += FB_WORK_BLOCK) {
            fb_work_store(mask->dtype, mask->data, at, type, &ones, (size_t)(count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK));
        }
    }
    return call->outputs[0] ? run_identity(call, err) : FB_OK;
}

static const char *const old_names[] = {"consumed_inputs", NULL};
static const char *const alpha_names[] = {"alpha", "consumed_inputs", NULL};
static const char *const selu_names[] = {"alpha", "gamma", "consumed_inputs", NULL};
static const char *const hard_sigmoid_names[] = {"alpha", "beta", "consumed_inputs", NULL};
static const char *const shrink_names[] = {"lambd", "bias", NULL};
static const char *const gelu_names[] = {"approximate", NULL};
static const char *const clip_names[] = {"min", "max", "consumed_inputs", NULL};
static const char *const isinf_names[] = {"detect_positive", "detect_negative", NULL};
static const char *const dropout_names[] = {"ratio", "is_test", "seed", "consumed_inputs", NULL};

#define UNARY(NAME, TEXT, SINCE, DECODE, NAMES, RUN)                                                                     \
    {                                                                                                                    \
        .domain = "", .name = NAME, .summary = TEXT, .since = SINCE, .newest = FB_OPSET_NEWEST, .min_inputs = 1,         \
        .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(UnaryParams),                        \
        .flags = FB_OP_POINTWISE | FB_OP_INPLACE, .decode = DECODE, .infer = infer_unary, .run = RUN, .attributes = NAMES \
    }

static const FbOp rows[] = {
    UNARY("Abs", "absolute value", 1, decode_plain, old_names, run_unary_u64_aware),
    UNARY("Acos", "arc cosine", 7, decode_plain, NULL, run_unary),
    UNARY("Acosh", "inverse hyperbolic cosine", 9, decode_plain, NULL, run_unary),
    UNARY("Asin", "arc sine", 7, decode_plain, NULL, run_unary),
    UNARY("Asinh", "inverse hyperbolic sine", 9, decode_plain, NULL, run_unary),
    UNARY("Atan", "arc tangent", 7, decode_plain, NULL, run_unary),
    UNARY("Atanh", "inverse hyperbolic tangent", 9, decode_plain, NULL, run_unary),
    UNARY("BitwiseNot", "complement of every bit", 18, decode_plain, NULL, run_unary),
    UNARY("Ceil", "round up", 1, decode_plain, old_names, run_unary),
    UNARY("Celu", "continuously differentiable exponential linear unit", 12, decode_parameters, alpha_names, run_unary),
    {.domain = "", .name = "Clip", .summary = "limit to a range", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 3,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(UnaryParams), .flags = FB_OP_POINTWISE | FB_OP_INPLACE,
     .decode = decode_clip, .infer = infer_clip, .run = run_clip, .attributes = clip_names},
    UNARY("Cos", "cosine", 7, decode_plain, NULL, run_unary),
    UNARY("Cosh", "hyperbolic cosine", 9, decode_plain, NULL, run_unary),
    {.domain = "", .name = "Dropout", .summary = "the input itself (inference)", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 2, .flags = FB_OP_INPLACE, .infer = infer_dropout, .run = run_dropout,
     .attributes = dropout_names},
    UNARY("Elu", "exponential linear unit", 1, decode_parameters, alpha_names, run_unary),
    UNARY("Erf", "error function", 9, decode_plain, NULL, run_unary),
    UNARY("Exp", "exponential", 1, decode_plain, old_names, run_unary),
    UNARY("Floor", "round down", 1, decode_plain, old_names, run_unary),
    UNARY("Gelu", "Gaussian error linear unit", 20, decode_gelu, gelu_names, run_unary),
    UNARY("HardSigmoid", "piecewise linear sigmoid", 1, decode_parameters, hard_sigmoid_names, run_unary),
    UNARY("HardSwish", "x * HardSigmoid(x)", 14, decode_plain, NULL, run_unary),
    {.domain = "", .name = "Identity", .summary = "the input itself", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_POINTWISE | FB_OP_INPLACE | FB_OP_VIEW | FB_OP_MOVES_DATA,
     .infer = infer_identity, .run = run_identity},
    {.domain = "", .name = "IsInf", .summary = "true where infinite", .since = 10, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(InfParams), .flags = FB_OP_POINTWISE,
     .decode = decode_isinf, .infer = infer_predicate, .run = run_predicate, .attributes = isinf_names},
    {.domain = "", .name = "IsNaN", .summary = "true where not a number", .since = 9, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_POINTWISE, .infer = infer_predicate, .run = run_predicate},
    UNARY("LeakyRelu", "x, or alpha * x below zero", 1, decode_parameters, alpha_names, run_unary),
    UNARY("Log", "natural logarithm", 1, decode_plain, old_names, run_unary),
    UNARY("Mish", "x * tanh(softplus(x))", 18, decode_plain, NULL, run_unary),
    UNARY("Neg", "negation", 1, decode_plain, old_names, run_unary),
    {.domain = "", .name = "Not", .summary = "logical negation", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1,
     .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_POINTWISE | FB_OP_INPLACE, .infer = infer_not, .run = run_not},
    UNARY("Reciprocal", "1 / x", 1, decode_plain, old_names, run_unary),
    UNARY("Relu", "max(x, 0)", 1, decode_plain, old_names, run_unary),
    UNARY("Round", "round half to even", 11, decode_plain, NULL, run_unary),
    UNARY("Selu", "scaled exponential linear unit", 1, decode_parameters, selu_names, run_unary),
    UNARY("Shrink", "shrink towards zero by a bias outside of a band", 9, decode_parameters, shrink_names, run_unary),
    UNARY("Sigmoid", "logistic function", 1, decode_plain, old_names, run_unary),
    UNARY("Sign", "-1, 0 or 1", 9, decode_plain, NULL, run_unary_u64_aware),
    UNARY("Sin", "sine", 7, decode_plain, NULL, run_unary),
    UNARY("Sinh", "hyperbolic sine", 9, decode_plain, NULL, run_unary),
    UNARY("Softplus", "log(1 + exp(x))", 1, decode_plain, NULL, run_unary),
    UNARY("Softsign", "x / (1 + |x|)", 1, decode_plain, NULL, run_unary),
    UNARY("Sqrt", "square root", 1, decode_plain, old_names, run_unary),
    UNARY("Swish", "x * sigmoid(alpha * x)", 24, decode_parameters, alpha_names, run_unary),
    UNARY("Tan", "tangent", 7, decode_plain, NULL, run_unary),
    UNARY("Tanh", "hyperbolic tangent", 1, decode_plain, old_names, run_unary),
    UNARY("ThresholdedRelu", "x where above alpha, else 0", 10, decode_parameters, alpha_names, run_unary),
};

const FbOpFamily fb_ops_unary = {rows, sizeof rows / sizeof rows[0]};
