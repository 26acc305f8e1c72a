/* Every integer product kernel against sums and an epilogue written out here, bit for bit: tile sizes, taps with padding rows, weights that
 * would saturate a pair of products, every kind of store. */
#include <float.h>

#include "kernels/check.h"
#include "kernels/emulated/emulated.h"
#include "kernels/functions.h"
#include "kernels/product_u8s8.h"
#include "kernels/round_grid.h"

typedef enum Weights { NORMAL_36 = 0, NORMAL_20, UNIFORM, LAPLACE, ALL_127, ALL_M128, EXTREMES, SMALL, SPARSE, WEIGHTS } Weights;
typedef enum Codes { RANDOM_CODES = 0, ALL_255, ALL_0, EXTREME_CODES, CODES } Codes;
typedef enum Store { STORE_SUMS = 0, STORE_REALS, STORE_CODES, STORES } Store;
enum { SHAPES = 18 }; /* of epilogues */

typedef struct Case {
    size_t rows, cols, depth, taps;
    Weights weights;
    Codes codes;
    Store store;
    size_t shape;
} Case;

static int8_t weight_of(Weights weights, uint64_t seed, size_t i)
{
    double x = 0;
    switch (weights) {
    case NORMAL_36: x = fb_random_normal(seed, 1, i) * 36; break;
    case NORMAL_20: x = fb_random_normal(seed, 1, i) * 20; break;
    case UNIFORM: x = (double)fb_random_below(seed, 1, i, 256) - 128; break;
    case LAPLACE: x = (fb_random_below(seed, 2, i, 2) ? 20 : -20) * log(1 / (1 - fb_random_unit(seed, 1, i))); break;
    case ALL_127: x = 127; break;
    case ALL_M128: x = -128; break;
    case EXTREMES: x = fb_random_below(seed, 1, i, 2) ? 127 : -128; break;
    case SMALL: x = (double)fb_random_below(seed, 1, i, 65) - 32; break;
    case SPARSE:
    case WEIGHTS: x = fb_random_below(seed, 1, i, 50) ? 0 : fb_random_below(seed, 2, i, 2) ? 127 : -128; break;
    }
    return (int8_t)(x > 127 ? 127 : x < -128 ? -128 : rint(x));
}

static uint8_t code_of(Codes codes, uint64_t seed, size_t i)
{
    switch (codes) {
    case RANDOM_CODES: break;
    case ALL_255: return 255;
    case ALL_0: return 0;
    case EXTREME_CODES:
    case CODES: return fb_random_below(seed, 3, i, 2) ? 255 : 0;
    }
    return (uint8_t)fb_random_below(seed, 3, i, 256);
}

/* What a case needs beside A and W. */
typedef struct Parts {
    int32_t *offset;
    float *scale, *bias, *operand;
    uint8_t *codes, *table;
    size_t stride;
} Parts;

