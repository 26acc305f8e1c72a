/* Reading recipes: strict JSON, every unknown key or name is an error with the nearest known one. */
#include "quantize/recipe.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "ops/op.h"
#include "passes/quant_ops.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
enum { RECIPE_BYTES_MAX = 1 << 20, RULES_MAX = 10000 };

typedef struct Parser {
    FbRecipe *recipe;
    FbError *err;
} Parser;

static FbStatus no_memory(const Parser *parser)
{
    return fb_error_memory(parser->recipe->context, parser->err, "a recipe", 0);
}

/* Index of `name` among `names`, or an error with the nearest. */
static FbStatus choose(const Parser *parser, const char *what, const char *name, const char *const *names, size_t count, size_t *index)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *index = i;
            return FB_OK;
        }
    }
    char shown[80], all[240] = "";
    const char *nearest = fb_nearest_name(name, names, count);
    for (size_t i = 0; i < count && strlen(all) + strlen(names[i]) + 3 < sizeof all; i++) {
        strcat(strcat(all, i > 0 ? ", " : ""), names[i]);
    }
    if (nearest != NULL) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: unknown %s '%s'; did you mean '%s'?", what,
                            fb_escape(name, shown, sizeof shown), nearest);
    }
    return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: unknown %s '%s'; known: %s", what, fb_escape(name, shown, sizeof shown), all);
}

static FbStatus get_choice(const Parser *parser, const json_t *object, const char *key, const char *where, const char *const *names,
                           size_t count, size_t *index)
{
    const char *text = NULL;
    FB_TRY(fb_json_get_string(object, key, where, &text, parser->err));
    return text == NULL ? FB_OK : choose(parser, key, text, names, count, index);
}

static FbStatus want_object(const Parser *parser, const json_t *value, const char *what)
{
    return json_is_object(value) ? FB_OK : fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: %s must be an object", what);
}

/* ---- match ---- */

/* Names that the operator table or the table of quantizable operators knows. */
static FbStatus check_op_type(const Parser *parser, const char *name)
{
    size_t op_count = fb_op_count(), count = op_count + fb_quant_op_count, index = 0;
    const char **names = fb_alloc_array(parser->recipe->context, count, sizeof *names);
    if (names == NULL) {
        return no_memory(parser);
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = i < op_count ? fb_op_at(i)->name : fb_quant_ops[i - op_count].op_type;
    }
    FbStatus status = choose(parser, "operator type", name, names, count, &index);
    fb_free(parser->recipe->context, names);
    return status;
}

static FbStatus parse_op_types(const Parser *parser, const json_t *value, FbMatch *match)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (!json_is_array(value) && !json_is_string(value)) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: op_type must be a name or a list of names");
    }
    match->op_types = fb_arena_array(parser->recipe->arena, count > 0 ? count : 1, sizeof *match->op_types);
    if (match->op_types == NULL) {
        return no_memory(parser);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(item)) {
            return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: op_type must be a name or a list of names");
        }
        FB_TRY(check_op_type(parser, json_string_value(item)));
        match->op_types[i] = json_string_value(item);
    }
    match->op_type_count = count;
    return count > 0 ? FB_OK : fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: op_type is an empty list");
}

/* Strings live in the document, which lives as long as the recipe. */
static FbStatus parse_match(const Parser *parser, const json_t *value, FbMatch *match)
{
    static const char *const keys[] = {"name", "op_type", "position"};
    static const char *const positions[] = {"any", "first", "last"};
    *match = (FbMatch){0};
    if (json_is_string(value)) {
        match->name = json_string_value(value);
        return FB_OK;
    }
    FB_TRY(want_object(parser, value, "match"));
    FB_TRY(fb_json_check_keys(value, keys, COUNT(keys), "recipe: match", parser->err));
    FB_TRY(fb_json_get_string(value, "name", "recipe: match", &match->name, parser->err));
    size_t position = 0;
    FB_TRY(get_choice(parser, value, "position", "recipe: match", positions, COUNT(positions), &position));
    match->position = (FbPosition)position;
    const json_t *op_type = json_object_get(value, "op_type");
    return op_type == NULL ? FB_OK : parse_op_types(parser, op_type, match);
}

/* ---- weights and activations ---- */

