/* Names of tensors: Hugging Face's to GGUF's, see hf_model.h. Families agree on most, so one table serves all. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf/hf_model.h"

const FbHfFamily fb_hf_families[] = {
    {"llama", "llama", FB_HF_PERMUTED},
    {"mistral", "llama", FB_HF_PERMUTED},
    {"mixtral", "llama", FB_HF_PERMUTED},
    {"mistral3", "mistral3", FB_HF_PERMUTED},
    {"qwen2", "qwen2", 0},
    {"qwen3", "qwen3", 0},
    {"qwen3_moe", "qwen3moe", 0},
    {"qwen2_vl_text", "qwen2vl", 0},
    {"qwen2_5_vl_text", "qwen2vl", 0},
    {"qwen3_vl_text", "qwen3vl", 0},
    {"gemma", "gemma", FB_HF_NORM_PLUS_ONE | FB_HF_NO_HEAD},
    {"gemma2", "gemma2", FB_HF_NORM_PLUS_ONE | FB_HF_NO_HEAD | FB_HF_SANDWICH},
    {"gemma3_text", "gemma3", FB_HF_NORM_PLUS_ONE | FB_HF_NO_HEAD | FB_HF_SANDWICH},
    {"gemma3", "gemma3", FB_HF_NORM_PLUS_ONE | FB_HF_NO_HEAD | FB_HF_SANDWICH},
    {"phi3", "phi3", 0},
    {"gpt2", "gpt2", FB_HF_CONV1D | FB_HF_WIDE_FEED},
    {"gpt_neox", "gptneox", FB_HF_QKV_HEADS},
    {"bloom", "bloom", FB_HF_QKV_HEADS | FB_HF_WIDE_FEED},
    /* Not run by this library. */
    {"stablelm", "stablelm", 0},
    {"starcoder2", "starcoder2", 0},
    {"olmo", "olmo", FB_HF_PERMUTED},
    {"olmo2", "olmo2", FB_HF_SANDWICH},
    {"granite", "granite", FB_HF_PERMUTED},
    {"granitemoe", "granitemoe", FB_HF_PERMUTED},
    {"qwen2_moe", "qwen2moe", 0},
    {"gpt_oss", "gpt-oss", FB_HF_SANDWICH | FB_HF_INPUTS_FIRST | FB_HF_INTERLEAVED},
};
const size_t fb_hf_family_count = sizeof fb_hf_families / sizeof fb_hf_families[0];

typedef struct FbHfNameRow {
    const char *from, *to;
    unsigned flags; /* only for families with one of these; 0: all */
} FbHfNameRow;

static const FbHfNameRow global_names[] = {
    {"embed_tokens", "token_embd", 0},
    {"wte", "token_embd", 0},
    {"embed_in", "token_embd", 0},
    {"word_embeddings", "token_embd", 0},
    {"word_embeddings_layernorm", "token_embd_norm", 0},
    {"wpe", "position_embd", 0},
    {"norm", "output_norm", 0},
    {"ln_f", "output_norm", 0},
    {"final_layer_norm", "output_norm", 0},
    {"lm_head", "output", 0},
    {"embed_out", "output", 0},
};

static const FbHfNameRow layer_names[] = {
    {"input_layernorm", "attn_norm", 0},
    {"ln_1", "attn_norm", 0},
    {"self_attn.q_proj", "attn_q", 0},
    {"self_attn.k_proj", "attn_k", 0},
    {"self_attn.v_proj", "attn_v", 0},
    {"self_attn.qkv_proj", "attn_qkv", 0},
    {"attn.c_attn", "attn_qkv", 0},
    {"attention.query_key_value", "attn_qkv", 0},
    {"self_attention.query_key_value", "attn_qkv", 0},
    {"self_attn.q_norm", "attn_q_norm", 0},
    {"self_attn.k_norm", "attn_k_norm", 0},
    {"self_attn.sinks", "attn_sinks", 0},
    {"self_attn.o_proj", "attn_output", 0},
    {"attn.c_proj", "attn_output", 0},
    {"attention.dense", "attn_output", 0},
    {"self_attention.dense", "attn_output", 0},
    {"post_attention_layernorm", "post_attention_norm", FB_HF_SANDWICH},
    {"post_attention_layernorm", "ffn_norm", 0},
    {"pre_feedforward_layernorm", "ffn_norm", 0},
    {"post_feedforward_layernorm", "post_ffw_norm", 0},
    {"ln_2", "ffn_norm", 0},
    {"mlp.gate_proj", "ffn_gate", 0},
    {"mlp.up_proj", "ffn_up", 0},
    {"mlp.down_proj", "ffn_down", 0},
    {"mlp.gate_up_proj", "ffn_up", 0},
    {"mlp.c_fc", "ffn_up", 0},
    {"mlp.c_proj", "ffn_down", 0},
    {"mlp.dense_h_to_4h", "ffn_up", 0},
    {"mlp.dense_4h_to_h", "ffn_down", 0},
    {"block_sparse_moe.gate", "ffn_gate_inp", 0},
    {"block_sparse_moe.router.layer", "ffn_gate_inp", 0},
    {"mlp.router", "ffn_gate_inp", 0},
    {"mlp.gate", "ffn_gate_inp", 0},
    {"mlp.shared_expert_gate", "ffn_gate_inp_shexp", 0},
    {"mlp.shared_expert.gate_proj", "ffn_gate_shexp", 0},
    {"mlp.shared_expert.up_proj", "ffn_up_shexp", 0},
    {"mlp.shared_expert.down_proj", "ffn_down_shexp", 0},
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps", 0}, /* cut in two when written */
    {"mlp.experts.down_proj", "ffn_down_exps", 0},
    {"block_sparse_moe.input_linear", "ffn_gate_up_exps", 0},
    {"block_sparse_moe.output_linear", "ffn_down_exps", 0},
};

