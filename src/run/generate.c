/* The generator: a session of a language model, the tokens of its sequences, and which of them the session has seen. */
#include <string.h>

#include "base/context.h"
#include "base/option_struct.h"
#include "fewbit/generate.h"
#include "run/language_ports.h"

enum { CHUNK = 512, SEQUENCES_MAX = 4096 };

typedef struct GeneratedSequence {
    int32_t *ids;          /* [context] */
    size_t count, seen;    /* tokens; those in the session's cache */
    uint64_t drawn;
    bool active;
    bool waiting;          /* during a step: not drawn for yet */
} GeneratedSequence;

struct FbGenerator {
    FbContext *context;
    FbSession *session;
    FbSampler *sampler;
    FbLanguagePorts ports;
    size_t positions, sequence_count, chunk;
    GeneratedSequence *sequences;
    int32_t *drawn;        /* [sequence_count] of a step in work */
    bool stepping;         /* a step failed and is to be tried again */
    int64_t *numbers[FB_PORT_COUNT]; /* [chunk], of one run */
    size_t *row_sequence;  /* [sequence_count] whose logits the rows are */
};

void fb_generator_free(FbGenerator *generator)
{
    if (generator == NULL) {
        return;
    }
    FbContext *context = generator->context;
    for (size_t s = 0; generator->sequences != NULL && s < generator->sequence_count; s++) {
        fb_free(context, generator->sequences[s].ids);
    }
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        fb_free(context, generator->numbers[i]);
    }
    fb_free(context, generator->sequences);
    fb_free(context, generator->drawn);
    fb_free(context, generator->row_sequence);
    fb_sampler_free(generator->sampler);
    fb_session_free(generator->session);
    fb_free(context, generator);
}

static FbStatus choose_context(FbGenerator *generator, uint64_t wanted, FbError *err)
{
    const uint64_t most = generator->ports.positions;
    if (wanted > most) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a context of %llu tokens, but the model was loaded for %llu", (unsigned long long)wanted,
                            (unsigned long long)most);
    }
    generator->positions = wanted > 0 ? (size_t)wanted : most < INT32_MAX ? (size_t)most : 4096;
    return FB_OK;
}

static FbStatus allocate(FbGenerator *generator, FbError *err)
{
    FbContext *context = generator->context;
    size_t count = generator->sequence_count;
    bool fits = true;
    generator->sequences = fb_alloc_zero(context, count * sizeof *generator->sequences);
    generator->drawn = fb_alloc_array(context, count, sizeof *generator->drawn);
    generator->row_sequence = fb_alloc_array(context, count, sizeof *generator->row_sequence);
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        generator->numbers[i] = fb_alloc_array(context, generator->chunk, sizeof *generator->numbers[i]);
        fits = fits && generator->numbers[i] != NULL;
    }
    fits = fits && generator->sequences != NULL && generator->drawn != NULL && generator->row_sequence != NULL;
    for (size_t s = 0; s < count && fits; s++) {
        generator->sequences[s].ids = fb_alloc_array(context, generator->positions, sizeof(int32_t));
        fits = generator->sequences[s].ids != NULL;
    }
    return fits ? FB_OK : fb_error_memory(context, err, "a generator", count * generator->positions * sizeof(int32_t));
}

static FbStatus set_up(FbGenerator *generator, const FbModel *model, const FbGeneratorOptions *options, FbError *err)
{
    if (options->sequences > SEQUENCES_MAX || options->chunk < 0 || options->chunk > 1 << 20) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%zu sequences in runs of %d tokens: at most %d and %d are possible", options->sequences,
                            (int)options->chunk, SEQUENCES_MAX, 1 << 20);
    }
    generator->sequence_count = options->sequences > 0 ? options->sequences : 1;
    generator->chunk = options->chunk > 0 ? (size_t)options->chunk : CHUNK;
    if (generator->chunk < generator->sequence_count) {
        generator->chunk = generator->sequence_count;
    }
    FB_TRY(fb_language_ports(model, &generator->ports, err));
    FB_TRY(choose_context(generator, options->context, err));
    FB_TRY(fb_sampler_create(generator->context, &options->sampling, generator->ports.vocabulary, &generator->sampler, err));
    FB_TRY(allocate(generator, err));
    FbSessionOptions session = {.struct_bytes = sizeof session, .mode = options->mode, .cache_capacity = generator->positions,
                                .cache_sequences = generator->sequence_count, .cache_type = options->cache_type};
    return fb_session_create(generator->context, model, &session, &generator->session, err);
}

