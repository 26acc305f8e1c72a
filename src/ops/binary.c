/* Binary and variadic element-wise operators with NumPy broadcasting, power and selection. */
#include <math.h>
#include <stdatomic.h>

#include "kernels/binary.h"
#include "ops/attribute.h"
#include "ops/binary_functions.h"
#include "ops/broadcast.h"
#include "ops/codes_binary.h"

enum { NO_KERNEL = -1 };

typedef struct BinaryParams {
    const FbBinaryFunction *function;
    int kernel;          /* FbBinaryKind for float, or NO_KERNEL */
    bool one_way;        /* the second operand follows the first's shape: PRelu, and the arithmetic of operator sets below 7 */
    bool has_axis;       /* below operator set 7: where the second operand's dimensions stand in the first */
    int64_t axis;
} BinaryParams;

static int kernel_kind(const char *op_type)
{
    static const struct {
        const char *op_type;
        FbBinaryKind kind;
    } kinds[] = {{"Add", FB_BINARY_ADD}, {"Div", FB_BINARY_DIV}, {"Max", FB_BINARY_MAX}, {"Min", FB_BINARY_MIN},
                 {"Mul", FB_BINARY_MUL}, {"Sub", FB_BINARY_SUB}, {"Sum", FB_BINARY_ADD}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].op_type, op_type) == 0) {
            return (int)kinds[i].kind;
        }
    }
    return NO_KERNEL;
}

static FbStatus decode_binary(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    BinaryParams *p = params;
    (void)arena;
    p->function = fb_binary_function(node->op_type);
    p->kernel = kernel_kind(node->op_type);
    p->one_way = fb_node_is(node, "", "PRelu");
    return p->function ? FB_OK : fb_error_set(err, FB_ERR_INTERNAL, "no function for %s", node->op_type);
}

static FbStatus decode_legacy(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    BinaryParams *p = params;
    bool broadcast;
    FB_TRY(decode_binary(node, arena, params, err));
    FB_TRY(fb_attr_bool(node, "broadcast", false, &broadcast, err));
    FB_TRY(fb_attr_int(node, "axis", 0, &p->axis, err));
    p->has_axis = broadcast && fb_node_attribute(node, "axis");
    p->one_way = true;
    if (fb_node_is(node, "", "PRelu")) { /* one slope per channel */
        p->has_axis = true;
        p->axis = 1;
    }
    return FB_OK;
}

static FbStatus decode_mod(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    BinaryParams *p = params;
    bool fmod_form;
    (void)arena;
    FB_TRY(fb_attr_bool(node, "fmod", false, &fmod_form, err));
    p->function = fb_binary_function(fmod_form ? "Mod fmod" : "Mod");
    p->kernel = NO_KERNEL;
    return FB_OK;
}

static FbStatus decode_shift(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    BinaryParams *p = params;
    const char *direction;
    (void)arena;
    FB_TRY(fb_attr_string(node, "direction", "", &direction, err));
    p->kernel = NO_KERNEL;
    p->function = strcmp(direction, "LEFT") == 0    ? fb_binary_function("BitShift LEFT")
                  : strcmp(direction, "RIGHT") == 0 ? fb_binary_function("BitShift RIGHT")
                                                    : NULL;
    return p->function ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "attribute 'direction' of BitShift must be LEFT or RIGHT");
}

/* The second operand's shape with ones behind it, so that plain broadcasting puts it at the axis. */
static FbStatus place_at_axis(const BinaryParams *p, const FbShape *a, FbShape *b, FbError *err)
{
    int axis;
    if (!p->has_axis || a->rank < 0 || b->rank < 0 || b->rank == a->rank) {
        return FB_OK;
    }
    if (b->rank <= 1 && (b->rank == 0 || b->dims[0] == 1)) {
        return FB_OK;
    }
    FB_TRY(fb_axis_normalize(p->axis, a->rank, &axis, err));
    if (axis + b->rank > a->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "the second operand of rank %d does not fit at axis %d of rank %d", b->rank, axis, a->rank);
    }
    while (b->rank < a->rank - axis) {
        b->dims[b->rank++] = 1;
    }
    return FB_OK;
}

