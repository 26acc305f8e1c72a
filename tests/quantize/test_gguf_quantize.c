/* GGUF to GGUF: bytes equal those of the encoders row by row, whatever the threads; key-values carried; refusals. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <math.h>

#include "context_test.h"
#include "fewbit/gguf_quantize.h"
#include "io/checkpoint_test.h"
#include "io/gguf/gguf_write.h"
#include "io/gguf/imatrix.h"
#include "tensor/block_type.h"

static FbError err;
static char folder[64], input[128], output[128];
static unsigned warnings;

static void count_warning(void *user, FbLogLevel level, const char *id, const char *message)
{
    (void)user;
    (void)id;
    (void)message;
    warnings += level == FB_LOG_WARNING;
}

static int open_context(int threads)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads, .log = count_warning};
    return fb_context_create(&options, &context, NULL) == FB_OK ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fewbit-gguf-quantize-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(input, sizeof input, "%s/in.gguf", folder);
    snprintf(output, sizeof output, "%s/out.gguf", folder);
    warnings = 0;
    return open_context(2);
}

static int teardown(void **state)
{
    remove_folder(folder);
    return context_teardown(state);
}

typedef struct Row {
    const char *name;
    FbShape shape;
    uint32_t number;
} Row;

/* Two layers, rows of 256 and of 96 elements, a stack of two matrices, more rows than a strip holds. */
static const Row rows[] = {
    {"output_norm.weight", {1, {256}}, 0},
    {"token_embd.weight", {2, {2100, 256}}, 1},
    {"blk.0.ffn_down.weight", {2, {7, 96}}, 1},
    {"blk.0.attn_v.weight", {2, {5, 256}}, 0},
    {"blk.0.ffn_up_exps.weight", {3, {2, 3, 256}}, 30},
    {"blk.0.ffn_gate_inp.weight", {2, {2, 256}}, 0},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static float element(size_t row, size_t i) { return sinf((float)(i * 7 + row * 1000 + 1)) * (1.0f + (float)(i % 13)); }

static void write_input(float special)
{
    FbGgufWriter *writer;
    assert_int_equal(fb_gguf_writer_create(context, &writer, &err), FB_OK);
    assert_int_equal(fb_gguf_put_text(writer, "general.architecture", "llama", &err), FB_OK);
    assert_int_equal(fb_gguf_put_u32(writer, "general.file_type", 1, &err), FB_OK);
    assert_int_equal(fb_gguf_put_u32(writer, "llama.block_count", 1, &err), FB_OK);
    assert_int_equal(fb_gguf_put_u32(writer, "split.count", 1, &err), FB_OK);
    assert_int_equal(fb_gguf_put_text(writer, "tokenizer.chat_template", "{{ x }}", &err), FB_OK);
    for (size_t r = 0; r < ROWS; r++) {
        assert_int_equal(fb_gguf_put_tensor(writer, rows[r].name, &rows[r].shape, rows[r].number, &err), FB_OK);
    }
    assert_int_equal(fb_gguf_start(writer, input, true, &err), FB_OK);
    for (size_t r = 0; r < ROWS; r++) {
        size_t count = (size_t)fb_shape_elements(&rows[r].shape);
        FbDtype dtype = fb_gguf_plain_dtype(rows[r].number);
        for (size_t i = 0; i < count; i++) {
            uint8_t raw[4];
            float value = r == 3 && i == 300 && special != 0.0f ? special : element(r, i);
            fb_encode_f32(dtype, &value, raw, 0, 1);
            assert_int_equal(fb_gguf_write(writer, raw, (size_t)fb_dtype_bits(dtype) / 8, &err), FB_OK);
        }
    }
    assert_int_equal(fb_gguf_commit(writer, NULL, &err), FB_OK);
    fb_gguf_writer_free(writer);
}

static FbStatus run(FbGgufOptions options, FbGgufReport *report)
{
    FbCheckpoint *checkpoint;
    options.struct_bytes = sizeof options;
    assert_int_equal(fb_checkpoint_open(context, input, &checkpoint, &err), FB_OK);
    FbStatus status = fb_gguf_quantize(context, checkpoint, output, &options, report, &err);
    if (report != NULL && status == FB_OK) {
        report->architecture = NULL; /* nothing of it may point into the checkpoint */
    }
    fb_checkpoint_free(checkpoint);
    return status;
}

static uint8_t *stored(FbCheckpoint *table, const char *name, size_t *bytes)
{
    const FbConst *constant = &fb_checkpoint_tensor(table, name)->constant;
    *bytes = (size_t)constant->planes[FB_PLANE_CODES].bytes;
    uint8_t *raw = malloc(*bytes + 1);
    assert_int_equal(fb_plane_read(&constant->planes[FB_PLANE_CODES], 0, raw, *bytes, &err), FB_OK);
    return raw;
}

/* Every tensor of the output against the encoder on the whole input tensor. */
static void check_output(const char *expected_types[ROWS])
{
    FbCheckpoint *in, *out;
    assert_int_equal(fb_checkpoint_open(context, input, &in, &err), FB_OK);
    assert_int_equal(fb_checkpoint_open(context, output, &out, &err), FB_OK);
    assert_int_equal(out->tensor_count, ROWS);
    for (size_t r = 0; r < ROWS; r++) {
        const FbConst *from = &fb_checkpoint_tensor(in, rows[r].name)->constant, *to = &fb_checkpoint_tensor(out, rows[r].name)->constant;
        assert_string_equal(to->encoding != NULL ? to->encoding->code->name : fb_dtype_name(to->dtype), expected_types[r]);
        assert_true(fb_shape_equal(&from->shape, &to->shape));
        size_t count = (size_t)fb_shape_elements(&from->shape), bytes;
        float *floats = malloc(count * sizeof *floats);
        uint8_t *raw = stored(out, rows[r].name, &bytes), *expected = malloc(bytes);
        assert_int_equal(fb_const_read_f32(context, from, 0, count, floats, &err), FB_OK);
        if (to->encoding != NULL) {
            const FbBlockType *type = to->encoding->blocks;
            assert_int_equal(fb_block_encode(type, floats, 0, expected, count / (size_t)type->elements, NULL, &err), FB_OK);
        } else {
            fb_encode_f32(to->dtype, floats, expected, 0, count);
        }
        assert_memory_equal(raw, expected, bytes);
        free(raw);
        free(expected);
        free(floats);
    }
    fb_checkpoint_free(in);
    fb_checkpoint_free(out);
}

static void test_blocks(void **state)
{
    (void)state;
    FbGgufReport report;
    write_input(0.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "Q4_0", .pure = 1}, &report), FB_OK);
    assert_int_equal(report.weight_count, ROWS);
    assert_int_equal(report.quantized_count, 4);
    assert_true(report.effective_bits == 4.5);
    assert_string_equal(report.preset, "q4_0");
    assert_string_equal(report.weights[0].name, "output_norm.weight"); /* sorted by name, blocks last */
    assert_string_equal(report.weights[0].reason, "one dimension");
    assert_null(report.weights[1].reason);
    struct stat info;
    assert_int_equal(stat(output, &info), 0);
    assert_int_equal((uint64_t)info.st_size, report.bytes_after);
    fb_gguf_report_free(context, &report);
    check_output((const char *[ROWS]){"f32", "q4_0", "q4_0", "q4_0", "q4_0", "f32"});
}

