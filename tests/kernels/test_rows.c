/* Every row of the tables of row primitives against the scalar row, bit for bit. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

static const size_t counts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 100, 257};
enum { COUNTS = sizeof counts / sizeof *counts, SHIFTS = 3 };

static const float parameters[][2] = {{0.0f, 6.0f}, {0.01f, 0.5f}, {0.2f, 0.5f}, {-INFINITY, INFINITY}};

static void compare_unary(const FbUnaryF32Kernel *scalar, const FbUnaryF32Kernel *kernel)
{
    for (int kind = 0; kind < FB_UNARY_COUNT; kind++) {
        assert_non_null(kernel->run[kind]);
        for (size_t c = 0; c < COUNTS; c++) {
            for (int fill = 0; fill < CHECK_FILLS; fill++) {
                size_t shift = (c % SHIFTS) * sizeof(float);
                void *base[3];
                float *x = check_block(counts[c] * sizeof(float), shift, &base[0]);
                float *want = check_block(counts[c] * sizeof(float), 0, &base[1]);
                float *got = check_block(counts[c] * sizeof(float), shift, &base[2]);
                check_fill(x, counts[c], (CheckFill)fill, (uint64_t)kind * 1000 + c);
                const float *p = parameters[c % 4];
                scalar->run[kind](x, want, counts[c], p[0], p[1]);
                kernel->run[kind](x, got, counts[c], p[0], p[1]);
                check_same("unary", kernel->name, want, got, counts[c]);
                kernel->run[kind](x, x, counts[c], p[0], p[1]); /* in place */
                check_same("unary in place", kernel->name, want, x, counts[c]);
                free(base[0]), free(base[1]), free(base[2]);
            }
        }
    }
}

static void compare_binary(const FbBinaryF32Kernel *scalar, const FbBinaryF32Kernel *kernel)
{
    for (int kind = 0; kind < FB_BINARY_COUNT; kind++) {
        for (int form = 0; form < FB_BINARY_FORMS; form++) {
            assert_non_null(kernel->run[kind][form]);
            for (size_t c = 0; c < COUNTS; c++) {
                size_t n = counts[c], a_count = form == FB_BINARY_A_SCALAR ? 1 : n, b_count = form == FB_BINARY_B_SCALAR ? 1 : n;
                void *base[4];
                float *a = check_block(a_count * sizeof(float), (c % SHIFTS) * sizeof(float), &base[0]);
                float *b = check_block(b_count * sizeof(float), 0, &base[1]);
                float *want = check_block(n * sizeof(float), 0, &base[2]);
                float *got = check_block(n * sizeof(float), 0, &base[3]);
                for (int fill = 0; fill < CHECK_FILLS; fill++) {
                    check_fill(a, a_count, (CheckFill)fill, c);
                    check_fill(b, b_count, (CheckFill)fill, c + 77);
                    scalar->run[kind][form](a, b, want, n);
                    kernel->run[kind][form](a, b, got, n);
                    check_same("binary", kernel->name, want, got, n);
                }
                free(base[0]), free(base[1]), free(base[2]), free(base[3]);
            }
        }
    }
}

static void compare_reduce(const FbReduceF32Kernel *scalar, const FbReduceF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            void *base;
            float *x = check_block(counts[c] * sizeof(float), (c % SHIFTS) * sizeof(float), &base);
            check_fill(x, counts[c], (CheckFill)fill, c);
            float want[5] = {scalar->sum(x, counts[c]), scalar->sum_abs(x, counts[c]), scalar->sum_squares(x, counts[c], 0.3f),
                             scalar->max(x, counts[c]), scalar->min(x, counts[c])};
            float got[5] = {kernel->sum(x, counts[c]), kernel->sum_abs(x, counts[c]), kernel->sum_squares(x, counts[c], 0.3f),
                            kernel->max(x, counts[c]), kernel->min(x, counts[c])};
            want[3] += 0.0f, got[3] += 0.0f, want[4] += 0.0f, got[4] += 0.0f; /* a zero's sign is free */
            check_same("reduce", kernel->name, want, got, 5);
            free(base);
        }
    }
}

static void compare_scan(const FbScanF32Kernel *scalar, const FbScanF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            void *base;
            float *x = check_block(counts[c] * sizeof(float), (c % SHIFTS) * sizeof(float), &base);
            check_fill(x, counts[c], (CheckFill)fill, c);
            FbRangeF32 want = scalar->range(x, counts[c]), got = kernel->range(x, counts[c]);
            assert_true(want.low == got.low && want.high == got.high);
            assert_int_equal(want.nonfinite, got.nonfinite);
            free(base);
        }
    }
}

