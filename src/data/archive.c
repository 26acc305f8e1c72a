/* libzip over our file source. libzip parses and inflates; what it does not check (ratio, overlap, names) is checked here. */
#include "data/archive.h"

#include <inttypes.h>
#include <string.h>
#include <zip.h>

#include "base/checked.h"
#include "base/text.h"

struct FbArchive {
    FbContext *context;
    FbSource *source;
    zip_t *zip;
    size_t count;
    char **names;
    uint64_t *bytes;
    bool *stored;
    uint64_t position; /* of libzip in source */
    zip_error_t error;
    FbError fault; /* of a read that failed, so that it is not taken for a damaged archive */
};

struct FbMember {
    FbArchive *archive;
    size_t index;
    zip_file_t *file;
    uint64_t position;
};

static zip_int64_t source_seek(FbArchive *a, void *data, zip_uint64_t length)
{
    zip_source_args_seek_t *args = ZIP_SOURCE_GET_ARGS(zip_source_args_seek_t, data, length, &a->error);
    uint64_t size = fb_source_bytes(a->source);
    if (args == NULL) {
        return -1;
    }
    uint64_t base = args->whence == SEEK_SET ? 0 : args->whence == SEEK_CUR ? a->position : size;
    uint64_t target = base + (uint64_t)args->offset; /* wraps for negative offsets; checked below */
    if ((args->offset < 0 && (uint64_t)-(args->offset + 1) >= base) || target > size) {
        zip_error_set(&a->error, ZIP_ER_INVAL, 0);
        return -1;
    }
    a->position = target;
    return 0;
}

/* What libzip asks of a file: a zip_source_callback. */
static zip_int64_t source_callback(void *user, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
    FbArchive *a = user;
    uint64_t size = fb_source_bytes(a->source);
    switch (command) {
    case ZIP_SOURCE_OPEN:
        a->position = 0;
        return 0;
    case ZIP_SOURCE_READ: {
        uint64_t n = size - a->position < length ? size - a->position : length;
        if (n > SIZE_MAX || fb_source_read(a->source, a->position, data, (size_t)n, &a->fault) != FB_OK) {
            zip_error_set(&a->error, ZIP_ER_READ, 0);
            return -1;
        }
        a->position += n;
        return (zip_int64_t)n;
    }
    case ZIP_SOURCE_SEEK:
        return source_seek(a, data, length);
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)a->position;
    case ZIP_SOURCE_STAT: {
        zip_stat_t *st = data;
        zip_stat_init(st);
        st->size = size;
        st->valid |= ZIP_STAT_SIZE;
        return sizeof *st;
    }
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&a->error, data, length);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
                                              ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    default:
        zip_error_set(&a->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

/* A name that stays inside: relative, no "..", no backslash or control character. */
static bool name_is_safe(const char *name)
{
    if (name[0] == '\0' || name[0] == '/' || strlen(name) > 1024) {
        return false;
    }
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == '\\' || *p == ':') {
            return false;
        }
        if ((p == name || p[-1] == '/') && p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static FbStatus check_member(FbArchive *a, size_t index, const zip_stat_t *st, uint64_t *packed, FbError *err)
{
    const char *path = fb_source_path(a->source);
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    char shown[80];
    if ((st->valid & needed) != needed) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: member %zu of the archive has no complete entry", path, index);
    }
    fb_escape(st->name, shown, sizeof shown);
    if (!name_is_safe(st->name)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: member '%s' has a name that leaves the archive or is not printable", path, shown);
    }
    if ((st->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && st->encryption_method != ZIP_EM_NONE) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: member '%s' is encrypted", path, shown);
    }
    if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: member '%s' uses compression method %u; stored and deflated can be read", path,
                            shown, (unsigned)st->comp_method);
    }
    a->stored[index] = st->comp_method == ZIP_CM_STORE;
    a->bytes[index] = st->size;
    if (!fb_add_u64(*packed, st->comp_size, packed) || *packed > fb_source_bytes(a->source)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: members overlap or reach past the end of the file (at '%s')", path, shown);
    }
    /* A megabyte is free: small constant arrays pass the ratio honestly. */
    if ((a->stored[index] && st->size != st->comp_size) ||
        (st->size > (1U << 20) && st->size / FB_ARCHIVE_RATIO_MAX > st->comp_size)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: member '%s' claims %" PRIu64 " bytes from %" PRIu64 " stored: refused as a zip bomb",
                            path, shown, (uint64_t)st->size, (uint64_t)st->comp_size);
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(a->names[i], st->name) == 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: member '%s' is there twice", path, shown);
        }
    }
    a->names[index] = fb_strdup(a->context, st->name);
    return a->names[index] != NULL ? FB_OK : fb_error_memory(a->context, err, "archive names", strlen(st->name));
}

