"""What llama.cpp's encoders make of rows of floats, with and without importance.
usage: make_encoded.py LIBRARY FOLDER

LIBRARY: ggml as a shared library built without fused multiply-add (libggml-base.so). FOLDER gets rows.f32 (24 rows of 512 floats), importance.f32
(512) and encoded.txt: a line "TYPE plain|weighted SHA256" for the bytes of all rows encoded."""
import ctypes
import hashlib
import os
import sys

import numpy
from awkward_rows import bend

ROWS, COLS = 24, 512
# name, number, elements and bytes of a block
TYPES = [
    ("q4_0", 2, 32, 18), ("q4_1", 3, 32, 20), ("q5_0", 6, 32, 22), ("q5_1", 7, 32, 24), ("q8_0", 8, 32, 34), ("q2_K", 10, 256, 84),
    ("q3_K", 11, 256, 110), ("q4_K", 12, 256, 144), ("q5_K", 13, 256, 176), ("q6_K", 14, 256, 210), ("iq4_nl", 20, 32, 18), ("iq4_xs", 23, 256, 136),
    ("tq1_0", 34, 256, 54), ("tq2_0", 35, 256, 66), ("mxfp4", 39, 32, 17),
]


def random_rows(random, count, columns):
    """Rows as weights are, and as they should not be: zeros, constants, one outlier, one sign, ties, tiny, half zero."""
    rows = (random.standard_normal((count, columns)) * 10.0 ** random.integers(-5, 2, (count, 1))).astype(numpy.float32)
    for i, row in enumerate(rows):
        kind = i % 12
        bend(random, row, kind)
        if kind == 8:
            row[::32], row[1::32] = 2, -2
        elif kind == 9:
            row[:] = numpy.abs(row)
        elif kind == 10:
            row[:] = (random.standard_t(3, columns) * 0.02).astype(numpy.float16)
        elif kind == 11:
            row[: columns // 2] = 0
    return rows


def random_importance(random, columns):
    return (random.random(columns) ** 3 + 1e-4).astype("<f4")


def open_library(path):
    quantize = ctypes.CDLL(path, mode=os.RTLD_LAZY).ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

    def encode(number, elements, size, rows, importance):
        out = numpy.zeros(rows.size // elements * size, numpy.uint8)
        weights = None if importance is None else importance.ctypes.data
        made = quantize(number, rows.ctypes.data, out.ctypes.data, 0, rows.shape[0], rows.shape[1], weights)
        assert made == out.size
        return out.tobytes()

    return encode


def main():
    encode, folder = open_library(sys.argv[1]), sys.argv[2]
    random = numpy.random.default_rng(7)
    rows, importance = random_rows(random, ROWS, COLS), random_importance(random, COLS)
    rows.astype("<f4").tofile(os.path.join(folder, "rows.f32"))
    importance.tofile(os.path.join(folder, "importance.f32"))
    with open(os.path.join(folder, "encoded.txt"), "w") as file:
        for name, number, elements, size in TYPES:
            for kind, weights in (("plain", None), ("weighted", importance)):
                file.write(f"{name} {kind} {hashlib.sha256(encode(number, elements, size, rows, weights)).hexdigest()}\n")


if __name__ == "__main__":
    main()
