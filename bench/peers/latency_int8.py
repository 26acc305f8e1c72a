#!/usr/bin/env python3
"""INT8 latency, batch 1: fewbit against ONNX Runtime and OpenVINO in every variant that their tools make, alternately in one run; the
ratio of the minima judges. Then the scaling from one thread to two, and the peak memory of a process that loads and runs the model.
Peers run with their defaults and fixed shapes: on a processor without VNNI ONNX Runtime's sums of u8 x s8 pairs saturate, and are timed so.

usage: latency_int8.py [--models resnet50,bert_base] [--threads 1,2] [--blocks 7] [--runs N] [--isa avx2] [--prepare-only]
                       [--peers-only] [--refresh fewbit_static,fewbit_dynamic] [--json FILE]

The models are made once, under the peers' work directory (int8_models.py); --refresh makes some again. --isa caps fewbit, not the peers.
Needs the environment of `make peers`, and a machine that does nothing else."""
import argparse
import json
import math
import subprocess
import sys
import time

import common
import int8_models

PEERS = {"ort_fp32": "ORT FP32", "ort_qdq": "ORT QDQ", "ort_dynamic": "ORT dynamic", "ov_fp32": "OpenVINO FP32", "ov_nncf": "OpenVINO NNCF",
         "ov_ort_qdq": "OpenVINO on ORT's QDQ"}
OURS = {"fewbit_fp32": "fewbit FP32", "fewbit_static": "fewbit INT8 static", "fewbit_dynamic": "fewbit INT8 dynamic",
        "fewbit_seven": "fewbit INT8, 7-bit weights"}
TITLES = {**PEERS, **OURS}
BLOCK_SECONDS = 0.4


class Program:
    """A loaded model; block(n) gives n latencies in ms after one warm-up."""

    def __init__(self, run):
        self.run = run

    def block(self, count):
        self.run()
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - begin) * 1e3)
        return times


class Fewbit:
    def __init__(self, path, feeds, threads, options, integer):
        self.path, self.peak = path, 0
        self.arguments = ["--threads", threads, *(["--isa", options.isa] if options.isa else []), *(MODE if integer else [])]
        for name, value in feeds.items():
            self.arguments += ["--shape", f"{name}={'x'.join(map(str, value.shape))}"]

    def block(self, count):
        result = common.fewbit_json("bench", self.path, "--runs", count, *self.arguments)["results"][0]
        self.peak = max(self.peak, result["peak_bytes"])
        return [result["min_ms"]] + [result["p50_ms"]] * (count - 1)     # enough for the minimum and the median


def bench_mode():
    """Integer execution where the command has it."""
    return ["--mode", "integer"] if "--mode" in common.fewbit("bench", "--help")[1] else []


def bf16_cpu():
    return " avx512_bf16" in next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")


def load(key, name, threads, files, options):
    feeds = common.feeds_for(name)
    if key.startswith("fewbit"):
        path = common.model_path(name) if key == "fewbit_fp32" else files[key]["file"]
        return Fewbit(path, feeds, threads, options, key != "fewbit_fp32")
    path = int8_models.fixed_model(name) if key.endswith("fp32") else files[key]["file"]
    if key.startswith("ort"):
        session = common.ort_session(path, threads)
        return Program(lambda: session.run(None, feeds))
    best = None
    for precision in ("f32", "bf16") if bf16_cpu() and key != "ov_fp32" else ("f32",):
        request = int8_models.openvino_model(path, threads, precision).create_infer_request()
        program = Program(lambda request=request: request.infer(feeds))
        took = min(program.block(3))
        if best is None or took < best[0]:
            best = (took, program)
    return best[1]


def measure(name, threads, files, options):
    """{key: sorted latencies}: blocks of all programs in turn."""
    keys = [k for k in PEERS if k.endswith("fp32") or files[k]["file"]]
    if not options.peers_only:
        keys += [k for k in OURS if k == "fewbit_fp32" or files[k]["file"]]
    programs = {key: load(key, name, threads, files, options) for key in keys}
    counts, times = {}, {key: [] for key in keys}
    for key, program in programs.items():
        first = min(program.block(2))
        counts[key] = options.runs or max(3, min(100, math.ceil(BLOCK_SECONDS * 1e3 / first)))
    for _ in range(options.blocks):
        for key, program in programs.items():
            times[key] += program.block(counts[key])
            time.sleep(0.02)                           # worker threads of the last program stop spinning
    peaks = {key: program.peak for key, program in programs.items() if isinstance(program, Fewbit)}
    return {key: sorted(values) for key, values in times.items()}, peaks


# VmHWM, not ru_maxrss: that one survives exec and would show the parent's peak.
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import common
if sys.argv[2] != "-":
    session, feeds = common.ort_session(sys.argv[2], 1), common.feeds_for(sys.argv[3])
    for _ in range(3): session.run(None, feeds)
else:
    import onnxruntime
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def ort_peak(path, name):
    """Peak resident bytes of a fresh process; path "-": of one that only imports ONNX Runtime."""
    folder = str(common.ROOT / "bench/peers")
    return int(subprocess.run([sys.executable, "-c", CHILD, folder, str(path), name], check=True, capture_output=True, text=True).stdout.split()[-1])


