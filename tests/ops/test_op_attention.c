/* Attention and RotaryEmbedding against the formulas written out in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "base/random.h"
#include "op_harness.h"

enum { BATCH = 2, HEADS = 4, SHARED = 2, QUERIES = 3, PAST = 2, FRESH = 3, KEYS = PAST + FRESH, DEPTH = 5, VALUES = 6 };

typedef struct Case {
    float q[BATCH * HEADS * QUERIES * DEPTH], k[BATCH * SHARED * FRESH * DEPTH], v[BATCH * SHARED * FRESH * VALUES];
    float past_k[BATCH * SHARED * PAST * DEPTH], past_v[BATCH * SHARED * PAST * VALUES], mask[QUERIES * KEYS];
} Case;

static void fill(float *to, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)(fb_random_unit(5, stream, i) * 2 - 1);
    }
}

static void make(Case *c)
{
    fill(c->q, sizeof c->q / 4, 1);
    fill(c->k, sizeof c->k / 4, 2);
    fill(c->v, sizeof c->v / 4, 3);
    fill(c->past_k, sizeof c->past_k / 4, 4);
    fill(c->past_v, sizeof c->past_v / 4, 5);
    fill(c->mask, sizeof c->mask / 4, 6);
}

static float joined(const float *past, const float *fresh, int head, int t, int depth, int d)
{
    return t < PAST ? past[(head * PAST + t) * depth + d] : fresh[(head * FRESH + t - PAST) * depth + d];
}

/* softmax(q k / sqrt(depth) + mask, keys up to past + query) * v; two query heads share a key head. */
static void expected_row(const Case *c, int batch, int head, int query, double *out)
{
    double score[KEYS], sum = 0;
    int shared = batch * SHARED + head / (HEADS / SHARED), seen = PAST + query + 1;
    for (int t = 0; t < seen; t++) {
        score[t] = 0;
        for (int d = 0; d < DEPTH; d++) {
            score[t] += (double)c->q[((batch * HEADS + head) * QUERIES + query) * DEPTH + d] * (double)joined(c->past_k, c->k, shared, t, DEPTH, d);
        }
        score[t] = exp(score[t] / sqrt(DEPTH) + (double)c->mask[query * KEYS + t]);
        sum += score[t];
    }
    for (int d = 0; d < VALUES; d++) {
        out[d] = 0;
        for (int t = 0; t < seen; t++) {
            out[d] += score[t] / sum * (double)joined(c->past_v, c->v, shared, t, VALUES, d);
        }
    }
}

static void begin(OpTest *t, const Case *c, int first, int count)
{
    op_test_begin(t, "", "Attention", 24);
    op_test_int(t, "is_causal", 1);
    op_test_outputs(t, 3);
    op_test_f32(t, 4, (int64_t[]){count, HEADS, QUERIES, DEPTH}, c->q + first * HEADS * QUERIES * DEPTH);
    op_test_f32(t, 4, (int64_t[]){count, SHARED, FRESH, DEPTH}, c->k + first * SHARED * FRESH * DEPTH);
    op_test_f32(t, 4, (int64_t[]){count, SHARED, FRESH, VALUES}, c->v + first * SHARED * FRESH * VALUES);
    op_test_f32(t, 2, (int64_t[]){QUERIES, KEYS}, c->mask);
    op_test_f32(t, 4, (int64_t[]){count, SHARED, PAST, DEPTH}, c->past_k + first * SHARED * PAST * DEPTH);
    op_test_f32(t, 4, (int64_t[]){count, SHARED, PAST, VALUES}, c->past_v + first * SHARED * PAST * VALUES);
}

static void attention_follows_the_formulas(void **state)
{
    (void)state;
    static Case c;
    OpTest t;
    make(&c);
    begin(&t, &c, 0, BATCH);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){BATCH, HEADS, QUERIES, VALUES});
    op_expect_shape(&t, 1, FB_DTYPE_F32, 4, (int64_t[]){BATCH, SHARED, KEYS, DEPTH});
    for (int row = 0; row < BATCH * HEADS * QUERIES; row++) {
        double expected[VALUES];
        expected_row(&c, row / (HEADS * QUERIES), row / QUERIES % HEADS, row % QUERIES, expected);
        for (int d = 0; d < VALUES; d++) {
            assert_true(fabs((double)((float *)t.outputs[0]->data)[row * VALUES + d] - expected[d]) < 1e-6);
        }
    }
    for (int head = 0; head < BATCH * SHARED; head++) { /* the cache is past and fresh keys in a row */
        for (int i = 0; i < KEYS * DEPTH; i++) {
            assert_true(((float *)t.outputs[1]->data)[head * KEYS * DEPTH + i] == joined(c.past_k, c.k, head, i / DEPTH, DEPTH, i % DEPTH));
        }
    }
    op_test_end(&t);
}

static void bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static Case c;
    OpTest all, one;
    size_t bytes = HEADS * QUERIES * VALUES * sizeof(float);
    make(&c);
    begin(&all, &c, 0, BATCH);
    begin(&one, &c, 1, 1);
    assert_int_equal(op_test_run(&all), FB_OK);
    assert_int_equal(op_test_run(&one), FB_OK);
    assert_memory_equal((char *)all.outputs[0]->data + bytes, one.outputs[0]->data, bytes);
    op_test_end(&all);
    op_test_end(&one);
}

static void rotary(void **state)
{
    (void)state;
    OpTest t;
    const float cosine[] = {1, 1, 0, 0.6F}, sine[] = {0, 0, 1, 0.8F}; /* two positions of two pairs */
    const float x[] = {1, 2, 3, 4, 9};
    op_test_begin(&t, "", "RotaryEmbedding", 23); /* one head of five numbers, four of them rotated */
    op_test_int(&t, "rotary_embedding_dim", 4);
    op_test_f32(&t, 4, (int64_t[]){1, 1, 1, 5}, x);
    op_test_f32(&t, 2, (int64_t[]){2, 2}, cosine);
    op_test_f32(&t, 2, (int64_t[]){2, 2}, sine);
    op_test_s64(&t, 2, (int64_t[]){1, 1}, (int64_t[]){1});
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_f32(&t, 0, (float[]){-3, 0.6F * 2 - 0.8F * 4, 1, 0.8F * 2 + 0.6F * 4, 9}, 5, 4);
    op_test_end(&t);

    op_test_begin(&t, "", "RotaryEmbedding", 23); /* a position outside of the tables */
    op_test_f32(&t, 4, (int64_t[]){1, 1, 1, 4}, x);
    op_test_f32(&t, 2, (int64_t[]){2, 2}, cosine);
    op_test_f32(&t, 2, (int64_t[]){2, 2}, sine);
    op_test_s64(&t, 2, (int64_t[]){1, 1}, (int64_t[]){2});
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_follows_the_formulas), cmocka_unit_test(bits_do_not_depend_on_the_batch), cmocka_unit_test(rotary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
