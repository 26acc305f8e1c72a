# The front door; the work is done by CMake, ctest and the scripts in tools/.
.PHONY: all demo test asan check-full soak bench peers conformance format clean

all:             # an optimized build without tests being run
	tools/setup.sh
	cmake --preset release
	cmake --build --preset release

demo:            # the embedded example: table, verdict, next commands; installs what it needs when run as root
	tools/demo.sh

test:            # everything a change must pass
	.ci/run

asan:            # the whole suite under AddressSanitizer and UBSan
	tools/setup.sh --tests
	cmake --preset asan
	cmake --build --preset asan
	ctest --preset asan --timeout 600

check-full:      # the same as test, with the slow tests and clang-tidy
	FEWBIT_FULL=1 .ci/run

soak:            # every fuzz target for FEWBIT_SOAK_SECONDS (600) each, with clang
	tools/setup.sh --tests
	tools/soak.sh

bench:           # kernels: checked against the scalar definition, then timed
	tools/setup.sh
	cmake --preset release
	cmake --build --preset release --target bench_kernels
	build/release/bin/bench_kernels

peers:           # ONNX Runtime, OpenVINO and others for bench/peers, outside this folder
	bench/peers/setup.sh

conformance:     # the ONNX backend node tests of ../shared/data/conformance
	tools/setup.sh --tests
	cmake --preset dev
	cmake --build --preset dev --target run_conformance
	tools/conformance.sh build/dev/tests/run_conformance

format:
	tools/format.sh

clean:
	rm -rf build
