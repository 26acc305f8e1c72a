/* A folder of pictures: labels.tsv (file, class, more columns ignored), or sub-folders as classes in sorted order, or plain pictures. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/file_error.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/preprocess.h"

enum { LABELS_BYTES_MAX = 64 << 20, PICTURE_BYTES_MAX = 256 << 20 };

typedef struct Picture {
    char *path; /* relative to the folder */
    int64_t label;
} Picture;

typedef struct PictureState {
    FB_ARRAY(Picture) pictures;
    FbPreprocess preprocess;
} PictureState;

static void pictures_free(FbDataset *d)
{
    PictureState *s = d->state;
    for (size_t i = 0; i < s->pictures.count; i++) {
        fb_free(d->context, s->pictures.items[i].path);
    }
    fb_array_free(d->context, &s->pictures);
    fb_free(d->context, s);
}

static FbStatus read_file(FbDataset *d, const char *relative, uint8_t **bytes, size_t *count, FbError *err)
{
    FbSource *source = NULL;
    *bytes = NULL;
    FB_TRY(fb_source_open_beneath(d->context, d->folder, relative, &source, err));
    uint64_t size = fb_source_bytes(source);
    FbStatus status = FB_OK;
    if (size > PICTURE_BYTES_MAX) {
        status = fb_error_set(err, FB_ERR_BUDGET, "%s: a picture file of %" PRIu64 " bytes; at most %d are read", d->name, size, PICTURE_BYTES_MAX);
    } else {
        *count = (size_t)size;
        *bytes = fb_alloc(d->context, *count);
        status = *bytes == NULL ? fb_error_memory(d->context, err, d->name, size) : fb_source_read(source, 0, *bytes, *count, err);
    }
    fb_source_release(source);
    return status;
}

static FbStatus decode(FbDataset *d, const char *relative, FbImage *ready, FbError *err)
{
    PictureState *s = d->state;
    uint8_t *bytes = NULL;
    size_t count = 0;
    FbImage image = {0};
    FbStatus status = read_file(d, relative, &bytes, &count, err);
    if (status == FB_OK) {
        status = fb_image_decode(d->context, d->name, bytes, count, &image, err);
    }
    fb_free(d->context, bytes);
    if (status == FB_OK) {
        status = fb_preprocess_geometry(d->context, d->name, &s->preprocess, &d->ports[0], &image, ready, err);
    }
    fb_image_reset(d->context, &image);
    return status;
}

static FbStatus pictures_read(FbDataset *d, size_t index, FbError *err)
{
    PictureState *s = d->state;
    const Picture *picture = &s->pictures.items[index];
    FbTensor shape;
    FbImage ready = {0};
    fb_escape(picture->path, d->name, sizeof d->name);
    FbStatus status = decode(d, picture->path, &ready, err);
    if (status == FB_OK) {
        status = fb_preprocess_shape(d->name, &s->preprocess, &d->ports[0], &ready, &shape, err);
    }
    if (status == FB_OK) {
        status = fb_dataset_shape_input(d, 0, shape.dtype, shape.rank, shape.dims, err);
    }
    if (status == FB_OK) {
        status = fb_preprocess_values(d->name, &s->preprocess, &d->ports[0], &ready, &d->inputs[0].tensor, err);
    }
    fb_image_reset(d->context, &ready);
    d->sample.label = picture->label;
    d->sample.name = d->name;
    return status;
}

static const FbDatasetKind pictures_kind = {"pictures", "a folder of PNG or JPEG pictures with labels.tsv or sub-folders as classes", pictures_read,
                                            pictures_free};

static bool has_suffix(const char *name)
{
    static const char *const suffixes[] = {".png", ".jpg", ".jpeg"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t m = strlen(suffixes[i]), k = 0;
        while (n > m && k < m && (name[n - m + k] | 0x20) == (suffixes[i][k] | 0x20)) {
            k++;
        }
        if (k == m) {
            return true;
        }
    }
    return false;
}

static FbStatus add_picture(FbDataset *d, const char *folder, const char *name, int64_t label, FbError *err)
{
    PictureState *s = d->state;
    if (!fb_array_grow(d->context, &s->pictures)) {
        return fb_error_memory(d->context, err, "list of pictures", s->pictures.count * sizeof(Picture));
    }
    char *path = folder != NULL ? fb_path_join(d->context, folder, name) : fb_strdup(d->context, name);
    if (path == NULL) {
        return fb_error_memory(d->context, err, "list of pictures", strlen(name));
    }
    s->pictures.items[s->pictures.count++] = (Picture){path, label};
    return FB_OK;
}

/* One line of labels.tsv, NUL-terminated, without its line end. */
static FbStatus parse_label(FbDataset *d, char *line, size_t number, FbError *err)
{
    char shown[80];
    char *tab = strchr(line, '\t');
    if (line[0] == '\0') {
        return FB_OK;
    }
    if (tab == NULL || tab == line) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s/labels.tsv: line %zu: expected a file, a tab and a class number", d->folder, number);
    }
    *tab = '\0';
    char *class_text = tab + 1, *end = strchr(class_text, '\t');
    if (end != NULL) {
        *end = '\0';
    }
    if (number == 1 && (strcmp(class_text, "class") == 0 || strcmp(class_text, "label") == 0)) {
        return FB_OK; /* a heading */
    }
    int64_t label = 0;
    size_t digits = strspn(class_text, "0123456789");
    if (digits == 0 || digits > 9 || class_text[digits] != '\0') {
        return fb_error_set(err, FB_ERR_FORMAT, "%s/labels.tsv: line %zu: class '%s' is not a number from 0", d->folder, number,
                            fb_escape(class_text, shown, sizeof shown));
    }
    for (size_t i = 0; i < digits; i++) {
        label = label * 10 + (class_text[i] - '0');
    }
    return add_picture(d, NULL, line, label, err);
}

