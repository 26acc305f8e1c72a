/* Dead code, identity, constant folding, batch norm folding, inlining, on graphs made in C. */
#include <math.h>

#include "run/build_graph.h"

#include "passes/passes.h"
#include "run/compile.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static size_t live_nodes(const FbGraph *graph)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        count += !graph->nodes[n]->removed;
    }
    return count;
}

static void finish(FbContext *context, FbModel *model)
{
    fb_model_free(model);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static void test_dead_code(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_node(g, "Neg", 13, "x", "a");
    build_node(g, "Neg", 13, "a", "dead");
    build_node(g, "Abs", 13, "dead", "deader");
    build_node(g, "Exp", 13, "a", "watched");
    build_node(g, "Neg", 13, "a", "y");
    build_output(g, "y");
    bool *kept = fb_arena_array(g->arena, g->value_count, sizeof *kept);
    kept[fb_graph_find_value(g, "watched")] = true;
    FbKeep keep = {kept, g->value_count};
    assert_int_equal(fb_pass_dead_code(g, &keep, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 3);
    assert_int_equal(fb_pass_dead_code(g, NULL, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 2);
    finish(context, model);
}

/* What a subgraph reads must stay. */
static void test_dead_code_captures(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_input(g, "c", FB_DTYPE_BOOL, 0, NULL);
    build_node(g, "Neg", 13, "x", "a");
    build_node(g, "Abs", 13, "x", "b");
    FbId node = build_node(g, "If", 16, "c", "y");
    FbGraph *then_body = build_body(g, node, "then_branch"), *else_body = build_body(g, node, "else_branch");
    build_node(then_body, "Exp", 13, "a", "t");
    build_node(then_body, "Exp", 13, "b", "unused");
    build_output(then_body, "t");
    build_node(else_body, "Exp", 13, "x", "e");
    build_output(else_body, "e");
    build_output(g, "y");
    assert_int_equal(fb_pass_dead_code(g, NULL, NULL), FB_OK);
    assert_int_equal(live_nodes(then_body), 1);
    assert_int_equal(live_nodes(g), 2); /* b fed only the dead node */
    finish(context, model);
}

static void test_identity(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_input(g, "flag", FB_DTYPE_BOOL, 0, NULL);
    build_node(g, "Identity", 13, "x", "a");
    build_node(g, "Dropout", 13, "a", "b");
    build_node(g, "Dropout", 13, "b,,flag", "c"); /* may train */
    build_node(g, "Neg", 13, "c", "d");
    build_node(g, "Identity", 13, "d", "y");      /* an output keeps its name */
    build_output(g, "y");
    assert_int_equal(fb_pass_remove_identity(g, NULL, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 3);
    assert_int_equal(g->nodes[2]->inputs[0], fb_graph_find_value(g, "x"));
    finish(context, model);
}

static void test_fold_constants(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    build_constant(g, "c", FB_DTYPE_F32, 1, DIMS(2), (float[]){1, 2});
    build_constant(g, "d", FB_DTYPE_F32, 1, DIMS(2), (float[]){3, 5});
    build_constant(g, "wrong", FB_DTYPE_F32, 1, DIMS(3), (float[]){3, 5, 7});
    build_node(g, "Mul", 14, "c,d", "p");
    build_node(g, "Neg", 13, "p", "q");
    build_node(g, "Add", 14, "x,q", "y");
    build_node(g, "Add", 14, "c,wrong", "impossible"); /* fails when run: stays for run time to tell */
    build_output(g, "y");
    assert_int_equal(fb_pass_fold_constants(g, NULL, fb_evaluate_node, context, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 2);
    FbTensor q;
    assert_int_equal(fb_const_load(context, g->values[fb_graph_find_value(g, "q")].constant, &q, NULL), FB_OK);
    assert_float_equal(((float *)q.data)[0], -3.0f, 0.0f);
    assert_float_equal(((float *)q.data)[1], -10.0f, 0.0f);
    fb_free(context, q.data);
    finish(context, model);
}

/* A constant that would grow beyond its inputs is left to run time. */
static void test_fold_constants_budget(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    float *data = fb_arena_array(g->arena, 2048, sizeof *data);
    build_constant(g, "column", FB_DTYPE_F32, 2, DIMS(2048, 1), data);
    build_constant(g, "row", FB_DTYPE_F32, 2, DIMS(1, 2048), data);
    build_node(g, "Add", 14, "column,row", "big");
    build_node(g, "Neg", 13, "big", "y");
    build_output(g, "y");
    assert_int_equal(fb_pass_fold_constants(g, NULL, fb_evaluate_node, context, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 2);
    finish(context, model);
}

static void batch_norm_constants(FbGraph *g)
{
    build_constant(g, "gamma", FB_DTYPE_F32, 1, DIMS(2), (float[]){2, -1});
    build_constant(g, "beta", FB_DTYPE_F32, 1, DIMS(2), (float[]){0.5f, 0.25f});
    build_constant(g, "mean", FB_DTYPE_F32, 1, DIMS(2), (float[]){1, 2});
    build_constant(g, "variance", FB_DTYPE_F32, 1, DIMS(2), (float[]){3, 8});
}

static void check_constant(FbContext *context, const FbGraph *g, FbId value, size_t count, const double *want)
{
    FbTensor tensor;
    assert_int_equal(fb_const_load(context, g->values[value].constant, &tensor, NULL), FB_OK);
    assert_int_equal(tensor.bytes, count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        assert_float_equal(((float *)tensor.data)[i], (float)want[i], 0.0f);
    }
    fb_free(context, tensor.data);
}

/* Conv [2,1,1,1] without bias, batch norm with epsilon 1: s = {2 / sqrt(4), -1 / sqrt(9)}. */
static void test_batch_norm(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 4, DIMS(1, 1, 4, 4));
    build_constant(g, "w", FB_DTYPE_F32, 4, DIMS(2, 1, 1, 1), (float[]){10, 30});
    batch_norm_constants(g);
    build_node(g, "Conv", 11, "x,w", "c");
    FbId norm = build_node(g, "BatchNormalization", 9, "c,gamma,beta,mean,variance", "y");
    assert_int_equal(fb_graph_set_attribute_float(g, norm, "epsilon", 1.0f, NULL), FB_OK);
    build_output(g, "y");
    size_t folded = 0;
    assert_int_equal(fb_pass_fold_batch_norm(g, NULL, &folded, NULL), FB_OK);
    assert_int_equal(folded, 1);
    assert_int_equal(live_nodes(g), 1);
    const FbNode *conv = g->nodes[0];
    assert_int_equal(conv->outputs[0], fb_graph_find_value(g, "y"));
    assert_int_equal(conv->inputs[1], fb_graph_find_value(g, "w")); /* used once: keeps its name */
    check_constant(context, g, conv->inputs[1], 2, (double[]){10, -10});
    check_constant(context, g, conv->inputs[2], 2, (double[]){(0 - 1) * 1.0 + 0.5, (0 - 2) * (-1.0 / 3) + 0.25});
    finish(context, model);
}

/* Gemm [2 inputs, 2 outputs] with a bias, its weight shared with another Gemm that must not change. */
static void test_batch_norm_shared(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 2, DIMS(3, 2));
    build_constant(g, "w", FB_DTYPE_F32, 2, DIMS(2, 2), (float[]){1, 2, 3, 4});
    build_constant(g, "b", FB_DTYPE_F32, 1, DIMS(2), (float[]){5, 6});
    batch_norm_constants(g);
    build_node(g, "Gemm", 11, "x,w,b", "c");
    FbId norm = build_node(g, "BatchNormalization", 9, "c,gamma,beta,mean,variance", "y");
    assert_int_equal(fb_graph_set_attribute_float(g, norm, "epsilon", 1.0f, NULL), FB_OK);
    build_node(g, "Gemm", 11, "x,w", "z");
    build_output(g, "y");
    build_output(g, "z");
    size_t folded = 0;
    assert_int_equal(fb_pass_fold_batch_norm(g, NULL, &folded, NULL), FB_OK);
    assert_int_equal(folded, 1);
    check_constant(context, g, g->nodes[0]->inputs[1], 4, (double[]){1, 2.0 * (-1.0 / 3), 3, 4.0 * (-1.0 / 3)});
    check_constant(context, g, g->nodes[0]->inputs[2], 2, (double[]){4.5, 4.0 * (-1.0 / 3) + 0.25});
    check_constant(context, g, g->nodes[2]->inputs[1], 4, (double[]){1, 2, 3, 4});
    finish(context, model);
}

/* Not when somebody else reads the product, or when the parameters are computed. */
static void test_batch_norm_refused(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 4, DIMS(1, 1, 4, 4));
    build_constant(g, "w", FB_DTYPE_F32, 4, DIMS(2, 1, 1, 1), (float[]){10, 30});
    batch_norm_constants(g);
    build_node(g, "Conv", 11, "x,w", "c");
    build_node(g, "BatchNormalization", 9, "c,gamma,beta,mean,variance", "y");
    build_node(g, "Neg", 13, "c", "z");
    build_output(g, "y");
    build_output(g, "z");
    size_t folded = 1;
    assert_int_equal(fb_pass_fold_batch_norm(g, NULL, &folded, NULL), FB_OK);
    assert_int_equal(folded, 0);
    assert_int_equal(live_nodes(g), 3);
    finish(context, model);
}

/* Spatial zeros go into the Conv's pads; anything else stays. */
static void test_pad(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 4, DIMS(1, 1, 4, 4));
    build_constant(g, "w", FB_DTYPE_F32, 4, DIMS(1, 1, 1, 1), (float[]){1});
    build_ints(g, "amounts", 8, DIMS(0, 0, 1, 2, 0, 0, 3, 4));
    build_ints(g, "channels", 8, DIMS(0, 1, 1, 2, 0, 0, 3, 4));
    build_float(g, "zero", 0.0f);
    build_float(g, "one", 1.0f);
    build_node(g, "Pad", 13, "x,amounts,zero", "p");
    FbId conv = build_node(g, "Conv", 11, "p,w", "y");
    assert_int_equal(fb_graph_set_attribute_ints(g, conv, "pads", DIMS(10, 0, 0, 0), 4, NULL), FB_OK);
    build_node(g, "Pad", 13, "x,amounts,one", "q");
    FbId ones = build_node(g, "Conv", 11, "q,w", "z");
    build_node(g, "Pad", 13, "x,channels", "r");
    FbId deeper = build_node(g, "Conv", 11, "r,w", "u");
    build_output(g, "y");
    build_output(g, "z");
    build_output(g, "u");
    assert_int_equal(fb_pass_fold_pad(g, NULL, NULL), FB_OK);
    assert_int_equal(g->nodes[conv]->inputs[0], fb_graph_find_value(g, "x"));
    const FbAttribute *pads = fb_node_attribute(g->nodes[conv], "pads");
    assert_int_equal(pads->count, 4);
    assert_memory_equal(pads->ints, DIMS(11, 2, 3, 4), 4 * sizeof(int64_t));
    assert_int_equal(g->nodes[ones]->inputs[0], fb_graph_find_value(g, "q"));
    assert_int_equal(g->nodes[deeper]->inputs[0], fb_graph_find_value(g, "r"));
    finish(context, model);
}

static FbFunction *add_function(FbModel *model, const char *name, size_t inputs)
{
    FbFunction *functions = fb_arena_array(model->arena, model->function_count + 1, sizeof *functions);
    if (model->function_count) {
        memcpy(functions, model->functions, model->function_count * sizeof *functions);
    }
    FbFunction *function = &functions[model->function_count++];
    model->functions = functions;
    *function = (FbFunction){.domain = "local", .name = name, .overload = ""};
    assert_int_equal(fb_graph_create(model->context, NULL, &function->body, NULL), FB_OK);
    for (size_t i = 0; i < inputs; i++) {
        build_input(function->body, i == 0 ? "a" : "b", FB_DTYPE_F32, -1, NULL);
    }
    return function;
}

static void test_inline(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    FbGraph *inner = add_function(model, "Inner", 1)->body;
    FbId leaky = build_node(inner, "LeakyRelu", 16, "a", "r");
    FbAttribute reference = {.name = "alpha", .type = FB_ATTR_FLOAT, .reference = "slope"};
    inner->nodes[leaky]->attributes = &reference;
    inner->nodes[leaky]->attribute_count = 1;
    build_output(inner, "r");
    FbGraph *outer = add_function(model, "Outer", 2)->body;
    FbId call = build_node(outer, "Inner", 1, "a", "t");
    outer->nodes[call]->domain = "local";
    assert_int_equal(fb_graph_set_attribute_float(outer, call, "slope", 0.125f, NULL), FB_OK);
    build_node(outer, "Add", 14, "t,b", "s");
    build_output(outer, "s");
    FbId use = build_node(g, "Outer", 1, "x,x", "y");
    g->nodes[use]->domain = "local";
    build_output(g, "y");
    assert_int_equal(fb_pass_inline_functions(model, g, NULL), FB_OK);
    assert_int_equal(live_nodes(g), 2);
    const FbNode *made = NULL;
    for (size_t n = 0; n < g->node_count; n++) {
        made = !g->nodes[n]->removed && strcmp(g->nodes[n]->op_type, "LeakyRelu") == 0 ? g->nodes[n] : made;
    }
    assert_non_null(made);
    assert_float_equal(fb_node_attribute(made, "alpha")->f, 0.125f, 0.0f);
    assert_int_equal(made->inputs[0], fb_graph_find_value(g, "x"));
    finish(context, model);
}

/* A function that calls itself must end in an error, not in memory. */
static void test_inline_recursion(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = build_model(context);
    FbGraph *g = model->graph;
    build_input(g, "x", FB_DTYPE_F32, 1, DIMS(2));
    FbGraph *body = add_function(model, "Self", 1)->body;
    FbId call = build_node(body, "Self", 1, "a", "t");
    body->nodes[call]->domain = "local";
    build_output(body, "t");
    FbId use = build_node(g, "Self", 1, "x", "y");
    g->nodes[use]->domain = "local";
    build_output(g, "y");
    FbError err = {FB_OK, ""};
    assert_int_equal(fb_pass_inline_functions(model, g, &err), FB_ERR_BUDGET);
    finish(context, model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_code),      cmocka_unit_test(test_dead_code_captures),    cmocka_unit_test(test_identity),
        cmocka_unit_test(test_fold_constants), cmocka_unit_test(test_fold_constants_budget), cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_batch_norm_shared), cmocka_unit_test(test_batch_norm_refused), cmocka_unit_test(test_inline),
        cmocka_unit_test(test_inline_recursion), cmocka_unit_test(test_pad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
