# bench of a language model: tokens per second of prompts and generation. Times are masked.
. "$SOURCE/tests/cli/shared_data.sh"
model=$data/stories260K-f32.gguf
cp "$model" m.gguf
measured='(prompt|generation)_tps|(prompt|generation)_tps_deviation|load_ms|first_token_ms|session_bytes|peak_bytes'
"$FEWBIT" bench m.gguf --prompt 12 --generate 5 --runs 2 --threads 1 --json | sed -E -e "s/\"($measured)\": [0-9.e+-]+/\"\1\": NUMBER/"
"$FEWBIT" bench m.gguf --prompt 8,16 --generate 5 --runs 2 --threads 1,2 --batch 2 --cache-type f32 --format csv | cut -d, -f1-4
"$FEWBIT" bench m.gguf --prompt 16 --runs 1 --threads 1 --profile --format csv | cut -d, -f1 | sort -u | head -4
"$FEWBIT" bench m.gguf --prompt 16 --runs 1 --cache-type q4
echo "exit $?"
"$FEWBIT" bench m.gguf --prompt 16 --runs 1 --max-memory 1M 2>&1 | sed -E 's/error: .* needs/error: something needs/; s/[0-9,]+ bytes/N bytes/g; s/[0-9.]+ [kMG]i?B/SIZE/g'
