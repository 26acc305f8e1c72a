/* Integer mode against simulated mode. One step from equal codes: at most 1 code apart, in at most 0.1 % of codes. Tables: the same bits.
 * Deep random graphs: the codes stay close, thread counts and batches change nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "passes/quant_fold.h"
#include "run/session_fixture.h"

/* Not a simple ratio of the other scales, so that sums and products of codes do not fall on halves by construction. */
#define FINAL_SCALE 0.0413f

enum { STEPS = 600, CHANNELS = 12, SIDE = 7, BATCH = 2, ELEMENTS = BATCH * CHANNELS * SIDE * SIDE };

typedef struct Maker {
    FbGraph *graph;
    uint64_t seed, counter;
    int names;
    char last[32];
} Maker;

static uint64_t pick(Maker *m, uint64_t limit)
{
    return fb_random_below(m->seed, 1, m->counter++, limit);
}

static void name_next(Maker *m)
{
    snprintf(m->last, sizeof m->last, "v%d", m->names++);
}

/* QuantizeLinear and DequantizeLinear behind the last value, u8 or s8. */
static void make_quant(Maker *m, float scale)
{
    char from[32], scale_name[40], zero_name[40], codes[40], ports[128];
    const bool is_signed = pick(m, 3) == 0;
    const int zero = is_signed ? (int)pick(m, 40) - 20 : 108 + (int)pick(m, 40);
    memcpy(from, m->last, sizeof from);
    name_next(m);
    snprintf(scale_name, sizeof scale_name, "%s_scale", m->last);
    snprintf(zero_name, sizeof zero_name, "%s_zero", m->last);
    snprintf(codes, sizeof codes, "%s_codes", m->last);
    build_float(m->graph, scale_name, scale);
    const int8_t s8 = (int8_t)zero;
    const uint8_t u8 = (uint8_t)zero;
    build_constant(m->graph, zero_name, is_signed ? FB_DTYPE_S8 : FB_DTYPE_U8, 0, NULL, is_signed ? (const void *)&s8 : &u8);
    snprintf(ports, sizeof ports, "%s,%s,%s", from, scale_name, zero_name);
    build_node(m->graph, "QuantizeLinear", 13, ports, codes);
    snprintf(ports, sizeof ports, "%s,%s,%s", codes, scale_name, zero_name);
    build_node(m->graph, "DequantizeLinear", 13, ports, m->last);
}

/* s8 codes behind a DequantizeLinear with one scale per output channel. */
static void make_weight(Maker *m, const char *name, int rank, const int64_t *dims, float scale)
{
    int8_t codes[4096];
    float scales[64];
    char codes_name[48], scale_name[48], ports[128];
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    assert_true(count <= 4096);
    for (size_t i = 0; i < count; i++) {
        codes[i] = (int8_t)((int)pick(m, 255) - 127);
    }
    for (int64_t i = 0; i < dims[0]; i++) {
        scales[i] = scale * (0.5f + (float)pick(m, 100) / 100.0f);
    }
    snprintf(codes_name, sizeof codes_name, "%s_codes", name);
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    build_constant(m->graph, codes_name, FB_DTYPE_S8, rank, dims, codes);
    build_constant(m->graph, scale_name, FB_DTYPE_F32, 1, dims, scales);
    snprintf(ports, sizeof ports, "%s,%s", codes_name, scale_name);
    FbId node = build_node(m->graph, "DequantizeLinear", 13, ports, name);
    fb_graph_set_attribute_int(m->graph, node, "axis", 0, NULL);
}

/* The scale is an odd one: with a round one, sums of a 1 x 1 kernel lie exactly between two codes, and either is right. */
static void make_conv(Maker *m)
{
    const int64_t kind = (int64_t)pick(m, 4), kernel = pick(m, 2) == 0 ? 1 : 3, group = kind == 0 ? CHANNELS : kind == 1 ? 3 : 1;
    char from[32], weight[40], ports[96];
    memcpy(from, m->last, sizeof from);
    name_next(m);
    snprintf(weight, sizeof weight, "w_%s", m->last);
    make_weight(m, weight, 4, DIMS(CHANNELS, CHANNELS / group, kernel, kernel), 0.021731f / (float)kernel / sqrtf((float)CHANNELS / (float)group));
    snprintf(ports, sizeof ports, "%s,%s", from, weight);
    FbId node = build_node(m->graph, "Conv", 11, ports, m->last);
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(kernel / 2, kernel / 2, kernel / 2, kernel / 2), 4, NULL);
    fb_graph_set_attribute_int(m->graph, node, "group", group, NULL);
}

