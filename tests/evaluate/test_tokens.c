/* Scores of tokens: probabilities, divergences and stored rows against sums in long double and cases by hand. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "evaluate/paired.h"
#include "evaluate/token_score.h"
#include "evaluate/token_statistics.h"

static FbUnaryF32 exponential(void) { return fb_unary_f32_pick(fb_cpu_detect(), FB_UNARY_EXP); }

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("%s: got %.12g, want %.12g", what, got, want);
    }
}

static void by_hand(void **state)
{
    (void)state;
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/2 ln 2 + 0 - 1/4 ln 2. A constant added to logits changes nothing. */
    const float p[3] = {logf(0.5f) + 7, logf(0.25f) + 7, logf(0.25f) + 7}, q[3] = {logf(0.25f), logf(0.25f), logf(0.5f)};
    FbLogitRow a, b;
    assert_true(fb_logit_row_init(&a, p, 3, exponential()));
    assert_true(fb_logit_row_init(&b, q, 3, exponential()));
    near("log p", fb_logit_row_log(&a, 1), log(0.25), 1e-6);
    near("divergence", fb_logit_row_divergence(&a, &b), 0.25 * log(2), 1e-6);
    near("of itself", fb_logit_row_divergence(&a, &a), 0, 1e-15);
    assert_int_equal(a.best, 0);
    assert_int_equal(b.best, 2);
    const float equal[4] = {1, 3, 3, 2};
    assert_true(fb_logit_row_init(&a, equal, 4, exponential()));
    assert_int_equal(a.best, 1);
}

static void refuses_what_is_no_distribution(void **state)
{
    (void)state;
    FbLogitRow row;
    const float bad[][3] = {{1, NAN, 2}, {INFINITY, 0, 0}, {-INFINITY, -INFINITY, -INFINITY}};
    for (int i = 0; i < 3; i++) {
        assert_false(fb_logit_row_init(&row, bad[i], 3, exponential()));
    }
    assert_false(fb_logit_row_init(&row, bad[0], 0, exponential()));
    /* A token that cannot come: infinite divergence where the baseline has it, none where the baseline excludes it. */
    const float open[3] = {0, 0, 0}, closed[3] = {0, 0, -INFINITY};
    FbLogitRow a, b;
    assert_true(fb_logit_row_init(&a, open, 3, exponential()));
    assert_true(fb_logit_row_init(&b, closed, 3, exponential()));
    assert_true(isinf(fb_logit_row_divergence(&a, &b)));
    near("excluded by the baseline", fb_logit_row_divergence(&b, &a), log(1.5), 1e-7);
}

/* Logits of a peaked distribution with a long tail, and the same with noise. */
static void make_rows(size_t count, uint64_t seed, float noise, float *baseline, float *model)
{
    for (size_t i = 0; i < count; i++) {
        baseline[i] = 3 * fb_random_normal(seed, 1, i);
        model[i] = baseline[i] + noise * fb_random_normal(seed, 2, i);
    }
}

static double exact_divergence(size_t count, const float *baseline, const float *model)
{
    long double bs = 0, ms = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        bs += expl(baseline[i]);
        ms += expl(model[i]);
    }
    for (size_t i = 0; i < count; i++) {
        long double p = expl(baseline[i]) / bs, q = expl(model[i]) / ms;
        sum += p * (logl(p) - logl(q));
    }
    return (double)sum;
}

static void like_long_double(void **state)
{
    (void)state;
    enum { COUNT = 5003 };
    float *b = malloc(COUNT * sizeof *b), *m = malloc(COUNT * sizeof *m);
    assert_non_null(b);
    assert_non_null(m);
    for (uint64_t seed = 0; seed < 8; seed++) {
        const float noise[] = {0.01f, 0.1f, 1.0f, 3.0f};
        FbLogitRow base, model;
        make_rows(COUNT, seed, noise[seed % 4], b, m);
        assert_true(fb_logit_row_init(&base, b, COUNT, exponential()));
        assert_true(fb_logit_row_init(&model, m, COUNT, exponential()));
        double want = exact_divergence(COUNT, b, m);
        near("divergence", fb_logit_row_divergence(&base, &model), want, 1e-8 + 1e-6 * want);
        long double sum = 0;
        for (size_t i = 0; i < COUNT; i++) {
            sum += expl(fb_logit_row_log(&base, i));
        }
        near("sum of probabilities", (double)sum, 1, 1e-7);
    }
    free(b);
    free(m);
}

typedef struct StoredRow {
    FbShortRow row;
    uint32_t ids[1024];
    uint16_t codes[1024];
} StoredRow;

static FbShortRow *stored(StoredRow *to, size_t top, size_t samples)
{
    to->row = (FbShortRow){.top = top, .samples = samples, .ids = to->ids, .codes = to->codes};
    return &to->row;
}

