/* The threads of a context. A job is announced to them all; who comes before it is over takes part, and nobody waits for one who has not come. */
#ifndef FB_BASE_THREAD_POOL_H
#define FB_BASE_THREAD_POOL_H

#include "base/context.h"

typedef struct FbThreadPool FbThreadPool;

/* Does all of the work, however many take part; slot is the thread's number, 0 for the caller's. */
typedef void (*FbThreadWork)(void *arg, size_t slot);

/* `threads` counts the caller's: one less is started. */
FbStatus fb_thread_pool_create(FbContext *context, int threads, FbThreadPool **pool, FbError *err);
void fb_thread_pool_free(FbContext *context, FbThreadPool *pool); /* NULL is fine */
/* Runs work on the caller's thread and on as many others as come, of which `wanted` are woken at most. Returns when all of them are through. */
void fb_thread_pool_run(FbThreadPool *pool, FbThreadWork work, void *arg, size_t wanted);

#endif
