/* The table of a checkpoint: rows, look-up by name, key-values. */
#include "graph/tensor_table.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/file_error.h"
#include "base/text.h"
#include "graph/name_table.h"

FbStatus fb_checkpoint_create(FbContext *context, const char *path, const char *format, FbCheckpoint **out, FbError *err)
{
    FbCheckpoint *checkpoint = fb_alloc_zero(context, sizeof *checkpoint);
    *out = NULL;
    if (checkpoint == NULL) {
        return fb_error_memory(context, err, "a checkpoint", sizeof *checkpoint);
    }
    checkpoint->context = context;
    checkpoint->format = format;
    checkpoint->arena = fb_arena_create(context);
    checkpoint->tensor_names = fb_name_table_create(context);
    checkpoint->keys = fb_name_table_create(context);
    checkpoint->path = checkpoint->arena != NULL ? fb_arena_strdup(checkpoint->arena, path) : NULL;
    if (checkpoint->tensor_names == NULL || checkpoint->keys == NULL || checkpoint->path == NULL) {
        fb_checkpoint_free(checkpoint);
        return fb_error_memory(context, err, "a checkpoint", sizeof *checkpoint);
    }
    *out = checkpoint;
    return FB_OK;
}

void fb_checkpoint_free(FbCheckpoint *checkpoint)
{
    if (checkpoint == NULL) {
        return;
    }
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        fb_source_release(checkpoint->files[i].source);
    }
    fb_free(checkpoint->context, checkpoint->files);
    fb_free(checkpoint->context, checkpoint->tensors);
    fb_free(checkpoint->context, checkpoint->metadata);
    fb_name_table_free(checkpoint->tensor_names);
    fb_name_table_free(checkpoint->keys);
    if (checkpoint->arena != NULL) {
        fb_arena_free(checkpoint->arena);
    }
    fb_free(checkpoint->context, checkpoint);
}

FbStatus fb_checkpoint_add_file(FbCheckpoint *checkpoint, FbSource *source, const char *name, uint32_t *index, FbError *err)
{
    const char *copy = fb_arena_strdup(checkpoint->arena, name);
    void *files = fb_realloc_array(checkpoint->context, checkpoint->files, checkpoint->file_count + 1, sizeof *checkpoint->files);
    if (files != NULL) {
        checkpoint->files = files;
    }
    if (files == NULL || copy == NULL) {
        fb_source_release(source);
        return fb_error_memory(checkpoint->context, err, "a list of files", 0);
    }
    *index = (uint32_t)checkpoint->file_count;
    checkpoint->files[checkpoint->file_count].source = source;
    checkpoint->files[checkpoint->file_count++].name = copy;
    checkpoint->file_bytes += fb_source_bytes(source);
    return FB_OK;
}

/* A copy of the name, entered under `id`. */
static FbStatus enter_name(FbCheckpoint *checkpoint, struct FbNameTable *table, const char *what, const char *name, size_t length, size_t id,
                           const char **out, FbError *err)
{
    char shown[160];
    char *copy = fb_arena_strndup(checkpoint->arena, name, length);
    if (copy == NULL) {
        return fb_error_memory(checkpoint->context, err, "names", length);
    }
    if (length == 0 || strlen(copy) != length) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s %zu has a name that is empty or holds a zero byte", what, id);
    }
    if (fb_name_table_find(table, copy) != FB_NONE) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s '%s' is there twice", what, fb_escape(copy, shown, sizeof shown));
    }
    *out = copy;
    return fb_name_table_add(table, copy, (FbId)id) ? FB_OK : fb_error_memory(checkpoint->context, err, "names", length);
}

