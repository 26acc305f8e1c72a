/* Concat and Split without copies: values that lie in parts of other values give the bits of values in memory of their own, in float and in
 * integers, whatever joins, cuts, reads and makes them. */
#include <stdio.h>

#include "base/random.h"
#include "passes/quant_fold.h"
#include "run/session_fixture.h"

enum { GRAPHS = 600, NODES = 12, VALUES_MAX = 64, CHANNELS_MAX = 40, SIDE = 4 };

typedef struct Value {
    char name[16];
    int64_t channels, height, width;
} Value;

typedef struct Maker {
    FbGraph *graph;
    uint64_t seed, counter;
    bool quantized;
    Value values[VALUES_MAX];
    size_t count;
    int names;
} Maker;

static int64_t pick(Maker *m, uint64_t limit) { return (int64_t)fb_random_below(m->seed, 1, m->counter++, limit); }

/* One of the last values. */
static const Value *choose(Maker *m)
{
    const size_t window = m->count < 6 ? m->count : 6;
    return &m->values[m->count - 1 - (size_t)pick(m, window)];
}

static void next_name(Maker *m, char name[16]) { snprintf(name, 16, "v%d", m->names++); }

/* What an operator made becomes a value, behind a Quant when the graph is a quantized one; two scales, so that some agree. */
static void push(Maker *m, const char *made, int64_t channels, int64_t height, int64_t width)
{
    Value *value = &m->values[m->count++];
    *value = (Value){.channels = channels, .height = height, .width = width};
    snprintf(value->name, sizeof value->name, "%s", made);
    if (!m->quantized) {
        return;
    }
    char scale[24], zero[24], codes[24], ports[80];
    const uint8_t at = 120;
    next_name(m, value->name);
    snprintf(scale, sizeof scale, "%s_scale", value->name);
    snprintf(zero, sizeof zero, "%s_zero", value->name);
    snprintf(codes, sizeof codes, "%s_codes", value->name);
    build_float(m->graph, scale, pick(m, 3) == 0 ? 0.0413f : 0.03f);
    build_constant(m->graph, zero, FB_DTYPE_U8, 0, NULL, &at);
    snprintf(ports, sizeof ports, "%s,%s,%s", made, scale, zero);
    build_node(m->graph, "QuantizeLinear", 13, ports, codes);
    snprintf(ports, sizeof ports, "%s,%s,%s", codes, scale, zero);
    build_node(m->graph, "DequantizeLinear", 13, ports, value->name);
}

static void make_weight(Maker *m, const char *name, const int64_t *dims)
{
    int8_t codes[CHANNELS_MAX * CHANNELS_MAX * 9];
    float reals[sizeof codes];
    char codes_name[32], scale_name[32], ports[80];
    const size_t count = (size_t)(dims[0] * dims[1] * dims[2] * dims[3]);
    assert_true(count <= sizeof codes);
    for (size_t i = 0; i < count; i++) {
        codes[i] = (int8_t)(pick(m, 255) - 127);
        reals[i] = 0.004f * (float)codes[i];
    }
    if (!m->quantized) {
        build_constant(m->graph, name, FB_DTYPE_F32, 4, dims, reals);
        return;
    }
    snprintf(codes_name, sizeof codes_name, "%s_codes", name);
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    build_constant(m->graph, codes_name, FB_DTYPE_S8, 4, dims, codes);
    build_float(m->graph, scale_name, 0.0041f);
    snprintf(ports, sizeof ports, "%s,%s", codes_name, scale_name);
    build_node(m->graph, "DequantizeLinear", 13, ports, name);
}

static void make_conv(Maker *m)
{
    const Value x = *choose(m);
    const bool depthwise = pick(m, 4) == 0;
    const int64_t kernel = pick(m, 2) == 0 ? 1 : 3, out = depthwise ? x.channels : 1 + pick(m, 20);
    char name[16], weight[24], ports[48];
    next_name(m, name);
    snprintf(weight, sizeof weight, "w_%s", name);
    make_weight(m, weight, DIMS(out, depthwise ? 1 : x.channels, kernel, kernel));
    snprintf(ports, sizeof ports, "%s,%s", x.name, weight);
    FbId node = build_node(m->graph, "Conv", 11, ports, name);
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(kernel / 2, kernel / 2, kernel / 2, kernel / 2), 4, NULL);
    fb_graph_set_attribute_int(m->graph, node, "group", depthwise ? x.channels : 1, NULL);
    push(m, name, out, x.height, x.width);
}

