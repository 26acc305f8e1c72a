/* Importance matrices: sums of squares by hand, windows in pieces, one row for a weight that is used in parts, the same bytes for any number of
 * threads, what is refused, and every allocation and file operation failing once. */
#include "importance_folder.h"

#include <errno.h>

enum { TOKENS = 1300 };

static int64_t token(size_t i) { return (int64_t)fb_random_below(3, 1, i, SMALL_VOCABULARY); }

static int make_folder(void **state)
{
    (void)state;
    return make_text(TOKENS, token);
}

static FbStatus collect(FbContext *context, const FbModel *model, const char *path, size_t window, size_t windows, FbImportanceReport *report,
                        FbError *err)
{
    FbImportanceOptions options = {.struct_bytes = sizeof options, .context = window, .windows = windows, .overwrite = 1};
    return fb_importance_collect(context, model, NULL, text, path, &options, report, err);
}

/* The first layer's products see rows of the embedding. */
static void test_sums(void **state)
{
    (void)state;
    FbContext *context = build_context(2);
    FbModel *model = small_language_model(context, 0.3f);
    FbImportanceReport report;
    FbImatrix *imatrix;
    FbError err;
    assert_int_equal(collect(context, model, output, 600, 0, &report, &err), FB_OK); /* longer than a run */
    assert_true(report.text_tokens == TOKENS && report.windows == 2 && report.context == 600 && report.weights == 9 && report.values == 5 &&
                report.added_bos == 0);
    assert_int_equal(fb_imatrix_read(context, output, &imatrix, &err), FB_OK);
    assert_true(imatrix->chunks == 2 && imatrix->chunk_size == 600 && imatrix->row_count == 9);
    assert_true(imatrix->dataset_count == 1);
    assert_string_equal((const char *)imatrix->datasets[0].data, "text.jsonl");
    static const char *const shared[] = {"wq0", "wk0", "wv0"};
    for (int w = 0; w < 3; w++) {
        const FbImatrixRow *row = fb_imatrix_find(imatrix, shared[w]);
        assert_true(row != NULL && row->columns == SMALL_HIDDEN && row->matrices == 1 && row->counts[0] == 1200.0f);
        for (size_t c = 0; c < SMALL_HIDDEN; c++) {
            double sum = 0;
            for (size_t t = 0; t < 1200; t++) {
                double x = fb_random_normal(11, 99, (uint64_t)token(t) * SMALL_HIDDEN + c) * 0.3f;
                sum += x * x;
            }
            assert_true(row->sums[c] == (float)sum);
        }
    }
    fb_imatrix_free(imatrix);
    fb_model_free(model);
    fb_context_free(context);
}

/* Names of Hugging Face become GGUF's; rows of one weight are that weight; heads do not count. */
static void test_names(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"wq0", "model.layers.0.self_attn.qkv_proj.weight.q"}, {"wk0", "model.layers.0.self_attn.qkv_proj.weight.k"},
                                           {"wv0", "model.layers.0.self_attn.qkv_proj.weight.v"}, {"wo0", "blk.0.attn_output.weight"},
                                           {"embedding", "lm_head.weight"}};
    FbContext *context = build_context(1);
    FbModel *model = small_language_model(context, 0.3f);
    FbImportanceReport report;
    FbImatrix *imatrix;
    FbError err;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(fb_graph_rename_value(model->graph, fb_graph_find_value(model->graph, names[i][0]), names[i][1], &err), FB_OK);
    }
    assert_int_equal(collect(context, model, output, 16, 3, &report, &err), FB_OK);
    assert_int_equal(report.weights, 6);
    assert_int_equal(fb_imatrix_read(context, output, &imatrix, &err), FB_OK);
    assert_non_null(fb_imatrix_find(imatrix, "blk.0.attn_qkv.weight"));
    assert_non_null(fb_imatrix_find(imatrix, "blk.0.attn_output.weight"));
    assert_true(fb_imatrix_find(imatrix, "wq1")->counts[0] == 48.0f);
    fb_imatrix_free(imatrix);
    /* the same name where another value enters */
    assert_int_equal(fb_graph_rename_value(model->graph, fb_graph_find_value(model->graph, "wq1"), "model.layers.0.self_attn.qkv_proj.weight.x", &err),
                     FB_OK);
    assert_int_equal(collect(context, model, output, 16, 3, &report, &err), FB_ERR_UNSUPPORTED);
    fb_model_free(model);
    fb_context_free(context);
}

