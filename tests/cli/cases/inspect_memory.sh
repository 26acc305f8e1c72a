# inspect --context: what a language model takes of memory, and which context fits.
. "$SOURCE/tests/cli/shared_data.sh"
model=$data/stories260K-f32.gguf
cp "$model" m.gguf
$FEWBIT inspect m.gguf --context 512 --threads 1
$FEWBIT inspect m.gguf --context 100000 --memory 12M --cache-type f32 --threads 1
$FEWBIT inspect m.gguf --context 100000 --memory 2M --threads 1 --format csv
$FEWBIT inspect m.gguf --context 512 --memory 4M --cache-type q8_0 --threads 1
$FEWBIT inspect m.gguf --context 512 --memory 1G --threads 1 --json
$FEWBIT inspect m.gguf --memory 1G
echo "exit $?"
$FEWBIT inspect $SOURCE/examples/fashion/fashion.onnx --context 100
