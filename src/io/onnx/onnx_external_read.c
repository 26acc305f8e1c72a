/* External data: files beneath the model's folder, opened once each, every offset and length checked on the open file. */
#include <string.h>

#include "base/checked.h"
#include "io/onnx/onnx_load.h"

/* Decimal digits only: no sign, no spaces, no overflow. */
static bool parse_decimal(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || !fb_mul_u64(value, 10, &value) || !fb_add_u64(value, (uint64_t)(*text - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

static bool location_is_plain(const char *location)
{
    if (location[0] == '\0' || location[0] == '/' || strchr(location, '\\') != NULL) {
        return false;
    }
    for (const char *part = location; part != NULL;) {
        const char *slash = strchr(part, '/');
        size_t length = slash == NULL ? strlen(part) : (size_t)(slash - part);
        if (length == 2 && part[0] == '.' && part[1] == '.') {
            return false;
        }
        part = slash == NULL ? NULL : slash + 1;
    }
    return true;
}

static FbStatus open_location(FbOnnxReader *reader, const char *location, FbSource **source)
{
    for (size_t i = reader->externals.count; i > 0; i--) {
        if (strcmp(reader->externals.items[i - 1].location, location) == 0) {
            *source = reader->externals.items[i - 1].source;
            return FB_OK;
        }
    }
    if (reader->externals.count >= FB_ONNX_EXTERNAL_MAX) {
        return fb_error_set(reader->file.err, FB_ERR_BUDGET, "more than %d external data files", FB_ONNX_EXTERNAL_MAX);
    }
    if (!fb_array_grow(reader->file.context, &reader->externals)) {
        return fb_error_memory(reader->file.context, reader->file.err, "external data", sizeof(FbOnnxExternal));
    }
    FB_TRY(fb_source_open_beneath(reader->file.context, reader->folder, location, source, reader->file.err));
    reader->externals.items[reader->externals.count++] = (FbOnnxExternal){location, *source};
    return FB_OK;
}

FbStatus fb_onnx_read_external(FbOnnxReader *reader, const FbOnnxExternalKeys *keys, uint64_t bytes, FbPlane *plane)
{
    uint64_t offset = 0;
    uint64_t length = bytes;
    uint64_t end;
    FbSource *source;
    if (keys->location == NULL) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "external data without a location");
    }
    if (!location_is_plain(keys->location)) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "external data '%.200s' is not beneath the model's folder", keys->location);
    }
    if ((keys->offset != NULL && !parse_decimal(keys->offset, &offset)) || (keys->length != NULL && !parse_decimal(keys->length, &length))) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "external data with an offset or length that is not a number");
    }
    if (length != bytes) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "external data of %llu bytes, type and dimensions need %llu",
                            (unsigned long long)length, (unsigned long long)bytes);
    }
    FB_TRY(open_location(reader, keys->location, &source));
    if (!fb_add_u64(offset, length, &end) || end > fb_source_bytes(source)) {
        return fb_error_set(reader->file.err, FB_ERR_FORMAT, "external data '%.200s': bytes %llu to %llu wanted, the file has %llu", keys->location,
                            (unsigned long long)offset, (unsigned long long)offset + length, (unsigned long long)fb_source_bytes(source));
    }
    *plane = (FbPlane){.source = fb_source_retain(source), .offset = offset, .bytes = length};
    return FB_OK;
}