FbStatus fb_checkpoint_add_tensor(FbCheckpoint *checkpoint, const char *name, size_t length, FbTableTensor **tensor, FbError *err)
{
    const char *copy;
    FB_TRY(enter_name(checkpoint, checkpoint->tensor_names, "tensor", name, length, checkpoint->tensor_count, &copy, err));
    if (!fb_array_reserve_bytes(checkpoint->context, (void **)&checkpoint->tensors, checkpoint->tensor_count, &checkpoint->tensor_capacity,
                                sizeof *checkpoint->tensors)) {
        return fb_error_memory(checkpoint->context, err, "a table of tensors", (checkpoint->tensor_count + 1) * sizeof **tensor);
    }
    *tensor = &checkpoint->tensors[checkpoint->tensor_count++];
    **tensor = (FbTableTensor){.name = copy};
    return FB_OK;
}

FbStatus fb_checkpoint_add_meta(FbCheckpoint *checkpoint, const char *key, size_t length, FbMeta **meta, FbError *err)
{
    const char *copy;
    FB_TRY(enter_name(checkpoint, checkpoint->keys, "key", key, length, checkpoint->metadata_count, &copy, err));
    if (!fb_array_reserve_bytes(checkpoint->context, (void **)&checkpoint->metadata, checkpoint->metadata_count,
                                &checkpoint->metadata_capacity, sizeof *checkpoint->metadata)) {
        return fb_error_memory(checkpoint->context, err, "key-values", (checkpoint->metadata_count + 1) * sizeof **meta);
    }
    *meta = &checkpoint->metadata[checkpoint->metadata_count++];
    **meta = (FbMeta){.key = copy, .count = 1};
    return FB_OK;
}

FbTableTensor *fb_checkpoint_tensor(const FbCheckpoint *checkpoint, const char *name)
{
    FbId id = fb_name_table_find(checkpoint->tensor_names, name);
    return id == FB_NONE ? NULL : &checkpoint->tensors[id];
}

const FbMeta *fb_checkpoint_meta(const FbCheckpoint *checkpoint, const char *key)
{
    FbId id = fb_name_table_find(checkpoint->keys, key);
    return id == FB_NONE ? NULL : &checkpoint->metadata[id];
}

/* ---- values ---- */

static const struct { const char *name; uint8_t bytes; } meta_types[FB_META_COUNT] = {
    [FB_META_U8] = {"u8", 1},         [FB_META_S8] = {"s8", 1},       [FB_META_U16] = {"u16", 2}, [FB_META_S16] = {"s16", 2},
    [FB_META_U32] = {"u32", 4},       [FB_META_S32] = {"s32", 4},     [FB_META_F32] = {"f32", 4}, [FB_META_BOOL] = {"bool", 1},
    [FB_META_STRING] = {"string", 0}, [FB_META_ARRAY] = {"array", 0}, [FB_META_U64] = {"u64", 8}, [FB_META_S64] = {"s64", 8},
    [FB_META_F64] = {"f64", 8},
};

size_t fb_meta_bytes(FbMetaType type)
{
    return (unsigned)type < FB_META_COUNT ? meta_types[type].bytes : 0;
}

const char *fb_meta_type_name(FbMetaType type)
{
    return (unsigned)type < FB_META_COUNT ? meta_types[type].name : "?";
}

bool fb_meta_integer(const FbMeta *meta, int64_t *out)
{
    if (meta == NULL || meta->is_array) {
        return false;
    }
    switch (meta->type) {
    case FB_META_U8:
    case FB_META_U16:
    case FB_META_U32:
    case FB_META_U64:
        *out = (int64_t)meta->value.u;
        return meta->value.u <= INT64_MAX;
    case FB_META_S8:
    case FB_META_S16:
    case FB_META_S32:
    case FB_META_S64:
        *out = meta->value.s;
        return true;
    case FB_META_F32:
    case FB_META_F64:
    case FB_META_BOOL:
    case FB_META_STRING:
    case FB_META_ARRAY:
    case FB_META_COUNT:
        break;
    }
    return false;
}

bool fb_meta_number(const FbMeta *meta, double *out)
{
    int64_t integer;
    if (fb_meta_integer(meta, &integer)) {
        *out = (double)integer;
        return true;
    }
    bool real = meta != NULL && !meta->is_array && (meta->type == FB_META_F32 || meta->type == FB_META_F64);
    if (real) {
        *out = meta->value.f;
    }
    return real;
}

