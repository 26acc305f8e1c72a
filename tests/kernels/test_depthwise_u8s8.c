/* Depthwise convolution of codes: every table row against sums written out and the epilogue's definition. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

enum { PIXELS_MAX = 11, TAPS_MAX = 70 };

static const size_t channel_counts[] = {1, 3, 8, 15, 16, 17, 24, 33, 64, 65, 72, 100, 144};
static const size_t tap_counts[] = {1, 2, 3, 9, 25, TAPS_MAX};
enum { CHANNEL_COUNTS = sizeof channel_counts / sizeof *channel_counts, TAP_COUNTS = sizeof tap_counts / sizeof *tap_counts };

typedef struct Fixture {
    size_t channels, pixels, taps;
    const uint8_t *x[PIXELS_MAX * TAPS_MAX];
    void *bases[PIXELS_MAX * TAPS_MAX + 16];
    size_t base_count;
    int16_t *w;
    int32_t *offset;
    float *scale, *bias, *operand;
    void *y;
} Fixture;

static void *block(Fixture *f, size_t bytes, size_t shift) { return check_block(bytes, shift, &f->bases[f->base_count++]); }

/* Extreme fills: all codes 255 with all weights -255, -128 or 127; else random ones. Neighbouring pixels share taps as a window that moves by one
 * does when `width` is not 0. */
static void make(Fixture *f, size_t channels, size_t pixels, size_t taps, size_t width, uint64_t seed)
{
    static const int16_t extremes[] = {-128, 127, -255, 255};
    *f = (Fixture){.channels = channels, .pixels = pixels, .taps = taps};
    for (size_t i = 0; i < pixels * taps; i++) {
        const size_t pixel = i / taps, t = i % taps;
        if (width && pixel > 0 && (t + 1) % width != 0) {
            f->x[i] = f->x[i - taps + 1];
            continue;
        }
        uint8_t *row = block(f, channels, i % 3);
        for (size_t c = 0; c < channels; c++) {
            row[c] = (uint8_t)(seed % 3 == 0 ? 255 : fb_random_u64(seed, i, c));
        }
        f->x[i] = row;
    }
    f->w = block(f, taps * channels * sizeof *f->w, 2);
    for (size_t i = 0; i < taps * channels; i++) {
        f->w[i] = seed % 3 == 0 ? extremes[seed / 3 % 4] : (int16_t)((int)fb_random_below(seed, 90, i, 256) - 128);
    }
    f->offset = block(f, channels * 4, 4);
    f->scale = block(f, channels * 4, 0);
    f->bias = block(f, channels * 4, 8);
    f->operand = block(f, pixels * channels * 4, 0);
    for (size_t c = 0; c < channels; c++) {
        f->offset[c] = (int32_t)fb_random_below(seed, 91, c, 20000) - 10000;
        f->scale[c] = (float)fb_random_unit(seed, 92, c) * 0.004f / (float)taps;
    }
    check_fill(f->bias, channels, CHECK_RANDOM, seed);
    check_fill(f->operand, pixels * channels, CHECK_RANDOM, seed + 1);
}

static void drop(Fixture *f)
{
    for (size_t i = 0; i < f->base_count; i++) {
        free(f->bases[i]);
    }
}

/* The epilogue's definition on one sum, for the few operations that the test uses. */
static float real_of(const Fixture *f, const FbIntegerEpilogue *e, size_t pixel, size_t c)
{
    int32_t sum = 0;
    for (size_t t = 0; t < f->taps; t++) {
        sum += f->x[pixel * f->taps + t][c] * f->w[t * f->channels + c];
    }
    float x = (float)(sum + e->offset[c]) * e->scale[c];
    x = e->real.bias ? x + e->real.bias[c] : x;
    for (int i = 0; i < e->real.count; i++) {
        const FbEpilogueOp *op = &e->real.ops[i];
        x = op->kind == FB_EPILOGUE_ADD ? x + op->operand[pixel * op->operand_stride + c] : x;
        x = op->kind == FB_EPILOGUE_LEAKY && x < 0 ? x * op->a : x;
        x = op->kind == FB_EPILOGUE_CLAMP ? (x < op->a ? op->a : x > op->b ? op->b : x) : x;
    }
    return x;
}

