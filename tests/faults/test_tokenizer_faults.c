/* Opening tokenizers of every format, encoding, decoding and rendering a conversation with every allocation and file operation failing once: an error
 * that says so or the same answer (a pattern that cannot be compiled for the machine is interpreted), and no leak. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <errno.h>

#include "faults/faults.h"
#include "fewbit/model.h"
#include "fewbit/tokenizer.h"
#include "io/checkpoint_test.h"

#define FIXTURES FB_SOURCE_DIR "/tests/data/fixtures/tokenizers/"
#define MODELS FB_SOURCE_DIR "/tests/data/fixtures/sentencepiece/"
#define SEEDS FB_SOURCE_DIR "/tests/fuzz/seeds/tokenizer_file/"

static char folder[64];
static const char *const paths[] = {folder,           FIXTURES "llama2.json", FIXTURES "bert.json", FIXTURES "unigram.json", SEEDS "charsmap.json",
                                    SEEDS "spm.gguf", SEEDS "bpe.gguf",       SEEDS "tok.bin",          MODELS "gemma.model",    MODELS "t5.model"};

static int setup(void **state)
{
    (void)state;
    static const char config[] = "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";
    static const char chat[] = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
                               "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    static char json[1 << 16];
    FILE *file = fopen(FIXTURES "llama3.json", "rb");
    strcpy(folder, "/tmp/fewbit-tokenizer-faults-XXXXXX");
    if (file == NULL || mkdtemp(folder) == NULL) {
        return -1;
    }
    size_t bytes = fread(json, 1, sizeof json, file);
    fclose(file);
    write_file(folder, "tokenizer.json", json, bytes);
    write_file(folder, "tokenizer_config.json", config, sizeof config - 1);
    write_file(folder, "chat_template.jinja", chat, sizeof chat - 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

static FbStatus use(FbContext *context, const FbTokenizer *tokenizer, FbError *err)
{
    static const char text[] = "Hello  world, it's <s> 123 \xc3\xa9\xff f\xc3\xbchrer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const FbChatMessage message = {"user", "Hello"};
    int32_t *ids;
    size_t count, bytes;
    char *decoded = NULL, *chat = NULL;
    FbTokenStream *stream = NULL;
    const char *part;
    FB_TRY(fb_tokenizer_encode(tokenizer, text, sizeof text - 1, FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL, &ids, &count, err));
    FbStatus status = fb_tokenizer_decode(tokenizer, ids, count, 0, &decoded, &bytes, err);
    status = status == FB_OK ? fb_token_stream_create(tokenizer, 0, &stream, err) : status;
    for (size_t i = 0; status == FB_OK && i < count; i++) {
        status = fb_token_stream_add(stream, ids[i], &part, &bytes, err);
    }
    if (status == FB_OK && fb_chat_template(tokenizer) != NULL) {
        status = fb_chat_render(context, tokenizer, &message, 1, true, &chat, err);
    }
    fb_token_stream_free(stream);
    fb_text_free(context, chat);
    fb_text_free(context, decoded);
    fb_tokens_free(context, ids);
    return status;
}

static FbStatus run_with(Faults *faults, const char *path, FbError *err)
{
    FbContext *context;
    FbTokenizer *tokenizer = NULL;
    *err = (FbError){0};
    FbStatus status = faults_context(faults, &context, err);
    if (status == FB_OK) {
        status = fb_tokenizer_open(context, path, &tokenizer, err);
        assert_true((status == FB_OK) == (tokenizer != NULL));
    }
    status = status == FB_OK ? use(context, tokenizer, err) : status;
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
    assert_int_equal(faults->live_bytes, 0);
    return status;
}

static void test_allocations(void **state)
{
    (void)state;
    FbError err;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        Faults count = {0};
        if (run_with(&count, paths[i], &err) != FB_OK) {
            fail_msg("%s", err.message);
        }
        size_t refused = 0;
        for (int persistent = 0; persistent < 2; persistent++) {
            for (uint64_t k = 1; k <= count.allocations; k += k < 300 ? 1 : 37) {
                Faults faults = {.allocation_fails_at = k, .persistent = persistent};
                FbStatus status = run_with(&faults, paths[i], &err);
                refused += status == FB_ERR_NO_MEMORY;
                if (status != FB_ERR_NO_MEMORY && status != FB_OK) {
                    fail_msg("%s: allocation %llu failed: status %d (%s)", paths[i], (unsigned long long)k, (int)status, err.message);
                }
            }
        }
        assert_true(refused > 50);
    }
}

static void test_files(void **state)
{
    (void)state;
    FbError err;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        Faults count = {0};
        assert_int_equal(run_with(&count, paths[i], &err), FB_OK);
        for (uint64_t k = 1; k <= count.operations; k++) {
            Faults faults = {.operation_fails_at = k, .error = EIO};
            assert_int_equal(run_with(&faults, paths[i], &err), FB_ERR_IO);
        }
        Faults slow = {.short_reads = 1};
        assert_int_equal(run_with(&slow, paths[i], &err), FB_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allocations), cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
