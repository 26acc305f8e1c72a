/* The part of cmocka's interface that the kernel tests use, for a build without arm64 libraries: the first failure ends the program. */
#ifndef FB_TESTS_NEON_CMOCKA_H
#define FB_TESTS_NEON_CMOCKA_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline __attribute__((noreturn, unused, format(printf, 3, 4))) void neon_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

#define fail_msg(...) neon_fail(__FILE__, __LINE__, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define assert_true(condition) ((condition) ? (void)0 : neon_fail(__FILE__, __LINE__, "not true: %s", #condition))
#define assert_false(condition) assert_true(!(condition))
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_in_range(value, low, high) assert_true((value) >= (low) && (value) <= (high))
#define assert_memory_equal(a, b, bytes) assert_true(memcmp((a), (b), (bytes)) == 0)

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(function) {#function, function}

static inline int neon_run(const struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *state = NULL;
        tests[i].run(&state);
        printf("passed: %s\n", tests[i].name);
    }
    return 0;
}
#define cmocka_run_group_tests(tests, before, after) neon_run(tests, sizeof(tests) / sizeof *(tests))

#endif
