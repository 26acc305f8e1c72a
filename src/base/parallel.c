/* Threads: `threads` workers take pieces from one counter, so each worker has a number of its own. */
#include <pthread.h>

#include "base/context_private.h"
#include "base/thread_pool.h"

struct FbParallelJob {
    FbTask task;
    void *arg;
    size_t count, grain, pieces;
    atomic_size_t next;
    atomic_uintptr_t owner[FB_THREADS_MAX]; /* which thread runs as which slot, for nested calls */
};

static void run_pieces(FbParallelJob *job, size_t slot)
{
    for (;;) {
        size_t piece = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (piece >= job->pieces) {
            return;
        }
        size_t begin = piece * job->grain;
        size_t end = job->count - begin < job->grain ? job->count : begin + job->grain;
        job->task(job->arg, slot, begin, end);
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
    job.pieces = pieces;
    atomic_init(&job.next, 0);
    for (int i = 0; i < context->threads; i++) {
        atomic_init(&job.owner[i], 0);
    }
    context->job = &job;
    size_t workers = pieces < (size_t)context->threads ? pieces : (size_t)context->threads;
    fb_thread_pool_run(context->pool, worker, &job, workers - 1);
    context->job = NULL;
}
