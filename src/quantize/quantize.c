/* fb_quantize: a recipe applied to a clone of the model, which replaces the model when everything went well. */
#include "fewbit/quantize.h"

#include "base/sha256.h"
#include "base/text.h"
#include "passes/fold_bias.h"
#include "passes/passes.h"
#include "passes/upgrade_opset.h"
#include "quantize/quantizer.h"
#include "calibrate/transform.h"

static uint64_t weight_bytes(const FbGraph *graph)
{
    uint64_t total = 0;
    for (size_t v = 0; v < graph->value_count; v++) {
        const FbValue *value = &graph->values[v];
        if (value->constant != NULL && value->outer == FB_NONE && (value->is_initializer || value->producer != FB_NONE)) {
            total += fb_const_stored_bytes(value->constant);
        }
    }
    for (size_t s = 0; s < graph->subgraph_count; s++) {
        total += graph->subgraphs[s] != NULL ? weight_bytes(graph->subgraphs[s]) : 0; /* depth is capped by the loader */
    }
    return total;
}

static FbStatus check_statistics(FbModel *model, const FbRecipe *recipe, const FbStatistics *statistics, FbError *err)
{
    char hash[65];
    if (!fb_recipe_needs_data(recipe)) {
        return FB_OK;
    }
    if (statistics == NULL) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "recipe '%.60s' needs measured ranges: calibrate the model and give the statistics", recipe->name);
    }
    if (statistics->sample_count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the statistics hold no samples: calibrate with data");
    }
    FB_TRY(fb_model_hash(model, hash, err));
    if (strcmp(hash, statistics->model_hash) != 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the statistics are of another model (hash %s, this model has %s): calibrate this one",
                            statistics->model_hash, hash);
    }
    return FB_OK;
}

static FbStatus embed_recipe(FbQuantizer *quantizer, FbError *err)
{
    char *text = NULL;
    FB_TRY(fb_json_dump(quantizer->context, quantizer->recipe->document, false, &text, err));
    FbStatus status = fb_model_set_property(quantizer->model, "fewbit.recipe", text, err);
    fb_free(quantizer->context, text);
    return status == FB_OK ? fb_model_set_property(quantizer->model, "fewbit.version", fb_version(), err) : status;
}

static bool has_dynamic_rule(const FbRecipe *recipe)
{
    for (size_t i = 0; i < recipe->rule_count; i++) {
        if (recipe->rules[i].activations.kind == FB_ACTIVATION_DYNAMIC) {
            return true;
        }
    }
    return false;
}

/* Operators that are written out here need their operator set before anything is matched; Quants are raised to theirs when written. */
static FbStatus raise_opset(FbModel *model, const FbRecipe *recipe, FbError *err)
{
    int64_t needed = recipe->format == FB_QUANT_FORMAT_QOPERATOR ? 13 : has_dynamic_rule(recipe) ? 11 : 0;
    if (needed > fb_model_opset(model, "")) {
        FB_TRY(fb_model_upgrade_opset(model, needed, err));
    }
    if (needed > 0) { /* what is added has constants of its own */
        fb_model_raise_ir(model);
    }
    return FB_OK;
}

static FbStatus apply(FbQuantizer *quantizer, FbError *err)
{
    const FbRecipe *recipe = quantizer->recipe;
    for (size_t i = 0; i < recipe->transform_count; i++) {
        FB_TRY(fb_transform_apply(recipe->transforms[i], quantizer->model, err));
    }
    FB_TRY(raise_opset(quantizer->model, recipe, err));
    FB_TRY(fb_quantizer_match(quantizer, err));
    FB_TRY(fb_quantizer_types(quantizer, err));
    if (fb_recipe_needs_data(recipe)) {
        FB_TRY(fb_quantizer_static(quantizer, err));
    }
    FB_TRY(fb_quantizer_dynamic(quantizer, err));
    FB_TRY(fb_quantizer_weights(quantizer, err));
    if (recipe->format == FB_QUANT_FORMAT_QOPERATOR) {
        FB_TRY(fb_quantizer_run_units(quantizer, err)); /* it copies codes */
        FB_TRY(fb_quantizer_qoperator(quantizer, err));
    }
    FB_TRY(fb_quantizer_list_left(quantizer, err));
    FB_TRY(fb_pass_dead_code(quantizer->graph, NULL, err));
    FB_TRY(fb_quantizer_sweep(quantizer, err));
    FB_TRY(fb_quantizer_run_units(quantizer, err));
    return embed_recipe(quantizer, err);
}

