/* The files beside a tokenizer: tokenizer_config.json, special_tokens_map.json, generation_config.json, config.json, chat_template.jinja; and the
 * older pair vocab.json and merges.txt. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data/tokenizer_gguf_patterns.h"
#include "data/tokenizer_json.h"

enum { PATH_BYTES = 4096, TEMPLATE_MAX = 1 << 20 };

typedef struct Settings {
    FbTokenizer *tokenizer;
    const char *folder;
    FbError *err;
} Settings;

/* The path of a file of the folder, and whether there is such a file. */
static FbStatus find_file(const Settings *settings, const char *name, char path[PATH_BYTES], bool *found)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", settings->folder, name);
    *found = false;
    return length > 0 && length < PATH_BYTES ? fb_tokenizer_has_file(settings->tokenizer->context, path, found, settings->err)
                                             : fb_error_set(settings->err, FB_ERR_ARGUMENT, "the path is too long");
}

/* *out is NULL where the file is missing. */
static FbStatus load(const Settings *settings, const char *name, json_t **out)
{
    char path[PATH_BYTES];
    bool found;
    *out = NULL;
    FB_TRY(find_file(settings, name, path, &found));
    return found ? fb_tokenizer_json_load(settings->tokenizer->context, path, out, settings->err) : FB_OK;
}

FbStatus fb_tokenizer_load_setting(FbTokenizer *tokenizer, const char *folder, const char *name, json_t **out, FbError *err)
{
    Settings settings = {tokenizer, folder, err};
    return load(&settings, name, out);
}

/* "<s>" or {"content": "<s>"}. */
static void named_token(const Settings *settings, const json_t *json, const char *key, FbSpecialToken which)
{
    const json_t *value = json_object_get(json, key);
    FbTokenizer *tokenizer = settings->tokenizer;
    value = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!json_is_string(value) || tokenizer->special[which] >= 0) {
        return;
    }
    int32_t id = fb_tokenizer_find(tokenizer, json_string_value(value), json_string_length(value));
    if (id < 0 || fb_tokenizer_set_special(tokenizer, which, id, key, NULL) != FB_OK) {
        char shown[80];
        fb_log(tokenizer->context, FB_LOG_WARNING, "unknown-token", "%s is '%s', which is not in the vocabulary", key,
               fb_escape(json_string_value(value), shown, sizeof shown));
    }
}

static void named_tokens(const Settings *settings, const json_t *json)
{
    static const struct { const char *key; FbSpecialToken which; } keys[] = {
        {"bos_token", FB_TOKEN_BOS}, {"eos_token", FB_TOKEN_EOS}, {"unk_token", FB_TOKEN_UNK}, {"pad_token", FB_TOKEN_PAD},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        named_token(settings, json, keys[i].key, keys[i].which);
    }
}

/* A number or a list of numbers; what is not in this vocabulary (a model may have more than one) is left out. */
static void numbered_tokens(const Settings *settings, const json_t *json, const char *key, FbSpecialToken which)
{
    const json_t *value = json_object_get(json, key);
    FbTokenizer *tokenizer = settings->tokenizer;
    size_t count = json_is_array(value) ? json_array_size(value) : json_is_integer(value);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        if (which == FB_TOKEN_EOS && fb_tokenizer_set_end(tokenizer, id, key, NULL) != FB_OK) {
            continue;
        }
        if (tokenizer->special[which] < 0) {
            (void)fb_tokenizer_set_special(tokenizer, which, id, key, NULL);
        }
    }
}

static void numbered(const Settings *settings, const json_t *json)
{
    numbered_tokens(settings, json, "eos_token_id", FB_TOKEN_EOS);
    numbered_tokens(settings, json, "bos_token_id", FB_TOKEN_BOS);
    numbered_tokens(settings, json, "pad_token_id", FB_TOKEN_PAD);
}

/* ---- chat templates ---- */

/* A text, or a list of {"name", "template"} of which "default" is meant. */
static FbStatus chat_of(const Settings *settings, const json_t *json)
{
    const json_t *value = json_object_get(json, "chat_template");
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *row = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        if (name != NULL && strcmp(name, "default") == 0) {
            value = json_object_get(row, "template");
        }
    }
    return json_is_string(value) ? fb_tokenizer_set_chat(settings->tokenizer, json_string_value(value), json_string_length(value), settings->err)
                                 : FB_OK;
}

