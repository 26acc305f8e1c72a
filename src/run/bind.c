/* Bind: concrete shapes, values that shapes decide, calls. A shape that depends on data ends the stage; the next is bound when the data
 * exists. */
#include "base/array.h"
#include "base/checked.h"
#include "run/compile.h"
#include "run/instance.h"

enum {
    FB_KNOWN_BYTES = 1 << 20, /* larger values are computed by steps even when their inputs are known */
    FB_KNOWN_SLACK = 64       /* behind a known value: products read codes up to a multiple of 4, as in a stage's memory */
};

FbSlot fb_binding_root(const FbBinding *binding, FbSlot slot)
{
    while (binding->values[slot].root != slot) {
        slot = binding->values[slot].root;
    }
    return slot;
}

FbStatus fb_binding_set_type(FbBinding *binding, FbSlot slot, FbDtype dtype, const FbShape *shape, FbError *err)
{
    FbBoundValue *value = &binding->values[slot];
    const FbPlanValue *planned = &binding->instance->plan->values[slot];
    int64_t elements = fb_shape_elements(shape);
    uint64_t bytes;
    if (elements < 0 || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes) || bytes > SIZE_MAX / 2) {
        char text[128];
        fb_shape_text(shape, text, sizeof text);
        return fb_error_set(err, FB_ERR_BUDGET, "value '%s' of type %s and shape %s has no size that fits in memory", planned->name,
                            fb_dtype_name(dtype), text);
    }
    FbShape physical = fb_form_physical(shape, planned->channels_last);
    if (planned->codes) {
        dtype = FB_DTYPE_U8;
        bytes = (uint64_t)elements;
    }
    value->shape = *shape;
    value->tensor.dtype = dtype;
    value->tensor.rank = physical.rank;
    value->tensor.bytes = (size_t)bytes;
    memcpy(value->tensor.dims, physical.dims, sizeof physical.dims);
    return FB_OK;
}

static bool has_data(const FbBinding *binding, FbSlot slot)
{
    FbOrigin origin = binding->values[fb_binding_root(binding, slot)].origin;
    return origin == FB_ORIGIN_CONSTANT || origin == FB_ORIGIN_KNOWN;
}

/* What infer may read of a value: known when binding, or computed by an earlier stage. */
static const FbTensor *readable(const FbBinding *binding, const FbStage *stage, FbSlot slot)
{
    const FbBoundValue *value = &binding->values[slot];
    const FbBoundValue *root = &binding->values[fb_binding_root(binding, slot)];
    const FbPlanValue *planned = &binding->instance->plan->values[slot];
    if (planned->channels_last || planned->codes || (value->tensor.data == NULL && fb_tensor_elements(&value->tensor) > 0)) {
        return NULL;
    }
    if (root->origin == FB_ORIGIN_INPUT) {
        return stage->number > 0 ? &value->tensor : NULL;
    }
    return root->origin != FB_ORIGIN_STAGE || root->stage < stage->number ? &value->tensor : NULL;
}

static FbStatus infer_step(FbBinding *binding, FbStage *stage, const FbStep *step, FbType *outputs, bool *pending, FbError *err)
{
    FbType *inputs = fb_arena_array(stage->arena, step->node_inputs + 1u, sizeof *inputs);
    if (inputs == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", 0);
    }
    for (uint32_t i = 0; i < step->node_inputs; i++) {
        FbSlot slot = step->inputs[i];
        if (slot != FB_NONE) {
            const FbBoundValue *value = &binding->values[slot];
            const FbPlanValue *planned = &binding->instance->plan->values[slot]; /* codes stand for reals */
            inputs[i] = (FbType){true, planned->codes ? planned->dtype : value->tensor.dtype, value->shape, readable(binding, stage, slot)};
        }
    }
    for (uint32_t o = 0; o < step->output_count; o++) {
        outputs[o] = (FbType){.present = step->outputs[o] != FB_NONE, .shape = {.rank = -1}};
    }
    FbInfer infer = {.context = binding->instance->context, .arena = stage->arena, .node = step->node, .params = step->params,
                     .input_count = (int)step->node_inputs, .output_count = (int)step->output_count, .inputs = inputs, .outputs = outputs};
    FB_TRY(step->op->infer(&infer, err));
    *pending = infer.pending;
    return FB_OK;
}

