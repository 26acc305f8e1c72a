/* Constants: shared bytes in memory or in a file, read by range and decoded. No constant is ever held whole unless asked for. */
#include <string.h>

#include "base/checked.h"
#include "graph/graph.h"
#include "tensor/block_type.h"

struct FbBuffer {
    FbContext *context;
    size_t references;
    void *data;
};

FbBuffer *fb_buffer_create(FbContext *context, size_t bytes)
{
    FbBuffer *buffer = fb_alloc_zero(context, sizeof *buffer);
    if (buffer == NULL) {
        return NULL;
    }
    buffer->context = context;
    buffer->references = 1;
    buffer->data = fb_alloc(context, bytes);
    if (buffer->data == NULL) {
        fb_free(context, buffer);
        return NULL;
    }
    return buffer;
}

FbBuffer *fb_buffer_retain(FbBuffer *buffer)
{
    if (buffer != NULL) {
        buffer->references++;
    }
    return buffer;
}

void fb_buffer_release(FbBuffer *buffer)
{
    if (buffer != NULL && --buffer->references == 0) {
        fb_free(buffer->context, buffer->data);
        fb_free(buffer->context, buffer);
    }
}

void *fb_buffer_data(FbBuffer *buffer)
{
    return buffer->data;
}

FbStatus fb_plane_read(const FbPlane *plane, uint64_t offset, void *to, size_t bytes, FbError *err)
{
    if (bytes == 0) {
        return FB_OK;
    }
    uint64_t end;
    if (!fb_add_u64(offset, bytes, &end) || end > plane->bytes) {
        return fb_error_set(err, FB_ERR_INTERNAL, "read of %zu bytes at %llu in a plane of %llu bytes", bytes, (unsigned long long)offset,
                            (unsigned long long)plane->bytes);
    }
    if (plane->buffer != NULL) {
        memcpy(to, (const uint8_t *)plane->buffer->data + plane->offset + offset, bytes);
        return FB_OK;
    }
    if (plane->source == NULL) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a constant without bytes");
    }
    return fb_source_read(plane->source, plane->offset + offset, to, bytes, err);
}

enum { FB_CHUNK_BYTES = 8192, FB_CHUNK_ELEMENTS = 4096 };

/* Elements of a plane whose elements are `dtype`, as float. */
static FbStatus read_plane_f32(const FbPlane *plane, FbDtype dtype, uint64_t first, size_t count, float *to, FbError *err)
{
    uint8_t raw[FB_CHUNK_BYTES + 8];
    uint64_t bits = (uint64_t)fb_dtype_bits(dtype);
    if (bits == 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "elements of type %s are not numbers", fb_dtype_name(dtype));
    }
    while (count > 0) {
        size_t part = FB_CHUNK_BYTES * 8 / bits;
        part = part < count ? part : count;
        uint64_t begin = first * bits / 8;
        uint64_t end = ((first + part) * bits + 7) / 8;
        FB_TRY(fb_plane_read(plane, begin, raw, (size_t)(end - begin), err));
        fb_decode_f32(dtype, raw, bits < 8 ? first % (8 / bits) : 0, to, part);
        first += part;
        to += part;
        count -= part;
    }
    return FB_OK;
}

/* Codes as int32; float codes as their bit patterns. */
static FbStatus read_codes(const FbPlane *plane, FbDtype dtype, uint64_t first, size_t count, int32_t *to, FbError *err)
{
    uint8_t raw[FB_CHUNK_ELEMENTS * 4 + 8];
    int8_t codes[FB_CHUNK_ELEMENTS];
    uint64_t bits = (uint64_t)fb_dtype_bits(dtype);
    if (count > FB_CHUNK_ELEMENTS || bits == 0 || bits > 32) {
        return fb_error_set(err, FB_ERR_INTERNAL, "%s cannot be codes", fb_dtype_name(dtype));
    }
    uint64_t begin = first * bits / 8;
    uint64_t end = ((first + count) * bits + 7) / 8;
    FB_TRY(fb_plane_read(plane, begin, raw, (size_t)(end - begin), err));
    bool is_signed = fb_dtype_info(dtype)->kind == FB_KIND_SIGNED;
    if (bits <= 8) {
        fb_unpack_codes(dtype, raw, bits < 8 ? first % (8 / bits) : 0, codes, count);
        for (size_t i = 0; i < count; i++) {
            to[i] = is_signed ? codes[i] : (int32_t)(uint8_t)codes[i];
        }
        return FB_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (bits == 32) {
            memcpy(&to[i], raw + 4 * i, 4);
        } else {
            uint16_t half;
            memcpy(&half, raw + 2 * i, 2);
            to[i] = is_signed ? (int32_t)(int16_t)half : (int32_t)half;
        }
    }
    return FB_OK;
}

