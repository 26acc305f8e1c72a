/* Tokenizers of real models against the ids that llama.cpp's project publishes for them (ggml-vocab-*.gguf.inp, .out). */
#include <stdlib.h>
#include <unistd.h>

#include "tokenizer_test.h"

static char *read_text(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(1 << 20);
    assert_non_null(file);
    *bytes = fread(data, 1, (1 << 20) - 1, file);
    data[*bytes] = '\0';
    fclose(file);
    return data;
}

static void check_vectors(const char *name)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char path[1024];
    size_t bytes, cases = 0;
    FbContext *context = test_context();
    snprintf(path, sizeof path, "%s/llm/%s", FB_SHARED_DATA, name);
    FbTokenizer *tokenizer = test_tokenizer(context, path);
    snprintf(path, sizeof path, "%s/llm/%s.inp", FB_SHARED_DATA, name);
    char *input = read_text(path, &bytes);
    snprintf(path, sizeof path, "%s/llm/%s.out", FB_SHARED_DATA, name);
    char *output = read_text(path, &bytes);
    char *text = input, *expected = output;
    for (;;) {
        char *end = strstr(text, separator), *line = strchr(expected, '\n');
        if (end == NULL || line == NULL) {
            break;
        }
        *end = *line = '\0';
        size_t length = strlen(expected);
        while (length > 0 && expected[length - 1] == ' ') { /* some lines end in spaces */
            expected[--length] = '\0';
        }
        assert_string_equal(test_ids(context, tokenizer, text, strlen(text), 0), expected);
        cases++;
        text = end + sizeof separator - 1;
        expected = line + 1;
    }
    assert_true(cases > 40);
    free(input);
    free(output);
    fb_tokenizer_free(tokenizer);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void test_llama_spm(void **state)
{
    (void)state;
    check_vectors("ggml-vocab-llama-spm.gguf");
}

static void test_bert_bge(void **state)
{
    (void)state;
    check_vectors("ggml-vocab-bert-bge.gguf");
}

/* llama2.c's file and the GGUF file of the same model give the same ids. */
static void test_llama2c(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbTokenizer *bin = test_tokenizer(context, FB_SHARED_DATA "/llm/tok512.bin");
    FbTokenizer *gguf = test_tokenizer(context, FB_SHARED_DATA "/llm/stories260K-f32.gguf");
    static const char *const texts[] = {"Once upon a time", "Zoo\nM\xc3\xbcll  2", "", " ", "x\t\xf0\x9f\x98\x81"};
    assert_int_equal(fb_tokenizer_count(bin), 512);
    assert_int_equal(fb_tokenizer_special(bin, FB_TOKEN_BOS), 1);
    assert_true(fb_tokenizer_ends(bin, 2));
    assert_ids(context, bin, "Once upon a time", FB_TOKENS_ADD_SPECIAL, " 1 403 407 261 378");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[4096];
        strcpy(expected, test_ids(context, gguf, texts[i], strlen(texts[i]), FB_TOKENS_ADD_SPECIAL));
        assert_ids(context, bin, texts[i], FB_TOKENS_ADD_SPECIAL, expected);
        assert_round_trip(context, bin, texts[i], strlen(texts[i]));
    }
    fb_tokenizer_free(bin);
    fb_tokenizer_free(gguf);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_spm),
        cmocka_unit_test(test_bert_bge),
        cmocka_unit_test(test_llama2c),
    };
    if (access(FB_SHARED_DATA "/llm", R_OK) != 0) {
        const char *ci = getenv("CI");
        printf("skipped: no shared data: %s is missing\n", FB_SHARED_DATA "/llm");
        return ci != NULL && strcmp(ci, "true") == 0 ? 1 : 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
