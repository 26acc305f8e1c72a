# Names from a model never reach the terminal, a page or a sheet as commands: no escape byte in any form of output.
model=$SOURCE/tests/cli/fixtures/hostile.onnx
for form in table md csv json; do
    $FEWBIT inspect "$model" --format $form > out.$form
    echo "$form: exit $?, control bytes: $(tr -d '\n\040-\176\200-\377' < out.$form | wc -c)"
done
for form in table md csv json; do
    $FEWBIT inspect "$model" --plan --mode float --format $form > plan.$form
    echo "plan, $form: exit $?, control bytes: $(tr -d '\n\040-\176\200-\377' < plan.$form | wc -c)"
    $FEWBIT bench "$model" --runs 1 --profile --format $form > bench.$form 2> /dev/null
    echo "profile, $form: exit $?, control bytes: $(tr -d '\n\040-\176\200-\377' < bench.$form | wc -c)"
done
cat out.table
grep HYPERLINK out.csv
grep -c '<script>' out.md
$FEWBIT quantize "$model" --preset int8-weights --set weights=s8 -o q.onnx > out.quantize 2>&1
echo "exit $?, control bytes: $(tr -d '\n\040-\176\200-\377' < out.quantize | wc -c)"
$FEWBIT bench "$model" --runs 1 --format csv > /dev/null
echo "exit $?"