static void compare_case(const FbDepthwiseU8S8Kernel *kernel, Fixture *f, const FbIntegerEpilogue *e)
{
    const size_t stride = f->channels + 3, count = (f->pixels - 1) * stride + f->channels;
    void *base;
    void *y = check_block(count * (e->codes ? 1 : 4), 4, &base);
    memset(y, 0x5a, count * (e->codes ? 1 : 4));
    const FbDepthwiseU8S8 d = {f->pixels, f->channels, f->taps, f->x, f->w, y, stride, e};
    kernel->run(&d);
    for (size_t i = 0; i < count; i++) {
        const size_t pixel = i / stride, c = i % stride;
        if (c >= f->channels) { /* between the rows: untouched */
            assert_int_equal(((const uint8_t *)y)[e->codes ? i : 4 * i], 0x5a);
            continue;
        }
        const float x = real_of(f, e, pixel, c);
        if (!e->codes) {
            check_same("depthwise", kernel->name, &x, (const float *)y + i, 1);
            continue;
        }
        float code = rintf(x * e->inverse) + (float)e->grid.zero;
        code = code < (float)e->grid.low ? (float)e->grid.low : code > (float)e->grid.high ? (float)e->grid.high : code;
        const int want = e->table ? e->table[(int)code] : (int)code;
        if (((const uint8_t *)y)[i] != want) {
            fail_msg("kernel %s, %zu channels, %zu taps, pixel %zu, channel %zu: %d, expected %d", kernel->name, f->channels, f->taps, pixel, c,
                     ((const uint8_t *)y)[i], want);
        }
    }
    free(base);
}

static void compare(const FbDepthwiseU8S8Kernel *kernel)
{
    static uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i * 7);
    }
    uint64_t seed = 0;
    for (size_t c = 0; c < CHANNEL_COUNTS; c++) {
        for (size_t t = 0; t < TAP_COUNTS; t++) {
            for (size_t window = 0; window < 2; window++, seed++) {
                const size_t taps = tap_counts[t], width = window ? (taps == 9 ? 3 : taps == 25 ? 5 : 0) : 0;
                Fixture f;
                make(&f, channel_counts[c], 1 + seed % PIXELS_MAX, taps, width, seed);
                const FbEpilogueOp add = {.kind = FB_EPILOGUE_ADD, .operand = f.operand, .operand_stride = f.channels};
                const FbEpilogueOp leaky = {.kind = FB_EPILOGUE_LEAKY, .a = 0.1f}, six = {.kind = FB_EPILOGUE_CLAMP, .a = 0, .b = 6};
                const FbIntegerEpilogue epilogues[] = {
                    {.offset = f.offset, .scale = f.scale, .codes = true, .inverse = 1, .grid = {1, 100, 0, 255}},
                    {.offset = f.offset, .scale = f.scale, .real = {f.bias, 1, {six}}, .codes = true, .inverse = 40, .grid = {0.025f, 3, 1, 250}},
                    {.offset = f.offset, .scale = f.scale, .real = {f.bias, 2, {add, six}}, .inverse = 1},
                    {.offset = f.offset, .scale = f.scale, .real = {NULL, 2, {leaky, add}}, .codes = true, .inverse = 9, .grid = {1, 90, 0, 255},
                     .table = table}};
                for (int e = 0; e < 4; e++) {
                    compare_case(kernel, &f, &epilogues[e]);
                }
                drop(&f);
            }
        }
    }
}

static void every_row(void **state)
{
    (void)state;
    const unsigned cpu = fb_cpu_detect();
    for (size_t i = 0; i < fb_depthwise_u8s8_kernel_count; i++) {
        if ((fb_depthwise_u8s8_kernels[i]->needs & ~cpu) == 0) {
            compare(fb_depthwise_u8s8_kernels[i]);
        }
    }
    if (cpu & FB_CPU_AVX2) {
        compare(&fb_depthwise_u8s8_emulated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
