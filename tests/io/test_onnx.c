/* ONNX load and save: ports, weights by range, external data and its traps, round trips, refused allocations. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/onnx/onnx.h"
#include "io/onnx_maker.h"

static FbContext *context;
static FbError err;
static char folder[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/fewbit-onnx-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    return fb_context_create(&(FbContextOptions){.struct_bytes = sizeof(FbContextOptions), .threads = 1}, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    int left = fb_context_memory_now(context) != 0 || system(command) != 0;
    fb_context_free(context);
    return left ? -1 : 0;
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t count)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

static void write_proto(const char *name, Proto file)
{
    write_file(name, file.data, file.count);
    free(file.data);
}

static FbModel *load(const char *name)
{
    FbModel *model;
    err = (FbError){0};
    if (fb_model_load(context, path_of(name), &model, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    return model;
}

static void test_ports_and_weights(void **state)
{
    (void)state;
    Proto g = make_plain_graph();
    proto_child(&g, 11, make_info("w", 1, 2, (int64_t[]){3, 4})); /* a weight listed as an input */
    write_proto("a.onnx", make_model(g, 3, 8));
    FbModel *model = load("a.onnx");
    assert_int_equal(fb_model_input_count(model), 1);
    assert_int_equal(fb_model_output_count(model), 1);
    FbPort port = fb_model_input(model, 0);
    assert_string_equal(port.name, "x");
    assert_int_equal(port.rank, 2);
    assert_int_equal(port.dims[1], 3);
    assert_string_equal(fb_model_output(model, 0).name, "y");
    assert_int_equal(fb_model_input(model, 1).rank, -1);
    const FbConst *w = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, "w"));
    float part[3];
    assert_int_equal(fb_const_read_f32(context, w, 5, 3, part, &err), FB_OK);
    assert_true(part[0] == -6 && part[1] == 7 && part[2] == -8);
    assert_int_equal(fb_const_read_f32(context, w, 10, 3, part, &err), FB_ERR_INTERNAL);
    char *json;
    assert_int_equal(fb_model_inspect(context, model, &json, &err), FB_OK);
    assert_non_null(strstr(json, "\"fewbit.inspect/1\""));
    assert_non_null(strstr(json, "\"parameters\": 12"));
    fb_text_free(context, json);
    fb_model_free(model);
}

static void test_round_trip(void **state)
{
    (void)state;
    write_proto("a.onnx", make_model(make_plain_graph(), 8, 13));
    FbModel *model = load("a.onnx");
    char sha[65], first[65], second[65];
    FbSaveOptions options = {.struct_bytes = sizeof options};
    assert_int_equal(fb_model_save(context, model, path_of("b.onnx"), &options, sha, &err), FB_OK);
    assert_int_equal(strlen(sha), 64);
    assert_int_equal(fb_model_save(context, model, path_of("b.onnx"), &options, sha, &err), FB_ERR_ARGUMENT); /* exists */
    assert_int_equal(fb_model_save(context, model, path_of("none/b.onnx"), &options, sha, &err), FB_ERR_IO);
    assert_int_equal(fb_model_hash(model, first, &err), FB_OK);
    options.force_external = 1;
    options.external_threshold = 1;
    assert_int_equal(fb_model_save(context, model, path_of("c.onnx"), &options, NULL, &err), FB_OK);
    fb_model_free(model);
    static const char *const copies[] = {"b.onnx", "c.onnx"};
    for (int i = 0; i < 2; i++) {
        model = load(copies[i]);
        assert_int_equal(fb_model_hash(model, second, &err), FB_OK);
        assert_string_equal(first, second);
        fb_model_free(model);
    }
    assert_int_equal(access(path_of("c.onnx.data"), R_OK), 0);
    /* Over itself: the weights are read from the file that is being replaced. */
    model = load("c.onnx");
    options.overwrite = 1;
    assert_int_equal(fb_model_save(context, model, path_of("c.onnx"), &options, NULL, &err), FB_OK);
    fb_model_free(model);
    model = load("c.onnx");
    assert_int_equal(fb_model_hash(model, second, &err), FB_OK);
    assert_string_equal(first, second);
    fb_model_free(model);
}

/* ---- external data ---- */

static Proto external_model(const char *location, const char *offset, const char *length, int repeats)
{
    Proto g = make_plain_graph();
    Proto t = make_tensor("e", 1, 1, (int64_t[]){2}, NULL, 0);
    for (int i = 0; i < repeats; i++) {
        proto_child(&t, 13, make_entry("location", location));
    }
    if (offset != NULL) {
        proto_child(&t, 13, make_entry("offset", offset));
    }
    if (length != NULL) {
        proto_child(&t, 13, make_entry("length", length));
    }
    proto_child(&t, 13, make_entry("colour", "blue"));
    proto_int(&t, 14, 1);
    proto_child(&g, 5, t);
    return make_model(g, 8, 13);
}

