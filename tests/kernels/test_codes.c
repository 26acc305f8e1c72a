/* Rows of u8 codes: every table row against the scalar one byte for byte, and the scalar one against what its header says. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

static const size_t counts[] = {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 257};
enum { COUNTS = sizeof counts / sizeof *counts };

static const FbCodeGrid grids[] = {{0.02f, 128, 0, 255}, {0.5f, 0, 0, 255}, {1.7f, 255, 1, 255}, {0x1p-20f, 3, 0, 15}, {3e30f, 100, 90, 110}};
enum { GRIDS = sizeof grids / sizeof *grids };

static uint8_t *random_codes(size_t count, size_t shift, uint64_t seed, void **base)
{
    uint8_t *codes = check_block(count, shift, base);
    for (size_t i = 0; i < count; i++) {
        const uint64_t r = fb_random_u64(seed, 1, i);
        codes[i] = (uint8_t)(seed % 4 == 1 ? 255 * (r & 1) : seed % 4 == 2 ? 255 : r);
    }
    return codes;
}

static void check_bytes(const char *what, const char *kernel, const uint8_t *want, const uint8_t *got, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (want[i] != got[i]) {
            fail_msg("%s, kernel %s: code %zu of %zu is %d, expected %d", what, kernel, i, count, got[i], want[i]);
        }
    }
}

static int32_t code_of(double real, const FbCodeGrid *grid) /* real over the grid's scale */
{
    const double code = nearbyint(real) + grid->zero;
    return (int32_t)(code < grid->low ? grid->low : code > grid->high ? grid->high : code);
}

static void compare_maps(const FbCodesKernel *kernel)
{
    uint8_t table[256];
    float floats[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)fb_random_u64(9, 1, (uint64_t)i);
        floats[i] = (float)i * 0.37f - 11;
    }
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t n = counts[c];
        void *base[3];
        uint8_t *x = random_codes(n, c % 5, c * 4, &base[0]), *y = check_block(n, c % 3, &base[1]);
        float *f = check_block(n * 4, 4 * (c % 3), &base[2]);
        kernel->map_u8(x, y, n, table);
        kernel->map_f32(x, f, n, floats);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(y[i], table[x[i]]);
            assert_true(f[i] == floats[x[i]]);
        }
        kernel->map_u8(x, x, n, table);
        check_bytes("map in place", kernel->name, y, x, n);
        for (int i = 0; i < 3; i++) {
            free(base[i]);
        }
    }
}

static void compare_quantize(const FbCodesKernel *scalar, const FbCodesKernel *kernel)
{
    for (size_t c = 0; c < COUNTS * GRIDS; c++) {
        const size_t n = counts[c % COUNTS];
        const FbCodeGrid *grid = &grids[c / COUNTS];
        void *base[4];
        float *x = check_block(n * 4, 4 * (c % 3), &base[0]), *back = check_block(n * 4, 0, &base[3]);
        uint8_t *want = check_block(n, 0, &base[1]), *got = check_block(n, c % 7, &base[2]);
        for (int fill = 0; fill < CHECK_FILLS; fill++) {
            check_fill(x, n, (CheckFill)fill, c);
            scalar->quantize(x, want, n, grid);
            kernel->quantize(x, got, n, grid);
            check_bytes("quantize", kernel->name, want, got, n);
            for (size_t i = 0; i < n; i++) {
                const float code = rintf(x[i] / grid->scale) + (float)grid->zero;
                const float clamped = code > (float)grid->low ? code < (float)grid->high ? code : (float)grid->high : (float)grid->low;
                assert_int_equal(got[i], (int)clamped); /* NaN: low */
            }
            kernel->dequantize(got, back, n, grid);
            for (size_t i = 0; i < n; i++) {
                assert_true(back[i] == grid->scale * (float)(got[i] - grid->zero));
            }
        }
        for (int i = 0; i < 4; i++) {
            free(base[i]);
        }
    }
}

