/* Recipes: every preset parses, settings change what they name, and every mistake is an error that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "quantize/recipe.h"

static FbContext *context;

static int setup(void **state)
{
    (void)state;
    return fb_context_create(NULL, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fb_context_free(context);
    return 0;
}

static FbRecipe *preset(const char *name)
{
    FbRecipe *recipe = NULL;
    FbError err = {0};
    if (fb_recipe_preset(context, name, &recipe, &err) != FB_OK) {
        fail_msg("%s: %s", name, err.message);
    }
    return recipe;
}

static void test_presets(void **state)
{
    (void)state;
    for (size_t i = 0; i < fb_preset_count; i++) {
        FbRecipe *recipe = preset(fb_presets[i].name);
        assert_string_equal(recipe->name, fb_presets[i].name);
        assert_true(strlen(fb_presets[i].summary) > 20 && recipe->rule_count > 0);
        assert_true((fb_recipe_needs_data(recipe) == 1) == (strcmp(recipe->name, "int8-static") == 0));
        for (size_t r = 0; r < recipe->rule_count; r++) {
            assert_false(recipe->rules[r].required); /* a preset fits any model */
        }
        fb_recipe_free(recipe);
    }
    FbRecipe *recipe = NULL;
    FbError err = {0};
    assert_int_equal(fb_recipe_preset(context, "int8-statik", &recipe, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "int8-static"));
    assert_null(recipe);
}

static void test_settings(void **state)
{
    (void)state;
    FbRecipe *recipe = preset("int8-static");
    FbError err = {0};
    assert_int_equal(fb_recipe_set(recipe, "target", "openvino", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "format", "qoperator", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "activations", "s8", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "calibrator", "percentile", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "percentile", "99.9", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "exclude", "/head/*", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "exclude", "type:Add", &err), FB_OK);
    assert_int_equal(fb_recipe_set(recipe, "exclude", "last", &err), FB_OK);
    assert_true(recipe->target == FB_TARGET_OPENVINO && recipe->format == FB_QUANT_FORMAT_QOPERATOR && recipe->excluded_count == 3);
    assert_string_equal(recipe->excluded[0].name, "/head/*");
    assert_string_equal(recipe->excluded[1].op_types[0], "Add");
    assert_true(recipe->excluded[2].position == FB_POSITION_LAST);
    for (size_t r = 0; r < recipe->rule_count; r++) {
        const FbActivationSpec *spec = &recipe->rules[r].activations;
        assert_string_equal(spec->settings.code->name, "s8");
        assert_string_equal(spec->observer->name, "percentile");
        assert_true(spec->settings.percentile == 99.9);
    }
    static const struct Wrong { const char *key, *value, *hint; } wrong[] = {
        {"calibrater", "mse", "calibrator"}, {"calibrator", "entropie", "entropy"}, {"target", "onnxruntim", "onnxruntime"},
        {"percentile", "many", "number"},    {"percentile", "20", "above 50"},      {"activations", "s4", "u16"},
        {"activations", "u9", "u8"},         {"exclude", "type:Conf", "Conv"},      {"format", "qqq", "qdq"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        FbStatus status = fb_recipe_set(recipe, wrong[i].key, wrong[i].value, &err);
        if (status == FB_OK || strstr(err.message, wrong[i].hint) == NULL) {
            fail_msg("%s=%s: %d %s", wrong[i].key, wrong[i].value, (int)status, err.message);
        }
    }
    assert_int_equal(recipe->excluded_count, 3); /* a refused setting changes nothing */
    fb_recipe_free(recipe);
    recipe = preset("float16");
    assert_int_equal(fb_recipe_set(recipe, "calibrator", "mse", &err), FB_ERR_ARGUMENT); /* no rule has one */
    fb_recipe_free(recipe);
}

static void test_mistakes(void **state)
{
    (void)state;
#define HEAD "{\"schema\":\"fewbit.recipe/1\","
    static const struct Wrong { const char *json, *hint; } wrong[] = {
        {"", "recipe"},
        {"[]", "object"},
        {"{\"rules\":[]}", "schema"},
        {"{\"schema\":\"fewbit.recipe/2\",\"rules\":[]}", "fewbit.recipe/1"},
        {HEAD "\"rules\":[]}", "no rules"},
        {HEAD "\"rules\":{}}", "list"},
        {HEAD "\"rulez\":[]}", "rules"},
        {HEAD "\"rules\":[1]}", "object"},
        {HEAD "\"rules\":[{\"wieghts\":null}]}", "weights"},
        {HEAD "\"rules\":[{\"match\":{\"op_type\":\"Konv\"}}]}", "Conv"},
        {HEAD "\"rules\":[{\"match\":{\"op_type\":[]}}]}", "empty"},
        {HEAD "\"rules\":[{\"match\":{\"op_type\":[3]}}]}", "name"},
        {HEAD "\"rules\":[{\"match\":{\"position\":\"frist\"}}]}", "first"},
        {HEAD "\"rules\":[{\"weights\":{}}]}", "code"},
        {HEAD "\"rules\":[{\"weights\":{\"code\":\"s99\"}}]}", "s8"},
        {HEAD "\"rules\":[{\"weights\":{\"code\":\"s16\"}}]}", "s16"},
        {HEAD "\"rules\":[{\"weights\":{\"code\":\"s8\",\"grain\":\"chanel\"}}]}", "channel"},
        {HEAD "\"rules\":[{\"weights\":{\"code\":\"s8\",\"block\":0}}]}", "block"},
        {HEAD "\"rules\":[{\"weights\":{\"code\":\"s8\",\"method\":\"gptp\"}}]}", "method"},
        {HEAD "\"rules\":[{\"activations\":\"dynamik\"}]}", "dynamic"},
        {HEAD "\"rules\":[{\"activations\":\"dynamic\"}]}", "weights"},
        {HEAD "\"rules\":[{\"activations\":{\"code\":\"u8\",\"percentile\":101}}]}", "percentile"},
        {HEAD "\"transforms\":[\"fold_batchnorm\"],\"rules\":[{}]}", "fold_batch_norm"},
        {HEAD "\"transforms\":[\"fold_bias\",\"fold_bias\"],\"rules\":[{}]}", "twice"},
        {HEAD "\"rules\":[{}],\"rules\":[{}]}", "rules"},
        {HEAD "\"rules\":[{\"required\":1}]}", "required"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        FbRecipe *recipe = NULL;
        FbError err = {0};
        FbStatus status = fb_recipe_parse(context, wrong[i].json, &recipe, &err);
        if (status == FB_OK || recipe != NULL || strstr(err.message, wrong[i].hint) == NULL) {
            fail_msg("%s: %d %s", wrong[i].json, (int)status, err.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
