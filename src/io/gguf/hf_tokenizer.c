/* The vocabulary of a tokenizer.json as GGUF has it, see hf_vocabulary.h. Two forms: byte-level merges ("gpt2"), and SentencePiece's merges with
 * bytes to fall back on ("llama"), whose scores follow from the order of the merges. */
#include <string.h>

#include "base/text.h"
#include "graph/name_table.h"
#include "io/gguf/hf_vocabulary.h"

enum { VOCABULARY_MAX = 1 << 24 };

static bool is_sentence_piece(const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    return json_is_true(json_object_get(model, "byte_fallback"));
}

bool fb_hf_looks_special(const char *text)
{
    static const char *const names[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    static const char *const ends[][2] = {{"<|", "|>"}, {"<\xef\xbd\x9c", "\xef\xbd\x9c>"}, {"<unused", ">"}};
    size_t length = strlen(text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t tail = strlen(ends[i][1]);
        if (strncmp(text, ends[i][0], strlen(ends[i][0])) == 0 && length >= tail && strcmp(text + length - tail, ends[i][1]) == 0) {
            return true;
        }
    }
    return false;
}

static FbStatus wrong_id(const FbHfVocabulary *vocabulary, const char *text, const json_t *id, FbError *err)
{
    char shown[80];
    return fb_error_set(err, FB_ERR_FORMAT, "tokenizer.json: token '%s' has the id %lld, the embedding has %zu rows", fb_escape(text, shown, sizeof shown),
                        (long long)(json_is_integer(id) ? json_integer_value(id) : -1), vocabulary->count);
}

static bool id_fits(const FbHfVocabulary *vocabulary, const json_t *id)
{
    return json_is_integer(id) && json_integer_value(id) >= 0 && (uint64_t)json_integer_value(id) < vocabulary->count;
}

static bool is_byte_token(const char *text)
{
    return strlen(text) == 6 && strncmp(text, "<0x", 3) == 0 && text[5] == '>';
}

/* Rows of the embedding that no token has. */
static FbStatus fill_unused(FbHfVocabulary *vocabulary, FbError *err)
{
    for (size_t i = 0; i < vocabulary->count; i++) {
        if (vocabulary->types[i] == 0) {
            char *text = fb_arena_printf(vocabulary->arena, "[PAD%zu]", i);
            if (text == NULL) {
                return fb_error_memory(vocabulary->model->context, err, "a vocabulary", vocabulary->count);
            }
            vocabulary->tokens[i] = fb_hf_bytes(text);
            vocabulary->types[i] = FB_HF_TOKEN_UNUSED;
            vocabulary->scores[i] = -10000.0f;
        }
    }
    return FB_OK;
}

/* llama.cpp ends the process when two tokens have one text; in a table of words and added tokens they can, once spaces are written plainly. */
static FbStatus part_equal(FbHfVocabulary *vocabulary, FbError *err)
{
    struct FbNameTable *texts = fb_name_table_create(vocabulary->model->context);
    bool good = texts != NULL;
    size_t count = 0, first = 0;
    for (size_t i = 0; i < vocabulary->count && good; i++) {
        if (fb_name_table_find(texts, (const char *)vocabulary->tokens[i].data) != FB_NONE) {
            char *text = fb_arena_printf(vocabulary->arena, "[SAME%zu]", i);
            good = text != NULL;
            first = count++ == 0 ? i : first;
            vocabulary->tokens[i] = fb_hf_bytes(good ? text : "");
            vocabulary->types[i] = FB_HF_TOKEN_UNUSED;
        }
        good = good && fb_name_table_add(texts, (const char *)vocabulary->tokens[i].data, (FbId)i);
    }
    fb_name_table_free(texts);
    if (!good) {
        return fb_error_memory(vocabulary->model->context, err, "a vocabulary", vocabulary->count);
    }
    if (count > 0) {
        fb_log(vocabulary->model->context, FB_LOG_WARNING, "equal-tokens", "%zu tokens have the text of one before them and are written as unused: %zu%s", count,
               first, count > 1 ? " and others" : "");
    }
    return FB_OK;
}

FbStatus fb_hf_complete_vocabulary(FbHfVocabulary *vocabulary, FbError *err)
{
    FB_TRY(fill_unused(vocabulary, err));
    return part_equal(vocabulary, err);
}

FbStatus fb_hf_put_tokens(const FbHfVocabulary *vocabulary, const char *kind, const char *pre, bool scores, FbGgufWriter *writer, FbError *err)
{
    FB_TRY(fb_gguf_put_text(writer, "tokenizer.ggml.model", kind, err));
    FB_TRY(fb_gguf_put_text(writer, "tokenizer.ggml.pre", pre, err));
    FB_TRY(fb_gguf_put_texts(writer, "tokenizer.ggml.tokens", vocabulary->tokens, vocabulary->count, err));
    if (scores) {
        FB_TRY(fb_gguf_put_numbers(writer, "tokenizer.ggml.scores", FB_META_F32, vocabulary->scores, vocabulary->count, err));
    }
    return fb_gguf_put_numbers(writer, "tokenizer.ggml.token_type", FB_META_S32, vocabulary->types, vocabulary->count, err);
}

static FbStatus read_words(FbHfVocabulary *vocabulary, const json_t *words, bool sentence_piece, FbError *err)
{
    const char *text;
    const json_t *id;
    json_object_foreach((json_t *)(uintptr_t)words, text, id)
    {
        if (!id_fits(vocabulary, id)) {
            return wrong_id(vocabulary, text, id, err);
        }
        size_t at = (size_t)json_integer_value(id);
        vocabulary->tokens[at] = fb_hf_bytes(text);
        vocabulary->types[at] = sentence_piece && is_byte_token(text) ? FB_HF_TOKEN_BYTE : FB_HF_TOKEN_NORMAL;
        if (sentence_piece && !fb_name_table_add(vocabulary->ids, text, (FbId)at)) {
            return fb_error_memory(vocabulary->model->context, err, "a vocabulary", vocabulary->count);
        }
    }
    return FB_OK;
}

/* U+2581 stands for a space in tokens of the user. */
static char *with_spaces(FbArena *arena, const char *text)
{
    char *copy = fb_arena_strdup(arena, text);
    char *to = copy;
    for (const char *from = copy; copy != NULL && *from != '\0';) {
        bool space = strncmp(from, "\xe2\x96\x81", 3) == 0;
        *to++ = space ? ' ' : *from;
        from += space ? 3 : 1;
    }
    if (copy != NULL) {
        *to = '\0';
    }
    return copy;
}

FbStatus fb_hf_set_added(FbHfVocabulary *vocabulary, size_t at, const char *text, bool control, FbError *err)
{
    const char *stored = control ? text : with_spaces(vocabulary->arena, text);
    if (stored == NULL) {
        return fb_error_memory(vocabulary->model->context, err, "a token", 0);
    }
    vocabulary->tokens[at] = fb_hf_bytes(stored);
    vocabulary->types[at] = control ? FB_HF_TOKEN_CONTROL : FB_HF_TOKEN_USER;
    vocabulary->scores[at] = FB_HF_ADDED_SCORE;
    return FB_OK;
}

static FbStatus read_added(FbHfVocabulary *vocabulary, const json_t *added, FbError *err)
{
    size_t i;
    const json_t *token;
    json_array_foreach(added, i, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        const json_t *id = json_object_get(token, "id");
        if (text == NULL || !id_fits(vocabulary, id)) {
            return wrong_id(vocabulary, text != NULL ? text : "", id, err);
        }
        size_t at = (size_t)json_integer_value(id);
        bool control = json_is_true(json_object_get(token, "special")) || fb_hf_looks_special(text);
        FB_TRY(fb_hf_set_added(vocabulary, at, text, control, err));
    }
    return FB_OK;
}

/* The two halves of a merge, "a b" or ["a", "b"]; false: neither. */
static bool halves(const json_t *merge, FbBytes *left, FbBytes *right)
{
    const char *text = json_string_value(merge);
    if (text != NULL) {
        const char *space = text[0] != '\0' ? strchr(text + 1, ' ') : NULL;
        if (space == NULL || space[1] == '\0') {
            return false;
        }
        *left = (FbBytes){(const uint8_t *)text, (size_t)(space - text)};
        *right = fb_hf_bytes(space + 1);
        return true;
    }
    const char *first = json_string_value(json_array_get(merge, 0)), *second = json_string_value(json_array_get(merge, 1));
    if (json_array_size(merge) != 2 || first == NULL || second == NULL) {
        return false;
    }
    *left = fb_hf_bytes(first);
    *right = fb_hf_bytes(second);
    return true;
}

static FbStatus wrong_merge(size_t index, FbError *err)
{
    return fb_error_set(err, FB_ERR_FORMAT, "tokenizer.json: merge %zu is no pair of texts", index);
}

/* A merge's place is the rank of what it makes; the first that makes a token counts. */
static FbStatus read_scores(FbHfVocabulary *vocabulary, const json_t *merges, FbError *err)
{
    FbText made;
    size_t i;
    const json_t *merge;
    FbStatus status = FB_OK;
    fb_text_init(&made, vocabulary->model->context);
    float rank = 0.0f;
    json_array_foreach(merges, i, merge)
    {
        FbBytes left, right;
        if (!halves(merge, &left, &right)) {
            status = wrong_merge(i, err);
            break;
        }
        made.length = 0;
        fb_text_add_n(&made, (const char *)left.data, left.count);
        fb_text_add_n(&made, (const char *)right.data, right.count);
        if (made.failed) {
            status = fb_error_memory(vocabulary->model->context, err, "a token", left.count + right.count);
            break;
        }
        FbId id = fb_name_table_find(vocabulary->ids, made.data);
        if (id != FB_NONE && vocabulary->types[id] == FB_HF_TOKEN_NORMAL && vocabulary->scores[id] == 0.0f) {
            rank -= 1.0f;
            vocabulary->scores[id] = rank;
        }
    }
    fb_text_reset(&made);
    /* Single characters come behind all merges, in their own order. */
    for (size_t at = 0; at < vocabulary->count && status == FB_OK; at++) {
        if (vocabulary->types[at] == FB_HF_TOKEN_NORMAL && vocabulary->scores[at] == 0.0f) {
            rank -= 1.0f;
            vocabulary->scores[at] = rank;
        }
    }
    return status;
}

/* A space inside a half would part it; it stands as U+0120, which is what byte-level tokens have. */
static char *joined(FbArena *arena, FbBytes left, FbBytes right)
{
    char *text = fb_arena_alloc(arena, 2 * (left.count + right.count) + 2);
    size_t at = 0;
    for (int half = 0; half < 2 && text != NULL; half++) {
        FbBytes part = half == 0 ? left : right;
        for (size_t i = 0; i < part.count; i++) {
            if (part.data[i] == ' ') {
                memcpy(text + at, "\xc4\xa0", 2);
                at += 2;
            } else {
                text[at++] = (char)part.data[i];
            }
        }
        text[at] = half == 0 ? ' ' : '\0';
        at += half == 0;
    }
    return text;
}

static FbStatus put_merges(const FbHfVocabulary *vocabulary, const json_t *merges, FbGgufWriter *writer, FbError *err)
{
    size_t count = json_array_size(merges), i;
    const json_t *merge;
    FbBytes *texts = fb_arena_array(vocabulary->arena, count + 1, sizeof *texts);
    if (texts == NULL) {
        return fb_error_memory(vocabulary->model->context, err, "merges", count * sizeof *texts);
    }
    json_array_foreach(merges, i, merge)
    {
        FbBytes left, right;
        if (!halves(merge, &left, &right)) {
            return wrong_merge(i, err);
        }
        char *text = joined(vocabulary->arena, left, right);
        if (text == NULL) {
            return fb_error_memory(vocabulary->model->context, err, "merges", count * sizeof *texts);
        }
        texts[i] = fb_hf_bytes(text);
    }
    return fb_gguf_put_texts(writer, "tokenizer.ggml.merges", texts, count, err);
}

static FbStatus put_words(FbHfVocabulary *vocabulary, FbGgufWriter *writer, FbError *err)
{
    const FbHfModel *model = vocabulary->model;
    const json_t *bpe = json_object_get(model->tokenizer, "model");
    const json_t *merges = json_object_get(bpe, "merges");
    bool sentence_piece = is_sentence_piece(model->tokenizer);
    FB_TRY(read_words(vocabulary, json_object_get(bpe, "vocab"), sentence_piece, err));
    FB_TRY(sentence_piece ? read_scores(vocabulary, merges, err) : FB_OK);
    FB_TRY(read_added(vocabulary, json_object_get(model->tokenizer, "added_tokens"), err));
    FB_TRY(fb_hf_complete_vocabulary(vocabulary, err));
    const char *pre = sentence_piece ? "default" : fb_hf_pretokenizer(model->tokenizer);
    if (pre == NULL) {
        fb_log(model->context, FB_LOG_WARNING, "pre-tokenizer",
               "the way tokenizer.json cuts text has no name in llama.cpp that is known: written as 'default', so tokens may differ there");
        pre = "default";
    }
    FB_TRY(fb_hf_put_tokens(vocabulary, sentence_piece ? "llama" : "gpt2", pre, sentence_piece, writer, err));
    return sentence_piece ? FB_OK : put_merges(vocabulary, merges, writer, err);
}

bool fb_hf_carries_tokenizer(const FbHfModel *model)
{
    const json_t *bpe = json_object_get(model->tokenizer, "model");
    const char *type = json_string_value(json_object_get(bpe, "type"));
    bool merges = json_is_array(json_object_get(bpe, "merges")) && json_is_object(json_object_get(bpe, "vocab"));
    return (model->pieces != NULL || (merges && (type == NULL || strcmp(type, "BPE") == 0))) && model->vocabulary > 0 && model->vocabulary <= VOCABULARY_MAX;
}

FbStatus fb_hf_put_tokenizer(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    if (!fb_hf_carries_tokenizer(model)) {
        const char *type = json_string_value(json_object_get(json_object_get(model->tokenizer, "model"), "type"));
        char shown[40];
        fb_log(model->context, FB_LOG_WARNING, "no-tokenizer", "the tokenizer is not carried: %s%s",
               model->tokenizer == NULL ? "there is no tokenizer.json and no tokenizer.model that can be" : "its kind has no form that is known: ",
               model->tokenizer == NULL ? "" : fb_escape(type != NULL ? type : "?", shown, sizeof shown));
        return fb_gguf_put_text(writer, "tokenizer.ggml.model", "none", err);
    }
    FbHfVocabulary vocabulary = {.model = model, .arena = fb_arena_create(model->context), .count = (size_t)model->vocabulary};
    FbStatus status = FB_OK;
    vocabulary.ids = fb_name_table_create(model->context);
    if (vocabulary.arena != NULL) {
        vocabulary.tokens = fb_arena_array(vocabulary.arena, vocabulary.count, sizeof *vocabulary.tokens);
        vocabulary.scores = fb_arena_array(vocabulary.arena, vocabulary.count, sizeof *vocabulary.scores);
        vocabulary.types = fb_arena_array(vocabulary.arena, vocabulary.count, sizeof *vocabulary.types);
    }
    bool ready = vocabulary.ids != NULL && vocabulary.tokens != NULL && vocabulary.scores != NULL && vocabulary.types != NULL;
    status = !ready                  ? fb_error_memory(model->context, err, "a vocabulary", vocabulary.count)
             : model->pieces != NULL ? fb_hf_put_pieces(&vocabulary, writer, err)
                                     : put_words(&vocabulary, writer, err);
    fb_name_table_free(vocabulary.ids);
    if (vocabulary.arena != NULL) {
        fb_arena_free(vocabulary.arena);
    }
    return status == FB_OK ? fb_hf_put_special_tokens(model, writer, err) : status;
}
