/* Importance of mixtures of experts: sums over the tokens that each expert was sent, by hand, in all forms of the weights; experts that no token
 * reached; files added up; the same bytes for any number of threads; every allocation failing once. */
#include "importance_folder.h"

#include <math.h>

#include "faults/faults_loops.h"

/* The router has the same row for the first three experts, and the lower number wins: 0 is always chosen, 2 never, of 1 and 3 the better one. */
enum { TOKENS = 700, WINDOW = 600, EXPERTS = 4, TOP_K = 2, WIDTH = 3, HIDDEN = SMALL_HIDDEN, STACK = EXPERTS * WIDTH * HIDDEN };

typedef enum Form { STACKED, SINGLE, SINGLE_OF_GGUF } Form;

static float weights[3][STACK], router[EXPERTS * HIDDEN];

static int64_t token(size_t i) { return (int64_t)fb_random_below(5, 1, i, SMALL_VOCABULARY); }
static float embedding(size_t t, size_t c) { return fb_random_normal(11, 99, (uint64_t)token(t) * HIDDEN + c) * 0.3f; }

static int make_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < STACK; i++) {
        for (size_t kind = 0; kind < 3; kind++) {
            weights[kind][i] = fb_random_normal(17, kind, i) * 0.5f;
        }
    }
    for (size_t i = 0; i < EXPERTS * HIDDEN; i++) {
        router[i] = fb_random_normal(17, 9, i < 3 * HIDDEN ? i % HIDDEN : i);
    }
    return make_text(TOKENS, token);
}

static void add_weights(FbGraph *graph, Form form, FbId *ids, size_t *count)
{
    static const char *const stacks[3] = {"gate", "up", "down"}, *const singles[3] = {"w1", "w3", "w2"};
    char name[80];
    for (int kind = 0; kind < 3; kind++) {
        int64_t rows = kind == 2 ? HIDDEN : WIDTH, columns = kind == 2 ? WIDTH : HIDDEN;
        for (int e = 0; e < (form == STACKED ? 1 : EXPERTS); e++) {
            if (form == STACKED) {
                snprintf(name, sizeof name, "blk.0.ffn_%s_exps.weight", stacks[kind]);
            } else if (form == SINGLE) {
                snprintf(name, sizeof name, "model.layers.0.block_sparse_moe.experts.%d.%s.weight", e, singles[kind]);
            } else {
                snprintf(name, sizeof name, "blk.0.ffn_%s.%d.weight", stacks[kind], e);
            }
            build_constant(graph, name, FB_DTYPE_F32, form == STACKED ? 3 : 2, form == STACKED ? (int64_t[]){EXPERTS, rows, columns} : (int64_t[]){rows, columns},
                           weights[kind] + e * rows * columns);
            ids[(*count)++] = fb_graph_find_value(graph, name);
        }
    }
}

/* The small model, with a mixture that sees the embedding. */
static FbModel *make_model(FbContext *context, Form form)
{
    FbModel *model = small_language_model(context, 0.3f);
    FbGraph *graph = model->graph;
    FbId ids[2 + 3 * EXPERTS], y, node;
    size_t count = 2;
    build_constant(graph, "blk.0.ffn_gate_inp.weight", FB_DTYPE_F32, 2, (int64_t[]){EXPERTS, HIDDEN}, router);
    small_product(graph, "x0,blk.0.ffn_gate_inp.weight", "routed");
    ids[0] = build_value(graph, "x0");
    ids[1] = build_value(graph, "routed");
    add_weights(graph, form, ids, &count);
    y = build_value(graph, "mixed");
    assert_int_equal(fb_graph_add_node(graph, "fewbit", "Experts", 1, "mixed", ids, count, &y, 1, FB_NONE, &node, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "top_k", TOP_K, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "normalize", 1, NULL), FB_OK);
    build_node(graph, "Add", 14, "x2,mixed", "sum");
    FbId gather = graph->values[fb_graph_find_value(graph, "wanted")].producer;
    fb_graph_set_input(graph, gather, 0, fb_graph_find_value(graph, "sum"));
    return model;
}

