/* Pulling protobuf fields out of a file, see protobuf_reader.h. */
#include "io/protobuf/protobuf_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW_BYTES = 65536 };

static bool fill_window(FbProtobufReader *reader, uint64_t position)
{
    if (reader->window == NULL) {
        reader->window = fb_alloc(reader->context, WINDOW_BYTES);
        if (reader->window == NULL) {
            reader->broken = fb_error_memory(reader->context, reader->err, "reading", WINDOW_BYTES);
            return false;
        }
    }
    uint64_t left = fb_source_bytes(reader->source) - position;
    reader->window_at = position;
    reader->window_bytes = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    FbStatus status = fb_source_read(reader->source, position, reader->window, reader->window_bytes, reader->err);
    if (status != FB_OK) {
        reader->window_bytes = 0;
        reader->broken = status;
    }
    return status == FB_OK;
}

/* nanopb's callback. It never asks beyond bytes_left, so never beyond the file. */
static bool read_stream(pb_istream_t *stream, pb_byte_t *to, size_t count)
{
    FbProtobufMessage *message = stream->state;
    FbProtobufReader *reader = message->reader;
    while (count > 0) {
        uint64_t at = message->position - reader->window_at;
        if (message->position < reader->window_at || at >= reader->window_bytes) {
            if (!fill_window(reader, message->position)) {
                return false;
            }
            at = 0;
        }
        size_t part = reader->window_bytes - (size_t)at;
        part = part < count ? part : count;
        if (to != NULL) {
            memcpy(to, reader->window + at, part);
            to += part;
        }
        message->position += part;
        count -= part;
    }
    return true;
}

void fb_protobuf_open(FbProtobufMessage *message, FbProtobufReader *reader, FbProtobufSpan span, const char *kind)
{
    *message = (FbProtobufMessage){.reader = reader, .kind = kind, .span = span, .position = span.offset};
    message->stream = (pb_istream_t){.callback = read_stream, .state = message, .bytes_left = (size_t)span.bytes};
}

FbStatus fb_protobuf_fail(FbProtobufMessage *message, FbStatus status, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    message->status = fb_error_set(message->reader->err, status, "%s (%s at byte %llu)", text, message->kind,
                                   (unsigned long long)message->span.offset);
    return message->status;
}

static bool damaged(FbProtobufMessage *message, uint64_t at, const char *what)
{
    if (message->reader->broken != FB_OK) {
        message->status = message->reader->broken;
    } else {
        message->status = fb_error_set(message->reader->err, FB_ERR_FORMAT, "damaged or not %s: %s at byte %llu, in a %s",
                                       message->reader->format, what, (unsigned long long)at, message->kind);
    }
    return false;
}

bool fb_protobuf_next(FbProtobufMessage *message, FbProtobufField *field)
{
    bool eof = false;
    if (message->status != FB_OK || message->stream.bytes_left == 0) {
        return false;
    }
    *field = (FbProtobufField){.start = message->position};
    if (!pb_decode_tag(&message->stream, &field->wire, &field->tag, &eof) || eof || field->tag == 0) {
        return damaged(message, field->start, "an unreadable field");
    }
    bool ok = false;
    uint32_t word = 0;
    switch (field->wire) {
    case PB_WT_VARINT:
        ok = pb_decode_varint(&message->stream, &field->value);
        break;
    case PB_WT_64BIT:
        ok = pb_decode_fixed64(&message->stream, &field->value);
        break;
    case PB_WT_32BIT:
        ok = pb_decode_fixed32(&message->stream, &word);
        field->value = word;
        break;
    case PB_WT_STRING:
        ok = pb_decode_varint(&message->stream, &field->span.bytes);
        if (ok && field->span.bytes > message->stream.bytes_left) {
            return damaged(message, field->start, "a length beyond the end (a truncated file?)");
        }
        field->span.offset = message->position;
        message->position += field->span.bytes;
        message->stream.bytes_left -= (size_t)field->span.bytes;
        break;
    default:
        return damaged(message, field->start, "a group or an unknown wire type");
    }
    if (!ok) {
        return damaged(message, field->start, "an unreadable value");
    }
    field->end = message->position;
    return true;
}

bool fb_protobuf_expect(FbProtobufMessage *message, const FbProtobufField *field, pb_wire_type_t wire)
{
    if (field->wire == wire) {
        return true;
    }
    return damaged(message, field->start, "a known field with the wrong wire type");
}

