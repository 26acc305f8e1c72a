/* tokenizer.json files that are malformed, hostile or odd: each is a named error or does what is right, in time. The names T1 to T15 are the test plan's. */
#include "tokenizer_open_text.h"

#include <time.h>

#include "io/gguf/gguf_write.h"

static void refuse(const char *json, FbStatus expected, const char *says)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    FbStatus status = open_text(context, json, strlen(json), &tokenizer, &err);
    if (status != expected || strstr(err.message, says) == NULL) {
        fail_msg("%.200s: status %d, '%s'; expected %d, '%s'", json, (int)status, err.message, (int)expected, says);
    }
    assert_null(tokenizer);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static FbTokenizer *accept(FbContext *context, const char *json)
{
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_ok(open_text(context, json, strlen(json), &tokenizer, &err));
    return tokenizer;
}

#define MODEL(type, vocab, rest) "\"model\":{\"type\":\"" type "\",\"vocab\":" vocab rest "}"
#define BPE(vocab, merges, rest) "{" MODEL("BPE", vocab, ",\"merges\":" merges rest) "}"
#define AB "{\"a\":0,\"b\":1,\"ab\":2}"
#define WITH(member, vocab, merges) "{" member "," MODEL("BPE", vocab, ",\"merges\":" merges) "}"
#define NORMALIZER(value) WITH("\"normalizer\":" value, AB, "[\"a b\"]")
#define SPLIT(pattern) WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" pattern "\"}}", AB, "[\"a b\"]")

static void test_t1_merge_longer_than_any_token(void **state)
{
    (void)state;
    refuse(BPE("{\"a\":0,\"b\":1}", "[\"a b\"]", ""), FB_ERR_FORMAT, "merge 0 makes 'ab', which is not in the vocabulary");
}

static void test_t2_prefix_longer_than_token(void **state)
{
    (void)state;
    refuse(BPE(AB, "[\"a b\"]", ",\"continuing_subword_prefix\":\"####\""), FB_ERR_FORMAT, "merge 0: 'b' is shorter than the prefix");
}

static void test_t3_merge_of_unknown_tokens(void **state)
{
    (void)state;
    refuse(BPE(AB, "[\"a z\"]", ""), FB_ERR_FORMAT, "merge 0 is of 'z', which is not in the vocabulary");
    refuse(BPE(AB, "[[\"z\",\"a\"]]", ""), FB_ERR_FORMAT, "merge 0 is of 'z'");
    refuse(BPE(AB, "[\"ab\"]", ""), FB_ERR_FORMAT, "merge 0 is no pair");
    refuse(BPE(AB, "[[\"a\",\"b\",\"a\"]]", ""), FB_ERR_FORMAT, "merge 0 is no pair");
}

static void test_t4_ids(void **state)
{
    (void)state;
    refuse(BPE("{\"a\":0,\"b\":0}", "[]", ""), FB_ERR_FORMAT, "two tokens have the id 0");
    refuse(BPE("{\"a\":-1}", "[]", ""), FB_ERR_FORMAT, "'a' has the id -1");
    refuse(BPE("{\"a\":4000000000}", "[]", ""), FB_ERR_FORMAT, "'a' has the id 4000000000");
    refuse(BPE("{\"a\":\"0\"}", "[]", ""), FB_ERR_FORMAT, "'a' has the id -1");
    refuse(WITH("\"added_tokens\":[{\"id\":1,\"content\":\"<x>\"}]", AB, "[]"), FB_ERR_FORMAT, "which the vocabulary gives to another token");
    refuse(WITH("\"added_tokens\":[{\"id\":3,\"content\":\"<x>\"},{\"id\":3,\"content\":\"<y>\"}]", AB, "[]"), FB_ERR_FORMAT,
           "two added tokens have the id 3");
    refuse(WITH("\"added_tokens\":[{\"id\":4000000,\"content\":\"<x>\"}]", AB, "[]"), FB_ERR_FORMAT, "has the id 4000000");
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Encodes `count` times `unit` and then `tail`; the answer is one of two, and comes in time. */
static void encode_repeated(const char *json, const char *unit, size_t count, const char *tail, FbStatus either)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, json);
    size_t length = strlen(unit), bytes = length * count + strlen(tail), ids_count;
    char *text = malloc(bytes + 1);
    int32_t *ids;
    FbError err = {0};
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * length, unit, length);
    }
    strcpy(text + length * count, tail);
    double start = seconds();
    FbStatus status = fb_tokenizer_encode(tokenizer, text, bytes, 0, &ids, &ids_count, &err);
    assert_true(seconds() - start < 60); /* stopped after 5 on an idle machine */
    assert_true(status == FB_OK || status == either);
    fb_tokens_free(context, ids);
    free(text);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_t5_nested_quantifiers(void **state)
{
    (void)state;
    encode_repeated(SPLIT("(a+)+$"), "a", 3000, "b", FB_ERR_BUDGET);
    encode_repeated(SPLIT("(a|a)*c"), "a", 3000, "b", FB_ERR_BUDGET);
    encode_repeated(SPLIT("(?:a+b?)+c"), "aaaaaaaaaaaaaaaaaaaaaaaab ", 4000, "", FB_ERR_BUDGET);
}

