#!/usr/bin/env python3
"""Quantizing to GGUF: seconds and peak memory of fewbit and of llama-quantize (built for this machine; and without fused multiply-add), same
run, alternating, minimum of several; and how many tensors of the files are equal byte for byte.
usage: gguf_quantize.py [--model l7.gguf] [--presets Q4_0,Q4_K_M,Q6_K] [--threads 2] [--repeat 3]"""
import argparse
import struct
import sys

import common

LLAMA = {"native": common.PEERS / "llama-build/bin/llama-quantize", "exact": common.PEERS / "llama-build-exact/bin/llama-quantize"}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BLOCKS = {0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
          12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 34: (256, 54), 35: (256, 66), 39: (32, 17)}


class Gguf:
    """Names, types and places of the tensors of a file."""

    def __init__(self, path):
        self.file = open(path, "rb")
        _, _, tensors, keys = struct.unpack("<4sIQQ", self.file.read(24))
        self.alignment = 32
        for _ in range(keys):
            name = self.text()
            value = self.value(self.number("I", 4))
            if name == b"general.alignment":
                self.alignment = value
        self.tensors = {}
        for _ in range(tensors):
            name = self.text()
            rank = self.number("I", 4)
            elements = 1
            for _ in range(rank):
                elements *= self.number("Q", 8)
            kind, offset = struct.unpack("<IQ", self.file.read(12))
            block, size = BLOCKS[kind]
            self.tensors[name] = (kind, offset, elements // block * size)
        self.start = -(-self.file.tell() // self.alignment) * self.alignment

    def number(self, form, size):
        return struct.unpack("<" + form, self.file.read(size))[0]

    def text(self):
        return self.file.read(self.number("Q", 8))

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            of, count = self.number("I", 4), self.number("Q", 8)
            if of == 8:
                for _ in range(count):
                    self.text()
            else:
                self.file.seek(count * SIZES[of], 1)
            return None
        return int.from_bytes(self.file.read(SIZES[kind]), "little")

    def same(self, other, name):
        kind, offset, size = self.tensors[name]
        if name not in other.tensors or other.tensors[name][0] != kind or other.tensors[name][2] != size:
            return False
        self.file.seek(self.start + offset)
        other.file.seek(other.start + other.tensors[name][1])
        while size > 0:
            part = min(size, 1 << 22)
            if self.file.read(part) != other.file.read(part):
                return False
            size -= part
        return True


def equal(ours, theirs):
    a, b = Gguf(ours), Gguf(theirs)
    return sum(a.same(b, name) for name in a.tensors), len(b.tensors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=common.MODELS / "l7.gguf")
    parser.add_argument("--presets", default="Q4_0,Q4_K_M,Q6_K")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    programs = {name: path for name, path in LLAMA.items() if path.exists()}
    if not programs:
        sys.exit("no llama-quantize; bench/peers/setup.sh builds it")
    common.WORK.mkdir(parents=True, exist_ok=True)
    ours, theirs = common.WORK / "ours.gguf", common.WORK / "theirs.gguf"
    print(common.machine())
    print("| preset | program | seconds | peak MB | fewbit's share of the seconds | equal tensors |")
    print("|---|---|---|---|---|---|")
    for preset in options.presets.split(","):
        best, counts = {}, {}
        for _ in range(options.repeat):
            runs = {"fewbit": [common.FEWBIT, "quantize", options.model, "-o", ours, "-p", preset, "-j", options.threads, "-f", "-q"]}
            runs.update({name: [path, options.model, theirs, preset, options.threads] for name, path in programs.items()})
            for name, command in runs.items():
                seconds, peak = common.timed_process(command)
                best[name] = min(best.get(name, (seconds, peak)), (seconds, peak))
                if name != "fewbit" and name not in counts:
                    counts[name] = equal(ours, theirs)
        print(f"| {preset} | fewbit | {best['fewbit'][0]:.2f} | {best['fewbit'][1] / 1e6:.0f} | | |")
        for name in programs:
            print(f"| {preset} | llama-quantize, {name} | {best[name][0]:.2f} | {best[name][1] / 1e6:.0f} | {best['fewbit'][0] / best[name][0]:.2f} "
                  f"| {counts[name][0]} of {counts[name][1]} |", flush=True)
    for path in (ours, theirs):
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
