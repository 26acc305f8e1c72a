/* The context's fields; only files of base/ include this. */
#ifndef FB_BASE_CONTEXT_PRIVATE_H
#define FB_BASE_CONTEXT_PRIVATE_H

#include <stdatomic.h>

#include "base/context.h"

enum { FB_THREADS_MAX = 256 };

typedef struct FbParallelJob FbParallelJob;

struct FbContext {
    FbAllocator allocator;
    FbFileHooks files;
    int threads;
    unsigned cpu;
    uint64_t max_memory;
    void *user;
    void (*log)(void *user, FbLogLevel level, const char *id, const char *message);
    void (*progress)(void *user, const FbProgress *progress);
    const volatile int *cancel;

    atomic_uint_fast64_t bytes_now, bytes_peak;
    atomic_bool refused_by_cap; /* the last refusal came from max_memory, not from the allocator */

    struct FbThreadPool *pool; /* NULL when threads is 1 */
    FbParallelJob *job;       /* the running job, NULL outside fb_parallel */

    const char *phase; /* NULL: no phase is running */
    int phase_depth;
    uint64_t phase_total;
    double phase_start, phase_reported;
};

/* The operating system's files (file_os.c). */
extern const FbFileHooks fb_file_os_hooks;

#endif
