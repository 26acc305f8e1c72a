/* LayerNormalization and RMSNormalization: the axes from `axis` on are one row. */
#include <math.h>

#include "kernels/norm_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/codes_rows.h"
#include "ops/number.h"

typedef struct LayerParams {
    int64_t axis;
    float epsilon;
    bool center; /* false: RMSNormalization */
} LayerParams;

static FbStatus layer_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    LayerParams *p = params;
    int64_t stash;
    (void)arena;
    p->center = strcmp(node->op_type, "LayerNormalization") == 0;
    FB_TRY(fb_attr_int(node, "axis", -1, &p->axis, err));
    FB_TRY(fb_attr_float(node, "epsilon", 1e-5f, &p->epsilon, err));
    return fb_attr_int(node, "stash_type", 1, &stash, err);
}

void fb_layer_rows_params(const void *params, FbRowsParams *rows)
{
    const LayerParams *p = params;
    *rows = (FbRowsParams){.kind = p->center ? FB_ROWS_LAYER : FB_ROWS_RMS, .axis = p->axis, .epsilon = p->epsilon};
}

static FbStatus layer_infer(FbInfer *infer, FbError *err)
{
    const LayerParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    int axis = 0;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    fb_infer_same_as(infer, 0);
    for (int i = 1; i < infer->output_count; i++) {
        infer->outputs[i].dtype = infer->inputs[0].dtype == FB_DTYPE_F64 ? FB_DTYPE_F64 : FB_DTYPE_F32;
        infer->outputs[i].shape.rank = -1;
    }
    if (x->rank < 0) {
        return FB_OK;
    }
    FB_TRY(fb_axis_normalize(p->axis, x->rank, &axis, err));
    for (int input = 1; input < 3; input++) { /* scale and bias are broadcast over the row */
        if (!fb_infer_has(infer, input)) {
            continue;
        }
        const FbShape *v = &infer->inputs[input].shape;
        FB_TRY(fb_check_input_dtype(infer, input, FB_MASK_FLOATS, err));
        for (int i = 1; i <= v->rank; i++) {
            const int64_t have = v->dims[v->rank - i], want = i <= x->rank ? x->dims[x->rank - i] : 1;
            if (have >= 0 && have != 1 && want >= 0 && (have != want || i > x->rank - axis)) {
                return fb_error_set(err, FB_ERR_FORMAT, "input %d cannot be broadcast to the normalized axes", input);
            }
        }
    }
    for (int i = 1; i < infer->output_count; i++) {
        infer->outputs[i].shape = *x;
        for (int d = axis; d < x->rank; d++) {
            infer->outputs[i].shape.dims[d] = 1;
        }
    }
    return FB_OK;
}

typedef struct LayerRun {
    const FbNormF32Kernel *kernel;
    const LayerParams *params;
    size_t count;
    const FbTensor *x;
    FbTensor *y, *mean, *inverse;
    float *scale, *bias;         /* [count], or NULL */
    double *scale_f64, *bias_f64, *rows; /* any type but F32: rows is [threads][count] */
} LayerRun;

static void number_row(const LayerRun *r, double *row, int64_t at, double *mean, double *inverse)
{
    fb_work_load(r->x->dtype, r->x->data, at, 1, FB_WORK_F64, row, r->count);
    double sum = 0, squares = 0;
    for (size_t i = 0; r->params->center && i < r->count; i++) {
        sum += row[i];
    }
    *mean = sum / (double)r->count;
    for (size_t i = 0; i < r->count; i++) {
        squares += (row[i] - *mean) * (row[i] - *mean);
    }
    *inverse = 1 / sqrt(squares / (double)r->count + (double)r->params->epsilon);
    for (size_t i = 0; i < r->count; i++) {
        double value = (row[i] - *mean) * *inverse;
        value = r->scale_f64 ? value * r->scale_f64[i] : value;
        row[i] = r->bias_f64 ? value + r->bias_f64[i] : value;
    }
    fb_work_store(r->y->dtype, r->y->data, at, FB_WORK_F64, row, r->count);
}

