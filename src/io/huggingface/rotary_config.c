/* The settings of rotary embeddings: base, rotated dimensions, and how positions beyond the original ones are scaled. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/huggingface/language_config.h"

static const struct { const char *name; FbRotaryScaling scaling; } scalings[] = {
    {"default", FB_ROTARY_PLAIN}, {"none", FB_ROTARY_PLAIN},   {"linear", FB_ROTARY_LINEAR},     {"dynamic", FB_ROTARY_DYNAMIC},
    {"llama3", FB_ROTARY_LLAMA3}, {"yarn", FB_ROTARY_YARN},    {"longrope", FB_ROTARY_LONGROPE}, {"su", FB_ROTARY_LONGROPE},
    {"mrope", FB_ROTARY_PLAIN}, /* a place in time, height and width: of text all three are the position */
};

static FbStatus scaling_of(const char *name, const char *where, FbRotaryScaling *scaling, FbError *err)
{
    for (size_t i = 0; i < sizeof scalings / sizeof scalings[0]; i++) {
        if (strcmp(scalings[i].name, name) == 0) {
            *scaling = scalings[i].scaling;
            return FB_OK;
        }
    }
    char shown[64];
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s is '%s', a scaling of rotary embeddings that is not understood", where,
                        fb_escape(name, shown, sizeof shown));
}

/* Keys of the object in config.json that says the scaling; null is as good as absent. */
static FbStatus number_in(const json_t *object, const char *key, double *out, FbError *err)
{
    return json_is_null(json_object_get(object, key)) ? FB_OK : fb_json_get_number(object, key, "config.json: the rotary embedding", out, err);
}

static FbStatus text_in(const json_t *object, const char *key, const char **out, FbError *err)
{
    return json_is_null(json_object_get(object, key)) ? FB_OK : fb_json_get_string(object, key, "config.json: the rotary embedding", out, err);
}

/* dims / 2 positive numbers. */
static FbStatus read_divisors(const FbLanguageConfig *config, const json_t *object, const char *key, int64_t count, const double **out, FbError *err)
{
    const json_t *list = json_object_get(object, key);
    if (list == NULL || json_is_null(list)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' of the rotary embedding is missing", key);
    }
    double *numbers = fb_arena_array(config->arena, (size_t)count, sizeof *numbers);
    if (numbers == NULL) {
        return fb_error_memory(config->context, err, "a rotary embedding", (uint64_t)count * sizeof *numbers);
    }
    if (!json_is_array(list) || json_array_size(list) != (size_t)count) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' must have %lld numbers", key, (long long)count);
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        numbers[i] = json_number_value(json_array_get(list, i));
        if (!(numbers[i] > 0.0 && isfinite(numbers[i]))) {
            return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' must hold positive numbers", key);
        }
    }
    *out = numbers;
    return FB_OK;
}

/* What yarn multiplies cosines and sines with. Source: Peng et al. 2023 (arXiv:2309.00071), section 3.4. */
static double yarn_magnitude(double factor, double scale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * scale * log(factor) + 1.0;
}

static FbStatus read_yarn(const json_t *object, FbRotarySpec *rotary, FbError *err)
{
    static const char where[] = "config.json: the rotary embedding";
    double scale = 0.0, scale_all = 0.0;
    rotary->whole_dims = true;
    FB_TRY(number_in(object, "beta_fast", &rotary->beta_fast, err));
    FB_TRY(number_in(object, "beta_slow", &rotary->beta_slow, err));
    FB_TRY(number_in(object, "mscale", &scale, err));
    FB_TRY(number_in(object, "mscale_all_dim", &scale_all, err));
    FB_TRY(fb_json_get_bool(object, "truncate", where, &rotary->whole_dims, err));
    if (rotary->attention_factor == 0.0 && scale != 0.0 && scale_all != 0.0) {
        rotary->attention_factor = yarn_magnitude(rotary->factor, scale) / yarn_magnitude(rotary->factor, scale_all);
    }
    return FB_OK;
}

/* The numbers of a scaling in config.json. */
static FbStatus read_scaling(const FbLanguageConfig *config, const FbLanguageSpec *spec, const json_t *object, FbRotarySpec *rotary, FbError *err)
{
    static const char where[] = "config.json: the rotary embedding";
    rotary->factor = 0.0;
    FB_TRY(fb_config_int(config, "original_max_position_embeddings", NULL, 1, FB_LANGUAGE_CONTEXT_MAX, &rotary->original, err));
    const bool null = json_is_null(json_object_get(object, "original_max_position_embeddings"));
    FB_TRY(null ? FB_OK : fb_json_get_int(object, "original_max_position_embeddings", where, 1, FB_LANGUAGE_CONTEXT_MAX, &rotary->original, err));
    FB_TRY(number_in(object, "factor", &rotary->factor, err));
    FB_TRY(number_in(object, "attention_factor", &rotary->attention_factor, err));
    if (rotary->scaling == FB_ROTARY_LLAMA3) {
        FB_TRY(number_in(object, "low_freq_factor", &rotary->low_factor, err));
        FB_TRY(number_in(object, "high_freq_factor", &rotary->high_factor, err));
    }
    bool by_length = rotary->scaling == FB_ROTARY_LONGROPE || rotary->scaling == FB_ROTARY_YARN;
    if (by_length && rotary->factor == 0.0 && rotary->original > 0) {
        rotary->factor = (double)spec->info.context_length / (double)rotary->original;
    }
    if (rotary->scaling == FB_ROTARY_LONGROPE) {
        FB_TRY(read_divisors(config, object, "short_factor", rotary->dims / 2, &rotary->divisors, err));
        FB_TRY(read_divisors(config, object, "long_factor", rotary->dims / 2, &rotary->long_divisors, err));
    }
    return rotary->scaling == FB_ROTARY_YARN ? read_yarn(object, rotary, err) : FB_OK;
}

