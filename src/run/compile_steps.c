/* Emitting the plan's steps in order: the form of each operator, its slots, packed constants of products. */
#include "base/array.h"
#include "run/compile.h"

FbStatus fb_compile_add_step(FbCompile *compile, FbStep **step, FbError *err)
{
    FbPlan *plan = compile->plan;
    if (!fb_array_reserve_bytes(plan->context, (void **)&plan->steps, plan->step_count, &plan->step_capacity, sizeof *plan->steps)) {
        return fb_error_memory(plan->context, err, "plan steps", 0);
    }
    *step = &plan->steps[plan->step_count++];
    memset(*step, 0, sizeof **step);
    return FB_OK;
}

FbStatus fb_compile_outputs(FbCompile *compile, FbStep *step, const FbNode *node, FbForm form, FbError *err)
{
    FbSlot *outputs = fb_arena_array(compile->plan->arena, node->output_count + 1u, sizeof *outputs);
    if (outputs == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        outputs[o] = FB_NONE;
        if (node->outputs[o] != FB_NONE) {
            FbForm own = {form.channels_last, form.codes && compile->grids[node->outputs[o]] != NULL};
            FB_TRY(fb_compile_new_slot(compile, node->outputs[o], &compile->types[node->outputs[o]], own, &outputs[o], err));
        }
    }
    step->outputs = outputs;
    step->output_count = node->output_count;
    return FB_OK;
}

static int rank_of(const FbCompile *compile, FbId value)
{
    return value == FB_NONE ? -1 : compile->types[value].shape.rank;
}

/* One element whatever the run's shapes: broadcasts the same in every memory order. */
static bool is_single(const FbCompile *compile, FbId value)
{
    return rank_of(compile, value) <= 1 && fb_shape_elements(&compile->types[value].shape) == 1;
}

/* A pointwise step works channels last when an input of full rank already is, and every other can be made so. */
static bool pointwise_channels_last(const FbCompile *compile, const FbNode *node)
{
    int rank = rank_of(compile, node->outputs[0]);
    bool wanted = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        FbId value = node->inputs[i];
        if (value == FB_NONE) {
            continue;
        }
        int own = rank_of(compile, value);
        bool last = fb_compile_is_channels_last(compile, value);
        if (own < 0 || own > rank || (last && own != rank) || fb_dtype_bits(compile->types[value].dtype) < 8) {
            return false;
        }
        wanted = wanted || last;
    }
    return wanted && rank >= 3;
}

static bool has_more_outputs(const FbNode *node)
{
    for (uint32_t o = 1; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE) {
            return true;
        }
    }
    return false;
}

/* Transpose between the two orders of the same bytes: 1 towards channels last, -1 back, 0 neither. */
static int transpose_direction(const FbCompile *compile, const FbNode *node)
{
    const FbAttribute *perm = fb_node_attribute(node, "perm");
    int rank = rank_of(compile, node->inputs[0]);
    if (!fb_node_is(node, "", "Transpose") || perm == NULL || perm->type != FB_ATTR_INTS || rank < 3 || (int)perm->count != rank ||
        perm->ints[0] != 0) {
        return 0;
    }
    bool to_last = perm->ints[rank - 1] == 1, back = perm->ints[1] == rank - 1;
    for (int i = 1; i + 1 < rank; i++) {
        to_last = to_last && perm->ints[i] == i + 1;
        back = back && perm->ints[i + 1] == i;
    }
    return to_last ? 1 : back ? -1 : 0;
}

/* A Transpose that only renames the order of bytes that are there already. */
static bool relabels(const FbCompile *compile, const FbNode *node, bool *out_last)
{
    if (compile->plain || node->input_count < 1 || node->inputs[0] == FB_NONE) {
        return false;
    }
    int direction = transpose_direction(compile, node);
    bool last = fb_compile_is_channels_last(compile, node->inputs[0]);
    bool computed = fb_graph_constant(compile->graph, node->inputs[0]) == NULL;
    *out_last = direction < 0;
    return computed && ((direction > 0 && last) || (direction < 0 && !last));
}

