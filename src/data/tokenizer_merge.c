/* The table of merges and the merging, see tokenizer_merge.h. Short words are searched for the best pair again and again, which is fastest for
 * the few symbols that words have; long ones keep their pairs in a heap. */
#include "data/tokenizer_merge.h"

#include <string.h>

enum { SHORT_WORD = 24, PROBES_MAX = 256, SEEDS = 16 };

static inline uint64_t mix(uint64_t pair, uint64_t seed)
{
    pair ^= seed;
    pair ^= pair >> 31;
    pair *= 0x9e3779b97f4a7c15u;
    pair ^= pair >> 29;
    pair *= 0xbf58476d1ce4e5b9u;
    return pair ^ (pair >> 32);
}

static inline const FbMerge *find(const FbMergeTable *table, uint32_t left, uint32_t right)
{
    uint64_t mask = table->capacity - 1;
    for (uint64_t i = mix((uint64_t)left << 32 | right, table->seed) & mask;; i = (i + 1) & mask) {
        const FbMerge *slot = &table->slots[i];
        if (slot->result == UINT32_MAX || (slot->left == left && slot->right == right)) {
            return slot;
        }
    }
}

/* A pair that is not there is looked for up to the end of a run of slots in use. */
static bool has_long_run(const FbMergeTable *table)
{
    size_t run = 0;
    for (size_t i = 0; i < table->capacity + PROBES_MAX && run <= PROBES_MAX; i++) {
        run = table->slots[i & (table->capacity - 1)].result != UINT32_MAX ? run + 1 : 0;
    }
    return run > PROBES_MAX;
}

/* False: some pair would be looked for too long under this seed. */
static bool fill(FbMergeTable *table, const FbMerge *merges, size_t count)
{
    uint64_t mask = table->capacity - 1;
    for (size_t i = 0; i < table->capacity; i++) {
        table->slots[i] = (FbMerge){0, 0, UINT32_MAX, UINT32_MAX};
    }
    for (size_t i = 0; i < count; i++) {
        const FbMerge *merge = &merges[i];
        uint64_t at = mix((uint64_t)merge->left << 32 | merge->right, table->seed) & mask;
        int probes = 0;
        while (table->slots[at].result != UINT32_MAX && (table->slots[at].left != merge->left || table->slots[at].right != merge->right)) {
            if (++probes > PROBES_MAX) {
                return false;
            }
            at = (at + 1) & mask;
        }
        if (table->slots[at].result == UINT32_MAX) {
            table->slots[at] = *merge;
        }
    }
    return !has_long_run(table);
}

FbStatus fb_merge_table_build(FbContext *context, const FbMerge *merges, size_t count, FbMergeTable *table, FbError *err)
{
    *table = (FbMergeTable){.capacity = 16};
    if (count > (size_t)1 << 28) {
        return fb_error_set(err, FB_ERR_BUDGET, "%zu merges are too many", count);
    }
    while (table->capacity < 2 * count) {
        table->capacity *= 2;
    }
    table->slots = fb_alloc_array(context, table->capacity, sizeof *table->slots);
    if (table->slots == NULL) {
        return fb_error_memory(context, err, "merges", (uint64_t)table->capacity * sizeof *table->slots);
    }
    /* Pairs chosen to collide cannot do so under every seed by chance: then the file means harm. */
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        table->seed = seed * 0xd1342543de82ef95u;
        if (fill(table, merges, count)) {
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_BUDGET, "the merges cannot be made into a table: their ids collide");
}

void fb_merge_table_reset(FbContext *context, FbMergeTable *table)
{
    fb_free(context, table->slots);
    *table = (FbMergeTable){0};
}

static inline void rate(const FbMergeTable *table, FbSymbol *symbol, uint32_t right)
{
    const FbMerge *merge = find(table, symbol->id, right);
    symbol->rank = merge->rank;
    symbol->result = merge->result;
}

