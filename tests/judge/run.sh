#!/bin/sh
# run.sh PYTHON SCRIPT ARGUMENT...: runs a judge script with FEWBIT_PYTHON, else PYTHON; neither: skipped (77), but failed where CI=true.
python=${FEWBIT_PYTHON:-$1}
shift
if [ -z "$python" ]; then
    echo "skipped: no judges: set FEWBIT_PYTHON to the Python of tools/judge_env.sh"
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
exec "$python" "$@"
