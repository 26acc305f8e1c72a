/* Phi-3 and Phi-4: like Llama, with one weight for queries, keys and values and one for gate and up, partial and long rotary embeddings.
 *
 * Source: Abdin et al. 2024 (arXiv:2404.14219). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

static FbStatus read_phi3(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    FB_TRY(fb_config_common(config, spec, err));
    FB_TRY(fb_config_rotary(config, spec, "full_attention", 10000.0, 1.0, &spec->rotary[0], err));
    spec->qkv = FB_QKV_ROWS;
    spec->fused_gate = true;
    return fb_config_sliding(config, spec, 1, 0, err);
}

static const char *const architectures[] = {"phi3", NULL};

static const char *const names[FB_ROLE_COUNT] = {
    [FB_ROLE_QKV] = "model.layers.#.self_attn.qkv_proj",
    [FB_ROLE_GATE_UP] = "model.layers.#.mlp.gate_up_proj",
};

const FbLanguageFamily fb_family_phi3 = {
    .name = "phi3",
    .summary = "Phi-3, Phi-4: like Llama, with fused weights and long rotary embeddings",
    .architectures = architectures,
    .read = read_phi3,
    .names = names,
    .common = fb_language_llama_names,
};