static FbStatus collect(FbContext *context, const FbModel *model, const char *path, const char *const *merged, size_t merged_count,
                        FbImportanceReport *report, FbError *err)
{
    FbImportanceOptions options = {.struct_bytes = sizeof options, .context = WINDOW, .overwrite = 1, .merged = merged, .merged_count = merged_count};
    return fb_importance_collect(context, model, NULL, model != NULL ? text : NULL, path, &options, report, err);
}

static double dot(const float *w, size_t t)
{
    double sum = 0;
    for (size_t c = 0; c < HIDDEN; c++) {
        sum += (double)w[c] * (double)embedding(t, c);
    }
    return sum;
}

typedef struct Expected { double in[EXPERTS][HIDDEN], down[EXPERTS][WIDTH], count[EXPERTS]; } Expected;

static void expect(Expected *expected)
{
    memset(expected, 0, sizeof *expected);
    for (size_t t = 0; t < WINDOW; t++) {
        const size_t chosen[TOP_K] = {0, dot(router + 3 * HIDDEN, t) > dot(router, t) ? 3 : 1};
        for (size_t k = 0; k < TOP_K; k++) {
            size_t e = chosen[k];
            expected->count[e]++;
            for (size_t c = 0; c < HIDDEN; c++) {
                expected->in[e][c] += (double)embedding(t, c) * (double)embedding(t, c);
            }
            for (size_t j = 0; j < WIDTH; j++) {
                double gate = dot(weights[0] + (e * WIDTH + j) * HIDDEN, t), up = dot(weights[1] + (e * WIDTH + j) * HIDDEN, t);
                double active = gate / (1 + exp(-gate)) * up;
                expected->down[e][j] += active * active;
            }
        }
    }
}

static void expect_matrix(const FbImatrixRow *row, size_t matrix, const double *sums, size_t columns, double count)
{
    assert_true(row != NULL && row->columns == columns && row->counts[matrix] == (float)count);
    for (size_t c = 0; c < columns; c++) {
        double got = (double)row->sums[matrix * columns + c];
        if (fabs(got - sums[c]) > 2e-6 * sums[c]) {
            fail_msg("%s, matrix %zu, column %zu: %g, expected %g", row->name, matrix, c, got, sums[c]);
        }
    }
}

