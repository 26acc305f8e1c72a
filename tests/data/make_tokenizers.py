#!/usr/bin/env python3
"""Small tokenizers of every kind, trained by the tokenizers library (0.23.3), and what that library makes of some texts.

usage: make_tokenizers.py FOLDER CORPUS [VOCABULARY [TEXTS]]

Writes FOLDER/NAME.json and FOLDER/NAME.tsv, a text a line: its bytes in hexadecimal, the ids, the decoded text in hexadecimal. tests/judge/tokenizer_ids.py
uses the same makers for larger ones.
"""
import json
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as R, trainers as T

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
BYTES = ["<0x%02X>" % i for i in range(256)]
EXTRA = ["Führer Straße İstanbul ½ ﬁne 你好世界 한국어 テスト Ω ñandú naïve café", "👍🏽 👩‍👩‍👧 emoji test", "Москва Киев"] * 3
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SHORT}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SHORT}|\p{{N}}{{1,3}}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
            "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]


def around(tokenizer):
    tokenizer.post_processor = R.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])


def byte_level(patterns):
    steps = [P.Split(Regex(pattern), "isolated") for pattern in patterns]
    return P.Sequence(steps + [P.ByteLevel(add_prefix_space=False, use_regex=not patterns)])


def bpe(lines, size, pre, normalizer=None, decoder=None, alphabet=None, limit=None, extra=(), **options):
    tokenizer = Tokenizer(M.BPE(**options))
    tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoder if decoder else D.Fuse()
    keep = {k: v for k, v in options.items() if k in ("continuing_subword_prefix", "end_of_word_suffix")}
    keep |= {"initial_alphabet": alphabet} if alphabet else {}
    keep |= {"limit_alphabet": limit} if limit else {}
    trainer = T.BpeTrainer(vocab_size=size, special_tokens=SPECIAL + list(extra), show_progress=False, **keep)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def llama2(lines, size):
    """The three shapes that SentencePiece BPE models come in."""
    tokenizer = bpe(lines, size + 256, P.Metaspace(), limit=90, extra=BYTES, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if not token["content"].startswith("<0x")]
    data["pre_tokenizer"] = None
    old, new, gemma = (Tokenizer.from_str(json.dumps(data)) for _ in range(3))
    back = [D.Replace("▁", " "), D.ByteFallback(), D.Fuse()]
    old.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    old.decoder = new.decoder = D.Sequence(back + [D.Strip(" ", 1, 0)])
    new.pre_tokenizer = P.Metaspace(prepend_scheme="first", split=False)
    gemma.normalizer, gemma.pre_tokenizer, gemma.decoder = N.Replace(" ", "▁"), P.Split(" ", "merged_with_previous"), D.Sequence(back)
    around(old)
    return {"llama2": old, "llama2_first": new, "gemma": gemma}


