# generate, interrupted: what was made stands, the exit code is 130.
. "$SOURCE/tests/cli/shared_data.sh"
model=$data/stories260K-f32.gguf
awk 'BEGIN { for (i = 0; i < 4000; i++) print "Once upon a time there was a cat" }' > prompts
"$FEWBIT" generate "$model" --prompts prompts -n 400 -q --cache-type f16 > text 2> errors &
sleep 1
kill -INT $!
wait $!
echo "exit $?"
cat errors
