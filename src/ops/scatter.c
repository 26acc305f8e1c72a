/* Writing by index: Scatter, ScatterElements, ScatterND, TensorScatter. Duplicate indices are applied in the order of the updates. */
#include <string.h>

#include "ops/elements.h"
#include "ops/index_check.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

typedef enum Reduction { REDUCE_NONE, REDUCE_ADD, REDUCE_MUL, REDUCE_MAX, REDUCE_MIN } Reduction;

typedef struct ScatterParams {
    int64_t axis;
    Reduction reduction;
    bool circular; /* TensorScatter */
} ScatterParams;

static FbStatus decode_reduction(const FbNode *node, ScatterParams *p, FbError *err)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *text;
    FB_TRY(fb_attr_string(node, "reduction", "none", &text, err));
    for (int i = 0; i < 5; i++) {
        if (strcmp(text, names[i]) == 0) {
            p->reduction = (Reduction)i;
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_FORMAT, "attribute 'reduction' is '%s', expected none, add, mul, max or min", text);
}

static FbStatus decode_scatter_elements(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    FB_TRY(fb_attr_int(node, "axis", 0, &((ScatterParams *)params)->axis, err));
    return decode_reduction(node, params, err);
}

static FbStatus decode_scatter_nd(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return decode_reduction(node, params, err);
}

/* to[i] = reduction(to[i], from[i]) for `count` elements of a numeric type. */
static float reduce_f32(Reduction reduction, float a, float b)
{
    switch (reduction) {
    case REDUCE_NONE: return b;
    case REDUCE_ADD: return a + b;
    case REDUCE_MUL: return a * b;
    case REDUCE_MAX: return a != a || a > b ? a : b;
    case REDUCE_MIN: return a != a || a < b ? a : b;
    }
    return b;
}

static double reduce_f64(Reduction reduction, double a, double b)
{
    switch (reduction) {
    case REDUCE_NONE: return b;
    case REDUCE_ADD: return a + b;
    case REDUCE_MUL: return a * b;
    case REDUCE_MAX: return a != a || a > b ? a : b;
    case REDUCE_MIN: return a != a || a < b ? a : b;
    }
    return b;
}

/* Integers wrap; only the comparison depends on the sign. */
static uint64_t reduce_integer(Reduction reduction, uint64_t a, uint64_t b, bool is_signed)
{
    bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;
    switch (reduction) {
    case REDUCE_NONE: return b;
    case REDUCE_ADD: return a + b;
    case REDUCE_MUL: return a * b;
    case REDUCE_MAX: return less ? b : a;
    case REDUCE_MIN: return less ? a : b;
    }
    return b;
}

static void reduce_elements(FbDtype dtype, Reduction reduction, void *to, int64_t to_at, const void *from, int64_t from_at, int64_t count)
{
    if (reduction == REDUCE_NONE) {
        fb_copy_elements(fb_dtype_bits(dtype), from, from_at, to, to_at, count);
        return;
    }
    FbWork work = fb_work_of(dtype);
    for (int64_t i = 0; i < count; i++) {
        union { float f32; double f64; uint64_t u64; } a, b;
        fb_work_load(dtype, to, to_at + i, 1, work, &a, 1);
        fb_work_load(dtype, from, from_at + i, 1, work, &b, 1);
        switch (work) {
        case FB_WORK_F32: a.f32 = reduce_f32(reduction, a.f32, b.f32); break;
        case FB_WORK_F64: a.f64 = reduce_f64(reduction, a.f64, b.f64); break;
        case FB_WORK_S64: a.u64 = reduce_integer(reduction, a.u64, b.u64, true); break;
        case FB_WORK_U64: a.u64 = reduce_integer(reduction, a.u64, b.u64, false); break;
        }
        fb_work_store(dtype, to, to_at + i, work, &a, 1);
    }
}

static FbStatus check_types(FbInfer *infer, FbError *err)
{
    const ScatterParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, p->reduction == REDUCE_NONE ? FB_MASK_BYTES : FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

/* The output starts as a copy of input 0. */
static void copy_input(const FbCall *call)
{
    FbTensor *out = call->outputs[0];
    if (out->bytes && out->data != call->inputs[0]->data) {
        memcpy(out->data, call->inputs[0]->data, out->bytes);
    }
}

/* ---- Scatter, ScatterElements ---- */

static FbStatus infer_scatter_elements(FbInfer *infer, FbError *err)
{
    const ScatterParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape, *updates = &infer->inputs[2].shape;
    int axis;
    FB_TRY(check_types(infer, err));
    FB_TRY(fb_check_axis(p->axis, in->rank, &axis, err));
    if (in->rank < 0 || indices->rank < 0 || updates->rank < 0) {
        return FB_OK;
    }
    FB_TRY(fb_check_rank(infer, 1, in->rank, in->rank, err));
    FB_TRY(fb_check_rank(infer, 2, in->rank, in->rank, err));
    for (int i = 0; i < in->rank; i++) {
        if (indices->dims[i] >= 0 && updates->dims[i] >= 0 && indices->dims[i] != updates->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d is %lld in 'indices' and %lld in 'updates'", i, (long long)indices->dims[i],
                                (long long)updates->dims[i]);
        }
        if (i != axis && in->dims[i] >= 0 && indices->dims[i] > in->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "'indices' has the size %lld on axis %d, 'data' has %lld", (long long)indices->dims[i], i,
                                (long long)in->dims[i]);
        }
    }
    return FB_OK;
}

