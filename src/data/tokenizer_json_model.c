/* The model of a tokenizer.json: its vocabulary, merges, and the tokens added to it. */
#include <math.h>
#include <string.h>

#include "data/tokenizer_json.h"
#include "data/tokenizer_unicode.h"

static FbStatus bad_id(const char *token, int64_t id, size_t count, FbError *err)
{
    char shown[80];
    return fb_error_set(err, FB_ERR_FORMAT, "the token '%s' has the id %lld in a vocabulary of %zu", fb_escape(token, shown, sizeof shown),
                        (long long)id, count);
}

/* Ids may have holes, but not so many that a small file asks for much memory. */
static bool id_fits(int64_t id, size_t count) { return id >= 0 && id < FB_TOKENIZER_IDS_MAX && (uint64_t)id < 8 * (uint64_t)count + 1024; }

static FbStatus add_piece(FbTokenizer *tokenizer, uint32_t id, const char *key, size_t bytes, double score, FbText *scratch, FbError *err)
{
    unsigned flags = FB_PIECE_HERE | FB_PIECE_MODEL;
    scratch->length = 0;
    if (tokenizer->model.byte_level) {
        if (fb_byte_level_decode(key, bytes, scratch)) {
            key = scratch->data;
            bytes = scratch->length;
        } else {
            flags = FB_PIECE_HERE | FB_PIECE_RAW;
        }
        if (scratch->failed) {
            return fb_error_memory(tokenizer->context, err, "a vocabulary", bytes);
        }
    }
    return fb_vocabulary_add(&tokenizer->vocabulary, id, key, bytes, score, flags, err);
}

FbStatus fb_json_bpe_vocabulary(FbTokenizer *tokenizer, const json_t *vocabulary, FbError *err)
{
    FbText scratch;
    FbStatus status = FB_OK;
    size_t count = json_object_size(vocabulary);
    if (!json_is_object(vocabulary) || count == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "the model's vocabulary is empty, or no object of tokens and ids");
    }
    fb_text_init(&scratch, tokenizer->context);
    fb_text_add(&scratch, " "); /* has memory from now on */
    for (void *at = json_object_iter((json_t *)vocabulary); status == FB_OK && at != NULL;
         at = json_object_iter_next((json_t *)vocabulary, at)) {
        const json_t *value = json_object_iter_value(at);
        const char *key = json_object_iter_key(at);
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        status = id_fits(id, count) ? add_piece(tokenizer, (uint32_t)id, key, strlen(key), 0, &scratch, err) : bad_id(key, id, count, err);
    }
    fb_text_reset(&scratch);
    return status;
}

/* ---- merges ---- */

typedef struct JsonMerge {
    const char *left, *right;
    size_t left_bytes, right_bytes;
} JsonMerge;

static bool merge_of(const json_t *json, JsonMerge *merge)
{
    if (json_is_array(json) && json_array_size(json) == 2) {
        const json_t *left = json_array_get(json, 0), *right = json_array_get(json, 1);
        merge->left = json_string_value(left);
        merge->right = json_string_value(right);
        merge->left_bytes = json_string_length(left);
        merge->right_bytes = json_string_length(right);
        return merge->left_bytes > 0 && merge->right_bytes > 0;
    }
    const char *text = json_string_value(json), *space = text != NULL ? strchr(text, ' ') : NULL;
    if (space == NULL || space == text || space[1] == '\0' || strchr(space + 1, ' ') != NULL) {
        return false;
    }
    merge->left = text;
    merge->left_bytes = (size_t)(space - text);
    merge->right = space + 1;
    merge->right_bytes = strlen(space + 1);
    return true;
}

