"""Writes the seeds of the fuzz target of stored baselines: whole rows, and rows with samples. usage: make_logit_seeds.py SEEDS_FOLDER"""
import math
import struct
import sys


def row(p, target, top, samples):
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))
    rest = order[top:]
    ids = order[:top] + [rest[k % len(rest)] for k in range(samples)]
    codes = [min(65535, round(-2048 * math.log(p[i]))) for i in ids]
    return (struct.pack("<ff", math.log(p[target]), sum(p[i] for i in rest)) + struct.pack(f"<{len(ids)}H", *ids)
            + struct.pack(f"<{len(ids)}H", *codes))


def header(vocabulary, context, windows, top, samples):
    fields = struct.pack("<7I", 1, vocabulary, context, windows, context - context // 2 - 1, top, samples)
    return b"fblogits" + fields.ljust(56, b"\0") + bytes(range(32)) + bytes(32)


probabilities = [2.0 ** -(i + 1) for i in range(9)]
probabilities.append(probabilities[-1])
for name, windows, top, samples in (("whole", 1, 10, 0), ("sampled", 2, 4, 2)):
    with open(f"{sys.argv[1]}/{name}", "wb") as file:
        file.write(header(10, 8, windows, top, samples))
        for window in range(windows):
            for target in (0, 3, 9):
                file.write(row(probabilities, target, top, samples))
