/* Looking for elements: ArgMax, ArgMin, TopK, NonZero, Unique. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

/* A number that orders elements of any type as their values are ordered; NaN above everything, -0 equal to 0. */
static uint64_t order_key(FbWork type, const FbWorkBlock *block, size_t i)
{
    if (type == FB_WORK_U64) {
        return block->u64[i];
    }
    if (type == FB_WORK_S64) {
        return (uint64_t)block->s64[i] ^ ((uint64_t)1 << 63);
    }
    double value = block->f64[i] + 0.0;
    uint64_t bits;
    if (isnan(value)) {
        return UINT64_MAX;
    }
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

/* Keys of `count` elements from `first` on, `stride` apart. */
static void load_keys(const FbTensor *tensor, int64_t first, int64_t stride, uint64_t *keys, int64_t count)
{
    FbWorkBlock block;
    FbWork type = fb_work_of(tensor->dtype);
    type = type == FB_WORK_F32 ? FB_WORK_F64 : type;
    for (int64_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = (size_t)(count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK);
        fb_work_load(tensor->dtype, tensor->data, first + at * stride, stride, type, &block, n);
        for (size_t i = 0; i < n; i++) {
            keys[at + (int64_t)i] = order_key(type, &block, i);
        }
    }
}

/* How an axis cuts a shape: outer slices, the axis, inner elements. */
typedef struct AxisCut { int64_t outer, length, inner; } AxisCut;

static AxisCut cut_at(const FbTensor *tensor, int axis)
{
    AxisCut cut = {1, tensor->rank ? tensor->dims[axis] : 1, 1};
    for (int d = 0; d < tensor->rank; d++) {
        if (d < axis) {
            cut.outer *= tensor->dims[d];
        } else if (d > axis) {
            cut.inner *= tensor->dims[d];
        }
    }
    return cut;
}

static size_t grain_for(int64_t length) { return (size_t)(length < 8192 ? 1 + 8192 / (length + 1) : 1); }

/* ---- ArgMax, ArgMin ---- */

typedef struct ArgParams {
    int64_t axis;
    bool keepdims, last, smallest;
} ArgParams;

static FbStatus decode_arg(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    ArgParams *p = params;
    (void)arena;
    p->smallest = fb_node_is(node, "", "ArgMin");
    FB_TRY(fb_attr_int(node, "axis", 0, &p->axis, err));
    FB_TRY(fb_attr_bool(node, "keepdims", true, &p->keepdims, err));
    return fb_attr_bool(node, "select_last_index", false, &p->last, err);
}

static FbStatus infer_arg(FbInfer *infer, FbError *err)
{
    const ArgParams *p = infer->params;
    const FbShape *shape = &infer->inputs[0].shape;
    FbShape out = {.rank = shape->rank < 0 ? -1 : 0};
    int axis = 0;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    if (shape->rank >= 0) {
        FB_TRY(fb_axis_normalize(p->axis, shape->rank, &axis, err));
        if (shape->dims[axis] == 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s along axis %d, which is empty", infer->node->op_type, axis);
        }
    }
    for (int d = 0; d < shape->rank; d++) {
        if (d != axis) {
            out.dims[out.rank++] = shape->dims[d];
        } else if (p->keepdims) {
            out.dims[out.rank++] = 1;
        }
    }
    infer->outputs[0].dtype = FB_DTYPE_S64;
    infer->outputs[0].shape = out;
    return FB_OK;
}

typedef struct ArgWork {
    const ArgParams *params;
    const FbTensor *from;
    int64_t *to;
    AxisCut cut;
} ArgWork;

static void arg_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ArgWork *work = arg;
    (void)slot;
    for (size_t out = begin; out < end; out++) {
        int64_t first = (int64_t)out / work->cut.inner * work->cut.length * work->cut.inner + (int64_t)out % work->cut.inner;
        uint64_t best = 0, keys[FB_WORK_BLOCK];
        int64_t where = -1;
        for (int64_t at = 0; at < work->cut.length; at += FB_WORK_BLOCK) {
            int64_t n = work->cut.length - at < FB_WORK_BLOCK ? work->cut.length - at : FB_WORK_BLOCK;
            load_keys(work->from, first + at * work->cut.inner, work->cut.inner, keys, n);
            for (int64_t i = 0; i < n; i++) {
                /* NaN is the answer of both, as NumPy has it */
                uint64_t key = work->params->smallest && keys[i] != UINT64_MAX ? UINT64_MAX - 1 - keys[i] : keys[i];
                if (where < 0 || key > best || (key == best && work->params->last)) {
                    best = key;
                    where = at + i;
                }
            }
        }
        work->to[out] = where;
    }
}

static FbStatus run_arg(const FbCall *call, FbError *err)
{
    ArgWork work = {.params = call->params, .from = call->inputs[0], .to = call->outputs[0]->data};
    int axis;
    FB_TRY(fb_axis_normalize(work.params->axis, work.from->rank, &axis, err));
    work.cut = cut_at(work.from, axis);
    fb_parallel(call->context, arg_task, &work, (size_t)(work.cut.outer * work.cut.inner), grain_for(work.cut.length));
    return FB_OK;
}

