/* GGUF files of other programs are read. Skipped (77) where there are none. */
#define _POSIX_C_SOURCE 200809L /* access */
#include "io/checkpoint_test.h"

static void test_real_files(void **state)
{
    (void)state;
    static const struct { const char *name; size_t tensors; } files[] = {
        {"stories260K-f32.gguf", 47}, {"ggml-vocab-llama-spm.gguf", 0}, {"ggml-vocab-bert-bge.gguf", 0}};
    FbContext *context = NULL;
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_context_create(&(FbContextOptions){.struct_bytes = sizeof(FbContextOptions), .threads = 1}, &context, NULL), FB_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        FbCheckpoint *table;
        snprintf(path, sizeof path, FB_SHARED_DATA "/llm/%s", files[i].name);
        FbStatus status = fb_checkpoint_open(context, path, &table, &err);
        if (status != FB_OK) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(table->tensor_count, files[i].tensors);
        const FbMeta *tokens = fb_checkpoint_meta(table, "tokenizer.ggml.tokens");
        assert_true(tokens != NULL && tokens->count > 500);
        fb_checkpoint_free(table);
    }
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_real_files)};
    if (access(FB_SHARED_DATA "/llm", R_OK) != 0) {
        const char *ci = getenv("CI");
        printf("skipped: no shared data: %s is missing\n", FB_SHARED_DATA "/llm");
        return ci != NULL && strcmp(ci, "true") == 0 ? 1 : 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
