#!/bin/sh
# Unpacks the ONNX backend node tests and runs them: tools/conformance.sh [RUNNER] [--write] [--only TEXT]
# The archive is looked for in FEWBIT_CONFORMANCE_DATA, else in ../shared/data/conformance.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
runner=
case "${1:-}" in
    "" | --*) ;;
    *) runner=$1; shift ;;
esac
archives=${FEWBIT_CONFORMANCE_DATA:-$root/../shared/data/conformance}
cases=$root/build/conformance
found=
for archive in "$archives"/*.tar.xz; do
    [ -f "$archive" ] || continue
    found=yes
    stamp=$cases/.$(basename "$archive").done
    if [ ! -f "$stamp" ] || [ "$archive" -nt "$stamp" ]; then
        rm -rf "$cases"
        mkdir -p "$cases"
        tar -xJf "$archive" -C "$cases"
        touch "$stamp"
    fi
done
if [ -z "$found" ]; then
    echo "skipped: no shared data: nothing in $archives" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
if [ -z "$runner" ]; then # the release build, brought up to date
    runner=$root/build/release/tests/run_conformance
    (cd "$root" && cmake --preset release && cmake --build --preset release --target run_conformance) > "$root/build/conformance.log" 2>&1 ||
        { cat "$root/build/conformance.log" >&2; exit 2; }
fi
[ -x "$runner" ] || { echo "$runner is missing" >&2; exit 2; }
exec "$runner" "$cases/node" "$root/tests/conformance/unsupported_operators.txt" "$@"
