/* Arrays by rows. C order is read in place; Fortran order is laid out once in memory, because its rows are not contiguous. */
#include "data/arrays.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "data/archive.h"

typedef struct Array {
    FbArrayInfo info;
    FbNpy npy;
    char *name;
    FbMember *member; /* opened at first use; NULL: the .npy file itself */
    size_t member_index;
    uint8_t *laid_out; /* C order copy of a Fortran array */
} Array;

struct FbArrays {
    FbContext *context;
    FbSource *source;
    FbArchive *archive;
    Array *items;
    size_t count;
};

static const uint8_t zip_magic[4] = {'P', 'K', 3, 4};
static const uint8_t zip_empty[4] = {'P', 'K', 5, 6};

bool fb_arrays_is_one(const uint8_t *first, size_t bytes)
{
    return (bytes >= 4 && (memcmp(first, zip_magic, 4) == 0 || memcmp(first, zip_empty, 4) == 0)) ||
           (bytes >= 6 && memcmp(first, "\x93NUMPY", 6) == 0);
}

static FbStatus read_bytes(FbArrays *a, Array *array, uint64_t offset, void *out, size_t bytes, FbError *err)
{
    if (a->archive == NULL) {
        return fb_source_read(a->source, offset, out, bytes, err);
    }
    if (array->member == NULL) {
        FB_TRY(fb_member_open(a->archive, array->member_index, &array->member, err));
    }
    return fb_member_read(array->member, offset, out, bytes, err);
}

static FbStatus finish_info(Array *array, const char *what, uint64_t file_bytes, FbError *err)
{
    FbNpy *npy = &array->npy;
    FbArrayInfo *info = &array->info;
    uint64_t total = 0;
    if (!fb_add_u64(npy->header_bytes, npy->data_bytes, &total) || total != file_bytes) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: the shape needs %" PRIu64 " bytes of data, the file has %" PRIu64, what, npy->data_bytes,
                            file_bytes - npy->header_bytes);
    }
    info->name = array->name;
    info->dtype = npy->dtype;
    info->rank = npy->rank;
    memcpy(info->dims, npy->dims, sizeof info->dims);
    info->rows = npy->rank > 0 ? (uint64_t)npy->dims[0] : 1;
    info->row_bytes = info->rows > 0 ? (size_t)(npy->data_bytes / info->rows) : 0;
    return FB_OK;
}

static FbStatus read_header(FbArrays *a, Array *array, uint64_t file_bytes, FbError *err)
{
    char shown[80], what[640];
    uint8_t preamble[FB_NPY_PREAMBLE];
    size_t bytes = 0;
    /* `what` is cut to fit the message; names are escaped. */
    const char *path = fb_source_path(a->source);
    size_t length = strlen(path);
    memcpy(what, path, length < 400 ? length : 400);
    what[length < 400 ? length : 400] = '\0';
    if (a->archive != NULL) {
        strcat(what, ": ");
        strcat(what, fb_escape(array->name, shown, sizeof shown));
    }
    if (file_bytes < FB_NPY_PREAMBLE) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: %" PRIu64 " bytes are too few for a .npy array", what, file_bytes);
    }
    FB_TRY(read_bytes(a, array, 0, preamble, sizeof preamble, err));
    FB_TRY(fb_npy_header_bytes(what, preamble, &bytes, err));
    if (bytes > file_bytes) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: .npy header of %zu bytes in %" PRIu64 " bytes", what, bytes, file_bytes);
    }
    size_t room = bytes < FB_NPY_PREAMBLE ? FB_NPY_PREAMBLE : bytes;
    uint8_t *header = fb_alloc(a->context, room);
    if (header == NULL) {
        return fb_error_memory(a->context, err, ".npy header", room);
    }
    FbStatus status = read_bytes(a, array, 0, header, room, err);
    if (status == FB_OK) {
        status = fb_npy_parse(what, header, room, &array->npy, err);
    }
    fb_free(a->context, header);
    return status != FB_OK ? status : finish_info(array, what, file_bytes, err);
}

static FbStatus open_archive(FbArrays *a, FbError *err)
{
    FB_TRY(fb_archive_open(a->context, a->source, &a->archive, err));
    size_t count = fb_archive_count(a->archive);
    a->items = fb_alloc_zero(a->context, (count + 1) * sizeof *a->items);
    if (a->items == NULL) {
        return fb_error_memory(a->context, err, "archive directory", count * sizeof *a->items);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = fb_archive_name(a->archive, i);
        size_t length = strlen(name);
        Array *array = &a->items[i];
        if (length < 5 || strcmp(name + length - 4, ".npy") != 0) {
            char shown[80];
            return fb_error_set(err, FB_ERR_FORMAT, "%s: member '%s' is no .npy array; an .npz holds arrays only (numpy.savez)",
                                fb_source_path(a->source), fb_escape(name, shown, sizeof shown));
        }
        array->name = fb_strdup(a->context, name);
        if (array->name == NULL) {
            return fb_error_memory(a->context, err, "array name", length);
        }
        a->count++;
        array->name[length - 4] = '\0';
        array->member_index = i;
        FB_TRY(read_header(a, array, fb_archive_bytes(a->archive, i), err));
    }
    return FB_OK;
}

