/* error, text, json, random, sha256, arena, array: hand-computed cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/text.h"
#include "context_test.h"


static void test_error(void **state)
{
    (void)state;
    FbError err = {0};
    assert_int_equal(fb_error_set(&err, FB_ERR_FORMAT, "tensor '%s'\n\033[31m", "a"), FB_ERR_FORMAT);
    assert_string_equal(err.message, "tensor 'a'  [31m");
    assert_int_equal(fb_error_context(&err, FB_ERR_FORMAT, "%s: node %d", "m.onnx", 7), FB_ERR_FORMAT);
    assert_string_equal(err.message, "m.onnx: node 7: tensor 'a'  [31m");
    assert_int_equal(fb_error_set(NULL, FB_ERR_IO, "x"), FB_ERR_IO);
    char big[600];
    memset(big, 'z', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    fb_error_set(&err, FB_ERR_IO, "%s", big);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    fb_error_context(&err, FB_ERR_IO, "front");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "front: zzz", 10);
}

static void test_status_table(void **state)
{
    (void)state;
    static const int codes[] = {0, 2, 6, 5, 3, 4, 8, 6, 7, 130, 70};
    for (int i = 0; i <= FB_ERR_INTERNAL; i++) {
        assert_int_equal(fb_status_exit_code((FbStatus)i), codes[i]);
        assert_true(strlen(fb_status_name((FbStatus)i)) > 1);
    }
    assert_int_equal(fb_status_exit_code((FbStatus)99), 70);
}

static void test_escape(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(fb_escape("conv1.weight", out, sizeof out), "conv1.weight");
    assert_string_equal(fb_escape("a\033[31m\n\x7f", out, sizeof out), "a\\x1b[31m\\x0a\\x7f");
    assert_string_equal(fb_escape("\xc3\xa9\xff", out, sizeof out), "\xc3\xa9\\xff");
    assert_string_equal(fb_escape("\xe2\x80\xae", out, sizeof out), "\\xe2\\x80\\xae"); /* right-to-left override */
    assert_string_equal(fb_escape("\xc0\xaf", out, sizeof out), "\\xc0\\xaf");          /* overlong '/' */
    assert_string_equal(fb_escape("0123456789", out, 11), "0123456789");
    assert_string_equal(fb_escape("0123456789", out, 10), "012345...");
    assert_string_equal(fb_escape("0123456789", out, 3), "..");
    assert_string_equal(fb_escape("x", out, 1), "");
}

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"*", "", true},           {"", "", true},          {"", "a", false},          {"a*b", "ab", true},
        {"a*b", "axxb", true},     {"a*b", "axxbc", false}, {"layer.[0-3].*", "layer.2.w", true},
        {"layer.[0-3].*", "layer.4.w", false},              {"[!a]", "b", true},       {"[!a]", "a", false},
        {"[]]", "]", true},        {"[ab", "a", false},     {"?", "", false},          {"??", "ab", true},
        {"*/conv*", "x/y/conv1", true},                     {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"**", "abc", true},       {"a", "b", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (fb_glob_match(cases[i].pattern, cases[i].name) != cases[i].match) {
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].name);
        }
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"int8-static", "int8-dynamic", "float16", "inspect"};
    assert_string_equal(fb_nearest_name("int8-statc", names, 4), "int8-static");
    assert_string_equal(fb_nearest_name("inpsect", names, 4), "inspect");
    assert_null(fb_nearest_name("int8-", names, 4)); /* two begin so */
    assert_null(fb_nearest_name("banana", names, 4));
    assert_string_equal(fb_nearest_name("insp", names, 4), "inspect");
    assert_null(fb_nearest_name("", names, 0));
}