static FbIntegerEpilogue make_epilogue(const Case *t, const Parts *parts, uint64_t seed)
{
    FbIntegerEpilogue e = {.offset = parts->offset, .scale = parts->scale, .codes = t->store == STORE_CODES};
    const bool whole = seed % 2; /* in units of the store */
    e.grid = (FbCodeGrid){whole ? 1.0f : 0.37f, (int32_t)(seed % 3 * 100), seed % 5 == 0 ? 3 : 0, seed % 7 == 0 ? 250 : 255};
    e.inverse = 1 / e.grid.scale;
    e.real.bias = seed % 3 == 0 ? parts->bias : NULL;
    e.table = seed % 4 == 0 ? parts->table : NULL;
    const FbEpilogueOp clamp = {FB_EPILOGUE_CLAMP, 0, seed % 2 ? INFINITY : 60.3f, 0, 0, NULL, NULL, 0};
    const FbEpilogueOp round = {FB_EPILOGUE_ROUND, 0.71f, 100, 0, 255, NULL, NULL, 0};
    const FbEpilogueOp add = {FB_EPILOGUE_ADD, 0, 0, 0, 0, parts->operand, NULL, parts->stride}, mul = {FB_EPILOGUE_MUL, 0, 0, 0, 0, parts->operand, NULL, parts->stride};
    const FbEpilogueOp add_codes = {FB_EPILOGUE_ADD, 0.43f, 77, 0, 0, NULL, parts->codes, parts->stride};
    const FbEpilogueOp mul_codes = {FB_EPILOGUE_MUL, 0.013f, 128, 0, 0, NULL, parts->codes, parts->stride};
    const FbEpilogueOp fixed[8][4] = {{clamp}, {add_codes, clamp}, {round, add_codes, clamp}, {add}, {mul_codes, clamp}, {add, clamp}, {clamp, round, add, mul}, {round, clamp}};
    static const int lengths[8] = {1, 2, 3, 1, 2, 2, 4, 2};
    if (t->shape >= 1 && t->shape <= 8) {
        e.real.count = lengths[t->shape - 1];
        memcpy(e.real.ops, fixed[t->shape - 1], sizeof e.real.ops);
    } else if (t->shape > 8) { /* the kinds alone */
        static const FbEpilogueKind kinds[] = {FB_EPILOGUE_MUL, FB_EPILOGUE_ROUND, FB_EPILOGUE_LEAKY, FB_EPILOGUE_SIGMOID, FB_EPILOGUE_SILU,
                                               FB_EPILOGUE_TANH, FB_EPILOGUE_HARD_SIGMOID, FB_EPILOGUE_HARD_SWISH, FB_EPILOGUE_GELU_ERF};
        const FbEpilogueKind kind = kinds[t->shape - 9];
        e.real.count = 1;
        e.real.ops[0] = kind == FB_EPILOGUE_MUL ? mul : kind == FB_EPILOGUE_ROUND ? round : (FbEpilogueOp){kind, 0.2f, 0.5f, 0, 0, NULL, NULL, 0};
    }
    return e;
}

static FbUnaryKind unary_of(FbEpilogueKind kind)
{
    switch (kind) {
    case FB_EPILOGUE_CLAMP: return FB_UNARY_CLAMP;
    case FB_EPILOGUE_LEAKY: return FB_UNARY_LEAKY;
    case FB_EPILOGUE_SIGMOID: return FB_UNARY_SIGMOID;
    case FB_EPILOGUE_SILU: return FB_UNARY_SILU;
    case FB_EPILOGUE_TANH: return FB_UNARY_TANH;
    case FB_EPILOGUE_HARD_SIGMOID: return FB_UNARY_HARD_SIGMOID;
    case FB_EPILOGUE_HARD_SWISH: return FB_UNARY_HARD_SWISH;
    case FB_EPILOGUE_GELU_ERF: return FB_UNARY_GELU_ERF;
    case FB_EPILOGUE_ADD:
    case FB_EPILOGUE_MUL:
    case FB_EPILOGUE_ROUND: break;
    }
    return FB_UNARY_COUNT;
}

static float real_of(const FbIntegerEpilogue *e, int64_t sum, size_t row, size_t col)
{
    float x = (float)(int32_t)(sum + e->offset[col]) * e->scale[col];
    x = e->real.bias ? x + e->real.bias[col] : x;
    for (int i = 0; i < e->real.count; i++) {
        const FbEpilogueOp *op = &e->real.ops[i];
        const size_t at = row * op->operand_stride + col;
        const FbUnaryKind unary = unary_of(op->kind);
        const float operand = op->codes ? op->a * ((float)op->codes[at] - op->b) : op->operand ? op->operand[at] : 0;
        if (op->kind == FB_EPILOGUE_ADD) {
            x = x + operand;
        } else if (op->kind == FB_EPILOGUE_MUL) {
            x = x * operand;
        } else if (unary == FB_UNARY_COUNT) {
            fb_grid_f32_pick(0)->round_tensor(&x, &x, 1, op->a, (int32_t)op->b, op->low, op->high);
        } else {
            fb_unary_f32_pick(0, unary)(&x, &x, 1, op->a, op->b);
        }
    }
    return x;
}

static uint8_t stored_code(const FbIntegerEpilogue *e, float x)
{
    const double code = rint((double)(x * e->inverse)) + e->grid.zero;
    const uint8_t clamped = (uint8_t)(code > e->grid.low ? (code < e->grid.high ? code : e->grid.high) : e->grid.low); /* NaN: low */
    return e->table ? e->table[clamped] : clamped;
}

