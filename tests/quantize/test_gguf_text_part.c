/* The text part of larger models as GGUF: which tensors and keys. What the same folders become in llama.cpp's converter:
 * bench/peers/gguf_convert.py. */
#include "quantize/hf_folder.h"

static void test_larger(void **state)
{
    (void)state;
    FbCheckpoint *out;
    static const Tensor gemma[] = {{"language_model.model.embed_tokens.weight", 2, {3, 2}}, {"language_model.model.norm.weight", 1, {2}},
                                   {"language_model.model.layers.0.post_attention_layernorm.weight", 1, {2}},
                                   {"vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", 2, {2, 2}},
                                   {"multi_modal_projector.mm_soft_emb_norm.weight", 1, {2}}};
    WRITE(gemma);
    write_text("config.json", "{\"model_type\":\"gemma3\",\"vision_config\":{\"hidden_size\":7},\"text_config\":{\"model_type\":\"gemma3_text\","
                              "\"hidden_size\":2,\"num_hidden_layers\":1,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}}}");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(out->tensor_count, 3);
    check(out, "blk.0.post_attention_norm.weight", 1, (int64_t[]){2}, (float[]){2001, 2002});
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.architecture")), "gemma3");
    static const struct { const char *key; int64_t value; } keys[] = {
        {"gemma3.embedding_length", 2}, {"gemma3.feed_forward_length", 9216}, {"gemma3.attention.head_count", 8}, {"gemma3.attention.head_count_kv", 4},
        {"gemma3.attention.key_length", 256}, {"gemma3.context_length", 131072}, {"gemma3.rope.scaling.factor", 8}, {"gemma3.rope.freq_base", 1000000},
        {"gemma3.attention.sliding_window", 4096}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_int_equal(number_of(out, keys[i].key), keys[i].value);
    }
    fb_checkpoint_free(out);

    static const Tensor mistral[] = {{"model.language_model.embed_tokens.weight", 2, {4, 4}}, {"model.language_model.layers.0.self_attn.k_proj.weight", 2, {4, 1}},
                                     {"lm_head.weight", 2, {4, 4}}, {"model.language_model.layers.0.extra.weight", 1, {2}}};
    WRITE(mistral);
    write_text("config.json", "{\"model_type\":\"mistral3\",\"tie_word_embeddings\":true,\"text_config\":{\"hidden_size\":4,\"num_attention_heads\":1,"
                              "\"num_key_value_heads\":1,\"num_hidden_layers\":1,\"sliding_window\":null}}");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(out->tensor_count, 4); /* the head, which counts although the file says that it is tied, and one of unknown use */
    check(out, "blk.0.attn_k.weight", 2, (int64_t[]){4, 1}, (float[]){1000, 1002, 1001, 1003});
    assert_non_null(fb_checkpoint_tensor(out, "output.weight"));
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.architecture")), "mistral3");
    assert_int_equal(number_of(out, "mistral3.vocab_size"), 4);
    assert_int_equal(number_of(out, "mistral3.rope.dimension_count"), 4);
    assert_null(fb_checkpoint_meta(out, "mistral3.attention.sliding_window"));
    fb_checkpoint_free(out);
    write_text("config.json", "{\"model_type\":\"mistral3\",\"text_config\":{\"hidden_size\":4,\"num_attention_heads\":1,\"num_key_value_heads\":1,"
                              "\"num_hidden_layers\":1}}");
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(number_of(out, "mistral3.attention.sliding_window"), 4096); /* what its class says */
    fb_checkpoint_free(out);
}

static void test_sections(void **state)
{
    (void)state;
    FbCheckpoint *out;
    char config[400];
    static const Tensor qwen[] = {{"model.embed_tokens.weight", 2, {3, 2}}, {"visual.blocks.0.norm1.weight", 1, {2}}};
    static const char *const refused[] = {"7", "[1,-1]", "[1.5]", "[1,2,3,4,5]", "[2147483648]"};
    static const char form[] = "{\"model_type\":\"qwen2_vl\",\"hidden_size\":2,\"num_hidden_layers\":1,\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":%s}}";
    WRITE(qwen);
    snprintf(config, sizeof config, form, "[16,24,24]");
    write_text("config.json", config);
    assert_int_equal(convert("f32", &out), FB_OK);
    assert_int_equal(out->tensor_count, 1);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "general.architecture")), "qwen2vl");
    const FbMeta *meta = fb_checkpoint_meta(out, "qwen2vl.rope.dimension_sections");
    double sections[4];
    assert_true(meta != NULL && meta->is_array && meta->type == FB_META_S32 && meta->count == 4);
    assert_int_equal(fb_meta_read_numbers(meta, 0, 4, sections, &err), FB_OK);
    assert_true(sections[0] == 16.0 && sections[1] == 24.0 && sections[2] == 24.0 && sections[3] == 0.0);
    fb_checkpoint_free(out);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(config, sizeof config, form, refused[i]);
        write_text("config.json", config);
        assert_int_equal(convert("f32", NULL), FB_ERR_FORMAT);
        assert_non_null(strstr(err.message, "mrope_section"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_larger), TEST(test_sections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