static FbStatus read_labels(FbDataset *d, FbError *err)
{
    char *path = fb_path_join(d->context, d->folder, "labels.tsv"), *text = NULL;
    size_t bytes = 0, number = 0;
    FbStatus status = path == NULL ? fb_error_memory(d->context, err, "path", 1)
                                   : fb_file_read_all(d->context, path, LABELS_BYTES_MAX, &text, &bytes, err);
    fb_free(d->context, path);
    for (size_t at = 0; status == FB_OK && at < bytes;) {
        char *line = text + at, *end = memchr(line, '\n', bytes - at);
        size_t length = end != NULL ? (size_t)(end - line) : bytes - at;
        at += length + 1;
        if (memchr(line, '\0', length) != NULL) {
            status = fb_error_set(err, FB_ERR_FORMAT, "%s/labels.tsv: line %zu holds a NUL byte", d->folder, number + 1);
            break;
        }
        line[length] = '\0';
        if (length > 0 && line[length - 1] == '\r') {
            line[length - 1] = '\0';
        }
        status = parse_label(d, line, ++number, err);
    }
    fb_free(d->context, text);
    d->has_labels = true;
    return status;
}

static FbStatus list_class(FbDataset *d, const char *name, int64_t label, FbError *err)
{
    FbNames names;
    char shown[80];
    char *path = fb_path_join(d->context, d->folder, name);
    if (path == NULL) {
        return fb_error_memory(d->context, err, "path", 1);
    }
    FbStatus status = fb_names_list(d->context, path, &names, err);
    fb_free(d->context, path);
    FB_TRY(status);
    size_t before = ((PictureState *)d->state)->pictures.count;
    for (size_t i = 0; status == FB_OK && i < names.count; i++) {
        status = has_suffix(names.items[i]) ? add_picture(d, name, names.items[i], label, err) : FB_OK;
    }
    if (status == FB_OK && ((PictureState *)d->state)->pictures.count == before) {
        fb_log(d->context, FB_LOG_WARNING, "empty-class", "%s: sub-folder '%s' (class %" PRId64 ") holds no .png or .jpg pictures", d->folder,
               fb_escape(name, shown, sizeof shown), label);
    }
    fb_names_reset(&names);
    return status;
}

/* Sub-folders are classes, numbered in sorted order; without any, the pictures of the folder itself have no labels. */
static FbStatus list_folder(FbDataset *d, const FbNames *names, FbError *err)
{
    const FbFileHooks *files = fb_context_files(d->context);
    size_t plain = 0;
    int64_t classes = 0;
    for (size_t i = 0; i < names->count; i++) {
        plain += has_suffix(names->items[i]) ? 1 : 0;
    }
    for (size_t i = 0; i < names->count; i++) {
        int kind = FB_FILE_OTHER;
        uint64_t bytes = 0;
        char *path = fb_path_join(d->context, d->folder, names->items[i]);
        if (path == NULL) {
            return fb_error_memory(d->context, err, "path", 1);
        }
        int error = files->kind(files->user, path, &kind, &bytes);
        fb_free(d->context, path);
        if (error != 0) {
            return fb_error_file(err, error, "open", names->items[i]);
        }
        if (kind == FB_FILE_FOLDER && plain == 0) {
            FB_TRY(list_class(d, names->items[i], classes++, err));
        } else if (kind == FB_FILE_FOLDER) {
            fb_log(d->context, FB_LOG_WARNING, "ignored-folder", "%s: sub-folder '%s' is left out: pictures lie beside it and there is no labels.tsv",
                   d->folder, names->items[i]);
        } else if (has_suffix(names->items[i])) {
            FB_TRY(add_picture(d, NULL, names->items[i], -1, err));
        }
    }
    d->has_labels = plain == 0 && classes > 0;
    return FB_OK;
}

static bool has_name(const FbNames *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static FbStatus choose_preprocess(FbDataset *d, const char *preprocess, bool file_there, FbError *err)
{
    PictureState *s = d->state;
    if (preprocess != NULL) {
        return fb_preprocess_load(d->context, preprocess, &d->ports[0], &s->preprocess, err);
    }
    if (!file_there) {
        char template[400];
        fb_preprocess_template(&d->ports[0], template, sizeof template);
        return fb_error_set(err, FB_ERR_ARGUMENT, "pictures need --preprocess NAME or FILE, or preprocess.json beside them, such as %s", template);
    }
    char *path = fb_path_join(d->context, d->folder, "preprocess.json");
    if (path == NULL) {
        return fb_error_memory(d->context, err, "path", 1);
    }
    FbStatus status = fb_preprocess_load(d->context, path, &d->ports[0], &s->preprocess, err);
    fb_free(d->context, path);
    return status;
}

FbStatus fb_dataset_open_pictures(FbDataset *d, const char *preprocess, FbError *err)
{
    FbNames names;
    PictureState *s = fb_alloc_zero(d->context, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(d->context, err, "data set", sizeof *s);
    }
    d->kind = &pictures_kind;
    d->state = s;
    FB_TRY(fb_names_list(d->context, d->folder, &names, err));
    FbStatus status = has_name(&names, "labels.tsv") ? read_labels(d, err) : list_folder(d, &names, err);
    bool file_there = has_name(&names, "preprocess.json");
    fb_names_reset(&names);
    FB_TRY(status);
    d->count = s->pictures.count;
    if (d->count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: no .png or .jpg pictures in this folder", d->folder);
    }
    if (d->port_count != 1) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: a folder of pictures feeds one input, the model has %zu; use .npz", d->folder,
                            d->port_count);
    }
    return choose_preprocess(d, preprocess, file_there, err);
}
