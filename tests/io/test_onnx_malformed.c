/* Damaged and hostile ONNX files: each gets its status and a message, none gets further. Ids name the cases of the test catalogue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "context_test.h"
#include "io/onnx/onnx.h"
#include "io/onnx_maker.h"

static FbError err;

static FbStatus load_bytes(const void *bytes, size_t count)
{
    FbSource *source;
    FbModel *model = NULL;
    err = (FbError){0};
    if (fb_source_from_memory(context, bytes, count, &source, NULL) != FB_OK) {
        return FB_ERR_NO_MEMORY;
    }
    FbStatus status = fb_onnx_load_source(context, source, "m.onnx", true, &model, &err);
    assert_true((status == FB_OK) == (model != NULL));
    assert_true(status == FB_OK || (err.status == status && err.message[0] != '\0'));
    fb_model_free(model);
    fb_source_release(source);
    return status;
}

/* Takes the bytes. `says`: what the message must hold. */
static void expect(Proto file, FbStatus status, const char *says)
{
    FbStatus got = load_bytes(file.data, file.count);
    free(file.data);
    if (got != status || (says != NULL && strstr(err.message, says) == NULL)) {
        fail_msg("status %d (%s), expected %d and '%s'", got, err.message, status, says == NULL ? "" : says);
    }
}

static void expect_graph(Proto graph, FbStatus status, const char *says) { expect(make_model(graph, 8, 13), status, says); }

static void test_container(void **state)
{
    (void)state;
    expect(make_model(make_plain_graph(), 8, 13), FB_OK, NULL);
    expect((Proto){0}, FB_ERR_FORMAT, "empty"); /* O1 */
    Proto p = {0};
    for (int i = 0; i < 11; i++) {
        proto_raw(&p, "\xff", 1);
    }
    expect(p, FB_ERR_FORMAT, "m.onnx"); /* O2 */
    p = (Proto){0};
    for (int i = 0; i < 100000; i++) {
        proto_tag(&p, 7, 3);
    }
    expect(p, FB_ERR_FORMAT, "group"); /* O5 */
    p = (Proto){0};
    proto_tag(&p, 7, 2);
    proto_varint(&p, (uint64_t)1 << 63);
    expect(p, FB_ERR_FORMAT, "beyond the end"); /* O7 */
    p = (Proto){0};
    proto_text(&p, 1, "8");
    expect(p, FB_ERR_FORMAT, "wire type"); /* O8 */
    p = (Proto){0};
    proto_int(&p, 1, 8);
    proto_child(&p, 8, make_opset("", 13));
    expect(p, FB_ERR_FORMAT, "graph"); /* O9 */
}

static void test_sniffed(void **state)
{
    (void)state;
    static const char *const heads[][2] = {{"GGUF\3\0\0\0aaaaaaaaaaaaaaaa", "GGUF"},
                                           {"PK\3\4aaaaaaaaaaaaaaaaaaaaaa", "zip"},
                                           {"\x80\x02}aaaaaaaaaaaaaaaaaaaaaa", "pickle"},
                                           {"aaaaTFL3aaaaaaaaaaaaaaaaaa", "Lite"},
                                           {"aaaaaaaa{\"__metadata__\":{}}", "safetensors"},
                                           {"version https://git-lfs.github.com/spec/v1", "git lfs pull"},
                                           {"<!DOCTYPE html><html>aaaaaa", "HTML"}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_int_equal(load_bytes(heads[i][0], 24), FB_ERR_FORMAT);
        assert_non_null(strstr(err.message, heads[i][1]));
    }
}

