/* Hugging Face folders to GGUF: names, order of rows, stacks of experts, key-values, vocabulary. Elements count up, so that a row says where it
 * came from. What the same folders become in llama.cpp's converter: bench/peers/gguf_families.py. */
#include "quantize/hf_folder.h"

static const char llama_config[] = "{\"model_type\":\"llama\",\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                                   "\"vocab_size\":4,\"intermediate_size\":3,\"max_position_embeddings\":16,\"rms_norm_eps\":1e-05,\"head_dim\":4,"
                                   "\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":10000.0,\"factor\":8.0,\"low_freq_factor\":1.0,"
                                   "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}}";

static void test_llama(void **state)
{
    (void)state;
    static const Tensor tensors[] = {{"model.embed_tokens.weight", 2, {4, 4}},
                                     {"model.layers.0.self_attn.q_proj.weight", 2, {8, 2}},
                                     {"model.layers.0.self_attn.k_proj.weight", 2, {4, 1}},
                                     {"model.layers.0.self_attn.k_proj.bias", 1, {4}},
                                     {"model.layers.0.self_attn.rotary_emb.inv_freq", 1, {2}},
                                     {"model.layers.0.input_layernorm.weight", 1, {2}},
                                     {"model.norm.weight", 1, {2}},
                                     {"lm_head.weight", 2, {4, 1}}};
    FbCheckpoint *out;
    WRITE(tensors);
    write_text("config.json", llama_config);
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(out->tensor_count, 8); /* inv_freq left out, rope_freqs made */
    /* Rows of a head, 0 1 | 2 3, become 0 2 1 3. */
    check(out, "blk.0.attn_q.weight", 2, (int64_t[]){8, 2}, (float[]){1000, 1001, 1004, 1005, 1002, 1003, 1006, 1007, 1008, 1009, 1012, 1013, 1010, 1011, 1014, 1015});
    check(out, "blk.0.attn_k.weight", 2, (int64_t[]){4, 1}, (float[]){2000, 2002, 2001, 2003});
    check(out, "blk.0.attn_k.bias", 1, (int64_t[]){4}, (float[]){3000, 3002, 3001, 3003});
    check(out, "blk.0.attn_norm.weight", 1, (int64_t[]){2}, (float[]){5000, 5001});
    check(out, "output_norm.weight", 1, (int64_t[]){2}, (float[]){6000, 6001});
    check(out, "output.weight", 2, (int64_t[]){4, 1}, (float[]){7000, 7001, 7002, 7003});
    /* Waves of 2 pi and 628 positions: below 16 the same, above 64 eight times as long. */
    check(out, "rope_freqs.weight", 1, (int64_t[]){2}, (float[]){1, 8});
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.architecture")), "llama");
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.name")), "tiny");
    assert_int_equal(number_of(out, "llama.block_count"), 1);
    assert_int_equal(number_of(out, "llama.context_length"), 16);
    assert_int_equal(number_of(out, "llama.attention.head_count_kv"), 1);
    assert_int_equal(number_of(out, "llama.rope.dimension_count"), 4);
    assert_int_equal(number_of(out, "llama.rope.freq_base"), 10000);
    assert_int_equal(number_of(out, "general.file_type"), 0);
    assert_non_null(strstr(warnings, "no-tokenizer"));
    fb_checkpoint_free(out);
}

