/* SentencePiece models on their way to GGUF: tokens, scores and types, what the folder's files add, and the same ids when the file is read. */
#include "gguf_folder.h"

#include "fewbit/tokenizer.h"
#include "io/sentencepiece/sentencepiece.h"

enum { ROWS = 700 };

/* An embedding of ROWS rows, and one of the models in tests/data/fixtures/sentencepiece. */
static void make_folder(const char *pieces, const char *file, const char *tokenizer_config)
{
    char header[200], path[300], text[300];
    static char data[1 << 16];
    snprintf(header, sizeof header, "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[%d,1],\"data_offsets\":[0,%d]}}", ROWS, 4 * ROWS);
    write_bytes(model, "model.safetensors", make_safetensors(header, (size_t)4 * ROWS));
    snprintf(text, sizeof text, "{\"model_type\":\"llama\",\"hidden_size\":1,\"num_hidden_layers\":0,\"num_attention_heads\":1,\"vocab_size\":%d,"
             "\"intermediate_size\":1,\"max_position_embeddings\":16,\"rms_norm_eps\":1e-05}", ROWS);
    write_text("config.json", text);
    write_text("tokenizer_config.json", tokenizer_config);
    snprintf(path, sizeof path, "%s/tests/data/fixtures/sentencepiece/%s.model", FB_SOURCE_DIR, pieces);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t count = fread(data, 1, sizeof data, in);
    fclose(in);
    write_file(model, file, data, count);
    warnings[0] = '\0';
}

static void convert(FbCheckpoint **out)
{
    FbCheckpoint *in;
    FbGgufOptions options = {.struct_bytes = sizeof options, .preset = "f32", .overwrite = 1};
    assert_int_equal(fb_checkpoint_open(context, model, &in, &err), FB_OK);
    if (fb_gguf_quantize(context, in, output, &options, NULL, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    fb_checkpoint_free(in);
    assert_int_equal(fb_checkpoint_open(context, output, out, &err), FB_OK);
}

static void check_text(const FbCheckpoint *out, const char *key, const char *text) { assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, key)), text); }

static void check_number(const FbCheckpoint *out, const char *key, double expected)
{
    const FbMeta *meta = fb_checkpoint_meta(out, key);
    double number = -1.0;
    assert_non_null(meta);
    if (meta->type == FB_META_BOOL) {
        number = (double)meta->value.u;
    } else {
        fb_meta_number(meta, &number);
    }
    assert_true(number == expected);
}

static void check_token(const FbCheckpoint *out, size_t at, const char *text, double score, int type)
{
    static double scores[ROWS], types[ROWS];
    FbArena *arena = fb_arena_create(context);
    FbBytes *tokens;
    assert_int_equal(fb_meta_read_strings(arena, fb_checkpoint_meta(out, "tokenizer.ggml.tokens"), &tokens, &err), FB_OK);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(out, "tokenizer.ggml.scores"), 0, ROWS, scores, &err), FB_OK);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(out, "tokenizer.ggml.token_type"), 0, ROWS, types, &err), FB_OK);
    assert_string_equal((const char *)tokens[at].data, text);
    assert_true(scores[at] == score);
    assert_int_equal((int)types[at], type);
    fb_arena_free(arena);
}

/* What the folder and the file make of the texts. */
static void check_same_ids(void)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "Hello world, this is a test of the war in 1943 .",
                                        "  two   spaces  and\n\na line\t. ",
                                        "The Meridian Fire Department was <unk> in 2009 ; it's \xc3\xa9tude \xef\xac\x81ne",
                                        "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x99\x82\xf0\x9f\x99\x83 x \xff",
                                        "<s>a</s> <h1>Head",
                                        "a <start_of_turn>user\nHi<end_of_turn>\n"};
    FbTokenizer *from, *to;
    assert_int_equal(fb_tokenizer_open(context, model, &from, &err), FB_OK);
    assert_int_equal(fb_tokenizer_open(context, output, &to, &err), FB_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (unsigned flags = 0; flags < 4; flags++) {
            int32_t *a, *b;
            size_t count, same;
            assert_int_equal(fb_tokenizer_encode(from, texts[i], strlen(texts[i]), flags, &a, &count, &err), FB_OK);
            assert_int_equal(fb_tokenizer_encode(to, texts[i], strlen(texts[i]), flags, &b, &same, &err), FB_OK);
            if (count != same || memcmp(a, b, count * sizeof *a) != 0) {
                fail_msg("'%s' has other tokens: %zu %d %d %d, %zu %d %d %d", texts[i], count, a[0], a[1], a[2], same, b[0], b[1], b[2]);
            }
            fb_tokens_free(context, a);
            fb_tokens_free(context, b);
        }
    }
    fb_tokenizer_free(from);
    fb_tokenizer_free(to);
}

