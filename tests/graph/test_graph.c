/* Graphs: names, uses, order, edits, clones, and constants decoded by range in every grain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context_test.h"
#include "graph/model.h"

static FbError err;

#define OK(call) \
    do { \
        if ((call) != FB_OK) { \
            fail_msg("%s: %s", #call, err.message); \
        } \
    } while (0)

static FbGraph *new_graph(FbGraph *parent)
{
    FbGraph *graph;
    OK(fb_graph_create(context, parent, &graph, &err));
    return graph;
}

static FbId value(FbGraph *graph, const char *name)
{
    FbId id;
    OK(fb_graph_add_value(graph, name, &id, &err));
    return id;
}

static FbId node(FbGraph *graph, const char *name, FbId in, FbId out)
{
    FbId id;
    OK(fb_graph_add_node(graph, "", "Relu", 13, name, &in, in != FB_NONE, &out, 1, FB_NONE, &id, &err));
    return id;
}

static void test_names(void **state)
{
    (void)state;
    FbGraph *g = new_graph(NULL);
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(value(g, name), i);
    }
    for (int i = 0; i < 5000; i += 7) {
        snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(fb_graph_find_value(g, name), i);
    }
    FbId id;
    assert_int_equal(fb_graph_find_value(g, "v5000"), FB_NONE);
    assert_int_equal(fb_graph_add_value(g, "v17", &id, &err), FB_ERR_FORMAT);
    assert_string_equal(fb_graph_unique_name(g, "v17"), "v17_1");
    assert_string_equal(fb_graph_unique_name(g, "free"), "free");
    OK(fb_graph_rename_value(g, 17, "seventeen", &err));
    assert_int_equal(fb_graph_find_value(g, "v17"), FB_NONE);
    assert_int_equal(fb_graph_find_value(g, "seventeen"), 17);
    assert_int_equal(value(g, "v17"), 5000); /* a name that was given up can be taken */
    assert_int_equal(fb_graph_rename_value(g, 18, "v19", &err), FB_ERR_FORMAT);
    assert_int_equal(fb_graph_symbol(g, "N"), -2);
    assert_int_equal(fb_graph_symbol(g, "M"), -3);
    assert_int_equal(fb_graph_symbol(g, "N"), -2);
    assert_string_equal(fb_graph_symbol_name(g, -3), "M");
    assert_null(fb_graph_symbol_name(g, FB_DIM_UNKNOWN));
    assert_null(fb_graph_symbol_name(g, -4));
    fb_graph_free(g);
}

static void test_order(void **state)
{
    (void)state;
    FbGraph *g = new_graph(NULL);
    FbArena *arena = fb_arena_create(context);
    FbId x = value(g, "x"), a = value(g, "a"), b = value(g, "b"), c = value(g, "c"), d = value(g, "d");
    OK(fb_graph_add_input(g, x, &err));
    FbId last = node(g, "last", c, d); /* written in a wrong order */
    FbId first = node(g, "first", x, a);
    FbId second = node(g, "second", a, b);
    FbId third = node(g, "third", b, c);
    FbId *order;
    size_t count;
    OK(fb_graph_sort(g, arena, &order, &count, &err));
    const FbId expected[] = {first, second, third, last};
    assert_int_equal(count, 4);
    assert_memory_equal(order, expected, sizeof expected);
    FbUses uses;
    OK(fb_graph_uses(g, arena, &uses, &err));
    assert_int_equal(uses.start[a + 1] - uses.start[a], 1);
    assert_int_equal(uses.items[uses.start[a]].node, second);
    assert_int_equal(uses.start[d + 1] - uses.start[d], 0);
    fb_graph_replace_uses(g, b, a, false); /* third reads a now; second is still there */
    OK(fb_graph_sort(g, arena, &order, &count, &err));
    assert_int_equal(g->nodes[third]->inputs[0], a);
    fb_graph_remove_node(g, second);
    assert_int_equal(g->values[b].producer, FB_NONE);
    OK(fb_graph_sort(g, arena, &order, &count, &err));
    assert_int_equal(count, 3);
    fb_graph_set_input(g, third, 0, b);
    assert_int_equal(fb_graph_sort(g, arena, &order, &count, &err), FB_ERR_FORMAT); /* nothing defines b */
    assert_non_null(strstr(err.message, "third"));
    fb_graph_restore_node(g, second);
    fb_graph_set_input(g, first, 0, d);
    assert_int_equal(fb_graph_sort(g, arena, &order, &count, &err), FB_ERR_FORMAT); /* a circle */
    fb_arena_free(arena);
    fb_graph_free(g);
}

