/* Normalizers and pre-tokenizers of a tokenizer.json. */
#include <string.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_gguf_patterns.h"
#include "data/tokenizer_json.h"
#include "data/tokenizer_unicode.h"

const char *fb_json_type(const json_t *json) { return json_string_value(json_object_get(json, "type")); }

FbStatus fb_json_unsupported(const json_t *json, const char *where, FbError *err)
{
    char shown[80];
    const char *type = fb_json_type(json);
    return type == NULL ? fb_error_set(err, FB_ERR_FORMAT, "the %s has no type", where)
                        : fb_error_set(err, FB_ERR_UNSUPPORTED, "the %s '%s' is not supported", where, fb_escape(type, shown, sizeof shown));
}

bool fb_json_flag(const json_t *json, const char *key, bool fallback)
{
    const json_t *value = json_object_get(json, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

FbStatus fb_json_pattern(FbTokenizer *tokenizer, const json_t *json, const char *where, FbPattern **out, FbError *err)
{
    const json_t *text = json_object_get(json, "String"), *regex = json_object_get(json, "Regex");
    const json_t *value = json_is_string(text) ? text : regex;
    *out = NULL;
    if (!json_is_string(value)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the %s has no pattern {\"String\": ...} or {\"Regex\": ...}", where);
    }
    FbStatus status = json_is_string(text) ? fb_pattern_text(tokenizer->context, json_string_value(value), json_string_length(value), out, err)
                                           : fb_pattern_regex(tokenizer->context, json_string_value(value), json_string_length(value), out, err);
    return status == FB_OK ? status : fb_error_context(err, status, "the %s", where);
}

static FbStatus keep_text(FbTokenizer *tokenizer, const json_t *json, const char *key, const char *fallback, const char *where, FbBytes *out,
                          FbError *err)
{
    const json_t *value = json_object_get(json, key);
    const char *text = json_is_string(value) ? json_string_value(value) : fallback;
    if (text == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "the %s has no '%s'", where, key);
    }
    return fb_tokenizer_keep(tokenizer, text, strlen(text), out, err);
}

/* ---- normalizers ---- */

static FbStatus add_kind(FbTokenizer *tokenizer, FbNormalKind kind, FbError *err)
{
    return fb_tokenizer_add_normal(tokenizer, (FbNormalStep){.kind = kind}, err);
}

static FbStatus bert(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    bool lower = fb_json_flag(json, "lowercase", true);
    if (fb_json_flag(json, "clean_text", true)) {
        FB_TRY(add_kind(tokenizer, FB_NORMAL_BERT_CLEAN, err));
    }
    if (fb_json_flag(json, "handle_chinese_chars", true)) {
        FB_TRY(add_kind(tokenizer, FB_NORMAL_BERT_CHINESE, err));
    }
    if (fb_json_flag(json, "strip_accents", lower)) { /* null: as lowercase */
        FB_TRY(fb_tokenizer_add_normal(tokenizer, (FbNormalStep){.kind = FB_NORMAL_FORM, .form = FB_FORM_D}, err));
        FB_TRY(add_kind(tokenizer, FB_NORMAL_STRIP_MARKS, err));
    }
    return lower ? add_kind(tokenizer, FB_NORMAL_LOWERCASE, err) : FB_OK;
}

static FbStatus replace(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    FbNormalStep step = {.kind = FB_NORMAL_REPLACE};
    FB_TRY(keep_text(tokenizer, json, "content", NULL, "normalizer Replace", &step.to, err));
    FB_TRY(fb_json_pattern(tokenizer, json_object_get(json, "pattern"), "normalizer Replace", &step.pattern, err));
    return fb_tokenizer_add_normal(tokenizer, step, err);
}

static FbStatus precompiled(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    const json_t *value = json_object_get(json, "precompiled_charsmap");
    FbNormalStep step = {.kind = FB_NORMAL_CHARSMAP};
    uint8_t *data;
    size_t bytes;
    if (value == NULL || json_is_null(value) || json_string_length(value) == 0) {
        return json_is_string(value) || value == NULL || json_is_null(value)
                   ? FB_OK
                   : fb_error_set(err, FB_ERR_FORMAT, "the normalizer Precompiled has no text in 'precompiled_charsmap'");
    }
    FbStatus status = fb_base64_decode(tokenizer->context, json_string_value(value), json_string_length(value), &data, &bytes, err);
    if (status != FB_OK) {
        return fb_error_context(err, status, "the map of characters");
    }
    status = fb_charsmap_read(tokenizer->arena, data, bytes, &step.charsmap, err);
    fb_free(tokenizer->context, data);
    return status == FB_OK ? fb_tokenizer_add_normal(tokenizer, step, err) : status;
}

static FbStatus normalizer(FbTokenizer *tokenizer, const json_t *json, const char *type, FbError *err)
{
    static const struct { const char *type; FbNormalStep step; } plain[] = {
        {"NFC", {.kind = FB_NORMAL_FORM, .form = FB_FORM_C}},   {"NFD", {.kind = FB_NORMAL_FORM, .form = FB_FORM_D}},
        {"NFKC", {.kind = FB_NORMAL_FORM, .form = FB_FORM_KC}}, {"NFKD", {.kind = FB_NORMAL_FORM, .form = FB_FORM_KD}},
        {"Lowercase", {.kind = FB_NORMAL_LOWERCASE}},           {"StripAccents", {.kind = FB_NORMAL_STRIP_ACCENTS}},
        {"Nmt", {.kind = FB_NORMAL_NMT}},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(type, plain[i].type) == 0) {
            return fb_tokenizer_add_normal(tokenizer, plain[i].step, err);
        }
    }
    if (strcmp(type, "Strip") == 0) {
        FbNormalStep step = {.kind = FB_NORMAL_STRIP};
        step.left = fb_json_flag(json, "strip_left", true);
        step.right = fb_json_flag(json, "strip_right", true);
        return fb_tokenizer_add_normal(tokenizer, step, err);
    }
    if (strcmp(type, "Prepend") == 0) {
        FbNormalStep step = {.kind = FB_NORMAL_PREPEND};
        FB_TRY(keep_text(tokenizer, json, "prepend", NULL, "normalizer Prepend", &step.to, err));
        return fb_tokenizer_add_normal(tokenizer, step, err);
    }
    return strcmp(type, "Replace") == 0          ? replace(tokenizer, json, err)
           : strcmp(type, "BertNormalizer") == 0 ? bert(tokenizer, json, err)
           : strcmp(type, "Precompiled") == 0    ? precompiled(tokenizer, json, err)
                                                 : fb_json_unsupported(json, "normalizer", err);
}

