#!/usr/bin/env python3
"""Seeds of the tokenizer targets: small GGUF vocabularies of each kind, a file of llama2.c, a vocabulary with a map of characters, texts.

usage: make_tokenizer_seeds.py FOLDER      makes FOLDER/tokenizer and FOLDER/tokenizer_file; needs the gguf package
"""
import base64
import os
import struct
import sys

from gguf import GGUFWriter

BYTES = ["<0x%02X>" % i for i in range(256)]


def gguf(path, model, tokens, types, scores=None, merges=None, pre=None, extra=()):
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores:
        writer.add_token_scores(scores)
    if merges:
        writer.add_token_merges(merges)
    for key, value in extra:
        writer.add_uint32(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def alphabet():
    plain = [c for c in range(256) if 33 <= c <= 126 or 161 <= c <= 172 or 174 <= c <= 255]
    other = [c for c in range(256) if c not in plain]
    return {**{c: chr(c) for c in plain}, **{c: chr(256 + i) for i, c in enumerate(other)}}


def files(folder):
    os.makedirs(folder, exist_ok=True)
    words = ["▁", "a", "b", "e", "l", "o", "▁a", "ab", "▁ab", "el", "lo", "ello", "▁H", "H", "!", "."]
    special = ["<unk>", "<s>", "</s>"]
    spm = special + BYTES + words
    gguf(f"{folder}/spm.gguf", "llama", spm, [2, 3, 3] + [6] * 256 + [1] * len(words), [0.0] * 259 + [-float(i) for i in range(len(words))],
         extra=[("tokenizer.ggml.bos_token_id", 1), ("tokenizer.ggml.eos_token_id", 2)])
    letters = list(alphabet().values())
    merged = ["Ġa", "ab", "lo", "ll"]
    gguf(f"{folder}/bpe.gguf", "gpt2", letters + merged + ["<|im_end|>", "<x>"], [1] * (256 + len(merged)) + [3, 4], pre="qwen2",
         merges=["Ġ a", "a b", "l o", "l l"], extra=[("tokenizer.ggml.eos_token_id", 260)])
    bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁ab", "▁hello", "▁,", "▁w", "o", "rld", "▁1", "23"]
    gguf(f"{folder}/bert.gguf", "bert", bert, [3] * 4 + [1] * 8, extra=[("tokenizer.ggml.unknown_token_id", 1)])
    gguf(f"{folder}/t5.gguf", "t5", ["<pad>", "</s>", "<unk>"] + words, [3, 3, 2] + [1] * len(words), [0.0] * 3 + [-float(i) for i in range(len(words))],
         extra=[("tokenizer.ggml.unknown_token_id", 2), ("tokenizer.ggml.eos_token_id", 1)])
    with open(f"{folder}/tok.bin", "wb") as out:
        out.write(struct.pack("<i", 8))
        for i, token in enumerate(["<unk>", "\n<s>\n", "\n</s>\n"] + BYTES + [" ", "a", "b", " a", "ab", " ab"]):
            out.write(struct.pack("<fi", -float(i), len(token)) + token.encode())
    # A double array that maps "a" to "A": the root's offset leads to unit 'a', that to a leaf with the text's place.
    units = [0] * 512
    units[0] = 0 << 10  # offset 0: the child of byte c is unit c
    leaf = ord("a") ^ 256
    units[ord("a")] = ord("a") | 1 << 8 | (256 << 10)
    units[leaf] = 1 << 31
    blob = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"A\0"
    charsmap = base64.b64encode(blob).decode()
    open(f"{folder}/charsmap.json", "w").write(
        '{"normalizer":{"type":"Precompiled","precompiled_charsmap":"%s"},"pre_tokenizer":{"type":"Metaspace"},"model":{"type":"Unigram","unk_id":0,'
        '"vocab":[["<unk>",0],["\\u2581",-1],["A",-2],["\\u2581A",-1.5],["b",-3]]}}' % charsmap)
    open(f"{folder}/steps.json", "w").write(
        '{"added_tokens":[{"id":3,"content":"<s>","special":true,"lstrip":true},{"id":4,"content":"It\'s","single_word":true,"normalized":true}],'
        '"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},{"type":"Strip"},'
        '{"type":"Replace","pattern":{"Regex":"\\\\s+"},"content":" "},{"type":"Prepend","prepend":"b"}]},'
        '"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"Digits","individual_digits":true},'
        '{"type":"Punctuation","behavior":"MergedWithNext"},{"type":"Split","pattern":{"Regex":"(?i:l+)|[^a-z]?\\\\p{L}{2,3}"},"behavior":"Contiguous",'
        '"invert":true}]},"decoder":{"type":"BPEDecoder","suffix":"</w>"},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":'
        '{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"<s>":{"id":"<s>","ids":[3],"tokens":["<s>"]}}},'
        '"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"b</w>":5,"<unk>":6},"merges":[["a","b"]],"unk_token":"<unk>","fuse_unk":true,'
        '"end_of_word_suffix":"</w>"}}')


def texts(folder):
    os.makedirs(folder, exist_ok=True)
    samples = [b" Hello, w\xc3\xb6rld's 1234 (test) \n\n\tx", b"\xff\xfe\xed\xa0\x80 \xf0\x9f\x99\x82</s><s> word wor\xc3\xa9", b"  a  b ^^^^^^ \xe2\x96\x81\xe2\x96\x81 ",
               "你好 한국어 e\u0301 \u0345\u0316 ﬁ İ".encode()]
    for i, sample in enumerate(samples):
        for kind in range(24):
            if kind < 6 or i == 0:
                open(f"{folder}/{i}_{kind}", "wb").write(bytes([kind]) + sample)


if __name__ == "__main__":
    files(f"{sys.argv[1]}/tokenizer_file")
    texts(f"{sys.argv[1]}/tokenizer")
