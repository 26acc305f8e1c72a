# Help of every command, and that the manual pages come from the same tables.
$FEWBIT --help
for command in inspect quantize calibrate evaluate bench generate tokenize list cpu help; do
    echo "== $command"
    $FEWBIT $command --help
    $FEWBIT help $command > same
    $FEWBIT $command --help | cmp - same
    $FEWBIT help --man $command | grep -c '^\.TP' | xargs test 0 -lt || echo "no options in the manual page of $command"
done
$FEWBIT --version
# what the Tab key gives
$FEWBIT help --completion bash > completion
complete() {
    bash -c '. ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fewbit; echo "$*: ${COMPREPLY[*]}"' - "$@"
}
complete fewbit ""
complete fewbit e
complete fewbit generate --te
complete fewbit tokenize model.gguf -
complete fewbit generate mod
complete fewbit help q
$FEWBIT help --completion fish
