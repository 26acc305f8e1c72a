/* Which format a checkpoint has, by content. */
#include <string.h>

#include "base/file_error.h"
#include "io/gguf/gguf.h"
#include "io/safetensors/safetensors.h"

typedef enum Kind { KIND_NONE, KIND_SAFETENSORS, KIND_INDEX, KIND_FOLDER, KIND_GGUF } Kind;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static Kind kind_of_file(FbSource *source, const char *path)
{
    uint8_t start[10] = {0};
    uint64_t bytes = fb_source_bytes(source);
    size_t count = bytes < sizeof start ? (size_t)bytes : sizeof start;
    if (fb_source_read(source, 0, start, count, NULL) != FB_OK) {
        return KIND_NONE;
    }
    if (count >= 4 && (memcmp(start, "GGUF", 4) == 0 || memcmp(start, "FUGG", 4) == 0)) {
        return KIND_GGUF;
    }
    if (ends_with(path, ".index.json") && start[0] == '{') {
        return KIND_INDEX;
    }
    bool header = count == sizeof start && start[8] == '{' && (start[9] == '"' || start[9] == '}' || start[9] == ' ');
    return header || ends_with(path, ".safetensors") ? KIND_SAFETENSORS : ends_with(path, ".gguf") ? KIND_GGUF : KIND_NONE;
}

static Kind kind_of(FbContext *context, const char *path)
{
    const FbFileHooks *files = fb_context_files(context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes;
    FbSource *source;
    if (files->kind(files->user, path, &kind, &bytes) == 0 && kind == FB_FILE_FOLDER) {
        return fb_safetensors_in_folder(context, path) ? KIND_FOLDER : KIND_NONE;
    }
    if (fb_source_open(context, path, &source, NULL) != FB_OK) {
        return KIND_NONE;
    }
    Kind result = kind_of_file(source, path);
    fb_source_release(source);
    return result;
}

int fb_checkpoint_recognized(FbContext *context, const char *path)
{
    return kind_of(context, path) != KIND_NONE;
}

FbStatus fb_checkpoint_open(FbContext *context, const char *path, FbCheckpoint **checkpoint, FbError *err)
{
    FbSource *source;
    FbStatus status;
    char shown[200];
    *checkpoint = NULL;
    switch (kind_of(context, path)) {
    case KIND_INDEX:
        return fb_safetensors_open_index(context, path, checkpoint, err);
    case KIND_FOLDER:
        return fb_safetensors_open_folder(context, path, checkpoint, err);
    case KIND_SAFETENSORS:
        FB_TRY(fb_source_open(context, path, &source, err));
        status = fb_safetensors_open_source(context, source, path, checkpoint, err);
        fb_source_release(source);
        return status;
    case KIND_GGUF:
        return fb_gguf_open(context, path, checkpoint, err);
    case KIND_NONE:
        break;
    }
    FB_TRY(fb_source_open(context, path, &source, err)); /* an error of opening comes first */
    fb_source_release(source);
    return fb_error_set(err, FB_ERR_FORMAT, "%s: neither a safetensors nor a GGUF file", fb_path_shown(path, shown, sizeof shown));
}
