#!/usr/bin/env python3
"""Perplexity and divergence of language models: fewbit against llama.cpp (llama-perplexity) on the same GGUF files and the same text, windows
of 512 tokens, the second half scored. Exit code 1 when a perplexity differs by 0.5 % or more.

usage: perplexity.py [--windows 16] [--models smollm2-f16,smollm2-q8_0,smollm2-q4_0,smollm2-q4_k_m] [--text FILE] [--exact] [--json FILE]

The first model is the baseline of the others: each program saves its log-probabilities once and compares the others with them. --exact: fewbit
also runs the baseline beside every model, and the difference to its stored form is shown. Needs `make peers`; llama.cpp's file of the
baseline takes 25 MB per window."""
import argparse
import json
import re
import subprocess
import sys
import time

import common
from llm_speed import LLAMA, quantized

NUMBER = r"\s*:?\s*(-?[0-9.]+)"


def llama(path, text, windows, logits, compare):
    """Figures of one llama-perplexity process."""
    command = [LLAMA / "llama-perplexity", "-m", path, "-f", text, "-c", "512", "--chunks", windows, "--kl-divergence-base", logits]
    start = time.monotonic()
    process = subprocess.run(list(map(str, command + (["--kl-divergence"] if compare else []))), check=True, capture_output=True, text=True)
    out, seconds = process.stdout + process.stderr, time.monotonic() - start

    def find(pattern):
        found = re.search(pattern, out)
        return float(found.group(1)) if found else None

    if not compare:
        return {"perplexity": find(r"Final estimate: PPL =" + NUMBER), "error": find(r"Final estimate: PPL = [0-9.]+ \+/-" + NUMBER), "seconds": seconds}
    return {"perplexity": find(r"Mean PPL\(Q\)" + NUMBER), "error": find(r"Mean PPL\(Q\)\s*:\s*[0-9.]+ ±" + NUMBER), "kld": find(r"Mean\s+KLD" + NUMBER),
            "kld_error": find(r"Mean\s+KLD:\s*[0-9.]+ ±" + NUMBER), "kld_99": find(r"99.0%\s+KLD" + NUMBER), "same_top": find(r"Same top p:\s*([0-9.]+)") / 100,
            "ratio_error": find(r"Mean PPL\(Q\)/PPL\(base\)\s*:\s*[0-9.]+ ±" + NUMBER), "seconds": seconds}


def fewbit(path, text, windows, *arguments):
    start = time.monotonic()
    document = common.fewbit_json("evaluate", path, "--data", text, "--windows", windows, "--context", 512, *arguments)
    perplexity, kld = document["metrics"]["perplexity"], document["metrics"].get("kld")
    row = {"perplexity": perplexity["model"], "error": perplexity["error"], "seconds": time.monotonic() - start}
    if "saved_bytes" in document:
        row.update(saved_bytes=document["saved_bytes"], full_bytes=document["full_logit_bytes"])
    if kld:
        row.update(kld=kld["model"], kld_error=kld["error"], kld_99=kld["percentiles"]["99"], stored_error=kld["stored_error"],
                   same_top=document["agreement"], ratio_error=perplexity["ratio_error"])
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--models", default="smollm2-f16,smollm2-q8_0,smollm2-q4_0,smollm2-q4_k_m")
    parser.add_argument("--text", default=common.MODELS / "eval.txt")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    names, rows, worst = options.models.split(","), {}, 0
    stored, logits = common.WORK / "llm/baseline.fbl", common.WORK / "llm/baseline.logits"
    print("| file | fewbit | llama.cpp | difference | KLD fewbit | KLD llama.cpp | 99 % | same top fewbit | llama.cpp | s | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        path, first = quantized(name), name == names[0]
        ours = fewbit(path, options.text, options.windows, *(["--save-outputs", stored, "--force"] if first else ["--baseline-outputs", stored]))
        theirs = llama(path, options.text, options.windows, logits, not first)
        rows[name] = {"fewbit": ours, "llama": theirs}
        difference = 100 * (ours["perplexity"] / theirs["perplexity"] - 1)
        worst = max(worst, abs(difference))
        kld = ([f"{row['kld']:.6f} ± {row['kld_error']:.6f}" for row in (ours, theirs)] + [f"{ours['kld_99']:.4f} / {theirs['kld_99']:.4f}"]
               + [f"{100 * row['same_top']:.2f} %" for row in (ours, theirs)]) if not first else [""] * 5
        print(f"| {name} | {ours['perplexity']:.4f} ± {ours['error']:.4f} | {theirs['perplexity']:.4f} ± {theirs['error']:.4f} | {difference:+.3f} % | "
              + " | ".join(kld) + f" | {ours['seconds']:.0f} | {theirs['seconds']:.0f} |", flush=True)
        if first:
            print(f"# {ours['saved_bytes']} bytes stored, 1/{ours['full_bytes'] / ours['saved_bytes']:.1f} of all logits in 2 bytes", file=sys.stderr)
        if options.exact and not first:
            exact = fewbit(path, options.text, options.windows, "--baseline", quantized(names[0]))
            rows[name]["exact"] = exact
            print(f"# {name}: KLD exact {exact['kld']:.7f}, stored {ours['kld']:.7f}, difference {ours['kld'] - exact['kld']:+.2g}, "
                  f"stated error {ours['stored_error']:.2g}", file=sys.stderr, flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    return worst >= 0.5


if __name__ == "__main__":
    sys.exit(main())