static void test_experts(void **state)
{
    (void)state;
    static const Tensor tensors[] = {{"model.embed_tokens.weight", 2, {2, 2}},
                                     {"model.layers.0.mlp.experts.1.gate_proj.weight", 2, {1, 2}},
                                     {"model.layers.0.mlp.experts.0.gate_proj.weight", 2, {1, 2}},
                                     {"model.layers.0.mlp.gate.weight", 2, {2, 2}},
                                     {"model.layers.1.mlp.experts.gate_up_proj", 3, {2, 4, 2}},
                                     {"model.layers.1.mlp.experts.down_proj", 3, {2, 2, 2}}};
    static const char config[] = "{\"model_type\":\"qwen3_moe\",\"num_hidden_layers\":2,\"num_experts\":2,\"num_experts_per_tok\":1,\"num_attention_heads\":1}";
    FbCheckpoint *out;
    WRITE(tensors);
    write_text("config.json", config);
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.ffn_gate_exps.weight", 3, (int64_t[]){2, 1, 2}, (float[]){2000, 2001, 1000, 1001});
    check(out, "blk.1.ffn_gate_exps.weight", 3, (int64_t[]){2, 2, 2}, (float[]){4000, 4001, 4002, 4003, 4008, 4009, 4010, 4011});
    check(out, "blk.1.ffn_up_exps.weight", 3, (int64_t[]){2, 2, 2}, (float[]){4004, 4005, 4006, 4007, 4012, 4013, 4014, 4015});
    assert_int_equal(fb_checkpoint_tensor(out, "blk.0.ffn_gate_inp.weight")->constant.dtype, FB_DTYPE_F32);
    assert_int_equal(number_of(out, "qwen3moe.expert_count"), 2);
    assert_int_equal(number_of(out, "qwen3moe.expert_used_count"), 1);
    fb_checkpoint_free(out);

    static const Tensor lacking[] = {{"model.layers.0.mlp.experts.1.gate_proj.weight", 2, {1, 2}}};
    WRITE(lacking);
    assert_int_equal(convert("f16", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "expert 0"));
    static const Tensor beyond[] = {{"model.layers.0.mlp.experts.2.gate_proj.weight", 2, {1, 2}}};
    WRITE(beyond);
    assert_int_equal(convert("f16", NULL), FB_ERR_FORMAT);
}

/* Fused experts as [experts, in, gate, up, gate, up, ...]. */
static void test_interleaved_experts(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor tensors[] = {{"model.layers.0.mlp.experts.gate_up_proj", 3, {2, 2, 6}}, {"model.layers.0.mlp.experts.gate_up_proj_bias", 2, {2, 6}},
                                     {"model.layers.0.mlp.experts.down_proj", 3, {2, 3, 2}},    {"model.layers.0.mlp.experts.down_proj_bias", 2, {2, 2}},
                                     {"model.layers.0.self_attn.sinks", 1, {2}},                {"model.layers.0.mlp.router.bias", 1, {2}}};
    WRITE(tensors);
    write_text("config.json", "{\"model_type\":\"gpt_oss\",\"hidden_size\":2,\"intermediate_size\":3,\"num_hidden_layers\":1,\"num_local_experts\":2}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.ffn_gate_exps.weight", 3, (int64_t[]){2, 3, 2}, (float[]){0, 6, 2, 8, 4, 10, 12, 18, 14, 20, 16, 22});
    check(out, "blk.0.ffn_up_exps.weight", 3, (int64_t[]){2, 3, 2}, (float[]){1, 7, 3, 9, 5, 11, 13, 19, 15, 21, 17, 23});
    check(out, "blk.0.ffn_gate_exps.bias", 2, (int64_t[]){2, 3}, (float[]){1000, 1002, 1004, 1006, 1008, 1010});
    check(out, "blk.0.ffn_up_exps.bias", 2, (int64_t[]){2, 3}, (float[]){1001, 1003, 1005, 1007, 1009, 1011});
    check(out, "blk.0.ffn_down_exps.weight", 3, (int64_t[]){2, 2, 3}, (float[]){2000, 2002, 2004, 2001, 2003, 2005, 2006, 2008, 2010, 2007, 2009, 2011});
    check(out, "blk.0.ffn_down_exps.bias", 2, (int64_t[]){2, 2}, (float[]){3000, 3001, 3002, 3003});
    check(out, "blk.0.attn_sinks.weight", 1, (int64_t[]){2}, (float[]){4000, 4001});
    check(out, "blk.0.ffn_gate_inp.bias", 1, (int64_t[]){2}, (float[]){5000, 5001});
    assert_int_equal(number_of(out, "gpt-oss.expert_feed_forward_length"), 3);
    assert_int_equal(number_of(out, "gpt-oss.attention.sliding_window"), 128);
    fb_checkpoint_free(out);
    static const Tensor odd[] = {{"model.layers.0.mlp.experts.gate_up_proj", 3, {2, 2, 5}}}, flat[] = {{"model.layers.0.mlp.experts.down_proj", 2, {2, 2}}};
    WRITE(odd);
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "gate_up_proj"));
    WRITE(flat);
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
}

