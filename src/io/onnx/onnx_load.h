/* The parts of the ONNX loader. Errors go to reader->file.err. */
#ifndef FB_IO_ONNX_LOAD_H
#define FB_IO_ONNX_LOAD_H

#include "fb_onnx.pb.h"
#include "graph/model.h"
#include "io/onnx/onnx.h"
#include "io/onnx/onnx_reader.h"

/* Which operator-set versions hold where nodes are read. */
typedef struct FbOnnxScope {
    FbOnnxReader *reader;
    const FbOpset *opsets;
    size_t opset_count;
} FbOnnxScope;

/* A TensorProto as a new constant of `graph`; *name is "" when it has none. Its bytes stay in the file where they can. */
FbStatus fb_onnx_read_tensor(FbOnnxReader *reader, FbProtobufSpan span, FbGraph *graph, FbConst **constant, const char **name);
/* Where external bytes are: checks location, offset and length, opens the data file once. */
typedef struct FbOnnxExternalKeys { const char *location, *offset, *length; } FbOnnxExternalKeys;
FbStatus fb_onnx_read_external(FbOnnxReader *reader, const FbOnnxExternalKeys *keys, uint64_t bytes, FbPlane *plane);

FbStatus fb_onnx_read_attribute(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph, FbAttribute *attribute);
/* The values of the node's outputs; and later the node. */
FbStatus fb_onnx_read_node_outputs(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph);
FbStatus fb_onnx_read_node(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *graph);

typedef FB_ARRAY(FbProtobufSpan) FbOnnxSpans;
FbStatus fb_onnx_keep_span(FbProtobufReader *reader, FbOnnxSpans *spans, FbProtobufSpan span);
FbStatus fb_onnx_read_graph(const FbOnnxScope *scope, FbProtobufSpan span, FbGraph *parent, FbGraph **graph);
FbStatus fb_onnx_read_nodes(const FbOnnxScope *scope, const FbOnnxSpans *nodes, FbGraph *graph);
FbStatus fb_onnx_read_infos(const FbOnnxScope *scope, const FbOnnxSpans *infos, FbGraph *graph);
FbStatus fb_onnx_add_value(FbOnnxReader *reader, FbGraph *graph, const char *name, FbId *value);
FbStatus fb_onnx_read_opset(FbOnnxReader *reader, FbProtobufSpan span, FbArena *arena, FbOpset *opset);
FbStatus fb_onnx_read_function(FbOnnxReader *reader, FbProtobufSpan span, FbModel *model, FbFunction *function);

/* The second phase: every used value is defined, no cycles, no recursive functions. */
FbStatus fb_onnx_check_model(FbModel *model, FbError *err);

#endif
