/* Metrics against SciPy's values and against cases computed by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "evaluate/tally.h"

static FILE *open_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/evaluate/%s", FB_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

static void check_near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("%s: got %.12g, want %.12g", what, got, want);
    }
}

static void paired_like_scipy(void **state)
{
    (void)state;
    FILE *f = open_golden("golden_paired.tsv");
    unsigned long long both, baseline_only, model_only, neither;
    double low, high, p;
    int cases = 0;
    while (fscanf(f, "%llu %llu %llu %llu %lf %lf %lf", &both, &baseline_only, &model_only, &neither, &low, &high, &p) == 7) {
        char what[80];
        snprintf(what, sizeof what, "case %d (%llu %llu %llu %llu)", cases, both, baseline_only, model_only, neither);
        FbPaired got = fb_paired_compare(both, baseline_only, model_only, neither);
        double n = (double)(both + baseline_only + model_only + neither);
        check_near(what, got.low, low, 1e-9);
        check_near(what, got.high, high, 1e-9);
        check_near(what, got.p_value, p, 1e-10 * p + 1e-15);
        check_near(what, got.baseline, (double)(both + baseline_only) / n, 1e-15);
        check_near(what, got.difference, got.model - got.baseline, 1e-12);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 15);
}

static void wilson_like_scipy(void **state)
{
    (void)state;
    FILE *f = open_golden("golden_wilson.tsv");
    unsigned long long hits, count;
    double low, high;
    int cases = 0;
    while (fscanf(f, "%llu %llu %lf %lf", &hits, &count, &low, &high) == 4) {
        double got_low, got_high;
        fb_wilson_interval(hits, count, FB_Z_95, &got_low, &got_high);
        check_near("wilson low", got_low, low, 1e-10);
        check_near("wilson high", got_high, high, 1e-10);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 8);
}

/* 3 against 1: 2 (C(4,0) + C(4,1)) / 16 = 10 / 16. 5 against 0: 2 / 32. */
static void mcnemar_by_hand(void **state)
{
    (void)state;
    check_near("3:1", fb_mcnemar_exact(3, 1), 10.0 / 16, 1e-14);
    check_near("5:0", fb_mcnemar_exact(0, 5), 2.0 / 32, 1e-14);
    check_near("0:0", fb_mcnemar_exact(0, 0), 1, 0);
    check_near("2:2", fb_mcnemar_exact(2, 2), 1, 0);
    assert_true(fb_mcnemar_exact(2000, 0) >= 0 && fb_mcnemar_exact(2000, 0) < 1e-300);
}

static void samples_needed(void **state)
{
    (void)state;
    /* loss 1 +- 2 at 100 samples, threshold 2: the half-width must halve: 400. */
    assert_int_equal(fb_samples_needed(100, 1, -1, 3, 2), 400);
    assert_int_equal(fb_samples_needed(100, 1, 0.5, 1.5, 2), 0);
    assert_int_equal(fb_samples_needed(100, 2, 1, 3, 2), 0);
    assert_int_equal(fb_samples_needed(100, 3, -1, 5, 2), 1600); /* lower side: 4 to 1 */
}

static void verdicts(void **state)
{
    (void)state;
    assert_string_equal(fb_verdict_of_loss(-3)->name, "excellent");
    assert_string_equal(fb_verdict_of_loss(0.99)->name, "excellent");
    assert_string_equal(fb_verdict_of_loss(1)->name, "acceptable");
    assert_string_equal(fb_verdict_of_loss(2)->name, "repair or QAT");
    assert_string_equal(fb_verdict_of_loss(3.5)->name, "unsuitable");
    assert_string_equal(fb_verdict_of_loss(NAN)->name, "unsuitable");
    assert_non_null(fb_verdict_row(3));
    assert_null(fb_verdict_row(4));
}

static FbTensor vector(float *data, int64_t count)
{
    return (FbTensor){.dtype = FB_DTYPE_F32, .rank = 2, .dims = {1, count}, .data = data, .bytes = (size_t)count * 4};
}

/* Two samples (3, 4) -> (3, 2) and (0, 5) -> (0, 5): sum b^2 = 50, sum d^2 = 4: 10 log10(12.5). Cosines 17 / (5 sqrt 13) and 1. */
static void differences_by_hand(void **state)
{
    (void)state;
    FbDifferenceSums sums = {0};
    FbOutputDifference out = {0};
    FbError err;
    float b1[2] = {3, 4}, m1[2] = {3, 2}, b2[2] = {0, 5}, m2[2] = {0, 5};
    FbTensor tb1 = vector(b1, 2), tm1 = vector(m1, 2), tb2 = vector(b2, 2), tm2 = vector(m2, 2);
    assert_int_equal(fb_difference_add(&sums, "x", &tb2, &tm2, NULL, &err), FB_OK);
    fb_difference_finish(&sums, &out);
    assert_true(isinf(out.sqnr_db) && out.sqnr_db > 0 && out.cosine == 1);
    assert_int_equal(fb_difference_add(&sums, "x", &tb1, &tm1, NULL, &err), FB_OK);
    fb_difference_finish(&sums, &out);
    check_near("sqnr", out.sqnr_db, 10 * log10(12.5), 1e-12);
    check_near("cosine", out.cosine, (17 / (5 * sqrt(13)) + 1) / 2, 1e-12);
    check_near("mean", out.mean_difference, 0.5, 0);
    check_near("max", out.max_difference, 2, 0);
    check_near("range", out.range, 5, 0);
    m1[0] = NAN;
    assert_int_equal(fb_difference_add(&sums, "x", &tb1, &tm1, NULL, &err), FB_ERR_NUMERIC);
    tm1.dims[0] = 2;
    tm1.dims[1] = 1;
    assert_int_equal(fb_difference_add(&sums, "x", &tb1, &tm1, NULL, &err), FB_ERR_ARGUMENT);
}

