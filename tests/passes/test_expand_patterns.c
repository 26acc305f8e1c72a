/* Integer and fused operators rewritten as ONNX's own, pattern by pattern: the outputs stay, and the nodes that should go are gone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "passes/passes.h"
#include "run/session_fixture.h"

static void microsoft(FbGraph *graph, FbId node)
{
    graph->nodes[node]->domain = "com.microsoft";
    graph->nodes[node]->version = 1;
}

static size_t count_type(const FbGraph *graph, const char *prefix)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        count += !graph->nodes[n]->removed && strncmp(graph->nodes[n]->op_type, prefix, strlen(prefix)) == 0;
    }
    return count;
}

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

static const float numbers[36] = {0.5f, -1.25f, 2.0f, 0.1f, -0.7f, 1.5f, 0.0f, 0.9f, -2.0f, 1.1f, 0.3f, -0.4f,
                                  1.75f, -0.05f, 0.6f, 0.8f, -1.0f, 0.2f, 1.3f, -0.6f, 0.45f, -1.9f, 0.7f, 1.0f, -0.3f, 0.15f, 1.6f, -1.4f, 0.25f, 0.95f, -0.85f, 1.2f, 0.4f, -0.2f, 1.9f, -1.1f};

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
        char name[16], ports[40];
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_other_grid), cmocka_unit_test(test_computed_scale), cmocka_unit_test(test_dynamic),
                                       cmocka_unit_test(test_to_float), cmocka_unit_test(test_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
