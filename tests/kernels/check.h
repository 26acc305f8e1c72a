/* What kernel tests share: seeded values, exact-size blocks (so that AddressSanitizer sees an overrun) and a comparison bit for bit. */
#ifndef FB_TESTS_KERNELS_CHECK_H
#define FB_TESTS_KERNELS_CHECK_H

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

typedef enum CheckFill { CHECK_RANDOM = 0, CHECK_ZEROS, CHECK_LARGE, CHECK_TINY, CHECK_SPECIAL, CHECK_FILLS } CheckFill;

static inline uint32_t check_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline void check_fill(float *x, size_t count, CheckFill fill, uint64_t seed)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p-126f, 0x1.fffffep+127f, 88.7f, -103.9f, 0.5f, 1.5f, -2.5f};
    for (size_t i = 0; i < count; i++) {
        float value = (float)(fb_random_unit(seed, 1, i) * 8 - 4);
        switch (fill) {
        case CHECK_RANDOM: break;
        case CHECK_ZEROS: value = 0.0f; break;
        case CHECK_LARGE: value *= 0x1p124f; break;
        case CHECK_TINY: value *= 0x1p-140f; break;
        case CHECK_SPECIAL:
        case CHECK_FILLS:
            value = fb_random_u64(seed, 2, i) % 3 ? value : special[fb_random_u64(seed, 3, i) % (sizeof special / sizeof *special)];
            break;
        }
        x[i] = value;
    }
}

/* A block of exactly `bytes` bytes, `shift` bytes into a block that ends with it. Freed with free(base). */
static inline void *check_block(size_t bytes, size_t shift, void **base)
{
    *base = malloc(bytes + shift ? bytes + shift : 1);
    assert_non_null(*base);
    return (char *)*base + shift;
}

/* Equal bits; any NaN equals any NaN. */
static inline void check_same(const char *what, const char *kernel, const float *want, const float *got, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (check_bits(want[i]) != check_bits(got[i]) && !(isnan(want[i]) && isnan(got[i]))) {
            fail_msg("%s, kernel %s: element %zu of %zu is %a, expected %a", what, kernel, i, count, (double)got[i], (double)want[i]);
        }
    }
}

#endif
