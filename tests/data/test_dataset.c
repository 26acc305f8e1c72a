/* Data sets of every kind over plain ports: shapes, labels, conversions, messages, the hash. */
#define _XOPEN_SOURCE 700 /* mkdtemp, symlink, mkfifo */
#include "data_test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "test_dataset_XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void copy_picture(const char *fixture, const char *name)
{
    char command[2048];
    snprintf(command, sizeof command, "cp '%s' '%s/%s'", test_path(fixture), folder, name);
    assert_int_equal(system(command), 0);
}

static const char *inside(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static FbStatus open_data(FbContext *context, const FbPort *ports, size_t count, const char *path, const char *preprocess, FbDataset **d,
                          FbError *err)
{
    return fb_dataset_open_ports(context, ports, count, path, preprocess, d, err);
}

static void npz(void **state)
{
    (void)state;
    const FbPort ports[2] = {{"image", FB_DTYPE_F32, 4, {-1, 1, 2, 3}}, {"ids", FB_DTYPE_S64, 2, {-2, -1}}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    assert_ok(open_data(context, ports, 2, test_path("fixtures/rows.npz"), NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 7);
    assert_true(fb_dataset_has_labels(d));
    for (size_t step = 0; step < 14; step++) {
        size_t i = step * 5 % 7;
        assert_ok(fb_dataset_read(d, i, &s, &err));
        assert_int_equal(s.input_count, 2);
        assert_int_equal(s.label, i % 3);
        assert_int_equal(s.position, i % 4);
        assert_int_equal(s.inputs[0].dims[0], 1);
        assert_int_equal(s.inputs[0].rank, 4);
        assert_true(((float *)s.inputs[0].data)[5] == (float)((i * 6 + 5) % 251));
        assert_int_equal(s.inputs[1].rank, 2); /* already shaped per sample: (T, 1) */
        assert_int_equal(s.inputs[1].dims[0], 4);
        assert_int_equal(((int64_t *)s.inputs[1].data)[3], i * 4 + 3);
    }
    assert_int_equal(fb_dataset_read(d, 7, &s, &err), FB_ERR_ARGUMENT);
    char hash[65], again[65];
    assert_ok(fb_dataset_hash(d, hash, &err));
    assert_ok(fb_dataset_hash(d, again, &err));
    assert_string_equal(hash, again);
    fb_dataset_free(d);

    const FbPort wrong_shape[1] = {{"image", FB_DTYPE_F32, 4, {-1, 3, 2, 3}}};
    assert_int_equal(open_data(context, wrong_shape, 1, test_path("fixtures/rows.npz"), NULL, &d, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "1x1x2x3"));
    const FbPort wrong_name[2] = {{"picture", FB_DTYPE_F32, 4, {-1, 1, 2, 3}}, {"ids", FB_DTYPE_S64, 2, {-2, -1}}};
    assert_int_equal(open_data(context, wrong_name, 2, test_path("fixtures/rows.npz"), NULL, &d, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "'labels'"));
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void npy(void **state)
{
    (void)state;
    const FbPort port = {"x", FB_DTYPE_F32, 3, {-1, 3, 4}};
    const FbPort integers = {"x", FB_DTYPE_S32, 3, {-1, 3, 4}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    assert_ok(open_data(context, &port, 1, test_path("fixtures/version2.npy"), NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 2);
    assert_false(fb_dataset_has_labels(d));
    assert_ok(fb_dataset_read(d, 1, &s, &err));
    assert_int_equal(s.label, -1);
    assert_int_equal(s.position, -1);
    assert_true(((float *)s.inputs[0].data)[0] == 12 * 1.5f - 7);
    fb_dataset_free(d);
    assert_ok(open_data(context, &integers, 1, test_path("fixtures/version2.npy"), NULL, &d, &err));
    assert_int_equal(fb_dataset_read(d, 0, &s, &err), FB_ERR_ARGUMENT); /* fractions do not become integers */
    fb_dataset_free(d);
    fb_context_free(context);
}

static void conversions(void **state)
{
    (void)state;
    FbError err = {0};
    int64_t wide[3] = {-128, 127, 200};
    int8_t narrow[3];
    assert_ok(fb_convert_elements("x", FB_DTYPE_S64, wide, FB_DTYPE_S8, narrow, 2, &err));
    assert_int_equal(narrow[0], -128);
    assert_int_equal(narrow[1], 127);
    assert_int_equal(fb_convert_elements("x", FB_DTYPE_S64, wide, FB_DTYPE_S8, narrow, 3, &err), FB_ERR_NUMERIC);
    uint64_t big = UINT64_MAX;
    int64_t signed64 = 0;
    assert_int_equal(fb_convert_elements("x", FB_DTYPE_U64, &big, FB_DTYPE_S64, &signed64, 1, &err), FB_ERR_NUMERIC);
    double large[2] = {1e300, 0.1};
    float floats[2];
    assert_int_equal(fb_convert_elements("x", FB_DTYPE_F64, large, FB_DTYPE_F32, floats, 1, &err), FB_ERR_NUMERIC);
    assert_ok(fb_convert_elements("x", FB_DTYPE_F64, large + 1, FB_DTYPE_F32, floats, 1, &err));
    assert_true(floats[0] == 0.1f);
    uint8_t truth[2] = {1, 2}, bools[2];
    assert_int_equal(fb_convert_elements("x", FB_DTYPE_BOOL, truth, FB_DTYPE_BOOL, bools, 2, &err), FB_ERR_NUMERIC);
}

static void pictures_with_labels(void **state)
{
    (void)state;
    const FbPort port = {"image", FB_DTYPE_F32, 4, {-1, 3, 19, 23}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    make_folder();
    assert_int_equal(open_data(context, &port, 1, folder, "0..255", &d, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "no .png or .jpg pictures"));
    copy_picture("fixtures/rgb.png", "b.png");
    copy_picture("fixtures/rgb420.jpg", "a.JPG");
    assert_int_equal(open_data(context, &port, 1, folder, NULL, &d, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "fewbit.preprocess/1"));
    assert_ok(open_data(context, &port, 1, folder, "0..255", &d, &err));
    assert_false(fb_dataset_has_labels(d));
    assert_ok(fb_dataset_read(d, 0, &s, &err));
    assert_string_equal(s.name, "a.JPG");
    fb_dataset_free(d);

    write_text("labels.tsv", "b.png\t7\tn01\tsome name\r\na.JPG\t0\n\n");
    write_text("preprocess.json", "{\"schema\":\"fewbit.preprocess/1\",\"scale\":0.5,\"mean\":1}");
    assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 2);
    assert_ok(fb_dataset_read(d, 0, &s, &err));
    assert_string_equal(s.name, "b.png");
    assert_int_equal(s.label, 7);
    FbArrays *arrays = test_arrays(context, "fixtures/pictures.npz");
    size_t count = 0;
    uint8_t *want = test_array(context, arrays, "rgb.png", &count);
    for (size_t i = 0; i < 19 * 23; i++) {
        assert_true(((float *)s.inputs[0].data)[19 * 23 + i] == (float)(want[3 * i + 1] * 0.5 - 1));
    }
    fb_free(context, want);
    fb_arrays_free(arrays);
    fb_dataset_free(d);

    static const char *const bad[] = {"b.png\n", "b.png\tcat\n", "b.png\t-1\n", "b.png\t99999999999\n", "\t3\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text("labels.tsv", bad[i]);
        assert_int_equal(open_data(context, &port, 1, folder, NULL, &d, &err), FB_ERR_FORMAT);
        assert_non_null(strstr(err.message, "line 1"));
    }
    static const char *const outside[] = {"../test_dataset_outside.png\t0\n", "/etc/hostname\t0\n", "absent.png\t0\n", "link.png\t0\n"};
    assert_int_equal(symlink("/etc/hostname", inside("link.png")), 0);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        write_text("labels.tsv", outside[i]);
        assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
        assert_int_not_equal(fb_dataset_read(d, 0, &s, &err), FB_OK);
        fb_dataset_free(d);
    }
    write_text("labels.tsv", "b.png\t1\n");
    write_text("preprocess.json", "{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{\"size\":[10,10]}}]}");
    assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_read(d, 0, &s, &err), FB_ERR_ARGUMENT); /* 10 x 10 is not what the model takes */
    fb_dataset_free(d);
    assert_int_equal(mkfifo(inside("pipe.png"), 0600), 0);
    write_text("labels.tsv", "pipe.png\t1\n");
    assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
    assert_int_not_equal(fb_dataset_read(d, 0, &s, &err), FB_OK);
    fb_dataset_free(d);
    remove_folder();
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void classes_by_folder(void **state)
{
    (void)state;
    const FbPort port = {"image", FB_DTYPE_U8, 4, {1, 19, 23, 1}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    make_folder();
    assert_int_equal(mkdir(inside("zebra"), 0700), 0);
    assert_int_equal(mkdir(inside("ant"), 0700), 0);
    copy_picture("fixtures/grey.png", "zebra/2.png");
    copy_picture("fixtures/grey1.png", "zebra/1.png");
    copy_picture("fixtures/rgb.png", "ant/9.png");
    assert_ok(open_data(context, &port, 1, folder, "0..255", &d, &err));
    assert_int_equal(fb_dataset_count(d), 3);
    assert_true(fb_dataset_has_labels(d));
    assert_ok(fb_dataset_read(d, 0, &s, &err));
    assert_string_equal(s.name, "ant/9.png");
    assert_int_equal(s.label, 0);
    FbArrays *arrays = test_arrays(context, "fixtures/resized.npz");
    size_t count = 0;
    uint8_t *want = test_array(context, arrays, "grey", &count);
    assert_int_equal(count, s.inputs[0].bytes);
    assert_memory_equal(s.inputs[0].data, want, count);
    fb_free(context, want);
    fb_arrays_free(arrays);
    assert_ok(fb_dataset_read(d, 1, &s, &err));
    assert_string_equal(s.name, "zebra/1.png");
    assert_int_equal(s.label, 1);
    fb_dataset_free(d);
    remove_folder();
    fb_context_free(context);
}

static void jsonl(void **state)
{
    (void)state;
    const FbPort ports[2] = {{"ids", FB_DTYPE_S64, 2, {-1, -2}}, {"x", FB_DTYPE_F32, 3, {1, -1, 2}}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    make_folder();
    write_text("d.jsonl", "{\"inputs\":{\"ids\":[5,6,7],\"x\":[[[1,2.5],[3,-4]]]},\"label\":2}\n\n"
                          "{\"inputs\":{\"ids\":[[1],[2]],\"x\":[[0,1]]},\"label\":1,\"position\":1}");
    assert_ok(open_data(context, ports, 2, inside("d.jsonl"), NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 2);
    assert_true(fb_dataset_has_labels(d));
    assert_ok(fb_dataset_read(d, 1, &s, &err));
    assert_int_equal(s.inputs[0].dims[0], 2);
    assert_int_equal(s.inputs[0].dims[1], 1);
    assert_int_equal(s.position, 1);
    assert_string_equal(s.name, "line 3");
    assert_ok(fb_dataset_read(d, 0, &s, &err));
    assert_int_equal(s.inputs[0].dims[0], 1);
    assert_int_equal(s.inputs[0].dims[1], 3);
    assert_int_equal(((int64_t *)s.inputs[0].data)[2], 7);
    assert_true(((float *)s.inputs[1].data)[3] == -4);
    assert_int_equal(s.label, 2);
    assert_int_equal(s.position, -1);
    fb_dataset_free(d);
    static const char *const bad[] = {
        "{\"inputs\":{\"ids\":[[1,2],[3]],\"x\":[[0,1]]}}",   "{\"inputs\":{\"ids\":[1.5],\"x\":[[0,1]]}}",
        "{\"inputs\":{\"ids\":[1]}}",                         "{\"inputs\":{\"ids\":[1],\"x\":[[0,1]]},\"lable\":1}",
        "{\"inputs\":{\"ids\":[1],\"x\":[[0,1]]},\"label\":-3}", "{\"inputs\":{\"ids\":[\"a\"],\"x\":[[0,1]]}}",
        "{\"inputs\":{\"ids\":[1],\"x\":[[0,1]]}",            "{\"text\":\"hello\"}",
        "{\"inputs\":{\"ids\":[[[1]]],\"x\":[[0,1]]}}",       "{\"inputs\":{\"ids\":[1,[2]],\"x\":[[0,1]]}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text("bad.jsonl", bad[i]);
        FbStatus status = open_data(context, ports, 2, inside("bad.jsonl"), NULL, &d, &err);
        if (status == FB_OK || fb_status_exit_code(status) > 4) {
            fail_msg("%s: %s", bad[i], fb_status_name(status));
        }
        assert_non_null(strstr(err.message, "line 1"));
    }
    remove_folder();
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

/* A TensorProto by hand: dims 2 and 3 (field 1), FLOAT (field 2 = 1), raw_data (field 9). */
static void write_tensor(const char *name, const float values[6])
{
    uint8_t bytes[32] = {0x08, 2, 0x08, 3, 0x10, 1, 0x4a, 24};
    memcpy(bytes + 8, values, 24);
    FILE *f = fopen(inside(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, 32, f), 32);
    fclose(f);
}

static void onnx_folders(void **state)
{
    (void)state;
    const FbPort port = {"x", FB_DTYPE_F32, 2, {2, 3}}, wrong = {"x", FB_DTYPE_S32, 2, {2, 3}}, shape = {"x", FB_DTYPE_F32, 2, {3, 3}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    const float zero[6] = {0, 1, 2, 3, 4, 5}, one[6] = {9, 8, 7, 6, 5, 4};
    make_folder();
    assert_int_equal(mkdir(inside("m_test_data_set_1"), 0700), 0);
    assert_int_equal(mkdir(inside("m_test_data_set_0"), 0700), 0);
    write_tensor("m_test_data_set_0/input_0.pb", zero);
    write_tensor("m_test_data_set_0/output_0.pb", one);
    write_tensor("m_test_data_set_1/input_0.pb", one);
    assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 2);
    assert_ok(fb_dataset_read(d, 0, &s, &err));
    assert_string_equal(s.name, "m_test_data_set_0");
    assert_memory_equal(s.inputs[0].data, zero, sizeof zero);
    assert_int_equal(s.target_count, 1);
    assert_memory_equal(s.targets[0].data, one, sizeof one);
    assert_ok(fb_dataset_read(d, 1, &s, &err));
    assert_memory_equal(s.inputs[0].data, one, sizeof one);
    assert_int_equal(s.target_count, 0);
    fb_dataset_free(d);
    assert_ok(open_data(context, &port, 1, inside("m_test_data_set_1"), NULL, &d, &err));
    assert_int_equal(fb_dataset_count(d), 1);
    fb_dataset_free(d);
    assert_ok(open_data(context, &wrong, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_read(d, 0, &s, &err), FB_ERR_FORMAT);
    fb_dataset_free(d);
    assert_ok(open_data(context, &shape, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_read(d, 0, &s, &err), FB_ERR_ARGUMENT);
    fb_dataset_free(d);
    FILE *f = fopen(inside("m_test_data_set_0/input_0.pb"), "wb");
    fputs("\x08\x02garbage", f);
    fclose(f);
    assert_ok(open_data(context, &port, 1, folder, NULL, &d, &err));
    assert_int_equal(fb_dataset_read(d, 0, &s, &err), FB_ERR_FORMAT);
    fb_dataset_free(d);
    remove_folder();
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static FbStatus give_sample(void *user, size_t index, FbSample *sample, FbError *err)
{
    (void)err;
    sample->inputs = user;
    sample->input_count = 1;
    sample->label = (int64_t)index;
    return FB_OK;
}

static void callback(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    FbSample s;
    float value = 3;
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 1, .dims = {1}, .data = &value, .bytes = 4};
    assert_ok(fb_dataset_from_callback(context, 2, give_sample, &tensor, &d, &err));
    assert_int_equal(fb_dataset_count(d), 2);
    assert_ok(fb_dataset_read(d, 1, &s, &err));
    assert_int_equal(s.label, 1);
    assert_int_equal(s.position, -1);
    assert_non_null(s.name);
    char first[65], second[65];
    assert_ok(fb_dataset_hash(d, first, &err));
    value = 4;
    assert_ok(fb_dataset_hash(d, second, &err));
    assert_string_not_equal(first, second);
    fb_dataset_free(d);
    fb_context_free(context);
}

static void not_data(void **state)
{
    (void)state;
    const FbPort port = {"image", FB_DTYPE_F32, 4, {-1, 3, 19, 23}};
    FbContext *context = test_context();
    FbError err = {0};
    FbDataset *d = NULL;
    assert_int_equal(open_data(context, &port, 1, "no/such/place", NULL, &d, &err), FB_ERR_IO);
    assert_int_equal(open_data(context, &port, 1, test_path("invalid.tsv"), NULL, &d, &err), FB_ERR_FORMAT);
    assert_int_equal(open_data(context, &port, 1, test_path("fixtures/rgb.png"), "0..1", &d, &err), FB_ERR_ARGUMENT);
    assert_int_equal(open_data(context, &port, 1, test_path("fixtures/stored.npz"), NULL, &d, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npz),     cmocka_unit_test(npy),   cmocka_unit_test(conversions), cmocka_unit_test(pictures_with_labels),
        cmocka_unit_test(classes_by_folder), cmocka_unit_test(jsonl), cmocka_unit_test(onnx_folders), cmocka_unit_test(callback),    cmocka_unit_test(not_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
