/* MaxPool, AveragePool, LpPool. Channels-last float tensors and, for MaxPool, u8 ones go through the pooling kernels, all else
 * through the plain loops. */
#include "ops/pool.h"

#include <math.h>

#include "kernels/codes.h"
#include "kernels/pool_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/codes_pool.h"
#include "ops/number.h"

typedef enum PoolKind { POOL_MAX, POOL_AVERAGE, POOL_LP } PoolKind;

enum { PIXEL_BLOCK = 16 };

static FbStatus pool_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbPoolParams *p = params;
    int64_t order;
    (void)arena;
    FB_TRY(fb_window_decode(node, &p->window, err));
    FB_TRY(fb_attr_bool(node, "count_include_pad", false, &p->count_include_pad, err));
    FB_TRY(fb_attr_int(node, "storage_order", 0, &order, err));
    FB_TRY(fb_attr_int(node, "p", 2, &p->p, err));
    if (order < 0 || order > 1 || p->p < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' is out of range", p->p < 1 ? "p" : "storage_order");
    }
    p->column_major = order == 1;
    return FB_OK;
}

static FbStatus pool_infer(FbInfer *infer, FbError *err)
{
    const FbPoolParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    FbShape *y = &infer->outputs[0].shape;
    const bool max = strcmp(infer->node->op_type, "MaxPool") == 0;
    FB_TRY(fb_check_input_dtype(infer, 0, max ? FB_MASK_FLOATS | FB_MASK(FB_DTYPE_S8) | FB_MASK(FB_DTYPE_U8) : FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    y->rank = x->rank;
    if (x->rank >= 0) {
        FbWindow window;
        FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 2, NULL, &window, err));
        y->dims[0] = x->dims[0];
        y->dims[1] = x->dims[1];
        memcpy(y->dims + 2, window.out, (size_t)window.spatial * sizeof(int64_t));
    }
    if (infer->output_count > 1 && infer->outputs[1].present) {
        infer->outputs[1].dtype = FB_DTYPE_S64;
        infer->outputs[1].shape = *y;
    }
    return FB_OK;
}

typedef struct PoolRun {
    const FbPoolParams *params;
    PoolKind kind;
    FbWindow window;
    const FbPoolF32Kernel *kernel;
    const FbCodesKernel *codes;
    int64_t taps, channels, in_pixels, out_pixels;
    bool channels_last;
    const FbTensor *x;
    FbTensor *y, *indices;
    const float **pointers; /* [threads][PIXEL_BLOCK][taps], then divisors */
    float *divisors;
    const uint8_t **code_pointers;
} PoolRun;

int64_t fb_pool_divisor(const FbWindow *w, bool include_pad, int64_t out)
{
    int64_t count = 1;
    for (int i = w->spatial - 1; i >= 0; i--) {
        const int64_t start = out % w->out[i] * w->stride[i] - w->begin[i];
        const int64_t low = include_pad ? -w->begin[i] : 0;
        const int64_t high = w->in[i] + (include_pad ? w->end[i] : 0);
        int64_t inside = 0;
        for (int64_t t = 0; t < w->kernel[i]; t++) {
            const int64_t at = start + t * w->dilation[i];
            inside += at >= low && at < high;
        }
        count *= inside;
        out /= w->out[i];
    }
    return count;
}

static void kernel_blocks(void *arg, size_t slot, size_t begin, size_t end)
{
    const PoolRun *r = arg;
    const float **pointers = r->pointers + slot * PIXEL_BLOCK * (size_t)r->taps;
    float *divisors = r->divisors + slot * PIXEL_BLOCK;
    const size_t all = (size_t)(r->x->dims[0] * r->out_pixels);
    for (size_t block = begin; block < end; block++) {
        const size_t first = block * PIXEL_BLOCK, count = all - first < PIXEL_BLOCK ? all - first : PIXEL_BLOCK;
        for (size_t i = 0; i < count; i++) {
            const int64_t image = (int64_t)(first + i) / r->out_pixels, pixel = (int64_t)(first + i) % r->out_pixels;
            for (int64_t t = 0; t < r->taps; t++) {
                const int64_t place = fb_window_place(&r->window, pixel, t);
                pointers[(int64_t)i * r->taps + t] =
                    place < 0 ? NULL : (const float *)r->x->data + (image * r->in_pixels + place) * r->channels;
            }
            divisors[i] = r->kind == POOL_AVERAGE ? (float)fb_pool_divisor(&r->window, r->params->count_include_pad, pixel) : 1.0f;
        }
        const FbPoolF32 pool = {count, (size_t)r->channels, (size_t)r->taps, pointers, divisors,
                                (float *)r->y->data + first * (size_t)r->channels};
        (r->kind == POOL_MAX ? r->kernel->max : r->kernel->average)(&pool);
    }
}

