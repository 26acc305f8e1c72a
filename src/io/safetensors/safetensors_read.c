/* One safetensors file: the header as JSON, then proof that the tensors cover the rest of the file exactly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file_error.h"
#include "base/text.h"
#include "io/safetensors/safetensors.h"

static const struct { const char *name; FbDtype dtype; } dtypes[] = {
    {"F64", FB_DTYPE_F64},         {"F32", FB_DTYPE_F32},   {"F16", FB_DTYPE_F16},
    {"BF16", FB_DTYPE_BF16},       {"I64", FB_DTYPE_S64},   {"I32", FB_DTYPE_S32},
    {"I16", FB_DTYPE_S16},         {"I8", FB_DTYPE_S8},     {"U64", FB_DTYPE_U64},
    {"U32", FB_DTYPE_U32},         {"U16", FB_DTYPE_U16},   {"U8", FB_DTYPE_U8},
    {"BOOL", FB_DTYPE_BOOL},       {"C64", FB_DTYPE_C64},   {"F8_E4M3", FB_DTYPE_F8E4M3FN},
    {"F8_E5M2", FB_DTYPE_F8E5M2},  {"F8_E8M0", FB_DTYPE_F8E8M0}, {"F8_E4M3FNUZ", FB_DTYPE_F8E4M3FNUZ},
    {"F8_E5M2FNUZ", FB_DTYPE_F8E5M2FNUZ}, {"F4", FB_DTYPE_F4E2M1},
};

typedef struct Entry {
    const char *name;
    const json_t *json;
    uint64_t begin, end;
} Entry;

static int by_place(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->end != y->end) {
        return x->end < y->end ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static FbStatus bad(FbError *err, const Entry *entry, const char *text)
{
    char shown[160];
    return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s': %s", fb_escape(entry->name, shown, sizeof shown), text);
}

FbStatus fb_safetensors_json(FbContext *context, FbSource *source, uint64_t offset, uint64_t bytes, const char *what, json_t **out, FbError *err)
{
    enum { TREE_FACTOR = 8 }; /* heap of a JSON tree against its text */
    uint64_t cap = fb_context_max_memory(context);
    *out = NULL;
    if (cap != 0 && bytes > cap / TREE_FACTOR) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: reading %llu bytes of JSON needs about %d times as much memory", what,
                            (unsigned long long)bytes, TREE_FACTOR);
    }
    char *text = fb_alloc(context, (size_t)bytes + 1);
    if (text == NULL) {
        return fb_error_memory(context, err, what, bytes);
    }
    FbStatus status = fb_source_read(source, offset, text, (size_t)bytes, err);
    if (status == FB_OK && (bytes == 0 || text[0] != '{')) {
        status = fb_error_set(err, FB_ERR_FORMAT, "%s does not begin with '{'", what);
    }
    if (status == FB_OK) {
        status = fb_json_parse(text, (size_t)bytes, FB_SAFETENSORS_HEADER_MAX, what, out, err);
    }
    fb_free(context, text);
    return status;
}

static bool get_u64(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Where the tensor lies in the buffer behind the header. */
static FbStatus read_place(Entry *entry, uint64_t data_bytes, FbError *err)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    char where[200], shown[160];
    snprintf(where, sizeof where, "tensor '%s'", fb_escape(entry->name, shown, sizeof shown));
    FB_TRY(fb_json_check_keys(entry->json, keys, 3, where, err));
    const json_t *offsets = json_object_get(entry->json, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !get_u64(json_array_get(offsets, 0), &entry->begin) ||
        !get_u64(json_array_get(offsets, 1), &entry->end)) {
        return bad(err, entry, "data_offsets must be two whole numbers that are not negative");
    }
    if (entry->begin > entry->end) {
        return bad(err, entry, "data_offsets: the begin lies behind the end");
    }
    if (entry->end > data_bytes) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: it ends at byte %llu of the data, which has %llu bytes (a truncated file?)", where,
                            (unsigned long long)entry->end, (unsigned long long)data_bytes);
    }
    return FB_OK;
}

