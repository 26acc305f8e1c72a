#!/usr/bin/env python3
"""Hugging Face folders to GGUF: small random models of every family (small_models.py) by `fewbit quantize -p f16` and by llama.cpp's converter. Which
key-values and tensors are equal; whether llama.cpp runs our file, how far its logits are from those of transformers, whether greedy tokens are the same,
and whether it cuts a text into the tokens of tokenizer.json.

usage: gguf_families.py [--verbose] [--keep FOLDER] [FAMILY ...]
       gguf_families.py --folder HF_FOLDER           a folder that is there already: files compared only

Needs `make peers`. The converter knows a way to cut text by hashing what a published vocabulary makes of a sentence; these vocabularies are small and
new, so it is told the name that it gives the family's own. Scores of tokens are compared by their order, which is all that llama.cpp asks of them."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

import common

BINDING = common.PEERS / "dl/llama_cpp_python-0.3.36"
LLAMA = BINDING / "vendor/llama.cpp"
PROMPT, NEW = 40, 24
TEXT = "The capital of France is Paris, isn't it?\n\n  In 1984, 12,345 people (caf\u00e9s!) <think>lived there.</think>\tfin"
CONVERTER = """
import runpy, sys
name, root = sys.argv[1:3]
sys.path[:0] = [root + "/gguf-py", root]
sys.argv = ["convert_hf_to_gguf.py", *sys.argv[3:]]
if name:
    import json
    from conversion.base import ModelBase, TextModel
    TextModel.get_vocab_base_pre = lambda self, tokenizer: name
    load = ModelBase.load_hparams  # transformers 5 drops settings of older files that the converter asks for
    ModelBase.load_hparams = staticmethod(
        lambda folder, is_mistral_format: {**json.loads((folder / "config.json").read_text()), **load(folder, is_mistral_format)})
