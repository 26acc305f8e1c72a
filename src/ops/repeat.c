/* Repeating and reversing: Expand, Tile, ReverseSequence. */
#include <string.h>

#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

/* ---- Expand ---- */

static FbStatus infer_expand(FbInfer *infer, FbError *err)
{
    FbShape *out = &infer->outputs[0].shape;
    FbShape target = {.rank = -1};
    FbIntList list;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    FB_TRY(fb_list_from_infer(infer, 1, "input 'shape'", &list, err));
    if (!list.known) {
        return FB_OK;
    }
    if (list.count > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Expand to rank %d; fewbit's limit is %d", list.count, FB_RANK_MAX);
    }
    target.rank = list.count;
    for (int i = 0; i < list.count; i++) {
        if (list.items[i] < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'shape' has the size %lld", (long long)list.items[i]);
        }
        target.dims[i] = list.items[i];
    }
    FB_TRY(fb_shape_broadcast(&infer->inputs[0].shape, &target, out, err));
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static FbStatus run_expand(const FbCall *call, FbError *err)
{
    (void)err;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    FbStridedCopy copy = {.bits = fb_dtype_bits(in->dtype), .rank = out->rank};
    int64_t strides[FB_RANK_MAX];
    int lead = out->rank - in->rank;
    fb_row_major_strides(in->dims, in->rank, strides);
    fb_row_major_strides(out->dims, out->rank, copy.to_stride);
    for (int i = 0; i < out->rank; i++) {
        copy.dims[i] = out->dims[i];
        copy.from_stride[i] = i < lead || in->dims[i - lead] == 1 ? 0 : strides[i - lead];
    }
    if (copy.bits < 8) {
        memset(out->data, 0, out->bytes);
    }
    fb_strided_copy(call->context, &copy, in->data, 0, out->data, 0);
    return FB_OK;
}

/* ---- Tile ---- */

static FbStatus infer_tile(FbInfer *infer, FbError *err)
{
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList list;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(in->rank);
    FB_TRY(fb_list_from_infer(infer, 1, "input 'repeats'", &list, err));
    if (in->rank < 0 || !list.known) {
        return FB_OK;
    }
    if (list.count != in->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "input 'repeats' has %d numbers for a tensor of rank %d", list.count, in->rank);
    }
    for (int i = 0; i < in->rank; i++) {
        int64_t times = list.items[i], dim = in->dims[i];
        if (times < 0 || (dim > 0 && times > INT64_MAX / dim)) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'repeats' has the number %lld for axis %d", (long long)times, i);
        }
        out->dims[i] = dim >= 0 ? dim * times : times == 1 ? dim : times == 0 ? 0 : FB_DIM_UNKNOWN;
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static FbStatus run_tile(const FbCall *call, FbError *err)
{
    (void)err;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    FbStridedCopy copy = {.bits = fb_dtype_bits(in->dtype), .rank = 2 * in->rank};
    int64_t from[FB_RANK_MAX], to[FB_RANK_MAX];
    fb_row_major_strides(in->dims, in->rank, from);
    fb_row_major_strides(out->dims, out->rank, to);
    for (int i = 0; i < in->rank; i++) { /* index (repeat, element) per axis */
        copy.dims[2 * i] = out->dims[i] / in->dims[i];
        copy.from_stride[2 * i] = 0;
        copy.to_stride[2 * i] = to[i] * in->dims[i];
        copy.dims[2 * i + 1] = in->dims[i];
        copy.from_stride[2 * i + 1] = from[i];
        copy.to_stride[2 * i + 1] = to[i];
    }
    if (copy.bits < 8) {
        memset(out->data, 0, out->bytes);
    }
    fb_strided_copy(call->context, &copy, in->data, 0, out->data, 0);
    return FB_OK;
}

/* ---- ReverseSequence ---- */

typedef struct ReverseParams { int64_t batch_axis, time_axis; } ReverseParams;

static FbStatus decode_reverse(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    ReverseParams *p = params;
    FB_TRY(fb_attr_int(node, "batch_axis", 1, &p->batch_axis, err));
    FB_TRY(fb_attr_int(node, "time_axis", 0, &p->time_axis, err));
    if ((p->batch_axis != 0 && p->batch_axis != 1) || p->time_axis != 1 - p->batch_axis) {
        return fb_error_set(err, FB_ERR_FORMAT, "'batch_axis' is %lld and 'time_axis' %lld, expected 0 and 1 in either order",
                            (long long)p->batch_axis, (long long)p->time_axis);
    }
    return FB_OK;
}

static FbStatus infer_reverse(FbInfer *infer, FbError *err)
{
    const ReverseParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape, *lengths = &infer->inputs[1].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 1, 1, err));
    if (in->rank >= 0 && lengths->rank == 1 && in->dims[p->batch_axis] >= 0 && lengths->dims[0] >= 0 &&
        in->dims[p->batch_axis] != lengths->dims[0]) {
        return fb_error_set(err, FB_ERR_FORMAT, "input 'sequence_lens' has %lld numbers for a batch of %lld", (long long)lengths->dims[0],
                            (long long)in->dims[p->batch_axis]);
    }
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus run_reverse(const FbCall *call, FbError *err)
{
    const ReverseParams *p = call->params;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    int64_t batch = in->dims[p->batch_axis], time = in->dims[p->time_axis], strides[FB_RANK_MAX];
    for (int64_t b = 0; b < batch; b++) {
        int64_t length = fb_tensor_int(call->inputs[1], b);
        if (length < 0 || length > time) {
            return fb_error_set(err, FB_ERR_FORMAT, "sequence %lld has the length %lld, expected 0 to %lld", (long long)b, (long long)length,
                                (long long)time);
        }
    }
    if (!out || !out->bytes) {
        return FB_OK;
    }
    fb_row_major_strides(in->dims, in->rank, strides);
    int64_t row = strides[1], batch_stride = strides[p->batch_axis], time_stride = strides[p->time_axis];
    for (int64_t b = 0; b < batch; b++) {
        int64_t length = fb_tensor_int(call->inputs[1], b);
        for (int64_t t = 0; t < time; t++) {
            int64_t from = t < length ? length - 1 - t : t;
            fb_copy_elements(fb_dtype_bits(in->dtype), in->data, b * batch_stride + from * time_stride, out->data, b * batch_stride + t * time_stride,
                             row);
        }
    }
    return FB_OK;
}

static const char *const reverse_attributes[] = {"batch_axis", "time_axis", NULL};

static const FbOp rows[] = {
    {.name = "Expand", .domain = "", .summary = "broadcasts to a shape", .since = 8, .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 2,
     .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_MOVES_DATA, .infer = infer_expand, .run = run_expand},
    {.name = "Tile", .domain = "", .summary = "repeats a tensor along its axes", .since = 6, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .flags = FB_OP_MOVES_DATA, .infer = infer_tile, .run = run_tile},
    {.name = "ReverseSequence", .domain = "", .summary = "reverses the first part of every sequence", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReverseParams), .flags = FB_OP_MOVES_DATA,
     .attributes = reverse_attributes, .decode = decode_reverse, .infer = infer_reverse, .run = run_reverse},
};
const FbOpFamily fb_ops_repeat = {rows, sizeof rows / sizeof rows[0]};
