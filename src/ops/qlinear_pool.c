/* QLinearAveragePool and QLinearSoftmax, which ONNX Runtime's tools write in domain com.microsoft. */
#include "ops/attribute.h"
#include "ops/pool.h"
#include "ops/qlinear.h"

/* ---- QLinearAveragePool ---- */

typedef struct AverageParams {
    FbWindowParams window;
    bool count_include_pad, last;
} AverageParams;

static FbStatus decode_average(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    AverageParams *p = params;
    (void)arena;
    FB_TRY(fb_window_decode(node, &p->window, err));
    FB_TRY(fb_attr_bool(node, "count_include_pad", false, &p->count_include_pad, err));
    return fb_attr_bool(node, "channels_last", false, &p->last, err);
}

static FbStatus infer_average(FbInfer *infer, FbError *err)
{
    const AverageParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    FbShape *y = &infer->outputs[0].shape;
    FbWindow window;
    FB_TRY(fb_qlinear_infer_unary(infer, err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    if (x->rank < 0) {
        return FB_OK;
    }
    int first = p->last ? 1 : 2;
    FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + first, NULL, &window, err));
    memcpy(y->dims + first, window.out, (size_t)window.spatial * sizeof y->dims[0]);
    return FB_OK;
}

typedef struct AverageWork {
    FbWindow window;
    const FbTensor *x;
    FbTensor *y;
    FbGrid8 x_grid, y_grid;
    int64_t channels, in_pixels, out_pixels, taps;
    bool include_pad, last;
} AverageWork;

/* Unit: one output pixel of one image, all channels. */
static void average_pixels(void *arg, size_t slot, size_t begin, size_t end)
{
    const AverageWork *w = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        int64_t image = (int64_t)unit / w->out_pixels, pixel = (int64_t)unit % w->out_pixels;
        /* ONNX Runtime divides by the whole window here, also where it reaches past the padding. */
        int64_t divisor = w->include_pad ? w->taps : fb_pool_divisor(&w->window, false, pixel);
        for (int64_t c = 0; c < w->channels; c++) {
            int64_t sum = 0, x_first = w->last ? image * w->in_pixels * w->channels + c : (image * w->channels + c) * w->in_pixels;
            int64_t y_at = w->last ? (image * w->out_pixels + pixel) * w->channels + c : (image * w->channels + c) * w->out_pixels + pixel;
            for (int64_t t = 0; t < w->taps; t++) {
                int64_t place = fb_window_place(&w->window, pixel, t);
                sum += place < 0 ? 0 : fb_code_at(w->x, x_first + place * (w->last ? w->channels : 1)) - w->x_grid.zero;
            }
            double mean = divisor > 0 ? w->x_grid.scale * (double)sum / (double)divisor : 0;
            ((uint8_t *)w->y->data)[y_at] = fb_grid8_code(mean, w->y_grid, w->y->dtype);
        }
    }
}

static FbStatus run_average(const FbCall *call, FbError *err)
{
    const AverageParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    AverageWork w = {.x = x, .y = call->outputs[0], .include_pad = p->count_include_pad, .last = p->last};
    FB_TRY(fb_grid8_read(call, 1, &w.x_grid, err));
    FB_TRY(fb_grid8_read(call, 3, &w.y_grid, err));
    FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + (p->last ? 1 : 2), NULL, &w.window, err));
    if (fb_tensor_elements(w.y) == 0) {
        return FB_OK;
    }
    w.channels = fb_channel_dim(x, p->last);
    w.in_pixels = fb_window_product(w.window.in, w.window.spatial);
    w.out_pixels = fb_window_product(w.window.out, w.window.spatial);
    w.taps = fb_window_product(w.window.kernel, w.window.spatial);
    fb_parallel(call->context, average_pixels, &w, (size_t)(x->dims[0] * w.out_pixels), (size_t)(1 + 4096 / (w.channels + 1)));
    return fb_check_cancel(call->context, err);
}

/* ---- QLinearSoftmax ---- */

