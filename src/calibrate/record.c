/* The streaming record of one activation: bins 2^e wide anchored at 0; widening merges pairs of bins, which is exact. */
#include "calibrate/record.h"

#include <math.h>
#include <string.h>

#include "kernels/scan.h"

enum { BANKS = 4, CHUNK = 1024, PIECE = 1 << 16 };

void fb_record_reset(FbRecord *record)
{
    memset(record, 0, sizeof *record);
    record->low = INFINITY;
    record->high = -INFINITY;
    record->exponent = FB_RECORD_EXPONENT_MIN;
}

int fb_record_exponent(float largest)
{
    if (!(largest > 0)) {
        return FB_RECORD_EXPONENT_MIN;
    }
    int exponent = 0;
    frexpf(largest, &exponent); /* largest = m 2^exponent, m in [0.5, 1): it lies below 2048 bins of 2^(exponent - 11) */
    exponent -= 11;
    return exponent < FB_RECORD_EXPONENT_MIN ? FB_RECORD_EXPONENT_MIN : exponent;
}

/* Both ends of a range of bins that holds [low, high] at this exponent. */
static void span_of(float low, float high, int exponent, size_t *first, size_t *end)
{
    float inverse = ldexpf(1.0F, -exponent);
    *first = FB_RECORD_HALF;
    *end = FB_RECORD_HALF;
    if (low < 0) {
        float t = -low * inverse;
        *first = FB_RECORD_HALF - 1 - (size_t)(t < FB_RECORD_HALF - 1 ? t : FB_RECORD_HALF - 1);
    }
    if (high >= 0) {
        float t = high * inverse;
        *end = FB_RECORD_HALF + 1 + (size_t)(t < FB_RECORD_HALF - 1 ? t : FB_RECORD_HALF - 1);
    }
}

void fb_record_span(const FbRecord *record, size_t *first, size_t *end)
{
    if (record->count == 0) {
        *first = *end = FB_RECORD_HALF;
        return;
    }
    span_of(record->low, record->high, record->exponent, first, end);
}

/* Where a bin lands when bins become 2^shift times as wide. */
static size_t widened(size_t bin, int shift)
{
    if (shift >= 12) {
        return bin < FB_RECORD_HALF ? FB_RECORD_HALF - 1 : FB_RECORD_HALF;
    }
    return bin < FB_RECORD_HALF ? FB_RECORD_HALF - 1 - ((FB_RECORD_HALF - 1 - bin) >> shift)
                                : FB_RECORD_HALF + ((bin - FB_RECORD_HALF) >> shift);
}

static void widen(FbRecord *record, int exponent)
{
    int shift = exponent - record->exponent;
    if (shift <= 0) {
        return;
    }
    /* From the middle outwards the target never passes the source, so one array is enough. */
    for (size_t k = 0; k < FB_RECORD_HALF; k++) {
        size_t sides[2] = {FB_RECORD_HALF + k, FB_RECORD_HALF - 1 - k};
        for (int s = 0; s < 2; s++) {
            uint64_t count = record->bins[sides[s]];
            record->bins[sides[s]] = 0;
            record->bins[widened(sides[s], shift)] += count;
        }
    }
    record->exponent = exponent;
}

bool fb_record_can_merge(const FbRecord *into, const FbRecord *from)
{
    return into->count <= UINT64_MAX - from->count;
}

static void take_extremes(FbRecord *into, uint64_t count, float low, float high)
{
    into->count += count;
    into->low = low < into->low ? low : into->low;
    into->high = high > into->high ? high : into->high;
}

void fb_record_merge(FbRecord *into, const FbRecord *from)
{
    if (from->count == 0) {
        return;
    }
    widen(into, from->exponent);
    int shift = into->exponent - from->exponent;
    size_t first = 0, end = 0;
    fb_record_span(from, &first, &end);
    for (size_t i = first; i < end; i++) {
        into->bins[widened(i, shift)] += from->bins[i];
    }
    take_extremes(into, from->count, from->low, from->high);
}

void fb_record_commit(FbRecord *into, const FbRecordDraft *draft)
{
    if (draft->count == 0) {
        return;
    }
    widen(into, draft->exponent);
    int shift = into->exponent - draft->exponent;
    size_t first = 0, end = 0;
    span_of(draft->low, draft->high, draft->exponent, &first, &end);
    for (size_t i = first; i < end; i++) {
        into->bins[widened(i, shift)] += draft->bins[i];
    }
    take_extremes(into, draft->count, draft->low, draft->high);
}

double fb_record_center(int exponent, size_t bin)
{
    return ldexp((double)bin - FB_RECORD_HALF + 0.5, exponent);
}

struct FbRecorder {
    FbContext *context;
    const FbScanF32Kernel *scan;
    size_t slots;
    struct Slot *slot;
};

struct Slot {
    float low, high;
    bool finite;
    uint32_t banks[BANKS][FB_RECORD_BINS];
};

FbRecorder *fb_recorder_create(FbContext *context)
{
    FbRecorder *recorder = fb_alloc_zero(context, sizeof *recorder);
    if (recorder == NULL) {
        return NULL;
    }
    recorder->context = context;
    recorder->scan = fb_scan_f32_pick(fb_context_cpu(context));
    recorder->slots = (size_t)fb_context_threads(context);
    recorder->slot = fb_alloc_array(context, recorder->slots, sizeof *recorder->slot);
    if (recorder->slot == NULL) {
        fb_free(context, recorder);
        return NULL;
    }
    memset(recorder->slot, 0, recorder->slots * sizeof *recorder->slot);
    return recorder;
}

