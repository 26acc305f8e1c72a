/* Which nodes become part of a product's step. A node is absorbed only when its arithmetic in the epilogue is the operator's own, so
 * that fusing changes no bit; a value that somebody else needs is never fused away. */
#include <math.h>

#include "run/compile.h"

enum { FB_ABSORBED_MAX = FB_EPILOGUE_MAX * 5 + 1 };

/* Places to go back to when the lowering does not take an epilogue. */
typedef struct FbChainMark {
    FbId out;
    size_t tail, absorbed_count;
} FbChainMark;

typedef struct FbMatch {
    FbCompile *compile;
    FbChain *chain;
} FbMatch;

bool fb_compile_is_kept(const FbCompile *compile, FbId value)
{
    return fb_graph_is_output(compile->graph, value) || fb_keep_value(&compile->keep, value);
}

static uint32_t use_count(const FbCompile *compile, FbId value)
{
    return compile->uses.start[value + 1] - compile->uses.start[value];
}

/* The node of use i of a value; NULL when it is not a plain input (a capture). */
static const FbNode *user(const FbCompile *compile, FbId value, uint32_t i)
{
    FbUse use = compile->uses.items[compile->uses.start[value] + i];
    return use.index == FB_NONE ? NULL : compile->graph->nodes[use.node];
}

/* The only user of a value that may disappear; NULL. */
static const FbNode *only_user(const FbCompile *compile, FbId value)
{
    return use_count(compile, value) == 1 && !fb_compile_is_kept(compile, value) ? user(compile, value, 0) : NULL;
}

/* A constant float of one element. */
static bool scalar_constant(const FbCompile *compile, FbId value, float *out)
{
    const FbType *type = value == FB_NONE ? NULL : &compile->types[value];
    if (type == NULL || type->value == NULL || type->dtype != FB_DTYPE_F32 || fb_shape_elements(&type->shape) != 1) {
        return false;
    }
    *out = *(const float *)type->value->data;
    return true;
}

static bool is_float(const FbCompile *compile, FbId value)
{
    return compile->types[value].dtype == FB_DTYPE_F32;
}

/* Equal for every run: each dimension is the same number, or the same symbol. */
static bool same_shape(const FbCompile *compile, FbId a, FbId b)
{
    return fb_shape_equal(&compile->types[a].shape, &compile->types[b].shape);
}

static void absorb(FbMatch *match, const FbNode *node)
{
    FbChain *chain = match->chain;
    chain->absorbed[chain->absorbed_count++] = node->id;
    size_t place = match->compile->nodes[node->id].place;
    chain->tail = place > chain->tail ? place : chain->tail;
    chain->out = node->outputs[0];
}

static void push(FbMatch *match, FbEpilogueKind kind, float a, float b, FbId operand)
{
    FbChain *chain = match->chain;
    chain->fused[chain->fused_count] = (FbFusedOp){.kind = kind, .a = a, .b = b, .operand = -1};
    chain->operands[chain->fused_count++] = operand;
}

static float float_attribute(const FbNode *node, const char *name, float fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL ? attribute->f : fallback;
}

static bool match_clip(FbMatch *match, const FbNode *node)
{
    float low = -INFINITY, high = INFINITY;
    if (node->version < 11) {
        low = float_attribute(node, "min", -3.402823466e+38f);
        high = float_attribute(node, "max", 3.402823466e+38f);
    } else {
        if (node->input_count > 1 && node->inputs[1] != FB_NONE && !scalar_constant(match->compile, node->inputs[1], &low)) {
            return false;
        }
        if (node->input_count > 2 && node->inputs[2] != FB_NONE && !scalar_constant(match->compile, node->inputs[2], &high)) {
            return false;
        }
    }
    if (!(low <= high)) {
        return false;
    }
    push(match, FB_EPILOGUE_CLAMP, low, high, FB_NONE);
    return true;
}

