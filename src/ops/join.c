/* Joining and cutting along an axis: Concat, Split. */
#include <string.h>

#include "ops/codes_concat.h"
#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

typedef struct JoinParams {
    int64_t axis;
    bool last;               /* channels last in memory */
    int64_t *sizes;          /* Split's attribute, or NULL */
    size_t size_count;
    int64_t parts;           /* Split: num_outputs, 0: not given */
} JoinParams;

static bool join_channels_last(void *params, int rank)
{
    (void)rank;
    ((JoinParams *)params)->last = true;
    return true;
}

/* Of a tensor whose rows may be those of a window, `row` elements apart; 0: side by side. */
static void window_strides(const FbTensor *tensor, size_t row, int64_t *strides)
{
    int64_t dims[FB_RANK_MAX];
    memcpy(dims, tensor->dims, sizeof dims);
    if (row != 0) {
        dims[tensor->rank - 1] = (int64_t)row;
    }
    fb_row_major_strides(dims, tensor->rank, strides);
}

/* A whole tensor `part` goes to, or comes from, the range that begins at `offset` along `axis` of `whole`; where it is there already, nothing is
 * done. Elements from row to row as window_strides says. */
static void copy_range(FbContext *context, const FbTensor *part, size_t part_row, const FbTensor *whole, size_t whole_row, int axis,
                       int64_t offset, bool to_whole)
{
    FbStridedCopy copy = {.bits = fb_dtype_bits(part->dtype), .rank = part->rank};
    memcpy(copy.dims, part->dims, (size_t)part->rank * sizeof part->dims[0]);
    int64_t *whole_stride = to_whole ? copy.to_stride : copy.from_stride;
    window_strides(whole, whole_row, whole_stride);
    window_strides(part, part_row, to_whole ? copy.from_stride : copy.to_stride);
    int64_t first = offset * whole_stride[axis];
    if (copy.bits >= 8 && (const char *)part->data == (const char *)whole->data + first * (copy.bits / 8)) {
        return;
    }
    if (to_whole) {
        fb_strided_copy(context, &copy, part->data, 0, whole->data, first);
    } else {
        fb_strided_copy(context, &copy, whole->data, first, part->data, 0);
    }
}

/* Along the last axis in memory, and along others. */
static bool join_strided(const FbCall *call, int i)
{
    (void)call;
    (void)i;
    return true;
}

/* ---- Concat ---- */

static FbStatus decode_concat(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    JoinParams *p = params;
    if (node->version < 4) {
        return fb_attr_int(node, "axis", 1, &p->axis, err);
    }
    return fb_attr_required_int(node, "axis", &p->axis, err);
}

/* Dimension `i` of the inputs must agree; the known size wins over a symbol, a symbol over unknown. */
static FbStatus agree(int64_t *dim, int64_t other, int i, int input, FbError *err)
{
    if (*dim >= 0 && other >= 0 && *dim != other) {
        return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of input %d is %lld, of the inputs before it %lld", i, input, (long long)other,
                            (long long)*dim);
    }
    if (*dim < 0 && (other >= 0 || *dim == FB_DIM_UNKNOWN)) {
        *dim = other;
    }
    return FB_OK;
}

