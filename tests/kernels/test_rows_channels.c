/* The row kernels behind depthwise convolution, pooling, softmax and normalization: every table row against the scalar one bit for bit,
 * and the scalar one against what its header says. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

static const size_t counts[] = {1, 2, 8, 15, 16, 17, 31, 33, 48, 100};
enum { COUNTS = sizeof counts / sizeof *counts };

/* Rows of `channels` floats, each in a block of its own, some of them NULL or the zeros. */
typedef struct Taps { const float **x; void **base; size_t count; } Taps;

static Taps make_taps(size_t pixels, size_t taps, size_t channels, CheckFill fill, const float *padding, uint64_t seed)
{
    Taps t = {calloc(pixels * taps, sizeof *t.x), calloc(pixels * taps, sizeof *t.base), pixels * taps};
    assert_true(t.x && t.base);
    for (size_t i = 0; i < t.count; i++) {
        float *row = check_block(channels * sizeof(float), 4 * (i % 3), &t.base[i]);
        check_fill(row, channels, fill, seed + i);
        t.x[i] = i % 7 == 2 ? padding : row;
    }
    return t;
}

static void free_taps(Taps *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->base[i]);
    }
    free((void *)t->x), free(t->base);
}

static void compare_depthwise(const FbDepthwiseF32Kernel *scalar, const FbDepthwiseF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t channels = counts[c], pixels = 1 + c % 6, taps = 1 + c * 2;
        void *base[6];
        float *zero = check_block(channels * 4, 0, &base[0]), *w = check_block(taps * channels * 4, 4, &base[1]);
        float *bias = check_block(channels * 4, 0, &base[2]), *operand = check_block(pixels * channels * 4, 8, &base[3]);
        float *want = check_block(pixels * channels * 4, 0, &base[4]), *got = check_block(pixels * channels * 4, 4, &base[5]);
        memset(zero, 0, channels * 4);
        check_fill(w, taps * channels, CHECK_RANDOM, c);
        check_fill(bias, channels, CHECK_RANDOM, c + 1);
        check_fill(operand, pixels * channels, CHECK_RANDOM, c + 2);
        const FbEpilogueOp add = {FB_EPILOGUE_ADD, 0, 0, 0, 0, operand, NULL, channels}, six = {FB_EPILOGUE_CLAMP, 0, 6, 0, 0, NULL, NULL, 0};
        const FbEpilogueOp swish = {FB_EPILOGUE_HARD_SWISH, 0, 0, 0, 0, NULL, NULL, 0};
        const FbEpilogue epilogues[] = {{NULL, 0, {{0}}}, {bias, 1, {six}}, {bias, 2, {add, six}}, {bias, 2, {swish, add}}};
        for (int e = -1; e < 4; e++) {
            Taps t = make_taps(pixels, taps, channels, (CheckFill)((e + 1) % CHECK_FILLS), zero, c * 100);
            FbDepthwiseF32 d = {pixels, channels, taps, t.x, w, want, channels, e < 0 ? NULL : &epilogues[e]};
            scalar->run(&d);
            d.y = got;
            kernel->run(&d);
            check_same("depthwise", kernel->name, want, got, pixels * channels);
            float sum = 0; /* the last channel of the last pixel, written out */
            for (size_t i = 0; i < taps; i++) {
                sum = fmaf(t.x[(pixels - 1) * taps + i][channels - 1], w[i * channels + channels - 1], sum);
            }
            if (e <= 0) {
                check_same("depthwise", kernel->name, &sum, &got[pixels * channels - 1], 1);
            }
            free_taps(&t);
        }
        for (int i = 0; i < 6; i++) {
            free(base[i]);
        }
    }
}

static void compare_pool(const FbPoolF32Kernel *scalar, const FbPoolF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            const size_t channels = counts[c], pixels = 1 + c % 4, taps = 1 + c;
            void *base[2];
            float *want = check_block(pixels * channels * 4, 0, &base[0]), *got = check_block(pixels * channels * 4, 4, &base[1]);
            const float divisors[] = {9, 4, 3, 7};
            Taps t = make_taps(pixels, taps, channels, (CheckFill)fill, NULL, c * 100);
            FbPoolF32 pool = {pixels, channels, taps, t.x, divisors, want};
            scalar->average(&pool);
            float sum = 0;
            for (size_t i = 0; i < taps; i++) {
                sum = t.x[i] ? sum + t.x[i][0] : sum;
            }
            sum = sum / 9;
            check_same("average", scalar->name, &sum, want, 1);
            pool.y = got;
            kernel->average(&pool);
            check_same("average", kernel->name, want, got, pixels * channels);
            kernel->max(&pool);
            pool.y = want;
            scalar->max(&pool);
            for (size_t i = 0; i < pixels * channels; i++) { /* a zero's sign is free */
                want[i] += 0.0f, got[i] += 0.0f;
            }
            check_same("max", kernel->name, want, got, pixels * channels);
            free_taps(&t);
            free(base[0]), free(base[1]);
        }
    }
}