/* Positions (1, 0), (5, 7), (0, 1) with mask 1, 0, 1 pool to (1, 1); the model's (2, 0), (9, 9), (0, 0) to (2, 0): cosine 1 / sqrt 2. */
static void pooled_by_hand(void **state)
{
    (void)state;
    FbDifferenceSums sums = {0};
    FbOutputDifference out = {0};
    FbError err;
    float b[6] = {1, 0, 5, 7, 0, 1}, m[6] = {2, 0, 9, 9, 0, 0};
    int64_t ones[3] = {1, 0, 1};
    FbTensor tb = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {1, 3, 2}, .data = b, .bytes = 24}, tm = tb;
    FbTensor mask = {.dtype = FB_DTYPE_S64, .rank = 2, .dims = {1, 3}, .data = ones, .bytes = 24};
    tm.data = m;
    assert_int_equal(fb_difference_add(&sums, "x", &tb, &tm, &mask, &err), FB_OK);
    fb_difference_finish(&sums, &out);
    assert_true(out.pooled);
    check_near("pooled cosine", out.cosine, sqrt(0.5), 1e-15);
}

static void judging(void **state)
{
    (void)state;
    float scores[6] = {1, 3, 3, 2, 3, 0};
    FbTensor t = vector(scores, 6);
    FbJudged j;
    FbError err;
    assert_int_equal(fb_judge_find("x", &t, -1, &j, &err), FB_OK);
    assert_int_equal(j.classes, 6);
    assert_int_equal(fb_judge_best(&t, &j), 1);
    assert_int_equal(fb_judge_rank(&t, &j, 1), 0);
    assert_int_equal(fb_judge_rank(&t, &j, 2), 1); /* a tie: the lower index comes first */
    assert_int_equal(fb_judge_rank(&t, &j, 4), 2);
    assert_int_equal(fb_judge_rank(&t, &j, 5), 5);
    FbTensor rows = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {3, 1, 2}, .data = scores, .bytes = 24};
    assert_int_equal(fb_judge_find("x", &rows, 2, &j, &err), FB_OK);
    assert_int_equal(j.first, 4);
    assert_int_equal(fb_judge_best(&rows, &j), 0);
    assert_int_equal(fb_judge_find("x", &rows, 3, &j, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_judge_find("x", &rows, -1, &j, &err), FB_OK);
    assert_int_equal(j.classes, 0); /* a table of rows is no class vector */
    FbTensor one = vector(scores, 1);
    assert_int_equal(fb_judge_find("x", &one, -1, &j, &err), FB_OK);
    assert_int_equal(j.classes, 0);
}

typedef struct Heard {
    int count;
    char id[64], message[512];
} Heard;

static void hear(void *user, FbLogLevel level, const char *id, const char *message)
{
    Heard *heard = user;
    if (level == FB_LOG_WARNING) {
        heard->count++;
        snprintf(heard->id, sizeof heard->id, "%s", id);
        snprintf(heard->message, sizeof heard->message, "%s", message);
    }
}

/* 40 samples of 4 classes. Sample i has label i % 4; answers as the two functions say. */
static FbStatus tally_of(FbContext *context, int64_t (*baseline)(int), int64_t (*model)(int), bool labels, double max_loss, FbArena *arena,
                         FbEvaluation *e, FbError *err)
{
    static const char *const names[] = {"scores"};
    FbTally tally;
    FbStatus status = fb_tally_init(&tally, context, names, 1, 0, err);
    float pixel[3] = {0.25f, 0.5f, -1};
    FbTensor input = {.dtype = FB_DTYPE_F32, .rank = 4, .dims = {1, 3, 1, 1}, .data = pixel, .bytes = 12};
    for (int i = 0; status == FB_OK && i < 40; i++) {
        float b[4] = {0}, m[4] = {0};
        b[baseline(i)] = 1;
        m[model(i)] = 1;
        FbTensor tb = vector(b, 4), tm = vector(m, 4);
        FbSample sample = {.inputs = &input, .input_count = 1, .label = labels ? i % 4 : -1, .position = -1, .name = "s"};
        status = fb_tally_add(&tally, &sample, &tb, &tm, err);
    }
    status = status == FB_OK ? fb_tally_finish(&tally, true, max_loss, arena, e, err) : status;
    fb_tally_reset(&tally);
    return status;
}

