/* Output files: complete under the final name or not there at all. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/file_error.h"
#include "base/sha256.h"

enum { BUFFER_BYTES = 1 << 20 };

struct FbOutput {
    FbContext *context;
    char *path, *temporary;
    bool overwrite;
    void *handle;
    FbSha256 *hash;
    unsigned char *buffer;
    size_t buffered;
    uint64_t written;  /* bytes the hook has taken */
    FbStatus failed;   /* a write that failed stays failed */
    FbError failure;
};

/* folder/.name.fewbit-part: hidden, in the same folder, so that the rename stays inside one file system; and one per final name, so that
 * two writers of one output meet at its lock. */
static char *temporary_name(FbContext *context, const char *path)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    size_t bytes = strlen(path) + sizeof "..fewbit-part";
    char *name = fb_alloc(context, bytes);
    if (name) {
        snprintf(name, bytes, "%.*s.%s.fewbit-part", folder, path, path + folder);
    }
    return name;
}

static FbStatus check_target(FbContext *context, const char *path, bool overwrite, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    int kind = 0;
    uint64_t bytes = 0;
    int error = files->kind(files->user, path, &kind, &bytes);
    char shown[240];
    fb_path_shown(path, shown, sizeof shown);
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/') {
        return fb_error_set(err, FB_ERR_ARGUMENT, "'%s' is not the name of an output file", shown);
    }
    if (error == ENOENT) {
        return FB_OK;
    }
    if (error) {
        return fb_error_file(err, error, "write", path);
    }
    if (kind != FB_FILE_REGULAR) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: cannot write: it is %s", shown,
                            kind == FB_FILE_FOLDER ? "a folder" : "not a regular file");
    }
    if (!overwrite) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: exists already; --force replaces it", shown);
    }
    return FB_OK;
}

static void output_free(FbOutput *output)
{
    FbContext *context = output->context;
    const FbFileHooks *files = fb_context_files(context);
    if (output->handle) {
        /* Removed while the lock is held: nobody else can have taken the name over. */
        files->remove(files->user, output->temporary);
        files->close(files->user, output->handle);
    }
    fb_sha256_drop(output->hash);
    fb_free(context, output->buffer);
    fb_free(context, output->temporary);
    fb_free(context, output->path);
    fb_free(context, output);
}

FbStatus fb_output_create(FbContext *context, const char *path, bool overwrite, FbOutput **out, FbError *err)
{
    *out = NULL;
    FB_TRY(check_target(context, path, overwrite, err));
    FbOutput *output = fb_alloc_zero(context, sizeof *output);
    if (!output) {
        return fb_error_memory(context, err, "an output file", sizeof *output);
    }
    output->context = context;
    output->overwrite = overwrite;
    output->path = fb_strdup(context, path);
    output->temporary = temporary_name(context, path);
    output->buffer = fb_alloc(context, BUFFER_BYTES);
    output->hash = output->buffer ? fb_sha256_create(context) : NULL;
    if (!output->path || !output->temporary || !output->hash) {
        FbStatus status = fb_error_memory(context, err, "the buffer of an output file", BUFFER_BYTES);
        output_free(output);
        return status;
    }
    const FbFileHooks *files = fb_context_files(context);
    int error = files->create(files->user, output->temporary, &output->handle);
    if (error) {
        output->handle = NULL;
        FbStatus status = fb_error_file(err, error, "write", error == EEXIST ? output->temporary : path);
        output_free(output);
        return status;
    }
    *out = output;
    return FB_OK;
}

/* Hands bytes to the hook; a failure is remembered, so that commit cannot forget it. */
static FbStatus write_through(FbOutput *output, const unsigned char *bytes, size_t count, FbError *err)
{
    const FbFileHooks *files = fb_context_files(output->context);
    fb_sha256_add(output->hash, bytes, count);
    for (size_t total = 0; total < count;) {
        size_t done = 0;
        int error = files->write_at(files->user, output->handle, output->written, bytes + total, count - total, &done);
        if (!error && done == 0) {
            error = ENOSPC; /* a device that takes nothing and gives no reason */
        }
        if (error) {
            output->failed = fb_error_file(&output->failure, error, "write", output->path);
            return err ? (*err = output->failure, output->failed) : output->failed;
        }
        total += done;
        output->written += done;
    }
    return FB_OK;
}

