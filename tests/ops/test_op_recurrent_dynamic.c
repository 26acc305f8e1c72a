/* DynamicQuantizeLSTM: the operator's row against its definition written out, with u8 and s8 weights, zero points, scales per direction and
 * per column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "lowering_harness.h"

enum { TIME = 7, BATCH = 6, INPUT = 5, HIDDEN = 9, WIDTH = 4 * HIDDEN };

typedef struct Case {
    FbDtype dtype;              /* of the weights */
    bool per_column, zeros;     /* scales and zero points per column; zero points other than those of symmetric codes */
} Case;

typedef struct Layer {
    float x[TIME * BATCH * INPUT], b[2 * 2 * WIDTH], p[2 * 3 * HIDDEN], h[2 * BATCH * HIDDEN], c[2 * BATCH * HIDDEN];
    uint8_t w[2 * INPUT * WIDTH], r[2 * HIDDEN * WIDTH], w_zero[2 * WIDTH], r_zero[2 * WIDTH];
    float w_scale[2 * WIDTH], r_scale[2 * WIDTH];
    Case how;
} Layer;

static void fill(float *to, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)(fb_random_unit(17, stream, i) * 2 - 1);
    }
}

static void fill_codes(uint8_t *to, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (uint8_t)(fb_random_unit(17, stream, i) * 256);
    }
}

static void make(Layer *m, Case how)
{
    m->how = how;
    fill(m->x, sizeof m->x / 4, 1);
    fill(m->b, sizeof m->b / 4, 2);
    fill(m->p, sizeof m->p / 4, 3);
    fill(m->h, sizeof m->h / 4, 4);
    fill(m->c, sizeof m->c / 4, 5);
    fill_codes(m->w, sizeof m->w, 6);
    fill_codes(m->r, sizeof m->r, 7);
    fill_codes(m->w_zero, sizeof m->w_zero, 8);
    fill_codes(m->r_zero, sizeof m->r_zero, 9);
    for (int i = 0; i < 2 * WIDTH; i++) {
        m->w_scale[i] = 0.004F + 0.00007F * (float)i;
        m->r_scale[i] = 0.006F - 0.00005F * (float)i;
    }
    if (!how.zeros) {
        memset(m->w_zero, how.dtype == FB_DTYPE_U8 ? 128 : 0, sizeof m->w_zero);
        memset(m->r_zero, how.dtype == FB_DTYPE_U8 ? 128 : 0, sizeof m->r_zero);
    }
}

static int code(const Layer *m, uint8_t byte) { return m->how.dtype == FB_DTYPE_U8 ? byte : (int8_t)byte; }

