# The file depends on neither threads, batch, instruction set nor the way over a statistics file.
data=$SOURCE/examples/fashion
q() {
    rm -f out.onnx
    $FEWBIT quantize "$data/fashion.onnx" -o out.onnx --quiet "$@" > log || cat log
    sha256sum < out.onnx
}
{
    q -c "$data/calibration.npz" --threads 1
    q -c "$data/calibration.npz" --threads 2
    q -c "$data/calibration.npz" --threads 3 --batch 7
    q -c "$data/calibration.npz" --isa scalar
    q -c "$data/calibration.npz" --isa avx2
    $FEWBIT calibrate "$data/fashion.onnx" --data "$data/calibration.npz" -o s > /dev/null
    q --statistics s
} | uniq -c
