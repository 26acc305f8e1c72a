/* From a model to a plan: clone, check, passes, types, fusion, steps. */
#include "run/compile.h"

#include "base/text.h"
#include "ops/packed_blocks.h"

static void release_planes(FbGraph *graph)
{
    for (size_t c = 0; c < graph->constant_count; c++) {
        for (int p = 0; p < FB_PLANE_COUNT; p++) {
            FbPlane *plane = &graph->constants[c]->planes[p];
            fb_buffer_release(plane->buffer);
            fb_source_release(plane->source);
            plane->buffer = NULL;
            plane->source = NULL;
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        release_planes(graph->subgraphs[g]);
    }
}

static void free_step(FbContext *context, FbStep *step)
{
    if (step->lowering != NULL && step->lowering->release != NULL && step->state != NULL) {
        step->lowering->release(context, step->state);
    }
    for (uint32_t b = 0; b < step->body_count; b++) {
        fb_plan_free(step->bodies[b]);
    }
}

void fb_plan_free(FbPlan *plan)
{
    if (plan == NULL) {
        return;
    }
    FbContext *context = plan->context;
    for (size_t s = 0; s < plan->step_count; s++) {
        free_step(context, &plan->steps[s]);
    }
    for (size_t v = 0; v < plan->value_count; v++) {
        if (plan->values[v].is_constant) {
            fb_free(context, plan->values[v].constant.data);
        }
    }
    fb_block_store_free(plan->store);
    fb_free(context, plan->steps);
    fb_free(context, plan->values);
    if (plan->owns_graph) {
        fb_graph_free(plan->graph);
    }
    fb_arena_free(plan->arena);
    fb_free(context, plan);
}

/* Passes that hold in every mode. */
static FbStatus run_passes(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FB_TRY(fb_pass_expand_fused(graph, keep, err));
    FB_TRY(fb_pass_remove_identity(graph, keep, err));
    FB_TRY(fb_pass_dead_code(graph, keep, err));
    FB_TRY(fb_pass_fold_constants(graph, keep, fb_evaluate_node, graph->context, err));
    FB_TRY(fb_pass_fold_batch_norm(graph, keep, NULL, err));
    FB_TRY(fb_pass_fold_pad(graph, keep, err));
    FB_TRY(fb_pass_expand_conv_transpose(graph, keep, err));
    return fb_pass_dead_code(graph, keep, err);
}

/* Values of the enclosing graph that are no constants: inputs of the nested plan. */
static bool is_capture(const FbCompile *compile, size_t v)
{
    const FbValue *value = &compile->graph->values[v];
    return value->outer != FB_NONE && fb_graph_constant(compile->graph, (FbId)v) == NULL;
}

static bool is_fed(const FbGraph *graph, FbId input)
{
    return graph->values[input].constant == NULL;
}

static FbStatus make_inputs(FbCompile *compile, FbError *err)
{
    FbPlan *plan = compile->plan;
    const FbGraph *graph = compile->graph;
    const FbForm reals = {false, false};
    size_t count = 0;
    for (size_t i = 0; i < graph->input_count; i++) {
        count += is_fed(graph, graph->inputs[i]);
    }
    plan->first_capture = count;
    for (size_t v = 0; v < compile->value_count; v++) {
        count += is_capture(compile, v);
    }
    plan->inputs = fb_arena_array(plan->arena, count + 1, sizeof *plan->inputs);
    plan->input_types = fb_arena_array(plan->arena, count + 1, sizeof *plan->input_types);
    plan->captures = fb_arena_array(plan->arena, count + 1, sizeof *plan->captures);
    if (plan->inputs == NULL || plan->input_types == NULL || plan->captures == NULL) {
        return fb_error_memory(compile->context, err, "inputs", 0);
    }
    for (size_t i = 0; i < graph->input_count; i++) {
        FbId value = graph->inputs[i];
        if (is_fed(graph, value)) {
            plan->input_types[plan->input_count] = compile->types[value];
            FB_TRY(fb_compile_new_slot(compile, value, &compile->types[value], reals, &plan->inputs[plan->input_count++], err));
        }
    }
    for (size_t v = 0; v < compile->value_count; v++) {
        if (is_capture(compile, v)) {
            plan->input_types[plan->input_count] = compile->types[v];
            plan->captures[plan->input_count] = graph->values[v].outer;
            FB_TRY(fb_compile_new_slot(compile, (FbId)v, &compile->types[v], reals, &plan->inputs[plan->input_count++], err));
        }
    }
    return FB_OK;
}

static FbStatus find_observed(FbCompile *compile, const FbPlanOptions *options, FbError *err)
{
    FbPlan *plan = compile->plan;
    plan->observed = fb_arena_array(plan->arena, options->observed_count + 1, sizeof *plan->observed);
    if (plan->observed == NULL) {
        return fb_error_memory(compile->context, err, "observed values", 0);
    }
    plan->observed_count = options->observed_count;
    for (size_t i = 0; i < options->observed_count; i++) {
        FbId value = fb_graph_find_value(compile->graph, options->observed[i]);
        bool computed = fb_graph_constant(compile->graph, value) == NULL && compile->slots[value] != FB_NONE;
        bool channels_last = computed && fb_compile_is_channels_last(compile, value);
        FB_TRY(fb_compile_slot(compile, value, channels_last, 0, &plan->observed[i], err));
    }
    return FB_OK;
}

/* Which values the caller observes, by id; every name must exist. */
static FbStatus keep_observed(const FbGraph *graph, FbArena *arena, const FbPlanOptions *options, FbKeep *keep, FbError *err)
{
    bool *kept = fb_arena_array(arena, graph->value_count + 1, sizeof *kept);
    if (kept == NULL) {
        return fb_error_memory(graph->context, err, "observed values", 0);
    }
    for (size_t i = 0; i < options->observed_count; i++) {
        FbId value = fb_graph_find_value(graph, options->observed[i]);
        if (value == FB_NONE) {
            char name[160];
            return fb_error_set(err, FB_ERR_ARGUMENT, "no value '%s' to observe in this model",
                                fb_escape(options->observed[i], name, sizeof name));
        }
        kept[value] = true;
    }
    *keep = (FbKeep){kept, graph->value_count};
    return FB_OK;
}

static FbStatus compile_into(FbCompile *compile, const FbPlanOptions *options, FbError *err)
{
    FbGraph *graph = compile->graph;
    if (compile->parent == NULL) {
        FB_TRY(keep_observed(graph, compile->scratch, options, &compile->keep, err));
    }
    FB_TRY(compile->plain ? fb_pass_dead_code(graph, &compile->keep, err) : run_passes(graph, &compile->keep, err));
    if (compile->integer) {
        FB_TRY(fb_pass_quant_before_concat(graph, &compile->keep, err));
    }
    compile->value_count = graph->value_count;
    compile->node_count = graph->node_count;
    FB_TRY(fb_graph_sort(graph, compile->scratch, &compile->order, &compile->order_count, err));
    FB_TRY(fb_compile_types(compile, err));
    compile->slots = fb_arena_array(compile->scratch, compile->value_count + 1, sizeof *compile->slots);
    compile->forms = fb_arena_array(compile->scratch, compile->value_count + 1, sizeof *compile->forms);
    if (compile->slots == NULL || compile->forms == NULL) {
        return fb_error_memory(compile->context, err, "values", 0);
    }
    memset(compile->slots, 0xff, (compile->value_count + 1) * sizeof *compile->slots);
    memset(compile->forms, 0xff, (compile->value_count + 1) * sizeof *compile->forms);
    FB_TRY(make_inputs(compile, err));
    FB_TRY(fb_compile_grids(compile, err));
    FB_TRY(fb_compile_fuse(compile, err));
    FB_TRY(fb_compile_steps(compile, err));
    return compile->parent == NULL ? find_observed(compile, options, err) : FB_OK;
}

FbStatus fb_compile_graph(FbContext *context, FbGraph *graph, FbCompile *parent, const FbPlanOptions *options, FbPlan **out, FbError *err)
{
    FbCompile compile = {.context = context, .graph = graph, .parent = parent, .depth = parent == NULL ? 0 : parent->depth + 1,
                         .plain = options->plain, .integer = options->mode == FB_MODE_INTEGER && !options->plain};
    *out = NULL;
    if (compile.depth > FB_CONTROL_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_CONTROL_DEPTH);
    }
    FbPlan *plan = fb_alloc_zero(context, sizeof *plan);
    if (plan == NULL) {
        return fb_error_memory(context, err, "a plan", sizeof *plan);
    }
    plan->context = context;
    plan->graph = graph;
    plan->mode = options->mode;
    plan->apart = options->apart;
    plan->arena = fb_arena_create(context);
    compile.plan = plan;
    compile.scratch = fb_arena_create(context);
    FbStatus status = plan->arena == NULL || compile.scratch == NULL ? fb_error_memory(context, err, "a plan", 0) : FB_OK;
    if (status == FB_OK && parent == NULL) {
        status = fb_block_store_create(context, &plan->store, err);
    }
    compile.store = parent == NULL ? plan->store : parent->store;
    if (status == FB_OK) {
        status = compile_into(&compile, options, err);
    }
    fb_arena_free(compile.scratch);
    if (status != FB_OK) {
        fb_plan_free(plan);
        return status;
    }
    *out = plan;
    return FB_OK;
}

