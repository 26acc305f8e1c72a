#!/bin/sh
# Installs the Debian 12 packages that building and testing need, when some are missing and this is root; otherwise names them.
# usage: tools/setup.sh [--tests]     --tests: also what the tests need
set -eu
build="gcc libc6-dev cmake ninja-build pkg-config protobuf-compiler nanopb libnanopb-dev libjansson-dev libssl-dev
libzip-dev libpcre2-dev libutf8proc-dev libpng-dev libjpeg62-turbo-dev libpopt-dev libcmocka-dev libsimde-dev"
tests="g++ gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user clang-14 libclang-rt-14-dev clang-tidy-14 clang-format-14 ccache python3-venv python3-dev ca-certificates xz-utils man-db"
packages=$build
[ "${1:-}" != --tests ] || packages="$build $tests"

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "missing packages; run as root: apt-get install --no-install-recommends$missing" >&2
    # A tool may be there without its package: only what cannot be found is a failure.
    for tool in cmake ninja pkg-config protoc protoc-gen-nanopb; do
        command -v "$tool" > /dev/null || exit 1
    done
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086  # a list of words
apt-get install -q -y --no-install-recommends $missing
