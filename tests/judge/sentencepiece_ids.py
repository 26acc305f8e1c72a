#!/usr/bin/env python3
"""SentencePiece's model files against sentencepiece: models of every kind trained here on the corpus, then equal ids and decoded texts on all its lines, on
whole paragraphs, and on random strings of many scripts.

usage: sentencepiece_ids.py TOKENIZE_LINES CORPUS [MODEL ...]     MODEL: a file to compare instead
"""
import os
import sys
import tempfile

import token_texts
from skip import need_shared_data, no_judges

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import sentencepiece
    import make_sentencepieces
except ImportError as missing:
    no_judges(missing)


def compare(program, path, name, texts):
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    return token_texts.compare([program, path, "plain"], name, texts, lambda text: make_sentencepieces.vectors(model, text))


def main():
    program, corpus = sys.argv[1:3]
    need_shared_data(corpus)
    lines = open(corpus, encoding="utf-8").read().split("\n")
    bad = 0
    if len(sys.argv) > 3:
        texts = make_sentencepieces.texts(lines, 4000, 11)
        for path in sys.argv[3:]:
            bad += compare(program, path, path, texts)
        return bad > 0
    texts = make_sentencepieces.texts(lines[:600], 1500, 11) + ["\n".join(lines[i:i + 50]) for i in range(0, 500, 50)]
    with tempfile.TemporaryDirectory() as where:
        for name, kind in make_sentencepieces.KINDS.items():
            path = os.path.join(where, name + ".model")
            with open(path, "wb") as out:
                out.write(make_sentencepieces.train(lines[:800] + make_sentencepieces.make_tokenizers.EXTRA, 1500, kind))
            bad += compare(program, path, name, texts)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
