/* Writing GGUF files: what is read back equals what was put; what is not complete does not appear. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "context_test.h"
#include "io/checkpoint_test.h"
#include "io/gguf/gguf_write.h"
#include "tensor/block_type.h"

static FbGgufWriter *writer;
static FbError err;
static char folder[64], path[128];

static int setup(void **state)
{
    strcpy(folder, "/tmp/fewbit-gguf-XXXXXX");
    if (mkdtemp(folder) == NULL || context_setup(state) != 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/out.gguf", folder);
    return fb_gguf_writer_create(context, &writer, &err) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    fb_gguf_writer_free(writer);
    remove_folder(folder);
    return context_teardown(state);
}

static const FbShape matrix = {2, {3, 64}}, vector = {1, {5}};

static void put_usual(void)
{
    static const FbBytes texts[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"", 0}};
    static const int16_t numbers[] = {1, -2, 3};
    assert_int_equal(fb_gguf_put_text(writer, "general.architecture", "llama", &err), FB_OK);
    assert_int_equal(fb_gguf_put_u32(writer, "general.alignment", 64, &err), FB_OK);
    assert_int_equal(fb_gguf_put_f32(writer, "f", 0.1f, &err), FB_OK);
    assert_int_equal(fb_gguf_put_bool(writer, "b", true, &err), FB_OK);
    assert_int_equal(fb_gguf_put_texts(writer, "t", texts, 2, &err), FB_OK);
    assert_int_equal(fb_gguf_put_numbers(writer, "n", FB_META_S16, numbers, 3, &err), FB_OK);
    assert_int_equal(fb_gguf_put_tensor(writer, "v", &vector, 0, &err), FB_OK);
    assert_int_equal(fb_gguf_put_tensor(writer, "m", &matrix, 8, &err), FB_OK);
}

static void test_round_trip(void **state)
{
    (void)state;
    float v[5] = {1, 2, 3, 4, 5}, m[192], read[192];
    uint8_t blocks[6 * 34];
    FbCheckpoint *table;
    for (int i = 0; i < 192; i++) {
        m[i] = (float)(i % 127);
    }
    put_usual();
    assert_int_equal(fb_block_encode(fb_block_type_find("q8_0"), m, 0, blocks, 6, NULL, &err), FB_OK);
    uint64_t bytes = fb_gguf_file_bytes(writer);
    assert_int_equal(fb_gguf_start(writer, path, false, &err), FB_OK);
    /* Pieces that have nothing to do with the tensors. */
    uint8_t all[sizeof v + sizeof blocks];
    memcpy(all, v, sizeof v);
    memcpy(all + sizeof v, blocks, sizeof blocks);
    for (size_t at = 0; at < sizeof all; at += 7) {
        assert_int_equal(fb_gguf_write(writer, all + at, sizeof all - at < 7 ? sizeof all - at : 7, &err), FB_OK);
    }
    assert_int_not_equal(access(path, F_OK), 0);
    char digest[65] = "";
    assert_int_equal(fb_gguf_commit(writer, digest, &err), FB_OK);
    assert_int_equal(strlen(digest), 64);
    assert_int_equal(fb_checkpoint_open(context, path, &table, &err), FB_OK);
    assert_int_equal(table->file_bytes, bytes);
    assert_int_equal(table->metadata_count, 6);
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(table, "general.architecture")), "llama");
    double number;
    assert_true(fb_meta_number(fb_checkpoint_meta(table, "f"), &number) && (float)number == 0.1f);
    assert_int_equal(fb_checkpoint_meta(table, "t")->count, 2);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(table, "n"), 1, 1, &number, &err), FB_OK);
    assert_true(number == -2);
    const FbConst *constant = &fb_checkpoint_tensor(table, "m")->constant;
    assert_int_equal(constant->shape.dims[0], 3);
    assert_int_equal(fb_const_read_f32(context, constant, 0, 192, read, &err), FB_OK);
    for (int i = 0; i < 192; i++) {
        assert_true(read[i] - m[i] < 0.6f && m[i] - read[i] < 0.6f);
    }
    assert_int_equal(fb_const_read_f32(context, &fb_checkpoint_tensor(table, "v")->constant, 0, 5, read, &err), FB_OK);
    assert_memory_equal(read, v, sizeof v);
    fb_checkpoint_free(table);
}

static void test_incomplete(void **state)
{
    (void)state;
    uint8_t zeros[20 + 6 * 34 + 1] = {0};
    put_usual();
    assert_int_equal(fb_gguf_commit(writer, NULL, &err), FB_ERR_INTERNAL);
    assert_int_equal(fb_gguf_start(writer, path, false, &err), FB_OK);
    assert_int_equal(fb_gguf_write(writer, zeros, sizeof zeros - 2, &err), FB_OK);
    assert_int_equal(fb_gguf_commit(writer, NULL, &err), FB_ERR_INTERNAL);
    assert_int_equal(fb_gguf_write(writer, zeros, 2, &err), FB_ERR_INTERNAL); /* one too many */
    assert_int_equal(fb_gguf_put_u32(writer, "late", 1, &err), FB_ERR_FORMAT);
    fb_gguf_writer_free(writer);
    writer = NULL;
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rmdir(folder), 0); /* not even a part is left */
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    char name[80];
    memset(name, 'x', sizeof name);
    name[64] = '\0';
    put_usual();
    assert_int_equal(fb_gguf_put_text(writer, "general.architecture", "llama", &err), FB_ERR_FORMAT);
    assert_int_equal(fb_gguf_put_tensor(writer, "m", &matrix, 0, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_gguf_put_tensor(writer, name, &matrix, 0, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_tensor(writer, "a", &vector, 8, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_tensor(writer, "a", &matrix, 4, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_tensor(writer, "a", &(FbShape){.rank = 0}, 0, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_tensor(writer, "a", &(FbShape){5, {1, 1, 1, 1, 1}}, 0, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_tensor(writer, "a", &(FbShape){2, {1LL << 40, 1LL << 40}}, 0, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(fb_gguf_put_u32(writer, "", 1, &err), FB_ERR_UNSUPPORTED);
    write_file(folder, "out.gguf", "x", 1);
    assert_int_equal(fb_gguf_start(writer, path, false, &err), FB_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_incomplete, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_refusals, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