static FbStatus infer_binary(FbInfer *infer, FbError *err)
{
    const BinaryParams *p = infer->params;
    FbShape shape = infer->inputs[0].shape;
    if (infer->input_count > FB_BROADCAST_OPERANDS_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s has %d inputs, at most %d are supported", infer->node->op_type, infer->input_count,
                            FB_BROADCAST_OPERANDS_MAX);
    }
    FB_TRY(fb_check_input_dtype(infer, 0, p->function->types, err));
    for (int i = 1; i < infer->input_count; i++) {
        if (!fb_infer_has(infer, i)) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s lacks its input %d", infer->node->op_type, i);
        }
        FbShape other = infer->inputs[i].shape;
        FB_TRY(fb_check_same_dtype(infer, 0, i, err));
        FB_TRY(place_at_axis(p, &shape, &other, err));
        FB_TRY(fb_shape_broadcast(&shape, &other, &shape, err));
    }
    infer->outputs[0].dtype = p->function->compares ? FB_DTYPE_BOOL : infer->inputs[0].dtype;
    infer->outputs[0].shape = shape;
    const FbShape *first = &infer->inputs[0].shape;
    if (p->one_way && fb_shape_is_known(first) && fb_shape_is_known(&shape) && !fb_shape_equal(first, &shape)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the second operand of %s has more elements along a dimension than the first", infer->node->op_type);
    }
    return FB_OK;
}

typedef struct BinaryWork {
    const BinaryParams *params;
    const FbBroadcast *plan;
    const FbTensor *const *inputs;
    FbTensor *output;
    FbWork type;
    float share;           /* Mean: 1 / inputs, else 0 */
    FbBinaryF32 kernel;    /* two float operands: the loop for their form; NULL otherwise */
    atomic_bool failed;
} BinaryWork;

static bool apply(const FbBinaryFunction *function, FbWork type, FbWorkBlock *a, const FbWorkBlock *b, size_t count)
{
    switch (type) {
    case FB_WORK_F32: return function->f32(a->f32, b->f32, a->f32, count);
    case FB_WORK_F64: return function->f64(a->f64, b->f64, a->f64, count);
    case FB_WORK_S64: return function->s64(a->s64, b->s64, a->s64, count);
    case FB_WORK_U64: return function->u64(a->u64, b->u64, a->u64, count);
    }
    return true;
}

static void store_bools(const FbWorkBlock *block, FbWork type, uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = type == FB_WORK_F32 ? block->f32[i] != 0.0f : type == FB_WORK_F64 ? block->f64[i] != 0.0 : block->u64[i] != 0;
    }
}

/* One block of any number of operands, first to last. */
static void binary_block(BinaryWork *work, int64_t out_first, const int64_t *firsts, int64_t at, size_t count)
{
    FbWorkBlock sum, next;
    const FbBinaryFunction *function = work->params->function;
    FbDtype dtype = work->inputs[0]->dtype;
    for (int k = 0; k < work->plan->operand_count; k++) {
        int64_t stride = fb_broadcast_stride(work->plan, k);
        fb_work_load(dtype, work->inputs[k]->data, firsts[k] + at * stride, stride, work->type, k ? &next : &sum, count);
        if (k && !apply(function, work->type, &sum, &next, count)) {
            atomic_store(&work->failed, true);
        }
    }
    for (size_t i = 0; i < count && work->share != 0.0f; i++) {
        if (work->type == FB_WORK_F32) {
            sum.f32[i] /= work->share;
        } else {
            sum.f64[i] /= (double)work->share;
        }
    }
    if (function->compares) {
        store_bools(&sum, work->type, (uint8_t *)work->output->data + out_first + at, count);
    } else {
        fb_work_store(work->output->dtype, work->output->data, out_first + at, work->type, &sum, count);
    }
}

static void binary_row(void *arg, int64_t out_first, const int64_t *firsts, size_t count)
{
    BinaryWork *work = arg;
    if (work->kernel) {
        work->kernel((const float *)work->inputs[0]->data + firsts[0], (const float *)work->inputs[1]->data + firsts[1],
                     (float *)work->output->data + out_first, count);
        return;
    }
    for (size_t at = 0; at < count; at += FB_WORK_BLOCK) {
        binary_block(work, out_first, firsts, (int64_t)at, count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK);
    }
}

