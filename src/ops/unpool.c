/* Putting values back where windows were: MaxUnpool, Col2Im. */
#include <string.h>

#include "ops/index_check.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

typedef struct UnpoolParams {
    FbIntList kernel, strides, pads, dilations;
} UnpoolParams;

static FbStatus check_list(const FbIntList *list, const char *name, int64_t low, FbError *err)
{
    for (int i = 0; i < list->count; i++) {
        if (list->items[i] < low || list->items[i] > INT32_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has the number %lld", name, (long long)list->items[i]);
        }
    }
    return FB_OK;
}

static FbStatus decode_windows(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    UnpoolParams *p = params;
    FB_TRY(fb_list_from_attribute(node, "kernel_shape", &p->kernel, err));
    FB_TRY(fb_list_from_attribute(node, "strides", &p->strides, err));
    FB_TRY(fb_list_from_attribute(node, "pads", &p->pads, err));
    FB_TRY(fb_list_from_attribute(node, "dilations", &p->dilations, err));
    FB_TRY(check_list(&p->kernel, "kernel_shape", 1, err));
    FB_TRY(check_list(&p->strides, "strides", 1, err));
    FB_TRY(check_list(&p->pads, "pads", 0, err));
    return check_list(&p->dilations, "dilations", 1, err);
}

static FbStatus check_counts(const UnpoolParams *p, int axes, FbError *err)
{
    if ((p->strides.known && p->strides.count != axes) || (p->pads.known && p->pads.count != 2 * axes) ||
        (p->dilations.known && p->dilations.count != axes)) {
        return fb_error_set(err, FB_ERR_FORMAT, "'strides', 'pads' or 'dilations' do not fit %d axes", axes);
    }
    return FB_OK;
}

static int64_t stride_of(const UnpoolParams *p, int i) { return p->strides.known ? p->strides.items[i] : 1; }
static int64_t dilation_of(const UnpoolParams *p, int i) { return p->dilations.known ? p->dilations.items[i] : 1; }
static int64_t pad_of(const UnpoolParams *p, int i) { return p->pads.known ? p->pads.items[i] : 0; }

/* ---- MaxUnpool ---- */

/* The shape that pooling started from; the indices count in it. */
static FbStatus unpooled_shape(const UnpoolParams *p, const FbShape *x, FbShape *shape, FbError *err)
{
    int axes = x->rank - 2;
    if (p->kernel.count != axes) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'kernel_shape' has %d numbers for %d axes", p->kernel.count, axes);
    }
    FB_TRY(check_counts(p, axes, err));
    *shape = *x;
    for (int i = 0; i < axes; i++) {
        int64_t dim = x->dims[2 + i];
        if (dim < 0 || dim > INT32_MAX) {
            shape->dims[2 + i] = FB_DIM_UNKNOWN;
            continue;
        }
        int64_t out = (dim - 1) * stride_of(p, i) + p->kernel.items[i] - pad_of(p, i) - pad_of(p, axes + i);
        if (out < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "the pads are larger than axis %d", 2 + i);
        }
        shape->dims[2 + i] = out;
    }
    return FB_OK;
}