runpy.run_path(root + "/convert_hf_to_gguf.py", run_name="__main__")
"""
UNIMPORTANT = {"general.name", "general.basename", "general.finetune", "general.size_label"}  # guessed from the folder's name


def read(path):
    sys.path.insert(0, str(LLAMA / "gguf-py"))
    import gguf
    reader = gguf.GGUFReader(path)
    keys = {k: (f.types, f.contents()) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    if "tokenizer.ggml.scores" in keys:
        keys["tokenizer.ggml.scores"] = ranks(keys)
    return keys, {t.name: (t.tensor_type, tuple(int(d) for d in t.shape), np.asarray(t.data).tobytes()) for t in reader.tensors}


def ranks(keys):
    """Scores of words as places among them."""
    types_of, scores = keys["tokenizer.ggml.scores"]
    words = [i for i, kind in enumerate(keys["tokenizer.ggml.token_type"][1]) if kind == 1]
    place = {i: n for n, i in enumerate(sorted(words, key=lambda i: -scores[i]))}
    return types_of, [place.get(i, score) for i, score in enumerate(scores)]


def shown(value):
    types_of, content = value
    text = repr(content)
    return (text if len(text) < 60 else text[:57] + "...") + f" [{types_of[-1].name}]"


def compare(theirs, ours, verbose):
    """Counts of keys and tensors: equal, different; and their names."""
    result = {}
    for what, a, b in zip(("keys", "tensors"), read(theirs), read(ours)):
        names = sorted((set(a) | set(b)) - UNIMPORTANT)
        wrong = [name for name in names if a.get(name) != b.get(name)]
        result[what] = (len(names) - len(wrong), wrong)
        for name in wrong if verbose else []:
            if what == "keys":
                print(f"    {name}: theirs {shown(a[name]) if name in a else '-'}, ours {shown(b[name]) if name in b else '-'}")
                if name in a and name in b and isinstance(a[name][1], list) and len(a[name][1]) == len(b[name][1]):
                    at = [i for i, pair in enumerate(zip(a[name][1], b[name][1])) if pair[0] != pair[1]]
                    print(f"        {len(at)} elements, " + ", ".join(f"[{i}] {a[name][1][i]!r} {b[name][1][i]!r}" for i in at[:8]))
            else:
                print(f"    {name}: theirs {a[name][:2] if name in a else '-'}, ours {b[name][:2] if name in b else '-'}")
    return result


def llama_run(path, ids):
    """In a process of its own, which a refused file may end: logits of a prompt, and greedy tokens."""
    result = Path(str(path) + ".npz")
    made = subprocess.run([sys.executable, __file__, "--run", path, "--ids", ",".join(map(str, ids))], capture_output=True, check=False)
    if made.returncode != 0:
        lines = [line for line in made.stderr.decode(errors="replace").splitlines() if "error" in line.lower() or "assert" in line.lower()]
        return None, (lines or ["it ends without a word"])[0]
    with np.load(result) as found:
        return found["logits"], (found["tokens"].tolist(), found["cut"].tolist())


def run(path, ids):
    os.environ["LLAMA_CPP_LIB_PATH"] = str(common.PEERS / "llama-build/bin")
    sys.path.insert(0, str(BINDING))
    sys.modules.setdefault("diskcache", types.ModuleType("diskcache"))     # the binding's cache of states, not used here
    import llama_cpp
    # Keys and values in full, since half precision of what is remembered is no property of the file.
    peer = llama_cpp.Llama(model_path=path, n_ctx=128, n_threads=2, n_threads_batch=2, logits_all=True, verbose=True, type_k=0, type_v=0)
    peer.eval(ids)
    logits = np.array(peer.scores[:len(ids)], np.float32)
    tokens = [int(logits[-1].argmax())]
    while len(tokens) < NEW:
        peer.eval(tokens[-1:])
        tokens.append(int(peer.scores[peer.n_tokens - 1].argmax()))
    cut = peer.tokenize(TEXT.encode(), add_bos=False, special=True)
    np.savez(path + ".npz", logits=logits, tokens=tokens, cut=cut)


def transformers_run(model, ids):
    import torch
    with torch.no_grad():
        logits, tokens = model(torch.tensor([ids])).logits[0].numpy(), []
        for _ in range(NEW):
            tokens.append(int(model(torch.tensor([ids + tokens])).logits[0, -1].argmax()))
    return logits, tokens


def same(a, b, end=None):
    """The first may stop at the end of the text."""
    count = next((i for i, pair in enumerate(zip(a, b)) if pair[0] != pair[1]), min(len(a), len(b)))
    return "yes" if count == NEW or (count == len(a) and (b[count] == end or a[-1:] == [end])) else f"{count} of {NEW}"


def convert(folder, work, name):
    """By both; what the converter says if it fails."""
    made = subprocess.run([sys.executable, "-c", CONVERTER, name or "", LLAMA, folder, "--outfile", f"{work}/theirs.gguf", "--outtype", "f16"],
                          capture_output=True, text=True, check=False)
    ours = subprocess.run([common.FEWBIT, "quantize", folder, "-p", "f16", "-o", f"{work}/ours.gguf", "-q", "--force"], capture_output=True, text=True,
                          check=False)
    if ours.returncode != 0:
        print(ours.stderr, file=sys.stderr)
    return None if made.returncode == 0 else made.stderr.strip().splitlines()[-1]


def row(family, work, verbose):
    import small_models
    folder = work / "tiny"
    model, name = small_models.make(family, folder)
    refused = convert(folder, work, name)
    if not (work / "ours.gguf").exists():
        return f"| {family} | fewbit refuses | | | | | |"
    cells = ["the converter: " + (refused or "")[:90], ""]
    if refused is None:
        found = compare(work / "theirs.gguf", work / "ours.gguf", verbose)
        cells = [f"{equal} / {len(wrong)}" + (f" ({', '.join(wrong[:4])}{', ...' if len(wrong) > 4 else ''})" if wrong else "")
                 for equal, wrong in (found["keys"], found["tensors"])]
    ids = [int(i) for i in np.random.default_rng(1).integers(3, 400, PROMPT)]
    expected, greedy = transformers_run(model, ids)
    logits, found = llama_run(work / "ours.gguf", ids)
    if logits is None:
        return f"| {family} | {cells[0]} | {cells[1]} | llama.cpp refuses: {found} | | | |"
    tokens, cut = found
    import tokenizers
    agreed = cut == tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    if verbose and not agreed:
        print("    tokens:", cut, tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids)
    distance = f"{np.abs(logits - expected).max():.4f} of {np.ptp(expected):.1f}"
    made = subprocess.run([common.FEWBIT, "generate", work / "ours.gguf", "--ids", ",".join(map(str, ids)), "-n", str(NEW), "--context", "128",
                           "--cache-type", "f32", "--json"],
                          capture_output=True, text=True, check=False)
    own = same(json.loads(made.stdout)["results"][0]["ids"], greedy, model.config.eos_token_id) if made.returncode == 0 else "not run by fewbit"
    return f"| {family} | {cells[0]} | {cells[1]} | {distance} | {same(tokens, greedy)} | {own} | {'yes' if agreed else 'NO'} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--ids", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        return run(options.run, [int(i) for i in options.ids.split(",")])
    if options.folder:
        with tempfile.TemporaryDirectory() as work:
            refused = convert(options.folder, work, None)
            if refused:
                sys.exit(refused)
            for what, (equal, wrong) in compare(f"{work}/theirs.gguf", f"{work}/ours.gguf", True).items():
                print(f"{what}: {equal} equal, {len(wrong)} different")
        return None
    import small_models
    import transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    print("| family | keys equal / different | tensors equal / different | largest difference of logits | same greedy tokens: llama.cpp | fewbit | same tokens of a text |")
    print("|---|---|---|---|---|---|---|")
    for family in options.families or small_models.FAMILIES:
        with tempfile.TemporaryDirectory() as work:
            if options.keep:
                work = options.keep / family
                work.mkdir(parents=True, exist_ok=True)
            print(row(family, Path(work), options.verbose), flush=True)
    return None


if __name__ == "__main__":
    main()
