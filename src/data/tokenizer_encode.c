/* Text to ids: added tokens are cut out first, what is between them goes through normalizer, pre-tokenizer and model. */
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

enum { TEXT_BYTES_MAX = 1 << 30 };

FbStatus fb_work_memory(const FbTokenWork *work, const char *what) { return fb_error_memory(work->context, work->err, what, 0); }

FbStatus fb_work_add(FbTokenWork *work, int32_t id)
{
    if (work->ids.count == work->ids.capacity && !fb_array_grow(work->context, &work->ids)) {
        return fb_work_memory(work, "tokens");
    }
    work->ids.items[work->ids.count++] = id;
    return FB_OK;
}

FbStatus fb_work_start(FbTokenWork *work)
{
    size_t steps = work->tokenizer->normals.count + work->tokenizer->splits.count;
    for (int i = 0; i < 2; i++) {
        fb_text_init(&work->normal[i], work->context);
        fb_text_init(&work->split[i], work->context);
        fb_text_add(&work->normal[i], ""); /* an empty text is one, too */
        fb_text_add(&work->split[i], "");
    }
    work->runs = fb_alloc_zero(work->context, (steps + 1) * sizeof(FbPatternRun *));
    return work->runs != NULL ? FB_OK : fb_work_memory(work, "a tokenizer's steps");
}

void fb_work_end(FbTokenWork *work)
{
    size_t steps = work->tokenizer->normals.count + work->tokenizer->splits.count;
    for (int i = 0; i < 2; i++) {
        fb_text_reset(&work->normal[i]);
        fb_text_reset(&work->split[i]);
        fb_array_free(work->context, &work->words[i]);
    }
    for (size_t i = 0; work->runs != NULL && i < steps; i++) {
        fb_pattern_end(work->runs[i]);
    }
    fb_free(work->context, work->runs);
    fb_array_free(work->context, &work->ids);
    fb_array_free(work->context, &work->best);
    fb_merge_work_reset(work->context, &work->merge);
}

static FbStatus encode_words(FbTokenWork *work, const char *text, size_t bytes)
{
    const FbWord *words;
    size_t count;
    FB_TRY(fb_split_words(work, text, bytes, &text, &words, &count));
    for (size_t i = 0; i < count; i++) {
        const char *word = text + words[i].begin;
        size_t length = words[i].end - words[i].begin;
        if (length >= UINT32_MAX) { /* places in a word are 32 bits wide */
            return fb_error_set(work->err, FB_ERR_BUDGET, "a word of %zu bytes", length);
        }
        if ((i & 4095) == 4095) {
            FB_TRY(fb_check_cancel(work->context, work->err));
        }
        switch (work->tokenizer->model.kind) {
        case FB_MODEL_BPE:
            FB_TRY(fb_encode_bpe(work, word, length));
            break;
        case FB_MODEL_UNIGRAM:
            FB_TRY(fb_encode_unigram(work, word, length));
            break;
        case FB_MODEL_WORDPIECE:
            FB_TRY(fb_encode_wordpiece(work, word, length));
            break;
        }
    }
    return FB_OK;
}

/* ---- added tokens ---- */

typedef struct AddedMatch {
    size_t begin, end, resume; /* with the white space that the token takes; where the next search begins */
    size_t space_from, space_end; /* white space that was walked through last */
    uint32_t id;
} AddedMatch;

/* The end of the white space at `at`. What was walked through last is not walked through again: white space may be a token itself. */
static size_t skip_space(const char *text, size_t bytes, size_t at, AddedMatch *match)
{
    size_t end = at >= match->space_from && at < match->space_end ? match->space_end : at;
    while (end < bytes) {
        size_t next = end;
        if (!fb_is_space(fb_utf8_next(text, &next))) {
            break;
        }
        end = next;
    }
    match->space_from = at;
    match->space_end = end;
    return end;
}

static bool accept(const FbTokenWork *work, const FbAddedToken *token, const char *text, size_t bytes, size_t done, AddedMatch *match)
{
    size_t begin = match->begin, end = match->end;
    if (token->special && (work->flags & FB_TOKENS_PARSE_SPECIAL) == 0) {
        return false;
    }
    if (token->single_word) {
        size_t before = begin > 0 ? fb_utf8_before(text, begin) : 0, after = end;
        if ((begin > 0 && fb_is_word(fb_utf8_next(text, &before))) || (end < bytes && fb_is_word(fb_utf8_next(text, &after)))) {
            return false;
        }
    }
    while (token->left_strip && begin > done) {
        size_t before = fb_utf8_before(text, begin), at = before;
        if (before < done || !fb_is_space(fb_utf8_next(text, &at))) {
            break;
        }
        begin = before;
    }
    match->begin = begin;
    match->end = token->right_strip ? skip_space(text, bytes, end, match) : end;
    match->id = token->id;
    return true;
}

