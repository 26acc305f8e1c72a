"""opset_upgrade.py ROUNDTRIP_PROGRAM FOLDER...: models rewritten for a newer operator set pass the checker and give the same answer."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

import onnx_same

F32 = np.float32


def small(opset, nodes, weights=(), x=(2, 4, 6, 6), outputs=("y",), types=None):
    graph = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", T.FLOAT, x)],
                         [h.make_tensor_value_info(o, (types or {}).get(o, T.FLOAT), None) for o in outputs],
                         [numpy_helper.from_array(w, n) for n, w in weights])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=6)
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    return model


N = h.make_node
CHANNELS = [("s", np.array([1, 2, .5, 3], F32)), ("b", np.array([0, 1, -1, 2], F32)), ("m", np.array([.1, .2, .3, .4], F32)),
            ("v", np.array([1, 2, 3, .5], F32))]
CASES = {
    "slice": small(9, [N("Slice", ["x"], ["y"], starts=[1, 0], ends=[3, 4], axes=[1, 3])]),
    "clip_both": small(9, [N("Clip", ["x"], ["y"], min=-0.5, max=0.25)]),
    "clip_max": small(9, [N("Clip", ["x"], ["y"], max=0.25)]),
    "clip_none": small(9, [N("Clip", ["x"], ["y"])]),
    "pad": small(9, [N("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 1, 0, 0], value=1.5)]),
    "dropout": small(9, [N("Dropout", ["x"], ["y"], ratio=0.3)]),
    "batch_norm": small(8, [N("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=0.01)], CHANNELS),
    "softmax_last": small(11, [N("Softmax", ["x"], ["y"], axis=1)], x=(3, 5)),
    "softmax_flattened": small(11, [N("Softmax", ["x"], ["y"], axis=1)]),
    "softmax_default": small(11, [N("Softmax", ["x"], ["y"])]),
    "softmax_negative": small(11, [N("LogSoftmax", ["x"], ["y"], axis=-2)]),
    "softmax_inner": small(11, [N("Relu", ["x"], ["r"]), N("Softmax", ["r"], ["t"], axis=2), N("Neg", ["t"], ["y"])]),
    "squeeze": small(11, [N("ReduceSum", ["x"], ["r"], axes=[1], keepdims=1), N("Squeeze", ["r"], ["y"], axes=[1])]),
    "squeeze_all": small(11, [N("ReduceSum", ["x"], ["r"]), N("Squeeze", ["r"], ["y"])]),
    "unsqueeze": small(11, [N("Unsqueeze", ["x"], ["y"], axes=[0, 3])]),
    "split_sizes": small(11, [N("Split", ["x"], ["y", "z"], axis=1, split=[1, 3])], outputs=("y", "z")),
    "split_even": small(11, [N("Split", ["x"], ["y", "z"], axis=1)], outputs=("y", "z")),
    "top_k": small(9, [N("TopK", ["x"], ["y", "i"], k=2, axis=-1)], outputs=("y", "i"), types={"i": T.INT64}),
    "upsample_nearest": small(9, [N("Upsample", ["x", "k"], ["y"])], [("k", np.array([1, 1, 2, 2], F32))]),
    "upsample_linear": small(9, [N("Upsample", ["x", "k"], ["y"], mode="linear")], [("k", np.array([1, 1, 2, 3], F32))]),
    "upsample_attribute": small(8, [N("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])]),
    "resize": small(10, [N("Resize", ["x", "k"], ["y"], mode="nearest")], [("k", np.array([1, 1, 1.5, .5], F32))]),
    "scatter": small(9, [N("Scatter", ["x", "i", "u"], ["y"], axis=1)],
                     [("i", np.zeros((2, 1, 6, 6), np.int64)), ("u", np.ones((2, 1, 6, 6), F32))]),
    "roi_align": small(10, [N("RoiAlign", ["x", "r", "n"], ["y"], output_height=2, output_width=2)],
                       [("r", np.array([[0, 0, 4, 4]], F32)), ("n", np.zeros(1, np.int64))]),
    "grid_sample": small(16, [N("GridSample", ["x", "g"], ["y"], mode="bicubic")],
                         [("g", np.random.default_rng(1).uniform(-1, 1, (2, 3, 3, 2)).astype(F32))]),
    "in_a_branch": None,
}
for op in ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"):
    CASES[op] = small(13, [N(op, ["x"], ["y"], axes=[1, -1], keepdims=0)])


def in_a_branch():
    def body(name):
        nodes = [N("Clip", ["x"], [f"{name}_c"], min=0.0), N("Unsqueeze", [f"{name}_c"], [f"{name}_y"], axes=[0])]
        return h.make_graph(nodes, name, [], [h.make_tensor_value_info(f"{name}_y", T.FLOAT, (1, 2, 4, 6, 6))])
    condition = ("c", np.array(True))
    return small(9, [N("If", ["c"], ["y"], then_branch=body("then"), else_branch=body("else"))], [condition])


CASES["in_a_branch"] = in_a_branch()


def judge(program, path, opset, folder):
    out = f"{folder}/out.onnx"
    done = subprocess.run([program, path, out, str(opset)], capture_output=True, text=True)
    if done.returncode:
        return done.stderr or "crashed"
    onnx.checker.check_model(out, full_check=True)
    got = [o.version for o in onnx.load(out, load_external_data=False).opset_import if o.domain == ""]
    if got != [opset]:
        return f"operator set {got}"
    feeds, a = onnx_same.run(path)
    _, b = onnx_same.run(out, feeds)
    for x, y in zip(a, b):
        if x.shape != y.shape or not np.allclose(x, y, rtol=1e-5, atol=1e-6):
            return f"answers differ: {x.shape} {y.shape} {np.abs(x - y).max() if x.shape == y.shape else ''}"
    return None


def main():
    program, folders = sys.argv[1], sys.argv[2:]
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, model in CASES.items():
            files.append(f"{folder}/{name}.onnx")
            onnx.save(model, files[-1])
        files += sorted(str(p) for f in folders for p in pathlib.Path(f).rglob("*.onnx"))
        for path in files:
            version = max(o.version for o in onnx.load(path, load_external_data=False).opset_import if o.domain == "")
            for opset in (13, 18, 21):
                if version >= opset:
                    continue
                count += 1
                difference = judge(program, path, opset, folder)
                if difference is not None:
                    failed += 1
                    print(f"FAILED {path} {version} -> {opset}: {difference}")
    print(f"operator sets: {count} rewrites, {failed} failed")
    return 1 if failed or count == 0 else 0


sys.exit(main())
