/* Loading whatever holds a model: an ONNX file, or a checkpoint that a graph is built for. */
#include "graph/tensor_table.h"
#include "io/huggingface/language_spec.h"
#include "io/onnx/onnx.h"

static FbStatus load_onnx(FbContext *context, const char *path, FbModel **model, FbError *err)
{
    FbSource *source;
    FB_TRY(fb_source_open(context, path, &source, err));
    FbStatus status = fb_onnx_load_source(context, source, path, true, model, err);
    fb_source_release(source);
    return status;
}

FbStatus fb_model_load(FbContext *context, const char *path, FbModel **model, FbError *err)
{
    FbCheckpoint *checkpoint;
    bool recognized;
    *model = NULL;
    FB_TRY(fb_checkpoint_recognize(context, path, &recognized, err));
    if (!recognized) {
        return load_onnx(context, path, model, err);
    }
    FB_TRY(fb_checkpoint_open(context, path, &checkpoint, err));
    FbStatus status = fb_language_build(context, checkpoint, NULL, model, err);
    fb_checkpoint_free(checkpoint);
    return status;
}