static FbStatus read_dtype(const Entry *entry, FbDtype *dtype, FbError *err)
{
    const char *name = json_string_value(json_object_get(entry->json, "dtype"));
    for (size_t i = 0; name != NULL && i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = dtypes[i].dtype;
            return FB_OK;
        }
    }
    if (name == NULL) {
        return bad(err, entry, "dtype must be a string");
    }
    char shown[160], shown_type[80];
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': unknown type '%s'", fb_escape(entry->name, shown, sizeof shown),
                        fb_escape(name, shown_type, sizeof shown_type));
}

static FbStatus read_shape(const Entry *entry, FbShape *shape, FbError *err)
{
    const json_t *dims = json_object_get(entry->json, "shape");
    if (!json_is_array(dims)) {
        return bad(err, entry, "shape must be a list");
    }
    if (json_array_size(dims) > FB_RANK_MAX) {
        char shown[160];
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': %zu dimensions, at most %d are handled",
                            fb_escape(entry->name, shown, sizeof shown), json_array_size(dims), FB_RANK_MAX);
    }
    shape->rank = (int)json_array_size(dims);
    for (int i = 0; i < shape->rank; i++) {
        uint64_t dim;
        if (!get_u64(json_array_get(dims, (size_t)i), &dim)) {
            return bad(err, entry, "a dimension must be a whole number that is not negative");
        }
        shape->dims[i] = (int64_t)dim;
    }
    return FB_OK;
}

static FbStatus add_tensor(FbCheckpoint *checkpoint, const Entry *entry, uint32_t file, uint64_t data_start, FbError *err)
{
    FbDtype dtype = FB_DTYPE_NONE;
    FbShape shape = {.rank = 0};
    int64_t elements;
    uint64_t bytes;
    FbTableTensor *tensor;
    FB_TRY(read_dtype(entry, &dtype, err));
    FB_TRY(read_shape(entry, &shape, err));
    if (!fb_product_dims(shape.dims, shape.rank, &elements) || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes)) {
        return bad(err, entry, "its shape has too many elements");
    }
    int bits = fb_dtype_bits(dtype);
    if (bits < 8 && (uint64_t)elements % (8 / (uint64_t)bits) != 0) {
        return bad(err, entry, "its elements do not end on a whole byte");
    }
    if (bytes != entry->end - entry->begin) {
        char shown[160], dims[128];
        fb_shape_text(&shape, dims, sizeof dims);
        return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s': %s of type %s has %llu bytes, data_offsets say %llu",
                            fb_escape(entry->name, shown, sizeof shown), dims, fb_dtype_name(dtype), (unsigned long long)bytes,
                            (unsigned long long)(entry->end - entry->begin));
    }
    FB_TRY(fb_checkpoint_add_tensor(checkpoint, entry->name, strlen(entry->name), &tensor, err));
    tensor->file = file;
    tensor->constant.dtype = dtype;
    tensor->constant.shape = shape;
    tensor->constant.planes[FB_PLANE_CODES] =
        (FbPlane){.source = checkpoint->files[file].source, .offset = data_start + entry->begin, .bytes = bytes};
    return FB_OK;
}

/* The buffer must be covered without holes and overlaps. */
static FbStatus check_cover(const Entry *entries, size_t count, uint64_t data_bytes, FbError *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        char shown[160];
        if (entries[i].begin != at) {
            return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s': it begins at byte %llu, the tensors before it end at %llu: %s",
                                fb_escape(entries[i].name, shown, sizeof shown), (unsigned long long)entries[i].begin, (unsigned long long)at,
                                entries[i].begin < at ? "they overlap" : "a hole");
        }
        at = entries[i].end;
    }
    return at == data_bytes ? FB_OK
                            : fb_error_set(err, FB_ERR_FORMAT, "%llu bytes behind the last tensor belong to none", (unsigned long long)(data_bytes - at));
}

