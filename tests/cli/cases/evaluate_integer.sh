# evaluate --mode integer: both executions of a quantized model on the same samples. How many outputs differ is the engine's matter; that
# no answer of the 2,000 changes by more than a few is this case's.
data=$SOURCE/examples/fashion
$FEWBIT quantize "$data/fashion.onnx" -c "$data/calibration.npz" -o q.onnx --quiet > /dev/null
$FEWBIT evaluate q.onnx --baseline "$data/fashion.onnx" --data "$data/test.npz" --mode integer --max-loss 2 > table
echo "exit $?"
sed -E -e 's/[0-9]+\.[0-9]+(e-?[0-9]+)?|exact/NUMBER/g' -e 's/[+-]NUMBER/NUMBER/g' -e 's/^(logits +[0-9,]+) +[0-9,]+/\1 COUNT/' -e 's/ on [0-9]+ of/ on FEW of/' -e 's/: [0-9,]+ of ([0-9,]+) differ/: FEW of \1 differ/' \
    -e 's/verdict: [a-z]+/verdict: WORD/' -e 's/  +/  /g' -e 's/ [01]( +NUMBER)$/ NUMBER\1/' table
$FEWBIT evaluate q.onnx --data "$data/test.npz" --mode integer --json > document
sed -n -E 's/.*"differing_top1": ([0-9]+).*/\1/p' document | head -1 | { read -r changed && [ "$changed" -le 10 ] && echo "at most 10 answers changed"; }
grep -E '"(integer_against_simulated|elements)"' document
$FEWBIT evaluate q.onnx --data "$data/test.npz" --mode float