static void stored_rows_are_what_they_say(void **state)
{
    (void)state;
    enum { COUNT = 5003, TOP = 100, SAMPLES = 50 };
    float *b = malloc(COUNT * sizeof *b), *m = malloc(COUNT * sizeof *m);
    StoredRow *to = malloc(sizeof *to);
    assert_non_null(b);
    assert_non_null(m);
    assert_non_null(to);
    make_rows(COUNT, 5, 0, b, m);
    b[17] = b[18] = 30; /* equal ones keep the order of their ids */
    FbLogitRow row;
    assert_true(fb_logit_row_init(&row, b, COUNT, exponential()));
    fb_short_row_make(stored(to, TOP, SAMPLES), &row, 321, 9);
    assert_true(fb_short_row_valid(&to->row, COUNT));
    assert_int_equal(to->ids[0], 17);
    assert_int_equal(to->ids[1], 18);
    near("target", to->row.target, fb_logit_row_log(&row, 321), 1e-5);
    double rest = 1;
    for (size_t i = 0; i < TOP; i++) {
        near("code", to->codes[i], -2048 * fb_logit_row_log(&row, to->ids[i]), 0.5 + 1e-6);
        rest -= exp(fb_logit_row_log(&row, to->ids[i]));
        assert_true(i == 0 || b[to->ids[i]] <= b[to->ids[i - 1]]);
    }
    near("rest", to->row.rest, rest, 1e-6);
    for (size_t i = TOP; i < TOP + SAMPLES; i++) {
        assert_true(b[to->ids[i]] <= b[to->ids[TOP - 1]]);
    }
    /* What is no such row. */
    to->ids[3] = COUNT;
    assert_false(fb_short_row_valid(&to->row, COUNT));
    to->ids[3] = 0;
    to->codes[1] += 1000;
    assert_false(fb_short_row_valid(&to->row, COUNT));
    to->codes[1] -= 1000;
    to->row.rest = 0.5f;
    assert_false(fb_short_row_valid(&to->row, COUNT));
    to->row.rest = NAN;
    assert_false(fb_short_row_valid(&to->row, COUNT));
    free(b);
    free(m);
    free(to);
}

/* Over many rows the mean of the estimates is that of the exact divergences within the error that they state. */
static void stored_divergence_is_unbiased(void **state)
{
    (void)state;
    enum { COUNT = 3001, ROWS = 300 };
    float *b = malloc(COUNT * sizeof *b), *m = malloc(COUNT * sizeof *m);
    StoredRow *to = malloc(sizeof *to);
    assert_non_null(b);
    assert_non_null(m);
    assert_non_null(to);
    for (int kind = 0; kind < 2; kind++) {
        const float noise = kind ? 0.5f : 0.05f;
        double exact = 0, estimated = 0, variances = 0;
        for (uint64_t r = 0; r < ROWS; r++) {
            FbLogitRow base, model;
            double variance;
            make_rows(COUNT, 100 + r, noise, b, m);
            assert_true(fb_logit_row_init(&base, b, COUNT, exponential()));
            assert_true(fb_logit_row_init(&model, m, COUNT, exponential()));
            fb_short_row_make(stored(to, 60, 40), &base, 0, r);
            estimated += fb_short_row_divergence(&to->row, &model, &variance) / ROWS;
            variances += variance / ROWS / ROWS;
            exact += fb_logit_row_divergence(&base, &model) / ROWS;
        }
        near("mean divergence", estimated, exact, 4 * sqrt(variances) + 1e-5);
        assert_true(sqrt(variances) < 0.05 * exact);
    }
    /* A row stored whole: only the rounding of the codes is left, at most 1/4,096 times the mean of |log(p / q)|, which is 0.24 here. */
    FbLogitRow base, model;
    double variance;
    make_rows(900, 7, 0.3f, b, m);
    assert_true(fb_logit_row_init(&base, b, 900, exponential()));
    assert_true(fb_logit_row_init(&model, m, 900, exponential()));
    fb_short_row_make(stored(to, 900, 0), &base, 0, 0);
    near("whole", fb_short_row_divergence(&to->row, &model, &variance), fb_logit_row_divergence(&base, &model), 0.24 / 4096);
    assert_true(variance == 0);
    free(b);
    free(m);
    free(to);
}