/* A sum or product, operation by operation. */
static void check_binary_value(const FbCodesBinary *r, size_t i, const void *y)
{
    const FbCodesOperand *o[2] = {&r->a, &r->b};
    float v[2];
    for (int k = 0; k < 2; k++) {
        const size_t at = o[k]->single ? 0 : i;
        v[k] = o[k]->grid.scale * (o[k]->codes ? (float)(o[k]->codes[at] - o[k]->grid.zero) : o[k]->reals[at]);
    }
    float x = r->multiply ? v[0] * v[1] : v[0] + v[1];
    if (r->after.real.count) { /* leaky, then clamp */
        x = x < 0 ? x * r->after.real.ops[0].a : x;
        x = x < r->after.real.ops[1].a ? r->after.real.ops[1].a : x > r->after.real.ops[1].b ? r->after.real.ops[1].b : x;
    }
    if (!r->after.codes) {
        check_same("binary", "scalar", &x, (const float *)y + i, 1);
        return;
    }
    const int32_t code = code_of((double)(x / r->after.grid.scale), &r->after.grid);
    assert_int_equal(((const uint8_t *)y)[i], r->after.table ? r->after.table[code] : code);
}

static void compare_binary(const FbCodesKernel *scalar, const FbCodesKernel *kernel)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(255 - i);
    }
    for (size_t c = 0; c < COUNTS * 64; c++) {
        const size_t n = counts[c % COUNTS], how = c / COUNTS;
        const bool multiply = how & 1, codes = how & 2;
        void *base[6];
        uint8_t *a = random_codes(n, c % 3, c, &base[0]), *b = random_codes(n, c % 5, c + 1, &base[1]);
        float *reals = check_block(n * 4, 4, &base[2]);
        uint8_t *want = check_block(n * 4, 0, &base[3]), *got = check_block(n * 4, 4 * (c % 4), &base[4]), *inside = check_block(n, 0, &base[5]);
        check_fill(reals, n, CHECK_RANDOM, c);
        FbCodesBinary r = {.count = n, .a = {a, NULL, {0.7f, 120, 0, 255}, false, 0}, .b = {b, NULL, {c % 7 ? 0.45f : -0.45f, 3, 0, 255}, false, 0}, .multiply = multiply,
                           .after = {.codes = codes, .grid = {how & 4 ? 100.0f : 1.5f, 31, 2, 251}}, .y = want};
        r.after.real.count = how & 8 ? 2 : 0;
        r.after.real.ops[0] = (FbEpilogueOp){.kind = FB_EPILOGUE_LEAKY, .a = 0.1f};
        r.after.real.ops[1] = (FbEpilogueOp){.kind = FB_EPILOGUE_CLAMP, .a = -30, .b = 60};
        r.after.table = how & 16 ? table : NULL;
        if (how & 32) {
            r.b.codes = c % 3 ? NULL : b;
            r.b.reals = reals;
            r.b.single = c % 2;
            r.a.single = c % 5 == 4;
        }
        scalar->binary(&r);
        for (size_t i = 0; i < n; i++) {
            check_binary_value(&r, i, want);
        }
        r.y = got;
        kernel->binary(&r);
        check_bytes("binary", kernel->name, want, got, n * (codes ? 1 : 4));
        if (codes) { /* over the first operand */
            memcpy(inside, a, n);
            r.a.codes = r.y = inside;
            kernel->binary(&r);
            check_bytes("binary in place", kernel->name, want, inside, r.a.single ? 1 : n);
        }
        for (int i = 0; i < 6; i++) {
            free(base[i]);
        }
    }
}

