/* Running Resize: nearest copies elements by one index map per axis; linear and cubic go axis by axis, the last logical axis first, in
 * float. The order of axes is the logical one whatever the memory order, so the bits are the same. */
#include <string.h>

#include "ops/elements.h"
#include "ops/interpolate.h"
#include "ops/strided_copy.h"

typedef struct ResizePlan {
    FbResizeAxis axes[FB_RANK_MAX];     /* in memory order */
    int logical[FB_RANK_MAX];           /* memory position of logical axis i */
    bool changed[FB_RANK_MAX];
    int rank;
} ResizePlan;

static const FbTensor *input_at(const FbCall *call, int i)
{
    const FbTensor *tensor = i > 0 ? fb_call_input(call, i) : NULL;
    return tensor && fb_tensor_elements(tensor) > 0 ? tensor : NULL;
}

static bool same_axis(const FbResizeParams *p, const FbResizeAxis *axis)
{
    bool crop = p->rule.coordinate == FB_COORDINATE_TF_CROP_AND_RESIZE && (axis->roi_begin != 0 || axis->roi_end != 1);
    return axis->in == axis->out && axis->scale == 1.0F && !crop && p->rule.coordinate != FB_COORDINATE_TF_HALF_PIXEL_FOR_NN;
}

static FbStatus make_plan(const FbCall *call, ResizePlan *plan, FbError *err)
{
    const FbResizeParams *p = call->params;
    const FbTensor *in = call->inputs[0], *out = call->outputs[0];
    bool last = p->last || call->channels_last;
    int64_t dims[FB_RANK_MAX];
    FbResizeAxis axes[FB_RANK_MAX];
    plan->rank = in->rank;
    for (int i = 0; i < in->rank; i++) {
        plan->logical[i] = fb_physical_axis(i, in->rank, last);
        dims[i] = in->dims[plan->logical[i]];
    }
    FB_TRY(fb_resize_axes(p, dims, in->rank, input_at(call, p->roi_input), input_at(call, p->scales_input), input_at(call, p->sizes_input), axes,
                          err));
    for (int i = 0; i < in->rank; i++) {
        int d = plan->logical[i];
        plan->axes[d] = axes[i];
        plan->changed[d] = !same_axis(p, &axes[i]);
        if (out->dims[d] != axes[i].out) {
            return fb_error_set(err, FB_ERR_INTERNAL, "axis %d gives %lld elements, %lld were planned", i, (long long)axes[i].out,
                                (long long)out->dims[d]);
        }
    }
    return FB_OK;
}

/* ---- nearest ---- */

typedef struct NearestTask {
    const FbTensor *in, *out;
    int outer_rank;                     /* axes before the run that is copied as it is */
    int64_t run;
    const int64_t *map[FB_RANK_MAX];
    const bool *outside[FB_RANK_MAX];
    int64_t strides[FB_RANK_MAX];       /* of the input */
    int64_t step, row;                  /* of the output: from run to run, from row to row of runs */
    int bits;
    char value[16];                     /* the extrapolation value as an element */
} NearestTask;

static void nearest_row(const NearestTask *task, const char *from, char *to, size_t width)
{
    int d = task->outer_rank - 1;
    int64_t count = task->out->dims[d], step = task->strides[d] * (int64_t)width;
    const int64_t *map = task->map[d];
    if (task->run == 1 && task->step == 1 && task->strides[d] == 1 && width == 4) {
        for (int64_t i = 0; i < count; i++) {
            memcpy(to + i * 4, from + map[i] * 4, 4);
        }
        return;
    }
    size_t bytes = (size_t)task->run * width;
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + (size_t)(i * task->step) * width, from + map[i] * step, bytes);
    }
}

static void extrapolate(const NearestTask *task, char *to, size_t width, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + (size_t)i * width, task->value, width);
    }
}

