"""Are our encoders' tensors byte for byte those of llama-quantize, built without fused multiply-add and as usual?
usage: gguf_equal.py MODEL TYPE ...  [--imatrix FILE] [--threads 2] [--tensors N] [--builds exact,native]

MODEL: a GGUF file of floats; TYPE: as llama-quantize names them (Q4_0 Q4_K Q6_K ...). Every tensor gets the type (--pure), or what llama-quantize
falls back to. Each tensor's floats are encoded by the block_tool of the tests (build/release, else build/dev) with this machine's kernel and by the
definition. FEWBIT_PEERS holds the builds; needs the package gguf."""
import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from common import PEERS, ROOT, machine, timed_process

BUILDS = {"exact": PEERS / "llama-build-exact/bin/llama-quantize", "native": PEERS / "llama-build/bin/llama-quantize"}
TOOL = next(p for p in (ROOT / "build/release/tests/block_tool", ROOT / "build/dev/tests/block_tool") if p.exists())


def floats(tensor):
    from gguf import GGMLQuantizationType, quants
    if tensor.tensor_type == GGMLQuantizationType.F32:
        return np.array(tensor.data, np.float32)
    return quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def importance_of(path):
    """Mean square of the inputs by tensor name."""
    from gguf import GGUFReader
    tensors = {t.name: t.data for t in GGUFReader(path).tensors} if path else {}
    sums = {name[: -len(".in_sum2")]: data for name, data in tensors.items() if name.endswith(".in_sum2")}
    return {name: (data / np.maximum(tensors[name + ".counts"].reshape(-1, 1), 1)).astype(np.float32) for name, data in sums.items()}


def ours(action, name, data, importance, folder):
    (folder / "in").write_bytes(data.tobytes())
    command = [TOOL, action, name, folder / "in", folder / "out"]
    if importance is not None:
        (folder / "importance").write_bytes(importance.tobytes())
        command.append(folder / "importance")
    subprocess.run(command, check=True)
    return np.fromfile(folder / "out", np.uint8)


def our_name(tensor_type):
    return tensor_type.name.lower().replace("_k", "_K")


def compare(source, made, importance, limit, folder):
    """{type: [tensors, equal, blocks, different]}, and whether kernel and definition agree."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader
    float_of = {t.name: t for t in GGUFReader(source).tensors}
    result, agree = {}, True
    for tensor in GGUFReader(made).tensors:
        kept = tensor.tensor_type in (GGMLQuantizationType.F32, float_of[tensor.name].tensor_type)
        count = result.setdefault(tensor.tensor_type.name, [0, 0, 0, 0])
        if kept or (limit and count[0] >= limit):
            continue
        weights = importance.get(tensor.name)
        data = floats(float_of[tensor.name])
        encoded = ours("kernel", our_name(tensor.tensor_type), data, weights, folder)
        if count[0] == 0:
            part = data.reshape(-1, data.shape[-1])[:64]
            defined = ours("encode", our_name(tensor.tensor_type), part, weights, folder)
            agree = agree and bool((defined == encoded[: len(defined)]).all())
        size = GGML_QUANT_SIZES[tensor.tensor_type][1]
        theirs = np.array(tensor.data).view(np.uint8).reshape(-1)
        different = int((encoded.reshape(-1, size) != theirs.reshape(-1, size)).any(axis=1).sum())
        result[tensor.tensor_type.name] = [count[0] + 1, count[1] + (different == 0), count[2] + len(theirs) // size, count[3] + different]
    return {name: count for name, count in result.items() if count[0]}, agree


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("types", nargs="+")
    parser.add_argument("--imatrix", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tensors", type=int, default=0, help="of each type, at most")
    parser.add_argument("--builds", default="exact,native")
    options = parser.parse_args()
    importance = importance_of(options.imatrix)
    print(machine())
    print("| asked | build | seconds | peak MB | type | tensors | equal | blocks | different |\n|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in options.types:
            for build in options.builds.split(","):
                made = folder / "made.gguf"
                command = [BUILDS[build], "--pure"] + (["--imatrix", options.imatrix] if options.imatrix else [])
                seconds, peak = timed_process(command + [options.model, made, kind, options.threads])
                result, agree = compare(options.model, made, importance, options.tensors, folder)
                for tensor_type, (tensors, equal, blocks, different) in result.items():
                    print(f"| {kind} | {build} | {seconds:.2f} | {peak / 1e6:.0f} | {tensor_type} | {tensors} | {equal} | {blocks} | {different} |"
                          + ("" if agree else " kernel and definition differ!"), flush=True)


main()
