/* Instances: the binding that fits the inputs' shapes, then its steps one after the other. */
#include "run/instance.h"

#include <time.h>

#include "run/compile.h"

static void free_bodies(FbInstance *instance)
{
    for (size_t s = 0; instance->bodies != NULL && s < instance->plan->step_count; s++) {
        for (uint32_t b = 0; instance->bodies[s] != NULL && b < instance->plan->steps[s].body_count; b++) {
            fb_instance_free(instance->bodies[s][b]);
        }
        fb_free(instance->context, instance->bodies[s]);
    }
    fb_free(instance->context, instance->bodies);
}

void fb_instance_free(FbInstance *instance)
{
    if (instance == NULL) {
        return;
    }
    for (int b = 0; b < FB_BINDINGS_MAX; b++) {
        fb_binding_free(instance->bindings[b]);
    }
    free_bodies(instance);
    fb_free(instance->context, instance);
}

static FbStatus make_bodies(FbInstance *instance, FbError *err)
{
    const FbPlan *plan = instance->plan;
    instance->bodies = fb_alloc_zero(plan->context, (plan->step_count + 1) * sizeof *instance->bodies);
    if (instance->bodies == NULL) {
        return fb_error_memory(plan->context, err, "an instance", plan->step_count);
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        const FbStep *step = &plan->steps[s];
        if (step->body_count == 0) {
            continue;
        }
        instance->bodies[s] = fb_alloc_zero(plan->context, step->body_count * sizeof **instance->bodies);
        if (instance->bodies[s] == NULL) {
            return fb_error_memory(plan->context, err, "an instance", step->body_count);
        }
        for (uint32_t b = 0; b < step->body_count; b++) {
            FB_TRY(fb_instance_create(step->bodies[b], &instance->bodies[s][b], err));
        }
    }
    return FB_OK;
}

FbStatus fb_instance_create(const FbPlan *plan, FbInstance **out, FbError *err)
{
    *out = NULL;
    FbInstance *instance = fb_alloc_zero(plan->context, sizeof *instance);
    if (instance == NULL) {
        return fb_error_memory(plan->context, err, "an instance", sizeof *instance);
    }
    instance->plan = plan;
    instance->context = plan->context;
    FbStatus status = make_bodies(instance, err);
    if (status != FB_OK) {
        fb_instance_free(instance);
        return status;
    }
    *out = instance;
    return FB_OK;
}

void fb_instance_observe(FbInstance *instance, FbObserve observe, void *user)
{
    instance->observe = observe;
    instance->observe_user = user;
}

static bool fits(const FbBinding *binding, const FbTensor *const *inputs)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t i = 0; i < plan->input_count; i++) {
        const FbShape *shape = &binding->input_shapes[i];
        if (inputs[i]->dtype != binding->values[plan->inputs[i]].tensor.dtype || inputs[i]->rank != shape->rank ||
            memcmp(inputs[i]->dims, shape->dims, (size_t)shape->rank * sizeof *shape->dims) != 0) {
            return false;
        }
    }
    return true;
}

static void drop_oldest(FbInstance *instance, int *place)
{
    int oldest = 0;
    for (int b = 1; b < FB_BINDINGS_MAX; b++) {
        if (instance->bindings[b]->used < instance->bindings[oldest]->used) {
            oldest = b;
        }
    }
    fb_binding_free(instance->bindings[oldest]);
    instance->bindings[oldest] = NULL;
    *place = oldest;
}

static void drop_all(FbInstance *instance)
{
    for (int b = 0; b < FB_BINDINGS_MAX; b++) {
        fb_binding_free(instance->bindings[b]);
        instance->bindings[b] = NULL;
    }
    instance->last = NULL;
}

static FbStatus find_binding(FbInstance *instance, const FbTensor *const *inputs, FbBinding **out, FbError *err)
{
    int place = -1;
    for (int b = 0; b < FB_BINDINGS_MAX; b++) {
        if (instance->bindings[b] == NULL) {
            place = place < 0 ? b : place;
        } else if (fits(instance->bindings[b], inputs)) {
            *out = instance->bindings[b];
            return FB_OK;
        }
    }
    instance->last = NULL;
    if (place < 0) {
        drop_oldest(instance, &place);
    }
    FbError local = {0};
    FbStatus status = fb_binding_create(instance, inputs, &instance->bindings[place], &local);
    if (status == FB_ERR_BUDGET || status == FB_ERR_NO_MEMORY) { /* bindings of other shapes give way */
        drop_all(instance);
        status = fb_binding_create(instance, inputs, &instance->bindings[place], &local);
    }
    *out = instance->bindings[place];
    return status == FB_OK ? FB_OK : fb_error_set(err, status, "%s", local.message);
}

static FbStatus fire_events(FbBinding *binding, const FbStage *stage, uint32_t after, FbError *err)
{
    FbInstance *instance = binding->instance;
    for (size_t e = 0; e < stage->event_count; e++) {
        if (stage->events[e].after != after || instance->observe == NULL) {
            continue;
        }
        FbSlot slot = stage->events[e].slot;
        FbTensor tensor = binding->values[slot].tensor;
        const FbShape *shape = &binding->values[slot].shape;
        tensor.rank = shape->rank;
        memcpy(tensor.dims, shape->dims, sizeof tensor.dims);
        FB_TRY(instance->observe(instance->observe_user, stage->events[e].index, &tensor, instance->plan->values[slot].channels_last, err));
    }
    return FB_OK;
}