/* -1: no such token. */
static int64_t id_of(const json_t *vocabulary, const char *token)
{
    const json_t *value = json_object_get(vocabulary, token);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static FbStatus read_merge(const FbTokenizer *tokenizer, const json_t *vocabulary, const json_t *json, size_t index, FbText *scratch, FbMerge *out,
                           FbError *err)
{
    JsonMerge merge;
    const FbBytes *prefix = &tokenizer->model.prefix;
    char shown[120];
    if (!merge_of(json, &merge)) {
        return fb_error_set(err, FB_ERR_FORMAT, "merge %zu is no pair of tokens", index);
    }
    if (merge.right_bytes < prefix->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "merge %zu: '%s' is shorter than the prefix of %zu bytes", index,
                            fb_escape(merge.right, shown, sizeof shown), prefix->count);
    }
    scratch->length = 0;
    fb_text_add_n(scratch, merge.left, merge.left_bytes);
    int64_t left = scratch->failed ? -1 : id_of(vocabulary, scratch->data);
    fb_text_add_n(scratch, merge.right + prefix->count, merge.right_bytes - prefix->count);
    int64_t right = id_of(vocabulary, merge.right);
    int64_t result = scratch->failed ? -1 : id_of(vocabulary, scratch->data);
    if (scratch->failed) {
        return fb_error_memory(tokenizer->context, err, "merges", scratch->length);
    }
    if (left < 0 || right < 0 || result < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "merge %zu %s '%s', which is not in the vocabulary", index, result < 0 && left >= 0 && right >= 0 ? "makes" : "is of",
                            fb_escape(result < 0 && left >= 0 && right >= 0 ? scratch->data : left < 0 ? merge.left : merge.right, shown, sizeof shown));
    }
    *out = (FbMerge){(uint32_t)left, (uint32_t)right, (uint32_t)result, (uint32_t)index};
    return FB_OK;
}

FbStatus fb_json_bpe_merges(FbTokenizer *tokenizer, const json_t *vocabulary, const json_t *merges, FbError *err)
{
    size_t count = json_array_size(merges);
    FbText scratch;
    FbMerge *table = fb_alloc_array(tokenizer->context, count + 1, sizeof *table);
    FbStatus status = table != NULL ? FB_OK : fb_error_memory(tokenizer->context, err, "merges", count * sizeof *table);
    fb_text_init(&scratch, tokenizer->context);
    for (size_t i = 0; status == FB_OK && i < count; i++) {
        status = read_merge(tokenizer, vocabulary, json_array_get(merges, i), i, &scratch, &table[i], err);
    }
    status = status == FB_OK ? fb_tokenizer_set_merges(tokenizer, table, count, err) : status;
    fb_text_reset(&scratch);
    fb_free(tokenizer->context, table);
    return status;
}

static FbStatus keep_optional(FbTokenizer *tokenizer, const json_t *model, const char *key, FbBytes *out, FbError *err)
{
    const json_t *value = json_object_get(model, key);
    if (json_string_length(value) > FB_TOKENIZER_ADDED_MAX / 4) {
        return fb_error_set(err, FB_ERR_BUDGET, "the model's %s has %zu bytes, at most %d are read", key, json_string_length(value),
                            FB_TOKENIZER_ADDED_MAX / 4);
    }
    return json_is_string(value) ? fb_tokenizer_keep(tokenizer, json_string_value(value), json_string_length(value), out, err) : FB_OK;
}

static FbStatus set_unknown(FbTokenizer *tokenizer, const json_t *model, const json_t *vocabulary, bool needed, FbError *err)
{
    const char *name = json_string_value(json_object_get(model, "unk_token"));
    int64_t id = name != NULL ? id_of(vocabulary, name) : -1;
    char shown[80];
    if (id < 0 && (needed || name != NULL)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the unknown token '%s' is not in the vocabulary",
                            name != NULL ? fb_escape(name, shown, sizeof shown) : "");
    }
    tokenizer->model.unknown = (int32_t)id;
    return id >= 0 ? fb_tokenizer_set_special(tokenizer, FB_TOKEN_UNK, id, "the model's unk_token", err) : FB_OK;
}

static FbStatus bpe(FbTokenizer *tokenizer, const json_t *model, FbError *err)
{
    const json_t *vocabulary = json_object_get(model, "vocab"), *dropout = json_object_get(model, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) != 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the model drops merges at random (dropout), which is for training only");
    }
    tokenizer->model.kind = FB_MODEL_BPE;
    tokenizer->model.fuse_unknown = fb_json_flag(model, "fuse_unk", false);
    tokenizer->model.byte_fallback = fb_json_flag(model, "byte_fallback", false);
    tokenizer->model.whole_words = fb_json_flag(model, "ignore_merges", false);
    FB_TRY(keep_optional(tokenizer, model, "continuing_subword_prefix", &tokenizer->model.prefix, err));
    FB_TRY(keep_optional(tokenizer, model, "end_of_word_suffix", &tokenizer->model.suffix, err));
    if (tokenizer->model.byte_level && (tokenizer->model.prefix.count > 0 || tokenizer->model.suffix.count > 0)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "ByteLevel with a prefix or suffix of words is not supported");
    }
    FB_TRY(fb_json_bpe_vocabulary(tokenizer, vocabulary, err));
    FB_TRY(set_unknown(tokenizer, model, vocabulary, false, err));
    if (!json_is_array(json_object_get(model, "merges"))) {
        return fb_error_set(err, FB_ERR_FORMAT, "the model BPE has no list 'merges'");
    }
    return fb_json_bpe_merges(tokenizer, vocabulary, json_object_get(model, "merges"), err);
}

