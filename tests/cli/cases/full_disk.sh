# A full disk, on standard output and for the output file; a reader that went away; too little memory.
model=$SOURCE/examples/fashion/fashion.onnx
"$FEWBIT" list operators > /dev/full
echo "exit $?"
"$FEWBIT" inspect --json "$model" > /dev/full
echo "exit $?"
(
    trap '' PIPE
    "$FEWBIT" inspect "$model" --json
    echo "exit $?" >&2
) | true
# A limit on the size of files stands for a disk that fills up half-way.
(
    ulimit -f 8
    "$FEWBIT" quantize "$model" --preset int8-weights -o out.onnx
    echo "exit $?"
)
ls -A
"$FEWBIT" quantize "$model" --preset int8-weights -o out.onnx --max-memory 60K
echo "exit $?"
ls -A
