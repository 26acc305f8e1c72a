/* Reductions along axes, ArgMax and ArgMin.
 *
 * Float sums are taken in double over 16 lanes and a fixed tree along the last axis, in axis order otherwise, and rounded once: the result
 * depends on the shape alone. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/codes_pool.h"
#include "ops/elements.h"

enum { LANES = 16, COLUMNS = 256, REDUCE_GRAIN_ELEMENTS = 32768 };

typedef enum ReduceKind {
    REDUCE_SUM = 0, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_L1, REDUCE_L2, REDUCE_LOG_SUM, REDUCE_LOG_SUM_EXP,
    REDUCE_SUM_SQUARE
} ReduceKind;

typedef struct ReduceParams {
    ReduceKind kind;
    bool keepdims, noop_with_empty_axes;
    bool axes_from_input;   /* input 1 holds them */
    const int64_t *axes;    /* attribute form */
    size_t axis_count;
} ReduceParams;

static const struct {
    const char *op_type;
    ReduceKind kind;
    int input_since; /* the operator set in which the axes became an input */
} kinds[] = {
    {"ReduceL1", REDUCE_L1, 18},         {"ReduceL2", REDUCE_L2, 18},     {"ReduceLogSum", REDUCE_LOG_SUM, 18},
    {"ReduceLogSumExp", REDUCE_LOG_SUM_EXP, 18}, {"ReduceMax", REDUCE_MAX, 18}, {"ReduceMean", REDUCE_MEAN, 18},
    {"ReduceMin", REDUCE_MIN, 18},       {"ReduceProd", REDUCE_PROD, 18}, {"ReduceSum", REDUCE_SUM, 13},
    {"ReduceSumSquare", REDUCE_SUM_SQUARE, 18},
};

static FbStatus decode_reduce(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    ReduceParams *p = params;
    (void)arena;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].op_type, node->op_type) == 0) {
            p->kind = kinds[i].kind;
            p->axes_from_input = node->version >= kinds[i].input_since;
        }
    }
    FB_TRY(fb_attr_bool(node, "keepdims", true, &p->keepdims, err));
    FB_TRY(fb_attr_bool(node, "noop_with_empty_axes", false, &p->noop_with_empty_axes, err));
    if (p->axes_from_input && fb_node_attribute(node, "axes")) {
        return fb_error_set(err, FB_ERR_FORMAT, "the axes of %s are an input in operator set %d, not an attribute", node->op_type, node->version);
    }
    if (!p->axes_from_input && node->input_count > 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "the axes of %s are an attribute in operator set %d, not an input", node->op_type, node->version);
    }
    return fb_attr_ints(node, "axes", &p->axes, &p->axis_count, err);
}

/* Marks the reduced dimensions; *noop: nothing is reduced (the element function still applies). */
static FbStatus mark_axes(const ReduceParams *p, const FbTensor *axes, int rank, bool *marked, FbError *err)
{
    int64_t count = p->axes_from_input ? (axes ? fb_tensor_elements(axes) : 0) : (int64_t)p->axis_count;
    for (int d = 0; d < rank; d++) {
        marked[d] = count == 0 && !p->noop_with_empty_axes;
    }
    for (int64_t i = 0; i < count; i++) {
        int axis;
        FB_TRY(fb_axis_normalize(axes ? fb_tensor_int(axes, i) : p->axes[i], rank, &axis, err));
        if (marked[axis]) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d is given twice", axis);
        }
        marked[axis] = true;
    }
    return FB_OK;
}

bool fb_reduce_mean_axes(const void *params, const FbTensor *axes, int rank, bool *marked)
{
    const ReduceParams *p = params;
    const bool known = p->axes_from_input ? axes != NULL : p->axis_count > 0;
    return p->kind == REDUCE_MEAN && known && mark_axes(p, axes, rank, marked, NULL) == FB_OK;
}

static FbShape reduced_shape(const FbShape *shape, const bool *marked, bool keepdims)
{
    FbShape out = {.rank = 0};
    for (int d = 0; d < shape->rank; d++) {
        if (!marked[d]) {
            out.dims[out.rank++] = shape->dims[d];
        } else if (keepdims) {
            out.dims[out.rank++] = 1;
        }
    }
    return out;
}

