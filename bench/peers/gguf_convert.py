#!/usr/bin/env python3
"""Hugging Face folders to GGUF: small random models of every family by `fewbit quantize -p f16` and by llama.cpp's converter: tensors that
are equal byte for byte, key-values that differ. Run with the Python that has transformers and torch.
usage: gguf_convert.py TOKENIZER_FOLDER [FAMILY ...]      the folder gives tokenizer.json (or tokenizer.model), tokenizer_config.json and the chat template"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers as T

import common

LLAMA = common.PEERS / "dl/llama_cpp_python-0.3.36/vendor/llama.cpp"
sys.path.insert(0, str(LLAMA / "gguf-py"))
import gguf  # noqa: E402

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 128,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
GROUPED = {**SMALL, "num_key_value_heads": 2}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32}
EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
SIGLIP = {"model_type": "siglip_vision_model", **EYES}
QWEN_EYES = {"depth": 1, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "intermediate_size": 16, "out_hidden_size": 64}
SECTIONS = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
# Families whose converter wants a SentencePiece model are left to the unit tests.
FAMILIES = {
    "llama": lambda v: T.LlamaConfig(vocab_size=v, **GROUPED, rope_parameters=LLAMA3),
    "llama-bias": lambda v: T.LlamaConfig(vocab_size=v, **GROUPED, attention_bias=True, mlp_bias=True, rope_parameters=YARN),
    "mistral": lambda v: T.MistralConfig(vocab_size=v, **GROUPED),
    "mixtral": lambda v: T.MixtralConfig(vocab_size=v, **GROUPED, num_local_experts=4, num_experts_per_tok=2),
    "qwen3": lambda v: T.Qwen3Config(vocab_size=v, **GROUPED, head_dim=32),
    "qwen3_moe": lambda v: T.Qwen3MoeConfig(vocab_size=v, **GROUPED, head_dim=32, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32),
    "gemma3": lambda v: T.Gemma3TextConfig(vocab_size=v, **GROUPED, head_dim=16, sliding_window=32),
    "gemma3-larger": lambda v: T.Gemma3Config(text_config={**GROUPED, "vocab_size": v, "sliding_window": 32}, vision_config=SIGLIP),
    "mistral3": lambda v: T.Mistral3Config(text_config={**GROUPED, "vocab_size": v, "model_type": "mistral"}, vision_config={**EYES, "model_type": "pixtral"}),
    "llava": lambda v: T.LlavaConfig(text_config={**GROUPED, "vocab_size": v, "architectures": ["LlamaForCausalLM"]}, vision_config=EYES),
    "smolvlm": lambda v: T.SmolVLMConfig(text_config={**GROUPED, "vocab_size": v, "architectures": ["VLlama3ForCausalLM"]}, vision_config=EYES),
    "qwen2_vl": lambda v: T.Qwen2VLConfig(text_config={**GROUPED, "vocab_size": v, "rope_parameters": SECTIONS}, vision_config=QWEN_EYES),
    "qwen2_5_vl": lambda v: T.Qwen2_5_VLConfig(text_config={**GROUPED, "vocab_size": v, "rope_parameters": SECTIONS}, vision_config=QWEN_EYES),
    "qwen3_vl": lambda v: T.Qwen3VLConfig(text_config={**GROUPED, "vocab_size": v, "rope_parameters": SECTIONS, "head_dim": 16},
                                          vision_config={**QWEN_EYES, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}),
    "gpt2": lambda v: T.GPT2Config(vocab_size=v, n_positions=128, n_embd=64, n_layer=3, n_head=4),
    "bloom": lambda v: T.BloomConfig(vocab_size=v, hidden_size=64, n_layer=3, n_head=4, seq_length=128),
}


def make(folder, config, tokenizer):
    torch.manual_seed(0)
    larger = hasattr(config, "vision_config")  # of such only the part for text goes into the file
    model = (T.AutoModelForImageTextToText if larger else T.AutoModelForCausalLM).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 + (parameter if parameter.ndim == 1 else 0))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer.model", "added_tokens.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder)
    written = json.loads((folder / "config.json").read_text())
    if "n_positions" in written:  # the converter reads the older name
        (folder / "config.json").write_text(json.dumps({**written, "n_ctx": written["n_positions"]}))


def compare(theirs, ours):
    a, b = gguf.GGUFReader(theirs), gguf.GGUFReader(ours)
    keys_a = {k: f.contents() for k, f in a.fields.items() if not k.startswith("GGUF.")}
    keys_b = {k: f.contents() for k, f in b.fields.items() if not k.startswith("GGUF.")}
    differ = sorted(k for k in keys_a if k in keys_b and keys_a[k] != keys_b[k])
    tensors = {t.name: t for t in b.tensors}
    equal = sum(t.name in tensors and t.tensor_type == tensors[t.name].tensor_type and list(t.shape) == list(tensors[t.name].shape) and
                np.array_equal(np.asarray(t.data).view(np.uint8), np.asarray(tensors[t.name].data).view(np.uint8)) for t in a.tensors)
    return equal, len(a.tensors), len(b.tensors), differ, sorted(set(keys_a) - set(keys_b)), sorted(set(keys_b) - set(keys_a))


def main():
    tokenizer = Path(sys.argv[1])
    pieces = not (tokenizer / "tokenizer.json").exists()
    if pieces:
        import sentencepiece
        vocabulary = 16 + sentencepiece.SentencePieceProcessor(model_file=str(tokenizer / "tokenizer.model")).vocab_size()
    else:
        data = json.loads((tokenizer / "tokenizer.json").read_text())
        vocabulary = 1 + max([*data["model"]["vocab"].values(), *(t["id"] for t in data["added_tokens"])])
    print("| family | equal tensors | keys that differ | theirs only | ours only |\n|---|---|---|---|---|")
    for family in sys.argv[2:] or FAMILIES:
        with tempfile.TemporaryDirectory() as work:
            folder, stubs = Path(work) / "m", Path(work) / "stubs"
            stubs.mkdir()
            if not pieces:
                (stubs / "sentencepiece.py").write_text("class SentencePieceProcessor: pass\n")  # imported even where it is not used
            make(folder, FAMILIES[family](vocabulary), tokenizer)
            made = subprocess.run([sys.executable, LLAMA / "convert_hf_to_gguf.py", folder, "--outfile", f"{work}/theirs.gguf", "--outtype", "f16"],
                                  env={**os.environ, "PYTHONPATH": str(stubs)}, capture_output=True, text=True)
            if made.returncode != 0:
                print(f"| {family} | the converter fails: {made.stderr.strip().splitlines()[-1]} | | | |")
                continue
            common.fewbit("quantize", folder, "-p", "f16", "-o", f"{work}/ours.gguf", "-q")
            equal, theirs, ours, differ, lacking, more = compare(f"{work}/theirs.gguf", f"{work}/ours.gguf")
            print(f"| {family} | {equal} of {theirs} ({ours} ours) | {', '.join(differ)} | {', '.join(lacking)} | {', '.join(more)} |", flush=True)


if __name__ == "__main__":
    main()
