#!/bin/sh
# The digests of this machine's kernels and of the Arm kernels under the emulator: one and the same, scalar or not.
# usage: same_bits.sh DIGEST EMULATOR ARM_DIGEST
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" scalar > "$folder/scalar"
"$1" > "$folder/best"
"$2" -cpu max "$3" scalar > "$folder/arm_scalar"
"$2" -cpu max "$3" > "$folder/arm_best"
[ "$(wc -l < "$folder/scalar")" -gt 50 ]
for other in best arm_scalar arm_best; do
    diff "$folder/scalar" "$folder/$other" || { echo "$other differs from scalar" >&2; exit 1; }
done