static bool match_unary(FbMatch *match, const FbNode *node)
{
    if (node->domain[0] != '\0') {
        return false;
    }
    if (strcmp(node->op_type, "Relu") == 0) {
        push(match, FB_EPILOGUE_CLAMP, 0.0f, INFINITY, FB_NONE);
    } else if (strcmp(node->op_type, "LeakyRelu") == 0) {
        push(match, FB_EPILOGUE_LEAKY, float_attribute(node, "alpha", 0.01f), 0.0f, FB_NONE);
    } else if (strcmp(node->op_type, "Sigmoid") == 0) {
        push(match, FB_EPILOGUE_SIGMOID, 0.0f, 0.0f, FB_NONE);
    } else if (strcmp(node->op_type, "Tanh") == 0) {
        push(match, FB_EPILOGUE_TANH, 0.0f, 0.0f, FB_NONE);
    } else if (strcmp(node->op_type, "HardSigmoid") == 0) {
        push(match, FB_EPILOGUE_HARD_SIGMOID, float_attribute(node, "alpha", 0.2f), float_attribute(node, "beta", 0.5f), FB_NONE);
    } else if (strcmp(node->op_type, "HardSwish") == 0) {
        push(match, FB_EPILOGUE_HARD_SWISH, 0.0f, 0.0f, FB_NONE);
    } else {
        return strcmp(node->op_type, "Clip") == 0 && match_clip(match, node);
    }
    return true;
}

/* The number of columns or channels that a bias behind the product has; -1 unknown. */
static int64_t bias_length(const FbMatch *match, bool *convolution)
{
    const FbType *out = &match->compile->types[match->chain->out];
    *convolution = strcmp(match->chain->node->op_type, "Conv") == 0;
    if (out->shape.rank < 2) {
        /* The shape of the product may be unknown where its weight is not. */
        const FbType *weight = &match->compile->types[match->chain->node->inputs[1]];
        bool plain = strcmp(match->chain->node->op_type, "MatMul") == 0 && weight->shape.rank == 2;
        return plain ? weight->shape.dims[1] : -1;
    }
    return *convolution ? out->shape.dims[1] : out->shape.dims[out->shape.rank - 1];
}

/* A constant added per column (MatMul, Gemm) or per channel (Conv) right behind a product without bias. */
static bool match_bias(FbMatch *match, const FbNode *node, FbId other)
{
    const FbNode *product = match->chain->node;
    bool has_bias = product->input_count > 2 && product->inputs[2] != FB_NONE;
    bool takes_bias = fb_node_is(product, "", "MatMul") || fb_node_is(product, "", "Gemm") || fb_node_is(product, "", "Conv");
    const FbConst *constant = fb_graph_constant(match->compile->graph, other);
    if (!fb_node_is(node, "", "Add") || match->chain->absorbed_count > 0 || has_bias || !takes_bias || constant == NULL || !is_float(match->compile, other)) {
        return false;
    }
    bool convolution;
    int64_t length = bias_length(match, &convolution);
    const FbShape *shape = &constant->shape;
    int rank = match->compile->types[match->chain->out].shape.rank;
    int axis = convolution ? rank - 2 : 0; /* distance of the bias axis from the last */
    if (length < 0 || fb_shape_elements(shape) != length || shape->rank <= axis || (rank >= 0 && shape->rank > rank)) {
        return false;
    }
    if (shape->dims[shape->rank - 1 - axis] != length) {
        return false;
    }
    match->chain->bias = other;
    return true;
}

/* x + operand, x * operand with an operand of the same shape that exists before the tail. */
static bool match_binary(FbMatch *match, const FbNode *node)
{
    bool add = fb_node_is(node, "", "Add"), multiply = fb_node_is(node, "", "Mul");
    if ((!add && !multiply) || node->input_count != 2) {
        return false;
    }
    FbId other = node->inputs[0] == match->chain->out ? node->inputs[1] : node->inputs[0];
    if (other == FB_NONE || other == match->chain->out || !is_float(match->compile, other)) {
        return false;
    }
    if (match_bias(match, node, other)) {
        return true;
    }
    if (!same_shape(match->compile, match->chain->out, other)) {
        return false;
    }
    push(match, add ? FB_EPILOGUE_ADD : FB_EPILOGUE_MUL, 0.0f, 0.0f, other);
    return true;
}

/* A Quant of one scale over the whole tensor, with constant parameters. */
static bool match_round(FbMatch *match, const FbNode *node)
{
    if (!fb_node_is(node, "fewbit", "Quant") || node->input_count < 2) {
        return false;
    }
    FbFusedOp op;
    if (!fb_compile_quant_round(match->compile, node, &op)) {
        return false;
    }
    match->chain->fused[match->chain->fused_count] = op;
    match->chain->operands[match->chain->fused_count++] = FB_NONE;
    return true;
}

