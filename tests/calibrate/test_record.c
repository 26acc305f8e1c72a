/* The streaming record: exact extremes, exact widening and merging, independence of pieces, threads and order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "calibrate/record.h"

static FbContext *make_context(int threads)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

static void add(FbRecorder *recorder, FbRecord *record, const float *x, size_t count)
{
    FbRecordDraft *draft = malloc(sizeof *draft);
    fb_recorder_fill(recorder, x, count, record->exponent, draft);
    assert_true(draft->finite);
    fb_record_commit(record, draft);
    free(draft);
}

static void assert_same(const FbRecord *a, const FbRecord *b)
{
    assert_true(a->count == b->count);
    assert_memory_equal(&a->low, &b->low, sizeof a->low);
    assert_memory_equal(&a->high, &b->high, sizeof a->high);
    assert_int_equal(a->exponent, b->exponent);
    assert_memory_equal(a->bins, b->bins, sizeof a->bins);
}

/* Values whose size changes by orders of magnitude from sample to sample. */
static float *make_values(size_t count, uint64_t stream)
{
    float *x = malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++) {
        x[i] = fb_random_normal(7, stream, i) * ldexpf(1.0F, (int)(stream * 5 % 23) - 11);
        if (i % 5 == 0) {
            x[i] = 0;
        }
    }
    return x;
}

static void test_hand_computed(void **state)
{
    (void)state;
    FbContext *context = make_context(1);
    FbRecorder *recorder = fb_recorder_create(context);
    FbRecord *record = malloc(sizeof *record);
    fb_record_reset(record);
    const float x[] = {0.0F, -0.0F, 1.0F, 1.5F, -1.0F, -0.25F, 2047.75F};
    add(recorder, record, x, 7);
    assert_int_equal(record->exponent, 0); /* 2047.75 < 2048 bins of width 1 */
    assert_true(record->low == -1.0F && record->high == 2047.75F && record->count == 7);
    assert_int_equal(record->bins[FB_RECORD_HALF], 2);
    assert_int_equal(record->bins[FB_RECORD_HALF + 1], 2);
    assert_int_equal(record->bins[FB_RECORD_HALF + 2047], 1);
    assert_int_equal(record->bins[FB_RECORD_HALF - 1], 1); /* -0.25 */
    assert_int_equal(record->bins[FB_RECORD_HALF - 2], 1); /* -1 */
    const float wider[] = {2048.0F, -3.0F};
    add(recorder, record, wider, 2);
    assert_int_equal(record->exponent, 1);
    assert_int_equal(record->bins[FB_RECORD_HALF], 4);
    assert_int_equal(record->bins[FB_RECORD_HALF + 1023], 1);
    assert_int_equal(record->bins[FB_RECORD_HALF + 1024], 1);
    assert_int_equal(record->bins[FB_RECORD_HALF - 1], 2);
    assert_int_equal(record->bins[FB_RECORD_HALF - 2], 1);
    free(record);
    fb_recorder_free(recorder);
    fb_context_free(context);
}

static void test_merge_equals_whole(void **state)
{
    (void)state;
    enum { SAMPLES = 12, COUNT = 70001 };
    FbContext *contexts[3] = {make_context(1), make_context(2), make_context(3)};
    FbRecord *whole = malloc(sizeof *whole), *reverse = malloc(sizeof *reverse), *halves[2] = {malloc(sizeof *whole), malloc(sizeof *whole)};
    FbRecorder *recorders[3];
    for (int t = 0; t < 3; t++) {
        recorders[t] = fb_recorder_create(contexts[t]);
    }
    fb_record_reset(whole);
    fb_record_reset(reverse);
    fb_record_reset(halves[0]);
    fb_record_reset(halves[1]);
    for (int s = 0; s < SAMPLES; s++) {
        float *x = make_values(COUNT, (uint64_t)s), *y = make_values(COUNT, (uint64_t)(SAMPLES - 1 - s));
        add(recorders[0], whole, x, COUNT);
        add(recorders[1], reverse, y, COUNT);
        add(recorders[2], halves[s % 3 == 0], x, COUNT);
        free(x);
        free(y);
    }
    assert_same(whole, reverse);
    fb_record_merge(halves[0], halves[1]);
    assert_same(whole, halves[0]);
    uint64_t sum = 0;
    for (size_t i = 0; i < FB_RECORD_BINS; i++) {
        sum += whole->bins[i];
    }
    assert_true(sum == (uint64_t)SAMPLES * COUNT);
    for (int t = 0; t < 3; t++) {
        fb_recorder_free(recorders[t]);
        fb_context_free(contexts[t]);
    }
    free(whole);
    free(reverse);
    free(halves[0]);
    free(halves[1]);
}

static void test_extreme_values(void **state)
{
    (void)state;
    FbContext *context = make_context(2);
    FbRecorder *recorder = fb_recorder_create(context);
    FbRecord *record = malloc(sizeof *record);
    fb_record_reset(record);
    const float tiny[] = {1e-45F, -1e-45F, 0.0F};
    add(recorder, record, tiny, 3);
    assert_int_equal(record->exponent, FB_RECORD_EXPONENT_MIN);
    const float huge[] = {3.4e38F, -3.4e38F};
    add(recorder, record, huge, 2);
    assert_int_equal(record->exponent, FB_RECORD_EXPONENT_MAX);
    assert_true(record->count == 5 && record->high == 3.4e38F);
    FbRecordDraft *draft = malloc(sizeof *draft);
    const float bad[] = {1.0F, NAN, 2.0F}, worse[] = {-INFINITY};
    fb_recorder_fill(recorder, bad, 3, record->exponent, draft);
    assert_false(draft->finite);
    fb_recorder_fill(recorder, worse, 1, FB_RECORD_EXPONENT_MIN, draft);
    assert_false(draft->finite);
    fb_recorder_fill(recorder, tiny, 3, -10, draft); /* nothing of the rejected ones is left in the scratch */
    uint64_t sum = 0;
    for (size_t i = FB_RECORD_HALF - 1; i <= FB_RECORD_HALF; i++) {
        sum += draft->bins[i];
    }
    assert_true(draft->finite && sum == 3);
    free(draft);
    free(record);
    fb_recorder_free(recorder);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_computed),
        cmocka_unit_test(test_merge_equals_whole),
        cmocka_unit_test(test_extreme_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