/* Strings only; shards repeat their key-values. */
static FbStatus read_metadata(FbCheckpoint *checkpoint, const json_t *object, FbError *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return fb_error_set(err, FB_ERR_FORMAT, "__metadata__ must be an object");
    }
    json_object_foreach((json_t *)object, key, value)
    {
        char shown[160];
        fb_escape(key, shown, sizeof shown);
        if (!json_is_string(value)) {
            return fb_error_set(err, FB_ERR_FORMAT, "__metadata__: the value of '%s' must be a string", shown);
        }
        const FbMeta *known = checkpoint->file_count > 1 ? fb_checkpoint_meta(checkpoint, key) : NULL;
        if (known != NULL) {
            const char *text = fb_meta_text(known);
            if (text == NULL || strcmp(text, json_string_value(value)) != 0) {
                fb_log(checkpoint->context, FB_LOG_WARNING, "shards-differ", "the shards give different values for '%s'; the first counts", shown);
            }
            continue;
        }
        FbMeta *meta;
        FB_TRY(fb_checkpoint_add_meta(checkpoint, key, strlen(key), &meta, err));
        char *copy = fb_arena_strndup(checkpoint->arena, json_string_value(value), json_string_length(value));
        if (copy == NULL) {
            return fb_error_memory(checkpoint->context, err, "key-values", json_string_length(value));
        }
        meta->type = FB_META_STRING;
        meta->text = (FbBytes){(const uint8_t *)copy, json_string_length(value)};
    }
    return FB_OK;
}

static FbStatus read_entries(FbCheckpoint *checkpoint, const json_t *header, uint32_t file, uint64_t data_start, uint64_t data_bytes, FbError *err)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    Entry *entries = fb_alloc_array(checkpoint->context, json_object_size(header) + 1, sizeof *entries);
    if (entries == NULL) {
        return fb_error_memory(checkpoint->context, err, "a table of tensors", json_object_size(header) * sizeof *entries);
    }
    FbStatus status = FB_OK;
    json_object_foreach((json_t *)header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            status = read_metadata(checkpoint, value, err);
        } else {
            entries[count] = (Entry){.name = name, .json = value};
            status = read_place(&entries[count++], data_bytes, err);
        }
        if (status != FB_OK) {
            break;
        }
    }
    if (status == FB_OK) {
        qsort(entries, count, sizeof *entries, by_place);
        status = check_cover(entries, count, data_bytes, err);
    }
    for (size_t i = 0; status == FB_OK && i < count; i++) {
        status = add_tensor(checkpoint, &entries[i], file, data_start, err);
    }
    fb_free(checkpoint->context, entries);
    return status;
}

static FbStatus read_file(FbCheckpoint *checkpoint, FbSource *source, uint32_t file, FbError *err)
{
    uint8_t raw[8];
    uint64_t bytes = fb_source_bytes(source), header_bytes = 0;
    json_t *header;
    if (bytes < sizeof raw) {
        return fb_error_set(err, FB_ERR_FORMAT, "%llu bytes are too few for a safetensors file", (unsigned long long)bytes);
    }
    FB_TRY(fb_source_read(source, 0, raw, sizeof raw, err));
    for (int i = 7; i >= 0; i--) {
        header_bytes = header_bytes << 8 | raw[i];
    }
    if (header_bytes > FB_SAFETENSORS_HEADER_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the header is said to have %llu bytes, at most %d are allowed", (unsigned long long)header_bytes,
                            FB_SAFETENSORS_HEADER_MAX);
    }
    if (header_bytes > bytes - sizeof raw) {
        return fb_error_set(err, FB_ERR_FORMAT, "the header is said to have %llu bytes, the file has %llu in all (a truncated file?)",
                            (unsigned long long)header_bytes, (unsigned long long)bytes);
    }
    FB_TRY(fb_safetensors_json(checkpoint->context, source, sizeof raw, header_bytes, "the header", &header, err));
    uint64_t start = sizeof raw + header_bytes;
    FbStatus status = read_entries(checkpoint, header, file, start, bytes - start, err);
    json_decref(header);
    return status;
}

FbStatus fb_safetensors_read(FbCheckpoint *checkpoint, FbSource *source, const char *name, FbError *err)
{
    uint32_t file;
    char shown[200];
    FB_TRY(fb_checkpoint_add_file(checkpoint, source, name, &file, err));
    FbStatus status = read_file(checkpoint, source, file, err);
    return status == FB_OK ? status : fb_error_context(err, status, "%s", fb_path_shown(name, shown, sizeof shown));
}

FbStatus fb_safetensors_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err)
{
    *out = NULL;
    FbCheckpoint *checkpoint;
    FB_TRY(fb_checkpoint_create(context, path, "safetensors", &checkpoint, err));
    FbStatus status = fb_safetensors_read(checkpoint, fb_source_retain(source), path, err);
    if (status != FB_OK) {
        fb_checkpoint_free(checkpoint);
        return status;
    }
    *out = checkpoint;
    return FB_OK;
}
