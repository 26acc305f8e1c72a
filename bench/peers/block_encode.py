"""Encoders of block types: our kernels beside llama.cpp's encoders, million elements per second of one thread's processor time.
usage: block_encode.py        FEWBIT_PEERS holds llama.cpp's builds; build/release or build/dev holds bench_block_encode."""
import subprocess
import sys
import time

import numpy as np
from common import PEERS, ROOT, machine

sys.path.insert(0, str(ROOT / "tests/tensor"))
import make_encoded  # noqa: E402

BENCH = next(p for p in (ROOT / "build/release/bin/bench_block_encode", ROOT / "build/dev/bin/bench_block_encode") if p.exists())


def ours():
    """{(type, importance): million elements per second of the best row}"""
    found = {}
    for line in subprocess.run([BENCH, "0.3"], check=True, capture_output=True, text=True).stdout.splitlines()[2:]:
        name, importance, _, speed, _, right = (field.strip() for field in line.strip("|\n ").split("|"))
        assert right == "yes", line
        found.setdefault((name, importance == "yes"), float(speed))
    return found


def theirs(encode, number, elements, size, rows, importance):
    best = float("inf")
    for _ in range(8):
        begin = time.process_time()
        encode(number, elements, size, rows, importance)
        best = min(best, time.process_time() - begin)
    return rows.size / best * 1e-6


def main():
    random = np.random.default_rng(1)
    rows = random.normal(0, 0.02, (32, 4096)).astype(np.float32)
    importance = random.random(4096).astype(np.float32)
    builds = {name: make_encoded.open_library(str(PEERS / folder / "bin/libggml-base.so")) for name, folder in
              (("native", "llama-build"), ("exact", "llama-build-exact"))}
    speeds = ours()
    print(machine())
    print("| type | importance | fewbit | llama.cpp | exact build | ratio |\n|---|---|---|---|---|---|")
    for name, number, elements, size in make_encoded.TYPES:
        for weights in (None, importance):
            native, exact = (theirs(encode, number, elements, size, rows, weights) for encode in builds.values())
            mine = speeds[name, weights is not None]
            print(f"| {name} | {'no' if weights is None else 'yes'} | {mine:.1f} | {native:.1f} | {exact:.1f} | {mine / max(native, exact):.1f} |", flush=True)


main()
