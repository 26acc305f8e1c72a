/* Concat and Split without copies. A value that a Concat joins becomes a *window* of the output: its rows (the last dimension in memory) are parts
 * of the output's rows, or all of it is one piece. Parts of a Split are windows of its input. Only values whose maker and readers all take
 * windows become one; the others are copied by the step as ever, so that no result depends on it. */
#include "ops/codes_concat.h"
#include "run/instance.h"

static const size_t mixed = SIZE_MAX; /* windows of one value that do not have the same rows */

typedef struct WindowReader {
    uint32_t step, input;
} WindowReader;

typedef struct Windows {
    FbBinding *binding;
    FbStage *stage;
    uint32_t *maker;     /* per slot: the bound step that makes it; FB_NONE */
    size_t *start;       /* [slots + 1]: readers of a root, itself and its views, in `readers` */
    WindowReader *readers;
    bool *viewed;        /* per slot: the root of views */
    size_t *inner_rows;  /* per slot: rows of the windows that lie in it; 0: none */
} Windows;

/* ---- what there is ---- */

static FbStatus index_values(Windows *w, FbArena *arena, FbError *err)
{
    const FbBinding *binding = w->binding;
    const size_t slots = binding->instance->plan->value_count;
    size_t *fill = fb_arena_array(arena, slots + 1, sizeof *fill);
    w->maker = fb_arena_array(arena, slots + 1, sizeof *w->maker);
    w->start = fb_arena_array(arena, slots + 2, sizeof *w->start);
    w->viewed = fb_arena_array(arena, slots + 1, sizeof *w->viewed);
    w->inner_rows = fb_arena_array(arena, slots + 1, sizeof *w->inner_rows);
    if (fill == NULL || w->maker == NULL || w->start == NULL || w->viewed == NULL || w->inner_rows == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", slots);
    }
    for (FbSlot v = 0; v < slots; v++) {
        const FbSlot root = fb_binding_root(binding, v);
        w->maker[v] = FB_NONE;
        w->viewed[root] = w->viewed[root] || root != v;
    }
    for (size_t k = 0; k < w->stage->step_count; k++) {
        const FbStep *step = w->stage->steps[k].step;
        for (uint32_t i = 0; i < step->input_count; i++) {
            if (step->inputs[i] != FB_NONE) {
                w->start[fb_binding_root(binding, step->inputs[i]) + 1]++;
            }
        }
        for (uint32_t o = 0; o < step->output_count; o++) {
            if (step->outputs[o] != FB_NONE) {
                w->maker[step->outputs[o]] = (uint32_t)k;
            }
        }
    }
    for (size_t v = 0; v < slots; v++) {
        fill[v] = w->start[v];
        w->start[v + 1] += w->start[v];
    }
    w->readers = fb_arena_array(arena, w->start[slots] + 1, sizeof *w->readers);
    if (w->readers == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", w->start[slots]);
    }
    for (size_t k = 0; k < w->stage->step_count; k++) {
        const FbStep *step = w->stage->steps[k].step;
        for (uint32_t i = 0; i < step->input_count; i++) {
            if (step->inputs[i] != FB_NONE) {
                w->readers[fill[fb_binding_root(binding, step->inputs[i])]++] = (WindowReader){(uint32_t)k, i};
            }
        }
    }
    return FB_OK;
}

/* ---- who takes windows ---- */

static bool takes_window(const FbBoundStep *bound, int i)
{
    const FbStep *step = bound->step;
    switch (step->kind) {
    case FB_STEP_OP: return step->op->strided != NULL && step->op->strided(&bound->call, i);
    case FB_STEP_LOWERED: return step->lowering->strided != NULL && step->lowering->strided(&bound->call, i);
    case FB_STEP_QUANTIZE:
    case FB_STEP_DEQUANTIZE:
    case FB_STEP_TABLE: return true;
    case FB_STEP_CONVERT:
    case FB_STEP_CONTROL: break;
    }
    return false;
}

static bool is_observed(const FbStage *stage, const FbBinding *binding, FbSlot slot)
{
    for (size_t e = 0; e < stage->event_count; e++) {
        if (fb_binding_root(binding, stage->events[e].slot) == slot) {
            return true;
        }
    }
    return false;
}