static void check_element(const FbProductU8S8Kernel *kernel, const Case *t, const FbIntegerEpilogue *e, const void *c, size_t at, int64_t sum, size_t row, size_t col)
{
    if (t->store == STORE_SUMS) {
        assert_in_range(sum + INT64_C(0x80000000), 0, UINT32_MAX);
        if (((const int32_t *)c)[at] != sum) {
            fail_msg("kernel %s, %zu x %zu x (%zu x %zu), weights %d, codes %d: sum at (%zu, %zu) is %d, expected %lld", kernel->name, t->rows, t->cols,
                     t->taps, t->depth, t->weights, t->codes, row, col, ((const int32_t *)c)[at], (long long)sum);
        }
        return;
    }
    const float x = real_of(e, sum, row, col);
    if (t->store == STORE_REALS) {
        check_same("integer product", kernel->name, &x, (const float *)c + at, 1);
    } else if (((const uint8_t *)c)[at] != stored_code(e, x)) {
        fail_msg("kernel %s, epilogue %zu: code at (%zu, %zu) is %d, expected %d of %a", kernel->name, t->shape, row, col, ((const uint8_t *)c)[at],
                 stored_code(e, x), (double)x);
    }
}

static Parts make_parts(const Case *t, uint64_t seed)
{
    Parts parts = {.stride = t->cols + 5};
    const size_t operands = (t->rows - 1) * parts.stride + t->cols;
    parts.offset = malloc(t->cols * sizeof(int32_t));
    parts.scale = malloc(t->cols * sizeof(float));
    parts.bias = malloc(t->cols * sizeof(float));
    parts.operand = malloc(operands * sizeof(float));
    parts.codes = malloc(operands);
    parts.table = malloc(256);
    assert_true(parts.offset && parts.scale && parts.bias && parts.operand && parts.codes && parts.table);
    for (size_t i = 0; i < t->cols; i++) {
        parts.offset[i] = (int32_t)fb_random_below(seed, 4, i, 20001) - 10000;
        parts.scale[i] = (float)(fb_random_unit(seed, 5, i) + 0.1) * (i % 9 == 8 ? 0x1p100f : 0x1p-8f);
    }
    check_fill(parts.bias, t->cols, CHECK_RANDOM, seed + 2);
    check_fill(parts.operand, operands, t->shape == 4 ? CHECK_SPECIAL : CHECK_RANDOM, seed + 3); /* 4: NaN goes straight to the store */
    for (size_t i = 0; i < operands; i++) {
        parts.codes[i] = code_of(RANDOM_CODES, seed + 4, i);
    }
    for (size_t i = 0; i < 256; i++) {
        parts.table[i] = (uint8_t)(255 - i * 7 % 256);
    }
    return parts;
}

static void free_parts(Parts *parts)
{
    free(parts->offset), free(parts->scale), free(parts->bias), free(parts->operand), free(parts->codes), free(parts->table);
}