static FbStatus infer_convert(const FbBinding *binding, const FbStep *step, FbType *output)
{
    const FbBoundValue *from = &binding->values[step->inputs[0]];
    *output = (FbType){.present = true, .dtype = from->tensor.dtype, .shape = from->shape};
    if (step->kind != FB_STEP_CONVERT) {
        output->dtype = binding->instance->plan->values[step->outputs[0]].dtype;
    }
    int extra = step->convert_rank - from->shape.rank;
    if (extra > 0) {
        output->shape.rank = step->convert_rank;
        for (int i = 0; i < step->convert_rank; i++) {
            output->shape.dims[i] = i < extra ? 1 : from->shape.dims[i - extra];
        }
    }
    return FB_OK;
}

/* A call whose tensors have dimensions and, as far as it exists, data. */
static FbStatus make_call(FbBinding *binding, FbArena *arena, const FbStep *step, FbCall *call, FbError *err)
{
    const FbTensor **inputs = fb_arena_array(arena, step->input_count + 1u, sizeof *inputs);
    FbTensor **outputs = fb_arena_array(arena, step->output_count + 1u, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", 0);
    }
    for (uint32_t i = 0; i < step->input_count; i++) {
        inputs[i] = step->inputs[i] == FB_NONE ? NULL : &binding->values[step->inputs[i]].tensor;
    }
    for (uint32_t o = 0; o < step->output_count; o++) {
        outputs[o] = step->outputs[o] == FB_NONE ? NULL : &binding->values[step->outputs[o]].tensor;
    }
    *call = (FbCall){.context = binding->instance->context, .node = step->node, .params = step->run_params, .input_count = (int)step->input_count,
                     .output_count = (int)step->output_count, .inputs = inputs, .outputs = outputs, .channels_last = step->channels_last,
                     .state = step->state, .cache = binding->instance->cache};
    return FB_OK;
}

/* Shape and Size read their input's dimensions only. */
static bool reads_shape_only(const FbStep *step)
{
    return step->node != NULL && (fb_node_is(step->node, "", "Shape") || fb_node_is(step->node, "", "Size"));
}

static bool can_evaluate(const FbBinding *binding, const FbStep *step)
{
    uint64_t bytes = 0;
    if (step->kind == FB_STEP_LOWERED || (step->kind == FB_STEP_OP && (step->op->flags & (FB_OP_RANDOM | FB_OP_STATE)) != 0)) {
        return false;
    }
    for (uint32_t i = 0; i < step->input_count && !reads_shape_only(step); i++) {
        if (step->inputs[i] != FB_NONE && !has_data(binding, step->inputs[i])) {
            return false;
        }
    }
    for (uint32_t o = 0; o < step->output_count; o++) {
        bytes += step->outputs[o] == FB_NONE ? 0 : binding->values[step->outputs[o]].tensor.bytes;
    }
    return bytes <= FB_KNOWN_BYTES;
}

static FbStatus evaluate_step(FbBinding *binding, FbStage *stage, const FbStep *step, FbError *err)
{
    FbContext *context = binding->instance->context;
    FbCall call;
    FB_TRY(make_call(binding, stage->arena, step, &call, err));
    for (uint32_t o = 0; o < step->output_count; o++) {
        if (step->outputs[o] == FB_NONE) {
            continue;
        }
        FbBoundValue *value = &binding->values[step->outputs[o]];
        value->origin = FB_ORIGIN_KNOWN;
        value->root = step->outputs[o];
        value->tensor.data = fb_arena_alloc(stage->arena, value->tensor.bytes + FB_KNOWN_SLACK);
        if (value->tensor.data == NULL) {
            return fb_error_memory(context, err, "a value known when binding", value->tensor.bytes);
        }
    }
    if (step->kind == FB_STEP_CONVERT) {
        fb_convert_form(context, call.inputs[0], call.outputs[0], step->channels_last);
        return FB_OK;
    }
    if (step->op == NULL) {
        step->kind == FB_STEP_TABLE ? fb_convert_table(&call, step->table) : fb_convert_codes(&call, &step->grid);
        return FB_OK;
    }
    call.scratch_bytes = step->op->scratch != NULL ? step->op->scratch(&call) : 0;
    call.scratch = call.scratch_bytes > 0 ? fb_alloc(context, call.scratch_bytes) : NULL;
    if (call.scratch_bytes > 0 && call.scratch == NULL) {
        return fb_error_memory(context, err, "scratch", call.scratch_bytes);
    }
    FbStatus status = step->op->run(&call, err);
    fb_free(context, call.scratch);
    return status;
}

