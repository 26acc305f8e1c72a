"""QOperator form with the operators of ONNX Runtime, in ONNX Runtime: qoperator.py FEWBIT

A small network with an operator of every kind is quantized on seeded data; the file must hold the integer operators and nothing else, ONNX
Runtime must run it, and its answers agree with those of fewbit on the same file: at most 2 % of their range apart, 95 % of them equal."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(3)
WANTED = {"QLinearConv": 3, "QLinearAdd": 1, "QLinearMul": 1, "QLinearConcat": 1, "QLinearAveragePool": 1, "QLinearGlobalAveragePool": 1,
          "QLinearSigmoid": 1, "QLinearLeakyRelu": 1, "QGemm": 2, "MaxPool": 1,
          "QuantizeLinear": 1, "DequantizeLinear": 0}


def fewbit(program, *arguments):
    done = subprocess.run([program, *arguments, "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"fewbit {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(path, rng):
    def weights(name, *dims):
        return numpy_helper.from_array((rng.standard_normal(dims) / np.sqrt(np.prod(dims[1:]))).astype(np.float32), name)

    constants = [weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", 8, 8, 1, 1), weights("w3", 16, 1, 3, 3), weights("w4", 12, 16),
                 weights("b4", 12), weights("w5", 12, 5), weights("b5", 5)]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["a"], ["b"], "leaky", alpha=0.1),
        helper.make_node("MaxPool", ["b"], ["c"], "max", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2"], ["d"], "conv2"),
        helper.make_node("Sigmoid", ["d"], ["e"], "sigmoid"),
        helper.make_node("Mul", ["d", "e"], ["f"], "mul"),
        helper.make_node("Add", ["f", "c"], ["g"], "add"),
        helper.make_node("Concat", ["g", "f"], ["h"], "concat", axis=1),
        helper.make_node("AveragePool", ["h"], ["i"], "average", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Conv", ["i", "w3"], ["j"], "conv3", group=16, pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["j"], ["k"], "mean"),
        helper.make_node("Flatten", ["k"], ["l"], "flat"),
        helper.make_node("Gemm", ["l", "w4", "b4"], ["m"], "gemm1", transB=1),
        helper.make_node("Relu", ["m"], ["n"], "relu"),
        helper.make_node("Gemm", ["n", "w5", "b5"], ["y"], "gemm2"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 13, 12])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def count(path):
    counts = {}
    for node in onnx.load(path).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts


def judge(program, folder, activations):
    rng = np.random.default_rng(11)
    float_model, quantized = os.path.join(folder, "float.onnx"), os.path.join(folder, f"{activations}.onnx")
    data, made = os.path.join(folder, "data.npz"), os.path.join(folder, f"{activations}.npz")
    samples = rng.standard_normal((64, 3, 13, 12)).astype(np.float32)
    build(float_model, rng)
    np.savez(data, x=samples)
    fewbit(program, "quantize", float_model, "--preset", "int8-static", "--calibration", data, "--layout", "qoperator", "--activations",
           activations, "-o", quantized)
    onnx.checker.check_model(quantized, full_check=True)
    counts = count(quantized)
    faults = [f"{counts.get(name, 0)} {name} instead of {number}" for name, number in WANTED.items() if counts.get(name, 0) != number]
    faults += [f"{name} is left" for name in ("Conv", "Add", "Mul", "Concat", "Gemm", "Sigmoid", "AveragePool") if name in counts]
    fewbit(program, "evaluate", quantized, "--data", data, "--save-outputs", made)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1" if activations == "u8" else "0")
    theirs = ort.InferenceSession(quantized, options, providers=["CPUExecutionProvider"]).run(None, {"x": samples})[0]
    reference = ort.InferenceSession(float_model, providers=["CPUExecutionProvider"]).run(None, {"x": samples})[0]
    ours = np.load(made)
    ours = ours[ours.files[0]].reshape(theirs.shape)
    span = float(theirs.max() - theirs.min())
    distance = np.abs(ours - theirs) / span
    noise = 10 * np.log10((reference ** 2).sum() / ((reference - theirs) ** 2).sum())
    print(f"{activations}: largest difference {distance.max():.2e} of the range, {np.mean(distance < 1e-4):.4f} equal, {noise:.1f} dB to float")
    if distance.max() > 0.02 or np.mean(distance < 1e-4) < 0.95:
        faults.append("fewbit and ONNX Runtime differ")
    if noise < 20:
        faults.append("the integer network is far from the float one")
    return faults


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for activations in ("u8", "s8"):
            faults = judge(sys.argv[1], folder, activations)
            failed = failed or bool(faults)
            for fault in faults:
                print(f"{activations}: {fault}")
    sys.exit(failed)


main()
