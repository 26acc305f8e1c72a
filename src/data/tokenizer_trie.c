/* Building and asking a trie, see tokenizer_trie.h. */
#include "data/tokenizer_trie.h"

#include <stdlib.h>
#include <string.h>

typedef struct TrieRange { /* entries below a node, by index */
    uint32_t begin, end, depth;
} TrieRange;

typedef struct TrieBuilder {
    FbContext *context;
    const FbTrieEntry *entries;
    FbTrie *trie;
    TrieRange *ranges;
    uint32_t capacity;
    uint64_t wanted; /* bytes of a refused allocation */
} TrieBuilder;

static int by_bytes(const void *left, const void *right)
{
    const FbTrieEntry *a = left, *b = right;
    int order = memcmp(a->data, b->data, a->bytes < b->bytes ? a->bytes : b->bytes);
    if (order != 0) {
        return order;
    }
    if (a->bytes != b->bytes) {
        return a->bytes < b->bytes ? -1 : 1;
    }
    return a->value < b->value ? -1 : a->value > b->value;
}

static bool resize(TrieBuilder *builder, uint32_t capacity)
{
    FbTrie *trie = builder->trie;
    struct { void **pointer; size_t element; size_t more; } arrays[] = {
        {(void **)&trie->first, sizeof *trie->first, 1},
        {(void **)&trie->label, sizeof *trie->label, 0},
        {(void **)&trie->value, sizeof *trie->value, 0},
        {(void **)&builder->ranges, sizeof *builder->ranges, 0},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        void *grown = fb_realloc_array(builder->context, *arrays[i].pointer, capacity + arrays[i].more, arrays[i].element);
        if (grown == NULL) {
            builder->wanted = (uint64_t)capacity * arrays[i].element;
            return false;
        }
        *arrays[i].pointer = grown;
    }
    builder->capacity = capacity;
    return true;
}

static bool add_node(TrieBuilder *builder, uint8_t label, TrieRange range)
{
    FbTrie *trie = builder->trie;
    if ((trie->count == builder->capacity || builder->ranges == NULL) && !resize(builder, builder->capacity == 0 ? 256 : 2 * builder->capacity)) {
        return false;
    }
    trie->label[trie->count] = label;
    trie->value[trie->count] = -1;
    builder->ranges[trie->count++] = range;
    return true;
}

/* Nodes are made level by level, so that brothers stand together and ordered. */
static bool make_children(TrieBuilder *builder, uint32_t node)
{
    TrieRange range = builder->ranges[node];
    const FbTrieEntry *entries = builder->entries;
    uint32_t at = range.begin;
    if (entries[at].bytes == range.depth) {
        builder->trie->value[node] = entries[at].value;
        while (at < range.end && entries[at].bytes == range.depth) {
            at++;
        }
    }
    builder->trie->first[node] = builder->trie->count;
    while (at < range.end) {
        uint8_t label = (uint8_t)entries[at].data[range.depth];
        uint32_t begin = at;
        while (at < range.end && (uint8_t)entries[at].data[range.depth] == label) {
            at++;
        }
        if (!add_node(builder, label, (TrieRange){begin, at, range.depth + 1})) {
            return false;
        }
    }
    return true;
}

FbStatus fb_trie_build(FbContext *context, FbTrieEntry *entries, size_t count, FbTrie *trie, FbError *err)
{
    uint64_t total = 0;
    TrieBuilder builder = {context, entries, trie, NULL, 0, 0};
    *trie = (FbTrie){0};
    for (size_t i = 0; i < count; i++) {
        total += entries[i].bytes;
    }
    if (count == 0 || total == 0) {
        return FB_OK;
    }
    if (count > INT32_MAX || total > INT32_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "tokens of %llu bytes together are too many", (unsigned long long)total);
    }
    qsort(entries, count, sizeof *entries, by_bytes);
    uint32_t begin = 0;
    while (entries[begin].bytes == 0) {
        begin++;
    }
    bool ok = add_node(&builder, 0, (TrieRange){begin, (uint32_t)count, 0});
    for (uint32_t node = 0; ok && node < trie->count; node++) {
        ok = make_children(&builder, node);
    }
    if (ok) {
        trie->first[trie->count] = trie->count;
        uint32_t end = trie->count > 1 ? trie->first[1] : 1;
        for (uint32_t child = 1; child < end; child++) {
            trie->root[trie->label[child]] = child;
        }
    } else {
        fb_trie_reset(context, trie);
    }
    fb_free(context, builder.ranges);
    return ok ? FB_OK : fb_error_memory(context, err, "a table of tokens", builder.wanted);
}

void fb_trie_reset(FbContext *context, FbTrie *trie)
{
    fb_free(context, trie->first);
    fb_free(context, trie->label);
    fb_free(context, trie->value);
    *trie = (FbTrie){0};
}

int32_t fb_trie_find(const FbTrie *trie, const char *data, size_t bytes)
{
    uint32_t node = 0;
    if (bytes == 0) {
        return -1;
    }
    for (size_t i = 0; i < bytes; i++) {
        node = fb_trie_step(trie, node, (uint8_t)data[i]);
        if (node == 0) {
            return -1;
        }
    }
    return trie->value[node];
}

int32_t fb_trie_longest(const FbTrie *trie, const char *data, size_t bytes, size_t *length)
{
    uint32_t node = 0;
    int32_t best = -1;
    for (size_t i = 0; i < bytes; i++) {
        node = fb_trie_step(trie, node, (uint8_t)data[i]);
        if (node == 0) {
            break;
        }
        if (trie->value[node] >= 0) {
            best = trie->value[node];
            *length = i + 1;
        }
    }
    return best;
}