static void run_short(const FbMergeTable *table, FbMergeWork *work)
{
    FbSymbol *symbols = work->symbols.items;
    size_t count = work->symbols.count;
    for (size_t i = 0; i + 1 < count; i++) {
        rate(table, &symbols[i], symbols[i + 1].id);
    }
    symbols[count - 1].rank = UINT32_MAX;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < count; i++) {
            best = symbols[i].rank < symbols[best].rank ? i : best;
        }
        if (symbols[best].rank == UINT32_MAX) {
            break;
        }
        symbols[best].id = symbols[best].result;
        memmove(&symbols[best + 1], &symbols[best + 2], (count - best - 2) * sizeof *symbols);
        count--;
        symbols[best].rank = UINT32_MAX;
        if (best + 1 < count) {
            rate(table, &symbols[best], symbols[best + 1].id);
        }
        if (best > 0) {
            rate(table, &symbols[best - 1], symbols[best].id);
        }
    }
    work->symbols.count = count;
}

/* ---- long words ---- */

static inline bool before(const FbMergeTurn *a, const FbMergeTurn *b) { return a->rank != b->rank ? a->rank < b->rank : a->at < b->at; }

static bool heap_push(FbContext *context, FbMergeWork *work, FbMergeTurn turn)
{
    if (work->heap.count == work->heap.capacity && !fb_array_grow(context, &work->heap)) {
        return false;
    }
    FbMergeTurn *items = work->heap.items;
    size_t at = work->heap.count++;
    while (at > 0 && before(&turn, &items[(at - 1) / 2])) {
        items[at] = items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    items[at] = turn;
    return true;
}

static FbMergeTurn heap_pop(FbMergeWork *work)
{
    FbMergeTurn *items = work->heap.items;
    FbMergeTurn top = items[0], last = items[--work->heap.count];
    size_t count = work->heap.count, at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && before(&items[child + 1], &items[child])) {
            child++;
        }
        if (child >= count || !before(&items[child], &last)) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    if (count > 0) {
        items[at] = last;
    }
    return top;
}

static bool offer(FbContext *context, const FbMergeTable *table, FbMergeWork *work, uint32_t at)
{
    FbSymbol *symbol = &work->symbols.items[at];
    if (symbol->next == UINT32_MAX) {
        return true;
    }
    uint32_t right = work->symbols.items[symbol->next].id;
    const FbMerge *merge = find(table, symbol->id, right);
    return merge->rank == UINT32_MAX || heap_push(context, work, (FbMergeTurn){merge->rank, at, symbol->id, right});
}

static bool run_long(FbContext *context, const FbMergeTable *table, FbMergeWork *work)
{
    FbSymbol *symbols = work->symbols.items;
    uint32_t count = (uint32_t)work->symbols.count;
    work->heap.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        symbols[i].previous = i == 0 ? UINT32_MAX : i - 1;
        symbols[i].next = i + 1 < count ? i + 1 : UINT32_MAX;
    }
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (!offer(context, table, work, i)) {
            return false;
        }
    }
    while (work->heap.count > 0) {
        FbMergeTurn turn = heap_pop(work);
        FbSymbol *left = &symbols[turn.at];
        /* A turn is stale when either of its symbols has changed since. A symbol that went into another has id UINT32_MAX. */
        if (left->id != turn.left || left->next == UINT32_MAX || symbols[left->next].id != turn.right) {
            continue;
        }
        FbSymbol *right = &symbols[left->next];
        left->id = find(table, turn.left, turn.right)->result;
        right->id = UINT32_MAX;
        left->next = right->next;
        if (left->next != UINT32_MAX) {
            symbols[left->next].previous = turn.at;
        }
        if (!offer(context, table, work, turn.at) || (left->previous != UINT32_MAX && !offer(context, table, work, left->previous))) {
            return false;
        }
    }
    size_t kept = 0;
    for (uint32_t at = 0; at != UINT32_MAX;) {
        uint32_t next = symbols[at].next;
        symbols[kept++].id = symbols[at].id;
        at = next;
    }
    work->symbols.count = kept;
    return true;
}

bool fb_merge_run(FbContext *context, const FbMergeTable *table, FbMergeWork *work)
{
    if (work->symbols.count < 2 || table->capacity == 0) {
        return true;
    }
    if (work->symbols.count <= SHORT_WORD) {
        run_short(table, work);
        return true;
    }
    return run_long(context, table, work);
}

void fb_merge_work_reset(FbContext *context, FbMergeWork *work)
{
    fb_array_free(context, &work->symbols);
    fb_array_free(context, &work->heap);
}
