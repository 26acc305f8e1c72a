/* Arithmetic on sizes that come from files: false on overflow, *out untouched. */
#ifndef FB_BASE_CHECKED_H
#define FB_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool fb_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool fb_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

static inline bool fb_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool fb_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

/* The product of `rank` dimensions; false when one is negative or the product exceeds INT64_MAX. */
static inline bool fb_product_dims(const int64_t *dims, int rank, int64_t *out)
{
    int64_t product = 1;
    bool zero = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return false;
        }
        if (dims[i] == 0) {
            zero = true;
        } else if (product > INT64_MAX / dims[i]) {
            return false;
        } else {
            product *= dims[i];
        }
    }
    *out = zero ? 0 : product;
    return true;
}

#endif
