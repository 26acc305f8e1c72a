/* Conv and ConvTranspose: attributes, shapes, and the plain convolution, which any order of axes and any float type can use. */
#include "ops/conv.h"

#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/number.h"

FbStatus fb_conv_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    FbConvParams *p = params;
    FB_TRY(fb_window_decode(node, &p->window, err));
    FB_TRY(fb_attr_int(node, "group", 1, &p->group, err));
    if (p->group < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'group' is %lld, expected at least 1", (long long)p->group);
    }
    return FB_OK;
}

static FbStatus copy_ints(const FbNode *node, const char *name, int64_t low, int64_t *list, int *count, FbError *err)
{
    const int64_t *ints;
    size_t n;
    FB_TRY(fb_attr_ints(node, name, &ints, &n, err));
    if (n > FB_SPATIAL_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has %zu entries, at most %d make sense", name, n, FB_SPATIAL_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (ints[i] < low || ints[i] > INT32_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' holds %lld", name, (long long)ints[i]);
        }
        list[i] = ints[i];
    }
    *count = (int)n;
    return FB_OK;
}

static FbStatus conv_transpose_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbConvParams *p = params;
    FB_TRY(fb_conv_decode(node, arena, params, err));
    FB_TRY(copy_ints(node, "output_padding", 0, p->output_padding, &p->output_padding_count, err));
    return copy_ints(node, "output_shape", 1, p->output_shape, &p->output_shape_count, err);
}

static FbStatus conv_check_bias(const FbInfer *infer, int64_t channels, FbError *err)
{
    if (!fb_infer_has(infer, 2)) {
        return FB_OK;
    }
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
    const FbShape *bias = &infer->inputs[2].shape;
    if (bias->rank == 1 && bias->dims[0] >= 0 && channels >= 0 && bias->dims[0] != channels) {
        return fb_error_set(err, FB_ERR_FORMAT, "bias has %lld elements, expected %lld", (long long)bias->dims[0], (long long)channels);
    }
    return FB_OK;
}

FbStatus fb_conv_infer(FbInfer *infer, FbError *err)
{
    const FbConvParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    FbShape *y = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 3, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    y->rank = -1;
    if (x->rank < 0 || w->rank < 0) {
        return FB_OK;
    }
    if (x->rank != w->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "the weight has %d dimensions, the input %d", w->rank, x->rank);
    }
    if (x->dims[1] >= 0 && w->dims[1] >= 0 && (x->dims[1] % p->group != 0 || x->dims[1] / p->group != w->dims[1])) {
        return fb_error_set(err, FB_ERR_FORMAT, "the input has %lld channels, the weight is for %lld groups of %lld", (long long)x->dims[1],
                            (long long)p->group, (long long)w->dims[1]);
    }
    if (w->dims[0] >= 0 && w->dims[0] % p->group != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld output channels are not a multiple of %lld groups", (long long)w->dims[0], (long long)p->group);
    }
    FB_TRY(conv_check_bias(infer, w->dims[0], err));
    y->rank = x->rank;
    y->dims[0] = x->dims[0];
    y->dims[1] = w->dims[0] >= 0 ? w->dims[0] : FB_DIM_UNKNOWN;
    const bool kernel_known = fb_window_product(w->dims + 2, w->rank - 2) >= 0 && fb_shape_is_known(w);
    FbWindow window = {0};
    if (kernel_known || p->window.kernel_count) {
        FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 2, kernel_known ? w->dims + 2 : NULL, &window, err));
    }
    for (int i = 0; i < x->rank - 2; i++) {
        y->dims[2 + i] = window.spatial ? window.out[i] : FB_DIM_UNKNOWN;
    }
    return FB_OK;
}

/* One call of the plain convolution; strides in elements. */
typedef struct PlainConv {
    FbWindow window;
    int64_t group, in_channels, out_channels, taps, in_pixels, out_pixels; /* channels per group for in, in all for out */
    int64_t x_image, x_channel, x_pixel, y_image, y_channel, y_pixel;
    const FbTensor *x, *w, *bias;
    FbTensor *y;
    int64_t *places; /* [threads][taps] */
} PlainConv;

/* The chain of DESIGN's order: taps, then channels, padding left out; bias after it. */
static float plain_f32(const PlainConv *c, const int64_t *places, int64_t x_base, int64_t w_base)
{
    const float *x = c->x->data, *w = c->w->data;
    float sum = 0;
    for (int64_t t = 0; t < c->taps; t++) {
        for (int64_t k = 0; places[t] >= 0 && k < c->in_channels; k++) {
            sum = fmaf(x[x_base + k * c->x_channel + places[t] * c->x_pixel], w[w_base + k * c->taps + t], sum);
        }
    }
    return sum;
}

