/* What the kinds of data share: shaping and checking a sample's tensors, converting elements, listing folders. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/file_error.h"
#include "base/text.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

FbStatus fb_dataset_shape_input(FbDataset *d, size_t index, FbDtype dtype, int rank, const int64_t *dims, FbError *err)
{
    FbDataSlot *slot = &d->inputs[index];
    int64_t elements = 0;
    uint64_t bytes = 0;
    if (rank > FB_RANK_MAX || !fb_product_dims(dims, rank, &elements) || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes) ||
        bytes > SIZE_MAX / 2) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: a sample is too large", d->folder);
    }
    if (bytes > slot->capacity || slot->tensor.data == NULL) {
        fb_free(d->context, slot->tensor.data);
        slot->capacity = 0;
        slot->tensor.data = fb_alloc(d->context, (size_t)bytes);
        if (slot->tensor.data == NULL) {
            return fb_error_memory(d->context, err, "sample", bytes);
        }
        slot->capacity = (size_t)bytes;
    }
    slot->tensor.dtype = dtype;
    slot->tensor.rank = rank;
    memcpy(slot->tensor.dims, dims, (size_t)rank * sizeof *dims);
    slot->tensor.bytes = (size_t)bytes;
    return FB_OK;
}

FbStatus fb_dataset_check_shape(const FbDataset *d, size_t index, const char *what, int rank, const int64_t *dims, FbError *err)
{
    const FbPort *port = &d->ports[index];
    bool fits = port->rank == -1 || port->rank == rank;
    if (rank > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: a sample of %d dimensions; at most %d are supported", what, rank, FB_RANK_MAX);
    }
    for (int i = 0; fits && i < port->rank; i++) {
        fits = port->dims[i] < 0 || port->dims[i] == dims[i];
    }
    if (!fits) {
        char name[80], want[120], got[120];
        FbShape wanted = fb_shape_make(port->rank, port->dims), given = fb_shape_make(rank, dims);
        fb_shape_text(&wanted, want, sizeof want);
        fb_shape_text(&given, got, sizeof got);
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: a sample of shape %s for the model's input '%s' of shape %s", what, got,
                            fb_escape(port->name, name, sizeof name), want);
    }
    return FB_OK;
}

static FbStatus convert_integers(const char *what, const FbTensor *from, FbDtype to_type, void *to, size_t count, FbError *err)
{
    const FbDtypeInfo *info = fb_dtype_info(to_type);
    int width = info->bits / 8;
    for (size_t i = 0; i < count; i++) {
        int64_t value = fb_tensor_int(from, (int64_t)i);
        bool negative_u64 = from->dtype == FB_DTYPE_U64 && value < 0;
        bool fits = !negative_u64 && (info->bits == 64 ? (value >= 0 || info->kind == FB_KIND_SIGNED)
                                                       : ((double)value >= info->low && (double)value <= info->high));
        if (to_type == FB_DTYPE_BOOL) {
            fits = value == 0 || value == 1;
        }
        if (!fits) {
            return fb_error_set(err, FB_ERR_NUMERIC, "%s: the value %" PRId64 " does not fit %s", what, value, info->name);
        }
        for (int k = 0; k < width; k++) {
            ((uint8_t *)to)[i * (size_t)width + (size_t)k] = (uint8_t)((uint64_t)value >> (8 * k));
        }
    }
    return FB_OK;
}

static FbStatus convert_floats(const char *what, const FbTensor *from, FbDtype to_type, void *to, size_t count, FbError *err)
{
    for (size_t i = 0; i < count; i++) {
        double value = fb_tensor_number(from, (int64_t)i);
        float narrow = (float)value;
        if (to_type == FB_DTYPE_F64) {
            ((double *)to)[i] = value;
            continue;
        }
        if (isfinite(value) && (!isfinite(narrow) || fabs(value) > fb_dtype_info(to_type)->high)) {
            return fb_error_set(err, FB_ERR_NUMERIC, "%s: the value %g does not fit %s", what, value, fb_dtype_name(to_type));
        }
        if (to_type == FB_DTYPE_F32) {
            ((float *)to)[i] = narrow;
        } else {
            fb_encode_f32(to_type, &narrow, to, i, 1);
        }
    }
    return FB_OK;
}

FbStatus fb_convert_elements(const char *what, FbDtype from_type, const void *from, FbDtype to_type, void *to, size_t count, FbError *err)
{
    const FbDtypeInfo *source = fb_dtype_info(from_type), *target = fb_dtype_info(to_type);
    bool from_integer = source->kind == FB_KIND_SIGNED || source->kind == FB_KIND_UNSIGNED || source->kind == FB_KIND_BOOL;
    bool to_integer = target->kind == FB_KIND_SIGNED || target->kind == FB_KIND_UNSIGNED || target->kind == FB_KIND_BOOL;
    if (from_type == to_type && from_type != FB_DTYPE_BOOL) {
        uint64_t bytes = 0;
        if (!fb_dtype_storage(from_type, count, &bytes)) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: elements of type %s", what, source->name);
        }
        memcpy(to, from, (size_t)bytes);
        return FB_OK;
    }
    FbTensor tensor = {.dtype = from_type, .rank = 1, .dims = {(int64_t)count}, .data = (void *)from};
    tensor.bytes = count * (size_t)source->bits / 8;
    if (from_integer && to_integer && source->bits >= 8 && target->bits >= 8) {
        return convert_integers(what, &tensor, to_type, to, count, err);
    }
    if ((from_integer || source->kind == FB_KIND_FLOAT) && target->kind == FB_KIND_FLOAT && target->bits >= 8) {
        return convert_floats(what, &tensor, to_type, to, count, err);
    }
    return fb_error_set(err, FB_ERR_ARGUMENT, "%s: elements of type %s, the model's input takes %s", what, source->name, target->name);
}

char *fb_path_join(FbContext *context, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    bool slash = length == 0 || folder[length - 1] == '/';
    char *path = fb_alloc(context, length + strlen(name) + 2);
    if (path != NULL) {
        memcpy(path, folder, length);
        strcpy(path + length, slash ? "" : "/");
        strcat(path, name);
    }
    return path;
}

static int add_name(void *user, const char *name)
{
    FbNames *names = user;
    if (name[0] == '.') {
        return 0;
    }
    char *copy = fb_strdup(names->context, name);
    if (copy == NULL || !fb_array_grow(names->context, names)) {
        fb_free(names->context, copy);
        names->failed = true;
        return -1;
    }
    names->items[names->count++] = copy;
    return 0;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

FbStatus fb_names_list(FbContext *context, const char *folder, FbNames *names, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    memset(names, 0, sizeof *names);
    names->context = context;
    int error = files->list(files->user, folder, add_name, names);
    FbStatus status = names->failed ? fb_error_memory(context, err, "folder", names->count * sizeof *names->items)
                      : error != 0  ? fb_error_file(err, error, "list", folder)
                                    : FB_OK;
    if (status != FB_OK) {
        fb_names_reset(names);
        return status;
    }
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    }
    return FB_OK;
}

void fb_names_reset(FbNames *names)
{
    for (size_t i = 0; i < names->count; i++) {
        fb_free(names->context, names->items[i]);
    }
    fb_free(names->context, names->items);
    memset(names, 0, sizeof *names);
}
