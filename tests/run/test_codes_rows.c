/* LayerNormalization and Softmax between codes where not even the rank is known before a run: they take the codes, and give the bits of the
 * operators that compute in float between Quants. */
#include <stdio.h>

#include "base/random.h"
#include "passes/quant_fold.h"
#include "run/session_fixture.h"

enum { ROWS = 5, COUNT = 8 };

/* `x` behind a Quant. */
static void build_quant(FbGraph *graph, const char *x, float scale, uint8_t zero, const char *y)
{
    char scale_name[16], zero_name[16], codes[16], ports[64];
    snprintf(scale_name, sizeof scale_name, "%s_s", y);
    snprintf(zero_name, sizeof zero_name, "%s_z", y);
    snprintf(codes, sizeof codes, "%s_q", y);
    build_float(graph, scale_name, scale);
    build_constant(graph, zero_name, FB_DTYPE_U8, 0, NULL, &zero);
    snprintf(ports, sizeof ports, "%s,%s,%s", x, scale_name, zero_name);
    build_node(graph, "QuantizeLinear", 13, ports, codes);
    snprintf(ports, sizeof ports, "%s,%s,%s", codes, scale_name, zero_name);
    build_node(graph, "DequantizeLinear", 13, ports, y);
}

static void build(FbGraph *graph)
{
    static const float scale[COUNT] = {1, 0.5f, -1, 2, 1, 1, 0.25f, 3}, bias[COUNT] = {0, 1, 0, -1};
    build_input(graph, "x", FB_DTYPE_F32, 1, DIMS(fb_graph_symbol(graph, "N")));
    build_input(graph, "shape", FB_DTYPE_S64, 1, DIMS(fb_graph_symbol(graph, "R")));
    build_constant(graph, "scale", FB_DTYPE_F32, 1, DIMS(COUNT), scale);
    build_constant(graph, "bias", FB_DTYPE_F32, 1, DIMS(COUNT), bias);
    build_node(graph, "Reshape", 13, "x,shape", "open"); /* of unknown rank */
    build_quant(graph, "open", 0.03f, 120, "a");
    build_node(graph, "LayerNormalization", 17, "a,scale,bias", "norm");
    build_quant(graph, "norm", 0.05f, 128, "b");
    build_node(graph, "Softmax", 13, "b", "soft");
    build_quant(graph, "soft", 0.004f, 0, "y");
    build_output(graph, "y");
    FbError err = {FB_OK, ""};
    if (fb_graph_fold_quants(graph, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
}

static void run_mode(const FbModel *model, FbContext *context, FbMode mode, bool plain, float *to, size_t *on_codes)
{
    const FbPlanOptions options = {.mode = mode, .plain = plain};
    float data[ROWS * COUNT];
    int64_t shape[3] = {1, ROWS, COUNT};
    FbPlan *plan;
    FbInstance *instance;
    FbTensor y;
    FbStepInfo info;
    FbError err = {FB_OK, ""};
    for (size_t i = 0; i < ROWS * COUNT; i++) {
        data[i] = fb_random_normal(7, 3, i);
    }
    const FbTensor x = floats(data, 1, DIMS(ROWS * COUNT)), dims = ints(shape, 3), *inputs[] = {&x, &dims};
    if (fb_plan_create(context, model, &options, &plan, &err) != FB_OK || fb_instance_create(plan, &instance, &err) != FB_OK ||
        fb_instance_run(instance, inputs, &y, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    *on_codes = 0;
    for (size_t i = 0; fb_instance_step(instance, i, &info); i++) {
        *on_codes += info.integer && (strcmp(info.type, "LayerNormalization") == 0 || strcmp(info.type, "Softmax") == 0);
    }
    assert_int_equal(y.bytes, ROWS * COUNT * sizeof *to);
    memcpy(to, y.data, y.bytes);
    fb_instance_free(instance);
    fb_plan_free(plan);
}

static void test_unknown_rank(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    float simulated[ROWS * COUNT], integer[ROWS * COUNT];
    size_t on_codes;
    build(model->graph);
    run_mode(model, context, FB_MODE_SIMULATED, true, simulated, &on_codes);
    assert_int_equal(on_codes, 0);
    run_mode(model, context, FB_MODE_INTEGER, false, integer, &on_codes);
    assert_int_equal(on_codes, 2);
    assert_memory_equal(simulated, integer, sizeof simulated);
    fb_model_free(model);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unknown_rank)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
