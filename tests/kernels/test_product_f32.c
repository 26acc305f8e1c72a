/* Every float product kernel against a chain of fmaf written out here, bit for bit: all tile sizes, taps with padding rows, continued
 * chains and epilogues. */
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"
#include "kernels/product_block.h"

typedef struct Case {
    size_t rows, cols, depth, taps;
    CheckFill fill;
    int epilogue; /* index into epilogues(), -1: none */
} Case;

enum { EPILOGUES = 14 };

static FbEpilogue make_epilogue(int index, const float *bias, const float *operand, size_t stride)
{
    FbEpilogue e = {index % 2 ? NULL : bias, 0, {{0}}};
    const FbEpilogueOp add = {FB_EPILOGUE_ADD, 0, 0, 0, 0, operand, NULL, stride}, mul = {FB_EPILOGUE_MUL, 0, 0, 0, 0, operand, NULL, stride};
    const FbEpilogueOp relu = {FB_EPILOGUE_CLAMP, 0, INFINITY, 0, 0, NULL, NULL, 0}, round = {FB_EPILOGUE_ROUND, 0.05f, 3, -128, 127, NULL, NULL, 0};
    if (index == 0 || index == 1) {
        e.ops[e.count++] = add;
        e.ops[e.count++] = relu;
    } else if (index == 2) {
        e.ops[e.count++] = relu;
        e.ops[e.count++] = round;
        e.ops[e.count++] = add;
        e.ops[e.count++] = mul;
    } else if (index >= 3) {
        e.ops[e.count++] = (FbEpilogueOp){(FbEpilogueKind)(index - 3), 0.2f, 0.5f, 0, 255, NULL, NULL, 0};
        e.ops[0].b = e.ops[0].kind == FB_EPILOGUE_ROUND ? 128.0f : 0.5f; /* a zero point is whole */
        e.ops[0].operand = e.ops[0].kind == FB_EPILOGUE_ADD || e.ops[0].kind == FB_EPILOGUE_MUL ? operand : NULL;
        e.ops[0].operand_stride = stride;
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

/* The epilogue by the stand-alone operators: fusing must change no bit. */
static float apply(const FbEpilogue *e, float x, size_t row, size_t col)
{
    if (e->bias) {
        x = x + e->bias[col];
    }
    for (int i = 0; i < e->count; i++) {
        const FbEpilogueOp *op = &e->ops[i];
        const float *operand = op->operand ? op->operand + row * op->operand_stride + col : NULL;
        FbUnaryKind unary = unary_of(op->kind);
        if (op->kind == FB_EPILOGUE_ADD) {
            x = x + *operand;
        } else if (op->kind == FB_EPILOGUE_MUL) {
            x = x * *operand;
        } else if (unary == FB_UNARY_COUNT) {
            fb_grid_f32_pick(0)->round_tensor(&x, &x, 1, op->a, (int32_t)op->b, op->low, op->high);
        } else {
            fb_unary_f32_pick(0, unary)(&x, &x, 1, op->a, op->b);
        }
    }
    return x;
}

static void run_case(const FbProductF32Kernel *kernel, const Case *t, uint64_t seed)
{
    const size_t k = t->taps * t->depth, stride = t->cols + 3;
    void *base[7];
    float *a = check_block(t->taps * t->rows * t->depth * sizeof(float), 0, &base[0]); /* [tap][row][depth] */
    float *w = check_block(k * t->cols * sizeof(float), 4, &base[1]);
    float *packed = check_block(fb_product_f32_packed_count(kernel, k, t->cols) * sizeof(float), 0, &base[2]);
    float *c = check_block(((t->rows - 1) * stride + t->cols) * sizeof(float), 4, &base[3]);
    float *zero = check_block(t->depth * sizeof(float), 0, &base[4]);
    float *bias = check_block(t->cols * sizeof(float), 4, &base[5]);
    float *operand = check_block(((t->rows - 1) * stride + t->cols) * sizeof(float), 0, &base[6]);
    check_fill(a, t->taps * t->rows * t->depth, t->fill, seed);
    check_fill(w, k * t->cols, t->fill, seed + 1);
    check_fill(bias, t->cols, CHECK_RANDOM, seed + 2);
    check_fill(operand, (t->rows - 1) * stride + t->cols, CHECK_RANDOM, seed + 3);
    memset(zero, 0, t->depth * sizeof *zero);
    fb_product_f32_pack(kernel, w, t->cols, 1, k, t->cols, packed);
    const float *pointers[16 * 16];
    assert_true(t->taps * t->rows <= 256);
    for (size_t i = 0; i < t->taps * t->rows; i++) {
        pointers[i] = i % 5 == 3 ? zero : a + i * t->depth;
    }
    FbEpilogue epilogue = make_epilogue(t->epilogue, bias, operand, stride);
    FbProductF32 p = {t->rows, t->cols, t->depth, t->taps, pointers, t->rows, 0, zero, packed, c, stride, false, t->epilogue < 0 ? NULL : &epilogue};
    kernel->run(&p);
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t n = 0; n < t->cols; n++) {
            float sum = 0;
            for (size_t i = 0; i < k; i++) {
                sum = fmaf(pointers[i / t->depth * t->rows + r][i % t->depth], w[i * t->cols + n], sum);
            }
            float want = t->epilogue < 0 ? sum : apply(&epilogue, sum, r, n);
            check_same("product", kernel->name, &want, &c[r * stride + n], 1);
        }
    }
    for (int i = 0; i < 7; i++) {
        free(base[i]);
    }
}

