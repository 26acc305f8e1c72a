/* Integer operators rewritten as real ones between Quants: the outputs of random graphs stay the same within 1 unit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "passes/passes.h"
#include "run/session_fixture.h"

enum { GRAPHS = 400, NODES = 6, VALUES_MAX = 16, PIXELS = 64 };

typedef struct Value {
    char name[16];
    int64_t channels, height, width;
} Value;

typedef struct Maker {
    FbGraph *graph;
    uint64_t seed, counter;
    FbDtype code;
    Value values[VALUES_MAX];
    size_t count;
    int names;
} Maker;

static uint64_t pick(Maker *m, uint64_t limit) { return fb_random_below(m->seed, 1, m->counter++, limit); }

static Value *push(Maker *m, int64_t channels, int64_t height, int64_t width)
{
    Value *value = &m->values[m->count++];
    snprintf(value->name, sizeof value->name, "v%d", m->names++);
    value->channels = channels;
    value->height = height;
    value->width = width;
    return value;
}

static Value *choose(Maker *m) { return &m->values[m->count - 1 - pick(m, m->count < 3 ? m->count : 3)]; }

/* Constants "<name>_s" and "<name>_z" for a value. */
static void grid_of(Maker *m, const char *name, float scale)
{
    char text[32];
    uint8_t zero = m->code == FB_DTYPE_S8 ? (uint8_t)(int8_t)((int)pick(m, 40) - 20) : (uint8_t)(100 + pick(m, 56));
    snprintf(text, sizeof text, "%s_s", name);
    build_float(m->graph, text, scale * (0.8f + 0.4f * (float)fb_random_unit(m->seed, 3, m->counter++)));
    snprintf(text, sizeof text, "%s_z", name);
    build_constant(m->graph, text, m->code, 0, NULL, &zero);
}

static void microsoft(FbGraph *graph, FbId node)
{
    graph->nodes[node]->domain = "com.microsoft";
    graph->nodes[node]->version = 1;
}

/* Weights "<name>_w", "_ws", "_wz", and "_b"; `many`: a scale per index of axis 0 (1: per output). u8 weights have zero points. */
static void make_weight(Maker *m, const char *name, int rank, const int64_t *dims, int axis, int64_t bias)
{
    uint8_t codes[2048], zeros[64];
    float scales[64];
    int32_t biases[64];
    char text[32];
    bool many = pick(m, 2) == 0, is_u8 = m->code == FB_DTYPE_U8 && pick(m, 3) == 0, half = pick(m, 2) == 0;
    int64_t count = 1, outputs = many ? dims[axis] : 1;
    for (int i = 0; i < rank; i++) {
        count *= dims[i];
    }
    assert_true(count <= (int64_t)sizeof codes && bias <= 64 && outputs <= 64);
    for (int64_t i = 0; i < count; i++) {
        codes[i] = (uint8_t)pick(m, 256);
    }
    for (int64_t i = 0; i < outputs; i++) {
        scales[i] = 0.004f * (0.5f + (float)fb_random_unit(m->seed, 4, m->counter++));
        zeros[i] = !is_u8 ? 0 : half ? 128 : (uint8_t)(120 + pick(m, 16));
    }
    for (int64_t i = 0; i < bias; i++) {
        biases[i] = (int32_t)pick(m, 20000) - 10000;
    }
    FbDtype dtype = is_u8 ? FB_DTYPE_U8 : FB_DTYPE_S8;
    snprintf(text, sizeof text, "%s_w", name);
    build_constant(m->graph, text, dtype, rank, dims, codes);
    snprintf(text, sizeof text, "%s_ws", name);
    build_constant(m->graph, text, FB_DTYPE_F32, many ? 1 : 0, &outputs, scales);
    snprintf(text, sizeof text, "%s_wz", name);
    build_constant(m->graph, text, dtype, many ? 1 : 0, &outputs, zeros);
    if (bias > 0) {
        snprintf(text, sizeof text, "%s_b", name);
        build_constant(m->graph, text, FB_DTYPE_S32, 1, &bias, biases);
    }
}

