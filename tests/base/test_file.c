/* Files: the output protocol and its failures, sources, folders that are not left. */
#define _GNU_SOURCE /* mkdtemp, mkfifo */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/context_private.h"
#include "base/file.h"

static FbContext *context;
static char folder[64];

static const char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fewbit-test-XXXXXX");
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1};
    return mkdtemp(folder) && fb_context_create(&options, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    int left = fb_context_memory_now(context) != 0;
    fb_context_free(context);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 || left ? -1 : 0;
}

static int entries(void *count, const char *name)
{
    (void)name;
    ++*(int *)count;
    return 0;
}

static int folder_entries(void)
{
    int count = 0;
    assert_int_equal(fb_file_os_hooks.list(NULL, folder, entries, &count), 0);
    return count;
}

static void make_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void expect_content(const char *path, const char *content)
{
    char *data = NULL;
    size_t bytes = 0;
    assert_int_equal(fb_file_read_all(context, path, 1 << 24, &data, &bytes, NULL), FB_OK);
    assert_int_equal(bytes, strlen(content));
    assert_string_equal(data, content);
    fb_free(context, data);
}

static void test_write(void **state)
{
    (void)state;
    FbOutput *output = NULL;
    FbError err;
    char sha[65];
    assert_int_equal(fb_output_create(context, at("a"), false, &output, &err), FB_OK);
    assert_int_not_equal(access(at("a"), F_OK), 0);
    assert_int_equal(fb_output_write(output, "abc", 3, &err), FB_OK);
    assert_int_equal(fb_output_commit(output, sha, &err), FB_OK);
    assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_content(at("a"), "abc");
    assert_int_equal(folder_entries(), 1);

    assert_int_equal(fb_output_create(context, at("a"), false, &output, &err), FB_ERR_ARGUMENT);
    assert_null(output);
    assert_non_null(strstr(err.message, "--force"));
    assert_int_equal(fb_output_create(context, at("a"), true, &output, &err), FB_OK);
    assert_int_equal(fb_output_write(output, "xy", 2, &err), FB_OK);
    assert_int_equal(fb_output_pad(output, 8, &err), FB_OK);
    assert_int_equal(fb_output_position(output), 8);
    fb_output_abandon(output);
    expect_content(at("a"), "abc");
    assert_int_equal(folder_entries(), 1);
    unlink(at("a"));

    assert_int_equal(fb_output_create(context, folder, true, &output, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_output_create(context, at("no/such"), true, &output, &err), FB_ERR_IO);
    assert_int_equal(fb_output_create(context, "", true, &output, &err), FB_ERR_ARGUMENT);
}

static void test_large(void **state)
{
    (void)state;
    FbOutput *output = NULL;
    size_t bytes = (1 << 20) + 12345;
    char *big = malloc(bytes), *back = malloc(3 * bytes);
    memset(big, 'q', bytes);
    assert_int_equal(fb_output_create(context, at("big"), false, &output, NULL), FB_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fb_output_write(output, "small", 5, NULL), FB_OK);
        assert_int_equal(fb_output_write(output, big, bytes, NULL), FB_OK);
    }
    assert_int_equal(fb_output_commit(output, NULL, NULL), FB_OK);
    FbSource *source = NULL;
    assert_int_equal(fb_source_open(context, at("big"), &source, NULL), FB_OK);
    assert_int_equal(fb_source_bytes(source), 3 * (bytes + 5));
    assert_int_equal(fb_source_read(source, bytes + 5, back, bytes, NULL), FB_OK);
    assert_memory_equal(back, "smallqq", 7);
    fb_source_release(source);
    unlink(at("big"));
    free(big);
    free(back);
}

