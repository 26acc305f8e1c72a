"""Types that llama-quantize --dry-run chooses, for models of several shapes and every preset, as the golden table of tests/quantize/test_gguf_mix.c.

usage: gguf_plans.py LLAMA_QUANTIZE > tests/golden/gguf_mix.tsv

A line: case, preset, then for every kind of tensor that is not all of the type most tensors with rows have: its types layer by layer. The cases
are built the same way by the test.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile

PRESETS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M",
           "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4_MOE"]
# name, architecture, layers, heads, kv heads, experts, hidden, ffn, tied, fused qkv
CASES = [
    ("dense", "llama", 32, 4, 4, 0, 256, 512, False, False),
    ("grouped", "llama", 17, 8, 2, 0, 256, 512, False, False),
    ("tied", "qwen2", 24, 4, 2, 0, 256, 512, True, False),
    ("narrow", "llama", 30, 9, 3, 0, 576, 1536, True, False),
    ("odd", "llama", 6, 4, 2, 0, 272, 500, False, False),
    ("eight", "llama", 32, 8, 2, 8, 256, 512, False, False),
    ("sixteen", "llama", 20, 4, 4, 16, 256, 512, False, False),
    ("large", "llama", 80, 8, 1, 0, 256, 512, False, False),
    ("falcon", "falcon", 32, 8, 1, 0, 256, 1024, False, True),
    ("phi", "phi3", 32, 4, 4, 0, 256, 512, False, True),
]


def tensors(case):
    """(name, shape outermost first) in file order; the test has the same function."""
    _, _, layers, heads, kv, experts, hidden, ffn, tied, fused = case
    head = hidden // heads
    out = [("token_embd.weight", [512, hidden]), ("output_norm.weight", [hidden])]
    if not tied:
        out.append(("output.weight", [512, hidden]))
    for i in range(layers):
        b = f"blk.{i}."
        out += [(b + "attn_norm.weight", [hidden]), (b + "ffn_norm.weight", [hidden])]
        if fused:
            out.append((b + "attn_qkv.weight", [hidden + 2 * kv * head, hidden]))
        else:
            out += [(b + "attn_q.weight", [hidden, hidden]), (b + "attn_k.weight", [kv * head, hidden]), (b + "attn_v.weight", [kv * head, hidden])]
        out.append((b + "attn_output.weight", [hidden, hidden]))
        if experts:
            out += [(b + "ffn_gate_inp.weight", [experts, hidden]), (b + "ffn_gate_exps.weight", [experts, ffn, hidden]),
                    (b + "ffn_up_exps.weight", [experts, ffn, hidden]), (b + "ffn_down_exps.weight", [experts, hidden, ffn])]
        else:
            out += [(b + "ffn_gate.weight", [ffn, hidden]), (b + "ffn_up.weight", [ffn, hidden]), (b + "ffn_down.weight", [hidden, ffn])]
    return out


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write(case, path):
    _, arch, layers, heads, kv, experts, hidden, ffn, _, _ = case
    keys = [("general.architecture", arch)]
    numbers = {"block_count": layers, "context_length": 64, "embedding_length": hidden, "feed_forward_length": ffn, "attention.head_count": heads,
               "attention.head_count_kv": kv, "rope.dimension_count": hidden // heads, "vocab_size": 512}
    if experts:
        numbers.update({"expert_count": experts, "expert_used_count": 2})
    keys += [(f"{arch}.{k}", v) for k, v in numbers.items()]
    keys += [(f"{arch}.attention.layer_norm_rms_epsilon", 1e-5), (f"{arch}.attention.layer_norm_epsilon", 1e-5), ("tokenizer.ggml.model", "no_vocab")]
    body = b""
    for key, value in keys:
        body += text(key)
        body += struct.pack("<I", 8) + text(value) if isinstance(value, str) else \
            struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
    rows, offset = tensors(case), 0
    infos = b""
    for name, shape in rows:
        # vectors and routers in F32, all else in F16
        kind, size = (0, 4) if len(shape) == 1 or "gate_inp" in name else (1, 2)
        for n in shape:
            size *= n
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, offset)
        offset += (size + 31) // 32 * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(keys)) + body + infos
    with open(path, "wb") as file:
        file.write(head)
        file.truncate((len(head) + 31) // 32 * 32 + offset)  # zeros


def plan(quantize, path, preset):
    """{name without its block: [type per layer]}"""
    run = subprocess.run([quantize, "--dry-run", path, preset], capture_output=True, text=True)
    kinds = {}
    for line in (run.stdout + run.stderr).splitlines():
        row = re.match(r"\[ *\d+/ *\d+\] +(\S+) +- \[.*\], type = +(\w+), +size = .*?(?:\((\w+)\))?$", line)
        if row:
            kinds.setdefault(re.sub(r"^blk\.\d+\.", "", row[1]), []).append((row[3] or row[2]).lower())
    if run.returncode or not kinds:
        sys.exit(f"{path} {preset}: {run.stderr[-2000:]}{run.stdout[-2000:]}")
    return kinds


def runs(types):
    out = []
    for kind in types:
        if out and out[-1][0] == kind:
            out[-1][1] += 1
        else:
            out.append([kind, 1])
    return ",".join(f"{kind}*{count}" for kind, count in out)


def compact(kinds):
    rows = {name: types for name, types in kinds.items() if not name.endswith("_norm.weight")}
    count = {}
    for types in rows.values():
        for kind in types:
            count[kind] = count.get(kind, 0) + 1
    usual = max(sorted(count), key=count.get)
    return " ".join([usual] + [f"{name}={runs(types)}" for name, types in sorted(rows.items()) if set(types) != {usual}])


with tempfile.TemporaryDirectory() as folder:
    for case in CASES:
        path = os.path.join(folder, case[0] + ".gguf")
        write(case, path)
        if len(sys.argv) > 2:
            os.makedirs(sys.argv[2], exist_ok=True)
            write(case, os.path.join(sys.argv[2], case[0] + ".gguf"))
        for preset in PRESETS:
            print(case[0], preset.lower(), compact(plan(sys.argv[1], path, preset)), sep="\t")