static void test_llama(void **state)
{
    (void)state;
    FbCheckpoint *out;
    make_folder("llama", "tokenizer.model", "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true,\"eos_token\":\"<end>\","
                                            "\"added_tokens_decoder\":{\"690\":{\"content\":\"<end>\",\"special\":true}}}");
    write_text("added_tokens.json", "{\"\xe2\x96\x81plain\":691,\"<end>\":690,\"beyond\":900}");
    convert(&out);
    check_text(out, "tokenizer.ggml.model", "llama");
    check_text(out, "tokenizer.ggml.pre", "default");
    check_token(out, 0, "<unk>", 0, 2);
    check_token(out, 1, "<s>", 0, 3);
    check_token(out, 13, "<0x0A>", 0, 6);
    check_token(out, 259, "\xe2\x96\x81t", 0, 1);
    check_token(out, 261, "\xe2\x96\x81" "a", -2, 1);
    check_token(out, 690, "<end>", -1000, 3);
    check_token(out, 691, " plain", -1000, 4);
    check_token(out, 699, "[PAD699]", -10000, 5);
    check_number(out, "tokenizer.ggml.bos_token_id", 1);
    check_number(out, "tokenizer.ggml.eos_token_id", 690);
    check_number(out, "tokenizer.ggml.unknown_token_id", 0);
    check_number(out, "tokenizer.ggml.add_bos_token", 1);
    check_number(out, "tokenizer.ggml.add_space_prefix", 1);
    assert_non_null(strstr(warnings, "more-tokens: the added token 'beyond' has the id 900"));
    assert_null(strstr(warnings, "no-tokenizer"));
    fb_checkpoint_free(out);
    write_text("added_tokens.json", "{}");
    check_same_ids();
}

static void test_gemma(void **state)
{
    (void)state;
    FbCheckpoint *out;
    make_folder("gemma", "tokenizer.model", "{\"tokenizer_class\":\"GemmaTokenizer\"}");
    convert(&out);
    check_token(out, 0, "<pad>", 0, 3);
    check_token(out, 5, "<start_of_turn>", 0, 4);
    check_token(out, 11, "  ", 0, 4); /* of the user, its spaces plain */
    check_number(out, "tokenizer.ggml.bos_token_id", 2);
    check_number(out, "tokenizer.ggml.padding_token_id", 0);
    check_number(out, "tokenizer.ggml.add_space_prefix", 0);
    assert_string_equal(warnings, "");
    fb_checkpoint_free(out);
    check_same_ids();
}

static void test_unigram(void **state)
{
    (void)state;
    FbCheckpoint *out;
    make_folder("t5", "spiece.model", "{}");
    convert(&out);
    check_text(out, "tokenizer.ggml.model", "t5");
    check_number(out, "tokenizer.ggml.add_space_prefix", 1);
    check_number(out, "tokenizer.ggml.remove_extra_whitespaces", 1);
    check_number(out, "tokenizer.ggml.eos_token_id", 1);
    check_number(out, "tokenizer.ggml.unknown_token_id", 2);
    const FbMeta *map = fb_checkpoint_meta(out, "tokenizer.ggml.precompiled_charsmap");
    assert_non_null(map);
    assert_int_equal(map->type, FB_META_U8);
    check_token(out, 699, "[PAD699]", -10000, 5);
    fb_checkpoint_free(out);
    check_same_ids();
    unlink(strcat(strcpy(warnings, model), "/spiece.model"));
    make_folder("unigram_spaces", "tokenizer.model", "{}");
    convert(&out);
    check_number(out, "tokenizer.ggml.add_space_prefix", 0);
    check_number(out, "tokenizer.ggml.remove_extra_whitespaces", 0);
    assert_null(fb_checkpoint_meta(out, "tokenizer.ggml.precompiled_charsmap"));
    fb_checkpoint_free(out);
    check_same_ids();
}

