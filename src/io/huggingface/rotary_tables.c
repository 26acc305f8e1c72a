/* Tables of cosines and sines for rotary embeddings, and the slopes of ALiBi.
 *
 * Sources: Su et al. 2021 (arXiv:2104.09864); linear: Chen et al. 2023 (arXiv:2306.15595); yarn: Peng et al. 2023 (arXiv:2309.00071); longrope:
 * Ding et al. 2024 (arXiv:2402.13753); llama3: the Llama 3.1 model card's code. Frequencies and angles are rounded to float where the models'
 * own code, in which they were trained, rounds them. */
#include <math.h>

#include "io/huggingface/language_build.h"

static const double pi = 3.14159265358979323846;

/* The dimension that turns `turns` times within the original positions. */
static double yarn_dimension(const FbRotarySpec *rotary, double turns)
{
    return (double)rotary->dims * log((double)rotary->original / (turns * 2.0 * pi)) / (2.0 * log(rotary->theta));
}

/* How much of dimension i's frequency is interpolated: 0 for fast ones, 1 for slow ones. */
static double yarn_ramp(const FbRotarySpec *rotary, int64_t i)
{
    double low = yarn_dimension(rotary, rotary->beta_fast), high = yarn_dimension(rotary, rotary->beta_slow);
    low = fmax(rotary->whole_dims ? floor(low) : low, 0.0);
    high = fmin(rotary->whole_dims ? ceil(high) : high, (double)(rotary->dims - 1));
    high = low == high ? high + 0.001 : high;
    return fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
}

static double llama3_frequency(const FbRotarySpec *rotary, double frequency)
{
    double turns = (double)rotary->original * frequency / (2.0 * pi);
    if (turns < rotary->low_factor) {
        return frequency / rotary->factor;
    }
    if (turns > rotary->high_factor) {
        return frequency;
    }
    double smooth = (turns - rotary->low_factor) / (rotary->high_factor - rotary->low_factor);
    return (1.0 - smooth) * frequency / rotary->factor + smooth * frequency;
}

static float frequency_of(const FbRotarySpec *rotary, int64_t i, int64_t positions)
{
    const double *divisors = rotary->scaling == FB_ROTARY_LONGROPE && positions > rotary->original ? rotary->long_divisors : rotary->divisors;
    double frequency = pow(rotary->theta, -2.0 * (double)i / (double)rotary->dims);
    if (divisors != NULL) {
        frequency /= divisors[i];
    }
    switch (rotary->scaling) {
    case FB_ROTARY_LINEAR:
        frequency /= rotary->factor;
        break;
    case FB_ROTARY_LLAMA3:
        frequency = llama3_frequency(rotary, frequency);
        break;
    case FB_ROTARY_YARN: {
        double ramp = yarn_ramp(rotary, i);
        frequency = frequency / rotary->factor * ramp + frequency * (1.0 - ramp);
        break;
    }
    case FB_ROTARY_PLAIN:
    case FB_ROTARY_DYNAMIC: /* beyond the model's own positions the base is another */
    case FB_ROTARY_LONGROPE:
        break;
    }
    return (float)frequency;
}

static double magnitude_of(const FbRotarySpec *rotary)
{
    if (rotary->attention_factor != 0.0) {
        return rotary->attention_factor;
    }
    if (rotary->factor <= 1.0) {
        return 1.0;
    }
    if (rotary->scaling == FB_ROTARY_YARN) {
        return 0.1 * log(rotary->factor) + 1.0;
    }
    return rotary->scaling == FB_ROTARY_LONGROPE ? sqrt(1.0 + log(rotary->factor) / log((double)rotary->original)) : 1.0;
}

/* The base for more positions than the model was made for. Its own code takes it from the length so far, which would leave keys that are held with another
 * one; here the context asked for fixes it, as if that were the length. Source: the "dynamic NTK" scaling of transformers. */
static double longer_base(FbLanguageBuild *b, const FbRotarySpec *rotary, int64_t positions)
{
    double ratio = (double)positions / (double)b->spec->info.context_length;
    double base = rotary->dims > 2 ? rotary->theta * pow(rotary->factor * ratio - (rotary->factor - 1.0), (double)rotary->dims / (double)(rotary->dims - 2)) : 0.0;
    if (!(base > 1.0 && isfinite(base))) {
        fb_build_fail(b, fb_error_set(b->err, FB_ERR_UNSUPPORTED, "%lld positions: 'dynamic' scaling of %lld dimensions by %g has no base there",
                                      (long long)positions, (long long)rotary->dims, rotary->factor));
    }
    return base;
}

static void tables_of(FbLanguageBuild *b, int which, const char *const names[2])
{
    const FbRotarySpec *rotary = &b->spec->rotary[which];
    int64_t half = rotary->dims / 2, positions = b->table_positions;
    float *cosines = NULL, *sines = NULL;
    FbRotarySpec longer = *rotary;
    if (rotary->scaling == FB_ROTARY_DYNAMIC && positions > b->spec->info.context_length) {
        longer.theta = longer_base(b, rotary, positions);
        rotary = &longer;
    }
    b->cosines[which] = fb_build_floats(b, names[0], 2, (const int64_t[]){positions, half}, &cosines);
    b->sines[which] = fb_build_floats(b, names[1], 2, (const int64_t[]){positions, half}, &sines);
    if (b->status != FB_OK) {
        return;
    }
    double magnitude = magnitude_of(rotary);
    for (int64_t i = 0; i < half; i++) {
        float frequency = frequency_of(rotary, i, positions);
        for (int64_t p = 0; p < positions; p++) {
            double angle = (double)((float)p * frequency);
            cosines[p * half + i] = (float)(cos(angle) * magnitude);
            sines[p * half + i] = (float)(sin(angle) * magnitude);
        }
    }
}

void fb_build_rotary_tables(FbLanguageBuild *b)
{
    static const char *const full[2] = {"rotary.cosines", "rotary.sines"};
    static const char *const sliding[2] = {"rotary.sliding.cosines", "rotary.sliding.sines"};
    tables_of(b, 0, full);
    b->cosines[1] = b->cosines[0];
    b->sines[1] = b->sines[0];
    if (b->spec->rotary[1].dims != 0) {
        tables_of(b, 1, sliding);
    }
}

/* A head's slope. Source: Press et al. 2021 (arXiv:2108.12409), section 3: powers of 2^(-8/n) for n heads, n a power of two; what is beyond that takes
 * every other slope of the next power of two. */
static double slope_of(int64_t head, int64_t heads)
{
    int64_t power = 1;
    while (power * 2 <= heads) {
        power *= 2;
    }
    return head < power ? exp2(-8.0 * (double)(head + 1) / (double)power) : exp2(-4.0 * (double)(2 * (head - power) + 1) / (double)power);
}

void fb_build_slopes(FbLanguageBuild *b)
{
    int64_t heads = b->spec->info.q_heads;
    float *data = NULL;
    b->slopes = fb_build_floats(b, "alibi.slopes", 1, &heads, &data);
    for (int64_t h = 0; b->status == FB_OK && h < heads; h++) {
        data[h] = (float)slope_of(h, heads);
    }
}
