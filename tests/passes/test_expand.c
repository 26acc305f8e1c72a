/* Integer operators rewritten as real ones between Quants: the outputs of random graphs stay the same within 1 unit, and of every pattern the
 * nodes that should go are gone. */
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
    char ports[128];
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
    char ports[128];
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
    char ports[96];
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
    char ports[128];
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
    char ports[160];
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

/* ---- single patterns ---- */

typedef void (*Build)(FbGraph *graph);
typedef FbStatus (*Pass)(FbGraph *graph, const FbKeep *keep, FbError *err);

/* The graph's outputs with and without the pass: within `bar` of their largest number. Left: nodes whose type begins so, afterwards. */
static void check_pattern(Build build, Pass pass, const float *x, int rank, const int64_t *dims, double bar, const char *prefix, size_t left)
{
    Fixture plain, rewritten;
    FbTensor a[3], b[3];
    float copy[256];
    FbError err = {FB_OK, ""};
    FbTensor input = floats(copy, rank, dims);
    assert_true(input.bytes <= sizeof copy);
    memcpy(copy, x, input.bytes);
    begin(&plain);
    build(plain.graph);
    create(&plain);
    run(&plain, &input, 1, a, plain.graph->output_count);
    begin(&rewritten);
    build(rewritten.graph);
    if (pass(rewritten.graph, NULL, &err) != FB_OK || fb_pass_dead_code(rewritten.graph, NULL, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(count_type(rewritten.graph, prefix), left);
    create(&rewritten);
    run(&rewritten, &input, 1, b, rewritten.graph->output_count);
    for (size_t o = 0; o < plain.graph->output_count; o++) {
        double largest = 0;
        assert_int_equal(a[o].bytes, b[o].bytes);
        assert_int_equal(a[o].dtype, b[o].dtype);
        for (int64_t i = 0; i < fb_tensor_elements(&a[o]); i++) {
            largest = fmax(largest, fabs(fb_tensor_number(&a[o], i)));
        }
        assert_true(largest > 0);
        for (int64_t i = 0; i < fb_tensor_elements(&a[o]); i++) {
            assert_true(fabs(fb_tensor_number(&a[o], i) - fb_tensor_number(&b[o], i)) <= bar * largest);
        }
    }
    end(&plain);
    end(&rewritten);
}

static const float numbers[36] = {0.5f, -1.25f, 2.0f, 0.1f, -0.7f, 1.5f, 0.0f, 0.9f, -2.0f, 1.1f, 0.3f, -0.4f, 1.75f, -0.05f, 0.6f, 0.8f, -1.0f, 0.2f,
                                  1.3f, -0.6f, 0.45f, -1.9f, 0.7f, 1.0f, -0.3f, 0.15f, 1.6f, -1.4f, 0.25f, 0.95f, -0.85f, 1.2f, 0.4f, -0.2f, 1.9f, -1.1f};

/* Codes that are read with another scale than they were made with: they are codes again, then reals of the other grid. */
static void build_other_grid(FbGraph *g)
{
    uint8_t zero = 120;
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(2, 6));
    build_float(g, "s", 0.02f);
    build_float(g, "t", 0.05f);
    build_constant(g, "z", FB_DTYPE_U8, 0, NULL, &zero);
    build_node(g, "QuantizeLinear", 13, "x,s,z", "codes");
    build_ints(g, "shape", 1, (int64_t[]){-1});
    build_node(g, "Reshape", 13, "codes,shape", "flat");
    build_node(g, "DequantizeLinear", 13, "flat,t,z", "y");
    build_node(g, "DequantizeLinear", 13, "flat,s,z", "same");
    build_node(g, "DequantizeLinear", 13, "flat,s,z", "again");
    build_output(g, "y");
    build_output(g, "same");
    build_output(g, "again");
}

static void test_other_grid(void **state)
{
    (void)state;
    check_pattern(build_other_grid, fb_pass_expand_qlinear, numbers, 2, DIMS(2, 6), 1e-6, "DequantizeLinear", 1);
}

/* A scale that is computed, or a weight that is: the operator stays. */
static void build_computed_scale(FbGraph *g)
{
    uint8_t zero = 120;
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(2, 6));
    build_float(g, "s", 0.02f);
    build_constant(g, "z", FB_DTYPE_U8, 0, NULL, &zero);
    build_node(g, "QuantizeLinear", 13, "x,s,z", "a");
    build_node(g, "ReduceMax", 13, "x", "top");
    build_float(g, "step", 0.01f);
    build_ints(g, "one", 1, (int64_t[]){1});
    build_node(g, "Mul", 13, "top,step", "wide");
    build_node(g, "Reshape", 13, "wide,one", "t");
    microsoft(g, build_node(g, "QLinearAdd", 1, "a,s,z,a,s,z,t,z", "sum"));
    build_node(g, "DequantizeLinear", 13, "sum,t,z", "y");
    build_output(g, "y");
}

