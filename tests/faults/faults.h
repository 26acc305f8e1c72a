/* A context whose n-th allocation or file operation fails. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdint.h>
#include <stdlib.h>

#include "base/context_private.h"

typedef struct Faults {
    uint64_t allocations, allocation_fails_at; /* 0: never */
    int64_t live_bytes;
    uint64_t operations, operation_fails_at;
    int error;          /* errno of the failing operation */
    int persistent;     /* everything after the first failure fails too */
    int short_reads;    /* a read gives three bytes at most */
} Faults;

static inline void *counted_allocate(void *user, size_t bytes)
{
    Faults *faults = user;
    faults->allocations++;
    if (faults->allocation_fails_at != 0 && (faults->persistent ? faults->allocations >= faults->allocation_fails_at
                                                                : faults->allocations == faults->allocation_fails_at)) {
        return NULL;
    }
    faults->live_bytes += (int64_t)bytes;
    return malloc(bytes);
}

static inline void counted_release(void *user, void *pointer, size_t bytes)
{
    ((Faults *)user)->live_bytes -= (int64_t)bytes;
    free(pointer);
}

static inline int fails(Faults *faults)
{
    faults->operations++;
    return faults->operation_fails_at != 0 && (faults->persistent ? faults->operations >= faults->operation_fails_at
                                                                  : faults->operations == faults->operation_fails_at);
}

#define PASS(call)                                                     \
    Faults *faults = user;                                             \
    if (fails(faults)) {                                               \
        return faults->error;                                          \
    }                                                                  \
    return fb_file_os_hooks.call

static inline int hook_open_read(void *user, const char *path, void **handle) { PASS(open_read(NULL, path, handle)); }
static inline int hook_open_beneath(void *user, const char *folder, const char *name, void **handle) { PASS(open_beneath(NULL, folder, name, handle)); }
static inline int hook_create(void *user, const char *path, void **handle) { PASS(create(NULL, path, handle)); }
static inline int hook_read_at(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    PASS(read_at(NULL, handle, offset, buffer, faults->short_reads && bytes > 3 ? 3 : bytes, done));
}
static inline int hook_write_at(void *user, void *handle, uint64_t offset, const void *buffer, size_t bytes, size_t *done)
{
    PASS(write_at(NULL, handle, offset, buffer, bytes, done));
}
static inline int hook_size(void *user, void *handle, uint64_t *bytes) { PASS(size(NULL, handle, bytes)); }
static inline int hook_sync(void *user, void *handle) { PASS(sync(NULL, handle)); }
static inline int hook_close(void *user, void *handle)
{
    (void)user; /* the descriptor is gone either way: a failing close must still close */
    return fb_file_os_hooks.close(NULL, handle);
}
static inline int hook_rename(void *user, const char *from, const char *to) { PASS(rename(NULL, from, to)); }
static inline int hook_sync_folder(void *user, const char *path) { PASS(sync_folder(NULL, path)); }
static inline int hook_remove(void *user, const char *path)
{
    (void)user;
    return fb_file_os_hooks.remove(NULL, path);
}
static inline int hook_kind(void *user, const char *path, int *kind, uint64_t *bytes) { PASS(kind(NULL, path, kind, bytes)); }
static inline int hook_list(void *user, const char *folder, int (*each)(void *, const char *), void *each_user)
{
    PASS(list(NULL, folder, each, each_user));
}

/* A context of one thread that counts, and fails as `faults` says. */
static inline FbStatus faults_context(Faults *faults, FbContext **context, FbError *err)
{
    FbAllocator allocator = {faults, counted_allocate, counted_release};
    FbFileHooks files = {faults, hook_open_read, hook_open_beneath, hook_create, hook_read_at, hook_write_at, hook_size, hook_sync,
                         hook_close, hook_rename, hook_sync_folder, hook_remove, hook_kind, hook_list};
    FbContextOptions options = {.struct_bytes = sizeof options, .allocator = &allocator, .files = &files, .threads = 1};
    *context = NULL;
    return fb_context_create(&options, context, err);
}

#endif