static FbStatus run_binary(const FbCall *call, FbError *err)
{
    const BinaryParams *p = call->params;
    FbShape shapes[FB_BROADCAST_OPERANDS_MAX];
    const FbShape *shape_list[FB_BROADCAST_OPERANDS_MAX];
    FbBroadcastOperand operands[FB_BROADCAST_OPERANDS_MAX];
    FbBroadcast plan;
    FbShape out = fb_tensor_shape(call->outputs[0]);
    for (int k = 0; k < call->input_count; k++) {
        shapes[k] = fb_tensor_shape(call->inputs[k]);
        shape_list[k] = &shapes[k];
        if (k) {
            FB_TRY(place_at_axis(p, &shapes[0], &shapes[k], err));
        }
    }
    fb_broadcast_plan(&out, call->input_count, shape_list, operands, &plan);
    BinaryWork work = {.params = p, .plan = &plan, .inputs = call->inputs, .output = call->outputs[0],
                       .type = fb_work_of(call->inputs[0]->dtype)};
    work.share = fb_node_is(call->node, "", "Mean") ? (float)call->input_count : 0.0f;
    if (call->inputs[0]->dtype == FB_DTYPE_F32 && call->input_count == 2 && p->kernel != NO_KERNEL) {
        bool a_still = fb_broadcast_stride(&plan, 0) == 0, b_still = fb_broadcast_stride(&plan, 1) == 0;
        FbBinaryForm form = b_still ? FB_BINARY_B_SCALAR : a_still ? FB_BINARY_A_SCALAR : FB_BINARY_ROWS;
        if (!(a_still && b_still)) { /* both still: rows of one element */
            work.kernel = fb_binary_f32_pick(fb_context_cpu(call->context), (FbBinaryKind)p->kernel, form);
        }
    }
    fb_broadcast_run(call->context, &plan, binary_row, &work);
    if (atomic_load(&work.failed)) {
        return fb_error_set(err, FB_ERR_NUMERIC, "%s: division of an integer by zero", call->node->op_type);
    }
    return FB_OK;
}

/* ---- Pow: the exponent may have another type ---- */

static FbStatus infer_pow(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_NUMBERS, err));
    if (infer->node->version < 12) {
        FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    return fb_shape_broadcast(&infer->inputs[0].shape, &infer->inputs[1].shape, &infer->outputs[0].shape, err);
}

typedef struct PowWork {
    const FbBroadcast *plan;
    const FbTensor *base, *exponent;
    FbTensor *output;
} PowWork;

static void pow_row(void *arg, int64_t out_first, const int64_t *firsts, size_t count)
{
    const PowWork *work = arg;
    FbWorkBlock base, exponent;
    bool whole = fb_dtype_info(work->base->dtype)->kind != FB_KIND_FLOAT && fb_dtype_info(work->exponent->dtype)->kind != FB_KIND_FLOAT;
    FbWork type = whole ? FB_WORK_S64 : FB_WORK_F64; /* s64 and u64 multiply alike; exponents above 2^63 are of no use */
    int64_t a_stride = fb_broadcast_stride(work->plan, 0), b_stride = fb_broadcast_stride(work->plan, 1);
    for (size_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK;
        fb_work_load(work->base->dtype, work->base->data, firsts[0] + (int64_t)at * a_stride, a_stride, type, &base, n);
        fb_work_load(work->exponent->dtype, work->exponent->data, firsts[1] + (int64_t)at * b_stride, b_stride, type, &exponent, n);
        for (size_t i = 0; i < n; i++) {
            if (whole) {
                base.s64[i] = fb_power_whole(base.s64[i], exponent.s64[i]);
            } else {
                base.f64[i] = fb_power(base.f64[i], exponent.f64[i]);
            }
        }
        fb_work_store(work->output->dtype, work->output->data, out_first + (int64_t)at, type, &base, n);
    }
}

static FbStatus run_pow(const FbCall *call, FbError *err)
{
    FbShape a = fb_tensor_shape(call->inputs[0]), b = fb_tensor_shape(call->inputs[1]), out = fb_tensor_shape(call->outputs[0]);
    const FbShape *shapes[] = {&a, &b};
    FbBroadcastOperand operands[2];
    FbBroadcast plan;
    (void)err;
    fb_broadcast_plan(&out, 2, shapes, operands, &plan);
    PowWork work = {&plan, call->inputs[0], call->inputs[1], call->outputs[0]};
    fb_broadcast_run(call->context, &plan, pow_row, &work);
    return FB_OK;
}