static void test_computed_scale(void **state)
{
    (void)state;
    check_pattern(build_computed_scale, fb_pass_expand_qlinear, numbers, 2, DIMS(2, 6), 1e-6, "QLinearAdd", 1);
}

/* ---- dynamic quantization ---- */

static const int8_t matrix[12] = {10, -20, 30, -40, 50, -60, 70, -80, 90, -100, 110, -120};

static void dynamic_parts(FbGraph *g)
{
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(4, 6));
    build_constant(g, "w", FB_DTYPE_S8, 2, DIMS(6, 2), matrix);
    build_constant(g, "ws", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.01f, 0.02f});
    build_node(g, "DynamicQuantizeLinear", 11, "x", "q,s,z");
    build_node(g, "MatMulInteger", 10, "q,w,z", "sums");
    FbId cast = build_node(g, "Cast", 13, "sums", "real");
    fb_graph_set_attribute_int(g, cast, "to", FB_DTYPE_F32, NULL);
}

static void build_scales_first(FbGraph *g)
{
    dynamic_parts(g);
    build_node(g, "Mul", 13, "s,ws", "scales");
    build_node(g, "Mul", 13, "real,scales", "y");
    build_output(g, "y");
}

static void build_one_by_one(FbGraph *g)
{
    dynamic_parts(g);
    build_node(g, "Mul", 13, "ws,real", "part");
    build_node(g, "Mul", 13, "part,s", "y");
    build_output(g, "y");
}

/* The scale of the weight is missing: this is no product of real numbers as they were. */
static void build_half(FbGraph *g)
{
    dynamic_parts(g);
    build_node(g, "Mul", 13, "real,s", "part");
    build_node(g, "Neg", 13, "part", "y");
    build_output(g, "y");
}

/* The scales lie along the rows of the result. */
static void build_rows(FbGraph *g)
{
    dynamic_parts(g);
    build_constant(g, "rows", FB_DTYPE_F32, 2, DIMS(4, 1), (float[]){0.01f, 0.02f, 0.03f, 0.04f});
    build_node(g, "Mul", 13, "s,rows", "scales");
    build_node(g, "Mul", 13, "real,scales", "y");
    build_output(g, "y");
}

static void build_fused(FbGraph *g)
{
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(4, 6));
    build_constant(g, "w", FB_DTYPE_S8, 2, DIMS(6, 2), matrix);
    build_constant(g, "ws", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.01f, 0.02f});
    build_constant(g, "wz", FB_DTYPE_S8, 1, DIMS(2), (int8_t[]){3, -5});
    build_constant(g, "b", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.5f, -0.25f});
    microsoft(g, build_node(g, "DynamicQuantizeMatMul", 1, "x,w,ws,wz,b", "y"));
    microsoft(g, build_node(g, "DynamicQuantizeMatMul", 1, "x,w,ws", "plain"));
    build_output(g, "y");
    build_output(g, "plain");
}

