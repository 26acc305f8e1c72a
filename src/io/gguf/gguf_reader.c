/* The window over a GGUF file, see gguf_reader.h. */
#include "io/gguf/gguf_reader.h"

#include <string.h>

uint64_t fb_gguf_left(const FbGgufReader *reader)
{
    return reader->bytes - reader->at;
}

static FbStatus past_end(const FbGgufReader *reader, uint64_t bytes, const char *what)
{
    return fb_error_set(reader->err, FB_ERR_FORMAT, "%s at byte %llu needs %llu bytes, %llu are left (a truncated file?)", what,
                        (unsigned long long)reader->at, (unsigned long long)bytes, (unsigned long long)fb_gguf_left(reader));
}

static FbStatus fill(FbGgufReader *reader)
{
    uint64_t left = fb_gguf_left(reader);
    reader->window_at = reader->at;
    reader->window_count = left < FB_GGUF_WINDOW ? (size_t)left : FB_GGUF_WINDOW;
    return fb_source_read(reader->source, reader->at, reader->window, reader->window_count, reader->err);
}

FbStatus fb_gguf_take(FbGgufReader *reader, void *to, size_t bytes, const char *what)
{
    uint8_t *out = to;
    if (bytes > fb_gguf_left(reader)) {
        return past_end(reader, bytes, what);
    }
    while (bytes > 0) {
        if (reader->at < reader->window_at || reader->at >= reader->window_at + reader->window_count) {
            FB_TRY(fill(reader));
        }
        size_t offset = (size_t)(reader->at - reader->window_at);
        size_t part = reader->window_count - offset < bytes ? reader->window_count - offset : bytes;
        memcpy(out, reader->window + offset, part);
        out += part;
        bytes -= part;
        reader->at += part;
    }
    return FB_OK;
}

static FbStatus take_number(FbGgufReader *reader, size_t bytes, uint64_t *out, const char *what)
{
    uint8_t raw[8];
    *out = 0;
    FB_TRY(fb_gguf_take(reader, raw, bytes, what));
    for (size_t i = bytes; i > 0; i--) {
        *out = *out << 8 | raw[i - 1];
    }
    return FB_OK;
}

FbStatus fb_gguf_take_u32(FbGgufReader *reader, uint32_t *out, const char *what)
{
    uint64_t value;
    FbStatus status = take_number(reader, 4, &value, what);
    *out = (uint32_t)value;
    return status;
}

FbStatus fb_gguf_take_u64(FbGgufReader *reader, uint64_t *out, const char *what)
{
    return take_number(reader, 8, out, what);
}

FbStatus fb_gguf_skip(FbGgufReader *reader, uint64_t bytes, const char *what)
{
    if (bytes > fb_gguf_left(reader)) {
        return past_end(reader, bytes, what);
    }
    reader->at += bytes;
    return FB_OK;
}
