# generate: text, ids, several prompts at a time, draws by seed, and what is refused. Speeds are masked.
. "$SOURCE/tests/cli/shared_data.sh"
cp "$data/stories260K-f32.gguf" m.gguf
generate() {
    "$FEWBIT" generate "$@" 2> notes
    code=$?
    sed -E -e 's/, [0-9.]+ per second//g' -e 's/first token after .*/first token and so on/' notes
    return $code
}
generate m.gguf -p "" -n 200 > text
sed -i '$d' text # the line about speed
cmp text "$data/stories260K_expected_greedy_200.txt" && echo "the expected 200 tokens"
generate "$data/stories260K.bin" --tokenizer "$data/tok512.bin" -p "" -n 200 -q --threads 2 | cmp - "$data/stories260K_expected_greedy_200.txt" && echo "and of llama2.c's file"
generate m.gguf -p "Once upon a time" -n 12
generate m.gguf -p "Once upon a time" -n 12 -p "The cat" -q
generate m.gguf --ids 1,403,407 -n 6 --tokenizer "$data/tok512.bin"
printf 'The cat\n\nOnce upon a time\n' | generate m.gguf --prompts - -n 12 -q --cache-type f32
generate m.gguf -p "The cat" -n 4 --json | sed -E -e 's/("(load_seconds|first_token_seconds|prompt_tps|generation_tps)": )[0-9.e+-]+/\1NUMBER/'
generate m.gguf -p "The dog" -n 16 --temperature 1.2 --top-k 40 --top-p 0.95 --min-p 0.02 --seed 3 -q > first
generate m.gguf -p "The dog" -n 16 --temperature 1.2 --top-k 40 --top-p 0.95 --min-p 0.02 --seed 3 -q --threads 2 --isa scalar | cmp - first && echo "the same draws"
generate m.gguf -p "The dog" -n 16 --temperature 1.2 --top-k 40 --top-p 0.95 --min-p 0.02 --seed 4 -q | cmp -s - first || echo "other draws"
generate m.gguf --ids 1,403,407,198 -n 100 -q --json > long.json # begins in the middle of a character
grep -c "\"text\": \"$(printf '\357\277\275').\{255,\}" long.json
generate m.gguf --ids 1,403,407 --context 3 --json | grep -A 2 '"ids"' # the context is full: one more token
generate m.gguf -p "a b c d e f g h" -n 0 --context 20 --json | grep stop
head -c 70000000 /dev/zero | generate m.gguf --prompts - # a line without end
echo "exit $?"
for wrong in '' '--chat' '--prompts nothing' '--ids 1,x' '--ids 9999' '-p x --temperature -1' '-p x --top-p 2' '-p x --cache-type q4' '-p x -n 1 --context 513' \
    '-p aaaaaaaaaaaaaaaaaaaaaaaa --context 4' '--ids 1 --system x' '-p x --format csv' '-p x --tokenizer m.json'; do
    generate m.gguf $wrong
    echo "exit $?"
done
# where the tokenizer comes from: beside llama2.c's files, named, or what is wrong with the model
mkdir apart
cp "$data/stories260K.bin" apart/m.bin
generate apart/m.bin -p "The cat" -n 4
echo "exit $?"
cp "$data/tok512.bin" apart/tok512.bin
generate apart/m.bin -p "The cat" -n 4 -q
"$FEWBIT" tokenize apart/m.bin -p "The cat" --json | grep '"kind"'
cp "$data/tok512.bin" apart/tokenizer.bin
generate apart/m.bin -p "The cat" -n 4
echo "exit $?"
head -c 20000 m.gguf > cut.gguf
generate cut.gguf -p x
echo "exit $?"
"$FEWBIT" tokenize cut.gguf -p x
echo "exit $?"
echo '{' > broken.json
"$FEWBIT" tokenize broken.json -p x
echo "exit $?"
generate m.gguf --tokenizer "$data/ggml-vocab-llama-spm.gguf" -p "" -n 2
# what is no language model
echo "this is a text, no model" > text.txt
mkdir empty hf
echo '{}' > hf/config.json
for wrong in "$SOURCE/examples/fashion/fashion.onnx" text.txt empty hf nothing.gguf org/model; do
    generate "$wrong" -p x
    echo "exit $?"
done
# no output replaces what is read, no data is anything but text
"$FEWBIT" calibrate m.gguf --data text.txt -o m.gguf --force
"$FEWBIT" calibrate m.gguf --data text.txt -o text.txt --force
"$FEWBIT" evaluate m.gguf --data text.txt --save-outputs m.gguf --force
"$FEWBIT" quantize m.gguf -o m.onnx
"$FEWBIT" evaluate m.gguf --data m.gguf
"$FEWBIT" evaluate m.gguf --data text.txt
"$FEWBIT" evaluate m.gguf --data text.txt --context 2
"$FEWBIT" bench m.gguf --shape input_ids=8
generate m.gguf --temp 0.7 -p x
cmp m.gguf "$data/stories260K-f32.gguf"
