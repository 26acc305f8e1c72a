/* Times every row of the kernel tables that this machine can run, after checking it against the scalar row: bench_kernels [SECONDS].
 * Times are processor time of one thread, the best of several repetitions. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "kernels/functions.h"
#include "kernels/norm_f32.h"
#include "kernels/product_block.h"
#include "kernels/product_u8s8.h"
#include "kernels/reduce.h"
#include "kernels/round_grid.h"
#include "kernels/softmax_f32.h"

typedef struct Layer { const char *name; size_t rows, depth, taps, cols; } Layer;

/* The products of resnet50 and mobilenetv2 at 224 x 224 (rows = output pixels) and of bert_base at 128 tokens. */
static const Layer layers[] = {
    {"resnet50 conv1", 12544, 21, 7, 64},       {"resnet50 2 1x1", 3136, 64, 1, 64},      {"resnet50 2 3x3", 3136, 64, 9, 64},
    {"resnet50 2 1x1 out", 3136, 64, 1, 256},   {"resnet50 2 1x1 in", 3136, 256, 1, 64},  {"resnet50 3 1x1 in", 784, 512, 1, 128},
    {"resnet50 3 3x3", 784, 128, 9, 128},       {"resnet50 3 1x1 out", 784, 128, 1, 512}, {"resnet50 4 1x1 in", 196, 1024, 1, 256},
    {"resnet50 4 3x3", 196, 256, 9, 256},       {"resnet50 4 1x1 out", 196, 256, 1, 1024}, {"resnet50 5 1x1 in", 49, 2048, 1, 512},
    {"resnet50 5 3x3", 49, 512, 9, 512},        {"resnet50 5 1x1 out", 49, 512, 1, 2048}, {"resnet50 fc", 1, 2048, 1, 1000},
    {"in the first cache", 64, 512, 1, 16},     {"mobilenetv2 expand", 3136, 24, 1, 144}, {"mobilenetv2 project", 12544, 32, 1, 16},
    {"mobilenetv2 deep", 49, 160, 1, 960},      {"bert one token", 1, 768, 1, 3072},      {"bert four tokens", 4, 768, 1, 3072},
    {"bert projection", 128, 768, 1, 768},      {"bert up", 128, 768, 1, 3072},           {"bert down", 128, 3072, 1, 768},
};

static double seconds_per_case = 0.05;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t count, uint64_t seed)
{
    float *x = aligned_alloc(64, (count * sizeof *x + 63) / 64 * 64);
    if (!x) {
        fprintf(stderr, "out of memory\n");
        exit(70);
    }
    for (size_t i = 0; i < count; i++) {
        x[i] = (float)(fb_random_unit(seed, 1, i) * 2 - 1);
    }
    return x;
}

typedef struct Rows { const float *a; size_t taps, depth; } Rows;

static void point(const void *arg, size_t first, size_t count, size_t stride, const float **a)
{
    const Rows *rows = arg;
    for (size_t tap = 0; tap < rows->taps; tap++) {
        for (size_t i = 0; i < count; i++) {
            a[tap * stride + i] = rows->a + ((first + i) * rows->taps + tap) * rows->depth;
        }
    }
}

static void multiply(const FbProductJob *job, const FbProductTiling *t, const float **pointers)
{
    for (size_t row = 0; row < job->rows; row += t->row_block) {
        for (size_t col = 0; col < job->cols; col += t->col_block) {
            fb_product_block(job, row, job->rows - row < t->row_block ? job->rows - row : t->row_block, col,
                             job->cols - col < t->col_block ? job->cols - col : t->col_block, pointers);
        }
    }
}

/* A few elements against the written-out chain. */
static bool product_is_right(const FbProductJob *job, const float *a, const float *w)
{
    const size_t depth = job->taps * job->depth;
    for (size_t probe = 0; probe < 16; probe++) {
        const size_t row = (size_t)fb_random_below(5, 1, probe, job->rows), col = (size_t)fb_random_below(5, 2, probe, job->cols);
        float sum = 0;
        for (size_t k = 0; k < depth; k++) {
            sum = fmaf(a[row * depth + k], w[k * job->cols + col], sum);
        }
        sum += job->epilogue->bias[col];
        sum = sum > 0 ? sum : 0;
        if (memcmp(&sum, &job->c[row * job->c_stride + col], sizeof sum) != 0) {
            return false;
        }
    }
    return true;
}

