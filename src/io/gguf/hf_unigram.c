/* The unigram model of a tokenizer.json seen as the SentencePiece model that it was made from, as far as GGUF can say it: a map of characters, spaces
 * that are joined or not, one in front or not. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/hf_vocabulary.h"

enum { PARTS_MAX = 16, PIECES_MAX = 1 << 22, MAP_MAX = 64 << 20 };

#define MARK "\xe2\x96\x81"

static bool is(const json_t *json, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(json, key));
    return value != NULL && strcmp(value, text) == 0;
}

/* {"String": ...} or {"Regex": ...} */
static bool replaces(const json_t *step, const char *kind, const char *pattern, const char *to)
{
    return is(json_object_get(step, "pattern"), kind, pattern) && is(step, "content", to);
}

static FbStatus read_map(const FbHfModel *model, FbSentencePieceModel *pieces, const json_t *text, FbError *err)
{
    uint8_t *data;
    size_t bytes;
    if (json_string_length(text) == 0) {
        return FB_OK;
    }
    if (json_string_length(text) > MAP_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "tokenizer.json: a map of characters of %zu bytes", json_string_length(text));
    }
    FbStatus status = fb_base64_decode(model->context, json_string_value(text), json_string_length(text), &data, &bytes, err);
    if (status != FB_OK) {
        return fb_error_context(err, status, "tokenizer.json: the map of characters");
    }
    uint8_t *kept = fb_arena_alloc(model->arena, bytes + 1);
    if (kept != NULL) {
        memcpy(kept, data, bytes);
        pieces->charsmap = (FbBytes){kept, bytes};
    }
    fb_free(model->context, data);
    return kept != NULL ? FB_OK : fb_error_memory(model->context, err, "a map of characters", bytes);
}

/* One step of the normalizer or the pre-tokenizer; *known becomes false where it has no form. */
static FbStatus read_step(const FbHfModel *model, FbSentencePieceModel *pieces, const json_t *step, bool *known, FbError *err)
{
    if (is(step, "type", "Precompiled") && pieces->charsmap.count == 0) {
        return read_map(model, pieces, json_object_get(step, "precompiled_charsmap"), err);
    }
    bool split = is(step, "type", "WhitespaceSplit") && pieces->charsmap.count > 0; /* the map makes all white space spaces */
    if (split || is(step, "type", "Strip") || replaces(step, "Regex", " {2,}", " ") || replaces(step, "Regex", " {2,}", MARK)) {
        pieces->remove_extra_whitespaces = true;
    } else if (is(step, "type", "Metaspace") && is(step, "replacement", MARK)) {
        const char *scheme = json_string_value(json_object_get(step, "prepend_scheme"));
        bool never = scheme != NULL ? strcmp(scheme, "never") == 0 : json_is_false(json_object_get(step, "add_prefix_space"));
        pieces->dummy_prefix = pieces->dummy_prefix || !never;
    } else if (is(step, "type", "Prepend") && is(step, "prepend", MARK)) {
        pieces->dummy_prefix = true;
    } else {
        *known = *known && replaces(step, "String", " ", MARK);
    }
    return FB_OK;
}

static FbStatus read_steps(const FbHfModel *model, FbSentencePieceModel *pieces, const char *key, const char *list, bool *known, FbError *err)
{
    const json_t *step = json_object_get(model->tokenizer, key), *steps = json_object_get(step, list);
    if (step == NULL || json_is_null(step)) {
        return FB_OK;
    }
    if (!json_is_array(steps)) {
        return read_step(model, pieces, step, known, err);
    }
    *known = *known && json_array_size(steps) <= PARTS_MAX;
    for (size_t i = 0; i < json_array_size(steps) && *known; i++) {
        FB_TRY(read_step(model, pieces, json_array_get(steps, i), known, err));
    }
    return FB_OK;
}

static FbStatus read_pieces(const FbHfModel *model, FbSentencePieceModel *pieces, const json_t *words, FbError *err)
{
    FbSentencePiece *items = fb_arena_array(model->arena, json_array_size(words) + 1, sizeof *items);
    if (items == NULL) {
        return fb_error_memory(model->context, err, "pieces of a tokenizer", json_array_size(words) * sizeof *items);
    }
    for (size_t i = 0; i < json_array_size(words); i++) {
        const json_t *row = json_array_get(words, i), *text = json_array_get(row, 0), *score = json_array_get(row, 1);
        bool plain = json_string_length(text) > 0 && strlen(json_string_value(text)) == json_string_length(text);
        if (!plain || !json_is_number(score) || !(fabs(json_number_value(score)) <= 1e30)) {
            return fb_error_set(err, FB_ERR_FORMAT, "tokenizer.json: token %zu is no [text, score]", i);
        }
        bool byte = pieces->byte_fallback && json_string_length(text) == 6 && strncmp(json_string_value(text), "<0x", 3) == 0;
        items[i] = (FbSentencePiece){fb_hf_bytes(json_string_value(text)), (float)json_number_value(score),
                                     i == pieces->unknown ? FB_SENTENCEPIECE_UNKNOWN : byte ? FB_SENTENCEPIECE_BYTE : FB_SENTENCEPIECE_NORMAL};
    }
    pieces->pieces = items;
    pieces->count = json_array_size(words);
    return FB_OK;
}

FbStatus fb_hf_read_unigram(FbHfModel *model, FbError *err)
{
    const json_t *unigram = json_object_get(model->tokenizer, "model"), *words = json_object_get(unigram, "vocab");
    const json_t *unknown = json_object_get(unigram, "unk_id");
    bool known = true;
    if (!json_is_array(words) || json_array_size(words) == 0 || (json_object_get(unigram, "type") != NULL && !is(unigram, "type", "Unigram"))) {
        return FB_OK;
    }
    FbSentencePieceModel *pieces = fb_arena_alloc(model->arena, sizeof *pieces);
    if (pieces == NULL) {
        return fb_error_memory(model->context, err, "pieces of a tokenizer", sizeof *pieces);
    }
    *pieces = (FbSentencePieceModel){.kind = FB_SENTENCEPIECE_UNIGRAM, .escape_whitespaces = true, .bos = "<s>", .eos = "</s>", .pad = "<pad>"};
    FB_TRY(read_steps(model, pieces, "normalizer", "normalizers", &known, err));
    FB_TRY(read_steps(model, pieces, "pre_tokenizer", "pretokenizers", &known, err));
    known = known && json_array_size(words) <= PIECES_MAX && json_is_integer(unknown) && json_integer_value(unknown) >= 0 &&
            (uint64_t)json_integer_value(unknown) < json_array_size(words);
    if (!known) {
        fb_log(model->context, FB_LOG_WARNING, "normalizer", "the steps before the unigram model of tokenizer.json have no form in GGUF");
        return FB_OK;
    }
    pieces->unknown = (uint32_t)json_integer_value(unknown);
    pieces->byte_fallback = json_is_true(json_object_get(unigram, "byte_fallback"));
    FB_TRY(read_pieces(model, pieces, words, err));
    model->pieces = pieces;
    return FB_OK;
}