static FbStatus get_code(const Parser *parser, const json_t *object, const char *where, const FbCode **code)
{
    const char *names[64];
    size_t count = fb_code_count < 64 ? fb_code_count : 64, index = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        names[i] = fb_codes[i].name;
    }
    FB_TRY(get_choice(parser, object, "code", where, names, count, &index));
    if (index == SIZE_MAX) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "%s needs a code, e.g. \"s8\"", where);
    }
    *code = &fb_codes[index];
    return FB_OK;
}

static bool is_half(const FbCode *code)
{
    return code->storage == FB_DTYPE_F16 || code->storage == FB_DTYPE_BF16;
}

static bool is_integer(const FbCode *code)
{
    FbDtypeKind kind = fb_dtype_info(code->storage)->kind;
    return code->levels == NULL && (kind == FB_KIND_SIGNED || kind == FB_KIND_UNSIGNED);
}

static FbStatus parse_weights(const Parser *parser, const json_t *value, FbWeightSpec *spec)
{
    static const char *const keys[] = {"code", "grain", "block", "symmetric", "method", "min_elements"};
    static const char *const grains[] = {"tensor", "channel", "block"};
    static const char *const methods[] = {"rtn"};
    const char *where = "recipe: weights";
    if (value == NULL || json_is_null(value)) {
        return FB_OK;
    }
    FB_TRY(want_object(parser, value, "weights"));
    FB_TRY(fb_json_check_keys(value, keys, COUNT(keys), where, parser->err));
    size_t grain = FB_GRAIN_AXIS, method = 0;
    *spec = (FbWeightSpec){.set = true, .symmetric = true, .block = 32, .min_elements = 1};
    FB_TRY(get_code(parser, value, where, &spec->code));
    FB_TRY(get_choice(parser, value, "grain", where, grains, COUNT(grains), &grain));
    FB_TRY(get_choice(parser, value, "method", where, methods, COUNT(methods), &method));
    FB_TRY(fb_json_get_int(value, "block", where, 2, 1 << 20, &spec->block, parser->err));
    FB_TRY(fb_json_get_int(value, "min_elements", where, 0, INT64_MAX, &spec->min_elements, parser->err));
    FB_TRY(fb_json_get_bool(value, "symmetric", where, &spec->symmetric, parser->err));
    spec->grain = (FbGrain)grain;
    if (!is_half(spec->code) && (!is_integer(spec->code) || spec->code->bits > 8)) {
        return fb_error_set(parser->err, FB_ERR_UNSUPPORTED, "recipe: weights cannot be stored as '%s' yet; use s8, u8, s4, u4, f16 or bf16",
                            spec->code->name);
    }
    return FB_OK;
}

static FbStatus parse_activations(const Parser *parser, const json_t *value, FbActivationSpec *spec)
{
    static const char *const keys[] = {"code", "symmetric", "calibrator", "percentile"};
    const char *where = "recipe: activations", *names[16];
    *spec = (FbActivationSpec){.kind = FB_ACTIVATION_FLOAT, .settings.percentile = 99.999};
    if (value == NULL || json_is_null(value)) {
        return FB_OK;
    }
    if (json_is_string(value) && strcmp(json_string_value(value), "dynamic") == 0) {
        spec->kind = FB_ACTIVATION_DYNAMIC;
        return FB_OK;
    }
    if (json_is_string(value)) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: activations must be an object, \"dynamic\" or null");
    }
    FB_TRY(want_object(parser, value, "activations"));
    FB_TRY(fb_json_check_keys(value, keys, COUNT(keys), where, parser->err));
    size_t count = fb_observer_count < COUNT(names) ? fb_observer_count : COUNT(names), observer = 0;
    for (size_t i = 0; i < count; i++) {
        names[i] = fb_observers[i].name;
    }
    spec->kind = FB_ACTIVATION_STATIC;
    FB_TRY(get_code(parser, value, where, &spec->settings.code));
    FB_TRY(fb_json_get_bool(value, "symmetric", where, &spec->settings.symmetric, parser->err));
    FB_TRY(get_choice(parser, value, "calibrator", where, names, count, &observer));
    FB_TRY(fb_json_get_number(value, "percentile", where, &spec->settings.percentile, parser->err));
    spec->observer = &fb_observers[observer];
    if (!(spec->settings.percentile > 50 && spec->settings.percentile <= 100)) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: percentile must be above 50 and at most 100");
    }
    FbDtype storage = spec->settings.code->storage;
    if (storage != FB_DTYPE_U8 && storage != FB_DTYPE_S8 && storage != FB_DTYPE_U16 && storage != FB_DTYPE_S16) {
        return fb_error_set(parser->err, FB_ERR_UNSUPPORTED, "recipe: activations cannot be '%s'; use u8, s8, u16 or s16",
                            spec->settings.code->name);
    }
    return FB_OK;
}

