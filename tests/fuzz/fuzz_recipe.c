/* Recipes: accepted or refused with a message; settings on what was accepted leave it whole. */
#include <string.h>

#include "fuzz.h"
#include "quantize/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbRecipe *recipe = NULL;
    FbError err = {0};
    if (size > 1 << 20 || fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    char *text = fb_alloc(context, size + 1);
    if (text != NULL) {
        memcpy(text, data, size);
        text[size] = '\0';
        FbStatus status = fb_recipe_parse(context, text, &recipe, &err);
        FUZZ_CHECK((status == FB_OK) == (recipe != NULL) && (status == FB_OK || err.message[0] != '\0'));
        if (recipe != NULL) {
            size_t rules = recipe->rule_count, excluded = recipe->excluded_count;
            FUZZ_CHECK(fb_recipe_set(recipe, "exclude", "/head/*", NULL) == FB_OK && recipe->excluded_count == excluded + 1);
            FUZZ_CHECK(fb_recipe_set(recipe, "target", "nowhere", NULL) == FB_ERR_ARGUMENT && recipe->rule_count == rules);
        }
    }
    fb_recipe_free(recipe);
    fb_free(context, text);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
