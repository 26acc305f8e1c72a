#!/bin/sh
# Runs one case of the command line in an empty folder and compares output and exit code with what is expected.
# usage: run.sh CASE.sh FEWBIT SOURCE_FOLDER       UPDATE=1: writes the expectation instead (look at it before committing)
#
# A case is a shell script. It finds the command in $FEWBIT and the repository in $SOURCE. CASE.out holds stdout and stderr together, in
# the order the case made them, then "exit N". Times, sizes of memory, versions and the processor are masked
# below, lines of progress (every 30 s on a slow machine) are left out.
set -u
case=$1
FEWBIT=$2
SOURCE=$3
export FEWBIT SOURCE
expected=${case%.sh}.out
work=$(mktemp -d "${TMPDIR:-/tmp}/fewbit-cli.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/in"
unset FEWBIT_PYTHON
LC_ALL=C TERM=dumb NO_COLOR=1
export LC_ALL TERM NO_COLOR

(cd "$work/in" && exec sh "$case") > "$work/raw" 2>&1 < /dev/null
code=$?
if [ "$code" = 77 ]; then
    cat "$work/raw"
    exit 77
fi
{
    sed -E -e "s,$work/in,WORK,g" -e "s,$SOURCE,SOURCE,g" \
        -e 's/[0-9]+\.[0-9] s, at most [0-9.]+ [kMG]?B of memory/T s, at most M of memory/' \
        -e 's/\([0-9]+ in use\)/(N in use)/' -e 's/written in [0-9]+\.[0-9] s/written in T s/' \
        -e 's/"(seconds|peak_bytes|p50_ms|p95_ms|p99_ms|min_ms|throughput)": [0-9.e+-]+/"\1": MASKED/' \
        -e 's/"(cpu|isa)": "[^"]*"/"\1": "MASKED"/' -e 's/"(cores|threads)": [0-9]+/"\1": MASKED/' \
        -e '/"seconds": \{/,/\}/s/: [0-9.e+-]+/: MASKED/' -e '/^fewbit: [a-z]+ [0-9]+(\/[0-9]+)?, [0-9hms]+(, [0-9hms]+ left)?$/d' \
        -e 's/"sha256": "[0-9a-f]{64}"/"sha256": "HASH"/' \
        -e 's/"version": "[^"]*"/"version": "V"/' -e 's/^fewbit [0-9]+\.[0-9]+\.[0-9]+$/fewbit V/' "$work/raw"
    echo "exit $code"
} > "$work/actual"
if [ "${UPDATE:-}" = 1 ]; then
    cp "$work/actual" "$expected"
    exit 0
fi
diff -u "$expected" "$work/actual" && exit 0
echo "if the new output is what it should be: UPDATE=1 $0 $case $FEWBIT $SOURCE"
exit 1
