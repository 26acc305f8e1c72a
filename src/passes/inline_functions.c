/* Calls of a model's local functions are replaced by the functions' bodies. */
#include "passes/passes.h"

/* One call being replaced: body value id -> id in the graph. */
typedef struct Call {
    const FbModel *model;
    FbGraph *graph;
    const FbNode *node;
    const FbFunction *function;
    FbId *map;
    FbArena *arena; /* scratch */
} Call;

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static const FbFunction *find_function(const FbModel *model, const FbNode *node)
{
    for (size_t f = 0; f < model->function_count; f++) {
        const FbFunction *function = &model->functions[f];
        if (strcmp(function->name, node->op_type) == 0 && strcmp(text_or_empty(function->domain), node->domain) == 0 &&
            strcmp(text_or_empty(function->overload), text_or_empty(node->overload)) == 0) {
            return function;
        }
    }
    return NULL;
}

static FbStatus no_memory(const Call *call, FbError *err)
{
    return fb_error_memory(call->graph->context, err, "inlining a function", 0);
}

/* The attribute that a reference inside the body stands for; NULL: not given and without default, so the attribute is absent. */
static const FbAttribute *resolve_reference(const Call *call, const char *name)
{
    const FbAttribute *given = fb_node_attribute(call->node, name);
    for (size_t d = 0; given == NULL && d < call->function->default_count; d++) {
        if (strcmp(call->function->defaults[d].name, name) == 0) {
            given = &call->function->defaults[d];
        }
    }
    return given;
}

static FbStatus check_attributes(const Call *call, FbError *err)
{
    for (size_t a = 0; a < call->function->attribute_count; a++) {
        if (fb_node_attribute(call->node, call->function->attributes[a]) == NULL) {
            return fb_error_set(err, FB_ERR_FORMAT, "node '%s': function %s needs attribute '%s'", call->node->name, call->function->name,
                                call->function->attributes[a]);
        }
    }
    return FB_OK;
}

static const void *copy_bytes(FbArena *arena, const void *from, size_t bytes, bool *failed)
{
    if (from == NULL) {
        return NULL;
    }
    char *copy = fb_arena_alloc(arena, bytes + 1); /* strings stay NUL-terminated: the arena's memory is zeroed */
    if (copy == NULL) {
        *failed = true;
        return NULL;
    }
    memcpy(copy, from, bytes);
    return copy;
}

/* A deep copy: the session may outlive the model that the function belongs to. */
static bool copy_attribute(FbGraph *graph, const char *name, const FbAttribute *from, FbAttribute *to)
{
    bool failed = false;
    FbArena *arena = graph->arena;
    *to = *from;
    to->reference = NULL;
    to->doc = NULL;
    to->raw = (FbBytes){0};
    to->name = copy_bytes(arena, name, strlen(name), &failed);
    to->s.data = copy_bytes(arena, from->s.data, from->s.count, &failed);
    to->floats = copy_bytes(arena, from->floats, from->floats == NULL ? 0 : from->count * sizeof *from->floats, &failed);
    to->ints = copy_bytes(arena, from->ints, from->ints == NULL ? 0 : from->count * sizeof *from->ints, &failed);
    if (from->strings != NULL) {
        FbBytes *strings = fb_arena_array(arena, from->count + 1, sizeof *strings);
        for (size_t i = 0; strings != NULL && i < from->count; i++) {
            strings[i] = (FbBytes){copy_bytes(arena, from->strings[i].data, from->strings[i].count, &failed), from->strings[i].count};
        }
        to->strings = strings;
        failed = failed || strings == NULL;
    }
    if (from->tensor != NULL) {
        to->tensor = fb_graph_share_const(graph, from->tensor);
        failed = failed || to->tensor == NULL;
    }
    return !failed;
}

