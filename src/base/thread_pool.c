/* Threads that stay awake for a moment after a job, then sleep.
 *
 * One word, the gate, says it all: the number of the job, whether it is open, and how many workers are inside. A worker enters an open job by counting
 * itself in; the caller closes the job when its own part of the work is over and waits until those inside have counted themselves out. So a
 * worker that wakes too late costs nothing, and handing over a job to one that is awake takes well below a microsecond. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/context_private.h"

enum {
    GATE_OPEN = 1 << 16,  /* below: workers inside */
    GATE_INSIDE = GATE_OPEN - 1,
    GATE_JOB = 17,        /* the job's number, from this bit on */
    LOOKS = 32,           /* at the gate between two at the clock */
    LINE = 64             /* of the cache */
};

/* How long threads look before they sleep. A worker: the few microseconds between the steps of a model; waking it takes 50 or more. Looking longer
 * brings nothing there, and on a busy machine takes time from those that have work to do. The caller: what is left of somebody's piece. */
static const double WORKER_LOOKS = 25e-6, CALLER_LOOKS = 250e-6;

typedef struct PoolWorker {
    FbThreadPool *pool;
    size_t slot;
    pthread_t thread;
} PoolWorker;

struct FbThreadPool {
    atomic_uint_fast64_t gate;
    char apart[LINE - sizeof(atomic_uint_fast64_t)]; /* the gate is looked at while the rest changes */
    FbThreadWork work;         /* of the open job */
    void *arg;
    atomic_size_t asleep;    /* workers that have to be woken */
    atomic_bool caller_asleep;
    atomic_bool stop;
    pthread_mutex_t lock;    /* for sleeping only */
    pthread_cond_t job_open, job_over;
    size_t started, bytes;
    PoolWorker workers[];
};

static void pause_core(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks at the gate until (gate & mask) is `value`, or no longer is; false: time is up. */
static bool look(const FbThreadPool *pool, uint64_t mask, uint64_t value, bool is, double seconds)
{
    double end = 0.0;
    for (unsigned i = 1;; i++) {
        if (((atomic_load_explicit(&pool->gate, memory_order_acquire) & mask) == value) == is) {
            return true;
        }
        pause_core();
        if (i % LOOKS == 0) {
            const double now = fb_clock_seconds();
            end = end == 0.0 ? now + seconds : end;
            if (now >= end) {
                return false;
            }
        }
    }
}

/* Until there is another job than the one this worker saw last; its gate. */
static uint64_t next_job(FbThreadPool *pool, uint64_t last)
{
    const uint64_t mask = ~(uint64_t)(GATE_OPEN | GATE_INSIDE);
    if (!look(pool, mask, last, false, WORKER_LOOKS)) {
        pthread_mutex_lock(&pool->lock);
        atomic_fetch_add(&pool->asleep, 1); /* before the last look: the caller opens the gate, then looks who sleeps */
        while ((atomic_load(&pool->gate) & mask) == last) {
            pthread_cond_wait(&pool->job_open, &pool->lock);
        }
        atomic_fetch_sub(&pool->asleep, 1);
        pthread_mutex_unlock(&pool->lock);
    }
    return atomic_load_explicit(&pool->gate, memory_order_acquire);
}

/* Counts a worker in; false: the job is over, or is another one by now. */
static bool enter(FbThreadPool *pool, uint64_t gate)
{
    const uint64_t job = gate >> GATE_JOB;
    while (gate >> GATE_JOB == job && (gate & GATE_OPEN) != 0) {
        if (atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void leave(FbThreadPool *pool)
{
    const uint64_t gate = atomic_fetch_sub(&pool->gate, 1);
    if ((gate & (GATE_OPEN | GATE_INSIDE)) == 1 && atomic_load(&pool->caller_asleep)) {
        pthread_mutex_lock(&pool->lock);
        pthread_mutex_unlock(&pool->lock);
        pthread_cond_signal(&pool->job_over);
    }
}

static void *worker_main(void *pointer)
{
    const PoolWorker *self = pointer;
    FbThreadPool *pool = self->pool;
    for (uint64_t last = 0;;) {
        const uint64_t gate = next_job(pool, last);
        if (atomic_load(&pool->stop)) {
            return NULL;
        }
        if (enter(pool, gate)) {
            pool->work(pool->arg, self->slot);
            leave(pool);
        }
        last = gate >> GATE_JOB << GATE_JOB;
    }
}

/* The next job, closed or open, for everybody to see; then for `wanted` of those who sleep. */
static void announce(FbThreadPool *pool, uint64_t flags, size_t wanted)
{
    const uint64_t gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    atomic_store(&pool->gate, ((gate >> GATE_JOB) + 1) << GATE_JOB | flags);
    const size_t asleep = atomic_load(&pool->asleep), awake = pool->started - asleep;
    if (asleep == 0 || awake >= wanted) {
        return;
    }
    pthread_mutex_lock(&pool->lock); /* who has counted itself as asleep, sleeps now or has seen the gate */
    pthread_mutex_unlock(&pool->lock);
    if (wanted == pool->started) {
        pthread_cond_broadcast(&pool->job_open); /* one call, however many sleep */
        return;
    }
    for (size_t i = awake; i < wanted; i++) {
        pthread_cond_signal(&pool->job_open);
    }
}

void fb_thread_pool_run(FbThreadPool *pool, FbThreadWork work, void *arg, size_t wanted)
{
    pool->work = work;
    pool->arg = arg;
    announce(pool, GATE_OPEN, wanted < pool->started ? wanted : pool->started);
    work(arg, 0);
    atomic_fetch_and(&pool->gate, ~(uint64_t)GATE_OPEN);
    if (look(pool, GATE_INSIDE, 0, true, CALLER_LOOKS)) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_asleep, true);
    while ((atomic_load(&pool->gate) & GATE_INSIDE) != 0) {
        pthread_cond_wait(&pool->job_over, &pool->lock);
    }
    atomic_store(&pool->caller_asleep, false);
    pthread_mutex_unlock(&pool->lock);
}

void fb_thread_pool_free(FbContext *context, FbThreadPool *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store(&pool->stop, true);
    announce(pool, 0, pool->started);
    for (size_t i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->job_over);
    pthread_cond_destroy(&pool->job_open);
    pthread_mutex_destroy(&pool->lock);
    context->allocator.release(context->allocator.user, pool, pool->bytes);
}

FbStatus fb_thread_pool_create(FbContext *context, int threads, FbThreadPool **out, FbError *err)
{
    const size_t others = (size_t)threads - 1, bytes = sizeof(FbThreadPool) + others * sizeof(PoolWorker);
    FbThreadPool *pool = context->allocator.allocate(context->allocator.user, bytes); /* a part of the context: not counted either */
    *out = NULL;
    if (pool == NULL) {
        return fb_error_set(err, FB_ERR_NO_MEMORY, "out of memory: %d threads need %zu bytes", threads, bytes);
    }
    memset(pool, 0, bytes);
    pool->bytes = bytes;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->job_open, NULL);
    pthread_cond_init(&pool->job_over, NULL);
    for (size_t i = 0; i < others; i++) {
        PoolWorker *worker = &pool->workers[i];
        *worker = (PoolWorker){.pool = pool, .slot = i + 1};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            fb_thread_pool_free(context, pool);
            return fb_error_set(err, FB_ERR_NO_MEMORY, "the system refused to start %d threads; try --threads 1", threads);
        }
        pool->started++;
    }
    *out = pool;
    return FB_OK;
}
