/* GGUF models in several files, NAME-00001-of-00003.gguf and so on: the first part has the key-values, each has its tensors. */
#include <stdio.h>
#include <string.h>

#include "base/file_error.h"
#include "base/text.h"
#include "io/gguf/gguf.h"

typedef struct Split {
    int64_t number, count; /* 0 and 1 for a whole file */
    int64_t tensors;       /* of all parts; -1: not said */
} Split;

static FbStatus read_split(const FbCheckpoint *part, Split *split, FbError *err)
{
    static const char *const keys[] = {"split.no", "split.count", "split.tensors.count"};
    int64_t values[3] = {0, 1, -1};
    for (int i = 0; i < 3; i++) {
        const FbMeta *meta = fb_checkpoint_meta(part, keys[i]);
        if (meta != NULL && !fb_meta_integer(meta, &values[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s must be a whole number", keys[i]);
        }
    }
    *split = (Split){values[0], values[1], values[2]};
    if (split->count < 1 || split->count > FB_GGUF_PARTS_MAX || split->number < 0 || split->number >= split->count) {
        return fb_error_set(err, FB_ERR_FORMAT, "split.no is %lld and split.count %lld, which is no part of a set", (long long)split->number,
                            (long long)split->count);
    }
    return FB_OK;
}

/* A part by itself; its key-values are checked when all parts are there. */
static FbStatus open_part(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err)
{
    *out = NULL;
    FbCheckpoint *part;
    FbStatus status = fb_checkpoint_create(context, path, "gguf", &part, err);
    if (status != FB_OK) {
        fb_source_release(source);
        return status;
    }
    status = fb_gguf_read(part, source, path, err);
    if (status != FB_OK) {
        fb_checkpoint_free(part);
        return status;
    }
    *out = part;
    return FB_OK;
}

/* The encoding of the whole's arena that equals one of a part's. */
static const FbEncoding *own_encoding(FbCheckpoint *whole, const FbEncoding *encoding)
{
    const FbEncoding *last = whole->tensor_count > 1 ? whole->tensors[whole->tensor_count - 2].constant.encoding : NULL;
    if (encoding == NULL || (last != NULL && last->blocks == encoding->blocks && last->axis == encoding->axis)) {
        return encoding == NULL ? NULL : last;
    }
    FbEncoding *copy = fb_arena_alloc(whole->arena, sizeof *copy);
    if (copy != NULL) {
        *copy = *encoding;
    }
    return copy;
}

static bool same_value(const FbMeta *a, const FbMeta *b)
{
    if (a->type != b->type || a->is_array != b->is_array || a->count != b->count) {
        return false;
    }
    if (a->is_array) {
        return a->data.bytes == b->data.bytes;
    }
    if (a->type == FB_META_STRING) {
        return a->text.count == b->text.count && memcmp(a->text.data, b->text.data, a->text.count) == 0;
    }
    return a->value.u == b->value.u;
}

/* What a later part says must agree with the first one. */
static FbStatus check_same_model(const FbCheckpoint *whole, const FbCheckpoint *part, FbError *err)
{
    for (size_t i = 0; i < part->metadata_count; i++) {
        const FbMeta *meta = &part->metadata[i];
        const FbMeta *first = fb_checkpoint_meta(whole, meta->key);
        bool own = strcmp(meta->key, "split.no") == 0 || strcmp(meta->key, "general.alignment") == 0;
        if (!own && (first == NULL || !same_value(first, meta))) {
            char shown[120];
            return fb_error_set(err, FB_ERR_FORMAT, "a part of another model: key '%s' differs from the first part's",
                                fb_escape(meta->key, shown, sizeof shown));
        }
    }
    return FB_OK;
}

static FbStatus append_part(FbCheckpoint *whole, FbCheckpoint *part, FbError *err)
{
    uint32_t file;
    FB_TRY(check_same_model(whole, part, err));
    FB_TRY(fb_checkpoint_add_file(whole, fb_source_retain(part->files[0].source), part->files[0].name, &file, err));
    for (size_t i = 0; i < part->tensor_count; i++) {
        const FbTableTensor *from = &part->tensors[i];
        FbTableTensor *to;
        FB_TRY(fb_checkpoint_add_tensor(whole, from->name, strlen(from->name), &to, err));
        to->file = file;
        to->constant = from->constant;
        to->constant.encoding = own_encoding(whole, from->constant.encoding);
        if (from->constant.encoding != NULL && to->constant.encoding == NULL) {
            return fb_error_memory(whole->context, err, "an encoding", sizeof(FbEncoding));
        }
    }
    return FB_OK;
}

/* ---- the names ---- */

typedef struct Names {
    char *folder, *name; /* of the path given */
    size_t stem;         /* bytes of the name before "-00001-of-00003.gguf" */
    int count;
} Names;

static void part_ending(char out[32], int64_t number, int64_t count)
{
    snprintf(out, 32, "-%05lld-of-%05lld.gguf", (long long)(number + 1) % 100000, (long long)count % 100000);
}

static FbStatus split_names(FbContext *context, const char *path, const Split *split, Names *names, FbError *err)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + (slash == path) : 0;
    char ending[32];
    names->folder = fb_strdup(context, path);
    names->name = fb_strdup(context, slash != NULL ? slash + 1 : path);
    if (names->folder == NULL || names->name == NULL) {
        return fb_error_memory(context, err, "a file name", strlen(path));
    }
    names->folder[folder] = '\0';
    part_ending(ending, split->number, split->count);
    size_t length = strlen(names->name), tail = strlen(ending);
    if (length <= tail || strcmp(names->name + length - tail, ending) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "it is part %lld of %lld, so its name should end in %s", (long long)split->number + 1,
                            (long long)split->count, ending);
    }
    names->stem = length - tail;
    return FB_OK;
}