static void test_t6_patterns(void **state)
{
    (void)state;
    size_t bytes = 1 << 20, used = 0;
    char *json = malloc(bytes + 512);
    used += (size_t)sprintf(json, "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"");
    memset(json + used, 'a', bytes);
    strcpy(json + used + bytes, "\"}}," MODEL("BPE", AB, ",\"merges\":[]") "}");
    refuse(json, FB_ERR_BUDGET, "a pattern of 1048576 bytes");
    free(json);
    refuse(SPLIT("(a"), FB_ERR_FORMAT, "the pattern is not valid");
    refuse(SPLIT(""), FB_ERR_FORMAT, "a pattern of 0 bytes");
    refuse(SPLIT("(?R)"), FB_ERR_UNSUPPORTED, "the pattern has '(?R)' at byte 0");
    refuse(SPLIT("a(?1)"), FB_ERR_UNSUPPORTED, "the pattern has '(?1)' at byte 1");
    refuse(SPLIT("(?C1)a"), FB_ERR_UNSUPPORTED, "the pattern has '(?C1)");
    refuse(SPLIT("(*LIMIT_MATCH=9)a"), FB_ERR_UNSUPPORTED, "verbs");
    refuse(SPLIT("\\\\Ca"), FB_ERR_UNSUPPORTED, "the pattern has '\\C'");
    refuse(SPLIT("(a)\\\\1"), FB_ERR_UNSUPPORTED, "the pattern has '\\1'");
    refuse(SPLIT("[a[b]]"), FB_ERR_UNSUPPORTED, "sets of sets");
    refuse(SPLIT("[a&&b]"), FB_ERR_UNSUPPORTED, "sets of sets");
    refuse(SPLIT("(?<=a+)b"), FB_ERR_FORMAT, "lookbehind");
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, SPLIT("(?<=a)b"));
    assert_ids(context, tokenizer, "abb", 0, " 0 1 1");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_t7_a_million_characters(void **state)
{
    (void)state;
#define LLAMA3                                                                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
    static const char *const units[] = {"a", "^", " ", "\n", "1", "\xcc\x81", "\xe2\x96\x81"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        encode_repeated(SPLIT(LLAMA3), units[i], 1000000, "b", FB_OK);
        encode_repeated(BPE("{\"a\":0,\"aa\":1,\"aaaa\":2,\"^\":3,\"^^\":4,\"b\":5}", "[\"a a\",\"aa aa\",\"^ ^\"]", ""), units[i], 1000000, "b", FB_OK);
        encode_repeated(NORMALIZER("{\"type\":\"NFC\"}"), units[i], 1000000, "", FB_OK);
    }
    encode_repeated(NORMALIZER("{\"type\":\"NFD\"}"), "\xcc\x81\xcc\xa3\xd6\xb0", 300000, "", FB_OK); /* marks that must be ordered */
}

static void test_t8_empty_vocabulary(void **state)
{
    (void)state;
    refuse(BPE("{}", "[]", ""), FB_ERR_FORMAT, "vocabulary is empty");
    refuse("{" MODEL("Unigram", "[]", "") "}", FB_ERR_FORMAT, "vocabulary has 0 tokens");
    refuse("{" MODEL("WordPiece", "{\"a\":0}", ",\"unk_token\":\"[UNK]\"") "}", FB_ERR_FORMAT, "unknown token '[UNK]' is not in the vocabulary");
    refuse("{" MODEL("WordPiece", "{\"a\":0}", "") "}", FB_ERR_FORMAT, "unknown token");
    refuse(BPE(AB, "[]", ",\"unk_token\":\"<unk>\""), FB_ERR_FORMAT, "unknown token '<unk>'");
    refuse("{" MODEL("Unigram", "[[\"a\",0]]", ",\"unk_id\":7") "}", FB_ERR_FORMAT, "unk_id names the token 7");
    refuse("{" MODEL("WordLevel", "{\"a\":0}", "") "}", FB_ERR_UNSUPPORTED, "'WordLevel' is not supported");
    refuse("{\"version\":\"1.0\"}", FB_ERR_FORMAT, "neither a tokenizer.json");
}

static void test_t9_added_tokens(void **state)
{
    (void)state;
    refuse(WITH("\"added_tokens\":[{\"id\":3,\"content\":\"\"}]", AB, "[]"), FB_ERR_FORMAT, "content of 0 bytes");
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, WITH("\"added_tokens\":[{\"id\":3,\"content\":\"<x\",\"special\":true},{\"id\":4,\"content\":\"<x>\",\"special\":true},"
                                                  "{\"id\":5,\"content\":\"x><\",\"special\":true},{\"id\":6,\"content\":\"<y>\"}]", AB, "[\"a b\"]"));
    assert_ids(context, tokenizer, "ab<x><xab<y>", FB_TOKENS_PARSE_SPECIAL, " 2 4 3 2 6");
    assert_ids(context, tokenizer, "ab<x><xab<y>", 0, " 2 2 6"); /* not parsed; the model knows no such characters */
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static char *nested(size_t depth)
{
    static const char open[] = "{\"type\":\"Sequence\",\"normalizers\":[", close[] = "]}";
    char *json = malloc(depth * (sizeof open + sizeof close) + 256), *at = json;
    at += sprintf(at, "{\"normalizer\":");
    for (size_t i = 0; i < depth; i++) {
        at += sprintf(at, "%s", open);
    }
    at += sprintf(at, "{\"type\":\"NFC\"}");
    for (size_t i = 0; i < depth; i++) {
        at += sprintf(at, "%s", close);
    }
    sprintf(at, "," MODEL("BPE", AB, ",\"merges\":[\"a b\"]") "}");
    return json;
}

static void test_t10_deep_sequences(void **state)
{
    (void)state;
    char *json = nested(10000);
    refuse(json, FB_ERR_FORMAT, "nested deeper");
    free(json);
    json = nested(10);
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, json);
    assert_ids(context, tokenizer, "ab", 0, " 2");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
    free(json);
    refuse(NORMALIZER("{\"type\":\"Unheard\"}"), FB_ERR_UNSUPPORTED, "normalizer 'Unheard' is not supported");
    refuse(NORMALIZER("{}"), FB_ERR_FORMAT, "the normalizer has no type");
}

