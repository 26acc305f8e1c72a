"""bench/data.py on small files of each layout made here: values, labels, disjoint folds. usage: data_layouts.py SOURCE_DIR"""
import gzip
import json
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

script = Path(sys.argv[1]) / "bench/data.py"
work = Path(tempfile.mkdtemp())
rng = np.random.default_rng(3)


def make(*arguments):
    subprocess.run([sys.executable, script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def arrays(name, *arguments):
    make(*arguments, "-o", work / name)
    return dict(np.load(work / name))


# CIFAR: label byte, then 1,024 bytes each of red, green, blue.
records = rng.integers(0, 256, (7, 3073), dtype=np.uint8)
records[:, 0] = np.arange(7)
records.tofile(work / "c.bin")
whole = arrays("c.npz", "cifar", work / "c.bin")
assert whole["input"].dtype == np.float32 and whole["input"].shape == (7, 3, 32, 32)
assert whole["input"][4, 2, 31, 0] == records[4, 1 + 2048 + 31 * 32] and list(whole["labels"]) == list(range(7))
even, odd = (arrays(f"{f}.npz", "cifar", work / "c.bin", "--fold", f) for f in ("even", "odd"))
assert list(even["labels"]) == [0, 2, 4, 6] and list(odd["labels"]) == [1, 3, 5]
assert np.array_equal(odd["input"], whole["input"][1::2])
scaled = arrays("s.npz", "cifar", work / "c.bin", "--preprocess=imagenet", "--input", "x")["x"]
want = (whole["input"].astype("f8") / 255 - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[:, None, None]
assert np.abs(scaled - want).max() < 1e-6

# IDX: big-endian header.
images, labels = rng.integers(0, 256, (5, 4, 6), dtype=np.uint8), np.array([3, 1, 4, 1, 5], np.uint8)
(work / "i.gz").write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 5, 4, 6) + images.tobytes()))
(work / "l.gz").write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 5) + labels.tobytes()))
idx = arrays("i.npz", "idx", work / "i.gz", work / "l.gz", "--limit", "4")
assert idx["input"].shape == (4, 1, 4, 6) and np.array_equal(idx["input"][:, 0], images[:4]) and list(idx["labels"]) == [3, 1, 4, 1]

# Token ids: one line of JSON a row, ids of shape (T, 1).
(work / "t.tsv").write_text("7\t1\t2 3 4\n8\t0\t5\n")
make("ids", work / "t.tsv", "-o", work / "t.jsonl")
lines = [json.loads(line) for line in (work / "t.jsonl").read_text().splitlines()]
assert lines == [{"inputs": {"ids": [[2], [3], [4]]}, "label": 7, "position": 1}, {"inputs": {"ids": [[5]]}, "label": 8, "position": 0}]

# Speech: frames of 512 samples with the 64 before them.
samples = rng.integers(-32768, 32768, 1700).astype("<i2")
with wave.open(str(work / "w.wav"), "wb") as w:
    w.setparams((1, 2, 16000, 0, "NONE", ""))
    w.writeframes(samples.tobytes())
frames = arrays("w.npz", "wav", work / "w.wav")
assert frames["input"].shape == (3, 576) and frames["state"].shape == (3, 2, 1, 128)
assert not frames["input"][0, :64].any() and np.array_equal(frames["input"][1, :64], frames["input"][0, 512:])
assert np.array_equal(frames["input"][2, 64:], samples[1024:1536].astype("f4") / 32768)
print("data layouts: cifar, idx, ids, wav as expected")
