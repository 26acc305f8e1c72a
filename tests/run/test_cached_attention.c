/* Attention to kept keys and values: against its definition and ONNX's operator, and the same bits however the tokens are cut into runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "run/build_graph.h"
#include "run/plan.h"

enum { Q_HEADS = 6, KV_HEADS = 2, TOKENS = 203 };

typedef struct Setting {
    int64_t depth, value_depth, window;
    float scale, softcap;
    bool slopes;
    FbCacheType type;
    uint64_t capacity;
    size_t sequences;
    int threads;
    const char *isa;
} Setting;

typedef struct Bench { /* one session and the numbers it is fed */
    Setting set;
    FbContext *context;
    FbSession *session;
    float *q, *k, *v;
    float slopes[Q_HEADS];
} Bench;

static float *noise(uint64_t stream, size_t count)
{
    float *data = malloc((count + 1) * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        data[i] = fb_random_normal(7, stream, i);
    }
    return data;
}

static void build(FbGraph *graph, const Setting *set)
{
    const int64_t tokens = -2;
    assert_int_equal(fb_graph_symbol(graph, "tokens"), tokens);
    build_input(graph, "q", FB_DTYPE_F32, 2, (int64_t[]){tokens, Q_HEADS * set->depth});
    build_input(graph, "k", FB_DTYPE_F32, 2, (int64_t[]){tokens, KV_HEADS * set->depth});
    build_input(graph, "v", FB_DTYPE_F32, 2, (int64_t[]){tokens, KV_HEADS * set->value_depth});
    build_input(graph, "positions", FB_DTYPE_S64, 1, (int64_t[]){tokens});
    build_input(graph, "sequences", FB_DTYPE_S64, 1, (int64_t[]){tokens});
    build_input(graph, "slopes", FB_DTYPE_F32, 1, (int64_t[]){Q_HEADS});
    FbId inputs[6], output = build_value(graph, "y"), node;
    const char *const names[6] = {"q", "k", "v", "positions", "sequences", "slopes"};
    for (int i = 0; i < 6; i++) {
        inputs[i] = build_value(graph, names[i]);
    }
    assert_int_equal(fb_graph_add_node(graph, "fewbit", "Attention", 1, "attend", inputs, set->slopes ? 6 : 5, &output, 1, FB_NONE, &node, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "q_num_heads", Q_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "kv_num_heads", KV_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "layer", 1, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "window", set->window, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_float(graph, node, "scale", set->scale, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_float(graph, node, "softcap", set->softcap, NULL), FB_OK);
    build_output(graph, "y");
}

static void begin(Bench *b, Setting set)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = set.threads ? set.threads : 1, .isa = set.isa};
    FbSessionOptions session = {.struct_bytes = sizeof session, .cache_capacity = set.capacity, .cache_sequences = set.sequences, .cache_type = set.type};
    FbError err = {FB_OK, ""};
    *b = (Bench){.set = set};
    assert_int_equal(fb_context_create(&options, &b->context, NULL), FB_OK);
    FbModel *model = build_model(b->context);
    build(model->graph, &set);
    if (fb_session_create(b->context, model, &session, &b->session, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    fb_model_free(model);
    b->q = noise(1, (size_t)(TOKENS * Q_HEADS * set.depth));
    b->k = noise(2, (size_t)(TOKENS * KV_HEADS * set.depth));
    b->v = noise(3, (size_t)(TOKENS * KV_HEADS * set.value_depth));
    for (int h = 0; h < Q_HEADS; h++) {
        b->slopes[h] = 0.5f / (float)(h + 1);
    }
}

static void end(Bench *b)
{
    fb_session_free(b->session);
    fb_context_free(b->context);
    free(b->q);
    free(b->k);
    free(b->v);
}

static FbTensor matrix(FbDtype dtype, size_t rows, size_t cols, const void *data)
{
    FbTensor t = {.dtype = dtype, .rank = cols ? 2 : 1, .dims = {(int64_t)rows, (int64_t)cols}};
    t.bytes = rows * (cols ? cols : 1) * (dtype == FB_DTYPE_S64 ? 8 : 4);
    memcpy(&t.data, &data, sizeof t.data);
    return t;
}

/* Runs `count` tokens of the bench's numbers, from number `first` on, at these places; the outputs go to y unless NULL. */
static FbStatus run(Bench *b, size_t first, size_t count, const int64_t *positions, const int64_t *sequences, float *y, FbError *err)
{
    const size_t depth = (size_t)b->set.depth, value_depth = (size_t)b->set.value_depth;
    FbTensor inputs[6] = {matrix(FB_DTYPE_F32, count, Q_HEADS * depth, b->q + first * Q_HEADS * depth),
                          matrix(FB_DTYPE_F32, count, KV_HEADS * depth, b->k + first * KV_HEADS * depth),
                          matrix(FB_DTYPE_F32, count, KV_HEADS * value_depth, b->v + first * KV_HEADS * value_depth),
                          matrix(FB_DTYPE_S64, count, 0, positions), matrix(FB_DTYPE_S64, count, 0, sequences),
                          matrix(FB_DTYPE_F32, Q_HEADS, 0, b->slopes)};
    FbTensor output;
    FbStatus status = fb_session_run(b->session, inputs, 6, &output, 1, err);
    if (status == FB_OK && y != NULL) {
        assert_int_equal(output.bytes, count * Q_HEADS * value_depth * sizeof *y);
        memcpy(y, output.data, output.bytes);
    }
    return status;
}

/* All tokens as sequence 0, `chunk` at a time; the result is the caller's to free. */
static float *run_chunks(Bench *b, size_t chunk)
{
    const size_t width = Q_HEADS * (size_t)b->set.value_depth;
    int64_t positions[TOKENS], sequences[TOKENS] = {0};
    float *y = malloc(TOKENS * width * sizeof *y);
    FbError err = {FB_OK, ""};
    assert_non_null(y);
    for (int64_t t = 0; t < TOKENS; t++) {
        positions[t] = t;
    }
    for (size_t t = 0; t < TOKENS; t += chunk) {
        size_t count = TOKENS - t < chunk ? TOKENS - t : chunk;
        if (run(b, t, count, positions + t, sequences, y + t * width, &err) != FB_OK) {
            fail_msg("%s", err.message);
        }
    }
    return y;
}

/* One number of the definition, in double. */
static void define(const Bench *b, size_t t, size_t h, double *y)
{
    const size_t depth = (size_t)b->set.depth, value_depth = (size_t)b->set.value_depth, kv = h / (Q_HEADS / KV_HEADS);
    double weights[TOKENS], top = -INFINITY, total = 0;
    size_t low = b->set.window > 0 && t + 1 > (size_t)b->set.window ? t + 1 - (size_t)b->set.window : 0;
    for (size_t j = low; j <= t; j++) {
        double s = 0;
        for (size_t d = 0; d < depth; d++) {
            s += (double)b->q[(t * Q_HEADS + h) * depth + d] * (double)b->k[(j * KV_HEADS + kv) * depth + d];
        }
        s *= b->set.scale > 0 ? (double)b->set.scale : 1 / sqrt((double)depth);
        s = b->set.softcap > 0 ? (double)b->set.softcap * tanh(s / (double)b->set.softcap) : s;
        s -= b->set.slopes ? (double)b->slopes[h] * (double)(t - j) : 0;
        weights[j] = s;
        top = s > top ? s : top;
    }
    memset(y, 0, value_depth * sizeof *y);
    for (size_t j = low; j <= t; j++) {
        double weight = exp(weights[j] - top);
        total += weight;
        for (size_t d = 0; d < value_depth; d++) {
            y[d] += weight * (double)b->v[(j * KV_HEADS + kv) * value_depth + d];
        }
    }
    for (size_t d = 0; d < value_depth; d++) {
        y[d] /= total;
    }
}

static double distance(const Bench *b, const float *y)
{
    const size_t value_depth = (size_t)b->set.value_depth;
    double worst = 0, wanted[128];
    for (size_t row = 0; row < TOKENS * Q_HEADS; row++) {
        define(b, row / Q_HEADS, row % Q_HEADS, wanted);
        for (size_t d = 0; d < value_depth; d++) {
            double away = fabs(wanted[d] - (double)y[row * value_depth + d]);
            worst = away > worst || !(away == away) ? away : worst;
        }
    }
    return worst;
}

static const Setting settings[] = {
    {.depth = 24, .value_depth = 20},
    {.depth = 64, .value_depth = 64, .scale = 0.3f},
    {.depth = 8, .value_depth = 100, .window = 50},
    {.depth = 32, .value_depth = 16, .window = 1},
    {.depth = 33, .value_depth = 33, .softcap = 1.5f, .capacity = TOKENS, .sequences = 2},
    {.depth = 16, .value_depth = 16, .slopes = true, .capacity = 512},
    {.depth = 48, .value_depth = 80, .slopes = true, .softcap = 3, .window = 70},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

static void equals_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS; i++) {
        Bench b;
        begin(&b, settings[i]);
        float *y = run_chunks(&b, TOKENS);
        double away = distance(&b, y);
        if (!(away < 4e-6)) {
            fail_msg("setting %zu is off by %g", i, away);
        }
        assert_true(fb_session_cache_bytes(b.session) > 0);
        free(y);
        end(&b);
    }
}

static void stored_types_are_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS; i++) {
        for (int type = FB_CACHE_F16; type <= FB_CACHE_Q8_0; type++) {
            Bench b;
            Setting set = settings[i];
            set.type = (FbCacheType)type;
            begin(&b, set);
            float *y = run_chunks(&b, 64);
            double away = distance(&b, y), bound = type == FB_CACHE_F16 ? 4e-3 : 6e-2;
            if (!(away < bound) || away < 1e-6) {
                fail_msg("setting %zu, type %d is off by %g", i, type, away);
            }
            free(y);
            end(&b);
        }
    }
}

