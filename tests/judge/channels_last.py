"""Operators that move data inside convolution regions, where memory is channels last, against ONNX Runtime: channels_last.py RUN_MODEL"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

BAR = 1e-5


def build(path, resize_mode, pad_mode, rng):
    def constant(name, value):
        return numpy_helper.from_array(np.asarray(value), name)

    def weights(*dims):
        return (rng.standard_normal(dims) * 0.3).astype(np.float32)

    constants = [
        constant("w1", weights(8, 3, 3, 3)), constant("w2", weights(4, 4, 1, 1)), constant("w3", weights(4, 1, 3, 3)),
        constant("starts", np.int64([1, 1])), constant("ends", np.int64([7, -1])), constant("axes", np.int64([1, 3])),
        constant("steps", np.int64([2, 1])), constant("parts", np.int64([1, 2])), constant("pads", np.int64([0, 0, 1, 2, 0, 1, 1, 0])),
        constant("zero", np.int64([0])), constant("four", np.int64([4])), constant("one", np.int64([1])),
        constant("scales", np.float32([1, 1, 2, 1.5])),
    ]
    extra = {"nearest_mode": "floor"} if resize_mode == "nearest" else {}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Slice", ["a", "starts", "ends", "axes", "steps"], ["b"]),
        helper.make_node("Split", ["b", "parts"], ["s0", "s1"], axis=1),
        helper.make_node("Concat", ["s1", "s0", "s0"], ["c"], axis=1),
        helper.make_node("Conv", ["c", "w2"], ["d"]),
        helper.make_node("Pad", ["d", "pads"], ["padded"], mode=pad_mode),
        helper.make_node("Slice", ["padded", "zero", "four", "one"], ["e"]),
        helper.make_node("Resize", ["e", "", "scales"], ["resized"], mode=resize_mode, **extra),
        helper.make_node("DepthToSpace", ["resized"], ["f"], blocksize=2, mode="CRD"),
        helper.make_node("SpaceToDepth", ["f"], ["g"], blocksize=2),
        helper.make_node("Conv", ["g", "w3"], ["y"], group=4, pads=[1, 1, 1, 1]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 10, 12])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "resized", "padded")]
    graph = helper.make_graph(nodes, "channels_last", [x], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


def judge(program, resize_mode, pad_mode, folder):
    rng = np.random.default_rng(3)
    path = os.path.join(folder, "model.onnx")
    build(path, resize_mode, pad_mode, rng)
    x = rng.standard_normal((2, 3, 10, 12)).astype(np.float32)
    x.tofile(os.path.join(folder, "x.bin"))
    theirs = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    out = os.path.join(folder, "out")
    subprocess.run([program, path, out, f"x=1:2x3x10x12:{folder}/x.bin"], check=True, stdout=subprocess.DEVNULL)
    bad = 0
    for k, expected in enumerate(theirs):
        got = np.fromfile(f"{out}.{k}.bin", np.float32).reshape(expected.shape)
        difference = float(np.abs(got - expected).max())
        print(f"{resize_mode} {pad_mode} output {k}: largest difference {difference:.2e}")
        bad += not difference <= BAR
    return bad


def main():
    with tempfile.TemporaryDirectory() as folder:
        cases = (("nearest", "constant"), ("linear", "edge"), ("cubic", "reflect"))
        sys.exit(1 if sum(judge(sys.argv[1], resize, pad, folder) for resize, pad in cases) else 0)


main()
