"""Digests of element type conversions, by an independent program (numpy, ml_dtypes, onnx). Prints dtype_conversions.txt.

Every line: name, SHA-256 of the little-endian result. A NaN counts as the type's canonical NaN without sign.
"""
import hashlib
import sys
import warnings

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper

warnings.filterwarnings("ignore")
SMALL = {
    "f8e4m3fn": (ml_dtypes.float8_e4m3fn, 0x7F, 448.0),
    "f8e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, 0x80, 240.0),
    "f8e5m2": (ml_dtypes.float8_e5m2, 0x7F, 57344.0),
    "f8e5m2fnuz": (ml_dtypes.float8_e5m2fnuz, 0x80, 57344.0),
}
LOW = [0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF, 0x2000, 0x2FFF, 0x3000, 0x3001, 0x5000, 0x7FFF, 0x8000, 0x8001, 0xF000, 0xFFFF]


def emit(name, values):
    data = np.ascontiguousarray(values).tobytes()
    print(name, hashlib.sha256(data).hexdigest())


def floats(values):
    """f32 bit patterns with every NaN made equal."""
    values = values.astype(np.float32)
    bits = values.view(np.uint32).copy()
    bits[np.isnan(values)] = 0x7FC00000
    return bits


def inputs():
    """All upper halves of an f32 with low halves around every place where rounding turns."""
    high = np.repeat(np.arange(65536, dtype=np.uint32) << 16, len(LOW))
    return (high | np.tile(np.array(LOW, dtype=np.uint32), 65536)).view(np.float32)


def integer(values, low, high):
    values = np.where(np.isnan(values), 0, values.astype(np.float64))
    return np.clip(np.rint(values), low, high)


def main():
    print("# numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__, "onnx", onnx.__version__)
    codes16, codes8 = np.arange(65536, dtype=np.uint16), np.arange(256, dtype=np.uint8)
    emit("f16>f32", floats(codes16.view(np.float16)))
    emit("bf16>f32", floats(codes16.view(ml_dtypes.bfloat16)))
    for name, (dtype, _, _) in SMALL.items():
        emit(name + ">f32", floats(codes8.view(dtype)))
    emit("f8e8m0>f32", floats(codes8.view(ml_dtypes.float8_e8m0fnu)))
    emit("f4e2m1>f32", floats(codes8[:16].view(ml_dtypes.float4_e2m1fn)))

    x = inputs()
    nan = np.isnan(x)
    for name, dtype, canonical in (("f16", np.float16, 0x7E00), ("bf16", ml_dtypes.bfloat16, 0x7FC0)):
        code = x.astype(dtype).view(np.uint16).copy()
        code[nan] = canonical
        emit("f32>" + name, code)
    for name, (dtype, canonical, largest) in SMALL.items():
        for mode, source in (("", x), ("saturate", np.clip(x, -largest, largest))):
            value = source.astype(dtype)
            code = value.view(np.uint8).copy()
            code[np.isnan(value.astype(np.float32))] = canonical
            emit("f32>" + name + ("," + mode if mode else ""), code)
    code = x.astype(ml_dtypes.float4_e2m1fn).view(np.uint8).copy()
    code[nan] = 0
    emit("f32>f4e2m1,saturate", code)
    for mode in ("up", "down", "nearest"):
        for saturate in (False, True):
            code = numpy_helper.to_float8e8m0(x, saturate, mode).view(np.uint8)
            emit("f32>f8e8m0," + mode + (",saturate" if saturate else ""), code)
    for name, dtype, low, high in (("u8", np.uint8, 0, 255), ("s8", np.int8, -128, 127), ("u16", np.uint16, 0, 65535),
                                   ("s16", np.int16, -32768, 32767), ("s32", np.int32, -2**31, 2**31 - 1)):
        emit("f32>" + name, integer(x, low, high).astype(dtype))

    for name, dtype, low, high in (("u4", ml_dtypes.uint4, 0, 15), ("s4", ml_dtypes.int4, -8, 7), ("u2", ml_dtypes.uint2, 0, 3),
                                   ("s2", ml_dtypes.int2, -2, 1)):
        values = (np.arange(1001) * 7 % (high - low + 1) + low).astype(np.int8).astype(dtype)
        emit("pack," + name, np.frombuffer(numpy_helper.from_array(values).raw_data, dtype=np.uint8))


sys.exit(main())