static double plain_number(const PlainConv *c, const int64_t *places, int64_t x_base, int64_t w_base)
{
    double sum = 0;
    for (int64_t t = 0; t < c->taps; t++) {
        for (int64_t k = 0; places[t] >= 0 && k < c->in_channels; k++) {
            const int64_t x = x_base + k * c->x_channel + places[t] * c->x_pixel;
            sum = fma(fb_tensor_number(c->x, x), fb_tensor_number(c->w, w_base + k * c->taps + t), sum);
        }
    }
    return sum;
}

/* Unit: one pixel of one image, all channels. */
static void plain_pixels(void *arg, size_t slot, size_t begin, size_t end)
{
    const PlainConv *c = arg;
    int64_t *places = c->places + (int64_t)slot * c->taps;
    const int64_t per_group = c->out_channels / c->group;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t image = (int64_t)unit / c->out_pixels, pixel = (int64_t)unit % c->out_pixels;
        for (int64_t t = 0; t < c->taps; t++) {
            places[t] = fb_window_place(&c->window, pixel, t);
        }
        for (int64_t m = 0; m < c->out_channels; m++) {
            const int64_t x_base = image * c->x_image + m / per_group * c->in_channels * c->x_channel;
            const int64_t y_at = image * c->y_image + m * c->y_channel + pixel * c->y_pixel;
            const int64_t w_base = m * c->in_channels * c->taps;
            if (c->x->dtype == FB_DTYPE_F32) {
                const float sum = plain_f32(c, places, x_base, w_base);
                ((float *)c->y->data)[y_at] = c->bias ? sum + ((const float *)c->bias->data)[m] : sum;
            } else {
                const double sum = plain_number(c, places, x_base, w_base);
                fb_number_set(c->y, y_at, c->bias ? sum + fb_tensor_number(c->bias, m) : sum);
            }
        }
    }
}

size_t fb_conv_scratch(const FbCall *call)
{
    const FbTensor *w = call->inputs[1];
    return (size_t)fb_context_threads(call->context) * (size_t)fb_window_product(w->dims + 2, w->rank - 2) * sizeof(int64_t);
}

FbStatus fb_conv_run(const FbCall *call, FbError *err)
{
    const FbConvParams *p = call->params;
    const FbTensor *x = call->inputs[0], *w = call->inputs[1];
    FbTensor *y = call->outputs[0];
    if (fb_tensor_elements(y) == 0) {
        return FB_OK;
    }
    PlainConv c = {.group = p->group, .x = x, .w = w, .bias = fb_call_input(call, 2), .y = y, .places = call->scratch};
    const int spatial = x->rank - 2;
    FB_TRY(fb_window_resolve(&p->window, spatial, x->dims + (call->channels_last ? 1 : 2), w->dims + 2, &c.window, err));
    c.in_channels = w->dims[1];
    c.out_channels = w->dims[0];
    c.taps = fb_window_product(c.window.kernel, spatial);
    c.in_pixels = fb_window_product(c.window.in, spatial);
    c.out_pixels = fb_window_product(c.window.out, spatial);
    c.x_image = c.in_pixels * c.in_channels * p->group;
    c.y_image = c.out_pixels * c.out_channels;
    c.x_channel = call->channels_last ? 1 : c.in_pixels;
    c.x_pixel = call->channels_last ? c.in_channels * p->group : 1;
    c.y_channel = call->channels_last ? 1 : c.out_pixels;
    c.y_pixel = call->channels_last ? c.out_channels : 1;
    fb_parallel(call->context, plain_pixels, &c, (size_t)(x->dims[0] * c.out_pixels), 4);
    return fb_check_cancel(call->context, err);
}

static const char *const conv_attributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", NULL};
static const char *const conv_transpose_attributes[] = {"auto_pad",     "dilations", "group",   "kernel_shape", "output_padding",
                                                        "output_shape", "pads",      "strides", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "Conv", .summary = "convolution", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbConvParams), .flags = FB_OP_SPATIAL, .decode = fb_conv_decode,
     .infer = fb_conv_infer, .scratch = fb_conv_scratch, .run = fb_conv_run, .lowering = &fb_conv_lowering, .integer = &fb_conv_integer_lowering,
     .attributes = conv_attributes},
    {.domain = "", .name = "ConvTranspose", .summary = "transposed convolution", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbConvParams), .flags = FB_OP_SPATIAL,
     .decode = conv_transpose_decode, .infer = fb_conv_transpose_infer, .run = fb_conv_transpose_run,
     .attributes = conv_transpose_attributes},
};
const FbOpFamily fb_ops_conv = {rows, sizeof rows / sizeof *rows};
