/* Taking a part: Slice, CenterCropPad. */
#include <string.h>

#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

/* ---- Slice ---- */

typedef struct SliceParams {
    bool from_attribute;             /* operator set 1 to 9 */
    bool last;                       /* channels last in memory */
    FbIntList starts, ends, axes;
} SliceParams;

/* What is taken along one axis: elements start, start + step, ... count of them. */
typedef struct SliceRange { int64_t start, step, count; } SliceRange;

static FbStatus decode_slice(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    SliceParams *p = params;
    p->from_attribute = node->version < 10;
    if (!p->from_attribute) {
        return node->input_count < 3 || node->inputs[1] == FB_NONE || node->inputs[2] == FB_NONE
                   ? fb_error_set(err, FB_ERR_FORMAT, "Slice lacks its inputs 'starts' and 'ends'")
                   : FB_OK;
    }
    if (!fb_node_attribute(node, "starts") || !fb_node_attribute(node, "ends")) {
        return fb_error_set(err, FB_ERR_FORMAT, "Slice lacks its attributes 'starts' and 'ends'");
    }
    FB_TRY(fb_list_from_attribute(node, "starts", &p->starts, err));
    FB_TRY(fb_list_from_attribute(node, "ends", &p->ends, err));
    return fb_list_from_attribute(node, "axes", &p->axes, err);
}

/* NumPy's rules: negative numbers count from the end, everything is clamped to the axis. */
static FbStatus slice_range(int64_t dim, int64_t start, int64_t end, int64_t step, SliceRange *range, FbError *err)
{
    if (step == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "'steps' has a 0");
    }
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    start = start < 0 ? start + dim : start; /* no overflow: dim >= 0 */
    end = end < 0 ? end + dim : end;
    start = start < 0 ? 0 : start > high ? high : start;
    if (step < 0 && start < 0) {
        start = 0; /* an empty axis */
    }
    end = end < low ? low : end > high ? high : end;
    range->start = start;
    range->step = step;
    uint64_t distance = step > 0 ? (end > start ? (uint64_t)(end - start) : 0) : (start > end ? (uint64_t)(start - end) : 0);
    uint64_t stride = step > 0 ? (uint64_t)step : (uint64_t)0 - (uint64_t)step;
    range->count = dim == 0 ? 0 : (int64_t)((distance + stride - 1 < distance) ? 1 : (distance + stride - 1) / stride);
    return FB_OK;
}

typedef struct SliceLists { FbIntList starts, ends, axes, steps; } SliceLists;

static FbStatus check_lists(SliceLists *lists, int rank, FbError *err)
{
    if (!lists->axes.known) {
        lists->axes.count = lists->starts.count;
        for (int i = 0; i < lists->axes.count; i++) {
            lists->axes.items[i] = i;
        }
    }
    int count = lists->starts.count;
    if (lists->ends.count != count || lists->axes.count != count || (lists->steps.known && lists->steps.count != count)) {
        return fb_error_set(err, FB_ERR_FORMAT, "'starts', 'ends', 'axes' and 'steps' have %d, %d, %d and %d numbers", count, lists->ends.count,
                            lists->axes.count, lists->steps.known ? lists->steps.count : count);
    }
    return fb_axes_normalize(&lists->axes, rank, err);
}

static int64_t step_of(const SliceLists *lists, int i) { return lists->steps.known ? lists->steps.items[i] : 1; }

/* Ranges of every axis of known dims. */
static FbStatus slice_ranges(SliceLists *lists, const int64_t *dims, int rank, SliceRange *ranges, FbError *err)
{
    FB_TRY(check_lists(lists, rank, err));
    for (int i = 0; i < rank; i++) {
        ranges[i] = (SliceRange){0, 1, dims[i]};
    }
    for (int i = 0; i < lists->axes.count; i++) {
        int axis = (int)lists->axes.items[i];
        FB_TRY(slice_range(dims[axis], lists->starts.items[i], lists->ends.items[i], step_of(lists, i), &ranges[axis], err));
    }
    return FB_OK;
}

static FbStatus infer_slice(FbInfer *infer, FbError *err)
{
    const SliceParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    SliceLists lists = {.starts = p->starts, .ends = p->ends, .axes = p->axes};
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(in->rank);
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_infer(infer, 1, "input 'starts'", &lists.starts, err));
        FB_TRY(fb_list_from_infer(infer, 2, "input 'ends'", &lists.ends, err));
        FB_TRY(fb_list_from_infer(infer, 3, "input 'axes'", &lists.axes, err));
        FB_TRY(fb_list_from_infer(infer, 4, "input 'steps'", &lists.steps, err));
    }
    bool axes_open = fb_infer_has(infer, 3) && !lists.axes.known, steps_open = fb_infer_has(infer, 4) && !lists.steps.known;
    if (in->rank < 0 || axes_open || steps_open) {
        return FB_OK;
    }
    if (!lists.starts.known || !lists.ends.known) {
        if (lists.axes.known) { /* the other axes keep their size */
            unsigned mask;
            FB_TRY(fb_axes_mask(&lists.axes, in->rank, &mask, err));
            for (int i = 0; i < in->rank; i++) {
                out->dims[i] = mask >> i & 1U ? FB_DIM_UNKNOWN : in->dims[i];
            }
        }
        return FB_OK;
    }
    FB_TRY(check_lists(&lists, in->rank, err));
    *out = *in;
    for (int i = 0; i < lists.axes.count; i++) {
        int axis = (int)lists.axes.items[i];
        int64_t start = lists.starts.items[i], end = lists.ends.items[i], step = step_of(&lists, i);
        SliceRange range;
        FB_TRY(slice_range(in->dims[axis] < 0 ? 1 : in->dims[axis], start, end, step, &range, err));
        bool whole = start == 0 && end >= INT32_MAX && step == 1;
        out->dims[axis] = in->dims[axis] >= 0 ? range.count : whole ? in->dims[axis] : FB_DIM_UNKNOWN;
    }
    return FB_OK;
}

