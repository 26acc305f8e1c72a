/* Integer mode: a value that is a function of one coded value, element by element, is looked up in a table of 256 entries, whatever stands
 * between the two (SiLU, GELU, a different grid). The table is what the nodes themselves make of the 256 codes. */
#include "kernels/codes.h"
#include "run/compile.h"

enum { FB_TABLE_CODES = 256 };

/* The reals of all codes of a grid. */
static float *grid_reals(FbCompile *compile, FbId value)
{
    float *reals = fb_arena_array(compile->scratch, FB_TABLE_CODES, sizeof *reals);
    const FbCodeGrid *grid = compile->grids[value];
    for (int32_t code = 0; reals != NULL && code < FB_TABLE_CODES; code++) {
        reals[code] = (float)(code - grid->zero) * grid->scale;
    }
    return reals;
}

/* One number, whatever the shapes of a run. */
static bool is_number(const FbCompile *compile, FbId value, int rank)
{
    const FbType *type = &compile->types[value];
    return fb_graph_constant(compile->graph, value) != NULL && type->value != NULL && fb_shape_elements(&type->shape) == 1 &&
           type->shape.rank <= (rank > 1 ? rank : 1);
}

/* True when `value` is `source` or a function of it. */
static bool comes_from(const FbCompile *compile, FbId value, FbId source)
{
    return value == source || (compile->tables[value].reals != NULL && compile->tables[value].source == source);
}

static bool all_from(const FbCompile *compile, const FbNode *node, FbId source)
{
    const int rank = compile->types[source].shape.rank;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const FbId value = node->inputs[i];
        if (value != FB_NONE && !comes_from(compile, value, source) && !is_number(compile, value, rank)) {
            return false;
        }
    }
    return true;
}

/* The coded value that this node is a function of; FB_NONE. What an input comes from is tried before the input itself, so that tables are
 * as long as they can be. */
static FbId find_source(const FbCompile *compile, const FbNode *node)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < node->input_count; i++) {
            const FbId value = node->inputs[i];
            if (value == FB_NONE || fb_graph_constant(compile->graph, value) != NULL) {
                continue;
            }
            const FbCodeTable *table = &compile->tables[value];
            const FbId source = attempt == 0 && table->reals != NULL ? table->source : value;
            if (compile->grids[source] != NULL && all_from(compile, node, source)) {
                return source;
            }
        }
    }
    return FB_NONE;
}

static bool is_function(const FbCompile *compile, const FbNode *node)
{
    const FbOp *op = compile->nodes[node->id].op;
    if (node->output_count != 1 || node->outputs[0] == FB_NONE || node->input_count < 1 || node->inputs[0] == FB_NONE ||
        compile->types[node->outputs[0]].dtype != FB_DTYPE_F32) {
        return false;
    }
    if (fb_node_is(node, "fewbit", "Quant")) { /* of the same grid: nothing to do, see fb_compile_quant */
        const FbCodeGrid *to = compile->grids[node->outputs[0]], *from = compile->grids[node->inputs[0]];
        return to != NULL && (from == NULL || !fb_compile_same_grid(from, to));
    }
    return (op->flags & FB_OP_POINTWISE) != 0 && (op->flags & FB_OP_VIEW) == 0;
}

static FbStatus evaluate(FbCompile *compile, const FbNode *node, FbId source, float **reals, FbError *err)
{
    const FbTensor **inputs = fb_arena_array(compile->scratch, node->input_count, sizeof *inputs);
    FbTensor *codes = fb_arena_array(compile->scratch, node->input_count, sizeof *codes);
    FbTensor out = {0};
    bool done = false;
    *reals = NULL;
    if (inputs == NULL || codes == NULL) {
        return fb_error_memory(compile->context, err, "a table", 0);
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        const FbId value = node->inputs[i];
        if (value == FB_NONE || fb_graph_constant(compile->graph, value) != NULL) {
            inputs[i] = value == FB_NONE ? NULL : compile->types[value].value;
            continue;
        }
        float *from = value == source ? grid_reals(compile, source) : compile->tables[value].reals;
        if (from == NULL) {
            return fb_error_memory(compile->context, err, "a table", 0);
        }
        codes[i] = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 1, .dims = {FB_TABLE_CODES}, .data = from, .bytes = FB_TABLE_CODES * sizeof(float)};
        inputs[i] = &codes[i];
    }
    FB_TRY(fb_evaluate_node(compile->context, compile->graph, node, inputs, &out, FB_TABLE_CODES * sizeof(float), &done, err));
    if (done && out.dtype == FB_DTYPE_F32 && fb_tensor_elements(&out) == FB_TABLE_CODES) {
        *reals = fb_arena_array(compile->scratch, FB_TABLE_CODES, sizeof **reals);
        if (*reals != NULL) {
            memcpy(*reals, out.data, FB_TABLE_CODES * sizeof **reals);
        }
    }
    fb_free(compile->context, out.data);
    return FB_OK;
}

FbStatus fb_compile_table(FbCompile *compile, const FbNode *node, bool *is_table, FbError *err)
{
    *is_table = false;
    if (!compile->integer || !is_function(compile, node)) {
        return FB_OK;
    }
    const FbId source = find_source(compile, node);
    if (source == FB_NONE) {
        return FB_OK;
    }
    FbCodeTable *table = &compile->tables[node->outputs[0]];
    FB_TRY(evaluate(compile, node, source, &table->reals, err));
    table->source = source;
    *is_table = table->reals != NULL;
    return FB_OK;
}

/* Codes of a table's reals, which lie on the grid. */
static const void *make_entries(FbCompile *compile, const FbCodeTable *table, const FbCodeGrid *grid)
{
    if (grid == NULL) {
        float *reals = fb_arena_array(compile->plan->arena, FB_TABLE_CODES, sizeof *reals);
        return reals == NULL ? NULL : memcpy(reals, table->reals, FB_TABLE_CODES * sizeof *reals);
    }
    uint8_t *codes = fb_arena_alloc(compile->plan->arena, FB_TABLE_CODES);
    if (codes != NULL) {
        fb_codes_pick(fb_context_cpu(compile->context))->quantize(table->reals, codes, FB_TABLE_CODES, grid);
    }
    return codes;
}

FbStatus fb_compile_table_step(FbCompile *compile, const FbNode *node, FbError *err)
{
    const FbId value = node->outputs[0];
    const FbCodeTable *table = &compile->tables[value];
    const FbCodeGrid *grid = compile->grids[value];
    const bool last = fb_compile_is_channels_last(compile, table->source);
    FbSlot *ports = fb_arena_array(compile->plan->arena, 2, sizeof *ports);
    const void *entries = make_entries(compile, table, grid);
    if (ports == NULL || entries == NULL) {
        return fb_error_memory(compile->context, err, "a table", 0);
    }
    FB_TRY(fb_compile_form(compile, table->source, (FbForm){last, true}, &ports[0], err));
    FB_TRY(fb_compile_new_slot(compile, value, &compile->types[value], (FbForm){last, grid != NULL}, &ports[1], err));
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    *step = (FbStep){.kind = FB_STEP_TABLE, .name = node->name, .node = node, .channels_last = last, .table = entries, .integer = true,
                     .inputs = ports, .outputs = ports + 1, .input_count = 1, .node_inputs = 1, .output_count = 1};
    return FB_OK;
}
