/* Key-values: single values are kept, arrays stay in the file after every length in them has been checked. */
#include "io/gguf/gguf_values.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"

typedef struct Key {
    char shown[120];
    char what[160]; /* "key 'x'" */
} Key;

static FbStatus bad(const FbGgufReader *reader, const Key *key, const char *text)
{
    return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: %s", key->what, text);
}

static FbStatus read_text(FbGgufReader *reader, FbCheckpoint *checkpoint, const Key *key, FbMeta *meta)
{
    uint64_t length;
    FB_TRY(fb_gguf_take_u64(reader, &length, key->what));
    if (length > fb_gguf_left(reader)) {
        return fb_gguf_skip(reader, length, key->what);
    }
    if (length > FB_GGUF_TEXT_MAX) {
        return fb_error_set(reader->err, FB_ERR_BUDGET, "%s: a text of %llu bytes, at most %d are read", key->what, (unsigned long long)length,
                            FB_GGUF_TEXT_MAX);
    }
    char *text = fb_arena_alloc(checkpoint->arena, (size_t)length + 1);
    if (text == NULL) {
        return fb_error_memory(checkpoint->context, reader->err, "key-values", length);
    }
    meta->text = (FbBytes){(const uint8_t *)text, (size_t)length};
    return fb_gguf_take(reader, text, (size_t)length, key->what);
}

static FbStatus read_single(FbGgufReader *reader, FbCheckpoint *checkpoint, const Key *key, FbMeta *meta)
{
    uint8_t raw[8] = {0};
    if (meta->type == FB_META_STRING) {
        return read_text(reader, checkpoint, key, meta);
    }
    FB_TRY(fb_gguf_take(reader, raw, fb_meta_bytes(meta->type), key->what));
    uint64_t bits = 0;
    float single;
    for (int i = 7; i >= 0; i--) {
        bits = bits << 8 | raw[i];
    }
    switch (meta->type) {
    case FB_META_S8:
        meta->value.s = (int64_t)(bits & 0xff) - ((bits & 0x80) != 0 ? 0x100 : 0);
        break;
    case FB_META_S16:
        meta->value.s = (int16_t)bits;
        break;
    case FB_META_S32:
        meta->value.s = (int32_t)bits;
        break;
    case FB_META_F32:
        memcpy(&single, raw, sizeof single);
        meta->value.f = single;
        break;
    case FB_META_F64:
        memcpy(&meta->value.f, &bits, sizeof bits);
        break;
    case FB_META_BOOL:
        if (bits > 1) {
            return bad(reader, key, "a boolean must be 0 or 1");
        }
        meta->value.u = bits;
        break;
    case FB_META_S64:
        memcpy(&meta->value.s, &bits, sizeof bits);
        break;
    case FB_META_U8:
    case FB_META_U16:
    case FB_META_U32:
    case FB_META_U64:
    case FB_META_STRING:
    case FB_META_ARRAY:
    case FB_META_COUNT:
        meta->value.u = bits;
        break;
    }
    return FB_OK;
}

static FbStatus skip_strings(FbGgufReader *reader, const Key *key, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length;
        FB_TRY(fb_gguf_take_u64(reader, &length, key->what));
        FB_TRY(fb_gguf_skip(reader, length, key->what));
    }
    return FB_OK;
}

static FbStatus check_booleans(FbGgufReader *reader, const Key *key, uint64_t count)
{
    uint8_t raw[4096];
    while (count > 0) {
        size_t part = count < sizeof raw ? (size_t)count : sizeof raw;
        FB_TRY(fb_gguf_take(reader, raw, part, key->what));
        for (size_t i = 0; i < part; i++) {
            if (raw[i] > 1) {
                return bad(reader, key, "a boolean must be 0 or 1");
            }
        }
        count -= part;
    }
    return FB_OK;
}

static FbStatus read_array(FbGgufReader *reader, const Key *key, FbMeta *meta)
{
    uint32_t type;
    uint64_t bytes;
    FB_TRY(fb_gguf_take_u32(reader, &type, key->what));
    FB_TRY(fb_gguf_take_u64(reader, &meta->count, key->what));
    if (type >= FB_META_COUNT) {
        return bad(reader, key, "an array of an unknown type");
    }
    if (type == FB_META_ARRAY) {
        return fb_error_set(reader->err, FB_ERR_UNSUPPORTED, "%s: arrays of arrays are not read", key->what);
    }
    meta->type = (FbMetaType)type;
    size_t each = type == FB_META_STRING ? 8 : fb_meta_bytes(meta->type); /* a string has its length at least */
    if (!fb_mul_u64(meta->count, each, &bytes) || bytes > fb_gguf_left(reader)) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: an array of %llu elements does not fit the %llu bytes that are left", key->what,
                            (unsigned long long)meta->count, (unsigned long long)fb_gguf_left(reader));
    }
    uint64_t start = reader->at;
    if (type == FB_META_STRING) {
        FB_TRY(skip_strings(reader, key, meta->count));
    } else if (type == FB_META_BOOL) {
        FB_TRY(check_booleans(reader, key, meta->count));
    } else {
        FB_TRY(fb_gguf_skip(reader, bytes, key->what));
    }
    meta->data = (FbPlane){.source = reader->source, .offset = start, .bytes = reader->at - start};
    return FB_OK;
}

static FbStatus read_value(FbGgufReader *reader, FbCheckpoint *checkpoint, uint64_t index, char *name)
{
    uint64_t length;
    uint32_t type;
    FbMeta *meta;
    Key key;
    snprintf(key.what, sizeof key.what, "key %llu", (unsigned long long)index);
    FB_TRY(fb_gguf_take_u64(reader, &length, key.what));
    if (length == 0 || length > FB_GGUF_KEY_MAX) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: a name of %llu bytes, expected 1 to %d", key.what, (unsigned long long)length,
                            FB_GGUF_KEY_MAX);
    }
    FB_TRY(fb_gguf_take(reader, name, (size_t)length, key.what));
    FB_TRY(fb_checkpoint_add_meta(checkpoint, name, (size_t)length, &meta, reader->err));
    snprintf(key.what, sizeof key.what, "key '%s'", fb_escape(meta->key, key.shown, sizeof key.shown));
    FB_TRY(fb_gguf_take_u32(reader, &type, key.what));
    if (type >= FB_META_COUNT) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s: value type %u is unknown", key.what, (unsigned)type);
    }
    meta->type = (FbMetaType)type;
    meta->is_array = type == FB_META_ARRAY;
    return meta->is_array ? read_array(reader, &key, meta) : read_single(reader, checkpoint, &key, meta);
}

FbStatus fb_gguf_read_values(FbGgufReader *reader, FbCheckpoint *checkpoint, uint64_t count)
{
    char *name = fb_alloc(checkpoint->context, FB_GGUF_KEY_MAX);
    FbStatus status = name == NULL ? fb_error_memory(checkpoint->context, reader->err, "a key", FB_GGUF_KEY_MAX) : FB_OK;
    for (uint64_t i = 0; status == FB_OK && i < count; i++) {
        status = read_value(reader, checkpoint, i, name);
    }
    fb_free(checkpoint->context, name);
    return status;
}
