"""Logits of small random models of every family of language models against those of transformers, kept in tests/judge/language (written by
make_language_cases.py with torch and transformers, which are not needed here): from a Hugging Face folder, and from a GGUF file with the names, keys
and layouts that llama.cpp's files have, and from one that fewbit writes; the prompt in one run and in two. The difference must be at most 1e-4 of the
range of the logits. Weights in half precision must give the bits that their values in float give.
usage: language_models.py LANGUAGE_LOGITS FEWBIT [CASE ...]        LANGUAGE_LOGITS MODEL TOKENS OUT SPLIT CONTEXT; FEWBIT "": not built"""
import base64
import json
import os
import subprocess
import sys
import tempfile

from skip import no_judges

try:
    import numpy

    from language_gguf import may_be_gguf, write_gguf
except ImportError as missing:
    no_judges(missing)

from language_case import ROWS, TOKENS, weight

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "language")
SPLIT = 19
LIMIT = 1e-4


def write_safetensors(path, weights, dtype="F32"):
    header, offset = {}, 0
    for name, values in weights.items():
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in weights.values():
            file.write(values.tobytes())


def logits_of(program, model, folder, split, vocabulary):
    out = os.path.join(folder, "logits")
    done = subprocess.run([program, model, os.path.join(folder, "tokens"), out, str(split), str(TOKENS)], capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    return numpy.fromfile(out, "<f4").reshape(TOKENS, vocabulary)


def check(program, label, model, folder, case):
    wanted = numpy.frombuffer(base64.b64decode(case["logits"]), "<f4").reshape(len(ROWS), -1)
    whole = logits_of(program, model, folder, TOKENS, wanted.shape[1])
    if isinstance(whole, str):
        print(f"{label}: {whole}")
        return False
    halves = logits_of(program, model, folder, SPLIT, wanted.shape[1])
    if isinstance(halves, str):
        print(f"{label}: in two runs: {halves}")
        return False
    difference = numpy.abs(whole[ROWS] - wanted).max() / case["range"]
    split = numpy.abs(halves - whole).max() / case["range"]
    good = difference <= LIMIT and split <= LIMIT
    print(f"{label}: {difference:.1e} of the range, in two runs {split:.1e}{'' if good else '  TOO MUCH'}")
    return good


def check_own(program, fewbit, name, folder, case):
    """The folder as a GGUF file that fewbit writes."""
    path = os.path.join(folder, "own.gguf")
    done = subprocess.run([fewbit, "quantize", folder, "-p", "f32", "-o", path, "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{name}: {done.stderr.strip()}")
        return False
    return check(program, name + " (own gguf)", path, folder, case)


def check_halves(program, name, folder, case, weights):
    """A file of halves against a file of the same numbers in float."""
    path, vocabulary = os.path.join(folder, "model.safetensors"), len(base64.b64decode(case["logits"])) // 4 // len(ROWS)
    good = True
    for dtype in ("F16", "BF16"):
        if dtype == "F16":
            halves = {tensor: values.astype("<f2") for tensor, values in weights.items()}
            floats = {tensor: values.astype("<f4") for tensor, values in halves.items()}
        else:
            floats = {tensor: (values.view("<u4") & 0xFFFF0000).view("<f4") for tensor, values in weights.items()}
            halves = {tensor: (values.view("<u4") >> 16).astype("<u2") for tensor, values in floats.items()}
        write_safetensors(path, floats)
        wanted = logits_of(program, folder, folder, SPLIT, vocabulary)
        write_safetensors(path, halves, dtype)
        got = logits_of(program, folder, folder, SPLIT, vocabulary)
        if isinstance(got, str) or isinstance(wanted, str) or not numpy.array_equal(got, wanted):
            print(f"{name} ({dtype}): {got if isinstance(got, str) else 'other bits than in float'}")
            good = False
    return good


def main():
    program, fewbit = sys.argv[1:3]
    names = sys.argv[3:] or sorted(name[:-5] for name in os.listdir(HERE) if name.endswith(".json"))
    good = len(names) > 0
    for name in names:
        with open(os.path.join(HERE, name + ".json")) as file:
            case = json.load(file)
        weights = {tensor: weight(tensor, shape) for tensor, shape in case["tensors"].items()}
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tokens"), "w") as file:
                file.write(" ".join(map(str, case["tokens"])))
            with open(os.path.join(folder, "config.json"), "w") as file:
                json.dump(case["config"], file)
            write_safetensors(os.path.join(folder, "model.safetensors"), weights)
            good &= check(program, name, folder, folder, case)
            path = os.path.join(folder, "model.gguf")
            if write_gguf(path, case["config"], weights):
                good &= check(program, name + " (gguf)", path, folder, case)
            if fewbit and may_be_gguf(case["config"]):
                good &= check_own(program, fewbit, name, folder, case)
            good &= check_halves(program, name, folder, case, weights)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