/* Rows of A, each a block of exactly the bytes that may be read; those past the depth are noise. */
static const uint8_t **make_rows(const Case *t, const uint8_t *zero, uint64_t seed)
{
    const uint8_t **rows = malloc(t->taps * t->rows * sizeof *rows);
    assert_non_null(rows);
    const size_t bytes = (t->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP * FB_U8S8_STEP;
    for (size_t i = 0; i < t->taps * t->rows; i++) {
        if (zero && i % 5 == 3) {
            rows[i] = zero;
            continue;
        }
        uint8_t *row = malloc(bytes);
        assert_non_null(row);
        for (size_t d = 0; d < bytes; d++) {
            row[d] = d < t->depth ? code_of(t->codes, seed + i, d) : 255;
        }
        rows[i] = row;
    }
    return rows;
}

static int64_t sum_of(const Case *t, const uint8_t *const *rows, const int8_t *w, size_t row, size_t col)
{
    int64_t sum = 0;
    for (size_t i = 0; i < t->taps * t->depth; i++) {
        sum += rows[i / t->depth * t->rows + row][i % t->depth] * w[i * t->cols + col];
    }
    return sum;
}

static void run_case(FbContext *context, const FbProductU8S8Kernel *kernel, const Case *t, uint64_t seed)
{
    const size_t k = t->taps * t->depth, stride = t->cols + 3, element = t->store == STORE_CODES ? 1 : 4;
    FbArena *arena = fb_arena_create(context);
    uint8_t *zero = malloc((t->depth + 3) / 4 * 4);
    int8_t *w = malloc(k * t->cols);
    void *c = malloc(((t->rows - 1) * stride + t->cols) * element);
    assert_true(arena && zero && w && c);
    memset(zero, 93, (t->depth + 3) / 4 * 4);
    for (size_t i = 0; i < k * t->cols; i++) {
        w[i] = weight_of(t->weights, seed, i);
    }
    Parts parts = make_parts(t, seed);
    const uint8_t **rows = make_rows(t, zero, seed);
    FbPackedU8S8 packed;
    FbError err;
    assert_int_equal(kernel->pack(context, arena, w, t->cols, 1, t->taps, t->depth, t->cols, &packed, &err), FB_OK);
    const FbIntegerEpilogue epilogue = make_epilogue(t, &parts, seed);
    for (size_t panel = 0; panel < packed.panel_count; panel++) {
        const size_t first = panel * kernel->col_tile;
        FbIntegerEpilogue shifted;
        fb_integer_epilogue_shift(&epilogue, 0, first, &shifted);
        const FbProductU8S8 p = {t->rows, t->cols - first < kernel->col_tile ? t->cols - first : kernel->col_tile, &packed, panel,
                                 (const uint8_t *const *)rows, t->rows, 0, zero, (char *)c + first * element, stride,
                                 t->store == STORE_SUMS ? NULL : &shifted};
        kernel->run(&p);
    }
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t n = 0; n < t->cols; n++) {
            check_element(kernel, t, &epilogue, c, r * stride + n, sum_of(t, rows, w, r, n), r, n);
        }
    }
    for (size_t n = 0; n < t->cols; n++) {
        int32_t sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += w[i * t->cols + n];
        }
        assert_int_equal(packed.column_sum[n], sum);
    }
    for (size_t i = 0; i < t->taps * t->rows; i++) {
        if (rows[i] != zero) {
            free((void *)rows[i]);
        }
    }
    free((void *)rows), free(zero), free(w), free(c);
    free_parts(&parts);
    fb_arena_free(arena);
}

static void walk(void (*check)(FbContext *context, const FbProductU8S8Kernel *kernel))
{
    const unsigned cpu = fb_cpu_detect();
    FbContext *context;
    assert_int_equal(fb_context_create(NULL, &context, NULL), FB_OK);
    for (size_t i = 0; i < fb_product_u8s8_kernel_count; i++) {
        if ((fb_product_u8s8_kernels[i]->needs & ~cpu) == 0) {
            check(context, fb_product_u8s8_kernels[i]);
        }
    }
    if (cpu & FB_CPU_AVX2) {
        check(context, &fb_product_u8s8_avx512vnni_emulated);
        check(context, &fb_product_u8s8_avxvnni_emulated);
    }
    fb_context_free(context);
}

static void run_tiles(FbContext *context, const FbProductU8S8Kernel *kernel)
{
    static const size_t depths[] = {1, 2, 3, 4, 5, 8, 16, 17, 33, 64, 129};
    uint64_t seed = 1;
    for (size_t rows = 1; rows <= kernel->row_tile + 1; rows++) {
        for (size_t cols = 1; cols <= kernel->col_tile + 1; cols++, seed++) {
            const Case t = {rows, cols, depths[seed % 11], 1 + seed % 4, (Weights)(seed % WEIGHTS), (Codes)(seed / 3 % CODES), (Store)(seed / 2 % STORES), seed % SHAPES};
            run_case(context, kernel, &t, seed);
        }
    }
}

static void run_sums(FbContext *context, const FbProductU8S8Kernel *kernel)
{
    uint64_t seed = 1000;
    for (size_t depth = 1; depth <= 300; depth += depth < 40 ? 1 : 13) {
        for (int weights = 0; weights < WEIGHTS; weights++, seed++) {
            const Case t = {1 + seed % (kernel->row_tile + 1), kernel->col_tile, depth, depth < 40 ? 1 + seed % 9 : 1 + seed % 2, (Weights)weights, (Codes)(seed / 2 % CODES),
                            STORE_SUMS, 0};
            run_case(context, kernel, &t, seed);
        }
    }
}

