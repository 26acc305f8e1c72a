/* The table of families, the names of tensors that many share, and reading a checkpoint's configuration. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

const FbLanguageFamily *const fb_language_families[] = {
    &fb_family_llama, &fb_family_mistral, &fb_family_mixtral, &fb_family_qwen2,    &fb_family_qwen3, &fb_family_qwen3_moe, &fb_family_gemma, &fb_family_gemma2,
    &fb_family_gemma3, &fb_family_phi3,   &fb_family_gpt2, &fb_family_gpt_neox,  &fb_family_bloom, &fb_family_opt,       NULL};

const char *const fb_language_gguf_names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "token_embd",
    [FB_ROLE_EMBEDDING_NORM] = "token_embd_norm",
    [FB_ROLE_POSITIONS] = "position_embd",
    [FB_ROLE_FINAL_NORM] = "output_norm",
    [FB_ROLE_HEAD] = "output",
    [FB_ROLE_ATTENTION_NORM] = "blk.#.attn_norm",
    [FB_ROLE_QKV] = "blk.#.attn_qkv",
    [FB_ROLE_Q] = "blk.#.attn_q",
    [FB_ROLE_K] = "blk.#.attn_k",
    [FB_ROLE_V] = "blk.#.attn_v",
    [FB_ROLE_Q_NORM] = "blk.#.attn_q_norm",
    [FB_ROLE_K_NORM] = "blk.#.attn_k_norm",
    [FB_ROLE_ATTENTION_OUT] = "blk.#.attn_output",
    [FB_ROLE_AFTER_ATTENTION_NORM] = "blk.#.post_attention_norm",
    [FB_ROLE_FEED_NORM] = "blk.#.ffn_norm",
    [FB_ROLE_GATE_UP] = "blk.#.ffn_up",
    [FB_ROLE_GATE] = "blk.#.ffn_gate",
    [FB_ROLE_UP] = "blk.#.ffn_up",
    [FB_ROLE_DOWN] = "blk.#.ffn_down",
    [FB_ROLE_AFTER_FEED_NORM] = "blk.#.post_ffw_norm",
    [FB_ROLE_ROUTER] = "blk.#.ffn_gate_inp",
    [FB_ROLE_EXPERT_GATE] = "blk.#.ffn_gate.@",
    [FB_ROLE_EXPERT_UP] = "blk.#.ffn_up.@",
    [FB_ROLE_EXPERT_DOWN] = "blk.#.ffn_down.@",
    [FB_ROLE_EXPERTS_GATE] = "blk.#.ffn_gate_exps",
    [FB_ROLE_EXPERTS_UP] = "blk.#.ffn_up_exps",
    [FB_ROLE_EXPERTS_DOWN] = "blk.#.ffn_down_exps",
};

const char *const fb_language_llama_names[FB_ROLE_COUNT] = {
    [FB_ROLE_EMBEDDING] = "model.embed_tokens",
    [FB_ROLE_FINAL_NORM] = "model.norm",
    [FB_ROLE_HEAD] = "lm_head",
    [FB_ROLE_ATTENTION_NORM] = "model.layers.#.input_layernorm",
    [FB_ROLE_Q] = "model.layers.#.self_attn.q_proj",
    [FB_ROLE_K] = "model.layers.#.self_attn.k_proj",
    [FB_ROLE_V] = "model.layers.#.self_attn.v_proj",
    [FB_ROLE_Q_NORM] = "model.layers.#.self_attn.q_norm",
    [FB_ROLE_K_NORM] = "model.layers.#.self_attn.k_norm",
    [FB_ROLE_ATTENTION_OUT] = "model.layers.#.self_attn.o_proj",
    [FB_ROLE_FEED_NORM] = "model.layers.#.post_attention_layernorm",
    [FB_ROLE_GATE] = "model.layers.#.mlp.gate_proj",
    [FB_ROLE_UP] = "model.layers.#.mlp.up_proj",
    [FB_ROLE_DOWN] = "model.layers.#.mlp.down_proj",
};

static const char *pattern_of(const FbLanguageFamily *family, FbLanguageRole role)
{
    return family->names[role] != NULL ? family->names[role] : family->common != NULL ? family->common[role] : NULL;
}

const char *fb_language_tensor_name(const FbLanguageSpec *spec, bool gguf, FbLanguageRole role, int64_t layer, int64_t expert, const char *suffix,
                                    char *out, size_t bytes)
{
    const char *pattern = gguf ? fb_language_gguf_names[role] : pattern_of(spec->family, role);
    if (pattern == NULL) {
        return NULL;
    }
    size_t used = 0;
    bool inside = !gguf && role != FB_ROLE_HEAD && spec->body != NULL && strncmp(pattern, "model.", 6) == 0;
    const char *front = gguf ? "" : role == FB_ROLE_HEAD ? spec->head : inside ? spec->body : spec->prefix;
    int length = snprintf(out, bytes, "%s", front);
    used += length > 0 ? (size_t)length : 0;
    pattern += inside ? 6 : 0;
    for (const char *at = pattern; *at != '\0' && used < bytes; at++) {
        length = *at == '#'   ? snprintf(out + used, bytes - used, "%lld", (long long)layer)
                 : *at == '@' ? snprintf(out + used, bytes - used, "%lld", (long long)expert)
                              : snprintf(out + used, bytes - used, "%c", *at);
        used += length > 0 ? (size_t)length : 0;
    }
    if (used < bytes) {
        snprintf(out + used, bytes - used, "%s", suffix);
    }
    return out;
}

/* ---- which family ---- */