FbStatus fb_generator_create(FbContext *context, const FbModel *model, const FbGeneratorOptions *given, FbGenerator **out, FbError *err)
{
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_INTEGER};
    *out = NULL;
    FB_TRY(fb_options_read(&options, sizeof options, given, "FbGeneratorOptions", err));
    FbGenerator *generator = fb_alloc_zero(context, sizeof *generator);
    if (generator == NULL) {
        return fb_error_memory(context, err, "a generator", sizeof *generator);
    }
    generator->context = context;
    FbStatus status = set_up(generator, model, &options, err);
    if (status != FB_OK) {
        fb_generator_free(generator);
        return status;
    }
    *out = generator;
    return FB_OK;
}

FbStatus fb_generator_feed(FbGenerator *generator, size_t sequence, const int32_t *ids, size_t count, FbError *err)
{
    if (sequence >= generator->sequence_count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sequence %zu of %zu", sequence, generator->sequence_count);
    }
    GeneratedSequence *s = &generator->sequences[sequence];
    if (count > generator->positions && s->count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a prompt of %zu tokens does not fit into a context of %zu", count, generator->positions);
    }
    if (count > generator->positions - s->count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%zu tokens and the %zu before them do not fit into a context of %zu", count, s->count,
                            generator->positions);
    }
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= generator->ports.vocabulary) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "token %zu is %d, but the model's vocabulary has %zu", i, (int)ids[i], generator->ports.vocabulary);
        }
    }
    if (count > 0) {
        memcpy(s->ids + s->count, ids, count * sizeof *ids);
        s->count += count;
        s->active = true;
    }
    return FB_OK;
}

void fb_generator_cut(FbGenerator *generator, size_t sequence, size_t count)
{
    if (sequence < generator->sequence_count) {
        GeneratedSequence *s = &generator->sequences[sequence];
        s->count = count < s->count ? count : s->count;
        s->seen = s->seen < s->count ? s->seen : s->count;
        s->active = false;
    }
}

size_t fb_generator_tokens(const FbGenerator *generator, size_t sequence, const int32_t **ids)
{
    bool known = sequence < generator->sequence_count;
    if (ids != NULL) {
        *ids = known ? generator->sequences[sequence].ids : NULL;
    }
    return known ? generator->sequences[sequence].count : 0;
}

size_t fb_generator_context(const FbGenerator *generator) { return generator->positions; }
uint64_t fb_generator_cache_bytes(const FbGenerator *generator) { return fb_session_cache_bytes(generator->session); }

FbSession *fb_generator_session(FbGenerator *generator) { return generator->session; }

/* ---- a step ---- */

/* Fills the inputs of the next run with tokens that the session has not seen; returns how many, and the rows whose logits are wanted. */
static size_t gather(FbGenerator *generator, size_t *rows)
{
    size_t tokens = 0;
    *rows = 0;
    for (size_t i = 0; i < generator->sequence_count; i++) {
        GeneratedSequence *s = &generator->sequences[i];
        if (!s->waiting) {
            continue;
        }
        size_t left = s->count - s->seen, room = generator->chunk - tokens, count = left < room ? left : room;
        for (size_t t = 0; t < count; t++, tokens++) {
            generator->numbers[FB_PORT_IDS][tokens] = s->ids[s->seen + t];
            generator->numbers[FB_PORT_POSITIONS][tokens] = (int64_t)(s->seen + t);
            generator->numbers[FB_PORT_SEQUENCES][tokens] = (int64_t)i;
        }
        if (count > 0 && count == left) {
            generator->numbers[FB_PORT_ROWS][*rows] = (int64_t)tokens - 1;
            generator->row_sequence[(*rows)++] = i;
        }
    }
    return tokens;
}

