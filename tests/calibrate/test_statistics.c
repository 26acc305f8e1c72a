/* Statistics: growth, exact merging, the file's round trip, and every way a file can be wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/random.h"
#include "base/sha256.h"
#include "calibrate/statistics.h"

static const char hash_a[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char hash_b[65] = "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static FbContext *context;

static int setup(void **state)
{
    (void)state;
    return fb_context_create(NULL, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fb_context_free(context);
    return 0;
}

static FbStatistics *make(const char *hash)
{
    const char *names[] = {"relu", "conv", "relu", "never"};
    FbStatistics *statistics = NULL;
    assert_int_equal(fb_statistics_create(context, hash, names, 4, &statistics, NULL), FB_OK);
    assert_int_equal(statistics->value_count, 3);
    return statistics;
}

/* One sample of both activations that occur; its values depend on its index only. */
static void add_sample(FbStatistics *statistics, FbRecorder *recorder, uint64_t index)
{
    enum { COUNT = 500 };
    float x[COUNT];
    FbRecordDraft *draft = malloc(sizeof *draft);
    FbSampleMark mark = {.index = index};
    mark.digest[0] = (uint8_t)index;
    size_t row = 0;
    assert_int_equal(fb_statistics_add_sample(statistics, &mark, &row, NULL), FB_OK);
    for (size_t v = 0; v < statistics->value_count; v++) {
        FbValueStatistics *value = &statistics->values[v];
        if (strcmp(value->name, "never") == 0) {
            continue;
        }
        for (size_t i = 0; i < COUNT; i++) {
            x[i] = fb_random_normal(3, index * 2 + v, i) * (float)(1 + index % 5);
        }
        fb_recorder_fill(recorder, x, COUNT, value->record->exponent, draft);
        fb_record_commit(value->record, draft);
        value->ranges[row] = (FbSampleRange){draft->low, draft->high};
    }
    free(draft);
}

static void encode(const FbStatistics *statistics, uint8_t **bytes, size_t *count)
{
    FbError err;
    assert_int_equal(fb_statistics_encode(statistics, bytes, count, &err), FB_OK);
}

static void test_two_halves_are_the_whole(void **state)
{
    (void)state;
    FbRecorder *recorder = fb_recorder_create(context);
    FbStatistics *whole = make(hash_a), *odd = make(hash_a), *even = make(hash_a);
    for (uint64_t i = 0; i < 150; i++) {
        add_sample(whole, recorder, i);
        add_sample(i % 2 ? odd : even, recorder, i);
    }
    assert_int_equal(fb_statistics_merge(odd, even, NULL), FB_OK);
    uint8_t *a = NULL, *b = NULL;
    size_t a_count = 0, b_count = 0;
    encode(whole, &a, &a_count);
    encode(odd, &b, &b_count);
    assert_int_equal(a_count, b_count);
    assert_memory_equal(a, b, a_count);
    FbError err;
    assert_int_equal(fb_statistics_merge(odd, even, &err), FB_ERR_ARGUMENT); /* counted twice */
    FbStatistics *other = make(hash_b);
    assert_int_equal(fb_statistics_merge(odd, other, &err), FB_ERR_ARGUMENT);
    fb_free(context, b);
    encode(odd, &b, &b_count); /* a refused merge changed nothing */
    assert_memory_equal(a, b, a_count);
    fb_free(context, a);
    fb_free(context, b);
    fb_statistics_free(whole);
    fb_statistics_free(odd);
    fb_statistics_free(even);
    fb_statistics_free(other);
    fb_recorder_free(recorder);
}

static FbStatistics *small(void)
{
    FbRecorder *recorder = fb_recorder_create(context);
    FbStatistics *statistics = make(hash_a);
    statistics->selection = FB_SELECT_RANDOM;
    statistics->seed = 99;
    statistics->rejected = 1;
    add_sample(statistics, recorder, 5);
    add_sample(statistics, recorder, 2);
    assert_true(statistics->samples[0].index == 2);
    fb_recorder_free(recorder);
    return statistics;
}

static void test_file_round_trip(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "statistics_test_%ld.fbs", (long)getpid());
    FbStatistics *statistics = small(), *loaded = NULL;
    FbError err;
    assert_int_equal(fb_statistics_save(context, statistics, path, 0, &err), FB_OK);
    assert_int_equal(fb_statistics_save(context, statistics, path, 0, &err), FB_ERR_ARGUMENT); /* it exists */
    assert_int_equal(fb_statistics_load(context, path, &loaded, &err), FB_OK);
    uint8_t *a = NULL, *b = NULL;
    size_t a_count = 0, b_count = 0;
    encode(statistics, &a, &a_count);
    encode(loaded, &b, &b_count);
    assert_int_equal(a_count, b_count);
    assert_memory_equal(a, b, a_count);
    assert_non_null(fb_statistics_find(loaded, "conv"));
    assert_null(fb_statistics_find(loaded, "never"));
    assert_null(fb_statistics_find(loaded, "absent"));
    fb_free(context, a);
    fb_free(context, b);
    fb_statistics_free(statistics);
    fb_statistics_free(loaded);
    remove(path);
}