static bool bench_product(const FbProductF32Kernel *kernel, const Layer *l)
{
    const size_t depth = l->taps * l->depth;
    float *a = numbers(l->rows * depth, 1), *w = numbers(depth * l->cols, 2), *bias = numbers(l->cols, 3), *c = numbers(l->rows * l->cols, 4);
    float *packed = numbers(fb_product_f32_packed_count(kernel, depth, l->cols), 5);
    fb_product_f32_pack(kernel, w, l->cols, 1, depth, l->cols, packed);
    const FbProductTiling tiling = fb_product_tiling(kernel, l->rows, l->cols, depth);
    const float **pointers = malloc(fb_product_pointer_count(kernel, tiling.row_block, l->taps) * sizeof *pointers);
    const Rows rows = {a, l->taps, l->depth};
    const FbEpilogue epilogue = {bias, 1, {{FB_EPILOGUE_CLAMP, 0, INFINITY, 0, 0, NULL, NULL, 0}}};
    const FbProductJob job = {kernel, l->rows, l->cols, l->depth, l->taps, packed, NULL, 0, c, l->cols, &epilogue, point, &rows};
    double best = INFINITY, begin = now();
    do {
        const double t = now();
        multiply(&job, &tiling, pointers);
        const double took = now() - t;
        best = took < best ? took : best;
    } while (now() - begin < seconds_per_case);
    const bool right = product_is_right(&job, a, w);
    printf("| product_f32 | %s | %s | %zu x %zu x %zu | %.3f | %.1f GFLOP/s | %s |\n", kernel->name, l->name, l->rows, depth, l->cols, best * 1e3,
           2e-9 * (double)(l->rows * depth * l->cols) / best, right ? "yes" : "NO");
    free(a), free(w), free(bias), free(c), free(packed), free((void *)pointers);
    return right;
}

/* ---- integer products: u8 codes, s8 weights of a normal distribution with sigma 36, codes out ---- */

typedef struct IntegerRows { const uint8_t *a; size_t taps, depth, pitch; } IntegerRows;

static void point_codes(const void *arg, size_t first, size_t count, size_t stride, const uint8_t **a)
{
    const IntegerRows *rows = arg;
    for (size_t tap = 0; tap < rows->taps; tap++) {
        for (size_t i = 0; i < count; i++) {
            a[tap * stride + i] = rows->a + ((first + i) * rows->taps + tap) * rows->pitch;
        }
    }
}

static void multiply_codes(const FbProductU8S8Job *job, size_t rows, size_t cols, const FbTilingU8S8 *t, const uint8_t **pointers)
{
    for (size_t row = 0; row < rows; row += t->row_block) {
        for (size_t col = 0; col < cols; col += t->col_block) {
            fb_product_u8s8_block(job, row, rows - row < t->row_block ? rows - row : t->row_block, col, cols - col < t->col_block ? cols - col : t->col_block,
                                  pointers);
        }
    }
}

/* A few codes against the written-out sum. */
static bool codes_are_right(const FbProductU8S8Job *job, const Layer *l, const IntegerRows *rows, const int8_t *w)
{
    const FbIntegerEpilogue *e = job->epilogue;
    for (size_t probe = 0; probe < 64; probe++) {
        const size_t row = (size_t)fb_random_below(5, 1, probe, l->rows), col = (size_t)fb_random_below(5, 2, probe, l->cols);
        int32_t sum = e->offset[col];
        for (size_t k = 0; k < l->taps * l->depth; k++) {
            sum += rows->a[(row * l->taps + k / l->depth) * rows->pitch + k % l->depth] * w[k * l->cols + col];
        }
        const float x = rintf(fmaxf((float)sum * e->scale[col], 0)) + (float)e->grid.zero;
        if (((const uint8_t *)job->c)[row * job->c_stride + col] != (uint8_t)(x < 255 ? x : 255)) {
            return false;
        }
    }
    return true;
}