static void compare_grid_codes(const FbGridF32Kernel *scalar, const FbGridF32Kernel *kernel, const float *x, size_t n, float scale)
{
    void *base[2];
    uint16_t *want = check_block(n * 2, 0, &base[0]), *got = check_block(n * 2, 0, &base[1]);
    scalar->quantize_u16(x, want, n, scale, 30000);
    kernel->quantize_u16(x, got, n, scale, 30000);
    assert_memory_equal(want, got, n * 2);
    scalar->quantize_s16(x, (int16_t *)want, n, scale, -3);
    kernel->quantize_s16(x, (int16_t *)got, n, scale, -3);
    assert_memory_equal(want, got, n * 2);
    free(base[0]), free(base[1]);
    uint8_t *want8 = check_block(n, 0, &base[0]), *got8 = check_block(n, 0, &base[1]);
    float *y = malloc(n * sizeof *y + 1), *z = malloc(n * sizeof *z + 1);
    assert_true(y && z);
    scalar->quantize_s8(x, (int8_t *)want8, n, scale, 5);
    kernel->quantize_s8(x, (int8_t *)got8, n, scale, 5);
    assert_memory_equal(want8, got8, n);
    scalar->dequantize_s8((int8_t *)want8, y, n, scale, 5);
    kernel->dequantize_s8((int8_t *)want8, z, n, scale, 5);
    check_same("dequantize_s8", kernel->name, y, z, n);
    scalar->quantize_u8(x, want8, n, scale, 128);
    kernel->quantize_u8(x, got8, n, scale, 128);
    assert_memory_equal(want8, got8, n);
    scalar->dequantize_u8(want8, y, n, scale, 128);
    kernel->dequantize_u8(want8, z, n, scale, 128);
    check_same("dequantize_u8", kernel->name, y, z, n);
    scalar->round_tensor(x, z, n, scale, 128, 0, 255); /* the round trip is quantize, then dequantize */
    check_same("round trip", scalar->name, y, z, n);
    free(base[0]), free(base[1]), free(y), free(z);
}

static void compare_grid(const FbGridF32Kernel *scalar, const FbGridF32Kernel *kernel)
{
    for (size_t c = 0; c < COUNTS; c++) {
        size_t n = counts[c];
        void *base[5];
        float *x = check_block(n * sizeof(float), (c % SHIFTS) * sizeof(float), &base[0]);
        float *want = check_block(n * sizeof(float), 0, &base[1]), *got = check_block(n * sizeof(float), 0, &base[2]);
        float *scale = check_block(n * sizeof(float), 0, &base[3]);
        int32_t *zero = check_block(n * sizeof(int32_t), 0, &base[4]);
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            check_fill(x, n, (CheckFill)fill, c);
            for (size_t i = 0; i < n; i++) {
                scale[i] = 0.003f + 0.01f * (float)(i % 7);
                zero[i] = (int32_t)(i * 37 % 256);
            }
            scalar->round_tensor(x, want, n, 0.02f, -7, -128, 127);
            kernel->round_tensor(x, got, n, 0.02f, -7, -128, 127);
            check_same("round_tensor", kernel->name, want, got, n);
            scalar->round_channels(x, want, n, scale, zero, 0, 255);
            kernel->round_channels(x, got, n, scale, zero, 0, 255);
            check_same("round_channels", kernel->name, want, got, n);
            scalar->round_channels(x, want, n, scale, NULL, -127, 127);
            kernel->round_channels(x, got, n, scale, NULL, -127, 127);
            check_same("round_channels", kernel->name, want, got, n);
            compare_grid_codes(scalar, kernel, x, n, 0.013f);
        }
        for (int i = 0; i < 5; i++) {
            free(base[i]);
        }
    }
}

#define FB_WALK(name, compare)                                                                            \
    static void name(void **state)                                                                        \
    {                                                                                                     \
        (void)state;                                                                                      \
        unsigned cpu = fb_cpu_detect();                                                                   \
        for (size_t i = 0; i < fb_##name##_f32_kernel_count; i++) {                                       \
            if ((fb_##name##_f32_kernels[i]->needs & ~cpu) == 0) {                                        \
                compare(fb_##name##_f32_kernels[fb_##name##_f32_kernel_count - 1], fb_##name##_f32_kernels[i]); \
            }                                                                                             \
        }                                                                                                 \
        if (cpu & FB_CPU_AVX2) {                                                                          \
            compare(fb_##name##_f32_kernels[fb_##name##_f32_kernel_count - 1], &fb_##name##_f32_emulated); \
        }                                                                                                 \
    }
FB_WALK(unary, compare_unary)
FB_WALK(binary, compare_binary)
FB_WALK(reduce, compare_reduce)
FB_WALK(scan, compare_scan)
FB_WALK(grid, compare_grid)

/* Hand-computed: halves go to even, both ends saturate, NaN gives the lowest code. */
static void known_codes(void **state)
{
    (void)state;
    const float x[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 300.0f, -300.0f, NAN, INFINITY, -INFINITY};
    const uint8_t u8[] = {128, 130, 130, 128, 126, 255, 0, 0, 255, 0};
    uint8_t codes[10];
    fb_grid_f32_pick(0)->quantize_u8(x, codes, 10, 1.0f, 128);
    assert_memory_equal(codes, u8, 10);
    const FbReduceF32Kernel *reduce = fb_reduce_f32_pick(0);
    assert_true(reduce->sum(x, 5) == 2.5f && reduce->max(x, 7) == 300.0f && reduce->min(x, 7) == -300.0f && isnan(reduce->max(x, 8)));
    assert_true(reduce->sum_squares(x, 3, 0.5f) == 5.0f && reduce->sum_abs(x + 3, 2) == 2.0f);
    FbRangeF32 range = fb_scan_f32_pick(0)->range(x, 10);
    assert_true(range.low == -300.0f && range.high == 300.0f && range.nonfinite == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unary), cmocka_unit_test(binary), cmocka_unit_test(reduce),
                                       cmocka_unit_test(scan),  cmocka_unit_test(grid),   cmocka_unit_test(known_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
