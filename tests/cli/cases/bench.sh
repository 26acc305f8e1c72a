# bench: a row per model; inputs whose size is open need --shape.
model=$SOURCE/examples/fashion/fashion.onnx
$FEWBIT bench "$model" --runs 3 --threads 1 --json
$FEWBIT bench "$model" --baseline "$model" --runs 3 --format csv | cut -d, -f2,3
$FEWBIT bench "$model" --shape pixels=2x1x28x28 --runs 3 --json | grep batch
$FEWBIT bench "$model" --shape pixels=2x1 --runs 3
echo "exit $?"
$FEWBIT bench "$model" --shape pixels --runs 3
echo "exit $?"