/* ---- Where ---- */

static FbStatus infer_where(FbInfer *infer, FbError *err)
{
    FbShape shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_BOOL), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_BYTES, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 2, err));
    infer->outputs[0].dtype = infer->inputs[1].dtype;
    FB_TRY(fb_shape_broadcast(&infer->inputs[1].shape, &infer->inputs[2].shape, &shape, err));
    return fb_shape_broadcast(&infer->inputs[0].shape, &shape, &infer->outputs[0].shape, err);
}

typedef struct WhereWork {
    const FbBroadcast *plan;
    const FbTensor *const *inputs;
    FbTensor *output;
    size_t element;
} WhereWork;

#define WHERE_LOOP(T)                                                                              \
    do {                                                                                           \
        const T *x = (const T *)work->inputs[1]->data + firsts[1];                                 \
        const T *y = (const T *)work->inputs[2]->data + firsts[2];                                 \
        T *out = (T *)work->output->data + out_first;                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            int64_t at = (int64_t)i;                                                               \
            out[i] = condition[at * c_stride] ? x[at * x_stride] : y[at * y_stride];               \
        }                                                                                          \
    } while (0)

static void where_row(void *arg, int64_t out_first, const int64_t *firsts, size_t count)
{
    const WhereWork *work = arg;
    const uint8_t *condition = (const uint8_t *)work->inputs[0]->data + firsts[0];
    int64_t c_stride = fb_broadcast_stride(work->plan, 0), x_stride = fb_broadcast_stride(work->plan, 1),
            y_stride = fb_broadcast_stride(work->plan, 2);
    if (work->element == 1) {
        WHERE_LOOP(uint8_t);
    } else if (work->element == 2) {
        WHERE_LOOP(uint16_t);
    } else if (work->element == 4) {
        WHERE_LOOP(uint32_t);
    } else if (work->element == 8) {
        WHERE_LOOP(uint64_t);
    } else {
        typedef struct Pair { uint64_t parts[2]; } Pair;
        WHERE_LOOP(Pair);
    }
}

static FbStatus run_where(const FbCall *call, FbError *err)
{
    FbShape shapes[3], out = fb_tensor_shape(call->outputs[0]);
    const FbShape *list[3];
    FbBroadcastOperand operands[3];
    FbBroadcast plan;
    (void)err;
    for (int k = 0; k < 3; k++) {
        shapes[k] = fb_tensor_shape(call->inputs[k]);
        list[k] = &shapes[k];
    }
    fb_broadcast_plan(&out, 3, list, operands, &plan);
    WhereWork work = {&plan, call->inputs, call->outputs[0], (size_t)fb_dtype_bits(call->outputs[0]->dtype) / 8};
    fb_broadcast_run(call->context, &plan, where_row, &work);
    return FB_OK;
}

static const char *const legacy_names[] = {"axis", "broadcast", "consumed_inputs", NULL};
static const char *const old_names[] = {"consumed_inputs", NULL};
static const char *const mod_names[] = {"fmod", NULL};
static const char *const shift_names[] = {"direction", NULL};

#define BINARY_ROW(NAME, TEXT, SINCE, NEWEST, INPUTS_MIN, INPUTS_MAX, FLAGS, DECODE, NAMES, INTEGER)                           \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = SINCE, .newest = NEWEST, .min_inputs = INPUTS_MIN,               \
        .max_inputs = INPUTS_MAX, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(BinaryParams), .flags = FLAGS,    \
        .decode = DECODE, .infer = infer_binary, .run = run_binary, .integer = INTEGER, .attributes = NAMES                    \
    }
#define BINARY(NAME, TEXT, SINCE) \
    BINARY_ROW(NAME, TEXT, SINCE, FB_OPSET_NEWEST, 2, 2, FB_OP_POINTWISE | FB_OP_INPLACE, decode_binary, NULL, NULL)