static const FbHfNameRow expert_names[] = {
    {"w1", "ffn_gate_exps", 0},        {"w2", "ffn_down_exps", 0},      {"w3", "ffn_up_exps", 0},
    {"gate_proj", "ffn_gate_exps", 0}, {"down_proj", "ffn_down_exps", 0}, {"up_proj", "ffn_up_exps", 0},
};

static const char *look_up(const FbHfNameRow *rows, size_t count, unsigned flags, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(rows[i].from) == length && strncmp(rows[i].from, name, length) == 0 && (rows[i].flags == 0 || (rows[i].flags & flags) != 0)) {
            return rows[i].to;
        }
    }
    return NULL;
}
#define LOOK_UP(rows, flags, name, length) look_up(rows, sizeof rows / sizeof rows[0], flags, name, length)

/* What stands in front of the names of a whole model; several may be nested. */
static const char *without_prefixes(const char *name)
{
    static const char *const prefixes[] = {"model.", "transformer.", "gpt_neox.", "language_model.", "text_model.", "decoder."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0];) {
        size_t length = strlen(prefixes[i]);
        bool found = strncmp(name, prefixes[i], length) == 0;
        name += found ? length : 0;
        i = found ? 0 : i + 1;
    }
    return name;
}

/* "12." at the front: the number, and what follows; -1: none. */
static int64_t take_number(const char **name)
{
    char *end;
    if (**name < '0' || **name > '9') {
        return -1;
    }
    long long number = strtoll(*name, &end, 10);
    if (*end != '.' || number > INT32_MAX) {
        return -1;
    }
    *name = end + 1;
    return number;
}

static bool skip(const char **name, const char *text)
{
    size_t length = strlen(text);
    bool found = strncmp(*name, text, length) == 0;
    *name += found ? length : 0;
    return found;
}

FbHfName fb_hf_name(const FbHfFamily *family, const char *name)
{
    FbHfName found = {NULL, ".weight", -1, -1};
    name = without_prefixes(name);
    size_t length = strlen(name);
    if (length > 7 && strcmp(name + length - 7, ".weight") == 0) {
        length -= 7;
    } else if (length > 5 && (strcmp(name + length - 5, ".bias") == 0 || strcmp(name + length - 5, "_bias") == 0)) {
        length -= 5; /* "_bias": of parameters that are no modules, such as fused experts' */
        found.suffix = ".bias";
    }
    const char *end = name + length;
    if (skip(&name, "layers.") || skip(&name, "h.")) {
        found.layer = take_number(&name);
        if (found.layer < 0 || name > end) {
            return found;
        }
        const char *expert = name;
        if (skip(&expert, "block_sparse_moe.experts.") || skip(&expert, "mlp.experts.")) {
            found.expert = take_number(&expert);
        }
        if (found.expert >= 0 && expert <= end) {
            found.part = LOOK_UP(expert_names, family->flags, expert, (size_t)(end - expert));
        } else {
            found.part = LOOK_UP(layer_names, family->flags, name, (size_t)(end - name));
        }
    } else {
        found.part = LOOK_UP(global_names, family->flags, name, (size_t)(end - name));
    }
    return found;
}
