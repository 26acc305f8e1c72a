/* Running If, Loop and Scan: the bodies are instances of nested plans; results are copied into blocks that the stage owns. */
#include "base/checked.h"
#include "ops/control_flow.h"
#include "run/control.h"

static FbStatus no_memory(const FbControl *control, uint64_t bytes, FbError *err)
{
    return fb_error_memory(control->context, err, "control flow", bytes);
}

FbStatus fb_control_scalar(const FbTensor *tensor, FbDtype dtype, const char *what, int64_t *out, FbError *err)
{
    if (tensor->dtype != dtype || fb_tensor_elements(tensor) != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "its %s must be one element of type %s", what, fb_dtype_name(dtype));
    }
    *out = fb_tensor_int(tensor, 0);
    return FB_OK;
}

FbStatus fb_control_output(const FbControl *control, uint32_t output, const FbTensor *tensor, FbError *err)
{
    FbSlot slot = output < control->step->output_count ? control->step->outputs[output] : FB_NONE;
    if (slot == FB_NONE) {
        return FB_OK;
    }
    FbShape shape = fb_tensor_shape(tensor);
    FB_TRY(fb_binding_set_type(control->binding, slot, tensor->dtype, &shape, err));
    FbBlock *block = fb_arena_alloc(control->stage->arena, sizeof *block);
    if (block == NULL || (block->data = fb_alloc(control->context, tensor->bytes)) == NULL) {
        return no_memory(control, tensor->bytes, err);
    }
    block->next = control->stage->blocks;
    control->stage->blocks = block;
    if (tensor->bytes > 0) {
        memcpy(block->data, tensor->data, tensor->bytes);
    }
    FbBoundValue *value = &control->binding->values[slot];
    value->origin = FB_ORIGIN_BLOCK;
    value->root = slot;
    value->tensor.data = block->data;
    return FB_OK;
}

const FbTensor *fb_control_input(const FbControl *control, uint32_t input)
{
    FbSlot slot = input < control->step->node_inputs ? control->step->inputs[input] : FB_NONE;
    return slot == FB_NONE ? NULL : &control->binding->values[slot].tensor;
}

FbStatus fb_control_body(FbControl *control, uint32_t body, FbError *err)
{
    const FbPlan *plan = control->step->bodies[body];
    control->inputs = fb_arena_array(control->stage->arena, plan->input_count + 1, sizeof *control->inputs);
    control->outputs = fb_arena_array(control->stage->arena, plan->output_count + 1, sizeof *control->outputs);
    if (control->inputs == NULL || control->outputs == NULL) {
        return no_memory(control, 0, err);
    }
    control->body = control->bodies[body];
    for (size_t i = plan->first_capture; i < plan->input_count; i++) {
        FbSlot slot = control->step->inputs[control->step->body_captures[body] + i - plan->first_capture];
        control->inputs[i] = &control->binding->values[slot].tensor;
    }
    return FB_OK;
}

FbStatus fb_control_keep(const FbControl *control, FbKept *kept, const FbTensor *tensor, FbError *err)
{
    if (kept->memory == NULL || kept->capacity < tensor->bytes) {
        void *memory = fb_alloc(control->context, tensor->bytes);
        if (memory == NULL) {
            return no_memory(control, tensor->bytes, err);
        }
        fb_free(control->context, kept->memory);
        kept->memory = memory;
        kept->capacity = tensor->bytes;
    }
    kept->tensor = *tensor;
    kept->tensor.data = kept->memory;
    if (tensor->bytes > 0) {
        memcpy(kept->memory, tensor->data, tensor->bytes);
    }
    return FB_OK;
}

static FbStatus run_if(FbControl *control, FbError *err)
{
    int64_t condition;
    FB_TRY(fb_control_scalar(fb_control_input(control, 0), FB_DTYPE_BOOL, "condition", &condition, err));
    FB_TRY(fb_control_body(control, condition != 0 ? 0 : 1, err));
    FB_TRY(fb_instance_run(control->body, control->inputs, control->outputs, err));
    for (uint32_t o = 0; o < control->step->output_count; o++) {
        FB_TRY(fb_control_output(control, o, &control->outputs[o], err));
    }
    return FB_OK;
}

/* One value per iteration, stacked along a new first axis. */
typedef struct Stack {
    FbTensor item;     /* type and dimensions of one */
    uint8_t *memory;
    size_t bytes, capacity;
    int64_t count;
} Stack;

typedef struct Loop {
    FbControl *control;
    uint32_t carried_count, stack_count;
    FbKept *carried;
    Stack *stacks;
} Loop;

static FbStatus push(const Loop *loop, Stack *stack, const FbTensor *tensor, FbError *err)
{
    FbContext *context = loop->control->context;
    if (stack->count == 0) {
        stack->item = *tensor;
    } else if (stack->item.dtype != tensor->dtype || stack->item.rank != tensor->rank ||
               memcmp(stack->item.dims, tensor->dims, (size_t)tensor->rank * sizeof *tensor->dims) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "an output of its body changes shape or type between iterations");
    }
    if (tensor->rank >= FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "an output would have more than %d dimensions", FB_RANK_MAX);
    }
    size_t need;
    if (!fb_add_size(stack->bytes, tensor->bytes, &need)) {
        return no_memory(loop->control, SIZE_MAX, err);
    }
    if (need > stack->capacity || stack->memory == NULL) {
        size_t capacity = need < SIZE_MAX / 2 ? need * 2 : need;
        void *memory = fb_realloc_array(context, stack->memory, capacity, 1);
        if (memory == NULL) {
            return no_memory(loop->control, capacity, err);
        }
        stack->memory = memory;
        stack->capacity = capacity;
    }
    if (tensor->bytes > 0) {
        memcpy(stack->memory + stack->bytes, tensor->data, tensor->bytes);
    }
    stack->bytes = need;
    stack->count++;
    return FB_OK;
}

