#!/usr/bin/env python3
"""Recurrent models (g2pm_bilstm: bidirectional LSTM of 32; silero_vad: LSTM of 128): float and INT8 dynamic, fewbit against ONNX Runtime.
Latency with one thread in alternating blocks of one run, ONNX Runtime through bound inputs and outputs, the ratio of the minima judges.
Accuracy: g2pm's top-1 at the marked position of each labelled sentence; silero's speech probability per frame with the state of the
float model running along: largest difference, and frames whose decision at 0.5 differs.
usage: recurrent.py [--blocks 9] [--limit SENTENCES]"""
import argparse
import json
import subprocess
import sys
import time

import numpy as np

import common

FOLDER = common.SHARED / "recurrent"
MODELS = {"g2pm_bilstm": FOLDER / "g2pm_bilstm.onnx", "silero_vad": FOLDER / "silero_vad_16k_flat.onnx"}
TIME = 32                                              # tokens of g2pm's timed sentence
RUNS = 400


def feeds(name):
    rng = np.random.default_rng(0)
    if name == "g2pm_bilstm":
        return {"ids": rng.integers(0, 5000, (TIME, 1))}
    return {"input": 0.1 * rng.standard_normal((1, 576)).astype(np.float32), "state": np.zeros((2, 1, 128), np.float32)}


def mode(command):
    return ["--mode", "integer"] if "--mode" in common.fewbit(command, "--help")[1] else []


def made(name):
    """The INT8 files of fewbit and of ONNX Runtime's quantize_dynamic (per channel, which LSTM takes)."""
    common.WORK.mkdir(parents=True, exist_ok=True)
    ours, theirs = common.WORK / f"{name}.int8.onnx", common.WORK / f"{name}.ort.onnx"
    common.fewbit("quantize", MODELS[name], "-o", ours, "--force", "--preset", "int8-dynamic")
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(str(MODELS[name]), str(theirs), weight_type=QuantType.QInt8, per_channel=True,
                     op_types_to_quantize=["LSTM", "MatMul", "Gather"])       # its ConvInteger is slower than float
    return ours, theirs


def bound(path, name):
    session = common.ort_session(path)
    binding = session.io_binding()
    for key, value in feeds(name).items():
        binding.bind_cpu_input(key, value)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def ort_block(run):
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def fewbit_block(path, name, extra):
    shapes = [text for key, value in feeds(name).items() for text in ("--shape", f"{key}={'x'.join(map(str, value.shape))}")]
    result = common.fewbit_json("bench", path, "--threads", 1, "--runs", RUNS, *shapes, *extra)["results"][0]
    return [result["min_ms"], result["p50_ms"], result["p50_ms"]]


def latency(name, ours, theirs, blocks):
    integer = mode("bench")
    float_run, int8_run = bound(MODELS[name], name), bound(theirs, name)
    programs = {"ONNX Runtime FP32": lambda: ort_block(float_run), "ONNX Runtime dynamic": lambda: ort_block(int8_run),
                "fewbit FP32": lambda: fewbit_block(MODELS[name], name, []), "fewbit INT8": lambda: fewbit_block(ours, name, integer)}
    times = {key: [] for key in programs}
    for _ in range(blocks):
        for key, block in programs.items():
            times[key] += block()
    low = {key: min(values) for key, values in times.items()}
    cells = " | ".join(f"{1e3 * low[key]:.1f} / {1e3 * sorted(values)[len(values) // 2]:.1f}" for key, values in times.items())
    return f"| {name} | {cells} | {low['fewbit FP32'] / low['ONNX Runtime FP32']:.2f} | " \
           f"{low['fewbit INT8'] / min(low['ONNX Runtime FP32'], low['ONNX Runtime dynamic']):.2f} | {low['fewbit FP32'] / low['fewbit INT8']:.2f} |"


