/* Putting a tokenizer together, see tokenizer_parts.h. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

FbStatus fb_tokenizer_create(FbContext *context, FbTokenizer **out, FbError *err)
{
    FbTokenizer *tokenizer = fb_alloc_zero(context, sizeof *tokenizer);
    *out = NULL;
    FbArena *arena = tokenizer != NULL ? fb_arena_create(context) : NULL;
    if (arena == NULL) {
        fb_free(context, tokenizer);
        return fb_error_memory(context, err, "a tokenizer", sizeof *tokenizer);
    }
    tokenizer->context = context;
    tokenizer->arena = arena;
    fb_text_init(&tokenizer->vocabulary.pool, context);
    tokenizer->model.unknown = -1;
    tokenizer->model.prefix = tokenizer->model.suffix = (FbBytes){(const uint8_t *)"", 0};
    for (int i = 0; i < 256; i++) {
        tokenizer->model.bytes[i] = -1;
    }
    for (int i = 0; i < FB_TOKEN_SPECIAL_COUNT; i++) {
        tokenizer->special[i] = -1;
    }
    *out = tokenizer;
    return FB_OK;
}

void fb_tokenizer_free(FbTokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    FbContext *context = tokenizer->context;
    for (size_t i = 0; i < tokenizer->normals.count; i++) {
        fb_pattern_free(tokenizer->normals.items[i].pattern);
    }
    for (size_t i = 0; i < tokenizer->splits.count; i++) {
        fb_pattern_free(tokenizer->splits.items[i].pattern);
    }
    fb_text_reset(&tokenizer->vocabulary.pool);
    fb_array_free(context, &tokenizer->vocabulary.pieces);
    fb_array_free(context, &tokenizer->added.items);
    fb_array_free(context, &tokenizer->normals);
    fb_array_free(context, &tokenizer->splits);
    fb_array_free(context, &tokenizer->before);
    fb_array_free(context, &tokenizer->after);
    fb_trie_reset(context, &tokenizer->added.raw);
    fb_trie_reset(context, &tokenizer->added.normalized);
    fb_trie_reset(context, &tokenizer->added.exact);
    fb_trie_reset(context, &tokenizer->model.pieces);
    fb_trie_reset(context, &tokenizer->model.continuing);
    fb_trie_reset(context, &tokenizer->model.characters);
    fb_merge_table_reset(context, &tokenizer->model.merges);
    fb_arena_free(tokenizer->arena);
    fb_free(context, tokenizer);
}

FbStatus fb_tokenizer_keep(FbTokenizer *tokenizer, const void *data, size_t count, FbBytes *out, FbError *err)
{
    char *copy = fb_arena_strndup(tokenizer->arena, data, count);
    if (copy == NULL) {
        return fb_error_memory(tokenizer->context, err, "a tokenizer", count);
    }
    *out = (FbBytes){(const uint8_t *)copy, count};
    return FB_OK;
}

static FbStatus no_room(FbTokenizer *tokenizer, FbPattern *pattern, size_t count, FbError *err)
{
    fb_pattern_free(pattern);
    return count >= FB_TOKENIZER_STEPS_MAX
               ? fb_error_set(err, FB_ERR_BUDGET, "a tokenizer of more than %d steps", FB_TOKENIZER_STEPS_MAX)
               : fb_error_memory(tokenizer->context, err, "steps of a tokenizer", 0);
}

FbStatus fb_tokenizer_add_normal(FbTokenizer *tokenizer, FbNormalStep step, FbError *err)
{
    if (tokenizer->normals.count >= FB_TOKENIZER_STEPS_MAX || !fb_array_grow(tokenizer->context, &tokenizer->normals)) {
        return no_room(tokenizer, step.pattern, tokenizer->normals.count, err);
    }
    tokenizer->normals.items[tokenizer->normals.count++] = step;
    return FB_OK;
}

FbStatus fb_tokenizer_add_split(FbTokenizer *tokenizer, FbSplitStep step, FbError *err)
{
    if (tokenizer->splits.count >= FB_TOKENIZER_STEPS_MAX || !fb_array_grow(tokenizer->context, &tokenizer->splits)) {
        return no_room(tokenizer, step.pattern, tokenizer->splits.count, err);
    }
    tokenizer->splits.items[tokenizer->splits.count++] = step;
    return FB_OK;
}

FbStatus fb_tokenizer_split_pattern(FbTokenizer *tokenizer, const char *pattern, FbError *err)
{
    FbSplitStep step = {.kind = FB_SPLIT_PATTERN, .behavior = FB_SPLIT_ISOLATED};
    FB_TRY(fb_pattern_regex(tokenizer->context, pattern, strlen(pattern), &step.pattern, err));
    return fb_tokenizer_add_split(tokenizer, step, err);
}

FbStatus fb_tokenizer_add_token(FbTokenizer *tokenizer, FbAddedToken token, FbError *err)
{
    FbPiece *piece = &tokenizer->vocabulary.pieces.items[token.id];
    if (token.bytes == 0) {
        token.at = piece->at;
        token.bytes = piece->bytes;
    }
    if (token.bytes == 0 || token.bytes > FB_TOKENIZER_ADDED_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the added token %u has %u bytes, expected 1 to %d", (unsigned)token.id, (unsigned)token.bytes,
                            FB_TOKENIZER_ADDED_MAX);
    }
    if (!fb_array_grow(tokenizer->context, &tokenizer->added.items)) {
        return fb_error_memory(tokenizer->context, err, "added tokens", 0);
    }
    piece->flags |= FB_PIECE_ADDED | (token.special ? FB_PIECE_SPECIAL : 0);
    tokenizer->added.items.items[tokenizer->added.items.count++] = token;
    return FB_OK;
}

FbStatus fb_tokenizer_add_around(FbTokenizer *tokenizer, bool before, int32_t id, FbError *err)
{
    bool ok = before ? fb_array_grow(tokenizer->context, &tokenizer->before) : fb_array_grow(tokenizer->context, &tokenizer->after);
    if (!ok) {
        return fb_error_memory(tokenizer->context, err, "a tokenizer", 0);
    }
    if (before) {
        tokenizer->before.items[tokenizer->before.count++] = id;
    } else {
        tokenizer->after.items[tokenizer->after.count++] = id;
    }
    return FB_OK;
}

static FbStatus check_id(const FbTokenizer *tokenizer, int64_t id, const char *where, FbError *err)
{
    bool here = id >= 0 && (uint64_t)id < tokenizer->vocabulary.pieces.count &&
                (tokenizer->vocabulary.pieces.items[id].flags & FB_PIECE_HERE) != 0;
    return here ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "%s names the token %lld, which does not exist", where, (long long)id);
}

FbStatus fb_tokenizer_set_end(FbTokenizer *tokenizer, int64_t id, const char *where, FbError *err)
{
    FB_TRY(check_id(tokenizer, id, where, err));
    tokenizer->vocabulary.pieces.items[id].flags |= FB_PIECE_END;
    return FB_OK;
}

FbStatus fb_tokenizer_set_special(FbTokenizer *tokenizer, FbSpecialToken which, int64_t id, const char *where, FbError *err)
{
    FB_TRY(check_id(tokenizer, id, where, err));
    tokenizer->special[which] = (int32_t)id;
    if (which == FB_TOKEN_EOS || which == FB_TOKEN_EOT) {
        tokenizer->vocabulary.pieces.items[id].flags |= FB_PIECE_END;
    }
    return FB_OK;
}

FbStatus fb_tokenizer_set_merges(FbTokenizer *tokenizer, const FbMerge *merges, size_t count, FbError *err)
{
    return fb_merge_table_build(tokenizer->context, merges, count, &tokenizer->model.merges, err);
}

/* ---- what is derived ---- */

