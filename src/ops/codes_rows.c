/* LayerNormalization, RMSNormalization and Softmax between codes: the row is computed in float as the operator does, and read from or stored
 * as codes while it is in the cache. */
#include "kernels/codes.h"
#include "kernels/norm_f32.h"
#include "kernels/softmax_f32.h"
#include "ops/codes_rows.h"
#include "ops/fused.h"

typedef struct RowsState {
    FbRowsKind kind;
    bool coded, store; /* input, output */
    FbCodeGrid from, to;
    const float *scale, *bias; /* LAYER: [count], or NULL */
} RowsState;

typedef struct RowsRun {
    const RowsState *state;
    FbRowsParams params;
    const FbCodesKernel *codes;
    const FbNormF32Kernel *norm;
    const FbSoftmaxF32Kernel *softmax;
    const FbTensor *x;
    FbTensor *y;
    size_t count;
    float *rows; /* [threads][count] */
} RowsRun;

/* Where not even the rank is known before a run, the last axis still is one: a normalization's scale of one axis has its length, unless it
 * has a single element, which may be spread. */
static bool last_axis(const FbPrepare *prepare, const FbRowsParams *p, size_t *count)
{
    if (p->axis != -1 || p->kind == FB_ROWS_SOFTMAX) {
        return p->axis == -1 && !p->flatten;
    }
    const FbConst *scale = prepare->constants[1];
    *count = scale != NULL && scale->shape.rank == 1 ? (size_t)scale->shape.dims[0] : 0;
    return *count > 1;
}

/* One row is all that is contiguous from the axis on; a normalization's constants must have a number for each of its elements. */
static bool row_elements(const FbPrepare *prepare, size_t *count)
{
    FbRowsParams p;
    fb_rows_params(prepare->node, prepare->params, &p);
    const FbShape *shape = &prepare->inputs[0].shape;
    if (shape->rank < 0) {
        return last_axis(prepare, &p, count);
    }
    if (shape->rank < 1 || p.axis >= shape->rank || p.axis < -shape->rank) {
        return false;
    }
    const int axis = (int)(p.axis < 0 ? p.axis + shape->rank : p.axis);
    int64_t elements = 1;
    for (int i = axis; i < shape->rank; i++) {
        elements = shape->dims[i] > 0 && elements > 0 ? elements * shape->dims[i] : -1;
    }
    *count = elements > 0 ? (size_t)elements : 0;
    return p.kind == FB_ROWS_SOFTMAX ? p.flatten || axis == shape->rank - 1 : elements > 0;
}

static bool rows_accepts(const FbPrepare *prepare)
{
    size_t count = 0;
    if (prepare->channels_last || prepare->inputs[0].dtype != FB_DTYPE_F32 || !row_elements(prepare, &count)) {
        return false;
    }
    for (uint32_t o = 1; o < prepare->node->output_count; o++) {
        if (prepare->node->outputs[o] != FB_NONE) {
            return false;
        }
    }
    for (int i = 1; i < prepare->input_count; i++) {
        const FbConst *constant = prepare->constants[i];
        if (prepare->inputs[i].present && (constant == NULL || constant->dtype != FB_DTYPE_F32 ||
                                           fb_shape_elements(&constant->shape) != (int64_t)count)) {
            return false;
        }
    }
    return prepare->fused_count == 0 || (prepare->fused_count == 1 && prepare->fused[0].kind == FB_EPILOGUE_ROUND && prepare->store_grid != NULL);
}

static FbStatus rows_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    RowsState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(prepare->context, err, "a step on rows", sizeof *s);
    }
    FbRowsParams p;
    fb_rows_params(prepare->node, prepare->params, &p);
    *s = (RowsState){.kind = p.kind, .coded = prepare->grids[0] != NULL, .store = prepare->store_grid != NULL};
    s->from = s->coded ? *prepare->grids[0] : s->from;
    s->to = s->store ? *prepare->store_grid : s->to;
    if (prepare->input_count > 1 && prepare->constants[1] != NULL) {
        FB_TRY(fb_prepare_floats(prepare, 1, &s->scale, err));
    }
    if (prepare->input_count > 2 && prepare->constants[2] != NULL) {
        FB_TRY(fb_prepare_floats(prepare, 2, &s->bias, err));
    }
    *state = s;
    return FB_OK;
}

static size_t row_count(const FbBind *bind)
{
    FbRowsParams p;
    fb_rows_params(bind->call->node, bind->params, &p);
    const FbTensor *x = bind->call->inputs[0];
    size_t count = 1;
    for (int i = (int)(p.axis < 0 ? p.axis + x->rank : p.axis); i < x->rank; i++) {
        count *= (size_t)x->dims[i];
    }
    return count;
}

static FbStatus rows_bind(FbBind *bind, FbError *err)
{
    size_t *count = fb_arena_alloc(bind->arena, sizeof *count);
    if (count == NULL) {
        return fb_error_memory(bind->context, err, "a step on rows", sizeof *count);
    }
    *count = row_count(bind);
    bind->scratch_bytes = *count * sizeof(float) * (size_t)fb_context_threads(bind->context);
    bind->bound = count;
    return FB_OK;
}

static void compute_row(const RowsRun *r, const float *x, float *y)
{
    if (r->params.kind == FB_ROWS_SOFTMAX) {
        r->softmax->softmax(x, y, r->count);
        return;
    }
    float mean, inverse;
    r->norm->moments(x, r->count, r->params.epsilon, r->params.kind == FB_ROWS_LAYER, &mean, &inverse);
    r->norm->apply(x, y, r->count, mean, inverse, r->state->scale, r->state->bias);
}

static void rows_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const RowsRun *r = arg;
    const RowsState *s = r->state;
    float *row = r->rows + slot * r->count;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t at = unit * r->count;
        const float *x = s->coded ? row : (const float *)r->x->data + at;
        float *y = s->store ? row : (float *)r->y->data + at;
        if (s->coded) {
            r->codes->dequantize((const uint8_t *)r->x->data + at, row, r->count, &s->from);
        }
        compute_row(r, x, y);
        if (s->store) {
            r->codes->quantize(row, (uint8_t *)r->y->data + at, r->count, &s->to);
        }
    }
}

static FbStatus rows_run(const FbCall *call, FbError *err)
{
    const unsigned cpu = fb_context_cpu(call->context);
    RowsRun r = {.state = call->state, .codes = fb_codes_pick(cpu), .norm = fb_norm_f32_pick(cpu), .softmax = fb_softmax_f32_pick(cpu),
                 .x = call->inputs[0], .y = call->outputs[0], .count = *(const size_t *)call->bound, .rows = call->scratch};
    fb_rows_params(call->node, call->params, &r.params);
    const size_t elements = (size_t)fb_tensor_elements(r.x);
    if (elements > 0) {
        fb_parallel(call->context, rows_units, &r, elements / r.count, 8192 / r.count + 1);
    }
    return fb_check_cancel(call->context, err);
}

static const char *rows_kernel(const void *state)
{
    const RowsState *s = state;
    return s->kind == FB_ROWS_SOFTMAX ? "softmax_f32" : "norm_f32";
}

const FbLowering fb_codes_rows_lowering = {.name = "rows_codes", .accepts = rows_accepts, .prepare = rows_prepare, .bind = rows_bind, .run = rows_run,
                                            .kernel = rows_kernel};
