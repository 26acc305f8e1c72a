/* Decoders and post-processors of a tokenizer.json: what is done with tokens after the model. */
#include <string.h>

#include "data/tokenizer_json.h"

/* ---- decoders ---- */

static FbStatus keep_member(FbTokenizer *tokenizer, const json_t *json, const char *key, const char *fallback, FbBytes *out, FbError *err)
{
    const char *text = json_string_value(json_object_get(json, key));
    text = text != NULL ? text : fallback;
    return fb_tokenizer_keep(tokenizer, text, strlen(text), out, err);
}

static FbStatus metaspace(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    bool prepends = scheme != NULL ? strcmp(scheme, "never") != 0 : fb_json_flag(json, "add_prefix_space", true);
    tokenizer->decode.strip = prepends ? FB_STRIP_FIRST_TOKEN : FB_STRIP_NONE;
    return keep_member(tokenizer, json, "replacement", FB_MARK, &tokenizer->decode.mark, err);
}

/* Only a mark that becomes a space. */
static FbStatus replace(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const json_t *from = json_object_get(json_object_get(json, "pattern"), "String");
    const char *to = json_string_value(json_object_get(json, "content"));
    if (!json_is_string(from) || json_string_length(from) == 0 || to == NULL || strcmp(to, " ") != 0 || tokenizer->decode.mark.count > 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the decoder Replace is supported once, for a mark that becomes a space");
    }
    return fb_tokenizer_keep(tokenizer, json_string_value(from), json_string_length(from), &tokenizer->decode.mark, err);
}

static FbStatus strip(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const char *content = json_string_value(json_object_get(json, "content"));
    json_int_t start = json_integer_value(json_object_get(json, "start")), stop = json_integer_value(json_object_get(json, "stop"));
    if (content == NULL || strcmp(content, " ") != 0 || start < 0 || start > 1 || stop != 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the decoder Strip is supported for one space at the start");
    }
    tokenizer->decode.strip = start == 1 ? FB_STRIP_ONE : FB_STRIP_NONE;
    return FB_OK;
}

static FbStatus decoder(FbTokenizer *tokenizer, const json_t *json, bool *fused, FbError *err)
{
    const char *type = fb_json_type(json);
    FbDecodeRule *rule = &tokenizer->decode;
    if (type == NULL) {
        return fb_json_unsupported(json, "decoder", err);
    }
    if (strcmp(type, "Fuse") == 0) {
        *fused = true;
        return FB_OK;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        return tokenizer->model.byte_level ? FB_OK : fb_error_set(err, FB_ERR_UNSUPPORTED, "the decoder ByteLevel without its pre-tokenizer is not supported");
    }
    if (strcmp(type, "ByteFallback") == 0) {
        rule->bytes = true;
        return FB_OK;
    }
    if (strcmp(type, "WordPiece") == 0) {
        rule->words = true;
        rule->cleanup = fb_json_flag(json, "cleanup", true);
        rule->strip = FB_STRIP_ONE;
        return keep_member(tokenizer, json, "prefix", "##", &rule->prefix, err);
    }
    if (strcmp(type, "BPEDecoder") == 0) {
        return keep_member(tokenizer, json, "suffix", "</w>", &rule->suffix, err);
    }
    return strcmp(type, "Metaspace") == 0                ? metaspace(tokenizer, json, err)
           : strcmp(type, "Replace") == 0                ? replace(tokenizer, json, err)
           : strcmp(type, "Strip") == 0 && *fused        ? strip(tokenizer, json, err)
                                                         : fb_json_unsupported(json, "decoder", err);
}

