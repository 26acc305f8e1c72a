/* Every low-bit product kernel and its rounding of A against the scalar row bit for bit, and the scalar row against decoded blocks. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"
#include "tensor/block_type.h"

typedef enum Fill { FILL_RANDOM = 0, FILL_ZEROS, FILL_ONES, FILL_HIGH, FILL_LOW, FILLS } Fill; /* of the bytes of weights */

/* Those of the table that run here, then the emulated ones, then NULL. */
static const FbProductLowbitKernel *kernel_at(size_t i)
{
    static const FbProductLowbitKernel *const emulated[] = {&fb_product_lowbit_avx512vnni_emulated, &fb_product_lowbit_avxvnni_emulated};
    const unsigned cpu = fb_cpu_detect();
    for (size_t k = 0; k < fb_product_lowbit_kernel_count; k++) {
        if ((fb_product_lowbit_kernels[k]->needs & ~cpu) == 0 && i-- == 0) {
            return fb_product_lowbit_kernels[k];
        }
    }
    return (cpu & FB_CPU_AVX2) && i < sizeof emulated / sizeof *emulated ? emulated[i] : NULL;
}

static const FbBlockType *block_of(FbLowbitForm form)
{
    for (size_t i = 0; i < fb_block_type_count; i++) {
        if (fb_block_types[i].number == fb_lowbit_forms[form].number) {
            return &fb_block_types[i];
        }
    }
    fail_msg("no block type of form %d", (int)form);
    return NULL;
}

/* Where the half-precision scales of a block lie in a packed one: the first bytes, by eights. */
static size_t scale_halves(FbLowbitForm form)
{
    switch (form) {
    case FB_LOWBIT_F16:
    case FB_LOWBIT_BF16:
    case FB_LOWBIT_MXFP4: return 0;
    case FB_LOWBIT_Q4_1:
    case FB_LOWBIT_Q5_1:
    case FB_LOWBIT_Q2_K:
    case FB_LOWBIT_Q4_K:
    case FB_LOWBIT_Q5_K: return 16;
    default: return 8;
    }
}

static uint8_t *make_weights(FbLowbitForm form, size_t blocks, Fill fill, uint64_t seed, void **base)
{
    const size_t each = (size_t)fb_lowbit_forms[form].bytes * FB_LOWBIT_COLS;
    uint8_t *w = check_block(blocks * each, seed % 3, base);
    for (size_t i = 0; i < blocks * each; i++) {
        const uint8_t random = (uint8_t)fb_random_below(seed, 1, i, 256);
        w[i] = fill == FILL_ZEROS ? 0 : fill == FILL_ONES ? 0xff : fill == FILL_HIGH ? 0x7f : fill == FILL_LOW ? 0x80 : random;
    }
    for (size_t b = 0; b < blocks; b++) {
        for (size_t h = 0; h < scale_halves(form); h++) { /* finite */
            const uint16_t half = fb_f32_to_f16(fb_random_normal(seed, b + 7, h));
            w[b * each + 2 * h] = (uint8_t)half;
            w[b * each + 2 * h + 1] = (uint8_t)(half >> 8);
        }
        for (size_t i = 0; form == FB_LOWBIT_MXFP4 && i < 8; i++) {
            w[b * each + i] = (uint8_t)(i == 0 ? b % 3 : 120 + fb_random_below(seed, b, i, 16));
        }
        for (size_t i = 0; fb_lowbit_forms[form].elements == 1 && i < 8; i++) {
            const float x = fb_random_normal(seed, b, i);
            const uint16_t half = form == FB_LOWBIT_F16 ? fb_f32_to_f16(x) : fb_f32_to_bf16(x);
            w[b * each + 2 * i] = (uint8_t)half;
            w[b * each + 2 * i + 1] = (uint8_t)(half >> 8);
        }
    }
    return w;
}

/* Codes at their ends, or random; the kernels see what the rounding could make of some numbers. */
static void *make_codes(FbLowbitForm form, size_t rows, size_t blocks, int extreme, uint64_t seed, size_t *stride, void **base)
{
    const size_t elements = (size_t)fb_lowbit_forms[form].elements;
    float *x = malloc(rows * blocks * elements * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < rows * blocks * elements; i++) {
        const float sign = extreme == 3 && fb_random_below(seed, 5, i, 2) ? -1.0f : 1.0f;
        x[i] = extreme == 0 ? fb_random_normal(seed, 4, i) : (extreme == 2 ? -1.0f : 1.0f) * sign;
    }
    const size_t size = elements == 1 ? sizeof(float) : elements == 32 ? sizeof(FbCodes32) : sizeof(FbCodes256);
    void *a = check_block(rows * blocks * size, 0, base);
    if (elements == 1) {
        memcpy(a, x, rows * blocks * size);
    } else if (elements == 32) {
        fb_product_lowbit_pick(0)->codes32(x, rows * blocks, a);
    } else {
        fb_product_lowbit_pick(0)->codes256(x, rows * blocks, a);
    }
    free(x);
    *stride = blocks * size;
    return a;
}