/* ---- TopK ---- */

typedef struct TopkParams {
    int64_t axis, k;   /* k: the attribute of operator sets below 10; -1: input 1 */
    bool smallest;
} TopkParams;

static FbStatus decode_topk(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    TopkParams *p = params;
    bool largest;
    (void)arena;
    p->k = -1;
    FB_TRY(fb_attr_int(node, "axis", -1, &p->axis, err));
    FB_TRY(fb_attr_bool(node, "largest", true, &largest, err));
    p->smallest = !largest;
    if (node->version < 10) {
        FB_TRY(fb_attr_required_int(node, "k", &p->k, err));
        if (p->k < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'k' is negative");
        }
    } else if (node->input_count < 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "TopK lacks its input 1");
    }
    return FB_OK;
}

static FbStatus infer_topk(FbInfer *infer, FbError *err)
{
    const TopkParams *p = infer->params;
    FbShape shape = infer->inputs[0].shape;
    int64_t k = p->k;
    int axis = 0;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    if (k < 0) {
        FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_S64), err));
        const FbTensor *value = fb_infer_value(infer, 1);
        k = FB_DIM_UNKNOWN;
        if (value) {
            if (fb_tensor_elements(value) != 1 || fb_tensor_int(value, 0) < 0) {
                return fb_error_set(err, FB_ERR_FORMAT, "TopK's k (input 1) must be one number, not negative");
            }
            k = fb_tensor_int(value, 0);
        }
    }
    if (shape.rank >= 0) {
        FB_TRY(fb_axis_normalize(p->axis, shape.rank, &axis, err));
        if (k >= 0 && shape.dims[axis] >= 0 && k > shape.dims[axis]) {
            return fb_error_set(err, FB_ERR_FORMAT, "TopK asks for %lld of %lld elements", (long long)k, (long long)shape.dims[axis]);
        }
        shape.dims[axis] = k;
    }
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].dtype = i == 0 ? infer->inputs[0].dtype : FB_DTYPE_S64;
        infer->outputs[i].shape = shape;
    }
    return FB_OK;
}

typedef struct Ranked { uint64_t key; int64_t index; } Ranked; /* keys turned so that larger is wanted */

/* True when a is wanted before b; equal values: the lower index first. */
static bool before(const Ranked *a, const Ranked *b) { return a->key != b->key ? a->key > b->key : a->index < b->index; }

/* A heap whose root is the least wanted. */
static void sift_down(Ranked *heap, int64_t count, int64_t at)
{
    for (;;) {
        int64_t worst = at, left = 2 * at + 1;
        for (int64_t child = left; child < left + 2 && child < count; child++) {
            worst = before(&heap[worst], &heap[child]) ? child : worst;
        }
        if (worst == at) {
            return;
        }
        Ranked swap = heap[at];
        heap[at] = heap[worst];
        heap[worst] = swap;
        at = worst;
    }
}

/* The k most wanted of `count` keys into heap, most wanted first. */
static void select_top(const uint64_t *keys, int64_t count, bool smallest, Ranked *heap, int64_t k)
{
    for (int64_t i = 0; i < count; i++) {
        Ranked next = {smallest ? ~keys[i] : keys[i], i};
        if (i < k) {
            heap[i] = next;
            for (int64_t at = i == k - 1 ? k / 2 : -1; at >= 0; at--) {
                sift_down(heap, k, at);
            }
        } else if (before(&next, &heap[0])) {
            heap[0] = next;
            sift_down(heap, k, 0);
        }
    }
    for (int64_t left = k - 1; left > 0; left--) {
        Ranked swap = heap[0];
        heap[0] = heap[left];
        heap[left] = swap;
        sift_down(heap, left, 0);
    }
}

static size_t scratch_topk(const FbCall *call)
{
    const FbTensor *from = call->inputs[0];
    int64_t longest = 1;
    for (int d = 0; d < from->rank; d++) {
        longest = from->dims[d] > longest ? from->dims[d] : longest;
    }
    return (size_t)longest * (sizeof(Ranked) + sizeof(uint64_t)) * (size_t)fb_context_threads(call->context);
}

typedef struct TopkWork {
    const FbCall *call;
    const TopkParams *params;
    AxisCut cut;
    int64_t k;
    char *scratch;
    size_t scratch_each;
} TopkWork;

static void copy_element(const FbTensor *from, int64_t i, FbTensor *to, int64_t j)
{
    size_t bytes = (size_t)fb_dtype_bits(from->dtype) / 8;
    memcpy((char *)to->data + (size_t)j * bytes, (const char *)from->data + (size_t)i * bytes, bytes);
}