static void compare_softmax(const FbSoftmaxF32Kernel *scalar, const FbSoftmaxF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            const size_t n = counts[c];
            void *base[3];
            float *x = check_block(n * 4, 4 * (c % 3), &base[0]), *want = check_block(n * 4, 0, &base[1]), *got = check_block(n * 4, 4, &base[2]);
            check_fill(x, n, (CheckFill)fill, c);
            scalar->log_softmax(x, want, n);
            kernel->log_softmax(x, got, n);
            check_same("log_softmax", kernel->name, want, got, n);
            scalar->softmax(x, want, n);
            kernel->softmax(x, got, n);
            check_same("softmax", kernel->name, want, got, n);
            long double sum = 0;
            for (size_t i = 0; i < n; i++) {
                sum += expl((long double)x[i]);
            }
            for (size_t i = 0; fill == CHECK_RANDOM && i < n; i++) {
                assert_true(fabsl(got[i] - expl((long double)x[i]) / sum) <= 1e-6L * got[i]);
            }
            kernel->softmax(x, x, n);
            check_same("softmax in place", kernel->name, want, x, n);
            free(base[0]), free(base[1]), free(base[2]);
        }
    }
}

static void compare_norm(const FbNormF32Kernel *scalar, const FbNormF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t n = counts[c];
        void *base[5];
        float *x = check_block(n * 4, 4, &base[0]), *a = check_block(n * 4, 0, &base[1]), *b = check_block(n * 4, 8, &base[2]);
        float *want = check_block(n * 4, 0, &base[3]), *got = check_block(n * 4, 4, &base[4]);
        check_fill(a, n, CHECK_RANDOM, c + 1);
        check_fill(b, n, CHECK_RANDOM, c + 2);
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            check_fill(x, n, (CheckFill)fill, c);
            float m[4];
            scalar->moments(x, n, 1e-5f, fill % 2 == 0, &m[0], &m[1]);
            kernel->moments(x, n, 1e-5f, fill % 2 == 0, &m[2], &m[3]);
            check_same("moments", kernel->name, m, m + 2, 2);
            for (int parts = 0; parts < 4; parts++) {
                scalar->apply(x, want, n, 0.3f, 1.7f, parts & 1 ? a : NULL, parts & 2 ? b : NULL);
                kernel->apply(x, got, n, 0.3f, 1.7f, parts & 1 ? a : NULL, parts & 2 ? b : NULL);
                check_same("apply", kernel->name, want, got, n);
            }
            scalar->affine(x, want, n, 0.3f, 1.7f, -2.0f);
            kernel->affine(x, got, n, 0.3f, 1.7f, -2.0f);
            check_same("affine", kernel->name, want, got, n);
            scalar->affine_channels(x, want, n, a, b, a);
            kernel->affine_channels(x, got, n, a, b, a);
            check_same("affine_channels", kernel->name, want, got, n);
        }
        for (int i = 0; i < 5; i++) {
            free(base[i]);
        }
    }
}

static void known_moments(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 6};
    float mean, inverse;
    fb_norm_f32_pick(0)->moments(x, 4, 0.5f, true, &mean, &inverse); /* variance 3.5 */
    assert_true(mean == 3.0f && inverse == 0.5f);
    fb_norm_f32_pick(0)->moments(x, 4, 3.5f, false, &mean, &inverse); /* mean square 12.5 */
    assert_true(mean == 0.0f && inverse == 0.25f);
}

#define FB_WALK(name)                                                                                                         \
    static void name(void **state)                                                                                            \
    {                                                                                                                         \
        (void)state;                                                                                                          \
        const unsigned cpu = fb_cpu_detect();                                                                                 \
        const size_t count = fb_##name##_f32_kernel_count;                                                                    \
        for (size_t i = 0; i < count; i++) {                                                                                  \
            if ((fb_##name##_f32_kernels[i]->needs & ~cpu) == 0) {                                                            \
                compare_##name(fb_##name##_f32_kernels[count - 1], fb_##name##_f32_kernels[i]);                               \
            }                                                                                                                 \
        }                                                                                                                     \
        if (cpu & FB_CPU_AVX2) {                                                                                              \
            compare_##name(fb_##name##_f32_kernels[count - 1], &fb_##name##_f32_emulated);                                    \
        }                                                                                                                     \
    }
FB_WALK(depthwise)
FB_WALK(pool)
FB_WALK(softmax)
FB_WALK(norm)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(depthwise), cmocka_unit_test(pool), cmocka_unit_test(softmax), cmocka_unit_test(norm),
                                       cmocka_unit_test(known_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