/* A key or value that is not a number is not lost in any type. */
static void keeps_what_is_no_number(void **state)
{
    (void)state;
    for (int type = FB_CACHE_F32; type <= FB_CACHE_Q8_0; type++) {
        for (int kind = 0; kind < 4; kind++) {
            Bench b;
            begin(&b, (Setting){.depth = 33, .value_depth = 16, .type = (FbCacheType)type});
            *(kind % 2 == 0 ? b.k + 5 : b.v + 5) = kind < 2 ? NAN : INFINITY;
            float *y = run_chunks(&b, TOKENS), sum = 0;
            for (size_t i = 0; i < 16; i++) { /* the first token sees itself only */
                sum += y[i];
            }
            if (isfinite(sum)) {
                fail_msg("type %d, kind %d: lost", type, kind);
            }
            free(y);
            end(&b);
        }
    }
}

static void bits_do_not_depend_on_cuts(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 5, 64, 100};
    for (size_t i = 0; i < SETTINGS; i++) {
        for (int type = FB_CACHE_F32; type <= FB_CACHE_Q8_0; type++) {
            Bench whole, other;
            Setting set = settings[i];
            const size_t bytes = (size_t)(TOKENS * Q_HEADS * set.value_depth) * sizeof(float);
            set.type = (FbCacheType)type;
            begin(&whole, set);
            float *expected = run_chunks(&whole, TOKENS);
            for (size_t c = 0; c < 4; c++) {
                set.threads = c % 2 ? 3 : 1;
                set.isa = c > 1 ? "scalar" : NULL;
                begin(&other, set);
                float *y = run_chunks(&other, chunks[c]);
                assert_memory_equal(expected, y, bytes);
                free(y);
                end(&other);
            }
            free(expected);
            end(&whole);
        }
    }
}

