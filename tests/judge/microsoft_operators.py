"""The operators that ONNX Runtime's tools write (domain com.microsoft), one at a time, against ONNX Runtime: microsoft_operators.py RUN_MODEL [NAME]

Each case is a model of one node with seeded inputs, some of them constants of the file. Codes differ by at most 1 unit in at most 0.1 % of
places over the cases of an operator, real numbers by at most 1e-4 of the output's range. On processors without VNNI instructions ONNX
Runtime saturates sums of u8 x s8 pairs unless x64quantprecision is set, which is one of its graph optimizations, so they are on."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

import microsoft_cases

ort.set_default_logger_severity(4)
REAL_BAR = 1e-4
CODE_SHARE = 1e-3


def build(case, path):
    """Inputs are the names of case.inputs that are no constants; an input of None is absent."""
    names, feeds, constants = [], {}, []
    for k, value in enumerate(case.inputs):
        names.append("" if value is None else f"i{k}")
        if value is None:
            continue
        if k in case.fed:
            feeds[names[-1]] = value
        else:
            constants.append(numpy_helper.from_array(np.asarray(value), names[-1]))
    outputs = ["" if dtype is None else f"o{k}" for k, dtype in enumerate(case.outputs)]
    node = helper.make_node(case.op_type, names, outputs, domain="com.microsoft", **case.attributes)
    ports = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()]
    made = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None) for n, t in zip(outputs, case.outputs) if n]
    graph = helper.make_graph([node], "case", ports, made, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return feeds


def run_onnxruntime(path, feeds, precise):
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.graph_optimization_level = level.ORT_ENABLE_EXTENDED if precise else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def run_fewbit(program, path, feeds, folder):
    command = [program, path, os.path.join(folder, "out"), "--threads", "2"]
    for k, (name, value) in enumerate(feeds.items()):
        file = os.path.join(folder, f"in{k}.bin")
        np.ascontiguousarray(value).tofile(file)
        command.append(f"{name}={helper.np_dtype_to_tensor_dtype(value.dtype)}:{'x'.join(map(str, value.shape))}:{file}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    outputs = []
    for k, line in enumerate(done.stdout.splitlines()):
        _, dtype, dims, _ = line.rsplit(" ", 3)
        raw = np.fromfile(os.path.join(folder, f"out.{k}.bin"), helper.tensor_dtype_to_np_dtype(int(dtype)))
        outputs.append(raw.reshape([int(d) for d in dims.split("x")] if dims else []))
    return outputs


class Tally:
    def __init__(self):
        self.cases = self.codes = self.different = 0
        self.worst = 0.0
        self.faults = []

    def compare(self, name, ours, theirs):
        if len(ours) != len(theirs):
            self.faults.append(f"{name}: {len(ours)} outputs instead of {len(theirs)}")
        for k, (a, b) in enumerate(zip(ours, theirs)):
            if a.shape != b.shape or a.dtype != b.dtype:
                self.faults.append(f"{name}: output {k} is {a.dtype} {a.shape} instead of {b.dtype} {b.shape}")
            elif a.dtype.kind == "f":
                self.compare_reals(f"{name}: output {k}", a, b)
            else:
                distance = np.abs(a.astype(np.int64) - b.astype(np.int64))
                self.codes += distance.size
                self.different += int(np.count_nonzero(distance))
                if distance.size and distance.max() > 1:
                    self.faults.append(f"{name}: output {k}: a code differs by {distance.max()}")

    def compare_reals(self, name, a, b):
        if a.size == 0:
            return
        span = float(b.max() - b.min()) or float(np.abs(b).max()) or 1.0
        worst = float(np.abs(a.astype(np.float64) - b).max()) / span
        self.worst = max(self.worst, worst)
        if not worst <= REAL_BAR:
            self.faults.append(f"{name}: differs by {worst:.2e} of the range")

    def finish(self):
        if self.different > CODE_SHARE * self.codes:
            self.faults.append(f"{self.different} of {self.codes} codes differ")


def main():
    program, wanted = sys.argv[1], sys.argv[2:]
    failed = 0
    for op_type, cases in microsoft_cases.all_operators():
        if wanted and op_type not in wanted:
            continue
        tally = Tally()
        for case in cases:
            tally.cases += 1
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "model.onnx")
                feeds = build(case, path)
                try:
                    theirs = run_onnxruntime(path, feeds, case.precise)
                    tally.compare(case.name, run_fewbit(program, path, feeds, folder), theirs)
                except Exception as error:  # ONNX Runtime has many kinds; a refusal by either is a fault
                    tally.faults.append(f"{case.name}: {error}")
        tally.finish()
        failed += bool(tally.faults)
        verdict = "ok" if not tally.faults else "; ".join(tally.faults[:6])
        print(f"{op_type:32} {tally.cases:3} cases, {tally.different} of {tally.codes} codes differ, {tally.worst:8.1e} of range  {verdict}",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