FbStatus fb_arrays_open(FbContext *context, FbSource *source, FbArrays **arrays, FbError *err)
{
    uint8_t first[8];
    *arrays = NULL;
    if (fb_source_bytes(source) < sizeof first) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: too short for an .npz or .npy file", fb_source_path(source));
    }
    FB_TRY(fb_source_read(source, 0, first, sizeof first, err));
    if (!fb_arrays_is_one(first, sizeof first)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: neither .npz nor .npy by its first bytes", fb_source_path(source));
    }
    FbArrays *a = fb_alloc_zero(context, sizeof *a);
    if (a == NULL) {
        return fb_error_memory(context, err, "arrays", sizeof *a);
    }
    a->context = context;
    a->source = fb_source_retain(source);
    FbStatus status = FB_OK;
    if (first[0] == 'P') {
        status = open_archive(a, err);
    } else {
        a->items = fb_alloc_zero(context, sizeof *a->items);
        if (a->items != NULL) {
            a->items[0].name = fb_strdup(context, "");
            a->count = 1;
        }
        status = a->items == NULL || a->items[0].name == NULL ? fb_error_memory(context, err, "arrays", sizeof *a->items)
                                                              : read_header(a, &a->items[0], fb_source_bytes(source), err);
    }
    if (status != FB_OK) {
        fb_arrays_free(a);
        return status;
    }
    *arrays = a;
    return FB_OK;
}

void fb_arrays_free(FbArrays *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->count; i++) {
        fb_member_close(a->items[i].member);
        fb_free(a->context, a->items[i].name);
        fb_free(a->context, a->items[i].laid_out);
    }
    fb_free(a->context, a->items);
    fb_archive_free(a->archive);
    fb_source_release(a->source);
    fb_free(a->context, a);
}

size_t fb_arrays_count(const FbArrays *arrays) { return arrays->count; }

const FbArrayInfo *fb_arrays_info(const FbArrays *arrays, size_t index) { return &arrays->items[index].info; }

int fb_arrays_find(const FbArrays *arrays, const char *name)
{
    for (size_t i = 0; i < arrays->count; i++) {
        if (strcmp(arrays->items[i].info.name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Walks the C order and picks from Fortran order, where the stride of axis d is the product of the dimensions before it. */
static void fortran_to_c(const FbNpy *npy, size_t width, const uint8_t *from, uint8_t *to)
{
    uint64_t index[FB_NPY_RANK_MAX] = {0}, stride[FB_NPY_RANK_MAX], elements = npy->data_bytes / width;
    uint64_t step = 1;
    for (int d = 0; d < npy->rank; d++) {
        stride[d] = step;
        step *= (uint64_t)npy->dims[d];
    }
    for (uint64_t n = 0; n < elements; n++) {
        uint64_t at = 0;
        for (int d = 0; d < npy->rank; d++) {
            at += index[d] * stride[d];
        }
        memcpy(to + n * width, from + at * width, width);
        for (int d = npy->rank - 1; d >= 0 && ++index[d] == (uint64_t)npy->dims[d]; d--) {
            index[d] = 0;
        }
    }
}

static FbStatus lay_out(FbArrays *a, Array *array, size_t width, FbError *err)
{
    if (array->npy.data_bytes > SIZE_MAX) {
        return fb_error_memory(a->context, err, "array in Fortran order", array->npy.data_bytes);
    }
    size_t bytes = (size_t)array->npy.data_bytes;
    uint8_t *raw = fb_alloc(a->context, bytes);
    uint8_t *ordered = fb_alloc(a->context, bytes);
    FbStatus status = raw == NULL || ordered == NULL ? fb_error_memory(a->context, err, "array in Fortran order", bytes)
                                                     : read_bytes(a, array, array->npy.header_bytes, raw, bytes, err);
    if (status == FB_OK) {
        fortran_to_c(&array->npy, width, raw, ordered);
        array->laid_out = ordered;
        ordered = NULL;
    }
    fb_free(a->context, ordered);
    fb_free(a->context, raw);
    return status;
}

FbStatus fb_arrays_read(FbArrays *a, size_t index, uint64_t first, uint64_t count, void *out, FbError *err)
{
    Array *array = &a->items[index];
    size_t width = (size_t)fb_dtype_bits(array->info.dtype) / 8, bytes = 0;
    if (first > array->info.rows || count > array->info.rows - first || !fb_mul_size((size_t)count, array->info.row_bytes, &bytes)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: rows %" PRIu64 " to %" PRIu64 " of '%s', which has %" PRIu64, fb_source_path(a->source),
                            first, first + count, array->name, array->info.rows);
    }
    if (bytes == 0) {
        return FB_OK;
    }
    uint64_t offset = first * array->info.row_bytes;
    if (array->npy.fortran && array->npy.rank > 1) {
        if (array->laid_out == NULL) {
            FB_TRY(lay_out(a, array, width, err));
        }
        memcpy(out, array->laid_out + offset, bytes);
    } else {
        FB_TRY(read_bytes(a, array, array->npy.header_bytes + offset, out, bytes, err));
    }
    if (array->npy.swap) {
        fb_npy_swap(out, bytes / width, width);
    }
    return FB_OK;
}

FbStatus fb_arrays_verify(FbArrays *a, size_t index, FbError *err)
{
    Array *array = &a->items[index];
    if (a->archive == NULL) {
        return FB_OK;
    }
    if (array->member == NULL) {
        FB_TRY(fb_member_open(a->archive, array->member_index, &array->member, err));
    }
    return fb_member_verify(array->member, err);
}