/* Two sequences in one run, their tokens mixed; and one of them begun again. */
static void sequences_are_apart(void **state)
{
    (void)state;
    Bench single, b;
    begin(&single, settings[0]);
    begin(&b, settings[0]);
    const size_t width = Q_HEADS * (size_t)b.set.value_depth;
    float *expected = run_chunks(&single, TOKENS), *y = malloc(TOKENS * width * sizeof *y), *token = malloc(width * sizeof *y);
    assert_non_null(y);
    assert_non_null(token);
    int64_t positions[TOKENS], sequences[TOKENS];
    int64_t next[2] = {0, 0};
    for (int t = 0; t < TOKENS; t++) {
        sequences[t] = t % 3 == 1 ? 9 : 0;
        positions[t] = next[sequences[t] != 0]++;
    }
    assert_int_equal(run(&b, 0, TOKENS, positions, sequences, y, NULL), FB_OK);
    for (int64_t which = 0; which <= 9; which += 9) { /* the tokens of one sequence alone */
        int64_t zero = 0, at = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            if (sequences[t] == which) {
                assert_int_equal(run(&single, t, 1, &at, &zero, token, NULL), FB_OK);
                assert_memory_equal(token, y + t * width, width * sizeof *token);
                at++;
            }
        }
    }
    int64_t zeros[TOKENS] = {0};
    for (int64_t t = 0; t < TOKENS; t++) {
        positions[t] = t;
    }
    assert_int_equal(run(&b, 0, TOKENS, positions, zeros, y, NULL), FB_OK);
    assert_memory_equal(expected, y, TOKENS * width * sizeof *y);
    free(expected);
    free(y);
    free(token);
    end(&single);
    end(&b);
}

