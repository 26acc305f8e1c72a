"""Small random language models as Hugging Face folders, one per family, with a small tokenizer of the family's kind trained on the shared text:
byte-level merges behind the family's pattern, or SentencePiece's merges with bytes to fall back on (tokenizer.model and tokenizer.json).
Needs torch, transformers, tokenizers and sentencepiece."""
import io
import json

import common

TEXT = common.SHARED / "llm/wikitext2_valid.txt"
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 128}
GROUPED = {**SIZES, "num_key_value_heads": 2}
MIXTURE = {"num_experts_per_tok": 2}
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LATER = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {  # llama.cpp's names; None: GPT-2's own, inside ByteLevel
    "gpt-2": None,
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + LATER,
    "llama-bpe": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + LATER,
    "bloom": " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    "gpt-4o": (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?|"
               r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + r"?|\p{N}{1,3}|"
               r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
}
CHAT = ("{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}")


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


LONGROPE = rope("longrope", short_factor=[1.0 + 0.1 * i for i in range(8)], long_factor=[2.0 + i for i in range(8)])
# name: configuration class, tokenizer, settings
FAMILIES = {
    "llama": ("Llama", "llama-bpe", {**GROUPED, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)}),
    "llama_bias": ("Llama", "llama", {**GROUPED, "attention_bias": True, "mlp_bias": True,
                                      **rope("yarn", factor=4.0, original_max_position_embeddings=32)}),
    "mistral": ("Mistral", "llama", {**GROUPED, "sliding_window": None}),
    "mixtral": ("Mixtral", "llama", {**GROUPED, **MIXTURE, "num_local_experts": 4}),
    "qwen2": ("Qwen2", "qwen2", GROUPED),
    "qwen2_tied": ("Qwen2", "qwen2", {**GROUPED, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3", "qwen2", {**GROUPED, "head_dim": 32}),
    "qwen3_moe": ("Qwen3Moe", "qwen2", {**GROUPED, **MIXTURE, "head_dim": 32, "num_experts": 4, "moe_intermediate_size": 32, "norm_topk_prob": True}),
    "gemma": ("Gemma", "gemma", {**GROUPED, "head_dim": 24, "num_key_value_heads": 1}),
    "gemma2": ("Gemma2", "gemma", {**GROUPED, "num_hidden_layers": 4, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 16}),
    "gemma3": ("Gemma3Text", "gemma", {**GROUPED, "num_hidden_layers": 7, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 16}),
    "phi3": ("Phi3", "phi3", {**GROUPED, "sliding_window": None, "original_max_position_embeddings": 128}),
    # Factors of the two lengths: beyond the original positions, and within them.
    "phi3_long": ("Phi3", "phi3", {**GROUPED, "sliding_window": None, "original_max_position_embeddings": 32, **LONGROPE}),
    "phi3_short": ("Phi3", "phi3", {**GROUPED, "sliding_window": None, "original_max_position_embeddings": 512, **LONGROPE,
                                    "max_position_embeddings": 1024}),
    "phi4": ("Phi3", "gpt-2", {**GROUPED, "sliding_window": None, "original_max_position_embeddings": 128}),
    "gpt2": ("GPT2", "gpt-2", {"n_positions": 128, "n_embd": 64, "n_layer": 3, "n_head": 4}),
    "gpt_neox": ("GPTNeoX", "gpt-2", {**SIZES, "rotary_pct": 0.25}),
    "gpt_neox_serial": ("GPTNeoX", "gpt-2", {**SIZES, "rotary_pct": 0.5, "use_parallel_residual": False}),
    "bloom": ("Bloom", "bloom", {"hidden_size": 64, "n_layer": 3, "n_head": 4, "seq_length": 128}),
    "opt": ("OPT", "gpt-2", {"hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 128,
                             "word_embed_proj_dim": 64}),
    # Not run by fewbit; the last has no row in its table of families, names and keys follow the patterns.
    "stablelm": ("StableLm", "gpt-2", {**GROUPED, "partial_rotary_factor": 0.5}),
    "starcoder2": ("Starcoder2", "gpt-2", {**GROUPED, "sliding_window": None}),
    "olmo": ("Olmo", "gpt-2", GROUPED),
    "olmo2": ("Olmo2", "gpt-2", GROUPED),
    "granite": ("Granite", "gpt-2", {**GROUPED, "embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.7, "attention_multiplier": 0.2}),
    "granitemoe": ("GraniteMoe", "gpt-2", {**GROUPED, **MIXTURE, "num_local_experts": 4, "embedding_multiplier": 3.0, "logits_scaling": 2.0,
                                           "residual_multiplier": 0.7, "attention_multiplier": 0.2}),
    "qwen2_moe": ("Qwen2Moe", "qwen2", {**GROUPED, **MIXTURE, "num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48}),
    "gpt_oss": ("GptOss", "gpt-4o", {**GROUPED, **MIXTURE, "num_local_experts": 4, "head_dim": 32, "sliding_window": 16, "num_hidden_layers": 4,
                                     **rope("yarn", factor=4.0, original_max_position_embeddings=32)}),
    "olmoe": ("Olmoe", "gpt-2", {**SIZES, **MIXTURE, "num_experts": 4}),
}


def added(content, number, special=True):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}


def begun_with(token, number):
    pair = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": pair, "pair": [*pair, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}


def byte_level(name, folder):
    """Returns the number of tokens and the ids of special ones."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
    pattern = PATTERNS[name]
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tokenizer.pre_tokenizer = whole if pattern is None else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), whole])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    specials = ["<|begin_of_text|>", "<|endoftext|>"] if name == "llama-bpe" else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(open(TEXT, encoding="utf-8").read().split("\n"), trainer)
    tokenizer.add_special_tokens(specials)
    tokenizer.add_tokens(["<think>", "  "])  # what a user adds, with spaces
    data = json.loads(tokenizer.to_str())
    ids = {token["content"]: token["id"] for token in data["added_tokens"]}
    begin, end = specials[0], specials[-1]
    if begin != end:
        data["post_processor"] = {"type": "Sequence", "processors": [data["post_processor"], begun_with(begin, ids[begin])]}
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False))
    config = {"tokenizer_class": "GPT2Tokenizer" if name == "gpt-2" else "PreTrainedTokenizerFast", "bos_token": begin, "eos_token": end,
              "model_max_length": 128, "clean_up_tokenization_spaces": False,
              "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in data["added_tokens"]}}
    if name == "qwen2":
        config |= {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "pad_token": end, "add_bos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return max(*data["model"]["vocab"].values(), *ids.values()) + 1, {"bos_token_id": ids[begin], "eos_token_id": ids[end]}


def merges_of(pieces, ids):
    """SentencePiece's merges, made again from its pieces as transformers does: all ways to part each, in the order of the pieces."""
    made = []
    for piece in pieces:
        ways = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in ids and piece[i:] in ids]
        made += sorted(ways, key=lambda way: (ids[way[0]], ids[way[1]]))
    return [list(way) for way in made]


def train_pieces(name):
    import sentencepiece
    gemma = name == "gemma"
    out = io.BytesIO()
    special = ({"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>",
                "user_defined_symbols": ["<mask>", "[@BOS@]", "<unused0>", "<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\u2581\u2581",
                                         "\u2581\u2581\u2581", "<table>"]} if gemma else {"pad_id": -1})
    with open(TEXT, encoding="utf-8") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line for line in file.read().split("\n") if line][:2000]), model_writer=out, vocab_size=700, model_type="bpe",
            byte_fallback=True, split_digits=True, add_dummy_prefix=not gemma, remove_extra_whitespaces=False, normalization_rule_name="identity",
            allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2, **special)
    return out.getvalue()


