/* Packing for vpmaddubsw: finds lanes that could saturate, clips them and collects the excess in fix steps. */
#include "kernels/product_u8s8_pairs.h"

#include <string.h>

#include "kernels/product_u8s8_pack.h"

enum {
    LANE_SUM = 128,
    LANES = 2,                                   /* of a column in a step */
    STEP_BYTES = FB_PAIRS_COLUMNS * FB_U8S8_STEP,
    DISORDER = 2 * FB_U8S8_STEP                  /* entries of one or two steps come column by column */
};

typedef struct Entry { /* excess of one weight */
    uint32_t k;
    uint8_t column;
    int8_t excess;
} Entry;

typedef struct Entries {
    FbContext *context;
    Entry *list;
    size_t count, room;
} Entries;

/* Fix steps under construction. */
typedef struct Steps {
    FbContext *context;
    FbPairsFix *fix;
    uint32_t *window;
    size_t count, room;
} Steps;

static bool entries_grow(Entries *e)
{
    if (e->count < e->room) {
        return true;
    }
    const size_t room = e->room ? 2 * e->room : 1024;
    Entry *list = fb_realloc_array(e->context, e->list, room, sizeof *list);
    if (list) {
        e->list = list;
        e->room = room;
    }
    return list != NULL;
}

static bool steps_grow(Steps *s)
{
    if (s->count < s->room) {
        return true;
    }
    const size_t room = s->room ? 2 * s->room : 64;
    FbPairsFix *fix = fb_realloc_array(s->context, s->fix, room, sizeof *fix);
    s->fix = fix ? fix : s->fix;
    uint32_t *window = fix ? fb_realloc_array(s->context, s->window, room, sizeof *window) : NULL;
    s->window = window ? window : s->window;
    s->room = window ? room : s->room;
    return window != NULL;
}

/* Takes off the weights of one lane what breaks the rule, the largest first. weight[i] stands at depth k[i]. */
static bool clip_lane(int8_t *const weight[4], const size_t k[4], int count, int sign, size_t column, Entries *entries)
{
    int over = -LANE_SUM;
    for (int i = 0; i < count; i++) {
        over += *weight[i] * sign > 0 ? *weight[i] * sign : 0;
    }
    while (over > 0) {
        int most = 0;
        for (int i = 1; i < count; i++) {
            most = *weight[i] * sign > *weight[most] * sign ? i : most;
        }
        const int size = *weight[most] * sign, take = over < size ? over : size;
        if (!entries_grow(entries)) {
            return false;
        }
        entries->list[entries->count++] = (Entry){(uint32_t)k[most], (uint8_t)column, (int8_t)(take * sign)};
        *weight[most] = (int8_t)(*weight[most] - take * sign);
        over -= take;
    }
    return true;
}

/* Whether a lane of `count` weights, two of each step, breaks the rule. */
static bool breaks_rule(const int8_t *lane, int count)
{
    int above = 0, below = 0;
    for (int i = 0; i < count; i++) {
        const int8_t weight = lane[i / 2 * STEP_BYTES + i % 2];
        above += weight > 0 ? weight : 0;
        below += weight < 0 ? weight : 0;
    }
    return above > LANE_SUM || below < -LANE_SUM;
}

static bool clip_at(int8_t *lane, int count, size_t k, size_t column, Entries *entries)
{
    int8_t *weight[4] = {0};
    size_t at[4] = {0};
    for (int i = 0; i < count; i++) {
        weight[i] = lane + i / 2 * STEP_BYTES + i % 2;
        at[i] = k + (size_t)(i / 2 * FB_U8S8_STEP + i % 2);
    }
    return clip_lane(weight, at, count, 1, column, entries) && clip_lane(weight, at, count, -1, column, entries);
}

