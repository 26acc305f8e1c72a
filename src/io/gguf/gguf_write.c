/* The writer of GGUF files, see gguf_write.h. */
#include "io/gguf/gguf_write.h"

#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/text.h"
#include "graph/name_table.h"
#include "tensor/block_type.h"

enum { DIMS_MAX = 4, HEADER_BYTES = 24 };

typedef struct Tensor {
    const char *name;
    FbShape shape;
    uint32_t number;
    uint64_t bytes;
} Tensor;

struct FbGgufWriter {
    FbContext *context;
    FbArena *arena;
    struct FbNameTable *keys, *names;
    FbText values;           /* the key-values as they are written */
    uint64_t key_count, alignment;
    FB_ARRAY(Tensor) tensors;
    uint64_t info_bytes, data_bytes; /* data with padding */
    FbOutput *output;        /* NULL until started */
    size_t current;          /* the tensor whose bytes come next */
    uint64_t left;           /* of it */
};

FbStatus fb_gguf_writer_create(FbContext *context, FbGgufWriter **out, FbError *err)
{
    *out = NULL;
    FbGgufWriter *writer = fb_alloc_zero(context, sizeof *writer);
    if (writer == NULL) {
        return fb_error_memory(context, err, "a GGUF writer", sizeof *writer);
    }
    writer->context = context;
    writer->alignment = FB_GGUF_ALIGNMENT;
    fb_text_init(&writer->values, context);
    writer->arena = fb_arena_create(context);
    writer->keys = fb_name_table_create(context);
    writer->names = fb_name_table_create(context);
    if (writer->arena == NULL || writer->keys == NULL || writer->names == NULL) {
        fb_gguf_writer_free(writer);
        return fb_error_memory(context, err, "a GGUF writer", sizeof *writer);
    }
    *out = writer;
    return FB_OK;
}

void fb_gguf_writer_free(FbGgufWriter *writer)
{
    if (writer == NULL) {
        return;
    }
    fb_output_abandon(writer->output);
    fb_text_reset(&writer->values);
    fb_name_table_free(writer->keys);
    fb_name_table_free(writer->names);
    fb_array_free(writer->context, &writer->tensors);
    if (writer->arena != NULL) {
        fb_arena_free(writer->arena);
    }
    fb_free(writer->context, writer);
}

/* A name that is new and not too long, entered. */
static FbStatus enter(FbGgufWriter *writer, struct FbNameTable *table, const char *what, const char *name, size_t most, size_t id,
                      const char **copy, FbError *err)
{
    char shown[120];
    size_t length = strlen(name);
    fb_escape(name, shown, sizeof shown);
    if (length == 0 || length > most) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s '%s' has %zu bytes, GGUF holds 1 to %zu", what, shown, length, most);
    }
    if (writer->output != NULL || fb_name_table_find(table, name) != FB_NONE) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s '%s' is there twice or comes too late", what, shown);
    }
    *copy = fb_arena_strdup(writer->arena, name);
    return *copy != NULL && fb_name_table_add(table, *copy, (FbId)id) ? FB_OK : fb_error_memory(writer->context, err, "a name", length);
}

/* ---- key-values ---- */

static void add_number(FbGgufWriter *writer, uint64_t value, size_t bytes)
{
    char raw[8];
    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (char)(uint8_t)(value >> 8 * i);
    }
    fb_text_add_n(&writer->values, raw, bytes);
}

static void add_text(FbGgufWriter *writer, const void *text, size_t bytes)
{
    add_number(writer, bytes, 8);
    fb_text_add_n(&writer->values, text, bytes);
}

static FbStatus begin_value(FbGgufWriter *writer, const char *key, FbMetaType type, FbError *err)
{
    const char *copy;
    FB_TRY(enter(writer, writer->keys, "key", key, FB_GGUF_KEY_MAX, (size_t)writer->key_count, &copy, err));
    writer->key_count++;
    add_text(writer, key, strlen(key));
    add_number(writer, (uint64_t)type, 4);
    return FB_OK;
}

static FbStatus end_value(FbGgufWriter *writer, FbError *err)
{
    return writer->values.failed ? fb_error_memory(writer->context, err, "key-values", writer->values.length) : FB_OK;
}

static FbStatus put_number(FbGgufWriter *writer, const char *key, FbMetaType type, uint64_t bits, FbError *err)
{
    if (strcmp(key, "general.alignment") == 0) {
        if (type != FB_META_U32 || bits < 8 || bits > FB_GGUF_ALIGNMENT_MAX || (bits & (bits - 1)) != 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "general.alignment must be a power of two from 8 to %d", FB_GGUF_ALIGNMENT_MAX);
        }
        if (writer->tensors.count > 0) {
            return fb_error_set(err, FB_ERR_INTERNAL, "general.alignment after the first tensor");
        }
        writer->alignment = bits;
    }
    FB_TRY(begin_value(writer, key, type, err));
    add_number(writer, bits, fb_meta_bytes(type));
    return end_value(writer, err);
}

