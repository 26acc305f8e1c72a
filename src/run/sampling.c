/* Drawing a token from logits. All choices are made in an order that depends on the logits only; sums are in double. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "fewbit/generate.h"
#include "kernels/functions.h"
#include "kernels/reduce.h"

typedef struct SampleToken { float weight; int32_t id; } SampleToken;

struct FbSampler {
    FbContext *context;
    FbSampling sampling;
    size_t vocabulary;
    const FbReduceF32Kernel *reduce;
    FbUnaryF32 exp;
    float *weights;         /* [vocabulary] */
    SampleToken *kept;      /* [vocabulary] */
    size_t count;           /* of kept */
};

static FbStatus check_sampling(const FbSampling *s, FbError *err)
{
    if (!(s->temperature >= 0 && s->temperature <= 1e6f)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a temperature of %g, expected 0 or more", (double)s->temperature);
    }
    if (s->top_k < 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "top-k is %d, expected 0 (all) or more", (int)s->top_k);
    }
    if (!(s->top_p >= 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "top-p is %g and min-p %g, expected probabilities", (double)s->top_p, (double)s->min_p);
    }
    return FB_OK;
}

FbStatus fb_sampler_create(FbContext *context, const FbSampling *sampling, size_t vocabulary, FbSampler **out, FbError *err)
{
    *out = NULL;
    FB_TRY(check_sampling(sampling, err));
    if (vocabulary == 0 || vocabulary > INT32_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a vocabulary of %zu tokens", vocabulary);
    }
    FbSampler *sampler = fb_alloc_zero(context, sizeof *sampler);
    if (sampler == NULL) {
        return fb_error_memory(context, err, "a sampler", sizeof *sampler);
    }
    sampler->context = context;
    sampler->sampling = *sampling;
    sampler->vocabulary = vocabulary;
    sampler->reduce = fb_reduce_f32_pick(fb_context_cpu(context));
    sampler->exp = fb_unary_f32_pick(fb_context_cpu(context), FB_UNARY_EXP);
    if (sampling->temperature > 0) {
        sampler->weights = fb_alloc_array(context, vocabulary, sizeof *sampler->weights);
        sampler->kept = fb_alloc_array(context, vocabulary, sizeof *sampler->kept);
        if (sampler->weights == NULL || sampler->kept == NULL) {
            fb_sampler_free(sampler);
            return fb_error_memory(context, err, "a sampler", vocabulary * (sizeof(float) + sizeof(SampleToken)));
        }
    }
    *out = sampler;
    return FB_OK;
}

void fb_sampler_free(FbSampler *sampler)
{
    if (sampler != NULL) {
        fb_free(sampler->context, sampler->weights);
        fb_free(sampler->context, sampler->kept);
        fb_free(sampler->context, sampler);
    }
}

/* More probable first, equal ones by id. */
static int by_weight(const void *left, const void *right)
{
    const SampleToken *a = left, *b = right;
    return a->weight != b->weight ? (a->weight < b->weight) - (a->weight > b->weight) : (a->id > b->id) - (a->id < b->id);
}

static bool ranks_below(SampleToken a, SampleToken b)
{
    return a.weight != b.weight ? a.weight < b.weight : a.id > b.id;
}

/* kept[at...] as a heap with the lowest rank on top. */
static void sift(SampleToken *heap, size_t count, size_t at)
{
    for (;;) {
        size_t lowest = at, child = 2 * at + 1;
        for (size_t c = child; c < child + 2 && c < count; c++) {
            lowest = ranks_below(heap[c], heap[lowest]) ? c : lowest;
        }
        if (lowest == at) {
            return;
        }
        SampleToken moved = heap[at];
        heap[at] = heap[lowest];
        heap[lowest] = moved;
        at = lowest;
    }
}

