/* Pad: constant, edge, reflect and wrap, by one map per axis from output to input coordinates. */
#include <string.h>

#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

typedef enum PadMode { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP } PadMode;

typedef struct PadParams {
    PadMode mode;
    bool from_attribute;   /* operator set 1 to 10: pads and value are attributes */
    bool last;             /* channels last in memory */
    FbIntList pads;
    float value;
} PadParams;

static FbStatus decode_pad(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    static const char *const names[] = {"constant", "edge", "reflect", "wrap"};
    PadParams *p = params;
    const char *mode;
    FB_TRY(fb_attr_string(node, "mode", "constant", &mode, err));
    int count = node->version >= 19 ? 4 : 3, m = 0;
    while (m < count && strcmp(mode, names[m]) != 0) {
        m++;
    }
    if (m == count) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'mode' is '%s', expected constant, edge%s reflect%s", mode, count == 4 ? "," : " or",
                            count == 4 ? " or wrap" : "");
    }
    p->mode = (PadMode)m;
    p->from_attribute = node->version < 11;
    if (!p->from_attribute) {
        return node->input_count < 2 || node->inputs[1] == FB_NONE ? fb_error_set(err, FB_ERR_FORMAT, "Pad lacks its input 'pads'") : FB_OK;
    }
    FB_TRY(fb_attr_float(node, "value", 0.0F, &p->value, err));
    const char *name = node->version < 2 ? "paddings" : "pads";
    FB_TRY(fb_list_from_attribute(node, name, &p->pads, err));
    return p->pads.known ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "required attribute '%s' is missing", name);
}

/* pads and axes -> elements before and after every axis. */
static FbStatus spread_pads(const FbIntList *pads, const FbIntList *axes, int rank, int64_t *before, int64_t *after, FbError *err)
{
    FbIntList list = *axes;
    int count = list.known ? list.count : rank;
    if (pads->count != 2 * count) {
        return fb_error_set(err, FB_ERR_FORMAT, "'pads' has %d numbers for %d axes", pads->count, count);
    }
    if (list.known) {
        FB_TRY(fb_axes_normalize(&list, rank, err));
    }
    memset(before, 0, (size_t)rank * sizeof *before);
    memset(after, 0, (size_t)rank * sizeof *after);
    for (int i = 0; i < count; i++) {
        int axis = list.known ? (int)list.items[i] : i;
        before[axis] = pads->items[i];
        after[axis] = pads->items[count + i];
    }
    return FB_OK;
}

static FbStatus padded_dim(const PadParams *p, int axis, int64_t dim, int64_t before, int64_t after, int64_t *out, FbError *err)
{
    const int64_t limit = INT64_MAX / 4;
    if (before > limit || before < -limit || after > limit || after < -limit) {
        return fb_error_set(err, FB_ERR_FORMAT, "'pads' has numbers that are too large for axis %d", axis);
    }
    *out = before == 0 && after == 0 ? dim : FB_DIM_UNKNOWN;
    if (dim < 0) {
        return FB_OK;
    }
    if (dim > limit || dim + before + after < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "'pads' %lld and %lld do not fit axis %d of size %lld", (long long)before, (long long)after, axis,
                            (long long)dim);
    }
    *out = dim + before + after;
    if (dim == 0 && *out > 0 && p->mode != PAD_CONSTANT) {
        return fb_error_set(err, FB_ERR_FORMAT, "axis %d is empty: there is nothing to pad it with", axis);
    }
    return FB_OK;
}

static FbStatus infer_pad(FbInfer *infer, FbError *err)
{
    const PadParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    FbIntList pads = p->pads, axes = {.known = false};
    FB_TRY(fb_check_input_dtype(infer, 0, p->from_attribute ? FB_MASK_NUMBERS : FB_MASK_BYTES, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(in->rank);
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_infer(infer, 1, "input 'pads'", &pads, err));
        FB_TRY(fb_list_from_infer(infer, 3, "input 'axes'", &axes, err));
        if (fb_infer_has(infer, 2) && fb_shape_is_known(&infer->inputs[2].shape) && fb_shape_elements(&infer->inputs[2].shape) != 1) {
            return fb_error_set(err, FB_ERR_FORMAT, "input 'constant_value' must hold one element");
        }
    }
    if (in->rank < 0 || !pads.known || (fb_infer_has(infer, 3) && !axes.known)) {
        return FB_OK;
    }
    int64_t before[FB_RANK_MAX], after[FB_RANK_MAX];
    FB_TRY(spread_pads(&pads, &axes, in->rank, before, after, err));
    for (int i = 0; i < in->rank; i++) {
        FB_TRY(padded_dim(p, i, in->dims[i], before[i], after[i], &out->dims[i], err));
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

/* The input coordinate for coordinate `at` outside or inside [0, dim); -1: the constant. */
static int64_t source_coordinate(PadMode mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim) {
        return at;
    }
    switch (mode) {
    case PAD_CONSTANT: return -1;
    case PAD_EDGE: return at < 0 ? 0 : dim - 1;
    case PAD_WRAP: return (at % dim + dim) % dim;
    case PAD_REFLECT: break;
    }
    if (dim == 1) {
        return 0;
    }
    int64_t period = 2 * (dim - 1), phase = (at % period + period) % period;
    return phase < dim ? phase : period - phase;
}

typedef struct PadTask {
    const FbTensor *in, *out;
    int64_t *map[FB_RANK_MAX];      /* per axis, in memory order */
    int64_t strides[FB_RANK_MAX];   /* of the input */
    int64_t begin, end;             /* of the last axis: where input coordinates run on by 1 */
    int bits;
    char value[16];
} PadTask;

static void fill_row(const PadTask *task, char *row, size_t width, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        memcpy(row + (size_t)i * width, task->value, width);
    }
}

