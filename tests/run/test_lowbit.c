/* Weights in block types: looked up and multiplied from one packed copy, against decoding the whole constant. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "ops/packed_blocks.h"
#include "run/session_fixture.h"

/* Random blocks of a type whose scales are small finite halves. */
static void fill_blocks(const FbBlockType *type, uint8_t *bytes, size_t blocks, uint64_t seed)
{
    for (size_t i = 0; i < blocks * (size_t)type->bytes; i++) {
        bytes[i] = (uint8_t)fb_random_below(seed, 1, i, 256);
    }
    float values[FB_BLOCK_ELEMENTS_MAX];
    for (size_t b = 0; b < blocks; b++) { /* until every element is a number of moderate size */
        uint8_t *block = bytes + b * (size_t)type->bytes;
        for (uint64_t attempt = 0;; attempt++) {
            bool fine = true;
            type->decode(block, values, 1);
            for (int i = 0; i < type->elements; i++) {
                fine = fine && isfinite(values[i]) && fabsf(values[i]) < 1e6f;
            }
            if (fine) {
                break;
            }
            for (int i = 0; i < type->bytes; i++) {
                block[i] = (uint8_t)fb_random_below(seed + 7, b + (attempt << 32), (uint64_t)i, 256);
            }
        }
    }
}

/* A constant of [rows, depth] in blocks of the named type. */
static void build_blocks(FbGraph *graph, const char *name, const char *type_name, int rank, const int64_t *dims, uint64_t seed)
{
    const FbBlockType *type = fb_block_type_find(type_name);
    FbConst *constant = fb_graph_new_const(graph);
    FbEncoding *encoding = fb_arena_alloc(graph->arena, sizeof *encoding);
    *encoding = fb_block_encoding(type, rank);
    constant->dtype = FB_DTYPE_F32;
    constant->shape = fb_shape_make(rank, dims);
    constant->encoding = encoding;
    const size_t blocks = (size_t)fb_shape_elements(&constant->shape) / (size_t)type->elements, bytes = blocks * (size_t)type->bytes;
    FbBuffer *buffer = fb_buffer_create(graph->context, bytes);
    assert_non_null(buffer);
    fill_blocks(type, fb_buffer_data(buffer), blocks, seed);
    constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = bytes, .buffer = buffer};
    FbId value;
    assert_int_equal(fb_graph_add_value(graph, name, &value, NULL), FB_OK);
    assert_int_equal(fb_graph_set_initializer(graph, value, constant, NULL), FB_OK);
}

static FbPlan *make_plan(const Fixture *f, FbMode mode, bool plain)
{
    FbPlan *plan = NULL;
    FbError err = {FB_OK, ""};
    const FbPlanOptions options = {.mode = mode, .plain = plain};
    if (fb_plan_create(f->context, f->model, &options, &plan, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    return plan;
}

/* Output 0 of a run, copied. */
static float *run_plan(const Fixture *f, const FbPlan *plan, const FbTensor *const *inputs, size_t *count)
{
    FbInstance *instance = NULL;
    FbError err = {FB_OK, ""};
    FbTensor outputs[4];
    assert_int_equal(fb_instance_create(plan, &instance, &err), FB_OK);
    if (fb_instance_run(instance, inputs, outputs, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    float *copy = fb_alloc(f->context, outputs[0].bytes);
    assert_non_null(copy);
    memcpy(copy, outputs[0].data, outputs[0].bytes);
    *count = outputs[0].bytes / sizeof *copy;
    fb_instance_free(instance);
    return copy;
}

/* Same bits with and without everything the compiler does. */
static void check_same_as_plain(const Fixture *f, FbMode mode, const FbTensor *const *inputs)
{
    FbPlan *plain = make_plan(f, FB_MODE_FLOAT, true), *plan = make_plan(f, mode, false);
    size_t count, same_count;
    float *want = run_plan(f, plain, inputs, &same_count), *got = run_plan(f, plan, inputs, &count);
    assert_int_equal(count, same_count);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&want[i], &got[i], sizeof *want) != 0) {
            fail_msg("element %zu is %.9g, expected %.9g", i, (double)got[i], (double)want[i]);
        }
    }
    fb_free(f->context, want);
    fb_free(f->context, got);
    fb_plan_free(plain);
    fb_plan_free(plan);
}

/* Every readable type, whose number of rows is no multiple of eight. */
static void rows_of_every_type(void **state)
{
    (void)state;
    static const int64_t wanted[] = {0, 12, -1, 5, 5, -13};
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        if (type->decode == NULL) {
            continue;
        }
        Fixture f;
        begin(&f);
        const int64_t depth = 3 * (int64_t)type->elements;
        build_input(f.graph, "ids", FB_DTYPE_S64, 1, DIMS(6));
        build_blocks(f.graph, "w", type->code.name, 2, DIMS(13, depth), t + 1);
        build_node(f.graph, "Gather", 13, "w,ids", "y");
        build_output(f.graph, "y");
        int64_t ids[6];
        memcpy(ids, wanted, sizeof ids);
        const FbTensor given = ints(ids, 6), *inputs[] = {&given};
        check_same_as_plain(&f, FB_MODE_FLOAT, inputs);
        check_same_as_plain(&f, FB_MODE_INTEGER, inputs);
        end(&f);
    }
}

