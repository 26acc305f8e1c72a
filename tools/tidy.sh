#!/bin/sh
# clang-tidy with the checks of .clang-tidy over the files of the build in build/clang; any finding fails. usage: tools/tidy.sh [FILE ...]
set -eu
cd "$(dirname "$0")/.."
[ -f build/clang/compile_commands.json ] || cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang-14 > /dev/null
cmake --build build/clang --target fewbit_onnx_schema > /dev/null # a generated header that the ONNX files include
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.c' 'cli/*.c')
failed=0
# Without the contracts: the files that define the functions they are about, and the command, which sees the public headers only.
without='^cli/\|/\(error\|file_error\|memory\|compile_types\|onnx_reader\)\.c$'
check() { xargs -r -P 2 -n 8 clang-tidy-14 -p build/clang --quiet --warnings-as-errors='*' "$@" || failed=1; }
printf '%s\n' "$@" | { grep -v "$without" || true; } > build/clang/tidy_files
check --extra-arg-before="-include$PWD/tools/tidy_contracts.h" < build/clang/tidy_files
printf '%s\n' "$@" | { grep "$without" || true; } > build/clang/tidy_files
check < build/clang/tidy_files
exit $failed
