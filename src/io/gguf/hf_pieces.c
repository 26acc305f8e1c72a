/* A SentencePiece model as GGUF has it: "llama" (BPE by scores) or "t5" (unigram), with the tokens that the folder's files add. What is written follows
 * llama.cpp's converter, but pieces of the user keep their type, for merges need not reach them. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/hf_vocabulary.h"

/* Rows of the embedding bound the ids; a model may have more pieces than rows. */
static FbStatus read_pieces(FbHfVocabulary *vocabulary, FbError *err)
{
    const FbHfModel *model = vocabulary->model;
    const FbSentencePieceModel *pieces = model->pieces;
    for (size_t i = 0; i < pieces->count && i < vocabulary->count; i++) {
        const FbSentencePiece *piece = &pieces->pieces[i];
        if (piece->type == FB_SENTENCEPIECE_USER) {
            FB_TRY(fb_hf_set_added(vocabulary, i, (const char *)piece->text.data, false, err));
        } else {
            vocabulary->tokens[i] = piece->text;
            vocabulary->types[i] = (int32_t)piece->type;
        }
        vocabulary->scores[i] = piece->score;
    }
    if (pieces->count > vocabulary->count) {
        fb_log(model->context, FB_LOG_WARNING, "more-tokens", "the tokenizer has %zu pieces, the embedding %zu rows: those behind are left out", pieces->count,
               vocabulary->count);
    }
    return FB_OK;
}

static FbStatus add(FbHfVocabulary *vocabulary, const char *text, int64_t id, bool control, FbError *err)
{
    char shown[80];
    if (id < 0 || (uint64_t)id >= vocabulary->count || text == NULL || text[0] == '\0') {
        fb_log(vocabulary->model->context, FB_LOG_WARNING, "more-tokens", "the added token '%s' has the id %lld, the embedding has %zu rows: it is left out",
               fb_escape(text != NULL ? text : "", shown, sizeof shown), (long long)id, vocabulary->count);
        return FB_OK;
    }
    return fb_hf_set_added(vocabulary, (size_t)id, text, control, err);
}

/* Whether a role of tokenizer_config.json names it. */
static bool has_role(const json_t *config, const char *text)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    const json_t *more = json_object_get(config, "additional_special_tokens");
    size_t count = sizeof keys / sizeof keys[0];
    for (size_t i = 0; i < count + json_array_size(more); i++) {
        const json_t *value = i < count ? json_object_get(config, keys[i]) : json_array_get(more, i - count);
        const char *name = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
        if (name != NULL && strcmp(name, text) == 0) {
            return true;
        }
    }
    return false;
}

/* added_tokens.json {"<pad>": 32000}, then tokenizer_config.json, which says more; or those of a tokenizer.json. */
static FbStatus read_added(FbHfVocabulary *vocabulary, FbError *err)
{
    const FbHfModel *model = vocabulary->model;
    const json_t *decoder = json_object_get(model->tokenizer_config, "added_tokens_decoder"), *value;
    const char *key;
    size_t i;
    json_array_foreach(json_object_get(model->tokenizer, "added_tokens"), i, value)
    {
        const char *text = json_string_value(json_object_get(value, "content"));
        const json_t *id = json_object_get(value, "id");
        bool control = text != NULL && (json_is_true(json_object_get(value, "special")) || fb_hf_looks_special(text));
        if (!json_is_integer(id) || json_integer_value(id) != (json_int_t)model->pieces->unknown) { /* that one keeps its type */
            FB_TRY(add(vocabulary, text, json_is_integer(id) ? json_integer_value(id) : -1, control, err));
        }
    }
    if (model->tokenizer != NULL) {
        return FB_OK;
    }
    json_object_foreach(model->added_tokens, key, value)
    {
        bool control = fb_hf_looks_special(key) || has_role(model->tokenizer_config, key);
        FB_TRY(add(vocabulary, key, json_is_integer(value) ? json_integer_value(value) : -1, control, err));
    }
    json_object_foreach((json_t *)(uintptr_t)decoder, key, value)
    {
        const char *text = json_string_value(json_object_get(value, "content"));
        long long id;
        char rest;
        bool control = text != NULL && (json_is_true(json_object_get(value, "special")) || fb_hf_looks_special(text));
        FB_TRY(add(vocabulary, text, sscanf(key, "%9lld%c", &id, &rest) == 1 ? id : -1, control, err));
    }
    return FB_OK;
}

static FbStatus put_unigram(const FbHfVocabulary *vocabulary, FbGgufWriter *writer, FbError *err)
{
    const FbSentencePieceModel *pieces = vocabulary->model->pieces;
    if (pieces->byte_fallback) {
        fb_log(vocabulary->model->context, FB_LOG_WARNING, "no-bytes", "llama.cpp's unigram tokenizer never falls back to bytes: unknown characters differ there");
    }
    FB_TRY(fb_gguf_put_bool(writer, "tokenizer.ggml.add_space_prefix", pieces->dummy_prefix, err));
    FB_TRY(fb_gguf_put_bool(writer, "tokenizer.ggml.remove_extra_whitespaces", pieces->remove_extra_whitespaces, err));
    return pieces->charsmap.count > 0 ? fb_gguf_put_numbers(writer, "tokenizer.ggml.precompiled_charsmap", FB_META_U8, pieces->charsmap.data,
                                                            pieces->charsmap.count, err)
                                      : FB_OK;
}

/* What a file with merges by score cannot say. */
static void warn_of_losses(const FbHfModel *model)
{
    const FbSentencePieceModel *pieces = model->pieces;
    if (pieces->charsmap.count > 0 || pieces->remove_extra_whitespaces) {
        fb_log(model->context, FB_LOG_WARNING, "normalizer", "the tokenizer's normalizer (%s%s%s) has no form in GGUF: tokens of texts that it changes differ",
               pieces->charsmap.count > 0 ? "a map of characters" : "", pieces->charsmap.count > 0 && pieces->remove_extra_whitespaces ? ", " : "",
               pieces->remove_extra_whitespaces ? "no extra spaces" : "");
    }
    if (!pieces->byte_fallback) {
        fb_log(model->context, FB_LOG_WARNING, "no-bytes", "the tokenizer has no tokens for bytes, without which llama.cpp refuses unknown characters");
    }
}

FbStatus fb_hf_put_pieces(FbHfVocabulary *vocabulary, FbGgufWriter *writer, FbError *err)
{
    bool unigram = vocabulary->model->pieces->kind == FB_SENTENCEPIECE_UNIGRAM;
    FB_TRY(read_pieces(vocabulary, err));
    FB_TRY(read_added(vocabulary, err));
    FB_TRY(fb_hf_complete_vocabulary(vocabulary, err));
    FB_TRY(fb_hf_put_tokens(vocabulary, unigram ? "t5" : "llama", "default", true, writer, err));
    if (unigram) {
        return put_unigram(vocabulary, writer, err);
    }
    warn_of_losses(vocabulary->model);
    return FB_OK;
}