static void fill_floats(float *to, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = fb_random_normal(seed, 2, i);
    }
}

/* Gemm with a weight of every type, a bias, and what follows it; rows below, at and above the tiles. */
static void products_of_every_type(void **state)
{
    (void)state;
    static const int64_t heights[] = {1, 2, 7, 200};
    enum { COLS = 37 };
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        if (type->decode == NULL) {
            continue;
        }
        for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
            Fixture f;
            float bias[COLS];
            begin(&f);
            const int64_t depth = (type->elements == 1 ? 37 : type->elements) * (h == 0 ? 21 : 3), rows = heights[h];
            float *x = fb_alloc_array(f.context, (size_t)(rows * depth), sizeof *x), *r = fb_alloc_array(f.context, (size_t)(rows * COLS), sizeof *r);
            fill_floats(x, (size_t)(rows * depth), 1);
            fill_floats(r, (size_t)(rows * COLS), 2);
            fill_floats(bias, COLS, 3);
            build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(rows, depth));
            build_input(f.graph, "r", FB_DTYPE_F32, 2, DIMS(rows, COLS));
            build_blocks(f.graph, "w", type->code.name, 2, DIMS(COLS, depth), t + 1);
            build_constant(f.graph, "b", FB_DTYPE_F32, 1, DIMS(COLS), bias);
            const FbId gemm = build_node(f.graph, "Gemm", 13, h % 2 == 0 ? "x,w,b" : "x,w", "p");
            assert_int_equal(fb_graph_set_attribute_int(f.graph, gemm, "transB", 1, NULL), FB_OK);
            build_node(f.graph, "Add", 14, "p,r", "s");
            build_node(f.graph, "Relu", 14, "s", "y");
            build_output(f.graph, "y");
            const FbTensor given = floats(x, 2, DIMS(rows, depth)), other = floats(r, 2, DIMS(rows, COLS)), *inputs[] = {&given, &other};
            check_same_as_plain(&f, FB_MODE_FLOAT, inputs);
            check_same_as_plain(&f, FB_MODE_SIMULATED, inputs);
            fb_free(f.context, x);
            fb_free(f.context, r);
            end(&f);
        }
    }
}

static float *random_floats(FbContext *context, size_t count, uint64_t seed)
{
    float *x = fb_alloc_array(context, count, sizeof *x);
    assert_non_null(x);
    fill_floats(x, count, seed);
    return x;
}

/* With A rounded to 8 bits: near the float product, and the same bits whatever the number of rows and threads. */
static void rounded_activations(void **state)
{
    (void)state;
    enum { COLS = 300, ROWS = 50, DEPTH = 768 };
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        if (type->decode == NULL) {
            continue;
        }
        float *rows_of[3] = {NULL, NULL, NULL}, bias[COLS];
        fill_floats(bias, COLS, 9);
        for (int variant = 0; variant < 3; variant++) { /* float; on codes; on codes row by row with one thread */
            Fixture f = {.context = build_context(variant == 2 ? 1 : 2)};
            f.model = build_model(f.context);
            f.graph = f.model->graph;
            const int64_t height = variant == 2 ? 1 : ROWS;
            float *x = random_floats(f.context, ROWS * DEPTH, 1);
            build_input(f.graph, "x", FB_DTYPE_F32, 2, DIMS(height, DEPTH));
            build_blocks(f.graph, "w", type->code.name, 2, DIMS(COLS, DEPTH), t + 1);
            build_constant(f.graph, "b", FB_DTYPE_F32, 1, DIMS(COLS), bias);
            const FbId gemm = build_node(f.graph, "Gemm", 13, "x,w,b", "y");
            assert_int_equal(fb_graph_set_attribute_int(f.graph, gemm, "transB", 1, NULL), FB_OK);
            build_output(f.graph, "y");
            FbPlan *plan = make_plan(&f, variant == 0 ? FB_MODE_FLOAT : FB_MODE_INTEGER, false);
            rows_of[variant] = malloc(ROWS * COLS * sizeof(float));
            for (int64_t row = 0; row < ROWS; row += height) {
                size_t count;
                const FbTensor given = floats(x + row * DEPTH, 2, DIMS(height, DEPTH)), *inputs[] = {&given};
                float *got = run_plan(&f, plan, inputs, &count);
                memcpy(rows_of[variant] + row * COLS, got, count * sizeof *got);
                fb_free(f.context, got);
            }
            fb_plan_free(plan);
            fb_free(f.context, x);
            end(&f);
        }
        double error = 0, size = 0;
        for (size_t i = 0; i < ROWS * COLS; i++) {
            const double want = (double)rows_of[0][i], got = (double)rows_of[1][i];
            error += (want - got) * (want - got);
            size += want * want;
        }
        if (!(error <= size * 1e-4)) { /* 1 %; rounding to 8 bits gives about 0.6 */
            fail_msg("%s: error %g of %g", type->code.name, sqrt(error), sqrt(size));
        }
        assert_memory_equal(rows_of[1], rows_of[2], ROWS * COLS * sizeof(float));
        for (int variant = 0; variant < 3; variant++) {
            free(rows_of[variant]);
        }
    }
}

