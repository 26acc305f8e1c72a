/* Opening, inspecting and writing checkpoints with every single allocation and file operation failing once: an error that says so, no leak,
 * no output; and with reads that give three bytes at a time, the same result. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "faults/faults_loops.h"
#include "fewbit/model.h"
#include "io/checkpoint_test.h"
#include "io/gguf/gguf_write.h"

static char folder[64], shards[128], whole[128], output[128];

static void path_in(char *out, const char *name) { snprintf(out, 128, "%s/%s", folder, name); }

static int setup(void **state)
{
    (void)state;
    static const char index[] = "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}";
    static const char config[] = "{\"model_type\":\"llama\",\"layers\":3}";
    strcpy(folder, "/tmp/fewbit-checkpoint-faults-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    write_bytes(folder, "1.safetensors",
                make_safetensors("{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4));
    write_bytes(folder, "2.safetensors", make_safetensors("{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8));
    write_file(folder, "model.safetensors.index.json", index, sizeof index - 1);
    write_file(folder, "config.json", config, sizeof config - 1);
    strcpy(shards, folder);
    strcpy(whole, FB_SOURCE_DIR "/tests/fuzz/seeds/gguf/vocabulary");
    path_in(output, "out.gguf");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

static FbStatus copy_gguf(FbContext *context, const FbCheckpoint *table, FbError *err)
{
    FbGgufWriter *writer = NULL;
    float zeros[8] = {0};
    FbStatus status = fb_gguf_writer_create(context, &writer, err);
    for (size_t i = 0; status == FB_OK && i < table->metadata_count; i++) {
        status = fb_gguf_put_meta(writer, &table->metadata[i], err);
    }
    status = status == FB_OK ? fb_gguf_put_tensor(writer, "t", &(FbShape){1, {8}}, 0, err) : status;
    status = status == FB_OK ? fb_gguf_start(writer, output, true, err) : status;
    status = status == FB_OK ? fb_gguf_write(writer, zeros, sizeof zeros, err) : status;
    status = status == FB_OK ? fb_gguf_commit(writer, NULL, err) : status;
    fb_gguf_writer_free(writer);
    return status;
}

static FbStatus inspect_one(FbContext *context, const char *path, FbCheckpoint **table, FbError *err)
{
    char *text = NULL;
    FB_TRY(fb_checkpoint_open(context, path, table, err));
    FB_TRY(fb_checkpoint_inspect(context, *table, &text, err));
    fb_text_free(context, text);
    return FB_OK;
}

static FbStatus job(FbContext *context, FbError *err)
{
    FbCheckpoint *first = NULL, *second = NULL;
    FbStatus status = inspect_one(context, shards, &first, err);
    if (status == FB_OK) {
        assert_int_equal(first->tensor_count, 2);
        assert_int_equal(first->metadata_count, 3);
        status = inspect_one(context, whole, &second, err);
    }
    status = status == FB_OK ? copy_gguf(context, second, err) : status;
    fb_checkpoint_free(first);
    fb_checkpoint_free(second);
    return status;
}

static const FaultsJob all = {job, output};

static void test_allocations(void **state)
{
    (void)state;
    faults_in_allocations(&all);
}

static void test_files(void **state)
{
    (void)state;
    faults_in_files(&all);
}

static void test_short_reads(void **state)
{
    (void)state;
    FbError err;
    Faults faults = {.short_reads = 1};
    assert_int_equal(faults_run(&all, &faults, &err), FB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_allocations, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_files, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_short_reads, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
