/* BatchNormalization, InstanceNormalization, GroupNormalization: statistics per channel or group, then one affine map per channel. */
#include <math.h>

#include "kernels/norm_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/number.h"
#include "ops/window.h"

typedef struct NormParams {
    float epsilon, momentum;
    bool training;
    int64_t groups;          /* GroupNormalization */
    bool scale_per_group;    /* GroupNormalization before 21 */
} NormParams;

typedef enum NormKind { NORM_BATCH, NORM_INSTANCE, NORM_GROUP } NormKind;

static FbStatus batch_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    NormParams *p = params;
    int64_t mode, spatial;
    (void)arena;
    FB_TRY(fb_attr_float(node, "epsilon", 1e-5f, &p->epsilon, err));
    FB_TRY(fb_attr_float(node, "momentum", 0.9f, &p->momentum, err));
    FB_TRY(fb_attr_int(node, "training_mode", 0, &mode, err));
    FB_TRY(fb_attr_int(node, "spatial", 1, &spatial, err));
    if (spatial != 1) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "BatchNormalization with spatial = 0 is not supported");
    }
    if (mode == 0 && node->version >= 14 && node->output_count > 1 && node->outputs[1] != FB_NONE) {
        return fb_error_set(err, FB_ERR_FORMAT, "BatchNormalization has running statistics as outputs only in training mode");
    }
    p->training = mode != 0;
    return FB_OK;
}

static FbStatus instance_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_attr_float(node, "epsilon", 1e-5f, &((NormParams *)params)->epsilon, err);
}

static FbStatus group_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    NormParams *p = params;
    int64_t stash;
    (void)arena;
    FB_TRY(fb_attr_float(node, "epsilon", 1e-5f, &p->epsilon, err));
    FB_TRY(fb_attr_int(node, "stash_type", 1, &stash, err));
    FB_TRY(fb_attr_required_int(node, "num_groups", &p->groups, err));
    if (p->groups < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'num_groups' is %lld, expected at least 1", (long long)p->groups);
    }
    p->scale_per_group = node->version < 21;
    return FB_OK;
}

/* Inputs 1 .. count - 1 are vectors of `length` elements. */
static FbStatus check_vectors(const FbInfer *infer, int count, int64_t length, FbError *err)
{
    for (int i = 1; i < count; i++) {
        const FbShape *v = &infer->inputs[i].shape;
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK_FLOATS, err));
        FB_TRY(fb_check_rank(infer, i, 1, 1, err));
        if (v->rank == 1 && v->dims[0] >= 0 && length >= 0 && v->dims[0] != length) {
            return fb_error_set(err, FB_ERR_FORMAT, "input %d has %lld elements, expected %lld", i, (long long)v->dims[0], (long long)length);
        }
    }
    return FB_OK;
}

static FbStatus batch_infer(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    FB_TRY(check_vectors(infer, 5, x->rank >= 0 ? x->dims[1] : -1, err));
    fb_infer_same_as(infer, 0);
    for (int i = 1; i < infer->output_count; i++) {
        infer->outputs[i].dtype = infer->inputs[3].dtype;
        infer->outputs[i].shape = (FbShape){1, {x->rank >= 0 ? x->dims[1] : FB_DIM_UNKNOWN}};
    }
    return FB_OK;
}