static void compare_pool(const FbCodesKernel *scalar, const FbCodesKernel *kernel)
{
    for (size_t c = 0; c < COUNTS * 4; c++) {
        const size_t channels = counts[c % COUNTS], pixels = 1 + c % 4, taps = 1 + c % 11, stride = channels + c % 3;
        const size_t elements = (pixels - 1) * stride + channels;
        const int32_t divisors[] = {11, 12, 13, 49};
        const uint8_t *x[44];
        void *rows[44], *base[2];
        uint8_t *want = check_block(elements * 4, 0, &base[0]), *got = check_block(elements * 4, 4, &base[1]);
        memset(want, 91, elements * 4); /* what lies between the rows stays */
        memset(got, 91, elements * 4);
        for (size_t i = 0; i < pixels * taps; i++) {
            const uint8_t *row = random_codes(channels, i % 3, c + i, &rows[i]);
            x[i] = i % 7 == 2 || (c % 5 == 1 && i < taps) ? NULL : row;
        }
        FbCodesPool p = {.pixels = pixels, .channels = channels, .taps = taps, .x = x, .divisor = divisors, .from = {0.3f, 77, 0, 255},
                         .codes = c / COUNTS & 1, .to = {0.31f, 9, 0, 250}, .y = want, .y_stride = stride};
        scalar->max_pool(&p);
        p.y = got;
        kernel->max_pool(&p);
        check_bytes("max", kernel->name, want, got, elements);
        int best = 0;
        float mean = 0;
        for (size_t t = 0; t < taps; t++) { /* the last channel of the last pixel, written out */
            const uint8_t *row = x[(pixels - 1) * taps + t];
            best = row && row[channels - 1] > best ? row[channels - 1] : best;
            mean = row ? mean + 0.3f * (float)(row[channels - 1] - 77) : mean;
        }
        assert_int_equal(got[elements - 1], best);
        kernel->average_pool(&p);
        p.y = want;
        scalar->average_pool(&p);
        check_bytes("average", kernel->name, want, got, elements * (p.codes ? 1 : 4));
        mean = mean / (float)divisors[pixels - 1];
        if (p.codes) {
            assert_int_equal(want[elements - 1], code_of((double)(mean / 0.31f), &p.to));
        } else {
            check_same("average", kernel->name, &mean, (const float *)(const void *)want + elements - 1, 1);
        }
        for (size_t i = 0; i < pixels * taps; i++) {
            free(rows[i]);
        }
        free(base[0]), free(base[1]);
    }
}

/* Rows of windows: each as if it were alone, and nothing between them touched. */
static void compare_binary_rows(const FbCodesKernel *kernel)
{
    enum { ROWS = 3 };
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i / 2);
    }
    for (size_t c = 0; c < COUNTS * 16; c++) {
        const size_t n = counts[c % COUNTS], how = c / COUNTS, a_stride = n + c % 3, b_stride = n + c % 5, y_stride = n + c % 4;
        const size_t element = how & 1 ? 1 : 4, y_count = (ROWS - 1) * y_stride + n;
        void *base[5];
        uint8_t *a = random_codes((ROWS - 1) * a_stride + n, 0, c, &base[0]), *b = random_codes((ROWS - 1) * b_stride + n, 1, c + 1, &base[1]);
        float *reals = check_block(((ROWS - 1) * b_stride + n) * 4, 4, &base[2]);
        uint8_t *want = check_block(y_count * element, 0, &base[3]), *got = check_block(y_count * element, 4, &base[4]);
        check_fill(reals, (ROWS - 1) * b_stride + n, CHECK_RANDOM, c);
        memset(want, 17, y_count * element);
        memset(got, 17, y_count * element);
        FbCodesBinary r = {.count = n, .rows = ROWS, .multiply = how & 2, .y = got, .y_stride = y_stride,
                           .a = {.codes = a, .grid = {0.7f, 120, 0, 255}, .row_stride = a_stride},
                           .b = {.codes = how & 4 ? NULL : b, .reals = reals, .grid = {0.45f, 3, 0, 255}, .single = how & 8, .row_stride = b_stride},
                           .after = {.codes = how & 1, .grid = {1.5f, 31, 2, 251}, .table = c % 2 ? table : NULL}};
        kernel->binary(&r);
        for (size_t row = 0; row < ROWS; row++) {
            FbCodesBinary one = r;
            one.rows = 0;
            one.a.codes = a + row * a_stride;
            if (!r.b.single) {
                one.b.codes = r.b.codes ? b + row * b_stride : NULL;
                one.b.reals = reals + row * b_stride;
            }
            one.y = want + row * y_stride * element;
            kernel->binary(&one);
        }
        check_bytes("binary rows", kernel->name, want, got, y_count * element);
        for (int i = 0; i < 5; i++) {
            free(base[i]);
        }
    }
}