static FbStatus flush(FbOutput *output, FbError *err)
{
    size_t count = output->buffered;
    output->buffered = 0;
    return count ? write_through(output, output->buffer, count, err) : FB_OK;
}

FbStatus fb_output_write(FbOutput *output, const void *bytes, size_t count, FbError *err)
{
    if (output->failed != FB_OK) {
        return err ? (*err = output->failure, output->failed) : output->failed;
    }
    if (count == 0) {
        return FB_OK;
    }
    if (count > BUFFER_BYTES - output->buffered) {
        FB_TRY(flush(output, err));
        if (count >= BUFFER_BYTES) {
            return write_through(output, bytes, count, err);
        }
    }
    memcpy(output->buffer + output->buffered, bytes, count);
    output->buffered += count;
    return FB_OK;
}

FbStatus fb_output_pad(FbOutput *output, size_t alignment, FbError *err)
{
    static const unsigned char zeros[4096];
    size_t left = (size_t)((alignment - fb_output_position(output) % alignment) % alignment);
    while (left) {
        size_t count = left < sizeof zeros ? left : sizeof zeros;
        FB_TRY(fb_output_write(output, zeros, count, err));
        left -= count;
    }
    return FB_OK;
}

uint64_t fb_output_position(const FbOutput *output)
{
    return output->written + output->buffered;
}

/* Reads the temporary file back and compares digests: a disk that lost something is noticed before the name is given. */
static FbStatus verify(FbOutput *output, const char *expected, FbError *err)
{
    const FbFileHooks *files = fb_context_files(output->context);
    uint64_t size = 0;
    int error = files->size(files->user, output->handle, &size);
    if (error) {
        return fb_error_file(err, error, "check", output->path);
    }
    FbSha256 *hash = fb_sha256_create(output->context);
    if (!hash) {
        return fb_error_memory(output->context, err, "a digest", 256);
    }
    for (uint64_t offset = 0; offset < output->written;) {
        uint64_t left = output->written - offset;
        size_t want = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES, done = 0;
        error = files->read_at(files->user, output->handle, offset, output->buffer, want, &done);
        if (error || done == 0) {
            fb_sha256_drop(hash);
            return fb_error_file(err, error ? error : EIO, "read back", output->path);
        }
        fb_sha256_add(hash, output->buffer, done);
        offset += done;
    }
    char actual[65];
    fb_sha256_finish(hash, actual);
    if (size != output->written || strcmp(actual, expected) != 0) {
        char shown[240];
        return fb_error_set(err, FB_ERR_IO, "%s: what was written differs when read back; the disk or its driver is at fault",
                            fb_path_shown(output->path, shown, sizeof shown));
    }
    return FB_OK;
}

static FbStatus publish(FbOutput *output, char *sha256, FbError *err)
{
    const FbFileHooks *files = fb_context_files(output->context);
    if (output->failed != FB_OK) {
        return err ? (*err = output->failure, output->failed) : output->failed;
    }
    FB_TRY(flush(output, err));
    int error = files->sync(files->user, output->handle);
    if (error) {
        return fb_error_file(err, error, "flush", output->path);
    }
    char digest[65];
    fb_sha256_finish(output->hash, digest);
    output->hash = NULL;
    FB_TRY(verify(output, digest, err));
    FB_TRY(fb_check_cancel(output->context, err));
    FB_TRY(check_target(output->context, output->path, output->overwrite, err));
    error = files->rename(files->user, output->temporary, output->path);
    if (error) {
        return fb_error_file(err, error, "rename to", output->path);
    }
    void *handle = output->handle;
    output->handle = NULL; /* the temporary name is gone: nothing to remove any more */
    error = files->sync_folder(files->user, output->path);
    int closing = files->close(files->user, handle);
    if (error || closing) {
        return fb_error_file(err, error ? error : closing, "flush the folder of", output->path);
    }
    if (sha256) {
        memcpy(sha256, digest, sizeof digest);
    }
    return FB_OK;
}

FbStatus fb_output_commit(FbOutput *output, char *sha256, FbError *err)
{
    FbStatus status = publish(output, sha256, err);
    output_free(output);
    return status;
}

void fb_output_abandon(FbOutput *output)
{
    if (output) {
        output_free(output);
    }
}