static void expect_external(const char *location, const char *offset, const char *length, FbStatus status)
{
    FbModel *model;
    write_proto("sub/m.onnx", external_model(location, offset, length, 1));
    err = (FbError){0};
    FbStatus got = fb_model_load(context, path_of("sub/m.onnx"), &model, &err);
    fb_model_free(model);
    if (got != status) {
        fail_msg("%s %s %s: status %d (%s), expected %d", location, offset, length, got, err.message, status);
    }
}

static void test_external_traps(void **state)
{
    (void)state;
    static const float four[4] = {1, 2, 3, 4};
    mkdir(path_of("sub"), 0777);
    mkdir(path_of("sub/dir"), 0777);
    write_file("secret", four, 16);
    write_file("sub/ok.bin", four, 16);
    write_file("sub/dir/in.bin", four, 16);
    write_file("sub/linked", four, 16);
    assert_int_equal(link(path_of("sub/linked"), path_of("hard")), 0);
    assert_int_equal(symlink("../secret", path_of("sub/soft")), 0);
    assert_int_equal(symlink("..", path_of("sub/up")), 0);
    assert_int_equal(mkfifo(path_of("sub/fifo"), 0666), 0);
    expect_external("ok.bin", "8", "8", FB_OK);
    expect_external("dir/in.bin", NULL, NULL, FB_OK);
    expect_external("../secret", NULL, NULL, FB_ERR_FORMAT);        /* O17 */
    expect_external(path_of("secret"), NULL, NULL, FB_ERR_FORMAT);  /* O18 */
    expect_external("dir/../../secret", NULL, NULL, FB_ERR_FORMAT); /* O19 */
    expect_external("soft", NULL, NULL, FB_ERR_FORMAT);             /* O20 */
    expect_external("up/secret", NULL, NULL, FB_ERR_FORMAT);        /* O21 */
    expect_external("linked", NULL, NULL, FB_ERR_FORMAT);           /* O22 */
    expect_external("fifo", NULL, NULL, FB_ERR_IO);                 /* O23 */
    expect_external("dir", NULL, NULL, FB_ERR_IO);
    expect_external("", NULL, NULL, FB_ERR_FORMAT);
    expect_external("absent", NULL, NULL, FB_ERR_IO);
    static const char *const offsets[] = {"-1", "1e9", "0x10", "", "17", " 4", "18446744073709551612"}; /* O24 */
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        expect_external("ok.bin", offsets[i], "8", FB_ERR_FORMAT);
    }
    expect_external("ok.bin", "12", "8", FB_ERR_FORMAT);
    expect_external("ok.bin", "0", "1152921504606846976", FB_ERR_FORMAT);
    expect_external("ok.bin", "0", "4", FB_ERR_FORMAT);
    FbModel *model; /* O25 */
    write_proto("sub/m.onnx", external_model("ok.bin", NULL, NULL, 2));
    assert_int_equal(fb_model_load(context, path_of("sub/m.onnx"), &model, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "twice"));
}

static void test_external_shrinks_and_overlaps(void **state)
{
    (void)state;
    static const float four[4] = {1, 2, 3, 4};
    float got[2];
    write_file("e.bin", four, 16);
    write_proto("m.onnx", external_model("e.bin", "8", NULL, 1));
    FbModel *model = load("m.onnx");
    const FbConst *e = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, "e"));
    assert_int_equal(fb_const_read_f32(context, e, 0, 2, got, &err), FB_OK);
    assert_true(got[0] == 3 && got[1] == 4);
    assert_int_equal(truncate(path_of("e.bin"), 4), 0); /* O26 */
    assert_int_equal(fb_const_read_f32(context, e, 0, 2, got, &err), FB_ERR_IO);
    FbSaveOptions options = {.struct_bytes = sizeof options};
    assert_int_not_equal(fb_model_save(context, model, path_of("half.onnx"), &options, NULL, &err), FB_OK);
    assert_int_not_equal(access(path_of("half.onnx"), F_OK), 0);
    fb_model_free(model);
    write_file("e.bin", four, 16); /* O27: tied weights share bytes */
    Proto g = make_plain_graph();
    for (int i = 0; i < 2; i++) {
        Proto t = make_tensor(i == 0 ? "e" : "f", 1, 1, (int64_t[]){4}, NULL, 0);
        proto_child(&t, 13, make_entry("location", "e.bin"));
        proto_int(&t, 14, 1);
        proto_child(&g, 5, t);
    }
    proto_child(&g, 1, make_node("Add", "e,f", "sum"));
    write_proto("m.onnx", make_model(g, 8, 13));
    model = load("m.onnx");
    char *json;
    assert_int_equal(fb_model_inspect(context, model, &json, &err), FB_OK);
    assert_non_null(strstr(json, "\"f32\": 64")); /* w: 48, e and f together: 16 */
    assert_non_null(strstr(json, "\"e.bin\""));
    fb_text_free(context, json);
    /* Saved, they share bytes again: w, then one copy for e and f at the next page. */
    struct stat data;
    options.force_external = 1;
    options.external_threshold = 1;
    assert_int_equal(fb_model_save(context, model, path_of("tied.onnx"), &options, NULL, &err), FB_OK);
    assert_int_equal(stat(path_of("tied.onnx.data"), &data), 0);
    assert_int_equal(data.st_size, 4096 + 16);
    fb_model_free(model);
    model = load("tied.onnx");
    float e_and_f[2][4];
    const char *const names[2] = {"e", "f"};
    for (int i = 0; i < 2; i++) {
        const FbConst *c = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, names[i]));
        assert_int_equal(fb_const_read_f32(context, c, 0, 4, e_and_f[i], &err), FB_OK);
        assert_memory_equal(e_and_f[i], four, sizeof four);
    }
    fb_model_free(model);
}

