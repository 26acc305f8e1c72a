/* Operators that give the same bytes another shape: Reshape, Flatten, Squeeze, Unsqueeze. */
#include <string.h>

#include "base/checked.h"
#include "ops/shape_util.h"
#include "ops/table.h"

typedef struct ReshapeParams {
    FbIntList list;      /* Reshape-1 shape; Squeeze, Unsqueeze axes; known only when the attribute form is used */
    bool from_attribute; /* the list is not an input */
    bool allow_zero;
    int64_t axis;        /* Flatten */
} ReshapeParams;

static FbStatus run_view(const FbCall *call, FbError *err)
{
    (void)err;
    FbTensor *to = call->outputs[0];
    if (to && to->bytes && to->data != call->inputs[0]->data) {
        memmove(to->data, call->inputs[0]->data, to->bytes);
    }
    return FB_OK;
}

/* ---- Reshape ---- */

static FbStatus decode_reshape(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    ReshapeParams *p = params;
    FB_TRY(fb_attr_bool(node, "allowzero", false, &p->allow_zero, err));
    p->from_attribute = node->version < 5;
    if (p->from_attribute) {
        return fb_list_from_attribute(node, "shape", &p->list, err);
    }
    return node->input_count < 2 || node->inputs[1] == FB_NONE ? fb_error_set(err, FB_ERR_FORMAT, "Reshape lacks its input 'shape'") : FB_OK;
}

/* The dimension that -1 stands for: what is left of the input after equal symbols were crossed out; FB_DIM_UNKNOWN when open. */
static FbStatus remaining_dim(const FbShape *in, const FbShape *out, int hole, int64_t *dim, FbError *err)
{
    bool used[FB_RANK_MAX] = {false};
    int64_t known_in = 1, known_out = 1, symbol = 0;
    int symbols = 0;
    *dim = FB_DIM_UNKNOWN;
    for (int i = 0; i < out->rank; i++) {
        if (i == hole) {
            continue;
        }
        if (out->dims[i] >= 0) {
            known_out *= out->dims[i]; /* no overflow: checked by the caller against the same dimensions */
            continue;
        }
        int j = 0;
        while (j < in->rank && (used[j] || in->dims[j] != out->dims[i] || in->dims[j] == FB_DIM_UNKNOWN)) {
            j++;
        }
        if (j == in->rank) {
            return FB_OK;
        }
        used[j] = true;
    }
    for (int i = 0; i < in->rank; i++) {
        if (used[i]) {
            continue;
        }
        if (in->dims[i] > 0 && known_in > INT64_MAX / in->dims[i]) {
            return FB_OK; /* declared sizes that no tensor can have: left to bind */
        }
        if (in->dims[i] >= 0) {
            known_in *= in->dims[i];
        } else {
            symbols++;
            symbol = in->dims[i];
        }
    }
    if (symbols == 1 && known_in == known_out) {
        *dim = symbol;
    }
    if (symbols != 0) {
        return FB_OK;
    }
    if (known_out == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "shape has a -1 beside a dimension of 0: the missing size cannot be told");
    }
    if (known_in % known_out != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld elements cannot be divided into rows of %lld", (long long)known_in, (long long)known_out);
    }
    *dim = known_in / known_out;
    return FB_OK;
}

static FbStatus check_elements(const FbShape *in, const FbShape *out, FbError *err)
{
    if (!fb_shape_is_known(in) || !fb_shape_is_known(out) || fb_shape_elements(in) == fb_shape_elements(out)) {
        return FB_OK;
    }
    char in_text[96], out_text[96];
    fb_shape_text(in, in_text, sizeof in_text);
    fb_shape_text(out, out_text, sizeof out_text);
    return fb_error_set(err, FB_ERR_FORMAT, "shape %s cannot become %s: the element counts differ", in_text, out_text);
}

/* 0 copies the input's dimension unless allow_zero; *hole is the place of -1, or -1. */
static FbStatus requested_shape(const ReshapeParams *p, const FbIntList *list, const FbShape *in, FbShape *out, int *hole, FbError *err)
{
    int64_t product;
    FbShape known = {.rank = 0};
    *hole = -1;
    out->rank = list->count;
    for (int i = 0; i < list->count; i++) {
        int64_t dim = list->items[i];
        if (dim == -1 && *hole >= 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "shape has more than one -1");
        }
        if (dim < -1) {
            return fb_error_set(err, FB_ERR_FORMAT, "shape has the dimension %lld", (long long)dim);
        }
        if (dim == -1) {
            *hole = i;
        } else if (dim == 0 && !p->allow_zero) {
            if (in->rank >= 0 && i >= in->rank) {
                return fb_error_set(err, FB_ERR_FORMAT, "shape copies dimension %d of a tensor of rank %d", i, in->rank);
            }
            dim = in->rank >= 0 ? in->dims[i] : FB_DIM_UNKNOWN;
        }
        out->dims[i] = dim;
        if (dim >= 0) {
            known.dims[known.rank++] = dim;
        }
    }
    return fb_product_dims(known.dims, known.rank, &product) ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "shape describes too many elements");
}

static FbStatus infer_reshape(FbInfer *infer, FbError *err)
{
    const ReshapeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList list = p->list;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_infer(infer, 1, "input 'shape'", &list, err));
        if (!list.known) {
            const FbShape *shape = &infer->inputs[1].shape;
            if (shape->rank == 1 && shape->dims[0] >= 0 && shape->dims[0] <= FB_RANK_MAX) {
                *out = fb_shape_unknown((int)shape->dims[0]);
            }
            return FB_OK;
        }
    }
    if (list.count > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Reshape to rank %d; fewbit's limit is %d", list.count, FB_RANK_MAX);
    }
    int hole;
    FB_TRY(requested_shape(p, &list, in, out, &hole, err));
    if (hole >= 0) {
        out->dims[hole] = FB_DIM_UNKNOWN;
        if (in->rank >= 0) {
            FB_TRY(remaining_dim(in, out, hole, &out->dims[hole], err));
        }
    }
    return check_elements(in, out, err);
}

