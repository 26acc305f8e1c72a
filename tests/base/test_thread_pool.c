/* Threads come when there is work, whether awake or asleep; a job is over when its last piece is. */
#define _GNU_SOURCE /* nanosleep */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/context.h"

enum { THREADS = 6, PATIENCE_SECONDS = 20 };

static void rest(long microseconds)
{
    const struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

static FbContext *context_of(int threads)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

typedef struct Gathering {
    atomic_int here, slots[THREADS];
    atomic_bool alone;       /* somebody waited in vain */
} Gathering;

/* Ends when all threads are in a piece of their own. */
static void gather(void *arg, size_t slot, size_t begin, size_t end)
{
    Gathering *g = arg;
    atomic_fetch_add(&g->slots[slot], (int)(end - begin));
    atomic_fetch_add(&g->here, 1);
    const double start = fb_clock_seconds();
    while (atomic_load(&g->here) < THREADS) {
        if (fb_clock_seconds() - start > PATIENCE_SECONDS) {
            atomic_store(&g->alone, true);
            return;
        }
        rest(10);
    }
}

static void test_all_come(void **state)
{
    (void)state;
    FbContext *context = context_of(THREADS);
    for (int round = 0; round < 20; round++) {
        Gathering g = {0};
        fb_parallel(context, gather, &g, THREADS, 1);
        assert_false(g.alone);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(g.slots[i], 1);
        }
        rest(round % 2 == 0 ? 0 : 2000); /* awake, or asleep by then */
    }
    fb_context_free(context);
}

typedef struct Sums {
    uint64_t in[64];         /* plain memory: what a piece wrote is there when the job is over */
    long slow;               /* microseconds that piece 0 takes */
} Sums;

static void add_up(void *arg, size_t slot, size_t begin, size_t end)
{
    Sums *sums = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        sums->in[i] += i + 1;
        if (i == 0 && sums->slow > 0) {
            rest(sums->slow);
        }
    }
}

static void run_jobs(FbContext *context, int jobs, long between, long slow)
{
    Sums sums = {.slow = slow};
    for (int job = 0; job < jobs; job++) {
        fb_parallel(context, add_up, &sums, 64, 1);
        for (size_t i = 0; i < 64; i++) {
            assert_int_equal(sums.in[i], (i + 1) * (uint64_t)(job + 1));
        }
        if (between > 0) {
            rest(between);
        }
    }
}

static void test_small_jobs(void **state)
{
    (void)state;
    for (int threads = 2; threads <= THREADS; threads += 2) {
        FbContext *context = context_of(threads);
        run_jobs(context, 3000, 0, 0);    /* one right after the other */
        run_jobs(context, 300, 20, 0);    /* about when workers fall asleep */
        run_jobs(context, 30, 1000, 0);   /* asleep */
        run_jobs(context, 30, 0, 2000);   /* whoever has piece 0 keeps the others, and the caller, waiting */
        fb_context_free(context);
    }
}

static void test_create_and_free(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        FbContext *context = context_of(1 + round % THREADS);
        if (round % 3 == 0) {
            run_jobs(context, 2, 0, 0);
        }
        fb_context_free(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_come), cmocka_unit_test(test_small_jobs), cmocka_unit_test(test_create_and_free)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
