# Files and folders that hold tensors but no graph: what inspect shows of them, and what is refused.
seeds=$SOURCE/tests/fuzz/seeds
cp "$seeds/gguf/vocabulary" v.gguf
$FEWBIT inspect v.gguf
$FEWBIT inspect v.gguf --json
mkdir hf
cp "$seeds/safetensors/plain" hf/model.safetensors
echo '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1, "rms_norm_eps": 1e-06, "tie_word_embeddings": true}' > hf/config.json
$FEWBIT hf
$FEWBIT inspect hf/model.safetensors --format csv
head -c 600 v.gguf > cut.gguf
$FEWBIT inspect cut.gguf
echo "exit $?"
ln -s ../v.gguf hf/link.safetensors
printf '{"metadata":{},"weight_map":{"a":"link.safetensors"}}' > hf/model.safetensors.index.json
$FEWBIT inspect hf/model.safetensors.index.json
echo "exit $?"
$FEWBIT inspect v.gguf --plan
echo "exit $?"
# a file of llama2.c: seven numbers, then 560 floats
{
    printf '\010\0\0\0\014\0\0\0\001\0\0\0\002\0\0\0\001\0\0\0\005\0\0\0\004\0\0\0'
    head -c 2240 /dev/zero
} > tiny.bin
$FEWBIT inspect tiny.bin | head -3
$FEWBIT inspect tiny.bin --json | sed -n '/"language"/,/}/p'
# the steps of a run: of one token, of three
rows() {
    sed -E -e 's/ +(scalar|avx[a-z0-9]*|amx|neon)  /  ROW  /' -e 's/  +/  /g'
}
$FEWBIT inspect tiny.bin --plan | rows
$FEWBIT inspect tiny.bin --plan --shape input_ids=3 --format csv | grep logits | cut -d, -f2-4,7-12
$FEWBIT inspect tiny.bin --plan --mode float --json | grep -E '"(mode|tokens)": ([0-9]|"f)'
for wrong in '--shape input_ids=0' '--shape pixels=2' '--context 4' '--mode fast'; do
    $FEWBIT inspect tiny.bin --plan $wrong
    echo "exit $?"
done