static FbStatus wordpiece(FbTokenizer *tokenizer, const json_t *model, FbError *err)
{
    const json_t *vocabulary = json_object_get(model, "vocab");
    int64_t longest = 100;
    tokenizer->model.kind = FB_MODEL_WORDPIECE;
    FB_TRY(fb_tokenizer_keep(tokenizer, "##", 2, &tokenizer->model.prefix, err));
    FB_TRY(keep_optional(tokenizer, model, "continuing_subword_prefix", &tokenizer->model.prefix, err));
    FB_TRY(fb_json_get_int(model, "max_input_chars_per_word", "the model", 0, INT32_MAX, &longest, err));
    tokenizer->model.longest_word = (uint32_t)longest;
    FB_TRY(fb_json_bpe_vocabulary(tokenizer, vocabulary, err));
    return set_unknown(tokenizer, model, vocabulary, true, err);
}

static FbStatus unigram(FbTokenizer *tokenizer, const json_t *model, FbError *err)
{
    const json_t *vocabulary = json_object_get(model, "vocab"), *unknown = json_object_get(model, "unk_id");
    size_t count = json_array_size(vocabulary);
    double least = INFINITY;
    if (count == 0 || count > FB_TOKENIZER_IDS_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the model's vocabulary has %zu tokens, expected 1 to %d", count, FB_TOKENIZER_IDS_MAX);
    }
    tokenizer->model.kind = FB_MODEL_UNIGRAM;
    tokenizer->model.fuse_unknown = true;
    tokenizer->model.byte_fallback = fb_json_flag(model, "byte_fallback", false);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(vocabulary, i), *piece = json_array_get(row, 0), *score = json_array_get(row, 1);
        if (!json_is_string(piece) || !json_is_number(score)) {
            return fb_error_set(err, FB_ERR_FORMAT, "token %zu of the model's vocabulary is no [text, score]", i);
        }
        double value = json_number_value(score);
        if (!(fabs(value) <= 1e30)) {
            return fb_error_set(err, FB_ERR_FORMAT, "token %zu of the model's vocabulary has the score %g", i, value);
        }
        least = value < least ? value : least;
        FB_TRY(fb_vocabulary_add(&tokenizer->vocabulary, (uint32_t)i, json_string_value(piece), json_string_length(piece), value,
                                 FB_PIECE_HERE | FB_PIECE_MODEL, err));
    }
    tokenizer->model.unknown_score = least - 10;
    if (json_is_integer(unknown)) {
        FB_TRY(fb_tokenizer_set_special(tokenizer, FB_TOKEN_UNK, json_integer_value(unknown), "the model's unk_id", err));
    }
    tokenizer->model.unknown = tokenizer->special[FB_TOKEN_UNK];
    return FB_OK;
}

/* ---- added tokens ---- */

/* The id of a token that the vocabulary writes so; ByteLevel's are kept as bytes. -1: none. */
static bool same_piece(const FbTokenizer *tokenizer, uint32_t id, const char *content, size_t bytes)
{
    const FbPiece *piece = &tokenizer->vocabulary.pieces.items[id];
    return piece->bytes == bytes && memcmp(fb_piece_data(&tokenizer->vocabulary, id), content, bytes) == 0;
}

