/* A user's program: a context, an error that says why. */
#include <stdio.h>
#include <string.h>

#include <fewbit/fewbit.h>

int main(void)
{
    FbContext *context = NULL;
    FbModel *model = NULL;
    FbError err;
    if (fb_context_create(NULL, &context, &err) != FB_OK) {
        return 1;
    }
    FbStatus status = fb_model_load(context, "/nonexistent/model.onnx", &model, &err);
    fb_context_free(context);
    printf("fewbit %s: %s\n", fb_version(), err.message);
    return status == FB_ERR_IO && strstr(err.message, "model.onnx") && model == NULL ? 0 : 1;
}