static FbStatus chat_file(const Settings *settings)
{
    char path[PATH_BYTES], *text;
    size_t bytes;
    bool found;
    FB_TRY(find_file(settings, "chat_template.jinja", path, &found));
    if (!found) {
        return FB_OK;
    }
    FB_TRY(fb_file_read_all(settings->tokenizer->context, path, TEMPLATE_MAX, &text, &bytes, settings->err));
    FbStatus status = fb_tokenizer_set_chat(settings->tokenizer, text, bytes, settings->err);
    fb_free(settings->tokenizer->context, text);
    return status;
}

FbStatus fb_tokenizer_read_settings(FbTokenizer *tokenizer, const char *folder, FbError *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "chat_template.json", "generation_config.json",
                                        "config.json"};
    Settings settings = {tokenizer, folder, err};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *json;
        FB_TRY(load(&settings, names[i], &json));
        FbStatus status = FB_OK;
        if (json != NULL && i < 3) {
            named_tokens(&settings, json);
            status = tokenizer->chat == NULL ? chat_of(&settings, json) : FB_OK;
        } else if (json != NULL) {
            numbered(&settings, json);
        }
        json_decref(json);
        FB_TRY(status);
    }
    return chat_file(&settings);
}

/* ---- vocab.json and merges.txt ---- */

/* Lines "left right", the first one may be a comment, into a JSON array. */
static FbStatus read_lines(const Settings *settings, const char *path, json_t **out)
{
    char *text;
    size_t bytes;
    json_t *lines = json_array();
    *out = lines;
    FB_TRY(fb_file_read_all(settings->tokenizer->context, path, FB_TOKENIZER_FILE_MAX, &text, &bytes, settings->err));
    FbStatus status = lines != NULL ? FB_OK : fb_error_memory(settings->tokenizer->context, settings->err, "merges", bytes);
    for (size_t at = 0, line = 0; status == FB_OK && at < bytes; line++) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end != NULL ? (size_t)(end - text) - at : bytes - at, shown = length;
        shown -= shown > 0 && text[at + shown - 1] == '\r';
        bool comment = line == 0 && shown >= 8 && memcmp(text + at, "#version", 8) == 0;
        json_t *value = comment || shown == 0 ? NULL : json_stringn(text + at, shown);
        if (!comment && shown > 0 && (value == NULL || json_array_append_new(lines, value) != 0)) {
            status = fb_error_set(settings->err, FB_ERR_FORMAT, "line %zu of the merges is no UTF-8", line + 1);
        }
        at += length + 1;
    }
    fb_free(settings->tokenizer->context, text);
    return status;
}

/* "gpt2_vocab.json" has its merges in "gpt2_merges.txt". */
static FbStatus merges_path(const Settings *settings, const char *vocabulary, char path[PATH_BYTES])
{
    static const char tail[] = "vocab.json";
    size_t length = strlen(vocabulary), kept = length >= sizeof tail - 1 ? length - (sizeof tail - 1) : length;
    if (strcmp(vocabulary + kept, tail) != 0) {
        return fb_error_set(settings->err, FB_ERR_FORMAT, "a vocabulary whose name does not end in vocab.json has no merges.txt");
    }
    int written = snprintf(path, PATH_BYTES, "%.*smerges.txt", (int)kept, vocabulary);
    return written > 0 && written < PATH_BYTES ? FB_OK : fb_error_set(settings->err, FB_ERR_ARGUMENT, "the path is too long");
}