def cell(times):
    return f"{times[0]:.2f} / {times[len(times) // 2]:.2f}"


def table(header, lines):
    print("\n| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")
    sys.stdout.flush()


def best_of(times, keys):
    present = [k for k in keys if k in times]
    return min(present, key=lambda k: times[k][0]) if present else None


def ours_int8(times):
    return best_of(times, ("fewbit_static", "fewbit_dynamic"))


def print_latency(results, files, options):
    keys = [k for k in TITLES if any(k in times for times in results.values())]
    table(["model", "threads", *(f"{TITLES[k]} (min / median ms)" for k in keys)],
          [[name, threads, *(cell(times[k]) if k in times else "failed" if not k.startswith("fewbit") else "-" for k in keys)]
           for (name, threads), times in results.items()])
    summary = []
    for (name, threads), times in results.items():
        peer, mine = best_of(times, PEERS), ours_int8(times)
        row = [name, threads, TITLES[peer], f"{times[peer][0]:.2f}"]
        seven = times.get("fewbit_seven", [math.nan])[0]
        if mine:
            low = times[mine][0]
            row += [f"{low:.2f} ({mine.split('_')[1]})", f"{low / times[peer][0]:.2f}", f"{times['ort_fp32'][0] / low:.2f}",
                    f"{times['fewbit_fp32'][0] / low:.2f}", f"{times['fewbit_fp32'][0] / times['ort_fp32'][0]:.2f}", f"{seven:.2f}", f"{seven / times[peer][0]:.2f}"]
        summary.append(row)
    header = ["model", "threads", "fastest peer", "ms"]
    if not options.peers_only:
        header += ["fewbit INT8 ms", "fewbit / fastest peer", "ORT FP32 / fewbit INT8", "fewbit FP32 / fewbit INT8", "fewbit FP32 / ORT FP32", "7-bit weights ms", "7-bit weights / fastest peer"]
    table(header, summary)
    for name in dict.fromkeys(name for name, _ in results):
        for key, value in files[name].items():
            if value["note"] and key in PEERS:
                print(f"\n{name}, {TITLES[key]}: {'' if value['file'] else 'failed: '}{value['note']}")


def print_scaling(results, options):
    threads = sorted(set(t for _, t in results))
    if len(threads) < 2:
        return
    low, high, lines = threads[0], threads[-1], []
    for name in dict.fromkeys(name for name, _ in results):
        one, two = results[name, low], results[name, high]
        row = [name]
        for key in ("ort_fp32", best_of(one, ("ort_qdq", "ort_dynamic")), best_of(one, ("ov_nncf", "ov_ort_qdq")), "fewbit_fp32", ours_int8(one)):
            row.append(f"{one[key][0] / two[key][0]:.2f}" if key in one and key in two else "-")
        lines.append(row)
    table([f"speed-up from {low} to {high} threads", "ORT FP32", "ORT INT8", "OpenVINO INT8", "fewbit FP32", "fewbit INT8"], lines)


def print_memory(names, files, peaks, options):
    print(f"\nA Python process that only imports ONNX Runtime takes {ort_peak('-', '-') / 1e6:.0f} MB; that is within its figures.")
    lines = []
    for name in names:
        row = [name, f"{ort_peak(int8_models.fixed_model(name), name) / 1e6:.0f}"]
        quantized = files[name]["ort_dynamic" if name in int8_models.TOKENS else "ort_qdq"]["file"]
        row.append(f"{ort_peak(quantized, name) / 1e6:.0f}" if quantized else "failed")
        row += [f"{peaks[name][key] / 1e6:.0f}" if key in peaks[name] else "-" for key in OURS]
        lines.append(row)
    table(["peak MB, 1 thread", "ORT FP32", "ORT INT8", *OURS.values()], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(int8_models.NAMES))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--isa")
    parser.add_argument("--refresh", default="")
    parser.add_argument("--prepare-only", action="store_true")
    parser.add_argument("--peers-only", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    names = options.models.split(",")
    files = {name: int8_models.prepare(name, options.refresh.split(",")) for name in names}
    if options.prepare_only:
        return
    global MODE
    MODE = [] if options.peers_only else bench_mode()
    print(f"machine: {common.machine()}; {options.blocks} alternating blocks{'; fewbit capped to ' + options.isa if options.isa else ''}")
    if not MODE and not options.peers_only:
        print("fewbit bench has no --mode: its INT8 rows are simulated execution, not integers")
    results, peaks = {}, {}
    for name in names:
        for threads in map(int, options.threads.split(",")):
            results[name, threads], ours = measure(name, threads, files[name], options)
            peaks.setdefault(name, ours)
            print(f"  {name}, {threads}: " + ", ".join(f"{k} {v[0]:.2f}" for k, v in results[name, threads].items()), file=sys.stderr, flush=True)
    print_latency(results, files, options)
    print_scaling(results, options)
    if not options.peers_only:
        print_memory(names, files, peaks, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"machine": common.machine(), "results": [{"model": n, "threads": t, **{k: {"min_ms": v[0], "p50_ms": v[len(v) // 2]}
                       for k, v in times.items()}} for (n, t), times in results.items()]}, f, indent=1)


MODE = []
if __name__ == "__main__":
    main()
