/* The tokenizer inside a GGUF file: keys tokenizer.ggml.*. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_gguf_patterns.h"
#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"
#include "io/gguf/gguf.h"

#define PREFIX "tokenizer.ggml."

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

typedef struct GgufVocabulary {
    FbTokenizer *tokenizer;
    const FbCheckpoint *table;
    FbArena *arena;
    FbBytes *tokens;
    double *scores, *types; /* NULL: not in the file */
    uint64_t count;
    FbError *err;
} GgufVocabulary;

static const FbMeta *meta_of(const GgufVocabulary *vocabulary, const char *key)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", PREFIX, key);
    return fb_checkpoint_meta(vocabulary->table, name);
}

/* BOOL, or the fallback where the key is missing. */
static bool flag_of(const GgufVocabulary *vocabulary, const char *key, bool fallback)
{
    const FbMeta *meta = meta_of(vocabulary, key);
    return meta != NULL && !meta->is_array && meta->type == FB_META_BOOL ? meta->value.u != 0 : fallback;
}

static FbStatus read_numbers(GgufVocabulary *vocabulary, const char *key, double **out)
{
    const FbMeta *meta = meta_of(vocabulary, key);
    *out = NULL;
    if (meta == NULL) {
        return FB_OK;
    }
    *out = fb_arena_array(vocabulary->arena, vocabulary->count + 1, sizeof **out);
    if (*out == NULL) {
        return fb_error_memory(vocabulary->tokenizer->context, vocabulary->err, PREFIX "scores", vocabulary->count * sizeof **out);
    }
    return fb_meta_read_numbers(meta, 0, vocabulary->count, *out, vocabulary->err);
}

static FbStatus read_arrays(GgufVocabulary *vocabulary)
{
    const FbMeta *tokens = meta_of(vocabulary, "tokens");
    if (tokens == NULL || tokens->count == 0) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, "the file has no " PREFIX "tokens: no tokenizer, or an empty one");
    }
    if (tokens->count > FB_TOKENIZER_IDS_MAX) {
        return fb_error_set(vocabulary->err, FB_ERR_BUDGET, "%llu tokens, at most %d are read", (unsigned long long)tokens->count,
                            FB_TOKENIZER_IDS_MAX);
    }
    vocabulary->count = tokens->count;
    FB_TRY(fb_meta_read_strings(vocabulary->arena, tokens, &vocabulary->tokens, vocabulary->err));
    FB_TRY(read_numbers(vocabulary, "scores", &vocabulary->scores));
    return read_numbers(vocabulary, "token_type", &vocabulary->types);
}

static unsigned flags_of(int type)
{
    switch (type) {
    case TYPE_UNKNOWN:
    case TYPE_CONTROL:
        return FB_PIECE_HERE | FB_PIECE_SPECIAL;
    case TYPE_BYTE:
        return FB_PIECE_HERE | FB_PIECE_BYTE;
    case TYPE_UNUSED:
        return FB_PIECE_HERE;
    default:
        return FB_PIECE_HERE | FB_PIECE_MODEL;
    }
}

static FbStatus add_token(GgufVocabulary *vocabulary, uint32_t id, FbText *scratch)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    const FbBytes *token = &vocabulary->tokens[id];
    int type = vocabulary->types != NULL ? (int)vocabulary->types[id] : TYPE_NORMAL;
    const char *data = (const char *)token->data;
    size_t bytes = token->count;
    unsigned flags = flags_of(type);
    double score = vocabulary->scores != NULL ? vocabulary->scores[id] : 0;
    scratch->length = 0;
    if (tokenizer->model.byte_level) {
        bool plain = type == TYPE_NORMAL && fb_byte_level_decode(data, bytes, scratch);
        flags = plain ? flags : (flags & ~(unsigned)FB_PIECE_MODEL) | FB_PIECE_RAW;
        data = plain ? scratch->data : data;
        bytes = plain ? scratch->length : bytes;
    } else if (tokenizer->model.kind == FB_MODEL_WORDPIECE && type == TYPE_NORMAL) {
        /* The file marks words that begin, WordPiece those that go on. */
        bool begins = bytes >= 3 && memcmp(data, FB_MARK, 3) == 0;
        fb_text_add(scratch, begins ? "" : "##");
        fb_text_add_n(scratch, data + (begins ? 3 : 0), bytes - (begins ? 3 : 0));
        data = scratch->data;
        bytes = scratch->length;
    }
    if (scratch->failed) {
        return fb_error_memory(tokenizer->context, vocabulary->err, "tokens", bytes);
    }
    FB_TRY(fb_vocabulary_add(&tokenizer->vocabulary, id, data, bytes, score, flags, vocabulary->err));
    if ((type == TYPE_CONTROL || type == TYPE_USER || type == TYPE_UNKNOWN) && bytes > 0 && bytes <= FB_TOKENIZER_ADDED_MAX) {
        return fb_tokenizer_add_token(tokenizer, (FbAddedToken){.id = id, .special = type != TYPE_USER}, vocabulary->err);
    }
    return FB_OK;
}

