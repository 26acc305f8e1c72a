#!/bin/sh
# run.sh PYTHON SCRIPT ARGUMENT...: runs a judge script with FEWBIT_PYTHON, else PYTHON; neither: skipped (77), but failed where CI=true.
python=${FEWBIT_PYTHON:-$1}
shift
if [ -z "$python" ]; then
    echo "no judge: set FEWBIT_PYTHON to a Python with numpy, onnx and onnxruntime"
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
exec "$python" "$@"