/* Normalized contents are looked for in normalized text. Their texts go into `pool`, one after the other. */
static FbStatus normalize_contents(FbTokenizer *tokenizer, FbText *pool, FbTrieEntry *entries, size_t *count, FbError *err)
{
    FbTokenWork work = {.tokenizer = tokenizer, .context = tokenizer->context, .err = err};
    FbStatus status = fb_work_start(&work);
    for (size_t i = 0; status == FB_OK && i < tokenizer->added.items.count; i++) {
        const FbAddedToken *token = &tokenizer->added.items.items[i];
        const char *content = tokenizer->vocabulary.pool.data + token->at, *text;
        size_t bytes;
        if (!token->normalized || fb_utf8_valid(content, token->bytes) != token->bytes) {
            continue;
        }
        text = content;
        bytes = token->bytes;
        status = token->exact ? FB_OK : fb_normalize(&work, content, token->bytes, &text, &bytes);
        if (status == FB_OK) {
            entries[(*count)++] = (FbTrieEntry){NULL, (uint32_t)bytes, (int32_t)i};
            fb_text_add_n(pool, text, bytes);
            status = pool->failed ? fb_error_memory(tokenizer->context, err, "added tokens", bytes) : FB_OK;
        }
    }
    fb_work_end(&work);
    size_t at = 0;
    for (size_t i = 0; i < *count; i++) { /* the pool has stopped moving */
        entries[i].data = pool->data + at;
        at += entries[i].bytes;
    }
    return status;
}

