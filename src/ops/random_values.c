/* Random tensors: RandomNormal, RandomUniform, their Like forms, Bernoulli and Multinomial. Counter-based: a seed gives the same numbers
 * everywhere; without one, the node's name is the stream, so that a model gives the same numbers in every run. */
#include <math.h>

#include "base/random.h"
#include "ops/attribute.h"
#include "ops/elements.h"
#include "ops/shape_util.h"

typedef struct RandomParams {
    FbDtype dtype;       /* NONE: the input's */
    bool normal, like;
    float a, b;          /* mean and scale, or low and high */
    FbIntList shape;
    int64_t samples;     /* Multinomial */
    uint64_t seed, stream;
} RandomParams;

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t name_hash(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; name && *name; name++) {
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    }
    return hash;
}

static FbStatus decode_seed(const FbNode *node, RandomParams *p, FbError *err)
{
    float seed;
    int64_t dtype;
    uint32_t bits;
    FB_TRY(fb_attr_float(node, "seed", 0, &seed, err));
    FB_TRY(fb_attr_int(node, "dtype", 0, &dtype, err));
    memcpy(&bits, &seed, sizeof bits);
    p->seed = bits;
    p->stream = fb_node_attribute(node, "seed") ? 0 : name_hash(node->name);
    if (dtype < 0 || dtype >= FB_DTYPE_COUNT) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'dtype' holds %lld, which is no element type", (long long)dtype);
    }
    p->dtype = (FbDtype)dtype;
    return FB_OK;
}

static FbStatus decode_random(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    RandomParams *p = params;
    (void)arena;
    p->normal = strncmp(node->op_type, "RandomNormal", 12) == 0;
    p->like = strlen(node->op_type) > 4 && strcmp(node->op_type + strlen(node->op_type) - 4, "Like") == 0;
    FB_TRY(decode_seed(node, p, err));
    FB_TRY(fb_attr_float(node, p->normal ? "mean" : "low", 0, &p->a, err));
    FB_TRY(fb_attr_float(node, p->normal ? "scale" : "high", 1, &p->b, err));
    if (!p->like) {
        p->dtype = p->dtype == FB_DTYPE_NONE ? FB_DTYPE_F32 : p->dtype;
        if (!fb_node_attribute(node, "shape")) {
            return fb_error_set(err, FB_ERR_FORMAT, "required attribute 'shape' is missing");
        }
        FB_TRY(fb_list_from_attribute(node, "shape", &p->shape, err));
        for (int i = 0; i < p->shape.count; i++) {
            if (p->shape.items[i] < 0 || p->shape.count > FB_RANK_MAX) {
                return fb_error_set(err, FB_ERR_FORMAT, "attribute 'shape' makes no tensor");
            }
        }
    }
    return FB_OK;
}

static FbStatus infer_random(FbInfer *infer, FbError *err)
{
    const RandomParams *p = infer->params;
    FbType *out = &infer->outputs[0];
    out->dtype = p->dtype != FB_DTYPE_NONE ? p->dtype : infer->inputs[0].dtype;
    out->shape = p->like ? infer->inputs[0].shape : fb_shape_make(p->shape.count, p->shape.items);
    if (out->dtype != FB_DTYPE_NONE && !(FB_MASK(out->dtype) & FB_MASK_FLOATS)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s does not make element type %s", infer->node->op_type, fb_dtype_name(out->dtype));
    }
    return fb_check_size(infer, &out->shape, out->dtype, err);
}

static FbStatus run_random(const FbCall *call, FbError *err)
{
    const RandomParams *p = call->params;
    FbTensor *to = call->outputs[0];
    int64_t count = fb_tensor_elements(to);
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        double value = p->normal ? (double)p->a + (double)p->b * (double)fb_random_normal(p->seed, p->stream, (uint64_t)i)
                                 : (double)p->a + ((double)p->b - (double)p->a) * fb_random_unit(p->seed, p->stream, (uint64_t)i);
        fb_work_store(to->dtype, to->data, i, FB_WORK_F64, &value, 1);
    }
    return FB_OK;
}

static FbStatus decode_bernoulli(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return decode_seed(node, params, err);
}

static FbStatus infer_bernoulli(FbInfer *infer, FbError *err)
{
    const RandomParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    infer->outputs[0].dtype = p->dtype != FB_DTYPE_NONE ? p->dtype : infer->inputs[0].dtype;
    infer->outputs[0].shape = infer->inputs[0].shape;
    if (p->dtype != FB_DTYPE_NONE && !(FB_MASK(p->dtype) & (FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL)))) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Bernoulli does not make element type %s", fb_dtype_name(p->dtype));
    }
    return FB_OK;
}

