/* An ONNX file that somebody writes to while it is read: what was counted is never gone beyond. Two files of one size, in which a message has few
 * parts or many; from some read on the reader sees the other one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/context.h"
#include "fewbit/fewbit.h"
#include "io/onnx_maker.h"

/* Larger than the reader's window, so that the second pass over a message reads again. */
enum { NODE_BYTES = 200000, ATTRIBUTE_BYTES = 150000, FEW = 2, MANY = 3000, READS = 40 };

static struct { Proto before, after; size_t reads, change_at; } changing;

static int changing_read(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    (void)handle;
    const Proto *file = changing.reads++ < changing.change_at ? &changing.before : &changing.after;
    *done = offset >= file->count ? 0 : bytes < file->count - offset ? bytes : file->count - (size_t)offset;
    memcpy(buffer, file->data + (*done > 0 ? offset : 0), *done);
    return 0;
}

/* A doc string in front brings the message to `bytes`. */
static Proto padded(Proto parts, uint32_t doc_tag, size_t bytes)
{
    Proto p = {0};
    char *doc = calloc(bytes, 1);
    assert_non_null(doc);
    size_t head = 1 + 3; /* the tag, and a length from 2^14 to below 2^21 */
    assert_true(parts.count + head + (1 << 14) < bytes);
    memset(doc, 'd', bytes);
    proto_bytes(&p, doc_tag, doc, bytes - parts.count - head);
    proto_raw(&p, parts.data, parts.count);
    assert_int_equal(p.count, bytes);
    free(doc);
    free(parts.data);
    return p;
}

static Proto make_file(Proto node_parts)
{
    Proto graph = {0};
    const int64_t dims[] = {1};
    proto_text(&graph, 2, "g");
    proto_child(&graph, 11, make_info("x", 1, 1, dims));
    proto_child(&graph, 12, make_info("y", 1, 1, dims));
    proto_child(&graph, 1, padded(node_parts, 6, NODE_BYTES));
    return make_model(graph, 8, 13);
}

static Proto with_inputs(size_t count)
{
    Proto node = make_node("Sum", "x", "y");
    for (size_t i = 1; i < count; i++) {
        proto_text(&node, 1, "x");
    }
    return make_file(node);
}
static Proto with_outputs(size_t count)
{
    Proto node = make_node("Split", "x", "y");
    for (size_t i = 1; i < count; i++) {
        proto_text(&node, 2, "");
    }
    return make_file(node);
}
static Proto with_attributes(size_t count)
{
    Proto node = make_node("Sum", "x", "y");
    for (size_t i = 0; i < count && i < 500; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%zu", i);
        proto_child(&node, 5, make_int_attribute(name, 1));
    }
    return make_file(node);
}
static Proto with_list(size_t count, int type, uint32_t tag)
{
    Proto node = make_node("Sum", "x", "y"), list = {0};
    proto_text(&list, 1, "list");
    proto_int(&list, 20, type);
    for (size_t i = 0; i < count; i++) {
        if (type == 6) {
            proto_float(&list, tag, 1.0f);
        } else if (type == 7) {
            proto_int(&list, tag, 1);
        } else {
            proto_text(&list, tag, "s");
        }
    }
    proto_child(&node, 5, padded(list, 13, ATTRIBUTE_BYTES));
    return make_file(node);
}
static Proto with_floats(size_t count) { return with_list(count, 6, 7); }
static Proto with_ints(size_t count) { return with_list(count, 7, 8); }
static Proto with_strings(size_t count) { return with_list(count, 8, 9); }
static Proto with_unknown(size_t count)
{
    Proto node = make_node("Sum", "x", "y");
    for (size_t i = 0; i < count; i++) {
        proto_int(&node, 900, 1);
    }
    return make_file(node);
}

static void each_change(const char *name, Proto (*make)(size_t), const char *path)
{
    size_t noticed = 0;
    for (int grows = 0; grows < 2; grows++) {
        changing.before = make(grows ? FEW : MANY);
        changing.after = make(grows ? MANY : FEW);
        assert_int_equal(changing.before.count, changing.after.count);
        FILE *f = fopen(path, "wb"); /* its size is looked at, its bytes come from the hook */
        assert_non_null(f);
        assert_int_equal(fwrite(changing.before.data, 1, changing.before.count, f), changing.before.count);
        fclose(f);
        for (changing.change_at = 1; changing.change_at < READS; changing.change_at++) {
            FbContext *plain = NULL, *context = NULL;
            FbModel *model = NULL;
            FbError err = {0};
            assert_int_equal(fb_context_create(NULL, &plain, &err), FB_OK);
            FbFileHooks files = *fb_context_files(plain);
            files.read_at = changing_read;
            FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .files = &files};
            assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
            changing.reads = 0;
            FbStatus status = fb_model_load(context, path, &model, &err);
            noticed += grows && status == FB_ERR_IO && strstr(err.message, "the file changed while it was read") != NULL;
            fb_model_free(model);
            assert_int_equal(fb_context_memory_now(context), 0);
            fb_context_free(context);
            fb_context_free(plain);
        }
        free(changing.before.data);
        free(changing.after.data);
    }
    if (noticed == 0) {
        fail_msg("%s: no change was noticed", name);
    }
}

static void test_changing(void **state)
{
    static const struct { const char *name; Proto (*make)(size_t); } cases[] = {
        {"inputs", with_inputs}, {"outputs", with_outputs}, {"attributes", with_attributes}, {"floats", with_floats},
        {"ints", with_ints},     {"strings", with_strings}, {"unknown fields", with_unknown},
    };
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "test_onnx_changing_%d.onnx", (int)getpid());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        each_change(cases[i].name, cases[i].make, path);
    }
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