static FbStatus infer_reduce(FbInfer *infer, FbError *err)
{
    const ReduceParams *p = infer->params;
    const FbTensor *axes = NULL;
    bool marked[FB_RANK_MAX];
    bool extreme = p->kind == REDUCE_MAX || p->kind == REDUCE_MIN;
    FB_TRY(fb_check_input_dtype(infer, 0, extreme ? FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL) : FB_MASK_NUMBERS, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape.rank = -1;
    const FbShape *shape = &infer->inputs[0].shape;
    if (fb_infer_has(infer, 1)) {
        FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_S64) | FB_MASK(FB_DTYPE_S32), err));
        FB_TRY(fb_check_rank(infer, 1, 0, 1, err));
        axes = fb_infer_value(infer, 1);
        if (!axes) {
            if (p->keepdims && shape->rank >= 0) { /* the rank stays whatever the axes are */
                infer->outputs[0].shape.rank = shape->rank;
                for (int d = 0; d < shape->rank; d++) {
                    infer->outputs[0].shape.dims[d] = shape->dims[d] == 1 ? 1 : FB_DIM_UNKNOWN;
                }
            }
            return FB_OK;
        }
    }
    if (shape->rank >= 0) {
        FB_TRY(mark_axes(p, axes, shape->rank, marked, err));
        infer->outputs[0].shape = reduced_shape(shape, marked, p->keepdims);
    }
    return FB_OK;
}

/* The walk: kept and reduced dimensions with their strides, neighbours of one kind merged. */
typedef struct Walk {
    int kept_rank, reduced_rank;
    int64_t kept[FB_RANK_MAX], kept_strides[FB_RANK_MAX];
    int64_t reduced[FB_RANK_MAX], reduced_strides[FB_RANK_MAX];
    int64_t kept_count, reduced_count;
    bool columns;  /* the last dimension is kept: whole rows of it are accumulated at a time */
} Walk;

static void add_dimension(int64_t *dims, int64_t *strides, int *rank, int64_t dim, int64_t stride)
{
    if (*rank > 0 && strides[*rank - 1] == stride * dim) {
        dims[*rank - 1] *= dim;
        strides[*rank - 1] = stride;
    } else {
        dims[*rank] = dim;
        strides[(*rank)++] = stride;
    }
}

static void plan_walk(const FbShape *shape, const bool *marked, Walk *walk)
{
    int64_t strides[FB_RANK_MAX], stride = 1;
    *walk = (Walk){.kept_count = 1, .reduced_count = 1};
    for (int d = shape->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= shape->dims[d];
    }
    for (int d = 0; d < shape->rank; d++) {
        if (marked[d]) {
            walk->reduced_count *= shape->dims[d];
        } else {
            walk->kept_count *= shape->dims[d];
        }
        if (shape->dims[d] == 1) {
            continue;
        }
        if (marked[d]) {
            add_dimension(walk->reduced, walk->reduced_strides, &walk->reduced_rank, shape->dims[d], strides[d]);
        } else {
            add_dimension(walk->kept, walk->kept_strides, &walk->kept_rank, shape->dims[d], strides[d]);
        }
    }
    walk->columns = walk->kept_rank > 0 && walk->kept_strides[walk->kept_rank - 1] == 1;
}

static int64_t offset_of(int64_t index, int rank, const int64_t *dims, const int64_t *strides)
{
    int64_t offset = 0;
    for (int d = rank - 1; d >= 0; d--) {
        offset += index % dims[d] * strides[d];
        index /= dims[d];
    }
    return offset;
}

/* Accumulators of up to COLUMNS outputs, or of the lanes of one. */
typedef union Sums {
    double f64[COLUMNS];
    int64_t s64[COLUMNS];
    uint64_t u64[COLUMNS];
} Sums;

typedef struct ReduceWork {
    ReduceKind kind;
    Walk walk;
    FbWork type;  /* F64, S64 or U64 */
    const FbTensor *from;
    FbTensor *to;
} ReduceWork;

