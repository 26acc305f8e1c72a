# Every preset that needs no samples writes a file that is smaller and evaluates.
data=$SOURCE/examples/fashion
for preset in int8-weights int4-weights float16 bfloat16 int8-dynamic; do
    echo "== $preset"
    $FEWBIT quantize "$data/fashion.onnx" -p $preset -o $preset.onnx
    $FEWBIT evaluate $preset.onnx --baseline "$data/fashion.onnx" --data "$data/calibration.npz" | grep -E '^(top-1|verdict)'
done
echo "== an exclusion, a target, the other layout"
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" -x type:Gemm -x '/0/*' -t openvino -o x.onnx
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" --layout qoperator -o qop.onnx
$FEWBIT qop.onnx | grep QLinearConv
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" -x 'no/such/node' -o y.onnx
echo "exit $?"
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" --dry-run
ls -A