static void test_json(void **state)
{
    (void)state;
    FbError err = {0};
    json_t *root = NULL;
    const char *text = "{\"a\": 1, \"b\": 0.1, \"c\": [true], \"d\": \"x\"}";
    assert_int_equal(fb_json_parse(text, strlen(text), 100, "t", &root, &err), FB_OK);
    int64_t number = 0;
    assert_int_equal(fb_json_get_int(root, "a", "t", 0, 5, &number, &err), FB_OK);
    assert_int_equal(number, 1);
    assert_int_equal(fb_json_get_int(root, "a", "t", 2, 5, &number, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_json_get_int(root, "b", "t", 0, 5, &number, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_json_get_int(root, "absent", "t", 0, 5, &number, &err), FB_OK);
    bool flag;
    const char *string;
    assert_int_equal(fb_json_get_bool(root, "a", "t", &flag, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_json_get_string(root, "d", "t", &string, &err), FB_OK);
    assert_string_equal(string, "x");
    static const char *const keys[] = {"a", "b", "c", "dd"};
    assert_int_equal(fb_json_check_keys(root, keys, 4, "t", &err), FB_ERR_FORMAT);
    assert_string_equal(err.message, "t: unknown key 'd'");
    char *dumped = NULL;
    assert_int_equal(fb_json_dump(context, root, false, &dumped, &err), FB_OK);
    assert_string_equal(dumped, "{\"a\":1,\"b\":0.10000000000000001,\"c\":[true],\"d\":\"x\"}");
    fb_free(context, dumped);
    json_decref(root);

    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "[1,]", "nul", "{\"a\":1} x", "\"\\ud800\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fb_json_parse(bad[i], strlen(bad[i]), 100, "t", &root, &err), FB_ERR_FORMAT);
        assert_null(root);
    }
    char deep[100];
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    assert_int_equal(fb_json_parse(deep, 66, 100, "t", &root, &err), FB_ERR_FORMAT);
    assert_int_equal(fb_json_parse(deep + 1, 64, 100, "t", &root, &err), FB_OK);
    json_decref(root);
    assert_int_equal(fb_json_parse(deep, 66, 65, "t", &root, &err), FB_ERR_BUDGET);
}

static void test_random(void **state)
{
    (void)state;
    assert_true(fb_random_u64(1, 2, 3) == fb_random_u64(1, 2, 3));
    assert_true(fb_random_u64(1, 2, 3) != fb_random_u64(1, 3, 2));
    double sum = 0, squares = 0, unit = 0;
    size_t below[3] = {0};
    enum { DRAWS = 30000 };
    for (uint64_t i = 0; i < DRAWS; i++) {
        double normal = fb_random_normal(7, 1, i);
        sum += normal;
        squares += normal * normal;
        unit += fb_random_unit(7, 2, i);
        below[fb_random_below(7, 3, i, 3)]++;
    }
    assert_true(sum / DRAWS > -0.03 && sum / DRAWS < 0.03); /* 5 sigma of the mean is 0.029 */
    assert_true(squares / DRAWS > 0.95 && squares / DRAWS < 1.05);
    assert_true(unit / DRAWS > 0.49 && unit / DRAWS < 0.51);
    for (int i = 0; i < 3; i++) {
        assert_true(below[i] > 9500 && below[i] < 10500);
    }
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[65];
    FbSha256 *hash = fb_sha256_create(context);
    fb_sha256_add(hash, "a", 1);
    fb_sha256_add(hash, "bc", 2);
    fb_sha256_finish(hash, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2, B.1 */
}

static void test_arena(void **state)
{
    (void)state;
    FbArena *arena = fb_arena_create(context);
    for (size_t bytes = 0; bytes < 9000; bytes = bytes * 3 / 2 + 1) {
        unsigned char *piece = fb_arena_alloc(arena, bytes);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % (bytes >= 64 ? 64 : 16), 0);
        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(piece[i], 0);
            piece[i] = 0xff;
        }
    }
    assert_null(fb_arena_array(arena, SIZE_MAX / 2, 3));
    assert_null(fb_arena_alloc(arena, SIZE_MAX - 10));
    assert_string_equal(fb_arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(fb_arena_printf(arena, "%d-%s", 5, "x"), "5-x");
    fb_arena_free(arena);
}

static void test_array_and_text(void **state)
{
    (void)state;
    FB_ARRAY(int) numbers = {0};
    for (int i = 0; i < 1000; i++) {
        assert_true(fb_array_grow(context, &numbers));
        numbers.items[numbers.count++] = i;
    }
    assert_int_equal(numbers.items[999], 999);
    fb_array_free(context, &numbers);
    FbText text;
    fb_text_init(&text, context);
    for (int i = 0; i < 100; i++) {
        fb_text_printf(&text, "%d,", i);
    }
    fb_text_add_n(&text, "end\0x", 3);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 3);
    char *taken = fb_text_take(&text);
    assert_string_equal(taken + 290, "end");
    fb_free(context, taken);
    taken = fb_text_take(&text);
    assert_string_equal(taken, "");
    fb_free(context, taken);
}

static void test_checked(void **state)
{
    (void)state;
    uint64_t out = 5;
    assert_false(fb_mul_u64(1ull << 33, 1ull << 31, &out));
    assert_int_equal(out, 5);
    assert_true(fb_mul_u64(1ull << 32, 1ull << 31, &out));
    assert_false(fb_add_u64(UINT64_MAX, 1, &out));
    int64_t product;
    assert_false(fb_product_dims((const int64_t[]){1ll << 32, 1ll << 31}, 2, &product));
    assert_false(fb_product_dims((const int64_t[]){0, -1}, 2, &product));
    assert_false(fb_product_dims((const int64_t[]){0, 1ll << 62, 4}, 3, &product));
    assert_true(fb_product_dims((const int64_t[]){3, 0}, 2, &product));
    assert_int_equal(product, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),   cmocka_unit_test(test_status_table), cmocka_unit_test(test_escape),
        cmocka_unit_test(test_glob),    cmocka_unit_test(test_nearest),      cmocka_unit_test(test_json),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_sha256),       cmocka_unit_test(test_arena),
        cmocka_unit_test(test_checked), cmocka_unit_test(test_array_and_text),
    };
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