static void nearest_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const NearestTask *task = arg;
    int d_last = task->outer_rank - 1;
    size_t width = (size_t)task->bits / 8;
    for (size_t r = begin; r < end; r++) {
        int64_t rest = (int64_t)r, from = 0;
        bool outside = false;
        for (int d = d_last - 1; d >= 0; d--) {
            int64_t at = rest % task->out->dims[d];
            rest /= task->out->dims[d];
            from += task->map[d][at] * task->strides[d];
            outside = outside || task->outside[d][at];
        }
        char *to = (char *)task->out->data + r * (size_t)task->row * width;
        nearest_row(task, (const char *)task->in->data + from * (int64_t)width, to, width);
        for (int64_t i = 0; i < task->out->dims[d_last]; i++) {
            if (outside || task->outside[d_last][i]) {
                extrapolate(task, to + (size_t)(i * task->step) * width, width, task->run);
            }
        }
    }
}

static FbStatus run_nearest(const FbCall *call, const ResizePlan *plan)
{
    const FbResizeParams *p = call->params;
    NearestTask task = {.in = call->inputs[0], .out = call->outputs[0], .run = 1, .outer_rank = plan->rank, .bits = fb_dtype_bits(call->inputs[0]->dtype)};
    const int last = plan->rank - 1;
    const bool windows = last > 0 && (call->output_stride != 0 || call->input_strides != NULL); /* then a run is no longer than the last axis */
    int64_t *map = call->scratch, rows = 1, dims[FB_RANK_MAX];
    memcpy(dims, task.in->dims, sizeof dims);
    dims[last] = (int64_t)fb_call_stride(call, 0, (size_t)dims[last]);
    fb_row_major_strides(dims, plan->rank, task.strides);
    while (task.outer_rank > (windows ? last : 1) && !plan->changed[task.outer_rank - 1]) {
        task.run *= task.out->dims[--task.outer_rank];
    }
    task.step = task.outer_rank > last ? 1 : windows ? (int64_t)fb_call_stride(call, -1, (size_t)task.run) : task.run;
    task.row = task.outer_rank > last ? (int64_t)fb_call_stride(call, -1, (size_t)task.out->dims[last]) : task.out->dims[task.outer_rank - 1] * task.step;
    bool *outside = (bool *)(map + call->scratch_bytes / (sizeof(int64_t) + sizeof(bool)));
    for (int d = 0; d < task.outer_rank; d++) {
        int64_t count = task.out->dims[d];
        memset(outside, 0, (size_t)count);
        for (int64_t i = 0; !plan->changed[d] && i < count; i++) {
            map[i] = i;
        }
        if (plan->changed[d]) {
            fb_resize_taps(&p->rule, &plan->axes[d], 1, map, NULL, outside);
        }
        task.map[d] = map;
        task.outside[d] = outside;
        map += count;
        outside += count;
        rows *= d < task.outer_rank - 1 ? count : 1;
    }
    fb_encode_f32(task.in->dtype == FB_DTYPE_F64 ? FB_DTYPE_F32 : task.in->dtype, &p->extrapolation, task.value, 0, 1);
    if (task.in->dtype == FB_DTYPE_F64) {
        double wide = p->extrapolation;
        memcpy(task.value, &wide, sizeof wide);
    }
    fb_parallel(call->context, nearest_rows, &task, (size_t)rows, 32768 / (task.out->bytes / (size_t)rows) + 1);
    return FB_OK;
}

/* ---- linear, cubic ---- */

typedef struct BlendTask {
    const float *from;
    float *to;
    int64_t in, out, inner, taps;       /* [outer, in, inner] -> [outer, out, inner] */
    const int64_t *index;
    const float *weight;
} BlendTask;

/* Products and sums in tap order, two roundings each: the same on every machine. */
static void blend_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const BlendTask *task = arg;
    int64_t inner = task->inner, taps = task->taps;
    for (size_t r = begin; r < end; r++) {
        int64_t outer = (int64_t)r / task->out, at = (int64_t)r % task->out;
        const float *from = task->from + outer * task->in * inner;
        float *to = task->to + (int64_t)r * inner;
        const int64_t *index = task->index + at * taps;
        const float *weight = task->weight + at * taps;
        const float *first = from + index[0] * inner;
        for (int64_t i = 0; i < inner; i++) {
            to[i] = first[i] * weight[0];
        }
        for (int64_t t = 1; t < taps; t++) {
            const float *next = from + index[t] * inner;
            float w = weight[t];
            for (int64_t i = 0; i < inner; i++) {
                to[i] += next[i] * w;
            }
        }
    }
}