/* As fewbit writes convolutions: unsigned weights around 128, scales [channels, 1, 1]. */
static void build_conv(FbGraph *g)
{
    uint8_t codes[18];
    for (int i = 0; i < 18; i++) {
        codes[i] = (uint8_t)(128 + (i < 12 ? matrix[i] : 12 - i));
    }
    build_input(g, "x", FB_DTYPE_F32, 4, DIMS(1, 1, 6, 6));
    build_constant(g, "w", FB_DTYPE_U8, 4, DIMS(2, 1, 3, 3), codes);
    build_constant(g, "wz", FB_DTYPE_U8, 0, NULL, (uint8_t[]){128});
    build_constant(g, "ws", FB_DTYPE_F32, 3, DIMS(2, 1, 1), (float[]){0.01f, 0.02f});
    build_node(g, "DynamicQuantizeLinear", 11, "x", "q,s,z");
    FbId conv = build_node(g, "ConvInteger", 10, "q,w,z,wz", "sums");
    fb_graph_set_attribute_ints(g, conv, "pads", DIMS(1, 1, 1, 1), 4, NULL);
    FbId cast = build_node(g, "Cast", 13, "sums", "real");
    fb_graph_set_attribute_int(g, cast, "to", FB_DTYPE_F32, NULL);
    build_node(g, "Mul", 13, "s,ws", "scales");
    build_node(g, "Mul", 13, "real,scales", "y");
    build_output(g, "y");
}

static void test_dynamic(void **state)
{
    (void)state;
    check_pattern(build_scales_first, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "MatMulInteger", 0);
    check_pattern(build_scales_first, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "DynamicQuantizeLinear", 0);
    check_pattern(build_one_by_one, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "MatMulInteger", 0);
    check_pattern(build_half, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 0, "MatMulInteger", 1);
    check_pattern(build_rows, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 0, "MatMulInteger", 1);
    check_pattern(build_fused, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "DynamicQuantize", 0);
    check_pattern(build_fused, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "Quant", 1);
    check_pattern(build_conv, fb_pass_expand_dynamic, numbers, 4, DIMS(1, 1, 6, 6), 1e-6, "ConvInteger", 0);
}

/* MatMulIntegerToFloat behind either quantizer. */
static void to_float(FbGraph *g, bool dynamic)
{
    uint8_t zero = 120;
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(4, 6));
    build_constant(g, "w", FB_DTYPE_S8, 2, DIMS(6, 2), matrix);
    build_constant(g, "ws", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.01f, 0.02f});
    build_constant(g, "b", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.5f, -0.25f});
    if (dynamic) {
        build_node(g, "DynamicQuantizeLinear", 11, "x", "q,s,z");
    } else {
        build_float(g, "s", 0.02f);
        build_constant(g, "z", FB_DTYPE_U8, 0, NULL, &zero);
        build_node(g, "QuantizeLinear", 13, "x,s,z", "q");
    }
    microsoft(g, build_node(g, "MatMulIntegerToFloat", 1, "q,w,s,ws,z,,b", "y"));
    build_output(g, "y");
}

static void build_to_float(FbGraph *g) { to_float(g, false); }
static void build_to_float_dynamic(FbGraph *g) { to_float(g, true); }

static void test_to_float(void **state)
{
    (void)state;
    check_pattern(build_to_float, fb_pass_expand_qlinear, numbers, 2, DIMS(4, 6), 1e-6, "MatMulInteger", 0);
    check_pattern(build_to_float_dynamic, fb_pass_expand_dynamic, numbers, 2, DIMS(4, 6), 1e-6, "MatMulInteger", 0);
    check_pattern(build_to_float_dynamic, fb_pass_expand_qlinear, numbers, 2, DIMS(4, 6), 0, "MatMulInteger", 1); /* no constant scale */
}

/* ---- fused operators in float ---- */

