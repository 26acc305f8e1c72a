/* RNN, GRU and LSTM against the formulas written out in double, and bits that do not depend on the batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "op_harness.h"

enum { TIME = 5, BATCH = 3, INPUT = 4, HIDDEN = 6 };

typedef struct Weights {
    float x[TIME * BATCH * INPUT], w[2 * 4 * HIDDEN * INPUT], r[2 * 4 * HIDDEN * HIDDEN], b[2 * 8 * HIDDEN], p[2 * 3 * HIDDEN];
    float h[2 * BATCH * HIDDEN], c[2 * BATCH * HIDDEN];
} Weights;

static void fill(float *to, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)(fb_random_unit(11, stream, i) * 2 - 1);
    }
}

static void make(Weights *m)
{
    fill(m->x, sizeof m->x / 4, 1);
    fill(m->w, sizeof m->w / 4, 2);
    fill(m->r, sizeof m->r / 4, 3);
    fill(m->b, sizeof m->b / 4, 4);
    fill(m->p, sizeof m->p / 4, 5);
    fill(m->h, sizeof m->h / 4, 6);
    fill(m->c, sizeof m->c / 4, 7);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* Sums of gate row g of direction d: with or without the recurrent part, the input part and the biases. */
static double gate_sum(const Weights *m, int gates, int d, int g, int t, int batch, const double *h, bool input, bool recurrent)
{
    int row = d * gates * HIDDEN + g;
    double sum = 0;
    for (int i = 0; input && i < INPUT; i++) {
        sum += (double)m->x[(t * BATCH + batch) * INPUT + i] * (double)m->w[row * INPUT + i];
    }
    for (int i = 0; recurrent && i < HIDDEN; i++) {
        sum += h[i] * (double)m->r[row * HIDDEN + i];
    }
    const float *bias = m->b + (size_t)d * 2 * (size_t)(gates * HIDDEN);
    return sum + (input ? (double)bias[g] : 0) + (recurrent ? (double)bias[gates * HIDDEN + g] : 0);
}

static void lstm_step(const Weights *m, int d, int t, int batch, double *h, double *c)
{
    double next[HIDDEN];
    const float *p = m->p + d * 3 * HIDDEN;
    for (int j = 0; j < HIDDEN; j++) { /* gates i o f c, peepholes i o f */
        double i = sigmoid(gate_sum(m, 4, d, j, t, batch, h, true, true) + (double)p[j] * c[j]);
        double f = sigmoid(gate_sum(m, 4, d, 2 * HIDDEN + j, t, batch, h, true, true) + (double)p[2 * HIDDEN + j] * c[j]);
        double g = tanh(gate_sum(m, 4, d, 3 * HIDDEN + j, t, batch, h, true, true));
        double cell = f * c[j] + i * g;
        double o = sigmoid(gate_sum(m, 4, d, HIDDEN + j, t, batch, h, true, true) + (double)p[HIDDEN + j] * cell);
        c[j] = cell;
        next[j] = o * tanh(cell);
    }
    memcpy(h, next, sizeof next);
}

static void gru_step(const Weights *m, int d, int t, int batch, double *h, bool linear)
{
    double z[HIDDEN], r[HIDDEN], rh[HIDDEN], next[HIDDEN];
    for (int j = 0; j < HIDDEN; j++) {
        z[j] = sigmoid(gate_sum(m, 3, d, j, t, batch, h, true, true));
        r[j] = sigmoid(gate_sum(m, 3, d, HIDDEN + j, t, batch, h, true, true));
        rh[j] = r[j] * h[j];
    }
    for (int j = 0; j < HIDDEN; j++) {
        double x = gate_sum(m, 3, d, 2 * HIDDEN + j, t, batch, h, true, false);
        double n = linear ? tanh(x + r[j] * gate_sum(m, 3, d, 2 * HIDDEN + j, t, batch, h, false, true))
                          : tanh(x + gate_sum(m, 3, d, 2 * HIDDEN + j, t, batch, rh, false, true));
        next[j] = (1 - z[j]) * n + z[j] * h[j];
    }
    memcpy(h, next, sizeof next);
}

/* Y of one direction; sequences shorter than TIME leave zeros. */
static void expected_y(const Weights *m, int gates, bool linear, const int32_t *lengths, float *y)
{
    memset(y, 0, TIME * 2 * BATCH * HIDDEN * sizeof *y);
    for (int d = 0; d < 2; d++) {
        for (int b = 0; b < BATCH; b++) {
            double h[HIDDEN], c[HIDDEN];
            for (int j = 0; j < HIDDEN; j++) {
                h[j] = (double)m->h[(d * BATCH + b) * HIDDEN + j];
                c[j] = (double)m->c[(d * BATCH + b) * HIDDEN + j];
            }
            for (int s = 0; s < lengths[b]; s++) {
                int t = d == 0 ? s : lengths[b] - 1 - s;
                if (gates == 4) {
                    lstm_step(m, d, t, b, h, c);
                } else {
                    gru_step(m, d, t, b, h, linear);
                }
                for (int j = 0; j < HIDDEN; j++) {
                    y[((t * 2 + d) * BATCH + b) * HIDDEN + j] = (float)h[j];
                }
            }
        }
    }
}