static void test_truncated_everywhere(void **state)
{
    (void)state;
    Proto g = make_plain_graph();
    for (int i = 0; i < 40; i++) { /* about 2 KB */
        char in[16], out[16];
        snprintf(in, sizeof in, i == 0 ? "y" : "t%d", i - 1);
        snprintf(out, sizeof out, "t%d", i);
        Proto n = make_node("LeakyRelu", in, out);
        proto_child(&n, 5, make_int_attribute("axis", i));
        proto_child(&g, 1, n);
    }
    Proto p = make_model(g, 8, 13);
    assert_true(p.count > 2000);
    for (size_t cut = 0; cut < p.count; cut++) { /* O3 */
        if (load_bytes(p.data, cut) != FB_ERR_FORMAT) {
            fail_msg("cut at %zu of %zu: %s", cut, p.count, err.message);
        }
    }
    assert_int_equal(load_bytes(p.data, p.count), FB_OK);
    /* Every byte, each bit flipped: any answer but a crash, and whatever loads is freed whole. */
    for (size_t at = 0; at < p.count; at++) {
        for (int bit = 0; bit < 8; bit++) {
            p.data[at] ^= (uint8_t)(1 << bit);
            load_bytes(p.data, p.count);
            p.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    free(p.data);
}

static void test_too_much(void **state)
{
    (void)state;
    Proto inner = make_plain_graph();
    for (int i = 0; i < 3000; i++) { /* O4 */
        Proto outer = {0};
        Proto n = make_node("If", "", "");
        proto_child(&n, 5, make_graph_attribute("then_branch", inner));
        proto_child(&outer, 1, n);
        inner = outer;
    }
    expect_graph(inner, FB_ERR_BUDGET, "nested");
    Proto g = {0};
    for (int i = 0; i < 2000000; i++) { /* O6 */
        proto_bytes(&g, 1, NULL, 0);
    }
    expect_graph(g, FB_ERR_FORMAT, "operator");
    g = make_plain_graph();
    char *name = malloc(1 << 20);
    memset(name, 'n', 1 << 20);
    name[(1 << 20) - 1] = '\0';
    proto_child(&g, 1, make_node("Relu", "y", name)); /* O40 */
    free(name);
    expect_graph(g, FB_ERR_BUDGET, "name");
    /* What is compared with each other is few. */
    g = make_plain_graph();
    Proto n = make_node("Relu", "y", "z");
    for (int i = 0; i < 300000; i++) {
        char attribute[16];
        snprintf(attribute, sizeof attribute, "a%d", i);
        proto_child(&n, 5, make_int_attribute(attribute, i));
    }
    proto_child(&g, 1, n);
    expect_graph(g, FB_ERR_BUDGET, "attributes");
    Proto p = make_model(make_plain_graph(), 8, 13);
    for (int i = 0; i < 1000; i++) {
        char domain[16];
        snprintf(domain, sizeof domain, "d%d", i);
        proto_child(&p, 8, make_opset(domain, 1));
    }
    expect(p, FB_ERR_BUDGET, "operator sets");
    /* Many small unknown fields between known ones are carried, in no time. */
    p = make_model(make_plain_graph(), 8, 13);
    for (int i = 0; i < 200000; i++) {
        proto_int(&p, 60, i);
        proto_int(&p, 5, i);
    }
    expect(p, FB_OK, NULL);
    /* More nodes than any model has. */
    g = (Proto){0};
    proto_child(&g, 11, make_info("x", 1, -1, NULL));
    for (int i = 0; i < (1 << 20) + 1; i++) {
        proto_bytes(&g, 1, "\x0a\x01x\x22\x01R", 6);
    }
    expect_graph(g, FB_ERR_BUDGET, "nodes");
}

static void test_versions(void **state)
{
    (void)state;
    expect(make_model(make_plain_graph(), 0, 13), FB_ERR_FORMAT, "IR version"); /* O10 */
    expect(make_model(make_plain_graph(), -3, 13), FB_ERR_FORMAT, "IR version");
    expect(make_model(make_plain_graph(), 99, 13), FB_ERR_UNSUPPORTED, "IR version 99");
    expect(make_model(make_plain_graph(), 8, 0), FB_ERR_FORMAT, "version 0");
    expect(make_model(make_plain_graph(), 8, -1), FB_ERR_FORMAT, "version -1");
    expect(make_model(make_plain_graph(), 8, 9999), FB_ERR_UNSUPPORTED, "9999");
    Proto p = make_model(make_plain_graph(), 8, 13);
    proto_child(&p, 8, make_opset("", 14));
    expect(p, FB_ERR_FORMAT, "versions 13 and 14");
}

static Proto with_tensor(Proto tensor)
{
    Proto g = make_plain_graph();
    proto_child(&g, 5, tensor);
    return g;
}

static void test_tensors(void **state)
{
    (void)state;
    static const float four[4] = {1, 2, 3, 4};
    int64_t two[1] = {2};
    expect_graph(with_tensor(make_tensor("t", 1, 2, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32}, four, 8)), FB_ERR_FORMAT, "'t'"); /* O11 */
    expect_graph(with_tensor(make_tensor("t", 11, 2, (int64_t[]){(int64_t)1 << 31, (int64_t)1 << 31}, four, 8)), FB_ERR_FORMAT, "'t'");
    expect_graph(with_tensor(make_tensor("t", 1, 1, (int64_t[]){-2}, four, 8)), FB_ERR_FORMAT, "-2"); /* O12 */
    expect_graph(with_tensor(make_tensor("t", 1, 1, (int64_t[]){0}, four, 0)), FB_OK, NULL);
    expect_graph(with_tensor(make_tensor("t", 1, 1, two, four, 4)), FB_ERR_FORMAT, "4 bytes"); /* O13 */
    expect_graph(with_tensor(make_tensor("t", 1, 1, two, four, 12)), FB_ERR_FORMAT, "12 bytes");
    expect_graph(with_tensor(make_tensor("t", 1, 1, two, NULL, 0)), FB_ERR_FORMAT, "no data");
    Proto t = make_tensor("t", 1, 1, two, four, 8); /* O14 */
    proto_float(&t, 4, 1);
    proto_float(&t, 4, 2);
    expect_graph(with_tensor(t), FB_ERR_FORMAT, "two places");
    expect_graph(with_tensor(make_tensor("t", 0, 1, two, four, 8)), FB_ERR_FORMAT, "element type"); /* O15 */
    expect_graph(with_tensor(make_tensor("t", 999, 1, two, four, 8)), FB_ERR_UNSUPPORTED, "999");
    expect_graph(with_tensor(make_tensor("t", 8, 1, two, four, 8)), FB_ERR_FORMAT, "strings");
    expect_graph(with_tensor(make_tensor("t", 22, 1, (int64_t[]){3}, "\x21\xf3", 2)), FB_OK, NULL); /* O16: padding is not looked at */
    expect_graph(with_tensor(make_tensor("t", 1, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, four, 4)), FB_ERR_UNSUPPORTED, "dimensions");
    t = make_tensor("t", 1, 1, two, NULL, 0);
    proto_float(&t, 4, 1);
    expect_graph(with_tensor(t), FB_ERR_FORMAT, "less data");
    t = make_tensor("t", 1, 1, two, NULL, 0);
    proto_bytes(&t, 4, four, 16);
    expect_graph(with_tensor(t), FB_ERR_FORMAT, "more data");
    t = make_tensor("t", 1, 1, (int64_t[]){(int64_t)1 << 40}, NULL, 0);
    proto_float(&t, 4, 1);
    expect_graph(with_tensor(t), FB_ERR_FORMAT, "does not fit");
    t = make_tensor("t", 7, 1, two, NULL, 0); /* int64 in the field of int32 */
    proto_int(&t, 5, 1);
    proto_int(&t, 5, 1);
    expect_graph(with_tensor(t), FB_ERR_FORMAT, "does not fit");
}

static void test_names(void **state)
{
    (void)state;
    Proto g = {0}; /* O28 */
    proto_child(&g, 1, make_node("Relu", "b", "a"));
    proto_child(&g, 1, make_node("Relu", "a", "b"));
    expect_graph(g, FB_ERR_FORMAT, "its own output");
    g = make_plain_graph(); /* O29 */
    proto_child(&g, 1, make_node("Relu", "nowhere", "z"));
    expect_graph(g, FB_ERR_FORMAT, "'nowhere'");
    g = make_plain_graph();
    proto_child(&g, 12, make_info("nowhere", 1, -1, NULL));
    expect_graph(g, FB_ERR_FORMAT, "'nowhere'");
    g = make_plain_graph(); /* O30 */
    proto_child(&g, 1, make_node("Relu", "x", "y"));
    expect_graph(g, FB_ERR_FORMAT, "twice");
    g = make_plain_graph();
    proto_child(&g, 1, make_node("Split", "x", "s,s"));
    expect_graph(g, FB_ERR_FORMAT, "twice");
    g = make_plain_graph();
    proto_child(&g, 12, make_info("y", 1, -1, NULL));
    expect_graph(g, FB_ERR_FORMAT, "twice");
    g = make_plain_graph(); /* O31 */
    proto_child(&g, 5, make_tensor("w", 1, 0, NULL, "\0\0\0\0", 4));
    expect_graph(g, FB_ERR_FORMAT, "'w' is listed twice");
    g = make_plain_graph();
    proto_child(&g, 11, make_info("x", 1, -1, NULL));
    expect_graph(g, FB_ERR_FORMAT, "'x' is listed twice");
    g = make_plain_graph(); /* a node that writes an input */
    proto_child(&g, 1, make_node("Relu", "y", "x"));
    expect_graph(g, FB_ERR_FORMAT, "'x'");
    g = make_plain_graph(); /* O40 */
    Proto n = make_node("Relu", "y", "z");
    proto_bytes(&n, 3, "a\0b", 3);
    proto_child(&g, 1, n);
    expect_graph(g, FB_ERR_FORMAT, "NUL");
    g = make_plain_graph();
    proto_child(&g, 1, make_node("Re\xff\x1b[31mlu", "y", "<script>"));
    expect_graph(g, FB_OK, NULL);
    g = make_plain_graph();
    proto_child(&g, 1, make_node("Re\xff\x1b[31mlu", "y", "y"));
    expect_graph(g, FB_ERR_FORMAT, NULL);
    assert_null(strchr(err.message, '\x1b'));
}

static void test_attributes(void **state)
{
    (void)state;
    Proto g = make_plain_graph(); /* O33 */
    Proto n = make_node("LeakyRelu", "y", "z");
    proto_child(&n, 5, make_int_attribute("axis", 1));
    proto_child(&n, 5, make_int_attribute("axis", 2));
    proto_child(&g, 1, n);
    expect_graph(g, FB_ERR_FORMAT, "'axis' is given twice");
    g = make_plain_graph();
    n = make_node("LeakyRelu", "y", "z");
    Proto a = make_int_attribute("alpha", 1);
    proto_int(&a, 20, 1); /* says float */
    proto_child(&n, 5, a);
    proto_child(&g, 1, n);
    expect_graph(g, FB_ERR_FORMAT, "another kind");
    g = make_plain_graph();
    n = make_node("LeakyRelu", "y", "z");
    proto_child(&n, 5, make_int_attribute("", 1));
    proto_child(&g, 1, n);
    expect_graph(g, FB_ERR_FORMAT, "without a name");
}

static Proto make_function(const char *name, Proto node)
{
    Proto f = {0};
    proto_text(&f, 1, name);
    proto_text(&f, 4, "a");
    proto_text(&f, 5, "b");
    proto_child(&f, 7, node);
    proto_child(&f, 9, make_opset("", 13));
    proto_child(&f, 9, make_opset("own", 1));
    proto_text(&f, 10, "own");
    return f;
}

static Proto own_node(const char *op_type)
{
    Proto n = make_node(op_type, "a", "b");
    proto_text(&n, 7, "own");
    return n;
}

static void test_functions(void **state)
{
    (void)state;
    Proto p = make_model(make_plain_graph(), 8, 13);
    proto_child(&p, 25, make_function("A", own_node("A"))); /* O32 */
    expect(p, FB_ERR_FORMAT, "'A' calls itself");
    p = make_model(make_plain_graph(), 8, 13);
    proto_child(&p, 25, make_function("A", own_node("B")));
    proto_child(&p, 25, make_function("B", own_node("A")));
    expect(p, FB_ERR_FORMAT, "calls itself");
    p = make_model(make_plain_graph(), 8, 13);
    Proto branch = {0}; /* through a branch */
    Proto inner = make_node("A", "a", "c");
    proto_text(&inner, 7, "own");
    proto_child(&branch, 1, inner);
    proto_child(&branch, 12, make_info("c", 1, -1, NULL));
    Proto n = make_node("If", "a", "b");
    proto_child(&n, 5, make_graph_attribute("then_branch", branch));
    proto_child(&p, 25, make_function("A", n));
    expect(p, FB_ERR_FORMAT, "calls itself");
    p = make_model(make_plain_graph(), 8, 13);
    proto_child(&p, 25, make_function("A", own_node("B")));
    proto_child(&p, 25, make_function("B", make_node("Relu", "a", "b")));
    expect(p, FB_OK, NULL);
    p = make_model(make_plain_graph(), 8, 13);
    proto_child(&p, 25, make_function("B", make_node("Relu", "missing", "b")));
    expect(p, FB_ERR_FORMAT, "'missing'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_container), cmocka_unit_test(test_sniffed),  cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_too_much),  cmocka_unit_test(test_versions), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_attributes), cmocka_unit_test(test_functions),
    };
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