FbStatus fb_gguf_put_text(FbGgufWriter *writer, const char *key, const char *text, FbError *err)
{
    FB_TRY(begin_value(writer, key, FB_META_STRING, err));
    add_text(writer, text, strlen(text));
    return end_value(writer, err);
}

FbStatus fb_gguf_put_u32(FbGgufWriter *writer, const char *key, uint32_t value, FbError *err)
{
    return put_number(writer, key, FB_META_U32, value, err);
}

FbStatus fb_gguf_put_s32(FbGgufWriter *writer, const char *key, int32_t value, FbError *err)
{
    return put_number(writer, key, FB_META_S32, (uint32_t)value, err);
}

FbStatus fb_gguf_put_f32(FbGgufWriter *writer, const char *key, float value, FbError *err)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put_number(writer, key, FB_META_F32, bits, err);
}

FbStatus fb_gguf_put_bool(FbGgufWriter *writer, const char *key, bool value, FbError *err)
{
    return put_number(writer, key, FB_META_BOOL, value, err);
}

static FbStatus begin_array(FbGgufWriter *writer, const char *key, FbMetaType type, uint64_t count, FbError *err)
{
    FB_TRY(begin_value(writer, key, FB_META_ARRAY, err));
    add_number(writer, (uint64_t)type, 4);
    add_number(writer, count, 8);
    return FB_OK;
}

FbStatus fb_gguf_put_texts(FbGgufWriter *writer, const char *key, const FbBytes *texts, size_t count, FbError *err)
{
    FB_TRY(begin_array(writer, key, FB_META_STRING, count, err));
    for (size_t i = 0; i < count; i++) {
        add_text(writer, texts[i].data, texts[i].count);
    }
    return end_value(writer, err);
}

FbStatus fb_gguf_put_numbers(FbGgufWriter *writer, const char *key, FbMetaType type, const void *values, size_t count, FbError *err)
{
    if (fb_meta_bytes(type) == 0) {
        return fb_error_set(err, FB_ERR_INTERNAL, "an array of %s is not one of numbers", fb_meta_type_name(type));
    }
    FB_TRY(begin_array(writer, key, type, count, err));
    fb_text_add_n(&writer->values, values, count * fb_meta_bytes(type));
    return end_value(writer, err);
}

static FbStatus put_array_of_file(FbGgufWriter *writer, const FbMeta *meta, FbError *err)
{
    char raw[8192];
    FB_TRY(begin_array(writer, meta->key, meta->type, meta->count, err));
    for (uint64_t at = 0; at < meta->data.bytes;) {
        size_t part = meta->data.bytes - at < sizeof raw ? (size_t)(meta->data.bytes - at) : sizeof raw;
        FB_TRY(fb_plane_read(&meta->data, at, raw, part, err));
        fb_text_add_n(&writer->values, raw, part);
        at += part;
    }
    return end_value(writer, err);
}

FbStatus fb_gguf_put_meta(FbGgufWriter *writer, const FbMeta *meta, FbError *err)
{
    if (meta->is_array) {
        return put_array_of_file(writer, meta, err);
    }
    if (meta->type == FB_META_STRING) {
        FB_TRY(begin_value(writer, meta->key, FB_META_STRING, err));
        add_text(writer, meta->text.data, meta->text.count);
        return end_value(writer, err);
    }
    if (meta->type == FB_META_F32) {
        float single = (float)meta->value.f; /* it was one */
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        return put_number(writer, meta->key, meta->type, bits, err);
    }
    return put_number(writer, meta->key, meta->type, meta->value.u, err); /* the union's other members have the same 64 bits */
}

/* ---- tensors ---- */

bool fb_gguf_tensor_bytes(uint32_t number, const FbShape *shape, uint64_t *bytes)
{
    FbDtype dtype = fb_gguf_plain_dtype(number);
    const FbBlockType *type = fb_block_type_of_number(number);
    int64_t elements;
    if (shape->rank < 1 || shape->rank > DIMS_MAX || !fb_product_dims(shape->dims, shape->rank, &elements) || elements == 0) {
        return false;
    }
    if (dtype != FB_DTYPE_NONE) {
        return fb_dtype_storage(dtype, (uint64_t)elements, bytes);
    }
    return type != NULL && shape->dims[shape->rank - 1] % type->elements == 0 &&
           fb_mul_u64((uint64_t)(elements / type->elements), (uint64_t)type->bytes, bytes);
}

