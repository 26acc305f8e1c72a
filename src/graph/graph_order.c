/* Who uses what, and an order in which nodes can run. Neither recurses. */
#include <string.h>

#include "base/text.h"
#include "graph/graph.h"

/* The owning node of each direct subgraph is found through its attributes; a node that owns none costs nothing. */
static void each_use(const FbGraph *graph, uint32_t *counts, FbUse *items)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        for (uint32_t i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] != FB_NONE) {
                uint32_t at = counts[node->inputs[i]]++;
                if (items != NULL) {
                    items[at] = (FbUse){(FbId)n, i};
                }
            }
        }
        for (size_t a = 0; !node->removed && a < node->attribute_count; a++) {
            const FbAttribute *attribute = &node->attributes[a];
            size_t graphs = attribute->graph != NULL ? 1 : attribute->graphs != NULL ? attribute->count : 0;
            for (size_t g = 0; g < graphs; g++) {
                const FbGraph *inner = attribute->graph != NULL ? attribute->graph : attribute->graphs[g];
                for (size_t v = 0; v < inner->value_count; v++) {
                    if (inner->values[v].outer != FB_NONE) {
                        uint32_t at = counts[inner->values[v].outer]++;
                        if (items != NULL) {
                            items[at] = (FbUse){(FbId)n, FB_NONE};
                        }
                    }
                }
            }
        }
    }
}

FbStatus fb_graph_uses(const FbGraph *graph, FbArena *arena, FbUses *uses, FbError *err)
{
    uint32_t *start = fb_arena_array(arena, graph->value_count + 1, sizeof *start);
    uint32_t *next = fb_arena_array(arena, graph->value_count + 1, sizeof *next);
    if (start == NULL || next == NULL) {
        return fb_error_memory(graph->context, err, "uses of values", (uint64_t)graph->value_count * sizeof *start);
    }
    each_use(graph, next, NULL);
    uint64_t total = 0;
    for (size_t v = 0; v < graph->value_count; v++) {
        start[v] = (uint32_t)total;
        total += next[v];
        next[v] = start[v];
    }
    if (total >= UINT32_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "the graph uses its values more than %u times", UINT32_MAX);
    }
    start[graph->value_count] = (uint32_t)total;
    FbUse *items = fb_arena_array(arena, (size_t)total, sizeof *items);
    if (items == NULL) {
        return fb_error_memory(graph->context, err, "uses of values", total * sizeof *items);
    }
    each_use(graph, next, items);
    uses->start = start;
    uses->items = items;
    return FB_OK;
}

FbStatus fb_graph_output_flags(const FbGraph *graph, FbArena *arena, const bool **flags, FbError *err)
{
    bool *made = fb_arena_array(arena, graph->value_count, sizeof *made);
    if (made == NULL) {
        return fb_error_memory(graph->context, err, "outputs", graph->value_count);
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        made[graph->outputs[i]] = true;
    }
    *flags = made;
    return FB_OK;
}

/* A binary min-heap of nodes by (order, id). */
typedef struct Heap {
    FbNode *const *nodes;
    FbId *items;
    size_t count;
} Heap;

static bool before(const Heap *heap, FbId a, FbId b)
{
    int64_t x = heap->nodes[a]->order;
    int64_t y = heap->nodes[b]->order;
    return x != y ? x < y : a < b;
}

static void heap_push(Heap *heap, FbId item)
{
    size_t at = heap->count++;
    while (at > 0 && before(heap, item, heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
}

static FbId heap_pop(Heap *heap)
{
    FbId top = heap->items[0];
    FbId item = heap->items[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && before(heap, heap->items[child + 1], heap->items[child])) {
            child++;
        }
        if (before(heap, item, heap->items[child])) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = item;
    return top;
}

static bool defined(const FbValue *value)
{
    return value->producer != FB_NONE || value->is_input || value->constant != NULL || value->outer != FB_NONE;
}

static FbStatus node_error(const FbNode *node, const char *what, const char *value, FbError *err)
{
    char shown[3][96];
    return fb_error_set(err, FB_ERR_FORMAT, "node '%s' (%s): %s '%s'", fb_escape(node->name, shown[0], sizeof shown[0]),
                        fb_escape(node->op_type, shown[1], sizeof shown[1]), what, fb_escape(value, shown[2], sizeof shown[2]));
}

/* Counts for every node the uses that wait for another node. */
static FbStatus count_waits(const FbGraph *graph, const FbUses *uses, uint32_t *waits, FbError *err)
{
    for (FbId v = 0; v < graph->value_count; v++) {
        const FbValue *value = &graph->values[v];
        for (uint32_t u = uses->start[v]; u < uses->start[v + 1]; u++) {
            if (!defined(value)) {
                return node_error(graph->nodes[uses->items[u].node], "nothing defines its input", value->name, err);
            }
            if (value->producer != FB_NONE) {
                waits[uses->items[u].node]++;
            }
        }
    }
    return FB_OK;
}

static FbStatus report_cycle(const FbGraph *graph, const uint32_t *waits, FbError *err)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        if (!node->removed && waits[n] > 0) {
            const char *output = node->output_count > 0 && node->outputs[0] != FB_NONE ? graph->values[node->outputs[0]].name : "";
            return node_error(node, "it needs, through other nodes, its own output", output, err);
        }
    }
    return fb_error_set(err, FB_ERR_INTERNAL, "a cycle without a node");
}

FbStatus fb_graph_sort(const FbGraph *graph, FbArena *arena, FbId **order, size_t *count, FbError *err)
{
    FbUses uses;
    FB_TRY(fb_graph_uses(graph, arena, &uses, err));
    uint32_t *waits = fb_arena_array(arena, graph->node_count, sizeof *waits);
    FbId *sorted = fb_arena_array(arena, graph->node_count, sizeof *sorted);
    Heap heap = {graph->nodes, fb_arena_array(arena, graph->node_count, sizeof(FbId)), 0};
    if (waits == NULL || sorted == NULL || heap.items == NULL) {
        return fb_error_memory(graph->context, err, "the order of nodes", (uint64_t)graph->node_count * sizeof *sorted);
    }
    FB_TRY(count_waits(graph, &uses, waits, err));
    size_t live = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n]->removed) {
            live++;
            if (waits[n] == 0) {
                heap_push(&heap, (FbId)n);
            }
        }
    }
    size_t done = 0;
    while (heap.count > 0) {
        const FbNode *node = graph->nodes[heap_pop(&heap)];
        sorted[done++] = node->id;
        for (uint32_t i = 0; i < node->output_count; i++) {
            FbId v = node->outputs[i];
            for (uint32_t u = v == FB_NONE ? 0 : uses.start[v]; v != FB_NONE && u < uses.start[v + 1]; u++) {
                if (--waits[uses.items[u].node] == 0) {
                    heap_push(&heap, uses.items[u].node);
                }
            }
        }
    }
    *order = sorted;
    *count = done;
    return done == live ? FB_OK : report_cycle(graph, waits, err);
}