/* The largest codes of the same windows. */
static void code_blocks(void *arg, size_t slot, size_t begin, size_t end)
{
    const PoolRun *r = arg;
    const uint8_t **pointers = r->code_pointers + slot * PIXEL_BLOCK * (size_t)r->taps;
    const size_t all = (size_t)(r->x->dims[0] * r->out_pixels), channels = (size_t)r->channels;
    FbWindow window = r->window;
    fb_window_widen(&window, FB_WINDOW_AXES);
    for (size_t block = begin; block < end; block++) {
        const size_t first = block * PIXEL_BLOCK, count = all - first < PIXEL_BLOCK ? all - first : PIXEL_BLOCK;
        fb_window_points(&window, r->x->data, channels, NULL, first, count, (size_t)r->taps, 1, pointers);
        const FbCodesPool pool = {.pixels = count, .channels = channels, .taps = (size_t)r->taps, .x = pointers,
                                  .y = (uint8_t *)r->y->data + first * channels, .y_stride = channels};
        r->codes->max_pool(&pool);
    }
}

/* The index that MaxPool reports: over the whole input in N, C, spatial order, the spatial part by columns when asked. */
static int64_t pool_index(const PoolRun *r, int64_t plane, int64_t place)
{
    if (r->params->column_major && place >= 0) {
        const FbWindow *w = &r->window;
        int64_t index = 0, at[FB_SPATIAL_MAX];
        for (int i = w->spatial - 1; i >= 0; i--) {
            at[i] = place % w->in[i];
            place /= w->in[i];
        }
        for (int i = w->spatial - 1; i >= 0; i--) {
            index = index * w->in[i] + at[i];
        }
        place = index;
    }
    return plane * r->in_pixels + place;
}

static double pool_lp(double value, int64_t p) { return p == 1 ? fabs(value) : p == 2 ? value * value : pow(fabs(value), (double)p); }

/* Unit: one output pixel of one channel of one image. */
static void plain_elements(void *arg, size_t slot, size_t begin, size_t end)
{
    const PoolRun *r = arg;
    const bool single = r->x->dtype == FB_DTYPE_F32;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t plane = (int64_t)unit / r->out_pixels, pixel = (int64_t)unit % r->out_pixels;
        const int64_t image = plane / r->channels, channel = plane % r->channels;
        double best = -INFINITY, sum = 0;
        float sum_f32 = 0;
        int64_t best_place = -1;
        for (int64_t t = 0; t < r->taps; t++) {
            const int64_t place = fb_window_place(&r->window, pixel, t);
            if (place < 0) {
                continue;
            }
            const int64_t at = r->channels_last ? (image * r->in_pixels + place) * r->channels + channel : plane * r->in_pixels + place;
            const double value = fb_tensor_number(r->x, at);
            sum_f32 = sum_f32 + (float)value;
            sum += r->kind == POOL_LP ? pool_lp(value, r->params->p) : value;
            if (best_place < 0 || value > best || (value != value && best == best)) {
                best = value;
                best_place = place;
            }
        }
        const int64_t y_at = r->channels_last ? (image * r->out_pixels + pixel) * r->channels + channel : (int64_t)unit;
        double value = best;
        if (r->kind == POOL_AVERAGE) {
            const int64_t divisor = fb_pool_divisor(&r->window, r->params->count_include_pad, pixel);
            value = single ? (double)(sum_f32 / (float)divisor) : sum / (double)divisor;
        } else if (r->kind == POOL_LP) {
            value = r->params->p == 2 ? sqrt(sum) : pow(sum, 1.0 / (double)r->params->p);
        }
        fb_number_set(r->y, y_at, value);
        if (r->indices) {
            ((int64_t *)r->indices->data)[y_at] = pool_index(r, plane, best_place);
        }
    }
}

