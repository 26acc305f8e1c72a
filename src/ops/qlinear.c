/* The quantized operators that ONNX Runtime's tools write in domain com.microsoft beside QLinearConv and QLinearMatMul: QLinearAdd,
 * QLinearMul, QLinearSigmoid, QLinearLeakyRelu, QLinearConcat, QLinearGlobalAveragePool. Codes are made real, computed in double and
 * rounded once: code = clamp(round_half_even(real / scale) + zero). */
#include "ops/qlinear.h"

#include "ops/attribute.h"
#include "ops/broadcast.h"

/* ---- two operands ---- */

static FbStatus infer_pair(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_integer_check_triple(infer, 0, err));
    FB_TRY(fb_integer_check_triple(infer, 3, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 3, err));
    FB_TRY(fb_check_input_dtype(infer, 6, FB_MASK_SCALES, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 7, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    return fb_shape_broadcast(&infer->inputs[0].shape, &infer->inputs[3].shape, &infer->outputs[0].shape, err);
}

typedef struct PairWork {
    const FbBroadcast *plan;
    const uint8_t *a, *b;
    uint8_t *to;
    FbDtype dtype;
    FbGrid8 a_grid, b_grid, y_grid;
    bool multiply;
} PairWork;

static void pair_row(void *arg, int64_t out_first, const int64_t *firsts, size_t count)
{
    const PairWork *work = arg;
    int64_t a_stride = fb_broadcast_stride(work->plan, 0), b_stride = fb_broadcast_stride(work->plan, 1);
    for (size_t i = 0; i < count; i++) {
        double a = fb_grid8_real(work->a[firsts[0] + (int64_t)i * a_stride], work->a_grid, work->dtype);
        double b = fb_grid8_real(work->b[firsts[1] + (int64_t)i * b_stride], work->b_grid, work->dtype);
        work->to[out_first + (int64_t)i] = fb_grid8_code(work->multiply ? a * b : a + b, work->y_grid, work->dtype);
    }
}

static FbStatus run_pair(const FbCall *call, FbError *err)
{
    FbShape a = fb_tensor_shape(call->inputs[0]), b = fb_tensor_shape(call->inputs[3]), out = fb_tensor_shape(call->outputs[0]);
    const FbShape *shapes[] = {&a, &b};
    FbBroadcastOperand operands[2];
    FbBroadcast plan;
    PairWork work = {.plan = &plan, .a = call->inputs[0]->data, .b = call->inputs[3]->data, .to = call->outputs[0]->data,
                     .dtype = call->outputs[0]->dtype, .multiply = strcmp(call->node->op_type, "QLinearMul") == 0};
    FB_TRY(fb_grid8_read(call, 1, &work.a_grid, err));
    FB_TRY(fb_grid8_read(call, 4, &work.b_grid, err));
    FB_TRY(fb_grid8_read(call, 6, &work.y_grid, err));
    fb_broadcast_plan(&out, 2, shapes, operands, &plan);
    fb_broadcast_run(call->context, &plan, pair_row, &work);
    return FB_OK;
}

/* ---- functions of one code: a table of 256 ---- */

typedef struct UnaryParams8 {
    bool sigmoid;
    float alpha;
} UnaryParams8;

static FbStatus decode_unary(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    UnaryParams8 *p = params;
    (void)arena;
    p->sigmoid = strcmp(node->op_type, "QLinearSigmoid") == 0;
    return fb_attr_float(node, "alpha", 0.01f, &p->alpha, err);
}

FbStatus fb_qlinear_infer_unary(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_integer_check_triple(infer, 0, err));
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK_SCALES, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 4, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static void apply_table(const uint8_t *table, const uint8_t *from, uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = table[from[i]];
    }
}

static FbStatus run_unary(const FbCall *call, FbError *err)
{
    const UnaryParams8 *p = call->params;
    const FbTensor *from = call->inputs[0];
    FbGrid8 x_grid, y_grid;
    uint8_t table[256];
    FB_TRY(fb_grid8_read(call, 1, &x_grid, err));
    FB_TRY(fb_grid8_read(call, 3, &y_grid, err));
    for (int i = 0; i < 256; i++) {
        double x = fb_grid8_real((uint8_t)i, x_grid, from->dtype);
        double y = p->sigmoid ? 1 / (1 + exp(-x)) : x < 0 ? (double)p->alpha * x : x;
        table[i] = fb_grid8_code(y, y_grid, from->dtype);
    }
    apply_table(table, from->data, call->outputs[0]->data, from->bytes);
    return FB_OK;
}

