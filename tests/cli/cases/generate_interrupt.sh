# generate, interrupted: what was made stands, the exit code is 130.
model=$SOURCE/../shared/data/llm/stories260K-f32.gguf
[ -e "$model" ] || { echo "skipped: there is no ../shared/data/llm/stories260K-f32.gguf"; exit 77; }
awk 'BEGIN { for (i = 0; i < 4000; i++) print "Once upon a time there was a cat" }' > prompts
"$FEWBIT" generate "$model" --prompts prompts -n 400 -q --cache-type f16 > text 2> errors &
sleep 1
kill -INT $!
wait $!
echo "exit $?"
cat errors