/* Which form an operator works in; fills the step's channels_last and run_params. */
static FbStatus choose_form(FbCompile *compile, const FbNode *node, const FbCompileNode *decoded, FbStep *form, FbError *err)
{
    const FbOp *op = decoded->op;
    FbId first = node->input_count > 0 ? node->inputs[0] : FB_NONE;
    int rank = rank_of(compile, first);
    bool last = fb_compile_is_channels_last(compile, first) && rank >= 3;
    form->run_params = form->params = decoded->params;
    if ((op->flags & FB_OP_VIEW) != 0 || node->output_count < 1 || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    if ((op->flags & FB_OP_POINTWISE) != 0) {
        form->channels_last = pointwise_channels_last(compile, node);
    } else if ((op->flags & FB_OP_SPATIAL) != 0) {
        form->channels_last = last && op->lowering == NULL && !has_more_outputs(node);
    } else if (op->channels_last != NULL && last) {
        void *copy = fb_arena_alloc(compile->plan->arena, op->params_bytes);
        if (copy == NULL) {
            return fb_error_memory(compile->context, err, "a step", op->params_bytes);
        }
        memcpy(copy, decoded->params, op->params_bytes);
        if (op->channels_last(copy, rank)) {
            form->channels_last = true;
            form->run_params = copy;
        }
    }
    return FB_OK;
}

/* Input i of an operator as a slot, in the form that the step needs. */
static FbStatus op_input(FbCompile *compile, const FbNode *node, const FbOp *op, FbForm form, uint32_t i, FbSlot *slot, FbError *err)
{
    FbId value = node->inputs[i];
    const bool channels_last = form.channels_last;
    if (form.codes && value != FB_NONE && compile->grids[value] != NULL) {
        const bool data = i == 0 || op->max_inputs < 0;
        return fb_compile_form(compile, value, (FbForm){channels_last && data, true}, slot, err);
    }
    if (value == FB_NONE || !channels_last) {
        return fb_compile_slot(compile, value, false, 0, slot, err);
    }
    if ((op->flags & FB_OP_POINTWISE) != 0) {
        return is_single(compile, value) ? fb_compile_slot(compile, value, false, 0, slot, err)
                                         : fb_compile_slot(compile, value, true, rank_of(compile, node->outputs[0]), slot, err);
    }
    /* Operators that take any number of inputs (Concat) take data in all of them; others in the first only. */
    return fb_compile_slot(compile, value, i == 0 || op->max_inputs < 0, 0, slot, err);
}

static FbStatus emit_op(FbCompile *compile, const FbNode *node, FbError *err)
{
    const FbCompileNode *decoded = &compile->nodes[node->id];
    FbStep form = {.kind = FB_STEP_OP, .name = node->name, .node = node, .op = decoded->op, .params = decoded->params};
    bool out_last = false;
    form.run_params = form.params;
    form.view = relabels(compile, node, &out_last);
    if (!form.view) {
        FB_TRY(choose_form(compile, node, decoded, &form, err));
        out_last = form.channels_last;
        form.view = (decoded->op->flags & FB_OP_VIEW) != 0;
        if (!form.view && decoded->op->run == NULL) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "runs only with constant weights of a supported type and form");
        }
    }
    form.inputs = fb_arena_array(compile->plan->arena, node->input_count + 1u, sizeof *form.inputs);
    if (form.inputs == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    bool relabel = form.view && (decoded->op->flags & FB_OP_VIEW) == 0;
    form.integer = fb_compile_moves_codes(compile, node);
    form.reason = compile->integer && !form.integer ? fb_compile_reason(compile, node) : NULL;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const FbForm in = {relabel ? !out_last : form.channels_last, form.integer};
        FB_TRY(op_input(compile, node, decoded->op, in, i, &form.inputs[i], err));
    }
    form.input_count = form.node_inputs = node->input_count;
    FB_TRY(fb_compile_outputs(compile, &form, node, (FbForm){out_last, form.integer}, err));
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    *step = form;
    return FB_OK;
}

/* A value that the step reads: as codes where the step works on them. */
static FbStatus chain_input(FbCompile *compile, const FbChain *chain, FbId value, bool channels_last, FbSlot *slot, FbError *err)
{
    if (chain->integer && value != FB_NONE && compile->grids[value] != NULL && value != chain->dynamic) {
        return fb_compile_form(compile, value, (FbForm){channels_last, true}, slot, err);
    }
    return fb_compile_slot(compile, value, channels_last, 0, slot, err);
}