static FbStatus make_view(FbBinding *binding, const FbStep *step, FbError *err)
{
    FbBoundValue *from = &binding->values[step->inputs[0]], *to = &binding->values[step->outputs[0]];
    if (from->tensor.bytes != to->tensor.bytes || from->tensor.dtype != to->tensor.dtype) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a view of %zu bytes on %zu bytes", to->tensor.bytes, from->tensor.bytes);
    }
    to->root = fb_binding_root(binding, step->inputs[0]);
    to->window_at = to->window_rows = 0;
    to->origin = binding->values[to->root].origin;
    to->stage = binding->values[to->root].stage;
    to->tensor.data = from->tensor.data;
    return FB_OK;
}

/* The operands that the compiler fused must have the output's shape; proved there for equal symbols, checked here for real sizes. */
static FbStatus check_operands(const FbBinding *binding, const FbStep *step, FbError *err)
{
    uint32_t first = step->node_inputs > 3 || step->kind != FB_STEP_LOWERED ? step->input_count : step->node_inputs;
    for (uint32_t i = first; i < step->input_count; i++) {
        if (step->inputs[i] == FB_NONE || binding->instance->plan->values[step->inputs[i]].is_constant) {
            continue;
        }
        if (!fb_shape_equal(&binding->values[step->inputs[i]].shape, &binding->values[step->outputs[0]].shape)) {
            char a[96], b[96];
            fb_shape_text(&binding->values[step->inputs[i]].shape, a, sizeof a);
            fb_shape_text(&binding->values[step->outputs[0]].shape, b, sizeof b);
            return fb_error_set(err, FB_ERR_ARGUMENT, "operands of shape %s and %s, which the model's symbolic dimensions say are equal", a, b);
        }
    }
    return FB_OK;
}

/* Room for one more step; the arena keeps the smaller lists, together no longer than the last. */
static FbStatus grow_steps(const FbBinding *binding, FbStage *stage, FbError *err)
{
    if (stage->step_count < stage->step_capacity) {
        return FB_OK;
    }
    size_t capacity = stage->step_capacity == 0 ? 16 : 2 * stage->step_capacity;
    FbBoundStep *steps = fb_arena_array(stage->arena, capacity, sizeof *steps);
    if (steps == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", capacity);
    }
    if (stage->step_count > 0) {
        memcpy(steps, stage->steps, stage->step_count * sizeof *steps);
    }
    stage->steps = steps;
    stage->step_capacity = capacity;
    return FB_OK;
}

static FbStatus add_bound_step(FbBinding *binding, FbStage *stage, const FbStep *step, FbError *err)
{
    FB_TRY(check_operands(binding, step, err));
    FB_TRY(grow_steps(binding, stage, err));
    FbBoundStep *bound = &stage->steps[stage->step_count];
    *bound = (FbBoundStep){.step = step};
    for (uint32_t o = 0; o < step->output_count; o++) {
        if (step->outputs[o] != FB_NONE) {
            FbBoundValue *value = &binding->values[step->outputs[o]];
            value->origin = FB_ORIGIN_STAGE;
            value->root = step->outputs[o];
            value->window_at = value->window_rows = 0;
            value->stage = stage->number;
            value->tensor.data = NULL;
        }
    }
    FB_TRY(make_call(binding, stage->arena, step, &bound->call, err));
    stage->step_count++;
    if (step->kind == FB_STEP_LOWERED && step->lowering->bind != NULL) {
        FbBind bind = {.context = binding->instance->context, .arena = stage->arena, .params = step->params, .state = step->state,
                       .call = &bound->call};
        FB_TRY(step->lowering->bind(&bind, err));
        bound->call.scratch_bytes = bind.scratch_bytes;
        bound->call.bound = bind.bound;
    } else if (step->kind == FB_STEP_OP && step->op->scratch != NULL) {
        bound->call.scratch_bytes = step->op->scratch(&bound->call);
    }
    return FB_OK;
}

