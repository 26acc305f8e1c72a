# quantize of a checkpoint: the plan, what is refused, the default output's name.
cp "$SOURCE/tests/fuzz/seeds/gguf/vocabulary" tiny-F16.gguf
$FEWBIT quantize tiny-F16.gguf -n
$FEWBIT quantize tiny-F16.gguf -p Q8_0
echo "exit $?"
ls
$FEWBIT quantize tiny-F16.gguf -p Q8_0
echo "exit $?"
$FEWBIT quantize tiny-F16.gguf -p q8_0 --force --json
$FEWBIT quantize tiny-F16.gguf -p Q4_K_N
echo "exit $?"
$FEWBIT quantize tiny-F16.gguf -p int8-static
echo "exit $?"
$FEWBIT quantize tiny-F16.gguf --calibration x
echo "exit $?"
$FEWBIT quantize tiny-F16.gguf --set 'no.such=q8_0'
echo "exit $?"
$FEWBIT quantize tiny-F16.gguf -o tiny-F16.gguf --force
echo "exit $?"
{
    printf '\010\0\0\0\014\0\0\0\001\0\0\0\002\0\0\0\001\0\0\0\005\0\0\0\004\0\0\0'
    head -c 2240 /dev/zero
} > llama2c.bin
$FEWBIT quantize llama2c.bin -o no.gguf
echo "exit $?"
$FEWBIT quantize missing.onnx --pure