static FbStatus run_scatter_elements(const FbCall *call, FbError *err)
{
    const ScatterParams *p = call->params;
    const FbTensor *indices = call->inputs[1], *updates = call->inputs[2];
    FbTensor *out = call->outputs[0];
    int axis, rank = call->inputs[0]->rank;
    int64_t strides[FB_RANK_MAX], index[FB_RANK_MAX] = {0}, count = fb_tensor_elements(indices);
    FB_TRY(fb_axis_normalize(p->axis, rank, &axis, err));
    FB_TRY(fb_check_indices(indices, call->inputs[0]->dims[axis], err));
    if (!out) {
        return FB_OK;
    }
    copy_input(call);
    fb_row_major_strides(out->dims, rank, strides);
    for (int64_t n = 0; n < count; n++) {
        int64_t at = fb_index_at(indices, n), to = (at < 0 ? at + out->dims[axis] : at) * strides[axis];
        for (int d = 0; d < rank; d++) {
            to += d == axis ? 0 : index[d] * strides[d];
        }
        reduce_elements(out->dtype, p->reduction, out->data, to, updates->data, n, 1);
        for (int d = rank - 1; d >= 0 && ++index[d] == indices->dims[d]; d--) {
            index[d] = 0;
        }
    }
    return FB_OK;
}

/* ---- ScatterND ---- */

static FbStatus infer_scatter_nd(FbInfer *infer, FbError *err)
{
    const FbShape *in = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape, *updates = &infer->inputs[2].shape;
    FB_TRY(check_types(infer, err));
    FB_TRY(fb_check_rank(infer, 1, 1, FB_RANK_MAX, err));
    if (in->rank < 0 || indices->rank < 0) {
        return FB_OK;
    }
    int64_t width = indices->dims[indices->rank - 1];
    if (width == 0 || width > in->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "'indices' has tuples of %lld numbers for a tensor of rank %d", (long long)width, in->rank);
    }
    if (width < 0 || updates->rank < 0) {
        return FB_OK;
    }
    int rank = indices->rank - 1 + in->rank - (int)width;
    FB_TRY(fb_check_rank(infer, 2, rank, rank, err));
    for (int i = 0; i < rank; i++) {
        int64_t expected = i < indices->rank - 1 ? indices->dims[i] : in->dims[i - (indices->rank - 1) + (int)width];
        if (expected >= 0 && updates->dims[i] >= 0 && expected != updates->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d of 'updates' is %lld, expected %lld", i, (long long)updates->dims[i],
                                (long long)expected);
        }
    }
    return FB_OK;
}

static FbStatus run_scatter_nd(const FbCall *call, FbError *err)
{
    const ScatterParams *p = call->params;
    const FbTensor *in = call->inputs[0], *indices = call->inputs[1], *updates = call->inputs[2];
    FbTensor *out = call->outputs[0];
    int width = (int)indices->dims[indices->rank - 1];
    int64_t strides[FB_RANK_MAX], tuples = fb_tensor_elements(indices) / width;
    FB_TRY(fb_check_index_tuples(indices, in->dims, width, err));
    if (!out) {
        return FB_OK;
    }
    copy_input(call);
    fb_row_major_strides(in->dims, in->rank, strides);
    int64_t slice = strides[width - 1];
    for (int64_t n = 0; n < tuples; n++) {
        int64_t to = 0;
        for (int k = 0; k < width; k++) {
            int64_t at = fb_index_at(indices, n * width + k);
            to += (at < 0 ? at + in->dims[k] : at) * strides[k];
        }
        reduce_elements(out->dtype, p->reduction, out->data, to, updates->data, n * slice, slice);
    }
    return FB_OK;
}

/* ---- TensorScatter ---- */

static FbStatus decode_tensor_scatter(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    ScatterParams *p = params;
    const char *mode;
    FB_TRY(fb_attr_int(node, "axis", -2, &p->axis, err));
    FB_TRY(fb_attr_string(node, "mode", "linear", &mode, err));
    p->circular = strcmp(mode, "circular") == 0;
    return p->circular || strcmp(mode, "linear") == 0
               ? FB_OK
               : fb_error_set(err, FB_ERR_FORMAT, "attribute 'mode' is '%s', expected linear or circular", mode);
}