/* The width of the model tells which side of a fused matrix is which. */
static void test_unknown_experts(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor inputs_first[] = {{"model.layers.0.mlp.experts.gate_up_proj", 3, {1, 2, 6}}, {"model.layers.0.mlp.experts.down_proj", 3, {1, 3, 2}}};
    static const Tensor outputs_first[] = {{"model.layers.0.mlp.experts.gate_up_proj", 3, {1, 6, 2}}, {"model.layers.0.mlp.experts.down_proj", 3, {1, 2, 3}}};
    write_text("config.json", "{\"model_type\":\"my_new\",\"hidden_size\":2,\"num_hidden_layers\":1,\"partial_rotary_factor\":0.5,\"head_dim\":8}");
    WRITE(inputs_first);
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.ffn_gate_exps.weight", 3, (int64_t[]){1, 3, 2}, (float[]){0, 6, 1, 7, 2, 8});
    check(out, "blk.0.ffn_up_exps.weight", 3, (int64_t[]){1, 3, 2}, (float[]){3, 9, 4, 10, 5, 11});
    check(out, "blk.0.ffn_down_exps.weight", 3, (int64_t[]){1, 2, 3}, (float[]){1000, 1002, 1004, 1001, 1003, 1005});
    assert_int_equal(number_of(out, "my-new.rope.dimension_count"), 4);
    fb_checkpoint_free(out);
    WRITE(outputs_first);
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.ffn_gate_exps.weight", 3, (int64_t[]){1, 3, 2}, (float[]){0, 1, 2, 3, 4, 5});
    check(out, "blk.0.ffn_up_exps.weight", 3, (int64_t[]){1, 3, 2}, (float[]){6, 7, 8, 9, 10, 11});
    check(out, "blk.0.ffn_down_exps.weight", 3, (int64_t[]){1, 2, 3}, (float[]){1000, 1001, 1002, 1003, 1004, 1005});
    fb_checkpoint_free(out);
    write_text("config.json", "{\"model_type\":\"qwen3_moe\",\"hidden_size\":2,\"num_hidden_layers\":1}");
    WRITE(inputs_first);
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.ffn_up_exps.weight", 3, (int64_t[]){1, 3, 2}, (float[]){3, 9, 4, 10, 5, 11});
    fb_checkpoint_free(out);
}

/* Any range of rows, also across matrices, is the same as that part of all. */
static void test_ranges_of_columns(void **state)
{
    (void)state;
    enum { EXPERTS = 3, ROWS = 4, COLUMNS = 5, OUTPUTS = 9 };
    FbCheckpoint *in;
    static const Tensor tensors[] = {{"x", 3, {EXPERTS, COLUMNS, OUTPUTS}}};
    WRITE(tensors);
    write_text("config.json", "{}");
    assert_int_equal(fb_checkpoint_open(context, model, &in, &err), FB_OK);
    const FbConst *piece = &fb_checkpoint_tensor(in, "x")->constant;
    FbGgufTensor tensor = {.name = "x", .shape = {3, {EXPERTS, ROWS, COLUMNS}}, .pieces = &piece, .piece_count = 1, .first_row = 1, .matrix_rows = OUTPUTS,
                           .transposed = true, .step = 2};
    for (int64_t first = 0; first < EXPERTS * ROWS; first++) {
        for (int64_t count = 1; first + count <= EXPERTS * ROWS; count++) {
            float rows[EXPERTS * ROWS * COLUMNS];
            assert_int_equal(fb_gguf_rows_read(context, &tensor, first, count, rows, &err), FB_OK);
            for (int64_t i = 0; i < count * COLUMNS; i++) {
                int64_t row = first + i / COLUMNS, column = i % COLUMNS;
                int64_t expected = (row / ROWS * COLUMNS + column) * OUTPUTS + 1 + 2 * (row % ROWS);
                assert_true(rows[i] == (float)expected);
            }
        }
    }
    fb_checkpoint_free(in);
}

