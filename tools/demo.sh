#!/bin/sh
# Builds what is needed and runs the embedded example. usage: tools/demo.sh
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh
mkdir -p build
cmake --preset release > build/demo.log 2>&1 || { cat build/demo.log; exit 1; }
cmake --build --preset release --target demo fewbit_command > build/demo.log 2>&1 || { cat build/demo.log; exit 1; }
mkdir -p build/demo
exec build/release/bin/demo examples/fashion build/demo