static void make_unary(Maker *m)
{
    static const char *const types[] = {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Neg", "Abs"};
    char from[32];
    memcpy(from, m->last, sizeof from);
    name_next(m);
    build_node(m->graph, types[pick(m, sizeof types / sizeof types[0])], 13, from, m->last);
}

static void make_silu(Maker *m, bool inner)
{
    char from[32], ports[96];
    memcpy(from, m->last, sizeof from);
    name_next(m);
    build_node(m->graph, "Sigmoid", 13, from, m->last);
    if (inner) {
        make_quant(m, 1.0f / 255.0f);
    }
    snprintf(ports, sizeof ports, "%s,%s", from, m->last);
    name_next(m);
    build_node(m->graph, "Mul", 14, ports, m->last);
}

static void make_binary(Maker *m, const char *type, const char *other)
{
    char ports[96];
    snprintf(ports, sizeof ports, "%s,%s", m->last, other);
    name_next(m);
    build_node(m->graph, type, 14, ports, m->last);
}

static void make_pool(Maker *m)
{
    const bool average = pick(m, 2) == 0;
    char from[32];
    memcpy(from, m->last, sizeof from);
    name_next(m);
    FbId node = build_node(m->graph, average ? "AveragePool" : "MaxPool", 11, from, m->last);
    fb_graph_set_attribute_ints(m->graph, node, "kernel_shape", DIMS(3, 3), 2, NULL);
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(1, 1, 1, 1), 4, NULL);
}

/* x is a picture of reals; its Quant; one operation or a few that belong together; a Quant. */
static void make_step(Maker *m)
{
    char first[32];
    const char *type = pick(m, 3) == 0 ? "Mul" : "Add";
    build_input(m->graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(m->graph, "N"), CHANNELS, SIDE, SIDE));
    snprintf(m->last, sizeof m->last, "x");
    make_quant(m, 0.03f);
    memcpy(first, m->last, sizeof first);
    switch (pick(m, 8)) {
    case 0: make_conv(m); break;
    case 1: make_conv(m); make_unary(m); break;
    case 2: make_conv(m); make_quant(m, 0.05f); make_binary(m, type, first); make_unary(m); break;
    case 3: make_silu(m, pick(m, 2) == 0); break;
    case 4: make_unary(m); make_quant(m, 0.02f); make_unary(m); break;
    case 5: make_pool(m); break;
    case 6: make_binary(m, type, first); break;
    default: make_unary(m); make_quant(m, 0.02f); make_binary(m, type, first); make_unary(m); break;
    }
    make_quant(m, FINAL_SCALE);
    build_output(m->graph, m->last);
}

typedef struct Result {
    FbPlan *plan;
    FbInstance *instance;
    FbTensor output;
} Result;

static void run_plan(FbContext *context, const FbModel *model, FbMode mode, const FbTensor *x, Result *result, uint64_t seed)
{
    FbPlanOptions options = {.mode = mode};
    FbError err = {FB_OK, ""};
    if (fb_plan_create(context, model, &options, &result->plan, &err) != FB_OK ||
        fb_instance_create(result->plan, &result->instance, &err) != FB_OK ||
        fb_instance_run(result->instance, &x, &result->output, &err) != FB_OK) {
        fail_msg("graph %llu: %s", (unsigned long long)seed, err.message);
    }
}

static void drop(Result *result)
{
    fb_instance_free(result->instance);
    fb_plan_free(result->plan);
}

static void fill(float *data, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        data[i] = fb_random_normal(seed, 3, i);
    }
}

static size_t integer_steps(const FbPlan *plan)
{
    size_t count = 0;
    for (size_t s = 0; s < plan->step_count; s++) {
        count += plan->steps[s].integer;
    }
    return count;
}

