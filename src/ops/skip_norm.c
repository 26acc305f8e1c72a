/* Normalization with what stands before it, as ONNX Runtime's optimizer writes it in domain com.microsoft: SkipLayerNormalization,
 * SkipSimplifiedLayerNormalization, EmbedLayerNormalization. */
#include "kernels/norm_f32.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/shape_util.h"

typedef struct NormParams {
    float epsilon;
    bool center; /* false: the simplified form, by the root mean square */
} NormParams;

static FbStatus decode_norm(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    NormParams *p = params;
    int64_t type;
    (void)arena;
    p->center = strcmp(node->op_type, "SkipSimplifiedLayerNormalization") != 0;
    FB_TRY(fb_attr_int(node, "mask_index_type", 0, &type, err));
    FB_TRY(fb_attr_float(node, "epsilon", 1e-12f, &p->epsilon, err));
    if (!(p->epsilon >= 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'epsilon' is %g, expected no negative number", (double)p->epsilon);
    }
    return FB_OK;
}

/* Input i, if there, holds `hidden` numbers in one axis. */
static FbStatus check_vector(const FbInfer *infer, int i, int64_t hidden, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, i, 1, 1, err));
    if (fb_infer_has(infer, i) && infer->inputs[i].shape.rank == 1 && hidden >= 0 && infer->inputs[i].shape.dims[0] >= 0 &&
        infer->inputs[i].shape.dims[0] != hidden) {
        return fb_error_set(err, FB_ERR_FORMAT, "input %d holds %lld numbers, expected %lld", i, (long long)infer->inputs[i].shape.dims[0],
                            (long long)hidden);
    }
    return FB_OK;
}

/* ---- the skip forms ---- */

enum { OUT_MEAN = 1, OUT_INVERSE = 2, OUT_SUM = 3 };

static FbStatus infer_skip(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape, *skip = &infer->inputs[1].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 2, 3, err));
    FB_TRY(fb_check_rank(infer, 1, 2, 3, err));
    int64_t hidden = x->rank > 0 ? x->dims[x->rank - 1] : FB_DIM_UNKNOWN;
    for (int i = 2; i < 5; i++) {
        FB_TRY(check_vector(infer, i, hidden, err));
    }
    fb_infer_same_as(infer, 0);
    for (int i = 1; i < infer->output_count; i++) {
        infer->outputs[i].dtype = FB_DTYPE_F32;
        infer->outputs[i].shape = *x;
        if (i != OUT_SUM && x->rank > 0) {
            infer->outputs[i].shape.dims[x->rank - 1] = 1;
        }
        if (i != OUT_SUM && infer->outputs[i].present) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "output %d of %s (for training) is not computed", i, infer->node->op_type);
        }
    }
    if (x->rank < 0 || skip->rank < 0) {
        return FB_OK;
    }
    for (int i = 1; i <= skip->rank; i++) { /* the same, or without the batch */
        int64_t have = skip->dims[skip->rank - i], want = i <= x->rank ? x->dims[x->rank - i] : 1;
        if (have >= 0 && want >= 0 && have != want && !(i == 3 && have == 1)) {
            return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of the tensor that is added is %lld, expected %lld", skip->rank - i,
                                (long long)have, (long long)want);
        }
    }
    return FB_OK;
}

typedef struct NormWork {
    const NormParams *params;
    const FbNormF32Kernel *kernel;
    size_t hidden, skip_rows;  /* rows of the tensor that is added: it repeats */
    const float *x, *skip, *bias, *scale, *beta;
    float *y, *sum;            /* sum NULL: the row is summed in y */
} NormWork;

static void skip_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const NormWork *w = arg;
    (void)slot;
    for (size_t row = begin; row < end; row++) {
        const float *x = w->x + row * w->hidden, *skip = w->skip + row % w->skip_rows * w->hidden;
        float *sum = (w->sum ? w->sum : w->y) + row * w->hidden, mean, inverse;
        for (size_t i = 0; i < w->hidden; i++) {
            sum[i] = w->bias ? x[i] + skip[i] + w->bias[i] : x[i] + skip[i];
        }
        w->kernel->moments(sum, w->hidden, w->params->epsilon, w->params->center, &mean, &inverse);
        w->kernel->apply(sum, w->y + row * w->hidden, w->hidden, mean, inverse, w->scale, w->beta);
    }
}

static const float *floats_of(const FbTensor *tensor) { return tensor ? tensor->data : NULL; }