/* The part of an encoded constant that a range of elements touches: a small constant of its own, so that only its scales are read. */
typedef struct Window {
    FbEncoding encoding;
    FbShape shape;          /* outer, axis, inner */
    uint64_t first;         /* the logical index of the window's element 0 */
    uint64_t scale_first;
    size_t scale_count;
} Window;

static Window window_of(const FbConst *constant, uint64_t first, size_t count)
{
    const FbEncoding *encoding = constant->encoding;
    Window window = {.encoding = *encoding, .first = first, .scale_count = 1};
    if (encoding->grain == FB_GRAIN_TENSOR) {
        window.shape = fb_shape_make(1, &(int64_t){(int64_t)count});
        return window;
    }
    int64_t dim = constant->shape.dims[encoding->axis];
    int64_t inner = 1;
    for (int i = encoding->axis + 1; i < constant->shape.rank; i++) {
        inner *= constant->shape.dims[i];
    }
    bool blocks = encoding->grain == FB_GRAIN_BLOCK;
    int64_t per_outer = dim * inner;
    int64_t outer_first = (int64_t)first / per_outer;
    int64_t outer_last = (int64_t)(first + count - 1) / per_outer;
    int64_t step = blocks ? encoding->block : 1;
    int64_t steps = (dim + step - 1) / step;
    int64_t begin = 0;
    int64_t end = dim;
    if (outer_first == outer_last) {
        begin = ((int64_t)first - outer_first * per_outer) / inner / step * step;
        end = ((int64_t)(first + count - 1) - outer_first * per_outer) / inner + 1;
    }
    window.encoding.axis = 1;
    window.shape = fb_shape_make(3, (int64_t[]){outer_last - outer_first + 1, end - begin, inner});
    window.first = (uint64_t)(outer_first * per_outer + begin * inner);
    int64_t used = (end - begin + step - 1) / step;
    if (blocks) {
        window.scale_first = (uint64_t)((outer_first * steps + begin / step) * inner);
        window.scale_count = (size_t)((outer_last - outer_first) * steps + used) * (size_t)inner;
    } else {
        window.scale_first = (uint64_t)begin;
        window.scale_count = (size_t)used;
    }
    return window;
}

static FbStatus decode_window(const FbConst *constant, const Window *window, const float *scale, const int32_t *zero, uint64_t first,
                              size_t count, float *to, FbError *err)
{
    int32_t codes[FB_CHUNK_ELEMENTS];
    while (count > 0) {
        size_t part = count < FB_CHUNK_ELEMENTS ? count : FB_CHUNK_ELEMENTS;
        FB_TRY(read_codes(&constant->planes[FB_PLANE_CODES], constant->encoding->code->storage, first, part, codes, err));
        fb_encoding_dequantize(&window->encoding, &window->shape, scale, zero, codes, first - window->first, part, to);
        first += part;
        to += part;
        count -= part;
    }
    return FB_OK;
}

static FbStatus read_encoded(FbContext *context, const FbConst *constant, uint64_t first, size_t count, float *to, FbError *err)
{
    Window window = window_of(constant, first, count);
    FbStatus status = FB_OK;
    int32_t *zero = NULL;
    if (constant->planes[FB_PLANE_SCALE].bytes == 0) {
        return decode_window(constant, &window, NULL, NULL, first, count, to, err); /* half-precision floats have no scale */
    }
    float *scale = fb_alloc_array(context, window.scale_count, sizeof *scale);
    if (scale == NULL) {
        return fb_error_memory(context, err, "scales", (uint64_t)window.scale_count * sizeof *scale);
    }
    status = read_plane_f32(&constant->planes[FB_PLANE_SCALE], constant->encoding->scale, window.scale_first, window.scale_count, scale, err);
    if (status == FB_OK && constant->encoding->has_zero) {
        zero = fb_alloc_array(context, window.scale_count, sizeof *zero);
        status = zero == NULL ? fb_error_memory(context, err, "zero points", (uint64_t)window.scale_count * sizeof *zero) : FB_OK;
        for (size_t done = 0; status == FB_OK && done < window.scale_count; done += FB_CHUNK_ELEMENTS) {
            size_t part = window.scale_count - done;
            part = part < FB_CHUNK_ELEMENTS ? part : FB_CHUNK_ELEMENTS;
            status = read_codes(&constant->planes[FB_PLANE_ZERO], constant->encoding->code->storage, window.scale_first + done, part,
                                zero + done, err);
        }
    }
    if (status == FB_OK) {
        status = decode_window(constant, &window, scale, zero, first, count, to, err);
    }
    fb_free(context, zero);
    fb_free(context, scale);
    return status;
}