/* ByteLevel's vocabulary may have the content as bytes in disguise: then it is looked for as it is written, and stays what the model makes. */
static FbStatus find_disguised(FbTokenizer *tokenizer, FbAddedToken *token, const char *content, size_t bytes, FbError *err)
{
    FbText scratch;
    fb_text_init(&scratch, tokenizer->context);
    bool decodes = tokenizer->model.byte_level && fb_byte_level_decode(content, bytes, &scratch);
    bool same = decodes && same_piece(tokenizer, token->id, scratch.data != NULL ? scratch.data : "", scratch.length);
    bool failed = scratch.failed;
    fb_text_reset(&scratch);
    if (failed) {
        return fb_error_memory(tokenizer->context, err, "added tokens", bytes);
    }
    if (!same) {
        char shown[80];
        return fb_error_set(err, FB_ERR_FORMAT, "the added token '%s' has the id %u, which the vocabulary gives to another token",
                            fb_escape(content, shown, sizeof shown), (unsigned)token->id);
    }
    token->bytes = (uint32_t)bytes;
    return fb_vocabulary_keep(&tokenizer->vocabulary, content, bytes, &token->at, err);
}

/* The token's row in the vocabulary, new or found. */
static FbStatus place(FbTokenizer *tokenizer, FbAddedToken *token, const char *content, size_t bytes, FbError *err)
{
    const FbVocabulary *vocabulary = &tokenizer->vocabulary;
    unsigned flags = token->id < vocabulary->pieces.count ? vocabulary->pieces.items[token->id].flags : 0;
    if ((flags & FB_PIECE_ADDED) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "two added tokens have the id %u", (unsigned)token->id);
    }
    if ((flags & FB_PIECE_HERE) == 0) {
        return fb_vocabulary_add(&tokenizer->vocabulary, token->id, content, bytes, 0, FB_PIECE_HERE | FB_PIECE_RAW, err);
    }
    return same_piece(tokenizer, token->id, content, bytes) ? FB_OK : find_disguised(tokenizer, token, content, bytes, err);
}

FbStatus fb_json_added_token(FbTokenizer *tokenizer, const json_t *json, int64_t id, FbError *err)
{
    const json_t *content = json_object_get(json, "content");
    size_t bytes = json_string_length(content), count = tokenizer->vocabulary.pieces.count;
    bool special = fb_json_flag(json, "special", false);
    if (!json_is_string(content) || bytes == 0 || bytes > FB_TOKENIZER_ADDED_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the added token %lld has a content of %zu bytes, expected 1 to %d", (long long)id, bytes,
                            FB_TOKENIZER_ADDED_MAX);
    }
    if (!id_fits(id, count)) {
        return bad_id(json_string_value(content), id, count, err);
    }
    FbAddedToken token = {.id = (uint32_t)id,
                          .special = special,
                          .single_word = fb_json_flag(json, "single_word", false),
                          .left_strip = fb_json_flag(json, "lstrip", false),
                          .right_strip = fb_json_flag(json, "rstrip", false),
                          .normalized = fb_json_flag(json, "normalized", !special)};
    FB_TRY(place(tokenizer, &token, json_string_value(content), bytes, err));
    if (special && token.bytes == 0) { /* the model must not make it of ordinary text */
        tokenizer->vocabulary.pieces.items[id].flags &= (uint8_t)~FB_PIECE_MODEL;
    }
    return fb_tokenizer_add_token(tokenizer, token, err);
}

static const char *kind_of(const json_t *model)
{
    const char *type = fb_json_type(model);
    return type != NULL                                           ? type
           : json_is_array(json_object_get(model, "vocab"))       ? "Unigram"
           : json_object_get(model, "merges") != NULL             ? "BPE"
           : json_object_get(model, "max_input_chars_per_word") != NULL ? "WordPiece"
                                                                  : "";
}

FbStatus fb_json_model(FbTokenizer *tokenizer, const json_t *model, const json_t *added, FbError *err)
{
    const char *kind = kind_of(model);
    if (strcmp(kind, "BPE") == 0) {
        FB_TRY(bpe(tokenizer, model, err));
    } else if (strcmp(kind, "Unigram") == 0) {
        FB_TRY(unigram(tokenizer, model, err));
    } else if (strcmp(kind, "WordPiece") == 0) {
        FB_TRY(wordpiece(tokenizer, model, err));
    } else {
        return fb_json_unsupported(model, "model", err);
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i), *id = json_object_get(token, "id");
        FB_TRY(fb_json_added_token(tokenizer, token, json_is_integer(id) ? json_integer_value(id) : -1, err));
    }
    return fb_tokenizer_index(tokenizer, err);
}