static void make_conv(Maker *m)
{
    Value *x = choose(m);
    bool depthwise = pick(m, 4) == 0, bias = pick(m, 2) == 0;
    int64_t kernel = pick(m, 2) == 0 || x->height < 3 || x->width < 3 ? 1 : 3, out = depthwise ? x->channels : 1 + (int64_t)pick(m, 9);
    char ports[192];
    Value *y = push(m, out, x->height, x->width);
    grid_of(m, y->name, 0.05f);
    make_weight(m, y->name, 4, DIMS(out, depthwise ? 1 : x->channels, kernel, kernel), 0, bias ? out : 0);
    snprintf(ports, sizeof ports, "%s,%s_s,%s_z,%s_w,%s_ws,%s_wz,%s_s,%s_z%s%s%s", x->name, x->name, x->name, y->name, y->name, y->name, y->name,
             y->name, bias ? "," : "", bias ? y->name : "", bias ? "_b" : "");
    FbId node = build_node(m->graph, "QLinearConv", 10, ports, y->name);
    int64_t pad = kernel / 2;
    fb_graph_set_attribute_ints(m->graph, node, "pads", DIMS(pad, pad, pad, pad), 4, NULL);
    fb_graph_set_attribute_int(m->graph, node, "group", depthwise ? x->channels : 1, NULL);
}

static void make_pair(Maker *m)
{
    Value *x = choose(m), *other = x;
    for (size_t v = 0; v < m->count; v++) {
        Value *w = &m->values[v];
        if (w->channels == x->channels && ((w->height == x->height && w->width == x->width) || (w->height == 1 && w->width == 1))) {
            other = w;
        }
    }
    bool add = pick(m, 2) == 0;
    char ports[192];
    Value *y = push(m, x->channels, x->height, x->width);
    grid_of(m, y->name, 0.06f);
    snprintf(ports, sizeof ports, "%s,%s_s,%s_z,%s,%s_s,%s_z,%s_s,%s_z", x->name, x->name, x->name, other->name, other->name, other->name,
             y->name, y->name);
    microsoft(m->graph, build_node(m->graph, add ? "QLinearAdd" : "QLinearMul", 1, ports, y->name));
}

