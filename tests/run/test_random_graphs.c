/* Random small convolution graphs: the optimized plan (fused, packed, channels last, memory shared) gives the bits of the plain plan, which
 * runs every node as its operator row does; so does any number of threads. */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "run/session_fixture.h"

enum { GRAPHS = 1000, NODES = 14, VALUES_MAX = 64 };

typedef struct Value {
    char name[16];
    int64_t channels, height, width;
} Value;

typedef struct Maker {
    FbGraph *graph;
    uint64_t seed, counter;
    Value values[VALUES_MAX];
    size_t count;
    int names;
} Maker;

static uint64_t pick(Maker *m, uint64_t limit)
{
    return fb_random_below(m->seed, 1, m->counter++, limit);
}

static void make_weight(Maker *m, const char *name, int rank, const int64_t *dims)
{
    float data[4096];
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    assert_true(count <= 4096);
    for (size_t i = 0; i < count; i++) {
        data[i] = 0.5f * fb_random_normal(m->seed, 2, m->counter++);
    }
    build_constant(m->graph, name, FB_DTYPE_F32, rank, dims, data);
}

static Value *push(Maker *m, int64_t channels, int64_t height, int64_t width)
{
    Value *value = &m->values[m->count++];
    snprintf(value->name, sizeof value->name, "v%d", m->names++);
    value->channels = channels;
    value->height = height;
    value->width = width;
    return value;
}

/* One of the last values, so that graphs are deep and have residuals. */
static Value *choose(Maker *m)
{
    size_t window = m->count < 5 ? m->count : 5;
    return &m->values[m->count - 1 - pick(m, window)];
}

static void make_conv(Maker *m)
{
    Value *x = choose(m);
    bool depthwise = pick(m, 4) == 0;
    int64_t kernel = pick(m, 2) == 0 ? 1 : 3, out = depthwise ? x->channels : 1 + (int64_t)pick(m, 9);
    int64_t stride = x->height > 4 && x->width > 4 && pick(m, 5) == 0 ? 2 : 1, pad = kernel / 2;
    Value *y = push(m, out, (x->height + 2 * pad - kernel) / stride + 1, (x->width + 2 * pad - kernel) / stride + 1);
    char weight[24], ports[64];
    snprintf(weight, sizeof weight, "w_%s", y->name);
    make_weight(m, weight, 4, DIMS(out, depthwise ? 1 : x->channels, kernel, kernel));
    snprintf(ports, sizeof ports, "%s,%s", x->name, weight);
    if (pick(m, 2) == 0) {
        snprintf(weight, sizeof weight, "b_%s", y->name);
        make_weight(m, weight, 1, DIMS(out));
        snprintf(ports + strlen(ports), sizeof ports - strlen(ports), ",%s", weight);
    }
    FbId node = build_node(m->graph, "Conv", 11, ports, y->name);
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(pad, pad, pad, pad), 4, NULL);
    fb_graph_set_attribute_ints(m->graph, node, "strides", DIMS(stride, stride), 2, NULL);
    fb_graph_set_attribute_int(m->graph, node, "group", depthwise ? x->channels : 1, NULL);
}

