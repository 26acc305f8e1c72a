/* A file that is one TensorProto, as the folders of test data have them. */
#include "io/onnx/onnx_load.h"

static FbStatus load_constant(FbOnnxReader *reader, FbGraph *graph, FbTensor *tensor)
{
    FbConst *constant;
    const char *name;
    FbProtobufSpan whole = {0, fb_source_bytes(reader->file.source)};
    FB_TRY(fb_onnx_read_tensor(reader, whole, graph, &constant, &name));
    return fb_const_load(reader->file.context, constant, tensor, reader->file.err);
}

FbStatus fb_onnx_load_tensor(FbContext *context, const char *path, FbTensor *tensor, FbError *err)
{
    FbError local; /* the reader always has somewhere to write */
    FbGraph *graph = NULL;
    FbOnnxReader reader = {.file = {.context = context,
                                    .err = err == NULL ? &local : err,
                                    .format = FB_ONNX_FILE_FORMAT,
                                    .kept_max = FB_ONNX_METADATA_MAX,
                                    .kept_left = FB_ONNX_METADATA_MAX},
                           .folder = "."};
    *tensor = (FbTensor){0};
    FB_TRY(fb_source_open(context, path, &reader.file.source, err));
    reader.scratch = fb_arena_create(context);
    FbStatus status = reader.scratch == NULL ? fb_error_memory(context, err, "a tensor", 0) : fb_graph_create(context, NULL, &graph, err);
    if (status == FB_OK) {
        status = load_constant(&reader, graph, tensor);
    }
    if (status != FB_OK) {
        status = fb_error_context(err, status, "%s", path);
    }
    for (size_t i = 0; i < reader.externals.count; i++) {
        fb_source_release(reader.externals.items[i].source);
    }
    fb_array_free(context, &reader.externals);
    fb_graph_free(graph);
    fb_arena_free(reader.scratch);
    fb_free(context, reader.file.window);
    fb_source_release(reader.file.source);
    return status;
}