/* Families that this library does not run: what they have that others have not. */
static void test_names_only(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor olmo2[] = {{"model.layers.0.post_attention_layernorm.weight", 1, {2}}, {"model.layers.0.post_feedforward_layernorm.weight", 1, {2}}};
    WRITE(olmo2);
    write_text("config.json", "{\"model_type\":\"olmo2\",\"hidden_size\":2,\"num_hidden_layers\":1}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.post_attention_norm.weight", 1, (int64_t[]){2}, (float[]){0, 1});
    check(out, "blk.0.post_ffw_norm.weight", 1, (int64_t[]){2}, (float[]){1000, 1001});
    fb_checkpoint_free(out);

    static const Tensor granite[] = {{"model.layers.0.self_attn.q_proj.weight", 2, {4, 1}}, {"model.layers.0.block_sparse_moe.input_linear.weight", 3, {1, 2, 1}},
                                     {"model.layers.0.block_sparse_moe.router.layer.weight", 2, {1, 1}}};
    WRITE(granite);
    write_text("config.json", "{\"model_type\":\"granitemoe\",\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":1,\"embedding_multiplier\":12}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.attn_q.weight", 2, (int64_t[]){4, 1}, (float[]){0, 2, 1, 3});
    check(out, "blk.0.ffn_up_exps.weight", 3, (int64_t[]){1, 1, 1}, (float[]){1001});
    assert_non_null(fb_checkpoint_tensor(out, "blk.0.ffn_gate_inp.weight"));
    assert_int_equal(number_of(out, "granitemoe.embedding_scale"), 12);
    assert_int_equal(number_of(out, "granitemoe.attention.scale"), 1);
    assert_int_equal(number_of(out, "granitemoe.rope.dimension_count"), 4);
    fb_checkpoint_free(out);

    static const Tensor stablelm[] = {{"model.norm.bias", 1, {2}}};
    WRITE(stablelm);
    write_text("config.json", "{\"model_type\":\"stablelm\",\"hidden_size\":32,\"num_attention_heads\":2,\"partial_rotary_factor\":0.25,\"layer_norm_eps\":1e-5}");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(number_of(out, "stablelm.rope.dimension_count"), 4);
    assert_int_equal(number_of(out, "stablelm.use_parallel_residual"), 0);
    fb_checkpoint_free(out);
}