/* The next added token at or behind `from`: of those that begin first the longest. `done` is the end of the one before. */
static bool next_added(const FbTokenWork *work, const FbTrie *trie, const char *text, size_t bytes, size_t from, size_t done, AddedMatch *match)
{
    for (size_t at = from; trie->count > 0 && at < bytes;) {
        size_t length = 0;
        if (trie->root[(uint8_t)text[at]] == 0) {
            at++;
            continue;
        }
        int32_t index = fb_trie_longest(trie, text + at, bytes - at, &length);
        if (index < 0) {
            at++;
            continue;
        }
        match->begin = at;
        match->end = match->resume = at + length;
        if (accept(work, &work->tokenizer->added.items.items[index], text, bytes, done, match)) {
            return true;
        }
        at += length;
    }
    return false;
}

static FbStatus encode_normalized(FbTokenWork *work, const char *text, size_t bytes)
{
    AddedMatch match = {0};
    bool first = work->first;
    size_t done = 0, from = 0;
    while (next_added(work, &work->tokenizer->added.normalized, text, bytes, from, done, &match)) {
        work->first = first && done == 0;
        if (match.begin > done) {
            FB_TRY(encode_words(work, text + done, match.begin - done));
        }
        FB_TRY(fb_work_add(work, (int32_t)match.id));
        done = match.end;
        from = match.resume;
    }
    work->first = first && done == 0;
    return done < bytes ? encode_words(work, text + done, bytes - done) : FB_OK;
}

static FbStatus encode_between(FbTokenWork *work, const char *text, size_t bytes)
{
    const char *normal;
    size_t normal_bytes;
    FB_TRY(fb_normalize(work, text, bytes, &normal, &normal_bytes));
    return encode_normalized(work, normal, normal_bytes);
}

/* Valid UTF-8. */
static FbStatus encode_valid(FbTokenWork *work, const char *text, size_t bytes, bool first)
{
    AddedMatch match = {0};
    size_t done = 0, from = 0;
    while (next_added(work, &work->tokenizer->added.raw, text, bytes, from, done, &match)) {
        work->first = first && done == 0;
        work->continued = !first && done == 0;
        if (match.begin > done) {
            FB_TRY(encode_between(work, text + done, match.begin - done));
        }
        FB_TRY(fb_work_add(work, (int32_t)match.id));
        done = match.end;
        from = match.resume;
    }
    work->first = first && done == 0;
    work->continued = !first && done == 0;
    return done < bytes ? encode_between(work, text + done, bytes - done) : FB_OK;
}

static size_t invalid_length(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && fb_utf8_take(text + at, bytes - at, NULL) == 0) {
        at++;
    }
    return at;
}

static FbStatus encode_any(FbTokenWork *work, const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        size_t valid = fb_utf8_valid(text + at, bytes - at);
        if (valid > 0) {
            FB_TRY(encode_valid(work, text + at, valid, at == 0));
            at += valid;
        }
        size_t invalid = invalid_length(text + at, bytes - at);
        if (invalid > 0) {
            FB_TRY(fb_encode_bytes(work, text + at, invalid));
            at += invalid;
        }
    }
    return FB_OK;
}

/* For vocabularies without bytes: U+FFFD for every byte that is no UTF-8. */
static FbStatus encode_mended(FbTokenWork *work, const char *text, size_t bytes)
{
    FbText mended;
    fb_text_init(&mended, work->context);
    for (size_t at = 0; at < bytes;) {
        size_t valid = fb_utf8_valid(text + at, bytes - at);
        fb_text_add_n(&mended, text + at, valid);
        at += valid;
        if (at < bytes) {
            fb_text_add(&mended, "\xef\xbf\xbd");
            at++;
        }
    }
    FbStatus status = mended.failed ? fb_work_memory(work, "a text") : encode_valid(work, mended.data, mended.length, true);
    fb_text_reset(&mended);
    return status;
}

static FbStatus add_all(FbTokenWork *work, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count && (work->flags & FB_TOKENS_ADD_SPECIAL) != 0; i++) {
        FB_TRY(fb_work_add(work, ids[i]));
    }
    return FB_OK;
}

static FbStatus encode(FbTokenWork *work, const char *text, size_t bytes)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    FB_TRY(fb_work_start(work));
    if (!fb_array_grow(work->context, &work->ids)) {
        return fb_work_memory(work, "tokens");
    }
    FB_TRY(add_all(work, tokenizer->before.items, tokenizer->before.count));
    if (tokenizer->lossless || fb_utf8_valid(text, bytes) == bytes) {
        FB_TRY(encode_any(work, text, bytes));
    } else {
        FB_TRY(encode_mended(work, text, bytes));
    }
    return add_all(work, tokenizer->after.items, tokenizer->after.count);
}

FbStatus fb_tokenizer_encode(const FbTokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, int32_t **ids, size_t *count,
                             FbError *err)
{
    FbTokenWork work = {.tokenizer = tokenizer, .context = tokenizer->context, .flags = flags, .err = err};
    *ids = NULL;
    *count = 0;
    if (bytes > TEXT_BYTES_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "a text of %zu bytes, at most %d are taken at once", bytes, TEXT_BYTES_MAX);
    }
    FbStatus status = encode(&work, text, bytes);
    if (status == FB_OK) {
        *ids = work.ids.items;
        *count = work.ids.count;
        work.ids.items = NULL;
    }
    fb_work_end(&work);
    return status;
}

void fb_tokens_free(FbContext *context, int32_t *ids) { fb_free(context, ids); }