static void layer_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const LayerRun *r = arg;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t at = unit * r->count;
        double mean, inverse;
        if (r->x->dtype == FB_DTYPE_F32) {
            const float *x = (const float *)r->x->data + at;
            float mean_f32, inverse_f32;
            r->kernel->moments(x, r->count, r->params->epsilon, r->params->center, &mean_f32, &inverse_f32);
            r->kernel->apply(x, (float *)r->y->data + at, r->count, mean_f32, inverse_f32, r->scale, r->bias);
            mean = mean_f32;
            inverse = inverse_f32;
        } else {
            number_row(r, r->rows + slot * r->count, (int64_t)at, &mean, &inverse);
        }
        if (r->mean) {
            fb_number_set(r->mean, (int64_t)unit, mean);
        }
        if (r->inverse) {
            fb_number_set(r->inverse, (int64_t)unit, inverse);
        }
    }
}

static size_t row_count(const FbCall *call)
{
    const LayerParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    size_t count = 1;
    for (int i = (int)(p->axis < 0 ? p->axis + x->rank : p->axis); i < x->rank; i++) {
        count *= (size_t)x->dims[i];
    }
    return count;
}

static size_t layer_scratch(const FbCall *call)
{
    return row_count(call) * sizeof(double) * (2 + (size_t)fb_context_threads(call->context));
}

/* A vector broadcast over the row, as double and, when `single`, as float in the same place. */
static void spread(const FbTensor *v, const FbTensor *x, size_t count, bool single, double *to)
{
    float *to_f32 = (float *)(void *)to;
    for (size_t i = 0; i < count; i++) {
        int64_t rest = (int64_t)i, at = 0, stride = 1;
        for (int d = 1; d <= v->rank; d++) {
            const int64_t size = d <= x->rank ? x->dims[x->rank - d] : 1;
            at += v->dims[v->rank - d] == 1 ? 0 : rest % size * stride;
            stride *= v->dims[v->rank - d];
            rest /= size;
        }
        const double value = fb_tensor_number(v, at);
        if (single) {
            to_f32[i] = (float)value;
        } else {
            to[i] = value;
        }
    }
}

static FbStatus layer_run(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0], *scale = fb_call_input(call, 1), *bias = fb_call_input(call, 2);
    const bool single = x->dtype == FB_DTYPE_F32;
    LayerRun r = {.kernel = fb_norm_f32_pick(fb_context_cpu(call->context)), .params = call->params, .count = row_count(call), .x = x,
                  .y = call->outputs[0], .mean = fb_call_output(call, 1), .inverse = fb_call_output(call, 2)};
    if (fb_tensor_elements(x) == 0) {
        return FB_OK;
    }
    double *place = call->scratch;
    const FbTensor *const vectors[] = {scale, bias};
    for (int i = 0; i < 2; i++, place += r.count) {
        if (!vectors[i]) {
            continue;
        }
        const bool as_it_is = single && vectors[i]->dtype == FB_DTYPE_F32 && (size_t)fb_tensor_elements(vectors[i]) == r.count;
        if (!as_it_is) {
            spread(vectors[i], x, r.count, single, place);
        }
        float *floats = as_it_is ? vectors[i]->data : (float *)(void *)place;
        *(i ? &r.bias : &r.scale) = single ? floats : NULL;
        *(i ? &r.bias_f64 : &r.scale_f64) = single ? NULL : place;
    }
    r.rows = place;
    fb_parallel(call->context, layer_rows, &r, (size_t)fb_tensor_elements(x) / r.count, 8192 / r.count + 1);
    return fb_check_cancel(call->context, err);
}

static const char *const attributes[] = {"axis", "epsilon", "stash_type", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "LayerNormalization", .summary = "rows to mean 0 and variance 1, then scale and bias", .since = 17,
     .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 3, .params_bytes = sizeof(LayerParams),
     .flags = FB_OP_INPLACE, .decode = layer_decode, .infer = layer_infer, .scratch = layer_scratch, .run = layer_run,
     .integer = &fb_codes_rows_lowering,
     .attributes = attributes},
    {.domain = "", .name = "RMSNormalization", .summary = "rows to root mean square 1, then scale", .since = 23, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(LayerParams), .flags = FB_OP_INPLACE,
     .decode = layer_decode, .infer = layer_infer, .scratch = layer_scratch, .run = layer_run,
     .integer = &fb_codes_rows_lowering, .attributes = attributes},
};
const FbOpFamily fb_ops_norm_layer = {rows, sizeof rows / sizeof *rows};