static FbStatus infer_concat(FbInfer *infer, FbError *err)
{
    const JoinParams *p = infer->params;
    FbShape out = {.rank = -1};
    int64_t sum = 0;
    bool open = false;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    for (int i = 0; i < infer->input_count; i++) {
        if (!fb_infer_has(infer, i)) {
            return fb_error_set(err, FB_ERR_FORMAT, "input %d of Concat is missing", i);
        }
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK_ALL, err));
        FB_TRY(fb_check_same_dtype(infer, 0, i, err));
        const FbShape *in = &infer->inputs[i].shape;
        if (infer->outputs[0].dtype == FB_DTYPE_NONE) {
            infer->outputs[0].dtype = infer->inputs[i].dtype;
        }
        if (in->rank < 0) {
            open = true;
            continue;
        }
        int axis;
        FB_TRY(fb_axis_normalize(p->axis, in->rank, &axis, err));
        if (out.rank < 0) {
            out = fb_shape_unknown(in->rank);
        }
        if (in->rank != out.rank) {
            return fb_error_set(err, FB_ERR_FORMAT, "input %d has rank %d, the inputs before it %d", i, in->rank, out.rank);
        }
        for (int d = 0; d < in->rank; d++) {
            if (d != axis) {
                FB_TRY(agree(&out.dims[d], in->dims[d], d, i, err));
            }
        }
        open = open || in->dims[axis] < 0;
        if (!open && in->dims[axis] > INT64_MAX - sum) {
            return fb_error_set(err, FB_ERR_FORMAT, "the joined dimension is too large");
        }
        sum += open ? 0 : in->dims[axis];
        out.dims[axis] = open ? FB_DIM_UNKNOWN : sum;
    }
    if (infer->input_count == 1) {
        out = infer->inputs[0].shape; /* keeps a symbol */
    } else if (out.rank >= 0 && open) {
        int axis;
        FB_TRY(fb_axis_normalize(p->axis, out.rank, &axis, err));
        out.dims[axis] = FB_DIM_UNKNOWN;
    }
    infer->outputs[0].shape = out;
    return FB_OK;
}

FbStatus fb_join_axis(const void *params, int rank, bool channels_last, int *axis, FbError *err)
{
    const JoinParams *p = params;
    FB_TRY(fb_axis_normalize(p->axis, rank, axis, err));
    *axis = fb_physical_axis(*axis, rank, p->last || channels_last);
    return FB_OK;
}

static FbStatus run_concat(const FbCall *call, FbError *err)
{
    FbTensor *out = call->outputs[0];
    int axis;
    if (!out || !out->bytes) {
        return FB_OK;
    }
    FB_TRY(fb_join_axis(call->params, out->rank, call->channels_last, &axis, err));
    if (fb_dtype_bits(out->dtype) < 8) {
        memset(out->data, 0, out->bytes);
    }
    int64_t offset = 0;
    for (int i = 0; i < call->input_count; i++) {
        copy_range(call->context, call->inputs[i], fb_call_stride(call, i, 0), out, call->output_stride, axis, offset, true);
        offset += call->inputs[i]->dims[axis];
    }
    return FB_OK;
}

/* ---- Split ---- */

static FbStatus decode_split(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    JoinParams *p = params;
    FB_TRY(fb_attr_int(node, "axis", 0, &p->axis, err));
    FB_TRY(fb_attr_int(node, "num_outputs", 0, &p->parts, err));
    FB_TRY(fb_ints_copy(node, "split", arena, &p->sizes, &p->size_count, err));
    if (node->version >= 13 && p->sizes) {
        return fb_error_set(err, FB_ERR_FORMAT, "'split' is an input, not an attribute, in operator set %d", node->version);
    }
    if (node->version < 13 && node->version >= 2 && node->input_count > 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "'split' is an attribute, not an input, in operator set %d", node->version);
    }
    if (p->parts < 0 || (p->parts && p->parts != (int64_t)node->output_count)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'num_outputs' is %lld, the node has %u outputs", (long long)p->parts,
                            node->output_count);
    }
    return FB_OK;
}

/* Size i of the given list must fit in what the sizes before it left of the axis. */
static FbStatus infer_given_sizes(FbInfer *infer, const FbTensor *value, int64_t dim, int axis, FbError *err)
{
    const JoinParams *p = infer->params;
    int64_t count = value ? fb_tensor_elements(value) : (int64_t)p->size_count, sum = 0;
    if (count != infer->output_count) {
        return fb_error_set(err, FB_ERR_FORMAT, "'split' has %lld sizes for %d outputs", (long long)count, infer->output_count);
    }
    for (int i = 0; i < infer->output_count; i++) {
        int64_t size = value ? fb_tensor_int(value, i) : p->sizes[i];
        if (size < 0 || size > INT64_MAX - sum) {
            return fb_error_set(err, FB_ERR_FORMAT, "'split' has the size %lld", (long long)size);
        }
        sum += size;
        infer->outputs[i].shape.dims[axis] = size;
    }
    if (dim >= 0 && sum != dim) {
        return fb_error_set(err, FB_ERR_FORMAT, "'split' sums up to %lld, the axis has %lld", (long long)sum, (long long)dim);
    }
    return FB_OK;
}

