/* Softmax, LogSoftmax, Hardmax. Before operator set 13 the axes from `axis` on are one row; since then `axis` alone is. */
#include "kernels/softmax_f32.h"

#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/codes_rows.h"
#include "ops/number.h"

typedef struct SoftmaxParams {
    int64_t axis;
    bool flatten; /* the meaning before 13 */
} SoftmaxParams;

typedef enum SoftmaxKind { SOFTMAX, LOG_SOFTMAX, HARDMAX } SoftmaxKind;

static FbStatus softmax_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    SoftmaxParams *p = params;
    (void)arena;
    p->flatten = node->version < 13;
    return fb_attr_int(node, "axis", p->flatten ? 1 : -1, &p->axis, err);
}

void fb_softmax_rows_params(const void *params, FbRowsParams *rows)
{
    const SoftmaxParams *p = params;
    *rows = (FbRowsParams){.kind = FB_ROWS_SOFTMAX, .axis = p->axis, .flatten = p->flatten};
}

static FbStatus softmax_infer(FbInfer *infer, FbError *err)
{
    const SoftmaxParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    if (x->rank >= 0 && !(p->flatten && p->axis == x->rank)) {
        FB_TRY(fb_axis_normalize(p->axis, x->rank, &axis, err));
    }
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static bool softmax_channels_last(void *params, int rank)
{
    SoftmaxParams *p = params;
    const int64_t axis = p->axis < 0 ? p->axis + rank : p->axis;
    if (p->flatten) {
        return false; /* the flattened axes would be in another order: harmless for the sums, not for their bits */
    }
    p->axis = axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
    return true;
}

typedef struct SoftmaxRun {
    SoftmaxKind kind;
    const FbSoftmaxF32Kernel *kernel;
    const FbTensor *x;
    FbTensor *y;
    size_t count, inner; /* of a row; elements between its elements */
    double *rows;        /* [threads][count] */
} SoftmaxRun;

static void softmax_number(SoftmaxKind kind, double *row, size_t count)
{
    double max = -INFINITY, sum = 0;
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (row[i] > max || row[i] != row[i]) {
            first = row[i] > max ? i : first;
            max = row[i];
        }
    }
    if (kind == HARDMAX) {
        for (size_t i = 0; i < count; i++) {
            row[i] = i == first ? 1 : 0;
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        sum += exp(row[i] - max);
    }
    for (size_t i = 0; i < count; i++) {
        row[i] = kind == SOFTMAX ? exp(row[i] - max) / sum : row[i] - max - log(sum);
    }
}

static void softmax_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const SoftmaxRun *r = arg;
    const bool single = r->x->dtype == FB_DTYPE_F32 && r->kind != HARDMAX;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t at = unit / r->inner * r->count * r->inner + unit % r->inner;
        if (single) {
            const float *x = (const float *)r->x->data + at;
            float *y = (float *)r->y->data + at, *row = r->inner == 1 ? y : (float *)(void *)(r->rows + slot * r->count);
            for (size_t i = 0; r->inner != 1 && i < r->count; i++) {
                row[i] = x[i * r->inner];
            }
            (r->kind == SOFTMAX ? r->kernel->softmax : r->kernel->log_softmax)(r->inner == 1 ? x : row, row, r->count);
            for (size_t i = 0; r->inner != 1 && i < r->count; i++) {
                y[i * r->inner] = row[i];
            }
        } else {
            double *row = r->rows + slot * r->count;
            fb_work_load(r->x->dtype, r->x->data, (int64_t)at, (int64_t)r->inner, FB_WORK_F64, row, r->count);
            softmax_number(r->kind, row, r->count);
            for (size_t i = 0; i < r->count; i++) {
                fb_number_set(r->y, (int64_t)(at + i * r->inner), row[i]);
            }
        }
    }
}

static void softmax_row_of(const FbCall *call, size_t *count, size_t *inner)
{
    const SoftmaxParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    const int axis = (int)(p->axis < 0 ? p->axis + x->rank : p->axis);
    *count = *inner = 1;
    for (int i = axis; i < x->rank; i++) {
        *(p->flatten || i == axis ? count : inner) *= (size_t)x->dims[i];
    }
}

static size_t softmax_scratch(const FbCall *call)
{
    size_t count, inner;
    softmax_row_of(call, &count, &inner);
    return (size_t)fb_context_threads(call->context) * count * sizeof(double);
}

static FbStatus softmax_all(const FbCall *call, SoftmaxKind kind, FbError *err)
{
    SoftmaxRun r = {.kind = kind, .kernel = fb_softmax_f32_pick(fb_context_cpu(call->context)), .x = call->inputs[0], .y = call->outputs[0],
                    .rows = call->scratch};
    const size_t elements = (size_t)fb_tensor_elements(r.x);
    if (elements == 0) {
        return FB_OK;
    }
    softmax_row_of(call, &r.count, &r.inner);
    fb_parallel(call->context, softmax_rows, &r, elements / r.count, 4096 / r.count + 1);
    return fb_check_cancel(call->context, err);
}

static FbStatus softmax_run(const FbCall *call, FbError *err) { return softmax_all(call, SOFTMAX, err); }
static FbStatus log_softmax_run(const FbCall *call, FbError *err) { return softmax_all(call, LOG_SOFTMAX, err); }
static FbStatus hardmax_run(const FbCall *call, FbError *err) { return softmax_all(call, HARDMAX, err); }

static const char *const attributes[] = {"axis", NULL};

#define SOFTMAX_ROW(op_name, text, function, on_codes)                                                                                \
    {                                                                                                                                 \
        .domain = "", .name = op_name, .summary = text, .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1,      \
        .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SoftmaxParams), .flags = FB_OP_INPLACE, .decode = softmax_decode,  \
        .infer = softmax_infer, .scratch = softmax_scratch, .run = function, .channels_last = softmax_channels_last,                  \
        .integer = on_codes, .attributes = attributes                                                                                 \
    }

static const FbOp rows[] = {
    SOFTMAX_ROW("Softmax", "exp(x - max) / sum along an axis", softmax_run, &fb_codes_rows_lowering),
    SOFTMAX_ROW("LogSoftmax", "logarithm of Softmax", log_softmax_run, NULL),
    SOFTMAX_ROW("Hardmax", "1 at the first maximum along an axis, 0 elsewhere", hardmax_run, NULL),
};
const FbOpFamily fb_ops_softmax = {rows, sizeof rows / sizeof *rows};
