/* Gemma 1 to 3: gated GELU, scaled embeddings, norms stored less one. Gemma 2 normalizes what its parts give, bends scores and logits, and slides in
 * every other layer; Gemma 3 normalizes heads instead of bending and slides in five layers of six, which have a rotary base of their own.
 *
 * Source: Gemma Team 2024 (arXiv:2403.08295, arXiv:2408.00118), 2025 (arXiv:2503.19786). */
#include <math.h>
#include <string.h>

#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

enum { HEAD_DIM = 256, GEMMA2_LARGE_LAYERS = 46, GEMMA3_LARGE_LAYERS = 62 };

static FbStatus read_shared(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    bool json = config->json != NULL;
    static const FbConfigKeys keys = {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
                                      "max_position_embeddings", "rms_norm_eps", "hidden_activation", "attention.layer_norm_rms_epsilon", 0};
    spec->gated = true;
    spec->epsilon = 1e-6;
    spec->activation = FB_LANGUAGE_GELU_TANH; /* Gemma 1's key 'hidden_act' says "gelu" and means this, too */
    spec->tied = true;
    spec->norm_plus_one = json; /* GGUF files hold the sum */
    spec->info.head_dim = json ? HEAD_DIM : 0;
    FB_TRY(fb_config_sizes(config, &keys, spec, err));
    spec->embedding_scale = sqrt((double)spec->info.hidden);
    return fb_config_rotary(config, spec, "full_attention", 10000.0, 1.0, &spec->rotary[0], err);
}

static FbStatus read_gemma(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    const char *activation = "gelu";
    FB_TRY(fb_config_text(config, "hidden_act", NULL, &activation, err));
    FB_TRY(read_shared(config, spec, err));
    if (strcmp(activation, "gelu") != 0 && strcmp(activation, "gelu_pytorch_tanh") != 0 && !fb_config_has(config, "hidden_activation", NULL)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: 'hidden_act' of Gemma is neither 'gelu' nor 'gelu_pytorch_tanh'");
    }
    return FB_OK;
}

/* What scores are multiplied with: by config.json, or, where GGUF files do not say it, by the one size of each family that differs. */
static FbStatus read_scale(FbLanguageConfig *config, int64_t large_layers, FbLanguageSpec *spec, FbError *err)
{
    const FbLanguageInfo *info = &spec->info;
    double width = config->json != NULL ? (double)HEAD_DIM : (double)info->head_dim;
    if (config->json == NULL && info->layers == large_layers) {
        width = (double)info->hidden / (double)info->q_heads;
    }
    FB_TRY(fb_config_number(config, "query_pre_attn_scalar", NULL, &width, err));
    if (!(width > 0.0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'query_pre_attn_scalar' is %g", width);
    }
    spec->attention_scale = 1.0 / sqrt(width);
    return FB_OK;
}

static FbStatus read_caps(FbLanguageConfig *config, double scores, double logits, FbLanguageSpec *spec, FbError *err)
{
    bool absent = config->json == NULL || json_object_get(config->json, "attn_logit_softcapping") == NULL;
    spec->attention_softcap = absent ? scores : 0.0; /* null: none */
    absent = config->json == NULL || json_object_get(config->json, "final_logit_softcapping") == NULL;
    spec->logit_softcap = absent ? logits : 0.0;
    FB_TRY(fb_config_number(config, "attn_logit_softcapping", "attn_logit_softcapping", &spec->attention_softcap, err));
    FB_TRY(fb_config_number(config, "final_logit_softcapping", "final_logit_softcapping", &spec->logit_softcap, err));
    if (spec->attention_softcap < 0.0 || spec->logit_softcap < 0.0) {
        return fb_error_set(err, FB_ERR_FORMAT, "soft-capping at %g and %g", spec->attention_softcap, spec->logit_softcap);
    }
    return fb_config_only(config, "use_bidirectional_attention", false, err);
}

static FbStatus read_gemma2(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    FB_TRY(read_shared(config, spec, err));
    spec->after_norms = true;
    spec->info.window = 4096;
    FB_TRY(read_scale(config, GEMMA2_LARGE_LAYERS, spec, err));
    FB_TRY(read_caps(config, 50.0, 30.0, spec, err));
    return fb_config_sliding(config, spec, 2, 0, err);
}

static FbStatus read_gemma3(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    double local = 10000.0;
    int64_t period = 6;
    FB_TRY(read_shared(config, spec, err));
    spec->after_norms = true;
    spec->head_norms = true;
    spec->info.window = config->json != NULL ? 4096 : 0;
    FB_TRY(read_scale(config, GEMMA3_LARGE_LAYERS, spec, err));
    FB_TRY(read_caps(config, 0.0, 0.0, spec, err));
    FB_TRY(fb_config_rotary(config, spec, "full_attention", 1000000.0, 1.0, &spec->rotary[0], err));
    FB_TRY(fb_config_number(config, "rope_local_base_freq", "rope.freq_base_swa", &local, err));
    FB_TRY(fb_config_int(config, "sliding_window_pattern", NULL, 1, FB_LANGUAGE_LAYERS_MAX, &period, err));
    FB_TRY(fb_config_local_rotary(config, spec, local, err));
    return fb_config_sliding(config, spec, period, 0, err);
}

static const char *const gemma_architectures[] = {"gemma", NULL};
static const char *const gemma2_architectures[] = {"gemma2", NULL};
static const char *const gemma3_architectures[] = {"gemma3_text", "gemma3", NULL};

const FbLanguageFamily fb_family_gemma = {
    .name = "gemma",
    .summary = "Gemma: gated GELU, scaled embeddings",
    .architectures = gemma_architectures,
    .read = read_gemma,
    .names = fb_language_llama_names,
};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_AFTER_ATTENTION_NORM] = "model.layers.#.post_attention_layernorm",
    [FB_ROLE_FEED_NORM] = "model.layers.#.pre_feedforward_layernorm",
    [FB_ROLE_AFTER_FEED_NORM] = "model.layers.#.post_feedforward_layernorm",
};

const FbLanguageFamily fb_family_gemma2 = {
    .name = "gemma2",
    .summary = "Gemma 2: bent scores and logits, sliding attention in every other layer",
    .architectures = gemma2_architectures,
    .read = read_gemma2,
    .names = names,
    .common = fb_language_llama_names,
};

const FbLanguageFamily fb_family_gemma3 = {
    .name = "gemma3",
    .summary = "Gemma 3 (text): normalized heads, sliding attention in five layers of six",
    .architectures = gemma3_architectures,
    .read = read_gemma3,
    .names = names,
    .common = fb_language_llama_names,
};
