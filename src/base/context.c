/* Creating a context; log and cancel. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/context_private.h"
#include "base/text.h"
#include "base/thread_pool.h"

/* Pages of 2 MB for the blocks that hold weights: filling them in pages of 4 KB takes as long as reading a file from the cache. A hint: where it is
 * not taken nothing is lost. */
enum { LARGE_PAGE = 2 << 20 };

static void *heap_allocate(void *user, size_t bytes)
{
    (void)user;
    char *block = malloc(bytes);
    if (block != NULL && bytes >= 2 * (size_t)LARGE_PAGE) {
        const size_t skip = (LARGE_PAGE - (uintptr_t)block % LARGE_PAGE) % LARGE_PAGE;
        (void)madvise(block + skip, (bytes - skip) / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    }
    return block;
}

static void heap_release(void *user, void *pointer, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(pointer);
}

static int available_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return cores < 1 ? 1 : cores > FB_THREADS_MAX ? FB_THREADS_MAX : cores;
}

double fb_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static FbStatus read_isa(const char *isa, unsigned *mask, FbError *err)
{
    if (fb_cpu_parse(isa, mask)) {
        return FB_OK;
    }
    const char *const *names = fb_cpu_names();
    size_t count = 0;
    while (names[count]) {
        count++;
    }
    const char *near = fb_nearest_name(isa, names, count);
    char shown[64];
    fb_escape(isa, shown, sizeof shown);
    if (near) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "unknown instruction set '%s'; did you mean '%s'?", shown, near);
    }
    return fb_error_set(err, FB_ERR_ARGUMENT, "unknown instruction set '%s'; known: scalar, avx2, avxvnni, avx512, avx512vnni, ...", shown);
}

FbStatus fb_context_create(const FbContextOptions *given, FbContext **out, FbError *err)
{
    *out = NULL;
    FbContextOptions options = {0};
    if (given) {
        if (given->struct_bytes < offsetof(FbContextOptions, allocator) || given->struct_bytes > sizeof options) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "FbContextOptions.struct_bytes is %zu, expected sizeof(FbContextOptions) = %zu",
                                given->struct_bytes, sizeof options);
        }
        memcpy(&options, given, given->struct_bytes);
    }
    if (options.threads < 0 || options.threads > FB_THREADS_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%d threads asked for; 0 (one per core) to %d are possible", options.threads, FB_THREADS_MAX);
    }
    unsigned mask = ~0u;
    if (options.isa) {
        FB_TRY(read_isa(options.isa, &mask, err));
    }
    FbAllocator allocator = options.allocator ? *options.allocator : (FbAllocator){NULL, heap_allocate, heap_release};
    FbContext *context = allocator.allocate(allocator.user, sizeof *context);
    if (!context) {
        return fb_error_set(err, FB_ERR_NO_MEMORY, "out of memory: a context needs %zu bytes", sizeof *context);
    }
    memset(context, 0, sizeof *context);
    context->allocator = allocator;
    context->files = options.files ? *options.files : fb_file_os_hooks;
    context->threads = options.threads ? options.threads : available_cores();
    context->cpu = fb_cpu_detect() & mask;
    context->max_memory = options.max_memory;
    context->user = options.user;
    context->log = options.log;
    context->progress = options.progress;
    context->cancel = options.cancel;
    atomic_init(&context->bytes_now, 0);
    atomic_init(&context->bytes_peak, 0);
    atomic_init(&context->refused_by_cap, false);
    if (context->threads > 1) {
        const FbStatus status = fb_thread_pool_create(context, context->threads, &context->pool, err);
        if (status != FB_OK) {
            fb_context_free(context);
            return status;
        }
    }
    *out = context;
    return FB_OK;
}

void fb_context_free(FbContext *context)
{
    if (!context) {
        return;
    }
    fb_thread_pool_free(context, context->pool);
    FbAllocator allocator = context->allocator;
    allocator.release(allocator.user, context, sizeof *context);
}

int fb_context_threads(const FbContext *context)
{
    return context->threads;
}

unsigned fb_context_cpu(const FbContext *context)
{
    return context->cpu;
}

const FbFileHooks *fb_context_files(const FbContext *context)
{
    return &context->files;
}

uint64_t fb_context_max_memory(const FbContext *context)
{
    return context->max_memory;
}

void fb_log(FbContext *context, FbLogLevel level, const char *id, const char *format, ...)
{
    if (!context->log) {
        return;
    }
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    context->log(context->user, level, id, message);
}

bool fb_cancelled(const FbContext *context)
{
    return context->cancel && *context->cancel;
}

FbStatus fb_check_cancel(const FbContext *context, FbError *err)
{
    return fb_cancelled(context) ? fb_error_set(err, FB_ERR_CANCELLED, "stopped on request") : FB_OK;
}