/* ---- QLinearConcat: output scale and zero point first, then a triple per part ---- */

typedef struct ConcatParams8 { int64_t axis; } ConcatParams8;

static FbStatus decode_concat(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    ConcatParams8 *p = params;
    (void)arena;
    if (node->input_count % 3 != 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "QLinearConcat has %u inputs, expected 2 and 3 for every part", node->input_count);
    }
    return fb_attr_required_int(node, "axis", &p->axis, err);
}

static FbStatus infer_concat(FbInfer *infer, FbError *err)
{
    const ConcatParams8 *p = infer->params;
    FbShape out = infer->inputs[2].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_SCALES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    infer->outputs[0].dtype = infer->inputs[1].dtype;
    for (int i = 2; i < infer->input_count; i++) {
        if (!fb_infer_has(infer, i) && i % 3 != 1) { /* only zero points may be absent */
            return fb_error_set(err, FB_ERR_FORMAT, "QLinearConcat lacks its input %d", i);
        }
    }
    for (int i = 2; i < infer->input_count; i += 3) {
        const FbShape *part = &infer->inputs[i].shape;
        FB_TRY(fb_integer_check_triple(infer, i, err));
        FB_TRY(fb_check_same_dtype(infer, 1, i, err));
        if (out.rank < 0 || part->rank < 0) {
            out.rank = -1;
            continue;
        }
        FB_TRY(fb_axis_normalize(p->axis, out.rank, &axis, err));
        if (part->rank != out.rank) {
            return fb_error_set(err, FB_ERR_FORMAT, "parts of rank %d and %d cannot be joined", out.rank, part->rank);
        }
        for (int d = 0; d < out.rank && i > 2; d++) {
            bool open = part->dims[d] < 0 || out.dims[d] < 0;
            if (d == axis) {
                out.dims[d] = open ? FB_DIM_UNKNOWN : out.dims[d] + part->dims[d];
            } else if (open) {
                out.dims[d] = out.dims[d] < 0 ? part->dims[d] : out.dims[d];
            } else if (part->dims[d] != out.dims[d]) {
                return fb_error_set(err, FB_ERR_FORMAT, "parts of QLinearConcat differ in dimension %d", d);
            }
        }
    }
    infer->outputs[0].shape = out;
    return FB_OK;
}

static FbStatus run_concat(const FbCall *call, FbError *err)
{
    const ConcatParams8 *p = call->params;
    FbTensor *to = call->outputs[0];
    FbGrid8 y_grid, grid;
    size_t outer = 1, inner = 1, done = 0;
    int axis;
    FB_TRY(fb_axis_normalize(p->axis, to->rank, &axis, err));
    FB_TRY(fb_grid8_read(call, 0, &y_grid, err));
    for (int d = 0; d < to->rank; d++) {
        outer *= d < axis ? (size_t)to->dims[d] : 1;
        inner *= d > axis ? (size_t)to->dims[d] : 1;
    }
    size_t line = (size_t)to->dims[axis] * inner;
    for (int i = 2; i < call->input_count; i += 3) {
        const FbTensor *from = call->inputs[i];
        size_t part = (size_t)from->dims[axis] * inner;
        uint8_t table[256];
        FB_TRY(fb_grid8_read(call, i + 1, &grid, err));
        for (int c = 0; c < 256; c++) {
            table[c] = fb_grid8_code(fb_grid8_real((uint8_t)c, grid, from->dtype), y_grid, to->dtype);
        }
        for (size_t o = 0; o < outer; o++) {
            apply_table(table, (const uint8_t *)from->data + o * part, (uint8_t *)to->data + o * line + done, part);
        }
        done += part;
    }
    return FB_OK;
}

/* ---- QLinearGlobalAveragePool ---- */

typedef struct PoolParams8 { bool last; } PoolParams8;

