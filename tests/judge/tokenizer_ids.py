#!/usr/bin/env python3
"""Tokenizers of every kind against the tokenizers library: trained here on the corpus, then equal ids and decoded texts on all its lines and on random
strings of many scripts.

usage: tokenizer_ids.py TOKENIZE_LINES CORPUS [TOKENIZER ...]     TOKENIZER: a tokenizer.json or Hugging Face folder to compare instead
"""
import os
import sys
import tempfile

import token_texts
from skip import need_shared_data, no_judges

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import tokenizers
except ImportError as missing:
    no_judges(missing)
import make_tokenizers  # noqa: E402


def compare(program, path, name, tokenizer, texts):
    return token_texts.compare([program, path], name, texts, lambda text: make_tokenizers.vectors(tokenizer, text))


def main():
    program, corpus = sys.argv[1:3]
    need_shared_data(corpus)
    lines = open(corpus, encoding="utf-8").read().split("\n")
    bad = 0
    if len(sys.argv) > 3:
        texts = make_tokenizers.texts(lines, 4000, 11)
        for path in sys.argv[3:]:
            file = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
            bad += compare(program, path, path, tokenizers.Tokenizer.from_file(file), texts)
        return bad > 0
    texts = make_tokenizers.texts(lines[:600], 1500, 11)
    with tempfile.TemporaryDirectory() as where:
        for name, tokenizer in make_tokenizers.make(lines[:800] + make_tokenizers.EXTRA, 1500).items():
            path = os.path.join(where, name + ".json")
            tokenizer.save(path)
            bad += compare(program, path, name, tokenizer, texts)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
