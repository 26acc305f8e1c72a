/* The context: options, memory cap, failing allocator, threads, instruction sets, progress, cancel. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/context_private.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

static void test_options(void **state)
{
    (void)state;
    FbContext *context = (FbContext *)&context;
    FbError err;
    FbContextOptions options = {.struct_bytes = 3};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_ERR_ARGUMENT);
    assert_null(context);
    options = (FbContextOptions){.struct_bytes = sizeof options, .threads = -1};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_ERR_ARGUMENT);
    options = (FbContextOptions){.struct_bytes = sizeof options, .isa = "avx3"};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_ERR_ARGUMENT);
    assert_string_equal(err.message, "unknown instruction set 'avx3'; did you mean 'avx2'?");
    options = (FbContextOptions){.struct_bytes = sizeof options, .isa = "scalar", .threads = 1};
    assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
    assert_string_equal(fb_context_isa(context), "scalar");
    assert_int_equal(fb_context_cpu(context), 0);
    fb_context_free(context);
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    assert_true(fb_context_threads(context) >= 1);
    fb_context_free(context);
    fb_context_free(NULL);
}

static void test_isa_caps(void **state)
{
    (void)state;
    unsigned machine = fb_cpu_detect(), before = 0;
    for (const char *const *name = fb_cpu_names(); *name; name++) {
        unsigned mask;
        assert_true(fb_cpu_parse(*name, &mask));
        FbContextOptions options = {.struct_bytes = sizeof options, .isa = *name, .threads = 1};
        FbContext *context = NULL;
        assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
        assert_int_equal(fb_context_cpu(context) & ~mask, 0);
        assert_int_equal(fb_context_cpu(context) & ~machine, 0);
        unsigned own;
        assert_true(fb_cpu_parse(fb_context_isa(context), &own));
        assert_int_equal(fb_context_cpu(context) & ~own, 0); /* the name tells no less than what is in use */
        before = fb_context_cpu(context);
        fb_context_free(context);
    }
    assert_int_equal(before & ~machine, 0);
#if defined(__x86_64__)
    __builtin_cpu_init();
    assert_int_equal((machine & FB_CPU_AVX2) != 0, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal((machine & FB_CPU_AVX512) != 0, __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                                                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512f"));
    assert_int_equal((machine & FB_CPU_AVX512VNNI) != 0, __builtin_cpu_supports("avx512vnni") != 0);
#endif
}

static void test_memory(void **state)
{
    (void)state;
    FbContextOptions options = {.struct_bytes = sizeof options, .max_memory = 100000, .threads = 1};
    FbContext *context = NULL;
    FbError err;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    void *blocks[50];
    for (size_t i = 0; i < 50; i++) {
        blocks[i] = fb_alloc(context, i * 7);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], 1, i * 7);
    }
    assert_null(fb_alloc(context, 90000));
    assert_int_equal(fb_error_memory(context, &err, "a tensor", 90000), FB_ERR_BUDGET);
    assert_non_null(strstr(err.message, "--max-memory"));
    assert_null(fb_alloc_array(context, SIZE_MAX / 4, 8));
    assert_int_equal(fb_error_memory(context, &err, "a tensor", 1), FB_ERR_NO_MEMORY);
    uint64_t peak = fb_context_memory_peak(context);
    assert_true(peak >= 7 * 49 * 50 / 2 && peak <= 100000);
    for (size_t i = 0; i < 50; i++) {
        fb_free(context, blocks[i]);
    }
    assert_int_equal(fb_context_memory_now(context), 0);
    assert_int_equal(fb_context_memory_peak(context), peak);
    int *numbers = fb_realloc_array(context, NULL, 4, sizeof *numbers);
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
    }
    numbers = fb_realloc_array(context, numbers, 8, sizeof *numbers);
    assert_int_equal(numbers[3], 3);
    assert_null(fb_realloc_array(context, numbers, 1 << 20, sizeof *numbers)); /* refused: the old block stays */
    assert_int_equal(numbers[3], 3);
    fb_free(context, numbers);
    fb_free(context, NULL);
    fb_context_free(context);
}

/* Fails the k-th call; what was given must come back with its size. */
typedef struct Failing {
    int calls, fail_at;
    long held;
} Failing;

static void *failing_allocate(void *user, size_t bytes)
{
    Failing *failing = user;
    if (++failing->calls == failing->fail_at) {
        return NULL;
    }
    failing->held += (long)bytes;
    return malloc(bytes);
}

static void failing_release(void *user, void *pointer, size_t bytes)
{
    ((Failing *)user)->held -= (long)bytes;
    free(pointer);
}