static FbStatus run_slice(const FbCall *call, FbError *err)
{
    const SliceParams *p = call->params;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    bool last = p->last || call->channels_last;
    SliceLists lists = {.starts = p->starts, .ends = p->ends, .axes = p->axes};
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_tensor(call->inputs[1], "input 'starts'", &lists.starts, err));
        FB_TRY(fb_list_from_tensor(call->inputs[2], "input 'ends'", &lists.ends, err));
        if (fb_call_input(call, 3)) {
            FB_TRY(fb_list_from_tensor(call->inputs[3], "input 'axes'", &lists.axes, err));
        }
        if (fb_call_input(call, 4)) {
            FB_TRY(fb_list_from_tensor(call->inputs[4], "input 'steps'", &lists.steps, err));
        }
    }
    int64_t dims[FB_RANK_MAX]; /* logical order, as the axes are */
    for (int i = 0; i < in->rank; i++) {
        dims[i] = in->dims[fb_physical_axis(i, in->rank, last)];
    }
    SliceRange ranges[FB_RANK_MAX];
    FB_TRY(slice_ranges(&lists, dims, in->rank, ranges, err));
    FbStridedCopy copy = {.bits = fb_dtype_bits(in->dtype), .rank = in->rank};
    int64_t strides[FB_RANK_MAX], first = 0;
    fb_row_major_strides(in->dims, in->rank, strides);
    fb_row_major_strides(out->dims, out->rank, copy.to_stride);
    for (int i = 0; i < in->rank; i++) {
        int d = fb_physical_axis(i, in->rank, last);
        if (ranges[i].count != out->dims[d]) {
            return fb_error_set(err, FB_ERR_INTERNAL, "axis %d gives %lld elements, %lld were planned", i, (long long)ranges[i].count,
                                (long long)out->dims[d]);
        }
        copy.dims[d] = out->dims[d];
        copy.from_stride[d] = out->dims[d] == 1 ? 0 : strides[d] * ranges[i].step; /* a step of 2^63 stays out of the product */
        first += strides[d] * ranges[i].start;
    }
    if (copy.bits < 8) {
        memset(out->data, 0, out->bytes);
    }
    fb_strided_copy(call->context, &copy, in->data, first, out->data, 0);
    return FB_OK;
}

static bool slice_channels_last(void *params, int rank)
{
    (void)rank;
    ((SliceParams *)params)->last = true;
    return true;
}

/* ---- CenterCropPad ---- */

typedef struct CenterParams { FbIntList axes; } CenterParams;

static FbStatus decode_center(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_list_from_attribute(node, "axes", &((CenterParams *)params)->axes, err);
}

static FbStatus infer_center(FbInfer *infer, FbError *err)
{
    const CenterParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList target, axes = p->axes;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(in->rank);
    FB_TRY(fb_list_from_infer(infer, 1, "input 'shape'", &target, err));
    if (in->rank < 0) {
        return FB_OK;
    }
    if (axes.known) {
        FB_TRY(fb_axes_normalize(&axes, in->rank, err));
    }
    if (!target.known) {
        return FB_OK;
    }
    if (target.count != (axes.known ? axes.count : in->rank)) {
        return fb_error_set(err, FB_ERR_FORMAT, "input 'shape' has %d sizes for %d axes", target.count, axes.known ? axes.count : in->rank);
    }
    *out = *in;
    for (int i = 0; i < target.count; i++) {
        if (target.items[i] < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'shape' has the size %lld", (long long)target.items[i]);
        }
        out->dims[axes.known ? axes.items[i] : i] = target.items[i];
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static FbStatus run_center(const FbCall *call, FbError *err)
{
    (void)err;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    FbStridedCopy copy = {.bits = fb_dtype_bits(in->dtype), .rank = in->rank};
    int64_t from = 0, to = 0;
    fb_row_major_strides(in->dims, in->rank, copy.from_stride);
    fb_row_major_strides(out->dims, out->rank, copy.to_stride);
    for (int i = 0; i < in->rank; i++) {
        int64_t difference = out->dims[i] - in->dims[i]; /* the smaller half comes first */
        copy.dims[i] = difference > 0 ? in->dims[i] : out->dims[i];
        to += difference > 0 ? difference / 2 * copy.to_stride[i] : 0;
        from += difference < 0 ? -difference / 2 * copy.from_stride[i] : 0;
    }
    memset(out->data, 0, out->bytes);
    fb_strided_copy(call->context, &copy, in->data, from, out->data, to);
    return FB_OK;
}

static const char *const slice_attributes[] = {"starts", "ends", "axes", NULL};
static const char *const center_attributes[] = {"axes", NULL};

static const FbOp rows[] = {
    {.name = "Slice", .domain = "", .summary = "every step-th element of a range, per axis", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 5, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SliceParams), .flags = FB_OP_MOVES_DATA,
     .attributes = slice_attributes, .decode = decode_slice, .infer = infer_slice, .run = run_slice, .channels_last = slice_channels_last},
    {.name = "CenterCropPad", .domain = "", .summary = "crops or pads with zeros around the centre", .since = 18, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CenterParams),
     .attributes = center_attributes, .decode = decode_center, .infer = infer_center, .run = run_center},
};
const FbOpFamily fb_ops_slice = {rows, sizeof rows / sizeof rows[0]};
