/* A word to tokens by byte pair encoding: its symbols (bytes, or characters), their merges, and what no token has a name for. */
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

enum { CUT_LEAST = 64 };

static FbStatus no_memory(const FbTokenWork *work) { return fb_work_memory(work, "symbols"); }

static bool push(FbTokenWork *work, uint32_t id) { return fb_merge_push(work->context, &work->merge, id); }

/* The bytes of a character that is no token; or the unknown one, once for a run of them where the model fuses. */
static FbStatus push_unknown(FbTokenWork *work, const char *data, size_t bytes, bool *fused)
{
    const FbWordModel *model = &work->tokenizer->model;
    bool all = model->byte_fallback;
    for (size_t i = 0; i < bytes && all; i++) {
        all = model->bytes[(uint8_t)data[i]] >= 0;
    }
    if (all) {
        for (size_t i = 0; i < bytes; i++) {
            if (!push(work, (uint32_t)model->bytes[(uint8_t)data[i]])) {
                return no_memory(work);
            }
        }
        *fused = false;
        return FB_OK;
    }
    if (model->unknown >= 0 && !(*fused && model->fuse_unknown)) {
        if (!push(work, (uint32_t)model->unknown)) {
            return no_memory(work);
        }
    }
    *fused = true;
    return FB_OK;
}

/* The token of one character, with what its place in the word adds to it. */
static int32_t find_symbol(const FbWordModel *model, const char *data, size_t bytes, bool first, bool last)
{
    if (model->prefix.count == 0 && model->suffix.count == 0) {
        return fb_trie_find(&model->pieces, data, bytes);
    }
    char decorated[FB_TOKENIZER_ADDED_MAX];
    size_t length = 0;
    if (!first) {
        memcpy(decorated, model->prefix.data, model->prefix.count);
        length = model->prefix.count;
    }
    memcpy(decorated + length, data, bytes);
    length += bytes;
    if (last) {
        memcpy(decorated + length, model->suffix.data, model->suffix.count);
        length += model->suffix.count;
    }
    return fb_trie_find(&model->pieces, decorated, length);
}

static FbStatus push_characters(FbTokenWork *work, const char *word, size_t bytes)
{
    const FbWordModel *model = &work->tokenizer->model;
    bool fused = false;
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        (void)fb_utf8_next(word, &at);
        int32_t id = find_symbol(model, word + start, at - start, start == 0, at == bytes);
        if (id < 0 && model->characters.count > 0) {
            id = fb_trie_find(&model->characters, word + start, at - start);
        }
        if (id < 0) {
            FB_TRY(push_unknown(work, word + start, at - start, &fused));
        } else {
            fused = false;
            if (!push(work, (uint32_t)id)) {
                return no_memory(work);
            }
        }
    }
    return FB_OK;
}

static FbStatus push_bytes(FbTokenWork *work, const char *word, size_t bytes)
{
    const FbWordModel *model = &work->tokenizer->model;
    for (size_t i = 0; i < bytes; i++) {
        int32_t id = model->bytes[(uint8_t)word[i]];
        id = id < 0 ? model->unknown : id;
        if (id >= 0 && !push(work, (uint32_t)id)) {
            return no_memory(work);
        }
    }
    return FB_OK;
}

/* Symbols of characters that are no token, and went into none, become their bytes again. */
static FbStatus add_character(FbTokenWork *work, uint32_t symbol, bool *fused)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    const FbPiece *piece = &tokenizer->vocabulary.pieces.items[symbol];
    size_t before = work->merge.symbols.count;
    FB_TRY(push_unknown(work, tokenizer->vocabulary.pool.data + piece->at, piece->bytes, fused));
    for (size_t i = before; i < work->merge.symbols.count; i++) {
        FB_TRY(fb_work_add(work, (int32_t)work->merge.symbols.items[i].id));
    }
    work->merge.symbols.count = before;
    return FB_OK;
}

static FbStatus encode_part(FbTokenWork *work, const char *word, size_t bytes)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    const FbWordModel *model = &tokenizer->model;
    bool fused = false;
    if (model->whole_words) {
        int32_t id = fb_trie_find(&model->pieces, word, bytes);
        if (id >= 0) {
            return fb_work_add(work, id);
        }
    }
    work->merge.symbols.count = 0;
    FB_TRY(model->byte_level ? push_bytes(work, word, bytes) : push_characters(work, word, bytes));
    if (!fb_merge_run(work->context, &model->merges, &work->merge)) {
        return no_memory(work);
    }
    for (size_t i = 0; i < work->merge.symbols.count; i++) {
        uint32_t id = work->merge.symbols.items[i].id;
        if ((tokenizer->vocabulary.pieces.items[id].flags & FB_PIECE_HERE) == 0) {
            FB_TRY(add_character(work, id, &fused));
        } else {
            fused = false;
            FB_TRY(fb_work_add(work, (int32_t)id));
        }
    }
    return FB_OK;
}

FbStatus fb_encode_bpe(FbTokenWork *work, const char *word, size_t bytes)
{
    const FbBytes *mark = &work->tokenizer->model.cut_before;
    size_t begin = 0;
    if (mark->count > 0 && bytes > CUT_LEAST) {
        bool previous = true; /* a mark stands before `at`, or nothing does */
        for (size_t at = 0; at + mark->count <= bytes;) {
            bool here = memcmp(word + at, mark->data, mark->count) == 0;
            if (here && !previous) {
                FB_TRY(encode_part(work, word + begin, at - begin));
                begin = at;
            }
            previous = here;
            at += here ? mark->count : 1;
        }
    }
    return encode_part(work, word + begin, bytes - begin);
}

FbStatus fb_encode_bytes(FbTokenWork *work, const char *word, size_t bytes)
{
    if (work->tokenizer->model.byte_level) {
        return encode_part(work, word, bytes);
    }
    for (size_t i = 0; i < bytes; i++) {
        FB_TRY(fb_work_add(work, work->tokenizer->model.bytes[(uint8_t)word[i]]));
    }
    return FB_OK;
}
