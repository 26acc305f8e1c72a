/* ConvTranspose rewritten as Conv and a shuffle: the bits of the plain operator in float; within a code of it in integers. */
#include <math.h>
#include <stdio.h>

#include "base/random.h"
#include "passes/quant_fold.h"
#include "run/session_fixture.h"

enum { CASES = 400, MOST = 4096 };
#define OUT_SCALE 0.0413f

typedef struct Case {
    uint64_t seed, counter;
    int spatial;
    int64_t group, in, out, size[2], kernel[2], pads[4], more[2], stride;
    bool bias, relu, quantized;
    bool stayed; /* out: the operator ran as it is */
} Case;

static int64_t pick(Case *c, int64_t low, int64_t high)
{
    return low + (int64_t)fb_random_below(c->seed, 1, c->counter++, (uint64_t)(high - low + 1));
}

static void choose(Case *c, uint64_t seed)
{
    *c = (Case){.seed = seed};
    c->spatial = (int)pick(c, 1, 2);
    c->group = pick(c, 0, 3) == 0 ? 2 : 1;
    c->in = pick(c, 1, 5);
    c->out = pick(c, 1, 5);
    c->stride = pick(c, 1, 4);
    for (int i = 0; i < c->spatial; i++) {
        c->size[i] = pick(c, 1, 6);
        c->kernel[i] = pick(c, 1, 5);
        c->more[i] = c->stride > 1 ? pick(c, 0, c->stride - 1) : 0;
        c->pads[i] = pick(c, 0, c->kernel[i] / 2);
        c->pads[c->spatial + i] = pick(c, 0, c->kernel[i] / 2);
    }
    c->bias = pick(c, 0, 1) == 0;
    c->relu = pick(c, 0, 1) == 0;
}

static void quantize(FbGraph *graph, const char *from, const char *to, float scale)
{
    char scale_name[32], zero_name[32], codes[32], ports[128];
    const uint8_t zero = 117;
    snprintf(scale_name, sizeof scale_name, "%s_scale", to);
    snprintf(zero_name, sizeof zero_name, "%s_zero", to);
    snprintf(codes, sizeof codes, "%s_codes", to);
    build_float(graph, scale_name, scale);
    build_constant(graph, zero_name, FB_DTYPE_U8, 0, NULL, &zero);
    snprintf(ports, sizeof ports, "%s,%s,%s", from, scale_name, zero_name);
    build_node(graph, "QuantizeLinear", 13, ports, codes);
    snprintf(ports, sizeof ports, "%s,%s,%s", codes, scale_name, zero_name);
    build_node(graph, "DequantizeLinear", 13, ports, to);
}

static void make_weight(Case *c, FbGraph *graph)
{
    static float reals[MOST];
    static int8_t codes[MOST];
    float scales[8];
    int64_t dims[4] = {c->group * c->in, c->out, c->kernel[0], c->kernel[1]};
    size_t count = (size_t)(dims[0] * dims[1] * dims[2] * (c->spatial == 2 ? dims[3] : 1));
    for (size_t i = 0; i < count; i++) {
        codes[i] = (int8_t)(pick(c, 0, 254) - 127);
        reals[i] = (float)codes[i] / 200.0f;
    }
    if (!c->quantized) {
        build_constant(graph, "w", FB_DTYPE_F32, 2 + c->spatial, dims, reals);
        return;
    }
    for (int64_t i = 0; i < c->out; i++) {
        scales[i] = 0.002f + 0.0005f * (float)i;
    }
    build_constant(graph, "w_codes", FB_DTYPE_S8, 2 + c->spatial, dims, codes);
    build_constant(graph, "w_scale", FB_DTYPE_F32, c->group == 1 ? 1 : 0, &c->out, scales);
    FbId node = build_node(graph, "DequantizeLinear", 13, "w_codes,w_scale", "w");
    fb_graph_set_attribute_int(graph, node, "axis", 1, NULL);
}

