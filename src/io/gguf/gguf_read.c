/* One GGUF file: header, key-values, tensor infos; then proof that every tensor lies where it must and inside the file. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file_error.h"
#include "base/text.h"
#include "io/gguf/gguf_values.h"
#include "tensor/block_type.h"

enum { DIMS_MAX = 4, LEAST_KEY = 8 + 1 + 4 + 1, LEAST_INFO = 8 + 1 + 4 + 8 + 4 + 8, TYPE_NUMBERS = 43 };

typedef struct Header {
    uint32_t version;
    uint64_t tensors, keys;
} Header;

/* Where the next tensor must begin, and the encodings made so far, by type and rank. */
typedef struct Infos {
    uint64_t expected;
    const FbEncoding *encodings[TYPE_NUMBERS][DIMS_MAX + 1];
} Infos;

static const struct { uint32_t number; FbDtype dtype; } plain[] = {
    {0, FB_DTYPE_F32}, {1, FB_DTYPE_F16}, {24, FB_DTYPE_S8},  {25, FB_DTYPE_S16},
    {26, FB_DTYPE_S32}, {27, FB_DTYPE_S64}, {28, FB_DTYPE_F64}, {30, FB_DTYPE_BF16},
};

FbDtype fb_gguf_plain_dtype(uint32_t number)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (plain[i].number == number) {
            return plain[i].dtype;
        }
    }
    return FB_DTYPE_NONE;
}

int fb_gguf_number_of_dtype(FbDtype dtype)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (plain[i].dtype == dtype) {
            return (int)plain[i].number;
        }
    }
    return -1;
}

static FbStatus read_version(FbGgufReader *reader, Header *header)
{
    uint8_t magic[4];
    FB_TRY(fb_gguf_take(reader, magic, sizeof magic, "the magic"));
    if (memcmp(magic, "FUGG", 4) == 0) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "the magic is GGUF with its bytes swapped");
    }
    if (memcmp(magic, "GGUF", 4) != 0) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "it does not begin with GGUF");
    }
    FB_TRY(fb_gguf_take_u32(reader, &header->version, "the version"));
    if (header->version == 2 || header->version == 3) {
        return FB_OK;
    }
    if ((header->version & 0xffff) == 0 && header->version != 0) {
        return fb_error_set(reader->err, FB_ERR_UNSUPPORTED, "a GGUF file of a big-endian machine (or version %u); convert it to little-endian",
                            (unsigned)header->version);
    }
    FbStatus status = header->version == 0 ? FB_ERR_FORMAT : FB_ERR_UNSUPPORTED;
    return fb_error_set(reader->err, status, "GGUF version %u, versions 2 and 3 are read", (unsigned)header->version);
}

static FbStatus read_header(FbGgufReader *reader, Header *header)
{
    FB_TRY(read_version(reader, header));
    FB_TRY(fb_gguf_take_u64(reader, &header->tensors, "the number of tensors"));
    FB_TRY(fb_gguf_take_u64(reader, &header->keys, "the number of keys"));
    if (header->tensors > fb_gguf_left(reader) / LEAST_INFO || header->keys > fb_gguf_left(reader) / LEAST_KEY) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%lld tensors and %lld keys do not fit a file of %llu bytes", (long long)header->tensors,
                            (long long)header->keys, (unsigned long long)reader->bytes);
    }
    if (header->tensors > FB_GGUF_TENSORS_MAX || header->keys > FB_GGUF_KEYS_MAX) {
        return fb_error_set(reader->err, FB_ERR_BUDGET, "%llu tensors and %llu keys, at most %d and %d are read",
                            (unsigned long long)header->tensors, (unsigned long long)header->keys, FB_GGUF_TENSORS_MAX, FB_GGUF_KEYS_MAX);
    }
    return FB_OK;
}

static FbStatus read_alignment(FbCheckpoint *checkpoint, FbError *err)
{
    const FbMeta *meta = fb_checkpoint_meta(checkpoint, "general.alignment");
    checkpoint->alignment = FB_GGUF_ALIGNMENT;
    if (meta == NULL) {
        return FB_OK;
    }
    if (meta->is_array || meta->type != FB_META_U32) {
        return fb_error_set(err, FB_ERR_FORMAT, "general.alignment must be one u32, it is %s%s", meta->is_array ? "an array of " : "",
                            fb_meta_type_name(meta->type));
    }
    uint64_t value = meta->value.u;
    if (value < 8 || value > FB_GGUF_ALIGNMENT_MAX || (value & (value - 1)) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "general.alignment is %llu, expected a power of two from 8 to %d", (unsigned long long)value,
                            FB_GGUF_ALIGNMENT_MAX);
    }
    checkpoint->alignment = value;
    return FB_OK;
}