/* Sequences may hold sequences; what is left to read stands in a list, so that no file decides how deep we call. */
typedef FbStatus (*FbReadStep)(FbTokenizer *tokenizer, const json_t *json, const char *type, FbError *err);

static FbStatus each_step(FbTokenizer *tokenizer, const json_t *json, const char *list, const char *where, FbReadStep read, FbError *err)
{
    struct { const json_t *list; size_t next; } open[FB_JSON_DEPTH_MAX + 1];
    int depth = 0;
    const json_t *step = json;
    while (step != NULL) {
        const char *type = fb_json_type(step);
        const json_t *steps = json_object_get(step, list);
        if (type == NULL) {
            return fb_json_unsupported(step, where, err);
        }
        if (strcmp(type, "Sequence") != 0) {
            FB_TRY(read(tokenizer, step, type, err));
        } else if (!json_is_array(steps) || depth == FB_JSON_DEPTH_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "the %s Sequence has no list '%s'", where, list);
        } else {
            open[depth].list = steps;
            open[depth++].next = 0;
        }
        step = NULL;
        while (depth > 0 && (step = json_array_get(open[depth - 1].list, open[depth - 1].next++)) == NULL) {
            depth--;
        }
    }
    return FB_OK;
}

FbStatus fb_json_normalizer(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    return json == NULL || json_is_null(json) ? FB_OK : each_step(tokenizer, json, "normalizers", "normalizer", normalizer, err);
}

/* ---- pre-tokenizers ---- */

static FbStatus behavior_of(const json_t *json, FbSplitBehavior fallback, const char *where, FbSplitBehavior *out, FbError *err)
{
    static const struct { const char *name; FbSplitBehavior behavior; } names[] = {
        {"Removed", FB_SPLIT_REMOVED}, {"Isolated", FB_SPLIT_ISOLATED}, {"MergedWithPrevious", FB_SPLIT_MERGED_PREVIOUS},
        {"MergedWithNext", FB_SPLIT_MERGED_NEXT}, {"Contiguous", FB_SPLIT_CONTIGUOUS},
    };
    const char *name = json_string_value(json_object_get(json, "behavior"));
    *out = fallback;
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].behavior;
            return FB_OK;
        }
    }
    char shown[80];
    return name == NULL ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "the %s has the unknown behavior '%s'", where, fb_escape(name, shown, sizeof shown));
}

static FbStatus byte_level(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    if (fb_json_flag(json, "add_prefix_space", true)) {
        FB_TRY(fb_tokenizer_add_split(tokenizer, (FbSplitStep){.kind = FB_SPLIT_PREFIX_SPACE}, err));
    }
    if (fb_json_flag(json, "use_regex", true)) {
        FB_TRY(fb_tokenizer_split_pattern(tokenizer, fb_gguf_pattern("gpt-2")->patterns[0], err));
    }
    tokenizer->model.byte_level = true;
    return FB_OK;
}

