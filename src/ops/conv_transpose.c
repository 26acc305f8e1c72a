/* ConvTranspose: shapes and the plain path. Each output element gathers the inputs that would have scattered to it. */
#include <math.h>

#include "ops/check.h"
#include "ops/conv.h"
#include "ops/number.h"

/* Padding and output size, ONNX operator set 11: `window` is the forward convolution's, so in and out change places. */
static FbStatus resolve(const FbConvParams *p, int spatial, const int64_t *in, const int64_t *kernel, FbWindow *w, FbError *err)
{
    const FbWindowParams *a = &p->window;
    *w = (FbWindow){.spatial = spatial};
    const struct { const char *name; int count, want; } lists[] = {
        {"kernel_shape", a->kernel_count, spatial},         {"strides", a->stride_count, spatial}, {"dilations", a->dilation_count, spatial},
        {"output_padding", p->output_padding_count, spatial}, {"pads", a->pad_count, 2 * spatial}};
    for (int i = 0; i < 5; i++) {
        if (lists[i].count != 0 && lists[i].count != lists[i].want) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has %d entries, expected %d", lists[i].name, lists[i].count, lists[i].want);
        }
    }
    if (p->output_shape_count != 0 && p->output_shape_count != spatial && p->output_shape_count != spatial + 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'output_shape' has %d entries, expected %d", p->output_shape_count, spatial);
    }
    for (int i = 0; i < spatial; i++) {
        w->kernel[i] = kernel[i];
        w->in[i] = in[i];
        w->stride[i] = a->stride_count ? a->stride[i] : 1;
        w->dilation[i] = a->dilation_count ? a->dilation[i] : 1;
        const int64_t extra = p->output_padding_count ? p->output_padding[i] : 0;
        if (kernel[i] < 1 || in[i] > INT32_MAX || kernel[i] > INT32_MAX || (a->kernel_count && a->kernel[i] != kernel[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "the weight has a kernel of %lld elements, which the attributes or the input do not allow",
                                (long long)kernel[i]);
        }
        if (in[i] < 0) {
            w->out[i] = p->output_shape_count ? p->output_shape[p->output_shape_count - spatial + i] : FB_DIM_UNKNOWN;
            continue;
        }
        const int64_t full = w->stride[i] * (in[i] - 1) + extra + (kernel[i] - 1) * w->dilation[i] + 1;
        const bool same = a->auto_pad == FB_PAD_SAME_UPPER || a->auto_pad == FB_PAD_SAME_LOWER;
        if (p->output_shape_count || same) {
            w->out[i] = p->output_shape_count ? p->output_shape[p->output_shape_count - spatial + i] : in[i] * w->stride[i];
            const int64_t total = full > w->out[i] ? full - w->out[i] : 0;
            w->begin[i] = a->auto_pad == FB_PAD_SAME_UPPER ? total / 2 : total - total / 2;
            w->end[i] = total - w->begin[i];
        } else {
            w->begin[i] = a->auto_pad == FB_PAD_NOTSET && a->pad_count ? a->pad[i] : 0;
            w->end[i] = a->auto_pad == FB_PAD_NOTSET && a->pad_count ? a->pad[spatial + i] : 0;
            w->out[i] = full - w->begin[i] - w->end[i];
        }
        if (w->out[i] < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "padding leaves no output on spatial axis %d", i);
        }
    }
    return FB_OK;
}

FbStatus fb_conv_transpose_infer(FbInfer *infer, FbError *err)
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
    if (x->rank != w->rank || (x->dims[1] >= 0 && w->dims[0] >= 0 && x->dims[1] != w->dims[0]) ||
        (w->dims[0] >= 0 && w->dims[0] % p->group != 0) || p->group > INT32_MAX || w->dims[1] > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the weight does not fit the input's rank, channels or groups");
    }
    y->rank = x->rank;
    y->dims[0] = x->dims[0];
    y->dims[1] = w->dims[1] >= 0 ? w->dims[1] * p->group : FB_DIM_UNKNOWN;
    if (fb_infer_has(infer, 2)) {
        FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
        const FbShape *bias = &infer->inputs[2].shape;
        if (bias->rank >= 0 && (bias->rank != 1 || (bias->dims[0] >= 0 && y->dims[1] >= 0 && bias->dims[0] != y->dims[1]))) {
            return fb_error_set(err, FB_ERR_FORMAT, "bias does not have one element per output channel");
        }
    }
    FbWindow window = {0};
    if (fb_shape_is_known(w)) {
        FB_TRY(resolve(p, x->rank - 2, x->dims + 2, w->dims + 2, &window, err));
    }
    for (int i = 0; i < x->rank - 2; i++) {
        y->dims[2 + i] = window.spatial ? window.out[i] : FB_DIM_UNKNOWN;
    }
    return FB_OK;
}

