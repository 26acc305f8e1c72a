"""GGUF files both ways against the Python package gguf: files that it writes are read, files that we write it reads, with equal key-values and
equal tensors. usage: gguf_files.py FEWBIT GGUF_COPY [FOLDER]        GGUF_COPY INPUT OUTPUT [TYPE]"""
import glob
import json
import os
import subprocess
import sys
import tempfile

from skip import no_judges

try:
    import gguf
    import numpy
except ImportError as missing:
    no_judges(missing)

TYPES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]


def make(path):
    """A file with a key of each type and a tensor of each plain and some block types."""
    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, f"add_{kind}")(f"test.{kind}", 7 if kind[0] == "u" else -7)
    writer.add_float32("test.float32", 0.1)
    writer.add_float64("test.float64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "\u00e4 text")
    writer.add_array("test.numbers", [1, -2, 3])
    writer.add_array("test.reals", [0.5, -2.25])
    writer.add_array("test.texts", ["one", "", "\u4e09"])
    writer.add_token_list(["<s>", "a", "b"])
    writer.add_token_scores([0.0, -1.0, -2.0])
    writer.add_token_types([3, 1, 1])
    writer.add_tensor("f32", random.normal(size=(3, 5)).astype(numpy.float32))
    writer.add_tensor("f16", random.normal(size=(2, 3, 4)).astype(numpy.float16))
    writer.add_tensor("rows", random.normal(size=(7, 64)).astype(numpy.float32))
    for kind in (numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.float64):
        writer.add_tensor(kind.__name__, random.integers(-5, 5, 9).astype(kind))
    for name in ("Q4_0", "Q5_1", "Q8_0", "BF16", "TQ2_0"):
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, gguf.quants.quantize(random.normal(size=(4, 512)).astype(numpy.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def values(reader):
    return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def tensors(reader):
    return {t.name: (t.tensor_type.name, [int(d) for d in t.shape], numpy.array(t.data)) for t in reader.tensors}


def check_inspect(fewbit, path, reader):
    document = json.loads(subprocess.run([fewbit, "inspect", path, "--json"], check=True, capture_output=True).stdout)
    plain = {"I8": "s8", "I16": "s16", "I32": "s32", "I64": "s64"}
    expected = [(t.name, [int(d) for d in t.shape][::-1], plain.get(t.tensor_type.name, t.tensor_type.name.lower()), t.n_bytes) for t in reader.tensors]
    got = [(w["name"], w["shape"], w["encoding"].lower(), w["bytes"]) for w in document["weights"]]
    assert got == [tuple(e) for e in expected], (got, expected)
    theirs, ours = values(reader), document["metadata"]
    assert list(theirs) == list(ours), (list(theirs), list(ours))
    for key, value in theirs.items():
        if isinstance(ours[key], dict):
            assert ours[key]["count"] == len(value), key
        elif isinstance(value, list) and any(isinstance(v, float) for v in value) or isinstance(value, float):
            assert numpy.allclose(ours[key], value, rtol=1e-7), key
        elif isinstance(value, str) and ours[key] != value:
            assert len(value) > 100, key
        elif not isinstance(value, str):
            assert ours[key] == value, (key, ours[key], value)


def same_values(a, b):
    return list(a) == list(b) and all(numpy.array_equal(a[k], b[k], equal_nan=isinstance(a[k], float)) for k in a)


def check_copy(copy, path, reader, folder):
    out = os.path.join(folder, "copy.gguf")
    subprocess.run([copy, path, out], check=True)
    with open(path, "rb") as first, open(out, "rb") as second:
        equal = first.read() == second.read()
    again = gguf.GGUFReader(out)
    assert same_values(values(reader), values(again))
    before, after = tensors(reader), tensors(again)
    assert list(before) == list(after)
    for name, (kind, shape, data) in before.items():
        assert (kind, shape) == after[name][:2] and numpy.array_equal(data, after[name][2], equal_nan=True), name
    print(f"{os.path.basename(path)}: {len(before)} tensors, {len(values(reader))} keys, copy {'equal byte for byte' if equal else 'equal by content'}")


def check_types(copy, path, reader, folder):
    """Matrices in block types: the same bytes as the package's own encoder."""
    for name in TYPES:
        out, kind = os.path.join(folder, f"{name}.gguf"), gguf.GGMLQuantizationType[name.upper()]
        subprocess.run([copy, path, out, name], check=True)
        changed = 0
        originals = {t.name: t for t in reader.tensors}
        for tensor in gguf.GGUFReader(out).tensors:
            original = originals[tensor.name]
            if original.tensor_type.name in ("F32", "F16", "F64") and len(original.shape) == 2 and original.shape[0] % 32 == 0:
                expected = gguf.quants.quantize(numpy.asarray(original.data, numpy.float32), kind)
                assert tensor.tensor_type == kind and numpy.array_equal(tensor.data, expected), tensor.name
                changed += 1
        assert changed > 0
        print(f"{os.path.basename(path)}: {changed} matrices as {name}, bytes equal")


def main():
    fewbit, copy = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.gguf")
        make(made)
        files = [made] + (sorted(glob.glob(os.path.join(sys.argv[3], "*.gguf"))) if len(sys.argv) > 3 else [])
        for path in files:
            reader = gguf.GGUFReader(path)
            check_inspect(fewbit, path, reader)
            check_copy(copy, path, reader, folder)
            if any(len(t.shape) == 2 for t in reader.tensors):
                check_types(copy, path, reader, folder)


main()