typedef struct SoftmaxParams8 {
    int64_t axis;
    bool flatten; /* Softmax before operator set 13: the axes from `axis` on are one row */
} SoftmaxParams8;

static FbStatus decode_softmax(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    SoftmaxParams8 *p = params;
    int64_t opset;
    (void)arena;
    FB_TRY(fb_attr_required_int(node, "opset", &opset, err));
    p->flatten = opset < 13;
    return fb_attr_int(node, "axis", -1, &p->axis, err);
}

static FbStatus infer_softmax(FbInfer *infer, FbError *err)
{
    const SoftmaxParams8 *p = infer->params;
    int axis;
    FB_TRY(fb_qlinear_infer_unary(infer, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    return infer->inputs[0].shape.rank < 0 ? FB_OK : fb_axis_normalize(p->axis, infer->inputs[0].shape.rank, &axis, err);
}

typedef struct SoftmaxWork {
    const FbTensor *x;
    FbTensor *y;
    FbGrid8 y_grid;
    double power[256];    /* exp(scale * -i): of the distance to the largest code */
    int64_t count, inner; /* of a row; elements between its elements */
} SoftmaxWork;

static void softmax_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const SoftmaxWork *w = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        int64_t first = (int64_t)unit / w->inner * w->count * w->inner + (int64_t)unit % w->inner;
        int32_t largest = INT32_MIN;
        double sum = 0;
        for (int64_t i = 0; i < w->count; i++) {
            int32_t code = fb_code_at(w->x, first + i * w->inner);
            largest = code > largest ? code : largest;
        }
        for (int64_t i = 0; i < w->count; i++) {
            sum += w->power[largest - fb_code_at(w->x, first + i * w->inner)];
        }
        for (int64_t i = 0; i < w->count; i++) {
            double share = w->power[largest - fb_code_at(w->x, first + i * w->inner)] / sum;
            ((uint8_t *)w->y->data)[first + i * w->inner] = fb_grid8_code(share, w->y_grid, w->y->dtype);
        }
    }
}

static FbStatus run_softmax(const FbCall *call, FbError *err)
{
    const SoftmaxParams8 *p = call->params;
    SoftmaxWork w = {.x = call->inputs[0], .y = call->outputs[0], .count = 1, .inner = 1};
    FbGrid8 x_grid;
    int axis;
    FB_TRY(fb_axis_normalize(p->axis, w.x->rank, &axis, err));
    FB_TRY(fb_grid8_read(call, 1, &x_grid, err));
    FB_TRY(fb_grid8_read(call, 3, &w.y_grid, err));
    for (int i = 0; i < 256; i++) {
        w.power[i] = exp(-x_grid.scale * i);
    }
    for (int d = axis; d < w.x->rank; d++) {
        *(p->flatten || d == axis ? &w.count : &w.inner) *= w.x->dims[d];
    }
    int64_t elements = fb_tensor_elements(w.x);
    if (elements > 0) {
        fb_parallel(call->context, softmax_rows, &w, (size_t)(elements / w.count), (size_t)(1 + 4096 / w.count));
    }
    return fb_check_cancel(call->context, err);
}

static const char *const average_names[] = {"auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape", "pads", "strides",
                                            NULL};
static const char *const softmax_names[] = {"axis", "opset", NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "QLinearAveragePool", .summary = "mean of a window of a quantized tensor", .since = 1, .newest = 1,
     .min_inputs = 4, .max_inputs = 5, .optional = 1 << 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(AverageParams), .decode = decode_average,
     .infer = infer_average, .run = run_average, .attributes = average_names},
    {.domain = "com.microsoft", .name = "QLinearSoftmax", .summary = "Softmax of a quantized tensor", .since = 1, .newest = 1,
     .min_inputs = 4, .max_inputs = 5, .optional = 1 << 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SoftmaxParams8), .decode = decode_softmax,
     .infer = infer_softmax, .run = run_softmax, .attributes = softmax_names},
};

const FbOpFamily fb_ops_qlinear_pool = {rows, sizeof rows / sizeof rows[0]};