/* The input pixel whose tap lands on output pixel `out`; -1: none. */
static int64_t source_place(const FbWindow *w, int64_t out, int64_t tap)
{
    int64_t place = 0, scale = 1;
    for (int i = w->spatial - 1; i >= 0; i--) {
        const int64_t from = out % w->out[i] + w->begin[i] - tap % w->kernel[i] * w->dilation[i];
        if (from < 0 || from % w->stride[i] != 0 || from / w->stride[i] >= w->in[i]) {
            return -1;
        }
        place += from / w->stride[i] * scale;
        scale *= w->in[i];
        out /= w->out[i];
        tap /= w->kernel[i];
    }
    return place;
}

typedef struct Transposed {
    FbWindow window;
    int64_t group, in_channels, out_channels, taps, in_pixels, out_pixels; /* channels per group */
    bool channels_last;
    const FbTensor *x, *w, *bias;
    FbTensor *y;
} Transposed;

static double gather(const Transposed *c, int64_t image, int64_t group, int64_t m, int64_t pixel)
{
    const bool single = c->x->dtype == FB_DTYPE_F32;
    const int64_t x_channels = c->group * c->in_channels;
    double sum = 0;
    float sum_f32 = 0;
    for (int64_t t = c->taps; t-- > 0;) { /* from the first input place to the last, as the convolution that it can be rewritten as */
        const int64_t place = source_place(&c->window, pixel, t);
        for (int64_t k = 0; place >= 0 && k < c->in_channels; k++) {
            const int64_t channel = group * c->in_channels + k;
            const int64_t x = image * x_channels * c->in_pixels + (c->channels_last ? place * x_channels + channel : channel * c->in_pixels + place);
            const int64_t w = (channel * c->out_channels + m) * c->taps + t;
            if (single) {
                sum_f32 = fmaf(((const float *)c->x->data)[x], ((const float *)c->w->data)[w], sum_f32);
            } else {
                sum = fma(fb_tensor_number(c->x, x), fb_tensor_number(c->w, w), sum);
            }
        }
    }
    const int64_t channel = group * c->out_channels + m;
    if (single) {
        return c->bias ? sum_f32 + ((const float *)c->bias->data)[channel] : sum_f32;
    }
    return c->bias ? sum + fb_tensor_number(c->bias, channel) : sum;
}

/* Unit: one pixel of one image, all channels. */
static void transposed_pixels(void *arg, size_t slot, size_t begin, size_t end)
{
    const Transposed *c = arg;
    const int64_t y_channels = c->group * c->out_channels;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t image = (int64_t)unit / c->out_pixels, pixel = (int64_t)unit % c->out_pixels;
        for (int64_t channel = 0; channel < y_channels; channel++) {
            const int64_t inside = c->channels_last ? pixel * y_channels + channel : channel * c->out_pixels + pixel;
            fb_number_set(c->y, image * y_channels * c->out_pixels + inside,
                          gather(c, image, channel / c->out_channels, channel % c->out_channels, pixel));
        }
    }
}

FbStatus fb_conv_transpose_run(const FbCall *call, FbError *err)
{
    const FbConvParams *p = call->params;
    const FbTensor *x = call->inputs[0], *w = call->inputs[1];
    const int spatial = x->rank - 2;
    if (fb_tensor_elements(call->outputs[0]) == 0) {
        return FB_OK;
    }
    Transposed c = {.group = p->group, .x = x, .w = w, .bias = fb_call_input(call, 2), .y = call->outputs[0], .channels_last = call->channels_last};
    FB_TRY(resolve(p, spatial, x->dims + (call->channels_last ? 1 : 2), w->dims + 2, &c.window, err));
    c.in_channels = w->dims[0] / p->group;
    c.out_channels = w->dims[1];
    c.taps = fb_window_product(c.window.kernel, spatial);
    c.in_pixels = fb_window_product(c.window.in, spatial);
    c.out_pixels = fb_window_product(c.window.out, spatial);
    fb_parallel(call->context, transposed_pixels, &c, (size_t)(x->dims[0] * c.out_pixels), 4);
    return fb_check_cancel(call->context, err);
}
