"""Every block type against the Python package gguf, bit for bit: decoding of random blocks, encoding of random rows.
usage: block_types.py BLOCK_TOOL        BLOCK_TOOL decode|encode TYPE INPUT OUTPUT"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tensor"))
from skip import no_judges

try:
    import numpy
    import make_blocks
except ImportError as missing:
    no_judges(missing)


def run(tool, action, name, data, folder):
    given, made = os.path.join(folder, "in"), os.path.join(folder, "out")
    with open(given, "wb") as file:
        file.write(data)
    subprocess.run([tool, action, name, given, made], check=True)
    with open(made, "rb") as file:
        return file.read()


def main():
    tool, random, bad = sys.argv[1], numpy.random.default_rng(5), 0
    ours = {name: name.lower().replace("_k", "_K") for name in make_blocks.SCALES}
    with tempfile.TemporaryDirectory() as folder, numpy.errstate(all="ignore"):
        for name in make_blocks.SCALES:
            blocks = make_blocks.random_blocks(random, name, 4000)
            expected = make_blocks.decode(name, blocks).reshape(-1)
            got = numpy.frombuffer(run(tool, "decode", ours[name], blocks.tobytes(), folder), "<f4")
            same = got.view(numpy.uint32) == expected.view(numpy.uint32)
            print(f"decode {name}: {expected.size} elements, {int((~same).sum())} differ")
            bad += int((~same).sum()) + (got.size != expected.size)
        for name in make_blocks.ENCODED:
            rows = make_blocks.random_rows(random, name, 24000 if name[0] == "Q" else 6000)
            expected = make_blocks.encode(name, rows).tobytes()
            got = run(tool, "encode", ours[name], rows.astype("<f4").tobytes(), folder)
            size = len(expected) // len(rows)
            different = [i for i in range(len(rows)) if got[i * size : (i + 1) * size] != expected[i * size : (i + 1) * size]]
            print(f"encode {name}: {len(rows)} blocks, {len(different)} differ" + (f", first {different[0]} of kind {different[0] % 12}" if different else ""))
            bad += len(different) + (len(got) != len(expected))
    sys.exit(bad != 0)


main()