static FbStatus check(const FbRotarySpec *rotary, int64_t head_dim, FbError *err)
{
    bool original = rotary->scaling == FB_ROTARY_LLAMA3 || rotary->scaling == FB_ROTARY_YARN || rotary->scaling == FB_ROTARY_LONGROPE;
    if (rotary->dims < 2 || rotary->dims % 2 != 0 || rotary->dims > head_dim) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld of a head's %lld dimensions cannot be rotated", (long long)rotary->dims, (long long)head_dim);
    }
    if (!(rotary->theta > 1.0 && rotary->theta < 1e15)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the base of the rotary embedding is %g", rotary->theta);
    }
    if (rotary->scaling != FB_ROTARY_PLAIN && !(rotary->factor > 0.0 && rotary->factor < 1e9)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the factor of the rotary embedding is %g", rotary->factor);
    }
    if (original && rotary->original < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "'original_max_position_embeddings' of the rotary embedding is missing");
    }
    if (rotary->scaling == FB_ROTARY_LLAMA3 && !(rotary->low_factor > 0.0 && rotary->high_factor > rotary->low_factor)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the rotary embedding has low_freq_factor %g and high_freq_factor %g", rotary->low_factor,
                            rotary->high_factor);
    }
    if (!(rotary->beta_fast > 0.0 && rotary->beta_slow > 0.0 && rotary->attention_factor >= 0.0 && rotary->attention_factor < 1e6)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the rotary embedding has beta_fast %g, beta_slow %g and attention_factor %g", rotary->beta_fast,
                            rotary->beta_slow, rotary->attention_factor);
    }
    return FB_OK;
}

/* The object with the settings: newer files have one for all, or one for each type of layer; older ones keep the base beside it. */
static FbStatus object_of(const FbLanguageConfig *config, const char *layer_type, const json_t **out, FbError *err)
{
    const char *key = "rope_parameters";
    const json_t *object = json_object_get(config->json, key);
    if (object == NULL || json_is_null(object)) {
        key = "rope_scaling";
        object = json_object_get(config->json, key);
    }
    if (json_is_object(json_object_get(object, layer_type))) {
        object = json_object_get(object, layer_type);
    }
    if (object != NULL && !json_is_null(object) && !json_is_object(object)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' must be an object", key);
    }
    *out = json_is_object(object) ? object : NULL;
    return FB_OK;
}

static FbStatus read_json(FbLanguageConfig *config, const FbLanguageSpec *spec, const char *layer_type, double partial, FbRotarySpec *rotary,
                          FbError *err)
{
    const json_t *object = NULL;
    const char *type = NULL;
    FB_TRY(object_of(config, layer_type, &object, err));
    FB_TRY(fb_config_number(config, "rope_theta", NULL, &rotary->theta, err));
    FB_TRY(fb_config_number(config, "rotary_emb_base", NULL, &rotary->theta, err));
    FB_TRY(fb_config_number(config, "partial_rotary_factor", NULL, &partial, err));
    FB_TRY(fb_config_number(config, "rotary_pct", NULL, &partial, err));
    if (object != NULL) {
        FB_TRY(number_in(object, "rope_theta", &rotary->theta, err));
        FB_TRY(number_in(object, "partial_rotary_factor", &partial, err));
        FB_TRY(text_in(object, "type", &type, err));
        FB_TRY(text_in(object, "rope_type", &type, err));
    }
    if (!(partial > 0.0 && partial <= 1.0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: %g of a head's dimensions cannot be rotated", partial);
    }
    rotary->dims = (int64_t)((double)spec->info.head_dim * partial);
    if (type == NULL) {
        return FB_OK;
    }
    FB_TRY(scaling_of(type, "config.json: 'rope_type'", &rotary->scaling, err));
    return rotary->scaling == FB_ROTARY_PLAIN ? FB_OK : read_scaling(config, spec, object, rotary, err);
}

/* A tensor of frequency divisors in a GGUF file; absent is fine. */
static FbStatus divisors_tensor(const FbLanguageConfig *config, const char *name, int64_t count, const double **out, FbError *err)
{
    const FbTableTensor *tensor = fb_checkpoint_tensor(config->checkpoint, name);
    if (tensor == NULL) {
        return FB_OK;
    }
    double *numbers = fb_arena_array(config->arena, (size_t)count, sizeof *numbers);
    float *loaded = fb_arena_array(config->arena, (size_t)count, sizeof *loaded);
    if (numbers == NULL || loaded == NULL) {
        return fb_error_memory(config->context, err, "a rotary embedding", (uint64_t)count * sizeof *numbers);
    }
    if (fb_shape_elements(&tensor->constant.shape) != count) {
        return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s' must have %lld numbers", name, (long long)count);
    }
    FB_TRY(fb_const_read_f32(config->context, &tensor->constant, 0, (size_t)count, loaded, err));
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = (double)loaded[i];
        if (!(numbers[i] > 0.0 && isfinite(numbers[i]))) {
            return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s' must hold positive numbers", name);
        }
    }
    *out = numbers;
    return FB_OK;
}

