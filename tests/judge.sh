#!/bin/sh
# Runs a judge script with the Python that has numpy, onnx and onnxruntime: judge.sh PYTHON SCRIPT ARGUMENTS...
# The environment's FEWBIT_PYTHON comes before PYTHON. Without either the judge is skipped (77), and fails where CI=true.
python=${FEWBIT_PYTHON:-$1}
shift
if [ -z "$python" ]; then
    echo "skipped: FEWBIT_PYTHON names no Python"
    [ "$CI" = true ] && exit 1
    exit 77
fi
exec "$python" "$@"