/* Elements of a constant in block form: whole blocks straight into `to`, the ends through one block aside. */
static FbStatus read_blocks(const FbConst *constant, uint64_t first, size_t count, float *to, FbError *err)
{
    const FbBlockType *type = constant->encoding->blocks;
    uint8_t raw[FB_CHUNK_BYTES];
    float aside[FB_BLOCK_ELEMENTS_MAX];
    size_t elements = (size_t)type->elements, bytes = (size_t)type->bytes;
    if (type->decode == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "elements of type %s cannot be read yet", type->code.name);
    }
    while (count > 0) {
        uint64_t block = first / elements;
        size_t within = (size_t)(first % elements);
        size_t blocks = within == 0 ? count / elements : 0;
        blocks = blocks < FB_CHUNK_BYTES / bytes ? blocks : FB_CHUNK_BYTES / bytes;
        size_t part = blocks * elements;
        FB_TRY(fb_plane_read(&constant->planes[FB_PLANE_CODES], block * bytes, raw, (blocks > 0 ? blocks : 1) * bytes, err));
        if (blocks > 0) {
            type->decode(raw, to, blocks);
        } else {
            part = elements - within < count ? elements - within : count;
            type->decode(raw, aside, 1);
            memcpy(to, aside + within, part * sizeof *to);
        }
        first += part;
        to += part;
        count -= part;
    }
    return FB_OK;
}

FbStatus fb_const_read_f32(FbContext *context, const FbConst *constant, uint64_t first, size_t count, float *to, FbError *err)
{
    if (count == 0) {
        return FB_OK;
    }
    int64_t elements = fb_shape_elements(&constant->shape);
    uint64_t end;
    if (elements < 0 || !fb_add_u64(first, count, &end) || end > (uint64_t)elements) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a read beyond a constant's %lld elements", (long long)elements);
    }
    if (constant->encoding != NULL && constant->encoding->blocks != NULL) {
        return read_blocks(constant, first, count, to, err);
    }
    if (constant->encoding != NULL) {
        FbDtype storage = constant->encoding->code->storage;
        if (storage == FB_DTYPE_F16 || storage == FB_DTYPE_BF16) { /* halves have no scale */
            return read_plane_f32(&constant->planes[FB_PLANE_CODES], storage, first, count, to, err);
        }
        return read_encoded(context, constant, first, count, to, err);
    }
    return read_plane_f32(&constant->planes[FB_PLANE_CODES], constant->dtype, first, count, to, err);
}

FbStatus fb_const_read_codes(const FbConst *constant, FbPlaneKind plane, uint64_t first, size_t count, int32_t *to, FbError *err)
{
    if (constant->encoding == NULL || constant->encoding->blocks != NULL) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a constant that is plain or in blocks has no plane of codes");
    }
    while (count > 0) {
        size_t part = count < FB_CHUNK_ELEMENTS ? count : FB_CHUNK_ELEMENTS;
        FB_TRY(read_codes(&constant->planes[plane], constant->encoding->code->storage, first, part, to, err));
        first += part;
        to += part;
        count -= part;
    }
    return FB_OK;
}

FbStatus fb_const_load(FbContext *context, const FbConst *constant, FbTensor *tensor, FbError *err)
{
    FbDtype dtype = constant->encoding != NULL ? FB_DTYPE_F32 : constant->dtype;
    int64_t elements = fb_shape_elements(&constant->shape);
    uint64_t bytes;
    memset(tensor, 0, sizeof *tensor);
    if (dtype == FB_DTYPE_STRING) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "string tensors cannot be computed with");
    }
    if (elements < 0 || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes) || bytes > SIZE_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a constant of type %s has no size", fb_dtype_name(dtype));
    }
    void *data = fb_alloc(context, (size_t)bytes);
    if (data == NULL) {
        return fb_error_memory(context, err, "a constant", bytes);
    }
    FbStatus status = constant->encoding != NULL ? fb_const_read_f32(context, constant, 0, (size_t)elements, data, err)
                                                 : fb_plane_read(&constant->planes[FB_PLANE_CODES], 0, data, (size_t)bytes, err);
    if (status != FB_OK) {
        fb_free(context, data);
        return status;
    }
    tensor->dtype = dtype;
    tensor->rank = constant->shape.rank;
    memcpy(tensor->dims, constant->shape.dims, sizeof tensor->dims);
    tensor->data = data;
    tensor->bytes = (size_t)bytes;
    return FB_OK;
}

uint64_t fb_const_stored_bytes(const FbConst *constant)
{
    uint64_t total = constant->strings.count;
    for (int i = 0; i < FB_PLANE_COUNT; i++) {
        total += constant->planes[i].bytes;
    }
    return total;
}