static bool bench_codes(FbContext *context, const FbProductU8S8Kernel *kernel, const Layer *l)
{
    const size_t depth = l->taps * l->depth, pitch = (l->depth + 3) / 4 * 4;
    FbArena *arena = fb_arena_create(context);
    uint8_t *a = fb_arena_alloc(arena, l->rows * l->taps * pitch), *c = fb_arena_alloc(arena, l->rows * l->cols);
    int8_t *w = fb_arena_alloc(arena, depth * l->cols);
    int32_t *offset = fb_arena_array(arena, l->cols, sizeof *offset);
    float *scale = fb_arena_array(arena, l->cols, sizeof *scale);
    const FbTilingU8S8 tiling = fb_product_u8s8_tiling(kernel, l->rows, l->cols, depth);
    const uint8_t **pointers = fb_arena_array(arena, fb_product_u8s8_pointer_count(kernel, tiling.row_block, l->taps), sizeof *pointers);
    FbPackedU8S8 packed;
    if (!a || !c || !w || !offset || !scale || !pointers) {
        fprintf(stderr, "out of memory\n");
        exit(70);
    }
    for (size_t i = 0; i < l->rows * l->taps * pitch; i++) {
        a[i] = (uint8_t)fb_random_below(7, 1, i, 256);
    }
    for (size_t i = 0; i < depth * l->cols; i++) {
        const float x = rintf(fb_random_normal(7, 2, i) * 36);
        w[i] = (int8_t)(x > 127 ? 127 : x < -127 ? -127 : x);
    }
    for (size_t i = 0; i < l->cols; i++) {
        scale[i] = 0.01f / sqrtf((float)depth);
    }
    double begin = now();
    if (kernel->pack(context, arena, w, l->cols, 1, l->taps, l->depth, l->cols, &packed, NULL) != FB_OK) {
        exit(70);
    }
    const double pack = now() - begin;
    const IntegerRows rows = {a, l->taps, l->depth, pitch};
    const FbIntegerEpilogue epilogue = {.offset = offset, .scale = scale, .codes = true, .inverse = 1, .grid = {1, 3, 0, 255},
                                        .real = {NULL, 1, {{FB_EPILOGUE_CLAMP, 0, INFINITY, 0, 0, NULL, NULL, 0}}}};
    const FbProductU8S8Job job = {kernel, &packed, NULL, 0, c, l->cols, &epilogue, point_codes, &rows};
    double best = INFINITY;
    begin = now();
    do {
        const double t = now();
        multiply_codes(&job, l->rows, l->cols, &tiling, pointers);
        const double took = now() - t;
        best = took < best ? took : best;
    } while (now() - begin < seconds_per_case);
    const bool right = codes_are_right(&job, l, &rows, w);
    printf("| product_u8s8 | %s | %s | %zu x %zu x %zu | %.3f | %.1f GMAC/s, packed in %.2f ms | %s |\n", kernel->name, l->name, l->rows, depth, l->cols,
           best * 1e3, 1e-9 * (double)(l->rows * depth * l->cols) / best, pack * 1e3, right ? "yes" : "NO");
    fb_arena_free(arena);
    return right;
}

static bool bench_integer(unsigned cpu)
{
    FbContext *context;
    bool all = true;
    if (fb_context_create(NULL, &context, NULL) != FB_OK) {
        return false;
    }
    for (size_t k = 0; k < fb_product_u8s8_kernel_count; k++) {
        for (size_t l = 0; l < sizeof layers / sizeof *layers && (fb_product_u8s8_kernels[k]->needs & ~cpu) == 0; l++) {
            if (fb_product_u8s8_kernels[k]->needs || l % 5 == 1) {
                all = bench_codes(context, fb_product_u8s8_kernels[k], &layers[l]) && all;
            }
        }
    }
    fb_context_free(context);
    return all;
}

enum { ROW = 4096 };
static float row_x[ROW], row_y[ROW], row_want[ROW];

/* One row primitive as a function of the table rows' number, so that one loop times all. */
typedef struct RowBench { const char *name; void (*run)(size_t kernel, float *y); size_t count; const char *(*kernel_name)(size_t); unsigned (*needs)(size_t); } RowBench;

