# Help of every command, and that the manual pages come from the same tables.
$FEWBIT --help
for command in inspect quantize calibrate evaluate bench list cpu help; do
    echo "== $command"
    $FEWBIT $command --help
    $FEWBIT help $command > same
    $FEWBIT $command --help | cmp - same
    $FEWBIT help --man $command | grep -c '^\.TP' | xargs test 0 -lt || echo "no options in the manual page of $command"
done
$FEWBIT --version
