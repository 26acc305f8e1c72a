#!/usr/bin/env python3
"""Does llama.cpp load what `fewbit quantize` makes of a Hugging Face folder, and give the same tokens? A chat-formatted prompt is tokenized by both
and continued greedily by both, from the same file. Rounding differs between the two, so the continuations of low-bit files may part where two
tokens are nearly equal; the place is printed.

usage: llama_tokens.py [--folder HF_FOLDER] [--presets f16,q8_0,q4_k_m] [--tokens 32]

Needs `make peers` (llama.cpp's library as built there, through the Python binding of the same archive)."""
import argparse
import os
import sys
import types

import common

PROMPT = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is the capital of France, and what is it known for?"
          "<|im_end|>\n<|im_start|>assistant\n")


def llama(path):
    os.environ["LLAMA_CPP_LIB_PATH"] = str(common.PEERS / "llama-build/bin")
    sys.path.insert(0, str(common.PEERS / "dl/llama_cpp_python-0.3.36"))
    sys.modules.setdefault("diskcache", types.ModuleType("diskcache"))     # the binding's cache of states, not used here
    from llama_cpp import Llama
    return Llama(model_path=str(path), n_ctx=512, n_threads=2, n_threads_batch=2, seed=0, verbose=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=common.MODELS / "smollm2-float")
    parser.add_argument("--presets", default="f16,q8_0,q4_k_m")
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    failed = False
    print("| preset | prompt tokens | same prompt tokens | same answer tokens |\n|---|---|---|---|")
    for preset in options.presets.split(","):
        path = common.WORK / "llm" / f"own-{preset}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        common.fewbit("quantize", options.folder, "-o", path, "--preset", preset, "--force")
        peer = llama(path)
        theirs = peer.tokenize(PROMPT.encode(), add_bos=False, special=True)
        ours = common.fewbit_json("tokenize", path, "-p", PROMPT)["texts"][0]["ids"]
        answer = []
        for token in peer.generate(theirs, temp=0.0, repeat_penalty=1.0):
            answer.append(token)
            if len(answer) == options.tokens or token == peer.token_eos():
                break
        made = common.fewbit_json("generate", path, "--ids", ",".join(map(str, theirs)), "-n", options.tokens)["results"][0]["ids"]
        shorter = min(len(made), len(answer))
        same = next((i for i in range(shorter) if made[i] != answer[i]), shorter)
        print(f"| {preset} | {len(theirs)} | {'yes' if ours == theirs else 'NO'} | {same} of {shorter} |", flush=True)
        failed |= ours != theirs or (preset == "f16" and same != shorter)
    sys.exit(failed)


main()
