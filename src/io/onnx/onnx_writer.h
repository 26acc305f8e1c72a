/* Writing ONNX: every message is a function that is run twice, once to count its bytes, once to write them. */
#ifndef FB_IO_ONNX_WRITER_H
#define FB_IO_ONNX_WRITER_H

#include <pb_encode.h>

#include "fb_onnx.pb.h"
#include "graph/model.h"

/* Where the bytes of weights go that are not written into the model file. */
typedef struct FbOnnxExternalPlan {
    const FbGraph *graph;    /* whose constants `offsets` is about */
    uint64_t *offsets;       /* by constant index; UINT64_MAX: inside the model; NULL: all are */
    const char *location;
} FbOnnxExternalPlan;

typedef struct FbOnnxWriter {
    FbContext *context;
    FbOutput *output;
    uint8_t *chunk;          /* for copying weights */
    FbOnnxExternalPlan external;
    FbStatus status;
    FbError *err;
} FbOnnxWriter;

enum { FB_ONNX_CHUNK = 1 << 20 };

/* Every stream's state is the FbOnnxWriter; a stream that only counts has no callback. Functions return false once something failed. */
typedef bool (*FbOnnxBody)(pb_ostream_t *stream, const void *subject, const FbGraph *graph);
pb_ostream_t fb_onnx_counter(FbOnnxWriter *writer);
pb_ostream_t fb_onnx_stream(FbOnnxWriter *writer);
bool fb_onnx_put_message(pb_ostream_t *stream, uint32_t tag, FbOnnxBody body, const void *subject, const FbGraph *graph);
bool fb_onnx_put_bytes(pb_ostream_t *stream, uint32_t tag, const void *bytes, size_t count);
bool fb_onnx_put_text(pb_ostream_t *stream, uint32_t tag, const char *text); /* NULL: nothing */
bool fb_onnx_put_int(pb_ostream_t *stream, uint32_t tag, int64_t value);
bool fb_onnx_put_float(pb_ostream_t *stream, uint32_t tag, float value);
bool fb_onnx_put_raw(pb_ostream_t *stream, FbBytes bytes);                    /* whole fields */
FbStatus fb_onnx_put_plane(FbOnnxWriter *writer, FbOutput *output, const FbPlane *plane);

/* Bodies. */
typedef struct FbOnnxNamedTensor { const FbConst *constant; const char *name; } FbOnnxNamedTensor;
bool fb_onnx_write_tensor(pb_ostream_t *stream, const void *named_tensor, const FbGraph *graph);
bool fb_onnx_write_attribute(pb_ostream_t *stream, const void *attribute, const FbGraph *graph);
bool fb_onnx_write_node(pb_ostream_t *stream, const void *node, const FbGraph *graph);
bool fb_onnx_write_info(pb_ostream_t *stream, const void *value_id, const FbGraph *graph);
bool fb_onnx_write_graph(pb_ostream_t *stream, const void *unused, const FbGraph *graph);
bool fb_onnx_write_function(pb_ostream_t *stream, const void *function, const FbGraph *body);
bool fb_onnx_write_opset(pb_ostream_t *stream, const void *opset, const FbGraph *unused);
bool fb_onnx_write_model(pb_ostream_t *stream, const FbModel *model);

#endif
