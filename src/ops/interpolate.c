/* Resize and Upsample: meaning and shapes. The arithmetic is in interpolate_run.c. */
#include "ops/interpolate.h"

#include <math.h>
#include <string.h>

#include "ops/table.h"

static FbStatus pick(const FbNode *node, const char *attribute, const char *fallback, const char *const *names, int count, int *out, FbError *err)
{
    const char *text;
    FB_TRY(fb_attr_string(node, attribute, fallback, &text, err));
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' is '%s', which %s does not know", attribute, text, node->op_type);
}

static FbStatus decode_resize(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                                              "tf_half_pixel_for_nn", "tf_crop_and_resize"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    FbResizeParams *p = params;
    int mode = 0, coordinate = 0, rounding = 0, policy = 0;
    FB_TRY(pick(node, "mode", "nearest", modes, 3, &mode, err));
    FB_TRY(pick(node, "coordinate_transformation_mode", "half_pixel", coordinates, 7, &coordinate, err));
    FB_TRY(pick(node, "nearest_mode", "round_prefer_floor", nearest, 4, &rounding, err));
    FB_TRY(pick(node, "keep_aspect_ratio_policy", "stretch", policies, 3, &policy, err));
    p->rule = (FbResizeRule){.mode = (FbResizeMode)mode, .coordinate = (FbResizeCoordinate)coordinate, .nearest = (FbResizeNearest)rounding};
    p->policy = policy;
    FB_TRY(fb_attr_float(node, "cubic_coeff_a", -0.75F, &p->rule.cubic_a, err));
    FB_TRY(fb_attr_float(node, "extrapolation_value", 0.0F, &p->extrapolation, err));
    FB_TRY(fb_attr_bool(node, "exclude_outside", false, &p->rule.exclude_outside, err));
    FB_TRY(fb_attr_bool(node, "antialias", false, &p->rule.antialias, err));
    FB_TRY(fb_list_from_attribute(node, "axes", &p->axes, err));
    p->roi_input = 1;
    p->scales_input = 2;
    p->sizes_input = 3;
    if (node->version == 10) { /* before operator set 11: (x, scales), asymmetric, rounded down */
        p->rule.coordinate = FB_COORDINATE_ASYMMETRIC;
        p->rule.nearest = FB_NEAREST_FLOOR;
        p->roi_input = p->sizes_input = -1;
        p->scales_input = 1;
    }
    return FB_OK;
}

static FbStatus decode_upsample(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    static const char *const modes[] = {"nearest", "linear"};
    FbResizeParams *p = params;
    int mode = 0;
    FB_TRY(pick(node, "mode", "nearest", modes, 2, &mode, err));
    p->rule = (FbResizeRule){.mode = (FbResizeMode)mode, .coordinate = FB_COORDINATE_ASYMMETRIC, .nearest = FB_NEAREST_FLOOR};
    p->roi_input = p->sizes_input = -1;
    p->scales_input = node->version >= 9 ? 1 : -1;
    if (node->version >= 9) {
        return node->input_count < 2 ? fb_error_set(err, FB_ERR_FORMAT, "Upsample lacks its input 'scales'") : FB_OK;
    }
    const float *scales;
    FB_TRY(fb_attr_floats(node, "scales", &scales, &p->scale_count, err));
    if (p->scale_count == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "required attribute 'scales' is missing");
    }
    p->scales = fb_arena_array(arena, p->scale_count, sizeof *p->scales);
    if (!p->scales) {
        return fb_error_memory(fb_arena_context(arena), err, "scales", p->scale_count * sizeof *p->scales);
    }
    memcpy(p->scales, scales, p->scale_count * sizeof *scales);
    return FB_OK;
}

static FbStatus scaled_axis(FbResizeAxis *axis, float scale, int number, FbError *err)
{
    if (!(scale > 0) || isinf(scale)) {
        return fb_error_set(err, FB_ERR_FORMAT, "'scales' has the number %g for axis %d", (double)scale, number);
    }
    double out = floor((double)axis->in * (double)scale);
    if (out > 2147483647.0) {
        return fb_error_set(err, FB_ERR_FORMAT, "'scales' makes axis %d larger than fewbit takes", number);
    }
    axis->out = (int64_t)out;
    axis->scale = scale;
    return FB_OK;
}

