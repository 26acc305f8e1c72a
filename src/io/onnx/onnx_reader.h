/* An ONNX file while it is read: its bytes, and what may still be made of them. */
#ifndef FB_IO_ONNX_READER_H
#define FB_IO_ONNX_READER_H

#include "base/array.h"
#include "io/protobuf/protobuf_reader.h"

enum {
    FB_ONNX_DEPTH_MAX = 32,         /* graphs in graphs */
    FB_ONNX_NODES_MAX = 1 << 20,    /* of the whole file */
    FB_ONNX_VALUES_MAX = 1 << 22,
    FB_ONNX_ATTRIBUTES_MAX = 1024,  /* of a node; compared with each other */
    FB_ONNX_OPSETS_MAX = 256,       /* imported; likewise */
    FB_ONNX_EXTERNAL_MAX = 4096     /* data files of a model */
};
#define FB_ONNX_METADATA_MAX ((uint64_t)512 << 20) /* bytes kept in memory that are not weights */

typedef struct FbOnnxExternal {
    const char *location;
    FbSource *source;
} FbOnnxExternal;

typedef struct FbOnnxReader {
    FbProtobufReader file;
    FbArena *scratch;           /* lives as long as the load */
    const char *folder;         /* of the model, for external data */
    size_t nodes_left, values_left;
    int depth;
    bool located;               /* the error names a node already */
    FB_ARRAY(FbOnnxExternal) externals;
} FbOnnxReader;

#define FB_ONNX_FILE_FORMAT "an ONNX file"

#endif