static void test_subgraphs_and_clone(void **state)
{
    (void)state;
    FbGraph *g = new_graph(NULL);
    FbId x = value(g, "x"), y = value(g, "y");
    OK(fb_graph_add_input(g, x, &err));
    FbGraph *middle = new_graph(g);
    FbGraph *inner = new_graph(middle);
    FbId inner_x, out = value(inner, "out");
    OK(fb_graph_resolve(inner, "x", &inner_x, &err)); /* through the graph between */
    assert_int_equal(fb_graph_resolve(inner, "nowhere", &out, &err), FB_ERR_FORMAT);
    node(inner, "inside", inner_x, out);
    FbId middle_x = fb_graph_find_value(middle, "x");
    assert_int_equal(inner->values[inner_x].outer, middle_x);
    assert_int_equal(middle->values[middle_x].outer, x);
    FbId n = node(g, "If", FB_NONE, y);
    FbAttribute *attribute = fb_arena_alloc(g->arena, sizeof *attribute);
    *attribute = (FbAttribute){.name = "then_branch", .type = FB_ATTR_GRAPH, .graph = middle};
    g->nodes[n]->attributes = attribute;
    g->nodes[n]->attribute_count = 1;
    float pi = 3.25f;
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 0, .data = &pi, .bytes = sizeof pi};
    FbId k;
    OK(fb_graph_add_constant(g, "k", &tensor, &k, &err));
    FbGraph *copy;
    OK(fb_graph_clone(g, &copy, &err));
    fb_graph_replace_uses(g, x, k, false); /* outer references follow; the clone does not */
    assert_ptr_equal(fb_graph_constant(inner, inner_x), g->values[k].constant);
    assert_string_equal(fb_graph_value_name(inner, inner_x), "k");
    assert_null(fb_graph_constant(copy->subgraphs[0]->subgraphs[0], inner_x));
    fb_graph_free(g); /* the clone keeps the bytes */
    assert_string_equal(copy->nodes[n]->attributes[0].graph->subgraphs[0]->nodes[0]->name, "inside");
    float read = 0;
    OK(fb_const_read_f32(context, copy->values[fb_graph_find_value(copy, "k")].constant, 0, 1, &read, &err));
    assert_true(read == 3.25f);
    FbArena *arena = fb_arena_create(context);
    FbUses uses;
    OK(fb_graph_uses(copy, arena, &uses, &err));
    assert_int_equal(uses.start[x + 1] - uses.start[x], 1);
    assert_int_equal(uses.items[uses.start[x]].index, FB_NONE); /* from inside the node's subgraph */
    fb_arena_free(arena);
    fb_graph_free(copy);
}

/* ---- constants ---- */

enum { ROWS = 5, COLUMNS = 7, DEPTH = 3, ELEMENTS = ROWS * COLUMNS * DEPTH };

static void set_plane(FbConst *c, FbPlaneKind kind, const void *bytes, size_t count)
{
    c->planes[kind] = (FbPlane){.buffer = fb_buffer_create(context, count), .bytes = count};
    memcpy(fb_buffer_data(c->planes[kind].buffer), bytes, count);
}