static FbStatus run_step(FbContext *context, const FbStep *step, const FbCall *call, FbError *err)
{
    FbStatus status = FB_OK;
    switch (step->kind) {
    case FB_STEP_OP:
        status = step->op->run(call, err);
        break;
    case FB_STEP_LOWERED:
        status = step->lowering->run(call, err);
        break;
    case FB_STEP_CONVERT:
        fb_convert_form(context, call->inputs[0], call->outputs[0], step->channels_last);
        return FB_OK;
    case FB_STEP_QUANTIZE:
    case FB_STEP_DEQUANTIZE:
        fb_convert_codes(call, &step->grid);
        return FB_OK;
    case FB_STEP_TABLE:
        fb_convert_table(call, step->table);
        return FB_OK;
    case FB_STEP_CONTROL:
        return fb_error_set(err, FB_ERR_INTERNAL, "a control step inside a stage");
    }
    return status == FB_OK ? FB_OK : fb_node_error(step->node, status, err);
}

static double seconds_now(void)
{
    struct timespec now = {0};
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static FbStatus run_stage(FbBinding *binding, FbStage *stage, FbError *err)
{
    FbInstance *instance = binding->instance;
    if (stage->control != NULL) {
        double start = seconds_now();
        FbStatus status = fb_control_run(binding, stage, err);
        stage->control_seconds = instance->profile ? seconds_now() - start : 0.0;
        return status == FB_OK ? fire_events(binding, stage, 0, err) : fb_node_error(stage->control->node, status, err);
    }
    for (size_t k = 0; k < stage->step_count; k++) {
        FbBoundStep *step = &stage->steps[k];
        FB_TRY(fb_check_cancel(instance->context, err));
        if (stage->event_count > 0) {
            FB_TRY(fire_events(binding, stage, (uint32_t)k, err));
        }
        if (step->in_place) {
            continue;
        }
        double start = instance->profile ? seconds_now() : 0.0;
        FB_TRY(run_step(instance->context, step->step, &step->call, err));
        if (instance->profile) {
            double seconds = seconds_now() - start;
            step->seconds = step->seconds == 0.0 || seconds < step->seconds ? seconds : step->seconds;
        }
    }
    return fire_events(binding, stage, (uint32_t)stage->step_count, err);
}

/* An output that lies in the caller's input memory is copied, so that it stays when the input changes. */
static FbStatus copy_output(FbBinding *binding, size_t output, FbTensor *tensor, FbError *err)
{
    FbCopy *copy = NULL;
    for (size_t c = 0; c < binding->copy_count; c++) {
        copy = binding->copies[c].output == output ? &binding->copies[c] : copy;
    }
    if (copy == NULL) {
        void *data = fb_alloc(binding->instance->context, tensor->bytes);
        if (data == NULL) {
            return fb_error_memory(binding->instance->context, err, "an output", tensor->bytes);
        }
        copy = &binding->copies[binding->copy_count++];
        *copy = (FbCopy){output, data};
    }
    if (tensor->bytes > 0) {
        memcpy(copy->data, tensor->data, tensor->bytes);
    }
    tensor->data = copy->data;
    return FB_OK;
}

static FbStatus hand_out(FbBinding *binding, FbTensor *outputs, FbError *err)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t o = 0; o < plan->output_count; o++) {
        outputs[o] = binding->values[plan->outputs[o]].tensor;
        if (binding->values[fb_binding_root(binding, plan->outputs[o])].origin == FB_ORIGIN_INPUT) {
            FB_TRY(copy_output(binding, o, &outputs[o], err));
        }
    }
    return FB_OK;
}

FbStatus fb_instance_run(FbInstance *instance, const FbTensor *const *inputs, FbTensor *outputs, FbError *err)
{
    FbBinding *binding = NULL;
    const FbPlan *plan = instance->plan;
    FB_TRY(find_binding(instance, inputs, &binding, err));
    binding->used = ++instance->tick;
    instance->last = binding;
    fb_binding_rewind(binding);
    for (size_t p = 0; p < binding->patched_count; p++) {
        binding->values[binding->patched[p]].tensor.data = inputs[binding->patched_input[p]]->data;
    }
    FbStage *stage = binding->stages;
    for (;;) {
        FB_TRY(run_stage(binding, stage, err));
        if (stage->end_step >= plan->step_count) {
            break;
        }
        FB_TRY(fb_binding_stage(binding, stage->end_step, &stage, err));
    }
    return hand_out(binding, outputs, err);
}

FbStatus fb_instance_forecast(FbInstance *instance, const FbTensor *const *inputs, uint64_t *bytes, bool *complete, FbError *err)
{
    FbBinding *binding = NULL;
    instance->forecast = true;
    FbStatus status = fb_binding_create(instance, inputs, &binding, err);
    instance->forecast = false;
    FB_TRY(status);
    *bytes = binding->stages->bytes;
    *complete = binding->stages->end_step >= instance->plan->step_count;
    fb_binding_free(binding);
    return FB_OK;
}

void fb_instance_profile(FbInstance *instance, bool on)
{
    instance->profile = on;
}
