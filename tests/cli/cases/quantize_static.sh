# The main job: quantize with samples, evaluate against the float model, gate passed and failed; nothing is overwritten or left behind.
data=$SOURCE/examples/fashion
cp "$data/fashion.onnx" m.onnx
$FEWBIT quantize m.onnx --calibration "$data/calibration.npz"
echo "exit $?"
ls -A
$FEWBIT quantize m.onnx --calibration "$data/calibration.npz"
echo "exit $?"
$FEWBIT quantize m.onnx --calibration "$data/calibration.npz" --force --json
echo "exit $?"
$FEWBIT evaluate m.int8.onnx --baseline m.onnx --data "$data/test.npz" --max-loss 2
echo "exit $?"
$FEWBIT evaluate m.int8.onnx --baseline m.onnx --data "$data/test.npz" --max-loss 0 --format csv
echo "exit $?"
$FEWBIT evaluate m.onnx --data "$data/test.npz" --json
echo "exit $?"
ls -A
