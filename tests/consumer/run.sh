#!/bin/sh
# Installs the build into an empty folder and builds a program against it: find_package (shared, static) and pkg-config (shared, static).
# usage: run.sh BUILD CMAKE CC
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1 cmake=$2 cc=$3
work=$(mktemp -d "${TMPDIR:-/tmp}/fewbit-consumer.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/usr" > "$work/install.log"
libdir=$(dirname "$(find "$work/usr" -name libfewbit.a)")
"$cmake" -S "$here/project" -B "$work/build" -G Ninja -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/usr" > "$work/configure.log"
"$cmake" --build "$work/build" > "$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/build/use_shared"
"$work/build/use_static"

PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # flags are words
"$cc" "$here/project/use.c" -o "$work/pc_shared" $(pkg-config --cflags --libs fewbit) -Wl,-rpath,"$libdir"
"$work/pc_shared"
# shellcheck disable=SC2046
"$cc" "$here/project/use.c" -o "$work/pc_static" $(pkg-config --cflags fewbit) "$libdir/libfewbit.a" \
    $(pkg-config --static --libs fewbit | sed 's/-lfewbit//')
"$work/pc_static"

# Nothing but the interface is visible.
if nm -D --defined-only "$libdir/libfewbit.so" | awk '{print $3}' | grep -v '^fb_'; then
    echo "the shared library shows names that do not begin with fb_"
    exit 1
fi
test -x "$work/usr/bin/fewbit"
test -n "$(find "$work/usr" -name 'fewbit-quantize.1')"
"$work/usr/bin/fewbit" --version