static void make_unary(Maker *m)
{
    static const char *const types[] = {"Relu", "Sigmoid", "Tanh"};
    const Value x = *choose(m);
    char name[16];
    next_name(m, name);
    build_node(m->graph, types[pick(m, 3)], 13, x.name, name);
    push(m, name, x.channels, x.height, x.width);
}

static void make_pool(Maker *m)
{
    const Value x = *choose(m);
    char name[16];
    next_name(m, name);
    FbId node = build_node(m->graph, pick(m, 3) == 0 ? "AveragePool" : "MaxPool", 11, x.name, name);
    fb_graph_set_attribute_ints(m->graph, node, "kernel_shape", DIMS(3, 3), 2, NULL);
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(1, 1, 1, 1), 4, NULL);
    push(m, name, x.channels, x.height, x.width);
}

static bool same_places(const Value *a, const Value *b) { return a->height == b->height && a->width == b->width; }

static void make_binary(Maker *m)
{
    const Value x = *choose(m), y = *choose(m);
    char name[16], ports[48];
    if (!same_places(&x, &y) || (x.channels != y.channels && x.channels != 1 && y.channels != 1)) {
        return;
    }
    next_name(m, name);
    snprintf(ports, sizeof ports, "%s,%s", x.name, y.name);
    build_node(m->graph, pick(m, 3) == 0 ? "Mul" : "Add", 14, ports, name);
    push(m, name, x.channels > y.channels ? x.channels : y.channels, x.height, x.width);
}

/* Two or three values, which may be one and the same, mostly along the channels. */
static void make_concat(Maker *m)
{
    const int count = 2 + (int)pick(m, 2), axis = pick(m, 5) == 0 ? 2 : 1;
    char name[16], ports[64] = "";
    Value sum = {.channels = 0};
    for (int i = 0; i < count; i++) {
        const Value x = *choose(m);
        const bool fits = i == 0 || (axis == 1 ? same_places(&sum, &x) : sum.channels == x.channels && sum.width == x.width);
        if (!fits || (axis == 1 && sum.channels + x.channels > CHANNELS_MAX) || (axis == 2 && sum.height + x.height > 4 * SIDE)) {
            continue;
        }
        snprintf(ports + strlen(ports), sizeof ports - strlen(ports), "%s%s", ports[0] == '\0' ? "" : ",", x.name);
        sum.channels = axis == 1 ? sum.channels + x.channels : x.channels;
        sum.height = axis == 2 ? sum.height + x.height : x.height;
        sum.width = x.width;
    }
    next_name(m, name);
    FbId node = build_node(m->graph, "Concat", 13, ports, name);
    fb_graph_set_attribute_int(m->graph, node, "axis", axis, NULL);
    push(m, name, sum.channels, sum.height, sum.width);
}

static void make_split(Maker *m)
{
    const Value x = *choose(m);
    const int64_t first = 1 + pick(m, 7);
    char left[16], right[16], sizes[24], outputs[40], ports[48];
    if (x.channels <= first) {
        return;
    }
    next_name(m, left);
    next_name(m, right);
    snprintf(sizes, sizeof sizes, "s_%s", left);
    build_ints(m->graph, sizes, 2, (int64_t[]){first, x.channels - first});
    snprintf(ports, sizeof ports, "%s,%s", x.name, sizes);
    snprintf(outputs, sizeof outputs, "%s,%s", left, right);
    FbId node = build_node(m->graph, "Split", 13, ports, outputs);
    fb_graph_set_attribute_int(m->graph, node, "axis", 1, NULL);
    push(m, left, first, x.height, x.width);
    push(m, right, x.channels - first, x.height, x.width);
}

static void make_resize(Maker *m)
{
    const Value x = *choose(m);
    char name[16], scales[24], ports[48];
    const float factors[] = {1, 1, 2, 2};
    if (x.height > SIDE || x.width > SIDE) {
        return;
    }
    next_name(m, name);
    snprintf(scales, sizeof scales, "f_%s", name);
    build_constant(m->graph, scales, FB_DTYPE_F32, 1, DIMS(4), factors);
    snprintf(ports, sizeof ports, "%s,,%s", x.name, scales);
    FbId node = build_node(m->graph, "Resize", 13, ports, name);
    fb_graph_set_attribute_string(m->graph, node, "mode", "nearest", NULL);
    push(m, name, x.channels, 2 * x.height, 2 * x.width);
}