static void test_leftover_and_busy(void **state)
{
    (void)state;
    make_file(at(".b.fewbit-part"), "left behind by a process that died, longer than the new content");
    FbOutput *first = NULL, *second = NULL;
    FbError err;
    assert_int_equal(fb_output_create(context, at("b"), false, &first, &err), FB_OK);
    assert_int_equal(fb_output_create(context, at("b"), false, &second, &err), FB_ERR_BUSY);
    pid_t child = fork();
    if (child == 0) { /* another process, too */
        _exit((int)fb_output_create(context, at("b"), false, &second, NULL));
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == FB_ERR_BUSY);
    assert_int_equal(fb_output_write(first, "new", 3, &err), FB_OK);
    assert_int_equal(fb_output_commit(first, NULL, &err), FB_OK);
    expect_content(at("b"), "new");
    assert_int_equal(folder_entries(), 1);
    unlink(at("b"));
    /* A link that waits under the temporary name is not followed. */
    make_file(at("victim"), "precious");
    assert_int_equal(symlink(at("victim"), at(".c.fewbit-part")), 0);
    assert_int_equal(fb_output_create(context, at("c"), false, &first, &err), FB_ERR_IO);
    expect_content(at("victim"), "precious");
    unlink(at(".c.fewbit-part"));
    assert_int_equal(link(at("victim"), at(".c.fewbit-part")), 0);
    assert_int_equal(fb_output_create(context, at("c"), false, &first, &err), FB_ERR_IO);
    expect_content(at("victim"), "precious");
    unlink(at(".c.fewbit-part"));
    unlink(at("victim"));
}