/* Copies the body node's attributes to the new node, references resolved. */
static FbStatus copy_attributes(const Call *call, const FbNode *from, FbNode *to, FbError *err)
{
    FbAttribute *attributes = fb_arena_array(call->graph->arena, from->attribute_count + 1, sizeof *attributes);
    if (attributes == NULL) {
        return no_memory(call, err);
    }
    size_t count = 0;
    for (size_t a = 0; a < from->attribute_count; a++) {
        const FbAttribute *source = &from->attributes[a];
        if (source->reference != NULL && source->reference[0] != '\0') {
            source = resolve_reference(call, source->reference);
            if (source == NULL) {
                continue;
            }
        }
        if (source->type == FB_ATTR_GRAPH || source->type == FB_ATTR_GRAPHS) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "node '%s': function %s has a node %s with a subgraph, which is not supported",
                                call->node->name, call->function->name, from->op_type);
        }
        if (!copy_attribute(call->graph, from->attributes[a].name, source, &attributes[count])) {
            return no_memory(call, err);
        }
        count++;
    }
    to->attributes = attributes;
    to->attribute_count = count;
    return FB_OK;
}

/* Gives every body value its id in the graph: the call's inputs and outputs, fresh values for the rest. */
static FbStatus map_values(Call *call, FbError *err)
{
    const FbGraph *body = call->function->body;
    if (call->node->input_count > body->input_count || call->node->output_count > body->output_count) {
        return fb_error_set(err, FB_ERR_FORMAT, "node '%s': function %s has %zu inputs and %zu outputs, the call gives %u and %u",
                            call->node->name, call->function->name, body->input_count, body->output_count, call->node->input_count,
                            call->node->output_count);
    }
    call->map = fb_arena_array(call->arena, body->value_count + 1, sizeof *call->map);
    bool *fixed = fb_arena_array(call->arena, body->value_count + 1, sizeof *fixed);
    if (call->map == NULL || fixed == NULL) {
        return no_memory(call, err);
    }
    for (size_t i = 0; i < body->input_count; i++) {
        call->map[body->inputs[i]] = i < call->node->input_count ? call->node->inputs[i] : FB_NONE;
        fixed[body->inputs[i]] = true;
    }
    for (size_t o = 0; o < body->output_count && o < call->node->output_count; o++) {
        if (!fixed[body->outputs[o]] && call->node->outputs[o] != FB_NONE) {
            call->map[body->outputs[o]] = call->node->outputs[o];
            fixed[body->outputs[o]] = true;
        }
    }
    for (size_t v = 0; v < body->value_count; v++) {
        if (fixed[v]) {
            continue;
        }
        /* With the call's number in it the name is nearly always free, also when all nodes have one name. */
        char *base = fb_arena_printf(call->arena, "%s.%u/%s", call->node->name, (unsigned)call->node->id, body->values[v].name);
        const char *name = base == NULL ? NULL : fb_graph_unique_name(call->graph, base);
        if (name == NULL) {
            return no_memory(call, err);
        }
        FB_TRY(fb_graph_add_value(call->graph, name, &call->map[v], err));
    }
    return FB_OK;
}

/* An output that the body hands through from an input, or gives twice, needs a node of its own. */
static FbStatus copy_outputs(const Call *call, FbId beside, FbError *err)
{
    const FbGraph *body = call->function->body;
    for (size_t o = 0; o < call->node->output_count; o++) {
        FbId want = call->node->outputs[o], have = call->map[body->outputs[o]];
        if (want == FB_NONE || want == have) {
            continue;
        }
        if (have == FB_NONE) {
            return fb_error_set(err, FB_ERR_FORMAT, "node '%s': function %s returns an input that is not given", call->node->name,
                                call->function->name);
        }
        FB_TRY(fb_graph_add_node(call->graph, "", "Identity", 13, call->node->name, &have, 1, &want, 1, beside, NULL, err));
    }
    return FB_OK;
}