static void build_fused_float(FbGraph *g)
{
    build_input(g, "x", FB_DTYPE_F32, 4, DIMS(1, 1, 6, 6));
    build_constant(g, "w", FB_DTYPE_F32, 4, DIMS(2, 1, 3, 3), numbers);
    build_constant(g, "b", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.5f, -0.25f});
    static const char *const names[] = {"Relu", "LeakyRelu", "Clip", "HardSigmoid", ""};
    for (int i = 0; i < 5; i++) {
        char name[8], ports[24];
        snprintf(name, sizeof name, "c%d", i);
        snprintf(ports, sizeof ports, i == 0 ? "x,w,b" : "x,w,b,c%d", i - 1); /* the one before is added */
        FbId node = build_node(g, "FusedConv", 1, ports, name);
        microsoft(g, node);
        fb_graph_set_attribute_ints(g, node, "pads", DIMS(1, 1, 1, 1), 4, NULL);
        fb_graph_set_attribute_string(g, node, "activation", names[i], NULL);
        if (i > 0 && i < 4) {
            FbAttribute *list = fb_arena_array(g->arena, g->nodes[node]->attribute_count + 1, sizeof *list);
            float *pair = fb_arena_array(g->arena, 2, sizeof *pair);
            memcpy(list, g->nodes[node]->attributes, g->nodes[node]->attribute_count * sizeof *list);
            memcpy(pair, (float[]){i == 2 ? -0.5f : 0.3f, 0.75f}, 2 * sizeof *pair);
            list[g->nodes[node]->attribute_count++] =
                (FbAttribute){.name = "activation_params", .type = FB_ATTR_FLOATS, .count = i == 1 ? 1 : 2, .floats = pair};
            g->nodes[node]->attributes = list;
        }
    }
    build_node(g, "Flatten", 13, "c4", "flat");
    float v[144];
    for (int i = 0; i < 144; i++) {
        v[i] = numbers[i % 35];
    }
    build_constant(g, "v", FB_DTYPE_F32, 2, DIMS(2, 72), v);
    FbId gemm = build_node(g, "FusedGemm", 1, "flat,v,b", "y");
    microsoft(g, gemm);
    fb_graph_set_attribute_int(g, gemm, "transB", 1, NULL);
    fb_graph_set_attribute_float(g, gemm, "alpha", 0.5f, NULL);
    fb_graph_set_attribute_string(g, gemm, "activation", "LeakyRelu", NULL);
    fb_graph_set_attribute_float(g, gemm, "activation_alpha", 0.25f, NULL);
    build_output(g, "y");
    build_output(g, "c4");
}

/* With the normalized rows and their sum, not the moments between. */
static void build_skip(FbGraph *g, const char *ports, const char *outputs)
{
    FbId node = build_node(g, "SkipLayerNormalization", 1, ports, outputs);
    microsoft(g, node);
    for (int i = 1; i < 3; i++) {
        g->values[g->nodes[node]->outputs[i]].producer = FB_NONE;
        g->nodes[node]->outputs[i] = FB_NONE;
    }
}

static void build_norms(FbGraph *g)
{
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(4, 6));
    build_constant(g, "row", FB_DTYPE_F32, 1, DIMS(6), numbers);
    build_constant(g, "more", FB_DTYPE_F32, 1, DIMS(6), numbers + 6);
    microsoft(g, build_node(g, "BiasGelu", 1, "x,row", "a"));
    microsoft(g, build_node(g, "FastGelu", 1, "x", "b"));
    build_skip(g, "a,b,row,more,row", "n,n1,n2,sum");
    build_skip(g, "a,b,row", "m,m1,m2,other");
    microsoft(g, build_node(g, "SkipSimplifiedLayerNormalization", 1, "n,m,row,more", "y"));
    build_output(g, "y");
    build_output(g, "sum");
    build_output(g, "other");
}

static void test_fused(void **state)
{
    (void)state;
    check_pattern(build_fused_float, fb_pass_expand_fused, numbers, 4, DIMS(1, 1, 6, 6), 1e-6, "Fused", 0);
    check_pattern(build_norms, fb_pass_expand_fused, numbers, 2, DIMS(4, 6), 1e-6, "Skip", 0);
    check_pattern(build_norms, fb_pass_expand_fused, numbers, 2, DIMS(4, 6), 1e-6, "Gelu", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_graphs), cmocka_unit_test(test_other_grid),
                                       cmocka_unit_test(test_computed_scale), cmocka_unit_test(test_dynamic),
                                       cmocka_unit_test(test_to_float), cmocka_unit_test(test_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
