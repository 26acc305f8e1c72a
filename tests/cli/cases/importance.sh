# calibrate of a language model: an importance matrix that quantize takes, the same for any number of threads, and what is refused.
. "$SOURCE/tests/cli/shared_data.sh"
cp "$data/stories260K-f32.gguf" m.gguf
head -c 20000 "$data/tinystories_val.txt" > text.txt

"$FEWBIT" calibrate m.gguf --data text.txt --windows 4 -o a.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt --windows 4 -o b.imatrix.gguf --threads 3 --json
cmp a.imatrix.gguf b.imatrix.gguf && echo "the same bytes"
"$FEWBIT" inspect a.imatrix.gguf --format csv 2>&1 | grep -E 'imatrix|attn_q|ffn_down' | head -8
"$FEWBIT" quantize m.gguf --imatrix a.imatrix.gguf -p q4_0 -o with.gguf --format csv > /dev/null 2>&1 && echo "quantized"
"$FEWBIT" quantize m.gguf -p q4_0 -o without.gguf --format csv > /dev/null 2>&1
cmp -s with.gguf without.gguf || echo "importance made a difference"
"$FEWBIT" calibrate m.gguf --data text.txt --context 64 --windows 2 -o c.imatrix.gguf

# added up: what was measured before, and files alone
"$FEWBIT" calibrate m.gguf --data text.txt --windows 4 --merge a.imatrix.gguf -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --merge a.imatrix.gguf --merge b.imatrix.gguf -o e.imatrix.gguf
cmp d.imatrix.gguf e.imatrix.gguf && echo "the same sums"
"$FEWBIT" calibrate m.gguf --merge e.imatrix.gguf --merge c.imatrix.gguf -o f.imatrix.gguf --json
rm d.imatrix.gguf e.imatrix.gguf f.imatrix.gguf

# refused
: > empty.txt
echo "Once upon a time" > short.txt
echo '{"question": "The sky is", "choices": [" blue.", " of."], "answer": 0}' > q.jsonl
echo '{"ids": [1, 2, 70000]}' > ids.jsonl
for text in empty.txt short.txt q.jsonl ids.jsonl missing.txt; do
    "$FEWBIT" calibrate m.gguf --data $text -o d.imatrix.gguf
done
"$FEWBIT" calibrate m.gguf --data text.txt --windows 4000 -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt --context 4 -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt -o a.imatrix.gguf
"$FEWBIT" calibrate m.gguf -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt
"$FEWBIT" calibrate m.gguf --merge text.txt -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --merge m.gguf -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --merge a.imatrix.gguf --windows 3 -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt --samples 4 -o d.imatrix.gguf
"$FEWBIT" calibrate m.gguf --data text.txt --windows 1 -o missing/d.imatrix.gguf
"$FEWBIT" calibrate "$SOURCE/examples/fashion/fashion.onnx" --data text.txt --windows 4 -o d.stats
ls
