/* The operating system behind FbFileHooks: regular files only, nothing that can block, nothing outside the folder that was named. */
#define _GNU_SOURCE /* O_PATH, openat2's number */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/context_private.h"

/* A handle is the descriptor plus one, so that it is never NULL. */
static int descriptor(void *handle)
{
    return (int)(intptr_t)handle - 1;
}

static void *handle_of(int fd)
{
    return (void *)(intptr_t)(fd + 1);
}

/* Takes over `fd`: a regular file becomes a handle, anything else is refused. O_NONBLOCK kept a FIFO from hanging the open. */
static int accept_regular(int fd, nlink_t most_links, void **handle)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    if (!S_ISREG(info.st_mode) || info.st_nlink > most_links) {
        close(fd);
        return S_ISDIR(info.st_mode) ? EISDIR : S_ISREG(info.st_mode) ? EMLINK : EINVAL;
    }
    *handle = handle_of(fd);
    return 0;
}

static int os_open_read(void *user, const char *path, void **handle)
{
    (void)user;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? errno : accept_regular(fd, (nlink_t)-1, handle);
}

/* Relative, no empty, "." or ".." component. */
static bool stays_beneath(const char *relative)
{
    if (!relative[0] || relative[0] == '/') {
        return false;
    }
    for (const char *part = relative;;) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (!part[length]) {
            return true;
        }
        part += length + 1;
    }
}

/* For kernels without openat2: one component at a time, never through a link. */
static int walk_beneath(int folder, const char *relative)
{
    int at = dup(folder);
    for (const char *part = relative; at >= 0;) {
        char name[256];
        size_t length = strcspn(part, "/");
        if (length >= sizeof name) {
            close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, part, length);
        name[length] = '\0';
        bool last = part[length] == '\0';
        int flags = O_CLOEXEC | O_NOFOLLOW | (last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY);
        int next = openat(at, name, flags);
        int error = errno;
        close(at);
        errno = error;
        if (last) {
            return next;
        }
        at = next;
        part += length + 1;
    }
    return -1;
}

static int os_open_beneath(void *user, const char *folder, const char *relative, void **handle)
{
    (void)user;
    if (!stays_beneath(relative)) {
        return EXDEV;
    }
    int root = open(folder[0] ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return errno;
    }
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, relative, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        fd = walk_beneath(root, relative);
    }
    int error = errno;
    close(root);
    /* A second name of the file may lie outside the folder: a hard link counts as leaving it. */
    return fd < 0 ? error : accept_regular(fd, 1, handle);
}

/* Whether `path` still names the file behind `fd`. */
static bool same_file(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 && open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* Exclusive creation under an advisory lock. A file of that name which nobody holds locked was left by a process that died and is taken
 * over; one that is locked belongs to a writer at work. The name is checked after locking, as the writer may just have renamed it. */
static int os_create(void *user, const char *path, void **handle)
{
    (void)user;
    for (int attempt = 0; attempt < 100; attempt++) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        bool leftover = fd < 0 && errno == EEXIST;
        if (leftover) {
            fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
            if (fd < 0 && errno == ENOENT) {
                continue;
            }
        }
        if (fd < 0) {
            return leftover ? EEXIST : errno;
        }
        struct stat info;
        if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink > 1 || info.st_uid != geteuid()) {
            bool gone = info.st_nlink == 0;
            close(fd);
            if (gone) {
                continue;
            }
            return EEXIST;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int error = errno == EWOULDBLOCK ? EBUSY : errno;
            close(fd);
            return error;
        }
        if (!same_file(fd, path)) {
            close(fd);
            continue;
        }
        if (ftruncate(fd, 0) != 0) {
            int error = errno;
            close(fd);
            return error;
        }
        *handle = handle_of(fd);
        return 0;
    }
    return EBUSY;
}

static int os_read_at(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    if (offset > INT64_MAX) {
        return EOVERFLOW;
    }
    ssize_t got;
    do {
        got = pread(descriptor(handle), buffer, bytes, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    *done = got < 0 ? 0 : (size_t)got;
    return got < 0 ? errno : 0;
}

/* What is written goes to the disk piece by piece while more is being made, so that os_sync finds little left to wait for. */
enum { WRITE_OUT = 16 << 20 };

static int os_write_at(void *user, void *handle, uint64_t offset, const void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    if (offset > INT64_MAX) {
        return EFBIG;
    }
    ssize_t put;
    do {
        put = pwrite(descriptor(handle), buffer, bytes, (off_t)offset);
    } while (put < 0 && errno == EINTR);
    *done = put < 0 ? 0 : (size_t)put;
    const int error = put < 0 ? errno : 0;
    const uint64_t from = offset / WRITE_OUT * WRITE_OUT, until = (offset + *done) / WRITE_OUT * WRITE_OUT;
    if (until > from) { /* a hint: where it cannot be followed, os_sync has more to do */
        (void)sync_file_range(descriptor(handle), (off_t)from, (off_t)(until - from), SYNC_FILE_RANGE_WRITE);
    }
    return error;
}

static int os_size(void *user, void *handle, uint64_t *bytes)
{
    (void)user;
    struct stat info;
    if (fstat(descriptor(handle), &info) != 0) {
        return errno;
    }
    *bytes = (uint64_t)info.st_size;
    return 0;
}

static int os_sync(void *user, void *handle)
{
    (void)user;
    return fsync(descriptor(handle)) == 0 ? 0 : errno;
}

static int os_close(void *user, void *handle)
{
    (void)user;
    return close(descriptor(handle)) == 0 ? 0 : errno;
}

static int os_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to) == 0 ? 0 : errno;
}

static int os_sync_folder(void *user, const char *path_inside)
{
    (void)user;
    const char *slash = strrchr(path_inside, '/');
    char folder[4096] = ".";
    if (slash) {
        size_t length = slash == path_inside ? 1 : (size_t)(slash - path_inside);
        if (length >= sizeof folder) {
            return ENAMETOOLONG;
        }
        memcpy(folder, path_inside, length);
        folder[length] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno; /* EINVAL: a file system that cannot sync folders */
    close(fd);
    return error;
}

static int os_remove(void *user, const char *path)
{
    (void)user;
    return unlink(path) == 0 ? 0 : errno;
}

static int os_kind(void *user, const char *path, int *kind, uint64_t *bytes)
{
    (void)user;
    struct stat info;
    if (stat(path, &info) != 0) {
        return errno;
    }
    *kind = S_ISREG(info.st_mode) ? FB_FILE_REGULAR : S_ISDIR(info.st_mode) ? FB_FILE_FOLDER : FB_FILE_OTHER;
    *bytes = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    return 0;
}

static int os_list(void *user, const char *folder, int (*each)(void *each_user, const char *name), void *each_user)
{
    (void)user;
    DIR *dir = opendir(folder);
    if (!dir) {
        return errno;
    }
    int result = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            result = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        result = each(each_user, entry->d_name);
        if (result != 0) {
            break;
        }
    }
    closedir(dir);
    return result;
}

const FbFileHooks fb_file_os_hooks = {
    .open_read = os_open_read,
    .open_beneath = os_open_beneath,
    .create = os_create,
    .read_at = os_read_at,
    .write_at = os_write_at,
    .size = os_size,
    .sync = os_sync,
    .close = os_close,
    .rename = os_rename,
    .sync_folder = os_sync_folder,
    .remove = os_remove,
    .kind = os_kind,
    .list = os_list,
};