static void make_unary(Maker *m)
{
    static const char *const types[] = {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool", "QLinearAveragePool"};
    size_t t = pick(m, 4);
    Value *x = choose(m);
    bool window = t == 3;
    if (window && (x->height < 2 || x->width < 2)) {
        return;
    }
    char ports[128];
    Value *y = push(m, x->channels, t == 2 ? 1 : window ? x->height / 2 : x->height, t == 2 ? 1 : window ? x->width / 2 : x->width);
    grid_of(m, y->name, t == 0 ? 0.004f : 0.05f);
    snprintf(ports, sizeof ports, "%s,%s_s,%s_z,%s_s,%s_z", x->name, x->name, x->name, y->name, y->name);
    FbId node = build_node(m->graph, types[t], 1, ports, y->name);
    microsoft(m->graph, node);
    if (window) {
        fb_graph_set_attribute_ints(m->graph, node, "kernel_shape", DIMS(2, 2), 2, NULL);
        fb_graph_set_attribute_ints(m->graph, node, "strides", DIMS(2, 2), 2, NULL);
    }
}

static void make_concat(Maker *m)
{
    Value *x = choose(m), *other = choose(m);
    if (other->height != x->height || other->width != x->width || x->channels + other->channels > 12) {
        return;
    }
    char ports[192];
    Value *y = push(m, x->channels + other->channels, x->height, x->width);
    grid_of(m, y->name, 0.05f);
    snprintf(ports, sizeof ports, "%s_s,%s_z,%s,%s_s,%s_z,%s,%s_s,%s_z", y->name, y->name, x->name, x->name, x->name, other->name,
             other->name, other->name);
    FbId node = build_node(m->graph, "QLinearConcat", 1, ports, y->name);
    microsoft(m->graph, node);
    fb_graph_set_attribute_int(m->graph, node, "axis", 1, NULL);
}

/* MaxPool and Transpose of codes: the grid goes on under the new name. */
static void make_move(Maker *m)
{
    Value *x = choose(m);
    bool pool = pick(m, 2) == 0 && x->height > 1 && x->width > 1;
    Value *y = push(m, x->channels, pool ? x->height - 1 : x->width, pool ? x->width - 1 : x->height);
    FbId node = build_node(m->graph, pool ? "MaxPool" : "Transpose", 13, x->name, y->name);
    fb_graph_set_attribute_ints(m->graph, node, pool ? "kernel_shape" : "perm", pool ? DIMS(2, 2) : DIMS(0, 1, 3, 2), pool ? 2 : 4, NULL);
    for (int i = 0; i < 2; i++) {
        char from[24], to[24];
        FbTensor tensor = {0};
        FbId made;
        snprintf(from, sizeof from, "%s_%c", x->name, "sz"[i]);
        snprintf(to, sizeof to, "%s_%c", y->name, "sz"[i]);
        assert_int_equal(fb_const_load(m->graph->context, fb_graph_constant(m->graph, fb_graph_find_value(m->graph, from)), &tensor, NULL), FB_OK);
        assert_int_equal(fb_graph_add_constant(m->graph, to, &tensor, &made, NULL), FB_OK);
        fb_free(m->graph->context, tensor.data);
    }
}

/* Flattened and multiplied by a matrix; QGemm gives reals in every other graph. */
static bool make_tail(Maker *m)
{
    Value x = m->values[m->count - 1];
    int64_t depth = x.channels * x.height * x.width, columns = 1 + (int64_t)pick(m, 8);
    bool gemm = pick(m, 2) == 0, transposed = gemm && pick(m, 2) == 0, real = gemm && pick(m, 2) == 0;
    char ports[256];
    if (depth * columns > 2048) {
        return false;
    }
    build_node(m->graph, "Flatten", 13, x.name, "flat");
    grid_of(m, "tail", 0.2f);
    make_weight(m, "tail", 2, transposed ? DIMS(columns, depth) : DIMS(depth, columns), transposed ? 0 : 1, gemm ? columns : 0);
    snprintf(ports, sizeof ports, "flat,%s_s,%s_z,tail_w,tail_ws,tail_wz,%s%s", x.name, x.name, gemm ? "tail_b" : "",
             real ? "" : gemm ? ",tail_s,tail_z" : "tail_s,tail_z");
    FbId node = build_node(m->graph, gemm ? "QGemm" : "QLinearMatMul", gemm ? 1 : 10, ports, real ? "y" : "tail");
    if (gemm) {
        microsoft(m->graph, node);
        fb_graph_set_attribute_int(m->graph, node, "transB", transposed, NULL);
    }
    if (!real) {
        build_node(m->graph, "DequantizeLinear", 13, "tail,tail_s,tail_z", "y");
    }
    return true;
}

static void make_graph(Maker *m)
{
    static void (*const makers[])(Maker *) = {make_conv, make_conv, make_conv, make_pair, make_pair, make_unary, make_unary, make_concat, make_move};
    build_input(m->graph, "x", FB_DTYPE_F32, 4, DIMS(1, 3, 6, 5));
    Value *x = push(m, 3, 6, 5);
    m->code = pick(m, 2) == 0 ? FB_DTYPE_U8 : FB_DTYPE_S8;
    grid_of(m, x->name, 0.02f);
    build_node(m->graph, "QuantizeLinear", 13, "x,v0_s,v0_z", x->name);
    for (int i = 0; i < NODES; i++) {
        makers[pick(m, sizeof makers / sizeof makers[0])](m);
    }
    char last[16];
    snprintf(last, sizeof last, "%s", m->values[m->count - 1].name);
    if (!make_tail(m)) {
        char ports[64];
        snprintf(ports, sizeof ports, "%s,%s_s,%s_z", last, last, last);
        build_node(m->graph, "DequantizeLinear", 13, ports, "y");
    }
    build_output(m->graph, "y");
    if (pick(m, 3) == 0) {
        build_output(m->graph, last); /* codes that somebody wants */
    }
}

/* ---- comparison ---- */

typedef struct Result {
    Fixture fixture;
    FbTensor outputs[2];
    size_t count;
} Result;

static size_t count_type(const FbGraph *graph, const char *prefix)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        count += !graph->nodes[n]->removed && strncmp(graph->nodes[n]->op_type, prefix, strlen(prefix)) == 0;
    }
    return count;
}

