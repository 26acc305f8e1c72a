/* Pulling protobuf fields out of a file by position: constant memory, no recursion, nothing trusted. */
#ifndef FB_IO_PROTOBUF_READER_H
#define FB_IO_PROTOBUF_READER_H

#include <pb_decode.h>

#include "base/arena.h"
#include "base/file.h"
#include "graph/graph.h"

enum { FB_PROTOBUF_NAME_MAX = 65536 }; /* bytes of a name */

/* Who opens a file sets the first members; `window` is freed with fb_free when all is read. */
typedef struct FbProtobufReader {
    FbContext *context;
    FbSource *source;
    FbError *err;               /* not NULL */
    const char *format;         /* "an ONNX file", for messages */
    uint64_t kept_max, kept_left; /* bytes of payloads that may be kept in memory */
    uint8_t *window;            /* the last bytes read */
    uint64_t window_at;
    size_t window_bytes;
    FbStatus broken;            /* a read that failed: its status, so that it is not taken for bad bytes */
} FbProtobufReader;

typedef struct FbProtobufSpan { uint64_t offset, bytes; } FbProtobufSpan;

typedef struct FbProtobufField {
    uint32_t tag;
    pb_wire_type_t wire;
    uint64_t value;             /* VARINT, 32BIT, 64BIT: the bits */
    FbProtobufSpan span;        /* STRING: the payload */
    uint64_t start, end;        /* the whole field in the file */
} FbProtobufField;

/* An open message; must not be moved. */
typedef struct FbProtobufMessage {
    FbProtobufReader *reader;
    const char *kind;           /* "GraphProto", for messages */
    FbProtobufSpan span;
    uint64_t position;
    pb_istream_t stream;
    FbStatus status;
} FbProtobufMessage;

void fb_protobuf_open(FbProtobufMessage *message, FbProtobufReader *reader, FbProtobufSpan span, const char *kind);
/* The next field; false at the end or on an error, which stays in message->status. */
bool fb_protobuf_next(FbProtobufMessage *message, FbProtobufField *field);
/* False, with an error, when the field does not have this wire type. */
bool fb_protobuf_expect(FbProtobufMessage *message, const FbProtobufField *field, pb_wire_type_t wire);
FbStatus fb_protobuf_fail(FbProtobufMessage *message, FbStatus status, const char *format, ...) FB_PRINTF(3, 4);

/* Payloads. A text has no NUL inside; a name is a text of bounded length. All are charged to the budget of kept bytes. */
FbStatus fb_protobuf_bytes(FbProtobufReader *reader, FbArena *arena, FbProtobufSpan span, FbBytes *out);
bool fb_protobuf_text(FbProtobufMessage *message, const FbProtobufField *field, FbArena *arena, const char **out);
bool fb_protobuf_name(FbProtobufMessage *message, const FbProtobufField *field, FbArena *arena, const char **out);
bool fb_protobuf_int(FbProtobufMessage *message, const FbProtobufField *field, int64_t *out);
FbStatus fb_protobuf_charge(FbProtobufReader *reader, uint64_t bytes);
/* For who reads a message twice, counting first: the second time there was another number of fields. */
FbStatus fb_protobuf_changed(FbProtobufReader *reader);

/* The fields whose tags are not in `known` (bit t: tag t), byte for byte. */
#define FB_PROTOBUF_TAG(tag) ((uint64_t)1 << (tag))
FbStatus fb_protobuf_unknown(FbProtobufReader *reader, FbProtobufSpan span, const char *kind, uint64_t known, FbArena *arena, FbBytes *out);
static inline bool fb_protobuf_is_known(uint64_t known, uint32_t tag) { return tag < 64 && (known >> tag & 1) != 0; }

#endif