def sentence_piece(name, folder):
    import sentencepiece
    (folder / "tokenizer.model").write_bytes(train_pieces(name))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    gemma, phi = name == "gemma", name == "phi3"
    names = [processor.id_to_piece(i) for i in range(processor.vocab_size())]
    ids = {piece: i for i, piece in enumerate(names)}
    # Symbols of the user are pieces of their own, which no merge makes but those of spaces, which come first.
    more = [piece for piece in names if gemma and names.index(piece) < 14]
    plain = [p for i, p in enumerate(names) if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i) or p in more)]
    spaces = [piece for piece in more if piece.strip("\u2581") == ""]
    base = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    tokens = [added(token, ids[token]) for token in base]
    tokens += [added(token, ids[token], token in ("<start_of_turn>", "<end_of_turn>")) for token in more if token not in base]
    if phi:
        tokens += [added(token, len(names) + i) for i, token in enumerate(["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>",
                                                                           "<|user|>"])]
        tokens[2]["special"], tokens[2]["rstrip"] = False, True
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    begin, end = ("<bos>", "<eos>") if gemma else ("<s>", "<|endoftext|>" if phi else "</s>")
    data = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": sorted(tokens, key=lambda token: token["id"]),
            "normalizer": space if gemma else {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, space]},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False} if gemma else None,
            "post_processor": None if phi else begun_with(begin, ids[begin]),
            "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                         *([] if gemma else [{"type": "Strip", "content": " ", "start": 1, "stop": 0}])]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                      "byte_fallback": True, "ignore_merges": False, "vocab": ids, "merges": merges_of(spaces + plain, ids)}}
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False))
    config = {"tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer", "bos_token": begin, "eos_token": end, "unk_token": "<unk>",
              "add_bos_token": not phi, "add_eos_token": False, "model_max_length": 128, "clean_up_tokenization_spaces": False,
              "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in data["added_tokens"]}}
    if gemma or phi:
        config["pad_token"] = "<pad>" if gemma else end
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = {token["content"]: token["id"] for token in tokens}
    return len(names) + 6 * phi, {"bos_token_id": found[begin], "eos_token_id": found[end]}


def make(family, folder):
    """Writes the folder; returns the model, whose weights are numbers of half precision, and llama.cpp's name of the pre-tokenizer."""
    import torch
    import transformers
    kind, tokenizer, settings = FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    count, special = (byte_level if tokenizer in PATTERNS else sentence_piece)(tokenizer, folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    count += -count % 32 + 32  # more rows than tokens, as published models have them
    config = getattr(transformers, kind + "Config")(**{"vocab_size": count, "pad_token_id": None, **special, **settings})
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.randn_like(parameter) * 0.1 + (parameter if parameter.ndim == 1 else 0)
            parameter.copy_(values.half().float())
    model.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    older = {"n_ctx": written.get("n_positions"), "rotary_pct": settings.get("rotary_pct")}  # names that the converter reads
    (folder / "config.json").write_text(json.dumps(written | {key: value for key, value in older.items() if value is not None}))
    return model, tokenizer
