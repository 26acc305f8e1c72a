/* The context: allocator, file access, threads, instruction-set cap, memory cap, log, progress and cancel token of one user of the
 * library. Every other object is created in a context and must be freed before it. Calls on objects of one context may come from
 * one thread at a time; different contexts are independent. */
#ifndef FEWBIT_CONTEXT_H
#define FEWBIT_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "fewbit/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbContext FbContext;

/* Memory hooks. `release` gets the size that `allocate` was asked for. Pointers need malloc's alignment only. */
typedef struct FbAllocator {
    void *user;
    void *(*allocate)(void *user, size_t bytes); /* NULL when refused */
    void (*release)(void *user, void *pointer, size_t bytes);
} FbAllocator;

/* File hooks. Every function returns 0 or a positive errno value. Handles are the implementation's own pointers.
 * Reads and writes are positioned and may be short: *done < bytes at end of file is not an error of the hook. */
typedef struct FbFileHooks {
    void *user;
    int (*open_read)(void *user, const char *path, void **handle);                  /* regular files only, else EINVAL */
    int (*open_beneath)(void *user, const char *folder, const char *relative, void **handle); /* never leaves folder, no links */
    int (*create)(void *user, const char *path, void **handle);                     /* must not exist: EEXIST */
    int (*read_at)(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done);
    int (*write_at)(void *user, void *handle, uint64_t offset, const void *buffer, size_t bytes, size_t *done);
    int (*size)(void *user, void *handle, uint64_t *bytes);
    int (*sync)(void *user, void *handle);
    int (*close)(void *user, void *handle);
    int (*rename)(void *user, const char *from, const char *to);
    int (*sync_folder)(void *user, const char *path_inside);
    int (*remove)(void *user, const char *path);
    int (*kind)(void *user, const char *path, int *kind, uint64_t *bytes); /* FbFileKind; ENOENT when absent */
    /* Calls `each` with the bare names in a folder, in any order; a non-zero answer of `each` stops and is returned. */
    int (*list)(void *user, const char *folder, int (*each)(void *each_user, const char *name), void *each_user);
} FbFileHooks;

typedef enum FbFileKind { FB_FILE_REGULAR = 0, FB_FILE_FOLDER, FB_FILE_OTHER } FbFileKind;

typedef enum FbLogLevel { FB_LOG_NOTE = 0, FB_LOG_WARNING } FbLogLevel;

typedef struct FbProgress {
    const char *phase;  /* "calibrate", "quantize", ...; static text */
    uint64_t done, total; /* in units of the phase; total 0: unknown */
    double seconds;     /* since the phase began */
    double eta_seconds; /* estimate to its end; < 0: not known yet */
} FbProgress;

typedef struct FbContextOptions {
    size_t struct_bytes;          /* sizeof(FbContextOptions), so that the struct can grow */
    const FbAllocator *allocator; /* NULL: malloc; copied */
    const FbFileHooks *files;     /* NULL: the operating system; copied */
    int threads;                  /* 0: one per available core */
    const char *isa;              /* cap on the instruction set: "scalar", "avx2", "avx512", ...; NULL: the CPU's best */
    uint64_t max_memory;          /* bytes; 0: no cap */
    void *user;                   /* handed to the callbacks below */
    void (*log)(void *user, FbLogLevel level, const char *id, const char *message); /* NULL: silent; id is stable ("few-samples") */
    void (*progress)(void *user, const FbProgress *progress);      /* NULL: none; called from the calling thread */
    const volatile int *cancel;   /* NULL, or becomes non-zero to stop; polled at least every 200 ms of work */
} FbContextOptions;

/* options may be NULL: all defaults. *context is NULL on failure. */
FB_API FB_MUST_CHECK FbStatus fb_context_create(const FbContextOptions *options, FbContext **context, FbError *err);
FB_API void fb_context_free(FbContext *context); /* NULL is fine */

FB_API int fb_context_threads(const FbContext *context);
FB_API const char *fb_context_isa(const FbContext *context);            /* the instruction set in use, after the cap */
FB_API uint64_t fb_context_memory_peak(const FbContext *context);       /* bytes held at most so far through the allocator */
FB_API uint64_t fb_context_memory_now(const FbContext *context);

#ifdef __cplusplus
}
#endif
#endif