static FbStatus decode_pool(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    PoolParams8 *p = params;
    (void)arena;
    return fb_attr_bool(node, "channels_last", false, &p->last, err);
}

static FbStatus infer_pool(FbInfer *infer, FbError *err)
{
    const PoolParams8 *p = infer->params;
    FB_TRY(fb_qlinear_infer_unary(infer, err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    FbShape *out = &infer->outputs[0].shape;
    for (int d = p->last ? 1 : 2; d < (p->last ? out->rank - 1 : out->rank); d++) {
        out->dims[d] = 1;
    }
    return FB_OK;
}

static FbStatus run_pool(const FbCall *call, FbError *err)
{
    const PoolParams8 *p = call->params;
    const FbTensor *from = call->inputs[0];
    FbTensor *to = call->outputs[0];
    FbGrid8 x_grid, y_grid;
    FB_TRY(fb_grid8_read(call, 1, &x_grid, err));
    FB_TRY(fb_grid8_read(call, 3, &y_grid, err));
    int64_t channels = from->dims[p->last ? from->rank - 1 : 1], count = fb_tensor_elements(to);
    int64_t pixels = count ? fb_tensor_elements(from) / count : 0, stride = p->last ? channels : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t first = p->last ? i / channels * pixels * channels + i % channels : i * pixels, sum = 0;
        for (int64_t k = 0; k < pixels; k++) {
            sum += fb_code_at(from, first + k * stride) - x_grid.zero;
        }
        ((uint8_t *)to->data)[i] = fb_grid8_code(x_grid.scale * (double)sum / (double)pixels, y_grid, to->dtype);
    }
    return FB_OK;
}

static const char *const alpha_names[] = {"alpha", NULL};
static const char *const axis_names[] = {"axis", NULL};
static const char *const pool_names[] = {"channels_last", NULL};

/* Zero points that may be absent before inputs that may not. */
enum { OPTIONAL_NONE = 0, OPTIONAL_UNARY = 1 << 2, OPTIONAL_PAIR = 1 << 2 | 1 << 5 };

#define QLINEAR(NAME, TEXT, INPUTS_MIN, INPUTS_MAX, OPTIONAL, PARAMS, DECODE, INFER, RUN, NAMES)                                          \
    {                                                                                                                          \
        .domain = "com.microsoft", .name = NAME, .summary = TEXT, .since = 1, .newest = 1, .min_inputs = INPUTS_MIN,           \
        .max_inputs = INPUTS_MAX, .optional = OPTIONAL, .min_outputs = 1, .max_outputs = 1, .params_bytes = PARAMS, .decode = DECODE,                \
        .infer = INFER, .run = RUN, .attributes = NAMES                                                                        \
    }

static const FbOp rows[] = {
    QLINEAR("QLinearAdd", "sum of quantized tensors", 7, 8, OPTIONAL_PAIR, 0, NULL, infer_pair, run_pair, NULL),
    QLINEAR("QLinearConcat", "quantized tensors joined", 5, -1, OPTIONAL_NONE, sizeof(ConcatParams8), decode_concat, infer_concat, run_concat, axis_names),
    QLINEAR("QLinearGlobalAveragePool", "mean of every channel of a quantized tensor", 5, 5, OPTIONAL_UNARY, sizeof(PoolParams8), decode_pool, infer_pool,
            run_pool, pool_names),
    QLINEAR("QLinearLeakyRelu", "LeakyRelu of a quantized tensor", 4, 5, OPTIONAL_UNARY, sizeof(UnaryParams8), decode_unary, fb_qlinear_infer_unary,
            run_unary, alpha_names),
    QLINEAR("QLinearMul", "product of quantized tensors", 7, 8, OPTIONAL_PAIR, 0, NULL, infer_pair, run_pair, NULL),
    QLINEAR("QLinearSigmoid", "Sigmoid of a quantized tensor", 4, 5, OPTIONAL_UNARY, sizeof(UnaryParams8), decode_unary, fb_qlinear_infer_unary, run_unary,
            NULL),
};

const FbOpFamily fb_ops_qlinear = {rows, sizeof rows / sizeof rows[0]};
