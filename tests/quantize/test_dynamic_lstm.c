/* Recurrent layers under int8-dynamic: LSTM becomes DynamicQuantizeLSTM where the target has it, everything else keeps float arithmetic and
 * gets 8-bit weights; both stay close to the float model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "fewbit/fewbit.h"
#include "graph/model.h"

enum { TIME = 6, INPUT = 5, HIDDEN = 7, OUT = TIME * 2 * HIDDEN };

static FbId constant(FbGraph *graph, const char *name, int64_t rows, int64_t cols, uint64_t stream)
{
    static float values[2 * 4 * HIDDEN * HIDDEN];
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {2, rows, cols}, .data = values, .bytes = (size_t)(2 * rows * cols) * sizeof(float)};
    FbId value = FB_NONE;
    for (size_t i = 0; i < tensor.bytes / sizeof(float); i++) {
        values[i] = fb_random_normal(1, stream, i) * 0.3F;
    }
    assert_int_equal(fb_graph_add_constant(graph, name, &tensor, &value, NULL), FB_OK);
    return value;
}

static FbModel *make_model(FbContext *context, const char *op_type, int64_t gates)
{
    FbModel *model = NULL;
    FbId x = FB_NONE, y = FB_NONE, id = FB_NONE;
    assert_int_equal(fb_model_create(context, &model, NULL), FB_OK);
    assert_int_equal(fb_graph_create(context, NULL, &model->graph, NULL), FB_OK);
    assert_int_equal(fb_model_set_opset(model, "", 13, NULL), FB_OK);
    model->ir_version = 8;
    FbGraph *g = model->graph;
    g->name = "layer";
    assert_int_equal(fb_graph_add_value(g, "x", &x, NULL), FB_OK);
    g->values[x].dtype = FB_DTYPE_F32;
    g->values[x].shape = fb_shape_make(3, (int64_t[]){TIME, 1, INPUT});
    assert_int_equal(fb_graph_add_input(g, x, NULL), FB_OK);
    const FbId inputs[3] = {x, constant(g, "W", gates * HIDDEN, INPUT, 1), constant(g, "R", gates * HIDDEN, HIDDEN, 2)};
    assert_int_equal(fb_graph_add_value(g, "y", &y, NULL), FB_OK);
    assert_int_equal(fb_graph_add_node(g, "", op_type, 7, "layer", inputs, 3, &y, 1, FB_NONE, &id, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(g, id, "hidden_size", HIDDEN, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_string(g, id, "direction", "bidirectional", NULL), FB_OK);
    assert_int_equal(fb_graph_add_output(g, y, NULL), FB_OK);
    g->values[y].dtype = FB_DTYPE_F32;
    g->values[y].shape = fb_shape_make(4, (int64_t[]){TIME, 2, 1, HIDDEN});
    return model;
}

static void check(FbStatus status, const FbError *err)
{
    if (status != FB_OK) {
        fail_msg("%d: %s", (int)status, err->message);
    }
}

static void run(FbContext *context, const FbModel *model, float out[OUT])
{
    FbSession *session = NULL;
    FbError err = {0};
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_INTEGER};
    float values[TIME * INPUT];
    FbTensor x = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {TIME, 1, INPUT}, .data = values, .bytes = sizeof values}, y;
    for (size_t i = 0; i < TIME * INPUT; i++) {
        values[i] = fb_random_normal(2, 1, i);
    }
    check(fb_session_create(context, model, &options, &session, &err), &err);
    check(fb_session_run(session, &x, 1, &y, 1, &err), &err);
    assert_int_equal(y.bytes, OUT * sizeof *out);
    memcpy(out, y.data, y.bytes);
    fb_session_free(session);
}

static size_t count_nodes(const FbModel *model, const char *domain, const char *op_type)
{
    size_t count = 0;
    for (size_t n = 0; n < model->graph->node_count; n++) {
        count += !model->graph->nodes[n]->removed && fb_node_is(model->graph->nodes[n], domain, op_type);
    }
    return count;
}

/* Quantizes; the largest difference to float must be above zero and below the bar. */
static void quantize(const char *op_type, int64_t gates, const char *target, bool rewritten)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 2};
    FbContext *context = NULL;
    FbRecipe *recipe = NULL;
    FbQuantizeReport report;
    FbError err = {0};
    float plain[OUT], small[OUT], worst = 0;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    FbModel *model = make_model(context, op_type, gates);
    run(context, model, plain);
    check(fb_recipe_preset(context, "int8-dynamic", &recipe, &err), &err);
    check(fb_recipe_set(recipe, "target", target, &err), &err);
    check(fb_quantize(context, model, recipe, NULL, &report, &err), &err);
    assert_int_equal(count_nodes(model, "com.microsoft", "DynamicQuantizeLSTM"), rewritten);
    assert_int_equal(count_nodes(model, "", op_type), !rewritten);
    assert_int_equal(fb_model_opset(model, "com.microsoft"), rewritten);
    assert_int_equal(report.weights_quantized, 2);
    assert_int_equal(report.activations_quantized, rewritten);
    run(context, model, small);
    for (int i = 0; i < OUT; i++) {
        worst = fmaxf(worst, fabsf(plain[i] - small[i]));
    }
    if (!(worst > 0 && worst < 0.02F)) {
        fail_msg("%s for %s: largest difference %g", op_type, target, (double)worst);
    }
    fb_quantize_report_free(context, &report);
    fb_recipe_free(recipe);
    fb_model_free(model);
    fb_context_free(context);
}

static void lstm_becomes_integers(void **state)
{
    (void)state;
    quantize("LSTM", 4, "onnxruntime", true);
}

static void others_keep_float_arithmetic(void **state)
{
    (void)state;
    quantize("LSTM", 4, "openvino", false);
    quantize("GRU", 3, "onnxruntime", false);
    quantize("RNN", 1, "onnxruntime", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lstm_becomes_integers), cmocka_unit_test(others_keep_float_arithmetic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
