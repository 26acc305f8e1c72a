/* A graph with the same ids and the same constant bytes, in memory of its own. */
#include <string.h>

#include "base/array.h"
#include "graph/graph.h"
#include "graph/name_table.h"

/* Copies into one arena; after a refused allocation `failed` stays set, so callers check once. */
typedef struct Copier {
    FbGraph *to;
    FbArena *arena;
    bool failed;
} Copier;

static void *copy_bytes(Copier *copier, const void *from, size_t count, size_t element)
{
    if (from == NULL) {
        return NULL;
    }
    void *to = fb_arena_array(copier->arena, count, element);
    if (to == NULL) {
        copier->failed = true;
    } else if (count > 0) {
        memcpy(to, from, count * element);
    }
    return to;
}

static const char *copy_text(Copier *copier, const char *text)
{
    return text == NULL ? NULL : copy_bytes(copier, text, strlen(text) + 1, 1);
}

/* A NUL follows, as it does in the original when the bytes are a string. */
static FbBytes copy_span(Copier *copier, FbBytes bytes)
{
    if (bytes.data == NULL) {
        return bytes;
    }
    uint8_t *to = fb_arena_alloc(copier->arena, bytes.count + 1);
    if (to == NULL) {
        copier->failed = true;
        return (FbBytes){NULL, 0};
    }
    memcpy(to, bytes.data, bytes.count);
    return (FbBytes){to, bytes.count};
}

static void *copy_list(Copier *copier, const void *from, size_t count, size_t element, size_t *capacity)
{
    *capacity = count;
    if (count == 0) {
        return NULL;
    }
    void *to = fb_alloc_array(copier->to->context, count, element);
    if (to == NULL) {
        copier->failed = true;
        *capacity = 0;
        return NULL;
    }
    memcpy(to, from, count * element);
    return to;
}

static void copy_attribute(Copier *copier, const FbAttribute *from, FbAttribute *to)
{
    *to = *from;
    to->name = copy_text(copier, from->name);
    to->reference = copy_text(copier, from->reference);
    to->doc = copy_text(copier, from->doc);
    to->s = copy_span(copier, from->s);
    to->raw = copy_span(copier, from->raw);
    to->extra = copy_span(copier, from->extra);
    to->floats = copy_bytes(copier, from->floats, from->count, sizeof *from->floats);
    to->ints = copy_bytes(copier, from->ints, from->count, sizeof *from->ints);
    if (from->strings != NULL) {
        FbBytes *strings = copy_bytes(copier, from->strings, from->count, sizeof *strings);
        for (size_t i = 0; strings != NULL && i < from->count; i++) {
            strings[i] = copy_span(copier, from->strings[i]);
        }
        to->strings = strings;
    }
    to->tensor = from->tensor == NULL ? NULL : copier->to->constants[from->tensor->index];
    to->graph = from->graph == NULL ? NULL : copier->to->subgraphs[from->graph->slot];
    if (from->graphs != NULL) {
        FbGraph **graphs = copy_bytes(copier, from->graphs, from->count, sizeof *graphs);
        for (size_t i = 0; graphs != NULL && i < from->count; i++) {
            graphs[i] = copier->to->subgraphs[from->graphs[i]->slot];
        }
        to->graphs = graphs;
    }
}

FbStatus fb_graph_copy_attributes(FbGraph *graph, const FbAttribute *from, size_t count, FbAttribute **out, FbError *err)
{
    Copier copier = {graph, graph->arena, false};
    FbAttribute *list = fb_arena_array(graph->arena, count, sizeof *list);
    for (size_t i = 0; list != NULL && i < count; i++) {
        copy_attribute(&copier, &from[i], &list[i]);
    }
    *out = list;
    return list == NULL || copier.failed ? fb_error_memory(graph->context, err, "attributes", (uint64_t)count * sizeof *list) : FB_OK;
}

static void copy_node(Copier *copier, const FbNode *from, FbNode *to)
{
    *to = *from;
    to->name = copy_text(copier, from->name);
    to->op_type = copy_text(copier, from->op_type);
    to->domain = copy_text(copier, from->domain);
    to->overload = copy_text(copier, from->overload);
    to->doc = copy_text(copier, from->doc);
    to->extra = copy_span(copier, from->extra);
    to->inputs = copy_bytes(copier, from->inputs, from->input_count, sizeof *from->inputs);
    to->outputs = copy_bytes(copier, from->outputs, from->output_count, sizeof *from->outputs);
    to->attributes = copy_bytes(copier, from->attributes, from->attribute_count, sizeof *from->attributes);
    for (size_t a = 0; to->attributes != NULL && a < from->attribute_count; a++) {
        copy_attribute(copier, &from->attributes[a], &to->attributes[a]);
    }
    to->quantize = from->quantize == NULL ? NULL : copier->to->nodes[from->quantize->id];
    to->dequantize = from->dequantize == NULL ? NULL : copier->to->nodes[from->dequantize->id];
}

