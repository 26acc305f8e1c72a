/* Safetensors files and folders: what is read, and what is refused with which message. Ids name the cases of the test catalogue. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, symlink */
#include "context_test.h"
#include "io/checkpoint_test.h"
#include "io/safetensors/safetensors.h"

static FbError err;
static char folder[64];

static int setup(void **state)
{
    strcpy(folder, "/tmp/fewbit-safetensors-XXXXXX");
    return mkdtemp(folder) != NULL ? context_setup(state) : -1;
}

static int teardown(void **state)
{
    remove_folder(folder);
    return context_teardown(state);
}

static FbStatus load(const void *bytes, size_t count, FbCheckpoint **checkpoint)
{
    FbSource *source;
    err = (FbError){0};
    assert_int_equal(fb_source_from_memory(context, bytes, count, &source, NULL), FB_OK);
    FbStatus status = fb_safetensors_open_source(context, source, "m.safetensors", checkpoint, &err);
    assert_true((status == FB_OK) == (*checkpoint != NULL));
    assert_true(status == FB_OK || (err.status == status && err.message[0] != '\0'));
    fb_source_release(source);
    return status;
}

static void expect_bytes(const void *bytes, size_t count, FbStatus status, const char *says)
{
    FbCheckpoint *checkpoint;
    FbStatus got = load(bytes, count, &checkpoint);
    fb_checkpoint_free(checkpoint);
    if (got != status || (says != NULL && strstr(err.message, says) == NULL)) {
        fail_msg("status %d (%s), expected %d and '%s'", got, err.message, status, says == NULL ? "" : says);
    }
}

static void expect(const char *header, size_t data, FbStatus status, const char *says)
{
    Bytes bytes = make_safetensors(header, data);
    expect_bytes(bytes.data, bytes.count, status, says);
    free(bytes.data);
}

/* One tensor with these fields and `data` bytes. */
static void expect_tensor(const char *dtype, const char *shape, const char *offsets, size_t data, FbStatus status, const char *says)
{
    char header[512];
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}}", dtype, shape, offsets);
    expect(header, data, status, says);
}

static void test_values(void **state)
{
    (void)state;
    static const float numbers[6] = {1, -2, 3.5f, 0, 5, -6};
    static const uint16_t halves[2] = {0x3c00, 0xc000};
    Bytes bytes = make_safetensors("{\"__metadata__\":{\"format\":\"pt\"},"
                                   "\"second\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                                   "\"first\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                   "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[28,36]},"
                                   "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[28,28]}}   ",
                                   0);
    bytes_add(&bytes, numbers, sizeof numbers);
    bytes_add(&bytes, halves, sizeof halves);
    bytes_number(&bytes, 77, 8);
    FbCheckpoint *table;
    assert_int_equal(load(bytes.data, bytes.count, &table), FB_OK);
    assert_int_equal(table->tensor_count, 4);
    assert_string_equal(table->tensors[0].name, "first"); /* file order, not that of the header */
    assert_string_equal(table->tensors[1].name, "second");
    assert_string_equal(table->tensors[2].name, "empty");
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(table, "format")), "pt");
    assert_null(fb_checkpoint_meta(table, "absent"));
    float read[3];
    const FbTableTensor *first = fb_checkpoint_tensor(table, "first");
    assert_int_equal(first->constant.shape.rank, 2);
    assert_int_equal(first->constant.shape.dims[1], 3);
    assert_int_equal(fb_const_read_f32(context, &first->constant, 2, 3, read, &err), FB_OK);
    assert_memory_equal(read, numbers + 2, sizeof read);
    assert_int_equal(fb_const_read_f32(context, &fb_checkpoint_tensor(table, "second")->constant, 0, 2, read, &err), FB_OK);
    assert_true(read[0] == 1.0f && read[1] == -2.0f);
    assert_int_equal(fb_checkpoint_tensor(table, "scalar")->constant.shape.rank, 0);
    assert_int_equal(fb_const_read_f32(context, &fb_checkpoint_tensor(table, "scalar")->constant, 0, 1, read, &err), FB_OK);
    assert_true(read[0] == 77.0f);
    fb_checkpoint_free(table);
    free(bytes.data);
}