static FbStatus read_keys(FbLanguageConfig *config, const FbLanguageSpec *spec, FbRotarySpec *rotary, FbError *err)
{
    const char *type = NULL;
    double linear = 0.0, magnitude = 1.0;
    rotary->whole_dims = true;
    rotary->factor = 0.0;
    rotary->original = spec->info.context_length;
    FB_TRY(fb_config_number(config, NULL, "rope.freq_base", &rotary->theta, err));
    FB_TRY(fb_config_int(config, NULL, "rope.dimension_count", 2, FB_LANGUAGE_DEPTH_MAX, &rotary->dims, err));
    FB_TRY(fb_config_text(config, NULL, "rope.scaling.type", &type, err));
    FB_TRY(fb_config_number(config, NULL, "rope.scaling.factor", &rotary->factor, err));
    FB_TRY(fb_config_number(config, NULL, "rope.scaling.attn_factor", &magnitude, err));
    FB_TRY(fb_config_number(config, NULL, "rope.scaling.yarn_beta_fast", &rotary->beta_fast, err));
    FB_TRY(fb_config_number(config, NULL, "rope.scaling.yarn_beta_slow", &rotary->beta_slow, err));
    FB_TRY(fb_config_int(config, NULL, "rope.scaling.original_context_length", 1, FB_LANGUAGE_CONTEXT_MAX, &rotary->original, err));
    FB_TRY(fb_config_number(config, NULL, "rope.scale_linear", &linear, err));
    if (type != NULL) {
        FB_TRY(scaling_of(type, "'rope.scaling.type'", &rotary->scaling, err));
    } else if (linear != 0.0 || rotary->factor != 0.0) {
        rotary->scaling = FB_ROTARY_LINEAR;
    }
    rotary->factor = rotary->factor == 0.0 ? linear : rotary->factor;
    rotary->attention_factor = magnitude;
    if (rotary->scaling == FB_ROTARY_YARN) {
        rotary->attention_factor = magnitude * yarn_magnitude(rotary->factor, 1.0);
    }
    FB_TRY(divisors_tensor(config, "rope_freqs.weight", rotary->dims / 2, &rotary->divisors, err));
    FB_TRY(divisors_tensor(config, "rope_factors_short.weight", rotary->dims / 2, &rotary->divisors, err));
    FB_TRY(divisors_tensor(config, "rope_factors_long.weight", rotary->dims / 2, &rotary->long_divisors, err));
    if (rotary->scaling == FB_ROTARY_LONGROPE || rotary->long_divisors != NULL) {
        rotary->scaling = FB_ROTARY_LONGROPE;
        rotary->factor = rotary->factor == 0.0 ? (double)spec->info.context_length / (double)rotary->original : rotary->factor;
    } else if (rotary->scaling == FB_ROTARY_PLAIN) {
        rotary->factor = 1.0;
    }
    return FB_OK;
}

static FbRotarySpec plain(int64_t dims, double theta)
{
    return (FbRotarySpec){.dims = dims, .theta = theta, .factor = 1.0, .low_factor = 1.0, .high_factor = 4.0, .beta_fast = 32.0, .beta_slow = 1.0};
}

FbStatus fb_config_rotary(FbLanguageConfig *config, const FbLanguageSpec *spec, const char *layer_type, double theta, double partial,
                          FbRotarySpec *rotary, FbError *err)
{
    *rotary = plain(spec->info.head_dim, theta);
    FB_TRY(config->json != NULL ? read_json(config, spec, layer_type, partial, rotary, err) : read_keys(config, spec, rotary, err));
    return check(rotary, spec->info.head_dim, err);
}

FbStatus fb_config_local_rotary(FbLanguageConfig *config, FbLanguageSpec *spec, double theta, FbError *err)
{
    const json_t *types = config->json != NULL ? json_object_get(config->json, "rope_parameters") : NULL;
    if (json_is_object(json_object_get(types, "sliding_attention"))) {
        return fb_config_rotary(config, spec, "sliding_attention", theta, 1.0, &spec->rotary[1], err);
    }
    spec->rotary[1] = plain(spec->rotary[0].dims, theta);
    return check(&spec->rotary[1], spec->info.head_dim, err);
}
