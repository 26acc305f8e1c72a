/* Control flow: every body becomes a nested plan; what it reads of the enclosing graph becomes further inputs of the step. */
#include "ops/control_flow.h"
#include "run/compile.h"

static uint32_t find_bodies(const FbNode *node, const void *params, FbGraph *bodies[2])
{
    if (fb_node_is(node, "", "If")) {
        const FbIfParams *decoded = params;
        bodies[0] = decoded->then_branch;
        bodies[1] = decoded->else_branch;
        return 2;
    }
    bodies[0] = fb_node_is(node, "", "Loop") ? ((const FbLoopParams *)params)->body : ((const FbScanParams *)params)->body;
    return 1;
}

/* The step owns the plans as soon as they exist, so that a failure frees them. */
static FbStatus compile_bodies(FbCompile *compile, size_t step, FbGraph *const bodies[2], uint32_t count, FbError *err)
{
    FbPlan *plan = compile->plan;
    FbPlanOptions options = {.mode = plan->mode, .plain = compile->plain, .apart = plan->apart};
    FbPlan **plans = fb_arena_array(plan->arena, 2, sizeof(FbPlan *));
    if (plans == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    plan->steps[step].bodies = plans;
    for (uint32_t b = 0; b < count; b++) {
        FB_TRY(fb_compile_graph(compile->context, bodies[b], compile, &options, &plans[b], err));
        plan->steps[step].body_count = b + 1;
    }
    return FB_OK;
}

FbStatus fb_compile_control(FbCompile *compile, const FbNode *node, FbError *err)
{
    FbPlan *plan = compile->plan;
    const FbCompileNode *decoded = &compile->nodes[node->id];
    FbGraph *bodies[2] = {NULL, NULL};
    uint32_t count = find_bodies(node, decoded->params, bodies);
    FbSlot *own = fb_arena_array(plan->arena, node->input_count + 1u, sizeof *own);
    uint32_t *captures = fb_arena_array(plan->arena, 2, sizeof *captures);
    if (own == NULL || captures == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    /* Slots come before the step, because each may put a conversion in front of it. Captures are known only after compiling the
     * bodies, which adds no step here: they get their slots from a first look at what the bodies refer to. */
    for (uint32_t i = 0; i < node->input_count; i++) {
        FB_TRY(fb_compile_slot(compile, node->inputs[i], false, 0, &own[i], err));
    }
    for (uint32_t b = 0; b < count; b++) {
        for (size_t v = 0; v < bodies[b]->value_count; v++) {
            FbId outer = bodies[b]->values[v].outer;
            FbSlot slot;
            if (outer != FB_NONE && fb_graph_constant(compile->graph, outer) == NULL) {
                FB_TRY(fb_compile_slot(compile, outer, false, 0, &slot, err));
            }
        }
    }
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    size_t at = plan->step_count - 1;
    *step = (FbStep){.kind = FB_STEP_CONTROL, .name = node->name, .node = node, .op = decoded->op, .params = decoded->params,
                     .run_params = decoded->params, .node_inputs = node->input_count, .body_captures = captures};
    FB_TRY(compile_bodies(compile, at, bodies, count, err));
    step = &plan->steps[at];
    size_t total = node->input_count;
    for (uint32_t b = 0; b < count; b++) {
        captures[b] = (uint32_t)total;
        total += step->bodies[b]->input_count - step->bodies[b]->first_capture;
    }
    step->inputs = fb_arena_array(plan->arena, total + 1, sizeof *step->inputs);
    if (step->inputs == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    memcpy(step->inputs, own, node->input_count * sizeof *own);
    for (uint32_t b = 0; b < count; b++) {
        const FbPlan *body = step->bodies[b];
        for (size_t i = body->first_capture; i < body->input_count; i++) {
            FB_TRY(fb_compile_slot(compile, body->captures[i], false, 0, &step->inputs[captures[b] + i - body->first_capture], err));
        }
    }
    step->input_count = (uint32_t)total;
    return fb_compile_outputs(compile, step, node, (FbForm){false, false}, err);
}