static FbStatus read_directory(FbArchive *a, FbError *err)
{
    zip_int64_t count = zip_get_num_entries(a->zip, 0);
    if (count < 0 || count > FB_ARCHIVE_MEMBERS_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: %" PRId64 " members in the archive; at most %d are accepted", fb_source_path(a->source),
                            (int64_t)count, FB_ARCHIVE_MEMBERS_MAX);
    }
    a->names = fb_alloc_zero(a->context, ((size_t)count + 1) * sizeof *a->names);
    a->bytes = fb_alloc_zero(a->context, ((size_t)count + 1) * sizeof *a->bytes);
    a->stored = fb_alloc_zero(a->context, ((size_t)count + 1) * sizeof *a->stored);
    if (a->names == NULL || a->bytes == NULL || a->stored == NULL) {
        return fb_error_memory(a->context, err, "archive directory", (uint64_t)count * sizeof *a->names);
    }
    a->count = (size_t)count;
    uint64_t packed = 0;
    for (size_t i = 0; i < a->count; i++) {
        zip_stat_t st;
        zip_stat_init(&st);
        if (zip_stat_index(a->zip, i, 0, &st) != 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: member %zu of the archive cannot be read", fb_source_path(a->source), i);
        }
        FB_TRY(check_member(a, i, &st, &packed, err));
    }
    return FB_OK;
}

FbStatus fb_archive_open(FbContext *context, FbSource *source, FbArchive **archive, FbError *err)
{
    *archive = NULL;
    FbArchive *a = fb_alloc_zero(context, sizeof *a);
    if (a == NULL) {
        return fb_error_memory(context, err, "archive", sizeof *a);
    }
    a->context = context;
    a->source = fb_source_retain(source);
    zip_error_init(&a->error);
    zip_error_t failure;
    zip_error_init(&failure);
    zip_source_t *stream = zip_source_function_create(source_callback, a, &failure);
    if (stream != NULL) {
        a->zip = zip_open_from_source(stream, ZIP_RDONLY | ZIP_CHECKCONS, &failure);
        if (a->zip == NULL) {
            zip_source_free(stream);
        }
    }
    FbStatus status = FB_OK;
    if (a->zip == NULL) {
        bool memory = zip_error_code_zip(&failure) == ZIP_ER_MEMORY;
        status = a->fault.status != FB_OK ? fb_error_set(err, a->fault.status, "%s", a->fault.message)
                 : memory ? fb_error_memory(context, err, "archive directory", fb_source_bytes(source))
                          : fb_error_set(err, FB_ERR_FORMAT, "%s: damaged zip archive: %s", fb_source_path(source), zip_error_strerror(&failure));
    }
    zip_error_fini(&failure);
    if (status == FB_OK) {
        status = read_directory(a, err);
    }
    if (status != FB_OK) {
        fb_archive_free(a);
        return status;
    }
    *archive = a;
    return FB_OK;
}

void fb_archive_free(FbArchive *a)
{
    if (a == NULL) {
        return;
    }
    if (a->zip != NULL) {
        zip_discard(a->zip);
    }
    zip_error_fini(&a->error);
    for (size_t i = 0; a->names != NULL && i < a->count; i++) {
        fb_free(a->context, a->names[i]);
    }
    fb_free(a->context, a->names);
    fb_free(a->context, a->bytes);
    fb_free(a->context, a->stored);
    fb_source_release(a->source);
    fb_free(a->context, a);
}

