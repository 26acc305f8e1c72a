/* Every lane operation of every instruction set against plain C, bit for bit: NaN, infinities, both zeros, ties, what no integer holds. */
#include "kernels/check.h"
#include "kernels/lanes/lanes.h"
#include "base/context.h"

static const struct { const char *name; unsigned needs; LanesRun *run; } rows[] = {
#if defined(__x86_64__)
    {"avx2", FB_CPU_AVX2, lanes_avx2},
    {"avx512, emulated", FB_CPU_AVX2, lanes_emulated},
#elif defined(__aarch64__)
    {"neon", FB_CPU_NEON, lanes_neon},
#endif
    {"scalar", 0, lanes_scalar},
};

static void fill_floats(float x[16], uint64_t seed)
{
    static const float hard[] = {0x1p31f, -0x1p31f, -0x1.000002p31f, 0x1.fffffep30f, 3e9f, 0x1p23f, 8388607.5f, 0.5f, 1.5f, -0.5f, -2.5f, 254.5f, 255.5f,
                                 65535.5f, 65536.0f, 1e30f, -1e30f, 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, 16777215.0f, -70000.0f, 127.49999f};
    check_fill(x, 16, (CheckFill)(seed % CHECK_FILLS), seed);
    for (size_t lane = 0; lane < 16; lane++) {
        if (fb_random_below(seed, 9, lane, 3) == 0) {
            x[lane] = hard[fb_random_below(seed, 10, lane, sizeof hard / sizeof *hard)];
        }
    }
}

static void compare(const char *name, const LanesOut *want, const LanesOut *got)
{
    assert_true(want->floats == got->floats && want->ints == got->ints && want->bytes == got->bytes);
    assert_true(want->floats > 15 && want->ints > 10 && want->bytes > 5);
    for (int k = 0; k < want->floats; k++) {
        check_same(want->float_name[k], name, want->f[k], got->f[k], 16);
    }
    for (int lane = 0; lane < 16; lane++) {
        for (int k = 0; k < want->ints; k++) {
            if (want->i[k][lane] != got->i[k][lane]) {
                fail_msg("%s, %s: lane %d is %d, expected %d", name, want->int_name[k], lane, got->i[k][lane], want->i[k][lane]);
            }
        }
        for (int k = 0; k < want->bytes; k++) {
            if (want->u[k][lane] != got->u[k][lane]) {
                fail_msg("%s, %s: lane %d is %d, expected %d", name, want->byte_name[k], lane, got->u[k][lane], want->u[k][lane]);
            }
        }
    }
}

static void run_seed(uint64_t seed)
{
    float a[16], b[16], c[16];
    int32_t i[16], j[16], zero[16];
    uint8_t u[16], v[16];
    int16_t w0[16], w1[16];
    fill_floats(a, seed * 3), fill_floats(b, seed * 3 + 1), fill_floats(c, seed * 3 + 2);
    for (size_t lane = 0; lane < 16; lane++) {
        b[lane] = fb_random_below(seed, 1, lane, 4) ? b[lane] : a[lane]; /* equal operands, too */
        i[lane] = (int32_t)(uint32_t)fb_random_u64(seed, 2, lane);
        j[lane] = (int32_t)(uint32_t)fb_random_u64(seed, 3, lane);
        zero[lane] = (int32_t)fb_random_below(seed, 4, lane, 256);
        u[lane] = (uint8_t)fb_random_below(seed, 5, lane, 256);
        v[lane] = (uint8_t)fb_random_below(seed, 6, lane, 256);
        w0[lane] = (int16_t)((int)fb_random_below(seed, 7, lane, 511) - 255);
        w1[lane] = (int16_t)((int)fb_random_below(seed, 8, lane, 511) - 255);
    }
    const size_t n = seed % 17;
    void *base[3];
    float *part = check_block(n * sizeof *part, 4, &base[0]);
    int32_t *part_int = check_block(n * sizeof *part_int, 8, &base[1]);
    uint8_t *part_bytes = check_block(n, 3, &base[2]);
    memcpy(part, c, n * sizeof *part), memcpy(part_int, j, n * sizeof *part_int), memcpy(part_bytes, v, n);
    const LanesIn in = {a, b, c, i, j, zero, u, v, w0, w1, n, part, part_int, part_bytes};
    static LanesOut want, got;
    memset(&want, 0, sizeof want);
    lanes_scalar(&in, &want);
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        if ((rows[row].needs & ~fb_cpu_detect()) == 0) {
            memset(&got, 0, sizeof got);
            rows[row].run(&in, &got);
            compare(rows[row].name, &want, &got);
        }
    }
    free(base[0]), free(base[1]), free(base[2]);
}

static void every_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_operation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