/* The same where the axis is the innermost one: one output row at a time. */
static void blend_inner(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const BlendTask *task = arg;
    int64_t taps = task->taps;
    for (size_t r = begin; r < end; r++) {
        const float *from = task->from + (int64_t)r * task->in;
        float *to = task->to + (int64_t)r * task->out;
        for (int64_t at = 0; at < task->out; at++) {
            const int64_t *index = task->index + at * taps;
            const float *weight = task->weight + at * taps;
            float sum = from[index[0]] * weight[0];
            for (int64_t t = 1; t < taps; t++) {
                sum += from[index[t]] * weight[t];
            }
            to[at] = sum;
        }
    }
}

static void blend(FbContext *context, BlendTask *task, int64_t outer)
{
    if (task->inner == 1) {
        fb_parallel(context, blend_inner, task, (size_t)outer, (size_t)(8192 / (task->out * task->taps) + 1));
    } else {
        fb_parallel(context, blend_rows, task, (size_t)(outer * task->out), (size_t)(8192 / (task->inner * task->taps) + 1));
    }
}

/* Every axis but one is inside; positions outside of it on this axis get the extrapolation value. */
static void extrapolate_axis(const FbTensor *out, int axis, const bool *outside, const void *value)
{
    int64_t outer = 1, inner = 1;
    int bits = fb_dtype_bits(out->dtype);
    for (int d = 0; d < out->rank; d++) {
        outer *= d < axis ? out->dims[d] : 1;
        inner *= d > axis ? out->dims[d] : 1;
    }
    for (int64_t r = 0; r < outer * out->dims[axis]; r++) {
        for (int64_t i = 0; outside[r % out->dims[axis]] && i < inner; i++) {
            fb_copy_elements(bits, value, 0, out->data, r * inner + i, 1);
        }
    }
}

/* Elements of the largest tensor between input and output, when axes are done one by one. */
static int64_t largest_stage(const ResizePlan *plan, const FbTensor *in)
{
    int64_t largest = fb_tensor_elements(in), now = largest;
    for (int i = plan->rank - 1; i >= 0; i--) {
        int d = plan->logical[i];
        if (plan->changed[d] && plan->axes[d].in) {
            now = now / plan->axes[d].in * plan->axes[d].out;
            largest = now > largest ? now : largest;
        }
    }
    return largest;
}

static int64_t most_taps(const FbResizeParams *p, const ResizePlan *plan)
{
    int64_t most = 1;
    for (int d = 0; d < plan->rank; d++) {
        int64_t entries = plan->changed[d] ? plan->axes[d].out * fb_resize_tap_count(&p->rule, &plan->axes[d]) : 1;
        most = entries > most ? entries : most;
    }
    return most;
}

static int64_t most_out(const ResizePlan *plan)
{
    int64_t most = 1;
    for (int d = 0; d < plan->rank; d++) {
        most = plan->axes[d].out > most ? plan->axes[d].out : most;
    }
    return most;
}

/* Scratch: two stages of floats, index and weight tables, outside flags. Values that decide sizes were accepted by infer. */
size_t fb_resize_scratch(const FbCall *call)
{
    const FbResizeParams *p = call->params;
    const FbTensor *out = call->outputs[0];
    int64_t total = 1;
    if (!out) {
        return 0;
    }
    for (int i = 0; i < out->rank; i++) {
        total += out->dims[i];
    }
    if (p->rule.mode == FB_RESIZE_NEAREST) {
        return (size_t)total * (sizeof(int64_t) + sizeof(bool)) + 64;
    }
    /* Stages never exceed the product of the larger size of every axis; taps never exceed 4 * (in + out) + 8 per output. */
    int64_t stage = 1, entries = 1, largest = 1;
    for (int i = 0; i < out->rank; i++) {
        int64_t in_dim = call->inputs[0]->dims[i], out_dim = out->dims[i];
        int64_t per_axis = out_dim * 4 + (p->rule.antialias ? 8 * in_dim + 8 * out_dim : 0) + 8;
        stage *= in_dim > out_dim ? in_dim : out_dim;
        entries = per_axis > entries ? per_axis : entries;
        largest = out_dim > largest ? out_dim : largest;
    }
    return (size_t)(2 * (stage + 16)) * sizeof(float) + (size_t)entries * (sizeof(int64_t) + sizeof(float)) + (size_t)largest + 64;
}

