"""Compares fewbit's float session with ONNX Runtime: models.py RUN_MODEL MODEL_OR_FOLDER...

Per model, on seeded inputs: the largest difference of every output is at most 1e-4 of the output's range; the bits are the same with 1, 2
and 3 threads and with the scalar instruction set (models below 4 MB); rows of a batch of 4 have the bits of 4 runs of one row;
the second run allocates nothing."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from skip import need_shared_data

BAR = 1e-4
SMALL = 4 << 20


def feeds(model, batch, seed, index_limit):
    """Seeded inputs; symbolic first axis = batch, other symbols = 12; integer inputs are indices below the limit, masks are ones."""
    rng = np.random.default_rng(seed)
    constants = {i.name for i in model.graph.initializer}
    out = {}
    for port in model.graph.input:
        if port.name in constants:
            continue
        tensor = port.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
        dims = [d if d > 0 else (batch if k == batch_axis(model, port) else 12) for k, d in enumerate(dims)]
        if tensor.elem_type == onnx.TensorProto.INT64:
            value = np.ones(dims, np.int64) if "mask" in port.name else rng.integers(1, index_limit, dims)
        elif port.name == "images":  # pictures that the model takes as they are; noise around zero is outside what it was trained on
            value = rng.uniform(0, 255, dims).astype(np.float32)
        else:
            value = rng.standard_normal(dims).astype(np.float32)
        out[port.name] = value
    return out


def batch_axis(model, port):
    """The axis that is named like a batch; the first unless the second is ("T", "B")."""
    names = [d.dim_param for d in port.type.tensor_type.shape.dim]
    return names.index("B") if "B" in names else 0


def index_limit(model):
    """Integer inputs are taken as indices into the smallest Gather table that one of them reaches directly."""
    sizes = {i.name: i.dims for i in model.graph.initializer}
    fed = {p.name for p in model.graph.input}
    limits = [sizes[n.input[0]][0] for n in model.graph.node if n.op_type == "Gather" and n.input[0] in sizes and n.input[1] in fed]
    return min(limits, default=2)


def run(program, path, inputs, folder, *options):
    command = [program, path, os.path.join(folder, "out"), "--repeat", "2", *options]
    for k, (name, value) in enumerate(inputs.items()):
        file = os.path.join(folder, f"in{k}.bin")
        np.ascontiguousarray(value).tofile(file)
        dtype = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        command.append(f"{name}={dtype}:{'x'.join(map(str, value.shape))}:{file}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    outputs = []
    for k, line in enumerate(done.stdout.splitlines()):
        _, dtype, dims, _ = line.rsplit(" ", 3)
        raw = np.fromfile(os.path.join(folder, f"out.{k}.bin"), onnx.helper.tensor_dtype_to_np_dtype(int(dtype)))
        outputs.append(raw.reshape([int(d) for d in dims.split("x")] if dims else []))
    if " 0 allocator calls" not in done.stderr:
        raise RuntimeError("the second run allocates: " + done.stderr.strip())
    return outputs


def same(a, b):
    return all(x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def judge(program, path, folder):
    model = onnx.load(path)
    limit = index_limit(model)
    inputs = feeds(model, 1, 7, limit)
    ours = run(program, path, inputs, folder)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    theirs = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, inputs)
    worst, faults = 0.0, []
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        if ours_one.shape != theirs_one.shape:
            faults.append(f"shape {ours_one.shape} instead of {theirs_one.shape}")
            continue
        span = float(theirs_one.max() - theirs_one.min()) or 1.0
        worst = max(worst, float(np.abs(ours_one.astype(np.float64) - theirs_one).max()) / span)
    if not worst <= BAR:
        faults.append(f"difference above {BAR}")
    variants = [["--threads", "2"], ["--threads", "3"]]
    if os.path.getsize(path) < SMALL:
        variants.append(["--isa", "scalar"])
    for variant in variants:
        if not same(ours, run(program, path, inputs, folder, *variant)):
            faults.append(f"other bits with {' '.join(variant)}")
    symbolic = [p for p in model.graph.input if p.name in inputs and p.type.tensor_type.shape.dim[batch_axis(model, p)].dim_param]
    if len(symbolic) == len(inputs):
        axes = [batch_axis(model, p) for p in symbolic]
        rows = [feeds(model, 1, seed, limit) for seed in range(4)]
        whole = {p.name: np.concatenate([r[p.name] for r in rows], axis) for p, axis in zip(symbolic, axes)}
        together = run(program, path, whole, folder)
        single = [run(program, path, row, folder) for row in rows]
        out_axes = [1 if "B" in [d.dim_param for d in o.type.tensor_type.shape.dim][1:2] else 0 for o in model.graph.output]
        joined = [np.concatenate([s[k] for s in single], out_axes[k]) for k in range(len(together))]
        if not same(together, joined):
            faults.append("other bits in a batch")
    return worst, faults


def main():
    program, paths = sys.argv[1], []
    for given in sys.argv[2:]:
        need_shared_data(given)
        paths += sorted(os.path.join(given, f) for f in os.listdir(given) if f.endswith(".onnx")) if os.path.isdir(given) else [given]
    failed = 0
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst, faults = judge(program, path, folder)
            except RuntimeError as error:
                worst, faults = float("nan"), [str(error)]
        failed += bool(faults)
        print(f"{os.path.basename(path):32} {worst:10.2e} {'ok' if not faults else '; '.join(faults)}", flush=True)
    print(f"{len(paths) - failed} of {len(paths)} models agree")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
