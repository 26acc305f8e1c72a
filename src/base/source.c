/* Reading files by position through the context's hooks. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/file_error.h"

struct FbSource {
    FbContext *context;
    atomic_int references;
    void *handle;         /* NULL: `memory` */
    unsigned char *memory;
    uint64_t bytes;
    char *path;
};

static FbStatus source_create(FbContext *context, const char *path, FbSource **out, FbError *err)
{
    FbSource *source = fb_alloc_zero(context, sizeof *source);
    *out = source;
    if (!source) {
        return fb_error_memory(context, err, "an open file", sizeof *source);
    }
    source->context = context;
    atomic_init(&source->references, 1);
    source->path = fb_strdup(context, path);
    if (!source->path) {
        fb_free(context, source);
        *out = NULL;
        return fb_error_memory(context, err, "a file name", strlen(path));
    }
    return FB_OK;
}

/* Completes an opened source with its size, or releases it. `error` is what the open hook said. */
static FbStatus finish_open(FbSource **source, int error, FbError *err)
{
    const FbFileHooks *files = fb_context_files((*source)->context);
    if (error) {
        (*source)->handle = NULL;
    } else {
        error = files->size(files->user, (*source)->handle, &(*source)->bytes);
    }
    if (!error) {
        return FB_OK;
    }
    FbStatus status = fb_error_file(err, error, "open", (*source)->path);
    fb_source_release(*source);
    *source = NULL;
    return status;
}

FbStatus fb_source_open(FbContext *context, const char *path, FbSource **source, FbError *err)
{
    FB_TRY(source_create(context, path, source, err));
    const FbFileHooks *files = fb_context_files(context);
    return finish_open(source, files->open_read(files->user, path, &(*source)->handle), err);
}

FbStatus fb_source_open_beneath(FbContext *context, const char *folder, const char *relative, FbSource **source, FbError *err)
{
    FB_TRY(source_create(context, relative, source, err));
    const FbFileHooks *files = fb_context_files(context);
    return finish_open(source, files->open_beneath(files->user, folder, relative, &(*source)->handle), err);
}

FbStatus fb_source_from_memory(FbContext *context, const void *bytes, size_t count, FbSource **source, FbError *err)
{
    FB_TRY(source_create(context, "(memory)", source, err));
    (*source)->memory = fb_alloc(context, count);
    if (!(*source)->memory) {
        fb_source_release(*source);
        *source = NULL;
        return fb_error_memory(context, err, "bytes of a model", count);
    }
    if (count) {
        memcpy((*source)->memory, bytes, count);
    }
    (*source)->bytes = count;
    return FB_OK;
}

FbSource *fb_source_retain(FbSource *source)
{
    atomic_fetch_add(&source->references, 1);
    return source;
}

void fb_source_release(FbSource *source)
{
    if (!source || atomic_fetch_sub(&source->references, 1) != 1) {
        return;
    }
    FbContext *context = source->context;
    const FbFileHooks *files = fb_context_files(context);
    if (source->handle) {
        files->close(files->user, source->handle);
    }
    fb_free(context, source->memory);
    fb_free(context, source->path);
    fb_free(context, source);
}

uint64_t fb_source_bytes(const FbSource *source)
{
    return source->bytes;
}

const char *fb_source_path(const FbSource *source)
{
    return source->path;
}

FbStatus fb_source_read(FbSource *source, uint64_t offset, void *buffer, size_t bytes, FbError *err)
{
    uint64_t end;
    if (!fb_add_u64(offset, bytes, &end) || end > source->bytes) {
        char shown[200];
        return fb_error_set(err, FB_ERR_FORMAT, "%s: %zu bytes at offset %llu lie beyond the end (%llu bytes)",
                            fb_path_shown(source->path, shown, sizeof shown), bytes, (unsigned long long)offset,
                            (unsigned long long)source->bytes);
    }
    if (bytes == 0) {
        return FB_OK;
    }
    if (!source->handle) {
        memcpy(buffer, source->memory + offset, bytes);
        return FB_OK;
    }
    const FbFileHooks *files = fb_context_files(source->context);
    for (size_t total = 0; total < bytes;) {
        size_t done = 0;
        int error = files->read_at(files->user, source->handle, offset + total, (char *)buffer + total, bytes - total, &done);
        if (error) {
            return fb_error_file(err, error, "read", source->path);
        }
        if (done == 0) {
            char shown[200];
            return fb_error_set(err, FB_ERR_IO, "%s: the file ended at offset %llu while it was being read; it had %llu bytes when opened",
                                fb_path_shown(source->path, shown, sizeof shown), (unsigned long long)(offset + total),
                                (unsigned long long)source->bytes);
        }
        total += done;
    }
    return FB_OK;
}

FbStatus fb_file_read_all(FbContext *context, const char *path, size_t max_bytes, char **data, size_t *bytes, FbError *err)
{
    FbSource *source = NULL;
    char *buffer = NULL;
    *data = NULL;
    FbStatus status = fb_source_open(context, path, &source, err);
    if (status != FB_OK) {
        return status;
    }
    uint64_t size = fb_source_bytes(source);
    if (size > max_bytes || size >= SIZE_MAX) {
        char shown[200];
        status = fb_error_set(err, FB_ERR_BUDGET, "%s: %llu bytes, at most %zu are read", fb_path_shown(path, shown, sizeof shown),
                              (unsigned long long)size, max_bytes);
        goto done;
    }
    buffer = fb_alloc(context, (size_t)size + 1);
    if (!buffer) {
        status = fb_error_memory(context, err, path, size + 1);
        goto done;
    }
    status = fb_source_read(source, 0, buffer, (size_t)size, err);
    if (status == FB_OK) {
        buffer[size] = '\0';
        *data = buffer;
        *bytes = (size_t)size;
        buffer = NULL;
    }
done:
    fb_free(context, buffer);
    fb_source_release(source);
    return status;
}