/* ---- tensor infos ---- */

static FbStatus read_dims(FbGgufReader *reader, const char *what, FbShape *shape)
{
    uint32_t rank;
    FB_TRY(fb_gguf_take_u32(reader, &rank, what));
    if (rank == 0 || rank > DIMS_MAX) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s has %u dimensions, expected 1 to %d", what, (unsigned)rank, DIMS_MAX);
    }
    shape->rank = (int)rank;
    for (int i = shape->rank - 1; i >= 0; i--) { /* the file has the innermost first */
        uint64_t dim;
        FB_TRY(fb_gguf_take_u64(reader, &dim, what));
        if (dim == 0 || dim > INT64_MAX) {
            return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: a dimension is %lld", what, (long long)dim);
        }
        shape->dims[i] = (int64_t)dim;
    }
    return FB_OK;
}

static FbStatus unknown_type(const FbGgufReader *reader, const char *what, uint32_t number)
{
    bool retired = number == 4 || number == 5 || (number >= 31 && number <= 33) || (number >= 36 && number <= 38);
    bool future = number >= 42 && number < 65536;
    return fb_error_set(reader->err, retired || future ? FB_ERR_UNSUPPORTED : FB_ERR_FORMAT, "%s has type %lld, which is %s", what,
                        (long long)(int32_t)number, retired ? "no longer in use" : future ? "not known yet" : "none");
}

/* Type and bytes. */
static FbStatus read_type(FbGgufReader *reader, FbCheckpoint *checkpoint, const char *what, Infos *infos, FbConst *constant)
{
    uint32_t number;
    int64_t elements;
    FbPlane *plane = &constant->planes[FB_PLANE_CODES];
    const FbShape *shape = &constant->shape;
    FB_TRY(fb_gguf_take_u32(reader, &number, what));
    constant->dtype = fb_gguf_plain_dtype(number);
    const FbBlockType *type = constant->dtype == FB_DTYPE_NONE ? fb_block_type_of_number(number) : NULL;
    if (constant->dtype == FB_DTYPE_NONE && type == NULL) {
        return unknown_type(reader, what, number);
    }
    bool fits = fb_product_dims(shape->dims, shape->rank, &elements);
    if (type != NULL && shape->dims[shape->rank - 1] % type->elements != 0) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: rows of %lld elements are not whole blocks of %d (%s)", what,
                            (long long)shape->dims[shape->rank - 1], type->elements, type->code.name);
    }
    fits = fits && (type != NULL ? fb_mul_u64((uint64_t)(elements / type->elements), (uint64_t)type->bytes, &plane->bytes)
                                 : fb_dtype_storage(constant->dtype, (uint64_t)elements, &plane->bytes));
    if (!fits) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: its shape has too many elements", what);
    }
    if (type != NULL) {
        const FbEncoding **encoding = &infos->encodings[number][shape->rank];
        if (*encoding == NULL) {
            FbEncoding *made = fb_arena_alloc(checkpoint->arena, sizeof *made);
            if (made == NULL) {
                return fb_error_memory(checkpoint->context, reader->err, "an encoding", sizeof *made);
            }
            *made = fb_block_encoding(type, shape->rank);
            *encoding = made;
        }
        constant->encoding = *encoding;
        constant->dtype = FB_DTYPE_F32;
    }
    return FB_OK;
}

/* Tensors follow each other in file order, each padded to the alignment. */
static FbStatus read_offset(FbGgufReader *reader, const FbCheckpoint *checkpoint, const char *what, Infos *infos, FbPlane *plane)
{
    uint64_t padded;
    FB_TRY(fb_gguf_take_u64(reader, &plane->offset, what));
    if (plane->offset % checkpoint->alignment != 0) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: its offset %llu is not a multiple of %llu", what, (unsigned long long)plane->offset,
                            (unsigned long long)checkpoint->alignment);
    }
    if (plane->offset != infos->expected) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: its offset is %llu, the tensors before it end at %llu: %s", what,
                            (unsigned long long)plane->offset, (unsigned long long)infos->expected,
                            plane->offset < infos->expected ? "they overlap or are out of order" : "a hole");
    }
    bool fits = fb_add_u64(plane->bytes, checkpoint->alignment - 1, &padded) &&
                fb_add_u64(infos->expected, padded / checkpoint->alignment * checkpoint->alignment, &infos->expected);
    if (!fits || plane->bytes > reader->bytes || plane->offset > reader->bytes - plane->bytes) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: %llu bytes at %llu do not fit a file of %llu bytes (a truncated file?)", what,
                            (unsigned long long)plane->bytes, (unsigned long long)plane->offset, (unsigned long long)reader->bytes);
    }
    return FB_OK;
}

