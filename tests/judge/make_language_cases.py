"""Writes tests/judge/language/*.json: for a small random model of every family of language models its configuration, the names and shapes of its
tensors, and the logits that transformers computes in float32 at some places of a prompt of 40 tokens. Weights come from language_case.py by name and are
not stored. Needs torch, transformers and safetensors (made with transformers 5.23, torch 2.13); `make test` needs only what this has written.
usage: make_language_cases.py [CASE ...]"""
import base64
import json
import os
import sys
import tempfile

import numpy
import safetensors.numpy
import torch
import transformers

from language_case import ROWS, TOKENS, tokens, weight

SMALL = {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MIXTURE = {"num_hidden_layers": 3, "num_experts_per_tok": 2}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


CASES = {
    "llama": ("Llama", {}),
    "llama_linear": ("Llama", rope("linear", factor=4.0)),
    "llama_dynamic": ("Llama", rope("dynamic", factor=2.0)),
    "llama_dynamic_long": ("Llama", {"max_position_embeddings": 32, **rope("dynamic", factor=2.0)}),
    "llama_llama3": ("Llama", rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama_yarn": ("Llama", rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama_bias_tied": ("Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 24}),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "mixtral": ("Mixtral", {**MIXTURE, "num_local_experts": 4, "sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2_sliding": ("Qwen2", {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}),
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "qwen3_moe": ("Qwen3Moe", {**MIXTURE, "head_dim": 32, "num_experts": 6, "moe_intermediate_size": 40, "norm_topk_prob": True}),
    "qwen3_moe_dense": ("Qwen3Moe", {**MIXTURE, "head_dim": 32, "num_experts": 6, "moe_intermediate_size": 40, "norm_topk_prob": True,
                                     "mlp_only_layers": [1]}),
    "qwen3_moe_plain": ("Qwen3Moe", {**MIXTURE, "head_dim": 16, "num_experts": 5, "moe_intermediate_size": 40, "norm_topk_prob": False,
                                     "decoder_sparse_step": 2}),
    "gemma": ("Gemma", {"head_dim": 24, "num_key_value_heads": 1}),
    "gemma2": ("Gemma2", {"num_hidden_layers": 4, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 8, "attn_logit_softcapping": 5.0,
                          "final_logit_softcapping": 60.0}),
    "gemma2_scaled": ("Gemma2", {"head_dim": 24, "query_pre_attn_scalar": 40, "sliding_window": 64}),
    "gemma3": ("Gemma3Text", {"num_hidden_layers": 7, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 8}),
    "phi3": ("Phi3", {"sliding_window": 12}),
    "phi3_partial": ("Phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    "phi3_short": ("Phi3", {"original_max_position_embeddings": 64, "max_position_embeddings": 128,
                            **rope("longrope", short_factor=[1.0 + 0.1 * i for i in range(8)], long_factor=[2.0 + i for i in range(8)])}),
    "phi3_long": ("Phi3", {"original_max_position_embeddings": 32, "max_position_embeddings": 128,
                           **rope("longrope", short_factor=[1.0 + 0.1 * i for i in range(8)], long_factor=[2.0 + i for i in range(8)])}),
    "gpt2": ("GPT2", {"n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 4}),
    "gpt_neox": ("GPTNeoX", {"rotary_pct": 0.25}),
    "gpt_neox_serial": ("GPTNeoX", {"rotary_pct": 0.5, "use_parallel_residual": False}),
    "bloom": ("Bloom", {"n_layer": 2, "n_head": 4}),
    "bloom_6_heads": ("Bloom", {"hidden_size": 72, "n_layer": 2, "n_head": 6}),
    "bloom_normed": ("Bloom", {"n_layer": 2, "n_head": 4, "apply_residual_connection_post_layernorm": True}),
    "opt_350m": ("OPT", {"ffn_dim": 96, "word_embed_proj_dim": 48, "do_layer_norm_before": False}),
    "opt": ("OPT", {"ffn_dim": 96, "word_embed_proj_dim": 64, "do_layer_norm_before": True}),
}
HEADS = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}

# Larger models, of which only the part for text is asked: its settings, those of the eyes, and how the folder is written.
EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
QWEN_EYES = {"depth": 1, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "intermediate_size": 16, "out_hidden_size": 64}
SECTIONS = rope("default", mrope_section=[2, 3, 3])
SECTIONS["rope_parameters"]["rope_theta"] = 1e6
GEMMA3 = ("Gemma3", {"model_type": "gemma3_text", "num_hidden_layers": 7, "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 8},
          {"model_type": "siglip_vision_model", **EYES})
MISTRAL3 = ("Mistral3", {"model_type": "mistral", "num_key_value_heads": 2, "head_dim": 24}, {"model_type": "pixtral", "head_dim": 8, **EYES})
QWEN2_VL = ("Qwen2VL", SECTIONS, {"depth": 1, "embed_dim": 16, "hidden_size": 64, "num_heads": 2, "patch_size": 4})
LARGER = {
    "gemma3_larger": (*GEMMA3, "older"),
    "gemma3_larger_new": (*GEMMA3, "newer"),
    "mistral3": (*MISTRAL3, "older"),
    "mistral3_new": (*MISTRAL3, "newer"),
    "mistral3_head": ("Mistral3", {**MISTRAL3[1], "sliding_window": None}, MISTRAL3[2], "untied"),
    "llava": ("Llava", {"model_type": "llama"}, {"model_type": "clip_vision_model", "projection_dim": 16, **EYES}, "older"),
    "llava_next": ("LlavaNext", {"model_type": "mistral", "sliding_window": 8}, {"model_type": "clip_vision_model", "projection_dim": 16, **EYES}, "newer"),
    "llava_onevision": ("LlavaOnevision", {"model_type": "qwen2"}, {"model_type": "siglip_vision_model", **EYES}, "older"),
    "internvl": ("InternVL", {"model_type": "qwen3", "head_dim": 32}, {**EYES, "image_size": [28, 28], "patch_size": [14, 14]}, "older"),
    "idefics3": ("Idefics3", {"model_type": "llama"}, EYES, ""),
    "smolvlm": ("SmolVLM", {"model_type": "llama"}, EYES, ""),
    "qwen2_vl": (*QWEN2_VL, ""),
    "qwen2_vl_new": (*QWEN2_VL, "newer"),
    "qwen2_vl_flat": (*QWEN2_VL, "flat"),
    "qwen2_5_vl": ("Qwen2_5_VL", SECTIONS, {**QWEN_EYES, "fullatt_block_indexes": [0]}, ""),
    "qwen3_vl": ("Qwen3VL", {**rope("default", mrope_section=[6, 5, 5], mrope_interleaved=True), "head_dim": 32},
                 {**QWEN_EYES, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}, ""),
}
NEWER = (("language_model.lm_head.", "lm_head."), ("language_model.model.", "model.language_model."), ("vision_tower.", "model.vision_tower."),
         ("multi_modal_projector.", "model.multi_modal_projector."), ("image_newline", "model.image_newline"), ("visual.", "model.visual."),
         ("model.embed_tokens.", "model.language_model.embed_tokens."), ("model.layers.", "model.language_model.layers."),
         ("model.norm.", "model.language_model.norm."))


def newer(name):
    """What transformers 5 calls a tensor inside; its files have the older names."""
    for old, new in NEWER:
        if name.startswith(old):
            return new + name[len(old):]
    return name


def rewrite(folder, variant, shapes):
    """config.json as files on the Hub have it: what equals the default of a part's class is left out of the part, or there is no part."""
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        settings = json.load(file)
    text = settings["text_config"]
    usual = transformers.CONFIG_MAPPING[text["model_type"]]().to_dict()
    if variant == "flat":
        ropes = settings.pop("text_config").pop("rope_parameters")
        flat = {key: value for key, value in text.items() if key not in ("model_type", "layer_types")}
        settings |= {**flat, "rope_theta": ropes["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": ropes["mrope_section"]}}
    else:
        if variant == "newer" and "mrope_section" in text.get("rope_parameters", {}):
            del text["rope_parameters"]["rope_theta"]  # what its class says
        settings["text_config"] = {key: value for key, value in text.items()
                                   if key == "model_type" or key not in usual or value != usual[key]}
    with open(path, "w") as file:
        json.dump(settings, file)
    return {newer(name) if variant == "newer" else name: shape for name, shape in shapes.items()}


def make(case, folder):
    if case in LARGER:
        kind, text, eyes, variant = LARGER[case]
        changes = {"tie_word_embeddings": False} if variant == "untied" else {}
        config = getattr(transformers, kind + "Config")(text_config={**SMALL, **text}, vision_config=eyes, **changes)
        architecture = getattr(transformers, kind + "ForConditionalGeneration")
    else:
        kind, changes = CASES[case]
        config = getattr(transformers, kind + "Config")(**{**SMALL, **changes})
        architecture = getattr(transformers, HEADS.get(kind, kind + "ForCausalLM"))
    config._attn_implementation = "eager"
    architecture(config).save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    shapes = {name: list(tensor.shape) for name, tensor in sorted(safetensors.numpy.load_file(path).items())}
    if case in LARGER:
        shapes = rewrite(folder, variant, shapes)
    safetensors.numpy.save_file({name: weight(name, shape) for name, shape in shapes.items()}, path, {"format": "pt"})
    model, loaded = architecture.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"], loaded
    ids = tokens(SMALL["vocab_size"])
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0].numpy()
    assert logits.shape == (TOKENS, SMALL["vocab_size"]) and numpy.isfinite(logits).all()
    with open(os.path.join(folder, "config.json")) as file:
        settings = json.load(file)
    settings = {key: value for key, value in settings.items() if not key.endswith("token_id") and key not in ("architectures", "dtype", "transformers_version")}
    kept = base64.b64encode(logits[ROWS].astype("<f4").tobytes()).decode()
    return {"config": settings, "tensors": shapes, "tokens": ids, "range": float(logits.max() - logits.min()), "logits": kept}


def main():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "language")
    for case in sys.argv[1:] or [*CASES, *LARGER]:
        with tempfile.TemporaryDirectory() as folder:
            document = make(case, folder)
        with open(os.path.join(here, case + ".json"), "w") as file:
            json.dump(document, file, indent=0)
            file.write("\n")
        print(case, len(document["tensors"]), "tensors, range", document["range"])


if __name__ == "__main__":
    main()