static void test_families(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor gpt2[] = {{"transformer.wte.weight", 2, {3, 2}}, {"h.0.attn.c_attn.weight", 2, {2, 6}}, {"h.0.attn.bias", 2, {2, 2}},
                                  {"h.0.attn.c_attn.bias", 1, {6}}};
    WRITE(gpt2);
    write_text("config.json", "{\"model_type\":\"gpt2\",\"n_embd\":2,\"n_layer\":1,\"n_head\":1,\"n_positions\":8,\"layer_norm_epsilon\":1e-05}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.attn_qkv.weight", 2, (int64_t[]){6, 2}, (float[]){1000, 1006, 1001, 1007, 1002, 1008, 1003, 1009, 1004, 1010, 1005, 1011});
    check(out, "blk.0.attn_qkv.bias", 1, (int64_t[]){6}, (float[]){3000, 3001, 3002, 3003, 3004, 3005});
    assert_int_equal(out->tensor_count, 3);
    assert_int_equal(number_of(out, "gpt2.feed_forward_length"), 8);
    fb_checkpoint_free(out);

    static const Tensor bloom[] = {{"word_embeddings.weight", 2, {3, 2}}, {"h.0.self_attention.query_key_value.weight", 2, {6, 1}},
                                   {"h.0.self_attention.query_key_value.bias", 1, {6}}};
    WRITE(bloom);
    write_text("config.json", "{\"model_type\":\"bloom\",\"hidden_size\":2,\"n_layer\":1,\"n_head\":2,\"layer_norm_epsilon\":1e-05}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.attn_qkv.weight", 2, (int64_t[]){6, 1}, (float[]){1000, 1003, 1001, 1004, 1002, 1005});
    check(out, "blk.0.attn_qkv.bias", 1, (int64_t[]){6}, (float[]){2000, 2003, 2001, 2004, 2002, 2005});
    fb_checkpoint_free(out);

    static const Tensor gemma[] = {{"model.embed_tokens.weight", 2, {3, 2}}, {"model.layers.0.post_attention_layernorm.weight", 1, {2}},
                                   {"lm_head.weight", 2, {3, 2}}};
    WRITE(gemma);
    write_text("config.json", "{\"model_type\":\"gemma2\",\"hidden_size\":2,\"num_hidden_layers\":1,\"num_attention_heads\":1,\"rms_norm_eps\":1e-06}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check(out, "blk.0.post_attention_norm.weight", 1, (int64_t[]){2}, (float[]){1001, 1002});
    assert_int_equal(out->tensor_count, 2);
    assert_int_equal(number_of(out, "gemma2.attn_logit_softcapping"), 50);
    fb_checkpoint_free(out);
}

static void test_unknown(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor tensors[] = {{"model.embed_tokens.weight", 2, {3, 32}}, {"model.layers.0.mixer.weight", 2, {2, 32}},
                                     {"vision_tower.x.weight", 2, {2, 32}}};
    WRITE(tensors);
    write_text("config.json", "{\"model_type\":\"My_New\",\"hidden_size\":32,\"num_hidden_layers\":1}");
    assert_int_equal(convert("q8_0", &out), FB_OK);
    assert_int_equal(out->tensor_count, 2);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.architecture")), "-y--ew");
    assert_non_null(fb_checkpoint_tensor(out, "model.layers.0.mixer.weight")->constant.encoding);
    fb_checkpoint_free(out);
}

static const char tokens_json[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true},{\"id\":4,\"content\":\"\xe2\x96\x81tool\",\"special\":false}],"
    "\"pre_tokenizer\":%s,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]},"
    "\"model\":{\"type\":\"BPE\",\"byte_fallback\":%s,\"vocab\":{\"a\":1,\"b\":2,\"ab\":3},\"merges\":%s}}";

static void write_tokenizer(const char *pre, const char *fallback, const char *merges)
{
    char text[2048];
    static const Tensor tensors[] = {{"model.embed_tokens.weight", 2, {6, 4}}};
    snprintf(text, sizeof text, tokens_json, pre, fallback, merges);
    WRITE(tensors);
    write_text("config.json", llama_config);
    write_text("tokenizer.json", text);
    write_text("tokenizer_config.json", "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"<s>\"},\"model_max_length\":1000000000000000019884624838656,"
                                        "\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},{\"name\":\"tool use\",\"template\":\"T\"}]}");
}

static void check_strings(const FbCheckpoint *out, const char *key, const char *const *expected, size_t count)
{
    FbArena *arena = fb_arena_create(context);
    FbBytes *strings;
    const FbMeta *meta = fb_checkpoint_meta(out, key);
    assert_non_null(meta);
    assert_int_equal(meta->count, count);
    assert_int_equal(fb_meta_read_strings(arena, meta, &strings, &err), FB_OK);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal((const char *)strings[i].data, expected[i]);
    }
    fb_arena_free(arena);
}

static void test_byte_level(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const double expected[] = {3, 1, 1, 1, 4, 5};
    double types[6];
    write_tokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\"}]}", "false",
                    "[\"a b\",[\"a \",\"b\"]]");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.ggml.model")), "gpt2");
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.ggml.pre")), "smollm");
    check_strings(out, "tokenizer.ggml.tokens", (const char *const[]){"<s>", "a", "b", "ab", " tool", "[PAD5]"}, 6);
    check_strings(out, "tokenizer.ggml.merges", (const char *const[]){"a b", "a\xc4\xa0 b"}, 2);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(out, "tokenizer.ggml.token_type"), 0, 6, types, &err), FB_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(types[i] == expected[i]);
    }
    assert_int_equal(number_of(out, "tokenizer.ggml.bos_token_id"), 0);
    assert_int_equal(number_of(out, "tokenizer.ggml.eos_token_id"), 0);
    assert_int_equal(number_of(out, "tokenizer.ggml.add_bos_token"), 1);
    assert_int_equal(number_of(out, "tokenizer.ggml.add_eos_token"), 0);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.chat_template")), "D");
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.chat_template.tool_use")), "T");
    assert_string_equal(warnings, "");
    fb_checkpoint_free(out);
    write_tokenizer("{\"type\":\"Whitespace\"}", "false", "[\"a b\"]");
    assert_int_equal(convert("f32", NULL), FB_OK);
    assert_non_null(strstr(warnings, "pre-tokenizer"));
}