/* The slots of a product: shells for constants that are packed, the value in the lowering's form otherwise, then fused operands. */
static FbStatus chain_inputs(FbCompile *compile, const FbChain *chain, const FbPrepare *prepare, FbStep *step, FbError *err)
{
    step->inputs = fb_arena_array(compile->plan->arena, (size_t)prepare->input_count + FB_EPILOGUE_MAX, sizeof *step->inputs);
    if (step->inputs == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    const FbNode *node = chain->node;
    const FbOp *op = compile->nodes[node->id].op;
    const bool all = (op->flags & FB_OP_POINTWISE) != 0 || op->max_inputs < 0; /* every input is data */
    for (int i = 0; i < prepare->input_count; i++) {
        FbId value = (uint32_t)i < node->input_count ? node->inputs[i] : FB_NONE;
        value = i == 2 && chain->bias != FB_NONE ? chain->bias : value;
        value = i == 0 && chain->dynamic != FB_NONE ? chain->dynamic : value;
        if (value == FB_NONE) {
            step->inputs[i] = FB_NONE;
        } else if (prepare->constants[i] != NULL && (i > 0 || chain->lowering == op->blocks)) {
            FB_TRY(fb_compile_shell(compile, value, &step->inputs[i], err));
        } else {
            FB_TRY(chain_input(compile, chain, value, chain->channels_last && (i == 0 || all), &step->inputs[i], err));
        }
    }
    step->input_count = (uint32_t)prepare->input_count;
    for (int f = 0; f < chain->fused_count; f++) {
        if (chain->operands[f] != FB_NONE) {
            FB_TRY(chain_input(compile, chain, chain->operands[f], chain->channels_last, &step->inputs[step->input_count++], err));
        }
    }
    return FB_OK;
}

/* Steps on codes that work in any memory order take that of their inputs, when the lowering knows it. */
static FbStatus choose_chain_form(FbCompile *compile, FbChain *chain, FbPrepare *prepare, const void **run_params, FbError *err)
{
    const FbCompileNode *decoded = &compile->nodes[chain->node->id];
    FB_TRY(fb_compile_prepare(compile, chain, prepare, err));
    *run_params = decoded->params;
    if (!chain->integer || (decoded->op->flags & FB_OP_SPATIAL) != 0) {
        return FB_OK;
    }
    FbStep form = {0};
    FB_TRY(choose_form(compile, chain->node, decoded, &form, err));
    if (form.channels_last) {
        FbPrepare last = *prepare;
        last.channels_last = true;
        last.params = form.run_params;
        if (chain->lowering->accepts(&last)) {
            *prepare = last;
            *run_params = form.run_params;
            chain->channels_last = true;
        }
    }
    return FB_OK;
}

/* The step's value is the chain's last, under the product's type. */
static FbStatus name_result(FbCompile *compile, const FbChain *chain, bool codes, FbSlot *outputs, FbError *err)
{
    if (chain->absorbed_count == 0) {
        return FB_OK;
    }
    const FbType type = compile->types[chain->node->outputs[0]];
    return fb_compile_new_slot(compile, chain->out, &type, (FbForm){chain->channels_last, codes}, &outputs[0], err);
}

static FbStatus emit_chain(FbCompile *compile, FbChain *chain, FbError *err)
{
    const FbNode *node = chain->node;
    const FbCompileNode *decoded = &compile->nodes[node->id];
    FbPlan *plan = compile->plan;
    FbPrepare prepare;
    const void *run_params;
    FB_TRY(choose_chain_form(compile, chain, &prepare, &run_params, err));
    FbStep made = {.kind = FB_STEP_LOWERED, .name = node->name, .node = node, .op = decoded->op, .params = decoded->params,
                   .run_params = run_params, .channels_last = chain->channels_last, .node_inputs = node->input_count,
                   .lowering = chain->lowering, .integer = chain->integer};
    made.reason = compile->integer && !chain->integer ? fb_compile_reason(compile, node) : NULL;
    made.fused = fb_arena_array(plan->arena, chain->absorbed_count + 1, sizeof *made.fused);
    if (made.fused == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    for (size_t a = 0; a < chain->absorbed_count; a++) {
        made.fused[made.fused_count++] = compile->graph->nodes[chain->absorbed[a]];
    }
    FB_TRY(chain_inputs(compile, chain, &prepare, &made, err));
    const bool codes = prepare.store_grid != NULL;
    FB_TRY(fb_compile_outputs(compile, &made, node, (FbForm){chain->channels_last, codes && chain->absorbed_count == 0}, err));
    FB_TRY(name_result(compile, chain, codes, made.outputs, err));
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    *step = made;
    FB_TRY(made.lowering->prepare(&prepare, &step->state, err));
    if (compile->integer && made.lowering == decoded->op->blocks) {
        step->integer = strcmp(made.lowering->kernel(step->state), "product_f32") != 0;
        step->reason = step->integer ? NULL : "its block type has no product with rounded activations";
    }
    return FB_OK;
}

/* The graph's outputs in their logical order. */
static FbStatus emit_outputs(FbCompile *compile, FbError *err)
{
    FbPlan *plan = compile->plan;
    const FbGraph *graph = compile->graph;
    plan->outputs = fb_arena_array(plan->arena, graph->output_count + 1, sizeof *plan->outputs);
    if (plan->outputs == NULL) {
        return fb_error_memory(compile->context, err, "outputs", 0);
    }
    for (size_t o = 0; o < graph->output_count; o++) {
        FB_TRY(fb_compile_slot(compile, graph->outputs[o], false, 0, &plan->outputs[o], err));
        plan->values[plan->outputs[o]].is_output = true;
    }
    plan->output_count = graph->output_count;
    return FB_OK;
}

FbStatus fb_compile_steps(FbCompile *compile, FbError *err)
{
    for (size_t i = 0; i < compile->order_count; i++) {
        const FbNode *node = compile->graph->nodes[compile->order[i]];
        const FbCompileNode *state = &compile->nodes[node->id];
        FbStatus status = FB_OK;
        if (state->emit_chain != NULL) {
            node = state->emit_chain->node;
            status = emit_chain(compile, state->emit_chain, err);
        } else if (state->chain != NULL || state->absorbed) {
            continue;
        } else if (state->table) {
            status = fb_compile_table_step(compile, node, err);
        } else if (fb_node_is(node, "fewbit", "Quant") && compile->grids[node->outputs[0]] != NULL) {
            status = fb_compile_quant(compile, node, err);
        } else if ((state->op->flags & FB_OP_CONTROL) != 0) {
            status = fb_compile_control(compile, node, err);
        } else {
            status = emit_op(compile, node, err);
        }
        if (status != FB_OK) {
            return fb_node_error(node, status, err);
        }
        FB_TRY(fb_check_cancel(compile->context, err));
    }
    return emit_outputs(compile, err);
}