/* Weights with the inputs outermost, in blocks of one element; a batch in front of MatMul. */
static void inputs_outermost(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    float x[2 * 3 * 50];
    fill_floats(x, sizeof x / sizeof *x, 1);
    build_input(f.graph, "x", FB_DTYPE_F32, 3, DIMS(2, 3, 50));
    build_blocks(f.graph, "w", "f16", 2, DIMS(50, 300), 5);
    build_node(f.graph, "MatMul", 13, "x,w", "y");
    build_output(f.graph, "y");
    const FbTensor given = floats(x, 3, DIMS(2, 3, 50)), *inputs[] = {&given};
    check_same_as_plain(&f, FB_MODE_FLOAT, inputs);
    end(&f);
}

/* A tied embedding has one packed copy; a plan holds nothing else of its weight. */
static void one_copy(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    enum { ROWS = 4096, DEPTH = 512 };
    build_input(f.graph, "ids", FB_DTYPE_S64, 1, DIMS(2));
    build_blocks(f.graph, "w", "q4_0", 2, DIMS(ROWS, DEPTH), 5);
    build_node(f.graph, "Gather", 13, "w,ids", "x");
    const FbId gemm = build_node(f.graph, "Gemm", 13, "x,w", "y");
    assert_int_equal(fb_graph_set_attribute_int(f.graph, gemm, "transB", 1, NULL), FB_OK);
    build_output(f.graph, "y");
    const size_t file = ROWS * DEPTH / 32 * 18;
    const uint64_t before = fb_context_memory_now(f.context);
    FbPlan *plan = make_plan(&f, FB_MODE_INTEGER, false);
    assert_true(fb_context_memory_now(f.context) - before <= file + file / 20);
    fb_plan_free(plan);
    const FbTensor given = ints((int64_t[]){4095, 17}, 2), *inputs[] = {&given};
    check_same_as_plain(&f, FB_MODE_FLOAT, inputs);
    end(&f);
}

/* Every constant is found again among many, and not behind the seal, where its place may mean another; time does not grow with the square. */
static void many_constants(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    enum { MANY = 60000, COLUMNS = 32, ROW = 18 };
    FbEncoding encoding = fb_block_encoding(fb_block_type_find("q4_0"), 2);
    FbBuffer *buffer = fb_buffer_create(f.context, MANY * ROW);
    FbBlockStore *store;
    static const FbPackedBlocks *first[MANY];
    assert_non_null(buffer);
    memset(fb_buffer_data(buffer), 0, MANY * ROW);
    assert_int_equal(fb_block_store_create(f.context, &store, NULL), FB_OK);
    const double start = fb_clock_seconds();
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < MANY; i++) {
            FbConst constant = {.dtype = FB_DTYPE_F32, .shape = fb_shape_make(2, DIMS(1, COLUMNS)), .encoding = &encoding};
            constant.planes[FB_PLANE_CODES] = (FbPlane){.offset = i * ROW, .bytes = ROW, .buffer = buffer};
            const FbPackedBlocks *packed;
            assert_int_equal(fb_block_store_get(store, &constant, false, &packed, NULL), FB_OK);
            assert_true(turn == 0 ? i == 0 || packed != first[i - 1] : (packed == first[i]) == (turn == 1));
            first[i] = packed;
        }
        if (turn == 1) {
            fb_block_store_seal(store);
        }
    }
    assert_true(fb_clock_seconds() - start < 30); /* 0.2 s; minutes when each is looked for among all */
    fb_block_store_free(store);
    fb_buffer_release(buffer);
    end(&f);
}

static void index_out_of_range(void **state)
{
    (void)state;
    Fixture f;
    begin(&f);
    build_input(f.graph, "ids", FB_DTYPE_S64, 1, DIMS(2));
    build_blocks(f.graph, "w", "q4_0", 2, DIMS(9, 64), 1);
    build_node(f.graph, "Gather", 13, "w,ids", "y");
    build_output(f.graph, "y");
    create(&f);
    FbError err;
    FbTensor x = ints((int64_t[]){0, 9}, 2), y;
    assert_int_equal(fb_session_run(f.session, &x, 1, &y, 1, &err), FB_ERR_FORMAT);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_every_type), cmocka_unit_test(index_out_of_range),
                                       cmocka_unit_test(products_of_every_type), cmocka_unit_test(inputs_outermost), cmocka_unit_test(rounded_activations),
                                       cmocka_unit_test(one_copy), cmocka_unit_test(many_constants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