static void test_sources(void **state)
{
    (void)state;
    FbSource *source = NULL;
    FbError err;
    char buffer[16];
    assert_int_equal(fb_source_open(context, at("absent\033[2J"), &source, &err), FB_ERR_IO);
    assert_non_null(strstr(err.message, "absent\\x1b[2J: cannot open: no such file"));
    assert_int_equal(fb_source_open(context, folder, &source, &err), FB_ERR_IO);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(fb_source_open(context, at("fifo"), &source, &err), FB_ERR_IO); /* at once, not when a writer comes */
    assert_int_equal(fb_source_open(context, "/dev/zero", &source, &err), FB_ERR_IO);
    assert_null(source);
    unlink(at("fifo"));

    make_file(at("d"), "0123456789");
    assert_int_equal(fb_source_open(context, at("d"), &source, &err), FB_OK);
    assert_int_equal(fb_source_read(source, 4, buffer, 6, &err), FB_OK);
    assert_memory_equal(buffer, "456789", 6);
    assert_int_equal(fb_source_read(source, 4, buffer, 7, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_source_read(source, UINT64_MAX, buffer, 2, &err), FB_ERR_FORMAT);
    assert_int_equal(truncate(at("d"), 5), 0);
    assert_int_equal(fb_source_read(source, 4, buffer, 6, &err), FB_ERR_IO);
    assert_non_null(strstr(err.message, "offset 5"));
    fb_source_release(fb_source_retain(source));
    fb_source_release(source);
    char *data;
    size_t bytes;
    assert_int_equal(fb_file_read_all(context, at("d"), 4, &data, &bytes, &err), FB_ERR_BUDGET);
    assert_int_equal(fb_source_from_memory(context, "xyz", 3, &source, &err), FB_OK);
    assert_int_equal(fb_source_read(source, 1, buffer, 2, &err), FB_OK);
    assert_memory_equal(buffer, "yz", 2);
    fb_source_release(source);
    unlink(at("d"));
}

static void test_beneath(void **state)
{
    (void)state;
    FbSource *source = NULL;
    FbError err;
    mkdir(at("sub"), 0700);
    make_file(at("sub/w.bin"), "w");
    make_file(at("outside"), "secret");
    assert_int_equal(symlink("../outside", at("sub/link")), 0);
    assert_int_equal(symlink("sub", at("linked")), 0);
    assert_int_equal(link(at("outside"), at("sub/hard")), 0);
    mkfifo(at("sub/fifo"), 0600);
    assert_int_equal(fb_source_open_beneath(context, folder, "sub/w.bin", &source, &err), FB_OK);
    fb_source_release(source);
    static const char *const bad[] = {"../outside", "/etc/passwd", "sub/../outside", "sub/link", "linked/w.bin", "sub/hard", "sub/fifo",
                                      "sub",        "",            ".",              "sub//w.bin", "absent",     "./sub/w.bin", "sub/w.bin/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FbStatus status = fb_source_open_beneath(context, folder, bad[i], &source, &err);
        if (status != FB_ERR_FORMAT && status != FB_ERR_IO) {
            fail_msg("'%s' gave %s", bad[i], fb_status_name(status));
        }
        assert_null(source);
    }
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s/sub %s/linked %s/outside", folder, folder, folder);
    assert_int_equal(system(command), 0);
}

/* Hooks that fail: the n-th call of one kind. */
typedef enum Fault { WRITE_EIO, WRITE_NOSPACE, WRITE_SHORT, WRITE_NOTHING, SYNC, RENAME, READ_BACK_EIO, READ_BACK_CORRUPT, SYNC_FOLDER, FAULTS } Fault;
typedef struct Faulty {
    Fault fault;
    int countdown;
} Faulty;

static bool due(void *user, Fault fault)
{
    Faulty *faulty = user;
    return faulty->fault == fault && --faulty->countdown == 0;
}

static int faulty_write(void *user, void *handle, uint64_t offset, const void *buffer, size_t bytes, size_t *done)
{
    if (due(user, WRITE_EIO)) {
        return EIO;
    }
    if (due(user, WRITE_NOSPACE)) {
        fb_file_os_hooks.write_at(NULL, handle, offset, buffer, bytes / 2, done); /* a part still fits */
        return ENOSPC;
    }
    if (due(user, WRITE_NOTHING)) {
        *done = 0;
        return 0;
    }
    if (due(user, WRITE_SHORT)) {
        bytes = bytes / 3 + 1;
    }
    return fb_file_os_hooks.write_at(NULL, handle, offset, buffer, bytes, done);
}

static int faulty_sync(void *user, void *handle)
{
    return due(user, SYNC) ? EIO : fb_file_os_hooks.sync(NULL, handle);
}

static int faulty_sync_folder(void *user, const char *path)
{
    return due(user, SYNC_FOLDER) ? EIO : fb_file_os_hooks.sync_folder(NULL, path);
}

static int faulty_rename(void *user, const char *from, const char *to)
{
    return due(user, RENAME) ? EACCES : fb_file_os_hooks.rename(NULL, from, to);
}

static int faulty_read(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    if (due(user, READ_BACK_EIO)) {
        return EIO;
    }
    int error = fb_file_os_hooks.read_at(NULL, handle, offset, buffer, bytes, done);
    if (!error && *done && due(user, READ_BACK_CORRUPT)) {
        *(char *)buffer ^= 1;
    }
    return error;
}

static void test_faults(void **state)
{
    (void)state;
    size_t bytes = 5 << 19; /* more than two buffers */
    char *big = malloc(bytes);
    memset(big, 'z', bytes);
    for (int fault = 0; fault < FAULTS; fault++) {
        for (int nth = 1; nth <= 3; nth++) {
            Faulty faulty = {(Fault)fault, nth};
            FbFileHooks hooks = fb_file_os_hooks;
            hooks.user = &faulty;
            hooks.write_at = faulty_write;
            hooks.sync = faulty_sync;
            hooks.sync_folder = faulty_sync_folder;
            hooks.rename = faulty_rename;
            hooks.read_at = faulty_read;
            FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .files = &hooks};
            FbContext *own = NULL;
            assert_int_equal(fb_context_create(&options, &own, NULL), FB_OK);
            make_file(at("target"), "old");
            FbOutput *output = NULL;
            FbError err = {0};
            assert_int_equal(fb_output_create(own, at("target"), true, &output, &err), FB_OK);
            for (size_t done = 0; done < bytes; done += bytes / 5) {
                if (fb_output_write(output, big + done, bytes / 5, &err) != FB_OK) {
                    break; /* commit must refuse all the same */
                }
            }
            FbStatus status = fb_output_commit(output, NULL, &err);
            bool hit = faulty.countdown <= 0;
            bool harmless = !hit || fault == WRITE_SHORT;
            assert_int_equal(status, harmless ? FB_OK : FB_ERR_IO);
            if (!harmless && fault != SYNC_FOLDER) { /* SYNC_FOLDER fails behind the rename: the file is complete */
                expect_content(at("target"), "old");
            }
            assert_int_equal(folder_entries(), 1); /* no temporary file stays */
            assert_int_equal(fb_context_memory_now(own), 0);
            fb_context_free(own);
        }
    }
    unlink(at("target"));
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),   cmocka_unit_test(test_large),   cmocka_unit_test(test_leftover_and_busy),
        cmocka_unit_test(test_sources), cmocka_unit_test(test_beneath), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
