/* The primitives of onnx_writer.h. */
#include "io/onnx/onnx_writer.h"

#include <string.h>

static bool write_stream(pb_ostream_t *stream, const pb_byte_t *bytes, size_t count)
{
    FbOnnxWriter *writer = stream->state;
    if (writer->status == FB_OK) {
        writer->status = fb_output_write(writer->output, bytes, count, writer->err);
    }
    return writer->status == FB_OK;
}

pb_ostream_t fb_onnx_counter(FbOnnxWriter *writer)
{
    return (pb_ostream_t){.state = writer, .max_size = SIZE_MAX};
}

pb_ostream_t fb_onnx_stream(FbOnnxWriter *writer)
{
    return (pb_ostream_t){.callback = write_stream, .state = writer, .max_size = SIZE_MAX};
}

bool fb_onnx_put_message(pb_ostream_t *stream, uint32_t tag, FbOnnxBody body, const void *subject, const FbGraph *graph)
{
    pb_ostream_t counter = fb_onnx_counter(stream->state);
    if (!body(&counter, subject, graph) || !pb_encode_tag(stream, PB_WT_STRING, tag) || !pb_encode_varint(stream, counter.bytes_written)) {
        return false;
    }
    if (stream->callback == NULL) {
        stream->bytes_written += counter.bytes_written; /* counted already: once per level, not twice per level and so 2^depth times */
        return true;
    }
    return body(stream, subject, graph);
}

bool fb_onnx_put_bytes(pb_ostream_t *stream, uint32_t tag, const void *bytes, size_t count)
{
    return pb_encode_tag(stream, PB_WT_STRING, tag) && pb_encode_string(stream, bytes, count);
}

bool fb_onnx_put_text(pb_ostream_t *stream, uint32_t tag, const char *text)
{
    return text == NULL || fb_onnx_put_bytes(stream, tag, text, strlen(text));
}

bool fb_onnx_put_int(pb_ostream_t *stream, uint32_t tag, int64_t value)
{
    return pb_encode_tag(stream, PB_WT_VARINT, tag) && pb_encode_varint(stream, (uint64_t)value);
}

bool fb_onnx_put_float(pb_ostream_t *stream, uint32_t tag, float value)
{
    return pb_encode_tag(stream, PB_WT_32BIT, tag) && pb_encode_fixed32(stream, &value);
}

bool fb_onnx_put_raw(pb_ostream_t *stream, FbBytes bytes)
{
    return bytes.count == 0 || pb_write(stream, bytes.data, bytes.count);
}

FbStatus fb_onnx_put_plane(FbOnnxWriter *writer, FbOutput *output, const FbPlane *plane)
{
    for (uint64_t done = 0; done < plane->bytes;) {
        size_t part = plane->bytes - done < FB_ONNX_CHUNK ? (size_t)(plane->bytes - done) : FB_ONNX_CHUNK;
        FB_TRY(fb_check_cancel(writer->context, writer->err));
        FB_TRY(fb_plane_read(plane, done, writer->chunk, part, writer->err));
        FB_TRY(fb_output_write(output, writer->chunk, part, writer->err));
        done += part;
    }
    return FB_OK;
}
