# A mixture of experts made of zeros, whose router takes the first two of four: their counts, and what is said of the others.
mkdir moe
cat > moe/config.json << 'END'
{"model_type": "mixtral", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
 "max_position_embeddings": 64, "num_local_experts": 4, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5, "vocab_size": 8, "rope_theta": 10000.0,
 "hidden_act": "silu", "tie_word_embeddings": false}
END
at=0
entries=
tensor() { # NAME ROWS: rows of 32 floats; 0: one axis
    rows=$2
    shape="$rows,32"
    if [ "$rows" = 0 ]; then rows=1 shape=32; fi
    end=$((at + rows * 128))
    entries="$entries${entries:+,}\"$1\":{\"dtype\":\"F32\",\"shape\":[$shape],\"data_offsets\":[$at,$end]}"
    at=$end
}
tensor model.embed_tokens.weight 8
tensor lm_head.weight 8
tensor model.norm.weight 0
layer=model.layers.0
tensor $layer.input_layernorm.weight 0
tensor $layer.post_attention_layernorm.weight 0
for name in q k v o; do tensor $layer.self_attn.${name}_proj.weight 32; done
tensor $layer.block_sparse_moe.gate.weight 4
for expert in 0 1 2 3; do
    for name in w1 w2 w3; do tensor $layer.block_sparse_moe.experts.$expert.$name.weight 32; done
done
header=$(printf '{%s}' "$entries")
length=$(printf '%s' "$header" | wc -c)
{
    printf "\\$(printf %o $((length % 256)))\\$(printf %o $((length / 256)))\\0\\0\\0\\0\\0\\0"
    printf '%s' "$header"
    head -c $at /dev/zero
} > moe/model.safetensors
echo '{"ids": [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3]}' > ids.jsonl

"$FEWBIT" calibrate moe --data ids.jsonl --context 8 -o moe.imatrix.gguf
"$FEWBIT" calibrate moe --data ids.jsonl --context 8 -o moe.imatrix.gguf --force --json | grep -E 'experts|weights'
"$FEWBIT" inspect moe.imatrix.gguf --format csv 2>&1 | grep _exps
"$FEWBIT" quantize moe --pure -p q4_0 --imatrix moe.imatrix.gguf --dry-run 2>&1 | grep unseen
ls
