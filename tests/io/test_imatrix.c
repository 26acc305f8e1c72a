/* Importance matrices: both forms read, GGUF written and read back, refusals that say what is wrong. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <math.h>

#include "context_test.h"
#include "io/checkpoint_test.h"
#include "io/gguf/imatrix.h"

static FbError err;
static char folder[64], path[128];

static int setup(void **state)
{
    strcpy(folder, "/tmp/fewbit-imatrix-XXXXXX");
    if (mkdtemp(folder) == NULL || context_setup(state) != 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/m", folder);
    return 0;
}

static int teardown(void **state)
{
    remove_folder(folder);
    return context_teardown(state);
}

static void test_round_trip(void **state)
{
    (void)state;
    FbImatrix *made, *read;
    FbImatrixRow *row;
    float means[4];
    assert_int_equal(fb_imatrix_create(context, &made, &err), FB_OK);
    assert_int_equal(fb_imatrix_add(made, "blk.0.ffn_up_exps.weight", 2, 2, &row, &err), FB_OK);
    memcpy(row->sums, (float[]){2, 4, 0, 0}, 4 * sizeof(float));
    memcpy(row->counts, (float[]){4, 0}, 2 * sizeof(float));
    assert_int_equal(fb_imatrix_add(made, "blk.0.attn_q.weight", 3, 1, &row, &err), FB_OK);
    assert_int_equal(fb_imatrix_add(made, "blk.0.attn_q.weight", 3, 1, &row, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_imatrix_add_datasets(made, &(FbBytes){(const uint8_t *)"corpus.txt", 10}, 1, &err), FB_OK);
    assert_int_equal(fb_imatrix_add_datasets(made, &(FbBytes){(const uint8_t *)"more.txt", 8}, 1, &err), FB_OK);
    made->chunks = 7;
    made->chunk_size = 512;
    assert_int_equal(fb_imatrix_write(made, path, false, &err), FB_OK);
    fb_imatrix_free(made);
    assert_int_equal(fb_imatrix_read(context, path, &read, &err), FB_OK);
    assert_int_equal(read->row_count, 2);
    assert_int_equal(read->chunks, 7);
    assert_int_equal(read->chunk_size, 512);
    assert_int_equal(read->dataset_count, 2);
    assert_string_equal((const char *)read->datasets[0].data, "corpus.txt");
    assert_string_equal((const char *)read->datasets[1].data, "more.txt");
    assert_false(read->counts_chunks);
    const FbImatrixRow *found = fb_imatrix_find(read, "blk.0.ffn_up_exps.weight");
    assert_int_equal(found->columns, 2);
    assert_int_equal(found->matrices, 2);
    fb_imatrix_means(found, means);
    for (int i = 0; i < 4; i++) { /* a matrix that saw nothing is uniform */
        static const float expected[] = {0.5f, 1.0f, 1.0f, 1.0f};
        assert_true(means[i] == expected[i]);
    }
    assert_null(fb_imatrix_find(read, "x"));
    fb_imatrix_free(read);
}

static void add_entry(Bytes *bytes, const char *name, uint32_t calls, const float *values, size_t count)
{
    bytes_number(bytes, strlen(name), 4);
    bytes_text(bytes, name);
    bytes_number(bytes, calls, 4);
    bytes_number(bytes, count, 4);
    bytes_add(bytes, values, count * sizeof *values);
}

static FbStatus read_bytes(Bytes bytes, FbImatrix **out)
{
    FbSource *source;
    *out = NULL;
    assert_int_equal(fb_source_from_memory(context, bytes.data, bytes.count, &source, &err), FB_OK);
    free(bytes.data);
    FbStatus status = fb_imatrix_read_source(context, source, "old.dat", out, &err);
    fb_source_release(source);
    assert_true((status == FB_OK) == (*out != NULL));
    return status;
}

static void test_old_form(void **state)
{
    (void)state;
    FbImatrix *read;
    float means[2];
    for (int tail = 0; tail < 2; tail++) { /* the oldest files end behind the entries */
        Bytes bytes = {0};
        bytes_number(&bytes, 2, 4);
        add_entry(&bytes, "a", 4, (float[]){2, 8}, 2);
        add_entry(&bytes, "b", 0, (float[]){3}, 1);
        if (tail) {
            bytes_number(&bytes, 9, 4);
            bytes_number(&bytes, 4, 4);
            bytes_text(&bytes, "wiki");
        }
        assert_int_equal(read_bytes(bytes, &read), FB_OK);
        fb_imatrix_means(fb_imatrix_find(read, "a"), means);
        assert_true(means[0] == 0.5f && means[1] == 2.0f);
        fb_imatrix_means(fb_imatrix_find(read, "b"), means);
        assert_true(means[0] == 3.0f);
        assert_int_equal(read->chunks, tail ? 9 : 0);
        if (tail) {
            assert_string_equal((const char *)read->datasets[0].data, "wiki");
        }
        assert_true(read->counts_chunks && read->dataset_count == (size_t)tail);
        fb_imatrix_free(read);
    }
}

static FbImatrix *make(const char *name, size_t columns, size_t matrices, const float *sums, const float *counts)
{
    FbImatrix *made;
    FbImatrixRow *row;
    assert_int_equal(fb_imatrix_create(context, &made, &err), FB_OK);
    assert_int_equal(fb_imatrix_add(made, name, columns, matrices, &row, &err), FB_OK);
    memcpy(row->sums, sums, columns * matrices * sizeof *sums);
    memcpy(row->counts, counts, matrices * sizeof *counts);
    return made;
}

static FbStatus merge(FbImatrix *to, FbImatrix *from)
{
    FbStatus status = fb_imatrix_merge(to, from, 10, &err);
    fb_imatrix_free(from);
    return status;
}

