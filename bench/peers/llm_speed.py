#!/usr/bin/env python3
"""Speed of language models: fewbit against llama.cpp (llama-bench), alternating processes in one run; each process gives the mean of two
repetitions after a warm-up, and the ratio of the best rounds judges.
Prompt of 128 and 512 tokens, generation of 64, 1 and 2 threads; then the time from process start to the first token of a 2.4 GB file, with a
cold and a warm page cache, and the peak memory of that process.

usage: llm_speed.py [--models l7-q4_0,l7-q4_k_m,smollm2-q4_0] [--threads 1,2] [--rounds 3] [--prompt 128,512] [--generate 64]
                    [--first-token-only] [--skip-first-token] [--json FILE]

The quantized files are made once by llama-quantize, so that both read the same bytes. Needs `make peers`, and a machine that does nothing else."""
import argparse
import json
import os
import subprocess
import time

import common

LLAMA = common.PEERS / "llama-build/bin"
FLOATS = {"l7": common.MODELS / "l7.gguf", "smollm2": common.MODELS / "smollm2-float/model-f16.gguf"}
NAMES = "l7-q4_0,l7-q4_k_m,smollm2-f16,smollm2-q8_0,smollm2-q4_0,smollm2-q4_k_m"


def quantized(name):
    """The file of 'l7-q4_0', made by llama-quantize when it is not there."""
    model, kind = name.split("-", 1)
    if kind == "f16":
        return FLOATS[model]
    path = common.WORK / "llm" / f"{name}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = path.with_suffix(".part")
        subprocess.run([LLAMA / "llama-quantize", FLOATS[model], part, kind.upper()], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part.rename(path)
    return path


def llama_rates(path, threads, prompt, generate):
    """Tokens per second, by "pp512" or "tg64", of one llama-bench process, the mean of its repetitions."""
    command = [LLAMA / "llama-bench", "-m", path, "-t", threads, "-p", ",".join(map(str, prompt)), "-n", generate, "-r", 2, "-o", "json"]
    rows = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    return {f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}": row["avg_ts"] for row in rows}


def fewbit_rates(path, threads, prompt, generate):
    rows = common.fewbit_json("bench", path, "--prompt", ",".join(map(str, prompt)), "--generate", generate, "--threads", threads, "--runs", 2)["results"]
    rates = {f"pp{row['prompt_tokens']}": row["prompt_tps"] for row in rows if row["prompt_tokens"]}
    rates.update({f"tg{row['generate_tokens']}": row["generation_tps"] for row in rows if row["generate_tokens"]})
    return rates


def measure(name, threads, options):
    path, best = quantized(name), {"llama": {}, "fewbit": {}}
    for _ in range(options.rounds):
        for program, rates in (("llama", llama_rates), ("fewbit", fewbit_rates)):
            for test, rate in rates(path, threads, options.prompt, options.generate).items():
                best[program][test] = max(rate, best[program].get(test, 0))
    return best


def forget(path):
    """Drops the file from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def first_token(path, rounds):
    """{(program, cache): (seconds, peak bytes)}: one token of prompt, one token out."""
    commands = {"llama": [LLAMA / "llama-bench", "-m", path, "-t", 2, "-p", 1, "-n", 0, "-r", 1, "--no-warmup"],
                "fewbit": [common.FEWBIT, "generate", path, "--ids", "1", "-n", 1, "--threads", 2]}
    best = {}
    for _ in range(rounds):
        for cache in ("cold", "warm"):
            for program, command in commands.items():
                if cache == "cold":
                    forget(path)
                    time.sleep(0.5)
                seconds, peak = common.timed_process(command)
                best[program, cache] = min(best.get((program, cache), (seconds, peak)), (seconds, peak))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=NAMES)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", default="128,512", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--first-token-only", action="store_true")
    parser.add_argument("--skip-first-token", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    results = []
    print(f"machine: {common.machine()}\n")
    if not options.first_token_only:
        print("| model | threads | test | llama.cpp tokens/s | fewbit tokens/s | fewbit / llama.cpp |\n|---|---|---|---|---|---|", flush=True)
        for name in options.models.split(","):
            for threads in map(int, options.threads.split(",")):
                best = measure(name, threads, options)
                for test, rate in best["llama"].items():
                    own = best["fewbit"][test]
                    print(f"| {name} | {threads} | {test} | {rate:.1f} | {own:.1f} | {own / rate:.2f} |", flush=True)
                    results.append({"model": name, "threads": threads, "test": test, "llama_tps": rate, "fewbit_tps": own})
    if not options.skip_first_token:
        path = FLOATS["l7"]
        print(f"\nFirst token, {path.name} ({path.stat().st_size / 1e9:.1f} GB), 2 threads, process start to end:\n")
        print("| page cache | llama.cpp s | fewbit s | fewbit / llama.cpp | llama.cpp peak MB | fewbit peak MB |\n|---|---|---|---|---|---|")
        best = first_token(path, options.rounds)
        for cache in ("cold", "warm"):
            (theirs, their_peak), (ours, our_peak) = best["llama", cache], best["fewbit", cache]
            print(f"| {cache} | {theirs:.2f} | {ours:.2f} | {ours / theirs:.2f} | {their_peak / 1e6:.0f} | {our_peak / 1e6:.0f} |")
            results.append({"test": f"first token, {cache}", "llama_s": theirs, "fewbit_s": ours})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
