/* Quantizing a Hugging Face folder to GGUF with every single allocation and file operation failing once, a full disk among them: an error that
 * says so, no leak, no output; and with reads that give three bytes at a time, the same file. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "faults/faults_loops.h"
#include "fewbit/gguf_quantize.h"
#include "io/checkpoint_test.h"
#include "io/gguf/imatrix.h"

static char folder[64], model[80], output[128], importance[128], digest[65];

static void write_text(const char *name, const char *text) { write_file(model, name, text, strlen(text)); }

static void write_importance(void)
{
    FbContext *context;
    FbImatrix *imatrix;
    FbImatrixRow *row;
    FbError err;
    assert_int_equal(fb_context_create(&(FbContextOptions){.struct_bytes = sizeof(FbContextOptions), .threads = 1}, &context, &err), FB_OK);
    assert_int_equal(fb_imatrix_create(context, &imatrix, &err), FB_OK);
    assert_int_equal(fb_imatrix_add(imatrix, "blk.0.ffn_up.weight", 32, 1, &row, &err), FB_OK);
    row->counts[0] = 1.0f;
    assert_int_equal(fb_imatrix_write(imatrix, importance, true, &err), FB_OK);
    fb_imatrix_free(imatrix);
    fb_context_free(context);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fewbit-gguf-faults-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(model, sizeof model, "%s/tiny", folder);
    snprintf(output, sizeof output, "%s/out.gguf", folder);
    snprintf(importance, sizeof importance, "%s/imatrix.gguf", folder);
    if (mkdir(model, 0700) != 0) {
        return -1;
    }
    write_bytes(model, "model.safetensors",
                make_safetensors("{\"model.embed_tokens.weight\":{\"dtype\":\"F16\",\"shape\":[4,32],\"data_offsets\":[0,256]},"
                                 "\"model.layers.0.mlp.up_proj.weight\":{\"dtype\":\"BF16\",\"shape\":[3,32],\"data_offsets\":[256,448]}}",
                                 448));
    write_text("config.json", "{\"model_type\":\"llama\",\"hidden_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":2}");
    write_text("tokenizer.json", "{\"added_tokens\":[],\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"
                                 "\"ab\":2},\"merges\":[\"a b\"]}}");
    write_text("tokenizer_config.json", "{\"bos_token\":\"a\"}");
    write_text("chat_template.jinja", "{{ x }}");
    write_importance();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_folder(model);
    remove_folder(folder);
    return 0;
}

static FbStatus job(FbContext *context, FbError *err)
{
    FbCheckpoint *checkpoint;
    FbGgufReport report;
    const char *patterns[] = {"blk.*=q4_0"};
    FbGgufOptions options = {.struct_bytes = sizeof options, .preset = "q8_0", .importance = importance, .overrides = patterns, .override_count = 1};
    FB_TRY(fb_checkpoint_open(context, model, &checkpoint, err));
    FbStatus status = fb_gguf_quantize(context, checkpoint, output, &options, &report, err);
    if (status == FB_OK) {
        memcpy(digest, report.sha256, sizeof digest);
        fb_gguf_report_free(context, &report);
    }
    fb_checkpoint_free(checkpoint);
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
    char whole[65];
    Faults none = {0}, faults = {.short_reads = 1};
    assert_int_equal(faults_run(&all, &none, &err), FB_OK);
    memcpy(whole, digest, sizeof whole);
    assert_int_equal(faults_run(&all, &faults, &err), FB_OK);
    assert_string_equal(whole, digest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_allocations), TEST(test_files), TEST(test_short_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
