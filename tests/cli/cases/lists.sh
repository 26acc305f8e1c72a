# What `list` shows. The operators are many: their count is the test of the table, not of this case.
for kind in presets methods formats metrics encodings families; do
    echo "== $kind"
    $FEWBIT list $kind
done
$FEWBIT list presets --json
$FEWBIT list presets --format csv | head -2
$FEWBIT list presets --format md | head -3
$FEWBIT list operators | grep -w -c -E 'Conv|MatMul|QuantizeLinear'
