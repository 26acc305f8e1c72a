/* Conv, MatMul and Gemm on codes: their integer lowerings against dequantizing, a product in double and quantizing again. A code may be one
 * unit off where float and double round apart: at most one in a thousand. The same bits for every instruction set and number of threads. */
#include "step_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

typedef enum Bias { BIAS_NONE, BIAS_FLOAT, BIAS_CODES } Bias;

typedef struct How { /* of quantization and what follows the product */
    const char *code;       /* of the weight */
    bool per_channel, zeros; /* zeros: asymmetric weights */
    Bias bias;
    bool dynamic;           /* input 0 is real */
    bool store;             /* as codes */
    bool coded_operand;
    bool unit_scales;       /* all scales are 1, real output: the sums themselves */
    int fused_count;
    FbEpilogueKind fused[FB_EPILOGUE_MAX - 1];
} How;

static const How hows[] = {
    {"s8", true, false, BIAS_CODES, false, true, false, false, 1, {FB_EPILOGUE_CLAMP}},
    {"s8", true, false, BIAS_NONE, false, false, false, true, 0, {0}},
    {"u8", true, true, BIAS_NONE, false, false, false, true, 0, {0}},
    {"u8", false, true, BIAS_FLOAT, false, true, false, false, 0, {0}},
    {"s8", false, true, BIAS_CODES, false, true, true, false, 2, {FB_EPILOGUE_ADD, FB_EPILOGUE_CLAMP}},
    {"s4", true, false, BIAS_FLOAT, false, true, false, false, 1, {FB_EPILOGUE_SILU}},
    {"u4", true, true, BIAS_NONE, false, true, false, false, 2, {FB_EPILOGUE_ROUND, FB_EPILOGUE_SIGMOID}},
    {"s8", true, false, BIAS_CODES, false, true, true, false, 3, {FB_EPILOGUE_ROUND, FB_EPILOGUE_ADD, FB_EPILOGUE_CLAMP}},
    {"s8", true, false, BIAS_FLOAT, false, true, false, false, 1, {FB_EPILOGUE_ADD}},
    {"s8", true, false, BIAS_FLOAT, false, true, true, false, 2, {FB_EPILOGUE_LEAKY, FB_EPILOGUE_MUL}},
    {"s8", true, false, BIAS_FLOAT, false, false, true, false, 2, {FB_EPILOGUE_TANH, FB_EPILOGUE_MUL}},
    {"s8", true, false, BIAS_CODES, false, true, false, false, 2, {FB_EPILOGUE_ROUND, FB_EPILOGUE_CLAMP}},
    {"s8", true, false, BIAS_FLOAT, true, false, false, false, 0, {0}},
    {"u8", false, true, BIAS_NONE, true, false, false, false, 2, {FB_EPILOGUE_ADD, FB_EPILOGUE_CLAMP}},
    {"s8", true, false, BIAS_FLOAT, true, true, false, false, 1, {FB_EPILOGUE_GELU_ERF}},
    {"u2", false, true, BIAS_NONE, false, true, false, false, 0, {0}},
};
enum { HOWS = sizeof hows / sizeof *hows };

typedef struct Case { /* a convolution; spatial 0: a product of n x c with c x m, in 1 group */
    int64_t n, c, m, group;
    int spatial;
    int64_t in[3], kernel[3], stride[3], dilation[3], pads[6];
    bool gemm, transposed;
} Case;

