"""What the peer benchmarks share: where things are, how fewbit is called, how feeds are made."""
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("FEWBIT_SHARED", ROOT.parent / "shared")) / "data"
PEERS = Path(os.environ.get("FEWBIT_PEERS", Path.home() / ".cache/fewbit-peers"))
MODELS = PEERS / "models"
FEWBIT = os.environ.get("FEWBIT", str(ROOT / "build/release/bin/fewbit"))
WORK = Path(os.environ.get("FEWBIT_BENCH_WORK", PEERS / "work"))


def fewbit(*arguments, check=True):
    """Runs the command; returns (seconds, peak bytes, stdout). check=False lets a failed gate (exit code 1) pass."""
    with subprocess.Popen([FEWBIT, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        begin = time.perf_counter()
        out, err = process.communicate()
        seconds = time.perf_counter() - begin
    if process.returncode != 0 and (check or process.returncode != 1):
        sys.exit(f"{' '.join(map(str, arguments))}: exit {process.returncode}\n{err}")
    return seconds, out


def fewbit_json(*arguments, check=True):
    return json.loads(fewbit(*arguments, "--json", check=check)[1])


# A small process between: Linux keeps the peak of the process that called exec, so a child of this one would show this one's.
GO_BETWEEN = """
import os, shutil, sys, time
begin = time.perf_counter()
pid = os.posix_spawn(shutil.which(sys.argv[1]), sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print("\\n", time.perf_counter() - begin, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status))
"""


def timed_process(command, processor=False):
    """Wall seconds from process start to exit, and the peak resident bytes of that process; then the processor's seconds, when asked for."""
    made = subprocess.run([sys.executable, "-I", "-S", "-c", GO_BETWEEN, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    seconds, peak, busy, code = (made.stdout.split() or ["0", "0", "0", "1"])[-4:]
    if made.returncode != 0 or code != "0":
        sys.exit(f"{command}: {made.stdout}")
    return (float(seconds), int(peak), float(busy)) if processor else (float(seconds), int(peak))


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    features = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8") if f" {f}" in flags]
    return f"{model}, {os.cpu_count()} cores, {' '.join(features)}"


def feeds_for(name):
    """PEERS: default_rng(0) standard normal pictures; token ids 1000..30000, 128 long, mask of ones."""
    rng = np.random.default_rng(0)
    if name in ("bert_base", "minilm"):
        return {"input_ids": rng.integers(1000, 30000, (1, 128)), "attention_mask": np.ones((1, 128), np.int64)}
    size = {"yolov5s": 640, "yolox_nano": 416}.get(name, 224)
    input_name = {"efficientnet_lite0": "image", "yolox_nano": "images", "mobilenet_v1_0.25": "input"}.get(name, "x")
    return {input_name: rng.standard_normal((1, 3, size, size)).astype(np.float32)}


def model_path(name):
    return {"minilm": MODELS / "minilm/minilm.onnx", "yolox_nano": SHARED / "detection/yolox_nano.onnx",
            "mobilenet_v1_0.25": SHARED / "vision/mobilenet_v1_0.25_224.onnx"}.get(name, MODELS / f"{name}.onnx")


def ort_session(path, threads=1, exact=False):
    """exact: u8 x s8 products without the 16-bit saturation that ONNX Runtime allows itself on x86 CPUs without VNNI (slower there, the same
    elsewhere). Accuracy is compared that way: saturation took 11 points of top-1 from a file that lost 0.4 without it."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