/* S1, S2, S3: the container. */
static void test_container(void **state)
{
    (void)state;
    for (size_t count = 0; count < 8; count++) {
        expect_bytes("\2\0\0\0\0\0\0", count, FB_ERR_FORMAT, "too few");
    }
    expect_bytes("\0\0\0\0\0\0\0\0", 8, FB_ERR_FORMAT, "does not begin with '{'");
    expect_bytes("\5\0\0\0\0\0\0\0{}", 10, FB_ERR_FORMAT, "truncated");
    expect_bytes("\1\341\365\5\0\0\0\0{}", 10, FB_ERR_FORMAT, "at most 100000000");
    expect_bytes("\377\377\377\377\377\377\377\377{}", 10, FB_ERR_FORMAT, "at most");
    expect("{}", 0, FB_OK, NULL);
    expect("{} \n", 0, FB_OK, NULL);
    expect(" {}", 0, FB_ERR_FORMAT, "does not begin");
    expect("[]", 0, FB_ERR_FORMAT, "does not begin");
    expect("{\"a\xff\":1}", 0, FB_ERR_FORMAT, "header");
    expect("{\"a\"", 0, FB_ERR_FORMAT, "header");
    expect("{}x", 0, FB_ERR_FORMAT, "header");
    expect("{\"a\":1}", 0, FB_ERR_FORMAT, "expected an object");
}

/* S4 to S9: the cover of the data. */
static void test_cover(void **state)
{
    (void)state;
#define A(begin, end) "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #begin "," #end "]}"
#define B(begin, end) "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #begin "," #end "]}"
    expect("{" B(4, 8) "," A(0, 4) "}", 8, FB_OK, NULL);
    expect("{" A(0, 4) "," A(4, 8) "}", 8, FB_ERR_FORMAT, "duplicate");
    expect("{\"__metadata__\":{},\"__metadata__\":{}," A(0, 4) "}", 4, FB_ERR_FORMAT, "duplicate");
    expect("{" A(0, 4) "," B(3, 7) "}", 7, FB_ERR_FORMAT, "overlap");
    expect("{" A(0, 4) "," B(0, 4) "}", 4, FB_ERR_FORMAT, "overlap");
    expect("{" A(0, 4) "," B(5, 9) "}", 9, FB_ERR_FORMAT, "a hole");
    expect("{" A(1, 5) "}", 5, FB_ERR_FORMAT, "a hole");
    expect("{" A(4, 0) "}", 4, FB_ERR_FORMAT, "behind the end");
    expect("{" A(0, 4) "," B(4, 8) "}", 7, FB_ERR_FORMAT, "truncated");
    expect("{" A(0, 4) "}", 5, FB_ERR_FORMAT, "belong to none");
    expect("{}", 1, FB_ERR_FORMAT, "belong to none");
#undef A
#undef B
}

