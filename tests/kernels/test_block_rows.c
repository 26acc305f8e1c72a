/* Every row of the table of encoders against the definition, byte for byte. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

enum { ELEMENTS = 17 * 256, KINDS = 12 };

/* Weights as they are and as they should not be: zeros of both signs, ties, one outlier, halves, tiny and large numbers. */
static void fill(float *x, size_t count, int kind)
{
    static const float sizes[KINDS] = {1, 1, 0.25f, 1, 1, 1, 1e-10f, 0x1p-140f, 1e6f, 0.02f, 1, 1};
    for (size_t i = 0; i < count; i++) {
        float value = fb_random_normal(40, (uint64_t)kind, i) * sizes[kind];
        switch (kind) {
        case 1: value = i / 32 % 3 ? value : i % 2 ? -0.0f : 0.0f; break;
        case 2: value = (float)(fb_random_u64(40, 2, i) % 16) / 8 - 1; break;
        case 3: value = i % 37 ? value : value * 100; break;
        case 4: value = -fabsf(value); break;
        case 5: value = fabsf(value); break;
        case 10: value = i / 256 % 2 ? 0.25f : -2.0f; break;
        case 11: value = i % 2 ? 2.0f : -2.0f; break;
        default: break;
        }
        x[i] = value;
    }
}

static void compare(const FbBlockEncodeKernel *kernel, const FbBlockType *type, const float *from, const float *weights, size_t blocks, int kind)
{
    const size_t bytes = blocks * (size_t)type->bytes, elements = blocks * (size_t)type->elements;
    void *base[4];
    float *x = check_block(elements * sizeof *x, 4, &base[0]), *w = check_block(elements * sizeof *w, 8, &base[1]);
    uint8_t *want = check_block(bytes, 0, &base[2]), *got = check_block(bytes, 1, &base[3]);
    memcpy(x, from, elements * sizeof *x);
    if (weights != NULL) {
        memcpy(w, weights, elements * sizeof *w);
    }
    type->encode(x, weights != NULL ? w : NULL, want, blocks);
    kernel->run[type->number](x, weights != NULL ? w : NULL, got, blocks);
    for (size_t i = 0; i < bytes; i++) {
        if (want[i] != got[i]) {
            fail_msg("%s, kernel %s, kind %d%s: byte %zu of block %zu of %zu is %02x, expected %02x", type->code.name, kernel->name, kind,
                     weights != NULL ? ", with importance" : "", i % (size_t)type->bytes, i / (size_t)type->bytes, blocks, got[i], want[i]);
        }
    }
    free(base[0]), free(base[1]), free(base[2]), free(base[3]);
}

static void compare_row(const FbBlockEncodeKernel *kernel)
{
    static const size_t counts[] = {1, 3, 17};
    static float x[ELEMENTS], weights[ELEMENTS];
    for (size_t i = 0; i < ELEMENTS; i++) { /* some blocks and groups without any importance */
        weights[i] = i / 32 % 11 == 3 || i / 256 % 7 == 2 ? 0.0f : (float)fb_random_unit(41, 1, i);
    }
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        for (int kind = 0; kind < KINDS && kernel->run[type->number] != NULL; kind++) {
            fill(x, ELEMENTS, kind);
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                compare(kernel, type, x, NULL, counts[c], kind);
                compare(kernel, type, x, weights, counts[c], kind);
            }
        }
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t k = 0; k < fb_block_encode_kernel_count; k++) {
        if ((fb_block_encode_kernels[k]->needs & ~fb_cpu_detect()) == 0) {
            compare_row(fb_block_encode_kernels[k]);
        }
    }
    if (fb_cpu_detect() & FB_CPU_AVX2) {
        compare_row(&fb_block_encode_emulated);
    }
}

static void test_pick(void **state)
{
    (void)state;
    const FbBlockType *type = fb_block_type_find("q4_K");
    assert_true(fb_block_encode_pick(FB_CPU_SCALAR, type) == type->encode);
    assert_null(fb_block_encode_pick(fb_cpu_detect(), fb_block_type_find("q8_1")));
    for (size_t t = 0; t < fb_block_type_count; t++) {
        assert_in_range(fb_block_types[t].number, 0, FB_BLOCK_NUMBERS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_pick)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
