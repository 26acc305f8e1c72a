/* JSON: bounds before jansson, typed look-ups after it. */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

/* Nesting is bounded on the text itself, before any parser descends. */
static bool depth_ok(const char *text, size_t bytes)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > FB_JSON_DEPTH_MAX) {
                return false;
            }
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

static FbStatus parse(const char *text, size_t bytes, size_t max_bytes, size_t flags, const char *what, json_t **out, FbError *err)
{
    *out = NULL;
    if (bytes > max_bytes) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: %zu bytes of JSON, at most %zu are read", what, bytes, max_bytes);
    }
    if (!depth_ok(text, bytes)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: JSON nested deeper than %d", what, FB_JSON_DEPTH_MAX);
    }
    json_error_t problem;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | flags, &problem);
    if (!*out) {
        char shown[JSON_ERROR_TEXT_LENGTH + 32];
        fb_escape(problem.text, shown, sizeof shown);
        return fb_error_set(err, FB_ERR_FORMAT, "%s: line %d, column %d: %s", what, problem.line, problem.column, shown);
    }
    return FB_OK;
}

FbStatus fb_json_parse(const char *text, size_t bytes, size_t max_bytes, const char *what, json_t **out, FbError *err)
{
    return parse(text, bytes, max_bytes, 0, what, out, err);
}

FbStatus fb_json_parse_reals(const char *text, size_t bytes, size_t max_bytes, const char *what, json_t **out, FbError *err)
{
    return parse(text, bytes, max_bytes, JSON_DECODE_INT_AS_REAL, what, out, err);
}

FbStatus fb_json_load(FbContext *context, const char *path, size_t max_bytes, json_t **out, FbError *err)
{
    char *data = NULL;
    size_t bytes = 0;
    *out = NULL;
    FB_TRY(fb_file_read_all(context, path, max_bytes, &data, &bytes, err));
    FbStatus status = fb_json_parse(data, bytes, max_bytes, path, out, err);
    fb_free(context, data);
    return status;
}

static int add_bytes(const char *bytes, size_t count, void *text)
{
    fb_text_add_n(text, bytes, count);
    return ((FbText *)text)->failed ? -1 : 0;
}

FbStatus fb_json_dump(FbContext *context, const json_t *value, bool pretty, char **out, FbError *err)
{
    FbText text;
    fb_text_init(&text, context);
    size_t flags = JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    *out = NULL;
    if (json_dump_callback(value, add_bytes, &text, flags) != 0 && !text.failed) {
        fb_text_reset(&text);
        return fb_error_set(err, FB_ERR_INTERNAL, "a value cannot be written as JSON");
    }
    *out = fb_text_take(&text);
    return *out ? FB_OK : fb_error_memory(context, err, "JSON text", text.length);
}

FbStatus fb_json_check_keys(const json_t *object, const char *const *keys, size_t key_count, const char *where, FbError *err)
{
    if (!json_is_object(object)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: expected an object", where);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < key_count && !known; i++) {
            known = strcmp(key, keys[i]) == 0;
        }
        if (!known) {
            char shown[80];
            const char *near = fb_nearest_name(key, keys, key_count);
            fb_escape(key, shown, sizeof shown);
            return near ? fb_error_set(err, FB_ERR_FORMAT, "%s: unknown key '%s'; did you mean '%s'?", where, shown, near)
                        : fb_error_set(err, FB_ERR_FORMAT, "%s: unknown key '%s'", where, shown);
        }
    }
    return FB_OK;
}

FbStatus fb_json_get_int(const json_t *object, const char *key, const char *where, int64_t low, int64_t high, int64_t *out, FbError *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        return FB_OK;
    }
    if (!json_is_integer(value)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' must be a whole number", where, key);
    }
    int64_t number = json_integer_value(value);
    if (number < low || number > high) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' is %lld, must be %lld to %lld", where, key, (long long)number, (long long)low,
                            (long long)high);
    }
    *out = number;
    return FB_OK;
}

FbStatus fb_json_get_number(const json_t *object, const char *key, const char *where, double *out, FbError *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        return FB_OK;
    }
    if (!json_is_number(value) || !isfinite(json_number_value(value))) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' must be a number", where, key);
    }
    *out = json_number_value(value);
    return FB_OK;
}

FbStatus fb_json_get_bool(const json_t *object, const char *key, const char *where, bool *out, FbError *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        return FB_OK;
    }
    if (!json_is_boolean(value)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' must be true or false", where, key);
    }
    *out = json_is_true(value);
    return FB_OK;
}

FbStatus fb_json_get_string(const json_t *object, const char *key, const char *where, const char **out, FbError *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        return FB_OK;
    }
    if (!json_is_string(value)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: '%s' must be a string", where, key);
    }
    *out = json_string_value(value);
    return FB_OK;
}
