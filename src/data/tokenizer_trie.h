/* Byte strings to numbers: exact look-up and all prefixes of a text. */
#ifndef FB_DATA_TOKENIZER_TRIE_H
#define FB_DATA_TOKENIZER_TRIE_H

#include "base/context.h"

typedef struct FbTrieEntry {
    const char *data;
    uint32_t bytes;
    int32_t value; /* >= 0 */
} FbTrieEntry;

/* Nodes by levels; the children of a node are [first[node], first[node + 1]), ordered by label. */
typedef struct FbTrie {
    uint32_t *first;
    uint8_t *label;
    int32_t *value; /* -1: no string ends here */
    uint32_t count; /* 0: nothing in it */
    uint32_t root[256]; /* children of the root, 0: none */
} FbTrie;

/* Sorts `entries`, which are needed no longer. Of equal strings the one with the smallest value counts; empty strings are left out. */
FbStatus fb_trie_build(FbContext *context, FbTrieEntry *entries, size_t count, FbTrie *trie, FbError *err);
void fb_trie_reset(FbContext *context, FbTrie *trie);

/* The child of `node` under `byte`; 0: none. */
static inline uint32_t fb_trie_step(const FbTrie *trie, uint32_t node, uint8_t byte)
{
    if (node == 0) {
        return trie->root[byte];
    }
    uint32_t low = trie->first[node], end = trie->first[node + 1], high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (trie->label[middle] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && trie->label[low] == byte ? low : 0;
}

/* -1: not there. */
int32_t fb_trie_find(const FbTrie *trie, const char *data, size_t bytes);
/* The longest string that `data` begins with; its length in *length. -1: none. */
int32_t fb_trie_longest(const FbTrie *trie, const char *data, size_t bytes, size_t *length);

#endif
