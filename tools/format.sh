#!/bin/sh
# Formats the C files that are given, or all. Tables that are aligned by hand carry clang-format off/on. usage: tools/format.sh [FILE ...]
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(git ls-files '*.c' '*.h')
exec clang-format-14 -i "$@"