static void test_sentence_piece(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const double expected[] = {-1000, -2, -3, -1, -1000, -10000};
    double scores[6];
    write_tokenizer("null", "true", "[\"a b\"]");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.ggml.model")), "llama");
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(out, "tokenizer.ggml.scores"), 0, 6, scores, &err), FB_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(scores[i] == expected[i]);
    }
    assert_int_equal(number_of(out, "tokenizer.ggml.add_space_prefix"), 0);
    fb_checkpoint_free(out);
}

/* llama.cpp counts rows of the embedding by the vocabulary, or by this. */
static void test_no_tokenizer(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor tensors[] = {{"model.embed_tokens.weight", 2, {5, 4}}};
    WRITE(tensors);
    write_text("config.json", "{\"model_type\":\"phi3\",\"vocab_size\":5,\"hidden_size\":4,\"num_hidden_layers\":1,\"num_attention_heads\":1}");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.ggml.model")), "none");
    assert_int_equal(number_of(out, "phi3.vocab_size"), 5);
    assert_non_null(strstr(warnings, "no-tokenizer"));
    fb_checkpoint_free(out);
    write_text("config.json", llama_config); /* says 4; what counts is the embedding */
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(number_of(out, "llama.vocab_size"), 5);
    fb_checkpoint_free(out);
}

