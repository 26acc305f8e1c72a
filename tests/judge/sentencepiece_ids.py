#!/usr/bin/env python3
"""SentencePiece's model files against sentencepiece: models of every kind trained here on the corpus, then equal ids and decoded texts on all its lines, on
whole paragraphs, and on random strings of many scripts.

usage: sentencepiece_ids.py TOKENIZE_LINES CORPUS [MODEL ...]     MODEL: a file to compare instead
"""
import os
import subprocess
import sys
import tempfile

from skip import need_shared_data, no_judges

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
try:
    import sentencepiece
    import make_sentencepieces
except ImportError as missing:
    no_judges(missing)


def compare(program, path, name, texts):
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    lines = "\n".join(text.encode().hex() for text in texts) + "\n"
    run = subprocess.run([program, path, "plain"], input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        print(f"FAILED {name}: {run.stderr}")
        return 1
    bad = 0
    for text, line in zip(texts, run.stdout.split("\n"), strict=False):
        ids, decoded = line.split("\t")
        want, text_back = make_sentencepieces.vectors(model, text)
        same = list(map(int, ids.split())) == want
        # Bytes that are no UTF-8 stay as they are here, sentencepiece writes U+FFFD.
        back = bytes.fromhex(decoded).decode("utf-8", "replace").replace("\ufffd", "") == text_back.replace("\ufffd", "")
        if not (same and back):
            bad += 1
            if bad <= 3:
                print(f"DIFFERENT {name} {text[:60]!r}: {ids[:80]} / {want[:20]}; {decoded[:60]} / {text_back.encode().hex()[:60]}")
    print(f"{name}: {len(texts)} texts, {bad} different")
    return bad


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