/* With no iteration, type and dimensions come from the body's declaration. */
static FbStatus put_stack(const Loop *loop, uint32_t s, FbError *err)
{
    Stack *stack = &loop->stacks[s];
    FbTensor whole = stack->item;
    if (stack->count == 0) {
        const FbPlan *plan = loop->control->body->plan;
        const FbPlanValue *declared = &plan->values[plan->outputs[1 + loop->carried_count + s]];
        whole = (FbTensor){.dtype = declared->dtype, .rank = declared->shape.rank < 0 ? 0 : declared->shape.rank};
        for (int i = 0; i < whole.rank; i++) {
            whole.dims[i] = declared->shape.dims[i] < 0 ? 0 : declared->shape.dims[i];
        }
        if (whole.rank >= FB_RANK_MAX) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "an output would have more than %d dimensions", FB_RANK_MAX);
        }
    }
    memmove(whole.dims + 1, whole.dims, (size_t)whole.rank * sizeof *whole.dims);
    whole.dims[0] = stack->count;
    whole.rank++;
    whole.data = stack->memory;
    whole.bytes = stack->bytes;
    return fb_control_output(loop->control, loop->carried_count + s, &whole, err);
}

enum { FB_LOOP_TRIPS = 1 << 24 }; /* a loop that would go on for longer is refused: no file may hang the caller */

static FbStatus iterate(Loop *loop, int64_t trips, int64_t condition, FbError *err)
{
    FbControl *control = loop->control;
    int64_t i = 0;
    uint8_t flag = 1;
    FbTensor number = {.dtype = FB_DTYPE_S64, .data = &i, .bytes = sizeof i}, go = {.dtype = FB_DTYPE_BOOL, .data = &flag, .bytes = 1};
    for (; i < trips && condition != 0; i++) {
        FB_TRY(fb_check_cancel(control->context, err));
        if (i == FB_LOOP_TRIPS) {
            return fb_error_set(err, FB_ERR_BUDGET, "its loop runs more than %d times", FB_LOOP_TRIPS);
        }
        control->inputs[0] = &number;
        control->inputs[1] = &go;
        for (uint32_t c = 0; c < loop->carried_count; c++) {
            control->inputs[2 + c] = &loop->carried[c].tensor;
        }
        FB_TRY(fb_instance_run(control->body, control->inputs, control->outputs, err));
        FB_TRY(fb_control_scalar(&control->outputs[0], FB_DTYPE_BOOL, "condition", &condition, err));
        for (uint32_t c = 0; c < loop->carried_count; c++) {
            FB_TRY(fb_control_keep(control, &loop->carried[c], &control->outputs[1 + c], err));
        }
        for (uint32_t s = 0; s < loop->stack_count; s++) {
            FB_TRY(push(loop, &loop->stacks[s], &control->outputs[1 + loop->carried_count + s], err));
        }
    }
    for (uint32_t c = 0; c < loop->carried_count; c++) {
        FB_TRY(fb_control_output(control, c, &loop->carried[c].tensor, err));
    }
    for (uint32_t s = 0; s < loop->stack_count; s++) {
        FB_TRY(put_stack(loop, s, err));
    }
    return FB_OK;
}

static FbStatus run_loop(FbControl *control, FbError *err)
{
    const FbLoopParams *params = control->step->params;
    int64_t trips = INT64_MAX, condition = 1;
    if (fb_control_input(control, 0) != NULL) {
        FB_TRY(fb_control_scalar(fb_control_input(control, 0), FB_DTYPE_S64, "trip count", &trips, err));
    }
    if (fb_control_input(control, 1) != NULL) {
        FB_TRY(fb_control_scalar(fb_control_input(control, 1), FB_DTYPE_BOOL, "condition", &condition, err));
    }
    FB_TRY(fb_control_body(control, 0, err));
    Loop loop = {.control = control, .carried_count = params->carried};
    loop.stack_count = (uint32_t)control->step->bodies[0]->output_count - 1 - params->carried;
    loop.carried = fb_arena_array(control->stage->arena, loop.carried_count + 1u, sizeof *loop.carried);
    loop.stacks = fb_arena_array(control->stage->arena, loop.stack_count + 1u, sizeof *loop.stacks);
    FbStatus status = loop.carried == NULL || loop.stacks == NULL ? no_memory(control, 0, err) : FB_OK;
    for (uint32_t c = 0; status == FB_OK && c < loop.carried_count; c++) {
        const FbTensor *given = fb_control_input(control, 2 + c);
        status = given == NULL ? fb_error_set(err, FB_ERR_FORMAT, "its carried value %u is absent", c)
                               : fb_control_keep(control, &loop.carried[c], given, err);
    }
    if (status == FB_OK) {
        status = iterate(&loop, trips, condition, err);
    }
    for (uint32_t c = 0; loop.carried != NULL && c < loop.carried_count; c++) {
        fb_free(control->context, loop.carried[c].memory);
    }
    for (uint32_t s = 0; loop.stacks != NULL && s < loop.stack_count; s++) {
        fb_free(control->context, loop.stacks[s].memory);
    }
    return status;
}

FbStatus fb_control_run(FbBinding *binding, FbStage *stage, FbError *err)
{
    FbControl control = {.context = binding->instance->context, .binding = binding, .stage = stage, .step = stage->control,
                         .bodies = binding->instance->bodies[stage->first_step]};
    if (fb_node_is(control.step->node, "", "If")) {
        return run_if(&control, err);
    }
    return fb_node_is(control.step->node, "", "Loop") ? run_loop(&control, err) : fb_control_scan(&control, err);
}
