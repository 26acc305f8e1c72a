/* Stratified selection: equal shares per class, the same for the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "calibrate/selection.h"

static void test_stratified(void **state)
{
    (void)state;
    enum { COUNT = 100, WANTED = 31 };
    FbContext *context = NULL;
    assert_int_equal(fb_context_create(NULL, &context, NULL), FB_OK);
    int64_t labels[COUNT];
    for (int i = 0; i < COUNT; i++) {
        labels[i] = i < 4 ? 7 : i < 50 ? 1 : -2;
    }
    size_t a[COUNT], b[COUNT], c[COUNT], per_class[3] = {0};
    assert_int_equal(fb_select_stratified(context, labels, COUNT, WANTED, 5, a, NULL), FB_OK);
    assert_int_equal(fb_select_stratified(context, labels, COUNT, WANTED, 5, b, NULL), FB_OK);
    assert_int_equal(fb_select_stratified(context, labels, COUNT, WANTED, 6, c, NULL), FB_OK);
    assert_memory_equal(a, b, WANTED * sizeof *a);
    assert_true(memcmp(a, c, WANTED * sizeof *a) != 0);
    for (int i = 0; i < WANTED; i++) {
        assert_true(i == 0 || a[i] > a[i - 1]); /* ascending, hence no sample twice */
        per_class[labels[a[i]] == 7 ? 0 : labels[a[i]] == 1 ? 1 : 2]++;
    }
    assert_int_equal(per_class[0], 4); /* all there are */
    assert_true(per_class[1] >= 13 && per_class[1] <= 14 && per_class[2] >= 13 && per_class[2] <= 14);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stratified)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
