/* Operators that permute elements: Transpose, DepthToSpace, SpaceToDepth. All are one strided copy. */
#include <string.h>

#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

/* ---- Transpose ---- */

typedef struct TransposeParams { FbIntList perm; } TransposeParams;

static FbStatus decode_transpose(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    TransposeParams *p = params;
    FB_TRY(fb_list_from_attribute(node, "perm", &p->perm, err));
    return p->perm.known ? fb_axes_normalize(&p->perm, p->perm.count, err) : FB_OK;
}

static int permuted(const TransposeParams *p, int rank, int i) { return p->perm.known ? (int)p->perm.items[i] : rank - 1 - i; }

static FbStatus infer_transpose(FbInfer *infer, FbError *err)
{
    const TransposeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    if (in->rank < 0) {
        if (p->perm.known && p->perm.count <= FB_RANK_MAX) {
            *out = fb_shape_unknown(p->perm.count);
        }
        return FB_OK;
    }
    if (p->perm.known && p->perm.count != in->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'perm' has %d axes for a tensor of rank %d", p->perm.count, in->rank);
    }
    out->rank = in->rank;
    for (int i = 0; i < in->rank; i++) {
        out->dims[i] = in->dims[permuted(p, in->rank, i)];
    }
    return FB_OK;
}

static FbStatus run_transpose(const FbCall *call, FbError *err)
{
    (void)err;
    const TransposeParams *p = call->params;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    FbStridedCopy copy = {.bits = fb_dtype_bits(in->dtype), .rank = in->rank};
    int64_t strides[FB_RANK_MAX];
    fb_row_major_strides(in->dims, in->rank, strides);
    fb_row_major_strides(out->dims, out->rank, copy.to_stride);
    for (int i = 0; i < in->rank; i++) {
        copy.dims[i] = out->dims[i];
        copy.from_stride[i] = strides[permuted(p, in->rank, i)];
    }
    if (copy.bits < 8) {
        memset(out->data, 0, out->bytes);
    }
    fb_strided_copy(call->context, &copy, in->data, 0, out->data, 0);
    return FB_OK;
}

/* ---- DepthToSpace, SpaceToDepth ---- */

typedef struct BlockParams {
    int64_t block;
    bool to_space, crd; /* CRD: the channel is the slowest part of the depth */
    bool last;          /* channels last in memory */
} BlockParams;

static FbStatus decode_block(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    BlockParams *p = params;
    const char *mode;
    p->to_space = node->op_type[0] == 'D';
    FB_TRY(fb_attr_required_int(node, "blocksize", &p->block, err));
    FB_TRY(fb_attr_string(node, "mode", "DCR", &mode, err));
    p->crd = strcmp(mode, "CRD") == 0;
    if (p->block < 1 || p->block > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'blocksize' is %lld, expected a positive number", (long long)p->block);
    }
    if ((!p->crd && strcmp(mode, "DCR") != 0) || (p->crd && !p->to_space)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'mode' is '%s', expected DCR%s", mode, p->to_space ? " or CRD" : "");
    }
    return FB_OK;
}

static FbStatus divided(int64_t dim, int64_t by, const char *what, int64_t *out, FbError *err)
{
    if (dim >= 0 && dim % by != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s %lld cannot be divided by %lld", what, (long long)dim, (long long)by);
    }
    *out = dim < 0 ? FB_DIM_UNKNOWN : dim / by;
    return FB_OK;
}

static int64_t multiplied(int64_t dim, int64_t by) { return dim < 0 || dim > INT64_MAX / by ? FB_DIM_UNKNOWN : dim * by; }

static FbStatus infer_block(FbInfer *infer, FbError *err)
{
    const BlockParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    FB_TRY(fb_check_rank(infer, 0, 4, 4, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(4);
    if (in->rank < 0) {
        return FB_OK;
    }
    out->dims[0] = in->dims[0];
    if (p->to_space) {
        FB_TRY(divided(in->dims[1], p->block * p->block, "the number of channels", &out->dims[1], err));
        out->dims[2] = multiplied(in->dims[2], p->block);
        out->dims[3] = multiplied(in->dims[3], p->block);
    } else {
        FB_TRY(divided(in->dims[2], p->block, "the height", &out->dims[2], err));
        FB_TRY(divided(in->dims[3], p->block, "the width", &out->dims[3], err));
        out->dims[1] = multiplied(in->dims[1], p->block * p->block);
    }
    return FB_OK;
}

static FbStatus run_block(const FbCall *call, FbError *err)
{
    (void)err;
    const BlockParams *p = call->params;
    const FbTensor *deep = p->to_space ? call->inputs[0] : call->outputs[0], *wide = p->to_space ? call->outputs[0] : call->inputs[0];
    if (!deep || !wide || !wide->bytes) {
        return FB_OK;
    }
    bool last = p->last || call->channels_last;
    int64_t b = p->block, ds[4], ws[4];
    int c = last ? 3 : 1, h = last ? 1 : 2, w = last ? 2 : 3;
    fb_row_major_strides(deep->dims, 4, ds);
    fb_row_major_strides(wide->dims, 4, ws);
    int64_t channels = wide->dims[c];
    /* index (n, channel, y, block row, x, block column) on both sides */
    const int64_t dims[6] = {deep->dims[0], channels, deep->dims[h], b, deep->dims[w], b};
    const int64_t in_deep[6] = {ds[0], ds[c] * (p->crd ? b * b : 1), ds[h], ds[c] * (p->crd ? b : b * channels), ds[w],
                                ds[c] * (p->crd ? 1 : channels)};
    const int64_t in_wide[6] = {ws[0], ws[c], ws[h] * b, ws[h], ws[w] * b, ws[w]};
    FbStridedCopy copy = {.bits = fb_dtype_bits(wide->dtype), .rank = 6};
    memcpy(copy.dims, dims, sizeof dims);
    memcpy(copy.from_stride, p->to_space ? in_deep : in_wide, sizeof in_deep);
    memcpy(copy.to_stride, p->to_space ? in_wide : in_deep, sizeof in_wide);
    FbTensor *out = call->outputs[0];
    if (copy.bits < 8) {
        memset(out->data, 0, out->bytes);
    }
    fb_strided_copy(call->context, &copy, call->inputs[0]->data, 0, out->data, 0);
    return FB_OK;
}

static bool block_channels_last(void *params, int rank)
{
    ((BlockParams *)params)->last = rank == 4;
    return rank == 4;
}

static const char *const transpose_attributes[] = {"perm", NULL};
static const char *const block_attributes[] = {"blocksize", "mode", NULL};

static const FbOp rows[] = {
    {.name = "Transpose", .domain = "", .summary = "permutes the axes", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(TransposeParams), .flags = FB_OP_MOVES_DATA, .attributes = transpose_attributes,
     .decode = decode_transpose, .infer = infer_transpose, .run = run_transpose},
    {.name = "DepthToSpace", .domain = "", .summary = "channels become blocks of pixels", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(BlockParams), .flags = FB_OP_MOVES_DATA,
     .attributes = block_attributes, .decode = decode_block, .infer = infer_block, .run = run_block, .channels_last = block_channels_last},
    {.name = "SpaceToDepth", .domain = "", .summary = "blocks of pixels become channels", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(BlockParams), .flags = FB_OP_MOVES_DATA,
     .attributes = block_attributes, .decode = decode_block, .infer = infer_block, .run = run_block, .channels_last = block_channels_last},
};
const FbOpFamily fb_ops_transpose = {rows, sizeof rows / sizeof rows[0]};
