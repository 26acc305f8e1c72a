/* GlobalAveragePool, GlobalMaxPool, GlobalLpPool: a window of the whole picture. The same order of sums as AveragePool in either form. */
#include <math.h>

#include "kernels/pool_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/codes_pool.h"
#include "ops/number.h"
#include "ops/pool.h"

typedef enum GlobalKind { GLOBAL_MAX, GLOBAL_AVERAGE, GLOBAL_LP } GlobalKind;

static FbStatus global_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbPoolParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_int(node, "p", 2, &p->p, err));
    return p->p < 1 ? fb_error_set(err, FB_ERR_FORMAT, "attribute 'p' must be at least 1") : FB_OK;
}

static FbStatus global_infer(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    fb_infer_same_as(infer, 0);
    for (int i = 2; i < infer->outputs[0].shape.rank; i++) {
        infer->outputs[0].shape.dims[i] = 1;
    }
    return FB_OK;
}

typedef struct GlobalRun {
    GlobalKind kind;
    int64_t p, channels, pixels;
    bool channels_last;
    const FbTensor *x;
    FbTensor *y;
    const FbPoolF32Kernel *kernel;
    const float **pointers; /* [threads][pixels] */
} GlobalRun;

enum { CHANNEL_BLOCK = 256 };

/* Unit: a block of channels of one image. */
static void kernel_images(void *arg, size_t slot, size_t begin, size_t end)
{
    const GlobalRun *r = arg;
    const int64_t blocks = (r->channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
    const float divisor = (float)r->pixels;
    const float **pointers = r->pointers + slot * (size_t)r->pixels;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t image = (int64_t)unit / blocks, first = (int64_t)unit % blocks * CHANNEL_BLOCK;
        const int64_t count = r->channels - first < CHANNEL_BLOCK ? r->channels - first : CHANNEL_BLOCK;
        for (int64_t i = 0; i < r->pixels; i++) {
            pointers[i] = (const float *)r->x->data + (image * r->pixels + i) * r->channels + first;
        }
        const FbPoolF32 pool = {1, (size_t)count, (size_t)r->pixels, pointers, &divisor, (float *)r->y->data + image * r->channels + first};
        (r->kind == GLOBAL_MAX ? r->kernel->max : r->kernel->average)(&pool);
    }
}

/* Unit: one channel of one image. */
static void plain_planes(void *arg, size_t slot, size_t begin, size_t end)
{
    const GlobalRun *r = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t image = (int64_t)unit / r->channels, channel = (int64_t)unit % r->channels;
        double best = -INFINITY, sum = 0;
        float sum_f32 = 0;
        for (int64_t i = 0; i < r->pixels; i++) {
            const double value = fb_tensor_number(r->x, r->channels_last ? (image * r->pixels + i) * r->channels + channel
                                                                          : (int64_t)unit * r->pixels + i);
            best = value > best || value != value ? value : best;
            sum_f32 = sum_f32 + (float)value;
            sum += r->kind == GLOBAL_LP ? (r->p == 1 ? fabs(value) : r->p == 2 ? value * value : pow(fabs(value), (double)r->p)) : value;
        }
        double value = best;
        if (r->kind == GLOBAL_AVERAGE) {
            value = r->x->dtype == FB_DTYPE_F32 ? (double)(sum_f32 / (float)r->pixels) : sum / (double)r->pixels;
        } else if (r->kind == GLOBAL_LP) {
            value = r->p == 2 ? sqrt(sum) : pow(sum, 1.0 / (double)r->p);
        }
        fb_number_set(r->y, (int64_t)unit, value);
    }
}

static bool global_uses_kernel(const FbCall *call)
{
    return call->channels_last && call->inputs[0]->dtype == FB_DTYPE_F32 && strcmp(call->node->op_type, "GlobalLpPool") != 0;
}

static size_t global_scratch(const FbCall *call)
{
    const FbTensor *x = call->inputs[0];
    return global_uses_kernel(call)
               ? (size_t)fb_context_threads(call->context) * (size_t)fb_window_product(x->dims + 1, x->rank - 2) * sizeof(const float *)
               : 0;
}

static FbStatus global_all(const FbCall *call, GlobalKind kind, FbError *err)
{
    const FbPoolParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    GlobalRun r = {.kind = kind, .p = p->p, .channels = fb_channel_dim(x, call->channels_last), .channels_last = call->channels_last, .x = x,
                   .y = call->outputs[0], .pointers = call->scratch};
    r.pixels = fb_window_product(x->dims + (call->channels_last ? 1 : 2), x->rank - 2);
    if (fb_tensor_elements(r.y) == 0) {
        return FB_OK;
    }
    if (global_uses_kernel(call)) {
        r.kernel = fb_pool_f32_pick(fb_context_cpu(call->context));
        const size_t units = (size_t)x->dims[0] * (((size_t)r.channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK);
        fb_parallel(call->context, kernel_images, &r, units, 65536 / ((size_t)r.pixels * CHANNEL_BLOCK + 1) + 1);
    } else {
        fb_parallel(call->context, plain_planes, &r, (size_t)(x->dims[0] * r.channels), 16);
    }
    return fb_check_cancel(call->context, err);
}

static FbStatus global_max_run(const FbCall *call, FbError *err) { return global_all(call, GLOBAL_MAX, err); }
static FbStatus global_average_run(const FbCall *call, FbError *err) { return global_all(call, GLOBAL_AVERAGE, err); }
static FbStatus global_lp_run(const FbCall *call, FbError *err) { return global_all(call, GLOBAL_LP, err); }

static const char *const lp_attributes[] = {"p", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "GlobalAveragePool", .summary = "mean of each channel", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL,
     .decode = global_decode, .infer = global_infer, .scratch = global_scratch, .run = global_average_run,
     .integer = &fb_codes_pool_lowering},
    {.domain = "", .name = "GlobalMaxPool", .summary = "largest value of each channel", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL,
     .decode = global_decode, .infer = global_infer, .scratch = global_scratch, .run = global_max_run},
    {.domain = "", .name = "GlobalLpPool", .summary = "p-norm of each channel", .since = 2, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbPoolParams), .flags = FB_OP_SPATIAL,
     .decode = global_decode, .infer = global_infer, .scratch = global_scratch, .run = global_lp_run, .attributes = lp_attributes},
};
const FbOpFamily fb_ops_pool_global = {rows, sizeof rows / sizeof *rows};