static void topk_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const TopkWork *work = arg;
    const FbTensor *from = work->call->inputs[0];
    FbTensor *values = fb_call_output(work->call, 0), *indices = fb_call_output(work->call, 1);
    Ranked *heap = (Ranked *)(work->scratch + slot * work->scratch_each);
    uint64_t *keys = (uint64_t *)(heap + work->cut.length);
    for (size_t row = begin; row < end; row++) {
        int64_t outer = (int64_t)row / work->cut.inner, inner = (int64_t)row % work->cut.inner;
        int64_t first = outer * work->cut.length * work->cut.inner + inner;
        load_keys(from, first, work->cut.inner, keys, work->cut.length);
        select_top(keys, work->cut.length, work->params->smallest, heap, work->k);
        for (int64_t i = 0; i < work->k; i++) {
            int64_t to = (outer * work->k + i) * work->cut.inner + inner;
            if (values) {
                copy_element(from, first + heap[i].index * work->cut.inner, values, to);
            }
            if (indices) {
                ((int64_t *)indices->data)[to] = heap[i].index;
            }
        }
    }
}

static FbStatus run_topk(const FbCall *call, FbError *err)
{
    TopkWork work = {.call = call, .params = call->params, .scratch = call->scratch};
    const FbTensor *from = call->inputs[0], *out = call->outputs[0] ? call->outputs[0] : call->outputs[1];
    int axis;
    FB_TRY(fb_axis_normalize(work.params->axis, from->rank, &axis, err));
    work.cut = cut_at(from, axis);
    work.k = out->dims[axis];
    work.scratch_each = (size_t)work.cut.length * (sizeof(Ranked) + sizeof(uint64_t));
    if (work.k > work.cut.length) {
        return fb_error_set(err, FB_ERR_FORMAT, "TopK asks for %lld of %lld elements", (long long)work.k, (long long)work.cut.length);
    }
    if (work.k > 0) {
        fb_parallel(call->context, topk_task, &work, (size_t)(work.cut.outer * work.cut.inner), grain_for(work.cut.length));
    }
    return FB_OK;
}

/* ---- NonZero: the number of columns is known only from the values ---- */

static int64_t count_nonzero(const FbTensor *tensor, int64_t *positions)
{
    FbWorkBlock block;
    int64_t found = 0, count = fb_tensor_elements(tensor);
    FbWork type = fb_work_of(tensor->dtype);
    type = type == FB_WORK_F32 ? FB_WORK_F64 : type;
    for (int64_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = (size_t)(count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK);
        fb_work_load(tensor->dtype, tensor->data, at, 1, type, &block, n);
        for (size_t i = 0; i < n; i++) {
            if (type == FB_WORK_F64 ? block.f64[i] != 0.0 : block.u64[i] != 0) {
                if (positions) {
                    positions[found] = at + (int64_t)i;
                }
                found++;
            }
        }
    }
    return found;
}

static FbStatus infer_nonzero(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL), err));
    infer->outputs[0].dtype = FB_DTYPE_S64;
    infer->outputs[0].shape.rank = 2;
    int rank = infer->inputs[0].shape.rank;
    infer->outputs[0].shape.dims[0] = rank < 0 ? FB_DIM_UNKNOWN : rank == 0 ? 1 : rank;
    infer->outputs[0].shape.dims[1] = FB_DIM_UNKNOWN;
    const FbTensor *value = fb_infer_value(infer, 0);
    if (value) {
        infer->outputs[0].shape.dims[1] = count_nonzero(value, NULL);
    }
    return FB_OK;
}

static FbStatus run_nonzero(const FbCall *call, FbError *err)
{
    const FbTensor *from = call->inputs[0];
    int64_t columns = call->outputs[0]->dims[1], *to = call->outputs[0]->data;
    int rows = from->rank == 0 ? 1 : from->rank;
    if (count_nonzero(from, NULL) != columns) {
        return fb_error_set(err, FB_ERR_INTERNAL, "NonZero was prepared for other values");
    }
    if (columns == 0) {
        return FB_OK;
    }
    count_nonzero(from, to + (int64_t)(rows - 1) * columns); /* the last row first holds the flat positions */
    for (int64_t c = 0; c < columns; c++) {
        int64_t position = to[(int64_t)(rows - 1) * columns + c];
        for (int d = rows - 1; d >= 0; d--) {
            int64_t dim = from->rank == 0 ? 1 : from->dims[d];
            to[d * columns + c] = position % dim;
            position /= dim;
        }
    }
    return FB_OK;
}

static const char *const arg_names[] = {"axis", "keepdims", "select_last_index", NULL};
static const char *const topk_names[] = {"axis", "k", "largest", "sorted", NULL};

#define ARG(NAME, TEXT)                                                                                                        \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1,  \
        .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ArgParams), .decode = decode_arg, .infer = infer_arg,       \
        .run = run_arg, .attributes = arg_names                                                                                \
    }

static const FbOp rows[] = {
    ARG("ArgMax", "index of the largest element along an axis"),
    ARG("ArgMin", "index of the smallest element along an axis"),
    {.domain = "", .name = "NonZero", .summary = "indices of the elements that are not zero", .since = 9, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .infer = infer_nonzero, .run = run_nonzero},
    {.domain = "", .name = "TopK", .summary = "the k largest or smallest elements along an axis", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 2, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(TopkParams), .decode = decode_topk,
     .infer = infer_topk, .scratch = scratch_topk, .run = run_topk, .attributes = topk_names},
};

const FbOpFamily fb_ops_search = {rows, sizeof rows / sizeof rows[0]};