/* Which model it is says how text is cut into words. */
static FbStatus cut_by_class(const Settings *settings, const json_t *config)
{
    static const struct { const char *name, *pattern; } classes[] = {
        {"GPT2Tokenizer", "gpt-2"}, {"GPT2TokenizerFast", "gpt-2"}, {"Qwen2Tokenizer", "qwen2"}, {"Qwen2TokenizerFast", "qwen2"},
    };
    const char *name = json_string_value(json_object_get(config, "tokenizer_class")), *pattern = name == NULL ? "gpt-2" : NULL;
    char shown[80];
    for (size_t i = 0; name != NULL && i < sizeof classes / sizeof *classes; i++) {
        pattern = strcmp(name, classes[i].name) == 0 ? classes[i].pattern : pattern;
    }
    if (pattern == NULL) {
        return fb_error_set(settings->err, FB_ERR_UNSUPPORTED, "vocab.json and merges.txt of a %s are not supported: make a tokenizer.json of them",
                            fb_escape(name, shown, sizeof shown));
    }
    const FbGgufPattern *row = fb_gguf_pattern(pattern);
    settings->tokenizer->model.byte_level = true;
    if (row->compose) {
        FB_TRY(fb_tokenizer_add_normal(settings->tokenizer, (FbNormalStep){.kind = FB_NORMAL_FORM, .form = FB_FORM_C}, settings->err));
    }
    return fb_tokenizer_split_pattern(settings->tokenizer, row->patterns[0], settings->err);
}

FbStatus fb_json_added_decoder(FbTokenizer *tokenizer, const json_t *config, FbError *err)
{
    const json_t *decoder = json_object_get(config, "added_tokens_decoder");
    for (void *at = json_object_iter((json_t *)decoder); at != NULL; at = json_object_iter_next((json_t *)decoder, at)) {
        long long id = -1;
        char rest;
        if (sscanf(json_object_iter_key(at), "%9lld%c", &id, &rest) != 1) {
            id = -1;
        }
        FB_TRY(fb_json_added_token(tokenizer, json_object_iter_value(at), id, err));
    }
    return FB_OK;
}

/* Without a list of added tokens GPT-2's one token. */
static FbStatus added_by_config(const Settings *settings, const json_t *config, const json_t *vocabulary)
{
    static const char end[] = "<|endoftext|>";
    FbTokenizer *tokenizer = settings->tokenizer;
    FB_TRY(fb_json_added_decoder(tokenizer, config, settings->err));
    const json_t *id = json_object_get(vocabulary, end);
    if (json_object_get(config, "added_tokens_decoder") != NULL || !json_is_integer(id)) {
        return FB_OK;
    }
    uint32_t token = (uint32_t)json_integer_value(id); /* in range: it was added */
    FB_TRY(fb_tokenizer_add_token(tokenizer, (FbAddedToken){.id = token, .special = true}, settings->err));
    tokenizer->special[FB_TOKEN_BOS] = (int32_t)token;
    return fb_tokenizer_set_special(tokenizer, FB_TOKEN_EOS, token, end, settings->err);
}

FbStatus fb_tokenizer_read_merges(FbTokenizer *tokenizer, const json_t *vocabulary, const char *vocabulary_path, const char *folder, FbError *err)
{
    Settings settings = {tokenizer, folder, err};
    char path[PATH_BYTES];
    json_t *config = NULL, *merges = NULL;
    const char *slash = strrchr(vocabulary_path, '/');
    bool alone = strcmp(slash != NULL ? slash + 1 : vocabulary_path, "vocab.json") != 0; /* then other files are not its own */
    FB_TRY(merges_path(&settings, vocabulary_path, path));
    FbStatus status = alone ? FB_OK : load(&settings, "tokenizer_config.json", &config);
    tokenizer->model.kind = FB_MODEL_BPE;
    status = status == FB_OK ? cut_by_class(&settings, config) : status;
    status = status == FB_OK ? fb_json_bpe_vocabulary(tokenizer, vocabulary, err) : status;
    status = status == FB_OK ? read_lines(&settings, path, &merges) : status;
    status = status == FB_OK ? fb_json_bpe_merges(tokenizer, vocabulary, merges, err) : status;
    status = status == FB_OK ? added_by_config(&settings, config, vocabulary) : status;
    status = status == FB_OK ? fb_tokenizer_index(tokenizer, err) : status;
    status = status == FB_OK && !alone ? fb_tokenizer_read_settings(tokenizer, folder, err) : status;
    json_decref(config);
    json_decref(merges);
    return status;
}