static FbStatus run_skip(const FbCall *call, FbError *err)
{
    const NormParams *p = call->params;
    const FbTensor *x = call->inputs[0], *skip = call->inputs[1];
    FbTensor *sum = fb_call_output(call, OUT_SUM);
    NormWork w = {.params = p, .kernel = fb_norm_f32_pick(fb_context_cpu(call->context)), .hidden = (size_t)x->dims[x->rank - 1],
                  .x = x->data, .skip = skip->data, .scale = floats_of(call->inputs[2]), .y = call->outputs[0]->data,
                  .sum = sum ? sum->data : NULL};
    w.beta = p->center ? floats_of(fb_call_input(call, 3)) : NULL;
    w.bias = floats_of(fb_call_input(call, p->center ? 4 : 3));
    size_t elements = (size_t)fb_tensor_elements(x);
    if (elements > 0) {
        w.skip_rows = (size_t)fb_tensor_elements(skip) / w.hidden;
        fb_parallel(call->context, skip_rows, &w, elements / w.hidden, 8192 / w.hidden + 1);
    }
    return fb_check_cancel(call->context, err);
}

/* ---- EmbedLayerNormalization ---- */

enum { IN_IDS = 0, IN_SEGMENTS, IN_WORDS, IN_POSITIONS, IN_SEGMENT_TABLE, IN_GAMMA, IN_BETA, IN_MASK, IN_POSITION_IDS };

/* A table [rows, hidden] or a list of numbers [batch, length]; known dimensions only. */
static FbStatus check_pair(const FbInfer *infer, int i, int64_t first, bool first_may_be_one, int64_t second, FbError *err)
{
    FB_TRY(fb_check_rank(infer, i, 2, 2, err));
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank != 2) {
        return FB_OK;
    }
    const int64_t *dims = infer->inputs[i].shape.dims;
    bool bad_first = dims[0] >= 0 && first >= 0 && dims[0] != first && !(first_may_be_one && dims[0] == 1);
    if (bad_first || (dims[1] >= 0 && second >= 0 && dims[1] != second)) {
        return fb_error_set(err, FB_ERR_FORMAT, "input %d is %lldx%lld, expected %lldx%lld", i, (long long)dims[0], (long long)dims[1],
                            (long long)first, (long long)second);
    }
    return FB_OK;
}

static FbStatus infer_embed(FbInfer *infer, FbError *err)
{
    const FbShape *ids = &infer->inputs[IN_IDS].shape, *words = &infer->inputs[IN_WORDS].shape;
    static const int tables[] = {IN_WORDS, IN_POSITIONS, IN_SEGMENT_TABLE}, lists[] = {IN_IDS, IN_SEGMENTS, IN_MASK, IN_POSITION_IDS};
    int64_t hidden = words->rank == 2 ? words->dims[1] : FB_DIM_UNKNOWN;
    int64_t batch = ids->rank == 2 ? ids->dims[0] : FB_DIM_UNKNOWN, length = ids->rank == 2 ? ids->dims[1] : FB_DIM_UNKNOWN;
    for (int i = 0; i < 3; i++) {
        FB_TRY(fb_check_input_dtype(infer, tables[i], FB_MASK(FB_DTYPE_F32), err));
        FB_TRY(check_pair(infer, tables[i], FB_DIM_UNKNOWN, false, hidden, err));
    }
    for (int i = 0; i < 4; i++) {
        FB_TRY(fb_check_input_dtype(infer, lists[i], FB_MASK(FB_DTYPE_S32), err));
        FB_TRY(check_pair(infer, lists[i], batch, lists[i] == IN_POSITION_IDS, length, err));
    }
    FB_TRY(check_vector(infer, IN_GAMMA, hidden, err));
    FB_TRY(check_vector(infer, IN_BETA, hidden, err));
    if (fb_infer_has(infer, IN_SEGMENTS) != fb_infer_has(infer, IN_SEGMENT_TABLE)) {
        return fb_error_set(err, FB_ERR_FORMAT, "segment numbers and the segments' table go together");
    }
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].dtype = i == 1 ? FB_DTYPE_S32 : FB_DTYPE_F32;
        infer->outputs[i].shape = i == 1 ? fb_shape_make(1, &batch) : fb_shape_make(3, (int64_t[]){batch, length, hidden});
    }
    return FB_OK;
}

/* Row `index` of a table; an index outside of it is an error. */
static FbStatus table_row(const FbCall *call, int table, int64_t index, const float **row, FbError *err)
{
    const FbTensor *t = call->inputs[table];
    if (index < 0 || index >= t->dims[0]) {
        return fb_error_set(err, FB_ERR_FORMAT, "index %lld is outside of the %lld rows of input %d", (long long)index, (long long)t->dims[0], table);
    }
    *row = (const float *)t->data + index * t->dims[1];
    return FB_OK;
}

