/* A streamed zip writer: stored members whose checksum follows in a data descriptor, because an output only appends.
 * Format: PKWARE APPNOTE 6.3 (4.3.7 local header, 4.3.9 data descriptor, 4.3.12 directory, 4.3.14-16 end records, 4.5.3 zip64). */
#include "data/npz_write.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/text.h"

enum { ZIP_STREAMED = 0x0008, ZIP_UTF8 = 0x0800, ZIP_DATE_1980 = 0x0021, ZIP_VERSION = 20, ZIP_VERSION_64 = 45 };
static const uint64_t zip_small = 0xffffffffU; /* a 32-bit field that holds this means: see zip64 */

typedef struct Entry {
    char *name; /* with ".npy" */
    uint64_t offset, bytes;
    uint32_t crc;
} Entry;

struct FbNpzWriter {
    FbContext *context;
    FbOutput *output;
    FB_ARRAY(Entry) entries;
    uint64_t left; /* bytes that the open member still needs */
    bool open;
};

/* A little-endian record built field by field. */
typedef struct Record {
    uint8_t bytes[128];
    size_t length;
} Record;

static void put(Record *r, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) {
        r->bytes[r->length++] = (uint8_t)(value >> (8 * i));
    }
}

FbStatus fb_npz_create(FbContext *context, const char *path, bool overwrite, FbNpzWriter **writer, FbError *err)
{
    *writer = NULL;
    FbNpzWriter *w = fb_alloc_zero(context, sizeof *w);
    if (w == NULL) {
        return fb_error_memory(context, err, "npz writer", sizeof *w);
    }
    w->context = context;
    FbStatus status = fb_output_create(context, path, overwrite, &w->output, err);
    if (status != FB_OK) {
        fb_free(context, w);
        return status;
    }
    *writer = w;
    return FB_OK;
}

/* Dates are fixed to 1980-01-01: the same inputs give the same bytes. */
static FbStatus write_local(FbNpzWriter *w, const Entry *e, FbError *err)
{
    bool large = e->bytes >= zip_small;
    Record r = {.length = 0};
    put(&r, 0x04034b50, 4);
    put(&r, large ? ZIP_VERSION_64 : ZIP_VERSION, 2);
    put(&r, ZIP_STREAMED | ZIP_UTF8, 2);
    put(&r, 0, 2); /* stored */
    put(&r, 0, 2);
    put(&r, ZIP_DATE_1980, 2);
    put(&r, 0, 4); /* crc: in the descriptor */
    put(&r, large ? zip_small : 0, 4);
    put(&r, large ? zip_small : 0, 4);
    put(&r, strlen(e->name), 2);
    put(&r, large ? 20 : 0, 2);
    FB_TRY(fb_output_write(w->output, r.bytes, r.length, err));
    FB_TRY(fb_output_write(w->output, e->name, strlen(e->name), err));
    if (large) {
        r.length = 0;
        put(&r, 0x0001, 2);
        put(&r, 16, 2);
        put(&r, 0, 8);
        put(&r, 0, 8);
        FB_TRY(fb_output_write(w->output, r.bytes, r.length, err));
    }
    return FB_OK;
}

static FbStatus write_descriptor(FbNpzWriter *w, FbError *err)
{
    const Entry *e = &w->entries.items[w->entries.count - 1];
    int width = e->bytes >= zip_small ? 8 : 4;
    Record r = {.length = 0};
    put(&r, 0x08074b50, 4);
    put(&r, e->crc, 4);
    put(&r, e->bytes, width);
    put(&r, e->bytes, width);
    w->open = false;
    return fb_output_write(w->output, r.bytes, r.length, err);
}

static FbStatus finish_member(FbNpzWriter *w, FbError *err)
{
    if (!w->open) {
        return FB_OK;
    }
    if (w->left != 0) {
        return fb_error_set(err, FB_ERR_INTERNAL, "npz: member '%s' lacks %" PRIu64 " bytes", w->entries.items[w->entries.count - 1].name,
                            w->left);
    }
    return write_descriptor(w, err);
}

FbStatus fb_npz_begin(FbNpzWriter *w, const char *name, FbDtype dtype, int rank, const int64_t *dims, FbError *err)
{
    uint8_t header[FB_NPY_WRITE_MAX];
    char shown[80];
    FB_TRY(finish_member(w, err));
    size_t header_bytes = fb_npy_format(dtype, rank, dims, header);
    int64_t elements = 0;
    uint64_t data_bytes = 0;
    if (header_bytes == 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "npz: array '%s' of type %s has no NumPy form", fb_escape(name, shown, sizeof shown),
                            fb_dtype_name(dtype));
    }
    if (!fb_product_dims(dims, rank, &elements) || !fb_mul_u64((uint64_t)elements, (uint64_t)fb_dtype_bits(dtype) / 8, &data_bytes)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "npz: the size of array '%s' overflows", fb_escape(name, shown, sizeof shown));
    }
    bool plain = name[0] != '\0' && strlen(name) < 512;
    for (const char *p = name; *p != '\0'; p++) {
        plain = plain && (unsigned char)*p >= 0x20 && *p != '\\' && *p != ':';
    }
    if (!plain || name[0] == '/' || strstr(name, "..") != NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "npz: '%s' cannot be the name of an archive member", fb_escape(name, shown, sizeof shown));
    }
    if (!fb_array_grow(w->context, &w->entries)) {
        return fb_error_memory(w->context, err, "npz directory", sizeof(Entry));
    }
    Entry *e = &w->entries.items[w->entries.count];
    memset(e, 0, sizeof *e);
    e->name = fb_alloc(w->context, strlen(name) + 5);
    if (e->name == NULL) {
        return fb_error_memory(w->context, err, "npz directory", strlen(name) + 5);
    }
    strcpy(e->name, name);
    strcat(e->name, ".npy");
    w->entries.count++;
    e->offset = fb_output_position(w->output);
    e->bytes = header_bytes + data_bytes;
    e->crc = (uint32_t)crc32(0, NULL, 0);
    w->left = e->bytes;
    w->open = true;
    FB_TRY(write_local(w, e, err));
    return fb_npz_write(w, header, header_bytes, err);
}

