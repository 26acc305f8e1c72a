/* Scan: one slice per iteration of every scanned input, carried state, one slice per iteration of every output. */
#include "ops/attribute.h"
#include "ops/control_flow.h"
#include "run/control.h"

/* A tensor seen as [outer][length][inner] around the axis that is scanned; offsets in bytes. */
typedef struct Walk {
    FbKept slice;       /* one iteration's */
    FbKept whole;       /* outputs */
    const FbTensor *from; /* inputs */
    int axis;
    bool backwards;
    size_t outer, inner_bytes;
} Walk;

typedef struct Scan {
    FbControl *control;
    const FbScanParams *params;
    int64_t length;
    FbKept *carried;
    Walk *inputs, *outputs;
    uint32_t output_count;
} Scan;

static void set_strides(Walk *walk, const FbTensor *tensor)
{
    walk->outer = 1;
    walk->inner_bytes = (size_t)fb_dtype_bits(tensor->dtype) / 8;
    for (int i = 0; i < tensor->rank; i++) {
        if (i < walk->axis) {
            walk->outer *= (size_t)tensor->dims[i];
        } else if (i > walk->axis) {
            walk->inner_bytes *= (size_t)tensor->dims[i];
        }
    }
}

static FbStatus start_input(Scan *scan, uint32_t i, FbError *err)
{
    Walk *walk = &scan->inputs[i];
    const FbTensor *tensor = fb_control_input(scan->control, scan->params->carried + i);
    if (tensor == NULL || tensor->rank < 1 || fb_dtype_bits(tensor->dtype) < 8) {
        return fb_error_set(err, FB_ERR_FORMAT, "its scanned input %u is absent, a scalar, or of less than a byte per element", i);
    }
    walk->from = tensor;
    walk->backwards = scan->params->input_directions != NULL && scan->params->input_directions[i] != 0;
    FB_TRY(fb_axis_normalize(scan->params->input_axes != NULL ? scan->params->input_axes[i] : 0, tensor->rank, &walk->axis, err));
    if (i > 0 && tensor->dims[walk->axis] != scan->length) {
        return fb_error_set(err, FB_ERR_FORMAT, "its scanned inputs have different lengths, %lld and %lld", (long long)scan->length,
                            (long long)tensor->dims[walk->axis]);
    }
    scan->length = tensor->dims[walk->axis];
    set_strides(walk, tensor);
    FbTensor slice = {.dtype = tensor->dtype, .rank = tensor->rank - 1, .bytes = walk->outer * walk->inner_bytes};
    for (int d = 0, to = 0; d < tensor->rank; d++) {
        if (d != walk->axis) {
            slice.dims[to++] = tensor->dims[d];
        }
    }
    walk->slice.memory = fb_alloc_zero(scan->control->context, slice.bytes);
    slice.data = walk->slice.memory;
    walk->slice.tensor = slice;
    return slice.data != NULL ? FB_OK : fb_error_memory(scan->control->context, err, "a slice", slice.bytes);
}

static void read_slice(const Scan *scan, Walk *walk, int64_t step)
{
    size_t at = (size_t)(walk->backwards ? scan->length - 1 - step : step);
    for (size_t o = 0; o < walk->outer; o++) {
        memcpy((uint8_t *)walk->slice.memory + o * walk->inner_bytes,
               (const uint8_t *)walk->from->data + (o * (size_t)scan->length + at) * walk->inner_bytes, walk->inner_bytes);
    }
}

/* Makes the whole output when the first slice tells its shape. */
static FbStatus start_output(Scan *scan, uint32_t o, const FbTensor *slice, FbError *err)
{
    Walk *walk = &scan->outputs[o];
    FbTensor whole = {.dtype = slice->dtype, .rank = slice->rank + 1};
    if (whole.rank > FB_RANK_MAX || fb_dtype_bits(slice->dtype) < 8) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "its output %u has too many dimensions or less than a byte per element", o);
    }
    walk->backwards = scan->params->output_directions != NULL && scan->params->output_directions[o] != 0;
    FB_TRY(fb_axis_normalize(scan->params->output_axes != NULL ? scan->params->output_axes[o] : 0, whole.rank, &walk->axis, err));
    for (int d = 0, from = 0; d < whole.rank; d++) {
        whole.dims[d] = d == walk->axis ? scan->length : slice->dims[from++];
    }
    FbShape shape = fb_tensor_shape(&whole);
    uint64_t bytes;
    int64_t elements = fb_shape_elements(&shape);
    if (elements < 0 || !fb_dtype_storage(whole.dtype, (uint64_t)elements, &bytes)) {
        return fb_error_set(err, FB_ERR_BUDGET, "its output %u does not fit in memory", o);
    }
    whole.bytes = (size_t)bytes;
    set_strides(walk, &whole);
    whole.data = walk->whole.memory = fb_alloc_zero(scan->control->context, whole.bytes);
    walk->whole.tensor = whole;
    walk->slice.tensor = *slice;
    return whole.data != NULL ? FB_OK : fb_error_memory(scan->control->context, err, "an output", bytes);
}

