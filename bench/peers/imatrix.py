#!/usr/bin/env python3
"""Importance matrices: `fewbit calibrate` and llama-imatrix on the same file and text, in turns. Prints per kind of weight the largest difference of the
mean squares in norm, over every matrix of it (an expert's alone, where there are several), how many of those have equal counts, and the shortest
seconds of each; then whether the two matrices add up to the same in both programs. llama-imatrix runs twice: as it is, with keys and values in
half precision, and with both in single precision, as `calibrate` has them. It also computes the logits of all tokens and cannot be told not to.
On a machine that does other things, too, one thread and the processor's seconds are what compares.

usage: imatrix.py [--model FILE.gguf] [--text FILE] [--windows 8] [--threads 2] [--repeat 3] [--only dense|mixture]

The mixture is a small random one, in mixtral's form, with the vocabulary of the model. Needs `make peers`, and the package gguf."""
import argparse
import json
import sys

import gguf
import numpy

import common

sys.path.insert(0, str(common.ROOT / "tests/judge"))
import language_case  # noqa: E402
import language_gguf  # noqa: E402

LLAMA = common.PEERS / "llama-build/bin/llama-imatrix"


def mixture(path, vocabulary_of, experts):
    """A random mixture with the tokenizer of another file. The router's row for the last expert is zero, so that hardly a token goes there."""
    reader = gguf.GGUFReader(vocabulary_of)
    case = json.loads((common.ROOT / "tests/judge/language/mixtral.json").read_text())
    hidden, width, layers = 256, 512, 4
    config = {**case["config"], "hidden_size": hidden, "intermediate_size": width, "num_hidden_layers": layers, "num_local_experts": experts,
              "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 2048,
              "vocab_size": len(reader.fields["tokenizer.ggml.tokens"].data)}
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,), "lm_head.weight": (config["vocab_size"], hidden)}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        shapes.update({at + "input_layernorm.weight": (hidden,), at + "post_attention_layernorm.weight": (hidden,),
                       at + "self_attn.q_proj.weight": (hidden, hidden), at + "self_attn.k_proj.weight": (hidden // 2, hidden),
                       at + "self_attn.v_proj.weight": (hidden // 2, hidden), at + "self_attn.o_proj.weight": (hidden, hidden),
                       at + "block_sparse_moe.gate.weight": (experts, hidden)})
        for expert in range(experts):
            to = f"{at}block_sparse_moe.experts.{expert}."
            shapes.update({to + "w1.weight": (width, hidden), to + "w3.weight": (width, hidden), to + "w2.weight": (hidden, width)})
    weights = {name: language_case.weight(name, list(shape)) for name, shape in shapes.items()}
    for name, values in weights.items():
        if name.endswith("block_sparse_moe.gate.weight"):
            values[-1] = 0
    writer = gguf.GGUFWriter(path, "llama")
    language_gguf.fill(writer, config, weights, "llama", language_gguf.LLAMA)
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    language_gguf.finish(writer)


def matrices(path):
    """{name: (sums [matrices][columns], counts [matrices])}"""
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    made = {}
    for name, sums in tensors.items():
        if name.endswith(".in_sum2"):
            counts = numpy.array(tensors[name[:-8] + ".counts"], numpy.float64).reshape(-1)
            made[name[:-8]] = (numpy.array(sums, numpy.float64).reshape(len(counts), -1), counts)
    return made


def compare(ours, theirs):
    """Per kind of weight: matrices, equal counts, largest difference of counts, matrices that saw nothing, largest difference of means in norm."""
    a, b, kinds = matrices(ours), matrices(theirs), {}
    if a.keys() != b.keys():
        sys.exit(f"weights of one only: {sorted(a.keys() ^ b.keys())}")
    for name, (sums, counts) in a.items():
        kind = kinds.setdefault(name.split(".")[2], [0, 0, 0.0, 0, 0.0])
        for mine, count, peer, peer_count in zip(sums, counts, *b[name]):
            kind[0] += 1
            kind[1] += count == peer_count
            kind[2] = max(kind[2], abs(count - peer_count))
            kind[3] += count == 0 and peer_count == 0
            if count > 0 and peer_count > 0:
                kind[4] = max(kind[4], numpy.linalg.norm(mine / count - peer / peer_count) / numpy.linalg.norm(peer / peer_count))
    return kinds


def measure(model, options):
    paths = {name: common.WORK / f"{name}.imatrix.gguf" for name in ("fewbit", "llama", "llama-f32")}
    llama = [LLAMA, "-m", model, "-f", options.text, "--chunks", options.windows, "-c", 512, "-b", 512, "-t", options.threads, "--no-ppl", "-o"]
    runs = {"fewbit": [common.FEWBIT, "calibrate", model, "--data", options.text, "--windows", options.windows, "-j", options.threads, "-f", "-q", "-o",
                       paths["fewbit"]],
            "llama": [*llama, paths["llama"]], "llama-f32": [*llama, paths["llama-f32"], "-ctk", "f32", "-ctv", "f32", "-fa", "off"]}
    best = {}
    for _ in range(options.repeat):
        for name, command in runs.items():
            made = common.timed_process(command, processor=True)
            best[name] = [min(pair) for pair in zip(best.get(name, made), made)]
    half, single = (compare(paths["fewbit"], paths[name]) for name in ("llama", "llama-f32"))
    print("| weights | matrices | nothing seen | equal counts | largest difference of counts | of means | with keys and values in f32: equal counts | of means |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (count, equal, differ, unseen, norm) in half.items():
        print(f"| {name} | {count} | {unseen} | {equal} | {differ:.0f} | {norm:.1e} | {single[name][1]} | {single[name][4]:.1e} |")
    print("\n| program | seconds | processor's seconds | peak MB | fewbit's share of the seconds | of the processor's |")
    print("|---|---|---|---|---|---|")
    for name, (seconds, peak, busy) in best.items():
        print(f"| {name} | {seconds:.2f} | {busy:.2f} | {peak / 1e6:.0f} | {best['fewbit'][0] / seconds:.2f} | {best['fewbit'][2] / busy:.2f} |")
    print(flush=True)
    return paths["fewbit"], paths["llama"]


def merged(ours, theirs, model):
    """The two matrices added up by both programs."""
    a, b = common.WORK / "sum-ours.imatrix.gguf", common.WORK / "sum-theirs.imatrix.gguf"
    common.fewbit("calibrate", model, "--merge", ours, "--merge", theirs, "-o", a, "-f", "-q")
    common.timed_process([LLAMA, "-m", model, "--in-file", ours, "--in-file", theirs, "-o", b])
    x, y = matrices(a), matrices(b)
    same = sum(numpy.array_equal(x[name][0], y[name][0]) and numpy.array_equal(x[name][1], y[name][1]) for name in x if name in y)
    print(f"added up by both programs: {same} of {len(y)} weights equal\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=common.MODELS / "smollm2-float/model-f16.gguf")
    parser.add_argument("--text", default=common.MODELS / "calibration.txt")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--only", choices=("dense", "mixture"))
    options = parser.parse_args()
    if not LLAMA.exists():
        sys.exit("no llama-imatrix; bench/peers/setup.sh builds it")
    common.WORK.mkdir(parents=True, exist_ok=True)
    print(common.machine())
    if options.only != "mixture":
        print(f"\n{options.model}, {options.windows} windows of 512 tokens, {options.threads} threads\n")
        merged(*measure(options.model, options), options.model)
    if options.only != "dense":
        path = common.WORK / "mixture.gguf"
        mixture(path, options.model, options.experts)
        print(f"\na random mixture of {options.experts} experts, {options.windows} windows of 512 tokens, {options.threads} threads\n")
        merged(*measure(path, options), path)


if __name__ == "__main__":
    main()