/* Sizes become scales; with a policy all given axes share the smallest or largest of them. */
static FbStatus sized_axes(const FbResizeParams *p, const FbTensor *sizes, const FbIntList *which, FbResizeAxis *axes, FbError *err)
{
    float shared = 0;
    for (int i = 0; i < which->count; i++) {
        FbResizeAxis *axis = &axes[which->items[i]];
        int64_t size = fb_tensor_int(sizes, i);
        if (size < 0 || size > INT32_MAX || (axis->in == 0 && size > 0)) {
            return fb_error_set(err, FB_ERR_FORMAT, "'sizes' has the number %lld for axis %lld of size %lld", (long long)size,
                                (long long)which->items[i], (long long)axis->in);
        }
        axis->out = size;
        axis->scale = axis->in ? (float)size / (float)axis->in : 1.0F;
        if (i == 0 || (p->policy == 1 ? axis->scale < shared : axis->scale > shared)) {
            shared = axis->scale;
        }
    }
    for (int i = 0; p->policy != 0 && i < which->count; i++) {
        FbResizeAxis *axis = &axes[which->items[i]];
        double out = floor((double)shared * (double)axis->in + 0.5);
        if (out > 2147483647.0) {
            return fb_error_set(err, FB_ERR_FORMAT, "'sizes' makes axis %lld larger than fewbit takes", (long long)which->items[i]);
        }
        axis->scale = shared;
        axis->out = (int64_t)out;
    }
    return FB_OK;
}

static FbStatus roi_axes(const FbTensor *roi, const FbIntList *which, FbResizeAxis *axes, FbError *err)
{
    if (fb_tensor_elements(roi) != 2 * which->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "'roi' has %lld numbers for %d axes", (long long)fb_tensor_elements(roi), which->count);
    }
    for (int i = 0; i < which->count; i++) {
        axes[which->items[i]].roi_begin = (float)fb_tensor_number(roi, i);
        axes[which->items[i]].roi_end = (float)fb_tensor_number(roi, which->count + i);
    }
    return FB_OK;
}

FbStatus fb_resize_axes(const FbResizeParams *p, const int64_t *dims, int rank, const FbTensor *roi, const FbTensor *scales, const FbTensor *sizes,
                        FbResizeAxis *axes, FbError *err)
{
    FbIntList which = p->axes;
    for (int i = 0; i < rank; i++) {
        axes[i] = (FbResizeAxis){.in = dims[i], .out = dims[i], .scale = 1.0F, .roi_end = 1.0F};
    }
    if (!which.known) {
        which.count = rank;
        for (int i = 0; i < rank; i++) {
            which.items[i] = i;
        }
    }
    FB_TRY(fb_axes_normalize(&which, rank, err));
    bool sized = sizes && fb_tensor_elements(sizes) > 0;
    int64_t count = sized ? fb_tensor_elements(sizes) : scales ? fb_tensor_elements(scales) : (int64_t)p->scale_count;
    if (count != which.count) {
        return fb_error_set(err, FB_ERR_FORMAT, "'%s' has %lld numbers for %d axes", sized ? "sizes" : "scales", (long long)count, which.count);
    }
    if (sized) {
        FB_TRY(sized_axes(p, sizes, &which, axes, err));
    }
    for (int i = 0; !sized && i < which.count; i++) {
        float scale = scales ? (float)fb_tensor_number(scales, i) : p->scales[i];
        FB_TRY(scaled_axis(&axes[which.items[i]], scale, (int)which.items[i], err));
    }
    return p->rule.coordinate == FB_COORDINATE_TF_CROP_AND_RESIZE && roi ? roi_axes(roi, &which, axes, err) : FB_OK;
}

/* Inputs are looked at only where the node has them; an empty tensor stands for an absent one in operator set 11. */
static bool given(const FbInfer *infer, int i)
{
    return i > 0 && fb_infer_has(infer, i) && !(fb_shape_is_known(&infer->inputs[i].shape) && fb_shape_elements(&infer->inputs[i].shape) == 0);
}