static bool is_of(const FbLanguageFamily *family, const char *architecture)
{
    for (size_t i = 0; family->architectures[i] != NULL; i++) {
        if (strcmp(family->architectures[i], architecture) == 0) {
            return true;
        }
    }
    return false;
}

static FbStatus unknown(FbContext *context, const char *architecture, FbError *err)
{
    FbText known;
    char shown[64];
    fb_text_init(&known, context);
    for (size_t i = 0; fb_language_families[i] != NULL; i++) {
        for (size_t j = 0; fb_language_families[i]->architectures[j] != NULL; j++) {
            fb_text_add(&known, known.length > 0 ? ", " : "");
            fb_text_add(&known, fb_language_families[i]->architectures[j]);
        }
    }
    FbStatus status = known.failed ? fb_error_memory(context, err, "a list of architectures", 0)
                                   : fb_error_set(err, FB_ERR_UNSUPPORTED, "architecture '%s' is not known; known are: %s",
                                                  fb_escape(architecture, shown, sizeof shown), known.data);
    fb_text_reset(&known);
    return status;
}

static FbStatus find_family(FbContext *context, const char *architecture, const FbLanguageFamily **family, FbError *err)
{
    for (size_t i = 0; fb_language_families[i] != NULL; i++) {
        if (is_of(fb_language_families[i], architecture)) {
            *family = fb_language_families[i];
            return FB_OK;
        }
    }
    return unknown(context, architecture, err);
}

static FbStatus find_prefix(const FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    char name[160], shown[160];
    spec->prefix = "";
    spec->head = "";
    if (config->part.larger != NULL) {
        spec->larger = config->part.larger;
        spec->body = config->part.body;
        spec->head = config->part.head;
    }
    if (config->json == NULL || spec->family->prefixes == NULL) {
        return FB_OK;
    }
    for (size_t i = 0; spec->family->prefixes[i] != NULL; i++) {
        spec->prefix = spec->family->prefixes[i];
        fb_language_tensor_name(spec, false, FB_ROLE_EMBEDDING, 0, 0, ".weight", name, sizeof name);
        if (fb_checkpoint_tensor(config->checkpoint, name) != NULL) {
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_FORMAT, "no tensor '%s'", fb_escape(name, shown, sizeof shown));
}

static FbStatus read_family(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    if (config->architecture == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'model_type' is missing");
    }
    FB_TRY(find_family(config->context, config->architecture, &spec->family, err));
    spec->info.architecture = config->architecture;
    spec->info.family = spec->family->name;
    spec->embedding_scale = 1.0;
    if (fb_config_has(config, "quantization_config", NULL)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: 'quantization_config': weights that are quantized in this way are not read");
    }
    FB_TRY(find_prefix(config, spec, err));
    FB_TRY(spec->family->read(config, spec, err));
    if (spec->larger != NULL) { /* a head that is there counts, whatever is said of tying */
        char name[160];
        fb_language_tensor_name(spec, false, FB_ROLE_HEAD, 0, 0, ".weight", name, sizeof name);
        spec->tied = spec->tied && fb_checkpoint_tensor(config->checkpoint, name) == NULL;
    }
    return FB_OK;
}

/* The settings of a larger model's text part take the place of the whole's. */
static FbStatus enter_text_part(FbLanguageConfig *config, FbError *err)
{
    const json_t *quantization = json_object_get(config->json, "quantization_config");
    FB_TRY(fb_text_part_open(config->json, config->checkpoint, &config->part, err));
    if (config->part.larger != NULL && quantization != NULL &&
        json_object_set(config->part.config, "quantization_config", (json_t *)(uintptr_t)quantization) != 0) {
        return fb_error_memory(config->context, err, "config.json", 0);
    }
    json_decref(config->json);
    config->json = json_incref(config->part.config);
    return FB_OK;
}

static FbStatus parse_config(FbLanguageConfig *config, FbError *err)
{
    const FbBytes *text = &config->checkpoint->config;
    if (text->data == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensors alone: a graph needs the folder with config.json");
    }
    FB_TRY(fb_json_parse((const char *)text->data, text->count, text->count, "config.json", &config->json, err));
    if (!json_is_object(config->json)) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json must be an object");
    }
    FB_TRY(enter_text_part(config, err));
    if (config->part.larger != NULL) {
        config->architecture = config->part.type;
        return FB_OK;
    }
    const char *type = NULL;
    FB_TRY(fb_config_text(config, "model_type", NULL, &type, err));
    config->architecture = type != NULL ? fb_arena_strdup(config->arena, type) : NULL;
    return type == NULL || config->architecture != NULL ? FB_OK : fb_error_memory(config->context, err, "config.json", strlen(type));
}

FbStatus fb_language_spec_read(FbContext *context, const FbCheckpoint *checkpoint, FbArena *arena, FbLanguageSpec *spec, FbError *err)
{
    FbLanguageConfig config = {.context = context, .checkpoint = checkpoint, .arena = arena};
    FbStatus status = FB_OK;
    *spec = (FbLanguageSpec){.family = NULL};
    if (strcmp(checkpoint->format, "safetensors") == 0) {
        status = parse_config(&config, err);
    } else {
        config.architecture = fb_meta_text(fb_checkpoint_meta(checkpoint, "general.architecture"));
    }
    if (status == FB_OK) {
        status = read_family(&config, spec, err);
    }
    json_decref(config.json);
    fb_text_part_close(&config.part);
    return status;
}

const char *fb_language_family(size_t index, const char **summary)
{
    for (size_t i = 0; i <= index; i++) {
        if (fb_language_families[i] == NULL) {
            return NULL;
        }
    }
    *summary = fb_language_families[index]->summary;
    return fb_language_families[index]->name;
}