static FbStatus add_tokens(GgufVocabulary *vocabulary)
{
    FbText scratch;
    FbStatus status = FB_OK;
    fb_text_init(&scratch, vocabulary->tokenizer->context);
    fb_text_add(&scratch, " "); /* has memory from now on */
    for (uint32_t id = 0; status == FB_OK && id < vocabulary->count; id++) {
        status = add_token(vocabulary, id, &scratch);
    }
    fb_text_reset(&scratch);
    return status == FB_OK ? fb_tokenizer_index(vocabulary->tokenizer, vocabulary->err) : status;
}

/* ---- models ---- */

/* Merges name tokens in ByteLevel's alphabet. Those of tokens that are not there cannot be meant; they are counted and told. */
static FbStatus read_merges(GgufVocabulary *vocabulary)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    const FbMeta *meta = meta_of(vocabulary, "merges");
    FbBytes *strings;
    FbText parts;
    size_t count = 0;
    if (meta == NULL) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, "the file has no " PREFIX "merges, which the tokenizer 'gpt2' needs");
    }
    FB_TRY(fb_meta_read_strings(vocabulary->arena, meta, &strings, vocabulary->err));
    FbMerge *merges = fb_arena_array(vocabulary->arena, meta->count + 1, sizeof *merges);
    if (merges == NULL) {
        return fb_error_memory(tokenizer->context, vocabulary->err, PREFIX "merges", meta->count * sizeof *merges);
    }
    fb_text_init(&parts, tokenizer->context);
    for (uint64_t i = 0; i < meta->count; i++) {
        const char *text = (const char *)strings[i].data, *space = memchr(text + 1, ' ', strings[i].count - 1); /* a pair, as checked when read */
        size_t left = (size_t)(space - text);
        parts.length = 0;
        bool known = fb_byte_level_decode(text, left, &parts);
        size_t cut = parts.length;
        known = known && fb_byte_level_decode(space + 1, strings[i].count - left - 1, &parts) && !parts.failed;
        int32_t ids[3] = {-1, -1, -1};
        if (known) {
            ids[0] = fb_trie_find(&tokenizer->model.pieces, parts.data, cut);
            ids[1] = fb_trie_find(&tokenizer->model.pieces, parts.data + cut, parts.length - cut);
            ids[2] = fb_trie_find(&tokenizer->model.pieces, parts.data, parts.length);
        }
        if (ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0) {
            merges[count++] = (FbMerge){(uint32_t)ids[0], (uint32_t)ids[1], (uint32_t)ids[2], (uint32_t)i};
        }
    }
    bool failed = parts.failed;
    fb_text_reset(&parts);
    if (failed) {
        return fb_error_memory(tokenizer->context, vocabulary->err, PREFIX "merges", 0);
    }
    if (count < meta->count) {
        fb_log(tokenizer->context, FB_LOG_WARNING, "unknown-merges", "%llu of %llu merges name tokens that the vocabulary does not have",
               (unsigned long long)(meta->count - count), (unsigned long long)meta->count);
    }
    return fb_tokenizer_set_merges(tokenizer, merges, count, vocabulary->err);
}