/* What GGUF's forms cannot say is told; a kind that is not known is left out; what is damaged is refused. */
static void test_warnings(void **state)
{
    (void)state;
    FbCheckpoint *out, *in;
    FbGgufOptions options = {.struct_bytes = sizeof options, .preset = "f32", .overwrite = 1};
    make_folder("bpe", "tokenizer.model", "{}");
    convert(&out);
    assert_non_null(strstr(warnings, "normalizer: the tokenizer's normalizer (a map of characters, no extra spaces)"));
    assert_non_null(strstr(warnings, "no-bytes: the tokenizer has no tokens for bytes"));
    fb_checkpoint_free(out);
    write_file(model, "tokenizer.model", "\x0a\x09\x0a\x05<unk>\x18\x02\x12\x02\x18\x03", 15);
    convert(&out);
    check_text(out, "tokenizer.ggml.model", "none");
    assert_non_null(strstr(warnings, "no-tokenizer: tokenizer.model: the model type 3 (word) is not supported"));
    fb_checkpoint_free(out);
    write_file(model, "tokenizer.model", "\x0a\x09\x0a", 3);
    assert_int_equal(fb_checkpoint_open(context, model, &in, &err), FB_OK);
    assert_int_equal(fb_gguf_quantize(context, in, output, &options, NULL, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "tokenizer.model: damaged or not a SentencePiece model"));
    fb_checkpoint_free(in);
}

/* The map of characters of t5.model in base64. */
static void map_of_t5(char *out, size_t room)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    FbArena *arena = fb_arena_create(context);
    FbSentencePieceModel pieces;
    assert_int_equal(fb_sentencepiece_load(arena, FB_SOURCE_DIR "/tests/data/fixtures/sentencepiece/t5.model", &pieces, &err), FB_OK);
    const FbBytes *map = &pieces.charsmap;
    assert_true(map->count > 0 && map->count % 3 == 0 && map->count / 3 * 4 < room);
    for (size_t i = 0; i < map->count; i += 3) {
        uint32_t bits = (uint32_t)map->data[i] << 16 | (uint32_t)map->data[i + 1] << 8 | map->data[i + 2];
        for (int j = 0; j < 4; j++) {
            *out++ = letters[bits >> (18 - 6 * j) & 63];
        }
    }
    *out = '\0';
    fb_arena_free(arena);
}

/* A tokenizer.json whose unigram model came from SentencePiece; one whose normalizer GGUF cannot say. */
static void test_unigram_json(void **state)
{
    (void)state;
    static const char json[] = "{\"added_tokens\":[{\"id\":0,\"content\":\"<pad>\",\"special\":true},{\"id\":1,\"content\":\"</s>\",\"special\":true},"
                               "{\"id\":2,\"content\":\"<unk>\",\"special\":true},{\"id\":9,\"content\":\"<x>\",\"special\":true}],\"normalizer\":{\"type\":\"%s\",\"precompiled_charsmap\":\"%s\"},"
                               "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                               "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"}]},"
                               "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}],"
                               "\"special_tokens\":{\"</s>\":{\"id\":\"</s>\",\"ids\":[1]}}},"
                               "\"model\":{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"<pad>\",0],[\"</s>\",0],[\"<unk>\",0],[\"\xe2\x96\x81\",-2],"
                               "[\"e\",-3.5],[\"\xe2\x96\x81the\",-4],[\"a\",-3],[\"\xe2\x96\x81t\",-3.25],[\"h\",-5]]}}";
    static char text[8000], map[5000];
    FbCheckpoint *out;
    map_of_t5(map, sizeof map);
    make_folder("t5", "unused", "{\"pad_token\":\"<pad>\"}");
    snprintf(text, sizeof text, json, "Precompiled", map);
    write_text("tokenizer.json", text);
    convert(&out);
    check_text(out, "tokenizer.ggml.model", "t5");
    check_token(out, 2, "<unk>", 0, 2);
    check_token(out, 4, "e", -3.5, 1);
    check_token(out, 9, "<x>", -1000, 3);
    check_number(out, "tokenizer.ggml.eos_token_id", 1);
    check_number(out, "tokenizer.ggml.padding_token_id", 0);
    check_number(out, "tokenizer.ggml.unknown_token_id", 2);
    check_number(out, "tokenizer.ggml.add_space_prefix", 1);
    check_number(out, "tokenizer.ggml.remove_extra_whitespaces", 1);
    assert_string_equal(warnings, "");
    fb_checkpoint_free(out);
    check_same_ids();
    snprintf(text, sizeof text, json, "NFKC", map);
    write_text("tokenizer.json", text);
    convert(&out);
    check_text(out, "tokenizer.ggml.model", "none");
    assert_non_null(strstr(warnings, "normalizer: the steps before the unigram model"));
    fb_checkpoint_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_llama, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gemma, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unigram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unigram_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_warnings, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
