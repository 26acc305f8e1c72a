/* Settings that nearly every family has: sizes, heads, activation, windows. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/huggingface/language_config.h"

static const struct { const char *name; FbLanguageActivation activation; } activations[] = {
    {"silu", FB_LANGUAGE_SILU},
    {"swish", FB_LANGUAGE_SILU},
    {"gelu", FB_LANGUAGE_GELU_ERF},
    {"gelu_python", FB_LANGUAGE_GELU_ERF},
    {"gelu_new", FB_LANGUAGE_GELU_TANH},
    {"gelu_fast", FB_LANGUAGE_GELU_TANH},
    {"gelu_pytorch_tanh", FB_LANGUAGE_GELU_TANH},
    {"gelu_python_tanh", FB_LANGUAGE_GELU_TANH},
    {"relu", FB_LANGUAGE_RELU},
};

static FbStatus read_activation(FbLanguageConfig *config, const char *key, FbLanguageSpec *spec, FbError *err)
{
    const char *name = NULL;
    FB_TRY(fb_config_text(config, key, NULL, &name, err));
    if (name == NULL) {
        return FB_OK;
    }
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(activations[i].name, name) == 0) {
            spec->activation = activations[i].activation;
            return FB_OK;
        }
    }
    char shown[64];
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: '%s' is '%s', an activation that is not understood", key,
                        fb_escape(name, shown, sizeof shown));
}

static FbStatus read_heads(FbLanguageConfig *config, const FbConfigKeys *keys, FbLanguageInfo *info, FbError *err)
{
    FB_TRY(fb_config_need_int(config, keys->q_heads, "attention.head_count", 1, FB_LANGUAGE_HEADS_MAX, &info->q_heads, err));
    info->kv_heads = info->q_heads;
    FB_TRY(fb_config_int(config, keys->kv_heads, "attention.head_count_kv", 1, FB_LANGUAGE_HEADS_MAX, &info->kv_heads, err));
    if (info->q_heads % info->kv_heads != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld query heads cannot share %lld heads of keys", (long long)info->q_heads,
                            (long long)info->kv_heads);
    }
    FB_TRY(fb_config_int(config, keys->kv_heads != NULL ? "head_dim" : NULL, "attention.key_length", 1, FB_LANGUAGE_DEPTH_MAX, &info->head_dim, err));
    if (info->head_dim == 0) {
        if (info->hidden % info->q_heads != 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "a hidden size of %lld cannot be divided among %lld heads", (long long)info->hidden,
                                (long long)info->q_heads);
        }
        info->head_dim = info->hidden / info->q_heads;
    }
    int64_t value_length = info->head_dim;
    FB_TRY(fb_config_int(config, NULL, "attention.value_length", 1, FB_LANGUAGE_DEPTH_MAX, &value_length, err));
    if (value_length != info->head_dim || info->head_dim > FB_LANGUAGE_DEPTH_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "heads with %lld numbers per key and %lld per value are not understood",
                            (long long)info->head_dim, (long long)value_length);
    }
    return FB_OK;
}

FbStatus fb_config_sizes(FbLanguageConfig *config, const FbConfigKeys *keys, FbLanguageSpec *spec, FbError *err)
{
    FbLanguageInfo *info = &spec->info;
    FB_TRY(fb_config_need_int(config, keys->layers, "block_count", 1, FB_LANGUAGE_LAYERS_MAX, &info->layers, err));
    FB_TRY(fb_config_need_int(config, keys->hidden, "embedding_length", 1, FB_LANGUAGE_SIZE_MAX, &info->hidden, err));
    if (config->json == NULL || keys->context != NULL) {
        FB_TRY(fb_config_need_int(config, keys->context, "context_length", 1, FB_LANGUAGE_CONTEXT_MAX, &info->context_length, err));
    }
    FB_TRY(read_heads(config, keys, info, err));
    if (keys->widening == 0 || fb_config_has(config, keys->feed_forward, "feed_forward_length")) {
        FB_TRY(fb_config_need_int(config, keys->feed_forward, "feed_forward_length", 1, FB_LANGUAGE_SIZE_MAX, &info->feed_forward, err));
    } else {
        info->feed_forward = keys->widening * info->hidden;
    }
    if (config->json != NULL) {
        FB_TRY(fb_config_need_int(config, "vocab_size", NULL, 1, FB_LANGUAGE_SIZE_MAX, &info->vocabulary, err));
    }
    FB_TRY(fb_config_number(config, keys->epsilon, keys->gguf_epsilon, &spec->epsilon, err));
    if (!(spec->epsilon > 0.0 && spec->epsilon < 1.0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "the epsilon of norms is %g", spec->epsilon);
    }
    spec->attention_scale = 1.0 / sqrt((double)info->head_dim);
    FB_TRY(fb_config_bool(config, "tie_word_embeddings", NULL, &spec->tied, err));
    return read_activation(config, keys->activation, spec, err);
}

FbStatus fb_config_common(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    static const FbConfigKeys keys = {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
                                      "max_position_embeddings", "rms_norm_eps", "hidden_act", "attention.layer_norm_rms_epsilon", 0};
    spec->gated = true;
    spec->epsilon = 1e-6;
    return fb_config_sizes(config, &keys, spec, err);
}

FbStatus fb_config_layers(FbLanguageConfig *config, const FbLanguageSpec *spec, bool value, bool **list, FbError *err)
{
    bool *flags = fb_arena_array(config->arena, (size_t)spec->info.layers, sizeof *flags);
    if (flags == NULL) {
        return fb_error_memory(config->context, err, "a list of layers", (uint64_t)spec->info.layers);
    }
    for (int64_t i = 0; i < spec->info.layers; i++) {
        flags[i] = value;
    }
    *list = flags;
    return FB_OK;
}

FbStatus fb_config_mixture(FbLanguageConfig *config, const char *experts, const char *width, FbLanguageSpec *spec, FbError *err)
{
    FbLanguageInfo *info = &spec->info;
    bool *mixture = NULL;
    FB_TRY(fb_config_need_int(config, experts, "expert_count", 1, FB_LANGUAGE_EXPERTS_MAX, &info->experts, err));
    FB_TRY(fb_config_need_int(config, "num_experts_per_tok", "expert_used_count", 1, info->experts, &info->experts_used, err));
    spec->expert_width = info->feed_forward;
    FB_TRY(fb_config_int(config, width, "expert_feed_forward_length", 1, FB_LANGUAGE_SIZE_MAX, &spec->expert_width, err));
    FB_TRY(fb_config_layers(config, spec, true, &mixture, err));
    spec->mixture = mixture;
    return FB_OK;
}

/* ---- windows ---- */

