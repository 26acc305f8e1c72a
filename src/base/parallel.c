/* Threads: the pieces lie in as many ranges as threads may come; each takes those of its own range in order, then helps with the others. So a thread
 * reads memory front to back, which the processor foresees, and all is done whoever comes. */
#include <pthread.h>

#include "base/context_private.h"
#include "base/thread_pool.h"

enum { LINE = 64 }; /* of the cache */

typedef struct PieceRange {
    atomic_size_t next;
    size_t end;
    char apart[LINE - 2 * sizeof(size_t)]; /* threads in different ranges share no line */
} PieceRange;

struct FbParallelJob {
    FbTask task;
    void *arg;
    size_t count, grain, range_count;
    PieceRange ranges[FB_THREADS_MAX];
    atomic_uintptr_t owner[FB_THREADS_MAX]; /* which thread runs as which slot, for nested calls */
};

static void run_pieces(FbParallelJob *job, size_t slot)
{
    for (size_t i = 0; i < job->range_count; i++) {
        PieceRange *range = &job->ranges[(slot + i) % job->range_count];
        for (;;) {
            const size_t piece = atomic_fetch_add_explicit(&range->next, 1, memory_order_relaxed);
            if (piece >= range->end) {
                break;
            }
            const size_t begin = piece * job->grain;
            job->task(job->arg, slot, begin, job->count - begin < job->grain ? job->count : begin + job->grain);
        }
    }
}

static void worker(void *pointer, size_t slot)
{
    FbParallelJob *job = pointer;
    atomic_store_explicit(&job->owner[slot], (uintptr_t)pthread_self(), memory_order_relaxed);
    run_pieces(job, slot);
    atomic_store_explicit(&job->owner[slot], 0, memory_order_relaxed);
}

static size_t slot_of_caller(FbParallelJob *job, int threads)
{
    uintptr_t self = (uintptr_t)pthread_self();
    for (int i = 0; i < threads; i++) {
        if (atomic_load_explicit(&job->owner[i], memory_order_relaxed) == self) {
            return (size_t)i;
        }
    }
    return 0;
}

static void run_inline(FbTask task, void *arg, size_t slot, size_t count, size_t grain)
{
    for (size_t begin = 0; begin < count;) {
        size_t end = count - begin < grain ? count : begin + grain;
        task(arg, slot, begin, end);
        begin = end;
    }
}

void fb_parallel(FbContext *context, FbTask task, void *arg, size_t count, size_t grain)
{
    if (count == 0) {
        return;
    }
    grain = grain ? grain : 1;
    if (context->job) {
        run_inline(task, arg, slot_of_caller(context->job, context->threads), count, grain);
        return;
    }
    size_t pieces = count / grain + (count % grain != 0);
    if (!context->pool || pieces == 1) {
        run_inline(task, arg, 0, count, grain);
        return;
    }
    FbParallelJob job;
    job.task = task;
    job.arg = arg;
    job.count = count;
    job.grain = grain;
    job.range_count = pieces < (size_t)context->threads ? pieces : (size_t)context->threads;
    for (size_t i = 0, end = 0; i < job.range_count; i++) {
        atomic_init(&job.ranges[i].next, end);
        end += pieces / job.range_count + (i < pieces % job.range_count);
        job.ranges[i].end = end;
    }
    for (int i = 0; i < context->threads; i++) {
        atomic_init(&job.owner[i], 0);
    }
    context->job = &job;
    fb_thread_pool_run(context->pool, worker, &job, job.range_count - 1);
    context->job = NULL;
}
