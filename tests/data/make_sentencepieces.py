#!/usr/bin/env python3
"""Small SentencePiece models of the kinds that checkpoints have, trained by sentencepiece (0.2.3), and what that library makes of some texts.

usage: make_sentencepieces.py FOLDER CORPUS

Writes FOLDER/NAME.model and FOLDER/NAME.tsv, a text a line: its bytes in hexadecimal, the ids, the decoded text in hexadecimal.
tests/judge/sentencepiece_ids.py uses the same makers for larger ones.
"""
import io
import sys

import make_tokenizers
import sentencepiece

# A few rows of what NFKC does, so that a fixture stays small: sequences of code points, and what they become.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u00a0": " ", "\u200b": " ", "\u00ad": "", "ﬁ": "fi", "½": "1\u20442", "Ａ": "A", "①": "1",
         "e\u0301": "é", "a\u0308": "ä", "\u00a8": " \u0308", "㌀": "アパート", "\u2581": " ", "…": "..."}
IDS = {"pad_id": 0, "eos_id": 1}
LLAMA = {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False}
GEMMA_SYMBOLS = ["<mask>", "<start_of_turn>", "<end_of_turn>", "<h1>", "\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁", "\t"]
KINDS = {
    "llama": LLAMA | {"split_digits": True},
    "gemma": LLAMA | IDS | {"bos_id": 2, "unk_id": 3, "add_dummy_prefix": False, "user_defined_symbols": GEMMA_SYMBOLS},
    "bpe": {"model_type": "bpe", "user_defined_symbols": ["<x>", "ﬁne", "a\tb"], "control_symbols": ["<c>"]},
    "t5": IDS | {"model_type": "unigram", "unk_id": 2, "bos_id": -1},
    "unigram_bytes": {"model_type": "unigram", "byte_fallback": True, "normalization_rule_name": "identity", "user_defined_symbols": ["<x>", "\n", "▁▁"]},
    "unigram_spaces": {"model_type": "unigram", "normalization_rule_name": "identity", "remove_extra_whitespaces": False, "add_dummy_prefix": False},
}
# What the random texts of make_tokenizers.py miss.
MORE = ["", " ", "   ", "\n", "\n\n\n\n", "a", " a ", "a  b   c    d", "\u2581", "a\u2581\u2581", "\u2581 a", " \u00a8", "<x>", "a<x> b", " <x>", "ﬁne ﬁ a\tb", "<c> <s>",
        "<start_of_turn>user\nHi  there<end_of_turn>\n", "\u00ad\u00ad", "x\u00ad", "㌀ ① ½ …", "e\u0301a\u0308", "🙂", "🙂🙃 x 🙃", "中文字", "1234 5,678.90",
        "<0x41><0x0A>", "\0", "a\0b", "ab" * 300, "🙂" * 40, " ".join(["word"] * 200)]


def train(lines, size, kind, rules=None):
    """`rules`: a file that says what characters become, instead of NFKC."""
    options = {"normalization_rule_tsv": rules} if rules and "normalization_rule_name" not in kind else {}
    options |= kind | {"vocab_size": size + (256 if kind.get("byte_fallback") else 0)}
    out = io.BytesIO()
    sentencepiece.set_random_generator_seed(1)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, num_threads=1, minloglevel=2, character_coverage=0.995,
                                             hard_vocab_limit=False, **options)
    return out.getvalue()


def vectors(model, text):
    ids = model.encode(text)
    return ids, model.decode([i for i in ids if i != model.unk_id()])


def texts(lines, count, seed):
    return MORE + make_tokenizers.texts(lines, count, seed)


def main():
    folder, corpus = sys.argv[1:3]
    lines = open(corpus, encoding="utf-8").read().split("\n")
    rules = folder + "/rules.tsv"
    with open(rules, "w", encoding="utf-8") as out:
        for text, to in RULES.items():
            out.write(" ".join(f"{ord(c):X}" for c in text) + "\t" + " ".join(f"{ord(c):X}" for c in to) + "\n")
    for name, kind in KINDS.items():
        data = train(lines[:400] + make_tokenizers.EXTRA, 420, kind, rules)
        with open(f"{folder}/{name}.model", "wb") as out:
            out.write(data)
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        with open(f"{folder}/{name}.tsv", "w", encoding="utf-8") as out:
            for text in texts([line[:160] for line in lines[:12] + make_tokenizers.EXTRA[:3]], 60, 7):
                ids, decoded = vectors(model, text)
                out.write(f"{text.encode().hex()}\t{' '.join(map(str, ids))}\t{decoded.encode().hex()}\n")


if __name__ == "__main__":
    main()