static void run_epilogues(FbContext *context, const FbProductU8S8Kernel *kernel)
{
    static const size_t widths[] = {1, 3, 8, 15, 16, 20, 32};
    uint64_t seed = 5000;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        for (size_t i = 0; i < 7; i++) {
            for (int repeat = 0; repeat < 6; repeat++, seed++) {
                const Case t = {1 + seed % (kernel->row_tile + 1), widths[i], 7, 1, NORMAL_36, RANDOM_CODES, repeat % 2 ? STORE_CODES : STORE_REALS, shape};
                run_case(context, kernel, &t, seed);
            }
        }
    }
}

/* A problem of many tiles through fb_product_u8s8_block, in blocks of any size: one answer. */
typedef struct Rows { const uint8_t *a; size_t taps, depth, pitch; } Rows;
static void point(const void *arg, size_t first, size_t count, size_t stride, const uint8_t **a)
{
    const Rows *rows = arg;
    for (size_t tap = 0; tap < rows->taps; tap++) {
        for (size_t i = 0; i < count; i++) {
            a[tap * stride + i] = rows->a + ((first + i) * rows->taps + tap) * rows->pitch;
        }
    }
}

static void run_block(FbContext *context, const FbProductU8S8Kernel *kernel)
{
    static const size_t shapes[][4] = {{31, 45, 3, 200}, {7, 20, 1, 900}, {1, 33, 5, 130}, {40, 16, 9, 7}};
    for (size_t s = 0; s < 4; s++) {
        const size_t rows = shapes[s][0], cols = shapes[s][1], taps = shapes[s][2], depth = shapes[s][3], k = taps * depth, pitch = (depth + 3) / 4 * 4;
        const Case t = {rows, cols, depth, taps, NORMAL_36, RANDOM_CODES, STORE_CODES, 2};
        FbArena *arena = fb_arena_create(context);
        uint8_t *a = malloc(rows * taps * pitch), *c = malloc(rows * cols);
        int8_t *w = malloc(k * cols);
        const FbTilingU8S8 tiling = fb_product_u8s8_tiling(kernel, rows, cols, k);
        assert_true(tiling.row_block * tiling.row_blocks >= rows && tiling.col_block * tiling.col_blocks >= cols && tiling.col_block % kernel->col_tile == 0);
        const uint8_t **pointers = malloc(fb_product_u8s8_pointer_count(kernel, 13, taps) * sizeof *pointers);
        assert_true(arena && a && w && c && pointers);
        for (size_t i = 0; i < rows * taps * pitch; i++) {
            a[i] = code_of(RANDOM_CODES, s, i);
        }
        for (size_t i = 0; i < k * cols; i++) {
            w[i] = weight_of(NORMAL_36, s, i); /* [cols][k] */
        }
        Parts parts = make_parts(&t, s);
        const FbIntegerEpilogue epilogue = make_epilogue(&t, &parts, s);
        FbPackedU8S8 packed;
        assert_int_equal(kernel->pack(context, arena, w, 1, k, taps, depth, cols, &packed, NULL), FB_OK);
        const Rows arg = {a - 24, taps, depth, pitch};
        const FbProductU8S8Job job = {kernel, &packed, NULL, 24, c, cols, &epilogue, point, &arg};
        for (size_t r = 0; r < rows; r += 13) {
            for (size_t n = 0; n < cols; n += 2 * kernel->col_tile) {
                fb_product_u8s8_block(&job, r, rows - r < 13 ? rows - r : 13, n, cols - n < 2 * kernel->col_tile ? cols - n : 2 * kernel->col_tile, pointers);
            }
        }
        for (size_t i = 0; i < rows * cols; i++) {
            int64_t sum = 0;
            for (size_t j = 0; j < k; j++) {
                sum += a[(i / cols * taps + j / depth) * pitch + j % depth] * w[i % cols * k + j];
            }
            check_element(kernel, &t, &epilogue, c, i, sum, i / cols, i % cols);
        }
        free(a), free(w), free(c), free((void *)pointers);
        free_parts(&parts);
        fb_arena_free(arena);
    }
}

static void tiles(void **state) { (void)state; walk(run_tiles); }
static void sums(void **state) { (void)state; walk(run_sums); }
static void epilogues(void **state) { (void)state; walk(run_epilogues); }
static void blocks(void **state) { (void)state; walk(run_block); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles), cmocka_unit_test(sums), cmocka_unit_test(epilogues), cmocka_unit_test(blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