void fb_recorder_free(FbRecorder *recorder)
{
    if (recorder != NULL) {
        FbContext *context = recorder->context;
        fb_free(context, recorder->slot);
        fb_free(context, recorder);
    }
}

typedef struct FillTask {
    FbRecorder *recorder;
    const float *x;
    float inverse; /* 1 / bin width; 0: extremes only */
    bool extremes; /* look for extremes too */
} FillTask;

/* Extremes of a chunk into the slot; a value that is not finite clears `finite`. */
static void chunk_extremes(const FbScanF32Kernel *scan, struct Slot *slot, const float *x, size_t count)
{
    FbRangeF32 range = scan->range(x, count);
    slot->finite = slot->finite && range.nonfinite == 0;
    slot->low = range.low < slot->low ? range.low : slot->low;
    slot->high = range.high > slot->high ? range.high : slot->high;
}

/* The bin of every value; free of branches, so that compilers make vectors of it. */
static void chunk_index(const float *x, size_t count, float inverse, int32_t *index)
{
    const float last = FB_RECORD_HALF - 1;
    for (size_t i = 0; i < count; i++) {
        float t = fabsf(x[i]) * inverse;
        t = t < last ? t : last; /* also NaN; whether the guess was too small is seen from the extremes */
        int32_t negative = -(int32_t)(x[i] < 0);
        index[i] = FB_RECORD_HALF + ((int32_t)t ^ negative); /* k ^ -1 = -1 - k */
    }
}

/* Four banks, because the next value often falls into the same bin and would wait for the last increment. */
static void chunk_bins(struct Slot *slot, const float *x, size_t count, float inverse)
{
    int32_t index[CHUNK];
    chunk_index(x, count, inverse, index);
    size_t i = 0;
    for (; i + BANKS <= count; i += BANKS) {
        slot->banks[0][index[i]]++;
        slot->banks[1][index[i + 1]]++;
        slot->banks[2][index[i + 2]]++;
        slot->banks[3][index[i + 3]]++;
    }
    for (; i < count; i++) {
        slot->banks[0][index[i]]++;
    }
}

static void fill_piece(void *arg, size_t number, size_t begin, size_t end)
{
    const FillTask *task = arg;
    struct Slot *slot = &task->recorder->slot[number];
    for (size_t i = begin; i < end; i += CHUNK) {
        size_t count = end - i < CHUNK ? end - i : CHUNK;
        if (task->extremes) {
            chunk_extremes(task->recorder->scan, slot, task->x + i, count);
        }
        if (task->inverse > 0) {
            chunk_bins(slot, task->x + i, count, task->inverse);
        }
    }
}

static void run_fill(FbRecorder *recorder, const float *x, size_t count, float inverse, bool extremes)
{
    FillTask task = {.recorder = recorder, .x = x, .inverse = inverse, .extremes = extremes};
    fb_parallel(recorder->context, fill_piece, &task, count, PIECE);
}

static void collect_extremes(FbRecorder *recorder, FbRecordDraft *draft)
{
    draft->finite = true;
    draft->low = INFINITY;
    draft->high = -INFINITY;
    for (size_t s = 0; s < recorder->slots; s++) {
        struct Slot *slot = &recorder->slot[s];
        draft->finite = draft->finite && slot->finite;
        draft->low = slot->low < draft->low ? slot->low : draft->low;
        draft->high = slot->high > draft->high ? slot->high : draft->high;
    }
    draft->low += 0.0F; /* -0 becomes 0: which of the two was met first depends on the order */
    draft->high += 0.0F;
}

/* Sums the banks into `bins` (or drops them when NULL) and clears them. Only [first, end) was touched. */
static void collect_bins(FbRecorder *recorder, uint32_t *bins, size_t first, size_t end)
{
    if (bins != NULL) {
        memset(bins + first, 0, (end - first) * sizeof *bins);
    }
    for (size_t s = 0; s < recorder->slots; s++) {
        for (size_t b = 0; b < BANKS; b++) {
            uint32_t *bank = recorder->slot[s].banks[b];
            if (bins != NULL) {
                for (size_t i = first; i < end; i++) {
                    bins[i] += bank[i];
                }
            }
            memset(bank + first, 0, (end - first) * sizeof *bank);
        }
    }
}

void fb_recorder_fill(FbRecorder *recorder, const float *x, size_t count, int exponent, FbRecordDraft *draft)
{
    for (size_t s = 0; s < recorder->slots; s++) {
        recorder->slot[s].low = INFINITY;
        recorder->slot[s].high = -INFINITY;
        recorder->slot[s].finite = true;
    }
    bool guessed = exponent > FB_RECORD_EXPONENT_MIN;
    draft->count = (uint32_t)count;
    run_fill(recorder, x, count, guessed ? ldexpf(1.0F, -exponent) : 0, true);
    collect_extremes(recorder, draft);
    float largest = -draft->low > draft->high ? -draft->low : draft->high;
    int needed = draft->finite && count > 0 ? fb_record_exponent(largest) : FB_RECORD_EXPONENT_MIN;
    if (guessed && (!draft->finite || needed > exponent)) {
        collect_bins(recorder, NULL, 0, FB_RECORD_BINS);
        guessed = false;
    }
    draft->exponent = guessed ? exponent : needed;
    if (!draft->finite || count == 0) {
        return;
    }
    if (!guessed) {
        run_fill(recorder, x, count, ldexpf(1.0F, -needed), false);
    }
    size_t first = 0, end = 0;
    span_of(draft->low, draft->high, draft->exponent, &first, &end);
    collect_bins(recorder, draft->bins, first, end);
}