/* The units that ran. */
static FbStatus list_units(FbQuantizer *quantizer, FbQuantizeReport *report, FbError *err)
{
    const FbUnits *units = &quantizer->units;
    FbQuantizeUnit *list = fb_arena_array(quantizer->arena, units->count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; list != NULL && i < units->count; i++) {
        const FbUnit *unit = &units->items[i];
        if (unit->key[0] == '\0') {
            continue;
        }
        const char *key = fb_arena_strdup(quantizer->arena, unit->key);
        if (key == NULL) {
            return fb_quantizer_memory(quantizer, err);
        }
        list[count++] = (FbQuantizeUnit){unit->name, FB_UNIT_METHOD, key};
    }
    report->units = list;
    report->unit_count = count;
    return list != NULL ? FB_OK : fb_quantizer_memory(quantizer, err);
}

/* The report takes over the arena with its texts. */
static void fill_report(FbQuantizer *quantizer, uint64_t before, FbQuantizeReport *report)
{
    *report = (FbQuantizeReport){.units = report->units, .unit_count = report->unit_count, .bytes_before = before, .bytes_after = weight_bytes(quantizer->graph),
        .effective_bits = quantizer->weight_elements > 0 ? (double)quantizer->weight_bits / (double)quantizer->weight_elements : 32,
        .weights_quantized = quantizer->weights_quantized, .activations_quantized = quantizer->activations_quantized,
        .left = quantizer->left.items, .left_count = quantizer->left.count, .owner = quantizer->arena};
    quantizer->left.items = NULL;
    quantizer->arena = NULL;
}

FbStatus fb_quantize(FbContext *context, FbModel *model, const FbRecipe *recipe, const FbStatistics *statistics, FbQuantizeReport *report,
                     FbError *err)
{
    FbQuantizer quantizer = {.context = context, .recipe = recipe, .statistics = statistics};
    if (report != NULL) {
        *report = (FbQuantizeReport){0};
    }
    FB_TRY(check_statistics(model, recipe, statistics, err));
    uint64_t before = weight_bytes(model->graph);
    quantizer.arena = fb_arena_create(context);
    if (quantizer.arena == NULL) {
        return fb_quantizer_memory(&quantizer, err);
    }
    FbStatus status = fb_model_clone(model, &quantizer.model, err);
    if (status == FB_OK) {
        quantizer.graph = quantizer.model->graph;
        status = apply(&quantizer, err);
    }
    if (status == FB_OK && report != NULL) {
        status = list_units(&quantizer, report, err);
    }
    if (status == FB_OK) {
        if (quantizer.dead_scales > 0) {
            fb_log(context, FB_LOG_NOTE, "dead-channels", "%llu channels of weights are all zero", (unsigned long long)quantizer.dead_scales);
        }
        if (report != NULL) {
            fill_report(&quantizer, before, report);
        }
        FbModel old = *model;
        *model = *quantizer.model;
        *quantizer.model = old;
        model->sha256[0] = '\0'; /* it is not the file's content any more */
    }
    fb_model_free(quantizer.model);
    fb_array_free(context, &quantizer.cache);
    fb_array_free(context, &quantizer.left);
    fb_array_free(context, &quantizer.units);
    fb_arena_free(quantizer.arena);
    if (status != FB_OK && report != NULL) {
        *report = (FbQuantizeReport){0};
    }
    return status;
}

void fb_quantize_report_free(FbContext *context, FbQuantizeReport *report)
{
    if (report != NULL) {
        fb_free(context, report->left);
        fb_arena_free(report->owner);
        *report = (FbQuantizeReport){0};
    }
}
