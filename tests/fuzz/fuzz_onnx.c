/* ONNX: what is accepted can be looked at, saved, and read again as the same model; everything is given back. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "io/onnx/onnx.h"

enum { FILE_BYTES_MAX = 8 << 20 };

/* The one file that exists while saving, in memory. */
typedef struct MemoryFile {
    uint8_t *data;
    size_t count;
} MemoryFile;

static int no_open(void *user, const char *path, void **handle)
{
    (void)user, (void)path, (void)handle;
    return ENOENT;
}

static int no_beneath(void *user, const char *folder, const char *relative, void **handle)
{
    (void)user, (void)folder, (void)relative, (void)handle;
    return ENOENT;
}

static int create(void *user, const char *path, void **handle)
{
    (void)path;
    *handle = user;
    return 0;
}

static int read_at(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    const MemoryFile *file = handle;
    *done = offset >= file->count ? 0 : file->count - (size_t)offset < bytes ? file->count - (size_t)offset : bytes;
    if (*done > 0) {
        memcpy(buffer, file->data + offset, *done);
    }
    return 0;
}

static int write_at(void *user, void *handle, uint64_t offset, const void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    MemoryFile *file = handle;
    if (offset + bytes > FILE_BYTES_MAX) {
        return ENOSPC;
    }
    memcpy(file->data + offset, buffer, bytes);
    file->count = offset + bytes > file->count ? (size_t)offset + bytes : file->count;
    *done = bytes;
    return 0;
}

static int size_of(void *user, void *handle, uint64_t *bytes)
{
    (void)user;
    *bytes = ((const MemoryFile *)handle)->count;
    return 0;
}

static int done_handle(void *user, void *handle)
{
    (void)user, (void)handle;
    return 0;
}

static int done_path(void *user, const char *path)
{
    (void)user, (void)path;
    return 0;
}

static int rename_path(void *user, const char *from, const char *to)
{
    (void)user, (void)from, (void)to;
    return 0;
}

static int kind(void *user, const char *path, int *what, uint64_t *bytes)
{
    (void)user, (void)path, (void)what, (void)bytes;
    return ENOENT;
}

static int list(void *user, const char *folder, int (*each)(void *each_user, const char *name), void *each_user)
{
    (void)user, (void)folder, (void)each, (void)each_user;
    return 0;
}

/* Refusals for lack of memory or room are no news. */
static bool is_shortage(FbStatus status) { return status == FB_ERR_BUDGET || status == FB_ERR_NO_MEMORY || status == FB_ERR_IO; }

static void save_and_reload(FbContext *context, FbModel *model, MemoryFile *file)
{
    FbSource *source = NULL;
    FbModel *again = NULL;
    FbError err = {0};
    char before[65] = "";
    char after[65] = "";
    file->count = 0;
    FbStatus status = fb_model_hash(model, before, &err);
    FUZZ_CHECK(status == FB_OK || is_shortage(status));
    if (status != FB_OK) {
        return;
    }
    FbSaveOptions options = {.struct_bytes = sizeof options};
    status = fb_model_save(context, model, "out.onnx", &options, NULL, &err);
    if (status != FB_OK) { /* a node of the private domain has no written form */
        FUZZ_CHECK(is_shortage(status) || status == FB_ERR_UNSUPPORTED);
        return;
    }
    if (fb_source_from_memory(context, file->data, file->count, &source, &err) == FB_OK) {
        status = fb_onnx_load_source(context, source, "out.onnx", true, &again, &err);
        FUZZ_CHECK(status == FB_OK || is_shortage(status));
    }
    if (again != NULL && fb_model_hash(again, after, &err) == FB_OK) {
        FUZZ_CHECK(strcmp(before, after) == 0);
    }
    fb_model_free(again);
    fb_source_release(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MemoryFile file = {malloc(FILE_BYTES_MAX), 0};
    FbFileHooks hooks = {&file, no_open, no_beneath, create,    read_at,    write_at, size_of, done_handle, done_handle,
                         rename_path, done_path, done_path, kind, list};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 128 << 20, .files = &hooks};
    FbContext *context = NULL;
    FbSource *source = NULL;
    FbModel *model = NULL;
    char *json = NULL;
    FbError err = {0};
    if (file.data == NULL || fb_context_create(&options, &context, &err) != FB_OK) {
        free(file.data);
        return 0;
    }
    if (fb_source_from_memory(context, data, size, &source, &err) == FB_OK &&
        fb_onnx_load_source(context, source, "in.onnx", true, &model, &err) == FB_OK) {
        FbStatus status = fb_model_inspect(context, model, &json, &err);
        FUZZ_CHECK(status == FB_OK || is_shortage(status));
        fb_text_free(context, json);
        save_and_reload(context, model, &file);
    } else {
        FUZZ_CHECK(err.message[0] != '\0');
    }
    fb_model_free(model);
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    free(file.data);
    return 0;
}