static void make_graph(Case *c, FbGraph *graph)
{
    float bias[16];
    build_input(graph, "x", FB_DTYPE_F32, 2 + c->spatial, DIMS(fb_graph_symbol(graph, "N"), c->group * c->in, c->size[0], c->size[1]));
    make_weight(c, graph);
    if (c->bias) {
        for (int64_t i = 0; i < c->group * c->out; i++) {
            bias[i] = fb_random_normal(c->seed, 4, (uint64_t)i);
        }
        build_constant(graph, "b", FB_DTYPE_F32, 1, DIMS(c->group * c->out), bias);
    }
    if (c->quantized) {
        quantize(graph, "x", "xq", 0.03f);
    }
    char ports[16];
    snprintf(ports, sizeof ports, "%s,w%s", c->quantized ? "xq" : "x", c->bias ? ",b" : "");
    FbId node = build_node(graph, "ConvTranspose", 11, ports, "t");
    fb_graph_set_attribute_ints(graph, node, "strides", DIMS(c->stride, c->stride), (size_t)c->spatial, NULL);
    fb_graph_set_attribute_ints(graph, node, "pads", c->pads, (size_t)(2 * c->spatial), NULL);
    fb_graph_set_attribute_ints(graph, node, "output_padding", c->more, (size_t)c->spatial, NULL);
    fb_graph_set_attribute_int(graph, node, "group", c->group, NULL);
    if (c->relu) {
        build_node(graph, "Relu", 14, "t", "r");
    }
    if (c->quantized) {
        quantize(graph, c->relu ? "r" : "t", "y", OUT_SCALE);
    }
    build_output(graph, c->quantized ? "y" : c->relu ? "r" : "t");
    FbError err = {FB_OK, ""};
    if (fb_graph_fold_quants(graph, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
}

typedef struct Result {
    FbPlan *plan;
    FbInstance *instance;
    FbTensor output;
} Result;

static bool run_plan(FbContext *context, const FbModel *model, const FbPlanOptions *options, const FbTensor *x, Result *result, uint64_t seed)
{
    FbError err = {FB_OK, ""};
    *result = (Result){0};
    if (fb_plan_create(context, model, options, &result->plan, &err) != FB_OK ||
        fb_instance_create(result->plan, &result->instance, &err) != FB_OK ||
        fb_instance_run(result->instance, &x, &result->output, &err) != FB_OK) {
        if (err.status != FB_ERR_FORMAT) { /* padding that leaves nothing is the operator's own error, in every plan */
            fail_msg("case %llu: %s", (unsigned long long)seed, err.message);
        }
        return false;
    }
    return true;
}

static void drop(Result *result)
{
    fb_instance_free(result->instance);
    fb_plan_free(result->plan);
}

static bool has_step(const FbPlan *plan, const char *op_type)
{
    for (size_t s = 0; s < plan->step_count; s++) {
        if (plan->steps[s].node != NULL && strcmp(plan->steps[s].node->op_type, op_type) == 0) {
            return true;
        }
    }
    return false;
}

/* The rewriting pads each kernel to whole phases: where that makes more than four times the weights, the operator stays. */
static bool stays(const Case *c)
{
    int64_t kept = 1, made = 1;
    for (int i = 0; i < c->spatial; i++) {
        kept *= c->kernel[i];
        made *= (c->kernel[i] + c->stride - 1) / c->stride * c->stride;
    }
    return made > 4 * kept;
}

static size_t check_case(FbContext *context, Case *c, size_t *apart)
{
    static float data[MOST];
    FbModel *model = build_model(context);
    make_graph(c, model->graph);
    for (size_t i = 0; i < MOST; i++) {
        data[i] = fb_random_normal(c->seed, 3, i);
    }
    FbTensor x = floats(data, 2 + c->spatial, DIMS(2, c->group * c->in, c->size[0], c->size[1]));
    FbPlanOptions plain = {.plain = !c->quantized}, best = {.mode = c->quantized ? FB_MODE_INTEGER : FB_MODE_SIMULATED};
    Result a, b;
    const bool ran = run_plan(context, model, &plain, &x, &a, c->seed), again = run_plan(context, model, &best, &x, &b, c->seed);
    assert_int_equal(ran, again);
    size_t count = 0;
    if (ran) {
        assert_int_equal(has_step(b.plan, "ConvTranspose"), stays(c));
        c->stayed = stays(c);
        assert_int_equal(a.output.bytes, b.output.bytes);
        assert_memory_equal(a.output.dims, b.output.dims, sizeof(int64_t) * (size_t)a.output.rank);
        count = a.output.bytes / sizeof(float);
        const float *left = a.output.data, *right = b.output.data;
        for (size_t i = 0; i < count; i++) {
            const bool close = c->quantized ? fabsf(left[i] - right[i]) < OUT_SCALE * 1.001f : left[i] == right[i];
            if (!close) {
                fail_msg("case %llu, element %zu: %.9g instead of %.9g", (unsigned long long)c->seed, i, (double)right[i], (double)left[i]);
            }
            *apart += left[i] != right[i];
        }
    }
    drop(&a);
    drop(&b);
    fb_model_free(model);
    return count;
}

static void check_all(bool quantized)
{
    FbContext *context = build_context(2);
    size_t elements = 0, apart = 0, stayed = 0;
    for (uint64_t seed = 1; seed <= CASES; seed++) {
        Case c;
        choose(&c, seed);
        c.quantized = quantized;
        elements += check_case(context, &c, &apart);
        stayed += c.stayed;
    }
    assert_true(elements > 10000);
    assert_in_range(stayed, CASES / 100, CASES / 3); /* both ways are taken */
    assert_true(apart * 1000 <= elements);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
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