/* ---- refused allocations ---- */

typedef struct Refuse { size_t count, refuse_at, held; } Refuse;

static void *refuse_allocate(void *user, size_t bytes)
{
    Refuse *refuse = user;
    if (refuse->count++ == refuse->refuse_at) {
        return NULL;
    }
    refuse->held++;
    return malloc(bytes > 0 ? bytes : 1);
}

static void refuse_release(void *user, void *pointer, size_t bytes)
{
    (void)bytes;
    ((Refuse *)user)->held--;
    free(pointer);
}

static Proto make_quantized_graph(void)
{
    static const float scale = 0.5f;
    Proto g = {0};
    proto_child(&g, 1, make_node("QuantizeLinear", "x,s,z", "q"));
    proto_child(&g, 1, make_node("DequantizeLinear", "q,s,z", "d"));
    proto_child(&g, 1, make_node("DequantizeLinear", "c,s,z", "w"));
    Proto branch = {0};
    proto_child(&branch, 1, make_node("Relu", "w", "r"));
    proto_child(&branch, 12, make_info("r", 1, -1, NULL));
    Proto n = make_node("If", "b", "i");
    proto_child(&n, 5, make_graph_attribute("then_branch", branch));
    proto_child(&g, 1, n);
    proto_child(&g, 1, make_node("MatMul", "d,i", "y"));
    proto_child(&g, 5, make_tensor("s", 1, 0, NULL, &scale, 4));
    proto_child(&g, 5, make_tensor("z", 3, 0, NULL, "\0", 1));
    proto_child(&g, 5, make_tensor("c", 3, 2, (int64_t[]){2, 2}, "\1\2\3\4", 4));
    proto_child(&g, 11, make_info("x", 1, 2, (int64_t[]){2, 2}));
    proto_child(&g, 11, make_info("b", 9, 0, NULL));
    proto_child(&g, 12, make_info("y", 1, 2, (int64_t[]){2, 2}));
    return g;
}

static void test_refused_allocations(void **state)
{
    (void)state;
    write_proto("q.onnx", make_model(make_quantized_graph(), 8, 13));
    char path[128], out[128];
    strcpy(path, path_of("q.onnx"));
    strcpy(out, path_of("o.onnx"));
    bool finished = false;
    for (size_t k = 0; !finished && k < 5000; k++) {
        Refuse refuse = {.refuse_at = SIZE_MAX};
        FbAllocator allocator = {&refuse, refuse_allocate, refuse_release};
        FbContext *tight;
        FbModel *model = NULL;
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .allocator = &allocator};
        assert_int_equal(fb_context_create(&options, &tight, NULL), FB_OK);
        size_t before = refuse.held;
        refuse.refuse_at = refuse.count + k;
        FbSaveOptions save = {.struct_bytes = sizeof save, .overwrite = 1};
        FbStatus status = fb_model_load(tight, path, &model, &err);
        if (status == FB_OK) {
            status = fb_model_save(tight, model, out, &save, NULL, &err);
        }
        finished = refuse.count <= refuse.refuse_at;
        if (finished ? status != FB_OK : status != FB_ERR_NO_MEMORY) {
            fail_msg("allocation %zu: status %d, %s", k, status, err.message);
        }
        fb_model_free(model);
        assert_int_equal(refuse.held, before);
        fb_context_free(tight);
        assert_int_equal(refuse.held, 0);
    }
    assert_true(finished);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports_and_weights), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_external_traps),    cmocka_unit_test(test_external_shrinks_and_overlaps),
        cmocka_unit_test(test_refused_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
