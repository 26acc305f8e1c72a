#!/bin/bash
# The long run of the fuzz targets: each one under libFuzzer with ASan and UBSan, from its seeds, for as long as FEWBIT_SOAK_SECONDS says
# (default 600). usage: soak.sh [TARGET...], default all. Crashes, leaks, time-outs (10 s per input) and more than 2 GiB end it with an error;
# the input lies in build/fuzz/found. Needs clang.
set -eu
cd "$(dirname "$0")/.."
seconds=${FEWBIT_SOAK_SECONDS:-600}
CC=clang-14 cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -g" -DFEWBIT_FUZZ=ON \
    -DFEWBIT_SANITIZE=address,undefined > /dev/null
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(sed -n 's/^fb_fuzz(\([a-z_]*\) .*/\1/p' tests/fuzz/CMakeLists.txt)
fi
cmake --build build/fuzz --target "${targets[@]/#/fuzz_}"
found=$PWD/build/fuzz/found
mkdir -p "$found"
failed=0
run() { # TARGET
    local seeds corpus=build/fuzz/corpus/$1
    seeds=$(sed -n "s/^fb_fuzz($1 [^ ]* \(.*\))/\1/p" tests/fuzz/CMakeLists.txt)
    seeds=${seeds//'${PROJECT_SOURCE_DIR}'/$PWD}
    seeds=${seeds//'${CMAKE_CURRENT_SOURCE_DIR}'/$PWD/tests/fuzz}
    mkdir -p "$corpus"
    # shellcheck disable=SC2086 # a list of folders
    if "build/fuzz/tests/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$found/$1-" "$corpus" $seeds > "build/fuzz/$1.log" 2>&1; then
        echo "$1: clean, $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$1.log") inputs in $seconds s"
    else
        tail -20 "build/fuzz/$1.log"
        echo "$1: FAILED"
        return 1
    fi
}
for target in "${targets[@]}"; do
    run "$target" || failed=$((failed + 1))
done
[ "$failed" = 0 ]