/* Codes over the row's own range, less their zero point. Source: ONNX DynamicQuantizeLinear. */
static float quantize(const float *x, int count, int *codes)
{
    float low = 0, high = 0;
    for (int i = 0; i < count; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    float scale = high > low ? (high - low) / 255 : 1, zero = rintf(-low / scale);
    for (int i = 0; i < count; i++) {
        codes[i] = (int)(fminf(fmaxf(rintf(x[i] / scale) + zero, 0), 255) - zero);
    }
    return scale;
}

/* One column of a row of codes times direction d of a weight. */
static double product(const Layer *m, const int *a, double a_scale, const uint8_t *w, const float *scale, const uint8_t *zero, int depth, int d,
                      int column)
{
    int at = m->how.per_column ? d * WIDTH + column : d, sum = 0;
    for (int k = 0; k < depth; k++) {
        sum += a[k] * (code(m, w[(d * depth + k) * WIDTH + column]) - code(m, zero[at]));
    }
    return sum * a_scale * (double)scale[at];
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef struct Step {
    const int *x;
    double x_scale;
    float *h;
    double *c;
    int d;
} Step;

static void step(const Layer *m, const Step *s)
{
    int h_codes[HIDDEN];
    double gate[WIDTH], h_scale = (double)quantize(s->h, HIDDEN, h_codes);
    for (int g = 0; g < WIDTH; g++) {
        gate[g] = product(m, s->x, s->x_scale, m->w, m->w_scale, m->w_zero, INPUT, s->d, g) +
                  product(m, h_codes, h_scale, m->r, m->r_scale, m->r_zero, HIDDEN, s->d, g) + (double)m->b[s->d * 2 * WIDTH + g] +
                  (double)m->b[s->d * 2 * WIDTH + WIDTH + g];
    }
    for (int j = 0; j < HIDDEN; j++) { /* gates i o f c, peepholes i o f */
        const float *p = m->p + s->d * 3 * HIDDEN + j;
        double i = sigmoid(gate[j] + (double)p[0] * s->c[j]), f = sigmoid(gate[2 * HIDDEN + j] + (double)p[2 * HIDDEN] * s->c[j]);
        s->c[j] = f * s->c[j] + i * tanh(gate[3 * HIDDEN + j]);
        s->h[j] = (float)(sigmoid(gate[HIDDEN + j] + (double)p[HIDDEN] * s->c[j]) * tanh(s->c[j]));
    }
}

static void expected_y(const Layer *m, const int32_t *lengths, float *y)
{
    int x[TIME * BATCH * INPUT];
    float x_scale = quantize(m->x, TIME * BATCH * INPUT, x);
    memset(y, 0, TIME * 2 * BATCH * HIDDEN * sizeof *y);
    for (int d = 0; d < 2; d++) {
        for (int b = 0; b < BATCH; b++) {
            float h[HIDDEN];
            double c[HIDDEN];
            memcpy(h, m->h + (d * BATCH + b) * HIDDEN, sizeof h);
            for (int j = 0; j < HIDDEN; j++) {
                c[j] = (double)m->c[(d * BATCH + b) * HIDDEN + j];
            }
            for (int s = 0; s < lengths[b]; s++) {
                int t = d == 0 ? s : lengths[b] - 1 - s;
                step(m, &(Step){x + (t * BATCH + b) * INPUT, (double)x_scale, h, c, d});
                memcpy(y + ((t * 2 + d) * BATCH + b) * HIDDEN, h, sizeof h);
            }
        }
    }
}

static const int32_t lengths[BATCH] = {TIME, 2, 0, 1, TIME, 3}; /* more sequences than a block has */

static void begin(OpTest *t, const Layer *m, int64_t scales)
{
    op_test_begin(t, "com.microsoft", "DynamicQuantizeLSTM", 1);
    op_test_int(t, "hidden_size", HIDDEN);
    op_test_string(t, "direction", "bidirectional");
    op_test_f32(t, 3, (int64_t[]){TIME, BATCH, INPUT}, m->x);
    op_test_input(t, op_test_tensor(t, m->how.dtype, 3, (int64_t[]){2, INPUT, WIDTH}, m->w));
    op_test_input(t, op_test_tensor(t, m->how.dtype, 3, (int64_t[]){2, HIDDEN, WIDTH}, m->r));
    op_test_f32(t, 2, (int64_t[]){2, 2 * WIDTH}, m->b);
    op_test_input(t, op_test_tensor(t, FB_DTYPE_S32, 1, (int64_t[]){BATCH}, lengths));
    op_test_f32(t, 3, (int64_t[]){2, BATCH, HIDDEN}, m->h);
    op_test_f32(t, 3, (int64_t[]){2, BATCH, HIDDEN}, m->c);
    op_test_f32(t, 2, (int64_t[]){2, 3 * HIDDEN}, m->p);
    int rank = m->how.per_column ? 2 : 1;
    op_test_f32(t, rank, (int64_t[]){2, scales}, m->w_scale);
    op_test_input(t, op_test_tensor(t, m->how.dtype, rank, (int64_t[]){2, WIDTH}, m->w_zero));
    op_test_f32(t, rank, (int64_t[]){2, WIDTH}, m->r_scale);
    op_test_input(t, op_test_tensor(t, m->how.dtype, rank, (int64_t[]){2, WIDTH}, m->r_zero));
}

static const Case cases[] = {{FB_DTYPE_S8, false, false}, {FB_DTYPE_S8, true, false}, {FB_DTYPE_S8, true, true}, {FB_DTYPE_U8, false, false},
                             {FB_DTYPE_U8, false, true},  {FB_DTYPE_U8, true, true}};

static void follows_its_definition(void **state)
{
    (void)state;
    static Layer m;
    static float y[TIME * 2 * BATCH * HIDDEN];
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        OpTest t;
        make(&m, cases[k]);
        expected_y(&m, lengths, y);
        begin(&t, &m, WIDTH);
        assert_int_equal(op_test_run(&t), FB_OK);
        op_expect_shape(&t, 0, FB_DTYPE_F32, 4, (int64_t[]){TIME, 2, BATCH, HIDDEN});
        const float *got = t.outputs[0]->data;
        for (size_t i = 0; i < sizeof y / sizeof y[0]; i++) {
            if (!(fabsf(got[i] - y[i]) <= 4e-6F)) {
                fail_msg("case %zu: element %zu is %.9g, expected %.9g", k, i, (double)got[i], (double)y[i]);
            }
        }
        op_test_end(&t);
    }
}

/* The range of x is kept; everything else of the other sequences changes. */
static void sequences_do_not_touch_each_other(void **state)
{
    (void)state;
    static Layer m;
    OpTest before, after;
    make(&m, cases[1]);
    m.x[0] = 1.5F;
    m.x[1] = -1.5F;
    begin(&before, &m, WIDTH);
    assert_int_equal(op_test_run(&before), FB_OK);
    for (int i = 0; i < HIDDEN; i++) {
        m.h[HIDDEN + i] *= 3;
        m.c[HIDDEN + i] *= 3;
    }
    begin(&after, &m, WIDTH);
    assert_int_equal(op_test_run(&after), FB_OK);
    const float *a = before.outputs[0]->data, *b = after.outputs[0]->data;
    for (int row = 0; row < TIME * 2; row++) {
        assert_memory_equal(a + row * BATCH * HIDDEN, b + row * BATCH * HIDDEN, HIDDEN * sizeof *a);
    }
    assert_memory_not_equal(a + HIDDEN, b + HIDDEN, HIDDEN * sizeof *a);
    op_test_end(&before);
    op_test_end(&after);
}

/* The plain run is the definition; packed weights and their kernel give the same bits, on every number of threads. */
static void packed_weights_change_no_bit(void **state)
{
    (void)state;
    static Layer m;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (unsigned all = 0; all < 2; all++) {
            OpTest t;
            make(&m, cases[k]);
            begin(&t, &m, WIDTH);
            assert_int_equal(op_test_run(&t), FB_OK);
            const LoweringTest how = {.constants = all ? 0xf8e : 0xf06}; /* with the bias and the peepholes constant; without */
            lowering_test(&t, &how, t.outputs[0]->data);
            op_test_end(&t);
        }
    }
}

static void shapes_are_checked(void **state)
{
    (void)state;
    static Layer m;
    OpTest t;
    make(&m, cases[1]);
    begin(&t, &m, WIDTH - 1);
    assert_int_equal(op_test_run(&t), FB_ERR_FORMAT);
    assert_non_null(strstr(t.error.message, "input 8"));
    op_test_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_its_definition), cmocka_unit_test(sequences_do_not_touch_each_other),
                                       cmocka_unit_test(packed_weights_change_no_bit), cmocka_unit_test(shapes_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
