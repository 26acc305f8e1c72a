# Wrong usage: what is wrong, the nearest name, exit code 2.
try() {
    echo "== fewbit $*"
    $FEWBIT "$@"
    echo "exit $?"
}
model=$SOURCE/examples/fashion/fashion.onnx
try
try inspet
try banana
try inspect
try inspect "$model" "$model"
try inspect --jsn "$model"
try inspect --preset int8-static "$model"
try inspect "$model" --format jsn
try inspect "$model" --json --format csv
try inspect "$model" --threads -1
try inspect "$model" --threads two
try inspect "$model" --threads 1000
try inspect "$model" --threads
try inspect "$model" --max-memory lots
try inspect "$model" --isa avx51
try quantize "$model"
try quantize "$model" --preset int8-statik
try quantize "$model" --preset int8-weights --recipe x.json
try quantize "$model" --preset int8-weights -o "$model" --force
try quantize "$model" --preset int8-static --set nonsense
try quantize "$model" --preset int8-weights --target onnxrt
try calibrate "$model" --data x
try calibrate "$model" -o x
try evaluate "$model"
try evaluate "$model" --data x --max-loss 2
try list prests
try list
try help qantize
printf 'not empty' > exists
try quantize "$model" --preset int8-weights -o exists
try quantize "$model" --preset int8-weights -o nowhere/out.onnx
cp "$model" copy.onnx
try calibrate copy.onnx --data copy.onnx -o copy.onnx --force
try evaluate copy.onnx --data "$SOURCE/examples/fashion/calibration.npz" --save-outputs copy.onnx --force
try quantize copy.onnx --preset int8-weights -o -
try inspect copy.onnx --plan --shape picture=1x1x28x28
try inspect copy.onnx --thr 2
try bench copy.onnx --batch 0
cmp copy.onnx "$model" && rm copy.onnx
"$FEWBIT" inspect "$(printf 'na\033[31mme')"
ls