/* ---- the document ---- */

/* MatMulInteger takes 8-bit tensors; codes of 5 to 7 bits are stored in those. */
static bool stored_in_bytes(const FbWeightSpec *weights)
{
    return weights->set && is_integer(weights->code) && fb_dtype_bits(weights->code->storage) == 8;
}

static FbStatus parse_rule(const Parser *parser, const json_t *value, FbRule *rule)
{
    static const char *const keys[] = {"match", "weights", "activations", "required"};
    FB_TRY(want_object(parser, value, "a rule"));
    FB_TRY(fb_json_check_keys(value, keys, COUNT(keys), "recipe: rule", parser->err));
    const json_t *match = json_object_get(value, "match");
    rule->required = true;
    if (match != NULL) {
        FB_TRY(parse_match(parser, match, &rule->match));
    }
    FB_TRY(parse_weights(parser, json_object_get(value, "weights"), &rule->weights));
    FB_TRY(parse_activations(parser, json_object_get(value, "activations"), &rule->activations));
    FB_TRY(fb_json_get_bool(value, "required", "recipe: rule", &rule->required, parser->err));
    if (rule->activations.kind == FB_ACTIVATION_DYNAMIC && !stored_in_bytes(&rule->weights)) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: dynamic activations need integer weights of 5 to 8 bits in the same rule");
    }
    return FB_OK;
}

static FbStatus get_list(const Parser *parser, const char *key, const json_t **list, size_t *count)
{
    *list = json_object_get(parser->recipe->document, key);
    *count = 0;
    if (*list == NULL) {
        return FB_OK;
    }
    if (!json_is_array(*list) || json_array_size(*list) > RULES_MAX) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: %s must be a list of at most %d", key, RULES_MAX);
    }
    *count = json_array_size(*list);
    return FB_OK;
}

static FbStatus parse_transforms(const Parser *parser)
{
    static const char *const names[FB_TRANSFORM_COUNT] = {"fold_constants", "fold_batch_norm", "fold_bias", "fold_pad"};
    FbRecipe *recipe = parser->recipe;
    const json_t *list = NULL;
    size_t count = 0;
    FB_TRY(get_list(parser, "transforms", &list, &count));
    for (size_t i = 0; i < count; i++) {
        size_t index = 0;
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item)) {
            return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: transforms must be names");
        }
        FB_TRY(choose(parser, "transform", json_string_value(item), names, COUNT(names), &index));
        for (size_t k = 0; k < recipe->transform_count; k++) {
            if (recipe->transforms[k] == (FbTransform)index) {
                return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: transform '%s' is listed twice", names[index]);
            }
        }
        recipe->transforms[recipe->transform_count++] = (FbTransform)index;
    }
    return FB_OK;
}

static FbStatus parse_rules(const Parser *parser)
{
    FbRecipe *recipe = parser->recipe;
    const json_t *rules = NULL, *excluded = NULL;
    FB_TRY(get_list(parser, "rules", &rules, &recipe->rule_count));
    FB_TRY(get_list(parser, "exclude", &excluded, &recipe->excluded_count));
    if (recipe->rule_count == 0) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: it has no rules");
    }
    recipe->rules = fb_arena_array(recipe->arena, recipe->rule_count, sizeof *recipe->rules);
    recipe->excluded = fb_arena_array(recipe->arena, recipe->excluded_count + 1, sizeof *recipe->excluded);
    if (recipe->rules == NULL || recipe->excluded == NULL) {
        return no_memory(parser);
    }
    for (size_t i = 0; i < recipe->rule_count; i++) {
        FbStatus status = parse_rule(parser, json_array_get(rules, i), &recipe->rules[i]);
        if (status != FB_OK) {
            return fb_error_context(parser->err, status, "rule %zu", i + 1);
        }
    }
    for (size_t i = 0; i < recipe->excluded_count; i++) {
        FB_TRY(parse_match(parser, json_array_get(excluded, i), &recipe->excluded[i]));
    }
    return FB_OK;
}

