/* Value name -> id, see name_table.h. */
#include "graph/name_table.h"

#include <string.h>

typedef struct Slot {
    const char *name; /* NULL: free; id FB_NONE with a name: removed */
    uint64_t hash;
    FbId id;
} Slot;

struct FbNameTable {
    FbContext *context;
    uint64_t salt;
    Slot *slots;
    size_t capacity; /* a power of two */
    size_t used;     /* removed ones included */
};

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    return h;
}

static uint64_t hash_name(const FbNameTable *table, const char *name)
{
    uint64_t h = table->salt;
    size_t length = strlen(name);
    while (length > 0) {
        uint64_t word = 0;
        size_t part = length < 8 ? length : 8;
        memcpy(&word, name, part);
        h = mix((h ^ word) * 0x9E3779B97F4A7C15u + part);
        name += part;
        length -= part;
    }
    return mix(h);
}

FbNameTable *fb_name_table_create(FbContext *context)
{
    FbNameTable *table = fb_alloc_zero(context, sizeof *table);
    if (table != NULL) {
        table->context = context;
        table->salt = mix((uint64_t)(uintptr_t)table * 0x9E3779B97F4A7C15u + 1);
    }
    return table;
}

void fb_name_table_free(FbNameTable *table)
{
    if (table != NULL) {
        fb_free(table->context, table->slots);
        fb_free(table->context, table);
    }
}

static Slot *find_slot(const FbNameTable *table, const char *name, uint64_t hash)
{
    if (table->capacity == 0) {
        return NULL;
    }
    for (size_t i = hash & (table->capacity - 1);; i = (i + 1) & (table->capacity - 1)) {
        Slot *slot = &table->slots[i];
        if (slot->name == NULL || (slot->hash == hash && slot->id != FB_NONE && strcmp(slot->name, name) == 0)) {
            return slot;
        }
    }
}

FbId fb_name_table_find(const FbNameTable *table, const char *name)
{
    const Slot *slot = find_slot(table, name, hash_name(table, name));
    return slot == NULL || slot->name == NULL ? FB_NONE : slot->id;
}

static bool grow(FbNameTable *table)
{
    size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    Slot *slots = fb_alloc_array(table->context, capacity, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0, capacity * sizeof *slots);
    table->used = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].name == NULL || table->slots[i].id == FB_NONE) {
            continue;
        }
        size_t at = table->slots[i].hash & (capacity - 1);
        while (slots[at].name != NULL) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = table->slots[i];
        table->used++;
    }
    fb_free(table->context, table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

bool fb_name_table_add(FbNameTable *table, const char *name, FbId id)
{
    if (table->used * 3 >= table->capacity * 2 && !grow(table)) {
        return false;
    }
    uint64_t hash = hash_name(table, name);
    Slot *slot = find_slot(table, name, hash);
    *slot = (Slot){name, hash, id};
    table->used++;
    return true;
}

void fb_name_table_remove(FbNameTable *table, const char *name)
{
    Slot *slot = find_slot(table, name, hash_name(table, name));
    if (slot != NULL && slot->name != NULL) {
        slot->id = FB_NONE;
    }
}