/* ---- Flatten ---- */

static FbStatus decode_flatten(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_attr_int(node, "axis", 1, &((ReshapeParams *)params)->axis, err);
}

/* The product of a run of dimensions; a lone symbol stays itself. */
static int64_t joined_dims(const FbShape *in, int begin, int end)
{
    int64_t product = 1, symbol = 0;
    for (int i = begin; i < end; i++) {
        int64_t dim = in->dims[i];
        if (dim == 0) {
            return 0;
        }
        if (dim < 0) {
            if (symbol) {
                return FB_DIM_UNKNOWN;
            }
            symbol = dim;
        } else if (product > INT64_MAX / dim) {
            return FB_DIM_UNKNOWN;
        } else {
            product *= dim;
        }
    }
    return !symbol ? product : product == 1 ? symbol : FB_DIM_UNKNOWN;
}

static FbStatus infer_flatten(FbInfer *infer, FbError *err)
{
    const ReshapeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(2);
    if (in->rank < 0) {
        return FB_OK;
    }
    int axis = in->rank;
    if (p->axis != in->rank) { /* axis == rank is allowed here */
        FB_TRY(fb_axis_normalize(p->axis, in->rank, &axis, err));
    }
    out->dims[0] = joined_dims(in, 0, axis);
    out->dims[1] = joined_dims(in, axis, in->rank);
    return FB_OK;
}

/* ---- Squeeze, Unsqueeze ---- */

static FbStatus decode_axes(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    ReshapeParams *p = params;
    p->from_attribute = node->version < 13;
    if (!p->from_attribute) {
        return FB_OK;
    }
    if (node->input_count > 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s takes its axes as an attribute in operator set %d", node->op_type, node->version);
    }
    return fb_list_from_attribute(node, "axes", &p->list, err);
}

static FbStatus infer_squeeze(FbInfer *infer, FbError *err)
{
    const ReshapeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList list = p->list;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    bool has_axes = p->from_attribute ? list.known : fb_infer_has(infer, 1);
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_infer(infer, 1, "input 'axes'", &list, err));
    }
    if (in->rank < 0 || (has_axes && !list.known)) {
        return FB_OK;
    }
    unsigned mask = 0;
    if (has_axes) {
        FB_TRY(fb_axes_mask(&list, in->rank, &mask, err));
    } else if (!fb_shape_is_known(in)) {
        return FB_OK; /* every dimension of 1 goes: an open one may be 1 */
    }
    int rank = 0;
    for (int i = 0; i < in->rank; i++) {
        bool drop = has_axes ? (mask >> i & 1U) != 0 : in->dims[i] == 1;
        if (drop && in->dims[i] >= 0 && in->dims[i] != 1) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d cannot be squeezed: its size is %lld", i, (long long)in->dims[i]);
        }
        if (!drop) {
            out->dims[rank++] = in->dims[i];
        }
    }
    out->rank = rank;
    return FB_OK;
}

static FbStatus infer_unsqueeze(FbInfer *infer, FbError *err)
{
    const ReshapeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList list = p->list;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    if (!p->from_attribute) {
        if (!fb_infer_has(infer, 1)) {
            return fb_error_set(err, FB_ERR_FORMAT, "Unsqueeze lacks its input 'axes'");
        }
        FB_TRY(fb_list_from_infer(infer, 1, "input 'axes'", &list, err));
        if (!list.known) {
            return FB_OK;
        }
    }
    if (in->rank < 0) {
        return FB_OK;
    }
    int rank = in->rank + list.count;
    if (rank > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Unsqueeze makes a tensor of rank %d; fewbit's limit is %d", rank, FB_RANK_MAX);
    }
    unsigned mask;
    FB_TRY(fb_axes_mask(&list, rank, &mask, err));
    for (int i = 0, from = 0; i < rank; i++) {
        out->dims[i] = mask >> i & 1U ? 1 : in->dims[from++];
    }
    out->rank = rank;
    return FB_OK;
}

static const char *const reshape_attributes[] = {"allowzero", "shape", NULL};
static const char *const flatten_attributes[] = {"axis", NULL};
static const char *const axes_attributes[] = {"axes", NULL};

static const FbOp rows[] = {
    {.name = "Reshape", .domain = "", .summary = "the same elements in another shape", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReshapeParams), .flags = FB_OP_VIEW | FB_OP_MOVES_DATA,
     .attributes = reshape_attributes, .decode = decode_reshape, .infer = infer_reshape, .run = run_view},
    {.name = "Flatten", .domain = "", .summary = "a matrix of the dimensions before and after an axis", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReshapeParams),
     .flags = FB_OP_VIEW | FB_OP_MOVES_DATA, .attributes = flatten_attributes, .decode = decode_flatten, .infer = infer_flatten,
     .run = run_view},
    {.name = "Squeeze", .domain = "", .summary = "drops dimensions of size 1", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReshapeParams), .flags = FB_OP_VIEW | FB_OP_MOVES_DATA,
     .attributes = axes_attributes, .decode = decode_axes, .infer = infer_squeeze, .run = run_view},
    {.name = "Unsqueeze", .domain = "", .summary = "inserts dimensions of size 1", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(ReshapeParams), .flags = FB_OP_VIEW | FB_OP_MOVES_DATA,
     .attributes = axes_attributes, .decode = decode_axes, .infer = infer_unsqueeze, .run = run_view},
};
const FbOpFamily fb_ops_reshape = {rows, sizeof rows / sizeof rows[0]};
