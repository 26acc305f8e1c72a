#!/usr/bin/env python3
"""Writes fixtures/: a small float classifier, its INT8 form, labelled data, and what ONNX Runtime (1.31) makes of both, with the metrics computed
here in NumPy. usage: make_fixtures.py FOLDER   (needs numpy, onnx, onnxruntime)"""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

out = Path(sys.argv[1]) / "fixtures"
out.mkdir(exist_ok=True)
rng = np.random.default_rng(11)
w1, w2 = rng.normal(size=(12, 16)).astype("f4"), rng.normal(size=(16, 8)).astype("f4")
b1, b2 = rng.normal(size=16).astype("f4"), rng.normal(size=8).astype("f4")


def model(nodes, initializers, outputs):
    graph = helper.make_graph(nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 12])],
                              [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", d]) for n, d in outputs],
                              [numpy_helper.from_array(v, k) for k, v in initializers.items()])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    return m


outputs = [("scores", 8), ("hidden", 16)]
float_model = model([helper.make_node("Gemm", ["x", "w1", "b1"], ["a"]), helper.make_node("Relu", ["a"], ["hidden"]),
                     helper.make_node("Gemm", ["hidden", "w2", "b2"], ["scores"])], dict(w1=w1, w2=w2, b1=b1, b2=b2), outputs)


def weight(w, levels):
    scale = np.float32(np.abs(w).max() / levels)
    return np.clip(np.rint(w / scale), -levels, levels).astype("i1"), scale


q1, s1 = weight(w1, 7)
q2, s2 = weight(w2, 7)
zero = np.int8(0)
int8_model = model([helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]), helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
                    helper.make_node("DequantizeLinear", ["q1", "s1", "z"], ["w1d"]), helper.make_node("DequantizeLinear", ["q2", "s2", "z"], ["w2d"]),
                    helper.make_node("Gemm", ["xd", "w1d", "b1"], ["a"]), helper.make_node("Relu", ["a"], ["hidden"]),
                    helper.make_node("Gemm", ["hidden", "w2d", "b2"], ["scores"])],
                   dict(q1=q1, s1=s1, q2=q2, s2=s2, z=zero, b1=b1, b2=b2, sx=np.float32(6 / 255), zx=np.uint8(128)), outputs)
onnx.save(float_model, out / "tiny.onnx")
onnx.save(int8_model, out / "tiny_int8.onnx")

x = rng.normal(size=(300, 12)).astype("f4")


def run(m):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})


base, quant = run(float_model), run(int8_model)
labels = base[0].argmax(1)
wrong = rng.random(300) < 0.2
labels[wrong] = rng.integers(0, 8, wrong.sum())
np.savez(out / "tiny.npz", x=x, labels=labels)
np.savez(out / "tiny_outputs.npz", scores=base[0], hidden=base[1])


def rank(scores):
    own = scores[np.arange(300), labels][:, None]
    return ((scores > own) | ((scores == own) & (np.arange(8)[None] < labels[:, None]))).sum(1)


lines = []
for place in (1, 5):
    a, b = rank(base[0]) < place, rank(quant[0]) < place
    lines.append(f"top{place} {(a & b).sum()} {(a & ~b).sum()} {(~a & b).sum()} {(~a & ~b).sum()}")
lines.append(f"agreement {(base[0].argmax(1) == quant[0].argmax(1)).sum()}")
for name, b, m in zip(("scores", "hidden"), base, quant):
    b, m = b.astype("f8"), m.astype("f8")
    cosine = ((b * m).sum(1) / np.linalg.norm(b, axis=1) / np.linalg.norm(m, axis=1)).mean()
    lines.append(f"{name} {10 * np.log10((b * b).sum() / ((b - m) ** 2).sum()):.9f} {cosine:.12f} {np.abs(b - m).mean():.9f} {np.abs(b - m).max():.9f} {b.max() - b.min():.9f}")
(out / "tiny_expected.txt").write_text("\n".join(lines) + "\n")