static FbStatus read_gpt2(GgufVocabulary *vocabulary, bool *add_bos)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    const FbMeta *meta = meta_of(vocabulary, "pre");
    const char *name = fb_meta_text(meta);
    char shown[80];
    if (meta == NULL) {
        fb_log(tokenizer->context, FB_LOG_WARNING, "no-pre-tokenizer", "the file does not say how text is cut into words (" PREFIX "pre); 'default' is taken");
        name = "default";
    }
    const FbGgufPattern *row = name != NULL ? fb_gguf_pattern(name) : NULL;
    if (row == NULL) {
        return fb_error_set(vocabulary->err, FB_ERR_UNSUPPORTED,
                            "the pre-tokenizer '%s' (" PREFIX "pre) is not known; use the model's tokenizer.json beside it, or ask for its pattern",
                            name != NULL ? fb_escape(name, shown, sizeof shown) : "?");
    }
    tokenizer->model.byte_level = true;
    tokenizer->model.whole_words = row->whole_words;
    *add_bos = row->add_bos;
    if (row->compose) {
        FB_TRY(fb_tokenizer_add_normal(tokenizer, (FbNormalStep){.kind = FB_NORMAL_FORM, .form = FB_FORM_C}, vocabulary->err));
    }
    for (int i = 0; i < FB_GGUF_PATTERNS_MAX && row->patterns[i] != NULL; i++) {
        FB_TRY(fb_tokenizer_split_pattern(tokenizer, row->patterns[i], vocabulary->err));
    }
    FB_TRY(add_tokens(vocabulary));
    return read_merges(vocabulary);
}

static FbBytes bytes_of(const char *text) { return (FbBytes){(const uint8_t *)text, strlen(text)}; }

/* Spaces become marks, one in front where the model has it so. */
static FbStatus mark_spaces(GgufVocabulary *vocabulary)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    FbNormalStep replace = {.kind = FB_NORMAL_REPLACE, .to = bytes_of(FB_MARK)};
    if (flag_of(vocabulary, "add_space_prefix", true)) {
        FB_TRY(fb_tokenizer_add_normal(tokenizer, (FbNormalStep){.kind = FB_NORMAL_PREPEND, .to = bytes_of(FB_MARK)}, vocabulary->err));
        tokenizer->decode.strip = FB_STRIP_ONE;
    }
    FB_TRY(fb_pattern_text(tokenizer->context, " ", 1, &replace.pattern, vocabulary->err));
    tokenizer->decode.mark = bytes_of(FB_MARK);
    tokenizer->decode.bytes = true;
    return fb_tokenizer_add_normal(tokenizer, replace, vocabulary->err);
}

static FbStatus read_llama(GgufVocabulary *vocabulary)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    if (vocabulary->scores == NULL) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, "the file has no " PREFIX "scores, which the tokenizer 'llama' needs");
    }
    tokenizer->model.byte_fallback = true;
    FB_TRY(mark_spaces(vocabulary));
    FB_TRY(add_tokens(vocabulary));
    FB_TRY(fb_tokenizer_merges_from_scores(tokenizer, vocabulary->err));
    fb_tokenizer_find_cuts(tokenizer, bytes_of(FB_MARK));
    return FB_OK;
}

static FbStatus read_bert(GgufVocabulary *vocabulary)
{
    static const FbNormalStep steps[] = {
        {.kind = FB_NORMAL_BERT_CLEAN}, {.kind = FB_NORMAL_BERT_CHINESE}, {.kind = FB_NORMAL_FORM, .form = FB_FORM_D},
        {.kind = FB_NORMAL_STRIP_MARKS}, {.kind = FB_NORMAL_LOWERCASE},
    };
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        FB_TRY(fb_tokenizer_add_normal(tokenizer, steps[i], vocabulary->err));
    }
    FB_TRY(fb_tokenizer_add_split(tokenizer, (FbSplitStep){.kind = FB_SPLIT_BERT, .behavior = FB_SPLIT_ISOLATED}, vocabulary->err));
    tokenizer->model.kind = FB_MODEL_WORDPIECE;
    tokenizer->model.prefix = bytes_of("##");
    tokenizer->model.longest_word = 100;
    tokenizer->decode.words = true;
    tokenizer->decode.prefix = bytes_of("##");
    tokenizer->decode.cleanup = true;
    tokenizer->decode.strip = FB_STRIP_ONE;
    return add_tokens(vocabulary);
}

