/* BLOOM: layer norms, also of the embedding; ALiBi in place of positions.
 *
 * Source: BigScience Workshop 2022 (arXiv:2211.05100). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

enum { CONTEXT = 2048 }; /* that the published models were trained with; config.json has no key for it */

static FbStatus read_bloom(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    const FbConfigKeys keys = {fb_config_has(config, "n_layer", NULL) ? "n_layer" : "num_hidden_layers",
                               fb_config_has(config, "n_embed", NULL) ? "n_embed" : "hidden_size",
                               NULL,
                               fb_config_has(config, "n_head", NULL) ? "n_head" : "num_attention_heads",
                               NULL,
                               NULL,
                               "layer_norm_epsilon",
                               NULL,
                               "attention.layer_norm_epsilon",
                               4};
    spec->layer_norm = true;
    spec->epsilon = 1e-5;
    spec->activation = FB_LANGUAGE_GELU_TANH;
    spec->positions = FB_POSITIONS_ALIBI;
    spec->embedding_norm = true;
    spec->qkv = config->json != NULL ? FB_QKV_HEADS : FB_QKV_ROWS;
    spec->tied = true;
    spec->info.context_length = CONTEXT;
    FB_TRY(fb_config_sizes(config, &keys, spec, err));
    FB_TRY(fb_config_int(config, "seq_length", NULL, 1, FB_LANGUAGE_CONTEXT_MAX, &spec->info.context_length, err));
    return fb_config_bool(config, "apply_residual_connection_post_layernorm", NULL, &spec->norm_is_residual, err);
}

static const char *const architectures[] = {"bloom", NULL};
static const char *const prefixes[] = {"transformer.", "", NULL};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "word_embeddings",
    [FB_ROLE_EMBEDDING_NORM] = "word_embeddings_layernorm",
    [FB_ROLE_FINAL_NORM] = "ln_f",
    [FB_ROLE_HEAD] = "lm_head",
    [FB_ROLE_ATTENTION_NORM] = "h.#.input_layernorm",
    [FB_ROLE_QKV] = "h.#.self_attention.query_key_value",
    [FB_ROLE_ATTENTION_OUT] = "h.#.self_attention.dense",
    [FB_ROLE_FEED_NORM] = "h.#.post_attention_layernorm",
    [FB_ROLE_UP] = "h.#.mlp.dense_h_to_4h",
    [FB_ROLE_DOWN] = "h.#.mlp.dense_4h_to_h",
};

const FbLanguageFamily fb_family_bloom = {
    .name = "bloom",
    .summary = "BLOOM: ALiBi",
    .architectures = architectures,
    .read = read_bloom,
    .names = names,
    .prefixes = prefixes,
};