static uint64_t padded(uint64_t bytes, uint64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

FbStatus fb_gguf_put_tensor(FbGgufWriter *writer, const char *name, const FbShape *shape, uint32_t number, FbError *err)
{
    Tensor tensor = {.shape = *shape, .number = number};
    char shown[120], dims[128];
    uint64_t sum;
    if (!fb_gguf_tensor_bytes(number, shape, &tensor.bytes) || tensor.bytes > INT64_MAX / 2 ||
        !fb_add_u64(writer->data_bytes, padded(tensor.bytes, writer->alignment), &sum) || sum > INT64_MAX / 2) {
        fb_shape_text(shape, dims, sizeof dims);
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': a shape of %s cannot be stored as ggml's type %u",
                            fb_escape(name, shown, sizeof shown), dims, (unsigned)number);
    }
    FB_TRY(enter(writer, writer->names, "tensor", name, FB_GGUF_NAME_MAX, writer->tensors.count, &tensor.name, err));
    if (!fb_array_grow(writer->context, &writer->tensors)) {
        return fb_error_memory(writer->context, err, "a table of tensors", sizeof tensor);
    }
    writer->tensors.items[writer->tensors.count++] = tensor;
    writer->data_bytes = sum;
    writer->info_bytes += 8 + strlen(name) + 4 + 8 * (uint64_t)shape->rank + 4 + 8;
    return FB_OK;
}

uint64_t fb_gguf_file_bytes(const FbGgufWriter *writer)
{
    uint64_t head = HEADER_BYTES + writer->values.length + writer->info_bytes;
    return writer->tensors.count > 0 ? padded(head, writer->alignment) + writer->data_bytes : padded(head, writer->alignment);
}

/* ---- the file ---- */

static FbStatus write_number(FbGgufWriter *writer, uint64_t value, size_t bytes, FbError *err)
{
    uint8_t raw[8];
    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)(value >> 8 * i);
    }
    return fb_output_write(writer->output, raw, bytes, err);
}

static FbStatus write_info(FbGgufWriter *writer, const Tensor *tensor, uint64_t offset, FbError *err)
{
    size_t length = strlen(tensor->name);
    FB_TRY(write_number(writer, length, 8, err));
    FB_TRY(fb_output_write(writer->output, tensor->name, length, err));
    FB_TRY(write_number(writer, (uint64_t)tensor->shape.rank, 4, err));
    for (int i = tensor->shape.rank - 1; i >= 0; i--) {
        FB_TRY(write_number(writer, (uint64_t)tensor->shape.dims[i], 8, err));
    }
    FB_TRY(write_number(writer, tensor->number, 4, err));
    return write_number(writer, offset, 8, err);
}

FbStatus fb_gguf_start(FbGgufWriter *writer, const char *path, bool overwrite, FbError *err)
{
    uint64_t offset = 0;
    FB_TRY(fb_output_create(writer->context, path, overwrite, &writer->output, err));
    FB_TRY(fb_output_write(writer->output, "GGUF", 4, err));
    FB_TRY(write_number(writer, 3, 4, err));
    FB_TRY(write_number(writer, writer->tensors.count, 8, err));
    FB_TRY(write_number(writer, writer->key_count, 8, err));
    FB_TRY(fb_output_write(writer->output, writer->values.data, writer->values.length, err));
    for (size_t i = 0; i < writer->tensors.count; i++) {
        FB_TRY(write_info(writer, &writer->tensors.items[i], offset, err));
        offset += padded(writer->tensors.items[i].bytes, writer->alignment);
    }
    writer->left = writer->tensors.count > 0 ? writer->tensors.items[0].bytes : 0;
    return fb_output_pad(writer->output, (size_t)writer->alignment, err);
}

FbStatus fb_gguf_write(FbGgufWriter *writer, const void *bytes, size_t count, FbError *err)
{
    const uint8_t *from = bytes;
    while (count > 0) {
        if (writer->output == NULL || writer->current >= writer->tensors.count) {
            return fb_error_set(err, FB_ERR_INTERNAL, "more bytes than the tensors have");
        }
        size_t part = writer->left < count ? (size_t)writer->left : count;
        FB_TRY(fb_output_write(writer->output, from, part, err));
        from += part;
        count -= part;
        writer->left -= part;
        if (writer->left == 0) {
            FB_TRY(fb_output_pad(writer->output, (size_t)writer->alignment, err));
            writer->current++;
            writer->left = writer->current < writer->tensors.count ? writer->tensors.items[writer->current].bytes : 0;
        }
    }
    return FB_OK;
}

FbStatus fb_gguf_commit(FbGgufWriter *writer, char *sha256, FbError *err)
{
    if (writer->output == NULL || writer->current != writer->tensors.count || fb_output_position(writer->output) != fb_gguf_file_bytes(writer)) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a GGUF file that is not complete: tensor %zu of %zu", writer->current, writer->tensors.count);
    }
    FbOutput *output = writer->output;
    writer->output = NULL; /* commit frees it in any case */
    return fb_output_commit(output, sha256, err);
}