/* One form of quantized operators is all that integer execution compiles. */
static FbStatus expand(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FB_TRY(fb_pass_expand_qlinear(graph, keep, err));
    return fb_pass_expand_dynamic(graph, keep, err);
}

static FbStatus prepare_graph(const FbModel *model, FbGraph *graph, const FbPlanOptions *options, FbError *err)
{
    FB_TRY(fb_pass_inline_functions(model, graph, err));
    FB_TRY(fb_compile_check(graph, 0, err));
    if (options->mode == FB_MODE_SIMULATED) {
        return FB_OK;
    }
    FbArena *arena = fb_arena_create(graph->context);
    FbKeep keep;
    FbStatus status = arena == NULL ? fb_error_memory(graph->context, err, "a plan", 0) : keep_observed(graph, arena, options, &keep, err);
    if (status == FB_OK && options->mode == FB_MODE_FLOAT) {
        status = fb_pass_remove_quant(graph, &keep, err);
    } else if (status == FB_OK) {
        status = expand(graph, &keep, err);
    }
    fb_arena_free(arena);
    return status;
}

FbStatus fb_plan_create(FbContext *context, const FbModel *model, const FbPlanOptions *options, FbPlan **plan, FbError *err)
{
    FbGraph *graph = NULL;
    *plan = NULL;
    FB_TRY(fb_graph_clone(model->graph, &graph, err));
    FbStatus status = prepare_graph(model, graph, options, err);
    if (status == FB_OK) {
        status = fb_compile_graph(context, graph, NULL, options, plan, err);
    }
    if (status != FB_OK) {
        fb_graph_free(graph);
        return status;
    }
    (*plan)->owns_graph = true;
    release_planes(graph);
    fb_block_store_seal((*plan)->store);
    return FB_OK;
}
