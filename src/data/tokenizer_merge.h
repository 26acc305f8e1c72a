/* Byte pair encoding proper: which two neighbours become one, and doing it until none do. */
#ifndef FB_DATA_TOKENIZER_MERGE_H
#define FB_DATA_TOKENIZER_MERGE_H

#include "base/array.h"

typedef struct FbMerge {
    uint32_t left, right, result;
    uint32_t rank; /* smaller merges first; of equal ranks the leftmost pair */
} FbMerge;

typedef struct FbMergeTable {
    FbMerge *slots; /* open addressing; result UINT32_MAX: empty */
    size_t capacity;
    uint64_t seed;
} FbMergeTable;

/* Of equal pairs the one that comes first in `merges` counts. */
FbStatus fb_merge_table_build(FbContext *context, const FbMerge *merges, size_t count, FbMergeTable *table, FbError *err);
void fb_merge_table_reset(FbContext *context, FbMergeTable *table);

typedef struct FbSymbol {
    uint32_t id;
    uint32_t rank, result;     /* of the merge with the next one; rank UINT32_MAX: none */
    uint32_t previous, next;   /* in long words */
} FbSymbol;

typedef struct FbMergeTurn {   /* in the heap of a long word */
    uint32_t rank, at, left, right;
} FbMergeTurn;

typedef struct FbMergeWork {
    FB_ARRAY(FbSymbol) symbols;
    FB_ARRAY(FbMergeTurn) heap;
} FbMergeWork;

/* Adds a symbol; false: no memory. */
static inline bool fb_merge_push(FbContext *context, FbMergeWork *work, uint32_t id)
{
    if (work->symbols.count == work->symbols.capacity && !fb_array_grow(context, &work->symbols)) {
        return false;
    }
    work->symbols.items[work->symbols.count++].id = id;
    return true;
}

/* Merges the symbols in place; their count shrinks. At most 2^31 symbols. n log n in time. False: no memory. */
bool fb_merge_run(FbContext *context, const FbMergeTable *table, FbMergeWork *work);
void fb_merge_work_reset(FbContext *context, FbMergeWork *work);

#endif
