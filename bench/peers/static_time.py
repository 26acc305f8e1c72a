#!/usr/bin/env python3
"""Static quantization of resnet50: wall clock and peak memory from process start to closed file, fewbit's calibrators against
ONNX Runtime min-max (its own pre-processing included), 100 samples, in the same run; then fewbit's peak memory with 1,000 samples.
usage: static_time.py [--samples 100] [--repeat 3]"""
import argparse
import sys

import numpy as np

import common

ORT = """
import sys, numpy as np
from onnxruntime.quantization import quantize_static, CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process
source, data, work, method = sys.argv[1:5]
class Reader(CalibrationDataReader):
    def __init__(self): self.rows = np.load(data)["x"]; self.k = 0
    def get_next(self):
        if self.k == len(self.rows): return None
        self.k += 1
        return {"x": self.rows[self.k - 1:self.k]}
quant_pre_process(source, work + "/ort_pre.onnx")
quantize_static(work + "/ort_pre.onnx", work + "/ort_int8.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod[method])
"""


def make_data(path, count):
    if not path.exists():
        np.savez(path, x=np.random.default_rng(0).standard_normal((count, 3, 224, 224)).astype(np.float32))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    common.WORK.mkdir(parents=True, exist_ok=True)
    model = common.model_path("resnet50")
    data = make_data(common.WORK / f"resnet50_{options.samples}.npz", options.samples)
    print(f"machine: {common.machine()}\n\n| program | calibrator | seconds (min of {options.repeat}) | ratio to ONNX Runtime min-max | peak MB |\n|---|---|---|---|---|")
    rows = {}
    calibrators = ("min-max", "moving-average", "percentile", "entropy", "mse")
    for _ in range(options.repeat):                      # alternating, so that a slow minute hits all of them
        rows.setdefault("ORT MinMax", []).append(common.timed_process([sys.executable, "-c", ORT, model, data, common.WORK, "MinMax"]))
        for name in calibrators:
            out = common.WORK / f"resnet50_{name}.onnx"
            rows.setdefault(name, []).append(common.timed_process(
                [common.FEWBIT, "quantize", model, "-o", out, "--force", "--preset", "int8-static", "--calibration", data, "--calibrator", name]))
    reference = min(seconds for seconds, _ in rows["ORT MinMax"])
    for name, values in rows.items():
        seconds = min(v[0] for v in values)
        program = "ONNX Runtime" if name.startswith("ORT") else "fewbit"
        print(f"| {program} | {name} | {seconds:.1f} | {seconds / reference:.2f} | {max(v[1] for v in values) / 1e6:.0f} |", flush=True)
    many = make_data(common.WORK / "resnet50_1000.npz", 1000)
    seconds, peak = common.timed_process([common.FEWBIT, "quantize", model, "-o", common.WORK / "resnet50_many.onnx", "--force", "--preset",
                                          "int8-static", "--calibration", many])
    print(f"| fewbit, 1,000 samples | default | {seconds:.1f} | - | {peak / 1e6:.0f} |")


main()
