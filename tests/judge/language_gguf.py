"""Small models of Hugging Face's form as GGUF files: names, keys and layouts as llama.cpp's converter writes them (read there, written anew)."""
import re

import gguf
import numpy

from language_case import TOKENS

LLAMA = {"embed_tokens": "token_embd", "norm": "output_norm", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
         "block_sparse_moe.gate": "ffn_gate_inp", "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
GEMMA = {**LLAMA, "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
GPT2 = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
NEOX = {"embed_in": "token_embd", "embed_out": "output", "final_layer_norm": "output_norm", "input_layernorm": "attn_norm",
        "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down"}
BLOOM = {**NEOX, "word_embeddings": "token_embd", "word_embeddings_layernorm": "token_embd_norm", "ln_f": "output_norm",
         "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output"}
FAMILIES = {"llama": ("llama", LLAMA), "mixtral": ("llama", LLAMA), "qwen2": ("qwen2", LLAMA), "qwen3": ("qwen3", LLAMA), "qwen3_moe": ("qwen3moe", LLAMA),
            "gemma": ("gemma", LLAMA), "gemma2": ("gemma2", GEMMA), "gemma3_text": ("gemma3", GEMMA), "phi3": ("phi3", LLAMA), "gpt2": ("gpt2", GPT2),
            "gpt_neox": ("gptneox", NEOX), "bloom": ("bloom", BLOOM)}
EXPERTS = {"w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps", "gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps",
           "down_proj": "ffn_down_exps"}


def pairs_beside(values, heads):
    """Rows so that the two numbers of a rotated pair are neighbours."""
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def parts_together(values, heads):
    """From (q, k, v) of each head to q, k, v of all heads."""
    return values.reshape(heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def renamed(architecture, names, config, weights):
    heads = config.get("num_attention_heads", config.get("n_head"))
    tensors, experts = {}, {}
    for name, values in weights.items():
        expert = re.search(r"layers\.(\d+)\..*experts\.(\d+)\.(\w+)\.weight", name)
        if expert is not None:
            experts.setdefault(f"blk.{expert[1]}.{EXPERTS[expert[3]]}.weight", []).append((int(expert[2]), values))
            continue
        layer = re.fullmatch(r"(?:.*\.)?(?:layers|h)\.(\d+)\.(.*)\.(weight|bias)", name)
        part = layer[2] if layer is not None else re.sub(r"^(model|transformer|gpt_neox)\.", "", name).rsplit(".", 1)[0]
        kind = name.rsplit(".", 1)[1]
        if part == "lm_head":
            tensors["output.weight"] = values
            continue
        to = names[part]
        if architecture == "llama" and to in ("attn_q", "attn_k"):
            values = pairs_beside(values, heads if to == "attn_q" else config["num_key_value_heads"])
        if architecture in ("gptneox", "bloom") and to == "attn_qkv":
            values = parts_together(values, heads)
        if architecture == "gpt2" and ".c_" in name and values.ndim == 2:
            values = values.T
        if architecture.startswith("gemma") and "norm" in to:
            values = values + numpy.float32(1)
        tensors[(f"blk.{layer[1]}." if layer is not None else "") + to + "." + kind] = values
    for name, list_of in experts.items():
        tensors[name] = numpy.stack([values for _, values in sorted(list_of, key=lambda pair: pair[0])])
    return tensors


def add_sizes(writer, config):
    hidden, heads = config.get("hidden_size", config.get("n_embd")), config.get("num_attention_heads", config.get("n_head"))
    writer.add_block_count(config.get("num_hidden_layers", config.get("n_layer")))
    writer.add_context_length(config.get("max_position_embeddings", config.get("n_positions", 2048)))
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(config["intermediate_size"] if "num_hidden_layers" in config else 4 * hidden)
    writer.add_head_count(heads)
    if "rms_norm_eps" in config:
        writer.add_head_count_kv(config["num_key_value_heads"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(config.get("layer_norm_epsilon", config.get("layer_norm_eps", 1e-5)))
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if "moe_intermediate_size" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if "num_experts_per_tok" in config:
        writer.add_expert_count(config["num_local_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])


def llama3_divisors(rope, depth):
    """Frequencies that turn too slowly within the original positions are divided, those between are mixed."""
    frequencies = rope["rope_theta"] ** -(numpy.arange(0, depth, 2) / depth)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * numpy.pi)
    smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
    mixed = (1 - smooth) / rope["factor"] + smooth
    scale = numpy.where(turns < rope["low_freq_factor"], 1 / rope["factor"], numpy.where(turns > rope["high_freq_factor"], 1, mixed))
    return (1 / scale).astype(numpy.float32)


def add_rotary(writer, config, tensors):
    rope, depth = config["rope_parameters"], config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(depth * rope.get("partial_rotary_factor", 1.0)))
    kind = rope.get("rope_type", "default")
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if kind == "llama3":
        tensors["rope_freqs.weight"] = llama3_divisors(rope, depth)
    if kind == "longrope":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(numpy.sqrt(1 + numpy.log(config["max_position_embeddings"] / original) / numpy.log(original)))
        for length in ("short", "long"):
            tensors[f"rope_factors_{length}.weight"] = numpy.array(rope[length + "_factor"], numpy.float32)


def fill(writer, config, weights, architecture, names):
    """Sizes and tensors, without a vocabulary."""
    tensors = renamed(architecture, names, config, weights)
    add_sizes(writer, config)
    if "rope_parameters" in config:
        add_rotary(writer, config, tensors)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if architecture == "gptneox":
        writer.add_parallel_residual(config["use_parallel_residual"])
    for name, values in tensors.items():
        writer.add_tensor(name, numpy.ascontiguousarray(values))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def may_be_gguf(config):
    """False where such files cannot say what the configuration says."""
    scaled = config.get("query_pre_attn_scalar", 0) != config.get("head_dim", 0) and "query_pre_attn_scalar" in config
    plain = config.get("norm_topk_prob") is False or config.get("mlp_only_layers") or config.get("apply_residual_connection_post_layernorm")
    longer = config.get("rope_parameters", {}).get("rope_type") == "dynamic" and config["max_position_embeddings"] < TOKENS
    return not (config.get("use_sliding_window") or scaled or plain or longer or config["model_type"] == "opt")


def write_gguf(path, config, weights):
    """False where such files cannot say what the configuration says, and for parts of larger models."""
    if config["model_type"] not in FAMILIES or not may_be_gguf(config):
        return False
    architecture, names = FAMILIES[config["model_type"]]
    writer = gguf.GGUFWriter(path, architecture)
    fill(writer, config, weights, architecture, names)
    finish(writer)
    return True
