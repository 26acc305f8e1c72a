/* Reading a GGUF file front to back through a window. Lengths are compared with what is left of the file before they are believed. */
#ifndef FB_IO_GGUF_READER_H
#define FB_IO_GGUF_READER_H

#include "io/gguf/gguf.h"

enum { FB_GGUF_WINDOW = 65536 };

typedef struct FbGgufReader {
    FbSource *source;
    uint64_t at, bytes;      /* position; size of the file */
    uint64_t window_at;
    size_t window_count;
    uint8_t window[FB_GGUF_WINDOW];
    FbError *err;
} FbGgufReader;

uint64_t fb_gguf_left(const FbGgufReader *reader);
/* `what` names the thing in messages. */
FbStatus fb_gguf_take(FbGgufReader *reader, void *to, size_t bytes, const char *what);
FbStatus fb_gguf_take_u32(FbGgufReader *reader, uint32_t *out, const char *what);
FbStatus fb_gguf_take_u64(FbGgufReader *reader, uint64_t *out, const char *what);
FbStatus fb_gguf_skip(FbGgufReader *reader, uint64_t bytes, const char *what);

#endif