static FbStatus read_charsmap(GgufVocabulary *vocabulary, FbCharsmap **out)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    const FbMeta *meta = meta_of(vocabulary, "precompiled_charsmap");
    if (meta == NULL || (meta->is_array && meta->count == 0)) {
        return FB_OK;
    }
    if (!meta->is_array || (meta->type != FB_META_U8 && meta->type != FB_META_S8) || meta->count > FB_TOKENIZER_FILE_MAX) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, PREFIX "precompiled_charsmap must be an array of bytes");
    }
    uint8_t *data = fb_arena_alloc(vocabulary->arena, meta->count);
    if (data == NULL) {
        return fb_error_memory(tokenizer->context, vocabulary->err, "a map of characters", meta->count);
    }
    FB_TRY(fb_plane_read(&meta->data, 0, data, meta->count, vocabulary->err));
    return fb_charsmap_read(tokenizer->arena, data, meta->count, out, vocabulary->err);
}

static FbStatus read_unigram(GgufVocabulary *vocabulary)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    double least = INFINITY;
    if (vocabulary->scores == NULL) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, "the file has no " PREFIX "scores, which the tokenizer 't5' needs");
    }
    FbNormalStep step = {.kind = FB_NORMAL_PIECES,
                         .spaces = {.prefix = flag_of(vocabulary, "add_space_prefix", false),
                                    .squeeze = flag_of(vocabulary, "remove_extra_whitespaces", false),
                                    .escape = true}};
    tokenizer->model.kind = FB_MODEL_UNIGRAM;
    tokenizer->model.fuse_unknown = true;
    tokenizer->model.single_scores = true;
    FB_TRY(read_charsmap(vocabulary, &step.charsmap));
    FB_TRY(fb_tokenizer_add_normal(tokenizer, step, vocabulary->err));
    tokenizer->decode.mark = bytes_of(FB_MARK);
    tokenizer->decode.bytes = true;
    tokenizer->decode.strip = step.spaces.squeeze ? FB_STRIP_EACH : step.spaces.prefix ? FB_STRIP_ONE : FB_STRIP_NONE;
    FB_TRY(add_tokens(vocabulary));
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        const FbPiece *piece = &tokenizer->vocabulary.pieces.items[id];
        bool normal = (piece->flags & FB_PIECE_MODEL) != 0 && (piece->flags & FB_PIECE_ADDED) == 0;
        least = normal && piece->score < least ? piece->score : least;
    }
    tokenizer->model.unknown_score = (least < INFINITY ? least : 0) - 10;
    for (int i = 0; i < 256; i++) {
        tokenizer->model.byte_fallback = tokenizer->model.byte_fallback || tokenizer->model.bytes[i] >= 0;
    }
    return FB_OK;
}

/* ---- special tokens ---- */

static FbStatus read_special(GgufVocabulary *vocabulary)
{
    static const struct { const char *key; FbSpecialToken which; } keys[] = {
        {"bos_token_id", FB_TOKEN_BOS}, {"eos_token_id", FB_TOKEN_EOS}, {"eot_token_id", FB_TOKEN_EOT},
        {"unknown_token_id", FB_TOKEN_UNK}, {"padding_token_id", FB_TOKEN_PAD},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const FbMeta *meta = meta_of(vocabulary, keys[i].key);
        int64_t id;
        if (meta != NULL && !fb_meta_integer(meta, &id)) {
            return fb_error_set(vocabulary->err, FB_ERR_FORMAT, PREFIX "%s must be a whole number", keys[i].key);
        }
        if (meta != NULL) {
            FB_TRY(fb_tokenizer_set_special(vocabulary->tokenizer, keys[i].which, id, keys[i].key, vocabulary->err));
        }
    }
    if (vocabulary->tokenizer->decode.bytes && vocabulary->tokenizer->special[FB_TOKEN_BOS] < 0) { /* SentencePiece's name for it */
        vocabulary->tokenizer->special[FB_TOKEN_BOS] = fb_tokenizer_find(vocabulary->tokenizer, "<s>", 3);
    }
    const FbMeta *end = meta_of(vocabulary, "eom_token_id");
    int64_t id;
    return end != NULL && fb_meta_integer(end, &id) ? fb_tokenizer_set_end(vocabulary->tokenizer, id, "eom_token_id", vocabulary->err) : FB_OK;
}

