/* The table of tokens, the alphabet of ByteLevel, and the text that each token decodes to. */
#include <math.h>
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

static FbStatus pool_full(const FbVocabulary *vocabulary, FbError *err)
{
    return fb_error_memory(vocabulary->pool.context, err, "a vocabulary", vocabulary->pool.length);
}

/* At the end of the pool, with a NUL. */
static bool pool_add(FbVocabulary *vocabulary, const char *data, size_t bytes, uint32_t *at)
{
    if (vocabulary->pool.length + bytes >= INT32_MAX) {
        return false;
    }
    *at = (uint32_t)vocabulary->pool.length;
    fb_text_add_n(&vocabulary->pool, data, bytes);
    fb_text_add_n(&vocabulary->pool, "", 1);
    return !vocabulary->pool.failed;
}

FbStatus fb_vocabulary_add(FbVocabulary *vocabulary, uint32_t id, const char *piece, size_t bytes, double score, unsigned flags, FbError *err)
{
    char shown[100], text[sizeof shown / 4] = ""; /* the piece may end without a NUL */
    FbPiece *items = vocabulary->pieces.items;
    if (bytes > FB_TOKENIZER_PIECE_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "token %u has %zu bytes, at most %d are read", (unsigned)id, bytes, FB_TOKENIZER_PIECE_MAX);
    }
    if (!isfinite(score)) {
        memcpy(text, piece, bytes < sizeof text ? bytes : 0);
        return fb_error_set(err, FB_ERR_FORMAT, "token %u ('%s') has a score that is no number", (unsigned)id,
                            bytes < sizeof text ? fb_escape(text, shown, sizeof shown) : "...");
    }
    if (id < vocabulary->pieces.count && items[id].flags != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "two tokens have the id %u", (unsigned)id);
    }
    while (vocabulary->pieces.count <= id) {
        if (!fb_array_grow(vocabulary->pool.context, &vocabulary->pieces)) {
            return pool_full(vocabulary, err);
        }
        vocabulary->pieces.items[vocabulary->pieces.count++] = (FbPiece){0};
    }
    FbPiece *added = &vocabulary->pieces.items[id];
    *added = (FbPiece){.bytes = (uint32_t)bytes, .text_bytes = (uint32_t)bytes, .score = score, .flags = (uint8_t)flags};
    if (!pool_add(vocabulary, piece, bytes, &added->at)) {
        return pool_full(vocabulary, err);
    }
    added->text_at = added->at;
    return FB_OK;
}

FbStatus fb_vocabulary_keep(FbVocabulary *vocabulary, const char *text, size_t bytes, uint32_t *at, FbError *err)
{
    return pool_add(vocabulary, text, bytes, at) ? FB_OK : pool_full(vocabulary, err);
}

FbStatus fb_vocabulary_set_text(FbVocabulary *vocabulary, uint32_t id, const char *text, size_t bytes, FbError *err)
{
    FbPiece *piece = &vocabulary->pieces.items[id];
    if (piece->text_bytes == bytes && memcmp(vocabulary->pool.data + piece->text_at, text, bytes) == 0) {
        return FB_OK;
    }
    piece->text_bytes = (uint32_t)bytes;
    return pool_add(vocabulary, text, bytes, &piece->text_at) ? FB_OK : pool_full(vocabulary, err);
}

/* The byte that a character of the alphabet stands for; -1: none. */
static int byte_of(uint32_t code)
{
    if ((code >= '!' && code <= '~') || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff)) {
        return (int)code;
    }
    if (code >= 0x100 && code < 0x121) { /* 0 to 32 */
        return (int)code - 0x100;
    }
    if (code >= 0x121 && code < 0x143) { /* 127 to 160 */
        return (int)code - 0x121 + 127;
    }
    return code == 0x143 ? 0xad : -1;
}

bool fb_byte_level_decode(const char *text, size_t bytes, FbText *out)
{
    size_t start = out->length;
    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        size_t length = fb_utf8_take(text + at, bytes - at, &code);
        int byte = length > 0 ? byte_of(code) : -1;
        if (byte < 0) {
            out->length = start;
            return false;
        }
        char c = (char)byte;
        fb_text_add_n(out, &c, 1);
        at += length;
    }
    return true;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* "<0x41>": the byte; -1: none such. */
static int named_byte(const char *data, size_t bytes)
{
    if (bytes != 6 || memcmp(data, "<0x", 3) != 0 || data[5] != '>' || hex_digit(data[3]) < 0 || hex_digit(data[4]) < 0) {
        return -1;
    }
    return hex_digit(data[3]) * 16 + hex_digit(data[4]);
}

static FbTrieEntry entry_of(const FbVocabulary *vocabulary, uint32_t id, size_t skipped)
{
    const FbPiece *piece = &vocabulary->pieces.items[id];
    return (FbTrieEntry){vocabulary->pool.data + piece->at + skipped, piece->bytes - (uint32_t)skipped, (int32_t)id};
}

