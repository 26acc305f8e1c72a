/* LRN, LpNormalization, MeanVarianceNormalization: rare, so plain loops in double serve every float type. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/number.h"
#include "ops/window.h"

typedef struct OtherParams {
    float alpha, beta, bias;      /* LRN */
    int64_t size;
    int64_t axis, p;              /* LpNormalization */
    unsigned axes;                /* MeanVarianceNormalization: bit per axis, and of negative axes counted from the end */
    unsigned axes_from_end;
} OtherParams;

static FbStatus lrn_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    OtherParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_float(node, "alpha", 1e-4f, &p->alpha, err));
    FB_TRY(fb_attr_float(node, "beta", 0.75f, &p->beta, err));
    FB_TRY(fb_attr_float(node, "bias", 1.0f, &p->bias, err));
    FB_TRY(fb_attr_required_int(node, "size", &p->size, err));
    return p->size < 1 || p->size > INT32_MAX ? fb_error_set(err, FB_ERR_FORMAT, "attribute 'size' must be at least 1") : FB_OK;
}

static FbStatus lp_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    OtherParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_int(node, "axis", -1, &p->axis, err));
    FB_TRY(fb_attr_int(node, "p", 2, &p->p, err));
    return p->p == 1 || p->p == 2 ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "attribute 'p' must be 1 or 2");
}

static FbStatus mvn_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    static const int64_t usual[] = {0, 2, 3};
    OtherParams *p = params;
    const int64_t *axes;
    size_t count;
    (void)arena;
    FB_TRY(fb_attr_ints(node, "axes", &axes, &count, err));
    if (!axes) {
        axes = usual;
        count = 3;
    }
    for (size_t i = 0; i < count; i++) {
        if (axes[i] < -FB_RANK_MAX || axes[i] >= FB_RANK_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'axes' holds %lld", (long long)axes[i]);
        }
        if (axes[i] < 0) {
            p->axes_from_end |= 1u << (-axes[i] - 1);
        } else {
            p->axes |= 1u << axes[i];
        }
    }
    return FB_OK;
}

static bool mvn_reduces(const OtherParams *p, int rank, int axis) { return (p->axes >> axis & 1) || (p->axes_from_end >> (rank - 1 - axis) & 1); }

static FbStatus other_infer(FbInfer *infer, FbError *err)
{
    const OtherParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    if (p->size) {
        FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    } else if (p->p && x->rank >= 0) {
        FB_TRY(fb_axis_normalize(p->axis, x->rank, &axis, err));
    } else if (x->rank >= 0 && ((p->axes >> x->rank) != 0 || (p->axes_from_end >> x->rank) != 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'axes' names an axis that an input of %d dimensions does not have", x->rank);
    }
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

typedef struct OtherRun {
    const OtherParams *params;
    bool channels_last;
    const FbTensor *x;
    FbTensor *y;
    int64_t count, inner; /* of the channel or normalized axis; elements between its elements */
} OtherRun;

/* Unit: one place, all channels: window [c - floor((size - 1) / 2), c + ceil((size - 1) / 2)]. */
static void lrn_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const OtherRun *r = arg;
    const OtherParams *p = r->params;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t at = (int64_t)unit / r->inner * r->count * r->inner + (int64_t)unit % r->inner;
        for (int64_t c = 0; c < r->count; c++) {
            const int64_t low = c - (p->size - 1) / 2 < 0 ? 0 : c - (p->size - 1) / 2;
            const int64_t high = c + p->size / 2 >= r->count ? r->count - 1 : c + p->size / 2;
            double sum = 0;
            for (int64_t k = low; k <= high; k++) {
                const double value = fb_tensor_number(r->x, at + k * r->inner);
                sum += value * value;
            }
            const double base = (double)p->bias + (double)p->alpha / (double)p->size * sum;
            fb_number_set(r->y, at + c * r->inner, fb_tensor_number(r->x, at + c * r->inner) / pow(base, (double)p->beta));
        }
    }
}

static void lp_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const OtherRun *r = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t at = (int64_t)unit / r->inner * r->count * r->inner + (int64_t)unit % r->inner;
        double sum = 0;
        for (int64_t i = 0; i < r->count; i++) {
            const double value = fb_tensor_number(r->x, at + i * r->inner);
            sum += r->params->p == 1 ? fabs(value) : value * value;
        }
        const double norm = r->params->p == 1 ? sum : sqrt(sum);
        for (int64_t i = 0; i < r->count; i++) { /* a row of zeros stays one */
            fb_number_set(r->y, at + i * r->inner, norm == 0 ? 0 : fb_tensor_number(r->x, at + i * r->inner) / norm);
        }
    }
}