static void pad_row(const PadTask *task, const char *from, char *row, size_t width)
{
    int last = task->out->rank - 1;
    int64_t count = task->out->dims[last];
    const int64_t *map = task->map[last];
    for (int64_t i = 0; i < count; i++) {
        if (i == task->begin && task->end > task->begin) {
            memcpy(row + (size_t)i * width, from + (size_t)map[i] * width, (size_t)(task->end - task->begin) * width);
            i = task->end - 1;
        } else {
            memcpy(row + (size_t)i * width, map[i] < 0 ? task->value : from + (size_t)map[i] * width, width);
        }
    }
}

static void pad_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const PadTask *task = arg;
    int last = task->out->rank - 1;
    size_t width = (size_t)task->bits / 8;
    size_t row_bytes = (size_t)task->out->dims[last] * width;
    for (size_t r = begin; r < end; r++) {
        int64_t rest = (int64_t)r, from = 0;
        bool constant = false;
        for (int d = last - 1; d >= 0; d--) {
            int64_t at = task->map[d][rest % task->out->dims[d]];
            rest /= task->out->dims[d];
            constant = constant || at < 0;
            from += at * task->strides[d];
        }
        char *row = (char *)task->out->data + r * row_bytes;
        if (constant) {
            fill_row(task, row, width, 0, task->out->dims[last]);
        } else {
            pad_row(task, (const char *)task->in->data + from * (int64_t)width, row, width);
        }
    }
}

static size_t pad_scratch(const FbCall *call)
{
    size_t count = 1;
    for (int i = 0; call->outputs[0] && i < call->outputs[0]->rank; i++) {
        count += (size_t)call->outputs[0]->dims[i];
    }
    return count * sizeof(int64_t);
}

static void pad_value(const FbCall *call, const PadParams *p, PadTask *task)
{
    FbDtype dtype = task->in->dtype;
    const FbTensor *value = p->from_attribute ? NULL : fb_call_input(call, 2);
    memset(task->value, 0, sizeof task->value);
    if (value) {
        memcpy(task->value, value->data, (size_t)task->bits / 8);
    } else if (p->from_attribute && dtype == FB_DTYPE_F64) {
        double wide = p->value;
        memcpy(task->value, &wide, sizeof wide);
    } else if (p->from_attribute) {
        fb_encode_f32(dtype, &p->value, task->value, 0, 1);
    }
}

static FbStatus run_pad(const FbCall *call, FbError *err)
{
    const PadParams *p = call->params;
    PadTask task = {.in = call->inputs[0], .out = call->outputs[0]};
    FbIntList pads = p->pads, axes = {.known = false};
    if (!task.out || !task.out->bytes) {
        return FB_OK;
    }
    int rank = task.in->rank;
    task.bits = fb_dtype_bits(task.in->dtype);
    if (!p->from_attribute) {
        FB_TRY(fb_list_from_tensor(call->inputs[1], "input 'pads'", &pads, err));
        if (fb_call_input(call, 3)) {
            FB_TRY(fb_list_from_tensor(call->inputs[3], "input 'axes'", &axes, err));
        }
    }
    pad_value(call, p, &task);
    if (rank == 0) {
        memcpy(task.out->data, task.in->data, task.out->bytes);
        return FB_OK;
    }
    int64_t before[FB_RANK_MAX], after[FB_RANK_MAX], rows = 1;
    FB_TRY(spread_pads(&pads, &axes, rank, before, after, err));
    fb_row_major_strides(task.in->dims, rank, task.strides);
    int64_t *map = call->scratch;
    for (int i = 0; i < rank; i++) {
        int d = fb_physical_axis(i, rank, p->last || call->channels_last);
        task.map[d] = map;
        for (int64_t at = 0; at < task.out->dims[d]; at++) {
            *map++ = source_coordinate(p->mode, at - before[i], task.in->dims[d]);
        }
        if (d == rank - 1) {
            task.begin = before[i] > 0 ? before[i] : 0;
            int64_t stop = before[i] + task.in->dims[d];
            task.end = stop < task.out->dims[d] ? stop : task.out->dims[d];
        } else {
            rows *= task.out->dims[d];
        }
    }
    fb_parallel(call->context, pad_rows, &task, (size_t)rows, 65536 / (task.out->bytes / (size_t)rows) + 1);
    return FB_OK;
}

static bool pad_channels_last(void *params, int rank)
{
    (void)rank;
    ((PadParams *)params)->last = true;
    return true;
}

static const char *const pad_attributes[] = {"mode", "pads", "paddings", "value", NULL};

static const FbOp rows[] = {
    {.name = "Pad", .domain = "", .summary = "adds or removes elements at the ends of axes", .since = 1, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(PadParams), .attributes = pad_attributes,
     .decode = decode_pad, .infer = infer_pad, .scratch = pad_scratch, .run = run_pad, .channels_last = pad_channels_last},
};
const FbOpFamily fb_ops_pad = {rows, sizeof rows / sizeof rows[0]};
