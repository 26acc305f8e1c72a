"""Writes the seeds of the checkpoint fuzz targets: small valid files made byte by byte. usage: make_checkpoint_seeds.py SEEDS_FOLDER"""
import json
import struct
import sys


def safetensors(tensors, metadata=None, pad=0):
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + bytes(i * 37 % 251 for i in range(at))


def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def scalar(kind, form, value):
    return struct.pack("<I", kind) + struct.pack("<" + form, value)


def array(kind, values, form=None):
    body = b"".join(text(v) if form is None else struct.pack("<" + form, v) for v in values)
    return struct.pack("<IIQ", 9, kind, len(values)) + body


def gguf(pairs, tensors, version=3, alignment=32):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, value in pairs:
        out += text(key) + value
    offset, data = 0, b""
    for name, dims, kind, size, *content in tensors:
        out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        out += struct.pack("<IQ", kind, offset)
        padded = -(-size // alignment) * alignment
        data += (content[0] if content else bytes(i * 29 % 253 for i in range(size))) + bytes(padded - size)
        offset += padded
    return out + bytes(-len(out) % alignment) + data


SAFETENSORS = {
    "plain": safetensors([("model.embed.weight", "F32", [4, 3], 48), ("b", "BF16", [5], 10)], {"format": "pt"}, 6),
    "empty": safetensors([]),
    "types": safetensors([("a", "F64", [1], 8), ("b", "I64", [], 8), ("c", "F8_E4M3", [3], 3), ("d", "F4", [4], 2), ("e", "BOOL", [0], 0)]),
}
ARCHITECTURE = ("general.architecture", struct.pack("<I", 8) + text("llama"))


def q8(name, inputs, rows):
    return name, [inputs, rows], 8, rows * inputs // 32 * 34


def floats(name, count):
    return name, [count], 0, 4 * count, struct.pack(f"<{count}f", *(1 + i / 8 for i in range(count)))


def language(architecture, keys, tensors):
    """A model of one layer, 32 wide, with 2 heads on 1 of keys and 3 tokens."""
    sizes = [("block_count", 1), ("context_length", 16), ("embedding_length", 32), ("feed_forward_length", 32), ("attention.head_count", 2),
             ("attention.head_count_kv", 1)]
    pairs = [("general.architecture", struct.pack("<I", 8) + text(architecture))]
    pairs += [(f"{architecture}.{key}", scalar(4, "I", value)) for key, value in sizes]
    pairs += [(f"{architecture}.{key}", value) for key, value in keys]
    shared = [q8("token_embd.weight", 32, 3), floats("output_norm.weight", 32), floats("blk.0.attn_norm.weight", 32), floats("blk.0.ffn_norm.weight", 32),
              q8("blk.0.attn_output.weight", 32, 32), q8("blk.0.ffn_down.weight", 32, 32)]
    return gguf(pairs, shared + tensors)


EPSILON = ("attention.layer_norm_rms_epsilon", scalar(6, "f", 1e-5))
GGUF = {
    "llama": language("llama", [EPSILON, ("rope.freq_base", scalar(6, "f", 5000.0)), ("expert_count", scalar(4, "I", 0))],
                      [q8("blk.0.attn_q.weight", 32, 32), q8("blk.0.attn_k.weight", 32, 16), q8("blk.0.attn_v.weight", 32, 16),
                       q8("blk.0.ffn_gate.weight", 32, 32), q8("blk.0.ffn_up.weight", 32, 32), floats("rope_freqs.weight", 8)]),
    "phi3": language("phi3", [EPSILON, ("attention.sliding_window", scalar(4, "I", 4)), ("rope.scaling.original_context_length", scalar(4, "I", 8)),
                              ("rope.dimension_count", scalar(4, "I", 8))],
                     [q8("blk.0.attn_qkv.weight", 32, 64), q8("blk.0.ffn_up.weight", 32, 64), floats("rope_factors_long.weight", 4),
                      floats("rope_factors_short.weight", 4)]),
    "plain": gguf([ARCHITECTURE, ("llama.block_count", scalar(4, "I", 1)), ("x", scalar(6, "f", 0.5)), ("y", scalar(7, "B", 1))],
                  [("token_embd.weight", [32, 2], 8, 68), ("norm.weight", [3], 0, 12)]),
    "vocabulary": gguf([ARCHITECTURE, ("general.alignment", scalar(4, "I", 64)), ("tokenizer.ggml.tokens", array(8, ["<s>", "a", "b", "ab"])),
                        ("tokenizer.ggml.scores", array(6, [0, -1, -2, -3], "f")), ("tokenizer.ggml.token_type", array(5, [3, 1, 1, 1], "i")),
                        ("tokenizer.ggml.merges", array(8, ["a b"]))],
                       [("k", [256, 1], 12, 144), ("m", [32], 39, 17)], alignment=64),
    "version2": gguf([ARCHITECTURE, ("l", scalar(11, "q", -5)), ("d", scalar(12, "d", 2.5))], [("t", [2, 2, 2], 1, 16)], version=2),
    "empty": gguf([ARCHITECTURE], []),
}

for folder, files in (("safetensors", SAFETENSORS), ("gguf", GGUF)):
    for name, content in files.items():
        with open(f"{sys.argv[1]}/{folder}/{name}", "wb") as file:
            file.write(content)