/* x * Sigmoid(x): the two users of x. */
static bool match_silu(FbMatch *match)
{
    const FbCompile *compile = match->compile;
    FbId x = match->chain->out;
    const FbNode *first = user(compile, x, 0), *second = user(compile, x, 1);
    if (first == NULL || second == NULL) {
        return false;
    }
    const FbNode *sigmoid = fb_node_is(first, "", "Sigmoid") ? first : second;
    const FbNode *multiply = sigmoid == first ? second : first;
    if (!fb_node_is(sigmoid, "", "Sigmoid") || !fb_node_is(multiply, "", "Mul") || only_user(compile, sigmoid->outputs[0]) != multiply) {
        return false;
    }
    push(match, FB_EPILOGUE_SILU, 0.0f, 0.0f, FB_NONE);
    absorb(match, sigmoid);
    absorb(match, multiply);
    return true;
}

/* The other input of a two-input node. */
static FbId other_input(const FbNode *node, FbId one)
{
    return node->inputs[0] == one ? node->inputs[1] : node->inputs[0];
}

/* x * (1 + Erf(x / sqrt 2)) * 0.5, as exporters write it. Multiplying by 0.5 is exact, so its place does not matter. */
static bool match_gelu(FbMatch *match)
{
    const FbCompile *compile = match->compile;
    FbId x = match->chain->out;
    const FbNode *first = user(compile, x, 0), *second = user(compile, x, 1);
    if (first == NULL || second == NULL) {
        return false;
    }
    const FbNode *divide = fb_node_is(first, "", "Div") ? first : second;
    const FbNode *multiply = divide == first ? second : first;
    float number;
    if (!fb_node_is(divide, "", "Div") || divide->inputs[0] != x || !scalar_constant(compile, divide->inputs[1], &number) ||
        number != 1.41421356f || !fb_node_is(multiply, "", "Mul")) {
        return false;
    }
    const FbNode *erf = only_user(compile, divide->outputs[0]);
    const FbNode *plus = erf != NULL && fb_node_is(erf, "", "Erf") ? only_user(compile, erf->outputs[0]) : NULL;
    if (plus == NULL || !fb_node_is(plus, "", "Add") || !scalar_constant(compile, other_input(plus, erf->outputs[0]), &number) || number != 1.0f ||
        only_user(compile, plus->outputs[0]) != multiply) {
        return false;
    }
    const FbNode *half = only_user(compile, multiply->outputs[0]);
    if (half == NULL || !fb_node_is(half, "", "Mul") || !scalar_constant(compile, other_input(half, multiply->outputs[0]), &number) || number != 0.5f) {
        return false;
    }
    push(match, FB_EPILOGUE_GELU_ERF, 0.0f, 0.0f, FB_NONE);
    absorb(match, divide);
    absorb(match, erf);
    absorb(match, plus);
    absorb(match, multiply);
    absorb(match, half);
    return true;
}

/* Takes the next op behind chain->out; false: the chain ends. */
static bool match_next(FbMatch *match)
{
    const FbCompile *compile = match->compile;
    FbId out = match->chain->out;
    if (match->chain->fused_count == FB_EPILOGUE_MAX || fb_compile_is_kept(compile, out) || !is_float(compile, out)) {
        return false;
    }
    if (use_count(compile, out) == 2) {
        return match_silu(match) || match_gelu(match);
    }
    const FbNode *next = only_user(compile, out);
    if (next == NULL || next->output_count < 1 || compile->nodes[next->id].absorbed || compile->nodes[next->id].table ||
        compile->nodes[next->id].chain != NULL) {
        return false;
    }
    if (!match_unary(match, next) && !match_round(match, next) && !match_binary(match, next)) {
        return false;
    }
    absorb(match, next);
    return true;
}

static FbType empty_type(void)
{
    return (FbType){.shape = {.rank = -1}};
}

