/* Observers on histograms whose answers are known: hand-computed cuts, and searches compared with trying every candidate. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "calibrate/observer.h"

static FbContext *context;
static FbStatistics *statistics;
static FbValueStatistics *value;

static int setup(void **state)
{
    static const char hash[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const char *names[] = {"x"};
    (void)state;
    if (fb_context_create(NULL, &context, NULL) != FB_OK || fb_statistics_create(context, hash, names, 1, &statistics, NULL) != FB_OK) {
        return -1;
    }
    value = &statistics->values[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fb_statistics_free(statistics);
    fb_context_free(context);
    return 0;
}

static void add_sample(uint64_t index, const float *x, size_t count)
{
    FbRecorder *recorder = fb_recorder_create(context);
    FbRecordDraft *draft = malloc(sizeof *draft);
    FbSampleMark mark = {.index = index};
    size_t row = 0;
    assert_int_equal(fb_statistics_add_sample(statistics, &mark, &row, NULL), FB_OK);
    fb_recorder_fill(recorder, x, count, value->record->exponent, draft);
    assert_true(draft->finite);
    fb_record_commit(value->record, draft);
    value->ranges[row] = (FbSampleRange){draft->low, draft->high};
    free(draft);
    fb_recorder_free(recorder);
}

static void observe(const char *name, bool symmetric, double percentile, double *low, double *high)
{
    FbObserverSettings settings = {.code = fb_code_find(symmetric ? "s8" : "u8"), .symmetric = symmetric, .percentile = percentile};
    const FbObserver *observer = fb_observer_find(name);
    assert_non_null(observer);
    observer->range(statistics, value, &settings, low, high);
}

static void test_extremes_and_average(void **state)
{
    (void)state;
    double low = 0, high = 0;
    add_sample(4, (const float[]){-1, 3}, 2);
    add_sample(9, (const float[]){-2, 5}, 2);
    add_sample(1, (const float[]){0, 1}, 2); /* added last, first in order */
    observe("min-max", false, 0, &low, &high);
    assert_true(low == -2 && high == 5);
    observe("moving-average", false, 0, &low, &high);
    /* 0 -> 0.99*0 - 0.01 = -0.01 -> -0.0099 - 0.02; 1 -> 0.99 + 0.03 = 1.02 -> 1.0098 + 0.05 */
    assert_true(fabs(low - -0.0299) < 1e-12 && fabs(high - 1.0598) < 1e-12);
    assert_null(fb_observer_find("minmax"));
}

static void test_percentile(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    float x[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)i; /* 0..1999: bins of width 1 */
    }
    add_sample(0, x, COUNT);
    double low = 0, high = 0;
    observe("percentile", false, 99, &low, &high);
    assert_true(low == 10 && high == 1990); /* 0.5 % of 2,000 = 10 values off each end */
    observe("percentile", true, 99, &low, &high);
    assert_true(low == 0 && high == 1980);
    observe("percentile", false, 100, &low, &high);
    assert_true(low == 0 && high == 1999);
}

/* A normal bulk with one far outlier: clipping pays. */
static void add_outlier_data(void)
{
    enum { COUNT = 20000 };
    float *x = malloc(COUNT * sizeof *x);
    for (int i = 0; i < COUNT; i++) {
        x[i] = fb_random_normal(11, 0, (uint64_t)i);
    }
    x[7] = 40;
    add_sample(0, x, COUNT);
    free(x);
}

static void test_mse(void **state)
{
    (void)state;
    add_outlier_data();
    double low = 0, high = 0, best = INFINITY;
    FbObserverSettings settings = {.code = fb_code_find("u8")};
    observe("mse", false, 0, &low, &high);
    double found = fb_record_squared_error(value->record, &settings, low, high);
    double whole = fb_record_squared_error(value->record, &settings, value->record->low, value->record->high);
    for (int i = 1; i <= 100; i++) { /* brute force over both ends */
        for (int j = 1; j <= 100; j++) {
            double error = fb_record_squared_error(value->record, &settings, value->record->low * i / 100.0, value->record->high * j / 100.0);
            best = error < best ? error : best;
        }
    }
    assert_true(found < whole && found <= best * 1.05);
    settings = (FbObserverSettings){.code = fb_code_find("s8"), .symmetric = true};
    observe("mse", true, 0, &low, &high);
    assert_true(low == -high && high < 40);
}

/* The squared error against quantizing the values themselves. */
static void test_squared_error(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    float x[COUNT];
    double sum = 0;
    FbEncoding encoding = {.code = fb_code_find("u8"), .scale = FB_DTYPE_F32, .has_zero = true};
    FbObserverSettings settings = {.code = encoding.code};
    float scale = 0;
    int32_t zero = 0, codes[COUNT];
    FbShape shape = fb_shape_make(1, &(int64_t){COUNT});
    for (int i = 0; i < COUNT; i++) {
        x[i] = fb_random_normal(12, 0, (uint64_t)i);
    }
    add_sample(0, x, COUNT);
    fb_range_to_scale(encoding.code, false, -2, 2.5, &scale, &zero);
    fb_encoding_quantize(&encoding, &shape, &scale, &zero, x, 0, COUNT, codes);
    for (int i = 0; i < COUNT; i++) {
        double difference = (double)x[i] - (double)scale * (codes[i] - zero);
        sum += difference * difference;
    }
    double estimate = fb_record_squared_error(value->record, &settings, -2, 2.5);
    assert_true(fabs(estimate - sum / COUNT) < 0.05 * sum / COUNT);
}

static void test_entropy(void **state)
{
    (void)state;
    add_outlier_data();
    double low = 0, high = 0;
    observe("entropy", false, 0, &low, &high);
    assert_true(high < 20 && high > 2 && low < -2); /* the outlier goes, the bulk stays */
}

static void test_degenerate(void **state)
{
    (void)state;
    const float zeros[8] = {0}, constant[3] = {2.5F, 2.5F, 2.5F};
    double low = 1, high = 1;
    for (int round = 0; round < 2; round++) {
        add_sample((uint64_t)round, round == 0 ? zeros : constant, round == 0 ? 8 : 3);
        for (size_t i = 0; i < fb_observer_count; i++) {
            for (int symmetric = 0; symmetric < 2; symmetric++) {
                float scale = 0;
                int32_t zero = 0;
                observe(fb_observers[i].name, symmetric != 0, 99.99, &low, &high);
                assert_true(isfinite(low) && isfinite(high) && low <= high);
                fb_range_to_scale(fb_code_find("u8"), false, low, high, &scale, &zero);
                assert_true(scale > 0 && isfinite(scale));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_extremes_and_average, setup, teardown),
        cmocka_unit_test_setup_teardown(test_percentile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_squared_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entropy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_degenerate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