static void test_t11_doubling(void **state)
{
    (void)state;
    static const char step[] = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}";
    char json[8192], *at = json;
    FbContext *context = test_context();
    at += sprintf(at, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s", step);
    for (int i = 1; i < 60; i++) {
        at += sprintf(at, ",%s", step);
    }
    sprintf(at, "]}," MODEL("BPE", AB, ",\"merges\":[\"a b\"]") "}");
    FbTokenizer *tokenizer = accept(context, json);
    int32_t *ids;
    size_t count;
    FbError err = {0};
    assert_int_equal(fb_tokenizer_encode(tokenizer, "a", 1, 0, &ids, &count, &err), FB_ERR_BUDGET);
    assert_non_null(strstr(err.message, "64 times longer"));
    assert_null(ids);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_t12_map_of_characters(void **state)
{
    (void)state;
#define CHARSMAP(text) NORMALIZER("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"" text "\"}")
    refuse(CHARSMAP("AAA"), FB_ERR_FORMAT, "cut or damaged");
    refuse(CHARSMAP("/////wAAAAA="), FB_ERR_FORMAT, "cut or damaged");
    refuse(CHARSMAP("!!!!"), FB_ERR_FORMAT, "no base64 at byte 0");
    refuse(NORMALIZER("{\"type\":\"Precompiled\",\"precompiled_charsmap\":7}"), FB_ERR_FORMAT, "precompiled_charsmap");
    /* Every unit of the trie says "go on at 2^29", or "here is text 2^31 - 1". */
    static const char *const wild[] = {CHARSMAP("CAAAAAD+//8A/v//YQA="), CHARSMAP("CAAAAP////////9/YQA=")};
    for (size_t i = 0; i < 2; i++) {
        FbContext *context = test_context();
        FbTokenizer *tokenizer = accept(context, wild[i]);
        assert_ids(context, tokenizer, "ab", 0, " 2");
        fb_tokenizer_free(tokenizer);
        fb_context_free(context);
    }
}

static void write_gguf(const char *path, float score)
{
    FbContext *context = test_context();
    FbGgufWriter *writer = NULL;
    FbError err = {0};
    static const FbBytes tokens[] = {{(const uint8_t *)"<unk>", 5}, {(const uint8_t *)"a", 1}};
    float scores[] = {0, score};
    assert_ok(fb_gguf_writer_create(context, &writer, &err));
    assert_ok(fb_gguf_put_text(writer, "general.architecture", "llama", &err));
    assert_ok(fb_gguf_put_text(writer, "tokenizer.ggml.model", "llama", &err));
    assert_ok(fb_gguf_put_texts(writer, "tokenizer.ggml.tokens", tokens, 2, &err));
    assert_ok(fb_gguf_put_numbers(writer, "tokenizer.ggml.scores", FB_META_F32, scores, 2, &err));
    assert_ok(fb_gguf_start(writer, path, true, &err));
    assert_ok(fb_gguf_commit(writer, NULL, &err));
    fb_gguf_writer_free(writer);
    fb_context_free(context);
}

static void test_t13_scores(void **state)
{
    (void)state;
    char path[] = "/tmp/fewbit-tokenizer-XXXXXX";
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    refuse("{" MODEL("Unigram", "[[\"a\",NaN]]", "") "}", FB_ERR_FORMAT, "line 1");
    refuse("{" MODEL("Unigram", "[[\"a\",1e999]]", "") "}", FB_ERR_FORMAT, "line 1");
    refuse("{" MODEL("Unigram", "[[\"a\",-1e300]]", "") "}", FB_ERR_FORMAT, "has the score -1e+300");
    refuse("{" MODEL("Unigram", "[[\"a\"]]", "") "}", FB_ERR_FORMAT, "is no [text, score]");
    close(mkstemp(path));
    FbContext *context = test_context();
    write_gguf(path, 0.0f / 0.0f);
    assert_int_equal(fb_tokenizer_open(context, path, &tokenizer, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "has a score that is no number"));
    write_gguf(path, -1);
    assert_ok(fb_tokenizer_open(context, path, &tokenizer, &err));
    fb_tokenizer_free(tokenizer);
    unlink(path);
    fb_context_free(context);
}

static void test_t14_byte_fallback_without_bytes(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, BPE("{\"a\":0,\"<unk>\":1,\"<0xC3>\":2,\"<0xA9>\":3}", "[]", ",\"byte_fallback\":true,\"unk_token\":\"<unk>\""));
    assert_ids(context, tokenizer, "a\xc3\xa9" "a", 0, " 0 2 3 0");
    assert_ids(context, tokenizer, "a\xc3\xa8", 0, " 0 1");
    fb_tokenizer_free(tokenizer);
    tokenizer = accept(context, BPE("{\"a\":0}", "[]", ",\"byte_fallback\":true"));
    assert_ids(context, tokenizer, "a\xc3\xa8" "a", 0, " 0 0");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_t15_invalid_text(void **state)
{
    (void)state;
    static const char odd[] = "a\xff\xed\xa0\x80\xc3z\xf4\x90\x80\x80\xe2\x82\x00\xc0\xaf";
    FbContext *context = test_context();
    int32_t *ids;
    size_t count;
    FbError err = {0};
    FbTokenizer *plain = accept(context, BPE("{\"a\":0,\"b\":1,\"\\ufffd\":2}", "[]", ""));
    assert_ids(context, plain, "a\xff" "b\xed\xa0\x80", 0, " 0 2 1 2 2 2");
    assert_int_equal(fb_tokenizer_encode(plain, "a", (size_t)1 << 32, 0, &ids, &count, &err), FB_ERR_BUDGET);
    assert_int_equal(fb_tokenizer_encode(plain, "", 0, 0, &ids, &count, &err), FB_OK);
    assert_int_equal(count, 0);
    fb_tokens_free(context, ids);
    fb_tokenizer_free(plain);
    FbTokenizer *bytes = test_tokenizer(context, test_path("fixtures/tokenizers/gpt2.json"));
    assert_round_trip(context, bytes, odd, sizeof odd - 1);
    fb_tokenizer_free(bytes);
    FbTokenizer *fallback = test_tokenizer(context, test_path("fixtures/tokenizers/llama2.json"));
    assert_round_trip(context, fallback, odd, sizeof odd - 1);
    fb_tokenizer_free(fallback);
    refuse(BPE("{\"\\ud800\":0}", "[]", ""), FB_ERR_FORMAT, "line 1");
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t1_merge_longer_than_any_token), cmocka_unit_test(test_t2_prefix_longer_than_token),
        cmocka_unit_test(test_t3_merge_of_unknown_tokens),     cmocka_unit_test(test_t4_ids),
        cmocka_unit_test(test_t5_nested_quantifiers),          cmocka_unit_test(test_t6_patterns),
        cmocka_unit_test(test_t7_a_million_characters),        cmocka_unit_test(test_t8_empty_vocabulary),
        cmocka_unit_test(test_t9_added_tokens),                cmocka_unit_test(test_t10_deep_sequences),
        cmocka_unit_test(test_t11_doubling),                   cmocka_unit_test(test_t12_map_of_characters),
        cmocka_unit_test(test_t13_scores),                     cmocka_unit_test(test_t14_byte_fallback_without_bytes),
        cmocka_unit_test(test_t15_invalid_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