static FbStatus instance_infer(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 3, FB_RANK_MAX, err));
    FB_TRY(check_vectors(infer, 3, x->rank >= 0 ? x->dims[1] : -1, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus group_infer(FbInfer *infer, FbError *err)
{
    const NormParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    if (x->rank >= 0 && x->dims[1] >= 0 && x->dims[1] % p->groups != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld channels are not a multiple of %lld groups", (long long)x->dims[1], (long long)p->groups);
    }
    FB_TRY(check_vectors(infer, 3, p->scale_per_group ? p->groups : x->rank >= 0 ? x->dims[1] : -1, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

typedef struct NormRun {
    const FbNormF32Kernel *kernel;
    const NormParams *params;
    NormKind kind;
    bool channels_last;
    int64_t channels, pixels;     /* per image */
    const FbTensor *x, *scale, *bias;
    FbTensor *y;
    float *mean, *factor, *shift; /* batch: per channel */
} NormRun;

/* Batch: unit = one plane (N, C, ...) or one pixel (channels last). */
static void batch_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const NormRun *r = arg;
    const float *x = r->x->data;
    float *y = r->y->data;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        if (r->channels_last) {
            const size_t at = unit * (size_t)r->channels;
            r->kernel->affine_channels(x + at, y + at, (size_t)r->channels, r->mean, r->factor, r->shift);
        } else {
            const size_t at = unit * (size_t)r->pixels, c = unit % (size_t)r->channels;
            r->kernel->affine(x + at, y + at, (size_t)r->pixels, r->mean[c], r->factor[c], r->shift[c]);
        }
    }
}

/* Any float type, and training: element by element in double. Unit: one channel. */
static void batch_channels(void *arg, size_t slot, size_t begin, size_t end)
{
    const NormRun *r = arg;
    const int64_t images = r->x->dims[0];
    (void)slot;
    for (size_t c = begin; c < end; c++) {
        for (int64_t i = 0; i < images * r->pixels; i++) {
            const int64_t image = i / r->pixels, pixel = i % r->pixels;
            const int64_t at = r->channels_last ? i * r->channels + (int64_t)c : (image * r->channels + (int64_t)c) * r->pixels + pixel;
            const double value = (fb_tensor_number(r->x, at) - (double)r->mean[c]) * (double)r->factor[c] + (double)r->shift[c];
            fb_number_set(r->y, at, value);
        }
    }
}

/* Mean and variance over images and pixels of channel c. */
static void batch_statistics(const NormRun *r, int64_t c, double *mean, double *variance)
{
    const int64_t count = r->x->dims[0] * r->pixels;
    double sum = 0, squares = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            const int64_t at = r->channels_last ? i * r->channels + c : (i / r->pixels * r->channels + c) * r->pixels + i % r->pixels;
            const double value = fb_tensor_number(r->x, at);
            if (pass == 0) {
                sum += value;
            } else {
                squares += (value - sum / (double)count) * (value - sum / (double)count);
            }
        }
    }
    *mean = sum / (double)count;
    *variance = squares / (double)count;
}

static void batch_prepare(const FbCall *call, NormRun *r)
{
    const NormParams *p = call->params;
    const FbTensor *mean = call->inputs[3], *variance = call->inputs[4];
    for (int64_t c = 0; c < r->channels; c++) {
        double m = fb_tensor_number(mean, c), v = fb_tensor_number(variance, c);
        if (p->training) {
            double now_m, now_v;
            batch_statistics(r, c, &now_m, &now_v);
            for (int i = 1; i < 3; i++) { /* running mean, running variance */
                FbTensor *running = fb_call_output(call, i);
                if (running) {
                    fb_number_set(running, c, (i == 1 ? m : v) * (double)p->momentum + (i == 1 ? now_m : now_v) * (1 - (double)p->momentum));
                }
            }
            m = now_m;
            v = now_v;
        }
        r->mean[c] = (float)m;
        r->factor[c] = (float)fb_tensor_number(r->scale, c) / sqrtf((float)v + p->epsilon);
        r->shift[c] = (float)fb_tensor_number(r->bias, c);
    }
}

static size_t batch_scratch(const FbCall *call) { return 3 * sizeof(float) * (size_t)fb_channel_dim(call->inputs[0], call->channels_last); }

static FbStatus batch_run(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0];
    NormRun r = {.kernel = fb_norm_f32_pick(fb_context_cpu(call->context)), .params = call->params, .kind = NORM_BATCH,
                 .channels_last = call->channels_last, .channels = fb_channel_dim(x, call->channels_last), .x = x, .scale = call->inputs[1],
                 .bias = call->inputs[2], .y = call->outputs[0], .mean = call->scratch};
    if (fb_tensor_elements(x) == 0) {
        return FB_OK;
    }
    r.pixels = fb_tensor_elements(x) / (x->dims[0] * r.channels);
    r.factor = r.mean + r.channels;
    r.shift = r.factor + r.channels;
    batch_prepare(call, &r);
    if (x->dtype == FB_DTYPE_F32 && r.y->dtype == FB_DTYPE_F32) {
        const size_t units = (size_t)(x->dims[0] * (r.channels_last ? r.pixels : r.channels));
        const size_t work = (size_t)(r.channels_last ? r.channels : r.pixels);
        fb_parallel(call->context, batch_units, &r, units, 16384 / work + 1);
    } else {
        fb_parallel(call->context, batch_channels, &r, (size_t)r.channels, 1);
    }
    return fb_check_cancel(call->context, err);
}

