/* The model around the graph: operator sets, properties, functions, ports. */
#include "graph/model.h"

#include <string.h>

FbStatus fb_model_create(FbContext *context, FbModel **out, FbError *err)
{
    *out = NULL;
    FbModel *model = fb_alloc_zero(context, sizeof *model);
    if (model == NULL) {
        return fb_error_memory(context, err, "a model", sizeof *model);
    }
    model->context = context;
    model->arena = fb_arena_create(context);
    if (model->arena == NULL) {
        fb_free(context, model);
        return fb_error_memory(context, err, "a model", sizeof *model);
    }
    *out = model;
    return FB_OK;
}

void fb_model_free(FbModel *model)
{
    if (model == NULL) {
        return;
    }
    fb_graph_free(model->graph);
    for (size_t i = 0; i < model->function_count; i++) {
        fb_graph_free(model->functions[i].body);
    }
    fb_arena_free(model->arena);
    fb_free(model->context, model);
}

/* ---- clone ---- */

static FbStatus no_memory(const FbModel *model, FbError *err)
{
    return fb_error_memory(model->context, err, "a copy of the model", 0);
}

static bool copy_text(FbArena *arena, const char *from, const char **to)
{
    *to = from == NULL ? NULL : fb_arena_strdup(arena, from);
    return from == NULL || *to != NULL;
}

static bool copy_opsets(FbArena *arena, const FbOpset *from, size_t count, FbOpset **to)
{
    *to = fb_arena_array(arena, count, sizeof **to);
    for (size_t i = 0; *to != NULL && i < count; i++) {
        (*to)[i].version = from[i].version;
        if (!copy_text(arena, from[i].domain, &(*to)[i].domain)) {
            return false;
        }
    }
    return *to != NULL;
}

static bool copy_span(FbArena *arena, FbBytes from, FbBytes *to)
{
    *to = (FbBytes){NULL, 0};
    if (from.count == 0) {
        return true;
    }
    uint8_t *bytes = fb_arena_alloc(arena, from.count);
    if (bytes != NULL) {
        memcpy(bytes, from.data, from.count);
        *to = (FbBytes){bytes, from.count};
    }
    return bytes != NULL;
}

static FbStatus clone_function(FbModel *to, const FbFunction *from, FbFunction *function, FbError *err)
{
    FbArena *arena = to->arena;
    function->attribute_count = from->attribute_count;
    function->opset_count = from->opset_count;
    function->attributes = fb_arena_array(arena, from->attribute_count, sizeof *function->attributes);
    bool ok = function->attributes != NULL && copy_text(arena, from->domain, &function->domain) &&
              copy_text(arena, from->name, &function->name) && copy_text(arena, from->overload, &function->overload) &&
              copy_opsets(arena, from->opsets, from->opset_count, &function->opsets) && copy_span(arena, from->extra, &function->extra);
    for (size_t i = 0; ok && i < from->attribute_count; i++) {
        ok = copy_text(arena, from->attributes[i], &function->attributes[i]);
    }
    if (!ok) {
        return no_memory(to, err);
    }
    FB_TRY(fb_graph_clone(from->body, &function->body, err));
    /* Tensors and graphs of the defaults belong to the body, whose clone has the same indices. */
    FbAttribute *defaults;
    FB_TRY(fb_graph_copy_attributes(function->body, from->defaults, from->default_count, &defaults, err));
    function->defaults = defaults;
    function->default_count = from->default_count;
    return FB_OK;
}

static bool copy_language(FbArena *arena, const FbLanguageInfo *from, const FbLanguageInfo **to)
{
    FbLanguageInfo *info = from != NULL ? fb_arena_alloc(arena, sizeof *info) : NULL;
    *to = info;
    if (info == NULL) {
        return from == NULL;
    }
    *info = *from; /* the family's name is part of the program */
    return copy_text(arena, from->architecture, &info->architecture);
}

static FbStatus clone_fields(const FbModel *model, FbModel *to, FbError *err)
{
    FbArena *arena = to->arena;
    to->ir_version = model->ir_version;
    to->model_version = model->model_version;
    to->has_model_version = model->has_model_version;
    to->file_bytes = model->file_bytes;
    memcpy(to->sha256, model->sha256, sizeof to->sha256);
    to->opset_count = model->opset_count;
    to->property_count = model->property_count;
    to->properties = fb_arena_array(arena, model->property_count, sizeof *to->properties);
    bool ok = to->properties != NULL && copy_opsets(arena, model->opsets, model->opset_count, &to->opsets) &&
              copy_text(arena, model->producer_name, &to->producer_name) &&
              copy_text(arena, model->producer_version, &to->producer_version) && copy_text(arena, model->domain, &to->domain) &&
              copy_text(arena, model->doc, &to->doc) && copy_text(arena, model->path, &to->path) &&
              copy_span(arena, model->extra, &to->extra) && copy_language(arena, model->language, &to->language);
    for (size_t i = 0; ok && i < model->property_count; i++) {
        ok = copy_text(arena, model->properties[i].key, &to->properties[i].key) &&
             copy_text(arena, model->properties[i].value, &to->properties[i].value);
    }
    to->functions = ok ? fb_arena_array(arena, model->function_count, sizeof *to->functions) : NULL;
    if (to->functions == NULL) {
        return no_memory(model, err);
    }
    for (size_t i = 0; i < model->function_count; i++) {
        to->function_count = i + 1;
        FB_TRY(clone_function(to, &model->functions[i], &to->functions[i], err));
    }
    return model->graph == NULL ? FB_OK : fb_graph_clone(model->graph, &to->graph, err);
}