static FbStatus read_info(FbGgufReader *reader, FbCheckpoint *checkpoint, uint64_t index, Infos *infos)
{
    char name[FB_GGUF_NAME_MAX + 1], shown[4 * FB_GGUF_NAME_MAX + 1], what[sizeof shown + 16];
    uint64_t length;
    FbTableTensor *tensor;
    snprintf(what, sizeof what, "tensor %llu", (unsigned long long)index);
    FB_TRY(fb_gguf_take_u64(reader, &length, what));
    if (length == 0 || length > FB_GGUF_NAME_MAX) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: a name of %llu bytes, expected 1 to %d", what, (unsigned long long)length,
                            FB_GGUF_NAME_MAX);
    }
    FB_TRY(fb_gguf_take(reader, name, (size_t)length, what));
    FB_TRY(fb_checkpoint_add_tensor(checkpoint, name, (size_t)length, &tensor, reader->err));
    snprintf(what, sizeof what, "tensor '%s'", fb_escape(tensor->name, shown, sizeof shown));
    FB_TRY(read_dims(reader, what, &tensor->constant.shape));
    FB_TRY(read_type(reader, checkpoint, what, infos, &tensor->constant));
    return read_offset(reader, checkpoint, what, infos, &tensor->constant.planes[FB_PLANE_CODES]);
}

/* The data begin at the next multiple of the alignment; offsets count from there. */
static FbStatus place_tensors(FbGgufReader *reader, FbCheckpoint *checkpoint)
{
    uint64_t alignment = checkpoint->alignment;
    uint64_t start = (reader->at + alignment - 1) / alignment * alignment; /* both within the file's size and 2^20 */
    uint64_t end = reader->at;
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        FbPlane *plane = &checkpoint->tensors[i].constant.planes[FB_PLANE_CODES];
        plane->source = reader->source;
        plane->offset += start; /* both below the file's size: no overflow */
        end = plane->offset + plane->bytes;
        if (end > reader->bytes) {
            char shown[160];
            return fb_error_set(reader->err, FB_ERR_FORMAT, "tensor '%s' ends at byte %llu, the file has %llu (a truncated file?)",
                                fb_escape(checkpoint->tensors[i].name, shown, sizeof shown), (unsigned long long)end,
                                (unsigned long long)reader->bytes);
        }
    }
    if (reader->bytes - end >= alignment) {
        fb_log(checkpoint->context, FB_LOG_WARNING, "trailing-bytes", "%llu bytes behind the last tensor belong to none",
               (unsigned long long)(reader->bytes - end));
    }
    return FB_OK;
}

static FbStatus read_all(FbGgufReader *reader, FbCheckpoint *checkpoint)
{
    Header header;
    Infos infos = {0};
    FB_TRY(read_header(reader, &header));
    checkpoint->version = header.version;
    FB_TRY(fb_gguf_read_values(reader, checkpoint, header.keys));
    FB_TRY(read_alignment(checkpoint, reader->err));
    for (uint64_t i = 0; i < header.tensors; i++) {
        FB_TRY(read_info(reader, checkpoint, i, &infos));
    }
    return place_tensors(reader, checkpoint);
}

FbStatus fb_gguf_read(FbCheckpoint *checkpoint, FbSource *source, const char *name, FbError *err)
{
    uint32_t file;
    char shown[200];
    FB_TRY(fb_checkpoint_add_file(checkpoint, source, name, &file, err));
    FbGgufReader *reader = fb_alloc(checkpoint->context, sizeof *reader);
    if (reader == NULL) {
        return fb_error_memory(checkpoint->context, err, "a window", sizeof *reader);
    }
    reader->source = source;
    reader->at = 0;
    reader->bytes = fb_source_bytes(source);
    reader->window_at = 0;
    reader->window_count = 0;
    reader->err = err;
    FbStatus status = read_all(reader, checkpoint);
    fb_free(checkpoint->context, reader);
    return status == FB_OK ? status : fb_error_context(err, status, "%s", fb_path_shown(name, shown, sizeof shown));
}
