/* GPT-2: layer norms with biases, learned positions, weights stored [in, out].
 *
 * Source: Radford et al. 2019 ("Language models are unsupervised multitask learners"). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

static FbStatus read_gpt2(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    bool json = config->json != NULL;
    const FbConfigKeys keys = {"n_layer", "n_embd", "n_inner", "n_head", NULL, fb_config_has(config, "n_positions", NULL) ? "n_positions" : "n_ctx",
                               "layer_norm_epsilon", "activation_function", "attention.layer_norm_epsilon", 4};
    spec->layer_norm = true;
    spec->epsilon = 1e-5;
    spec->activation = FB_LANGUAGE_GELU_TANH;
    spec->positions = FB_POSITIONS_LEARNED;
    spec->qkv = json ? FB_QKV_COLUMNS : FB_QKV_ROWS;
    spec->transposed = json;
    spec->tied = true;
    FB_TRY(fb_config_sizes(config, &keys, spec, err));
    FB_TRY(fb_config_only(config, "scale_attn_weights", true, err));
    FB_TRY(fb_config_only(config, "add_cross_attention", false, err));
    return fb_config_only(config, "scale_attn_by_inverse_layer_idx", false, err);
}

static const char *const architectures[] = {"gpt2", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "wte",
    [FB_ROLE_POSITIONS] = "wpe",
    [FB_ROLE_FINAL_NORM] = "ln_f",
    [FB_ROLE_HEAD] = "lm_head",
    [FB_ROLE_ATTENTION_NORM] = "h.#.ln_1",
    [FB_ROLE_QKV] = "h.#.attn.c_attn",
    [FB_ROLE_ATTENTION_OUT] = "h.#.attn.c_proj",
    [FB_ROLE_FEED_NORM] = "h.#.ln_2",
    [FB_ROLE_UP] = "h.#.mlp.c_fc",
    [FB_ROLE_DOWN] = "h.#.mlp.c_proj",
};

const FbLanguageFamily fb_family_gpt2 = {
    .name = "gpt2",
    .summary = "GPT-2: learned positions",
    .architectures = architectures,
    .read = read_gpt2,
    .names = names,
    .prefixes = prefixes,
};
