/* GPT-NeoX and Pythia: layer norms, rotary embeddings of a part of each head, attention and feed-forward side by side.
 *
 * Source: Black et al. 2022 (arXiv:2204.06745). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

static FbStatus read_gpt_neox(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    static const FbConfigKeys keys = {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", NULL, "max_position_embeddings",
                                      "layer_norm_eps", "hidden_act", "attention.layer_norm_epsilon", 4};
    spec->layer_norm = true;
    spec->epsilon = 1e-5;
    spec->activation = FB_LANGUAGE_GELU_ERF;
    spec->qkv = config->json != NULL ? FB_QKV_HEADS : FB_QKV_ROWS;
    spec->parallel = true;
    FB_TRY(fb_config_sizes(config, &keys, spec, err));
    FB_TRY(fb_config_bool(config, "use_parallel_residual", "use_parallel_residual", &spec->parallel, err));
    return fb_config_rotary(config, spec, "full_attention", 10000.0, 0.25, &spec->rotary[0], err);
}

static const char *const architectures[] = {"gpt_neox", "gptneox", NULL};
static const char *const prefixes[] = {"gpt_neox.", "", NULL};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "embed_in",
    [FB_ROLE_FINAL_NORM] = "final_layer_norm",
    [FB_ROLE_HEAD] = "embed_out",
    [FB_ROLE_ATTENTION_NORM] = "layers.#.input_layernorm",
    [FB_ROLE_QKV] = "layers.#.attention.query_key_value",
    [FB_ROLE_ATTENTION_OUT] = "layers.#.attention.dense",
    [FB_ROLE_FEED_NORM] = "layers.#.post_attention_layernorm",
    [FB_ROLE_UP] = "layers.#.mlp.dense_h_to_4h",
    [FB_ROLE_DOWN] = "layers.#.mlp.dense_4h_to_h",
};

const FbLanguageFamily fb_family_gpt_neox = {
    .name = "gpt_neox",
    .summary = "GPT-NeoX, Pythia: partial rotary embeddings, parallel parts",
    .architectures = architectures,
    .read = read_gpt_neox,
    .names = names,
    .prefixes = prefixes,
};