static void evaluate(Result *result, uint64_t seed, bool expanded, float *x)
{
    Fixture *f = &result->fixture;
    begin(f);
    Maker m = {.graph = f->graph, .seed = seed};
    make_graph(&m);
    if (expanded) {
        FbError err = {FB_OK, ""};
        if (fb_pass_expand_qlinear(f->graph, NULL, &err) != FB_OK || fb_pass_dead_code(f->graph, NULL, &err) != FB_OK) {
            fail_msg("graph %u: %s", (unsigned)seed, err.message);
        }
        assert_int_equal(count_type(f->graph, "QLinear") + count_type(f->graph, "QGemm") + count_type(f->graph, "DequantizeLinear"), 0);
        assert_int_equal(count_type(f->graph, "QuantizeLinear"), f->graph->output_count - 1);
    }
    create(f);
    FbTensor input = floats(x, 4, DIMS(1, 3, 6, 5));
    result->count = f->graph->output_count;
    run(f, &input, 1, result->outputs, result->count);
}

/* In units of the output's scale, or of 1e-4 of the largest number for real outputs. */
static void compare(const Result *plain, const Result *rewritten, uint64_t seed, size_t *codes, size_t *different)
{
    assert_int_equal(plain->count, rewritten->count);
    for (size_t o = 0; o < plain->count; o++) {
        const FbTensor *a = &plain->outputs[o], *b = &rewritten->outputs[o];
        const FbGraph *graph = plain->fixture.graph;
        const FbNode *last = graph->nodes[graph->values[graph->outputs[o]].producer];
        double unit = 1, largest = 0;
        assert_int_equal(a->bytes, b->bytes);
        assert_int_equal(a->dtype, b->dtype);
        for (int64_t i = 0; i < fb_tensor_elements(a); i++) {
            largest = fmax(largest, fabs(fb_tensor_number(a, i)));
        }
        if (a->dtype == FB_DTYPE_F32) {
            FbTensor scale = {0};
            bool codes_before = fb_node_is(last, "", "DequantizeLinear");
            if (codes_before) {
                assert_int_equal(fb_const_load(graph->context, fb_graph_constant(graph, last->inputs[1]), &scale, NULL), FB_OK);
                unit = (double)*(const float *)scale.data;
                fb_free(graph->context, scale.data);
            } else {
                unit = 1e-2 * largest; /* a code of the operand may differ by 1 */
            }
        }
        for (int64_t i = 0; i < fb_tensor_elements(a); i++) {
            double distance = fabs(fb_tensor_number(a, i) - fb_tensor_number(b, i)) / (unit > 0 ? unit : 1);
            if (!(distance < 1.01)) {
                fail_msg("graph %u, output %u, element %u: %g units", (unsigned)seed, (unsigned)o, (unsigned)i, distance);
            }
            *codes += 1;
            *different += distance > 0.01;
        }
    }
}

static void test_random_graphs(void **state)
{
    (void)state;
    size_t codes = 0, different = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        float x[90];
        Result plain, rewritten;
        for (int i = 0; i < 90; i++) {
            x[i] = fb_random_normal(seed, 9, (uint64_t)i);
        }
        evaluate(&plain, seed, false, x);
        evaluate(&rewritten, seed, true, x);
        compare(&plain, &rewritten, seed, &codes, &different);
        end(&plain.fixture);
        end(&rewritten.fixture);
    }
    print_message("%u of %u numbers differ\n", (unsigned)different, (unsigned)codes);
    assert_true(different * 200 <= codes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
