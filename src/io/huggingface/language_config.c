/* Typed look-ups in config.json or in the keys of a GGUF file. */
#include "io/huggingface/language_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { KEY_BYTES = 128 };

/* The key as a message shows it. */
static const char *shown_key(const FbLanguageConfig *config, const char *hf, const char *gguf, char *out)
{
    if (config->json != NULL || gguf == NULL) {
        snprintf(out, KEY_BYTES, "config.json: '%s'", hf != NULL ? hf : gguf);
    } else {
        char shown[64];
        snprintf(out, KEY_BYTES, "key '%s.%s'", fb_escape(config->architecture, shown, sizeof shown), gguf);
    }
    return out;
}

static const json_t *json_at(const FbLanguageConfig *config, const char *hf)
{
    const json_t *value = config->json != NULL && hf != NULL ? json_object_get(config->json, hf) : NULL;
    return json_is_null(value) ? NULL : value;
}

static const FbMeta *meta_at(const FbLanguageConfig *config, const char *gguf)
{
    char key[KEY_BYTES];
    if (config->json != NULL || gguf == NULL) {
        return NULL;
    }
    int length = snprintf(key, sizeof key, "%s.%s", config->architecture, gguf);
    return length > 0 && (size_t)length < sizeof key ? fb_checkpoint_meta(config->checkpoint, key) : NULL;
}

bool fb_config_has(const FbLanguageConfig *config, const char *hf, const char *gguf)
{
    return json_at(config, hf) != NULL || meta_at(config, gguf) != NULL;
}

FbStatus fb_config_int(const FbLanguageConfig *config, const char *hf, const char *gguf, int64_t low, int64_t high, int64_t *out, FbError *err)
{
    const json_t *value = json_at(config, hf);
    const FbMeta *meta = meta_at(config, gguf);
    char key[KEY_BYTES];
    int64_t number = 0;
    if (value == NULL && meta == NULL) {
        return FB_OK;
    }
    bool whole = value != NULL ? json_is_integer(value) : fb_meta_integer(meta, &number);
    number = value != NULL ? json_integer_value(value) : number;
    if (!whole) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s must be one integer", shown_key(config, hf, gguf, key));
    }
    if (number < low || number > high) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s is %lld, expected %lld to %lld", shown_key(config, hf, gguf, key), (long long)number,
                            (long long)low, (long long)high);
    }
    *out = number;
    return FB_OK;
}

FbStatus fb_config_number(const FbLanguageConfig *config, const char *hf, const char *gguf, double *out, FbError *err)
{
    const json_t *value = json_at(config, hf);
    const FbMeta *meta = meta_at(config, gguf);
    char key[KEY_BYTES];
    double number = NAN;
    if (value == NULL && meta == NULL) {
        return FB_OK;
    }
    bool is_number = value != NULL ? json_is_number(value) : fb_meta_number(meta, &number);
    number = value != NULL ? json_number_value(value) : number;
    if (!is_number || !isfinite(number)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s must be a finite number", shown_key(config, hf, gguf, key));
    }
    *out = number;
    return FB_OK;
}

FbStatus fb_config_bool(const FbLanguageConfig *config, const char *hf, const char *gguf, bool *out, FbError *err)
{
    const json_t *value = json_at(config, hf);
    const FbMeta *meta = meta_at(config, gguf);
    char key[KEY_BYTES];
    if (value == NULL && meta == NULL) {
        return FB_OK;
    }
    if (value != NULL ? !json_is_boolean(value) : meta->is_array || meta->type != FB_META_BOOL) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s must be true or false", shown_key(config, hf, gguf, key));
    }
    *out = value != NULL ? json_is_true(value) : meta->value.u != 0;
    return FB_OK;
}

FbStatus fb_config_text(const FbLanguageConfig *config, const char *hf, const char *gguf, const char **out, FbError *err)
{
    const json_t *value = json_at(config, hf);
    const FbMeta *meta = meta_at(config, gguf);
    char key[KEY_BYTES];
    if (value == NULL && meta == NULL) {
        return FB_OK;
    }
    const char *text = value != NULL ? json_string_value(value) : fb_meta_text(meta);
    if (text == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s must be a string", shown_key(config, hf, gguf, key));
    }
    *out = text;
    return FB_OK;
}

static FbStatus missing(const FbLanguageConfig *config, const char *hf, const char *gguf, FbError *err)
{
    char key[KEY_BYTES];
    return fb_error_set(err, FB_ERR_FORMAT, "%s is missing", shown_key(config, hf, gguf, key));
}

FbStatus fb_config_need_int(const FbLanguageConfig *config, const char *hf, const char *gguf, int64_t low, int64_t high, int64_t *out, FbError *err)
{
    return fb_config_has(config, hf, gguf) ? fb_config_int(config, hf, gguf, low, high, out, err) : missing(config, hf, gguf, err);
}

FbStatus fb_config_need_number(const FbLanguageConfig *config, const char *hf, const char *gguf, double *out, FbError *err)
{
    return fb_config_has(config, hf, gguf) ? fb_config_number(config, hf, gguf, out, err) : missing(config, hf, gguf, err);
}

FbStatus fb_config_only(const FbLanguageConfig *config, const char *key, bool understood, FbError *err)
{
    bool value = understood;
    FB_TRY(fb_config_bool(config, key, NULL, &value, err));
    if (value != understood) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: '%s' is %s, which is not understood", key, value ? "true" : "false");
    }
    return FB_OK;
}