static void sums_begin(const ReduceWork *work, ReduceKind kind, Sums *sums, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (work->type == FB_WORK_F64) {
            sums->f64[i] = kind == REDUCE_PROD ? 1.0 : kind == REDUCE_MAX ? -INFINITY : kind == REDUCE_MIN ? INFINITY : 0.0;
        } else if (work->type == FB_WORK_S64) {
            sums->s64[i] = kind == REDUCE_PROD ? 1 : kind == REDUCE_MAX ? INT64_MIN : kind == REDUCE_MIN ? INT64_MAX : 0;
        } else {
            sums->u64[i] = kind == REDUCE_PROD ? 1 : kind == REDUCE_MIN ? UINT64_MAX : 0;
        }
    }
}

#define EACH(field, expression)                          \
    for (size_t i = 0; i < count; i++) {                 \
        sums->field[i] = (expression);                   \
    }                                                    \
    break

static void step_f64(ReduceKind kind, Sums *sums, const double *x, const double *shift, size_t count)
{
    double *y = sums->f64;
    switch (kind) {
    case REDUCE_SUM: case REDUCE_MEAN: case REDUCE_LOG_SUM: EACH(f64, y[i] + x[i]);
    case REDUCE_MAX: EACH(f64, x[i] > y[i] || x[i] != x[i] ? x[i] : y[i]);
    case REDUCE_MIN: EACH(f64, x[i] < y[i] || x[i] != x[i] ? x[i] : y[i]);
    case REDUCE_PROD: EACH(f64, y[i] * x[i]);
    case REDUCE_L1: EACH(f64, y[i] + fabs(x[i]));
    case REDUCE_L2: case REDUCE_SUM_SQUARE: EACH(f64, y[i] + x[i] * x[i]);
    case REDUCE_LOG_SUM_EXP: EACH(f64, y[i] + exp(x[i] - shift[i]));
    }
}

/* Two's complement: sums and products of signed and unsigned numbers are the same bits. */
static void step_whole(const ReduceWork *work, ReduceKind kind, Sums *sums, const uint64_t *x, size_t count)
{
    uint64_t *y = sums->u64;
    bool is_signed = work->type == FB_WORK_S64;
    switch (kind) {
    case REDUCE_SUM: case REDUCE_MEAN: case REDUCE_LOG_SUM: EACH(u64, y[i] + x[i]);
    case REDUCE_MAX: EACH(u64, (is_signed ? (int64_t)x[i] > (int64_t)y[i] : x[i] > y[i]) ? x[i] : y[i]);
    case REDUCE_MIN: EACH(u64, (is_signed ? (int64_t)x[i] < (int64_t)y[i] : x[i] < y[i]) ? x[i] : y[i]);
    case REDUCE_PROD: EACH(u64, y[i] * x[i]);
    case REDUCE_L1: EACH(u64, y[i] + (is_signed && (int64_t)x[i] < 0 ? 0 - x[i] : x[i]));
    case REDUCE_L2: case REDUCE_SUM_SQUARE: EACH(u64, y[i] + x[i] * x[i]);
    case REDUCE_LOG_SUM_EXP: break; /* integers take this one in double */
    }
}
#undef EACH

/* Adds `count` elements from `first` on to the accumulators, `width` of them in turn. */
static void accumulate(const ReduceWork *work, ReduceKind kind, int64_t first, size_t count, size_t width, const double *shift, Sums *sums)
{
    FbWorkBlock block;
    const void *direct = fb_work_direct(work->from->dtype, work->from->data, first, work->type);
    if (!direct) {
        fb_work_load(work->from->dtype, work->from->data, first, 1, work->type, &block, count);
    }
    const uint64_t *x = direct ? direct : block.u64;
    for (size_t at = 0; at < count; at += width) {
        size_t n = count - at < width ? count - at : width;
        if (work->type == FB_WORK_F64) {
            step_f64(kind, sums, (const double *)(const void *)(x + at), shift, n);
        } else {
            step_whole(work, kind, sums, x + at, n);
        }
    }
}

/* The lanes' accumulators into the first, as a tree. */
static void fold_lanes(const ReduceWork *work, ReduceKind kind, Sums *sums)
{
    ReduceKind merge = kind == REDUCE_MAX || kind == REDUCE_MIN || kind == REDUCE_PROD ? kind : REDUCE_SUM;
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        Sums *low = sums;
        if (work->type == FB_WORK_F64) {
            step_f64(merge, low, sums->f64 + half, NULL, half);
        } else {
            step_whole(work, merge, low, sums->u64 + half, half);
        }
    }
}