static void test_floats(void **state)
{
    (void)state;
    write_input(0.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "bf16"}, NULL), FB_OK);
    check_output((const char *[ROWS]){"f32", "bf16", "bf16", "bf16", "bf16", "f32"});
    assert_int_equal(run((FbGgufOptions){.preset = "f16", .overwrite = 1}, NULL), FB_OK);
    check_output((const char *[ROWS]){"f32", "f16", "f16", "f16", "f16", "f32"});
}

static void test_key_values(void **state)
{
    (void)state;
    FbCheckpoint *out;
    int64_t number;
    write_input(0.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "q8_0"}, NULL), FB_OK);
    assert_int_equal(fb_checkpoint_open(context, output, &out, &err), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "tokenizer.chat_template")), "{{ x }}");
    assert_true(fb_meta_integer(fb_checkpoint_meta(out, "general.file_type"), &number) && number == 7);
    assert_true(fb_meta_integer(fb_checkpoint_meta(out, "general.quantization_version"), &number) && number == 2);
    assert_null(fb_checkpoint_meta(out, "split.count"));
    fb_checkpoint_free(out);
}

static void test_threads(void **state)
{
    (void)state;
    char digests[3][65];
    write_input(0.0f);
    for (int i = 0; i < 3; i++) {
        FbGgufReport report;
        fb_context_free(context);
        assert_int_equal(open_context(1 + 2 * i), 0);
        assert_int_equal(run((FbGgufOptions){.preset = "q5_1", .pure = 1, .overwrite = 1}, &report), FB_OK);
        memcpy(digests[i], report.sha256, sizeof digests[i]);
        fb_gguf_report_free(context, &report);
    }
    assert_int_equal(strlen(digests[0]), 64);
    assert_string_equal(digests[0], digests[1]);
    assert_string_equal(digests[0], digests[2]);
}

