/* Tables in three forms, with cells that come from hostile files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/context.h"
#include "context_test.h"
#include "fewbit/report.h"


static void expect(const FbTable *table, FbTableFormat format, const char *expected)
{
    char *text = NULL;
    FbError err;
    assert_int_equal(fb_table_text(table, format, &text, &err), FB_OK);
    assert_string_equal(text, expected);
    fb_free(context, text);
}

static void test_forms(void **state)
{
    (void)state;
    static const FbColumn columns[] = {{"name", 0}, {"bytes", 1}};
    FbTable *table = NULL;
    assert_int_equal(fb_table_create(context, columns, 2, &table, NULL), FB_OK);
    expect(table, FB_TABLE_CSV, "name,bytes\n");
    fb_table_add(table, (const char *const[]){"conv1", "12"});
    fb_table_add(table, (const char *const[]){"caf\xc3\xa9", "-3456"});
    fb_table_add(table, (const char *const[]){NULL, ""});
    expect(table, FB_TABLE_ALIGNED, "name   bytes\nconv1     12\ncaf\xc3\xa9   -3456\n            \n");
    expect(table, FB_TABLE_MARKDOWN, "| name | bytes |\n| --- | ---: |\n| conv1 | 12 |\n| caf\xc3\xa9 | -3456 |\n|  |  |\n");
    expect(table, FB_TABLE_CSV, "name,bytes\nconv1,12\ncaf\xc3\xa9,-3456\n,\n");
    fb_table_free(table);
    fb_table_free(NULL);
}

static void test_hostile_cells(void **state)
{
    (void)state;
    static const FbColumn columns[] = {{"a", 0}};
    FbTable *table = NULL;
    assert_int_equal(fb_table_create(context, columns, 1, &table, NULL), FB_OK);
    fb_table_add(table, (const char *const[]){"\033[2J\n"});
    fb_table_add(table, (const char *const[]){"<script>|`x`"});
    fb_table_add(table, (const char *const[]){"=cmd|' /C calc'!A0"});
    fb_table_add(table, (const char *const[]){"a,\"b\""});
    fb_table_add(table, (const char *const[]){"-1.5e3"});
    fb_table_add(table, (const char *const[]){"-x"});
    expect(table, FB_TABLE_MARKDOWN,
           "| a |\n| --- |\n| \\\\x1b\\[2J\\\\x0a |\n| &lt;script&gt;\\|\\`x\\` |\n| =cmd\\|' /C calc'!A0 |\n| a,\"b\" |\n| -1.5e3 |\n| -x |\n");
    expect(table, FB_TABLE_CSV,
           "a\n\\x1b[2J\\x0a\n<script>|`x`\n\"'=cmd|' /C calc'!A0\"\n\"a,\"\"b\"\"\"\n-1.5e3\n\"'-x\"\n");
    fb_table_free(table);
}

static void test_refused_memory(void **state)
{
    (void)state;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 200000};
    FbContext *small = NULL;
    assert_int_equal(fb_context_create(&options, &small, NULL), FB_OK);
    static const FbColumn columns[] = {{"a", 0}};
    FbTable *table = NULL;
    FbError err;
    char *text = NULL;
    assert_int_equal(fb_table_create(small, columns, 1, &table, &err), FB_OK);
    for (int i = 0; i < 20000; i++) {
        fb_table_add(table, (const char *const[]){"a long name of a weight in a model"});
    }
    assert_int_equal(fb_table_text(table, FB_TABLE_CSV, &text, &err), FB_ERR_BUDGET);
    assert_null(text);
    fb_table_free(table);
    assert_int_equal(fb_context_memory_now(small), 0);
    fb_context_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_hostile_cells), cmocka_unit_test(test_refused_memory)};
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