/* Part `number` beside the one that was named. */
static FbStatus open_beside(FbContext *context, const Names *names, const Split *split, int64_t number, FbCheckpoint **out, FbError *err)
{
    char name[300], ending[32];
    FbSource *source;
    Split found;
    part_ending(ending, number, split->count);
    *out = NULL;
    if (names->stem + strlen(ending) >= sizeof name) {
        return fb_error_set(err, FB_ERR_IO, "the name is too long");
    }
    snprintf(name, sizeof name, "%.*s%s", (int)names->stem, names->name, ending);
    FB_TRY(fb_source_open_beneath(context, names->folder, name, &source, err));
    FB_TRY(open_part(context, source, name, out, err));
    FbStatus status = read_split(*out, &found, err);
    if (status == FB_OK && (found.number != number || found.count != split->count || found.tensors != split->tensors)) {
        status = fb_error_set(err, FB_ERR_FORMAT, "a part of another model: it says %lld of %lld (%lld tensors), expected %lld of %lld (%lld tensors)",
                              (long long)found.number + 1, (long long)found.count, (long long)found.tensors, (long long)number + 1,
                              (long long)split->count, (long long)split->tensors);
    }
    if (status != FB_OK) {
        char shown[200];
        fb_checkpoint_free(*out);
        *out = NULL;
        return fb_error_context(err, status, "%s", fb_path_shown(name, shown, sizeof shown));
    }
    return FB_OK;
}

/* `whole` is the part that was named; it is replaced by the first one if it is another. */
static FbStatus add_parts(FbContext *context, const Names *names, const Split *split, FbCheckpoint **whole, FbError *err)
{
    if (split->number != 0) {
        FbCheckpoint *first;
        FB_TRY(open_beside(context, names, split, 0, &first, err));
        fb_checkpoint_free(*whole);
        *whole = first;
    }
    for (int64_t i = 1; i < split->count; i++) {
        FbCheckpoint *part;
        char shown[200];
        FB_TRY(open_beside(context, names, split, i, &part, err));
        FbStatus status = append_part(*whole, part, err);
        if (status != FB_OK) {
            fb_error_context(err, status, "%s", fb_path_shown(part->path, shown, sizeof shown));
        }
        fb_checkpoint_free(part);
        FB_TRY(status);
        FB_TRY(fb_check_cancel(context, err));
    }
    if (split->tensors >= 0 && (uint64_t)split->tensors != (*whole)->tensor_count) {
        return fb_error_set(err, FB_ERR_FORMAT, "split.tensors.count is %lld, the parts have %zu tensors", (long long)split->tensors,
                            (*whole)->tensor_count);
    }
    return FB_OK;
}

static FbStatus complete(FbContext *context, const char *path, FbCheckpoint **whole, FbError *err)
{
    Names names = {0};
    Split split;
    FB_TRY(read_split(*whole, &split, err));
    FbStatus status = FB_OK;
    if (split.count > 1) {
        status = split_names(context, path, &split, &names, err);
        status = status == FB_OK ? add_parts(context, &names, &split, whole, err) : status;
    }
    fb_free(context, names.folder);
    fb_free(context, names.name);
    FB_TRY(status);
    return fb_gguf_check(*whole, err);
}

FbStatus fb_gguf_open(FbContext *context, const char *path, FbCheckpoint **out, FbError *err)
{
    FbSource *source;
    FbCheckpoint *whole;
    char shown[200];
    *out = NULL;
    FB_TRY(fb_source_open(context, path, &source, err));
    FB_TRY(open_part(context, source, path, &whole, err));
    FbStatus status = complete(context, path, &whole, err);
    if (status == FB_OK) {
        whole->path = fb_arena_strdup(whole->arena, path);
        status = whole->path != NULL ? FB_OK : fb_error_memory(context, err, "a file name", strlen(path));
    }
    if (status != FB_OK) {
        fb_checkpoint_free(whole);
        return fb_error_context(err, status, "%s", fb_path_shown(path, shown, sizeof shown));
    }
    *out = whole;
    return FB_OK;
}

FbStatus fb_gguf_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err)
{
    Split split;
    FbCheckpoint *part;
    char shown[200];
    *out = NULL;
    FB_TRY(open_part(context, fb_source_retain(source), path, &part, err));
    FbStatus status = read_split(part, &split, err);
    if (status == FB_OK && split.number == 0) {
        status = fb_gguf_check(part, err);
    }
    if (status != FB_OK) {
        fb_checkpoint_free(part);
        return fb_error_context(err, status, "%s", fb_path_shown(path, shown, sizeof shown));
    }
    *out = part;
    return FB_OK;
}
