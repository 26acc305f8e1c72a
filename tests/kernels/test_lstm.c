/* Steps of an LSTM and sums of codes: every table row against the scalar one bit for bit, and the scalar one against its formulas. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

static const size_t counts[] = {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100};
enum { COUNTS = sizeof counts / sizeof *counts };

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef struct Lstm {
    float *gate, *bias, *c, *h;
    void *base[4];
} Lstm;

static Lstm make_lstm(size_t n, size_t shift, float size)
{
    Lstm m;
    m.gate = check_block(4 * n * 4, 4 * shift, &m.base[0]);
    m.bias = check_block(4 * n * 4, 0, &m.base[1]);
    m.c = check_block(n * 4, 4 * shift, &m.base[2]);
    m.h = check_block(n * 4, 0, &m.base[3]);
    for (size_t i = 0; i < 4 * n; i++) {
        m.gate[i] = size * (float)(fb_random_unit(3, 1, i) * 2 - 1);
        m.bias[i] = (float)(fb_random_unit(3, 2, i) * 2 - 1);
        m.c[i % n] = (float)(fb_random_unit(3, 3, i) * 2 - 1);
    }
    return m;
}

static void free_lstm(Lstm *m)
{
    for (int i = 0; i < 4; i++) {
        free(m->base[i]);
    }
}

static void check_formulas(const Lstm *before, const Lstm *after, bool bias, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double gate[4];
        for (size_t g = 0; g < 4; g++) {
            gate[g] = (double)before->gate[g * n + j] + (bias ? (double)before->bias[g * n + j] : 0);
        }
        double c = sigmoid(gate[2]) * (double)before->c[j] + sigmoid(gate[0]) * tanh(gate[3]), h = sigmoid(gate[1]) * tanh(c);
        if (!(fabs((double)after->c[j] - c) <= 1e-6) || !(fabs((double)after->h[j] - h) <= 1e-6)) {
            fail_msg("element %zu of %zu: c %.9g h %.9g, expected %.9g %.9g", j, n, (double)after->c[j], (double)after->h[j], c, h);
        }
    }
}

static void compare_step(const FbLstmKernel *kernel)
{
    for (size_t k = 0; k < COUNTS * 4; k++) {
        const size_t n = counts[k % COUNTS];
        const bool bias = k / COUNTS % 2;
        const float size = k / COUNTS < 2 ? 4 : 100; /* the second saturates */
        Lstm before = make_lstm(n, k % 3, size), want = make_lstm(n, 0, size), got = make_lstm(n, k % 3, size);
        fb_lstm_pick(0)->step(&(FbLstmRow){n, want.gate, bias ? want.bias : NULL, want.c, want.h});
        kernel->step(&(FbLstmRow){n, got.gate, bias ? got.bias : NULL, got.c, got.h});
        check_formulas(&before, &want, bias, n);
        if (memcmp(want.c, got.c, n * 4) != 0 || memcmp(want.h, got.h, n * 4) != 0) {
            fail_msg("kernel %s: other bits for %zu", kernel->name, n);
        }
        free_lstm(&before), free_lstm(&want), free_lstm(&got);
    }
}

static int32_t random_int(uint64_t stream, size_t i, int32_t limit) { return (int32_t)(fb_random_u64(5, stream, i) % (2 * (uint64_t)limit)) - limit; }

static void compare_reals(const FbLstmKernel *kernel)
{
    for (size_t k = 0; k < COUNTS * 4; k++) {
        const size_t n = counts[k % COUNTS];
        const bool zeros = k / COUNTS % 2, add = k / COUNTS / 2;
        void *base[6];
        int32_t *sums = check_block(n * 4, 4 * (k % 3), &base[0]), *column = check_block(n * 4, 0, &base[1]), *zero = check_block(n * 4, 0, &base[2]);
        float *scale = check_block(n * 4, 0, &base[3]), *want = check_block(n * 4, 0, &base[4]), *got = check_block(n * 4, 4 * (k % 3), &base[5]);
        for (size_t i = 0; i < n; i++) {
            sums[i] = random_int(1, i, 1 << 28);
            column[i] = random_int(2, i, 1 << 20);
            zero[i] = random_int(3, i, 128);
            scale[i] = (float)(fb_random_unit(5, 4, i) * 0.01);
            want[i] = got[i] = (float)fb_random_unit(5, 5, i);
            int32_t sum = sums[i] - 77 * column[i] - (zeros ? zero[i] * -12345 : 0);
            float real = (float)sum * (0.03F * scale[i]);
            want[i] = add ? want[i] + real : real;
        }
        FbCodeSums all = {n, sums, column, zeros ? zero : NULL, 77, -12345, 0.03F, scale, add, got};
        kernel->reals(&all);
        if (memcmp(want, got, n * 4) != 0) {
            fail_msg("kernel %s: other reals for %zu", kernel->name, n);
        }
        if (!add) { /* in the place of the sums */
            all.to = (float *)(void *)sums;
            kernel->reals(&all);
            assert_memory_equal(want, sums, n * 4);
        }
        for (int i = 0; i < 6; i++) {
            free(base[i]);
        }
    }
}

static void rows_agree(void **state)
{
    (void)state;
    const unsigned cpu = fb_cpu_detect();
    for (size_t i = 0; i < fb_lstm_kernel_count; i++) {
        if ((fb_lstm_kernels[i]->needs & ~cpu) == 0) {
            compare_step(fb_lstm_kernels[i]);
            compare_reals(fb_lstm_kernels[i]);
        }
    }
    if ((cpu & FB_CPU_AVX2) != 0) {
        compare_step(&fb_lstm_emulated);
        compare_reals(&fb_lstm_emulated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
