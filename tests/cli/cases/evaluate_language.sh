# evaluate of a language model: perplexity with llama.cpp's windows, against a baseline and a stored one, questions, and what is refused.
. "$SOURCE/tests/cli/shared_data.sh"
cp "$data/stories260K-f32.gguf" m.gguf
head -c 60000 "$data/tinystories_val.txt" > text.txt
tail -c 60000 "$data/tinystories_val.txt" > other.txt
"$FEWBIT" quantize m.gguf -o q.gguf --preset q4_0 --format csv > /dev/null 2>&1

# llama-perplexity -c 512 on the whole text's first 20 windows: 3.7602 +/- 0.09453
"$FEWBIT" evaluate m.gguf --data "$data/tinystories_val.txt" --windows 20
"$FEWBIT" evaluate m.gguf --data text.txt --windows 12 --context 256 --save-outputs base.fbl
"$FEWBIT" evaluate q.gguf --data text.txt --windows 12 --context 256 --baseline m.gguf --metric perplexity,same_top
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs base.fbl --metric kld --max-loss 0.01
echo "exit $?"
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs base.fbl --metric kld --max-loss 0.5 --json > out.json
echo "exit $?"
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs base.fbl --metric same_top,kld --max-loss 0.5 | grep gate # the first that can be one
grep -E '"(schema|samples|windows|context|added_bos|passed|threshold)":' out.json

# questions
cat > q.jsonl <<END
{"question": "Once upon a time, there was a little girl named Lily. She loved to play with her", "choices": ["toys.", "quarterly report."], "answer": 0}
{"context": "The dog ran in the ", "choices": ["eleven.", "park."], "answer": 1}
{"question": "The sky is", "choices": [" blue.", " of.", " the."], "answer": 2}
END
"$FEWBIT" evaluate m.gguf --data q.jsonl
"$FEWBIT" evaluate q.gguf --baseline m.gguf --data q.jsonl --format csv

# refused
"$FEWBIT" evaluate q.gguf --data other.txt --baseline-outputs base.fbl
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs base.fbl --context 512
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs text.txt
head -c 1000 base.fbl > short.fbl
"$FEWBIT" evaluate q.gguf --data text.txt --baseline-outputs short.fbl
"$FEWBIT" evaluate m.gguf --data text.txt --save-outputs base.fbl
"$FEWBIT" evaluate m.gguf --data text.txt --context 4096
"$FEWBIT" evaluate m.gguf --data text.txt --metric kld
"$FEWBIT" evaluate m.gguf --data text.txt --metric perplexty
"$FEWBIT" evaluate m.gguf --data text.txt --max-loss 1
cp "$data/stories260K.bin" alone.bin
"$FEWBIT" evaluate alone.bin --data text.txt
"$FEWBIT" evaluate "$data/stories260K.bin" --tokenizer "$data/tok512.bin" --data text.txt --windows 4
ls