static void test_overrides(void **state)
{
    (void)state;
    const char *set[] = {"blk.*.attn_v.weight=q8_0", "blk.*=q5_0"}, *excluded[] = {"*exps*"}, *unused[] = {"blk.0.attn_w.weight=q8_0"};
    write_input(0.0f);
    FbGgufOptions options = {.preset = "q4_0", .pure = 1, .overrides = set, .override_count = 1, .excluded = excluded, .excluded_count = 1};
    assert_int_equal(run(options, NULL), FB_OK);
    check_output((const char *[ROWS]){"f32", "q4_0", "q4_0", "q8_0", "bf16", "f32"});
    options.overrides = unused;
    options.overwrite = 1;
    assert_int_equal(run(options, NULL), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "near to it is blk.0.attn_v.weight"));
    assert_int_equal(run((FbGgufOptions){.overrides = (const char *[]){"x=q9"}, .override_count = 1}, NULL), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "q8_0"));
    assert_int_equal(run((FbGgufOptions){.overrides = (const char *[]){"q4_0"}, .override_count = 1}, NULL), FB_ERR_ARGUMENT);
    assert_int_equal(run((FbGgufOptions){.overrides = (const char *[]){"blk.0.ffn_down.weight=tq2_0"}, .override_count = 1, .dry_run = 1}, NULL),
                     FB_ERR_ARGUMENT);
}

static void test_requantize(void **state)
{
    (void)state;
    write_input(0.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "q8_0"}, NULL), FB_OK);
    assert_int_equal(warnings, 0);
    assert_int_equal(rename(output, input), 0);
    assert_int_equal(run((FbGgufOptions){.preset = "q4_1", .pure = 1}, NULL), FB_OK);
    assert_true(warnings > 0);
    check_output((const char *[ROWS]){"f32", "q4_1", "q4_1", "q4_1", "q4_1", "f32"});
}

static void test_refusals(void **state)
{
    (void)state;
    write_input(0.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "q4_0_x"}, NULL), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "did you mean 'q4_0'"));
    assert_int_equal(run((FbGgufOptions){.preset = "q2_k_s"}, NULL), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "importance matrix"));
    assert_int_equal(run((FbGgufOptions){.preset = "q8_0", .dry_run = 1}, NULL), FB_OK);
    assert_int_not_equal(access(output, F_OK), 0);
    assert_int_equal(run((FbGgufOptions){.preset = "q8_0"}, NULL), FB_OK);
    assert_int_not_equal(run((FbGgufOptions){.preset = "q8_0"}, NULL), FB_OK); /* it exists */
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *preset, *says;
    } specials[] = {{NAN, "q4_0", "element 300 is not a number"}, {INFINITY, "q8_0", "infinite"}, {NAN, "bf16", "not finite"},
                    {1e6f, "f16", "too large"}, {1e10f, "q4_0", "too large"}};
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        write_input(specials[i].value);
        assert_int_equal(run((FbGgufOptions){.preset = specials[i].preset, .pure = 1}, NULL), FB_ERR_NUMERIC);
        assert_non_null(strstr(err.message, "blk.0.attn_v.weight"));
        assert_non_null(strstr(err.message, specials[i].says));
        assert_int_not_equal(access(output, F_OK), 0);
    }
}

