/* Experts, of domain fewbit: a feed-forward part made of many, of which each token uses those that its router likes best.
 *
 *   p = softmax(router logits);   chosen: the top_k largest p, ties by the lower index, divided by their sum when `normalize`
 *   y = sum over chosen e, in the order of their numbers, of p[e] * down[e] (act(gate[e] x) * up[e] x)
 *
 * Inputs: X [T, h], router logits [T, E], then gate, up and down: [E, f, h], [E, f, h], [E, h, f], or E of each, [f, h], [f, h], [h, f].
 * Outputs: Y [T, h]; for who observes experts, chosen [T, top_k], the best first, and what enters the chosen ones' down [T, top_k, f].
 * Source: Shazeer et al. 2017 (arXiv:1701.06538); Jiang et al. 2024 (arXiv:2401.04088). */
#include "ops/experts.h"

#include <string.h>

#include "base/checked.h"
#include "kernels/product_f32.h"
#include "kernels/softmax_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/table.h"

enum { FIRST_WEIGHT = 2, KINDS = 3, ROW_TILE_MAX = 16, ALIGNMENT = 64 };

static FbStatus decode_experts(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    FbExpertsParams *p = params;
    const char *activation;
    FB_TRY(fb_attr_required_int(node, "top_k", &p->top_k, err));
    FB_TRY(fb_attr_bool(node, "normalize", false, &p->normalize, err));
    FB_TRY(fb_attr_string(node, "activation", "silu", &activation, err));
    bool silu = strcmp(activation, "silu") == 0;
    if (!silu && strcmp(activation, "gelu_tanh") != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "'activation' is neither 'silu' nor 'gelu_tanh'");
    }
    if (p->top_k < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "'top_k' is %lld", (long long)p->top_k);
    }
    p->activation = silu ? FB_UNARY_SILU : FB_UNARY_GELU_TANH;
    return FB_OK;
}

/* ---- shapes ---- */

static bool differs(int64_t a, int64_t b) { return a >= 0 && b >= 0 && a != b; }

/* Weight `i` of a kind: its experts (1 when they come one by one), rows and columns. */
static FbStatus check_weight(const FbInfer *infer, int i, int64_t experts, int64_t rows, int64_t columns, FbError *err)
{
    const FbShape *shape = &infer->inputs[i].shape;
    bool stacked = infer->input_count == FIRST_WEIGHT + KINDS;
    FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, i, stacked ? 3 : 2, stacked ? 3 : 2, err));
    if (shape->rank < 0) {
        return FB_OK;
    }
    if ((stacked && differs(shape->dims[0], experts)) || differs(shape->dims[shape->rank - 2], rows) || differs(shape->dims[shape->rank - 1], columns)) {
        char text[64];
        fb_shape_text(shape, text, sizeof text);
        return fb_error_set(err, FB_ERR_FORMAT, "input %d has shape %s, which does not fit the others", i, text);
    }
    return FB_OK;
}

static FbStatus infer_experts(FbInfer *infer, FbError *err)
{
    const FbExpertsParams *p = infer->params;
    for (int i = 0; i < FIRST_WEIGHT; i++) {
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(FB_DTYPE_F32), err));
        FB_TRY(fb_check_rank(infer, i, 2, 2, err));
    }
    const FbShape *x = &infer->inputs[0].shape, *router = &infer->inputs[1].shape, *gate = &infer->inputs[FIRST_WEIGHT].shape;
    int count = infer->input_count - FIRST_WEIGHT, each = count / KINDS;
    int64_t experts = each > 1 ? each : gate->rank == 3 ? gate->dims[0] : gate->rank == 2 ? 1 : FB_DIM_UNKNOWN;
    int64_t width = gate->rank >= 2 ? gate->dims[gate->rank - 2] : FB_DIM_UNKNOWN, hidden = x->rank == 2 ? x->dims[1] : FB_DIM_UNKNOWN;
    if (count % KINDS != 0 || (router->rank == 2 && differs(router->dims[1], experts)) ||
        (router->rank == 2 && x->rank == 2 && differs(x->dims[0], router->dims[0])) || (experts >= 0 && p->top_k > experts)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%d weights and the router's logits are not of one mixture of at least %lld experts", count,
                            (long long)p->top_k);
    }
    for (int i = 0; i < count; i++) {
        bool down = i / each == KINDS - 1;
        FB_TRY(check_weight(infer, FIRST_WEIGHT + i, experts, down ? hidden : width, down ? width : hidden, err));
    }
    fb_infer_same_as(infer, 0);
    for (int o = 1; o < infer->output_count; o++) {
        infer->outputs[o].dtype = o == 1 ? FB_DTYPE_S64 : FB_DTYPE_F32;
        infer->outputs[o].shape = fb_shape_make(o + 1, (const int64_t[]){router->rank == 2 ? router->dims[0] : FB_DIM_UNKNOWN, p->top_k, width});
    }
    return FB_OK;
}

