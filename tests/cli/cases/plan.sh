# inspect --plan: what would run, step by step, of a float model and of a quantized one. Which row serves is the machine's.
data=$SOURCE/examples/fashion
rows() {
    sed -E -e 's/ +(scalar|avx[a-z0-9]*|amx|neon)  /  ROW  /' -e 's/"isa": "[a-z0-9]+"/"isa": "ISA"/' -e 's/  +/  /g'
}
$FEWBIT inspect "$data/fashion.onnx" --plan --mode float | rows
$FEWBIT inspect "$data/fashion.onnx" --plan --shape pixels=2x1x28x28 --format csv | cut -d, -f2-4,7-12 | tail -2
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" -o q.onnx --quiet > /dev/null
$FEWBIT inspect q.onnx --plan --mode simulated --isa scalar | grep Gemm | sed -E 's/^ *[0-9]+ +//'
$FEWBIT inspect q.onnx --plan --mode integer --json > plan.json
grep -A400 '"plan"' plan.json | grep -E '"(mode|schema)"'
grep -c '"weight_bytes"' plan.json | sed 's/^[0-9][0-9]*$/steps are listed/'
$FEWBIT inspect q.onnx --mode integer
echo "exit $?"
$FEWBIT inspect q.onnx --shape pixels=2x1x28x28
echo "exit $?"
$FEWBIT inspect q.onnx --plan --shape pixels=2x3
