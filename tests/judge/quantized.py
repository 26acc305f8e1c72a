"""Loads what fewbit wrote in ONNX Runtime: quantized.py FEWBIT DATA_FOLDER

Per vision model, QDQ and QOperator form: static quantization on every second sample, then fewbit's own session and ONNX Runtime on the
same written file and the same arrays of the others. Over all models pooled at least 99 % of the top-1 answers agree; every difference is
listed with ONNX Runtime's margin between its two best answers. The files pass ONNX's checker. On processors without VNNI instructions
ONNX Runtime saturates sums of u8 x s8 pairs unless x64quantprecision is set, so it is."""
import gzip
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from skip import need_shared_data

ort.set_default_logger_severity(3)
MNIST = 400


def fewbit(program, *arguments):
    done = subprocess.run([program, *arguments, "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"fewbit {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cifar(path):
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)


def mnist(path):
    pixels = np.frombuffer(gzip.open(path).read()[16:], np.uint8)
    return pixels.reshape(-1, 1, 28, 28)[:MNIST].astype(np.float32)


def halves(folder, name, port, samples):
    paths = []
    for first in (0, 1):
        paths.append(os.path.join(folder, f"{name}{first}.npz"))
        np.savez(paths[-1], **{port: samples[first::2]})
    return paths


def cases(vision, folder):
    """name, model, calibration data, evaluation data, options of the data"""
    records = cifar(os.path.join(vision, "cifar10_test_500.bin"))
    mean = np.array([0.4914, 0.4822, 0.4465], np.float32).reshape(1, 3, 1, 1)
    deviation = np.array([0.2471, 0.2435, 0.2616], np.float32).reshape(1, 3, 1, 1)
    pictures = os.path.join(vision, "imagenet_sample_100")
    digits = mnist(os.path.join(vision, "mnist10k-images-idx3-ubyte.gz"))
    yield "resnet8", "cifar10_mlperf_resnet8.onnx", *halves(folder, "resnet8", "input", records), []
    yield "resnet_4b", "cifar10_resnet_4b.onnx", *halves(folder, "resnet_4b", "input.1", (records / 255 - mean) / deviation), []
    yield "mnist-8", "mnist-8.onnx", *halves(folder, "mnist", "Input3", digits), []
    yield "mobilenet", "mobilenet_v1_0.25_224.onnx", pictures, pictures, ["--preprocess", "-1..1"]


def run_onnxruntime(path, inputs):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {port: sample[None]})[0].reshape(1, -1) for sample in inputs[port]])


def compare(program, name, form, model, calibration, evaluation, options, folder):
    quantized = os.path.join(folder, f"{name}.{form}.onnx")
    seen, made = os.path.join(folder, "seen.npz"), os.path.join(folder, "made.npz")
    fewbit(program, "quantize", model, "--preset", "int8-static", "--calibration", calibration, "--layout", form, "-o", quantized, *options)
    onnx.checker.check_model(quantized, full_check=True)
    fewbit(program, "evaluate", quantized, "--data", evaluation, "--save-inputs", seen, "--save-outputs", made, *options, "--force")
    ours = np.load(made)
    ours = ours[ours.files[0]]
    ours = ours.reshape(len(ours), -1)
    theirs = run_onnxruntime(quantized, np.load(seen))
    assert ours.shape == theirs.shape, f"{name} {form}: shapes {ours.shape} and {theirs.shape}"
    different = np.flatnonzero(ours.argmax(1) != theirs.argmax(1))
    for sample in different:
        best = np.sort(theirs[sample])[-2:]
        print(f"  {name} {form}: sample {sample}: fewbit {ours[sample].argmax()}, ONNX Runtime {theirs[sample].argmax()}, margin {best[1] - best[0]:.4g}")
    noise = ((ours.astype(np.float64) - theirs) ** 2).sum()
    decibels = 10 * np.log10((theirs.astype(np.float64) ** 2).sum() / noise) if noise > 0 else np.inf
    print(f"{name:10s} {form:9s} {len(ours)} samples, {len(ours) - len(different)} agree, {decibels:.1f} dB between the two")
    return len(ours), len(different)


def main():
    program, data = sys.argv[1:]
    vision = os.path.join(data, "vision")
    need_shared_data(vision)
    samples = different = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, model, calibration, evaluation, options in cases(vision, folder):
            for form in ("qdq", "qoperator"):
                counts = compare(program, name, form, os.path.join(vision, model), calibration, evaluation, options, folder)
                samples, different = samples + counts[0], different + counts[1]
    print(f"{samples} answers, {different} differ")
    sys.exit(0 if different <= 0.01 * samples else 1)


main()
