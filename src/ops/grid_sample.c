/* Sampling at computed places: GridSample, AffineGrid. */
#include <math.h>
#include <string.h>

#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

enum { SPATIAL_MAX = 3, TAPS_MAX = 4 };

typedef enum SampleMode { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC } SampleMode;
typedef enum SamplePadding { PADDING_ZEROS, PADDING_BORDER, PADDING_REFLECTION } SamplePadding;

typedef struct SampleParams {
    SampleMode mode;
    SamplePadding padding;
    bool align;
} SampleParams;

/* ---- GridSample ---- */

static FbStatus decode_grid_sample(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    SampleParams *p = params;
    const char *mode, *padding;
    FB_TRY(fb_attr_string(node, "mode", node->version < 20 ? "bilinear" : "linear", &mode, err));
    FB_TRY(fb_attr_string(node, "padding_mode", "zeros", &padding, err));
    FB_TRY(fb_attr_bool(node, "align_corners", false, &p->align, err));
    if (strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0) {
        p->mode = SAMPLE_LINEAR;
    } else if (strcmp(mode, "cubic") == 0 || strcmp(mode, "bicubic") == 0) {
        p->mode = SAMPLE_CUBIC;
    } else if (strcmp(mode, "nearest") == 0) {
        p->mode = SAMPLE_NEAREST;
    } else {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'mode' is '%s', expected linear, nearest or cubic", mode);
    }
    if (strcmp(padding, "zeros") == 0) {
        p->padding = PADDING_ZEROS;
    } else if (strcmp(padding, "border") == 0) {
        p->padding = PADDING_BORDER;
    } else if (strcmp(padding, "reflection") == 0) {
        p->padding = PADDING_REFLECTION;
    } else {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'padding_mode' is '%s', expected zeros, border or reflection", padding);
    }
    return FB_OK;
}

