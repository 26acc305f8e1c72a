/* The identity of a model: what it computes, not how its file stores it. */
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "graph/model.h"

enum { FB_HASH_CHUNK = 1 << 20 };

typedef struct Hasher {
    FbContext *context;
    FbArena *arena;
    FbSha256 *hash;
    uint8_t *chunk;
} Hasher;

static void add_number(Hasher *hasher, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    fb_sha256_add(hasher->hash, bytes, sizeof bytes);
}

static void add_bytes(Hasher *hasher, const void *bytes, size_t count)
{
    add_number(hasher, count);
    if (count > 0) {
        fb_sha256_add(hasher->hash, bytes, count);
    }
}

static void add_text(Hasher *hasher, const char *text)
{
    add_bytes(hasher, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

static FbStatus add_plane(Hasher *hasher, const FbPlane *plane, FbError *err)
{
    add_number(hasher, plane->bytes);
    for (uint64_t done = 0; done < plane->bytes;) {
        size_t part = plane->bytes - done < FB_HASH_CHUNK ? (size_t)(plane->bytes - done) : FB_HASH_CHUNK;
        FB_TRY(fb_plane_read(plane, done, hasher->chunk, part, err));
        fb_sha256_add(hasher->hash, hasher->chunk, part);
        done += part;
        FB_TRY(fb_check_cancel(hasher->context, err));
    }
    return FB_OK;
}

static FbStatus add_constant(Hasher *hasher, const FbConst *constant, FbError *err)
{
    if (constant == NULL) {
        add_number(hasher, UINT64_MAX);
        return FB_OK;
    }
    add_number(hasher, (uint64_t)constant->dtype);
    add_number(hasher, (uint64_t)constant->shape.rank);
    for (int i = 0; i < constant->shape.rank; i++) {
        add_number(hasher, (uint64_t)constant->shape.dims[i]);
    }
    const FbEncoding *encoding = constant->encoding;
    add_text(hasher, encoding == NULL ? "" : encoding->code->name);
    if (encoding != NULL) {
        add_number(hasher, (uint64_t)encoding->grain);
        add_number(hasher, (uint64_t)encoding->axis);
        add_number(hasher, (uint64_t)encoding->block);
        add_number(hasher, (uint64_t)encoding->scale);
    }
    add_bytes(hasher, constant->strings.data, constant->strings.count);
    for (int i = 0; i < FB_PLANE_COUNT; i++) {
        FB_TRY(add_plane(hasher, &constant->planes[i], err));
    }
    return FB_OK;
}

static FbStatus add_graph(Hasher *hasher, const FbGraph *graph, FbError *err);

static FbStatus add_attribute(Hasher *hasher, const FbAttribute *attribute, FbError *err)
{
    add_text(hasher, attribute->name);
    add_number(hasher, (uint64_t)attribute->type);
    add_text(hasher, attribute->reference);
    add_bytes(hasher, &attribute->f, sizeof attribute->f);
    add_number(hasher, (uint64_t)attribute->i);
    add_bytes(hasher, attribute->s.data, attribute->s.count);
    add_number(hasher, attribute->count);
    for (size_t i = 0; i < attribute->count; i++) {
        if (attribute->floats != NULL) {
            add_bytes(hasher, &attribute->floats[i], sizeof(float));
        } else if (attribute->ints != NULL) {
            add_number(hasher, (uint64_t)attribute->ints[i]);
        } else if (attribute->strings != NULL) {
            add_bytes(hasher, attribute->strings[i].data, attribute->strings[i].count);
        } else if (attribute->graphs != NULL) {
            FB_TRY(add_graph(hasher, attribute->graphs[i], err));
        }
    }
    add_bytes(hasher, attribute->raw.data, attribute->raw.count);
    FB_TRY(add_constant(hasher, attribute->tensor, err));
    return attribute->graph == NULL ? FB_OK : add_graph(hasher, attribute->graph, err);
}

static FbStatus add_node(Hasher *hasher, const FbGraph *graph, const FbNode *node, FbError *err)
{
    add_text(hasher, node->domain);
    add_text(hasher, node->op_type);
    add_text(hasher, node->overload);
    add_number(hasher, (uint64_t)node->version);
    add_number(hasher, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++) {
        add_text(hasher, node->inputs[i] == FB_NONE ? "" : fb_graph_value_name(graph, node->inputs[i]));
    }
    add_number(hasher, node->output_count);
    for (uint32_t i = 0; i < node->output_count; i++) {
        add_text(hasher, node->outputs[i] == FB_NONE ? "" : graph->values[node->outputs[i]].name);
    }
    add_number(hasher, node->attribute_count);
    for (size_t i = 0; i < node->attribute_count; i++) {
        FB_TRY(add_attribute(hasher, &node->attributes[i], err));
    }
    return FB_OK;
}

static int by_name(const void *a, const void *b)
{
    const FbValue *const *x = a;
    const FbValue *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Sorted by name, because the order of initializers in a file means nothing. */
static FbStatus add_weights(Hasher *hasher, const FbGraph *graph, FbError *err)
{
    const FbValue **list = fb_arena_array(hasher->arena, graph->value_count, sizeof *list);
    if (list == NULL) {
        return fb_error_memory(hasher->context, err, "the model's hash", graph->value_count * sizeof *list);
    }
    size_t count = 0;
    for (size_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].constant != NULL && graph->values[v].producer == FB_NONE) {
            list[count++] = &graph->values[v];
        }
    }
    if (count > 1) {
        qsort(list, count, sizeof *list, by_name);
    }
    for (size_t i = 0; i < count; i++) {
        add_text(hasher, list[i]->name);
        FB_TRY(add_constant(hasher, list[i]->constant, err));
    }
    return FB_OK;
}

/* Recursion: subgraphs, whose depth the loader has capped. */
static FbStatus add_graph(Hasher *hasher, const FbGraph *graph, FbError *err)
{
    FbId *order;
    size_t count;
    FB_TRY(fb_graph_sort(graph, hasher->arena, &order, &count, err));
    add_number(hasher, graph->input_count);
    for (size_t i = 0; i < graph->input_count; i++) {
        add_text(hasher, graph->values[graph->inputs[i]].name);
        add_number(hasher, (uint64_t)graph->values[graph->inputs[i]].dtype);
    }
    add_number(hasher, graph->output_count);
    for (size_t i = 0; i < graph->output_count; i++) {
        add_text(hasher, fb_graph_value_name(graph, graph->outputs[i]));
    }
    for (size_t i = 0; i < count; i++) {
        FB_TRY(add_node(hasher, graph, graph->nodes[order[i]], err));
    }
    return add_weights(hasher, graph, err);
}

static FbStatus hash_model(Hasher *hasher, const FbModel *model, FbError *err)
{
    add_text(hasher, "fewbit.model/1");
    add_number(hasher, model->opset_count);
    for (size_t i = 0; i < model->opset_count; i++) {
        add_text(hasher, model->opsets[i].domain);
        add_number(hasher, (uint64_t)model->opsets[i].version);
    }
    FB_TRY(add_graph(hasher, model->graph, err));
    add_number(hasher, model->function_count);
    for (size_t i = 0; i < model->function_count; i++) {
        const FbFunction *function = &model->functions[i];
        add_text(hasher, function->domain);
        add_text(hasher, function->name);
        add_text(hasher, function->overload);
        for (size_t a = 0; a < function->default_count; a++) {
            FB_TRY(add_attribute(hasher, &function->defaults[a], err));
        }
        FB_TRY(add_graph(hasher, function->body, err));
    }
    return FB_OK;
}

FbStatus fb_model_hash(FbModel *model, char sha256[65], FbError *err)
{
    Hasher hasher = {.context = model->context,
                     .arena = fb_arena_create(model->context),
                     .hash = fb_sha256_create(model->context),
                     .chunk = fb_alloc(model->context, FB_HASH_CHUNK)};
    FbStatus status;
    if (hasher.arena == NULL || hasher.hash == NULL || hasher.chunk == NULL) {
        status = fb_error_memory(model->context, err, "the model's hash", FB_HASH_CHUNK);
    } else {
        status = hash_model(&hasher, model, err);
    }
    if (status == FB_OK) {
        fb_sha256_finish(hasher.hash, sha256);
    } else {
        fb_sha256_drop(hasher.hash);
    }
    fb_arena_free(hasher.arena);
    fb_free(model->context, hasher.chunk);
    return status;
}