static FbStatus run_tokens(FbGenerator *generator, size_t tokens, size_t rows, FbTensor *logits, FbError *err)
{
    FbTensor inputs[FB_PORT_COUNT];
    size_t asked = rows > 0 ? rows : 1; /* logits of one row at least: a run that makes nothing is no case of its own */
    generator->numbers[FB_PORT_ROWS][0] = rows > 0 ? generator->numbers[FB_PORT_ROWS][0] : 0;
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        size_t count = i == FB_PORT_ROWS ? asked : tokens;
        inputs[generator->ports.index[i]] = (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)count}, .data = generator->numbers[i],
                                                .bytes = count * sizeof(int64_t)};
    }
    FB_TRY(fb_session_run(generator->session, inputs, FB_PORT_COUNT, logits, 1, err));
    bool fits = logits->rank == 2 && logits->dtype == FB_DTYPE_F32 && (size_t)logits->dims[0] == asked &&
                (size_t)logits->dims[1] == generator->ports.vocabulary;
    return fits ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "the model's output is not one row of %zu logits per asked token", generator->ports.vocabulary);
}

/* What the sequences have seen after a run of `tokens` tokens as gather laid them. */
static void mark_seen(FbGenerator *generator, size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        generator->sequences[generator->numbers[FB_PORT_SEQUENCES][t]].seen = (size_t)generator->numbers[FB_PORT_POSITIONS][t] + 1;
    }
}

static FbStatus draw_rows(FbGenerator *generator, const FbTensor *logits, size_t rows, FbError *err)
{
    for (size_t r = 0; r < rows; r++) {
        size_t which = generator->row_sequence[r];
        GeneratedSequence *s = &generator->sequences[which];
        const float *row = (const float *)logits->data + r * generator->ports.vocabulary;
        FB_TRY(fb_sampler_draw(generator->sampler, row, which, s->drawn, &generator->drawn[which], err));
        s->drawn++;
        s->waiting = false;
        if (s->count < generator->positions) {
            s->ids[s->count++] = generator->drawn[which];
        } else {
            s->active = false; /* the last token that the context has room to predict */
        }
    }
    return FB_OK;
}

static bool begin_step(FbGenerator *generator)
{
    bool any = false;
    for (size_t i = 0; i < generator->sequence_count; i++) {
        GeneratedSequence *s = &generator->sequences[i];
        generator->drawn[i] = generator->stepping ? generator->drawn[i] : FB_NO_TOKEN;
        s->waiting = generator->stepping ? s->waiting && s->active : s->active;
        any = any || s->waiting || generator->drawn[i] != FB_NO_TOKEN;
    }
    generator->stepping = true;
    return any;
}

FbStatus fb_generator_step(FbGenerator *generator, int32_t *ids, FbError *err)
{
    FbTensor logits;
    if (!begin_step(generator)) {
        generator->stepping = false;
        return fb_error_set(err, FB_ERR_ARGUMENT, "no sequence has a token to go on from");
    }
    for (;;) {
        size_t rows, tokens = gather(generator, &rows);
        if (tokens == 0) {
            break;
        }
        FB_TRY(run_tokens(generator, tokens, rows, &logits, err));
        FB_TRY(draw_rows(generator, &logits, rows, err));
        mark_seen(generator, tokens);
    }
    generator->stepping = false;
    memcpy(ids, generator->drawn, generator->sequence_count * sizeof *ids);
    return FB_OK;
}
