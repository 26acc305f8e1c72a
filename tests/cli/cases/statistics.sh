# Statistics: written once, merged, refused for another model.
data=$SOURCE/examples/fashion
$FEWBIT calibrate "$data/fashion.onnx" --data "$data/calibration.npz" --samples 50 --selection first -o a.stats
echo "exit $?"
$FEWBIT calibrate "$data/fashion.onnx" --data "$data/test.npz" --samples 50 --seed 7 -o b.stats --quiet
$FEWBIT calibrate "$data/fashion.onnx" --merge a.stats --merge b.stats -o both.stats --json
echo "exit $?"
$FEWBIT calibrate "$data/fashion.onnx" --merge a.stats --merge a.stats -o twice.stats
echo "exit $?"
$FEWBIT calibrate "$data/fashion.onnx" --data "$data/calibration.npz" -o both.stats
echo "exit $?"
$FEWBIT quantize "$data/fashion.onnx" --statistics both.stats -o out.onnx
echo "exit $?"
$FEWBIT quantize "$SOURCE/tests/cli/fixtures/hostile.onnx" --statistics both.stats -o other.onnx
echo "exit $?"
head -c 100 a.stats > cut.stats
$FEWBIT quantize "$data/fashion.onnx" --statistics cut.stats -o cut.onnx
echo "exit $?"
ls -A