static FbStatus run_bernoulli(const FbCall *call, FbError *err)
{
    const RandomParams *p = call->params;
    const FbTensor *from = call->inputs[0];
    FbTensor *to = call->outputs[0];
    int64_t count = fb_tensor_elements(from);
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        double value = fb_random_unit(p->seed, p->stream, (uint64_t)i) < fb_tensor_number(from, i) ? 1 : 0;
        fb_work_store(to->dtype, to->data, i, FB_WORK_F64, &value, 1);
    }
    return FB_OK;
}

static FbStatus decode_multinomial(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    RandomParams *p = params;
    (void)arena;
    FB_TRY(decode_seed(node, p, err));
    p->dtype = p->dtype == FB_DTYPE_NONE ? FB_DTYPE_S32 : p->dtype;
    FB_TRY(fb_attr_int(node, "sample_size", 1, &p->samples, err));
    if (p->samples < 0 || (p->dtype != FB_DTYPE_S32 && p->dtype != FB_DTYPE_S64)) {
        return fb_error_set(err, FB_ERR_FORMAT, "Multinomial draws int32 or int64 indices, a number of times that is not negative");
    }
    return FB_OK;
}

static FbStatus infer_multinomial(FbInfer *infer, FbError *err)
{
    const RandomParams *p = infer->params;
    const FbShape *from = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 2, 2, err));
    if (from->rank == 2 && from->dims[1] == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "Multinomial has no class to draw from");
    }
    infer->outputs[0].dtype = p->dtype;
    infer->outputs[0].shape = (FbShape){.rank = 2, .dims = {from->rank == 2 ? from->dims[0] : FB_DIM_UNKNOWN, p->samples}};
    return fb_check_size(infer, &infer->outputs[0].shape, p->dtype, err);
}

/* Draws by the inverse of the cumulative sum of exp(x - max). */
static FbStatus run_multinomial(const FbCall *call, FbError *err)
{
    const RandomParams *p = call->params;
    const FbTensor *from = call->inputs[0];
    FbTensor *to = call->outputs[0];
    int64_t classes = from->dims[1];
    (void)err;
    for (int64_t row = 0; row < from->dims[0]; row++) {
        double largest = -INFINITY, sum = 0;
        for (int64_t c = 0; c < classes; c++) {
            largest = fmax(largest, fb_tensor_number(from, row * classes + c));
        }
        for (int64_t c = 0; c < classes; c++) {
            sum += exp(fb_tensor_number(from, row * classes + c) - largest);
        }
        for (int64_t s = 0; s < p->samples; s++) {
            int64_t at = row * p->samples + s, drawn = 0;
            double rest = sum * fb_random_unit(p->seed, p->stream, (uint64_t)at);
            for (int64_t c = 0; c < classes && rest >= 0; c++) {
                rest -= exp(fb_tensor_number(from, row * classes + c) - largest);
                drawn = c;
            }
            fb_work_store(to->dtype, to->data, at, FB_WORK_S64, &drawn, 1);
        }
    }
    return FB_OK;
}

static const char *const normal_names[] = {"dtype", "mean", "scale", "seed", "shape", NULL};
static const char *const uniform_names[] = {"dtype", "high", "low", "seed", "shape", NULL};
static const char *const bernoulli_names[] = {"dtype", "seed", NULL};
static const char *const multinomial_names[] = {"dtype", "sample_size", "seed", NULL};

#define RANDOM(NAME, TEXT, SINCE, INPUTS, DECODE, INFER, RUN, NAMES)                                                           \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = SINCE, .newest = FB_OPSET_NEWEST, .min_inputs = INPUTS,          \
        .max_inputs = INPUTS, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(RandomParams),                        \
        .flags = FB_OP_RANDOM, .decode = DECODE, .infer = INFER, .run = RUN, .attributes = NAMES                               \
    }

static const FbOp rows[] = {
    RANDOM("Bernoulli", "true with the given probabilities", 15, 1, decode_bernoulli, infer_bernoulli, run_bernoulli, bernoulli_names),
    RANDOM("Multinomial", "indices drawn by unnormalised logarithms of probabilities", 7, 1, decode_multinomial, infer_multinomial,
           run_multinomial, multinomial_names),
    RANDOM("RandomNormal", "normally distributed numbers", 1, 0, decode_random, infer_random, run_random, normal_names),
    RANDOM("RandomNormalLike", "normally distributed numbers in the shape of a tensor", 1, 1, decode_random, infer_random, run_random,
           normal_names),
    RANDOM("RandomUniform", "uniformly distributed numbers", 1, 0, decode_random, infer_random, run_random, uniform_names),
    RANDOM("RandomUniformLike", "uniformly distributed numbers in the shape of a tensor", 1, 1, decode_random, infer_random, run_random,
           uniform_names),
};

const FbOpFamily fb_ops_random = {rows, sizeof rows / sizeof rows[0]};