static const Case cases[] = {
    {1, 3, 8, 1, 2, {9, 11}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, false},         /* few channels, padded copy */
    {2, 3, 20, 1, 2, {7, 7}, {3, 5}, {1, 2}, {2, 1}, {0, 0, 0, 0}, false, false},         /* few channels, no padding */
    {2, 5, 7, 1, 2, {6, 5}, {3, 3}, {1, 1}, {1, 2}, {2, 0, 1, 3}, false, false},          /* dilation in a row: indirect */
    {3, 20, 33, 1, 2, {5, 7}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, false},        /* pointwise */
    {1, 23, 17, 1, 2, {8, 8}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}, false, false},        /* strided 1 x 1 */
    {1, 32, 40, 1, 2, {6, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, false},
    {2, 36, 12, 4, 2, {6, 6}, {3, 2}, {1, 1}, {1, 1}, {1, 0, 0, 1}, false, false},        /* groups of 9 channels */
    {2, 19, 19, 19, 2, {8, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, false},       /* depthwise */
    {1, 32, 32, 32, 2, {9, 9}, {5, 3}, {2, 2}, {1, 1}, {2, 1, 2, 1}, false, false},
    {1, 16, 16, 16, 1, {30}, {3}, {1}, {1}, {1, 1}, false, false},
    {1, 6, 12, 6, 2, {5, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, false},         /* depthwise, two per channel */
    {2, 18, 5, 1, 1, {23}, {4}, {3}, {2}, {3, 1}, false, false},
    {1, 17, 9, 1, 3, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {1, 0, 1, 0, 1, 0}, false, false},
    {1, 2, 4, 1, 3, {4, 5, 6}, {2, 3, 2}, {2, 1, 1}, {2, 1, 1}, {1, 1, 1, 1, 1, 0}, false, false},
    {1, 1, 1, 1, 0, {0}, {0}, {0}, {0}, {0}, false, false},
    {7, 33, 18, 1, 0, {0}, {0}, {0}, {0}, {0}, false, false},
    {70, 64, 48, 1, 0, {0}, {0}, {0}, {0}, {0}, false, false},
    {5, 129, 31, 1, 0, {0}, {0}, {0}, {0}, {0}, true, true},
    {12, 30, 65, 1, 0, {0}, {0}, {0}, {0}, {0}, true, false},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct World { /* a case and how, with its values */
    const Case *c;
    How how;
    Step step;
    int64_t rows, depth, out[3]; /* rows of the output, weights of an output */
    size_t x_count, w_count, y_count;
    double *x, *w;               /* x: real, [n][spatial][c]; w: real, in the constant's order */
    float w_scale[64 + 16];
    int32_t *w_codes, w_zero[64 + 16], bias_codes[64 + 16];
    double bias[64 + 16], *operand;
    double *y;                   /* before the final store */
    uint64_t seed;
} World;

static double uniform(const World *w, uint64_t stream, uint64_t i) { return fb_random_unit(w->seed, stream, i) * 2 - 1; }

static void *all_of(size_t count, size_t element)
{
    void *p = calloc(count ? count : 1, element);
    assert_non_null(p);
    return p;
}

/* ---- shapes ---- */

static void make_shape(World *w)
{
    const Case *c = w->c;
    w->rows = c->n;
    w->depth = c->c / c->group;
    w->x_count = (size_t)(c->n * c->c);
    for (int i = 0; i < c->spatial; i++) {
        w->out[i] = (c->in[i] + c->pads[i] + c->pads[c->spatial + i] - (c->kernel[i] - 1) * c->dilation[i] - 1) / c->stride[i] + 1;
        w->rows *= w->out[i];
        w->depth *= c->kernel[i];
        w->x_count *= (size_t)c->in[i];
    }
    w->w_count = (size_t)(w->depth * c->m);
    w->y_count = (size_t)(w->rows * c->m);
}

static void begin(World *w)
{
    const Case *c = w->c;
    op_test_begin(&w->step.test, "", c->spatial ? "Conv" : c->gemm ? "Gemm" : "MatMul", 13);
    if (c->spatial) {
        op_test_int(&w->step.test, "group", c->group);
        op_test_ints(&w->step.test, "strides", c->stride, (size_t)c->spatial);
        op_test_ints(&w->step.test, "dilations", c->dilation, (size_t)c->spatial);
        op_test_ints(&w->step.test, "pads", c->pads, 2 * (size_t)c->spatial);
    } else if (c->gemm) {
        op_test_int(&w->step.test, "transB", c->transposed);
        op_test_float(&w->step.test, "alpha", w->how.unit_scales ? 1.0f : 0.75f);
        op_test_float(&w->step.test, "beta", 1.5f);
    }
    w->step.test.node.input_count = c->spatial || c->gemm ? 3 : 2; /* a bias of MatMul is one that the compiler found */
    w->step.test.node.output_count = 1;
}

/* ---- input, weight, bias ---- */

static int x_dims(const World *w, int64_t dims[5])
{
    int rank = 0;
    dims[rank++] = w->c->n;
    for (int i = 0; i < w->c->spatial; i++) {
        dims[rank++] = w->c->in[i];
    }
    dims[rank++] = w->c->c;
    return rank;
}

static void make_input(World *w)
{
    FbCodeGrid *grid = &w->step.x_grid;
    int64_t dims[5];
    const int rank = x_dims(w, dims);
    uint8_t *codes = all_of(w->x_count, 1);
    float *reals = all_of(w->x_count, sizeof *reals);
    *grid = (FbCodeGrid){w->how.unit_scales ? 1.0f : 0.0173f, (int32_t)fb_random_below(w->seed, 2, 0, 256), 0, 255};
    float low = 0, high = 0;
    for (size_t i = 0; i < w->x_count; i++) {
        codes[i] = (uint8_t)fb_random_below(w->seed, 3, i, 256);
        reals[i] = (float)uniform(w, 4, i) * 3 + 1;
        low = fminf(low, reals[i]);
        high = fmaxf(high, reals[i]);
    }
    if (w->how.dynamic) { /* ONNX DynamicQuantizeLinear */
        grid->scale = (high - low) / 255;
        grid->zero = (int32_t)fminf(fmaxf(rintf(0 - low / grid->scale), 0), 255);
        for (size_t i = 0; i < w->x_count; i++) {
            codes[i] = (uint8_t)fminf(fmaxf(rintf(reals[i] / grid->scale) + (float)grid->zero, 0), 255);
        }
    }
    for (size_t i = 0; i < w->x_count; i++) {
        w->x[i] = (double)grid->scale * (codes[i] - grid->zero);
    }
    w->step.inputs[0] = w->how.dynamic ? step_tensor(&w->step, FB_DTYPE_F32, rank, dims, reals)
                                       : step_tensor(&w->step, FB_DTYPE_U8, rank, dims, codes);
    w->step.grids[0] = w->how.dynamic ? NULL : grid;
    w->step.prepare.dynamic_a = w->how.dynamic;
    free(codes), free(reals);
}

/* The column of weight i of the constant. */
static size_t column_of(const World *w, size_t i)
{
    return w->c->spatial || w->c->transposed ? i / (size_t)w->depth : i % (size_t)w->c->m;
}

static void make_weight(World *w)
{
    const Case *c = w->c;
    const FbCode *code = fb_code_find(w->how.code);
    const size_t scales = w->how.per_channel && c->m > 1 ? (size_t)c->m : 1;
    const uint64_t range = (uint64_t)(code->high - code->low) + 1;
    int64_t dims[5] = {c->m, c->c / c->group};
    memcpy(dims + 2, c->kernel, (size_t)c->spatial * sizeof *dims);
    if (!c->spatial && !c->transposed) {
        dims[0] = c->c;
        dims[1] = c->m;
    }
    for (size_t n = 0; n < (size_t)c->m; n++) {
        const size_t s = scales == 1 ? 0 : n;
        w->w_scale[n] = w->how.unit_scales ? 1.0f : (float)(0.004 + 0.003 * uniform(w, 5, s)) * (float)(256 / range);
        w->w_zero[n] = w->how.zeros ? (int32_t)fb_random_below(w->seed, 6, s, range) + code->low : 0;
    }
    for (size_t i = 0; i < w->w_count; i++) {
        const size_t n = column_of(w, i);
        const uint64_t kind = fb_random_below(w->seed, 7, i, 8); /* extremes too */
        w->w_codes[i] = kind == 0 ? code->low : kind == 1 ? code->high : (int32_t)fb_random_below(w->seed, 8, i, range) + code->low;
        w->w[i] = (double)w->w_scale[n] * (w->w_codes[i] - w->w_zero[n]);
    }
    const int axis = c->spatial || c->transposed ? 0 : 1;
    w->step.constants[1] = step_encoded(&w->step, w->how.code, c->spatial ? 2 + c->spatial : 2, dims, w->w_codes, axis, scales, w->w_scale,
                                        w->how.zeros ? w->w_zero : NULL);
}

static void make_bias(World *w)
{
    const int64_t m = w->c->m;
    float scale[80], values[80];
    const bool scaled = w->c->gemm;
    for (int64_t n = 0; n < m; n++) {
        const double sum_scale = (double)w->step.x_grid.scale * (double)w->w_scale[n] * (scaled && !w->how.unit_scales ? 0.75 : 1);
        scale[n] = (float)(sum_scale / (scaled ? 1.5 : 1));
        w->bias_codes[n] = (int32_t)(uniform(w, 9, (uint64_t)n) * 20000);
        values[n] = (float)uniform(w, 10, (uint64_t)n) * 4;
        w->bias[n] = w->how.bias == BIAS_NONE ? 0 : w->how.bias == BIAS_FLOAT ? (double)values[n] : (double)scale[n] * w->bias_codes[n];
        w->bias[n] *= scaled ? 1.5 : 1;
    }
    if (w->how.bias == BIAS_FLOAT) {
        w->step.constants[2] = step_floats(&w->step, 1, &m, values);
    } else if (w->how.bias == BIAS_CODES) {
        w->step.constants[2] = step_encoded(&w->step, "s32", 1, &m, w->bias_codes, 0, m > 1 ? (size_t)m : 1, scale, NULL);
    }
}

/* ---- the plain product ---- */

static double plain_sum(const World *w, int64_t row, int64_t m)
{
    const Case *c = w->c;
    const int64_t per = c->c / c->group, first = m / (c->m / c->group) * per, taps = w->depth / per;
    int64_t at[3], image = row;
    double sum = 0;
    for (int i = c->spatial - 1; i >= 0; i--) {
        at[i] = image % w->out[i];
        image /= w->out[i];
    }
    for (int64_t t = 0; t < taps; t++) {
        int64_t place = image, tap = t, scale = 1, offset = 0;
        bool inside = true;
        for (int i = c->spatial - 1; i >= 0; i--) {
            const int64_t p = at[i] * c->stride[i] - c->pads[i] + tap % c->kernel[i] * c->dilation[i];
            inside = inside && p >= 0 && p < c->in[i];
            offset += p * scale;
            scale *= c->in[i];
            tap /= c->kernel[i];
        }
        place = image * scale + offset;
        for (int64_t k = 0; inside && k < per; k++) {
            const int64_t weight = c->spatial || c->transposed ? (m * per + k) * taps + t : k * c->m + m;
            sum += w->x[place * c->c + first + k] * w->w[weight];
        }
    }
    return sum;
}

static double plain_round(double x, double scale, double zero, double low, double high)
{
    return (fmin(fmax(rint(x / scale) + zero, low), high) - zero) * scale;
}

static double plain_op(const FbFusedOp *op, double x, double operand)
{
    const double a = (double)op->a, b = (double)op->b;
    switch (op->kind) {
    case FB_EPILOGUE_CLAMP: return fmin(fmax(x, a), b);
    case FB_EPILOGUE_ADD: return x + operand;
    case FB_EPILOGUE_MUL: return x * operand;
    case FB_EPILOGUE_ROUND: return plain_round(x, a, b, op->low, op->high);
    case FB_EPILOGUE_LEAKY: return x >= 0 ? x : a * x;
    case FB_EPILOGUE_SIGMOID: return 1 / (1 + exp(-x));
    case FB_EPILOGUE_SILU: return x / (1 + exp(-x));
    case FB_EPILOGUE_TANH: return tanh(x);
    case FB_EPILOGUE_HARD_SIGMOID: return fmin(fmax(a * x + b, 0), 1);
    case FB_EPILOGUE_HARD_SWISH: return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case FB_EPILOGUE_GELU_ERF: return 0.5 * x * (1 + erf(x / sqrt(2)));
    }
    return x;
}

/* ---- what follows ---- */

static int y_dims(const World *w, int64_t dims[5])
{
    int rank = 0;
    dims[rank++] = w->c->n;
    for (int i = 0; i < w->c->spatial; i++) {
        dims[rank++] = w->out[i];
    }
    dims[rank++] = w->c->m;
    return rank;
}

static void make_operand(World *w, int input)
{
    int64_t dims[5];
    const int rank = y_dims(w, dims);
    uint8_t *codes = all_of(w->y_count, 1);
    float *reals = all_of(w->y_count, sizeof *reals);
    w->step.operand_grid = (FbCodeGrid){0.0311f, (int32_t)fb_random_below(w->seed, 11, 0, 256), 0, 255};
    for (size_t i = 0; i < w->y_count; i++) {
        codes[i] = (uint8_t)fb_random_below(w->seed, 12, i, 256);
        reals[i] = (float)uniform(w, 13, i) * 3;
        w->operand[i] = w->how.coded_operand ? (double)w->step.operand_grid.scale * (codes[i] - w->step.operand_grid.zero) : (double)reals[i];
    }
    w->step.inputs[input] = w->how.coded_operand ? step_tensor(&w->step, FB_DTYPE_U8, rank, dims, codes)
                                                 : step_tensor(&w->step, FB_DTYPE_F32, rank, dims, reals);
    free(codes), free(reals);
}

static void make_fused(World *w)
{
    FbPrepare *p = &w->step.prepare;
    double most = 0;
    for (size_t i = 0; i < w->y_count; i++) {
        w->y[i] = plain_sum(w, (int64_t)i / w->c->m, (int64_t)i % w->c->m) * (w->c->gemm && !w->how.unit_scales ? 0.75 : 1) +
                  w->bias[i % (size_t)w->c->m];
        most = fmax(most, fabs(w->y[i]));
    }
    for (int f = 0; f < w->how.fused_count; f++) {
        FbFusedOp *op = &p->fused[p->fused_count++];
        *op = (FbFusedOp){.kind = w->how.fused[f], .operand = -1};
        if (op->kind == FB_EPILOGUE_CLAMP) {
            op->a = f ? 0 : (float)(-most / 3); /* Relu, or bounds */
            op->b = f ? INFINITY : (float)(most / 2);
        } else if (op->kind == FB_EPILOGUE_ROUND) { /* a signed grid */
            op->a = (float)(most / 110);
            op->b = 7;
            op->low = -128;
            op->high = 127;
        } else if (op->kind == FB_EPILOGUE_LEAKY) {
            op->a = 0.1f;
        } else if (op->kind == FB_EPILOGUE_ADD || op->kind == FB_EPILOGUE_MUL) {
            op->operand = p->input_count;
            op->operand_grid = w->how.coded_operand ? &w->step.operand_grid : NULL;
            make_operand(w, p->input_count);
            w->step.input_count = p->input_count + 1;
        }
        most = 0;
        for (size_t i = 0; i < w->y_count; i++) {
            w->y[i] = plain_op(op, w->y[i], w->operand[i]);
            most = fmax(most, fabs(w->y[i]));
        }
    }
    if (w->how.store) { /* unsigned, a little too narrow, so that both bounds are met */
        w->step.store_grid = (FbCodeGrid){(float)(fmax(most, 0.01) / 111.3), 100 + (int32_t)fb_random_below(w->seed, 14, 0, 60), 0, 255};
        p->fused[p->fused_count++] = (FbFusedOp){.kind = FB_EPILOGUE_ROUND, .a = w->step.store_grid.scale, .b = (float)w->step.store_grid.zero,
                                                 .high = 255, .operand = -1};
        p->store_grid = &w->step.store_grid;
    }
}

static void make_world(World *w, const Case *c, const How *how, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->c = c;
    w->how = *how;
    w->seed = seed;
    make_shape(w);
    begin(w);
    w->x = all_of(w->x_count, sizeof *w->x);
    w->w = all_of(w->w_count, sizeof *w->w);
    w->w_codes = all_of(w->w_count, sizeof *w->w_codes);
    w->y = all_of(w->y_count, sizeof *w->y);
    w->operand = all_of(w->y_count, sizeof *w->operand);
    make_input(w);
    make_weight(w);
    make_bias(w);
    w->step.prepare.channels_last = c->spatial > 0;
    w->step.prepare.input_count = w->step.input_count = w->how.bias == BIAS_NONE ? 2 : 3;
    for (int i = 0; i < w->step.prepare.input_count; i++) {
        w->step.types[i] = (FbType){.present = true, .dtype = FB_DTYPE_F32, .shape = {.rank = -1}};
        if (i > 0) { /* a shell: dims, no data */
            FbTensor *shell = fb_arena_alloc(w->step.test.arena, sizeof *shell);
            assert_non_null(shell);
            *shell = (FbTensor){.dtype = FB_DTYPE_F32, .rank = w->step.constants[i]->shape.rank};
            memcpy(shell->dims, w->step.constants[i]->shape.dims, sizeof shell->dims);
            w->step.inputs[i] = shell;
            w->step.types[i].shape = w->step.constants[i]->shape;
        }
    }
    make_fused(w);
    w->step.output.dtype = how->store ? FB_DTYPE_U8 : FB_DTYPE_F32;
    w->step.output.rank = y_dims(w, w->step.output.dims);
    w->step.output.bytes = w->y_count * (how->store ? 1 : sizeof(float));
}

static void end_world(World *w)
{
    step_end(&w->step);
    free(w->x), free(w->w), free(w->w_codes), free(w->y), free(w->operand);
}

typedef struct Tally { size_t codes, off, inside; } Tally;

/* Counts codes that are one unit off; more, or a real that is too far, fails. */
static void compare(const World *w, const void *got, Tally *tally)
{
    const FbCodeGrid *grid = &w->step.store_grid;
    for (size_t i = 0; i < w->y_count; i++) {
        if (w->how.store) {
            const double want = fmin(fmax(rint(w->y[i] / (double)grid->scale) + grid->zero, 0), 255);
            const double difference = fabs(want - ((const uint8_t *)got)[i]);
            tally->codes++;
            tally->off += difference > 0;
            tally->inside += want > 0 && want < 255 && want != grid->zero;
            if (difference > 1) {
                fail_msg("code %zu is %d, expected %g", i, ((const uint8_t *)got)[i], want);
            }
        } else {
            const double have = (double)((const float *)got)[i], room = w->how.unit_scales ? 0 : 2e-5 * (1 + fabs(w->y[i]));
            if (!(fabs(have - w->y[i]) <= room)) {
                fail_msg("real %zu is %.9g, expected %.9g", i, have, w->y[i]);
            }
        }
    }
}

static void check_tally(const Tally *tally)
{
    print_message("%zu of %zu codes are one unit off\n", tally->off, tally->codes);
    assert_true(tally->off * 1000 <= tally->codes);
    assert_true(tally->inside * 2 >= tally->codes); /* or little would be shown */
}

static void run_all(const Case *c, const How *how, uint64_t seed, Tally *tally)
{
    World *w = all_of(1, sizeof *w);
    make_world(w, c, how, seed);
    void *first = all_of(w->step.output.bytes, 1), *again = all_of(w->step.output.bytes, 1);
    assert_true(step_run(&w->step, NULL, 1, first));
    compare(w, first, tally);
    static const struct { const char *isa; int threads; } others[] = {{NULL, 2}, {"scalar", 1}, {"avx2", 2}, {NULL, 3}};
    for (size_t i = seed % 4; i < sizeof others / sizeof *others; i += 2) {
        assert_true(step_run(&w->step, others[i].isa, others[i].threads, again));
        assert_memory_equal(first, again, w->step.output.bytes);
    }
    free(first), free(again);
    end_world(w);
    free(w);
}

static void listed(void **state)
{
    (void)state;
    Tally tally = {0};
    for (size_t c = 0; c < CASES; c++) {
        for (size_t h = c % 2; h < HOWS; h += 2) {
            run_all(&cases[c], &hows[h], c * 100 + h, &tally);
        }
    }
    check_tally(&tally);
}

static int64_t between(uint64_t seed, uint64_t i, int64_t low, int64_t high)
{
    return low + (int64_t)fb_random_below(seed, 99, i, (uint64_t)(high - low + 1));
}

static void random_shapes(void **state)
{
    (void)state;
    Tally tally = {0};
    for (uint64_t seed = 1; seed <= 90; seed++) {
        Case c = {.n = between(seed, 0, 1, 3), .group = 1, .spatial = (int)between(seed, 1, 0, 3)};
        c.group = c.spatial && between(seed, 2, 0, 2) == 0 ? between(seed, 3, 2, 5) : 1;
        c.c = c.group * between(seed, 4, 1, 20);
        c.m = c.group * between(seed, 5, 1, 12);
        c.n = c.spatial ? c.n : between(seed, 6, 1, 70);
        c.gemm = !c.spatial && between(seed, 7, 0, 1);
        c.transposed = c.gemm && between(seed, 8, 0, 1);
        for (int i = 0; i < c.spatial; i++) {
            const uint64_t at = 10 + 10 * (uint64_t)i;
            c.kernel[i] = between(seed, at, 1, 3);
            c.stride[i] = between(seed, at + 1, 1, 2);
            c.dilation[i] = between(seed, at + 2, 1, 2);
            c.pads[i] = between(seed, at + 3, 0, 2);
            c.pads[c.spatial + i] = between(seed, at + 4, 0, 2);
            c.in[i] = between(seed, at + 5, 5, 8);
        }
        run_all(&c, &hows[seed % HOWS], seed + 5000, &tally);
    }
    check_tally(&tally);
}

static bool accepted(const Case *c, const How *how, void (*spoil)(World *w))
{
    World *w = all_of(1, sizeof *w);
    make_world(w, c, how, 1);
    spoil(w);
    void *out = all_of(w->step.output.bytes, 1);
    const bool yes = step_run(&w->step, NULL, 1, out);
    free(out);
    end_world(w);
    free(w);
    return yes;
}

static void nothing(World *w) { (void)w; }
static void real_input(World *w) { w->step.grids[0] = NULL; }
static void plain_weight(World *w) { w->step.constants[1]->encoding = NULL; }
static void first_order(World *w) { w->step.prepare.channels_last = false; }
static void wrong_axis(World *w)
{
    FbEncoding *e = fb_arena_alloc(w->step.test.arena, sizeof *e);
    assert_non_null(e);
    *e = *w->step.constants[1]->encoding;
    e->axis = 1 - e->axis;
    w->step.constants[1]->encoding = e;
}
static void deep(World *w)
{
    w->step.constants[1]->shape.dims[0] = 40000;
    w->step.types[1].shape.dims[0] = 40000;
}
static void transposed_a(World *w) { op_test_int(&w->step.test, "transA", 1); }

static void refusals(void **state)
{
    (void)state;
    const How how = {"s8", true, false, BIAS_FLOAT, false, true, false, false, 0, {0}};
    const Case conv = cases[3], product = cases[15], gemm = cases[18];
    assert_true(accepted(&conv, &how, nothing) && accepted(&product, &how, nothing) && accepted(&gemm, &how, nothing));
    assert_false(accepted(&conv, &how, real_input));
    assert_false(accepted(&conv, &how, plain_weight));
    assert_false(accepted(&conv, &how, first_order));
    assert_false(accepted(&conv, &how, wrong_axis));
    assert_false(accepted(&product, &how, wrong_axis));
    assert_false(accepted(&product, &how, deep));
    assert_false(accepted(&gemm, &how, transposed_a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(listed), cmocka_unit_test(random_shapes), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
