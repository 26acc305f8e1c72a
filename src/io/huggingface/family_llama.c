/* Llama, Mistral, Mixtral: root mean square norms, gated SiLU, rotary embeddings, shared key heads; Mistral's layers may have a window, Mixtral's
 * feed-forward parts are mixtures of experts. GGUF files call all three "llama".
 *
 * Source: Touvron et al. 2023 (arXiv:2302.13971), Jiang et al. 2023 (arXiv:2310.06825), Jiang et al. 2024 (arXiv:2401.04088). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

enum { MISTRAL_WINDOW = 4096 }; /* where config.json does not say */

/* What newer files of architecture "mistral3" may ask for. */
static FbStatus refuse_newer(const FbLanguageConfig *config, FbError *err)
{
    static const char *const keys[] = {"attention.temperature_scale", "rope.scaling.yarn_log_multiplier"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        double value = 0.0;
        FB_TRY(fb_config_number(config, NULL, keys[i], &value, err));
        if (value != 0.0) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "key '%s.%s' is %g, which is not understood", config->architecture, keys[i], value);
        }
    }
    return FB_OK;
}

static FbStatus read_llama(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    FB_TRY(refuse_newer(config, err));
    FB_TRY(fb_config_common(config, spec, err));
    FB_TRY(fb_config_rotary(config, spec, "full_attention", 10000.0, 1.0, &spec->rotary[0], err));
    spec->interleaved = config->json == NULL; /* rows of such files are permuted so that neighbours are a pair */
    spec->normalize_experts = true;
    int64_t experts = 0; /* GGUF files of dense models may say so */
    FB_TRY(fb_config_int(config, NULL, "expert_count", 0, FB_LANGUAGE_EXPERTS_MAX, &experts, err));
    if (experts > 0 || spec->family == &fb_family_mixtral) {
        FB_TRY(fb_config_mixture(config, "num_local_experts", NULL, spec, err));
    }
    FB_TRY(fb_config_sliding(config, spec, 1, 0, err));
    if (config->json != NULL && spec->family == &fb_family_llama) { /* such models never slide, whatever the key says */
        spec->info.window = 0;
        spec->sliding = NULL;
    }
    return FB_OK;
}

static FbStatus read_mistral(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    spec->info.window = MISTRAL_WINDOW;
    return read_llama(config, spec, err);
}

static const char *const dense_architectures[] = {"llama", "mistral3", NULL};
static const char *const mistral_architectures[] = {"mistral", NULL};

const FbLanguageFamily fb_family_llama = {
    .name = "llama",
    .summary = "Llama 1 to 3, SmolLM: gated SiLU, rotary embeddings",
    .architectures = dense_architectures,
    .read = read_llama,
    .names = fb_language_llama_names,
};

const FbLanguageFamily fb_family_mistral = {
    .name = "mistral",
    .summary = "Mistral: like Llama, with sliding attention",
    .architectures = mistral_architectures,
    .read = read_mistral,
    .names = fb_language_llama_names,
};

static const char *const mixture_architectures[] = {"mixtral", NULL};

static const char *const mixture_names[FB_ROLE_COUNT] = {
    [FB_ROLE_ROUTER] = "model.layers.#.block_sparse_moe.gate",
    [FB_ROLE_EXPERT_GATE] = "model.layers.#.block_sparse_moe.experts.@.w1",
    [FB_ROLE_EXPERT_UP] = "model.layers.#.block_sparse_moe.experts.@.w3",
    [FB_ROLE_EXPERT_DOWN] = "model.layers.#.block_sparse_moe.experts.@.w2",
};

const FbLanguageFamily fb_family_mixtral = {
    .name = "mixtral",
    .summary = "Mixtral: Mistral with a mixture of experts",
    .architectures = mixture_architectures,
    .read = read_llama,
    .names = mixture_names,
    .common = fb_language_llama_names,
};
