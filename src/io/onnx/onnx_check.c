/* The second phase of loading: what the graphs must satisfy before anybody walks them. */
#include <string.h>

#include "base/text.h"
#include "io/onnx/onnx_load.h"

static FbStatus check_graph(const FbGraph *graph, FbError *err)
{
    char shown[128];
    for (size_t v = 0; v < graph->value_count; v++) {
        const FbValue *value = &graph->values[v];
        if (value->producer != FB_NONE && (value->is_input || value->is_initializer)) {
            return fb_error_set(err, FB_ERR_FORMAT, "value '%s' is the output of a node and also an input or initializer",
                                fb_escape(value->name, shown, sizeof shown));
        }
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        const FbValue *value = &graph->values[graph->outputs[i]];
        if (value->producer == FB_NONE && !value->is_input && value->constant == NULL && value->outer == FB_NONE) {
            return fb_error_set(err, FB_ERR_FORMAT, "nothing defines the graph output '%s'", fb_escape(value->name, shown, sizeof shown));
        }
    }
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "checking the graph", 0);
    }
    FbId *order;
    size_t count;
    FbStatus status = fb_graph_sort(graph, arena, &order, &count, err);
    fb_arena_free(arena);
    for (size_t i = 0; i < graph->subgraph_count && status == FB_OK; i++) {
        status = check_graph(graph->subgraphs[i], err); /* depth was capped in the first phase */
    }
    return status;
}

/* ---- functions that call each other in a circle ---- */

typedef struct CallCheck {
    const FbModel *model;
    FbId *calls;          /* pairs: caller, callee */
    size_t count, capacity;
} CallCheck;

static const char *text_of(const char *text) { return text == NULL ? "" : text; }

static FbId function_of(const FbModel *model, const FbNode *node)
{
    for (size_t i = 0; i < model->function_count; i++) {
        const FbFunction *function = &model->functions[i];
        if (strcmp(function->name, node->op_type) == 0 && strcmp(function->domain, node->domain) == 0 &&
            strcmp(text_of(function->overload), text_of(node->overload)) == 0) {
            return (FbId)i;
        }
    }
    return FB_NONE;
}

static FbStatus collect_calls(CallCheck *check, FbId caller, const FbGraph *graph, FbError *err)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        FbId callee = function_of(check->model, graph->nodes[n]);
        if (callee == FB_NONE) {
            continue;
        }
        if (!fb_array_reserve_bytes(check->model->context, (void **)&check->calls, check->count, &check->capacity, 2 * sizeof(FbId))) {
            return fb_error_memory(check->model->context, err, "calls of functions", check->count * sizeof(FbId));
        }
        check->calls[2 * check->count] = caller;
        check->calls[2 * check->count + 1] = callee;
        check->count++;
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(collect_calls(check, caller, graph->subgraphs[i], err));
    }
    return FB_OK;
}

/* Strikes out functions whose calls are all struck out; what remains calls itself. `state` has two entries per function. */
static FbStatus find_circle(const CallCheck *check, bool *state, FbError *err)
{
    size_t functions = check->model->function_count;
    bool *done = state;
    bool *waits = state + functions;
    for (size_t left = functions, before = left + 1; left < before && left > 0;) {
        before = left;
        left = 0;
        memset(waits, 0, functions * sizeof *waits);
        for (size_t c = 0; c < check->count; c++) {
            waits[check->calls[2 * c]] |= !done[check->calls[2 * c + 1]];
        }
        for (size_t f = 0; f < functions; f++) {
            done[f] = done[f] || !waits[f];
            left += !done[f];
        }
    }
    for (size_t f = 0; f < functions; f++) {
        if (!done[f]) {
            char shown[128];
            return fb_error_set(err, FB_ERR_FORMAT, "function '%s' calls itself, directly or through others",
                                fb_escape(check->model->functions[f].name, shown, sizeof shown));
        }
    }
    return FB_OK;
}

static FbStatus check_functions(FbModel *model, FbError *err)
{
    enum { FUNCTIONS_MAX = 1024, CALLS_MAX = 65536 };
    if (model->function_count == 0) {
        return FB_OK;
    }
    if (model->function_count > FUNCTIONS_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "more than %d local functions", FUNCTIONS_MAX);
    }
    CallCheck check = {.model = model};
    FbStatus status = FB_OK;
    for (size_t i = 0; i < model->function_count && status == FB_OK; i++) {
        status = check_graph(model->functions[i].body, err);
        if (status == FB_OK) {
            status = collect_calls(&check, (FbId)i, model->functions[i].body, err);
        }
        if (status == FB_OK && check.count > CALLS_MAX) {
            status = fb_error_set(err, FB_ERR_BUDGET, "local functions call each other more than %d times", CALLS_MAX);
        }
    }
    bool *done = status == FB_OK ? fb_alloc_zero(model->context, 2 * model->function_count) : NULL;
    if (status == FB_OK) {
        status = done == NULL ? fb_error_memory(model->context, err, "functions", model->function_count) : find_circle(&check, done, err);
    }
    fb_free(model->context, done);
    fb_free(model->context, check.calls);
    return status;
}

FbStatus fb_onnx_check_model(FbModel *model, FbError *err)
{
    FB_TRY(check_graph(model->graph, err));
    return check_functions(model, err);
}