static FbStatus read_layer_types(const json_t *types, FbLanguageSpec *spec, bool *sliding, FbError *err)
{
    if (!json_is_array(types) || json_array_size(types) != (size_t)spec->info.layers) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'layer_types' must have one entry for each of %lld layers", (long long)spec->info.layers);
    }
    for (size_t i = 0; i < (size_t)spec->info.layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        sliding[i] = type != NULL && strcmp(type, "sliding_attention") == 0;
        if (!sliding[i] && (type == NULL || strcmp(type, "full_attention") != 0)) {
            char shown[64];
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: 'layer_types' has '%s', which is not understood",
                                fb_escape(type != NULL ? type : "?", shown, sizeof shown));
        }
    }
    return FB_OK;
}

FbStatus fb_config_sliding(FbLanguageConfig *config, FbLanguageSpec *spec, int64_t period, int64_t first, FbError *err)
{
    const json_t *types = config->json != NULL ? json_object_get(config->json, "layer_types") : NULL;
    if (config->json != NULL && json_is_null(json_object_get(config->json, "sliding_window"))) {
        spec->info.window = 0; /* a family's default does not hold */
    }
    FB_TRY(fb_config_int(config, "sliding_window", "attention.sliding_window", 0, INT64_MAX, &spec->info.window, err));
    if (spec->info.window == 0) {
        return FB_OK;
    }
    bool *sliding = NULL;
    FB_TRY(fb_config_layers(config, spec, false, &sliding, err));
    spec->sliding = sliding;
    if (types != NULL && !json_is_null(types)) {
        return read_layer_types(types, spec, sliding, err);
    }
    for (int64_t i = 0; i < spec->info.layers; i++) {
        sliding[i] = i >= first && period > 0 && (period == 1 || (i + 1) % period != 0);
    }
    return FB_OK;
}
