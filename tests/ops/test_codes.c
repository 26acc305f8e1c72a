/* Operators on codes that are no products: their lowerings against their own run in float, code by code. */
#include "codes_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const FbCodeGrid grids[] = {{0.0231f, 117, 0, 255}, {0.31f, 0, 0, 255}, {0.0077f, 255, 0, 255}, {0.11f, 8, 0, 15}, {0.05f, 128, 1, 255}};
enum { GRIDS = sizeof grids / sizeof *grids };

typedef struct Total { int64_t codes, different; } Total;

static void end(CodesTest *t, Total *total)
{
    total->codes += t->total;
    total->different += t->different;
    op_test_end(&t->op);
}

/* At most one code in a thousand. */
static void expect_few(const char *what, const Total *total)
{
    if (total->different * 1000 > total->codes) {
        fail_msg("%s: %lld of %lld codes differ", what, (long long)total->different, (long long)total->codes);
    }
}

/* Whether the second may be turned to channels last: not, as a constant; yes. */
typedef struct Pair { int a_rank, b_rank; int64_t a[4], b[4]; int turns; } Pair;

static const Pair pairs[] = {
    {4, 4, {2, 16, 9, 7}, {2, 16, 9, 7}, 1}, {4, 4, {1, 48, 5, 6}, {1, 48, 1, 1}, 2}, {4, 4, {2, 3, 4, 5}, {1, 1, 1, 1}, 2},
    {4, 4, {1, 1, 3, 3}, {2, 5, 3, 3}, 1},   {3, 1, {2, 7, 33}, {33}, 0},           {2, 2, {30, 41}, {30, 41}, 0},
    {2, 2, {8, 1}, {1, 19}, 0},             {4, 3, {1, 6, 4, 4}, {6, 1, 1}, 0},
};

/* a op b with b as codes, reals, or a constant. */
static void binary_case(const char *name, const Pair *p, int b_kind, const FbFusedOp *fused, const FbCodeGrid *store, bool last, uint64_t seed,
                        Total *total)
{
    CodesTest t = {.store = store};
    op_test_begin(&t.op, "", name, 13);
    codes_test_codes(&t, p->a_rank, p->a, grids[seed % GRIDS], seed);
    if (b_kind == 0) {
        codes_test_codes(&t, p->b_rank, p->b, grids[(seed / 5 + 1) % GRIDS], seed + 1);
    } else {
        codes_test_reals(&t, p->b_rank, p->b, b_kind == 2, seed + 1);
    }
    if (fused) {
        t.fused[t.fused_count++] = *fused;
    }
    codes_test_run(&t, last);
    end(&t, total);
}

static void sums_and_products(void **state)
{
    (void)state;
    static const FbFusedOp fused[] = {{.kind = FB_EPILOGUE_CLAMP, .a = 0, .b = INFINITY, .operand = -1},
                                      {.kind = FB_EPILOGUE_LEAKY, .a = 0.1f, .operand = -1},
                                      {.kind = FB_EPILOGUE_SILU, .operand = -1},
                                      {.kind = FB_EPILOGUE_CLAMP, .a = -0.37f, .b = 1.21f, .operand = -1},
                                      {.kind = FB_EPILOGUE_ROUND, .a = 0.0371f, .b = -9, .low = -128, .high = 127, .operand = -1}};
    static const char *const names[] = {"Add", "Sub", "Mul", "Sum"};
    static const FbCodeGrid stores[] = {{0.037f, 100, 0, 255}, {0.5f, 3, 0, 255}, {0.21f, 128, 1, 255}};
    Total total = {0, 0};
    uint64_t seed = 0;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        for (int n = 0; n < 4; n++) {
            for (int b_kind = 0; b_kind < 3; b_kind++) {
                for (int f = -1; f < 5; f++, seed++) {
                    const bool last = pairs[p].turns > (b_kind == 2) && seed % 2;
                    binary_case(names[n], &pairs[p], b_kind, f < 0 ? NULL : &fused[f], f < 4 && seed % 5 == 4 ? NULL : &stores[seed % 3], last, seed, &total);
                }
            }
        }
    }
    assert_true(total.codes > 50000);
    expect_few("sums and products", &total);
    const int64_t dims[] = {2, 3, 4, 5}, one[] = {1};
    for (int i = 0; i < 2; i++) { /* a number that is no constant has no channels to turn */
        CodesTest t = {.store = &stores[0]};
        op_test_begin(&t.op, "", "Div", 13);
        codes_test_codes(&t, 4, dims, grids[0], 1);
        codes_test_reals(&t, 1, one, i, 2);
        assert_int_equal(codes_test_accepts(&t, true), i);
        if (i) {
            codes_test_run(&t, true);
        }
        end(&t, &total);
    }
    expect_few("quotients", &total);
}