/* Sums over every reduced element of outputs that start at `base`, `columns` of them. Along contiguous reduced elements there is one
 * and the lanes are folded into sums[0]. */
static void reduce_pass(const ReduceWork *work, ReduceKind kind, int64_t base, size_t columns, const double *shift, Sums *sums)
{
    const Walk *walk = &work->walk;
    if (walk->columns) {
        sums_begin(work, kind, sums, columns);
        for (int64_t r = 0; r < walk->reduced_count; r++) {
            accumulate(work, kind, base + offset_of(r, walk->reduced_rank, walk->reduced, walk->reduced_strides), columns, columns, shift, sums);
        }
        return;
    }
    sums_begin(work, kind, sums, LANES);
    int64_t run = walk->reduced_rank ? walk->reduced[walk->reduced_rank - 1] : 1; /* contiguous */
    for (int64_t r = 0; r < walk->reduced_count; r += run) {
        int64_t first = base + offset_of(r, walk->reduced_rank, walk->reduced, walk->reduced_strides);
        for (int64_t at = 0; at < run; at += FB_WORK_BLOCK) { /* whole multiples of the lanes, but for the end */
            size_t count = (size_t)(run - at < FB_WORK_BLOCK ? run - at : FB_WORK_BLOCK);
            accumulate(work, kind, first + at, count, LANES, shift, sums);
        }
    }
    fold_lanes(work, kind, sums);
}

static double finish_f64(ReduceKind kind, double sum, double shift, double elements)
{
    switch (kind) {
    case REDUCE_MEAN: return sum / elements;
    case REDUCE_L2: return sqrt(sum);
    case REDUCE_LOG_SUM: return log(sum);
    case REDUCE_LOG_SUM_EXP: return elements == 0 ? -INFINITY : shift + log(sum);
    default: return sum;
    }
}

/* Integers: mean truncates; roots and logarithms are taken in double and truncated. */
static uint64_t finish_whole(const ReduceWork *work, uint64_t sum, int64_t elements)
{
    bool is_signed = work->type == FB_WORK_S64;
    if (work->kind == REDUCE_MEAN) {
        return elements == 0 ? 0 : is_signed ? (uint64_t)((int64_t)sum / elements) : sum / (uint64_t)elements;
    }
    if (work->kind == REDUCE_L2 || work->kind == REDUCE_LOG_SUM) {
        double value = is_signed ? (double)(int64_t)sum : (double)sum;
        value = work->kind == REDUCE_L2 ? sqrt(value) : log(value);
        return is_signed ? (uint64_t)fb_double_to_s64(value) : fb_double_to_u64(value);
    }
    return sum;
}

static void reduce_outputs(const ReduceWork *work, int64_t out_first, int64_t base, size_t count)
{
    Sums sums;
    double shift[COLUMNS] = {0};
    if (work->kind == REDUCE_LOG_SUM_EXP) { /* the largest element comes out first, so that exp cannot overflow */
        reduce_pass(work, REDUCE_MAX, base, count, NULL, &sums);
        size_t width = work->walk.columns ? count : LANES;
        for (size_t i = 0; i < width; i++) {
            double largest = sums.f64[work->walk.columns ? i : 0];
            shift[i] = isfinite(largest) ? largest : 0;
        }
    }
    reduce_pass(work, work->kind, base, count, shift, &sums);
    FbDtype dtype = work->to->dtype;
    for (size_t i = 0; i < count; i++) {
        if (work->type == FB_WORK_F64) {
            sums.f64[i] = finish_f64(work->kind, sums.f64[i], shift[i], (double)work->walk.reduced_count);
        } else {
            sums.u64[i] = finish_whole(work, sums.u64[i], work->walk.reduced_count);
            if (work->walk.reduced_count == 0 && (work->kind == REDUCE_MAX || work->kind == REDUCE_MIN)) { /* the type's own bound */
                const FbDtypeInfo *info = fb_dtype_info(dtype);
                double bound = work->kind == REDUCE_MAX ? info->low : info->high;
                sums.u64[i] = work->type == FB_WORK_S64 ? (uint64_t)fb_double_to_s64(bound) : fb_double_to_u64(bound);
            }
        }
    }
    fb_work_store(dtype, work->to->data, out_first, work->type, &sums, count);
}