/* A value of its own memory may be cut into `rows` rows apart from each other: nobody needs it in one piece. */
static bool may_be_apart(const Windows *w, FbSlot slot, size_t rows)
{
    const FbStage *stage = w->stage;
    if (w->viewed[slot] || w->binding->values[slot].last == UINT32_MAX || is_observed(stage, w->binding, slot) ||
        (w->inner_rows[slot] != 0 && w->inner_rows[slot] != rows)) {
        return false;
    }
    for (size_t r = w->start[slot]; r < w->start[slot + 1]; r++) {
        if (!takes_window(&stage->steps[w->readers[r].step], (int)w->readers[r].input)) {
            return false;
        }
    }
    return true;
}

/* ---- Concat and Split ---- */

/* Where part and whole are one piece, or rows: 1, or the number of rows; 0: neither. */
static size_t rows_of(const FbTensor *whole, int axis)
{
    size_t outer = 1;
    for (int d = 0; d < axis; d++) {
        outer *= (size_t)whole->dims[d];
    }
    return outer == 1 ? 1 : axis == whole->rank - 1 ? outer : 0;
}

static uint64_t element_bytes(const FbTensor *tensor) { return (uint64_t)fb_dtype_bits(tensor->dtype) / 8; }

/* Bytes that `count` elements along the axis take within one row, or one piece. */
static uint64_t part_bytes(const FbTensor *whole, int axis, int64_t count)
{
    uint64_t bytes = (uint64_t)count * element_bytes(whole);
    for (int d = axis + 1; d < whole->rank; d++) {
        bytes *= (uint64_t)whole->dims[d];
    }
    return bytes;
}

static void make_window(Windows *w, FbSlot part, FbSlot whole, uint64_t at, size_t rows)
{
    FbBoundValue *value = &w->binding->values[part], *top = &w->binding->values[fb_binding_root(w->binding, whole)];
    size_t *inner = &w->inner_rows[whole];
    value->root = whole;
    value->window_at = at;
    value->window_rows = rows;
    *inner = *inner == 0 || *inner == rows ? rows : mixed;
    top->first = value->first < top->first ? value->first : top->first;
    top->last = value->last > top->last ? value->last : top->last;
}

static bool in_stage(const Windows *w, FbSlot slot)
{
    const FbBoundValue *value = &w->binding->values[slot];
    return value->origin == FB_ORIGIN_STAGE && value->stage == w->stage->number && value->root == slot;
}

static bool joined_once(const Windows *w, const FbStep *step, FbSlot root)
{
    int count = 0;
    for (uint32_t i = 0; i < step->input_count; i++) {
        count += fb_binding_root(w->binding, step->inputs[i]) == root;
    }
    return count == 1;
}

/* Input i of the Concat at step k, which begins `at` bytes into the output. */
static void join_part(Windows *w, size_t k, uint32_t i, uint64_t at, size_t rows)
{
    const FbStep *step = w->stage->steps[k].step;
    const FbBinding *binding = w->binding;
    const FbSlot slot = step->inputs[i], part = fb_binding_root(binding, slot);
    const size_t bytes = binding->values[slot].tensor.bytes;
    if (!in_stage(w, part) || w->maker[part] == FB_NONE || w->maker[part] >= k || binding->values[part].tensor.bytes != bytes || bytes == 0 ||
        !joined_once(w, step, part) || (step->kind == FB_STEP_LOWERED && !fb_codes_concat_copies(step->state, (int)i))) {
        return;
    }
    const FbBoundStep *maker = &w->stage->steps[w->maker[part]];
    if (rows > 1 && (maker->step->outputs[0] != part || !takes_window(maker, -1) || !may_be_apart(w, part, rows))) {
        return;
    }
    make_window(w, part, step->outputs[0], at, rows);
}

static void join(Windows *w, size_t k)
{
    const FbBoundStep *bound = &w->stage->steps[k];
    const FbTensor *whole = bound->call.outputs[0];
    int axis;
    if (fb_join_axis(bound->call.params, whole->rank, bound->call.channels_last, &axis, NULL) != FB_OK) {
        return;
    }
    const size_t rows = rows_of(whole, axis);
    uint64_t at = 0;
    for (uint32_t i = 0; i < bound->step->input_count && rows > 0; i++) {
        join_part(w, k, i, at, rows);
        at += part_bytes(whole, axis, bound->call.inputs[i]->dims[axis]);
    }
}