/* A token that the model must have to put it around texts. */
static FbStatus around(GgufVocabulary *vocabulary, bool before, const char *key, int32_t id)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    if (id < 0 && meta_of(vocabulary, key) == NULL) {
        return FB_OK;
    }
    if (id < 0) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, PREFIX "%s is true, but the file does not name that token", key);
    }
    return fb_tokenizer_add_around(tokenizer, before, id, vocabulary->err);
}

static FbStatus read_around(GgufVocabulary *vocabulary, bool add_bos, bool add_eos)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    int32_t bos = tokenizer->special[FB_TOKEN_BOS], eos = tokenizer->special[FB_TOKEN_EOS];
    if (tokenizer->model.kind == FB_MODEL_WORDPIECE) {
        bos = bos >= 0 ? bos : fb_tokenizer_find(tokenizer, "[CLS]", 5);
        eos = fb_tokenizer_find(tokenizer, "[SEP]", 5);
        add_bos = add_bos && bos >= 0;
        add_eos = add_eos && eos >= 0;
    }
    if (flag_of(vocabulary, "add_bos_token", add_bos)) {
        FB_TRY(around(vocabulary, true, "add_bos_token", bos));
    }
    if (flag_of(vocabulary, "add_eos_token", add_eos)) {
        FB_TRY(around(vocabulary, false, "add_eos_token", eos));
    }
    return FB_OK;
}

static FbStatus read_all(GgufVocabulary *vocabulary)
{
    FbTokenizer *tokenizer = vocabulary->tokenizer;
    const char *model = fb_meta_text(meta_of(vocabulary, "model"));
    const FbMeta *chat = fb_checkpoint_meta(vocabulary->table, "tokenizer.chat_template");
    char shown[80];
    bool add_bos = false, add_eos = false;
    FB_TRY(read_arrays(vocabulary));
    if (model == NULL) {
        return fb_error_set(vocabulary->err, FB_ERR_FORMAT, "the file does not name its tokenizer (" PREFIX "model)");
    }
    if (strcmp(model, "gpt2") == 0) {
        FB_TRY(read_gpt2(vocabulary, &add_bos));
    } else if (strcmp(model, "llama") == 0) {
        FB_TRY(read_llama(vocabulary));
        add_bos = tokenizer->id_count > 1;
    } else if (strcmp(model, "bert") == 0) {
        FB_TRY(read_bert(vocabulary));
        add_bos = add_eos = true;
    } else if (strcmp(model, "t5") == 0) {
        FB_TRY(read_unigram(vocabulary));
        add_eos = true;
    } else {
        return fb_error_set(vocabulary->err, FB_ERR_UNSUPPORTED, "the tokenizer '%s' (" PREFIX "model) is not supported: gpt2, llama, bert, t5 are",
                            fb_escape(model, shown, sizeof shown));
    }
    FB_TRY(read_special(vocabulary));
    tokenizer->model.unknown = tokenizer->model.byte_level ? -1 : tokenizer->special[FB_TOKEN_UNK];
    FB_TRY(read_around(vocabulary, add_bos, add_eos));
    return chat != NULL && chat->text.count > 0 && !chat->is_array
               ? fb_tokenizer_set_chat(tokenizer, (const char *)chat->text.data, chat->text.count, vocabulary->err)
               : FB_OK;
}

FbStatus fb_tokenizer_read_gguf_table(FbTokenizer *tokenizer, const FbCheckpoint *table, FbError *err)
{
    GgufVocabulary vocabulary = {.tokenizer = tokenizer, .table = table, .err = err};
    vocabulary.arena = fb_arena_create(tokenizer->context);
    FbStatus status = vocabulary.arena != NULL ? read_all(&vocabulary) : fb_error_memory(tokenizer->context, err, "a vocabulary", 0);
    fb_arena_free(vocabulary.arena);
    return status;
}

FbStatus fb_tokenizer_read_gguf(FbTokenizer *tokenizer, const char *path, FbError *err)
{
    FbCheckpoint *table;
    FB_TRY(fb_gguf_open(tokenizer->context, path, &table, err));
    FbStatus status = fb_tokenizer_read_gguf_table(tokenizer, table, err);
    fb_checkpoint_free(table);
    return status;
}