static FbStatus copy_nodes(const Call *call, FbId beside, FbError *err)
{
    const FbGraph *body = call->function->body;
    for (size_t v = 0; v < body->value_count; v++) { /* weights inside the body */
        if (body->values[v].constant != NULL && body->values[v].producer == FB_NONE) {
            FbConst *constant = fb_graph_share_const(call->graph, body->values[v].constant);
            if (constant == NULL) {
                return no_memory(call, err);
            }
            FB_TRY(fb_graph_set_initializer(call->graph, call->map[v], constant, err));
        }
    }
    for (size_t n = 0; n < body->node_count; n++) {
        const FbNode *from = body->nodes[n];
        if (from->removed) {
            continue;
        }
        FbId *inputs = fb_arena_array(call->arena, from->input_count + 1u, sizeof *inputs);
        FbId *outputs = fb_arena_array(call->arena, from->output_count + 1u, sizeof *outputs);
        char *name = fb_arena_printf(call->arena, "%s/%s", call->node->name, from->name);
        if (inputs == NULL || outputs == NULL || name == NULL) {
            return no_memory(call, err);
        }
        for (uint32_t i = 0; i < from->input_count; i++) {
            inputs[i] = from->inputs[i] == FB_NONE ? FB_NONE : call->map[from->inputs[i]];
        }
        for (uint32_t o = 0; o < from->output_count; o++) {
            outputs[o] = from->outputs[o] == FB_NONE ? FB_NONE : call->map[from->outputs[o]];
        }
        FbId id;
        FB_TRY(fb_graph_add_node(call->graph, from->domain, from->op_type, from->version, name, inputs, from->input_count, outputs,
                                 from->output_count, beside, &id, err));
        call->graph->nodes[id]->overload = from->overload == NULL ? NULL : fb_arena_strdup(call->graph->arena, from->overload);
        FB_TRY(copy_attributes(call, from, call->graph->nodes[id], err));
        for (uint32_t o = 0; o < from->output_count; o++) { /* Constant nodes carry their value on the output */
            const FbConst *constant = from->outputs[o] == FB_NONE ? NULL : body->values[from->outputs[o]].constant;
            if (constant != NULL) {
                FbConst *shared = fb_graph_share_const(call->graph, constant);
                if (shared == NULL) {
                    return no_memory(call, err);
                }
                call->graph->values[outputs[o]].constant = shared;
            }
        }
    }
    return FB_OK;
}

static FbStatus inline_call(const FbModel *model, FbGraph *graph, FbId id, const FbFunction *function, FbError *err)
{
    Call call = {.model = model, .graph = graph, .node = graph->nodes[id], .function = function};
    FB_TRY(check_attributes(&call, err));
    call.arena = fb_arena_create(graph->context);
    if (call.arena == NULL) {
        return no_memory(&call, err);
    }
    FbStatus status = map_values(&call, err);
    if (status == FB_OK) {
        fb_graph_remove_node(graph, id);
        status = copy_nodes(&call, id, err);
    }
    if (status == FB_OK) {
        status = copy_outputs(&call, id, err);
    }
    fb_arena_free(call.arena);
    return status;
}

/* One level of calls in this graph and its subgraphs. */
static FbStatus inline_level(const FbModel *model, FbGraph *graph, int depth, bool *found, FbError *err)
{
    if (depth > FB_INLINE_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_INLINE_DEPTH);
    }
    size_t count = graph->node_count;
    for (size_t n = 0; n < count; n++) {
        const FbNode *node = graph->nodes[n];
        if (node->removed) {
            continue;
        }
        const FbFunction *function = find_function(model, node);
        if (function != NULL) {
            *found = true;
            FB_TRY(inline_call(model, graph, (FbId)n, function, err));
        }
        if (graph->node_count > FB_INLINE_NODES) {
            return fb_error_set(err, FB_ERR_BUDGET, "inlining the local functions gives more than %d nodes", FB_INLINE_NODES);
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(inline_level(model, graph->subgraphs[g], depth + 1, found, err));
    }
    return FB_OK;
}

FbStatus fb_pass_inline_functions(const FbModel *model, FbGraph *graph, FbError *err)
{
    bool found = model->function_count > 0;
    for (int depth = 0; found; depth++) {
        found = false;
        FB_TRY(inline_level(model, graph, 0, &found, err));
        if (found && depth >= FB_INLINE_DEPTH) {
            return fb_error_set(err, FB_ERR_BUDGET, "local functions call each other more than %d deep", FB_INLINE_DEPTH);
        }
    }
    return FB_OK;
}
