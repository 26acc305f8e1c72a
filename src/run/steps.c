/* The steps of an instance's last run, told in words. */
#include "fewbit/steps.h"

#include <stdio.h>

#include "kernels/kernel_list.h"
#include "run/instance.h"

/* A bound step, or a control step, which is a stage of its own. */
typedef struct Found {
    const FbStage *stage;
    const FbBoundStep *bound; /* NULL: stage->control */
} Found;

static size_t stage_steps(const FbStage *stage)
{
    return stage->control != NULL ? 1 : stage->step_count;
}

static bool find_step(const FbInstance *instance, size_t index, Found *found)
{
    for (const FbStage *stage = instance->last == NULL ? NULL : instance->last->stages; stage != NULL; stage = stage->next) {
        if (index < stage_steps(stage)) {
            *found = (Found){stage, stage->control != NULL ? NULL : &stage->steps[index]};
            return true;
        }
        index -= stage_steps(stage);
    }
    return false;
}

static const char *step_type(const FbStep *step)
{
    switch (step->kind) {
    case FB_STEP_CONVERT:
        return "layout";
    case FB_STEP_QUANTIZE:
        return "to codes";
    case FB_STEP_DEQUANTIZE:
        return "to reals";
    case FB_STEP_OP:
    case FB_STEP_LOWERED:
    case FB_STEP_TABLE:
    case FB_STEP_CONTROL:
        break;
    }
    return step->node->op_type;
}

static const char *step_kernel(const FbStep *step, const FbBoundStep *bound)
{
    if (bound != NULL && bound->in_place) {
        return "in place";
    }
    switch (step->kind) {
    case FB_STEP_LOWERED:
        return step->lowering->kernel != NULL ? step->lowering->kernel(step->state) : step->lowering->name;
    case FB_STEP_CONVERT:
        return "copy";
    case FB_STEP_QUANTIZE:
    case FB_STEP_DEQUANTIZE:
        return "codes";
    case FB_STEP_TABLE:
        return "table";
    case FB_STEP_CONTROL:
        return "nested plans";
    case FB_STEP_OP:
        break;
    }
    return "operator";
}

static void name_fused(const FbStep *step, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t f = 0; f < step->fused_count; f++) {
        int length = snprintf(text + used, bytes - used, "%s%.40s", f > 0 ? ", " : "", step->fused[f]->op_type);
        used += length > 0 ? (size_t)length : 0;
        if (used >= bytes - 4) {
            memcpy(text + bytes - 4, "...", 4);
            return;
        }
    }
}

static FbTensor describe_value(const FbBinding *binding, FbSlot slot)
{
    FbTensor told = {.rank = -1};
    if (slot != FB_NONE) {
        const FbBoundValue *value = &binding->values[slot];
        told.dtype = value->tensor.dtype;
        told.rank = value->shape.rank;
        memcpy(told.dims, value->shape.dims, sizeof told.dims);
        told.bytes = value->tensor.bytes;
    }
    return told;
}

/* The graph's constant behind a step's input; NULL where compiling made one. */
static const FbConst *constant_of(const FbPlan *plan, const FbStep *step, uint32_t input)
{
    return step->node != NULL && input < step->node->input_count ? fb_graph_constant(plan->graph, step->node->inputs[input]) : NULL;
}

static const char *stored_as(const FbPlan *plan, const FbStep *step, uint32_t input)
{
    const FbConst *constant = constant_of(plan, step, input);
    return constant != NULL && constant->encoding != NULL ? constant->encoding->code->name : fb_dtype_name(plan->values[step->inputs[input]].dtype);
}

/* Bytes of a constant as the step reads it: its codes on integers, decoded otherwise. */
static uint64_t constant_bytes(const FbPlan *plan, const FbStep *step, uint32_t input)
{
    const FbPlanValue *value = &plan->values[step->inputs[input]];
    const FbConst *constant = constant_of(plan, step, input);
    uint64_t amount = 0;
    if (step->integer && constant != NULL && constant->encoding != NULL) {
        return fb_encoding_bits(constant->encoding, &constant->shape, &amount) ? (amount + 7) / 8 : 0;
    }
    FbShape shape = fb_tensor_shape(&value->constant);
    int64_t elements = fb_shape_elements(&shape);
    return elements > 0 && fb_dtype_storage(value->dtype, (uint64_t)elements, &amount) ? amount : 0;
}

static void count_bytes(const FbBinding *binding, const FbStep *step, FbStepInfo *info)
{
    const FbPlan *plan = binding->instance->plan;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < step->input_count; i++) {
        if (step->inputs[i] == FB_NONE) {
            continue;
        }
        if (plan->values[step->inputs[i]].is_constant) {
            uint64_t bytes = constant_bytes(plan, step, i);
            info->weight_bytes += bytes;
            info->weight = bytes > largest ? stored_as(plan, step, i) : info->weight;
            largest = bytes > largest ? bytes : largest;
        } else {
            info->input_bytes += binding->values[step->inputs[i]].tensor.bytes;
        }
    }
    for (uint32_t o = 0; o < step->output_count; o++) {
        info->output_bytes += step->outputs[o] == FB_NONE ? 0 : binding->values[step->outputs[o]].tensor.bytes;
    }
}

size_t fb_instance_step_count(const FbInstance *instance)
{
    size_t count = 0;
    for (const FbStage *stage = instance->last == NULL ? NULL : instance->last->stages; stage != NULL; stage = stage->next) {
        count += stage_steps(stage);
    }
    return count;
}

bool fb_instance_step(const FbInstance *instance, size_t index, FbStepInfo *info)
{
    Found found;
    if (!find_step(instance, index, &found)) {
        return false;
    }
    const FbStep *step = found.bound != NULL ? found.bound->step : found.stage->control;
    *info = (FbStepInfo){.name = step->name, .type = step_type(step), .kernel = step_kernel(step, found.bound), .isa = "", .weight = "", .integer = step->integer && step->kind != FB_STEP_QUANTIZE,
                         .reason = step->reason != NULL ? step->reason : ""};
    const FbKernelPrimitive *primitive = fb_kernel_primitive_find(info->kernel);
    info->isa = primitive != NULL ? fb_kernel_primitive_row(primitive, fb_context_cpu(instance->context)) : "";
    name_fused(step, info->fused, sizeof info->fused);
    info->input = describe_value(instance->last, step->input_count > 0 ? step->inputs[0] : FB_NONE);
    info->output = describe_value(instance->last, step->output_count > 0 ? step->outputs[0] : FB_NONE);
    if (fb_dtype_info(info->output.dtype)->kind != FB_KIND_FLOAT) {
        info->reason = ""; /* masks, indices, codes: nothing that integers of 8 bits could stand for */
    }
    count_bytes(instance->last, step, info);
    if (step->kind == FB_STEP_LOWERED && step->lowering->macs != NULL) {
        info->macs = step->lowering->macs(&found.bound->call);
    }
    info->seconds = found.bound != NULL ? found.bound->seconds : found.stage->control_seconds;
    return true;
}
