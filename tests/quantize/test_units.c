/* The queue of units: what a key depends on, that equal keys share their codes, that unused constants are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "quantize/units.h"
#include "quantize/weights.h"

enum { ROWS = 40, COLUMNS = 9000, COUNT = ROWS * COLUMNS }; /* more than one range of the source */

typedef struct Bench {
    FbContext *context;
    FbGraph *graph;
    FbUnits units;
} Bench;

static Bench open_bench(int threads)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
    Bench bench = {0};
    assert_int_equal(fb_context_create(&options, &bench.context, NULL), FB_OK);
    assert_int_equal(fb_graph_create(bench.context, NULL, &bench.graph, NULL), FB_OK);
    return bench;
}

static void close_bench(Bench *bench)
{
    fb_array_free(bench->context, &bench->units);
    fb_graph_free(bench->graph);
    fb_context_free(bench->context);
}

/* A weight of its own bytes; element 7 of `nudged` ones differs without being an extreme. */
static FbConst *push(Bench *bench, const char *name, const char *code, FbGrain grain, int axis, bool symmetric, bool nudged)
{
    FbShape shape = fb_shape_make(2, (int64_t[]){ROWS, COLUMNS});
    FbEncoding encoding = {.code = fb_code_find(code), .grain = grain, .axis = axis, .block = grain == FB_GRAIN_BLOCK ? 32 : 0,
                           .scale = FB_DTYPE_F32, .has_zero = !symmetric};
    float *w = malloc(COUNT * sizeof *w);
    FbConst *from = NULL, *to = NULL;
    FbWeightResult result;
    for (size_t i = 0; i < COUNT; i++) {
        w[i] = fb_random_normal(3, 1, i);
    }
    w[7] = nudged ? 0.001F : 0.002F;
    assert_int_equal(fb_weight_plain(bench->graph, FB_DTYPE_F32, &shape, w, COUNT * sizeof *w, &from, NULL), FB_OK);
    assert_int_equal(fb_weight_prepare(bench->graph, name, from, &encoding, symmetric, NULL, &to, &result, NULL), FB_OK);
    assert_int_equal(fb_units_push(bench->context, &bench->units, name, from, to, symmetric, NULL), FB_OK);
    free(w);
    return to;
}

static FbBuffer *codes_of(const FbConst *constant)
{
    return constant->planes[FB_PLANE_CODES].buffer;
}

static void test_keys(void **state)
{
    (void)state;
    Bench bench = open_bench(2);
    FbConst *a = push(&bench, "a", "s8", FB_GRAIN_AXIS, 0, true, false), *b = push(&bench, "b", "s8", FB_GRAIN_AXIS, 0, true, false);
    FbConst *nudged = push(&bench, "c", "s8", FB_GRAIN_AXIS, 0, true, true);
    push(&bench, "d", "s4", FB_GRAIN_AXIS, 0, true, false);
    push(&bench, "e", "s8", FB_GRAIN_TENSOR, 0, true, false);
    push(&bench, "f", "s8", FB_GRAIN_AXIS, 1, true, false);
    push(&bench, "g", "s8", FB_GRAIN_BLOCK, 1, true, false);
    push(&bench, "h", "u8", FB_GRAIN_AXIS, 0, false, false);
    assert_null(codes_of(a));
    assert_int_equal(fb_units_run(bench.context, &bench.units, NULL, NULL), FB_OK);
    const FbUnit *units = bench.units.items;
    assert_int_equal(strlen(units[0].key), 64);
    assert_string_equal(units[0].key, units[1].key);
    assert_ptr_equal(codes_of(a), codes_of(b));
    assert_ptr_not_equal(codes_of(a), codes_of(nudged));
    for (size_t i = 1; i < bench.units.count; i++) {
        for (size_t k = i + 1; k < bench.units.count; k++) {
            assert_string_not_equal(units[i].key, units[k].key);
        }
        char again[65];
        assert_int_equal(fb_unit_key(bench.context, &units[i], again, NULL), FB_OK);
        assert_string_equal(again, units[i].key);
    }
    close_bench(&bench);
}

static void test_threads(void **state)
{
    (void)state;
    static const struct Case { const char *code; FbGrain grain; bool symmetric; } cases[] = {
        {"s8", FB_GRAIN_AXIS, true}, {"u4", FB_GRAIN_BLOCK, false}, {"u8", FB_GRAIN_AXIS, false}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        Bench one = open_bench(1), three = open_bench(3);
        FbConst *a = push(&one, "a", cases[c].code, cases[c].grain, 1, cases[c].symmetric, false);
        FbConst *b = push(&three, "a", cases[c].code, cases[c].grain, 1, cases[c].symmetric, false);
        assert_int_equal(fb_units_run(one.context, &one.units, NULL, NULL), FB_OK);
        assert_int_equal(fb_units_run(three.context, &three.units, NULL, NULL), FB_OK);
        assert_string_equal(one.units.items[0].key, three.units.items[0].key);
        assert_memory_equal(fb_buffer_data(codes_of(a)), fb_buffer_data(codes_of(b)), (size_t)a->planes[FB_PLANE_CODES].bytes);
        close_bench(&one);
        close_bench(&three);
    }
}

/* Only units in use run; the others can run later; those that ran stay as they are. */
static void test_unused(void **state)
{
    (void)state;
    Bench bench = open_bench(1);
    FbConst *a = push(&bench, "a", "s8", FB_GRAIN_AXIS, 0, true, false), *b = push(&bench, "b", "s8", FB_GRAIN_AXIS, 0, true, true);
    bool used[8] = {false};
    assert_true(bench.graph->constant_count <= 8);
    used[b->index] = true;
    assert_int_equal(fb_units_run(bench.context, &bench.units, used, NULL), FB_OK);
    assert_true(codes_of(a) == NULL && bench.units.items[0].key[0] == '\0');
    FbBuffer *before = codes_of(b);
    assert_non_null(before);
    assert_int_equal(fb_units_run(bench.context, &bench.units, NULL, NULL), FB_OK);
    assert_non_null(codes_of(a));
    assert_ptr_equal(codes_of(b), before);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
