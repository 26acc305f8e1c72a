/* The functions of pthreadpool that base/ calls, for a build without arm64 libraries: a pool without threads. */
#ifndef FB_TESTS_NEON_PTHREADPOOL_H
#define FB_TESTS_NEON_PTHREADPOOL_H

#include <stddef.h>
#include <stdint.h>

enum { PTHREADPOOL_FLAG_YIELD_WORKERS = 2 };

static inline struct pthreadpool *pthreadpool_create(size_t threads)
{
    static char pool;
    return threads ? (struct pthreadpool *)(void *)&pool : NULL;
}
static inline void pthreadpool_destroy(struct pthreadpool *pool) { (void)pool; }
static inline void pthreadpool_parallelize_1d(struct pthreadpool *pool, void (*task)(void *, size_t), void *arg, size_t count, uint32_t flags)
{
    (void)pool, (void)flags;
    for (size_t i = 0; i < count; i++) {
        task(arg, i);
    }
}

#endif