def wordpiece(lines, size, normalizer, pre, **options):
    tokenizer = Tokenizer(M.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre, D.WordPiece(**options)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(lines, T.WordPieceTrainer(vocab_size=size, special_tokens=special, limit_alphabet=90, show_progress=False))
    tokenizer.post_processor = R.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigram(lines, size, normalizer, pre, decoder):
    tokenizer = Tokenizer(M.Unigram())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer, tokenizer.decoder = pre, decoder
    tokenizer.train_from_iterator(lines, T.UnigramTrainer(vocab_size=size, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False))
    around(tokenizer)
    return tokenizer


def make(lines, size):
    """Name to tokenizer."""
    alphabet = P.ByteLevel.alphabet()
    level = {"alphabet": alphabet, "decoder": D.ByteLevel()}
    plain = {"limit": 60, "unk_token": "<unk>"}
    made = {
        "gpt2": bpe(lines, size, P.ByteLevel(add_prefix_space=False), **level),
        "roberta": bpe(lines, size, P.ByteLevel(add_prefix_space=True), **level),
        "llama3": bpe(lines, size, byte_level([CL100K % "{1,3}"]), ignore_merges=True, **level),
        "qwen2": bpe(lines, size, byte_level([CL100K % ""]), normalizer=N.NFC(), **level),
        "o200k": bpe(lines, size, byte_level([O200K]), **level),
        "deepseek": bpe(lines, size, byte_level(DEEPSEEK), **level),
        "smollm": bpe(lines, size, P.Sequence([P.Digits(True), P.ByteLevel(add_prefix_space=False)]), **level),
        "suffix": bpe(lines, size, P.Whitespace(), decoder=D.BPEDecoder(), end_of_word_suffix="</w>", **plain),
        "splits": bpe(lines, size, P.Sequence([P.Split(Regex("[0-9]+"), "merged_with_previous"), P.Split("-", "merged_with_next"),
                                               P.Split(Regex("[aeiou]{2}"), "contiguous"), P.CharDelimiterSplit("x"),
                                               P.Punctuation("merged_with_previous")]), **plain),
        "nfkc": bpe(lines, size, P.WhitespaceSplit(), normalizer=N.Sequence([N.NFKC(), N.Lowercase()]), fuse_unk=True, **plain),
        "bert": wordpiece(lines, size, N.BertNormalizer(), P.BertPreTokenizer()),
        "cased": wordpiece(lines, size, N.BertNormalizer(lowercase=False, strip_accents=False), P.BertPreTokenizer(), cleanup=False),
        "accents": wordpiece(lines, size, N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip()]),
                             P.Sequence([P.WhitespaceSplit(), P.Punctuation("contiguous"), P.Digits(False)])),
        "unigram": unigram(lines, size, N.Nmt(), P.Metaspace(), D.Metaspace()),
        "unigram_first": unigram(lines, size, N.Sequence([N.NFKC(), N.Replace(Regex(" {2,}"), " ")]),
                                 P.Metaspace(prepend_scheme="first", split=False), D.Metaspace(prepend_scheme="first")),
    }
    made |= llama2(lines, size)
    made["roberta"].post_processor = R.RobertaProcessing(("</s>", 2), ("<s>", 1))
    around(made["llama3"])
    made["llama3"].add_tokens([AddedToken("<|x|>", lstrip=True, rstrip=True), AddedToken("word", single_word=True), AddedToken("wor"),
                               AddedToken("é")])
    data = json.loads(made["unigram"].to_str())
    data["model"]["vocab"] += [[byte, 0.0] for byte in BYTES]
    data["model"]["byte_fallback"] = True
    data["decoder"] = json.loads(made["llama2"].to_str())["decoder"]
    made["unigram_bytes"] = Tokenizer.from_str(json.dumps(data))
    return made


def known(text):
    """No character that tables of different Unicode versions disagree about."""
    return all(unicodedata.category(c) not in ("Cn", "Cs") and unicodedata.ucd_3_2_0.category(c) == unicodedata.category(c) for c in text)


def texts(lines, count, seed):
    """Lines, and random strings of characters of many scripts."""
    random_ = random.Random(seed)
    odd = [" ", "  ", "\n", "\t", "\r\n", "'s", "'LL", "123", "\u00a0", "\u3000", "\u2581", "ﬁ", "é", "e\u0301", "İ", "ß", "Ａ", "中", "한",
           "\u1100\u1161", "👩\u200d👩\u200d👧", "\u0345\u0316", "\u0085", "<s>", "</s>", "<|x|>", "word", "[SEP]"]
    ranges = [range(0x20, 0x7f), range(1, 0x250), range(0x300, 0x1200), range(0x2000, 0x2c00), range(0x3000, 0xa000, 7), range(0xac00, 0xd7a4, 13),
              range(0xf900, 0x10000), range(0x10000, 0x20000, 11)]
    pools = [[c for c in map(chr, r) if known(c)] for r in ranges] + [odd, odd]
    made = []
    while len(made) < count:
        few = random_.sample(pools, random_.choice((1, 2, len(pools))))
        made.append("".join(random_.choice(random_.choice(few)) for _ in range(random_.randint(1, 30))))
    return [line for line in lines if line] + made


def vectors(tokenizer, text):
    ids = tokenizer.encode(text).ids
    return ids, tokenizer.decode(ids, skip_special_tokens=True)


def main():
    folder, corpus = sys.argv[1:3]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 420
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 60
    lines = open(corpus, encoding="utf-8").read().split("\n")[:400] + EXTRA
    for name, tokenizer in make(lines, size).items():
        data = json.loads(tokenizer.to_str())
        json.dump(data, open(f"{folder}/{name}.json", "w", encoding="utf-8"), ensure_ascii=False, separators=(",", ":"))
        with open(f"{folder}/{name}.tsv", "w", encoding="utf-8") as out:
            for text in texts([line[:160] for line in lines[:12] + EXTRA[:3]], count, 7):
                ids, decoded = vectors(tokenizer, text)
                out.write(f"{text.encode().hex()}\t{' '.join(map(str, ids))}\t{decoded.encode().hex()}\n")


if __name__ == "__main__":
    main()
