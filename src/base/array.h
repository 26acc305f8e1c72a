/* A growing array of any element type: struct { T *items; size_t count, capacity; }. */
#ifndef FB_BASE_ARRAY_H
#define FB_BASE_ARRAY_H

#include "base/context.h"

#define FB_ARRAY(T)      \
    struct {             \
        T *items;        \
        size_t count;    \
        size_t capacity; \
    }

/* Makes room for one more element; false when memory is refused (the array is unchanged). Then write items[count++]. */
#define fb_array_grow(context, array) \
    fb_array_reserve_bytes((context), (void **)&(array)->items, (array)->count, &(array)->capacity, sizeof *(array)->items)
#define fb_array_free(context, array)                                   \
    (fb_free((context), (array)->items), (array)->items = NULL, (array)->count = 0, (array)->capacity = 0)

bool fb_array_reserve_bytes(FbContext *context, void **items, size_t count, size_t *capacity, size_t element);

#endif
