#!/usr/bin/env python3
"""Accuracy of INT8, two folds (even records calibrate, odd evaluate; swap; pool): FP32, fewbit's file run by fewbit, by ONNX Runtime and by
OpenVINO, beside ONNX Runtime's and NNCF's own quantized models on the same arrays. Then every top-1 answer in which fewbit and
ONNX Runtime differ on one written file, with its logit margin.
All ONNX Runtime rows run with session.x64quantprecision = 1 (integer sums without 16-bit saturation; the same as default where the CPU has VNNI), but for
those named "default".
usage: accuracy.py [MODEL ...]"""
import subprocess
import sys

import numpy as np
import onnx

import common

DATA = common.ROOT / "bench/data.py"
CALIBRATORS = ("MinMax", "Percentile", "Entropy")


def arrays(name, fold):
    """The fold's arrays as a file and as numpy; made once."""
    path = common.WORK / f"{name}.{fold}.npz"
    if not path.exists():
        common.WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, DATA, name, path, "--fold", fold], check=True)
    return path, dict(np.load(path))


def onnx_path(name):
    vision = common.SHARED / "vision"
    return {"cifar10_resnet8": vision / "cifar10_mlperf_resnet8.onnx", "cifar10_resnet_4b": vision / "cifar10_resnet_4b.onnx",
            "mnist-8": vision / "mnist-8.onnx"}.get(name) or common.model_path(name)


def batch_of(path):
    dims = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    return 1 if dims[0].dim_value else 25


def ort_outputs(path, rows, batch, exact=True):
    session = common.ort_session(path, 2, exact)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: rows[k:k + batch]})[0].reshape(len(rows[k:k + batch]), -1) for k in range(0, len(rows), batch)])


def openvino_outputs(model, rows, batch):
    import openvino as ov
    core = ov.Core()
    if not isinstance(model, ov.Model):
        model = core.read_model(str(model))
    model.reshape({model.input(0): ov.PartialShape([batch, *rows.shape[1:]])})
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    out = []
    for k in range(0, len(rows), batch):
        part = rows[k:k + batch]
        padded = np.concatenate([part, np.repeat(part[:1], batch - len(part), 0)]) if len(part) < batch else part
        out.append(compiled(padded)[0].reshape(batch, -1)[:len(part)])
    return np.concatenate(out)


def fewbit_outputs(path, data, mode="simulated"):
    out = common.WORK / "outputs.npz"
    common.fewbit("evaluate", path, "--data", data, "--mode", mode, "--save-outputs", out, "--force", check=False)
    first = np.load(out)
    return first[first.files[0]].reshape(len(first[first.files[0]]), -1)


def ort_quantized(path, rows, calibrator):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    name = common.ort_session(path).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        def __init__(self): self.k = 0

        def get_next(self):
            self.k += 1
            return None if self.k > len(rows) else {name: rows[self.k - 1:self.k]}

    upgraded, prepared, out = (str(common.WORK / f"peer_{step}.onnx") for step in ("up", "pre", "int8"))
    model = onnx.load(path)
    if next(o.version for o in model.opset_import if not o.domain) < 13:     # per-channel Q/DQ needs opset 13
        model = onnx.version_converter.convert_version(model, 13)
    onnx.save(model, upgraded)
    quant_pre_process(upgraded, prepared)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod[calibrator])
    return out


def nncf_outputs(path, calibration, rows, batch):
    import nncf
    import openvino as ov
    model = ov.Core().read_model(str(path))
    data = nncf.Dataset([calibration[k:k + 1] for k in range(len(calibration))])
    model.reshape({model.input(0): ov.PartialShape([1, *rows.shape[1:]])})
    return openvino_outputs(nncf.quantize(model, data, subset_size=len(calibration)), rows, 1)


def attempt(table, name, call):
    try:
        table[name] = call()
    except Exception as error:                     # a peer that cannot is a row that says so
        print(f"  {name}: failed: {str(error).splitlines()[0][:120]}", flush=True)
        table[name] = None


