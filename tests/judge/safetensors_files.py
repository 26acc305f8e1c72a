"""Safetensors files against the Python package safetensors: what it accepts we accept and describe alike, what it refuses we refuse.
usage: safetensors_files.py FEWBIT"""
import json
import os
import struct
import subprocess
import sys
import tempfile

from skip import no_judges

try:
    import numpy
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    no_judges(missing)

NAMES = {"F64": "f64", "F32": "f32", "F16": "f16", "I64": "s64", "I32": "s32", "I16": "s16", "I8": "s8", "U8": "u8", "BOOL": "bool", "U16": "u16"}


def inspect(fewbit, path):
    done = subprocess.run([fewbit, "inspect", path, "--json"], capture_output=True)
    return done.returncode, done.stdout


def accepted_by_package(path):
    try:
        with safe_open(path, "np") as file:
            list(file.keys())
        return True
    except (SafetensorError, OSError):
        return False


def check_good(fewbit, folder):
    random = numpy.random.default_rng(2)
    path = os.path.join(folder, "good.safetensors")
    kinds = [numpy.float64, numpy.float32, numpy.float16, numpy.int64, numpy.int32, numpy.int16, numpy.int8, numpy.uint8, numpy.uint16]
    arrays = {f"t.{i}.{k.__name__}": random.normal(size=(i % 3 + 1, 4)).astype(k) for i, k in enumerate(kinds)}
    arrays["scalar"], arrays["empty"] = numpy.array(1, numpy.float32), numpy.zeros((0, 3), numpy.float32)
    save_file(arrays, path, {"format": "pt", "note": "\u00e4"})
    code, text = inspect(fewbit, path)
    document = json.loads(text)
    assert code == 0 and document["metadata"] == {"format": "pt", "note": "\u00e4"}
    with safe_open(path, "np") as file:
        expected = {n: (list(file.get_slice(n).get_shape()), NAMES[file.get_slice(n).get_dtype()]) for n in file.keys()}
    assert {w["name"]: (w["shape"], w["encoding"]) for w in document["weights"]} == expected
    with open(path, "rb") as file:
        return file.read()


def main():
    fewbit, random, counts = sys.argv[1], numpy.random.default_rng(3), {}
    header = b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"U8","shape":[4],"data_offsets":[24,28]}}'
    small = struct.pack("<Q", len(header)) + header + bytes(28)
    with tempfile.TemporaryDirectory() as folder:
        check_good(fewbit, folder)
        path = os.path.join(folder, "m.safetensors")
        for i in range(400):
            data = bytearray(small)
            for _ in range(int(random.integers(1, 3))):
                at = int(random.integers(8 if i % 4 else 0, 8 + len(header)))
                data[at] = int(random.choice(list(b'0123456789",:[]{}abFU -.e')))
            with open(path, "wb") as file:
                file.write(data)
            theirs, (code, _) = accepted_by_package(path), inspect(fewbit, path)
            assert code in (0, 3, 4), (code, bytes(data))
            counts[theirs, code == 0] = counts.get((theirs, code == 0), 0) + 1
            # The package ignores unknown fields of a tensor and knows types that we do not; we are never more lenient.
            assert code != 0 or theirs, bytes(data)
            if theirs and code != 0:
                print("stricter:", bytes(data[8 : 8 + len(header)]))
    print({f"package {'accepts' if k[0] else 'refuses'}, fewbit {'accepts' if k[1] else 'refuses'}": v for k, v in counts.items()})


main()
