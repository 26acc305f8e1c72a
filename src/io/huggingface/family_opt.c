/* OPT: layer norms, learned positions that begin at the third row of their table, ReLU. One size has a narrower embedding and its norms behind the
 * sums.
 *
 * Source: Zhang et al. 2022 (arXiv:2205.01068). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

enum { POSITION_OFFSET = 2 };

static FbStatus read_opt(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    static const FbConfigKeys keys = {"num_hidden_layers", "hidden_size", "ffn_dim", "num_attention_heads", NULL, "max_position_embeddings", NULL,
                                      "activation_function", NULL, 0};
    if (config->json == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "architecture 'opt' is not known in such files");
    }
    spec->layer_norm = true;
    spec->epsilon = 1e-5;
    spec->activation = FB_LANGUAGE_RELU;
    spec->positions = FB_POSITIONS_LEARNED;
    spec->position_offset = POSITION_OFFSET;
    spec->tied = true;
    FB_TRY(fb_config_sizes(config, &keys, spec, err));
    int64_t width = spec->info.hidden;
    bool before = true;
    FB_TRY(fb_config_int(config, "word_embed_proj_dim", NULL, 1, FB_LANGUAGE_SIZE_MAX, &width, err));
    FB_TRY(fb_config_bool(config, "do_layer_norm_before", NULL, &before, err));
    FB_TRY(fb_config_bool(config, "_remove_final_layer_norm", NULL, &spec->no_final_norm, err));
    spec->embedding_width = width != spec->info.hidden ? width : 0;
    spec->norms_behind = !before;
    spec->no_final_norm |= !before;
    return fb_config_only(config, "layer_norm_elementwise_affine", true, err);
}

static const char *const architectures[] = {"opt", NULL};
static const char *const prefixes[] = {"model.decoder.", "decoder.", NULL};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "embed_tokens",
    [FB_ROLE_POSITIONS] = "embed_positions",
    [FB_ROLE_FINAL_NORM] = "final_layer_norm",
    [FB_ROLE_HEAD] = "lm_head",
    [FB_ROLE_ATTENTION_NORM] = "layers.#.self_attn_layer_norm",
    [FB_ROLE_Q] = "layers.#.self_attn.q_proj",
    [FB_ROLE_K] = "layers.#.self_attn.k_proj",
    [FB_ROLE_V] = "layers.#.self_attn.v_proj",
    [FB_ROLE_ATTENTION_OUT] = "layers.#.self_attn.out_proj",
    [FB_ROLE_FEED_NORM] = "layers.#.final_layer_norm",
    [FB_ROLE_UP] = "layers.#.fc1",
    [FB_ROLE_DOWN] = "layers.#.fc2",
    [FB_ROLE_WIDEN] = "project_in",
    [FB_ROLE_NARROW] = "project_out",
};

const FbLanguageFamily fb_family_opt = {
    .name = "opt",
    .summary = "OPT: learned positions, ReLU",
    .architectures = architectures,
    .read = read_opt,
    .names = names,
    .prefixes = prefixes,
};