size_t fb_archive_count(const FbArchive *archive) { return archive->count; }

const char *fb_archive_name(const FbArchive *archive, size_t index) { return archive->names[index]; }

uint64_t fb_archive_bytes(const FbArchive *archive, size_t index) { return archive->bytes[index]; }

static FbStatus member_failed(FbMember *m, const char *why, FbError *err)
{
    char shown[80];
    if (m->archive->fault.status != FB_OK) {
        return fb_error_set(err, m->archive->fault.status, "%s", m->archive->fault.message);
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s: member '%s': %s", fb_source_path(m->archive->source),
                        fb_escape(m->archive->names[m->index], shown, sizeof shown), why);
}

static FbStatus member_restart(FbMember *m, FbError *err)
{
    if (m->file != NULL) {
        zip_fclose(m->file);
    }
    m->position = 0;
    m->file = zip_fopen_index(m->archive->zip, m->index, 0);
    return m->file != NULL ? FB_OK : member_failed(m, zip_strerror(m->archive->zip), err);
}

FbStatus fb_member_open(FbArchive *archive, size_t index, FbMember **member, FbError *err)
{
    *member = NULL;
    FbMember *m = fb_alloc_zero(archive->context, sizeof *m);
    if (m == NULL) {
        return fb_error_memory(archive->context, err, "archive member", sizeof *m);
    }
    m->archive = archive;
    m->index = index;
    FbStatus status = member_restart(m, err);
    if (status != FB_OK) {
        fb_member_close(m);
        return status;
    }
    *member = m;
    return FB_OK;
}

static FbStatus read_exact(FbMember *m, uint8_t *out, size_t bytes, FbError *err)
{
    for (size_t done = 0; done < bytes;) {
        zip_int64_t n = zip_fread(m->file, out + done, bytes - done);
        if (n <= 0) {
            return member_failed(m, n == 0 ? "ends before its declared size" : zip_file_strerror(m->file), err);
        }
        done += (size_t)n;
        m->position += (uint64_t)n;
    }
    return FB_OK;
}

FbStatus fb_member_read(FbMember *m, uint64_t offset, void *out, size_t bytes, FbError *err)
{
    uint64_t end = 0;
    if (!fb_add_u64(offset, bytes, &end) || end > m->archive->bytes[m->index]) {
        return member_failed(m, "is shorter than the array in it", err);
    }
    if (offset != m->position && m->archive->stored[m->index]) {
        if (zip_fseek(m->file, (zip_int64_t)offset, SEEK_SET) != 0) {
            return member_failed(m, zip_file_strerror(m->file), err);
        }
        m->position = offset;
    }
    if (offset < m->position) {
        FB_TRY(member_restart(m, err));
    }
    uint8_t skipped[16384];
    while (m->position < offset) {
        uint64_t left = offset - m->position;
        FB_TRY(read_exact(m, skipped, left < sizeof skipped ? (size_t)left : sizeof skipped, err));
        FB_TRY(fb_check_cancel(m->archive->context, err));
    }
    return read_exact(m, out, bytes, err);
}

FbStatus fb_member_verify(FbMember *m, FbError *err)
{
    uint8_t strip[65536];
    uint64_t total = 0;
    FB_TRY(member_restart(m, err));
    for (;;) {
        zip_int64_t n = zip_fread(m->file, strip, sizeof strip);
        if (n < 0) {
            return member_failed(m, zip_file_strerror(m->file), err);
        }
        total += (uint64_t)n;
        /* The declared size bounds the work: a member that inflates further is a lie, not more data. */
        if (total > m->archive->bytes[m->index] || (n == 0 && total != m->archive->bytes[m->index])) {
            return member_failed(m, "does not have its declared size", err);
        }
        if (n == 0) {
            return member_restart(m, err);
        }
        FB_TRY(fb_check_cancel(m->archive->context, err));
    }
}

void fb_member_close(FbMember *m)
{
    if (m == NULL) {
        return;
    }
    if (m->file != NULL) {
        zip_fclose(m->file);
    }
    fb_free(m->archive->context, m);
}