static FbStatus infer_grid_sample(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape, *grid = &infer->inputs[1].shape;
    FbShape *out = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 3, 2 + SPATIAL_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 3, 2 + SPATIAL_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(x->rank);
    if (x->rank < 0 || grid->rank < 0) {
        return FB_OK;
    }
    int64_t pair = grid->dims[grid->rank - 1];
    if (grid->rank != x->rank || (pair >= 0 && pair != x->rank - 2)) {
        return fb_error_set(err, FB_ERR_FORMAT, "a grid of rank %d with %lld coordinates does not fit an input of rank %d", grid->rank,
                            (long long)pair, x->rank);
    }
    if (grid->dims[0] >= 0 && x->dims[0] >= 0 && grid->dims[0] != x->dims[0]) {
        return fb_error_set(err, FB_ERR_FORMAT, "the batch sizes of input and grid differ: %lld and %lld", (long long)x->dims[0],
                            (long long)grid->dims[0]);
    }
    out->dims[0] = x->dims[0];
    out->dims[1] = x->dims[1];
    for (int i = 2; i < x->rank; i++) {
        out->dims[i] = grid->dims[i - 1];
        if (x->dims[i] == 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d of the input is empty", i);
        }
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

/* Keys' cubic kernel with a = -0.75, as the specification fixes it. */
static float cubic_weight(float x)
{
    const float a = -0.75F;
    x = fabsf(x);
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0.0F;
}

/* The element that stands for index i of an axis; -1: zero. */
static int64_t padded_index(const SampleParams *p, int64_t i, int64_t size)
{
    if (i >= 0 && i < size) {
        return i;
    }
    switch (p->padding) {
    case PADDING_ZEROS: return -1;
    case PADDING_BORDER: return i < 0 ? 0 : size - 1;
    case PADDING_REFLECTION: break;
    }
    /* about the centres of the end elements when corners are aligned, else about their outer edges */
    int64_t period = p->align ? 2 * (size - 1) : 2 * size;
    if (period == 0) {
        return 0;
    }
    int64_t phase = (i % period + period) % period;
    return phase < size ? phase : period - phase - (p->align ? 0 : 1);
}

typedef struct AxisTaps {
    int count;
    int64_t index[TAPS_MAX];
    float weight[TAPS_MAX];
} AxisTaps;

static void axis_taps(const SampleParams *p, float place, int64_t size, AxisTaps *taps)
{
    float length = (float)size, x = p->align ? (place + 1) / 2 * (length - 1) : ((place + 1) * length - 1) / 2;
    if (!(fabsf(x) < 1.0e9F)) {
        x = -1.0e9F; /* infinite or no number: far outside */
    }
    int first = p->mode == SAMPLE_CUBIC ? -1 : 0;
    taps->count = p->mode == SAMPLE_NEAREST ? 1 : p->mode == SAMPLE_LINEAR ? 2 : 4;
    float base = p->mode == SAMPLE_NEAREST ? nearbyintf(x) : floorf(x), ratio = x - base;
    for (int t = 0; t < taps->count; t++) {
        float distance = ratio - (float)(first + t);
        taps->index[t] = padded_index(p, (int64_t)base + first + t, size);
        taps->weight[t] = p->mode == SAMPLE_NEAREST ? 1.0F : p->mode == SAMPLE_LINEAR ? 1 - fabsf(distance) : cubic_weight(distance);
    }
}

/* One value of one channel: the weighted sum over all combinations of taps, the last axis fastest. */
static float sample_point(const float *x, const int64_t *strides, const AxisTaps *taps, int axes)
{
    int at[SPATIAL_MAX] = {0};
    float sum = 0;
    for (;;) {
        float weight = 1;
        int64_t from = 0;
        bool outside = false;
        for (int d = 0; d < axes; d++) {
            int64_t i = taps[d].index[at[d]];
            weight *= taps[d].weight[at[d]];
            outside = outside || i < 0;
            from += i * strides[d];
        }
        sum += outside ? 0.0F : weight * x[from];
        int d = axes - 1;
        while (d >= 0 && ++at[d] == taps[d].count) {
            at[d--] = 0;
        }
        if (d < 0) {
            return sum;
        }
    }
}

typedef struct SampleTask {
    const FbCall *call;
    int64_t points, strides[FB_RANK_MAX];
} SampleTask;

static void sample_points(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const SampleTask *task = arg;
    const FbTensor *x = task->call->inputs[0], *grid = task->call->inputs[1];
    float *out = task->call->outputs[0]->data;
    int axes = x->rank - 2;
    for (size_t n = begin; n < end; n++) {
        AxisTaps taps[SPATIAL_MAX];
        int64_t batch = (int64_t)n / task->points, point = (int64_t)n % task->points;
        for (int d = 0; d < axes; d++) { /* the grid names the last axis first */
            axis_taps(task->call->params, ((const float *)grid->data)[(int64_t)n * axes + axes - 1 - d], x->dims[2 + d], &taps[d]);
        }
        for (int64_t c = 0; c < x->dims[1]; c++) {
            const float *channel = (const float *)x->data + batch * task->strides[0] + c * task->strides[1];
            out[(batch * x->dims[1] + c) * task->points + point] = sample_point(channel, task->strides + 2, taps, axes);
        }
    }
}

static FbStatus run_grid_sample(const FbCall *call, FbError *err)
{
    (void)err;
    const FbTensor *x = call->inputs[0];
    SampleTask task = {.call = call, .points = 1};
    if (!call->outputs[0] || !call->outputs[0]->bytes) {
        return FB_OK;
    }
    fb_row_major_strides(x->dims, x->rank, task.strides);
    for (int i = 2; i < x->rank; i++) {
        task.points *= call->outputs[0]->dims[i];
    }
    fb_parallel(call->context, sample_points, &task, (size_t)(x->dims[0] * task.points), 64);
    return FB_OK;
}

/* ---- AffineGrid ---- */

static FbStatus decode_affine_grid(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_attr_bool(node, "align_corners", false, &((SampleParams *)params)->align, err);
}

static FbStatus infer_affine_grid(FbInfer *infer, FbError *err)
{
    const FbShape *theta = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList size;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    FB_TRY(fb_list_from_infer(infer, 1, "input 'size'", &size, err));
    if (!size.known) {
        return FB_OK;
    }
    if (size.count != 4 && size.count != 5) {
        return fb_error_set(err, FB_ERR_FORMAT, "input 'size' has %d numbers, expected 4 or 5", size.count);
    }
    int axes = size.count - 2;
    const int64_t expected[3] = {size.items[0], axes, axes + 1};
    for (int i = 0; theta->rank == 3 && i < 3; i++) {
        if (theta->dims[i] >= 0 && theta->dims[i] != expected[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of 'theta' is %lld, expected %lld", i, (long long)theta->dims[i],
                                (long long)expected[i]);
        }
    }
    out->rank = size.count;
    out->dims[0] = size.items[0];
    for (int i = 0; i < axes; i++) {
        out->dims[1 + i] = size.items[2 + i];
    }
    out->dims[out->rank - 1] = axes;
    for (int i = 0; i < out->rank; i++) {
        if (out->dims[i] < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'size' has the number %lld", (long long)out->dims[i]);
        }
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static float grid_place(bool align, int64_t at, int64_t size)
{
    float length = (float)size;
    if (align) {
        return size == 1 ? -1.0F : -1.0F + 2.0F * (float)at / (length - 1);
    }
    return (2.0F * (float)at + 1) / length - 1;
}

static FbStatus run_affine_grid(const FbCall *call, FbError *err)
{
    (void)err;
    const SampleParams *p = call->params;
    FbTensor *out = call->outputs[0];
    if (!out) {
        return FB_OK;
    }
    int axes = out->rank - 2;
    int64_t points = out->dims[0] ? fb_tensor_elements(out) / axes / out->dims[0] : 0;
    for (int64_t n = 0; n < out->dims[0] * points; n++) {
        const float *theta = (const float *)call->inputs[0]->data + n / points * axes * (axes + 1);
        float place[SPATIAL_MAX];
        int64_t rest = n % points;
        for (int d = axes - 1; d >= 0; d--) { /* the last axis is x, coordinate 0 */
            place[axes - 1 - d] = grid_place(p->align, rest % out->dims[1 + d], out->dims[1 + d]);
            rest /= out->dims[1 + d];
        }
        for (int row = 0; row < axes; row++) {
            float sum = theta[row * (axes + 1) + axes];
            for (int k = 0; k < axes; k++) {
                sum += theta[row * (axes + 1) + k] * place[k];
            }
            ((float *)out->data)[n * axes + row] = sum;
        }
    }
    return FB_OK;
}

static const char *const sample_attributes[] = {"align_corners", "mode", "padding_mode", NULL};
static const char *const affine_attributes[] = {"align_corners", NULL};

static const FbOp rows[] = {
    {.name = "GridSample", .domain = "", .summary = "interpolates at the places of a grid", .since = 16, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SampleParams), .attributes = sample_attributes,
     .decode = decode_grid_sample, .infer = infer_grid_sample, .run = run_grid_sample},
    {.name = "AffineGrid", .domain = "", .summary = "a grid for GridSample from affine matrices", .since = 20, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SampleParams), .attributes = affine_attributes,
     .decode = decode_affine_grid, .infer = infer_affine_grid, .run = run_affine_grid},
};
const FbOpFamily fb_ops_sample = {rows, sizeof rows / sizeof rows[0]};