/* Pooling in both widths of channels, padded or not, stored or not. */
static void pooled(void **state)
{
    (void)state;
    static const FbCodeGrid store = {0.021f, 120, 0, 255};
    const int64_t shapes[][4] = {{2, 33, 9, 7}, {1, 5, 6, 8}, {1, 300, 7, 7}};
    Total total = {0, 0};
    for (uint64_t seed = 0; seed < 72; seed++) {
        const int kind = (int)(seed % 3);
        const int64_t kernel[] = {3, 2}, strides[] = {1 + (int64_t)(seed / 3 % 2), 2}, pads[] = {1, 0, 1, 1}; /* read until the step ends */
        CodesTest t = {.store = seed / 3 % 4 == 3 && kind != 2 ? NULL : kind == 2 ? &grids[seed % GRIDS] : &store};
        op_test_begin(&t.op, "", kind == 0 ? "GlobalAveragePool" : kind == 1 ? "AveragePool" : "MaxPool", kind == 0 ? 1 : 12);
        codes_test_codes(&t, 4, shapes[seed / 12 % 3], grids[seed % GRIDS], seed);
        if (kind > 0) {
            op_test_ints(&t.op, "kernel_shape", kernel, 2);
            op_test_ints(&t.op, "strides", strides, 2);
            op_test_ints(&t.op, "pads", pads, 4);
        }
        if (kind == 1) {
            op_test_int(&t.op, "count_include_pad", (int64_t)(seed / 3 % 2));
        }
        assert_false(codes_test_accepts(&t, false));
        codes_test_run(&t, true);
        end(&t, &total);
    }
    assert_true(total.codes > 6000);
    assert_int_equal(total.different, 0);
}

static void means(void **state)
{
    (void)state;
    static const FbCodeGrid store = {0.003f, 120, 0, 255};
    const int64_t dims[] = {3, 70, 5, 9}, lists[][2] = {{2, 3}, {1, 2}, {-1, -2}, {0, 1}, {1, 3}};
    Total total = {0, 0};
    for (uint64_t seed = 0; seed < 20; seed++) {
        CodesTest t = {.store = seed % 2 ? &store : NULL};
        op_test_begin(&t.op, "", "ReduceMean", seed % 3 ? 13 : 18);
        codes_test_codes(&t, 4, dims, grids[seed % GRIDS], seed);
        if (seed % 3) {
            op_test_ints(&t.op, "axes", lists[seed % 5], 2);
        } else {
            op_test_s64(&t.op, 1, (const int64_t[]){2}, lists[seed % 5]);
        }
        op_test_int(&t.op, "keepdims", (int64_t)(seed / 2 % 2));
        assert_int_equal(codes_test_accepts(&t, false), seed % 5 != 4);
        if (seed % 5 != 4) {
            codes_test_run(&t, false);
        }
        end(&t, &total);
    }
    assert_true(total.codes > 500);
    expect_few("means", &total);
}

/* Nothing is computed: not one code differs. */
static void joined(void **state)
{
    (void)state;
    Total total = {0, 0};
    for (uint64_t seed = 0; seed < 40; seed++) {
        const int64_t axis = (int64_t)(seed % 4), parts = 1 + (int64_t)(seed % 3);
        CodesTest t = {.store = seed % 5 == 4 ? NULL : &grids[seed % GRIDS]};
        op_test_begin(&t.op, "", "Concat", 13);
        op_test_int(&t.op, "axis", seed % 7 == 1 ? axis - 4 : axis);
        for (int64_t i = 0; i < parts; i++) {
            int64_t dims[] = {2, 6, 4, 5};
            dims[axis] = 1 + (int64_t)(seed * 7 + (uint64_t)i * 5) % 40;
            if ((seed + (uint64_t)i) % 4 == 3) {
                codes_test_reals(&t, 4, dims, false, seed + (uint64_t)i);
            } else {
                codes_test_codes(&t, 4, dims, grids[(seed + (uint64_t)i) % GRIDS], seed + (uint64_t)i);
            }
        }
        codes_test_run(&t, seed / 2 % 2);
        end(&t, &total);
    }
    assert_true(total.codes > 10000);
    assert_int_equal(total.different, 0);
}

static void refused_operands(void **state)
{
    (void)state;
    const int64_t dims[] = {4};
    CodesTest t = {.store = &grids[0], .fused_count = 1, .fused = {{.kind = FB_EPILOGUE_ADD, .operand = 2}}};
    op_test_begin(&t.op, "", "Add", 13);
    codes_test_codes(&t, 1, dims, grids[0], 1);
    codes_test_codes(&t, 1, dims, grids[1], 2);
    assert_false(codes_test_accepts(&t, false));
    t.fused[0] = (FbFusedOp){.kind = FB_EPILOGUE_ROUND, .a = 0.1f, .high = 65535, .operand = -1};
    assert_false(codes_test_accepts(&t, false)); /* rounds twice, first to more than 8 bits */
    t.fused[0].high = 255;
    assert_true(codes_test_accepts(&t, false));
    t.fused_count = 0;
    assert_true(codes_test_accepts(&t, false));
    op_test_end(&t.op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_and_products), cmocka_unit_test(pooled), cmocka_unit_test(means), cmocka_unit_test(joined),
                                       cmocka_unit_test(refused_operands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