/* Counts of matrices, one count for all of them, and chunks of ten instead of counts. */
static void test_merge(void **state)
{
    (void)state;
    static const char name[] = "blk.0.ffn_up_exps.weight";
    for (int order = 0; order < 2; order++) {
        FbImatrix *sum, *old;
        Bytes bytes = {0};
        bytes_number(&bytes, 2, 4);
        add_entry(&bytes, name, 3, (float[]){6, 3, 1, 0}, 4);
        add_entry(&bytes, "b", 2, (float[]){4}, 1);
        bytes_number(&bytes, 3, 4);
        bytes_number(&bytes, 4, 4);
        bytes_text(&bytes, "wiki");
        assert_int_equal(read_bytes(bytes, &old), FB_OK);
        FbImatrix *each = make(name, 2, 2, (float[]){1, 2, 3, 4}, (float[]){5, 0});
        assert_int_equal(fb_imatrix_create(context, &sum, &err), FB_OK);
        assert_int_equal(merge(sum, order ? each : old), FB_OK);
        assert_int_equal(merge(sum, order ? old : each), FB_OK);
        const FbImatrixRow *row = fb_imatrix_find(sum, name);
        assert_true(row->columns == 2 && row->matrices == 2 && row->counts[0] == 35.0f && row->counts[1] == 30.0f);
        for (int i = 0; i < 4; i++) {
            static const float expected[] = {61, 32, 13, 4};
            assert_true(row->sums[i] == expected[i]);
        }
        row = fb_imatrix_find(sum, "b");
        assert_true(row->counts[0] == 20.0f && row->sums[0] == 40.0f && !sum->counts_chunks);
        assert_true(sum->chunks == 3 && sum->chunk_size == 10 && sum->dataset_count == 1);
        assert_string_equal((const char *)sum->datasets[0].data, "wiki");
        /* other lengths, other numbers of matrices, other weights, sums that are too large */
        assert_int_equal(merge(sum, make(name, 3, 1, (float[]){1, 1, 1}, (float[]){1})), FB_ERR_ARGUMENT);
        assert_non_null(strstr(err.message, "3 columns in 1 matrices, before 2 in 2"));
        assert_int_equal(merge(sum, make(name, 1, 4, (float[]){1, 1, 1, 1}, (float[]){1, 1, 1, 1})), FB_ERR_ARGUMENT);
        assert_int_equal(merge(sum, make("x", 1, 1, (float[]){1}, (float[]){1})), FB_ERR_ARGUMENT);
        assert_non_null(strstr(err.message, "another model"));
        assert_int_equal(merge(sum, make("b", 1, 1, (float[]){3e38f}, (float[]){1})), FB_OK);
        assert_int_equal(merge(sum, make("b", 1, 1, (float[]){3e38f}, (float[]){1})), FB_ERR_NUMERIC);
        assert_int_equal(merge(sum, make(name, 2, 2, (float[]){1, 1, 1, 1}, (float[]){3e38f, 1})), FB_OK);
        assert_int_equal(merge(sum, make(name, 2, 2, (float[]){1, 1, 1, 1}, (float[]){3e38f, 1})), FB_ERR_NUMERIC);
        fb_imatrix_free(sum);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const float bad[] = {1.0f, NAN}, negative[] = {-1.0f}, endless[] = {INFINITY}, fine[] = {1.0f};
    const struct {
        const char *name;
        const float *values;
        size_t count;
        uint32_t entries;
        const char *says;
    } cases[] = {{"a", bad, 2, 1, "value 1 is"}, {"a", negative, 1, 1, "value 0 is -1"}, {"a", endless, 1, 1, "value 0 is inf"},
                 {"", fine, 1, 1, "nothing is there"}, {"a", fine, 0, 1, "nothing is there"}, {"a", fine, 1, 2, "truncated"},
                 {"a", fine, 1, 0, "no weights"}, {"a", fine, 1, 0x7fffffff, "at most"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Bytes bytes = {0};
        FbImatrix *read;
        bytes_number(&bytes, cases[i].entries, 4);
        add_entry(&bytes, cases[i].name, 1, cases[i].values, cases[i].count);
        assert_int_equal(read_bytes(bytes, &read), FB_ERR_FORMAT);
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("case %zu says '%s'", i, err.message);
        }
        assert_non_null(strstr(err.message, "old.dat"));
    }
    for (size_t cut = 0; cut < 30; cut++) { /* every truncation of a file with one entry */
        Bytes bytes = {0};
        FbImatrix *read;
        bytes_number(&bytes, 1, 4);
        add_entry(&bytes, "a", 1, (float[]){1, 2, 3, 4}, 4);
        bytes.count = cut < bytes.count ? cut : bytes.count - 1;
        assert_int_equal(read_bytes(bytes, &read), FB_ERR_FORMAT);
    }
    Bytes same = {0};
    FbImatrix *read;
    bytes_number(&same, 2, 4);
    add_entry(&same, "a", 1, fine, 1);
    add_entry(&same, "a", 1, fine, 1);
    assert_int_equal(read_bytes(same, &read), FB_ERR_FORMAT);
    assert_int_equal(fb_imatrix_read(context, path, &read, &err), FB_ERR_IO);
}

static void test_other_gguf(void **state)
{
    (void)state;
    FbImatrix *read;
    assert_int_equal(fb_imatrix_read(context, FB_SOURCE_DIR "/tests/fuzz/seeds/gguf/vocabulary", &read, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no importance matrix"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_round_trip), TEST(test_old_form), TEST(test_merge), TEST(test_refusals), TEST(test_other_gguf)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