/* real = scale * (code - zero), with the scale of each element found by its coordinates: the definition, written out. */
static void check_grain(FbGrain grain, int axis, int64_t block)
{
    int8_t codes[ELEMENTS], zeros[ELEMENTS];
    float scales[ELEMENTS], expected[ELEMENTS], got[ELEMENTS];
    const int64_t dims[3] = {ROWS, COLUMNS, DEPTH};
    FbEncoding encoding = {.code = fb_code_find("s8"), .grain = grain, .axis = axis, .block = block, .scale = FB_DTYPE_F32, .has_zero = true};
    for (int i = 0; i < ELEMENTS; i++) {
        codes[i] = (int8_t)(i * 37 % 251 - 125);
        zeros[i] = (int8_t)(i * 11 % 19 - 9);
        scales[i] = 0.25f + 0.125f * (float)(i % 23);
    }
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            for (int d = 0; d < DEPTH; d++) {
                int64_t at[3] = {r, c, d}, size[3] = {ROWS, COLUMNS, DEPTH};
                int64_t s = grain == FB_GRAIN_TENSOR ? 0 : at[axis];
                if (grain == FB_GRAIN_BLOCK) {
                    at[axis] /= block;
                    size[axis] = (size[axis] + block - 1) / block;
                    s = (at[0] * size[1] + at[1]) * size[2] + at[2];
                }
                int i = (r * COLUMNS + c) * DEPTH + d;
                expected[i] = scales[s] * (float)(codes[i] - zeros[s]);
            }
        }
    }
    FbConst constant = {.dtype = FB_DTYPE_F32, .shape = fb_shape_make(3, dims), .encoding = &encoding};
    FbShape scale_shape = fb_encoding_scale_shape(&encoding, &constant.shape);
    size_t scale_count = (size_t)fb_shape_elements(&scale_shape);
    set_plane(&constant, FB_PLANE_CODES, codes, ELEMENTS);
    set_plane(&constant, FB_PLANE_SCALE, scales, scale_count * sizeof(float));
    set_plane(&constant, FB_PLANE_ZERO, zeros, scale_count);
    for (int first = 0; first < ELEMENTS; first++) {
        for (int count = 1; first + count <= ELEMENTS; count++) {
            OK(fb_const_read_f32(context, &constant, (uint64_t)first, (size_t)count, got, &err));
            if (memcmp(got, expected + first, (size_t)count * sizeof *got) != 0) {
                fail_msg("grain %d axis %d block %d: elements %d to %d", (int)grain, axis, (int)block, first, first + count);
            }
        }
    }
    FbTensor tensor;
    OK(fb_const_load(context, &constant, &tensor, &err));
    assert_memory_equal(tensor.data, expected, sizeof expected);
    fb_free(context, tensor.data);
    assert_int_equal(fb_const_stored_bytes(&constant), ELEMENTS + 5 * scale_count);
    for (int i = 0; i < FB_PLANE_COUNT; i++) {
        fb_buffer_release(constant.planes[i].buffer);
    }
}

static void test_encoded_ranges(void **state)
{
    (void)state;
    check_grain(FB_GRAIN_TENSOR, 0, 0);
    for (int axis = 0; axis < 3; axis++) {
        check_grain(FB_GRAIN_AXIS, axis, 0);
        check_grain(FB_GRAIN_BLOCK, axis, 1);
        check_grain(FB_GRAIN_BLOCK, axis, 2);
        check_grain(FB_GRAIN_BLOCK, axis, 100);
    }
}

static void test_plain_ranges(void **state)
{
    (void)state;
    const uint8_t nibbles[3] = {0x21, 0x43, 0xf5}; /* 1 2 3 4 5 -1 */
    const float expected[6] = {1, 2, 3, 4, 5, -1};
    FbConst constant = {.dtype = FB_DTYPE_S4, .shape = {.rank = 1, .dims = {6}}};
    set_plane(&constant, FB_PLANE_CODES, nibbles, 3);
    for (int first = 0; first < 6; first++) {
        float got[6];
        OK(fb_const_read_f32(context, &constant, (uint64_t)first, (size_t)(6 - first), got, &err));
        assert_memory_equal(got, expected + first, (size_t)(6 - first) * sizeof *got);
    }
    fb_buffer_release(constant.planes[0].buffer);
}

static void test_model_fields(void **state)
{
    (void)state;
    FbModel *model, *clone;
    OK(fb_model_create(context, &model, &err));
    model->graph = new_graph(NULL);
    OK(fb_model_set_opset(model, "", 13, &err));
    OK(fb_model_set_opset(model, "com.microsoft", 1, &err));
    OK(fb_model_set_opset(model, "", 21, &err));
    OK(fb_model_set_property(model, "recipe", "{}", &err));
    OK(fb_model_set_property(model, "recipe", "{\"a\":1}", &err));
    OK(fb_model_clone(model, &clone, &err));
    char a[65], b[65];
    OK(fb_model_hash(model, a, &err));
    OK(fb_model_hash(clone, b, &err));
    assert_string_equal(a, b);
    fb_model_free(model);
    assert_int_equal(fb_model_opset(clone, ""), 21);
    assert_int_equal(fb_model_opset(clone, "other"), 0);
    assert_string_equal(fb_model_property(clone, "recipe"), "{\"a\":1}");
    assert_null(fb_model_property(clone, "none"));
    value(clone->graph, "x");
    OK(fb_graph_add_input(clone->graph, 0, &err));
    OK(fb_model_hash(clone, b, &err));
    assert_string_not_equal(a, b);
    fb_model_free(clone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_order),        cmocka_unit_test(test_subgraphs_and_clone),
        cmocka_unit_test(test_encoded_ranges), cmocka_unit_test(test_plain_ranges), cmocka_unit_test(test_model_fields),
    };
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