/* Instance and group. Unit: one group of one image, whose elements are consecutive (N, C, ...). */
static void group_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const NormRun *r = arg;
    const int64_t groups = r->kind == NORM_INSTANCE ? r->channels : r->params->groups, per_group = r->channels / groups;
    const size_t count = (size_t)(per_group * r->pixels);
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t group = (int64_t)unit % groups, at = (int64_t)(unit * count);
        double mean = 0, squares = 0;
        float mean_f32 = 0, inverse_f32 = 0;
        if (r->x->dtype == FB_DTYPE_F32) {
            r->kernel->moments((const float *)r->x->data + at, count, r->params->epsilon, true, &mean_f32, &inverse_f32);
        } else {
            for (size_t i = 0; i < count; i++) {
                mean += fb_tensor_number(r->x, at + (int64_t)i) / (double)count;
            }
            for (size_t i = 0; i < count; i++) {
                const double d = fb_tensor_number(r->x, at + (int64_t)i) - mean;
                squares += d * d / (double)count;
            }
        }
        const double inverse = 1 / sqrt(squares + (double)r->params->epsilon);
        for (int64_t c = 0; c < per_group; c++) {
            const int64_t channel = group * per_group + c, which = r->kind == NORM_GROUP && r->params->scale_per_group ? group : channel;
            const double scale = fb_tensor_number(r->scale, which), bias = fb_tensor_number(r->bias, which);
            const int64_t row = at + c * r->pixels;
            if (r->x->dtype == FB_DTYPE_F32) {
                r->kernel->affine((const float *)r->x->data + row, (float *)r->y->data + row, (size_t)r->pixels, mean_f32,
                                  inverse_f32 * (float)scale, (float)bias);
            } else {
                for (int64_t i = row; i < row + r->pixels; i++) {
                    fb_number_set(r->y, i, (fb_tensor_number(r->x, i) - mean) * inverse * scale + bias);
                }
            }
        }
    }
}

static FbStatus group_all(const FbCall *call, NormKind kind, FbError *err)
{
    const NormParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    NormRun r = {.kernel = fb_norm_f32_pick(fb_context_cpu(call->context)), .params = p, .kind = kind, .channels = x->dims[1], .x = x,
                 .scale = call->inputs[1], .bias = call->inputs[2], .y = call->outputs[0]};
    if (fb_tensor_elements(x) == 0) {
        return FB_OK;
    }
    r.pixels = fb_tensor_elements(x) / (x->dims[0] * r.channels);
    fb_parallel(call->context, group_units, &r, (size_t)(x->dims[0] * (kind == NORM_INSTANCE ? r.channels : p->groups)), 1);
    return fb_check_cancel(call->context, err);
}

static FbStatus instance_run(const FbCall *call, FbError *err) { return group_all(call, NORM_INSTANCE, err); }
static FbStatus group_run(const FbCall *call, FbError *err) { return group_all(call, NORM_GROUP, err); }

static const char *const batch_attributes[] = {"epsilon", "momentum", "spatial", "training_mode", NULL};
static const char *const instance_attributes[] = {"epsilon", NULL};
static const char *const group_attributes[] = {"epsilon", "num_groups", "stash_type", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "BatchNormalization", .summary = "(x - mean) / sqrt(variance + epsilon) * scale + bias per channel", .since = 7,
     .newest = FB_OPSET_NEWEST, .min_inputs = 5, .max_inputs = 5, .min_outputs = 1, .max_outputs = 5, .params_bytes = sizeof(NormParams),
     .flags = FB_OP_SPATIAL | FB_OP_INPLACE, .decode = batch_decode, .infer = batch_infer, .scratch = batch_scratch, .run = batch_run,
     .attributes = batch_attributes},
    {.domain = "", .name = "InstanceNormalization", .summary = "each channel of each image to mean 0, variance 1", .since = 6,
     .newest = FB_OPSET_NEWEST, .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(NormParams),
     .flags = FB_OP_INPLACE, .decode = instance_decode, .infer = instance_infer, .run = instance_run, .attributes = instance_attributes},
    {.domain = "", .name = "GroupNormalization", .summary = "each group of channels to mean 0, variance 1", .since = 18,
     .newest = FB_OPSET_NEWEST, .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(NormParams),
     .flags = FB_OP_INPLACE, .decode = group_decode, .infer = group_infer, .run = group_run, .attributes = group_attributes},
};
const FbOpFamily fb_ops_norm_batch = {rows, sizeof rows / sizeof *rows};
