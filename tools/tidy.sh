#!/bin/sh
# clang-tidy with the checks of .clang-tidy over the files of the build in build/clang; any finding fails. usage: tools/tidy.sh [FILE ...]
set -eu
cd "$(dirname "$0")/.."
[ -f build/clang/compile_commands.json ] || cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang-14 > /dev/null
cmake --build build/clang --target fewbit_onnx_schema > /dev/null # a generated header that the ONNX files include
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.c' 'cli/*.c' ':!src/kernels/*_neon*.c') # no file of another processor
failed=0
list() { printf '%s\n' "$files" | grep "$@" || true; }
check() { xargs -r -P 2 -n 8 clang-tidy-14 -p build/clang --quiet --warnings-as-errors='*' "$@"; }
files=$(printf '%s\n' "$@")
contracts="--extra-arg-before=-include$PWD/tools/tidy_contracts.h"
# A file that defines a function of the contracts goes without that part of them; the command sees the public headers only.
none='^cli/\|/\(error\|file_error\|memory\)\.c$'
base='/\(compile_types\|protobuf_reader\)\.c$'
list -v "$none\|$base" | check "$contracts" || failed=1
list "$base" | check "$contracts" --extra-arg-before=-DFB_TIDY_BASE_ONLY || failed=1
list "$none" | check || failed=1
exit $failed