#define FB_ROW_BENCH(label, table, expression)                                              \
    static void run_##label(size_t k, float *y) { expression; }                             \
    static const char *name_##label(size_t k) { return table##_kernels[k]->name; }          \
    static unsigned needs_##label(size_t k) { return table##_kernels[k]->needs; }
FB_ROW_BENCH(exp, fb_unary_f32, fb_unary_f32_kernels[k]->run[FB_UNARY_EXP](row_x, y, ROW, 0, 0))
FB_ROW_BENCH(tanh, fb_unary_f32, fb_unary_f32_kernels[k]->run[FB_UNARY_TANH](row_x, y, ROW, 0, 0))
FB_ROW_BENCH(gelu_erf, fb_unary_f32, fb_unary_f32_kernels[k]->run[FB_UNARY_GELU_ERF](row_x, y, ROW, 0, 0))
FB_ROW_BENCH(sigmoid, fb_unary_f32, fb_unary_f32_kernels[k]->run[FB_UNARY_SIGMOID](row_x, y, ROW, 0, 0))
FB_ROW_BENCH(softmax, fb_softmax_f32, fb_softmax_f32_kernels[k]->softmax(row_x, y, ROW))
FB_ROW_BENCH(sum, fb_reduce_f32, y[0] = fb_reduce_f32_kernels[k]->sum(row_x, ROW))
FB_ROW_BENCH(round_trip, fb_grid_f32, fb_grid_f32_kernels[k]->round_tensor(row_x, y, ROW, 0.01f, 3, -128, 127))

static bool bench_rows(unsigned cpu)
{
    const RowBench rows[] = {
        {"exp", run_exp, fb_unary_f32_kernel_count, name_exp, needs_exp},
        {"tanh", run_tanh, fb_unary_f32_kernel_count, name_tanh, needs_tanh},
        {"gelu_erf", run_gelu_erf, fb_unary_f32_kernel_count, name_gelu_erf, needs_gelu_erf},
        {"sigmoid", run_sigmoid, fb_unary_f32_kernel_count, name_sigmoid, needs_sigmoid},
        {"softmax", run_softmax, fb_softmax_f32_kernel_count, name_softmax, needs_softmax},
        {"sum", run_sum, fb_reduce_f32_kernel_count, name_sum, needs_sum},
        {"round_trip", run_round_trip, fb_grid_f32_kernel_count, name_round_trip, needs_round_trip},
    };
    bool all = true;
    for (size_t i = 0; i < ROW; i++) {
        row_x[i] = (float)(fb_random_unit(3, 1, i) * 8 - 4);
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        memset(row_want, 0, sizeof row_want);
        rows[r].run(rows[r].count - 1, row_want);
        for (size_t k = 0; k < rows[r].count; k++) {
            if (rows[r].needs(k) & ~cpu) {
                continue;
            }
            memset(row_y, 0, sizeof row_y);
            double best = INFINITY, begin = now();
            do {
                const double t = now();
                rows[r].run(k, row_y);
                const double took = now() - t;
                best = took < best ? took : best;
            } while (now() - begin < seconds_per_case / 4);
            const bool right = memcmp(row_y, row_want, sizeof row_y) == 0;
            all = all && right;
            printf("| %s | %s | row | %d | %.4f | %.2f ns/element | %s |\n", rows[r].name, rows[r].kernel_name(k), ROW, best * 1e3, best * 1e9 / ROW,
                   right ? "yes" : "NO");
        }
    }
    return all;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        seconds_per_case = atof(argv[1]);
    }
    const unsigned cpu = fb_cpu_detect();
    bool all = true;
    printf("| kernel | row | case | size | ms | speed | right |\n|---|---|---|---|---|---|---|\n");
    for (size_t k = 0; k < fb_product_f32_kernel_count; k++) {
        for (size_t l = 0; l < sizeof layers / sizeof *layers && (fb_product_f32_kernels[k]->needs & ~cpu) == 0; l++) {
            if (fb_product_f32_kernels[k]->needs || l % 5 == 1) { /* the scalar row only where it is quick */
                all = bench_product(fb_product_f32_kernels[k], &layers[l]) && all;
            }
        }
    }
    all = bench_integer(cpu) && all;
    all = bench_rows(cpu) && all;
    return all ? 0 : 1;
}