FbExpertsSizes fb_experts_sizes(const FbCall *call)
{
    const FbTensor *gate = call->inputs[FIRST_WEIGHT];
    return (FbExpertsSizes){(size_t)call->inputs[0]->dims[0], (size_t)call->inputs[0]->dims[1], (size_t)call->inputs[1]->dims[1],
                            (size_t)gate->dims[gate->rank - 2]};
}

/* ---- scratch ---- */

typedef struct ExpertsScratch { /* parts of a call's scratch */
    uint32_t *chosen;           /* [tokens][top_k] */
    float *share;               /* [tokens][top_k] */
    uint32_t *rows;             /* tokens of one expert, and which of their choices it is */
    float *probability;         /* [experts] */
    float *x, *gate, *up;       /* of those tokens; `x` then takes what the expert gives */
    void *product;
} ExpertsScratch;

static bool take(size_t *used, size_t count, size_t element, size_t *offset)
{
    size_t bytes;
    *offset = *used;
    return fb_mul_size(count, element, &bytes) && fb_add_size(bytes, ALIGNMENT - 1, &bytes) &&
           fb_add_size(*used, bytes / ALIGNMENT * ALIGNMENT, used);
}

static size_t lay_out(const FbCall *call, size_t product_bytes, ExpertsScratch *scratch)
{
    const FbExpertsParams *p = call->params;
    FbExpertsSizes s = fb_experts_sizes(call);
    size_t used = 0, at[8];
    size_t choices, wide, deep;
    bool fits = fb_mul_size(s.tokens, (size_t)p->top_k, &choices) && fb_mul_size(s.tokens, s.width, &wide) &&
                fb_mul_size(s.tokens, s.hidden, &deep) && take(&used, choices, sizeof(uint32_t), &at[0]) &&
                take(&used, choices, sizeof(float), &at[1]) && take(&used, 2 * s.tokens, sizeof(uint32_t), &at[2]) &&
                take(&used, s.experts, sizeof(float), &at[3]) && take(&used, deep, sizeof(float), &at[4]) &&
                take(&used, wide, sizeof(float), &at[5]) && take(&used, wide, sizeof(float), &at[6]) && take(&used, product_bytes, 1, &at[7]);
    if (fits && scratch != NULL) {
        uint8_t *base = call->scratch;
        *scratch = (ExpertsScratch){(void *)(base + at[0]), (void *)(base + at[1]), (void *)(base + at[2]), (void *)(base + at[3]),
                                    (void *)(base + at[4]), (void *)(base + at[5]), (void *)(base + at[6]), base + at[7]};
    }
    return fits ? used : SIZE_MAX;
}

size_t fb_experts_scratch(const FbCall *call, size_t product_bytes)
{
    return lay_out(call, product_bytes, NULL);
}

/* ---- run ---- */