static FbStatus along_axis(const FbCall *call, FbTask task, int axis, FbError *err)
{
    OtherRun r = {.params = call->params, .channels_last = call->channels_last, .x = call->inputs[0], .y = call->outputs[0]};
    if (fb_tensor_elements(r.x) == 0) {
        return FB_OK;
    }
    r.count = r.x->dims[axis];
    r.inner = fb_window_product(r.x->dims + axis + 1, r.x->rank - axis - 1);
    fb_parallel(call->context, task, &r, (size_t)(fb_tensor_elements(r.x) / r.count), 64);
    return fb_check_cancel(call->context, err);
}

static FbStatus lrn_run(const FbCall *call, FbError *err)
{
    return along_axis(call, lrn_units, call->channels_last ? call->inputs[0]->rank - 1 : 1, err);
}

static FbStatus lp_run(const FbCall *call, FbError *err)
{
    const OtherParams *p = call->params;
    return along_axis(call, lp_units, (int)(p->axis < 0 ? p->axis + call->inputs[0]->rank : p->axis), err);
}

/* Which group of statistics element i belongs to: its index over the axes that stay. */
static int64_t mvn_group(const OtherParams *p, const FbTensor *x, int64_t i)
{
    int64_t group = 0, scale = 1;
    for (int axis = x->rank - 1; axis >= 0; axis--) {
        if (!mvn_reduces(p, x->rank, axis)) {
            group += i % x->dims[axis] * scale;
            scale *= x->dims[axis];
        }
        i /= x->dims[axis];
    }
    return group;
}

static int64_t mvn_groups(const OtherParams *p, const FbTensor *x)
{
    int64_t groups = 1;
    for (int axis = 0; axis < x->rank; axis++) {
        groups *= mvn_reduces(p, x->rank, axis) ? 1 : x->dims[axis];
    }
    return groups;
}

static size_t mvn_scratch(const FbCall *call) { return 2 * sizeof(double) * (size_t)mvn_groups(call->params, call->inputs[0]); }

static FbStatus mvn_run(const FbCall *call, FbError *err)
{
    const OtherParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    const int64_t elements = fb_tensor_elements(x), groups = mvn_groups(p, x);
    double *mean = call->scratch, *deviation = mean + groups;
    if (elements == 0) {
        return FB_OK;
    }
    const double each = (double)groups / (double)elements;
    memset(mean, 0, 2 * (size_t)groups * sizeof *mean);
    for (int64_t i = 0; i < elements; i++) {
        mean[mvn_group(p, x, i)] += fb_tensor_number(x, i) * each;
    }
    for (int64_t i = 0; i < elements; i++) {
        const double d = fb_tensor_number(x, i) - mean[mvn_group(p, x, i)];
        deviation[mvn_group(p, x, i)] += d * d * each;
    }
    for (int64_t i = 0; i < elements; i++) { /* ONNX's function body adds 1e-9 to the standard deviation */
        const int64_t g = mvn_group(p, x, i);
        fb_number_set(call->outputs[0], i, (fb_tensor_number(x, i) - mean[g]) / (sqrt(deviation[g]) + 1e-9));
    }
    return fb_check_cancel(call->context, err);
}

static const char *const lrn_attributes[] = {"alpha", "beta", "bias", "size", NULL};
static const char *const lp_attributes[] = {"axis", "p", NULL};
static const char *const mvn_attributes[] = {"axes", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "LRN", .summary = "local response normalization across channels", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(OtherParams), .flags = FB_OP_SPATIAL,
     .decode = lrn_decode, .infer = other_infer, .run = lrn_run, .attributes = lrn_attributes},
    {.domain = "", .name = "LpNormalization", .summary = "rows to p-norm 1", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(OtherParams), .decode = lp_decode, .infer = other_infer,
     .run = lp_run, .attributes = lp_attributes},
    {.domain = "", .name = "MeanVarianceNormalization", .summary = "to mean 0 and variance 1 over some axes", .since = 9,
     .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(OtherParams),
     .flags = FB_OP_INPLACE, .decode = mvn_decode, .infer = other_infer, .scratch = mvn_scratch, .run = mvn_run,
     .attributes = mvn_attributes},
};
const FbOpFamily fb_ops_norm_other = {rows, sizeof rows / sizeof *rows};