static FbStatus index_added(FbTokenizer *tokenizer, FbError *err)
{
    size_t total = tokenizer->added.items.count, count = 0;
    FbText pool;
    FbTrieEntry *entries = fb_alloc_array(tokenizer->context, total + 1, sizeof *entries);
    if (entries == NULL) {
        return fb_error_memory(tokenizer->context, err, "added tokens", total);
    }
    fb_text_init(&pool, tokenizer->context);
    FbStatus status = normalize_contents(tokenizer, &pool, entries, &count, err);
    status = status == FB_OK ? fb_trie_build(tokenizer->context, entries, count, &tokenizer->added.normalized, err) : status;
    for (int exact = 0; exact < 2 && status == FB_OK; exact++) {
        count = 0;
        for (size_t i = 0; i < total; i++) {
            const FbAddedToken *token = &tokenizer->added.items.items[i];
            if (exact ? token->exact : !token->normalized && !token->exact) {
                entries[count++] = (FbTrieEntry){tokenizer->vocabulary.pool.data + token->at, token->bytes, (int32_t)i};
            }
        }
        status = fb_trie_build(tokenizer->context, entries, count, exact ? &tokenizer->added.exact : &tokenizer->added.raw, err);
    }
    fb_text_reset(&pool);
    fb_free(tokenizer->context, entries);
    return status;
}

/* Names under which models end a turn or a text; they count where they are special tokens. */
static FbStatus find_ends(FbTokenizer *tokenizer, FbError *err)
{
    static const struct { const char *name; bool turn; } known[] = {
        {"<|eot_id|>", true}, {"<|im_end|>", true}, {"<end_of_turn>", true}, {"<turn|>", true}, {"<|end|>", true}, {"<|eom_id|>", false},
        {"<|endoftext|>", false}, {"<|end_of_text|>", false}, {"<EOT>", true}, {"<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>", false},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int32_t id = fb_tokenizer_find(tokenizer, known[i].name, strlen(known[i].name));
        if (id >= 0 && (tokenizer->vocabulary.pieces.items[id].flags & FB_PIECE_ADDED) != 0) {
            FB_TRY(fb_tokenizer_set_end(tokenizer, id, "the vocabulary", err));
            if (known[i].turn && tokenizer->special[FB_TOKEN_EOT] < 0) {
                tokenizer->special[FB_TOKEN_EOT] = id;
            }
        }
    }
    return FB_OK;
}

FbStatus fb_tokenizer_finish(FbTokenizer *tokenizer, FbError *err)
{
    FB_TRY(index_added(tokenizer, err));
    FB_TRY(fb_vocabulary_decode_all(tokenizer, err));
    return find_ends(tokenizer, err);
}