static void make_model(Maker *m, FbModel *model, uint64_t seed, void (*make)(Maker *))
{
    *m = (Maker){.graph = model->graph, .seed = seed};
    make(m);
    FbError err = {FB_OK, ""};
    if (fb_graph_fold_quants(model->graph, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
}

static void test_steps(void **state)
{
    (void)state;
    FbContext *one = build_context(1), *three = build_context(3);
    static float data[ELEMENTS];
    size_t codes = 0, apart = 0;
    for (uint64_t seed = 1; seed <= STEPS; seed++) {
        fill(data, ELEMENTS, seed);
        FbTensor x = floats(data, 4, DIMS(BATCH, CHANNELS, SIDE, SIDE));
        FbModel *model = build_model(one), *again = build_model(three);
        Maker m;
        make_model(&m, model, seed, make_step);
        make_model(&m, again, seed, make_step);
        Result simulated, integer, threads;
        run_plan(one, model, FB_MODE_SIMULATED, &x, &simulated, seed);
        run_plan(one, model, FB_MODE_INTEGER, &x, &integer, seed);
        run_plan(three, again, FB_MODE_INTEGER, &x, &threads, seed);
        assert_true(integer_steps(integer.plan) > 0);
        assert_int_equal(simulated.output.bytes, ELEMENTS * sizeof(float));
        assert_int_equal(integer.output.bytes, ELEMENTS * sizeof(float));
        assert_memory_equal(integer.output.data, threads.output.data, ELEMENTS * sizeof(float));
        const float *a = simulated.output.data, *b = integer.output.data;
        for (size_t i = 0; i < ELEMENTS; i++) {
            const float distance = fabsf(a[i] - b[i]);
            if (distance > FINAL_SCALE * 1.001f) {
                fail_msg("graph %llu, element %zu: %.9g simulated, %.9g in integers", (unsigned long long)seed, i, (double)a[i], (double)b[i]);
            }
            apart += distance > 0.0f;
        }
        codes += ELEMENTS;
        drop(&simulated);
        drop(&integer);
        drop(&threads);
        fb_model_free(model);
        fb_model_free(again);
    }
    printf("%zu of %zu codes differ\n", apart, codes);
    assert_true(apart * 1000 <= codes);
    assert_int_equal(fb_context_memory_now(one), 0);
    fb_context_free(one);
    fb_context_free(three);
}

/* A chain of several steps with residuals. */
static void make_deep(Maker *m)
{
    char kept[32];
    build_input(m->graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(m->graph, "N"), CHANNELS, SIDE, SIDE));
    snprintf(m->last, sizeof m->last, "x");
    make_quant(m, 0.03f);
    memcpy(kept, m->last, sizeof kept);
    for (int i = 0; i < 8; i++) {
        switch (pick(m, 5)) {
        case 0: make_silu(m, true); break;
        case 1: make_pool(m); break;
        case 2: make_binary(m, "Add", kept); break;
        default: make_conv(m); break;
        }
        make_quant(m, 0.03f);
        if (pick(m, 3) == 0) {
            memcpy(kept, m->last, sizeof kept);
        }
    }
    build_output(m->graph, m->last);
}

static void test_deep(void **state)
{
    (void)state;
    FbContext *one = build_context(1);
    static float data[ELEMENTS];
    for (uint64_t seed = 1; seed <= 100; seed++) {
        fill(data, ELEMENTS, seed);
        FbTensor x = floats(data, 4, DIMS(BATCH, CHANNELS, SIDE, SIDE)), half = floats(data + ELEMENTS / 2, 4, DIMS(1, CHANNELS, SIDE, SIDE));
        FbModel *model = build_model(one);
        Maker m;
        make_model(&m, model, seed, make_deep);
        Result simulated, integer, single;
        run_plan(one, model, FB_MODE_SIMULATED, &x, &simulated, seed);
        run_plan(one, model, FB_MODE_INTEGER, &x, &integer, seed);
        run_plan(one, model, FB_MODE_INTEGER, &half, &single, seed);
        const float *a = simulated.output.data, *b = integer.output.data;
        double wrong = 0;
        for (size_t i = 0; i < ELEMENTS; i++) {
            wrong += fabs((double)a[i] - (double)b[i]) > 0.03 * 1.5;
        }
        if (wrong > 0.01 * ELEMENTS) {
            fail_msg("graph %llu: %g codes more than 1 apart", (unsigned long long)seed, wrong);
        }
        assert_memory_equal(b + ELEMENTS / 2, single.output.data, ELEMENTS / 2 * sizeof(float));
        drop(&simulated);
        drop(&integer);
        drop(&single);
        fb_model_free(model);
    }
    assert_int_equal(fb_context_memory_now(one), 0);
    fb_context_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_deep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
