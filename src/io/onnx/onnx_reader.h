/* Pulling protobuf fields out of a file by position: constant memory, no recursion, nothing trusted. */
#ifndef FB_IO_ONNX_READER_H
#define FB_IO_ONNX_READER_H

#include <pb_decode.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/file.h"
#include "graph/graph.h"

enum {
    FB_ONNX_DEPTH_MAX = 32,         /* graphs in graphs */
    FB_ONNX_NAME_MAX = 65536,       /* bytes of a name */
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
    FbContext *context;
    FbSource *source;
    FbArena *scratch;           /* lives as long as the load */
    FbError *err;
    const char *folder;         /* of the model, for external data */
    uint8_t *window;            /* the last bytes read */
    uint64_t window_at;
    size_t window_bytes;
    uint64_t metadata_left;
    size_t nodes_left, values_left;
    int depth;
    bool located;               /* the error names a node already */
    FbStatus broken;            /* a read that failed: its status, so that it is not taken for bad bytes */
    FB_ARRAY(FbOnnxExternal) externals;
} FbOnnxReader;

typedef struct FbOnnxSpan { uint64_t offset, bytes; } FbOnnxSpan;

typedef struct FbOnnxField {
    uint32_t tag;
    pb_wire_type_t wire;
    uint64_t value;             /* VARINT, 32BIT, 64BIT: the bits */
    FbOnnxSpan span;            /* STRING: the payload */
    uint64_t start, end;        /* the whole field in the file */
} FbOnnxField;

/* An open message; must not be moved. */
typedef struct FbOnnxMessage {
    FbOnnxReader *reader;
    const char *kind;           /* "GraphProto", for messages */
    FbOnnxSpan span;
    uint64_t position;
    pb_istream_t stream;
    FbStatus status;
} FbOnnxMessage;

void fb_onnx_open(FbOnnxMessage *message, FbOnnxReader *reader, FbOnnxSpan span, const char *kind);
/* The next field; false at the end or on an error, which stays in message->status. */
bool fb_onnx_next(FbOnnxMessage *message, FbOnnxField *field);
/* False, with an error, when the field does not have this wire type. */
bool fb_onnx_expect(FbOnnxMessage *message, const FbOnnxField *field, pb_wire_type_t wire);
FbStatus fb_onnx_fail(FbOnnxMessage *message, FbStatus status, const char *format, ...) FB_PRINTF(3, 4);

/* Payloads. A text has no NUL inside; a name is a text of bounded length. All are charged to the metadata budget. */
FbStatus fb_onnx_bytes(FbOnnxReader *reader, FbArena *arena, FbOnnxSpan span, FbBytes *out);
bool fb_onnx_text(FbOnnxMessage *message, const FbOnnxField *field, FbArena *arena, const char **out);
bool fb_onnx_name(FbOnnxMessage *message, const FbOnnxField *field, FbArena *arena, const char **out);
bool fb_onnx_int(FbOnnxMessage *message, const FbOnnxField *field, int64_t *out);
FbStatus fb_onnx_charge(FbOnnxReader *reader, uint64_t bytes);

/* The fields whose tags are not in `known` (bit t: tag t), byte for byte. */
#define FB_ONNX_TAG(tag) ((uint64_t)1 << (tag))
FbStatus fb_onnx_unknown(FbOnnxReader *reader, FbOnnxSpan span, const char *kind, uint64_t known, FbArena *arena, FbBytes *out);
static inline bool fb_onnx_is_known(uint64_t known, uint32_t tag) { return tag < 64 && (known >> tag & 1) != 0; }

#endif