static void equals_onnx(void **state)
{
    (void)state;
    Bench b;
    begin(&b, settings[1]);
    const size_t depth = 64;
    float *y = run_chunks(&b, TOKENS);
    FbModel *model = build_model(b.context);
    FbGraph *graph = model->graph;
    build_input(graph, "q", FB_DTYPE_F32, 3, (int64_t[]){1, TOKENS, Q_HEADS * 64});
    build_input(graph, "k", FB_DTYPE_F32, 3, (int64_t[]){1, TOKENS, KV_HEADS * 64});
    build_input(graph, "v", FB_DTYPE_F32, 3, (int64_t[]){1, TOKENS, KV_HEADS * 64});
    FbId inputs[3] = {build_value(graph, "q"), build_value(graph, "k"), build_value(graph, "v")}, output = build_value(graph, "y"), node;
    assert_int_equal(fb_graph_add_node(graph, "", "Attention", 23, "attend", inputs, 3, &output, 1, FB_NONE, &node, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "q_num_heads", Q_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "kv_num_heads", KV_HEADS, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_int(graph, node, "is_causal", 1, NULL), FB_OK);
    assert_int_equal(fb_graph_set_attribute_float(graph, node, "scale", 0.3f, NULL), FB_OK);
    build_output(graph, "y");
    FbSession *session;
    FbTensor tensors[3], result;
    const float *data[3] = {b.q, b.k, b.v};
    for (int i = 0; i < 3; i++) {
        size_t cols = (i == 0 ? Q_HEADS : KV_HEADS) * depth;
        tensors[i] = matrix(FB_DTYPE_F32, TOKENS, cols, data[i]);
        tensors[i].rank = 3;
        tensors[i].dims[0] = 1;
        tensors[i].dims[1] = TOKENS;
        tensors[i].dims[2] = (int64_t)cols;
    }
    assert_int_equal(fb_session_create(b.context, model, NULL, &session, NULL), FB_OK);
    assert_int_equal(fb_session_run(session, tensors, 3, &result, 1, NULL), FB_OK);
    assert_int_equal(fb_session_cache_bytes(session), 0);
    const float *expected = result.data;
    for (size_t i = 0; i < TOKENS * Q_HEADS * depth; i++) {
        assert_true(fabsf(expected[i] - y[i]) < 4e-6f);
    }
    fb_session_free(session);
    fb_model_free(model);
    free(y);
    end(&b);
}

static void expect_refusal(Bench *b, size_t count, const int64_t *positions, const int64_t *sequences, const char *text)
{
    FbError err = {FB_OK, ""};
    assert_int_equal(run(b, 0, count, positions, sequences, NULL, &err), FB_ERR_ARGUMENT);
    if (strstr(err.message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, text);
    }
}

static void refuses_wrong_places(void **state)
{
    (void)state;
    Bench b;
    Setting set = settings[0];
    set.capacity = 10;
    set.sequences = 2;
    begin(&b, set);
    const int64_t zeros[16] = {0}, up[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    expect_refusal(&b, 1, up + 1, zeros, "only 0 tokens are held");
    expect_refusal(&b, 1, (int64_t[]){-1}, zeros, "position -1");
    expect_refusal(&b, 1, zeros, (int64_t[]){2}, "the cache holds 2");
    expect_refusal(&b, 1, zeros, (int64_t[]){-1}, "sequence -1");
    expect_refusal(&b, 2, (int64_t[]){0, 2}, zeros, "expected 1");
    expect_refusal(&b, 2, zeros, zeros, "expected 1");
    expect_refusal(&b, 11, up, zeros, "the cache holds 10");
    assert_int_equal(run(&b, 0, 10, up, zeros, NULL, NULL), FB_OK);
    expect_refusal(&b, 1, up + 10, zeros, "the cache holds 10");
    expect_refusal(&b, 1, up + 11, zeros, "only 10 tokens are held");
    assert_int_equal(run(&b, 4, 1, up + 4, zeros, NULL, NULL), FB_OK); /* cut back: 5 are held */
    expect_refusal(&b, 1, up + 6, zeros, "only 5 tokens are held");
    end(&b);
}

static void refuses_shared_layers_and_large_caches(void **state)
{
    (void)state;
    FbError err = {FB_OK, ""};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    FbModel *model = build_model(context);
    build(model->graph, &settings[0]);
    FbSessionOptions large = {.struct_bytes = sizeof large, .cache_capacity = 1 << 20};
    FbSession *session = NULL;
    assert_int_equal(fb_session_create(context, model, &large, &session, &err), FB_ERR_BUDGET);
    assert_null(session);
    FbId output = build_value(model->graph, "z"), node;
    const FbNode *first = model->graph->nodes[0];
    assert_int_equal(fb_graph_add_node(model->graph, "fewbit", "Attention", 1, "again", first->inputs, 5, &output, 1, FB_NONE, &node, NULL), FB_OK);
    FbAttribute *attributes;
    assert_int_equal(fb_graph_copy_attributes(model->graph, first->attributes, first->attribute_count, &attributes, NULL), FB_OK);
    model->graph->nodes[node]->attributes = attributes;
    model->graph->nodes[node]->attribute_count = first->attribute_count;
    build_output(model->graph, "z");
    assert_int_equal(fb_session_create(context, model, NULL, &session, &err), FB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "layer 1"));
    fb_model_free(model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_definition),
        cmocka_unit_test(stored_types_are_close),
        cmocka_unit_test(keeps_what_is_no_number),
        cmocka_unit_test(bits_do_not_depend_on_cuts),
        cmocka_unit_test(sequences_are_apart),
        cmocka_unit_test(equals_onnx),
        cmocka_unit_test(refuses_wrong_places),
        cmocka_unit_test(refuses_shared_layers_and_large_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
