/* Interleaved rows against their definition, on exact-size buffers at odd places. */
#include "kernels/check.h"
#include "kernels/interleave.h"

enum { ROWS = FB_INTERLEAVE_ROWS };

static void test_halves(void **state)
{
    (void)state;
    for (size_t count = 0; count < 70; count++) {
        void *base[ROWS + 1];
        uint8_t *rows[ROWS], *to = check_block(count * 2 * ROWS, count % 3, &base[ROWS]);
        for (size_t r = 0; r < ROWS; r++) {
            rows[r] = check_block(count * 2, (count + r) % 5, &base[r]);
            for (size_t i = 0; i < count * 2; i++) {
                rows[r][i] = (uint8_t)fb_random_u64(count, r, i);
            }
        }
        fb_interleave_halves((const uint8_t *const *)rows, count, to);
        for (size_t i = 0; i < count * 2 * ROWS; i++) {
            const size_t k = i / (2 * ROWS), r = i / 2 % ROWS;
            if (to[i] != rows[r][2 * k + i % 2]) {
                fail_msg("%zu numbers a row: byte %zu", count, i);
            }
        }
        for (size_t r = 0; r <= ROWS; r++) {
            free(base[r]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_halves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