static void write_importance(const char *path, size_t columns, float second)
{
    FbImatrix *imatrix;
    FbImatrixRow *row;
    assert_int_equal(fb_imatrix_create(context, &imatrix, &err), FB_OK);
    assert_int_equal(fb_imatrix_add(imatrix, "blk.0.ffn_up_exps.weight", columns, 2, &row, &err), FB_OK);
    for (size_t i = 0; i < 2 * columns; i++) {
        row->sums[i] = (float)(1 + i * i % 97);
    }
    row->counts[0] = 3.0f;
    row->counts[1] = second;
    assert_int_equal(fb_imatrix_write(imatrix, path, true, &err), FB_OK);
    fb_imatrix_free(imatrix);
}

/* seen: the second matrix was multiplied with something. */
static void expect_importance(bool seen)
{
    FbCheckpoint *in, *out;
    assert_int_equal(fb_checkpoint_open(context, input, &in, &err), FB_OK);
    assert_int_equal(fb_checkpoint_open(context, output, &out, &err), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(out, "quantize.imatrix.file")), "imatrix.gguf");
    float floats[6 * 256], means[2 * 256];
    size_t bytes;
    uint8_t *raw = stored(out, "blk.0.ffn_up_exps.weight", &bytes), expected[6 * 8 * 18];
    assert_int_equal(bytes, sizeof expected);
    assert_int_equal(fb_const_read_f32(context, &fb_checkpoint_tensor(in, "blk.0.ffn_up_exps.weight")->constant, 0, 6 * 256, floats, &err), FB_OK);
    for (size_t i = 0; i < 512; i++) {
        means[i] = i >= 256 && !seen ? 1.0f : (float)(1 + i * i % 97) / (i < 256 ? 3.0f : 5.0f);
    }
    for (int matrix = 0; matrix < 2; matrix++) {
        FbBlockRows job = {fb_block_type_find("q4_0"), NULL, means + 256 * matrix, 8};
        assert_int_equal(fb_block_encode_rows(&job, floats + 768 * matrix, 0, expected + matrix * 3 * 8 * 18, 3, NULL, &err), FB_OK);
    }
    assert_memory_equal(raw, expected, bytes);
    free(raw);
    fb_checkpoint_free(in);
    fb_checkpoint_free(out);
}

/* Every matrix of a stack has an importance of its own. */
static void test_importance(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/imatrix.gguf", folder);
    write_input(0.0f);
    for (int seen = 0; seen < 2; seen++) {
        warnings = 0;
        write_importance(path, 256, seen ? 5.0f : 0.0f);
        assert_int_equal(run((FbGgufOptions){.preset = "q4_0", .pure = 1, .importance = path, .overwrite = 1}, NULL), FB_OK);
        assert_int_equal(warnings, seen ? 1 : 2); /* the other weights have none; an expert that saw nothing */
        expect_importance(seen != 0);
    }
    write_importance(path, 255, 5.0f);
    assert_int_equal(run((FbGgufOptions){.preset = "q4_0", .pure = 1, .importance = path, .overwrite = 1}, NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "has 510 values"));
    write_importance(path, 256, 1e-38f); /* finite sums whose means are not */
    assert_int_equal(run((FbGgufOptions){.preset = "q4_0", .pure = 1, .importance = path, .overwrite = 1}, NULL), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "has a mean of"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_blocks), TEST(test_floats), TEST(test_key_values), TEST(test_threads), TEST(test_overrides),
                                       TEST(test_requantize), TEST(test_refusals), TEST(test_numbers), TEST(test_importance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