static bool pool_uses_kernel(const FbCall *call)
{
    return call->channels_last && call->inputs[0]->dtype == FB_DTYPE_F32 && !fb_call_output(call, 1) &&
           strcmp(call->node->op_type, "LpPool") != 0;
}

static bool pool_uses_codes(const FbCall *call)
{
    return call->channels_last && call->inputs[0]->dtype == FB_DTYPE_U8 && !fb_call_output(call, 1) &&
           call->inputs[0]->rank <= 2 + FB_WINDOW_AXES && strcmp(call->node->op_type, "MaxPool") == 0;
}

static size_t pool_scratch(const FbCall *call)
{
    const FbPoolParams *p = call->params;
    if (!pool_uses_kernel(call) && !pool_uses_codes(call)) {
        return 0;
    }
    const size_t pixels = (size_t)fb_context_threads(call->context) * PIXEL_BLOCK;
    return pixels * ((size_t)fb_window_product(p->window.kernel, p->window.kernel_count) * sizeof(const float *) + sizeof(float));
}

static FbStatus pool_all(const FbCall *call, PoolKind kind, FbError *err)
{
    const FbPoolParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    PoolRun r = {.params = p, .kind = kind, .x = x, .y = call->outputs[0], .indices = fb_call_output(call, 1), .channels_last = call->channels_last};
    if (!r.y || fb_tensor_elements(r.y) == 0) {
        return FB_OK;
    }
    FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + (call->channels_last ? 1 : 2), NULL, &r.window, err));
    r.taps = fb_window_product(r.window.kernel, r.window.spatial);
    r.channels = fb_channel_dim(x, call->channels_last);
    r.in_pixels = fb_window_product(r.window.in, r.window.spatial);
    r.out_pixels = fb_window_product(r.window.out, r.window.spatial);
    const size_t pixels = (size_t)(x->dims[0] * r.out_pixels);
    const size_t blocks = (pixels + PIXEL_BLOCK - 1) / PIXEL_BLOCK, work = PIXEL_BLOCK * (size_t)(r.taps * r.channels);
    if (pool_uses_codes(call)) {
        r.codes = fb_codes_pick(fb_context_cpu(call->context));
        r.code_pointers = call->scratch;
        fb_parallel(call->context, code_blocks, &r, blocks, 262144 / (work + 1) + 1);
    } else if (pool_uses_kernel(call)) {
        r.kernel = fb_pool_f32_pick(fb_context_cpu(call->context));
        r.pointers = call->scratch;
        r.divisors = (float *)(void *)(r.pointers + (size_t)fb_context_threads(call->context) * PIXEL_BLOCK * (size_t)r.taps);
        fb_parallel(call->context, kernel_blocks, &r, blocks, 65536 / (work + 1) + 1);
    } else {
        fb_parallel(call->context, plain_elements, &r, pixels * (size_t)r.channels, 256);
    }
    return fb_check_cancel(call->context, err);
}

static FbStatus max_pool_run(const FbCall *call, FbError *err) { return pool_all(call, POOL_MAX, err); }
static FbStatus average_pool_run(const FbCall *call, FbError *err) { return pool_all(call, POOL_AVERAGE, err); }
static FbStatus lp_pool_run(const FbCall *call, FbError *err) { return pool_all(call, POOL_LP, err); }

static const char *const max_attributes[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides", NULL};
static const char *const average_attributes[] = {"auto_pad", "ceil_mode", "count_include_pad", "dilations",
                                                 "kernel_shape", "pads",   "strides",           NULL};
static const char *const lp_attributes[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "MaxPool", .summary = "largest value in a window", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL | FB_OP_MOVES_DATA,
     .decode = pool_decode, .infer = pool_infer, .scratch = pool_scratch, .run = max_pool_run, .integer = &fb_codes_pool_lowering,
     .attributes = max_attributes},
    {.domain = "", .name = "AveragePool", .summary = "mean of a window", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL,
     .decode = pool_decode, .infer = pool_infer, .scratch = pool_scratch, .run = average_pool_run, .integer = &fb_codes_pool_lowering,
     .attributes = average_attributes},
    {.domain = "", .name = "LpPool", .summary = "p-norm of a window", .since = 2, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL,
     .decode = pool_decode, .infer = pool_infer, .scratch = pool_scratch, .run = lp_pool_run, .attributes = lp_attributes},
};
const FbOpFamily fb_ops_pool = {rows, sizeof rows / sizeof *rows};