/* S10 to S16: the fields. */
static void test_fields(void **state)
{
    (void)state;
    expect_tensor("\"F32\"", "[2]", "[0,8]", 8, FB_OK, NULL);
    expect_tensor("\"F32\"", "[2]", "[0,7]", 7, FB_ERR_FORMAT, "has 8 bytes");
    expect_tensor("\"F32\"", "[3]", "[0,8]", 8, FB_ERR_FORMAT, "has 12 bytes");
    expect_tensor("\"U8\"", "[2,9223372036854775807]", "[0,4]", 4, FB_ERR_FORMAT, "too many elements");
    expect_tensor("\"U8\"", "[2,18446744073709551614]", "[0,4]", 4, FB_ERR_FORMAT, "header");
    expect_tensor("\"F32\"", "[4611686018427387905]", "[0,4]", 4, FB_ERR_FORMAT, "too many elements");
    expect_tensor("\"F32\"", "[0,4611686018427387905]", "[0,0]", 0, FB_OK, NULL);
    expect_tensor("\"F4\"", "[4]", "[0,2]", 2, FB_OK, NULL);
    expect_tensor("\"F4\"", "[3]", "[0,2]", 2, FB_ERR_FORMAT, "whole byte");
    static const char *const numbers[] = {"-1", "1.0", "1e3", "\"1\"", "null", "[0]", "true"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[64];
        snprintf(text, sizeof text, "[%s,4]", numbers[i]);
        expect_tensor("\"U8\"", "[4]", text, 4, FB_ERR_FORMAT, "whole numbers");
        snprintf(text, sizeof text, "[%s]", numbers[i]);
        expect_tensor("\"U8\"", text, "[0,4]", 4, FB_ERR_FORMAT, "whole number");
    }
    expect_tensor("\"U8\"", "[4]", "[0,9223372036854775808]", 4, FB_ERR_FORMAT, "header");
    expect_tensor("\"U8\"", "[4]", "[0,18446744073709551616]", 4, FB_ERR_FORMAT, "header");
    expect_tensor("\"U8\"", "[4]", "[0,9223372036854775807]", 4, FB_ERR_FORMAT, "truncated");
    expect_tensor("\"U8\"", "[4]", "[0,4,8]", 4, FB_ERR_FORMAT, "whole numbers");
    expect_tensor("\"U8\"", "4", "[0,4]", 4, FB_ERR_FORMAT, "a list");
    expect_tensor("\"F12\"", "[4]", "[0,4]", 4, FB_ERR_UNSUPPORTED, "F12");
    expect_tensor("7", "[4]", "[0,4]", 4, FB_ERR_FORMAT, "dtype");
    expect_tensor("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1, FB_ERR_UNSUPPORTED, "9 dimensions");
    expect("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, FB_ERR_FORMAT, "data_offsets");
    expect("{\"a\":{\"dtype\":\"U8\",\"shapes\":[0],\"data_offsets\":[0,0]}}", 0, FB_ERR_FORMAT, "did you mean 'shape'");
    expect("{\"\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, FB_ERR_FORMAT, "empty");
    expect("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, FB_ERR_FORMAT, NULL);
    expect("{\"__metadata__\":{\"a\":1}}", 0, FB_ERR_FORMAT, "must be a string");
    expect("{\"__metadata__\":[]}", 0, FB_ERR_FORMAT, "must be an object");
    char deep[2048] = "{\"a\":";
    memset(deep + 5, '[', 600);
    memset(deep + 605, ']', 600);
    strcpy(deep + 1205, "}");
    expect(deep, 0, FB_ERR_FORMAT, "nested deeper");
}

/* Every cut of a small file is refused. */
static void test_truncation(void **state)
{
    (void)state;
    Bytes bytes = make_safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                   "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[8,16]}}",
                                   16);
    expect_bytes(bytes.data, bytes.count, FB_OK, NULL);
    for (size_t count = 0; count < bytes.count; count++) {
        uint8_t *exact = malloc(count + 1);
        memcpy(exact, bytes.data, count);
        expect_bytes(exact, count, FB_ERR_FORMAT, "m.safetensors");
        free(exact);
    }
    free(bytes.data);
}

/* S17 */
static void test_many_empty(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    char *header = malloc(COUNT * 64 + 16);
    size_t used = 0;
    header[used++] = '{';
    for (int i = 0; i < COUNT; i++) {
        used += (size_t)sprintf(header + used, "%s\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i);
    }
    strcpy(header + used, "}");
    Bytes bytes = make_safetensors(header, 0);
    FbCheckpoint *table;
    assert_int_equal(load(bytes.data, bytes.count, &table), FB_OK);
    assert_int_equal(table->tensor_count, COUNT);
    assert_non_null(fb_checkpoint_tensor(table, "t99999"));
    fb_checkpoint_free(table);
    free(bytes.data);
    free(header);
}

/* A header whose tree would not fit is refused before anything is read. */
static void test_budget(void **state)
{
    (void)state;
    FbContext *small;
    FbSource *source;
    FbCheckpoint *table;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 1 << 20};
    Bytes bytes = make_safetensors("{}", 0);
    bytes_zeros(&bytes, 1 << 18);
    memset(bytes.data + 10, ' ', 1 << 18);
    bytes.data[2] = 4;
    assert_int_equal(fb_context_create(&options, &small, NULL), FB_OK);
    assert_int_equal(fb_source_from_memory(small, bytes.data, bytes.count, &source, NULL), FB_OK);
    assert_int_equal(fb_safetensors_open_source(small, source, "m", &table, &err), FB_ERR_BUDGET);
    fb_source_release(source);
    assert_int_equal(fb_context_memory_now(small), 0);
    fb_context_free(small);
    free(bytes.data);
}

/* ---- shards ---- */

#define A4 "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define B8 "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"

static void expect_index(const char *index, FbStatus status, const char *says)
{
    FbCheckpoint *table;
    char path[256];
    write_file(folder, "model.safetensors.index.json", index, strlen(index));
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    err = (FbError){0};
    FbStatus got = fb_checkpoint_open(context, path, &table, &err);
    if (got != status || (says != NULL && strstr(err.message, says) == NULL)) {
        fail_msg("status %d (%s), expected %d and '%s'", got, err.message, status, says == NULL ? "" : says);
    }
    fb_checkpoint_free(table);
}

/* S18 */
static void test_shards(void **state)
{
    (void)state;
    write_bytes(folder, SHARD1, make_safetensors(A4, 4));
    write_bytes(folder, SHARD2, make_safetensors(B8, 8));
    expect_index("{\"metadata\":{\"total_size\":12},\"weight_map\":{\"b\":\"" SHARD2 "\",\"a\":\"" SHARD1 "\"}}", FB_OK, NULL);
    assert_true(fb_checkpoint_recognized(context, folder));
    FbCheckpoint *table;
    assert_int_equal(fb_checkpoint_open(context, folder, &table, &err), FB_OK);
    assert_int_equal(table->tensor_count, 2);
    assert_int_equal(table->file_count, 2);
    assert_string_equal(table->files[fb_checkpoint_tensor(table, "b")->file].name, SHARD2);
    assert_string_equal(table->path, folder);
    fb_checkpoint_free(table);
    expect_index("{\"metadata\":{\"total_size\":13},\"weight_map\":{\"b\":\"" SHARD2 "\",\"a\":\"" SHARD1 "\"}}", FB_ERR_FORMAT, "total_size");
    expect_index("{\"metadata\":{\"total_size\":\"12\"},\"weight_map\":{\"b\":\"" SHARD2 "\",\"a\":\"" SHARD1 "\"}}", FB_ERR_FORMAT, "total_size");
    expect_index("{\"weight_map\":{\"b\":\"" SHARD2 "\"}}", FB_ERR_FORMAT, "is one of 2");
    expect_index("{\"weight_map\":{\"a\":\"" SHARD2 "\",\"b\":\"" SHARD1 "\"}}", FB_ERR_FORMAT, "in another file");
    expect_index("{\"weight_map\":{\"a\":\"" SHARD1 "\",\"a\":\"" SHARD2 "\"}}", FB_ERR_FORMAT, "duplicate");
    expect_index("{\"weight_map\":{\"a\":\"" SHARD1 "\",\"b\":\"" SHARD2 "\",\"c\":\"" SHARD2 "\"}}", FB_ERR_FORMAT, "does not hold it");
    expect_index("{\"weight_map\":{\"a\":\"" SHARD1 "\",\"x\":\"" SHARD2 "\"}}", FB_ERR_FORMAT, "does not have");
    expect_index("{\"weight_map\":{\"a\":\"" SHARD1 "\",\"b\":\"gone.safetensors\"}}", FB_ERR_IO, "gone.safetensors");
    expect_index("{\"weight_map\":{\"a\":\"../x.safetensors\"}}", FB_ERR_FORMAT, "outside the folder");
    expect_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", FB_ERR_FORMAT, "outside the folder");
    expect_index("{\"weight_map\":{\"a\":3}}", FB_ERR_FORMAT, "must be a string");
    expect_index("{\"weight_map\":{}}", FB_ERR_FORMAT, "names 0 files");
    expect_index("{\"weight_map\":[]}", FB_ERR_FORMAT, "must be an object");
    expect_index("{}", FB_ERR_FORMAT, "must be an object");
    /* The same tensor in two shards. */
    write_bytes(folder, SHARD2, make_safetensors(A4, 4));
    expect_index("{\"weight_map\":{\"a\":\"" SHARD1 "\",\"b\":\"" SHARD2 "\"}}", FB_ERR_FORMAT, "'a' is there twice");
    char target[256], link[256];
    snprintf(target, sizeof target, "%s/%s", folder, SHARD1);
    snprintf(link, sizeof link, "%s/link.safetensors", folder);
    assert_int_equal(symlink(target, link), 0);
    expect_index("{\"weight_map\":{\"a\":\"link.safetensors\"}}", FB_ERR_FORMAT, "symbolic link");
}

static void test_folder(void **state)
{
    (void)state;
    FbCheckpoint *table;
    int64_t layers;
    assert_false(fb_checkpoint_recognized(context, folder));
    static const char config[] = "{\"model_type\":\"llama\",\"num_hidden_layers\":5,\"rms_norm_eps\":1e-05,\"tie\":true,\"list\":[1],\"none\":null}";
    write_file(folder, "config.json", config, sizeof config - 1);
    assert_false(fb_checkpoint_recognized(context, folder));
    write_bytes(folder, "weights.safetensors", make_safetensors(A4, 4));
    assert_int_equal(fb_checkpoint_open(context, folder, &table, &err), FB_OK);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(table, "config.model_type")), "llama");
    assert_true(fb_meta_integer(fb_checkpoint_meta(table, "config.num_hidden_layers"), &layers) && layers == 5);
    double number;
    assert_true(fb_meta_number(fb_checkpoint_meta(table, "config.rms_norm_eps"), &number) && number == 1e-05);
    assert_null(fb_checkpoint_meta(table, "config.list"));
    fb_checkpoint_free(table);
    write_bytes(folder, "other.safetensors", make_safetensors(B8, 8));
    assert_int_equal(fb_checkpoint_open(context, folder, &table, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "2 safetensors files"));
    write_bytes(folder, "model.safetensors", make_safetensors(B8, 8));
    assert_int_equal(fb_checkpoint_open(context, folder, &table, &err), FB_OK);
    assert_non_null(fb_checkpoint_tensor(table, "b"));
    fb_checkpoint_free(table);
    write_file(folder, "config.json", "[]", 2);
    assert_int_equal(fb_checkpoint_open(context, folder, &table, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),     cmocka_unit_test_setup_teardown(test_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cover, setup, teardown),      cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncation, setup, teardown), cmocka_unit_test_setup_teardown(test_many_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),     cmocka_unit_test_setup_teardown(test_shards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