static void choose(const FbCall *call, const FbExpertsSizes *s, const ExpertsScratch *scratch)
{
    const FbExpertsParams *p = call->params;
    const FbSoftmaxF32Kernel *kernel = fb_softmax_f32_pick(fb_context_cpu(call->context));
    const float *logits = call->inputs[1]->data;
    size_t top_k = (size_t)p->top_k;
    float *probability = scratch->probability;
    for (size_t t = 0; t < s->tokens; t++) {
        uint32_t *chosen = scratch->chosen + t * top_k;
        float *share = scratch->share + t * top_k, sum = 0.0f;
        kernel->softmax(logits + t * s->experts, probability, s->experts);
        for (size_t k = 0; k < top_k; k++) {
            size_t best = SIZE_MAX;
            for (size_t e = 0; e < s->experts; e++) {
                best = probability[e] != -1.0f && (best == SIZE_MAX || probability[e] > probability[best]) ? e : best;
            }
            chosen[k] = (uint32_t)best;
            share[k] = probability[best];
            sum += share[k];
            probability[best] = -1.0f; /* below every probability: taken */
        }
        for (size_t k = 0; p->normalize && k < top_k; k++) {
            share[k] /= sum;
        }
    }
}

static const FbTensor *wanted(const FbCall *call, int i)
{
    return i < call->output_count ? call->outputs[i] : NULL;
}

/* One expert for those who chose it; their rows of the output grow by its share. */
static void serve(const FbCall *call, const FbExpertsProduct *product, const FbExpertsSizes *s, const ExpertsScratch *scratch, size_t expert)
{
    const FbExpertsParams *p = call->params;
    const float *x = call->inputs[0]->data;
    const FbTensor *output = wanted(call, 0), *active = wanted(call, 2);
    size_t top_k = (size_t)p->top_k, rows = 0;
    for (size_t c = 0; c < s->tokens * top_k; c++) {
        if (scratch->chosen[c] == expert) {
            memcpy(scratch->x + rows * s->hidden, x + c / top_k * s->hidden, s->hidden * sizeof *x);
            scratch->rows[rows++] = (uint32_t)c;
        }
    }
    if (rows == 0) {
        return;
    }
    product->run(call, 0, expert, scratch->x, rows, scratch->gate, scratch->product);
    product->run(call, 1, expert, scratch->x, rows, scratch->up, scratch->product);
    fb_unary_f32_pick(fb_context_cpu(call->context), p->activation)(scratch->gate, scratch->gate, rows * s->width, 0.0f, 0.0f);
    for (size_t i = 0; i < rows * s->width; i++) {
        scratch->gate[i] *= scratch->up[i];
    }
    for (size_t r = 0; active != NULL && r < rows; r++) {
        memcpy((float *)active->data + scratch->rows[r] * s->width, scratch->gate + r * s->width, s->width * sizeof(float));
    }
    if (output == NULL) {
        return;
    }
    product->run(call, 2, expert, scratch->gate, rows, scratch->x, scratch->product);
    for (size_t r = 0; r < rows; r++) {
        size_t choice = scratch->rows[r];
        float share = scratch->share[choice], *to = (float *)output->data + choice / top_k * s->hidden;
        for (size_t i = 0; i < s->hidden; i++) {
            to[i] += share * scratch->x[r * s->hidden + i];
        }
    }
}

FbStatus fb_experts_run(const FbCall *call, const FbExpertsProduct *product, FbError *err)
{
    const FbExpertsParams *p = call->params;
    FbExpertsSizes s = fb_experts_sizes(call);
    ExpertsScratch scratch = {0};
    const FbTensor *output = wanted(call, 0), *chosen = wanted(call, 1);
    if (output == NULL && chosen == NULL && wanted(call, 2) == NULL) {
        return FB_OK;
    }
    if (lay_out(call, product->scratch_bytes, &scratch) > call->scratch_bytes || scratch.chosen == NULL) {
        return fb_error_set(err, FB_ERR_INTERNAL, "scratch of a mixture of experts");
    }
    choose(call, &s, &scratch);
    for (size_t c = 0; chosen != NULL && c < s.tokens * (size_t)p->top_k; c++) {
        ((int64_t *)chosen->data)[c] = scratch.chosen[c];
    }
    if (output != NULL) {
        memset(output->data, 0, output->bytes);
    }
    for (size_t e = 0; e < s.experts; e++) {
        serve(call, product, &s, &scratch, e);
        FB_TRY(fb_check_cancel(call->context, err));
    }
    return FB_OK;
}