/* Binds one step into the stage; *stop when the stage must end in front of it. */
static FbStatus bind_step(FbBinding *binding, FbStage *stage, const FbStep *step, bool *stop, FbError *err)
{
    FbType *outputs = fb_arena_array(stage->arena, step->output_count + 1u, sizeof *outputs);
    if (outputs == NULL) {
        return fb_error_memory(binding->instance->context, err, "binding", 0);
    }
    bool pending = false;
    FB_TRY(step->op == NULL ? infer_convert(binding, step, outputs) : infer_step(binding, stage, step, outputs, &pending, err));
    if (pending) {
        *stop = true;
        bool nothing_new = stage->step_count == 0 && stage->number > 0;
        return nothing_new ? fb_error_set(err, FB_ERR_UNSUPPORTED, "its shape depends on a value that cannot be known") : FB_OK;
    }
    for (uint32_t o = 0; o < step->output_count; o++) {
        if (step->outputs[o] != FB_NONE) {
            FB_TRY(fb_binding_set_type(binding, step->outputs[o], outputs[o].dtype, &outputs[o].shape, err));
        }
    }
    if (step->view || (step->kind == FB_STEP_CONVERT && fb_convert_is_view(&binding->values[step->outputs[0]].shape))) {
        return make_view(binding, step, err);
    }
    return can_evaluate(binding, step) ? evaluate_step(binding, stage, step, err) : add_bound_step(binding, stage, step, err);
}

static FbStatus step_error(const FbStep *step, FbStatus status, FbError *err)
{
    return step->node != NULL ? fb_node_error(step->node, status, err) : fb_error_context(err, status, "value '%s'", step->name);
}

/* Observed values become complete between steps; -1 of a later stage's. */
static FbStatus add_events(FbBinding *binding, FbStage *stage, const FbStep *step, FbError *err)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t i = 0; i < plan->observed_count; i++) {
        bool here = false;
        for (uint32_t o = 0; step != NULL && o < step->output_count; o++) {
            here = here || step->outputs[o] == plan->observed[i];
        }
        if (step == NULL) { /* before the first step: inputs and constants */
            FbOrigin origin = binding->values[plan->observed[i]].origin;
            here = origin == FB_ORIGIN_INPUT || origin == FB_ORIGIN_CONSTANT;
        }
        if (here) {
            if (stage->event_count >= plan->observed_count) {
                return fb_error_set(err, FB_ERR_INTERNAL, "a value is observed twice");
            }
            stage->events[stage->event_count++] = (FbEvent){(uint32_t)stage->step_count, (uint32_t)i, plan->observed[i]};
        }
    }
    return FB_OK;
}

static FbStatus bind_steps(FbBinding *binding, FbStage *stage, FbError *err)
{
    const FbPlan *plan = binding->instance->plan;
    size_t s = stage->first_step;
    for (bool stop = false; s < plan->step_count; s++) {
        const FbStep *step = &plan->steps[s];
        if (step->kind == FB_STEP_CONTROL) {
            if (stage->step_count == 0 && s == stage->first_step && stage->number > 0) {
                stage->control = step;
                s++;
                FB_TRY(add_events(binding, stage, step, err));
            }
            break;
        }
        FbStatus status = bind_step(binding, stage, step, &stop, err);
        if (status != FB_OK) {
            return step_error(step, status, err);
        }
        if (stop) {
            break;
        }
        FB_TRY(add_events(binding, stage, step, err));
    }
    stage->end_step = s;
    return FB_OK;
}

static void free_stage(FbContext *context, FbStage *stage)
{
    for (FbBlock *block = stage->blocks; block != NULL; block = block->next) {
        fb_free(context, block->data);
    }
    fb_free(context, stage->memory);
    fb_arena_free(stage->arena); /* the stage itself lives in it */
}

FbStatus fb_binding_stage(FbBinding *binding, size_t first, FbStage **out, FbError *err)
{
    FbContext *context = binding->instance->context;
    const FbPlan *plan = binding->instance->plan;
    *out = NULL;
    FbArena *arena = fb_arena_create(context);
    FbStage *stage = arena != NULL ? fb_arena_alloc(arena, sizeof *stage) : NULL;
    if (stage == NULL) {
        fb_arena_free(arena);
        return fb_error_memory(context, err, "binding", 0);
    }
    stage->arena = arena;
    stage->number = binding->last_stage == NULL ? 0 : binding->last_stage->number + 1;
    stage->first_step = first;
    stage->events = fb_arena_array(arena, plan->observed_count + 1, sizeof *stage->events);
    for (size_t s = first; s < plan->step_count; s++) { /* forget an earlier run's binding of what follows */
        for (uint32_t o = 0; o < plan->steps[s].output_count; o++) {
            FbSlot slot = plan->steps[s].outputs[o];
            if (slot != FB_NONE) {
                binding->values[slot].origin = FB_ORIGIN_NONE;
                binding->values[slot].root = slot;
                binding->values[slot].window_at = binding->values[slot].window_rows = 0;
            }
        }
    }
    FbStatus status = stage->events == NULL ? fb_error_memory(context, err, "binding", 0) : FB_OK;
    if (status == FB_OK && stage->number == 0) {
        status = add_events(binding, stage, NULL, err);
    }
    if (status == FB_OK) {
        status = bind_steps(binding, stage, err);
    }
    if (status == FB_OK && stage->control == NULL) {
        status = fb_stage_layout(binding, stage, err);
    }
    if (status != FB_OK) {
        free_stage(context, stage);
        return status;
    }
    *(binding->last_stage == NULL ? &binding->stages : &binding->last_stage->next) = stage;
    binding->last_stage = stage;
    *out = stage;
    return FB_OK;
}