const char *fb_meta_text(const FbMeta *meta)
{
    return meta != NULL && !meta->is_array && meta->type == FB_META_STRING ? (const char *)meta->text.data : NULL;
}

static double number_at(FbMetaType type, const uint8_t *at)
{
    uint64_t bits = 0;
    size_t bytes = fb_meta_bytes(type);
    memcpy(&bits, at, bytes);
    float single;
    double real;
    switch (type) {
    case FB_META_S8:
        return (double)(int8_t)bits;
    case FB_META_S16:
        return (double)(int16_t)bits;
    case FB_META_S32:
        return (double)(int32_t)bits;
    case FB_META_S64:
        return (double)(int64_t)bits;
    case FB_META_F32:
        memcpy(&single, at, sizeof single);
        return single;
    case FB_META_F64:
        memcpy(&real, at, sizeof real);
        return real;
    case FB_META_U8:
    case FB_META_U16:
    case FB_META_U32:
    case FB_META_U64:
    case FB_META_BOOL:
    case FB_META_STRING:
    case FB_META_ARRAY:
    case FB_META_COUNT:
        break;
    }
    return (double)bits;
}

FbStatus fb_meta_read_numbers(const FbMeta *meta, uint64_t first, size_t count, double *to, FbError *err)
{
    uint8_t raw[4096];
    uint64_t end;
    size_t bytes = fb_meta_bytes(meta->type);
    if (!meta->is_array || bytes == 0 || !fb_add_u64(first, count, &end) || end > meta->count) {
        char shown[160];
        return fb_error_set(err, FB_ERR_FORMAT, "key '%s' is not an array of so many numbers", fb_escape(meta->key, shown, sizeof shown));
    }
    while (count > 0) {
        size_t part = sizeof raw / bytes < count ? sizeof raw / bytes : count;
        FB_TRY(fb_plane_read(&meta->data, first * bytes, raw, part * bytes, err));
        for (size_t i = 0; i < part; i++) {
            *to++ = number_at(meta->type, raw + i * bytes);
        }
        first += part;
        count -= part;
    }
    return FB_OK;
}

FbStatus fb_meta_read_strings(FbArena *arena, const FbMeta *meta, FbBytes **strings, FbError *err)
{
    char shown[160];
    fb_escape(meta->key, shown, sizeof shown);
    if (!meta->is_array || meta->type != FB_META_STRING || meta->data.bytes >= SIZE_MAX || meta->count > SIZE_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "key '%s' is not an array of strings", shown);
    }
    uint8_t *bytes = fb_arena_alloc(arena, (size_t)meta->data.bytes + 1);
    *strings = fb_arena_array(arena, (size_t)meta->count, sizeof **strings);
    if (bytes == NULL || *strings == NULL) {
        return fb_error_memory(fb_arena_context(arena), err, "strings", meta->data.bytes);
    }
    FB_TRY(fb_plane_read(&meta->data, 0, bytes, (size_t)meta->data.bytes, err));
    uint64_t at = 0;
    for (size_t i = 0; i < (size_t)meta->count; i++) {
        uint64_t length = 0, left = meta->data.bytes - at;
        if (left >= 8) {
            memcpy(&length, bytes + at, 8);
            bytes[at] = 0; /* ends the string before */
        }
        if (left < 8 || length > left - 8) { /* checked when the file was opened: it has changed since */
            return fb_error_set(err, FB_ERR_IO, "key '%s': the file has changed while it was being read", shown);
        }
        (*strings)[i] = (FbBytes){bytes + at + 8, (size_t)length};
        at += 8 + length;
    }
    bytes[at] = 0;
    return FB_OK;
}

const char *fb_checkpoint_shown(const FbCheckpoint *checkpoint, const char *name, char *out, size_t bytes)
{
    char path[160], shown[160];
    fb_path_shown(checkpoint->path, path, sizeof path);
    snprintf(out, bytes, "%s: tensor '%s'", path, fb_escape(name, shown, sizeof shown));
    return out;
}