/* Something of everything that base/ allocates for. */
static FbStatus scenario(FbContext *context, const char *path, FbError *err)
{
    FbOutput *output = NULL;
    json_t *root = NULL;
    char *text = NULL;
    FbArena *arena = fb_arena_create(context);
    FbStatus status = FB_ERR_NO_MEMORY;
    if (!arena || !fb_arena_alloc(arena, 100) || !fb_arena_alloc(arena, 100000) || !fb_arena_printf(arena, "%d", 1)) {
        goto done;
    }
    status = fb_output_create(context, path, true, &output, err);
    if (status != FB_OK) {
        goto done;
    }
    status = fb_output_write(output, "{\"a\": [1, 2]}", 13, err);
    if (status != FB_OK) {
        fb_output_abandon(output);
        goto done;
    }
    status = fb_output_commit(output, NULL, err);
    if (status != FB_OK) {
        goto done;
    }
    status = fb_json_load(context, path, 100, &root, err);
    if (status != FB_OK) {
        goto done;
    }
    status = fb_json_dump(context, root, true, &text, err);
done:
    fb_free(context, text);
    json_decref(root);
    fb_arena_free(arena);
    return status;
}

static void test_failing_allocator(void **state)
{
    (void)state;
    char path[] = "/tmp/fewbit-alloc-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    bool passed = false;
    for (int k = 1; !passed; k++) {
        assert_true(k < 200);
        Failing failing = {.fail_at = k};
        FbAllocator allocator = {&failing, failing_allocate, failing_release};
        FbContextOptions options = {.struct_bytes = sizeof options, .allocator = &allocator, .threads = 1};
        FbContext *context = NULL;
        FbError err = {0};
        FbStatus status = fb_context_create(&options, &context, &err);
        if (status == FB_OK) {
            status = scenario(context, path, &err);
        }
        fb_context_free(context);
        assert_int_equal(failing.held, 0);
        passed = failing.calls < k;
        assert_int_equal(status, passed ? FB_OK : FB_ERR_NO_MEMORY);
    }
    unlink(path);
}

typedef struct Count {
    FbContext *context;
    atomic_int seen[1000];
    atomic_int busy[FB_THREADS_MAX]; /* two tasks on one slot at a time would share its scratch */
    atomic_bool clash;
    bool nested;
} Count;

static void count_inner(void *arg, size_t slot, size_t begin, size_t end)
{
    Count *count = arg;
    if (atomic_load(&count->busy[slot]) != 1) {
        atomic_store(&count->clash, true); /* nested work must stay on the slot of its worker */
    }
    (void)begin;
    (void)end;
}

static void count_up(void *arg, size_t slot, size_t begin, size_t end)
{
    Count *count = arg;
    if (atomic_fetch_add(&count->busy[slot], 1) != 0) {
        atomic_store(&count->clash, true);
    }
    for (size_t i = begin; i < end; i++) {
        atomic_fetch_add(&count->seen[i], 1);
    }
    if (count->nested) {
        fb_parallel(count->context, count_inner, count, 5, 1);
    }
    atomic_fetch_sub(&count->busy[slot], 1);
}

static void test_parallel(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
        FbContext *context = NULL;
        assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
        for (size_t n = 0; n <= 1000; n = n * 3 + 1) {
            for (size_t grain = 0; grain < 30; grain += 7) {
                Count *count = calloc(1, sizeof *count);
                count->context = context;
                count->nested = grain == 7 && n > grain && threads > 1;
                fb_parallel(context, count_up, count, n, grain);
                for (size_t i = 0; i < 1000; i++) {
                    assert_int_equal(count->seen[i], i < n);
                }
                assert_false(count->clash);
                free(count);
            }
        }
        fb_context_free(context);
    }
}

static int reports;
static FbProgress last;

static void on_progress(void *user, const FbProgress *progress)
{
    (void)user;
    reports++;
    last = *progress;
}

static void test_progress(void **state)
{
    (void)state;
    volatile int cancel = 0;
    FbContextOptions options = {.struct_bytes = sizeof options, .progress = on_progress, .cancel = &cancel, .threads = 1};
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    fb_progress_begin(context, "calibrate", 10000);
    for (uint64_t i = 0; i < 5000; i++) {
        fb_progress_step(context, i);
    }
    assert_true(reports >= 1 && reports < 100); /* not one for each step */
    fb_progress_begin(context, "inner", 7);
    fb_progress_step(context, 7);
    fb_progress_end(context);
    assert_string_equal(last.phase, "calibrate");
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    fb_progress_step(context, 5000);
    assert_int_equal(last.done, 5000);
    assert_true(last.seconds >= 0.3 && last.eta_seconds > 0.9 * last.seconds && last.eta_seconds < 1.1 * last.seconds);
    fb_progress_step(context, 10000); /* the end is always told */
    assert_int_equal(last.done, 10000);
    fb_progress_end(context);
    assert_int_equal(fb_check_cancel(context, NULL), FB_OK);
    cancel = 1;
    assert_int_equal(fb_check_cancel(context, NULL), FB_ERR_CANCELLED);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),  cmocka_unit_test(test_isa_caps), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_parallel), cmocka_unit_test(test_progress), cmocka_unit_test(test_failing_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