static void make_graph(Maker *m)
{
    static void (*const makers[])(Maker *) = {make_conv, make_conv, make_conv, make_unary, make_binary, make_pool, make_concat, make_concat,
                                              make_concat, make_split, make_split, make_resize};
    build_input(m->graph, "x", FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(m->graph, "N"), 3, SIDE, SIDE));
    push(m, "x", 3, SIDE, SIDE);
    make_conv(m);
    for (int i = 0; i < NODES; i++) {
        makers[pick(m, sizeof makers / sizeof makers[0])](m);
    }
    make_conv(m);
    build_output(m->graph, m->values[m->count - 1].name);
    if (pick(m, 2) == 0) {
        build_output(m->graph, m->values[m->count - 2].name);
    }
    FbError err = {FB_OK, ""};
    if (fb_graph_fold_quants(m->graph, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
}

typedef struct Result {
    FbPlan *plan;
    FbInstance *instance;
    FbTensor outputs[2];
} Result;

static void run_plan(FbContext *context, const FbModel *model, const FbPlanOptions *options, const FbTensor *x, Result *result, uint64_t seed)
{
    FbError err = {FB_OK, ""};
    if (fb_plan_create(context, model, options, &result->plan, &err) != FB_OK ||
        fb_instance_create(result->plan, &result->instance, &err) != FB_OK ||
        fb_instance_run(result->instance, &x, result->outputs, &err) != FB_OK) {
        fail_msg("graph %llu: %s", (unsigned long long)seed, err.message);
    }
}

static void compare(const Result *want, const Result *got, size_t outputs, uint64_t seed, const char *what)
{
    for (size_t o = 0; o < outputs; o++) {
        assert_int_equal(want->outputs[o].bytes, got->outputs[o].bytes);
        if (memcmp(want->outputs[o].data, got->outputs[o].data, want->outputs[o].bytes) != 0) {
            fail_msg("graph %llu, output %zu: other bits with %s", (unsigned long long)seed, o, what);
        }
    }
}

static void drop(Result *result)
{
    fb_instance_free(result->instance);
    fb_plan_free(result->plan);
}

/* Joining and cutting steps, and those of them that have nothing to do. */
static void count_steps(const Result *result, size_t *steps, size_t *in_place)
{
    FbStepInfo info;
    for (size_t i = 0; fb_instance_step(result->instance, i, &info); i++) {
        if (strcmp(info.type, "Concat") == 0 || strcmp(info.type, "Split") == 0) {
            *steps += 1;
            *in_place += strcmp(info.kernel, "in place") == 0;
        }
    }
}

static void check_all(bool quantized)
{
    FbContext *one = build_context(1), *three = build_context(3);
    const FbMode mode = quantized ? FB_MODE_INTEGER : FB_MODE_FLOAT;
    const FbPlanOptions windows = {.mode = mode}, apart = {.mode = mode, .apart = true}, plain = {.mode = mode, .plain = true};
    size_t steps = 0, in_place = 0, copied = 0, ignored = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        const int64_t images = 1 + (int64_t)(seed % 2);
        float data[2 * 3 * SIDE * SIDE];
        for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
            data[i] = fb_random_normal(seed, 3, i);
        }
        FbTensor x = floats(data, 4, DIMS(images, 3, SIDE, SIDE));
        FbModel *model = build_model(one), *again = build_model(three);
        Maker m = {.graph = model->graph, .seed = seed, .quantized = quantized}, n = {.graph = again->graph, .seed = seed, .quantized = quantized};
        make_graph(&m);
        make_graph(&n);
        Result own, shared, threads, definition;
        run_plan(one, model, &apart, &x, &own, seed);
        run_plan(one, model, &windows, &x, &shared, seed);
        run_plan(three, again, &windows, &x, &threads, seed);
        compare(&own, &shared, model->graph->output_count, seed, "windows");
        compare(&own, &threads, model->graph->output_count, seed, "windows and three threads");
        if (!quantized) { /* integers may round a sum the other way */
            run_plan(one, model, &plain, &x, &definition, seed);
            compare(&definition, &shared, model->graph->output_count, seed, "the optimized plan");
            drop(&definition);
        }
        count_steps(&shared, &steps, &in_place);
        count_steps(&own, &ignored, &copied);
        drop(&own);
        drop(&shared);
        drop(&threads);
        fb_model_free(model);
        fb_model_free(again);
    }
    printf("%zu of %zu steps in place\n", in_place, steps);
    assert_int_equal(copied, 0);
    assert_true(in_place * 5 > steps);
    assert_int_equal(fb_context_memory_now(one), 0);
    fb_context_free(one);
    fb_context_free(three);
}

static void test_float(void **state)
{
    (void)state;
    check_all(false);
}

static void test_integer(void **state)
{
    (void)state;
    check_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float), cmocka_unit_test(test_integer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
