/* Sums and products of two values, codes or reals, with any broadcasting, stored as codes or reals. A constant is read once; a quotient by a
 * constant is a product with the reciprocal, a difference a sum with a negative scale. */
#include "ops/codes_binary.h"

#include "kernels/codes.h"
#include "ops/broadcast.h"
#include "ops/codes_store.h"

typedef struct CodesOperand {
    bool codes;
    FbCodeGrid grid;         /* scale negative: subtracted */
    const float *constant;   /* NULL: computed by the graph */
    FbShape shape;           /* of the constant, in the step's memory order */
} CodesOperand;

typedef struct CodesBinaryState {
    const FbCodesKernel *kernel;
    bool multiply;
    CodesOperand operands[2];
    FbIntegerEpilogue after;
} CodesBinaryState;

static bool is_op(const FbPrepare *prepare, const char *name) { return strcmp(prepare->node->op_type, name) == 0; }

/* Dimensions that are not 1. */
static int wide_dims(const FbShape *shape)
{
    int count = 0;
    for (int i = 0; i < shape->rank; i++) {
        count += shape->dims[i] != 1;
    }
    return count;
}

/* Channels last, a value must have the output's rank, so that its dimensions are turned with it; a constant may have fewer when they are
 * one run of numbers in either order. */
static bool fits_form(const FbPrepare *prepare)
{
    const int a = prepare->inputs[0].shape.rank, b = prepare->inputs[1].shape.rank, rank = a > b ? a : b;
    for (int i = 0; i < 2; i++) {
        const FbConst *constant = prepare->constants[i];
        if (prepare->channels_last && (a < 0 || b < 0 || (constant ? wide_dims(&constant->shape) > 1 : prepare->inputs[i].shape.rank != rank))) {
            return false;
        }
    }
    return true;
}

static bool binary_accepts(const FbPrepare *prepare)
{
    if (prepare->input_count != 2 || !prepare->inputs[0].present || !prepare->inputs[1].present) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        const FbConst *constant = prepare->constants[i];
        if (prepare->inputs[i].dtype != FB_DTYPE_F32 || (constant && fb_shape_elements(&constant->shape) < 1)) {
            return false;
        }
    }
    if ((prepare->constants[0] && prepare->constants[1]) || (is_op(prepare, "Div") && !prepare->constants[1])) {
        return false;
    }
    return fits_form(prepare) && fb_codes_store_accepts(prepare);
}

/* The constant's dimensions where the step has them. */
static FbShape constant_shape(const FbPrepare *prepare, int i)
{
    const FbShape *own = &prepare->constants[i]->shape;
    const int other = prepare->inputs[1 - i].shape.rank;
    if (!prepare->channels_last) {
        return *own;
    }
    FbShape full = {.rank = other > own->rank ? other : own->rank}, last = full;
    for (int d = 0; d < full.rank; d++) {
        full.dims[d] = d < full.rank - own->rank ? 1 : own->dims[d - (full.rank - own->rank)];
    }
    last.dims[0] = full.dims[0];
    last.dims[full.rank - 1] = full.dims[1];
    for (int d = 2; d < full.rank; d++) {
        last.dims[d - 1] = full.dims[d];
    }
    return last;
}

static FbStatus prepare_operand(const FbPrepare *prepare, int i, CodesOperand *o, FbError *err)
{
    o->codes = prepare->grids[i] != NULL && !prepare->constants[i];
    o->grid = o->codes ? *prepare->grids[i] : (FbCodeGrid){.scale = 1};
    if (!prepare->constants[i]) {
        return FB_OK;
    }
    o->shape = constant_shape(prepare, i);
    const size_t count = (size_t)fb_shape_elements(&o->shape);
    float *values = fb_arena_array(prepare->arena, count, sizeof *values);
    if (!values) {
        return fb_error_memory(prepare->context, err, "constants of a step", count * sizeof *values);
    }
    FB_TRY(fb_const_read_f32(prepare->context, prepare->constants[i], 0, count, values, err));
    for (size_t k = 0; is_op(prepare, "Div") && k < count; k++) {
        values[k] = 1 / values[k];
    }
    o->constant = values;
    return FB_OK;
}

static FbStatus binary_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    CodesBinaryState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "a step on codes", sizeof *s);
    }
    memset(s, 0, sizeof *s);
    s->kernel = fb_codes_pick(fb_context_cpu(prepare->context));
    s->multiply = is_op(prepare, "Mul") || is_op(prepare, "Div");
    FB_TRY(fb_codes_store_prepare(prepare, &s->after, err));
    for (int i = 0; i < 2; i++) {
        CodesOperand *o = &s->operands[i];
        FB_TRY(prepare_operand(prepare, i, o, err));
        o->grid.scale = i == 1 && is_op(prepare, "Sub") ? -o->grid.scale : o->grid.scale;
    }
    *state = s;
    return FB_OK;
}

static FbStatus binary_bind(FbBind *bind, FbError *err)
{
    (void)bind;
    (void)err;
    return FB_OK;
}