static void test_sums(void **state)
{
    (void)state;
    static const char *const kinds[3] = {"gate", "up", "down"};
    static Expected expected;
    FbImportanceReport report;
    FbError err;
    expect(&expected);
    assert_true(expected.count[0] == WINDOW && expected.count[1] > 50 && expected.count[2] == 0 && expected.count[3] > 50);
    for (Form form = STACKED; form <= SINGLE_OF_GGUF; form++) {
        FbContext *context = build_context(2);
        FbModel *model = make_model(context, form);
        FbImatrix *imatrix;
        assert_int_equal(collect(context, model, output, NULL, 0, &report, &err), FB_OK);
        assert_true(report.experts == EXPERTS && report.unseen == 1 && report.weights == 10 + (form == SINGLE_OF_GGUF ? 3 * EXPERTS : 3));
        assert_int_equal(model->graph->nodes[model->graph->node_count - 2]->output_count, 1); /* the caller's model is as it was */
        assert_int_equal(fb_imatrix_read(context, output, &imatrix, &err), FB_OK);
        assert_true(fb_imatrix_find(imatrix, "blk.0.ffn_gate_inp.weight")->counts[0] == WINDOW);
        for (size_t kind = 0; kind < 3; kind++) {
            for (size_t e = 0; e < EXPERTS; e++) {
                char name[80];
                snprintf(name, sizeof name, form == SINGLE_OF_GGUF ? "blk.0.ffn_%s.%zu.weight" : "blk.0.ffn_%s_exps.weight", kinds[kind], e);
                const FbImatrixRow *row = fb_imatrix_find(imatrix, name);
                assert_true(row != NULL && row->matrices == (form == SINGLE_OF_GGUF ? 1 : EXPERTS));
                expect_matrix(row, form == SINGLE_OF_GGUF ? 0 : e, kind == 2 ? expected.down[e] : expected.in[e], kind == 2 ? WIDTH : HIDDEN, expected.count[e]);
            }
        }
        fb_imatrix_free(imatrix);
        fb_model_free(model);
        fb_context_free(context);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (int threads = 1; threads < 5; threads += 3) {
        FbContext *context = build_context(threads);
        FbModel *model = make_model(context, SINGLE);
        assert_int_equal(collect(context, model, threads == 1 ? output : second, NULL, 0, NULL, NULL), FB_OK);
        fb_model_free(model);
        fb_context_free(context);
    }
    assert_same_files();
}

/* One file, added to what is measured and to itself, is twice of it. */
static void test_merged(void **state)
{
    (void)state;
    const char *const files[2] = {output, output};
    FbContext *context = build_context(1);
    FbModel *model = make_model(context, STACKED);
    FbImportanceReport report;
    FbImatrix *once, *twice;
    FbError err;
    assert_int_equal(collect(context, model, output, NULL, 0, NULL, &err), FB_OK);
    assert_int_equal(fb_imatrix_read(context, output, &once, &err), FB_OK);
    for (int measured = 0; measured < 2; measured++) {
        assert_int_equal(collect(context, measured ? model : NULL, second, files, measured ? 1 : 2, &report, &err), FB_OK);
        assert_true(report.weights == once->row_count && report.windows == (size_t)measured);
        assert_int_equal(fb_imatrix_read(context, second, &twice, &err), FB_OK);
        assert_true(twice->row_count == once->row_count && twice->chunks == 2 && twice->chunk_size == WINDOW && twice->dataset_count == 2);
        for (size_t r = 0; r < once->row_count; r++) {
            const FbImatrixRow *row = &once->rows[r], *sum = fb_imatrix_find(twice, row->name);
            assert_non_null(sum);
            assert_true(sum->matrices == row->matrices && sum->columns == row->columns);
            for (size_t i = 0; i < row->matrices * row->columns; i++) {
                assert_true(sum->sums[i] == 2.0f * row->sums[i] && sum->counts[i / row->columns] == 2.0f * row->counts[i / row->columns]);
            }
        }
        fb_imatrix_free(twice);
    }
    remove(second);
    assert_int_equal(collect(context, NULL, second, NULL, 0, NULL, &err), FB_ERR_ARGUMENT);
    assert_int_equal(collect(context, NULL, second, (const char *const[]){text}, 1, NULL, &err), FB_ERR_FORMAT);
    assert_int_not_equal(access(second, F_OK), 0);
    fb_imatrix_free(once);
    fb_model_free(model);
    fb_context_free(context);
}

static FbModel *faults_model; /* made by a context that works */

static FbStatus faults_collect(FbContext *context, FbError *err)
{
    return collect(context, faults_model, second, (const char *const[]){output}, 1, NULL, err);
}

static void test_faults(void **state)
{
    (void)state;
    const FaultsJob job = {faults_collect, second};
    FbContext *context = build_context(1);
    FbError err;
    faults_model = make_model(context, SINGLE);
    remove(second);
    assert_int_equal(collect(context, faults_model, output, NULL, 0, NULL, &err), FB_OK);
    const uint64_t total = faults_count(&job).allocations;
    for (uint64_t k = 1; k <= 2 * total; k++) {
        Faults faults = {.allocation_fails_at = (k + 1) / 2, .persistent = k % 2};
        FbStatus status = faults_run(&job, &faults, &err);
        if (status != FB_ERR_NO_MEMORY && (status != FB_OK || faults.persistent)) { /* a session tries once more, with fewer bindings kept */
            fail_msg("allocation %llu of %llu failed: status %d (%s)", (unsigned long long)(k + 1) / 2, (unsigned long long)total, status, err.message);
        }
    }
    fb_model_free(faults_model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums), cmocka_unit_test(test_threads), cmocka_unit_test(test_merged),
                                       cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}
