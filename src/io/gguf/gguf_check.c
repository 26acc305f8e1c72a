/* What the key-values of a whole GGUF model must say, whatever its architecture: its name, and a vocabulary that belongs together. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/gguf.h"

#define PREFIX "tokenizer.ggml."

typedef struct VocabularyKey {
    const char *key;
    FbMetaType type, or_type;
    bool per_token; /* one element per token */
} VocabularyKey;

static const VocabularyKey vocabulary_keys[] = {
    {PREFIX "tokens", FB_META_STRING, FB_META_STRING, true},
    {PREFIX "scores", FB_META_F32, FB_META_F32, true},
    {PREFIX "token_type", FB_META_S32, FB_META_U32, true},
    {PREFIX "merges", FB_META_STRING, FB_META_STRING, false},
};

static FbStatus check_array(const FbCheckpoint *checkpoint, const VocabularyKey *row, const FbMeta *tokens, FbError *err)
{
    const FbMeta *meta = fb_checkpoint_meta(checkpoint, row->key);
    if (meta == NULL) {
        return FB_OK;
    }
    if (!meta->is_array || (meta->type != row->type && meta->type != row->or_type)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s must be an array of %s, it is %s%s", row->key, fb_meta_type_name(row->type),
                            meta->is_array ? "one of " : "a single ", fb_meta_type_name(meta->type));
    }
    if (meta->count > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has %llu elements", row->key, (unsigned long long)meta->count);
    }
    if (row->per_token && tokens == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s is there, " PREFIX "tokens is not", row->key);
    }
    if (row->per_token && meta->count != tokens->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has %llu elements, " PREFIX "tokens has %llu", row->key, (unsigned long long)meta->count,
                            (unsigned long long)tokens->count);
    }
    return FB_OK;
}

/* "left right": a space that is neither the first nor the last byte. */
static bool is_pair(const FbBytes *text)
{
    const uint8_t *space = text->count > 2 ? memchr(text->data + 1, ' ', text->count - 2) : NULL;
    return space != NULL;
}

static FbStatus check_merges(const FbCheckpoint *checkpoint, FbError *err)
{
    const FbMeta *merges = fb_checkpoint_meta(checkpoint, PREFIX "merges");
    FbBytes *strings;
    if (merges == NULL) {
        return FB_OK;
    }
    FbArena *arena = fb_arena_create(checkpoint->context);
    if (arena == NULL) {
        return fb_error_memory(checkpoint->context, err, "merges", merges->data.bytes);
    }
    FbStatus status = fb_meta_read_strings(arena, merges, &strings, err);
    for (uint64_t i = 0; status == FB_OK && i < merges->count; i++) {
        if (!is_pair(&strings[i])) {
            char shown[120];
            status = fb_error_set(err, FB_ERR_FORMAT, PREFIX "merges: element %llu is no pair: '%s'", (unsigned long long)i,
                                  fb_escape((const char *)strings[i].data, shown, sizeof shown));
        }
    }
    fb_arena_free(arena);
    return status;
}

/* Statistics files (imatrix) have a type and no architecture. */
static FbStatus check_architecture(const FbCheckpoint *checkpoint, FbError *err)
{
    const char *type = fb_meta_text(fb_checkpoint_meta(checkpoint, "general.type"));
    const FbMeta *meta = fb_checkpoint_meta(checkpoint, "general.architecture");
    const char *name = fb_meta_text(meta);
    if (meta == NULL && type != NULL && strcmp(type, "model") != 0) {
        return FB_OK;
    }
    return name != NULL && name[0] != '\0' ? FB_OK
                                           : fb_error_set(err, FB_ERR_FORMAT, meta == NULL ? "the key general.architecture is missing"
                                                                                            : "general.architecture must be a name");
}

FbStatus fb_gguf_check(const FbCheckpoint *checkpoint, FbError *err)
{
    const FbMeta *tokens = fb_checkpoint_meta(checkpoint, PREFIX "tokens");
    FB_TRY(check_architecture(checkpoint, err));
    for (size_t i = 0; i < sizeof vocabulary_keys / sizeof *vocabulary_keys; i++) {
        FB_TRY(check_array(checkpoint, &vocabulary_keys[i], tokens, err));
    }
    return check_merges(checkpoint, err);
}