static FbStatus infer_unpool(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList given;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_S64), err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(x->rank);
    FB_TRY(fb_list_from_infer(infer, 2, "input 'output_shape'", &given, err));
    if (x->rank < 0) {
        return FB_OK;
    }
    FB_TRY(fb_check_rank(infer, 1, x->rank, x->rank, err));
    for (int i = 0; indices->rank == x->rank && i < x->rank; i++) {
        if (x->dims[i] >= 0 && indices->dims[i] >= 0 && x->dims[i] != indices->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d is %lld in the input and %lld in the indices", i, (long long)x->dims[i],
                                (long long)indices->dims[i]);
        }
    }
    FbShape natural;
    FB_TRY(unpooled_shape(infer->params, x, &natural, err));
    if (fb_infer_has(infer, 2) && !given.known) {
        return FB_OK;
    }
    *out = natural;
    if (given.known && given.count != x->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "input 'output_shape' has %d numbers for rank %d", given.count, x->rank);
    }
    for (int i = 0; given.known && i < x->rank; i++) {
        if (given.items[i] < 0 || (i < 2 && x->dims[i] >= 0 && given.items[i] != x->dims[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'output_shape' has the number %lld for axis %d", (long long)given.items[i], i);
        }
        out->dims[i] = given.items[i];
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

/* An index counts in the natural shape; a given output shape keeps the place in it, and drops what lies beyond. */
static FbStatus run_unpool(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0];
    FbTensor *out = call->outputs[0];
    FbShape shape = fb_tensor_shape(x), natural;
    int64_t count = fb_tensor_elements(x), strides[FB_RANK_MAX];
    FB_TRY(unpooled_shape(call->params, &shape, &natural, err));
    int64_t limit = fb_shape_elements(&natural);
    for (int64_t i = 0; i < count; i++) {
        int64_t index = fb_index_at(call->inputs[1], i);
        if (index < 0 || index >= limit) {
            return fb_error_set(err, FB_ERR_FORMAT, "index %lld at position %lld is outside of [0, %lld]", (long long)index, (long long)i,
                                (long long)limit - 1);
        }
    }
    if (!out || !out->bytes) {
        return FB_OK;
    }
    memset(out->data, 0, out->bytes);
    fb_row_major_strides(out->dims, out->rank, strides);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = fb_index_at(call->inputs[1], i), to = 0;
        bool inside = true;
        for (int d = out->rank - 1; d >= 0; d--) {
            int64_t at = rest % natural.dims[d];
            rest /= natural.dims[d];
            inside = inside && at < out->dims[d];
            to += at * strides[d];
        }
        if (inside) {
            fb_copy_elements(fb_dtype_bits(x->dtype), x->data, i, out->data, to, 1);
        }
    }
    return FB_OK;
}

/* ---- Col2Im ---- */

typedef struct ColumnSizes {
    int axes;
    int64_t image[FB_RANK_MAX], block[FB_RANK_MAX], places[FB_RANK_MAX]; /* places: blocks along each axis */
    int64_t block_size, place_count;
} ColumnSizes;

static FbStatus column_sizes(const UnpoolParams *p, const FbIntList *image, const FbIntList *block, ColumnSizes *s, FbError *err)
{
    if (image->count != block->count || image->count < 1 || image->count > FB_RANK_MAX - 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "an image of %d axes with blocks of %d", image->count, block->count);
    }
    *s = (ColumnSizes){.axes = image->count, .block_size = 1, .place_count = 1};
    FB_TRY(check_counts(p, s->axes, err));
    for (int i = 0; i < s->axes; i++) {
        s->image[i] = image->items[i];
        s->block[i] = block->items[i];
        if (s->image[i] < 1 || s->block[i] < 1 || s->image[i] > INT32_MAX || s->block[i] > INT32_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d has size %lld and blocks of %lld", i, (long long)s->image[i], (long long)s->block[i]);
        }
        int64_t room = s->image[i] + pad_of(p, i) + pad_of(p, s->axes + i) - dilation_of(p, i) * (s->block[i] - 1) - 1;
        s->places[i] = room < 0 ? 0 : room / stride_of(p, i) + 1;
        if (s->block_size > INT32_MAX / s->block[i] || (s->places[i] && s->place_count > INT64_MAX / 64 / s->places[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "the blocks are too large");
        }
        s->block_size *= s->block[i];
        s->place_count *= s->places[i];
    }
    return FB_OK;
}

static FbStatus infer_columns(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList image, block;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    FB_TRY(fb_list_from_infer(infer, 1, "input 'image_shape'", &image, err));
    FB_TRY(fb_list_from_infer(infer, 2, "input 'block_shape'", &block, err));
    if (!image.known || !block.known || x->rank < 0) {
        return FB_OK;
    }
    ColumnSizes s;
    FB_TRY(column_sizes(infer->params, &image, &block, &s, err));
    if ((x->dims[1] >= 0 && x->dims[1] % s.block_size != 0) || (x->dims[2] >= 0 && x->dims[2] != s.place_count)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld x %lld columns for blocks of %lld elements at %lld places", (long long)x->dims[1],
                            (long long)x->dims[2], (long long)s.block_size, (long long)s.place_count);
    }
    out->rank = 2 + s.axes;
    out->dims[0] = x->dims[0];
    out->dims[1] = x->dims[1] < 0 ? FB_DIM_UNKNOWN : x->dims[1] / s.block_size;
    memcpy(out->dims + 2, s.image, (size_t)s.axes * sizeof s.image[0]);
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

/* Where element `b` of the block at place `l` lies in the image; -1: in the padding. */
static int64_t image_place(const UnpoolParams *p, const ColumnSizes *s, int64_t b, int64_t l)
{
    int64_t to = 0, stride = 1;
    for (int i = s->axes - 1; i >= 0; i--) {
        int64_t at = l % s->places[i] * stride_of(p, i) + b % s->block[i] * dilation_of(p, i) - pad_of(p, i);
        l /= s->places[i];
        b /= s->block[i];
        if (at < 0 || at >= s->image[i]) {
            return -1;
        }
        to += at * stride;
        stride *= s->image[i];
    }
    return to;
}

static FbStatus run_columns(const FbCall *call, FbError *err)
{
    const UnpoolParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    FbTensor *out = call->outputs[0];
    FbIntList image, block;
    ColumnSizes s;
    FB_TRY(fb_list_from_tensor(call->inputs[1], "input 'image_shape'", &image, err));
    FB_TRY(fb_list_from_tensor(call->inputs[2], "input 'block_shape'", &block, err));
    FB_TRY(column_sizes(p, &image, &block, &s, err));
    if (!out || !out->bytes) {
        return FB_OK;
    }
    memset(out->data, 0, out->bytes);
    int64_t planes = out->dims[0] * out->dims[1], size = fb_tensor_elements(out) / planes;
    for (int64_t b = 0; b < s.block_size; b++) {
        for (int64_t l = 0; l < s.place_count; l++) {
            int64_t to = image_place(p, &s, b, l);
            for (int64_t n = 0; to >= 0 && n < planes; n++) {
                ((float *)out->data)[n * size + to] += ((const float *)x->data)[(n * s.block_size + b) * s.place_count + l];
            }
        }
    }
    return FB_OK;
}

static const char *const unpool_attributes[] = {"kernel_shape", "pads", "strides", NULL};
static const char *const column_attributes[] = {"dilations", "pads", "strides", NULL};

static const FbOp rows[] = {
    {.name = "MaxUnpool", .domain = "", .summary = "puts values where max-pooling took them from", .since = 9, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(UnpoolParams),
     .attributes = unpool_attributes, .decode = decode_windows, .infer = infer_unpool, .run = run_unpool},
    {.name = "Col2Im", .domain = "", .summary = "sums overlapping blocks into an image", .since = 18, .newest = FB_OPSET_NEWEST, .min_inputs = 3,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(UnpoolParams), .attributes = column_attributes,
     .decode = decode_windows, .infer = infer_columns, .run = run_columns},
};
const FbOpFamily fb_ops_unpool = {rows, sizeof rows / sizeof rows[0]};