static void check_case(FbLowbitForm form, size_t rows, size_t blocks, size_t panels, Fill fill, int extreme, uint64_t seed)
{
    void *w_base, *a_base, *want_base, *got_base;
    size_t stride;
    const size_t cols = panels * FB_LOWBIT_COLS;
    const uint8_t *w = make_weights(form, blocks * panels, fill, seed, &w_base);
    const void *a = make_codes(form, rows, blocks, extreme, seed, &stride, &a_base);
    float *want = check_block(rows * cols * sizeof *want, 0, &want_base), *got = check_block(rows * cols * sizeof *got, 0, &got_base);
    FbProductLowbit p = {rows, blocks, panels, w, a, stride, want, cols};
    fb_product_lowbit_run(0, form)(&p);
    p.c = got;
    const FbProductLowbitKernel *kernel;
    for (size_t i = 0; (kernel = kernel_at(i)) != NULL; i++) {
        if (kernel->run[form] != NULL) {
            memset(got, 0xff, rows * cols * sizeof *got);
            kernel->run[form](&p);
            check_same(block_of(form)->code.name, kernel->name, want, got, rows * cols);
        }
    }
    free(w_base);
    free(a_base);
    free(want_base);
    free(got_base);
}

static void kernels_equal_scalar(void **state)
{
    (void)state;
    for (int form = 0; form < FB_LOWBIT_COUNT; form++) {
        for (size_t rows = 1; rows <= 13; rows += rows < 5 ? 1 : 4) {
            for (int fill = 0; fill < FILLS; fill++) {
                for (int extreme = 0; extreme < 4; extreme++) {
                    check_case((FbLowbitForm)form, rows, 1 + rows, 1 + (size_t)extreme, (Fill)fill, extreme, (uint64_t)(form * 100 + extreme));
                }
            }
            check_case((FbLowbitForm)form, rows, 11, 5, FILL_RANDOM, 0, 5);
        }
    }
}

/* A block of one row out of a packed one of which only that lane counts: the parts of a form as the packing has them. */
static void pack_lane(const FbBlockType *type, const uint8_t *block, size_t lane, uint8_t *packed)
{
    static const struct { int number; struct { int offset, bytes, grain; } spans[5]; } layouts[] = {
        {2, {{0, 2, 2}, {2, 16, 4}}}, {3, {{0, 2, 2}, {2, 2, 2}, {4, 16, 4}}}, {6, {{0, 2, 2}, {2, 4, 4}, {6, 16, 4}}},
        {7, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 16, 4}}}, {8, {{0, 2, 2}, {2, 32, 4}}}, {20, {{0, 2, 2}, {2, 16, 4}}}, {39, {{0, 1, 1}, {1, 16, 4}}},
        {10, {{80, 2, 2}, {82, 2, 2}, {0, 16, 4}, {16, 64, 4}}}, {11, {{108, 2, 2}, {96, 12, 4}, {0, 32, 4}, {32, 64, 4}}},
        {12, {{0, 2, 2}, {2, 2, 2}, {4, 12, 4}, {16, 128, 4}}}, {13, {{0, 2, 2}, {2, 2, 2}, {4, 12, 4}, {16, 32, 4}, {48, 128, 4}}},
        {14, {{208, 2, 2}, {192, 16, 4}, {0, 128, 4}, {128, 64, 4}}}, {23, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 128, 4}}}, {35, {{64, 2, 2}, {0, 64, 4}}},
        {1, {{0, 2, 2}}}, {30, {{0, 2, 2}}}};
    size_t i = 0;
    while (layouts[i].number != type->number) {
        i++;
        assert_true(i < sizeof layouts / sizeof *layouts);
    }
    for (int s = 0; s < 5; s++) {
        const int grain = layouts[i].spans[s].grain;
        for (int at = 0; at < layouts[i].spans[s].bytes; at += grain, packed += grain * FB_LOWBIT_COLS) {
            memcpy(packed + lane * (size_t)grain, block + layouts[i].spans[s].offset + at, (size_t)grain);
        }
    }
}

