/* Growing arrays. */
#include "base/array.h"

bool fb_array_reserve_bytes(FbContext *context, void **items, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity) {
        return true;
    }
    if (*capacity > SIZE_MAX / 2) {
        return false;
    }
    size_t wanted = *capacity ? 2 * *capacity : 8;
    void *grown = fb_realloc_array(context, *items, wanted, element);
    if (!grown) {
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}