/* Tokens that neither model can give, as a padded vocabulary has them: no samples, no divergence. */
static void tokens_without_probability(void **state)
{
    (void)state;
    enum { COUNT = 500, GIVEN = 100 };
    float *b = malloc(COUNT * sizeof *b), *m = malloc(COUNT * sizeof *m);
    StoredRow *to = malloc(sizeof *to);
    assert_non_null(b);
    assert_non_null(m);
    assert_non_null(to);
    make_rows(COUNT, 5, 0.3f, b, m);
    for (size_t i = GIVEN; i < COUNT; i++) {
        b[i] = m[i] = -INFINITY;
    }
    FbLogitRow base, model;
    assert_true(fb_logit_row_init(&base, b, COUNT, exponential()));
    assert_true(fb_logit_row_init(&model, m, COUNT, exponential()));
    const double exact = fb_logit_row_divergence(&base, &model);
    const size_t kept[3][2] = {{COUNT, 0}, {GIVEN, 40}, {60, 40}};
    for (int i = 0; i < 3; i++) {
        double variance;
        fb_short_row_make(stored(to, kept[i][0], kept[i][1]), &base, 0, 1);
        assert_true(fb_short_row_valid(&to->row, COUNT));
        near("divergence", fb_short_row_divergence(&to->row, &model, &variance), exact, 1e-4 + 5 * sqrt(variance));
        assert_true(i == 2 || variance == 0);
    }
    free(b);
    free(m);
    free(to);
}

static void statistics_by_hand(void **state)
{
    (void)state;
    FbContext *context = NULL;
    FbTokenStatistics got;
    assert_int_equal(fb_context_create(NULL, &context, NULL), FB_OK);
    /* A uniform model over 50 tokens: perplexity 50, no spread. */
    FbTokenScore uniform[7];
    for (int i = 0; i < 7; i++) {
        uniform[i] = (FbTokenScore){.loss = log(50), .baseline_loss = log(50), .same_top = true};
    }
    assert_int_equal(fb_token_statistics(context, uniform, 7, false, &got, NULL), FB_OK);
    near("uniform", got.perplexity.value, 50, 1e-10);
    near("its error", got.perplexity.error, 0, 1e-6);
    assert_true(isnan(got.kld.mean) && isnan(got.ratio.value));
    assert_int_equal(fb_token_statistics(context, uniform, 7, true, &got, NULL), FB_OK);
    near("ratio", got.ratio.value, 1, 1e-12);
    near("p", got.p_value, 1, 1e-12);
    near("same top", got.same_top, 1, 0);
    /* Losses 1, 2, 3 against 1, 1, 4: mean 2 and 2; variances of the means 1/3 and 1, covariance 1/2 (sums over n (n - 1) = 6: 2, 6, 3). */
    const FbTokenScore scores[3] = {{1, 1, 0.5, 0, true}, {2, 1, 0.25, 0, false}, {3, 4, 0, 0.09, true}};
    assert_int_equal(fb_token_statistics(context, scores, 3, true, &got, NULL), FB_OK);
    near("perplexity", got.perplexity.value, exp(2), 1e-12);
    near("error", got.perplexity.error, exp(2) * sqrt(1.0 / 3), 1e-12);
    near("baseline error", got.baseline_perplexity.error, exp(2), 1e-12);
    near("log ratio", got.log_ratio.value, 0, 1e-12);
    near("its error", got.log_ratio.error, sqrt(1.0 / 3 + 1 - 2 * 0.5), 1e-12);
    near("correlation", got.correlation, 0.5 / sqrt(1.0 / 3), 1e-12);
    near("kld", got.kld.mean, 0.25, 1e-15);
    near("kld error", got.kld.error, sqrt((0.3125 / 3 - 0.0625) / 2), 1e-15);
    near("kld median", got.kld.median, 0.25, 0);
    near("kld maximum", got.kld.maximum, 0.5, 0);
    near("kld minimum", got.kld.minimum, 0, 0);
    near("90 % between 0.25 and 0.5", got.kld.percentiles[3], 0.25 + 0.8 * 0.25, 1e-12);
    near("stored error", got.kld_stored_error, 0.1, 1e-12);
    double d[3] = {0, exp(-2) - exp(-1), exp(-3) - exp(-4)};
    near("mean of probabilities", got.probability.mean, (d[1] + d[2]) / 3, 1e-15);
    near("rms", got.probability_rms.value, sqrt((d[1] * d[1] + d[2] * d[2]) / 3), 1e-15);
    double low, high;
    fb_wilson_interval(2, 3, FB_Z_95, &low, &high);
    near("same top", got.same_top, 2.0 / 3, 1e-15);
    near("low", got.same_top_low, low, 0);
    near("high", got.same_top_high, high, 0);
    assert_int_equal(fb_token_statistics(context, scores, 0, true, &got, NULL), FB_ERR_ARGUMENT);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(refuses_what_is_no_distribution),
        cmocka_unit_test(like_long_double),
        cmocka_unit_test(stored_rows_are_what_they_say),
        cmocka_unit_test(stored_divergence_is_unbiased),
        cmocka_unit_test(tokens_without_probability),
        cmocka_unit_test(statistics_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