/* The scalar row is near the sum of decoded weights times what the codes of A stand for. */
static void scalar_is_the_product(void **state)
{
    (void)state;
    enum { BLOCKS = 3 };
    for (int f = 0; f < FB_LOWBIT_COUNT; f++) {
        const FbLowbitForm form = (FbLowbitForm)f;
        const FbBlockType *type = block_of(form);
        const size_t elements = (size_t)type->elements, packed = (size_t)type->bytes * FB_LOWBIT_COLS;
        float decoded[FB_BLOCK_ELEMENTS_MAX];
        double want[FB_LOWBIT_COLS] = {0}, size[FB_LOWBIT_COLS] = {0};
        float got[FB_LOWBIT_COLS];
        void *w_base, *a_base;
        size_t stride;
        uint8_t *random = make_weights(form, BLOCKS, FILL_RANDOM, (uint64_t)f, &w_base), w[BLOCKS * FB_BLOCK_BYTES_MAX * FB_LOWBIT_COLS];
        const void *a = make_codes(form, 1, BLOCKS, 0, (uint64_t)f, &stride, &a_base);
        for (size_t b = 0; b < BLOCKS; b++) {
            for (size_t lane = 0; lane < FB_LOWBIT_COLS; lane++) {
                uint8_t *block = random + b * packed + lane * (size_t)type->bytes;
                for (int attempt = 0; attempt < 100; attempt++) { /* moderate scales wherever the type keeps them */
                    bool fine = true;
                    type->decode(block, decoded, 1);
                    for (size_t i = 0; i < elements; i++) {
                        fine = fine && isfinite(decoded[i]) && fabsf(decoded[i]) < 1e4f;
                    }
                    if (fine) {
                        break;
                    }
                    for (int i = 0; i < type->bytes; i++) {
                        block[i] = (uint8_t)fb_random_below((uint64_t)attempt, b * 8 + lane, (uint64_t)i, 256);
                    }
                }
                pack_lane(type, block, lane, w + b * packed);
                for (size_t i = 0; i < elements; i++) {
                    const FbCodes32 *a32 = a;
                    const FbCodes256 *a256 = a;
                    const double x = elements == 1    ? (double)((const float *)a)[b]
                                     : elements == 32 ? (double)a32[b].scale * a32[b].codes[i]
                                                      : (double)a256[b].scale * a256[b].codes[i];
                    want[lane] += x * (double)decoded[i];
                    size[lane] += fabs(x * (double)decoded[i]);
                }
            }
        }
        const FbProductLowbit p = {1, BLOCKS, 1, w, a, stride, got, FB_LOWBIT_COLS};
        fb_product_lowbit_run(0, form)(&p);
        for (size_t lane = 0; lane < FB_LOWBIT_COLS; lane++) {
            if (!(fabs((double)got[lane] - want[lane]) <= size[lane] * 1e-5 + 1e-12)) {
                fail_msg("%s, column %zu: %g, expected %g", type->code.name, lane, (double)got[lane], want[lane]);
            }
        }
        free(w_base);
        free(a_base);
    }
}

static void rounding_equals_scalar(void **state)
{
    (void)state;
    enum { GROUPS = 40 };
    for (int fill = 0; fill < CHECK_FILLS; fill++) {
        void *base, *base_32, *base_256;
        FbCodes32 want[GROUPS * 8];
        FbCodes256 want_256[GROUPS];
        float *x = check_block(GROUPS * 256 * sizeof *x, 0, &base);
        check_fill(x, GROUPS * 256, (CheckFill)fill, 3);
        for (size_t i = 0; i < 512; i++) { /* ties and signs, the same with every fill */
            x[i] = i % 32 == 0 ? 127.0f : (float)((int)(i % 200) - 100) + 0.5f;
        }
        fb_product_lowbit_pick(0)->codes32(x, GROUPS * 8, want);
        fb_product_lowbit_pick(0)->codes256(x, GROUPS, want_256);
        assert_int_equal(want[0].codes[1], -98); /* -98.5 */
        FbCodes32 *got = check_block(sizeof want, 0, &base_32);
        FbCodes256 *got_256 = check_block(sizeof want_256, 0, &base_256);
        const FbProductLowbitKernel *kernel;
        for (size_t k = 0; (kernel = kernel_at(k)) != NULL; k++) {
            kernel->codes32(x, GROUPS * 8, got);
            kernel->codes256(x, GROUPS, got_256);
            for (size_t g = 0; g < GROUPS * 8; g++) {
                check_same("scale", kernel->name, &want[g].scale, &got[g].scale, 1);
                check_same("scaled sum", kernel->name, &want[g].scaled_sum, &got[g].scaled_sum, 1);
                assert_int_equal(want[g].sum8, got[g].sum8);
                assert_memory_equal(want[g].codes, got[g].codes, 32);
            }
            for (size_t g = 0; g < GROUPS; g++) {
                check_same("scale", kernel->name, &want_256[g].scale, &got_256[g].scale, 1);
                assert_memory_equal(want_256[g].sums32, got_256[g].sums32, sizeof want_256[g].sums32);
                assert_memory_equal(want_256[g].sums16, got_256[g].sums16, sizeof want_256[g].sums16);
                assert_memory_equal(want_256[g].codes, got_256[g].codes, 256);
            }
        }
        free(base);
        free(base_32);
        free(base_256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_equal_scalar), cmocka_unit_test(scalar_is_the_product),
                                       cmocka_unit_test(rounding_equals_scalar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
