/* Static quantization: measure the ranges on samples, then write 8-bit weights and activations. Twenty statements.
 * usage: static MODEL.onnx DATA OUT.onnx */
#include <stdio.h>

#include "fewbit/fewbit.h"

static FbStatus quantize(FbContext *context, char **argv, FbError *err)
{
    FbModel *model = NULL;
    FbDataset *data = NULL;
    FbStatistics *statistics = NULL;
    FbRecipe *recipe = NULL;
    FbStatus status = fb_model_load(context, argv[1], &model, err);
    status = status ? status : fb_dataset_open(context, model, argv[2], NULL, &data, err);
    status = status ? status : fb_calibrate(context, model, data, NULL, &statistics, err);
    status = status ? status : fb_recipe_preset(context, "int8-static", &recipe, err);
    status = status ? status : fb_quantize(context, model, recipe, statistics, NULL, err);
    status = status ? status : fb_model_save(context, model, argv[3], NULL, NULL, err);
    fb_recipe_free(recipe);
    fb_statistics_free(statistics);
    fb_dataset_free(data);
    fb_model_free(model);
    return status;
}

int main(int argc, char **argv)
{
    FbContext *context = NULL;
    FbError err = {.status = FB_ERR_ARGUMENT, .message = "usage: static MODEL.onnx DATA OUT.onnx"};
    if (argc != 4 || fb_context_create(NULL, &context, &err) != FB_OK || quantize(context, argv, &err) != FB_OK) {
        fprintf(stderr, "static: %s\n", err.message);
    } else {
        err.status = FB_OK;
    }
    fb_context_free(context);
    return fb_status_exit_code(err.status);
}