static void reduce_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ReduceWork *work = arg;
    const Walk *walk = &work->walk;
    (void)slot;
    if (!walk->columns) {
        for (size_t out = begin; out < end; out++) {
            reduce_outputs(work, (int64_t)out, offset_of((int64_t)out, walk->kept_rank, walk->kept, walk->kept_strides), 1);
        }
        return;
    }
    int64_t row = walk->kept[walk->kept_rank - 1], pieces = (row + COLUMNS - 1) / COLUMNS;
    for (size_t piece = begin; piece < end; piece++) {
        int64_t column = (int64_t)piece % pieces * COLUMNS, out = (int64_t)piece / pieces * row + column;
        size_t count = (size_t)(row - column < COLUMNS ? row - column : COLUMNS);
        reduce_outputs(work, out, offset_of(out, walk->kept_rank, walk->kept, walk->kept_strides), count);
    }
}

static void reduce_all(FbContext *context, ReduceWork *work)
{
    const Walk *walk = &work->walk;
    int64_t tasks = walk->kept_count, each = walk->reduced_count + 1;
    if (walk->kept_count == 0) {
        return;
    }
    if (walk->columns) {
        int64_t row = walk->kept[walk->kept_rank - 1];
        tasks = walk->kept_count / row * ((row + COLUMNS - 1) / COLUMNS);
        each *= row < COLUMNS ? row : COLUMNS;
    }
    size_t grain = (size_t)(REDUCE_GRAIN_ELEMENTS / (each < REDUCE_GRAIN_ELEMENTS ? each : REDUCE_GRAIN_ELEMENTS));
    fb_parallel(context, reduce_task, work, (size_t)tasks, grain);
}

static FbStatus run_reduce(const FbCall *call, FbError *err)
{
    const ReduceParams *p = call->params;
    ReduceWork work = {.kind = p->kind, .from = call->inputs[0], .to = call->outputs[0]};
    FbShape shape = fb_tensor_shape(work.from);
    bool marked[FB_RANK_MAX];
    FB_TRY(mark_axes(p, fb_call_input(call, 1), shape.rank, marked, err));
    const FbTensor *axes = fb_call_input(call, 1);
    bool empty_axes = p->axes_from_input ? !axes || fb_tensor_elements(axes) == 0 : p->axis_count == 0;
    if (empty_axes && p->noop_with_empty_axes && (p->kind == REDUCE_SUM || p->kind == REDUCE_MAX || p->kind == REDUCE_MIN ||
                                                  p->kind == REDUCE_MEAN || p->kind == REDUCE_PROD)) {
        if (work.from->bytes) {
            memcpy(work.to->data, work.from->data, work.from->bytes);
        }
        return FB_OK;
    }
    plan_walk(&shape, marked, &work.walk);
    work.type = fb_work_of(work.from->dtype);
    if (work.type == FB_WORK_F32 || p->kind == REDUCE_LOG_SUM_EXP) {
        work.type = FB_WORK_F64;
    }
    reduce_all(call->context, &work);
    return FB_OK;
}

static const char *const reduce_names[] = {"axes", "keepdims", "noop_with_empty_axes", NULL};

#define REDUCE(NAME, TEXT, INTEGER)                                                                                                     \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 2,  \
        .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReduceParams), .decode = decode_reduce,                     \
        .infer = infer_reduce, .run = run_reduce, .integer = INTEGER, .attributes = reduce_names                               \
    }

static const FbOp rows[] = {
    REDUCE("ReduceL1", "sum of absolute values along axes", NULL),
    REDUCE("ReduceL2", "root of the sum of squares along axes", NULL),
    REDUCE("ReduceLogSum", "logarithm of the sum along axes", NULL),
    REDUCE("ReduceLogSumExp", "logarithm of the sum of exponentials along axes", NULL),
    REDUCE("ReduceMax", "maximum along axes", NULL),
    REDUCE("ReduceMean", "mean along axes", &fb_codes_reduce_lowering),
    REDUCE("ReduceMin", "minimum along axes", NULL),
    REDUCE("ReduceProd", "product along axes", NULL),
    REDUCE("ReduceSum", "sum along axes", NULL),
    REDUCE("ReduceSumSquare", "sum of squares along axes", NULL),
};

const FbOpFamily fb_ops_reduce = {rows, sizeof rows / sizeof rows[0]};
