/* Qwen2 and Qwen3: like Llama; Qwen2 has biases on queries, keys and values and may slide in its upper layers, Qwen3 normalizes heads, its MoE form
 * has mixtures of experts in all layers or some.
 *
 * Source: Yang et al. 2024 (arXiv:2407.10671), Yang et al. 2025 (arXiv:2505.09388). */
#include "base/text.h"
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

enum { QWEN3_HEAD_DIM = 128, QWEN2_FULL_LAYERS = 28, QWEN2_WINDOW = 4096 }; /* where config.json does not say */

static FbStatus read_qwen2(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    bool slides = false;
    int64_t first = QWEN2_FULL_LAYERS;
    FB_TRY(fb_config_common(config, spec, err));
    FB_TRY(fb_config_rotary(config, spec, "full_attention", 10000.0, 1.0, &spec->rotary[0], err));
    FB_TRY(fb_config_bool(config, "use_sliding_window", NULL, &slides, err));
    FB_TRY(fb_config_int(config, "max_window_layers", NULL, 0, INT64_MAX, &first, err));
    spec->info.window = slides ? QWEN2_WINDOW : 0;
    return slides ? fb_config_sliding(config, spec, 1, first, err) : FB_OK;
}

static FbStatus read_qwen3(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    spec->head_norms = true;
    spec->info.head_dim = config->json != NULL ? QWEN3_HEAD_DIM : 0;
    return read_qwen2(config, spec, err);
}

/* Layers that are dense although the others are mixtures. */
static FbStatus read_dense_layers(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    const json_t *dense = config->json != NULL ? json_object_get(config->json, "mlp_only_layers") : NULL;
    int64_t step = 1;
    bool *mixture = NULL;
    FB_TRY(fb_config_int(config, "decoder_sparse_step", NULL, 1, FB_LANGUAGE_LAYERS_MAX, &step, err));
    FB_TRY(fb_config_layers(config, spec, true, &mixture, err));
    for (int64_t i = 0; i < spec->info.layers; i++) {
        mixture[i] = (i + 1) % step == 0;
    }
    if (dense != NULL && !json_is_null(dense) && !json_is_array(dense)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'mlp_only_layers' must be a list");
    }
    for (size_t i = 0; i < json_array_size(dense); i++) {
        const json_t *layer = json_array_get(dense, i);
        json_int_t number = json_integer_value(layer);
        if (!json_is_integer(layer) || number < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'mlp_only_layers' must hold numbers of layers");
        }
        if (number < spec->info.layers) {
            mixture[number] = false;
        }
    }
    spec->mixture = mixture;
    return FB_OK;
}

static FbStatus read_qwen3_moe(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    spec->head_norms = true;
    FB_TRY(read_qwen2(config, spec, err));
    FB_TRY(fb_config_mixture(config, fb_config_has(config, "num_experts", NULL) ? "num_experts" : "num_local_experts", "moe_intermediate_size", spec, err));
    spec->normalize_experts = config->json == NULL; /* GGUF files have no key for what all known ones do */
    FB_TRY(fb_config_bool(config, "norm_topk_prob", NULL, &spec->normalize_experts, err));
    return read_dense_layers(config, spec, err);
}

static const char *const qwen2_architectures[] = {"qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2vl", NULL};
static const char *const qwen3_architectures[] = {"qwen3", "qwen3_vl_text", "qwen3vl", NULL};
static const char *const qwen3_moe_architectures[] = {"qwen3_moe", "qwen3moe", NULL};

const FbLanguageFamily fb_family_qwen2 = {
    .name = "qwen2",
    .summary = "Qwen2, Qwen2.5, text of Qwen2-VL: like Llama, with biases",
    .architectures = qwen2_architectures,
    .read = read_qwen2,
    .names = fb_language_llama_names,
};

const FbLanguageFamily fb_family_qwen3 = {
    .name = "qwen3",
    .summary = "Qwen3, text of Qwen3-VL: like Llama, with normalized heads",
    .architectures = qwen3_architectures,
    .read = read_qwen3,
    .names = fb_language_llama_names,
};

static const char *const moe_names[FB_ROLE_COUNT] = {
    [FB_ROLE_ROUTER] = "model.layers.#.mlp.gate",
    [FB_ROLE_EXPERT_GATE] = "model.layers.#.mlp.experts.@.gate_proj",
    [FB_ROLE_EXPERT_UP] = "model.layers.#.mlp.experts.@.up_proj",
    [FB_ROLE_EXPERT_DOWN] = "model.layers.#.mlp.experts.@.down_proj",
};

const FbLanguageFamily fb_family_qwen3_moe = {
    .name = "qwen3_moe",
    .summary = "Qwen3 with mixtures of experts",
    .architectures = qwen3_moe_architectures,
    .read = read_qwen3_moe,
    .names = moe_names,
    .common = fb_language_llama_names,
};
