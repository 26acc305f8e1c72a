# What inspect shows of a float model and of a quantized one.
data=$SOURCE/examples/fashion
$FEWBIT "$data/fashion.onnx"
$FEWBIT inspect "$data/fashion.onnx" --format csv | head -3
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" -o q.onnx --quiet > /dev/null
$FEWBIT inspect q.onnx
$FEWBIT q.onnx --format md | head -12
$FEWBIT --json q.onnx | grep -A4 '"model"'