/* WordPiece has the pieces inside words in a trie of their own, without the prefix. */
static FbStatus index_pieces(FbTokenizer *tokenizer, FbTrieEntry *entries, FbError *err)
{
    const FbVocabulary *vocabulary = &tokenizer->vocabulary;
    FbWordModel *model = &tokenizer->model;
    const FbBytes *prefix = &model->prefix;
    bool words = model->kind == FB_MODEL_WORDPIECE;
    size_t count = 0, continuing = 0, total = vocabulary->pieces.count;
    for (uint32_t id = 0; id < total; id++) {
        const FbPiece *piece = &vocabulary->pieces.items[id];
        bool continues = words && piece->bytes > prefix->count && memcmp(fb_piece_data(vocabulary, id), prefix->data, prefix->count) == 0;
        if ((piece->flags & FB_PIECE_MODEL) == 0) {
            continue;
        }
        if (model->kind != FB_MODEL_BPE && piece->bytes > FB_TOKENIZER_ADDED_MAX) { /* keeps encoding linear in time */
            return fb_error_set(err, FB_ERR_BUDGET, "token %u has %u bytes, at most %d are read in such a vocabulary", (unsigned)id,
                                (unsigned)piece->bytes, FB_TOKENIZER_ADDED_MAX);
        }
        if (continues) {
            entries[total - ++continuing] = entry_of(vocabulary, id, prefix->count);
        } else {
            entries[count++] = entry_of(vocabulary, id, 0);
        }
    }
    FB_TRY(fb_trie_build(tokenizer->context, entries + total - continuing, continuing, &model->continuing, err));
    return fb_trie_build(tokenizer->context, entries, count, &model->pieces, err);
}

FbStatus fb_tokenizer_index(FbTokenizer *tokenizer, FbError *err)
{
    const FbVocabulary *vocabulary = &tokenizer->vocabulary;
    FbWordModel *model = &tokenizer->model;
    size_t total = vocabulary->pieces.count;
    FbTrieEntry *entries = fb_alloc_array(tokenizer->context, total + 1, sizeof *entries);
    if (entries == NULL) {
        return fb_error_memory(tokenizer->context, err, "a table of tokens", total * sizeof *entries);
    }
    FbStatus status = index_pieces(tokenizer, entries, err);
    fb_free(tokenizer->context, entries);
    FB_TRY(status);
    tokenizer->id_count = (uint32_t)total;
    tokenizer->lossless = model->byte_level || model->byte_fallback;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        if (model->byte_level) {
            model->bytes[byte] = fb_trie_find(&model->pieces, &c, 1);
        }
    }
    for (uint32_t id = 0; id < total && !model->byte_level; id++) {
        const FbPiece *piece = &vocabulary->pieces.items[id];
        int byte = (piece->flags & FB_PIECE_HERE) != 0 ? named_byte(fb_piece_data(vocabulary, id), piece->bytes) : -1;
        if (byte >= 0 && model->bytes[byte] < 0) {
            model->bytes[byte] = (int32_t)id;
        }
    }
    for (int byte = 0; byte < 256; byte++) {
        tokenizer->lossless = tokenizer->lossless && model->bytes[byte] >= 0;
    }
    return FB_OK;
}

/* ---- decoded texts ---- */

static void add_replaced(FbText *out, const char *data, size_t bytes, const FbBytes *mark)
{
    for (size_t at = 0; at < bytes;) {
        if (mark->count > 0 && bytes - at >= mark->count && memcmp(data + at, mark->data, mark->count) == 0) {
            fb_text_add_n(out, " ", 1);
            at += mark->count;
        } else {
            fb_text_add_n(out, data + at, 1);
            at++;
        }
    }
}

static bool says(const FbText *text, const char *word) { return text->length == strlen(word) && memcmp(text->data, word, text->length) == 0; }

/* Joined words of WordPiece lose the space before these. */
static void clean(FbText *text)
{
    static const char *const joined[] = {" .", " ?", " !", " ,", " n't", " 'm", " 's", " 've", " 're"};
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        size_t length = strlen(joined[i]);
        bool mark = length == 2;
        if (says(text, joined[i]) || (mark && text->length > length && memcmp(text->data, joined[i], length) == 0)) {
            memmove(text->data, text->data + 1, --text->length);
            return;
        }
    }
}

static void text_of(const FbTokenizer *tokenizer, uint32_t id, FbText *out)
{
    const FbDecodeRule *rule = &tokenizer->decode;
    const FbPiece *piece = &tokenizer->vocabulary.pieces.items[id];
    const char *data = fb_piece_data(&tokenizer->vocabulary, id);
    size_t bytes = piece->bytes;
    int byte = rule->bytes ? named_byte(data, bytes) : -1;
    out->length = 0;
    if (byte >= 0) {
        char c = (char)byte;
        fb_text_add_n(out, &c, 1);
        return;
    }
    if (rule->words) {
        bool continues = rule->prefix.count > 0 && bytes >= rule->prefix.count && memcmp(data, rule->prefix.data, rule->prefix.count) == 0;
        size_t skipped = continues ? rule->prefix.count : 0;
        fb_text_add_n(out, " ", !continues);
        fb_text_add_n(out, data + skipped, bytes - skipped);
        if (rule->cleanup && !out->failed) {
            clean(out);
        }
        return;
    }
    bool ends = rule->suffix.count > 0 && bytes >= rule->suffix.count &&
                memcmp(data + bytes - rule->suffix.count, rule->suffix.data, rule->suffix.count) == 0;
    add_replaced(out, data, ends ? bytes - rule->suffix.count : bytes, &rule->mark);
    fb_text_add_n(out, " ", ends);
}

FbStatus fb_vocabulary_decode_all(FbTokenizer *tokenizer, FbError *err)
{
    FbText text;
    FbStatus status = FB_OK;
    fb_text_init(&text, tokenizer->context);
    fb_text_add(&text, " "); /* has memory from now on */
    for (uint32_t id = 0; status == FB_OK && id < tokenizer->id_count && !tokenizer->model.byte_level; id++) {
        if ((tokenizer->vocabulary.pieces.items[id].flags & FB_PIECE_HERE) != 0) {
            text_of(tokenizer, id, &text);
            status = text.failed ? fb_error_memory(tokenizer->context, err, "texts of tokens", text.length)
                                 : fb_vocabulary_set_text(&tokenizer->vocabulary, id, text.data, text.length, err);
        }
    }
    fb_text_reset(&text);
    return status;
}
