/* Dynamic quantization in five calls: 8-bit weights now, ranges of activations at run time, no data.
 * usage: dynamic MODEL.onnx OUT.onnx */
#include <stdio.h>

#include "fewbit/fewbit.h"

int main(int argc, char **argv)
{
    FbContext *context = NULL;
    FbModel *model = NULL;
    FbRecipe *recipe = NULL;
    FbError err = {.status = FB_ERR_ARGUMENT, .message = "usage: dynamic MODEL.onnx OUT.onnx"};
    int done = argc == 3 && fb_context_create(NULL, &context, &err) == FB_OK && fb_model_load(context, argv[1], &model, &err) == FB_OK &&
               fb_recipe_preset(context, "int8-dynamic", &recipe, &err) == FB_OK &&
               fb_quantize(context, model, recipe, NULL, NULL, &err) == FB_OK &&
               fb_model_save(context, model, argv[2], NULL, NULL, &err) == FB_OK;
    if (!done) {
        fprintf(stderr, "dynamic: %s\n", err.message);
    }
    fb_recipe_free(recipe);
    fb_model_free(model);
    fb_context_free(context);
    return done ? 0 : fb_status_exit_code(err.status);
}
