/* Which format a checkpoint has, by content. */
#include <string.h>

#include "base/file_error.h"
#include "io/gguf/gguf.h"
#include "io/llama2c/llama2c.h"
#include "io/safetensors/safetensors.h"

typedef enum Kind { KIND_NONE, KIND_SAFETENSORS, KIND_INDEX, KIND_FOLDER, KIND_GGUF, KIND_LLAMA2C } Kind;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static FbStatus kind_of_file(FbSource *source, const char *path, Kind *kind, FbError *err)
{
    uint8_t start[10] = {0};
    uint64_t bytes = fb_source_bytes(source);
    size_t count = bytes < sizeof start ? (size_t)bytes : sizeof start;
    FB_TRY(fb_source_read(source, 0, start, count, err));
    bool header = count == sizeof start && start[8] == '{' && (start[9] == '"' || start[9] == '}' || start[9] == ' ');
    if (count >= 4 && (memcmp(start, "GGUF", 4) == 0 || memcmp(start, "FUGG", 4) == 0)) {
        *kind = KIND_GGUF;
    } else if (ends_with(path, ".index.json") && start[0] == '{') {
        *kind = KIND_INDEX;
    } else if (header || ends_with(path, ".safetensors")) {
        *kind = KIND_SAFETENSORS;
    } else if (ends_with(path, ".gguf")) {
        *kind = KIND_GGUF;
    } else {
        bool llama2c;
        FB_TRY(fb_llama2c_recognize(source, &llama2c, err));
        *kind = llama2c ? KIND_LLAMA2C : KIND_NONE;
    }
    return FB_OK;
}

static FbStatus kind_of(FbContext *context, const char *path, Kind *kind, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    int file_kind = FB_FILE_OTHER;
    uint64_t bytes;
    bool found = false;
    FbSource *source;
    *kind = KIND_NONE;
    int error = files->kind(files->user, path, &file_kind, &bytes);
    if (error != 0) {
        return fb_error_file(err, error, "open", path);
    }
    if (file_kind == FB_FILE_FOLDER) {
        FB_TRY(fb_safetensors_in_folder(context, path, &found, err));
        *kind = found ? KIND_FOLDER : KIND_NONE;
        return FB_OK;
    }
    FB_TRY(fb_source_open(context, path, &source, err));
    FbStatus status = kind_of_file(source, path, kind, err);
    fb_source_release(source);
    return status;
}

FbStatus fb_checkpoint_recognize(FbContext *context, const char *path, bool *recognized, FbError *err)
{
    Kind kind;
    FbStatus status = kind_of(context, path, &kind, err);
    *recognized = status == FB_OK && kind != KIND_NONE;
    return status;
}

int fb_checkpoint_recognized(FbContext *context, const char *path)
{
    bool recognized;
    return fb_checkpoint_recognize(context, path, &recognized, NULL) == FB_OK && recognized;
}

FbStatus fb_checkpoint_open(FbContext *context, const char *path, FbCheckpoint **checkpoint, FbError *err)
{
    FbSource *source;
    FbStatus status;
    Kind kind;
    char shown[200];
    *checkpoint = NULL;
    FB_TRY(kind_of(context, path, &kind, err));
    switch (kind) {
    case KIND_INDEX:
        return fb_safetensors_open_index(context, path, checkpoint, err);
    case KIND_FOLDER:
        return fb_safetensors_open_folder(context, path, checkpoint, err);
    case KIND_GGUF:
        return fb_gguf_open(context, path, checkpoint, err);
    case KIND_SAFETENSORS:
    case KIND_LLAMA2C:
        FB_TRY(fb_source_open(context, path, &source, err));
        status = kind == KIND_LLAMA2C ? fb_llama2c_open_source(context, source, path, checkpoint, err)
                                      : fb_safetensors_open_source(context, source, path, checkpoint, err);
        fb_source_release(source);
        return status;
    case KIND_NONE:
        break;
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s: neither a safetensors, a GGUF nor a llama2.c file", fb_path_shown(path, shown, sizeof shown));
}