/* Clips all lanes of one tap; the entries come out in the order of their lanes, which is nearly that of k. */
static bool clip_tap(int8_t *tap, size_t quads, int together, Entries *entries)
{
    for (size_t step = 0; step < quads; step += (size_t)together) {
        const bool both = together == 2 && quads - step > 1;
        for (size_t i = 0; i < FB_PAIRS_COLUMNS * LANES; i++) {
            int8_t *lane = tap + step * STEP_BYTES + 2 * i;
            if (both ? !breaks_rule(lane, 4) : !breaks_rule(lane, 2)) {
                continue;
            }
            if (!clip_at(lane, both ? 4 : 2, step * FB_U8S8_STEP + 2 * (i % LANES), i / LANES, entries)) {
                return false;
            }
        }
    }
    return true;
}

/* A free place for the entry in a column of the step, or -1. */
static int place_for(const FbPairsFix *fix, const Entry *entry)
{
    const int8_t *excess = fix->excess + entry->column * FB_U8S8_STEP;
    for (int lane = 0; lane < LANES; lane++) {
        const int8_t *pair = excess + 2 * lane;
        const bool same_sign = pair[0] && (pair[0] > 0) == (entry->excess > 0);
        const int sum = entry->excess + (same_sign ? pair[0] : 0);
        if (!pair[0] || (!pair[1] && sum <= LANE_SUM && sum >= -LANE_SUM)) {
            return 2 * lane + (pair[0] != 0);
        }
    }
    return -1;
}

/* The lowest depth among the entries that are left, of which list[begin] is the first. */
static uint32_t lowest(const Entries *entries, size_t begin)
{
    uint32_t low = entries->list[begin].k;
    for (size_t i = begin; i < entries->count && entries->list[i].k < entries->list[begin].k + DISORDER; i++) {
        low = entries->list[i].excess && entries->list[i].k < low ? entries->list[i].k : low;
    }
    return low;
}

/* Windows from the first entry that is left on, until none is. An entry that is placed becomes zero. */
static bool place_entries(Entries *entries, size_t padded_depth, Steps *steps)
{
    const uint32_t last = padded_depth > FB_PAIRS_WINDOW ? (uint32_t)(padded_depth - FB_PAIRS_WINDOW) : 0;
    for (size_t begin = 0; begin < entries->count;) {
        if (entries->list[begin].excess == 0) {
            begin++;
            continue;
        }
        const uint32_t low = lowest(entries, begin) / 16 * 16; /* halves that do not cross cache lines where rows are aligned */
        const uint32_t first = low < last ? low : last;
        if (!steps_grow(steps)) {
            return false;
        }
        FbPairsFix *fix = &steps->fix[steps->count];
        memset(fix, 0, sizeof *fix);
        steps->window[steps->count++] = first;
        for (size_t i = begin; i < entries->count && entries->list[i].k < first + FB_PAIRS_WINDOW + DISORDER; i++) {
            Entry *entry = &entries->list[i];
            const int place = entry->excess && entry->k >= first && entry->k < first + FB_PAIRS_WINDOW ? place_for(fix, entry) : -1;
            if (place >= 0) {
                fix->index[entry->column * FB_U8S8_STEP + place] = (uint8_t)(entry->k - first);
                fix->excess[entry->column * FB_U8S8_STEP + place] = entry->excess;
                entry->excess = 0;
            }
        }
    }
    return true;
}

/* One panel clipped one way. */
typedef struct Trial {
    int8_t *panel;
    uint32_t *end;
    Steps steps;
    size_t cost;
} Trial;

