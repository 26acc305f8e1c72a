#!/usr/bin/env python3
"""MiniLM, INT8: mean cosine of the pooled embedding against FP32, and Spearman against the labels of 600 STS-B pairs; fewbit's
file by fewbit and by ONNX Runtime, beside ONNX Runtime's own dynamic quantization. ONNX Runtime sums exactly (see accuracy.py).
usage: sentences.py [--limit PAIRS]"""
import argparse
import json
import subprocess
import sys

import numpy as np

import common


def embeddings(path, lines):
    session = common.ort_session(path, 2, exact=True)
    out = []
    for line in lines:
        ids = np.atleast_2d(np.array(line["inputs"]["input_ids"], np.int64))
        mask = np.atleast_2d(np.array(line["inputs"]["attention_mask"], np.int64))
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask})[0][0]
        pooled = (hidden * mask[0][:, None]).sum(0) / mask.sum()
        out.append(pooled / np.linalg.norm(pooled))
    return np.array(out)


def row(name, vectors, reference, scores):
    from scipy.stats import spearmanr
    cosine = float((vectors * reference).sum(1).mean())
    rho = spearmanr((vectors[0::2] * vectors[1::2]).sum(1), scores).statistic
    print(f"| {name} | {cosine:.5f} | {100 * rho:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=600)
    options = parser.parse_args()
    common.WORK.mkdir(parents=True, exist_ok=True)
    model, data = common.model_path("minilm"), common.WORK / "minilm.jsonl"
    subprocess.run([sys.executable, common.ROOT / "bench/data.py", "minilm", data, "--limit", str(options.limit)], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in open(data)]
    scores = json.load(open(str(data).removesuffix(".jsonl") + ".scores.json"))
    scores = scores["scores"] if isinstance(scores, dict) else scores
    ours, theirs = common.WORK / "minilm.int8.onnx", common.WORK / "minilm.ort.onnx"
    common.fewbit("quantize", model, "-o", ours, "--force", "--preset", "int8-dynamic")
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(model, theirs, weight_type=QuantType.QInt8, per_channel=True)
    report = common.fewbit_json("evaluate", ours, "--baseline", model, "--data", data)
    cosine = report["outputs"][0]["cosine"] if "outputs" in report else report["cosine"]
    reference = embeddings(model, lines)
    print(f"machine: {common.machine()}; {len(lines)} sentences\n\n| program | cosine | Spearman x 100 |\n|---|---|---|")
    row("FP32 ONNX Runtime", reference, reference, scores)
    print(f"| fewbit INT8 dynamic by fewbit | {cosine:.5f} | |")
    row("fewbit INT8 dynamic by ONNX Runtime", embeddings(ours, lines), reference, scores)
    row("ONNX Runtime dynamic", embeddings(theirs, lines), reference, scores)
    seven = common.WORK / "minilm.seven.onnx"
    common.fewbit("quantize", model, "-o", seven, "--force", "--preset", "int8-dynamic", "--set", "weights=s7")
    row("fewbit INT8 dynamic, 7-bit weights, by ONNX Runtime", embeddings(seven, lines), reference, scores)
    some, static = common.WORK / "minilm.some.jsonl", common.WORK / "minilm.static.onnx"      # ranges from 100 of the sentences
    some.write_text("".join(open(data).readlines()[:100]))
    common.fewbit("quantize", model, "-o", static, "--force", "--preset", "int8-static", "--calibration", some)
    row("fewbit INT8 static by ONNX Runtime", embeddings(static, lines), reference, scores)


main()
