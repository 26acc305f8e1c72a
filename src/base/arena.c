/* The arena: chunks that grow, big pieces in chunks of their own. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SEPARATE_PIECES = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SEPARATE_PIECES = 1 };
#else
enum { SEPARATE_PIECES = 0 };
#endif
#else
enum { SEPARATE_PIECES = 0 };
#endif

enum { CHUNK_FIRST = 4096, CHUNK_MAX = 1 << 20, LINE = 64, SMALL_ALIGNMENT = 16 };

typedef struct Chunk {
    struct Chunk *next;
    size_t capacity, used;
    size_t padding[5];
    /* bytes follow, on a line of their own */
} Chunk;
_Static_assert(sizeof(Chunk) == LINE, "the bytes of a chunk start aligned");

struct FbArena {
    FbContext *context;
    Chunk *chunks; /* the first one has room */
    size_t next_capacity;
};

FbArena *fb_arena_create(FbContext *context)
{
    FbArena *arena = fb_alloc_zero(context, sizeof *arena);
    if (arena) {
        arena->context = context;
        arena->next_capacity = CHUNK_FIRST;
    }
    return arena;
}

void fb_arena_free(FbArena *arena)
{
    if (!arena) {
        return;
    }
    FbContext *context = arena->context;
    for (Chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        fb_free(context, chunk);
    }
    fb_free(context, arena);
}

static Chunk *chunk_create(FbArena *arena, size_t capacity)
{
    size_t total;
    if (!fb_add_size(capacity, sizeof(Chunk), &total)) {
        return NULL;
    }
    Chunk *chunk = fb_alloc(arena->context, total);
    if (chunk) {
        memset(chunk, 0, sizeof *chunk);
        chunk->capacity = capacity;
    }
    return chunk;
}

/* A piece in a chunk of its own goes behind the first chunk, whose room stays in use. */
static void *alone(FbArena *arena, size_t bytes)
{
    Chunk *chunk = chunk_create(arena, bytes);
    if (!chunk) {
        return NULL;
    }
    chunk->used = bytes;
    if (arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        arena->chunks = chunk;
    }
    return memset(chunk + 1, 0, bytes);
}

void *fb_arena_alloc(FbArena *arena, size_t bytes)
{
    size_t alignment = bytes >= LINE ? LINE : SMALL_ALIGNMENT;
    if (SEPARATE_PIECES || bytes > arena->next_capacity / 4) {
        return alone(arena, bytes);
    }
    Chunk *chunk = arena->chunks;
    size_t start = chunk ? (chunk->used + alignment - 1) / alignment * alignment : 0;
    if (!chunk || start > chunk->capacity || chunk->capacity - start < bytes) {
        chunk = chunk_create(arena, arena->next_capacity);
        if (!chunk) {
            return NULL;
        }
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->next_capacity = arena->next_capacity < CHUNK_MAX ? 2 * arena->next_capacity : CHUNK_MAX;
        start = 0;
    }
    chunk->used = start + bytes;
    return memset((char *)(chunk + 1) + start, 0, bytes);
}

void *fb_arena_array(FbArena *arena, size_t count, size_t element)
{
    size_t bytes;
    return fb_mul_size(count, element, &bytes) ? fb_arena_alloc(arena, bytes) : NULL;
}

char *fb_arena_strndup(FbArena *arena, const char *text, size_t length)
{
    size_t bytes;
    char *copy = fb_add_size(length, 1, &bytes) ? fb_arena_alloc(arena, bytes) : NULL;
    if (copy && length) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *fb_arena_strdup(FbArena *arena, const char *text)
{
    return fb_arena_strndup(arena, text, strlen(text));
}

char *fb_arena_printf(FbArena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length >= 0 ? fb_arena_alloc(arena, (size_t)length + 1) : NULL;
    if (text) {
        va_start(args, format);
        vsnprintf(text, (size_t)length + 1, format, args);
        va_end(args);
    }
    return text;
}

FbContext *fb_arena_context(const FbArena *arena)
{
    return arena->context;
}