static bool try_panel(const FbPackedU8S8 *packed, const int8_t *panel, bool together, Entries *entries, Trial *trial)
{
    const size_t quads = (packed->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP;
    memcpy(trial->panel, panel, packed->panel_bytes);
    trial->steps.count = 0;
    for (size_t tap = 0; tap < packed->taps; tap++) {
        entries->count = 0;
        if (!clip_tap(trial->panel + tap * quads * STEP_BYTES, quads, together ? 2 : 1, entries) ||
            !place_entries(entries, quads * FB_U8S8_STEP, &trial->steps)) {
            return false;
        }
        trial->end[tap] = (uint32_t)trial->steps.count;
    }
    const size_t per_tap = together ? quads / 2 * 2 * FB_PAIRS_COST_QUAD_STEP + quads % 2 * FB_PAIRS_COST_PAIR_STEP : quads * FB_PAIRS_COST_PAIR_STEP;
    trial->cost = packed->taps * per_tap + trial->steps.count * FB_PAIRS_COST_FIX;
    return true;
}

/* Puts the trial in place of the panel. */
static bool keep_trial(FbArena *arena, const FbPackedU8S8 *packed, const Trial *trial, bool together, int8_t *panel, FbPairsPanel *fixup)
{
    memcpy(panel, trial->panel, packed->panel_bytes);
    fixup->quads = together;
    if (!trial->steps.count) {
        return true;
    }
    uint32_t *end = fb_arena_array(arena, packed->taps, sizeof *end), *window = fb_arena_array(arena, trial->steps.count, sizeof *window);
    FbPairsFix *fix = fb_arena_array(arena, trial->steps.count, sizeof *fix);
    if (!end || !window || !fix) {
        return false;
    }
    memcpy(end, trial->end, packed->taps * sizeof *end);
    memcpy(window, trial->steps.window, trial->steps.count * sizeof *window);
    memcpy(fix, trial->steps.fix, trial->steps.count * sizeof *fix);
    *fixup = (FbPairsPanel){together, end, window, fix};
    return true;
}

static bool fix_panel(FbArena *arena, const FbPackedU8S8 *packed, int8_t *panel, Entries *entries, Trial trials[2], FbPairsPanel *fixup)
{
    if (!try_panel(packed, panel, true, entries, &trials[1])) {
        return false;
    }
    bool together = true;
    const size_t quads = (packed->depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP;
    if (trials[1].cost > packed->taps * quads * FB_PAIRS_COST_PAIR_STEP) { /* else pairs cannot cost less */
        if (!try_panel(packed, panel, false, entries, &trials[0])) {
            return false;
        }
        together = trials[1].cost <= trials[0].cost;
    }
    return keep_trial(arena, packed, &trials[together], together, panel, fixup);
}

FbStatus fb_product_u8s8_pack_pairs(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                                    size_t depth, size_t cols, FbPackedU8S8 *packed, FbError *err)
{
    if (depth > UINT32_MAX / 2 || (depth != 0 && taps > UINT32_MAX / 2 / depth)) { /* steps are counted in 32 bits */
        return fb_error_set(err, FB_ERR_BUDGET, "packed weights: a depth of %zu x %zu is too large", taps, depth);
    }
    FB_TRY(fb_product_u8s8_pack(context, arena, w, depth_stride, col_stride, taps, depth, cols, FB_PAIRS_COLUMNS, packed, err));
    Entries entries = {.context = context};
    Trial trials[2] = {{.steps.context = context}, {.steps.context = context}};
    bool done = true;
    for (int i = 0; i < 2; i++) {
        trials[i].panel = fb_alloc(context, packed->panel_bytes);
        trials[i].end = fb_alloc_array(context, taps, sizeof *trials[i].end);
        done = done && trials[i].panel && trials[i].end;
    }
    FbPairsPanel *fixup = fb_arena_array(arena, packed->panel_count ? packed->panel_count : 1, sizeof *fixup);
    done = done && fixup;
    for (size_t panel = 0; done && panel < packed->panel_count; panel++) {
        int8_t *own = (int8_t *)packed->panels + panel * packed->panel_bytes; /* the arena's, written just now */
        done = fix_panel(arena, packed, own, &entries, trials, &fixup[panel]);
    }
    packed->fixup = fixup;
    for (int i = 0; i < 2; i++) {
        fb_free(context, trials[i].panel);
        fb_free(context, trials[i].end);
        fb_free(context, trials[i].steps.fix);
        fb_free(context, trials[i].steps.window);
    }
    fb_free(context, entries.list);
    return done ? FB_OK : fb_error_memory(context, err, "packed weights", packed->panel_bytes);
}