/* A bidirectional layer over sequences [first, first + count) of the batch. */
static void begin(OpTest *t, const char *op, int gates, const Weights *m, int first, int count, const int32_t *lengths)
{
    static float x[TIME * BATCH * INPUT], h[2 * BATCH * HIDDEN], c[2 * BATCH * HIDDEN];
    for (int s = 0; s < TIME; s++) {
        memcpy(x + s * count * INPUT, m->x + (s * BATCH + first) * INPUT, (size_t)(count * INPUT) * sizeof *x);
    }
    for (int d = 0; d < 2; d++) {
        memcpy(h + d * count * HIDDEN, m->h + (d * BATCH + first) * HIDDEN, (size_t)(count * HIDDEN) * sizeof *h);
        memcpy(c + d * count * HIDDEN, m->c + (d * BATCH + first) * HIDDEN, (size_t)(count * HIDDEN) * sizeof *c);
    }
    op_test_begin(t, "", op, 14);
    op_test_int(t, "hidden_size", HIDDEN);
    op_test_string(t, "direction", "bidirectional");
    op_test_f32(t, 3, (int64_t[]){TIME, count, INPUT}, x);
    op_test_f32(t, 3, (int64_t[]){2, gates * HIDDEN, INPUT}, m->w);
    op_test_f32(t, 3, (int64_t[]){2, gates * HIDDEN, HIDDEN}, m->r);
    op_test_f32(t, 2, (int64_t[]){2, 2 * gates * HIDDEN}, m->b);
    op_test_input(t, op_test_tensor(t, FB_DTYPE_S32, 1, (int64_t[]){count}, lengths + first));
    op_test_f32(t, 3, (int64_t[]){2, count, HIDDEN}, h);
    if (gates == 4) {
        op_test_f32(t, 3, (int64_t[]){2, count, HIDDEN}, c);
        op_test_f32(t, 2, (int64_t[]){2, 3 * HIDDEN}, m->p);
    }
}

static const int32_t lengths[BATCH] = {TIME, 2, 0};

static void expect_close(const OpTest *t, const float *expected, size_t count)
{
    const float *got = t->outputs[0]->data;
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(got[i] - expected[i]) <= 2e-6F)) {
            fail_msg("element %zu is %.9g, expected %.9g", i, (double)got[i], (double)expected[i]);
        }
    }
}

static void lstm_follows_the_formulas(void **state)
{
    (void)state;
    static Weights m;
    static float y[TIME * 2 * BATCH * HIDDEN];
    OpTest t;
    make(&m);
    expected_y(&m, 4, false, lengths, y);
    begin(&t, "LSTM", 4, &m, 0, BATCH, lengths);
    assert_int_equal(op_test_run(&t), FB_OK);
    op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){TIME, 2, BATCH, HIDDEN});
    expect_close(&t, y, sizeof y / sizeof y[0]);
    op_test_end(&t);
}

static void gru_follows_the_formulas(void **state)
{
    (void)state;
    static Weights m;
    static float y[TIME * 2 * BATCH * HIDDEN];
    make(&m);
    for (int linear = 0; linear < 2; linear++) {
        OpTest t;
        expected_y(&m, 3, linear, lengths, y);
        begin(&t, "GRU", 3, &m, 0, BATCH, lengths);
        op_test_int(&t, "linear_before_reset", linear);
        assert_int_equal(op_test_run(&t), FB_OK);
        expect_close(&t, y, sizeof y / sizeof y[0]);
        op_test_end(&t);
    }
}

static void bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    static Weights m;
    static const char *const ops[] = {"LSTM", "GRU"};
    make(&m);
    for (int k = 0; k < 2; k++) {
        OpTest all;
        begin(&all, ops[k], 4 - k, &m, 0, BATCH, lengths);
        assert_int_equal(op_test_run(&all), FB_OK);
        for (int b = 0; b < BATCH; b++) {
            OpTest one;
            begin(&one, ops[k], 4 - k, &m, b, 1, lengths);
            assert_int_equal(op_test_run(&one), FB_OK);
            for (int row = 0; row < TIME * 2; row++) {
                assert_memory_equal((float *)one.outputs[0]->data + row * HIDDEN, (float *)all.outputs[0]->data + (row * BATCH + b) * HIDDEN,
                                    HIDDEN * sizeof(float));
            }
            op_test_end(&one);
        }
        op_test_end(&all);
    }
}

static void lengths_are_checked(void **state)
{
    (void)state;
    static Weights m;
    static const int32_t bad[][BATCH] = {{TIME + 1, 1, 1}, {1, 1, -1}, {1, INT32_MIN, 1}};
    make(&m);
    for (size_t i = 0; i < 3; i++) {
        OpTest t;
        begin(&t, "LSTM", 4, &m, 0, BATCH, bad[i]);
        assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
        op_test_end(&t);
    }
}

static void shapes_are_checked(void **state)
{
    (void)state;
    static Weights m;
    OpTest t;
    make(&m);
    begin(&t, "GRU", 4, &m, 0, BATCH, lengths); /* weights of four gates, and too many inputs */
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    op_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lstm_follows_the_formulas), cmocka_unit_test(gru_follows_the_formulas), cmocka_unit_test(bits_do_not_depend_on_the_batch),
        cmocka_unit_test(lengths_are_checked), cmocka_unit_test(shapes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