static FbStatus embed_row(const FbCall *call, const FbNormF32Kernel *kernel, int64_t at, FbError *err)
{
    const NormParams *p = call->params;
    const FbTensor *segments = fb_call_input(call, IN_SEGMENTS), *positions = fb_call_input(call, IN_POSITION_IDS);
    FbTensor *y = call->outputs[0], *sums = fb_call_output(call, 2);
    int64_t length = call->inputs[IN_IDS]->dims[1], hidden = call->inputs[IN_WORDS]->dims[1];
    int64_t position = positions ? ((const int32_t *)positions->data)[positions->dims[0] == 1 ? at % length : at] : at % length;
    const float *word, *place, *segment = NULL;
    float mean, inverse, *sum = (float *)(sums ? sums : y)->data + at * hidden;
    FB_TRY(table_row(call, IN_WORDS, ((const int32_t *)call->inputs[IN_IDS]->data)[at], &word, err));
    FB_TRY(table_row(call, IN_POSITIONS, position, &place, err));
    if (segments) {
        FB_TRY(table_row(call, IN_SEGMENT_TABLE, ((const int32_t *)segments->data)[at], &segment, err));
    }
    for (int64_t i = 0; i < hidden; i++) {
        sum[i] = segment ? word[i] + place[i] + segment[i] : word[i] + place[i];
    }
    kernel->moments(sum, (size_t)hidden, p->epsilon, true, &mean, &inverse);
    kernel->apply(sum, (float *)y->data + at * hidden, (size_t)hidden, mean, inverse, floats_of(call->inputs[IN_GAMMA]),
                  floats_of(call->inputs[IN_BETA]));
    return FB_OK;
}

static FbStatus run_embed(const FbCall *call, FbError *err)
{
    const FbTensor *ids = call->inputs[IN_IDS], *mask = fb_call_input(call, IN_MASK);
    const FbNormF32Kernel *kernel = fb_norm_f32_pick(fb_context_cpu(call->context));
    int64_t count = fb_tensor_elements(ids), length = ids->dims[1];
    for (int64_t at = 0; call->inputs[IN_WORDS]->dims[1] > 0 && at < count; at++) {
        FB_TRY(embed_row(call, kernel, at, err));
    }
    FbTensor *lengths = fb_call_output(call, 1);
    for (int64_t b = 0; lengths && b < ids->dims[0]; b++) { /* how many tokens of each sequence are not masked */
        int32_t seen = 0;
        for (int64_t t = 0; mask && t < length; t++) {
            seen += ((const int32_t *)mask->data)[b * length + t] == 1;
        }
        ((int32_t *)lengths->data)[b] = seen;
    }
    return fb_check_cancel(call->context, err);
}

static const char *const skip_names[] = {"epsilon", NULL};
static const char *const embed_names[] = {"epsilon", "mask_index_type", NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "EmbedLayerNormalization", .summary = "embeddings of words, positions and segments, normalized", .since = 1,
     .newest = 1, .min_inputs = 7, .max_inputs = 9, .optional = 1 << IN_SEGMENTS | 1 << IN_SEGMENT_TABLE, .min_outputs = 1, .max_outputs = 3,
     .params_bytes = sizeof(NormParams), .decode = decode_norm, .infer = infer_embed, .run = run_embed, .attributes = embed_names},
    {.domain = "com.microsoft", .name = "SkipLayerNormalization", .summary = "LayerNormalization of x plus a tensor plus a bias", .since = 1,
     .newest = 1, .min_inputs = 3, .max_inputs = 5, .min_outputs = 1, .max_outputs = 4, .params_bytes = sizeof(NormParams),
     .decode = decode_norm, .infer = infer_skip, .run = run_skip, .attributes = skip_names},
    {.domain = "com.microsoft", .name = "SkipSimplifiedLayerNormalization", .summary = "RMSNormalization of x plus a tensor plus a bias",
     .since = 1, .newest = 1, .min_inputs = 3, .max_inputs = 4, .min_outputs = 1, .max_outputs = 4, .params_bytes = sizeof(NormParams),
     .decode = decode_norm, .infer = infer_skip, .run = run_skip, .attributes = skip_names},
};

const FbOpFamily fb_ops_skip_norm = {rows, sizeof rows / sizeof rows[0]};