static void split(Windows *w, size_t k)
{
    const FbBoundStep *bound = &w->stage->steps[k];
    const FbTensor *whole = bound->call.inputs[0];
    const FbSlot slot = bound->step->inputs[0], root = fb_binding_root(w->binding, slot);
    const FbBoundValue *top = &w->binding->values[root];
    int axis;
    if (fb_join_axis(bound->call.params, whole->rank, bound->call.channels_last, &axis, NULL) != FB_OK || whole->bytes == 0 ||
        top->origin != FB_ORIGIN_STAGE || top->stage != w->stage->number) {
        return;
    }
    const size_t rows = rows_of(whole, axis);
    uint64_t at = 0;
    for (uint32_t o = 0; o < bound->step->output_count && rows > 0; o++) {
        const FbSlot part = bound->step->outputs[o];
        if (part == FB_NONE) { /* its size is not at hand */
            return;
        }
        const FbTensor *tensor = &w->binding->values[part].tensor;
        if (tensor->bytes > 0 && (rows == 1 || may_be_apart(w, part, rows))) {
            make_window(w, part, slot, at, rows);
        }
        at += part_bytes(whole, axis, tensor->dims[axis]);
    }
}

static bool is_join(const FbStep *step) { return step->node != NULL && fb_node_is(step->node, "", "Concat"); }
static bool is_split(const FbStep *step) { return step->node != NULL && fb_node_is(step->node, "", "Split"); }

FbStatus fb_stage_windows(FbBinding *binding, FbStage *stage, FbError *err)
{
    Windows w = {.binding = binding, .stage = stage};
    FbStatus status = FB_OK;
    FbArena *arena = NULL;
    for (size_t k = 0; status == FB_OK && k < stage->step_count && !binding->instance->plan->apart; k++) {
        const FbStep *step = stage->steps[k].step;
        if ((!is_join(step) && !is_split(step)) || fb_dtype_bits(stage->steps[k].call.inputs[0]->dtype) < 8) {
            continue;
        }
        if (arena == NULL) {
            arena = fb_arena_create(binding->instance->context);
            status = arena == NULL ? fb_error_memory(binding->instance->context, err, "binding", 0) : index_values(&w, arena, err);
        }
        if (status == FB_OK) {
            (is_join(step) ? join : split)(&w, k);
        }
    }
    fb_arena_free(arena);
    return status;
}

/* ---- after the places are known ---- */

/* Elements from row to row; 0: side by side. */
static size_t stride_of(const FbBinding *binding, FbSlot slot)
{
    const size_t rows = slot == FB_NONE ? 0 : binding->values[slot].window_rows;
    if (rows <= 1) {
        return 0;
    }
    while (binding->values[slot].window_rows == rows && binding->values[slot].root != slot) {
        slot = binding->values[slot].root;
    }
    return (size_t)fb_tensor_elements(&binding->values[slot].tensor) / rows;
}

/* Every part of a Concat or Split is a window of the whole. */
static bool all_in_place(const FbBinding *binding, const FbStep *step)
{
    const bool joins = is_join(step);
    if (!joins && !is_split(step)) {
        return false;
    }
    const FbSlot whole = joins ? step->outputs[0] : step->inputs[0];
    const uint32_t count = joins ? step->input_count : step->output_count;
    for (uint32_t i = 0; i < count; i++) {
        FbSlot part = joins ? step->inputs[i] : step->outputs[i];
        while (part != whole && binding->values[part].root != part && binding->values[part].window_rows == 0) {
            part = binding->values[part].root; /* a view of the window */
        }
        if (binding->values[part].window_rows == 0 || binding->values[part].root != whole) {
            return false;
        }
    }
    return true;
}

FbStatus fb_stage_strides(FbBinding *binding, FbStage *stage, FbError *err)
{
    for (size_t k = 0; k < stage->step_count; k++) {
        FbBoundStep *bound = &stage->steps[k];
        const FbStep *step = bound->step;
        bound->in_place = all_in_place(binding, step);
        bound->call.output_stride = step->output_count > 0 ? stride_of(binding, step->outputs[0]) : 0;
        size_t *strides = NULL;
        for (uint32_t i = 0; i < step->input_count; i++) {
            const size_t stride = stride_of(binding, step->inputs[i]);
            if (stride == 0) {
                continue;
            }
            if (strides == NULL && (strides = fb_arena_array(stage->arena, step->input_count, sizeof *strides)) == NULL) {
                return fb_error_memory(binding->instance->context, err, "binding", step->input_count);
            }
            strides[i] = stride;
        }
        bound->call.input_strides = strides;
    }
    return FB_OK;
}