static FbStatus infer_tensor_scatter(FbInfer *infer, FbError *err)
{
    const ScatterParams *p = infer->params;
    const FbShape *cache = &infer->inputs[0].shape, *update = &infer->inputs[1].shape, *at = &infer->inputs[2].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    FB_TRY(fb_check_axis(p->axis, cache->rank, &axis, err));
    fb_infer_same_as(infer, 0);
    if (cache->rank >= 0 && axis == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'axis' is the batch axis");
    }
    if (cache->rank >= 0 && update->rank >= 0) {
        FB_TRY(fb_check_rank(infer, 1, cache->rank, cache->rank, err));
        for (int i = 0; i < cache->rank; i++) {
            int64_t a = cache->dims[i], b = update->dims[i];
            if (a >= 0 && b >= 0 && (i == axis ? b > a : b != a)) {
                return fb_error_set(err, FB_ERR_FORMAT, "axis %d is %lld in the cache and %lld in the update", i, (long long)a, (long long)b);
            }
        }
    }
    if (fb_infer_has(infer, 2)) {
        FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK_INDEX, err));
        FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
        if (cache->rank >= 0 && at->rank == 1 && at->dims[0] >= 0 && cache->dims[0] >= 0 && at->dims[0] != cache->dims[0]) {
            return fb_error_set(err, FB_ERR_FORMAT, "'write_indices' has %lld numbers for a batch of %lld", (long long)at->dims[0],
                                (long long)cache->dims[0]);
        }
    }
    return FB_OK;
}

static FbStatus run_tensor_scatter(const FbCall *call, FbError *err)
{
    const ScatterParams *p = call->params;
    const FbTensor *cache = call->inputs[0], *update = call->inputs[1], *at = fb_call_input(call, 2);
    FbTensor *out = call->outputs[0];
    int axis;
    FB_TRY(fb_axis_normalize(p->axis, cache->rank, &axis, err));
    int64_t capacity = cache->dims[axis], length = update->dims[axis], batch = cache->dims[0], outer = 1, inner = 1;
    for (int64_t b = 0; at && b < batch; b++) {
        int64_t first = fb_index_at(at, b), limit = p->circular ? INT64_MAX - length : capacity - length;
        if (first < 0 || first > limit) {
            return fb_error_set(err, FB_ERR_FORMAT, "write index %lld of batch item %lld is outside of [0, %lld]", (long long)first, (long long)b,
                                (long long)limit);
        }
    }
    if (!out || !out->bytes) {
        return FB_OK;
    }
    copy_input(call);
    for (int i = 1; i < cache->rank; i++) {
        outer *= i < axis ? cache->dims[i] : 1;
        inner *= i > axis ? cache->dims[i] : 1;
    }
    for (int64_t n = 0; n < batch * outer; n++) {
        int64_t first = at ? fb_index_at(at, n / outer) : 0;
        for (int64_t t = 0; t < length; t++) {
            fb_copy_elements(fb_dtype_bits(out->dtype), update->data, (n * length + t) * inner, out->data,
                             (n * capacity + (first + t) % capacity) * inner, inner);
        }
    }
    return FB_OK;
}

static const char *const element_attributes[] = {"axis", "reduction", NULL};
static const char *const nd_attributes[] = {"reduction", NULL};
static const char *const tensor_attributes[] = {"axis", "mode", NULL};

static const FbOp rows[] = {
    {.name = "Scatter", .domain = "", .summary = "elements written by index along an axis", .since = 9, .newest = 10, .min_inputs = 3,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ScatterParams), .attributes = element_attributes,
     .decode = decode_scatter_elements, .infer = infer_scatter_elements, .run = run_scatter_elements},
    {.name = "ScatterElements", .domain = "", .summary = "elements written by index along an axis", .since = 11, .newest = FB_OPSET_NEWEST,
     .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ScatterParams),
     .attributes = element_attributes, .decode = decode_scatter_elements, .infer = infer_scatter_elements, .run = run_scatter_elements},
    {.name = "ScatterND", .domain = "", .summary = "slices written by index tuples", .since = 11, .newest = FB_OPSET_NEWEST, .min_inputs = 3,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ScatterParams), .attributes = nd_attributes,
     .decode = decode_scatter_nd, .infer = infer_scatter_nd, .run = run_scatter_nd},
    {.name = "TensorScatter", .domain = "", .summary = "writes an update into a cache at an index per batch item", .since = 24,
     .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ScatterParams),
     .attributes = tensor_attributes, .decode = decode_tensor_scatter, .infer = infer_tensor_scatter, .run = run_tensor_scatter},
};
const FbOpFamily fb_ops_scatter = {rows, sizeof rows / sizeof rows[0]};
