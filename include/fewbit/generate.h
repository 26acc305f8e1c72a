/* Making text with a language model: prompts in, one token per sequence and step out. */
#ifndef FEWBIT_GENERATE_H
#define FEWBIT_GENERATE_H

#include "fewbit/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a token is drawn from logits: divided by the temperature, then cut by top_k, top_p and min_p in this order. A zeroed struct is greedy:
 * the largest logit, of equal ones the one with the lowest id. */
typedef struct FbSampling {
    float temperature; /* 0: greedy */
    int32_t top_k;     /* only the k most probable tokens; 0: all */
    float top_p;       /* only the most probable ones that together have this probability; 0 or 1: all */
    float min_p;       /* only those with at least this share of the best one's probability; 0: all */
    uint64_t seed;     /* draws depend on seed, sequence and how many tokens were drawn before, on nothing else */
} FbSampling;

typedef struct FbSampler FbSampler;
/* FB_ERR_ARGUMENT for numbers out of range. */
FB_API FB_MUST_CHECK FbStatus fb_sampler_create(FbContext *context, const FbSampling *sampling, size_t vocabulary, FbSampler **sampler, FbError *err);
FB_API void fb_sampler_free(FbSampler *sampler); /* NULL is fine */
/* Draw number `draw` of stream `stream`. FB_ERR_NUMERIC when a logit is NaN or none is finite. */
FB_API FB_MUST_CHECK FbStatus fb_sampler_draw(FbSampler *sampler, const float *logits, uint64_t stream, uint64_t draw, int32_t *id, FbError *err);

typedef struct FbGenerator FbGenerator;

typedef struct FbGeneratorOptions {
    size_t struct_bytes;
    FbMode mode;           /* FB_MODE_INTEGER: low-bit weights times activations in blocks of 8 bits */
    uint64_t context;      /* positions per sequence; 0: as many as the model's graph holds */
    size_t sequences;      /* 0: 1 */
    FbCacheType cache_type;
    FbSampling sampling;
    int32_t chunk;         /* most tokens of a run; 0: 512. Results do not depend on it */
} FbGeneratorOptions;

enum { FB_NO_TOKEN = -1 };

/* The model may be freed afterwards. options NULL: integer mode, greedy, one sequence. */
FB_API FB_MUST_CHECK FbStatus fb_generator_create(FbContext *context, const FbModel *model, const FbGeneratorOptions *options, FbGenerator **generator,
                                                  FbError *err);
FB_API void fb_generator_free(FbGenerator *generator); /* NULL is fine */

/* Appends tokens to a sequence, which takes part in the next steps again. They run with the next step. Nothing is appended on failure: too
 * many for the context, or not in the vocabulary. */
FB_API FB_MUST_CHECK FbStatus fb_generator_feed(FbGenerator *generator, size_t sequence, const int32_t *ids, size_t count, FbError *err);
/* Runs what was fed and draws one token for every sequence that takes part; ids[sequences] gets FB_NO_TOKEN for the others and for those
 * whose context is full. A drawn token runs with the next step. After a failure, or when cancelled, the same step can be tried again. */
FB_API FB_MUST_CHECK FbStatus fb_generator_step(FbGenerator *generator, int32_t *ids, FbError *err);
/* Keeps the first `count` tokens of a sequence and forgets the rest; it takes no part until it is fed. */
FB_API void fb_generator_cut(FbGenerator *generator, size_t sequence, size_t count);
/* The tokens of a sequence, fed and drawn. */
FB_API size_t fb_generator_tokens(const FbGenerator *generator, size_t sequence, const int32_t **ids);
FB_API size_t fb_generator_context(const FbGenerator *generator);      /* positions per sequence */
FB_API uint64_t fb_generator_cache_bytes(const FbGenerator *generator);
/* The session that runs, for its steps and their times (steps.h); not to be run by others. */
FB_API FbSession *fb_generator_session(FbGenerator *generator);

/* Bytes that a generator will hold, told without reading a weight. The model's tables may be made for fewer positions than are asked about. */
typedef struct FbMemoryForecast {
    uint64_t weights;      /* as stored; packed they take the same */
    uint64_t cache;        /* keys and values of all sequences */
    uint64_t scratch;      /* values of one run, about */
    uint64_t per_block;    /* of the cache for 64 positions more of all sequences; that is how it grows */
} FbMemoryForecast;
/* options->context 0: as fb_generator_create has it. FB_ERR_UNSUPPORTED for models without fb_language_info. */
FB_API FB_MUST_CHECK FbStatus fb_generator_forecast(const FbContext *context, const FbModel *model, const FbGeneratorOptions *options,
                                                    FbMemoryForecast *forecast, FbError *err);

#ifdef __cplusplus
}
#endif
#endif