void fb_binding_rewind(FbBinding *binding)
{
    FbStage *stage = binding->stages == NULL ? NULL : binding->stages->next;
    while (stage != NULL) {
        FbStage *next = stage->next;
        free_stage(binding->instance->context, stage);
        stage = next;
    }
    if (binding->stages != NULL) {
        binding->stages->next = NULL;
    }
    binding->last_stage = binding->stages;
}

void fb_binding_free(FbBinding *binding)
{
    if (binding == NULL) {
        return;
    }
    FbContext *context = binding->instance->context;
    fb_binding_rewind(binding);
    if (binding->stages != NULL) {
        free_stage(context, binding->stages);
    }
    for (size_t c = 0; c < binding->copy_count; c++) {
        fb_free(context, binding->copies[c].data);
    }
    fb_arena_free(binding->arena);
    fb_free(context, binding);
}

/* Inputs and constants: what is there before the first step. */
static FbStatus bind_given(FbBinding *binding, const FbTensor *const *inputs, FbError *err)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t v = 0; v < plan->value_count; v++) {
        const FbPlanValue *planned = &plan->values[v];
        FbBoundValue *value = &binding->values[v];
        value->root = (FbSlot)v;
        if (planned->is_constant) {
            value->origin = FB_ORIGIN_CONSTANT;
            value->shape = planned->shape;
            value->tensor = planned->constant;
        }
    }
    for (size_t i = 0; i < plan->input_count; i++) {
        FbShape shape = fb_tensor_shape(inputs[i]);
        binding->input_shapes[i] = shape;
        FB_TRY(fb_binding_set_type(binding, plan->inputs[i], inputs[i]->dtype, &shape, err));
        binding->values[plan->inputs[i]].origin = FB_ORIGIN_INPUT;
        binding->values[plan->inputs[i]].tensor.data = inputs[i]->data;
    }
    return FB_OK;
}

FbStatus fb_binding_create(FbInstance *instance, const FbTensor *const *inputs, FbBinding **out, FbError *err)
{
    FbContext *context = instance->context;
    const FbPlan *plan = instance->plan;
    *out = NULL;
    FbBinding *binding = fb_alloc_zero(context, sizeof *binding);
    if (binding == NULL) {
        return fb_error_memory(context, err, "binding", sizeof *binding);
    }
    binding->instance = instance;
    binding->arena = fb_arena_create(context);
    if (binding->arena != NULL) {
        binding->input_shapes = fb_arena_array(binding->arena, plan->input_count + 1, sizeof *binding->input_shapes);
        binding->values = fb_arena_array(binding->arena, plan->value_count + 1, sizeof *binding->values);
        binding->patched = fb_arena_array(binding->arena, plan->value_count + 1, sizeof *binding->patched);
        binding->patched_input = fb_arena_array(binding->arena, plan->value_count + 1, sizeof *binding->patched_input);
        binding->copies = fb_arena_array(binding->arena, plan->output_count + 1, sizeof *binding->copies);
    }
    if (binding->arena == NULL || binding->input_shapes == NULL || binding->values == NULL || binding->patched == NULL ||
        binding->patched_input == NULL || binding->copies == NULL) {
        fb_binding_free(binding);
        return fb_error_memory(context, err, "binding", 0);
    }
    FbStage *stage;
    FbStatus status = bind_given(binding, inputs, err);
    if (status == FB_OK) {
        status = fb_binding_stage(binding, 0, &stage, err);
    }
    if (status != FB_OK) {
        fb_binding_free(binding);
        return status;
    }
    *out = binding;
    return FB_OK;
}