FbStatus fb_json_decoder(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    bool fused = false;
    const json_t *steps = json_object_get(json, "decoders");
    const char *type = fb_json_type(json);
    if (json == NULL || json_is_null(json)) { /* tokens with a space between them */
        tokenizer->decode.words = !tokenizer->model.byte_level;
        tokenizer->decode.strip = tokenizer->model.byte_level ? FB_STRIP_NONE : FB_STRIP_ONE;
        return FB_OK;
    }
    if (type == NULL || strcmp(type, "Sequence") != 0) {
        return decoder(tokenizer, json, &fused, err);
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        FB_TRY(decoder(tokenizer, json_array_get(steps, i), &fused, err));
    }
    return FB_OK;
}

/* ---- post-processors ---- */

static FbStatus check_id(const FbTokenizer *tokenizer, const json_t *json, int32_t *id, FbError *err)
{
    json_int_t value = json_is_integer(json) ? json_integer_value(json) : -1;
    if (value < 0 || (uint64_t)value >= tokenizer->vocabulary.pieces.count ||
        (tokenizer->vocabulary.pieces.items[value].flags & FB_PIECE_HERE) == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "the post-processor names a token that does not exist (%lld)", (long long)value);
    }
    *id = (int32_t)value;
    return FB_OK;
}

static FbStatus pair(FbTokenizer *tokenizer, const json_t *json, const char *key, bool before, FbError *err)
{
    int32_t id;
    FB_TRY(check_id(tokenizer, json_array_get(json_object_get(json, key), 1), &id, err));
    return fb_tokenizer_add_around(tokenizer, before, id, err);
}

static FbStatus template_token(FbTokenizer *tokenizer, const json_t *token, const json_t *known, bool before, FbError *err)
{
    const char *name = json_string_value(json_object_get(token, "id"));
    const json_t *ids = json_object_get(name != NULL ? json_object_get(known, name) : NULL, "ids");
    char shown[80];
    if (!json_is_array(ids) || json_array_size(ids) > 64) {
        return fb_error_set(err, FB_ERR_FORMAT, "the post-processor's template names '%s', which it does not explain",
                            fb_escape(name != NULL ? name : "", shown, sizeof shown));
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id;
        FB_TRY(check_id(tokenizer, json_array_get(ids, i), &id, err));
        FB_TRY(fb_tokenizer_add_around(tokenizer, before, id, err));
    }
    return FB_OK;
}

/* The template of a single text: what stands before it and behind it. */
static FbStatus template_of(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const json_t *single = json_object_get(json, "single"), *known = json_object_get(json, "special_tokens");
    bool before = true;
    if (!json_is_array(single) || json_array_size(single) > 64) {
        return fb_error_set(err, FB_ERR_FORMAT, "the post-processor TemplateProcessing has no list 'single'");
    }
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i), *token = json_object_get(part, "SpecialToken");
        if (token != NULL) {
            FB_TRY(template_token(tokenizer, token, known, before, err));
        } else if (!before || json_object_get(part, "Sequence") == NULL) {
            return fb_error_set(err, FB_ERR_FORMAT, "the post-processor's template has not one text");
        } else {
            before = false;
        }
    }
    return FB_OK;
}

static FbStatus post_processor(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const char *type = fb_json_type(json);
    if (type != NULL && strcmp(type, "ByteLevel") == 0) {
        return FB_OK; /* moves offsets only */
    }
    if (type != NULL && (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)) {
        FB_TRY(pair(tokenizer, json, "cls", true, err));
        return pair(tokenizer, json, "sep", false, err);
    }
    return type != NULL && strcmp(type, "TemplateProcessing") == 0 ? template_of(tokenizer, json, err)
                                                                   : fb_json_unsupported(json, "post-processor", err);
}

FbStatus fb_json_post_processor(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const char *type = fb_json_type(json);
    const json_t *steps = json_object_get(json, "processors");
    if (json == NULL || json_is_null(json)) {
        return FB_OK;
    }
    if (type == NULL || strcmp(type, "Sequence") != 0) {
        return post_processor(tokenizer, json, err);
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        FB_TRY(post_processor(tokenizer, json_array_get(steps, i), err));
    }
    return FB_OK;
}