FbStatus fb_compile_prepare(FbCompile *compile, const FbChain *chain, FbPrepare *prepare, FbError *err)
{
    const FbNode *node = chain->node;
    int count = (int)node->input_count;
    if (chain->bias != FB_NONE && count < 3) {
        count = 3;
    }
    FbConst **constants = fb_arena_array(compile->scratch, (size_t)count + 1, sizeof *constants);
    FbType *types = fb_arena_array(compile->scratch, (size_t)count + 1, sizeof *types);
    const FbCodeGrid **grids = fb_arena_array(compile->scratch, (size_t)count + 1, sizeof *grids);
    if (constants == NULL || types == NULL || grids == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    for (int i = 0; i < count; i++) {
        FbId value = (uint32_t)i < node->input_count ? node->inputs[i] : FB_NONE;
        if (i == 2 && chain->bias != FB_NONE) {
            value = chain->bias;
        }
        value = i == 0 && chain->dynamic != FB_NONE ? chain->dynamic : value;
        types[i] = value == FB_NONE ? empty_type() : compile->types[value];
        grids[i] = value == FB_NONE || !chain->integer ? NULL : compile->grids[value];
        constants[i] = value == FB_NONE ? NULL : fb_graph_constant(compile->graph, value);
    }
    *prepare = (FbPrepare){.context = compile->context, .arena = compile->plan->arena, .node = node, .params = compile->nodes[node->id].params,
                           .input_count = count, .constants = constants, .inputs = types, .channels_last = chain->channels_last,
                           .fused_count = chain->fused_count, .grids = grids, .store_grid = chain->integer ? compile->grids[chain->out] : NULL,
                           .dynamic_a = chain->dynamic != FB_NONE, .store = compile->store, .integer_mode = compile->integer};
    if (chain->dynamic != FB_NONE) {
        grids[0] = NULL;
    }
    int extra = count;
    for (int f = 0; f < chain->fused_count; f++) {
        const FbId operand = chain->operands[f];
        prepare->fused[f] = chain->fused[f];
        prepare->fused[f].operand = operand == FB_NONE ? -1 : extra++;
        if (operand != FB_NONE && chain->integer) {
            prepare->fused[f].operand_grid = compile->grids[operand];
        }
    }
    return FB_OK;
}

static FbStatus chain_accepted(FbCompile *compile, FbChain *chain, bool *accepted, FbError *err)
{
    FbPrepare prepare;
    FB_TRY(fb_compile_prepare(compile, chain, &prepare, err));
    *accepted = chain->lowering->accepts(&prepare);
    return FB_OK;
}

/* The node alone through one of its lowerings, in one of the two forms. */
static FbStatus try_lowering(FbCompile *compile, FbChain *chain, const FbLowering *lowering, bool integer, bool *accepted, FbError *err)
{
    const FbNode *node = chain->node;
    const FbId input = node->input_count > 0 ? node->inputs[0] : FB_NONE;
    const int rank = input != FB_NONE ? compile->types[input].shape.rank : -1;
    *accepted = false;
    if (lowering == NULL) {
        return FB_OK;
    }
    chain->lowering = lowering;
    chain->integer = integer;
    chain->dynamic = integer ? fb_compile_dynamic_source(compile, input) : FB_NONE;
    if ((compile->nodes[node->id].op->flags & FB_OP_SPATIAL) != 0 && rank >= 3) {
        chain->channels_last = true;
        FB_TRY(chain_accepted(compile, chain, accepted, err));
    }
    if (!*accepted) {
        chain->channels_last = false;
        FB_TRY(chain_accepted(compile, chain, accepted, err));
    }
    return FB_OK;
}

/* Lengthens the chain as far as the lowering takes it. */
static FbStatus extend_chain(FbCompile *compile, FbChain *chain, FbError *err)
{
    FbMatch match = {compile, chain};
    for (;;) {
        FbChainMark mark = {chain->out, chain->tail, chain->absorbed_count};
        int fused = chain->fused_count;
        FbId bias = chain->bias;
        if (!match_next(&match)) {
            return FB_OK;
        }
        bool accepted;
        FB_TRY(chain_accepted(compile, chain, &accepted, err));
        if (!accepted) {
            chain->out = mark.out;
            chain->tail = mark.tail;
            chain->absorbed_count = mark.absorbed_count;
            chain->fused_count = fused;
            chain->bias = bias;
            return FB_OK;
        }
    }
}

/* A table that only longer tables of the same source read has no step. */
static void skip_inner_tables(FbCompile *compile)
{
    for (size_t i = 0; i < compile->order_count; i++) {
        FbCompileNode *state = &compile->nodes[compile->order[i]];
        if (!state->table) {
            continue;
        }
        const FbId value = compile->graph->nodes[compile->order[i]]->outputs[0];
        bool inner = !fb_compile_is_kept(compile, value);
        for (uint32_t u = 0; u < use_count(compile, value); u++) {
            const FbNode *one = user(compile, value, u);
            inner = inner && one != NULL && compile->nodes[one->id].table &&
                    compile->tables[one->outputs[0]].source == compile->tables[value].source;
        }
        state->absorbed = inner;
    }
}

/* A chain that starts at this node, on codes or on reals; NULL in *out when the lowering does not serve it. */
static FbStatus make_chain(FbCompile *compile, const FbNode *node, const FbLowering *lowering, bool integer, FbChain **out, FbError *err)
{
    const FbOp *op = compile->nodes[node->id].op;
    *out = NULL;
    if (lowering == NULL || node->output_count < 1 || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    for (uint32_t o = 1; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE && (op->flags & FB_OP_SPATIAL) != 0) {
            return FB_OK;
        }
    }
    FbChain *chain = fb_arena_alloc(compile->scratch, sizeof *chain);
    if (chain == NULL || (chain->absorbed = fb_arena_array(compile->scratch, FB_ABSORBED_MAX, sizeof *chain->absorbed)) == NULL) {
        return fb_error_memory(compile->context, err, "a chain", 0);
    }
    chain->node = node;
    chain->bias = FB_NONE;
    chain->out = node->outputs[0];
    chain->tail = compile->nodes[node->id].place;
    bool accepted = false;
    FB_TRY(try_lowering(compile, chain, lowering, integer, &accepted, err));
    if (accepted) {
        FB_TRY(extend_chain(compile, chain, err));
        *out = chain;
    }
    return FB_OK;
}

/* What starts on integers may turn out to have reals at both ends; an operator with a single lowering has codes of its own (LSTM). */
static bool touches_codes(const FbCompile *compile, const FbChain *chain)
{
    const FbOp *op = compile->nodes[chain->node->id].op;
    bool touches = op->integer == op->lowering || chain->dynamic != FB_NONE || compile->grids[chain->out] != NULL;
    for (uint32_t i = 0; i < chain->node->input_count; i++) {
        touches = touches || (chain->node->inputs[i] != FB_NONE && compile->grids[chain->node->inputs[i]] != NULL);
    }
    return touches;
}

/* A dynamic Quant all of whose users quantize for themselves has no step. */
static void skip_taken_quants(FbCompile *compile)
{
    for (size_t i = 0; i < compile->order_count; i++) {
        const FbNode *node = compile->graph->nodes[compile->order[i]];
        if (node->output_count != 1 || fb_compile_dynamic_source(compile, node->outputs[0]) == FB_NONE || fb_compile_is_kept(compile, node->outputs[0])) {
            continue;
        }
        bool taken = true;
        for (uint32_t u = 0; u < use_count(compile, node->outputs[0]); u++) {
            const FbNode *one = user(compile, node->outputs[0], u);
            const FbChain *chain = one == NULL ? NULL : compile->nodes[one->id].chain;
            taken = taken && chain != NULL && chain->dynamic == node->inputs[0];
        }
        compile->nodes[node->id].absorbed = taken;
    }
}

FbStatus fb_compile_fuse(FbCompile *compile, FbError *err)
{
    FB_TRY(fb_graph_uses(compile->graph, compile->scratch, &compile->uses, err));
    for (size_t i = 0; i < compile->order_count && !compile->plain; i++) {
        FbCompileNode *state = &compile->nodes[compile->order[i]];
        const FbNode *node = compile->graph->nodes[compile->order[i]];
        if (state->absorbed) {
            continue;
        }
        FB_TRY(fb_compile_table(compile, node, &state->table, err));
        if (state->table) {
            continue;
        }
        FbChain *chain = NULL;
        FB_TRY(make_chain(compile, node, state->op->blocks, false, &chain, err));
        const bool blocks = chain != NULL;
        if (compile->integer && !blocks) {
            FB_TRY(make_chain(compile, node, state->op->integer, true, &chain, err));
        }
        if (!blocks && (chain == NULL || !touches_codes(compile, chain))) {
            FB_TRY(make_chain(compile, node, state->op->lowering, false, &chain, err));
        }
        if (chain == NULL) {
            continue;
        }
        state->chain = chain;
        for (size_t a = 0; a < chain->absorbed_count; a++) {
            compile->nodes[chain->absorbed[a]].absorbed = true;
        }
        compile->nodes[compile->order[chain->tail]].emit_chain = chain;
    }
    skip_taken_quants(compile);
    skip_inner_tables(compile);
    return FB_OK;
}