static void make_unary(Maker *m)
{
    static const char *const types[] = {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Neg", "Softmax", "Identity"};
    Value *x = choose(m);
    size_t t = pick(m, sizeof types / sizeof types[0]);
    Value *y = push(m, x->channels, x->height, x->width);
    FbId node = build_node(m->graph, types[t], strcmp(types[t], "HardSwish") == 0 ? 22 : 16, x->name, y->name);
    if (strcmp(types[t], "Softmax") == 0) {
        fb_graph_set_attribute_int(m->graph, node, "axis", 1 + (int64_t)pick(m, 3), NULL);
    }
}

/* x * Sigmoid(x), as exporters write it. */
static void make_silu(Maker *m)
{
    Value *x = choose(m);
    Value *s = push(m, x->channels, x->height, x->width);
    char ports[40];
    build_node(m->graph, "Sigmoid", 13, x->name, s->name);
    snprintf(ports, sizeof ports, "%s,%s", x->name, s->name);
    build_node(m->graph, "Mul", 14, ports, push(m, x->channels, x->height, x->width)->name);
}

/* With a value of the same shape, or one per channel, or a constant. */
static void make_binary(Maker *m)
{
    static const char *const types[] = {"Add", "Mul", "Sub", "Max"};
    Value *x = choose(m), *other = NULL;
    for (size_t v = 0; v < m->count; v++) {
        Value *w = &m->values[v];
        bool same = w->channels == x->channels && w->height == x->height && w->width == x->width;
        bool per_channel = w->channels == x->channels && w->height == 1 && w->width == 1;
        if (w != x && (same || per_channel) && (other == NULL || pick(m, 2) == 0)) {
            other = w;
        }
    }
    Value *y = push(m, x->channels, x->height, x->width);
    char ports[48], constant[24];
    if (other != NULL && pick(m, 4) != 0) {
        bool swap = pick(m, 2) == 0;
        snprintf(ports, sizeof ports, "%s,%s", swap ? other->name : x->name, swap ? x->name : other->name);
    } else {
        snprintf(constant, sizeof constant, "c_%s", y->name);
        make_weight(m, constant, 3, DIMS(pick(m, 2) == 0 ? x->channels : 1, 1, pick(m, 3) == 0 ? x->width : 1));
        snprintf(ports, sizeof ports, "%s,%s", x->name, constant);
    }
    build_node(m->graph, types[pick(m, 4)], 14, ports, y->name);
}

static void make_pool(Maker *m)
{
    static const char *const types[] = {"MaxPool", "AveragePool", "GlobalAveragePool"};
    Value *x = choose(m);
    size_t t = pick(m, 3);
    bool whole = t == 2;
    if (!whole && (x->height < 2 || x->width < 2)) {
        return;
    }
    Value *y = push(m, x->channels, whole ? 1 : x->height / 2, whole ? 1 : x->width / 2);
    FbId node = build_node(m->graph, types[t], whole ? 1 : 11, x->name, y->name);
    if (!whole) {
        fb_graph_set_attribute_ints(m->graph, node, "kernel_shape", DIMS(2, 2), 2, NULL);
        fb_graph_set_attribute_ints(m->graph, node, "strides", DIMS(2, 2), 2, NULL);
    }
}

static void make_concat(Maker *m)
{
    Value *x = choose(m), *other = choose(m);
    if (other->height != x->height || other->width != x->width || x->channels + other->channels > 16) {
        return;
    }
    char ports[40];
    Value *y = push(m, x->channels + other->channels, x->height, x->width);
    snprintf(ports, sizeof ports, "%s,%s", x->name, other->name);
    FbId node = build_node(m->graph, "Concat", 13, ports, y->name);
    fb_graph_set_attribute_int(m->graph, node, "axis", 1, NULL);
}

/* N C H W -> N H W C -> back through other ops, and a reshape that is its own inverse: borders of the two orders. */
static void make_border(Maker *m)
{
    Value *x = choose(m);
    char inner[20], ports[48], target[24];
    snprintf(inner, sizeof inner, "i_%d", m->names);
    if (pick(m, 2) == 0) {
        FbId to = build_node(m->graph, "Transpose", 13, x->name, inner);
        fb_graph_set_attribute_ints(m->graph, to, "perm", DIMS(0, 2, 3, 1), 4, NULL);
        Value *y = push(m, x->channels, x->height, x->width);
        FbId back = build_node(m->graph, "Transpose", 13, inner, y->name);
        fb_graph_set_attribute_ints(m->graph, back, "perm", DIMS(0, 3, 1, 2), 4, NULL);
    } else {
        Value *y = push(m, x->channels, x->width, x->height);
        snprintf(target, sizeof target, "t_%s", y->name);
        build_ints(m->graph, target, 4, (int64_t[]){0, x->channels, y->height, y->width});
        snprintf(ports, sizeof ports, "%s,%s", x->name, target);
        build_node(m->graph, "Reshape", 13, ports, y->name);
    }
}

static void make_graph(Maker *m)
{
    static void (*const makers[])(Maker *) = {make_conv, make_conv, make_conv, make_unary, make_unary, make_silu,
                                              make_binary, make_binary, make_binary, make_pool, make_concat, make_border};
    Value *x = push(m, 3, 6, 5);
    build_input(m->graph, x->name, FB_DTYPE_F32, 4, DIMS(fb_graph_symbol(m->graph, "N"), 3, 6, 5));
    for (int i = 0; i < NODES; i++) {
        makers[pick(m, sizeof makers / sizeof makers[0])](m);
    }
    build_output(m->graph, m->values[m->count - 1].name);
    if (m->count > 2) {
        build_output(m->graph, m->values[m->count - 2].name);
    }
}

typedef struct Result {
    FbPlan *plan;
    FbInstance *instance;
    FbTensor outputs[2];
} Result;

static void run_plan(FbContext *context, const FbModel *model, bool plain, const FbTensor *x, Result *result, uint64_t seed)
{
    FbPlanOptions options = {.plain = plain};
    FbError err = {FB_OK, ""};
    if (fb_plan_create(context, model, &options, &result->plan, &err) != FB_OK ||
        fb_instance_create(result->plan, &result->instance, &err) != FB_OK ||
        fb_instance_run(result->instance, &x, result->outputs, &err) != FB_OK) {
        fail_msg("graph %llu: %s", (unsigned long long)seed, err.message);
    }
}

static void compare(const Result *a, const Result *b, const FbGraph *graph, uint64_t seed, const char *what)
{
    for (size_t o = 0; o < graph->output_count; o++) {
        assert_int_equal(a->outputs[o].bytes, b->outputs[o].bytes);
        const float *left = a->outputs[o].data, *right = b->outputs[o].data;
        for (size_t i = 0; i < a->outputs[o].bytes / sizeof(float); i++) {
            bool both_nan = left[i] != left[i] && right[i] != right[i];
            if (!both_nan && memcmp(&left[i], &right[i], sizeof(float)) != 0) {
                fail_msg("graph %llu, output %zu, element %zu: %.9g instead of %.9g with %s", (unsigned long long)seed, o, i, (double)right[i],
                         (double)left[i], what);
            }
        }
    }
}

static void drop(Result *result)
{
    fb_instance_free(result->instance);
    fb_plan_free(result->plan);
}

static void test_random(void **state)
{
    (void)state;
    FbContext *one = build_context(1), *three = build_context(3);
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        float data[2 * 3 * 6 * 5];
        for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
            data[i] = fb_random_normal(seed, 3, i);
        }
        FbTensor x = floats(data, 4, DIMS(2, 3, 6, 5));
        FbModel *model = build_model(one), *again = build_model(three);
        Maker maker = {.graph = model->graph, .seed = seed}, maker_again = {.graph = again->graph, .seed = seed};
        make_graph(&maker);
        make_graph(&maker_again);
        Result plain, best, threads;
        run_plan(one, model, true, &x, &plain, seed);
        run_plan(one, model, false, &x, &best, seed);
        run_plan(three, again, false, &x, &threads, seed);
        compare(&plain, &best, model->graph, seed, "the optimized plan");
        compare(&plain, &threads, model->graph, seed, "three threads");
        drop(&plain);
        drop(&best);
        drop(&threads);
        fb_model_free(model);
        fb_model_free(again);
    }
    assert_int_equal(fb_context_memory_now(one), 0);
    fb_context_free(one);
    fb_context_free(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