static void compare_map_rows(const FbCodesKernel *kernel)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i * 77 + 5);
    }
    for (size_t c = 0; c < COUNTS * 8; c++) {
        const size_t n = counts[c % COUNTS], rows = 1 + c % 5, x_stride = n + c % 3, y_stride = n + c % 4, count = (rows - 1) * y_stride + n;
        void *base[2];
        const uint8_t *x = random_codes((rows - 1) * x_stride + n, 0, c, &base[0]);
        uint8_t *y = check_block(count, c % 7, &base[1]), *want = malloc(count);
        assert_non_null(want);
        memset(y, 3, count);
        memset(want, 3, count);
        for (size_t at = 0; at < rows * n; at++) {
            want[at / n * y_stride + at % n] = table[x[at / n * x_stride + at % n]];
        }
        kernel->map_rows(x, x_stride, y, y_stride, rows, n, table);
        check_bytes("map rows", kernel->name, want, y, count);
        free(base[0]), free(base[1]), free(want);
    }
}

/* Against the definition, in exact memory; what lies between the rows stays. */
static void compare_transpose(const FbCodesKernel *kernel)
{
    static const size_t sizes[] = {1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 85};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t c = 0; c < SIZES * SIZES; c++) {
        const size_t rows = sizes[c % SIZES], cols = sizes[c / SIZES], x_stride = cols + c % 3, y_stride = rows + (c % 8 < 4 ? 0 : c % 4);
        const size_t count = (cols - 1) * y_stride + rows;
        void *base[2];
        const uint8_t *x = random_codes((rows - 1) * x_stride + cols, c % 5, c, &base[0]);
        uint8_t *y = check_block(count, c % 7, &base[1]), *want = malloc(count);
        assert_non_null(want);
        memset(y, 33, count);
        memset(want, 33, count);
        for (size_t at = 0; at < rows * cols; at++) {
            want[at % cols * y_stride + at / cols] = x[at / cols * x_stride + at % cols];
        }
        kernel->transpose(x, x_stride, rows, cols, y, y_stride);
        check_bytes("transpose", kernel->name, want, y, count);
        free(base[0]), free(base[1]), free(want);
    }
}

static void compare_all(const FbCodesKernel *scalar, const FbCodesKernel *kernel)
{
    compare_maps(kernel);
    compare_quantize(scalar, kernel);
    compare_binary(scalar, kernel);
    compare_binary_rows(kernel);
    compare_transpose(kernel);
    compare_map_rows(kernel);
    compare_pool(scalar, kernel);
}

static void every_row(void **state)
{
    (void)state;
    const unsigned cpu = fb_cpu_detect();
    const FbCodesKernel *scalar = fb_codes_kernels[fb_codes_kernel_count - 1];
    for (size_t i = 0; i < fb_codes_kernel_count; i++) {
        if ((fb_codes_kernels[i]->needs & ~cpu) == 0) {
            compare_all(scalar, fb_codes_kernels[i]);
        }
    }
    if (cpu & FB_CPU_AVX2) {
        compare_all(scalar, &fb_codes_emulated);
    }
}

static void known_binary(void **state)
{
    (void)state;
    const uint8_t a[] = {10, 20, 255}, b[] = {1, 2, 3};
    uint8_t y[3];
    FbCodesBinary r = {.count = 3, .a = {a, NULL, {2, 10, 0, 255}, false, 0}, .b = {b, NULL, {0.5f, 0, 0, 255}, false, 0},
                       .after = {.codes = true, .grid = {1, 7, 0, 255}}, .y = y};
    fb_codes_pick(0)->binary(&r); /* 0 + 0.5 -> 0; 20 + 1 -> 21; 490 + 1.5 -> more than 255 */
    assert_true(y[0] == 7 && y[1] == 28 && y[2] == 255);
    r.multiply = true;
    fb_codes_pick(0)->binary(&r); /* 0, 20, 735 */
    assert_true(y[0] == 7 && y[1] == 27 && y[2] == 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(known_binary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