static FbStatus parse_document(const Parser *parser)
{
    static const char *const keys[] = {"schema", "name", "summary", "target", "format", "transforms", "rules", "exclude"};
    static const char *const formats[] = {"qdq", "qoperator"};
    static const char *const targets[] = {"onnxruntime", "openvino"};
    FbRecipe *recipe = parser->recipe;
    const char *schema = NULL, *summary = NULL;
    FB_TRY(want_object(parser, recipe->document, "the document"));
    FB_TRY(fb_json_check_keys(recipe->document, keys, COUNT(keys), "recipe", parser->err));
    FB_TRY(fb_json_get_string(recipe->document, "schema", "recipe", &schema, parser->err));
    if (schema == NULL || strcmp(schema, "fewbit.recipe/1") != 0) {
        return fb_error_set(parser->err, FB_ERR_ARGUMENT, "recipe: \"schema\" must be \"fewbit.recipe/1\"");
    }
    recipe->name = "";
    FB_TRY(fb_json_get_string(recipe->document, "name", "recipe", &recipe->name, parser->err));
    FB_TRY(fb_json_get_string(recipe->document, "summary", "recipe", &summary, parser->err));
    size_t format = 0, target = 0;
    FB_TRY(get_choice(parser, recipe->document, "format", "recipe", formats, COUNT(formats), &format));
    FB_TRY(get_choice(parser, recipe->document, "target", "recipe", targets, COUNT(targets), &target));
    recipe->format = (FbQuantFormat)format;
    recipe->target = (FbTarget)target;
    FB_TRY(parse_transforms(parser));
    return parse_rules(parser);
}

/* Takes over the document, also on failure. */
static FbStatus make_recipe(FbContext *context, json_t *document, FbRecipe **out, FbError *err)
{
    *out = NULL;
    FbRecipe *recipe = fb_alloc_zero(context, sizeof *recipe);
    if (recipe == NULL) {
        json_decref(document);
        return fb_error_memory(context, err, "a recipe", sizeof *recipe);
    }
    recipe->context = context;
    recipe->document = document;
    recipe->arena = fb_arena_create(context);
    Parser parser = {recipe, err};
    FbStatus status = recipe->arena == NULL ? no_memory(&parser) : parse_document(&parser);
    if (status != FB_OK) {
        fb_recipe_free(recipe);
        return status;
    }
    *out = recipe;
    return FB_OK;
}

void fb_recipe_free(FbRecipe *recipe)
{
    if (recipe != NULL) {
        json_decref(recipe->document);
        fb_arena_free(recipe->arena);
        fb_free(recipe->context, recipe);
    }
}

FbStatus fb_recipe_parse(FbContext *context, const char *json, FbRecipe **recipe, FbError *err)
{
    json_t *document = NULL;
    *recipe = NULL;
    FB_TRY(fb_json_parse(json, strlen(json), RECIPE_BYTES_MAX, "recipe", &document, err));
    return make_recipe(context, document, recipe, err);
}

FbStatus fb_recipe_load(FbContext *context, const char *path, FbRecipe **recipe, FbError *err)
{
    json_t *document = NULL;
    *recipe = NULL;
    FB_TRY(fb_json_load(context, path, RECIPE_BYTES_MAX, &document, err));
    return make_recipe(context, document, recipe, err);
}