FbStatus fb_protobuf_charge(FbProtobufReader *reader, uint64_t bytes)
{
    if (bytes > reader->kept_left) {
        return fb_error_set(reader->err, FB_ERR_BUDGET, "names, attributes and other metadata need more than %llu MiB",
                            (unsigned long long)(reader->kept_max >> 20));
    }
    reader->kept_left -= bytes;
    return FB_OK;
}

FbStatus fb_protobuf_changed(FbProtobufReader *reader) { return fb_error_set(reader->err, FB_ERR_IO, "the file changed while it was read"); }

/* Most pieces are short and in the window already. */
static FbStatus copy_span(FbProtobufReader *reader, FbProtobufSpan span, uint8_t *to)
{
    uint64_t at = span.offset - reader->window_at;
    if (span.offset >= reader->window_at && at <= reader->window_bytes && span.bytes <= reader->window_bytes - at) {
        memcpy(to, reader->window + at, (size_t)span.bytes);
        return FB_OK;
    }
    return fb_source_read(reader->source, span.offset, to, (size_t)span.bytes, reader->err);
}

FbStatus fb_protobuf_bytes(FbProtobufReader *reader, FbArena *arena, FbProtobufSpan span, FbBytes *out)
{
    FB_TRY(fb_protobuf_charge(reader, span.bytes + 16));
    uint8_t *bytes = fb_arena_alloc(arena, (size_t)span.bytes + 1);
    if (bytes == NULL) {
        return fb_error_memory(reader->context, reader->err, "metadata", span.bytes);
    }
    FB_TRY(copy_span(reader, span, bytes));
    *out = (FbBytes){bytes, (size_t)span.bytes};
    return FB_OK;
}

bool fb_protobuf_text(FbProtobufMessage *message, const FbProtobufField *field, FbArena *arena, const char **out)
{
    FbBytes bytes;
    if (!fb_protobuf_expect(message, field, PB_WT_STRING)) {
        return false;
    }
    message->status = fb_protobuf_bytes(message->reader, arena, field->span, &bytes);
    if (message->status != FB_OK) {
        return false;
    }
    if (memchr(bytes.data, 0, bytes.count) != NULL) {
        fb_protobuf_fail(message, FB_ERR_FORMAT, "a text with a NUL character inside");
        return false;
    }
    *out = (const char *)bytes.data;
    return true;
}

bool fb_protobuf_name(FbProtobufMessage *message, const FbProtobufField *field, FbArena *arena, const char **out)
{
    if (field->wire == PB_WT_STRING && field->span.bytes > FB_PROTOBUF_NAME_MAX) {
        fb_protobuf_fail(message, FB_ERR_BUDGET, "a name of %llu bytes; at most %d are read", (unsigned long long)field->span.bytes,
                     FB_PROTOBUF_NAME_MAX);
        return false;
    }
    return fb_protobuf_text(message, field, arena, out);
}

bool fb_protobuf_int(FbProtobufMessage *message, const FbProtobufField *field, int64_t *out)
{
    if (!fb_protobuf_expect(message, field, PB_WT_VARINT)) {
        return false;
    }
    *out = (int64_t)field->value;
    return true;
}

FbStatus fb_protobuf_unknown(FbProtobufReader *reader, FbProtobufSpan span, const char *kind, uint64_t known, FbArena *arena, FbBytes *out)
{
    FbProtobufMessage message;
    FbProtobufField field;
    uint64_t total = 0;
    fb_protobuf_open(&message, reader, span, kind);
    while (fb_protobuf_next(&message, &field)) {
        total += fb_protobuf_is_known(known, field.tag) ? 0 : field.end - field.start;
    }
    FB_TRY(message.status);
    FB_TRY(fb_protobuf_charge(reader, total));
    uint8_t *bytes = fb_arena_alloc(arena, (size_t)total);
    if (bytes == NULL) {
        return fb_error_memory(reader->context, reader->err, "metadata", total);
    }
    size_t done = 0;
    fb_protobuf_open(&message, reader, span, kind);
    while (fb_protobuf_next(&message, &field)) {
        if (!fb_protobuf_is_known(known, field.tag)) {
            FB_TRY(field.end - field.start <= total - done ? FB_OK : fb_protobuf_changed(reader));
            FB_TRY(copy_span(reader, (FbProtobufSpan){field.start, field.end - field.start}, bytes + done));
            done += (size_t)(field.end - field.start);
        }
    }
    *out = (FbBytes){bytes, done};
    return message.status;
}
