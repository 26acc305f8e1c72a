/* Checkpoints in several safetensors files: the index must agree with every shard, and every shard with the index. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_error.h"
#include "base/text.h"
#include "io/safetensors/safetensors.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct file names, sorted. */
static FbStatus list_shards(FbCheckpoint *checkpoint, const json_t *map, const char ***out, size_t *out_count, FbError *err)
{
    const char *tensor;
    json_t *file;
    char shown[160];
    const char **names = fb_arena_array(checkpoint->arena, json_object_size(map) + 1, sizeof *names);
    if (names == NULL) {
        return fb_error_memory(checkpoint->context, err, "an index", json_object_size(map) * sizeof *names);
    }
    size_t count = 0, kept = 0;
    json_object_foreach((json_t *)map, tensor, file)
    {
        if (!json_is_string(file)) {
            return fb_error_set(err, FB_ERR_FORMAT, "weight_map: the file of '%s' must be a string", fb_escape(tensor, shown, sizeof shown));
        }
        names[count++] = json_string_value(file);
    }
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0) {
            names[kept++] = names[i];
        }
    }
    if (kept == 0 || kept > FB_SAFETENSORS_SHARDS_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "weight_map names %zu files, expected 1 to %d", kept, FB_SAFETENSORS_SHARDS_MAX);
    }
    *out = names;
    *out_count = kept;
    return FB_OK;
}

/* "model-00002-of-00005.safetensors" says how many there are: a shard that the index leaves out is noticed. */
static FbStatus check_count(const char *name, size_t count, FbError *err)
{
    static const char end[] = ".safetensors";
    size_t length = strlen(name);
    const char *of = length > sizeof end + 9 ? name + length - (sizeof end - 1) - 9 : NULL;
    uint64_t number = 0;
    char shown[160];
    if (of == NULL || strncmp(of, "-of-", 4) != 0 || strcmp(name + length - (sizeof end - 1), end) != 0) {
        return FB_OK;
    }
    for (int i = 4; i < 9; i++) {
        if (of[i] < '0' || of[i] > '9') {
            return FB_OK;
        }
        number = number * 10 + (uint64_t)(of[i] - '0');
    }
    return number == count ? FB_OK
                           : fb_error_set(err, FB_ERR_FORMAT, "weight_map names %zu files, but '%s' is one of %llu", count,
                                          fb_escape(name, shown, sizeof shown), (unsigned long long)number);
}

/* Every tensor of the shard must be mapped to it. */
static FbStatus check_shard(const FbCheckpoint *checkpoint, const json_t *map, size_t first, const char *shard, FbError *err)
{
    for (size_t i = first; i < checkpoint->tensor_count; i++) {
        const char *name = checkpoint->tensors[i].name;
        const char *mapped = json_string_value(json_object_get(map, name));
        if (mapped == NULL || strcmp(mapped, shard) != 0) {
            char shown[160], shown_shard[160];
            return fb_error_set(err, FB_ERR_FORMAT, "%s holds tensor '%s', which weight_map %s", fb_escape(shard, shown_shard, sizeof shown_shard),
                                fb_escape(name, shown, sizeof shown), mapped == NULL ? "does not have" : "looks for in another file");
        }
    }
    return FB_OK;
}

static FbStatus check_whole(const FbCheckpoint *checkpoint, const json_t *index, const json_t *map, FbError *err)
{
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)map, name, file)
    {
        if (fb_checkpoint_tensor(checkpoint, name) == NULL) {
            char shown[160], shown_file[160];
            return fb_error_set(err, FB_ERR_FORMAT, "weight_map looks for tensor '%s' in %s, which does not hold it",
                                fb_escape(name, shown, sizeof shown), fb_escape(json_string_value(file), shown_file, sizeof shown_file));
        }
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        bytes += checkpoint->tensors[i].constant.planes[FB_PLANE_CODES].bytes; /* within real files: cannot overflow */
    }
    const json_t *total = json_object_get(json_object_get(index, "metadata"), "total_size");
    if (total != NULL && (!json_is_number(total) || json_number_value(total) != (double)bytes)) {
        return fb_error_set(err, FB_ERR_FORMAT, "metadata.total_size is wrong: the tensors have %llu bytes", (unsigned long long)bytes);
    }
    return FB_OK;
}

