/* Every allocation and every read fails once, and from then on: the right status, nothing leaked, and the next try works. */
#include "data_test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "data/npz_write.h"

typedef struct Faults {
    long calls, fail_at; /* fail_at 0: never */
    bool for_ever, reads, short_reads;
    const FbFileHooks *files;
} Faults;

static bool fails(Faults *f)
{
    f->calls++;
    return f->fail_at > 0 && (f->for_ever ? f->calls >= f->fail_at : f->calls == f->fail_at);
}

static void *allocate(void *user, size_t bytes)
{
    Faults *f = user;
    return !f->reads && fails(f) ? NULL : malloc(bytes);
}

static void release(void *user, void *pointer, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(pointer);
}

/* The other hooks keep their own user pointer, which the operating system's do not use. */
static Faults *read_faults;

static int read_at(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    if (read_faults->reads && fails(read_faults)) {
        return EIO;
    }
    if (read_faults->short_reads && bytes > 1) {
        bytes = bytes / 2;
    }
    return read_faults->files->read_at(user, handle, offset, buffer, bytes, done);
}

typedef FbStatus (*Scenario)(FbContext *context, FbError *err);

static FbStatus read_all(FbContext *context, const FbPort *ports, size_t count, const char *path, const char *preprocess, FbError *err)
{
    FbDataset *d = NULL;
    char hash[65];
    FbStatus status = fb_dataset_open_ports(context, ports, count, path, preprocess, &d, err);
    status = status == FB_OK ? fb_dataset_hash(d, hash, err) : status;
    fb_dataset_free(d);
    return status;
}

static FbStatus npz(FbContext *context, FbError *err)
{
    const FbPort ports[2] = {{"image", FB_DTYPE_F32, 4, {-1, 1, 2, 3}}, {"ids", FB_DTYPE_S64, 2, {-2, -1}}};
    return read_all(context, ports, 2, test_path("fixtures/rows.npz"), NULL, err);
}

static FbStatus fortran(FbContext *context, FbError *err)
{
    const FbPort port = {"fortran_big", FB_DTYPE_F64, 3, {-1, 3, 4}};
    return read_all(context, &port, 1, test_path("fixtures/deflated.npz"), NULL, err);
}

static char folder[64];

/* Two pictures and their classes: the decoders' own allocations are in here. */
static int make_folder(void **state)
{
    char command[2048];
    (void)state;
    snprintf(folder, sizeof folder, "test_data_faults_%d", (int)getpid());
    snprintf(command, sizeof command, "mkdir %s && cp '%s/tests/data/fixtures/'interlaced.png '%s/tests/data/fixtures/'cmyk.jpg %s", folder,
             FB_SOURCE_DIR, FB_SOURCE_DIR, folder);
    return system(command);
}

static int remove_folder(void **state)
{
    char command[256];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static FbStatus pictures(FbContext *context, FbError *err)
{
    const FbPort port = {"image", FB_DTYPE_F32, 4, {-1, 3, 16, 16}};
    return read_all(context, &port, 1, folder, "imagenet", err);
}

static FbStatus lines(FbContext *context, FbError *err)
{
    const FbPort port = {"ids", FB_DTYPE_S64, 2, {-1, -2}};
    return read_all(context, &port, 1, test_path("ids.jsonl"), NULL, err);
}

static FbStatus writer(FbContext *context, FbError *err)
{
    FbNpzWriter *w = NULL;
    char path[64];
    snprintf(path, sizeof path, "test_data_faults_%d.npz", (int)getpid());
    FbStatus status = fb_npz_create(context, path, true, &w, err);
    if (status == FB_OK) {
        status = fb_npz_begin(w, "a", FB_DTYPE_F32, 1, (int64_t[]){1}, err);
        status = status == FB_OK ? fb_npz_write(w, "1234", 4, err) : status;
        if (status == FB_OK) {
            status = fb_npz_commit(w, err);
        } else {
            fb_npz_abandon(w);
        }
    }
    if (status != FB_OK) {
        assert_int_not_equal(access(path, F_OK), 0); /* nothing under the final name */
    }
    remove(path);
    return status;
}

static void every_failure(const char *name, Scenario scenario, bool reads, bool for_ever, FbStatus want)
{
    long failures = 0;
    for (long k = 1; k < 20000; k++) {
        Faults f = {.reads = reads, .for_ever = for_ever};
        FbContext *plain = test_context(), *context = NULL;
        FbFileHooks files = *fb_context_files(plain);
        FbError err = {0};
        f.files = fb_context_files(plain);
        read_faults = &f;
        files.read_at = read_at;
        FbAllocator allocator = {&f, allocate, release};
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .allocator = &allocator, .files = &files};
        assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
        f.calls = 0;
        f.fail_at = k;
        FbStatus status = scenario(context, &err);
        bool hit = f.calls >= k;
        if (hit && status != want) {
            fail_msg("%s, failure %ld: %s (%s)", name, k, fb_status_name(status), err.message);
        }
        f.fail_at = 0;
        assert_int_equal(fb_context_memory_now(context), 0);
        if (hit) {
            assert_int_equal(scenario(context, &err), FB_OK); /* the context is as good as new */
        }
        fb_context_free(context);
        fb_context_free(plain);
        if (!hit) {
            assert_int_equal(status, FB_OK);
            break;
        }
        failures++;
    }
    assert_true(failures > 0 && failures < 19999);
}

static const struct {
    const char *name;
    Scenario run;
} scenarios[] = {{"npz", npz}, {"fortran", fortran}, {"pictures", pictures}, {"lines", lines}, {"writer", writer}};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static void allocations(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        every_failure(scenarios[i].name, scenarios[i].run, false, false, FB_ERR_NO_MEMORY);
        every_failure(scenarios[i].name, scenarios[i].run, false, true, FB_ERR_NO_MEMORY);
    }
}

static void reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        every_failure(scenarios[i].name, scenarios[i].run, true, false, FB_ERR_IO);
        every_failure(scenarios[i].name, scenarios[i].run, true, true, FB_ERR_IO);
    }
}

static void short_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++) {
        FbContext *plain = test_context(), *context = NULL;
        FbFileHooks files = *fb_context_files(plain);
        FbError err = {0};
        Faults f = {.short_reads = true, .files = fb_context_files(plain)};
        read_faults = &f;
        files.read_at = read_at;
        FbContextOptions options = {.struct_bytes = sizeof options, .files = &files};
        assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
        assert_ok(scenarios[i].run(context, &err));
        fb_context_free(context);
        fb_context_free(plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocations), cmocka_unit_test(reads), cmocka_unit_test(short_reads)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
