"""DynamicQuantizeLSTM against ONNX Runtime: dynamic_lstm.py RUN_MODEL FEWBIT

LSTMs of one sequence (both quantize h over that one), forward, reverse and bidirectional, with peepholes and without: quantized by fewbit's
int8-dynamic and by ONNX Runtime's quantize_dynamic with scales per direction and per gate row, each file is run by both programs. ONNX
Runtime sums exactly (session.x64quantprecision). A GRU keeps its arithmetic in float and still gets 8-bit weights."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from models import run

BAR = 2e-6     # of outputs in (-1, 1); the functions differ by single ulps, and a code of h near a half may fall the other way
TIME, INPUT, HIDDEN = 12, 10, 20


def make(path, op="LSTM", direction="forward", peepholes=False):
    rng, count = np.random.default_rng(5), 2 if direction == "bidirectional" else 1
    gates = 4 if op == "LSTM" else 3
    weights = {"W": rng.uniform(-1, 1, (count, gates * HIDDEN, INPUT)), "R": rng.uniform(-0.4, 0.4, (count, gates * HIDDEN, HIDDEN)),
               "B": rng.uniform(-1, 1, (count, 2 * gates * HIDDEN)), "h0": rng.uniform(-1, 1, (count, 1, HIDDEN)),
               "c0": rng.uniform(-1, 1, (count, 1, HIDDEN)), "P": rng.uniform(-1, 1, (count, 3 * HIDDEN))}
    inputs = ["x", "W", "R", "B", "", "h0", *(["c0", "P"] if peepholes else [])]
    outputs = ["y", "", ""][:3 if op == "LSTM" else 1]
    node = h.make_node(op, inputs, outputs, name="layer", hidden_size=HIDDEN, direction=direction)
    graph = h.make_graph([node], "layer", [h.make_tensor_value_info("x", T.FLOAT, [TIME, 1, INPUT])],
                         [h.make_tensor_value_info("y", T.FLOAT, [TIME, count, 1, HIDDEN])],
                         [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items() if name in inputs])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 14)], ir_version=8), path)


def compare(program, path, name, folder):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    feeds = {"x": np.random.default_rng(6).standard_normal((TIME, 1, INPUT)).astype(np.float32)}
    expected = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    base = run(program, path, feeds, folder)[0]
    for extra in (["--threads", "2"], ["--isa", "scalar"], ["--mode", "integer"]):
        if run(program, path, feeds, folder, *extra)[0].tobytes() != base.tobytes():
            return f"{name}: other bits with {' '.join(extra)}"
    worst = float(np.abs(base - expected).max())
    print(f"{name}: largest difference {worst:.2g}")
    return f"{name}: differs by {worst:.3g}" if worst > BAR else None


def types(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def main():
    program, command = sys.argv[1:3]
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        for direction, peepholes in (("forward", False), ("reverse", True), ("bidirectional", True)):
            plain, ours = str(base / "lstm.onnx"), str(base / "ours.onnx")
            make(plain, direction=direction, peepholes=peepholes)
            subprocess.run([command, "quantize", plain, "-o", ours, "--force", "--quiet", "--preset", "int8-dynamic"], check=True,
                           stdout=subprocess.DEVNULL)
            onnx.checker.check_model(onnx.load(ours))
            if types(ours) != ["DynamicQuantizeLSTM"]:
                failures.append(f"{direction}: {types(ours)}")
            failures.append(compare(program, ours, f"{direction}, fewbit's file", folder))
            for per_channel in (False, True):
                theirs = str(base / "theirs.onnx")
                quantize_dynamic(plain, theirs, weight_type=QuantType.QInt8, per_channel=per_channel)
                name = f"{direction}, ONNX Runtime's file, {'a scale per gate row' if per_channel else 'one scale per direction'}"
                failures.append(compare(program, theirs, name, folder))
        plain, ours = str(base / "gru.onnx"), str(base / "gru8.onnx")
        make(plain, "GRU")
        subprocess.run([command, "quantize", plain, "-o", ours, "--force", "--quiet", "--preset", "int8-dynamic"], check=True,
                       stdout=subprocess.DEVNULL)
        if sorted(types(ours)) != ["DequantizeLinear", "DequantizeLinear", "GRU"]:
            failures.append(f"GRU: {types(ours)}")
        failures.append(compare(program, ours, "GRU, fewbit's file", folder))
    failures = [failure for failure in failures if failure]
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