typedef struct CodesBinaryRun {
    const CodesBinaryState *state;
    const FbBroadcast *plan;
    const FbTensor *const *inputs;
    FbTensor *y;
} CodesBinaryRun;

static void binary_row(void *arg, int64_t out_first, const int64_t *firsts, size_t count)
{
    const CodesBinaryRun *r = arg;
    const CodesBinaryState *s = r->state;
    FbCodesBinary row = {.count = count, .multiply = s->multiply, .after = s->after};
    FbCodesOperand *const to[2] = {&row.a, &row.b};
    for (int i = 0; i < 2; i++) {
        const CodesOperand *o = &s->operands[i];
        const void *data = o->constant ? o->constant : r->inputs[i]->data;
        to[i]->grid = o->grid;
        to[i]->codes = o->codes ? (const uint8_t *)data + firsts[i] : NULL;
        to[i]->reals = o->codes ? NULL : (const float *)data + firsts[i];
        to[i]->single = fb_broadcast_stride(r->plan, i) == 0 && count > 1;
    }
    row.y = row.after.codes ? (void *)((uint8_t *)r->y->data + out_first) : (void *)((float *)r->y->data + out_first);
    s->kernel->binary(&row);
}

/* An operand's dimensions in the step's memory order. */
static FbShape operand_shape(const FbCall *call, int i)
{
    const CodesOperand *o = &((const CodesBinaryState *)call->state)->operands[i];
    return o->constant ? o->shape : fb_tensor_shape(call->inputs[i]);
}

/* Windows: nothing to broadcast but single elements. */
static bool binary_strided(const FbCall *call, int i)
{
    const FbShape out = fb_tensor_shape(call->outputs[0]);
    bool fits = true;
    for (int k = 0; k < 2; k++) {
        const FbShape shape = operand_shape(call, k);
        fits = fits && (fb_shape_equal(&shape, &out) || (fb_shape_elements(&shape) == 1 && i != k));
    }
    return fits;
}

typedef struct WindowRun {
    const FbCodesKernel *kernel;
    FbCodesBinary all;
} WindowRun;

/* Unit: a row. */
static void window_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const WindowRun *run = arg;
    const FbCodesBinary *all = &run->all;
    FbCodesBinary part = *all;
    FbCodesOperand *const operands[] = {&part.a, &part.b};
    (void)slot;
    part.rows = end - begin;
    for (int i = 0; i < 2; i++) {
        const size_t at = operands[i]->single ? 0 : begin * operands[i]->row_stride;
        operands[i]->codes = operands[i]->codes ? operands[i]->codes + at : NULL;
        operands[i]->reals = operands[i]->reals ? operands[i]->reals + at : NULL;
    }
    part.y = all->after.codes ? (void *)((uint8_t *)all->y + begin * all->y_stride) : (void *)((float *)all->y + begin * all->y_stride);
    run->kernel->binary(&part);
}

static void run_windows(const FbCall *call)
{
    const CodesBinaryState *s = call->state;
    const FbTensor *y = call->outputs[0];
    const size_t row = (size_t)y->dims[y->rank - 1];
    WindowRun run = {s->kernel, {.count = row, .multiply = s->multiply, .after = s->after, .y = y->data, .y_stride = fb_call_stride(call, -1, row)}};
    FbCodesOperand *const to[2] = {&run.all.a, &run.all.b};
    for (int i = 0; i < 2; i++) {
        const CodesOperand *o = &s->operands[i];
        const FbShape shape = operand_shape(call, i);
        const void *data = o->constant ? o->constant : call->inputs[i]->data;
        *to[i] = (FbCodesOperand){.codes = o->codes ? data : NULL, .reals = o->codes ? NULL : data, .grid = o->grid,
                                  .single = fb_shape_elements(&shape) == 1, .row_stride = fb_call_stride(call, i, row)};
    }
    fb_parallel(call->context, window_rows, &run, (size_t)fb_tensor_elements(y) / row, 16384 / row + 1);
}

static FbStatus binary_run(const FbCall *call, FbError *err)
{
    const CodesBinaryState *s = call->state;
    const FbShape out = fb_tensor_shape(call->outputs[0]);
    FbShape shapes[2];
    FbBroadcastOperand operands[2];
    FbBroadcast plan;
    if (call->output_stride != 0 || call->input_strides != NULL) {
        run_windows(call);
        return fb_check_cancel(call->context, err);
    }
    for (int i = 0; i < 2; i++) {
        shapes[i] = operand_shape(call, i);
    }
    fb_broadcast_plan(&out, 2, (const FbShape *const[]){&shapes[0], &shapes[1]}, operands, &plan);
    CodesBinaryRun run = {s, &plan, call->inputs, call->outputs[0]};
    fb_broadcast_run(call->context, &plan, binary_row, &run);
    return fb_check_cancel(call->context, err);
}

static const char *binary_kernel(const void *state)
{
    (void)state;
    return "codes";
}

const FbLowering fb_codes_binary_lowering = {.name = "binary_codes", .accepts = binary_accepts, .prepare = binary_prepare,
                                              .bind = binary_bind, .run = binary_run, .kernel = binary_kernel,
                                              .strided = binary_strided};