FbStatus fb_safetensors_read_shards(FbCheckpoint *checkpoint, const json_t *index, const char *folder, FbError *err)
{
    const json_t *map = json_object_get(index, "weight_map");
    const char **names = NULL;
    size_t count = 0;
    if (!json_is_object(map)) {
        return fb_error_set(err, FB_ERR_FORMAT, "weight_map must be an object that gives each tensor its file");
    }
    FB_TRY(list_shards(checkpoint, map, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        FbSource *source;
        size_t first = checkpoint->tensor_count;
        FB_TRY(check_count(names[i], count, err));
        FB_TRY(fb_source_open_beneath(checkpoint->context, folder, names[i], &source, err));
        FB_TRY(fb_safetensors_read(checkpoint, source, names[i], err));
        FB_TRY(check_shard(checkpoint, map, first, names[i], err));
        FB_TRY(fb_check_cancel(checkpoint->context, err));
    }
    return check_whole(checkpoint, index, map, err);
}

static char *folder_of(FbContext *context, const char *path)
{
    char *folder = fb_strdup(context, path);
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    if (slash != NULL) {
        slash[slash == folder] = '\0';
    } else if (folder != NULL) {
        folder[0] = '\0';
    }
    return folder;
}

/* Takes over the source of the index. */
static FbStatus open_index(FbContext *context, FbSource *source, const char *path, const char *folder, FbCheckpoint **out, FbError *err)
{
    json_t *index = NULL;
    FbCheckpoint *checkpoint = NULL;
    char shown[200];
    FbStatus status = fb_source_bytes(source) <= FB_SAFETENSORS_HEADER_MAX
                          ? fb_safetensors_json(context, source, 0, fb_source_bytes(source), "the index", &index, err)
                          : fb_error_set(err, FB_ERR_FORMAT, "the index has more than %d bytes", FB_SAFETENSORS_HEADER_MAX);
    fb_source_release(source);
    if (status == FB_OK) {
        status = fb_checkpoint_create(context, path, "safetensors", &checkpoint, err);
    }
    if (status == FB_OK) {
        status = fb_safetensors_read_shards(checkpoint, index, folder, err);
    }
    json_decref(index);
    if (status != FB_OK) {
        fb_checkpoint_free(checkpoint);
        return fb_error_context(err, status, "%s", fb_path_shown(path, shown, sizeof shown));
    }
    *out = checkpoint;
    return FB_OK;
}

FbStatus fb_safetensors_open_index(FbContext *context, const char *path, FbCheckpoint **out, FbError *err)
{
    FbSource *source;
    *out = NULL;
    FB_TRY(fb_source_open(context, path, &source, err));
    char *folder = folder_of(context, path);
    if (folder == NULL) {
        fb_source_release(source);
        return fb_error_memory(context, err, "a file name", strlen(path));
    }
    FbStatus status = open_index(context, source, path, folder, out, err);
    fb_free(context, folder);
    return status;
}

/* ---- folders ---- */

typedef struct Listing {
    size_t files;        /* that end in .safetensors */
    char name[256];      /* one of them */
    bool model, index, config; /* the usual names are there */
} Listing;

static int look_at(void *user, const char *name)
{
    Listing *listing = user;
    static const char end[] = ".safetensors";
    size_t length = strlen(name);
    listing->model |= strcmp(name, "model.safetensors") == 0;
    listing->index |= strcmp(name, "model.safetensors.index.json") == 0;
    listing->config |= strcmp(name, "config.json") == 0;
    if (length >= sizeof end && strcmp(name + length - (sizeof end - 1), end) == 0 && length < sizeof listing->name) {
        listing->files++;
        memcpy(listing->name, name, length + 1);
    }
    return 0;
}

static FbStatus list_folder(FbContext *context, const char *folder, Listing *listing, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    *listing = (Listing){0};
    int error = files->list(files->user, folder, look_at, listing);
    return error == 0 ? FB_OK : fb_error_file(err, error, "list", folder);
}

FbStatus fb_safetensors_in_folder(FbContext *context, const char *folder, bool *found, FbError *err)
{
    Listing listing;
    FbStatus status = list_folder(context, folder, &listing, err);
    *found = listing.index || listing.files > 0;
    return status;
}

/* One entry of config.json; nested ones are left to those who know the architecture. */
static FbStatus add_config(FbCheckpoint *checkpoint, const char *key, const json_t *value, FbError *err)
{
    FbText name;
    FbMeta *meta;
    if (json_is_object(value) || json_is_array(value) || json_is_null(value)) {
        return FB_OK;
    }
    fb_text_init(&name, checkpoint->context);
    fb_text_printf(&name, "config.%s", key);
    FbStatus status = name.failed ? fb_error_memory(checkpoint->context, err, "config.json", 0)
                                  : fb_checkpoint_add_meta(checkpoint, name.data, name.length, &meta, err);
    fb_text_reset(&name);
    FB_TRY(status);
    if (json_is_string(value)) {
        char *copy = fb_arena_strndup(checkpoint->arena, json_string_value(value), json_string_length(value));
        if (copy == NULL) {
            return fb_error_memory(checkpoint->context, err, "config.json", json_string_length(value));
        }
        meta->type = FB_META_STRING;
        meta->text = (FbBytes){(const uint8_t *)copy, json_string_length(value)};
    } else if (json_is_integer(value)) {
        meta->type = FB_META_S64;
        meta->value.s = json_integer_value(value);
    } else if (json_is_real(value)) {
        meta->type = FB_META_F64;
        meta->value.f = json_real_value(value);
    } else {
        meta->type = FB_META_BOOL;
        meta->value.u = json_is_true(value);
    }
    return FB_OK;
}

/* The text is kept for those who build a graph. */
static FbStatus load_config(FbCheckpoint *checkpoint, FbSource *source, json_t **config, FbError *err)
{
    enum { CONFIG_MAX = 4 << 20 };
    uint64_t bytes = fb_source_bytes(source);
    if (bytes > CONFIG_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json has more than %d bytes", CONFIG_MAX);
    }
    FB_TRY(fb_safetensors_json(checkpoint->context, source, 0, bytes, "config.json", config, err));
    uint8_t *text = fb_arena_alloc(checkpoint->arena, (size_t)bytes);
    if (text == NULL) {
        return fb_error_memory(checkpoint->context, err, "config.json", bytes);
    }
    FB_TRY(fb_source_read(source, 0, text, (size_t)bytes, err));
    checkpoint->config = (FbBytes){text, (size_t)bytes};
    return FB_OK;
}

static FbStatus read_config(FbCheckpoint *checkpoint, const char *folder, FbError *err)
{
    FbSource *source;
    json_t *config = NULL;
    const char *key;
    json_t *value;
    FB_TRY(fb_source_open_beneath(checkpoint->context, folder, "config.json", &source, err));
    FbStatus status = load_config(checkpoint, source, &config, err);
    fb_source_release(source);
    json_object_foreach(config, key, value)
    {
        status = status == FB_OK ? add_config(checkpoint, key, value, err) : status;
    }
    json_decref(config);
    return status;
}

static FbStatus open_single(FbContext *context, const char *folder, const char *name, FbCheckpoint **out, FbError *err)
{
    FbSource *source;
    FB_TRY(fb_source_open_beneath(context, folder, name, &source, err));
    FbStatus status = fb_safetensors_open_source(context, source, name, out, err);
    fb_source_release(source);
    return status;
}

FbStatus fb_safetensors_open_folder(FbContext *context, const char *folder, FbCheckpoint **out, FbError *err)
{
    Listing listing;
    FbStatus status;
    FbSource *source;
    char shown[200];
    fb_path_shown(folder, shown, sizeof shown);
    *out = NULL;
    FB_TRY(list_folder(context, folder, &listing, err));
    if (listing.model || (!listing.index && listing.files == 1)) {
        status = open_single(context, folder, listing.model ? "model.safetensors" : listing.name, out, err);
    } else if (listing.index) {
        status = fb_source_open_beneath(context, folder, "model.safetensors.index.json", &source, err);
        status = status == FB_OK ? open_index(context, source, "model.safetensors.index.json", folder, out, err) : status;
    } else {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: %zu safetensors files and no index; name one of them", shown, listing.files);
    }
    if (status == FB_OK && listing.config) { /* tensors alone are a checkpoint, too */
        status = read_config(*out, folder, err);
    }
    if (status == FB_OK) {
        (*out)->path = fb_arena_strdup((*out)->arena, folder);
        status = (*out)->path != NULL ? FB_OK : fb_error_memory(context, err, "a file name", 0);
    }
    if (status != FB_OK) {
        fb_checkpoint_free(*out);
        *out = NULL;
        return fb_error_context(err, status, "%s", shown);
    }
    return FB_OK;
}