static FbStatus check_resize_types(const FbInfer *infer, const FbResizeParams *p, FbError *err)
{
    FbDtypeMask floats = FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_F64) | FB_MASK(FB_DTYPE_BF16);
    FB_TRY(fb_check_input_dtype(infer, 0, p->rule.mode == FB_RESIZE_NEAREST ? FB_MASK_BYTES : FB_MASK_NUMBERS, err));
    if (p->scales_input > 0) {
        FB_TRY(fb_check_input_dtype(infer, p->scales_input, FB_MASK(FB_DTYPE_F32), err));
        FB_TRY(fb_check_rank(infer, p->scales_input, 1, 1, err));
    }
    if (p->roi_input > 0) {
        FB_TRY(fb_check_input_dtype(infer, p->roi_input, floats, err));
        FB_TRY(fb_check_rank(infer, p->roi_input, 1, 1, err));
        FB_TRY(fb_check_input_dtype(infer, p->sizes_input, FB_MASK_INDEX, err));
        FB_TRY(fb_check_rank(infer, p->sizes_input, 1, 1, err));
    }
    return FB_OK;
}

static FbStatus infer_resize(FbInfer *infer, FbError *err)
{
    const FbResizeParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbResizeAxis axes[FB_RANK_MAX];
    FB_TRY(check_resize_types(infer, p, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(in->rank);
    bool has_scales = given(infer, p->scales_input), has_sizes = given(infer, p->sizes_input), has_roi = given(infer, p->roi_input);
    if (!has_scales && !has_sizes && !p->scales) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has neither scales nor sizes", infer->node->op_type);
    }
    const FbTensor *sizes = has_sizes ? fb_infer_value(infer, p->sizes_input) : NULL;
    const FbTensor *scales = !has_sizes && has_scales ? fb_infer_value(infer, p->scales_input) : NULL;
    if (in->rank < 0 || (has_sizes && !sizes) || (!has_sizes && has_scales && !scales)) {
        return FB_OK;
    }
    const FbTensor *roi = has_roi ? infer->inputs[p->roi_input].value : NULL; /* does not change the shape */
    int64_t dims[FB_RANK_MAX];
    for (int i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i] < 0 ? 1 : in->dims[i];
    }
    FB_TRY(fb_resize_axes(p, dims, in->rank, roi, scales, sizes, axes, err));
    for (int i = 0; i < in->rank; i++) {
        bool sized = sizes && p->policy == 0 && !p->axes.known;
        out->dims[i] = in->dims[i] >= 0 || sized ? axes[i].out : axes[i].scale == 1.0F && scales ? in->dims[i] : FB_DIM_UNKNOWN;
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static bool resize_channels_last(void *params, int rank)
{
    (void)rank;
    ((FbResizeParams *)params)->last = true;
    return true;
}

static const char *const resize_attributes[] = {"mode", "coordinate_transformation_mode", "nearest_mode", "keep_aspect_ratio_policy",
                                                "cubic_coeff_a", "extrapolation_value", "exclude_outside", "antialias", "axes", NULL};
static const char *const upsample_attributes[] = {"mode", "scales", NULL};

/* The nearest element as it is; one from outside is a number of the node's own. */
static bool resize_moves(const void *params)
{
    const FbResizeParams *p = params;
    return p->rule.mode == FB_RESIZE_NEAREST && p->rule.coordinate != FB_COORDINATE_TF_CROP_AND_RESIZE;
}

static bool resize_strided(const FbCall *call, int i)
{
    (void)i;
    return ((const FbResizeParams *)call->params)->rule.mode == FB_RESIZE_NEAREST;
}

static const FbOp rows[] = {
    {.name = "Resize", .domain = "", .summary = "interpolates along axes", .since = 10, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 4,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbResizeParams), .attributes = resize_attributes, .decode = decode_resize,
     .infer = infer_resize, .scratch = fb_resize_scratch, .run = fb_resize_run, .channels_last = resize_channels_last,
     .flags = FB_OP_MOVES_DATA, .moves = resize_moves, .strided = resize_strided},
    {.name = "Upsample", .domain = "", .summary = "interpolates along axes", .since = 7, .newest = 9, .min_inputs = 1, .max_inputs = 2,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbResizeParams), .attributes = upsample_attributes, .decode = decode_upsample,
     .infer = infer_resize, .scratch = fb_resize_scratch, .run = fb_resize_run, .channels_last = resize_channels_last,
     .flags = FB_OP_MOVES_DATA, .moves = resize_moves, .strided = resize_strided},
};
const FbOpFamily fb_ops_resize = {rows, sizeof rows / sizeof rows[0]};
