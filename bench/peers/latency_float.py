#!/usr/bin/env python3
"""FP32 latency, batch 1, fewbit against ONNX Runtime in the same run: blocks alternate, the ratio of the minima judges.
usage: latency_float.py [--blocks 7] [MODEL ...]     (default: resnet50 bert_base)"""
import argparse
import time

import common


def ort_block(session, feeds, runs):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def fewbit_block(path, feeds, threads, runs):
    shapes = [option for name, value in feeds.items() for option in ("--shape", f"{name}={'x'.join(map(str, value.shape))}")]
    result = common.fewbit_json("bench", path, "--threads", threads, "--runs", runs, *shapes)["results"][0]
    return result["min_ms"], result["p50_ms"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("models", nargs="*", default=["resnet50", "bert_base"])
    options = parser.parse_args()
    print(f"machine: {common.machine()}\n")
    print("| model | threads | ONNX Runtime FP32 ms (min / median) | fewbit FP32 ms (min / median) | ratio of minima |\n|---|---|---|---|---|")
    for name in options.models:
        path, feeds = common.model_path(name), common.feeds_for(name)
        for threads in (1, 2):
            session = common.ort_session(path, threads)
            ort_block(session, feeds, 3)
            theirs, ours, our_medians = [], [], []
            for _ in range(options.blocks):
                theirs += ort_block(session, feeds, options.runs)
                low, median = fewbit_block(path, feeds, threads, options.runs)
                ours.append(low)
                our_medians.append(median)
            theirs.sort()
            our_medians.sort()
            print(f"| {name} | {threads} | {theirs[0]:.1f} / {theirs[len(theirs) // 2]:.1f} | {min(ours):.1f} / "
                  f"{our_medians[len(our_medians) // 2]:.1f} | {min(ours) / theirs[0]:.2f} |", flush=True)


main()
