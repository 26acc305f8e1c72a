#!/bin/sh
# clang-tidy with the checks of .clang-tidy over the files of the build in build/clang; any finding fails. usage: tools/tidy.sh [FILE ...]
set -eu
cd "$(dirname "$0")/.."
[ -f build/clang/compile_commands.json ] || cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang-14 > /dev/null
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.c' 'cli/*.c')
printf '%s\n' "$@" | xargs -P 2 -n 8 clang-tidy-14 -p build/clang --quiet --warnings-as-errors='*'
