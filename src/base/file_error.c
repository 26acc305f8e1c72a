/* errno to words. strerror is not used: it may be translated, and it is not safe with threads. */
#include "base/file_error.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static const struct {
    int error;
    FbStatus status;
    const char *text;
} rows[] = {
    {ENOENT, FB_ERR_IO, "no such file or folder"},
    {EACCES, FB_ERR_IO, "permission denied"},
    {EPERM, FB_ERR_IO, "not permitted"},
    {EISDIR, FB_ERR_IO, "it is a folder"},
    {ENOTDIR, FB_ERR_IO, "a part of the path is not a folder"},
    {EINVAL, FB_ERR_IO, "it is not a regular file"},
    {ENXIO, FB_ERR_IO, "it is not a regular file"},
    {ENODEV, FB_ERR_IO, "it is not a regular file"},
    {ELOOP, FB_ERR_FORMAT, "it is or passes through a symbolic link"},
    {EXDEV, FB_ERR_FORMAT, "it lies outside the folder"},
    {EMLINK, FB_ERR_FORMAT, "it has more than one hard link, so it may belong to another place; copy it"},
    {ENAMETOOLONG, FB_ERR_IO, "the name is too long"},
    {ENOSPC, FB_ERR_IO, "no space left on the device"},
    {EDQUOT, FB_ERR_IO, "the disk quota is used up"},
    {EFBIG, FB_ERR_IO, "the file would be too large for the file system or the limit of the process"},
    {EROFS, FB_ERR_IO, "the file system is read-only"},
    {EIO, FB_ERR_IO, "the device reported an error"},
    {EMFILE, FB_ERR_IO, "too many open files"},
    {ENFILE, FB_ERR_IO, "too many open files in the system"},
    {EEXIST, FB_ERR_IO, "the name is taken"},
    {EBUSY, FB_ERR_BUSY, "another process is writing it; wait for it or choose another name"},
};

const char *fb_path_shown(const char *path, char *out, size_t out_bytes)
{
    size_t length = strlen(path);
    if (length < out_bytes / 4 || out_bytes < 16) {
        return fb_escape(path, out, out_bytes); /* fits whatever has to be escaped */
    }
    fb_escape(path, out, out_bytes);
    if (length >= out_bytes) {
        memcpy(out, "...", 3);
        fb_escape(path + length - out_bytes / 4, out + 3, out_bytes - 3);
    }
    return out;
}

FbStatus fb_error_file(FbError *err, int error, const char *action, const char *path)
{
    char shown[240];
    fb_path_shown(path, shown, sizeof shown);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].error == error) {
            return fb_error_set(err, rows[i].status, "%s: cannot %s: %s", shown, action, rows[i].text);
        }
    }
    return fb_error_set(err, FB_ERR_IO, "%s: cannot %s: error %d of the operating system", shown, action, error);
}