static FbStatus infer_equal_sizes(FbInfer *infer, int64_t dim, int axis, FbError *err)
{
    const JoinParams *p = infer->params;
    int64_t parts = infer->output_count;
    if (dim < 0) {
        return FB_OK;
    }
    if (dim % parts != 0 && !p->parts) {
        return fb_error_set(err, FB_ERR_FORMAT, "an axis of %lld cannot be split into %lld equal parts", (long long)dim, (long long)parts);
    }
    int64_t size = dim / parts + (dim % parts != 0), rest = dim;
    for (int i = 0; i < parts; i++) {
        infer->outputs[i].shape.dims[axis] = rest < size ? rest : size;
        rest -= rest < size ? rest : size;
    }
    return FB_OK;
}

static FbStatus infer_split(FbInfer *infer, FbError *err)
{
    const JoinParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 1, 1, 1, err));
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].dtype = infer->inputs[0].dtype;
        infer->outputs[i].shape = *in;
    }
    bool given = fb_infer_has(infer, 1);
    const FbTensor *value = given ? fb_infer_value(infer, 1) : NULL;
    if (in->rank < 0) {
        return FB_OK;
    }
    int axis;
    FB_TRY(fb_axis_normalize(p->axis, in->rank, &axis, err));
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].shape.dims[axis] = FB_DIM_UNKNOWN;
    }
    if (value || p->sizes) {
        return infer_given_sizes(infer, value, in->dims[axis], axis, err);
    }
    return given ? FB_OK : infer_equal_sizes(infer, in->dims[axis], axis, err);
}

/* The sizes once more, from what infer accepted: an output that nobody wants has no tensor. */
static int64_t part_size(const FbCall *call, int i, int64_t dim)
{
    const JoinParams *p = call->params;
    if (call->input_count > 1 && call->inputs[1]) {
        return fb_tensor_int(call->inputs[1], i);
    }
    return p->sizes ? p->sizes[i] : dim / call->output_count + (dim % call->output_count != 0);
}

static FbStatus run_split(const FbCall *call, FbError *err)
{
    const FbTensor *in = call->inputs[0];
    int axis;
    FB_TRY(fb_join_axis(call->params, in->rank, call->channels_last, &axis, err));
    int64_t offset = 0;
    for (int i = 0; i < call->output_count; i++) {
        FbTensor *out = call->outputs[i];
        if (out && out->bytes) {
            if (fb_dtype_bits(out->dtype) < 8) {
                memset(out->data, 0, out->bytes);
            }
            copy_range(call->context, out, i == 0 ? call->output_stride : 0, in, fb_call_stride(call, 0, 0), axis, offset, false);
        }
        offset += part_size(call, i, in->dims[axis]);
    }
    return FB_OK;
}

static const char *const concat_attributes[] = {"axis", NULL};
static const char *const split_attributes[] = {"axis", "split", "num_outputs", NULL};

static const FbOp rows[] = {
    {.name = "Concat", .domain = "", .summary = "joins tensors along an axis", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = -1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(JoinParams), .flags = FB_OP_MOVES_DATA,
     .attributes = concat_attributes, .decode = decode_concat, .infer = infer_concat, .run = run_concat, .integer = &fb_codes_concat_lowering,
     .channels_last = join_channels_last, .strided = join_strided},
    {.name = "Split", .domain = "", .summary = "cuts a tensor along an axis", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = -1, .params_bytes = sizeof(JoinParams), .flags = FB_OP_MOVES_DATA,
     .attributes = split_attributes, .decode = decode_split, .infer = infer_split, .run = run_split, .channels_last = join_channels_last,
     .strided = join_strided},
};
const FbOpFamily fb_ops_join = {rows, sizeof rows / sizeof rows[0]};