/* ---- products with float weights ---- */

typedef struct FloatProduct {
    const FbProductF32Kernel *kernel;
    const float *w, *a;
    size_t rows, columns, depth;
    float *c;
    float *panels; /* one per slot */
} FloatProduct;

static void float_panels(void *arg, size_t slot, size_t begin, size_t end)
{
    const FloatProduct *f = arg;
    const size_t tile = f->kernel->col_tile;
    float *panel = f->panels + slot * f->depth * tile;
    const float *pointers[ROW_TILE_MAX];
    for (size_t col = begin * tile; col < end * tile && col < f->columns; col += tile) {
        const size_t cols = f->columns - col < tile ? f->columns - col : tile;
        fb_product_f32_pack(f->kernel, f->w + col * f->depth, 1, f->depth, f->depth, cols, panel);
        for (size_t row = 0; row < f->rows; row += f->kernel->row_tile) {
            FbProductF32 p = {.cols = cols, .depth = f->depth, .taps = 1, .a = pointers, .w = panel, .c_stride = f->columns};
            p.rows = f->rows - row < f->kernel->row_tile ? f->rows - row : f->kernel->row_tile;
            for (size_t i = 0; i < p.rows; i++) {
                pointers[i] = f->a + (row + i) * f->depth;
            }
            p.a_row_stride = p.rows;
            p.c = f->c + row * f->columns + col;
            f->kernel->run(&p);
        }
    }
}

static void float_product(const FbCall *call, int kind, size_t expert, const float *a, size_t rows, float *c, void *scratch)
{
    FbExpertsSizes s = fb_experts_sizes(call);
    bool stacked = call->inputs[FIRST_WEIGHT]->rank == 3;
    const float *w = call->inputs[FIRST_WEIGHT + (stacked ? (size_t)kind : (size_t)kind * s.experts + expert)]->data;
    FloatProduct f = {.kernel = fb_product_f32_pick(fb_context_cpu(call->context)), .a = a, .rows = rows, .c = c, .panels = scratch,
                      .columns = kind == 2 ? s.hidden : s.width, .depth = kind == 2 ? s.width : s.hidden};
    f.w = stacked ? w + expert * s.width * s.hidden : w;
    fb_parallel(call->context, float_panels, &f, (f.columns + f.kernel->col_tile - 1) / f.kernel->col_tile, 1);
}

static size_t panel_bytes(const FbCall *call)
{
    FbExpertsSizes s = fb_experts_sizes(call);
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    size_t bytes, depth = s.width > s.hidden ? s.width : s.hidden;
    return fb_mul_size(depth, kernel->col_tile * sizeof(float) * (size_t)fb_context_threads(call->context), &bytes) ? bytes : SIZE_MAX;
}

static size_t scratch_experts(const FbCall *call)
{
    return fb_experts_scratch(call, panel_bytes(call));
}

static FbStatus run_experts(const FbCall *call, FbError *err)
{
    const FbExpertsProduct product = {float_product, panel_bytes(call)};
    return fb_experts_run(call, &product, err);
}

static const char *const attributes[] = {"activation", "normalize", "top_k", NULL};

static const FbOp rows[] = {
    {.domain = "fewbit", .name = "Experts", .summary = "a mixture of feed-forward parts, of which each row uses a few", .since = 1, .newest = 1,
     .min_inputs = FIRST_WEIGHT + KINDS, .max_inputs = -1, .min_outputs = 1, .max_outputs = 3, .params_bytes = sizeof(FbExpertsParams),
     .attributes = attributes, .decode = decode_experts, .infer = infer_experts, .scratch = scratch_experts, .run = run_experts,
     .lowering = &fb_experts_blocks_lowering},
};
const FbOpFamily fb_ops_experts = {rows, sizeof rows / sizeof rows[0]};