/* U+2581 of a user's token is written as a space, and then it is another token's text, which llama.cpp does not bear. */
static void test_equal_tokens(void **state)
{
    (void)state;
    FbCheckpoint *out;
    double types[6];
    write_tokenizer("null", "true", "[\"a b\"]");
    write_text("tokenizer.json", "{\"added_tokens\":[{\"id\":0,\"content\":\" x\"},{\"id\":4,\"content\":\"\xe2\x96\x81x\"}],"
                                 "\"model\":{\"byte_fallback\":true,\"vocab\":{\"a\":1,\"b\":2,\"ab\":3},\"merges\":[\"a b\"]}}");
    assert_int_equal(convert("f32", &out), FB_OK);
    check_strings(out, "tokenizer.ggml.tokens", (const char *const[]){" x", "a", "b", "ab", "[SAME4]", "[PAD5]"}, 6);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(out, "tokenizer.ggml.token_type"), 0, 6, types, &err), FB_OK);
    assert_true(types[0] == 4 && types[4] == 5);
    assert_non_null(strstr(warnings, "equal-tokens"));
    assert_int_equal(number_of(out, "phi3.vocab_size"), -1);
    fb_checkpoint_free(out);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const merges[] = {"[\"ab\"]", "[[\"a\"]]", "[1]", "[\" b\"]", "[\"a \"]"};
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        write_tokenizer("null", "true", merges[i]);
        assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
        assert_non_null(strstr(err.message, "merge 0"));
    }
    static const Tensor small[] = {{"model.embed_tokens.weight", 2, {3, 4}}};
    WRITE(small);
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "3 rows"));
    static const Tensor uneven[] = {{"model.layers.0.self_attn.q_proj.weight", 2, {3, 4}}};
    WRITE(uneven);
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "q_proj"));
    static const Tensor cube[] = {{"model.layers.0.self_attn.q_proj.weight", 3, {4, 2, 2}}};
    WRITE(cube);
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "4x2x2"));
    write_text("config.json", "{\"model_type\":\"llama\"");
    FbCheckpoint *in;
    assert_int_not_equal(fb_checkpoint_open(context, model, &in, &err), FB_OK);
}

/* config.json with this member. */
static void refuse_llama_with(const char *member, FbStatus status, const char *says)
{
    static const Tensor small[] = {{"model.embed_tokens.weight", 2, {4, 4}}};
    char text[1024];
    WRITE(small);
    snprintf(text, sizeof text, "{%s,\"model_type\":\"llama\",\"hidden_size\":4,\"num_attention_heads\":1}", member);
    write_text("config.json", text);
    FbStatus found = convert("f32", NULL);
    if (found != status || strstr(err.message, says) == NULL) {
        fail_msg("%s: status %d, '%s'", member, (int)found, err.message);
    }
}

static void test_settings(void **state)
{
    (void)state;
    refuse_llama_with("\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}", FB_ERR_UNSUPPORTED, "'quantization_config'");
    refuse_llama_with("\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":1e300,\"original_max_position_embeddings\":2}", FB_ERR_FORMAT, "divides a frequency by inf");
    refuse_llama_with("\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":0,\"original_max_position_embeddings\":2}", FB_ERR_FORMAT, "divides a frequency by 0");
    refuse_llama_with("\"head_dim\":1,\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8.0}", FB_ERR_FORMAT, "needs an even head size");
    write_text("config.json", "{\"model_type\":\"phi3\",\"hidden_size\":4,\"num_attention_heads\":1,\"partial_rotary_factor\":1e300}");
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "cannot be rotated"));
    write_text("config.json", "{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":[1,\"x\"],\"short_factor\":[1,1]}}");
    assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "positive numbers"));
}

/* Many layers of one expert each, of very many: refused before there is room for all of them. */
static void test_missing_experts(void **state)
{
    (void)state;
    enum { LAYERS = 400 };
    static Tensor tensors[LAYERS];
    static char names[LAYERS][64];
    for (int i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "model.layers.%d.mlp.experts.0.up_proj.weight", i);
        tensors[i] = (Tensor){names[i], 2, {1, 2}};
    }
    WRITE(tensors);
    write_text("config.json", "{\"model_type\":\"qwen3_moe\",\"num_hidden_layers\":400,\"num_experts\":65536,\"num_attention_heads\":1}");
    assert_int_equal(convert("f16", NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "far less tensors"));
    assert_true(fb_context_memory_peak(context) < 16 << 20); /* 210 MB, were all made room for */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_llama), TEST(test_experts), TEST(test_interleaved_experts), TEST(test_unknown_experts),
                                       TEST(test_ranges_of_columns), TEST(test_names_only), TEST(test_families), TEST(test_unknown),
                                       TEST(test_byte_level), TEST(test_sentence_piece), TEST(test_no_tokenizer), TEST(test_equal_tokens), TEST(test_refusals),
                                       TEST(test_settings), TEST(test_missing_experts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