static int64_t right(int i) { return i % 4; }
static int64_t wrong_at_7(int i) { return i == 7 ? 0 : i % 4; }
static int64_t always_2(int i) { return i < 38 ? 2 : 1; }
static int64_t out_of_step(int i) { return (i + 1) % 4; }

static void whole_tally(void **state)
{
    (void)state;
    Heard heard = {0};
    FbContextOptions options = {.struct_bytes = sizeof options, .user = &heard, .log = hear};
    FbContext *context = NULL;
    FbError err = {0};
    FbEvaluation e = {0};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
    FbArena *arena = fb_arena_create(context);
    assert_int_equal(tally_of(context, right, wrong_at_7, true, 2, arena, &e, &err), FB_OK);
    assert_true(e.has_top1 && !e.has_top5 && e.has_agreement && e.has_loss);
    assert_int_equal(e.samples, 40);
    assert_int_equal(e.classes, 4);
    assert_int_equal(e.differing_top1, 1);
    check_near("loss", e.loss_points, 2.5, 1e-12);
    check_near("agreement", e.agreement, 39.0 / 40, 1e-15);
    check_near("top1", e.top1.model, 39.0 / 40, 1e-15);
    assert_true(e.gate_set && !e.gate_passed);
    assert_true(e.loss_low < 2 && e.loss_high > 2);
    assert_true(e.samples_needed > 40);
    assert_int_equal(heard.count, 0);
    assert_int_equal(tally_of(context, right, wrong_at_7, false, 2.6, arena, &e, &err), FB_OK);
    assert_true(!e.has_top1 && e.has_agreement && e.gate_passed);
    check_near("loss without labels", e.loss_points, 2.5, 1e-12);

    assert_int_equal(tally_of(context, always_2, always_2, false, -1, arena, &e, &err), FB_OK);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.id, "preprocessing?");
    assert_non_null(strstr(heard.message, "class 2 for 95 %"));
    assert_non_null(strstr(heard.message, "1x3x1x1"));
    assert_non_null(strstr(heard.message, "top-5: 2 0 1 3"));
    assert_non_null(strstr(heard.message, "0.25..0.25 mean 0.25; 0.5..0.5 mean 0.5; -1..-1 mean -1"));
    assert_int_equal(tally_of(context, out_of_step, right, true, -1, arena, &e, &err), FB_OK);
    assert_int_equal(heard.count, 2);
    assert_non_null(strstr(heard.message, "guessing among 4"));
    check_near("gain", e.loss_points, -100, 1e-12);
    assert_false(e.gate_set);
    fb_arena_free(arena);
    fb_context_free(context);
}

static void label_faults(void **state)
{
    (void)state;
    static const char *const names[] = {"scores"};
    FbContext *context = NULL;
    FbError err = {0};
    FbTally tally;
    float scores[4] = {1, 2, 3, 4};
    FbTensor t = vector(scores, 4);
    FbSample sample = {.label = 4, .position = -1, .name = "s"};
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    assert_int_equal(fb_tally_init(&tally, context, names, 1, 0, &err), FB_OK);
    assert_int_equal(fb_tally_add(&tally, &sample, NULL, &t, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "label 4"));
    sample.label = 3;
    assert_int_equal(fb_tally_add(&tally, &sample, NULL, &t, &err), FB_OK);
    sample.label = -1;
    assert_int_equal(fb_tally_add(&tally, &sample, NULL, &t, &err), FB_ERR_FORMAT);
    fb_tally_reset(&tally);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void document(void **state)
{
    (void)state;
    FbContext *context = NULL;
    FbError err = {0};
    FbEvaluation e = {0};
    char *text = NULL;
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    FbArena *arena = fb_arena_create(context);
    assert_int_equal(tally_of(context, right, right, true, 1, arena, &e, &err), FB_OK);
    assert_int_equal(fb_evaluation_json(context, &e, &text, &err), FB_OK);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "schema")), "fewbit.evaluate/1");
    assert_int_equal(json_integer_value(json_object_get(root, "samples")), 40);
    assert_true(json_is_null(json_object_get(root, "sqnr_db")));
    assert_true(json_is_true(json_object_get(root, "exact")));
    assert_true(json_is_true(json_object_get(json_object_get(root, "gate"), "passed")));
    json_t *top1 = json_object_get(json_object_get(root, "metrics"), "top1");
    static const char *const keys[] = {"baseline", "model", "difference", "low", "high", "p_value"};
    for (size_t i = 0; i < 6; i++) {
        assert_true(json_is_real(json_object_get(top1, keys[i])));
    }
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "loss"), "verdict")), "excellent");
    json_decref(root);
    fb_free(context, text);
    fb_arena_free(arena);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paired_like_scipy), cmocka_unit_test(wilson_like_scipy), cmocka_unit_test(mcnemar_by_hand),
        cmocka_unit_test(samples_needed),    cmocka_unit_test(verdicts),          cmocka_unit_test(differences_by_hand),
        cmocka_unit_test(pooled_by_hand),    cmocka_unit_test(judging),           cmocka_unit_test(whole_tally),       cmocka_unit_test(label_faults),
        cmocka_unit_test(document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
