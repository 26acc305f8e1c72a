# Ctrl-C and a polite kill: exit codes 130 and 143, no output, no temporary file.
data=$SOURCE/examples/fashion
stop() {
    signal=$1
    shift
    "$FEWBIT" "$@" > out 2>&1 &
    sleep 0.4
    kill -s "$signal" $!
    wait $!
    echo "exit $?"
    cat out
    rm out
}
stop INT bench "$data/fashion.onnx" --shape pixels=64x1x28x28 --runs 1000 --isa scalar --threads 1
stop TERM bench "$data/fashion.onnx" --shape pixels=64x1x28x28 --runs 1000 --isa scalar --threads 1
stop INT quantize "$data/fashion.onnx" --calibration "$data/test.npz" -o out.onnx --isa scalar --threads 1
ls -A