FbStatus fb_recipe_preset(FbContext *context, const char *name, FbRecipe **recipe, FbError *err)
{
    *recipe = NULL;
    const char *names[16];
    size_t count = fb_preset_count < COUNT(names) ? fb_preset_count : COUNT(names);
    for (size_t i = 0; i < count; i++) {
        names[i] = fb_presets[i].name;
        if (strcmp(names[i], name) == 0) {
            return fb_recipe_parse(context, fb_presets[i].json, recipe, err);
        }
    }
    char shown[80];
    const char *nearest = fb_nearest_name(name, names, count);
    return fb_error_set(err, FB_ERR_ARGUMENT, "unknown preset '%s'%s%s%s; see fewbit list presets", fb_escape(name, shown, sizeof shown),
                        nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

int fb_recipe_needs_data(const FbRecipe *recipe)
{
    for (size_t i = 0; i < recipe->rule_count; i++) {
        if (recipe->rules[i].activations.kind == FB_ACTIVATION_STATIC) {
            return 1;
        }
    }
    return 0;
}

/* ---- single settings, edited in a copy of the document that is parsed anew ---- */

static json_t *exclusion_of(const char *value)
{
    if (strncmp(value, "type:", 5) == 0) {
        return json_pack("{s:[s]}", "op_type", value + 5);
    }
    if (strcmp(value, "first") == 0 || strcmp(value, "last") == 0) {
        return json_pack("{s:s}", "position", value);
    }
    return json_pack("{s:s}", "name", value);
}

static int add_exclusion(json_t *document, const char *value)
{
    json_t *list = json_object_get(document, "exclude");
    if (!json_is_array(list)) {
        list = json_array();
        if (json_object_set_new(document, "exclude", list) != 0) {
            return -1;
        }
    }
    return json_array_append_new(list, exclusion_of(value));
}

/* Sets `key` in the object `part` of every rule that has one; -1: no memory, 0: no rule has it. */
static int set_in_rules(json_t *document, const char *part, const char *key, json_t *value)
{
    int changed = 0;
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(document, "rules"), i, rule) {
        json_t *object = json_object_get(rule, part);
        if (json_is_object(object)) {
            changed = json_object_set(object, key, value) != 0 ? -1 : 1;
        }
    }
    json_decref(value);
    return changed;
}

static int apply_setting(json_t *document, const char *key, const char *value, double number)
{
    if (strcmp(key, "target") == 0 || strcmp(key, "format") == 0) {
        return json_object_set_new(document, key, json_string(value)) == 0 ? 1 : -1;
    }
    if (strcmp(key, "exclude") == 0) {
        return add_exclusion(document, value) == 0 ? 1 : -1;
    }
    if (strcmp(key, "activations") == 0) {
        return set_in_rules(document, "activations", "code", json_string(value));
    }
    if (strcmp(key, "weights") == 0) {
        return set_in_rules(document, "weights", "code", json_string(value));
    }
    if (strcmp(key, "block") == 0) {
        return set_in_rules(document, "weights", "block", json_integer((json_int_t)number));
    }
    return strcmp(key, "calibrator") == 0 ? set_in_rules(document, "activations", "calibrator", json_string(value))
                                          : set_in_rules(document, "activations", "percentile", json_real(number));
}

FbStatus fb_recipe_set(FbRecipe *recipe, const char *key, const char *value, FbError *err)
{
    static const char *const keys[] = {"target", "format", "exclude", "activations", "weights", "calibrator", "percentile", "block"};
    Parser parser = {recipe, err};
    size_t index = 0;
    double number = 0;
    FB_TRY(choose(&parser, "setting", key, keys, COUNT(keys), &index));
    if (strcmp(key, "percentile") == 0 || strcmp(key, "block") == 0) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
        bool is_number = json_is_real(parsed);
        number = json_number_value(parsed);
        json_decref(parsed);
        if (!is_number || !(number > 0 && number <= 1 << 20)) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "%s must be a number, not '%.40s'", key, value);
        }
    }
    json_t *document = json_deep_copy(recipe->document);
    int changed = document == NULL ? -1 : apply_setting(document, key, value, number);
    if (changed <= 0) {
        json_decref(document);
        return changed < 0 ? fb_error_memory(recipe->context, err, "a recipe", 0)
                           : fb_error_set(err, FB_ERR_ARGUMENT, "no rule of recipe '%.60s' has a setting '%s'", recipe->name, key);
    }
    FbRecipe *made = NULL;
    FB_TRY(make_recipe(recipe->context, document, &made, err));
    FbRecipe old = *recipe;
    *recipe = *made;
    *made = old;
    fb_recipe_free(made);
    return FB_OK;
}
