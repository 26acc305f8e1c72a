/* Integer mode: which values lie on a grid of at most 256 codes, and what becomes of Quants that no other step takes in. */
#include "ops/codes_store.h"
#include "run/compile.h"

static bool is_quant(const FbNode *node)
{
    return fb_node_is(node, "fewbit", "Quant") && node->input_count >= 2 && node->output_count == 1 && node->outputs[0] != FB_NONE;
}

/* The grid of a Quant with one constant scale. */
static bool quant_grid(const FbCompile *compile, const FbNode *node, FbCodeGrid *grid)
{
    FbFusedOp op;
    if (!is_quant(node) || node->inputs[0] == FB_NONE || compile->types[node->inputs[0]].dtype != FB_DTYPE_F32 ||
        !fb_compile_quant_round(compile, node, &op)) {
        return false;
    }
    return fb_codes_grid_of_round(&op, grid);
}

bool fb_compile_same_grid(const FbCodeGrid *a, const FbCodeGrid *b)
{
    return a->scale == b->scale && a->zero == b->zero && a->low == b->low && a->high == b->high;
}

bool fb_compile_moves_codes(const FbCompile *compile, const FbNode *node)
{
    const FbOp *op = compile->nodes[node->id].op;
    if (!compile->integer || (op->flags & FB_OP_MOVES_DATA) == 0 || node->input_count < 1 || node->inputs[0] == FB_NONE ||
        (op->moves != NULL && !op->moves(compile->nodes[node->id].params))) {
        return false;
    }
    const FbCodeGrid *grid = compile->grids[node->inputs[0]];
    if (grid == NULL) {
        return false;
    }
    for (uint32_t i = 1; op->max_inputs < 0 && i < node->input_count; i++) {
        const FbId value = node->inputs[i];
        if (value == FB_NONE || (compile->grids[value] == NULL || !fb_compile_same_grid(grid, compile->grids[value]))) {
            return false;
        }
    }
    return true;
}

FbStatus fb_compile_grids(FbCompile *compile, FbError *err)
{
    compile->grids = fb_arena_array(compile->scratch, compile->value_count + 1, sizeof *compile->grids);
    compile->tables = fb_arena_array(compile->scratch, compile->value_count + 1, sizeof *compile->tables);
    if (compile->grids == NULL || compile->tables == NULL) {
        return fb_error_memory(compile->context, err, "grids", 0);
    }
    for (size_t i = 0; compile->integer && i < compile->order_count; i++) {
        const FbNode *node = compile->graph->nodes[compile->order[i]];
        FbCodeGrid grid;
        if (quant_grid(compile, node, &grid)) {
            FbCodeGrid *kept = fb_arena_alloc(compile->plan->arena, sizeof *kept);
            if (kept == NULL) {
                return fb_error_memory(compile->context, err, "grids", 0);
            }
            *kept = grid;
            compile->grids[node->outputs[0]] = kept;
        } else if (fb_compile_moves_codes(compile, node)) {
            for (uint32_t o = 0; o < node->output_count; o++) {
                if (node->outputs[o] != FB_NONE && compile->types[node->outputs[o]].dtype == FB_DTYPE_F32) {
                    compile->grids[node->outputs[o]] = compile->grids[node->inputs[0]];
                }
            }
        }
    }
    return FB_OK;
}

FbId fb_compile_dynamic_source(const FbCompile *compile, FbId value)
{
    const FbId producer = !compile->integer || value == FB_NONE ? FB_NONE : compile->graph->values[value].producer;
    const FbNode *node = producer == FB_NONE ? NULL : compile->graph->nodes[producer];
    if (node == NULL || !fb_node_is(node, "fewbit", "Quant") || node->input_count < 1) {
        return FB_NONE;
    }
    const FbAttribute *dynamic = fb_node_attribute(node, "dynamic");
    return dynamic != NULL && dynamic->i != 0 ? node->inputs[0] : FB_NONE;
}

FbStatus fb_compile_quant(FbCompile *compile, const FbNode *node, FbError *err)
{
    const FbId from = node->inputs[0], to = node->outputs[0];
    const FbCodeGrid *grid = compile->grids[to];
    const bool last = fb_compile_is_channels_last(compile, from);
    FbSlot slot = FB_NONE;
    if (compile->grids[from] != NULL && fb_compile_same_grid(compile->grids[from], grid)) {
        FB_TRY(fb_compile_form(compile, from, (FbForm){last, true}, &slot, err));
        compile->slots[to] = slot;
        memcpy(compile->forms[to], compile->forms[from], sizeof compile->forms[to]);
        return FB_OK;
    }
    FB_TRY(fb_compile_slot(compile, from, last, 0, &slot, err));
    FbSlot *ports = fb_arena_array(compile->plan->arena, 2, sizeof *ports);
    if (ports == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    ports[0] = slot;
    FB_TRY(fb_compile_new_slot(compile, to, &compile->types[to], (FbForm){last, true}, &ports[1], err));
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    *step = (FbStep){.kind = FB_STEP_QUANTIZE, .name = node->name, .channels_last = last, .grid = *grid, .integer = true, .inputs = ports,
                     .outputs = ports + 1, .input_count = 1, .node_inputs = 1, .output_count = 1};
    return FB_OK;
}

const char *fb_compile_reason(const FbCompile *compile, const FbNode *node)
{
    const FbOp *op = compile->nodes[node->id].op;
    if (op->integer == NULL) {
        return "the operator has no form on codes";
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        const FbId value = node->inputs[i];
        if (value == FB_NONE || compile->types[value].dtype != FB_DTYPE_F32) {
            continue;
        }
        const FbConst *constant = fb_graph_constant(compile->graph, value);
        if (constant == NULL && compile->grids[value] == NULL) {
            return "an input is not quantized to 8 bits with one scale";
        }
        if (i == 1 && constant != NULL && constant->encoding == NULL && op->lowering != NULL) {
            return "the weight is not quantized";
        }
    }
    return "types, shapes or quantization parameters that its form on codes does not serve";
}
