# Files that are not what was meant: told by content, with what to do; nothing written.
try() {
    echo "== $1"
    shift
    "$@"
    echo "exit $?"
}
model=$SOURCE/examples/fashion/fashion.onnx
printf '\200\004\225\012\000\000\000\000\000\000\000}q\000X' > a.pt
printf '\034\000\000\000TFL3\000\000\000\000\000\000\000\000' > a.tflite
printf 'GGUF\003\000\000\000\000\000\000\000\000\000\000\000' > a.gguf
printf 'ptrt\000\000\000\000\000\000\000\000' > a.engine
printf '\100\000\000\000\000\000\000\000{"a":{}}' > a.safetensors
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n' > lfs.onnx
: > empty.onnx
head -c 20000 "$model" > cut.onnx
printf 'hello, this is a text\n' > text.onnx
mkdir saved hf plain
: > saved/saved_model.pb
echo '{}' > hf/config.json
mkfifo fifo
for file in a.pt a.tflite a.gguf a.engine a.safetensors lfs.onnx empty.onnx cut.onnx text.onnx saved hf plain fifo /dev/zero absent.onnx org/model; do
    try "$file" "$FEWBIT" inspect "$file"
done
try "quantize cut.onnx" "$FEWBIT" quantize cut.onnx --preset int8-weights
try "calibration absent" "$FEWBIT" quantize "$model" --calibration absent -o out.onnx
try "calibration empty" "$FEWBIT" quantize "$model" --calibration plain -o out.onnx
try "recipe absent" "$FEWBIT" quantize "$model" --recipe absent.json -o out.onnx
echo '{"rules": [' > broken.json
try "recipe broken" "$FEWBIT" quantize "$model" --recipe broken.json -o out.onnx
try "statistics broken" "$FEWBIT" quantize "$model" --statistics text.onnx -o out.onnx
ls -A
