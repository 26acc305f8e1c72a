# The embedded example: table, verdict, next commands; exit code 0 because the gate passes.
"$(dirname "$FEWBIT")/demo" "$SOURCE/examples/fashion" . > out
code=$?
# Milliseconds are masked, the rest is the same everywhere.
sed -E 's/^((FP32|int8-[a-z]+) .*)  +[0-9]+\.[0-9]{3}  /\1 MS  /' out | tr -s ' '
ls
exit $code