static void keep_top_k(FbSampler *sampler, size_t k)
{
    SampleToken *heap = sampler->kept;
    for (size_t i = 0; i < k; i++) {
        heap[i] = (SampleToken){sampler->weights[i], (int32_t)i};
    }
    for (size_t i = k / 2; i-- > 0;) {
        sift(heap, k, i);
    }
    for (size_t i = k; i < sampler->vocabulary; i++) {
        if (sampler->weights[i] > heap[0].weight) {
            heap[0] = (SampleToken){sampler->weights[i], (int32_t)i};
            sift(heap, k, 0);
        }
    }
    sampler->count = k;
}

/* All tokens with at least this weight, by id. */
static void keep_from(FbSampler *sampler, float least)
{
    size_t count = 0;
    for (size_t i = 0; i < sampler->vocabulary; i++) {
        if (sampler->weights[i] >= least) {
            sampler->kept[count++] = (SampleToken){sampler->weights[i], (int32_t)i};
        }
    }
    sampler->count = count;
}

static double total_of(const FbSampler *sampler)
{
    double total = 0;
    for (size_t i = 0; i < sampler->count; i++) {
        total += (double)sampler->kept[i].weight;
    }
    return total;
}

/* Sorts, and keeps the shortest beginning that has the probability top_p. */
static void cut_top_p(FbSampler *sampler, double total)
{
    double sum = 0, wanted = (double)sampler->sampling.top_p * total;
    qsort(sampler->kept, sampler->count, sizeof *sampler->kept, by_weight);
    for (size_t i = 0; i < sampler->count; i++) {
        sum += (double)sampler->kept[i].weight;
        if (sum >= wanted) {
            sampler->count = i + 1;
            return;
        }
    }
}

static void choose(FbSampler *sampler)
{
    const FbSampling *s = &sampler->sampling;
    const bool top_p = s->top_p > 0 && s->top_p < 1;
    if (s->top_k > 0 && (size_t)s->top_k < sampler->vocabulary) {
        keep_top_k(sampler, (size_t)s->top_k);
        qsort(sampler->kept, sampler->count, sizeof *sampler->kept, by_weight);
        if (top_p) {
            cut_top_p(sampler, total_of(sampler));
        }
    } else if (top_p) {
        double total = 0;
        for (size_t i = 0; i < sampler->vocabulary; i++) {
            total += (double)sampler->weights[i];
        }
        /* All tokens below this weight together have less than 1 - top_p: sorting the others is enough. */
        keep_from(sampler, (float)(total * (1 - (double)s->top_p) / (double)sampler->vocabulary * 0.5));
        cut_top_p(sampler, total);
    } else {
        keep_from(sampler, s->min_p);
    }
    size_t count = 0;
    for (size_t i = 0; i < sampler->count; i++) { /* the best token's weight is 1 */
        if (sampler->kept[i].weight >= s->min_p) {
            sampler->kept[count++] = sampler->kept[i];
        }
    }
    sampler->count = count;
}

FbStatus fb_sampler_draw(FbSampler *sampler, const float *logits, uint64_t stream, uint64_t draw, int32_t *id, FbError *err)
{
    const size_t vocabulary = sampler->vocabulary;
    const float best = sampler->reduce->max(logits, vocabulary);
    if (!isfinite(best)) {
        return fb_error_set(err, FB_ERR_NUMERIC, "the logits hold NaN or infinity, or nothing finite");
    }
    if (!(sampler->sampling.temperature > 0)) {
        size_t at = 0;
        while (logits[at] != best) {
            at++;
        }
        *id = (int32_t)at;
        return FB_OK;
    }
    for (size_t i = 0; i < vocabulary; i++) {
        sampler->weights[i] = (logits[i] - best) / sampler->sampling.temperature;
    }
    sampler->exp(sampler->weights, sampler->weights, vocabulary, 0, 0);
    choose(sampler);
    double rest = fb_random_unit(sampler->sampling.seed, stream, draw) * total_of(sampler);
    size_t at = 0;
    for (; at + 1 < sampler->count; at++) {
        rest -= (double)sampler->kept[at].weight;
        if (rest < 0) {
            break;
        }
    }
    *id = sampler->kept[at].id;
    return FB_OK;
}