/* Between codes too. */
#define ARITHMETIC(NAME, TEXT) \
    BINARY_ROW(NAME, TEXT, 7, FB_OPSET_NEWEST, 2, 2, FB_OP_POINTWISE | FB_OP_INPLACE, decode_binary, NULL, &fb_codes_binary_lowering)
/* Below operator set 7 broadcasting was asked for by attributes; the axis counts in ONNX's order, so memory order must stay. */
#define LEGACY(NAME, TEXT) BINARY_ROW(NAME, TEXT, 1, 6, 2, 2, FB_OP_INPLACE, decode_legacy, legacy_names, NULL)
#define VARIADIC(NAME, TEXT, INTEGER) \
    BINARY_ROW(NAME, TEXT, 1, FB_OPSET_NEWEST, 1, -1, FB_OP_POINTWISE | FB_OP_INPLACE, decode_binary, old_names, INTEGER)
/* The result is bool: no shared memory with wider inputs. */
#define COMPARE(NAME, TEXT, SINCE) BINARY_ROW(NAME, TEXT, SINCE, FB_OPSET_NEWEST, 2, 2, FB_OP_POINTWISE, decode_binary, NULL, NULL)
#define COMPARE_LEGACY(NAME, TEXT) BINARY_ROW(NAME, TEXT, 1, 6, 2, 2, 0, decode_legacy, legacy_names, NULL)

static const FbOp rows[] = {
    LEGACY("Add", "sum of two tensors"),
    ARITHMETIC("Add", "sum of two tensors"),
    COMPARE_LEGACY("And", "logical and"),
    COMPARE("And", "logical and", 7),
    BINARY_ROW("BitShift", "shift of bits", 11, FB_OPSET_NEWEST, 2, 2, FB_OP_POINTWISE | FB_OP_INPLACE, decode_shift, shift_names, NULL),
    BINARY("BitwiseAnd", "and of every bit", 18),
    BINARY("BitwiseOr", "or of every bit", 18),
    BINARY("BitwiseXor", "exclusive or of every bit", 18),
    LEGACY("Div", "quotient of two tensors"),
    ARITHMETIC("Div", "quotient of two tensors"),
    COMPARE_LEGACY("Equal", "a == b"),
    COMPARE("Equal", "a == b", 7),
    COMPARE_LEGACY("Greater", "a > b"),
    COMPARE("Greater", "a > b", 7),
    COMPARE("GreaterOrEqual", "a >= b", 12),
    COMPARE_LEGACY("Less", "a < b"),
    COMPARE("Less", "a < b", 7),
    COMPARE("LessOrEqual", "a <= b", 12),
    VARIADIC("Max", "largest of the inputs", NULL),
    VARIADIC("Mean", "mean of the inputs", NULL),
    VARIADIC("Min", "smallest of the inputs", NULL),
    BINARY_ROW("Mod", "remainder", 10, FB_OPSET_NEWEST, 2, 2, FB_OP_POINTWISE | FB_OP_INPLACE, decode_mod, mod_names, NULL),
    LEGACY("Mul", "product of two tensors"),
    ARITHMETIC("Mul", "product of two tensors"),
    COMPARE_LEGACY("Or", "logical or"),
    COMPARE("Or", "logical or", 7),
    LEGACY("PRelu", "x, or slope * x below zero"),
    BINARY("PRelu", "x, or slope * x below zero", 7),
    {.domain = "", .name = "Pow", .summary = "power", .since = 7, .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,
     .max_outputs = 1, .flags = FB_OP_POINTWISE | FB_OP_INPLACE, .infer = infer_pow, .run = run_pow},
    LEGACY("Sub", "difference of two tensors"),
    ARITHMETIC("Sub", "difference of two tensors"),
    VARIADIC("Sum", "sum of the inputs", &fb_codes_binary_lowering),
    {.domain = "", .name = "Where", .summary = "elements of one tensor or another by a condition", .since = 9, .newest = FB_OPSET_NEWEST,
     .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_POINTWISE | FB_OP_INPLACE, .infer = infer_where,
     .run = run_where},
    COMPARE_LEGACY("Xor", "exclusive or"),
    COMPARE("Xor", "exclusive or", 7),
};

const FbOpFamily fb_ops_binary = {rows, sizeof rows / sizeof rows[0]};
