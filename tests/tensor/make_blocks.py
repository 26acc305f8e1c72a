"""Golden vectors of the block types, decoded and encoded by the Python package gguf 0.19 (quants.py).
usage: make_blocks.py FILE

FILE: for each type a line "NAME BLOCK_BYTES ELEMENTS BLOCKS DECODED ENCODED\\n", the blocks, then (DECODED) their floats, or (ENCODED) the floats
that were encoded into them. The random numbers are numpy's with a fixed seed."""
import sys

import numpy
from awkward_rows import bend
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

# Where the half-precision scales of a block lie; the E8M0 scale of MXFP4 may be any byte.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0], "IQ1_M": [], "NVFP4": [],
}
ENCODED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "TQ1_0", "TQ2_0"]


def random_blocks(random, name, count):
    """Random bytes with finite scales: normal, subnormal, zero, of either sign."""
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = random.integers(0, 256, (count, size), dtype=numpy.uint8)
    for at in SCALES[name]:
        bits = random.integers(0, 0x10000, count, dtype=numpy.uint16)
        bits = numpy.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits).astype("<u2")
        blocks[:, at : at + 2] = bits.view(numpy.uint8).reshape(-1, 2)
    if name == "IQ1_M": # the scale's upper bits are the high nibble of the last byte: a small exponent
        blocks[:, 55] &= 0xBF
    if name == "NVFP4": # unsigned scales
        blocks[:, :4] &= 0x7F
    return blocks


def random_rows(random, name, count):
    """Rows of a block as weights are, and as they should not be: zeros, constants, one outlier, tiny, huge, ties."""
    elements = GGML_QUANT_SIZES[GGMLQuantizationType[name]][0]
    rows = random.normal(0, 1, (count, elements)).astype(numpy.float32)
    scale = numpy.float32(10) ** random.integers(-6, 3, (count, 1)).astype(numpy.float32)
    rows *= scale
    for i, row in enumerate(rows):
        kind = i % 12
        bend(random, row, kind)
        if kind == 8:
            row[0], row[1] = 2, -2
    return rows


def decode(name, blocks):
    return quants.dequantize(blocks, GGMLQuantizationType[name]).astype("<f4")


def encode(name, rows):
    return quants.quantize(rows, GGMLQuantizationType[name])


def entry(name, blocks, floats, kind):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = blocks.size // size
    assert floats.size == count * elements
    return f"{name} {size} {elements} {count} {kind}\n".encode() + blocks.tobytes() + floats.astype("<f4").tobytes()


def main():
    random = numpy.random.default_rng(20)
    out = b""
    with numpy.errstate(all="ignore"):
        for name in SCALES:
            elements = GGML_QUANT_SIZES[GGMLQuantizationType[name]][0]
            blocks = random_blocks(random, name, 768 // elements)
            out += entry(name, blocks, decode(name, blocks), "decoded")
        for name in ENCODED:
            rows = random_rows(random, name, 36 if GGML_QUANT_SIZES[GGMLQuantizationType[name]][0] == 32 else 12)
            out += entry(name, encode(name, rows), rows, "encoded")
    with open(sys.argv[1], "wb") as file:
        file.write(out)


if __name__ == "__main__":
    main()