static void copy_constants(Copier *copier, const FbGraph *from)
{
    for (size_t i = 0; i < from->constant_count && !copier->failed; i++) {
        FbConst *to = fb_graph_share_const(copier->to, from->constants[i]);
        if (to == NULL) {
            copier->failed = true;
            return;
        }
        to->encoding = copy_bytes(copier, to->encoding, 1, sizeof *to->encoding);
        to->external_location = copy_text(copier, to->external_location);
        to->name = copy_text(copier, to->name);
        to->doc = copy_text(copier, to->doc);
        to->extra = copy_span(copier, to->extra);
        to->strings = copy_span(copier, to->strings);
        to->dequantize = to->dequantize == NULL ? NULL : copier->to->nodes[to->dequantize->id];
    }
}

static void copy_values(Copier *copier, const FbGraph *from)
{
    FbGraph *to = copier->to;
    to->values = copy_list(copier, from->values, from->value_count, sizeof *from->values, &to->value_capacity);
    for (size_t v = 0; v < from->value_count && !copier->failed; v++) {
        FbValue *value = &to->values[v];
        value->name = copy_text(copier, value->name);
        value->type_raw = copy_span(copier, value->type_raw);
        value->info_extra = copy_span(copier, value->info_extra);
        value->constant = value->constant == NULL ? NULL : to->constants[value->constant->index];
        to->value_count = v + 1;
        if (copier->failed || !fb_name_table_add(to->names, value->name, (FbId)v)) {
            copier->failed = true;
        }
    }
}

static void copy_lists(Copier *copier, const FbGraph *from)
{
    FbGraph *to = copier->to;
    to->name = copy_text(copier, from->name);
    to->doc = copy_text(copier, from->doc);
    to->extra = copy_span(copier, from->extra);
    to->inputs = copy_list(copier, from->inputs, from->input_count, sizeof(FbId), &to->input_capacity);
    to->input_count = to->input_capacity;
    to->outputs = copy_list(copier, from->outputs, from->output_count, sizeof(FbId), &to->output_capacity);
    to->output_count = to->output_capacity;
    to->initializers = copy_list(copier, from->initializers, from->initializer_count, sizeof(FbId), &to->initializer_capacity);
    to->initializer_count = to->initializer_capacity;
    to->infos = copy_list(copier, from->infos, from->info_count, sizeof(FbId), &to->info_capacity);
    to->info_count = to->info_capacity;
    to->symbols = copy_list(copier, from->symbols, from->symbol_count, sizeof *from->symbols, &to->symbol_capacity);
    to->symbol_count = to->symbol_capacity;
    for (size_t i = 0; i < to->symbol_count; i++) {
        to->symbols[i] = copy_text(copier, to->symbols[i]);
    }
    to->next_order = from->next_order;
    to->read_count = from->read_count;
}

static FbStatus clone_into(const FbGraph *graph, FbGraph *parent, FbGraph **out, FbError *err)
{
    FB_TRY(fb_graph_create(graph->context, parent, out, err));
    FbGraph *to = *out;
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FbGraph *inner;
        FB_TRY(clone_into(graph->subgraphs[i], to, &inner, err)); /* depth is capped by the loader */
    }
    Copier copier = {to, to->arena, false};
    to->nodes = copy_list(&copier, graph->nodes, graph->node_count, sizeof *graph->nodes, &to->node_capacity);
    for (size_t n = 0; n < graph->node_count && !copier.failed; n++) {
        to->nodes[n] = fb_arena_alloc(to->arena, sizeof(FbNode));
        copier.failed = to->nodes[n] == NULL;
        to->node_count = n + 1;
    }
    if (!copier.failed) {
        copy_constants(&copier, graph);
    }
    for (size_t n = 0; n < graph->node_count && !copier.failed; n++) {
        copy_node(&copier, graph->nodes[n], to->nodes[n]);
    }
    if (!copier.failed) {
        copy_values(&copier, graph);
        copy_lists(&copier, graph);
    }
    return copier.failed ? fb_error_memory(graph->context, err, "a copy of the graph", 0) : FB_OK;
}

FbStatus fb_graph_clone(const FbGraph *graph, FbGraph **clone, FbError *err)
{
    FbStatus status = clone_into(graph, NULL, clone, err);
    if (status != FB_OK) {
        fb_graph_free(*clone);
        *clone = NULL;
    }
    return status;
}