static FbStatus run_blend(const FbCall *call, const ResizePlan *plan, FbError *err)
{
    const FbResizeParams *p = call->params;
    const FbTensor *in = call->inputs[0];
    FbTensor *out = call->outputs[0];
    int64_t stage = largest_stage(plan, in) + 16, entries = most_taps(p, plan), elements = fb_tensor_elements(in);
    int64_t *index = call->scratch; /* the widest alignment first */
    float *weight = (float *)(index + entries), *now = weight + entries, *other = now + stage;
    bool *outside = (bool *)(other + stage);
    size_t needed = (size_t)((char *)(outside + most_out(plan)) - (char *)call->scratch);
    if (needed > call->scratch_bytes) {
        return fb_error_set(err, FB_ERR_INTERNAL, "scratch of %zu bytes, %zu are needed", call->scratch_bytes, needed);
    }
    const float *from = in->data;
    if (in->dtype != FB_DTYPE_F32) {
        fb_work_load(in->dtype, in->data, 0, 1, FB_WORK_F32, now, (size_t)elements);
        from = now;
    }
    int64_t dims[FB_RANK_MAX];
    memcpy(dims, in->dims, sizeof dims);
    int stages = 0;
    for (int d = 0; d < plan->rank; d++) {
        stages += plan->changed[d];
    }
    for (int i = plan->rank - 1; i >= 0; i--) {
        int d = plan->logical[i];
        if (!plan->changed[d]) {
            continue;
        }
        bool final = --stages == 0 && out->dtype == FB_DTYPE_F32;
        BlendTask task = {.from = from, .to = final ? out->data : from == now ? other : now, .in = dims[d],
                          .out = plan->axes[d].out, .inner = 1, .index = index, .weight = weight, .taps = fb_resize_tap_count(&p->rule, &plan->axes[d])};
        int64_t outer = 1;
        for (int k = 0; k < plan->rank; k++) {
            outer *= k < d ? dims[k] : 1;
            task.inner *= k > d ? dims[k] : 1;
        }
        fb_resize_taps(&p->rule, &plan->axes[d], task.taps, index, weight, outside);
        blend(call->context, &task, outer);
        dims[d] = task.out;
        from = task.to;
    }
    if (out->dtype == FB_DTYPE_F32 && from != out->data) {
        memcpy(out->data, from, out->bytes);
    } else if (out->dtype != FB_DTYPE_F32) {
        fb_work_store(out->dtype, out->data, 0, FB_WORK_F32, from, (size_t)fb_tensor_elements(out));
    }
    for (int d = 0; p->rule.coordinate == FB_COORDINATE_TF_CROP_AND_RESIZE && d < plan->rank; d++) {
        double value[2] = {0}; /* room for one element of any type */
        fb_work_store(out->dtype, value, 0, FB_WORK_F32, &p->extrapolation, 1);
        if (plan->changed[d]) {
            fb_resize_taps(&p->rule, &plan->axes[d], fb_resize_tap_count(&p->rule, &plan->axes[d]), index, weight, outside);
            extrapolate_axis(out, d, outside, value);
        }
    }
    return FB_OK;
}

FbStatus fb_resize_run(const FbCall *call, FbError *err)
{
    const FbResizeParams *p = call->params;
    ResizePlan plan;
    if (!call->outputs[0] || !call->outputs[0]->bytes) {
        return FB_OK;
    }
    FB_TRY(make_plan(call, &plan, err));
    if (plan.rank == 0) {
        memcpy(call->outputs[0]->data, call->inputs[0]->data, call->outputs[0]->bytes);
        return FB_OK;
    }
    return p->rule.mode == FB_RESIZE_NEAREST ? run_nearest(call, &plan) : run_blend(call, &plan, err);
}