FbStatus fb_npz_write(FbNpzWriter *w, const void *data, size_t bytes, FbError *err)
{
    if (!w->open || bytes > w->left) {
        return fb_error_set(err, FB_ERR_INTERNAL, "npz: %zu bytes more than the array holds", bytes);
    }
    Entry *e = &w->entries.items[w->entries.count - 1];
    e->crc = (uint32_t)crc32_z(e->crc, data, bytes);
    w->left -= bytes;
    return fb_output_write(w->output, data, bytes, err);
}

static FbStatus write_directory_entry(FbNpzWriter *w, const Entry *e, FbError *err)
{
    bool large_size = e->bytes >= zip_small, large_offset = e->offset >= zip_small;
    bool large = large_size || large_offset;
    size_t extra = (large_size ? 16U : 0U) + (large_offset ? 8U : 0U);
    Record r = {.length = 0};
    put(&r, 0x02014b50, 4);
    put(&r, large ? ZIP_VERSION_64 : ZIP_VERSION, 2);
    put(&r, large_size ? ZIP_VERSION_64 : ZIP_VERSION, 2);
    put(&r, ZIP_STREAMED | ZIP_UTF8, 2);
    put(&r, 0, 2);
    put(&r, 0, 2);
    put(&r, ZIP_DATE_1980, 2);
    put(&r, e->crc, 4);
    put(&r, large_size ? zip_small : e->bytes, 4);
    put(&r, large_size ? zip_small : e->bytes, 4);
    put(&r, strlen(e->name), 2);
    put(&r, extra > 0 ? extra + 4 : 0, 2);
    put(&r, 0, 2); /* comment */
    put(&r, 0, 2); /* disk */
    put(&r, 0, 2); /* internal attributes */
    put(&r, 0, 4); /* external attributes */
    put(&r, large_offset ? zip_small : e->offset, 4);
    FB_TRY(fb_output_write(w->output, r.bytes, r.length, err));
    FB_TRY(fb_output_write(w->output, e->name, strlen(e->name), err));
    r.length = 0;
    if (extra > 0) {
        put(&r, 0x0001, 2);
        put(&r, extra, 2);
        if (large_size) {
            put(&r, e->bytes, 8);
            put(&r, e->bytes, 8);
        }
        if (large_offset) {
            put(&r, e->offset, 8);
        }
    }
    return fb_output_write(w->output, r.bytes, r.length, err);
}

static FbStatus write_directory(FbNpzWriter *w, FbError *err)
{
    uint64_t start = fb_output_position(w->output), count = w->entries.count;
    for (size_t i = 0; i < w->entries.count; i++) {
        FB_TRY(write_directory_entry(w, &w->entries.items[i], err));
    }
    uint64_t end = fb_output_position(w->output), bytes = end - start;
    Record r = {.length = 0};
    if (start >= zip_small || bytes >= zip_small || count >= 0xffff) {
        put(&r, 0x06064b50, 4);
        put(&r, 44, 8);
        put(&r, ZIP_VERSION_64, 2);
        put(&r, ZIP_VERSION_64, 2);
        put(&r, 0, 4);
        put(&r, 0, 4);
        put(&r, count, 8);
        put(&r, count, 8);
        put(&r, bytes, 8);
        put(&r, start, 8);
        put(&r, 0x07064b50, 4);
        put(&r, 0, 4);
        put(&r, end, 8);
        put(&r, 1, 4);
    }
    put(&r, 0x06054b50, 4);
    put(&r, 0, 2);
    put(&r, 0, 2);
    put(&r, count < 0xffff ? count : 0xffff, 2);
    put(&r, count < 0xffff ? count : 0xffff, 2);
    put(&r, bytes < zip_small ? bytes : zip_small, 4);
    put(&r, start < zip_small ? start : zip_small, 4);
    put(&r, 0, 2);
    return fb_output_write(w->output, r.bytes, r.length, err);
}

static void writer_free(FbNpzWriter *w)
{
    for (size_t i = 0; i < w->entries.count; i++) {
        fb_free(w->context, w->entries.items[i].name);
    }
    fb_array_free(w->context, &w->entries);
    fb_free(w->context, w);
}

FbStatus fb_npz_commit(FbNpzWriter *w, FbError *err)
{
    FbStatus status = finish_member(w, err);
    if (status == FB_OK) {
        status = write_directory(w, err);
    }
    if (status == FB_OK) {
        status = fb_output_commit(w->output, NULL, err);
    } else {
        fb_output_abandon(w->output);
    }
    writer_free(w);
    return status;
}

void fb_npz_abandon(FbNpzWriter *w)
{
    if (w == NULL) {
        return;
    }
    fb_output_abandon(w->output);
    writer_free(w);
}

int fb_stacked_shape(const FbTensor *tensor, size_t count, int64_t dims[FB_NPY_RANK_MAX])
{
    bool batch = tensor->rank > 0 && tensor->dims[0] == 1;
    int rank = 0;
    dims[rank++] = (int64_t)count;
    for (int i = batch ? 1 : 0; i < tensor->rank; i++) {
        dims[rank++] = tensor->dims[i];
    }
    return rank;
}
