# The embedded example: table, verdict, next commands; exit code 0 because the gate passes.
"$(dirname "$FEWBIT")/demo" "$SOURCE/examples/fashion" . > out
code=$?
# Times are masked, and what integers decide by a unit here or there: the gate is what holds. The rest is the same everywhere.
sed -E -e 's/^((FP32|int8-[a-z]+) .*)  +[0-9]+\.[0-9]{3}  /\1 MS  /' -e '/^speed/s/[0-9]+\.[0-9]+/NUMBER/g' \
    -e '/^int8-static/s/  [0-9.]+ %  .* %/  TOP1 %  CHANGE  AGREEMENT %/' -e '/^integers/s/[0-9]+ of/FEW of/g' -e 's/\(loss -?[0-9.]+ </(loss NUMBER </' out | tr -s ' '
ls
exit $code