/* Makes the checksum right again, so that what lies behind it is looked at. */
static void seal(uint8_t *bytes, size_t count)
{
    char hex[65];
    FbSha256 *hash = fb_sha256_create(context);
    fb_sha256_add(hash, bytes, count - 32);
    fb_sha256_finish(hash, hex);
    for (size_t i = 0; i < 32; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[count - 32 + i] = (uint8_t)byte;
    }
}

static FbStatus decode(const uint8_t *bytes, size_t count)
{
    FbStatistics *loaded = NULL;
    FbError err = {0};
    uint8_t *exact = malloc(count > 0 ? count : 1); /* exact size, for overruns to show */
    memcpy(exact, bytes, count);
    FbStatus status = fb_statistics_decode(context, exact, count, "test", &loaded, &err);
    assert_true((status == FB_OK) == (loaded != NULL));
    assert_true(status == FB_OK || strlen(err.message) > 0);
    fb_statistics_free(loaded);
    free(exact);
    return status;
}

static void test_malformed(void **state)
{
    (void)state;
    FbStatistics *statistics = small();
    uint8_t *bytes = NULL;
    size_t count = 0;
    encode(statistics, &bytes, &count);
    assert_int_equal(decode(bytes, count), FB_OK);
    for (size_t cut = 0; cut < count; cut += cut < 400 ? 1 : 97) {
        assert_int_equal(decode(bytes, cut), FB_ERR_FORMAT);
    }
    uint8_t *copy = malloc(count + 8);
    memcpy(copy, bytes, count);
    copy[300] ^= 1;
    assert_int_equal(decode(copy, count), FB_ERR_FORMAT); /* checksum */
    /* Sealed again after a change, every field still has to hold. Offsets: version 8, hashes 16, selection 144, bins 148, samples 168,
     * values 176, first sample 184. */
    static const struct Change { size_t at; uint8_t value; FbStatus want; } changes[] = {
        {0, 'X', FB_ERR_FORMAT}, {8, 2, FB_ERR_UNSUPPORTED}, {12, 1, FB_ERR_UNSUPPORTED}, {20, 'g', FB_ERR_FORMAT},
        {90, '0', FB_ERR_FORMAT}, {144, 9, FB_ERR_FORMAT}, {149, 1, FB_ERR_FORMAT}, {168, 3, FB_ERR_FORMAT}, {175, 0x7F, FB_ERR_FORMAT},
        {168, 1, FB_ERR_FORMAT}, {176, 4, FB_ERR_FORMAT}, {176, 2, FB_ERR_FORMAT}, {183, 0x7F, FB_ERR_FORMAT}, {184, 6, FB_ERR_FORMAT},
        {195, 7, FB_ERR_FORMAT}, {232, 0, FB_ERR_FORMAT}, {235, 0x7F, FB_ERR_FORMAT}, {236, 'z', FB_ERR_FORMAT}, {237, 0, FB_ERR_FORMAT},
        {240, 1, FB_ERR_FORMAT}, {251, 0x7F, FB_ERR_FORMAT}, {255, 0xFF, FB_ERR_FORMAT}, {256, 1, FB_ERR_FORMAT}, {264, 9, FB_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(copy, bytes, count);
        if (copy[changes[i].at] == changes[i].value) {
            copy[changes[i].at]++;
        } else {
            copy[changes[i].at] = changes[i].value;
        }
        seal(copy, count);
        if (decode(copy, count) != changes[i].want) {
            fail_msg("byte %zu = %u was not refused as expected", changes[i].at, changes[i].value);
        }
    }
    memcpy(copy, bytes, count);
    memset(copy + count, 0, 8);
    seal(copy, count + 8);
    assert_int_equal(decode(copy, count + 8), FB_ERR_FORMAT); /* trailing bytes */
    free(copy);
    fb_free(context, bytes);
    fb_statistics_free(statistics);
}

/* Every byte, changed at random and sealed: never a crash; what is accepted must encode again. */
static void test_mutations(void **state)
{
    (void)state;
    FbStatistics *statistics = small();
    uint8_t *bytes = NULL;
    size_t count = 0;
    encode(statistics, &bytes, &count);
    uint8_t *copy = malloc(count);
    for (uint64_t round = 0; round < 3000; round++) {
        memcpy(copy, bytes, count);
        for (uint64_t change = 0; change < 1 + round % 3; change++) {
            copy[fb_random_below(1, round, change, round % 2 ? count - 32 : 320)] = (uint8_t)fb_random_u64(2, round, change);
        }
        seal(copy, count);
        decode(copy, count);
    }
    free(copy);
    fb_free(context, bytes);
    fb_statistics_free(statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_halves_are_the_whole),
        cmocka_unit_test(test_file_round_trip),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