static FbStatus write_slice(Scan *scan, uint32_t o, int64_t step, const FbTensor *slice, FbError *err)
{
    Walk *walk = &scan->outputs[o];
    if (step == 0) {
        FB_TRY(start_output(scan, o, slice, err));
    }
    if (slice->dtype != walk->whole.tensor.dtype || slice->bytes != walk->outer * walk->inner_bytes) {
        return fb_error_set(err, FB_ERR_FORMAT, "an output of its body changes shape or type between iterations");
    }
    size_t at = (size_t)(walk->backwards ? scan->length - 1 - step : step);
    for (size_t i = 0; i < walk->outer; i++) {
        memcpy((uint8_t *)walk->whole.memory + (i * (size_t)scan->length + at) * walk->inner_bytes,
               (const uint8_t *)slice->data + i * walk->inner_bytes, walk->inner_bytes);
    }
    return FB_OK;
}

static FbStatus scan_steps(Scan *scan, FbError *err)
{
    FbControl *control = scan->control;
    uint32_t carried = scan->params->carried;
    for (int64_t step = 0; step < scan->length; step++) {
        FB_TRY(fb_check_cancel(control->context, err));
        for (uint32_t c = 0; c < carried; c++) {
            control->inputs[c] = &scan->carried[c].tensor;
        }
        for (uint32_t i = 0; i < scan->params->scanned; i++) {
            read_slice(scan, &scan->inputs[i], step);
            control->inputs[carried + i] = &scan->inputs[i].slice.tensor;
        }
        FB_TRY(fb_instance_run(control->body, control->inputs, control->outputs, err));
        for (uint32_t o = 0; o < scan->output_count; o++) {
            FB_TRY(write_slice(scan, o, step, &control->outputs[carried + o], err));
        }
        for (uint32_t c = 0; c < carried; c++) {
            FB_TRY(fb_control_keep(control, &scan->carried[c], &control->outputs[c], err));
        }
    }
    if (scan->length == 0 && scan->output_count > 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a scan over an axis of length 0");
    }
    for (uint32_t c = 0; c < carried; c++) {
        FB_TRY(fb_control_output(control, c, &scan->carried[c].tensor, err));
    }
    for (uint32_t o = 0; o < scan->output_count; o++) {
        FB_TRY(fb_control_output(control, carried + o, &scan->outputs[o].whole.tensor, err));
    }
    return FB_OK;
}

static FbStatus start(Scan *scan, FbError *err)
{
    for (uint32_t i = 0; i < scan->params->scanned; i++) {
        FB_TRY(start_input(scan, i, err));
    }
    for (uint32_t c = 0; c < scan->params->carried; c++) {
        const FbTensor *given = fb_control_input(scan->control, c);
        if (given == NULL) {
            return fb_error_set(err, FB_ERR_FORMAT, "its carried value %u is absent", c);
        }
        FB_TRY(fb_control_keep(scan->control, &scan->carried[c], given, err));
    }
    return FB_OK;
}

FbStatus fb_control_scan(FbControl *control, FbError *err)
{
    Scan scan = {.control = control, .params = control->step->params};
    FbArena *arena = control->stage->arena;
    FB_TRY(fb_control_body(control, 0, err));
    scan.output_count = (uint32_t)control->step->bodies[0]->output_count - scan.params->carried;
    scan.carried = fb_arena_array(arena, scan.params->carried + 1u, sizeof *scan.carried);
    scan.inputs = fb_arena_array(arena, scan.params->scanned + 1u, sizeof *scan.inputs);
    scan.outputs = fb_arena_array(arena, scan.output_count + 1u, sizeof *scan.outputs);
    if (scan.carried == NULL || scan.inputs == NULL || scan.outputs == NULL) {
        return fb_error_memory(control->context, err, "control flow", 0);
    }
    FbStatus status = start(&scan, err);
    if (status == FB_OK) {
        status = scan_steps(&scan, err);
    }
    for (uint32_t c = 0; c < scan.params->carried; c++) {
        fb_free(control->context, scan.carried[c].memory);
    }
    for (uint32_t i = 0; i < scan.params->scanned; i++) {
        fb_free(control->context, scan.inputs[i].slice.memory);
    }
    for (uint32_t o = 0; o < scan.output_count; o++) {
        fb_free(control->context, scan.outputs[o].whole.memory);
    }
    return status;
}