/* One character: a long mark would make a text of spaces as many times longer. */
static FbStatus check_mark(const FbBytes *mark, const char *what, FbError *err)
{
    return mark->count > 0 && fb_utf8_take((const char *)mark->data, mark->count, NULL) == mark->count
               ? FB_OK
               : fb_error_set(err, FB_ERR_FORMAT, "%s of %zu bytes, expected one character", what, mark->count);
}

static FbStatus metaspace(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    FbSplitStep step = {.kind = FB_SPLIT_METASPACE, .behavior = FB_SPLIT_MERGED_NEXT, .prepend = FB_PREPEND_ALWAYS};
    const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    FB_TRY(keep_text(tokenizer, json, "replacement", FB_MARK, "pre-tokenizer Metaspace", &step.mark, err));
    step.split = fb_json_flag(json, "split", true);
    if (scheme == NULL) {
        step.prepend = fb_json_flag(json, "add_prefix_space", true) ? FB_PREPEND_ALWAYS : FB_PREPEND_NEVER;
    } else {
        step.prepend = strcmp(scheme, "never") == 0 ? FB_PREPEND_NEVER : strcmp(scheme, "first") == 0 ? FB_PREPEND_FIRST : FB_PREPEND_ALWAYS;
    }
    FB_TRY(check_mark(&step.mark, "the pre-tokenizer Metaspace has a replacement", err));
    return fb_tokenizer_add_split(tokenizer, step, err);
}

static FbStatus split(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    FbSplitStep step = {.kind = FB_SPLIT_PATTERN, .invert = fb_json_flag(json, "invert", false)};
    FB_TRY(behavior_of(json, FB_SPLIT_ISOLATED, "pre-tokenizer Split", &step.behavior, err));
    FB_TRY(fb_json_pattern(tokenizer, json_object_get(json, "pattern"), "pre-tokenizer Split", &step.pattern, err));
    return fb_tokenizer_add_split(tokenizer, step, err);
}

static FbStatus pre_tokenizer(FbTokenizer *tokenizer, const json_t *json, const char *type, FbError *err)
{
    static const struct { const char *type; FbSplitStep step; } plain[] = {
        {"Whitespace", {.kind = FB_SPLIT_WORDS, .behavior = FB_SPLIT_ISOLATED}},
        {"WhitespaceSplit", {.kind = FB_SPLIT_WHITESPACE, .behavior = FB_SPLIT_REMOVED}},
        {"BertPreTokenizer", {.kind = FB_SPLIT_BERT, .behavior = FB_SPLIT_ISOLATED}},
    };
    if (tokenizer->model.byte_level) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a pre-tokenizer behind ByteLevel is not supported");
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(type, plain[i].type) == 0) {
            return fb_tokenizer_add_split(tokenizer, plain[i].step, err);
        }
    }
    if (strcmp(type, "Digits") == 0) {
        bool single = fb_json_flag(json, "individual_digits", false);
        FbSplitStep step = {.kind = FB_SPLIT_DIGITS, .behavior = single ? FB_SPLIT_ISOLATED : FB_SPLIT_CONTIGUOUS};
        return fb_tokenizer_add_split(tokenizer, step, err);
    }
    if (strcmp(type, "Punctuation") == 0) {
        FbSplitStep step = {.kind = FB_SPLIT_PUNCTUATION};
        FB_TRY(behavior_of(json, FB_SPLIT_ISOLATED, "pre-tokenizer Punctuation", &step.behavior, err));
        return fb_tokenizer_add_split(tokenizer, step, err);
    }
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        FbSplitStep step = {.kind = FB_SPLIT_CHARACTER, .behavior = FB_SPLIT_REMOVED};
        FB_TRY(keep_text(tokenizer, json, "delimiter", NULL, "pre-tokenizer CharDelimiterSplit", &step.mark, err));
        FB_TRY(check_mark(&step.mark, "the pre-tokenizer CharDelimiterSplit has a delimiter", err));
        return fb_tokenizer_add_split(tokenizer, step, err);
    }
    return strcmp(type, "ByteLevel") == 0   ? byte_level(tokenizer, json, err)
           : strcmp(type, "Metaspace") == 0 ? metaspace(tokenizer, json, err)
           : strcmp(type, "Split") == 0     ? split(tokenizer, json, err)
                                            : fb_json_unsupported(json, "pre-tokenizer", err);
}

FbStatus fb_json_pre_tokenizer(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    return json == NULL || json_is_null(json) ? FB_OK : each_step(tokenizer, json, "pretokenizers", "pre-tokenizer", pre_tokenizer, err);
}