FbStatus fb_model_clone(const FbModel *model, FbModel **clone, FbError *err)
{
    FB_TRY(fb_model_create(model->context, clone, err));
    FbStatus status = clone_fields(model, *clone, err);
    if (status != FB_OK) {
        fb_model_free(*clone);
        *clone = NULL;
    }
    return status;
}

/* ---- operator sets and properties ---- */

int64_t fb_model_opset(const FbModel *model, const char *domain)
{
    for (size_t i = 0; i < model->opset_count; i++) {
        if (strcmp(model->opsets[i].domain, domain) == 0) {
            return model->opsets[i].version;
        }
    }
    return 0;
}

FbStatus fb_model_set_opset(FbModel *model, const char *domain, int64_t version, FbError *err)
{
    for (size_t i = 0; i < model->opset_count; i++) {
        if (strcmp(model->opsets[i].domain, domain) == 0) {
            model->opsets[i].version = version;
            return FB_OK;
        }
    }
    FbOpset *opsets = fb_arena_array(model->arena, model->opset_count + 1, sizeof *opsets);
    char *copy = fb_arena_strdup(model->arena, domain);
    if (opsets == NULL || copy == NULL) {
        return no_memory(model, err);
    }
    if (model->opset_count > 0) {
        memcpy(opsets, model->opsets, model->opset_count * sizeof *opsets);
    }
    opsets[model->opset_count] = (FbOpset){copy, version};
    model->opsets = opsets;
    model->opset_count++;
    return FB_OK;
}

const char *fb_model_property(const FbModel *model, const char *key)
{
    for (size_t i = 0; i < model->property_count; i++) {
        if (strcmp(model->properties[i].key, key) == 0) {
            return model->properties[i].value;
        }
    }
    return NULL;
}

FbStatus fb_model_set_property(FbModel *model, const char *key, const char *value, FbError *err)
{
    char *value_copy = fb_arena_strdup(model->arena, value);
    if (value_copy == NULL) {
        return no_memory(model, err);
    }
    for (size_t i = 0; i < model->property_count; i++) {
        if (strcmp(model->properties[i].key, key) == 0) {
            model->properties[i].value = value_copy;
            return FB_OK;
        }
    }
    FbProperty *properties = fb_arena_array(model->arena, model->property_count + 1, sizeof *properties);
    char *key_copy = fb_arena_strdup(model->arena, key);
    if (properties == NULL || key_copy == NULL) {
        return no_memory(model, err);
    }
    if (model->property_count > 0) {
        memcpy(properties, model->properties, model->property_count * sizeof *properties);
    }
    properties[model->property_count] = (FbProperty){key_copy, value_copy};
    model->properties = properties;
    model->property_count++;
    return FB_OK;
}

/* ---- ports ---- */

/* An initializer that is listed as an input has its value already. */
static bool is_fed(const FbModel *model, size_t index)
{
    return !model->graph->values[model->graph->inputs[index]].is_initializer;
}

size_t fb_model_input_count(const FbModel *model)
{
    size_t count = 0;
    for (size_t i = 0; model->graph != NULL && i < model->graph->input_count; i++) {
        count += is_fed(model, i);
    }
    return count;
}

size_t fb_model_output_count(const FbModel *model)
{
    return model->graph == NULL ? 0 : model->graph->output_count;
}

static FbPort port_of(const FbValue *value)
{
    FbPort port = {.name = value->name, .dtype = value->dtype, .rank = value->shape.rank};
    memcpy(port.dims, value->shape.dims, sizeof port.dims);
    return port;
}

FbPort fb_model_input(const FbModel *model, size_t index)
{
    for (size_t i = 0; model->graph != NULL && i < model->graph->input_count; i++) {
        if (is_fed(model, i) && index-- == 0) {
            return port_of(&model->graph->values[model->graph->inputs[i]]);
        }
    }
    return (FbPort){.name = "", .rank = -1};
}

FbPort fb_model_output(const FbModel *model, size_t index)
{
    if (index >= fb_model_output_count(model)) {
        return (FbPort){.name = "", .rank = -1};
    }
    return port_of(&model->graph->values[model->graph->outputs[index]]);
}
