#!/bin/sh
# Makes the environment of the judge tests: independent programs that check what fewbit writes. Prints the path of its Python.
# usage: tools/judge_env.sh [FOLDER]      (build/judge)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/build/judge}
if [ -n "${FEWBIT_PYTHON:-}" ]; then
    echo "$FEWBIT_PYTHON"
    exit 0
fi
stamp=$folder/.complete
pins="numpy==2.4.6 onnx==1.22.0 onnxruntime==1.31.1 gguf==0.19.0 safetensors==0.8.0 tokenizers==0.23.3 sentencepiece==0.2.3"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$pins" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    # shellcheck disable=SC2086  # a list of words
    "$folder/bin/pip" install --quiet --disable-pip-version-check $pins >&2
    echo "$pins" > "$stamp"
fi
echo "$folder/bin/python"