static void run_kernel(const FbProductF32Kernel *kernel)
{
    static const size_t depths[] = {1, 2, 3, 5, 8, 33};
    uint64_t seed = 1;
    for (size_t rows = 1; rows <= kernel->row_tile; rows++) {
        for (size_t cols = 1; cols <= kernel->col_tile; cols++, seed++) {
            Case t = {rows, cols, depths[seed % 6], 1 + seed % 4, (CheckFill)(seed % CHECK_FILLS), (int)(seed % (EPILOGUES + 1)) - 1};
            run_case(kernel, &t, seed);
        }
    }
}

/* A problem of many tiles through fb_product_block, in blocks of any size: one answer. */
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

static void run_block(const FbProductF32Kernel *kernel)
{
    static const size_t shapes[][4] = {{31, 45, 3, 200}, {7, 20, 1, 900}, {1, 33, 5, 130}, {40, 16, 9, 7}};
    for (size_t s = 0; s < 4; s++) {
        const size_t rows = shapes[s][0], cols = shapes[s][1], taps = shapes[s][2], depth = shapes[s][3], k = taps * depth;
        float *a = malloc(rows * k * sizeof *a), *w = malloc(k * cols * sizeof *w), *c = malloc(rows * cols * sizeof *c);
        float *packed = malloc(fb_product_f32_packed_count(kernel, k, cols) * sizeof *packed), *bias = malloc(cols * sizeof *bias);
        const float **pointers = malloc(fb_product_pointer_count(kernel, rows, taps) * sizeof *pointers);
        assert_true(a && w && c && packed && bias && pointers);
        check_fill(a, rows * k, CHECK_RANDOM, s);
        check_fill(w, k * cols, CHECK_RANDOM, s + 9);
        check_fill(bias, cols, CHECK_RANDOM, s + 19);
        fb_product_f32_pack(kernel, w, 1, k, k, cols, packed); /* w is [cols][k] here */
        Rows arg = {a, taps, depth};
        FbEpilogue epilogue = {bias, 1, {{FB_EPILOGUE_CLAMP, 0, INFINITY, 0, 0, NULL, NULL, 0}}};
        FbProductJob job = {kernel, rows, cols, depth, taps, packed, NULL, 0, c, cols, &epilogue, point, &arg};
        for (size_t r = 0; r < rows; r += 13) {
            for (size_t n = 0; n < cols; n += kernel->col_tile) {
                fb_product_block(&job, r, rows - r < 13 ? rows - r : 13, n, cols - n < kernel->col_tile ? cols - n : kernel->col_tile, pointers);
            }
        }
        for (size_t i = 0; i < rows * cols; i++) {
            float sum = 0;
            for (size_t j = 0; j < k; j++) {
                sum = fmaf(a[i / cols * k + j], w[i % cols * k + j], sum);
            }
            sum += bias[i % cols];
            sum = sum > 0 ? sum : 0;
            check_same("block", kernel->name, &sum, &c[i], 1);
        }
        free(a), free(w), free(c), free(packed), free(bias), free((void *)pointers);
    }
}

static void walk(void (*check)(const FbProductF32Kernel *kernel))
{
    const unsigned cpu = fb_cpu_detect();
    for (size_t i = 0; i < fb_product_f32_kernel_count; i++) {
        if ((fb_product_f32_kernels[i]->needs & ~cpu) == 0) {
            check(fb_product_f32_kernels[i]);
        }
    }
    if (cpu & FB_CPU_AVX2) {
        check(&fb_product_f32_emulated);
    }
}

static void tiles(void **state) { (void)state; walk(run_kernel); }
static void blocks(void **state) { (void)state; walk(run_block); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles), cmocka_unit_test(blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
