/* tokenizer.json as a whole, and which file of a Hugging Face folder says what. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/file_error.h"
#include "data/tokenizer_json.h"

enum { TREE_PER_BYTE = 16, PATH_BYTES = 4096, INTEGER_DIGITS = 19 };

/* transformers writes 10^30 for "no limit" (model_max_length) as a whole number, which no 64 bits hold: it becomes a real one. */
static void add_numbers(const char *text, size_t bytes, FbText *out)
{
    size_t kept = 0;
    bool in_string = false;
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        if (in_string || text[at] < '0' || text[at] > '9') {
            in_string = text[at] == '"' ? !in_string : in_string;
            at += in_string && text[at] == '\\' ? 2 : 1;
            continue;
        }
        while (at < bytes && text[at] >= '0' && text[at] <= '9') {
            at++;
        }
        bool whole = at == bytes || strchr(".eE", text[at]) == NULL, fraction = start > 0 && strchr(".eE+", text[start - 1]) != NULL;
        if (at - start >= INTEGER_DIGITS && whole && !fraction) {
            fb_text_add_n(out, text + kept, at - kept);
            fb_text_add(out, ".0");
            kept = at;
        }
    }
    fb_text_add_n(out, text + kept, bytes - kept);
}

static FbStatus parse(FbContext *context, const char *data, size_t bytes, const char *path, json_t **out, FbError *err)
{
    FbText text;
    *out = NULL;
    fb_text_init(&text, context);
    add_numbers(data, bytes, &text);
    FbStatus status = text.failed ? fb_error_memory(context, err, "JSON", bytes)
                                  : fb_json_parse(text.data != NULL ? text.data : "", text.length, text.length, path, out, err);
    fb_text_reset(&text);
    return status;
}

/* The tree lies outside the context's memory, so the cap is kept by the size of the text. */
FbStatus fb_tokenizer_json_load(FbContext *context, const char *path, json_t **out, FbError *err)
{
    uint64_t cap = fb_context_max_memory(context), most = FB_TOKENIZER_FILE_MAX;
    char *data;
    size_t bytes;
    *out = NULL;
    most = cap != 0 && cap / TREE_PER_BYTE < most ? cap / TREE_PER_BYTE : most;
    FB_TRY(fb_file_read_all(context, path, (size_t)most, &data, &bytes, err));
    FbStatus status = parse(context, data, bytes, path, out, err);
    fb_free(context, data);
    return status;
}

static FbStatus read_tokenizer(FbTokenizer *tokenizer, const json_t *json, FbError *err)
{
    FB_TRY(fb_json_normalizer(tokenizer, json_object_get(json, "normalizer"), err));
    FB_TRY(fb_json_pre_tokenizer(tokenizer, json_object_get(json, "pre_tokenizer"), err));
    FB_TRY(fb_json_model(tokenizer, json_object_get(json, "model"), json_object_get(json, "added_tokens"), err));
    FB_TRY(fb_json_post_processor(tokenizer, json_object_get(json, "post_processor"), err));
    FB_TRY(fb_json_decoder(tokenizer, json_object_get(json, "decoder"), err));
    if (tokenizer->model.kind == FB_MODEL_BPE && !tokenizer->model.byte_level && tokenizer->splits.count == 0 &&
        tokenizer->model.prefix.count == 0 && tokenizer->model.suffix.count == 0 && !tokenizer->model.whole_words) {
        fb_tokenizer_find_cuts(tokenizer, (FbBytes){(const uint8_t *)FB_MARK, 3});
    }
    return FB_OK;
}

FbStatus fb_tokenizer_folder_of(const char *path, char *out, size_t bytes, FbError *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) : 1;
    if (length >= bytes) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the path is too long");
    }
    memcpy(out, slash != NULL ? path : ".", length);
    out[length] = '\0';
    if (slash == path) {
        strcpy(out, "/.");
    }
    return FB_OK;
}

static FbStatus read_loaded(FbTokenizer *tokenizer, const json_t *json, const char *path, FbError *err)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    FB_TRY(fb_tokenizer_folder_of(path, folder, sizeof folder, err));
    if (json_is_object(json_object_get(json, "model"))) {
        FB_TRY(read_tokenizer(tokenizer, json, err));
        return strcmp(name, "tokenizer.json") == 0 ? fb_tokenizer_read_settings(tokenizer, folder, err) : FB_OK;
    }
    const json_t *first = json_object_iter_value(json_object_iter((json_t *)json));
    if (json_is_integer(first)) {
        return fb_tokenizer_read_merges(tokenizer, json, path, folder, err);
    }
    return fb_error_set(err, FB_ERR_FORMAT, "neither a tokenizer.json (it has no 'model') nor a vocab.json");
}

FbStatus fb_tokenizer_read_json_text(FbTokenizer *tokenizer, const char *text, size_t bytes, const char *path, FbError *err)
{
    json_t *json;
    FB_TRY(parse(tokenizer->context, text, bytes, path, &json, err));
    FbStatus status = read_loaded(tokenizer, json, path, err);
    json_decref(json);
    return status;
}

FbStatus fb_tokenizer_read_json(FbTokenizer *tokenizer, const char *path, FbError *err)
{
    json_t *json;
    FB_TRY(fb_tokenizer_json_load(tokenizer->context, path, &json, err));
    FbStatus status = read_loaded(tokenizer, json, path, err);
    json_decref(json);
    return status;
}

FbStatus fb_tokenizer_has_file(FbContext *context, const char *path, bool *found, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes;
    int error = files->kind(files->user, path, &kind, &bytes);
    *found = error == 0 && kind == FB_FILE_REGULAR;
    return error == 0 || error == ENOENT ? FB_OK : fb_error_file(err, error, "open", path);
}

FbStatus fb_tokenizer_read_folder(FbTokenizer *tokenizer, const char *path, FbError *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json"};
    size_t length = strlen(path);
    char file[PATH_BYTES];
    bool found;
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    if (length + 32 > sizeof file) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the path is too long");
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%.*s/%s", (int)length, path, names[i]);
        FB_TRY(fb_tokenizer_has_file(tokenizer->context, file, &found, err));
        if (found) {
            return strstr(names[i], ".model") != NULL ? fb_tokenizer_read_sentencepiece(tokenizer, file, err)
                                                      : fb_tokenizer_read_json(tokenizer, file, err);
        }
    }
    return fb_error_set(err, FB_ERR_FORMAT, "the folder has neither tokenizer.json nor tokenizer.model, spiece.model, or vocab.json and merges.txt");
}