def run_fold(name, calibrate, evaluate):
    path, batch = onnx_path(name), batch_of(onnx_path(name))
    calibration_path, calibration = arrays(name, calibrate)
    data_path, data = arrays(name, evaluate)
    key = next(k for k in data if k != "labels")
    rows, samples = data[key].astype(np.float32), calibration[key].astype(np.float32)
    table, written = {"labels": data["labels"]}, common.WORK / f"{name}.{calibrate}.int8.onnx"
    table["FP32 ONNX Runtime"] = ort_outputs(path, rows, batch)
    table["FP32 fewbit"] = fewbit_outputs(path, data_path)
    common.fewbit("quantize", path, "-o", written, "--force", "--preset", "int8-static", "--calibration", calibration_path)
    table["fewbit INT8 by fewbit"] = fewbit_outputs(written, data_path)
    table["fewbit INT8 by fewbit, integers"] = fewbit_outputs(written, data_path, "integer")
    attempt(table, "fewbit INT8 by ONNX Runtime", lambda: ort_outputs(written, rows, batch))
    attempt(table, "fewbit INT8 by ONNX Runtime, default", lambda: ort_outputs(written, rows, batch, exact=False))
    attempt(table, "fewbit INT8 by OpenVINO", lambda: openvino_outputs(written, rows, batch))
    for calibrator in CALIBRATORS:
        attempt(table, f"ONNX Runtime {calibrator}", lambda: ort_outputs(ort_quantized(path, samples, calibrator), rows, batch))
    safe = common.WORK / f"{name}.{calibrate}.int8w7.onnx"
    common.fewbit("quantize", path, "-o", safe, "--force", "--preset", "int8-static", "--calibration", calibration_path, "--set", "weights=s7")
    attempt(table, "fewbit 7-bit weights by fewbit", lambda: fewbit_outputs(safe, data_path))
    attempt(table, "fewbit 7-bit weights by ONNX Runtime, default", lambda: ort_outputs(safe, rows, batch, exact=False))
    attempt(table, "fewbit 7-bit weights by OpenVINO", lambda: openvino_outputs(safe, rows, batch))
    attempt(table, "NNCF by OpenVINO", lambda: nncf_outputs(path, samples, rows, batch))
    return table


def mcnemar(a, b):
    from scipy.stats import binomtest
    n, k = int((a != b).sum()), int((a & ~b).sum())
    return 1.0 if n == 0 else binomtest(k, n).pvalue


def report(name, table, flips, totals):
    labels, reference = table["labels"], table["FP32 ONNX Runtime"]
    answer = reference.argmax(1)
    ours = table["fewbit INT8 by fewbit"].argmax(1) == labels
    print(f"\n**{name}** ({len(labels)} samples)\n\n| program | top-1 % | agreement % | SQNR dB | McNemar p against fewbit |\n|---|---|---|---|---|")
    for row, outputs in table.items():
        if row == "labels":
            continue
        if outputs is None:
            print(f"| {row} | failed | | | |")
            continue
        error = float(((reference.astype(np.float64) - outputs) ** 2).sum())
        sqnr = "exact" if error == 0 else f"{10 * np.log10(float((reference.astype(np.float64) ** 2).sum()) / error):.1f}"
        top1 = outputs.argmax(1)
        p = "" if row.startswith("FP32") else f"{mcnemar(ours, top1 == labels):.2f}"
        print(f"| {row} | {100 * (top1 == labels).mean():.1f} | {100 * (top1 == answer).mean():.1f} | {sqnr} | {p} |")
    for row in ("fewbit INT8 by fewbit, integers", "fewbit INT8 by ONNX Runtime", "fewbit INT8 by ONNX Runtime, default"):
        a, b = table["fewbit INT8 by fewbit"], table[row]
        if b is None:
            continue
        differ = np.flatnonzero(a.argmax(1) != b.argmax(1))
        totals.setdefault(row, [0, 0])
        totals[row][0] += len(labels) - len(differ)
        totals[row][1] += len(labels)
        for k in differ:
            margin = np.sort(a[k])[-1] - np.sort(a[k])[-2]
            if row.endswith("default"):
                continue                               # saturation, counted only
            flips.append(f"{row.rpartition(' by ')[2]}: {name} sample {k}: fewbit {a[k].argmax()}, other {b[k].argmax()}, margin {margin:.4g} of range {np.ptp(a[k]):.4g}")


def main():
    names = sys.argv[1:] or ["mobilenet_v1_0.25", "efficientnet_lite0", "cifar10_resnet8", "cifar10_resnet_4b", "mnist-8"]
    flips, totals = [], {}
    for name in names:
        folds = [run_fold(name, "even", "odd"), run_fold(name, "odd", "even")]
        pooled = {row: None if any(f[row] is None for f in folds) else np.concatenate([f[row] for f in folds]) for row in folds[0]}
        report(name, pooled, flips, totals)
    for row, (same, count) in totals.items():
        print(f"\n{row} against by fewbit: the same top-1 for {same} of {count} ({100 * same / count:.2f} %)")
    print()
    for flip in flips:
        print(f"- {flip}")


main()