static void test_threads(void **state)
{
    (void)state;
    for (int threads = 1; threads < 5; threads += 3) {
        FbContext *context = build_context(threads);
        FbModel *model = small_language_model(context, 0.3f);
        assert_int_equal(collect(context, model, threads == 1 ? output : second, 100, 0, NULL, NULL), FB_OK);
        fb_model_free(model);
        fb_context_free(context);
    }
    assert_same_files();
}

static void test_refused(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = small_language_model(context, 0.3f), *other = build_model(context), *huge = small_language_model(context, 3e38f);
    FbError err;
    FbId node;
    remove(output);
    assert_int_equal(collect(context, other, output, 16, 0, NULL, &err), FB_ERR_UNSUPPORTED);
    assert_int_equal(collect(context, model, output, 4, 0, NULL, &err), FB_ERR_ARGUMENT);
    assert_int_equal(collect(context, model, output, TOKENS + 1, 0, NULL, &err), FB_ERR_ARGUMENT);
    assert_int_equal(collect(context, model, output, 16, TOKENS, NULL, &err), FB_ERR_ARGUMENT);
    assert_int_equal(collect(context, huge, output, 16, 1, NULL, &err), FB_ERR_NUMERIC);
    FbImportanceOptions options = {.struct_bytes = sizeof options + 1};
    assert_int_equal(fb_importance_collect(context, model, NULL, text, output, &options, NULL, &err), FB_ERR_ARGUMENT);
    FbId x = fb_graph_find_value(model->graph, "x1"), y = build_value(model->graph, "experts");
    assert_int_equal(fb_graph_add_node(model->graph, "fewbit", "Experts", 1, "experts", &x, 1, &y, 1, FB_NONE, &node, &err), FB_OK);
    assert_int_equal(collect(context, model, output, 16, 0, NULL, &err), FB_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "experts"));
    assert_int_not_equal(access(output, F_OK), 0);
    fb_model_free(huge);
    fb_model_free(other);
    fb_model_free(model);
    fb_context_free(context);
}

/* The model is made by a context that works. */
static FbStatus run_with(Faults *faults, const FbModel *model, FbError *err)
{
    FbContext *context;
    *err = (FbError){0};
    FbStatus status = faults_context(faults, &context, err);
    status = status == FB_OK ? collect(context, model, output, 16, 2, NULL, err) : status;
    fb_context_free(context);
    assert_int_equal(faults->live_bytes, 0);
    assert_true(status == FB_OK || (err->status == status && err->message[0] != '\0'));
    assert_true((access(output, F_OK) == 0) == (status == FB_OK) || status == FB_ERR_IO); /* a sync after the rename may fail */
    remove(output);
    return status;
}

static void test_faults(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = small_language_model(context, 0.3f);
    FbError err;
    Faults count = {0};
    remove(output);
    assert_int_equal(run_with(&count, model, &err), FB_OK);
    assert_true(count.allocations > 20 && count.operations > 5);
    for (uint64_t k = 1; k <= 2 * count.allocations; k++) {
        Faults faults = {.allocation_fails_at = (k + 1) / 2, .persistent = k % 2};
        FbStatus status = run_with(&faults, model, &err);
        if (status != FB_ERR_NO_MEMORY && (status != FB_OK || faults.persistent)) { /* a session tries once more, with fewer bindings kept */
            fail_msg("allocation %llu of %llu failed: status %d (%s)", (unsigned long long)(k + 1) / 2, (unsigned long long)count.allocations, status,
                     err.message);
        }
    }
    for (uint64_t k = 1; k <= count.operations; k++) {
        Faults faults = {.operation_fails_at = k, .error = ENOSPC};
        assert_int_equal(run_with(&faults, model, &err), FB_ERR_IO);
    }
    fb_model_free(model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),    cmocka_unit_test(test_names),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}