def data_of(name, limit):
    path = common.WORK / f"{name}.{'jsonl' if name.startswith('g2pm') else 'npz'}"
    rows = ["--limit", str(limit)] if limit and name.startswith("g2pm") else []
    subprocess.run([sys.executable, common.ROOT / "bench/data.py", name, path, *rows], check=True, stdout=subprocess.DEVNULL)
    return path


def g2pm(ours, theirs, limit):
    data = data_of("g2pm_bilstm", limit)
    lines = [json.loads(line) for line in open(data, encoding="utf-8")]
    labels = np.array([line["label"] for line in lines])

    def ort(path):
        session = common.ort_session(path, exact=True)
        return np.array([session.run(None, {"ids": np.array(line["inputs"]["ids"], np.int64)})[0][line["position"], 0].argmax() for line in lines])

    report = common.fewbit_json("evaluate", ours, "--baseline", MODELS["g2pm_bilstm"], "--data", data, *mode("evaluate"), check=False)
    top1, reference = report["metrics"]["top1"], ort(MODELS["g2pm_bilstm"])
    print(f"\n**g2pm_bilstm** ({len(lines)} sentences)\n\n| program | top-1 % | agreement with FP32 % |\n|---|---|---|")
    print(f"| FP32 ONNX Runtime | {100 * (reference == labels).mean():.2f} | 100.00 |")
    print(f"| FP32 fewbit | {100 * top1['baseline']:.2f} | |")
    agreement = report["agreement"]["value"] if isinstance(report["agreement"], dict) else report["agreement"]
    print(f"| fewbit INT8 by fewbit | {100 * top1['model']:.2f} | {100 * agreement:.2f} |")
    for title, path in (("fewbit INT8 by ONNX Runtime", ours), ("ONNX Runtime dynamic", theirs)):
        answers = ort(path)
        print(f"| {title} | {100 * (answers == labels).mean():.2f} | {100 * (answers == reference).mean():.2f} |")


def silero(ours, theirs):
    data = data_of("silero_vad", 0)
    frames = dict(np.load(data))

    def ort(path):
        session = common.ort_session(path, exact=True)
        return np.array([session.run(["output"], {"input": x[None] if x.ndim == 1 else x, "state": s})[0].ravel()[0]
                         for x, s in zip(frames["input"], frames["state"])])

    def fewbit(path, extra):
        out = common.WORK / "silero.outputs.npz"
        common.fewbit("evaluate", path, "--data", data, "--save-outputs", out, "--force", *extra, check=False)
        return np.load(out)["output"].ravel()

    reference = ort(MODELS["silero_vad"])
    print(f"\n**silero_vad** ({len(reference)} frames, speech in {100 * (reference > 0.5).mean():.0f} %)\n\n"
          "| program | largest difference | mean difference | decisions that differ |\n|---|---|---|---|")
    for title, answers in (("FP32 fewbit", fewbit(MODELS["silero_vad"], [])), ("fewbit INT8 by fewbit", fewbit(ours, mode("evaluate"))),
                           ("fewbit INT8 by ONNX Runtime", ort(ours)), ("ONNX Runtime dynamic", ort(theirs))):
        difference = np.abs(answers - reference)
        print(f"| {title} | {difference.max():.5f} | {difference.mean():.5f} | {int(((answers > 0.5) != (reference > 0.5)).sum())} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    files = {name: made(name) for name in MODELS}
    print(f"machine: {common.machine()}\n\n| model | ONNX Runtime FP32 us (min / median) | ONNX Runtime dynamic | fewbit FP32 | fewbit INT8 | "
          "fewbit FP32 / ORT FP32 | fewbit INT8 / fastest of ORT | fewbit FP32 / INT8 |\n|---|---|---|---|---|---|---|---|")
    for name, (ours, theirs) in files.items():
        print(latency(name, ours, theirs, options.blocks), flush=True)
    g2pm(*files["g2pm_bilstm"], options.limit)
    silero(*files["silero_vad"])


if __name__ == "__main__":
    main()
