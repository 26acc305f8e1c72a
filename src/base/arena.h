/* Memory that is freed all at once. Under AddressSanitizer every piece is a block of its own, so that overruns show. */
#ifndef FB_BASE_ARENA_H
#define FB_BASE_ARENA_H

#include "base/context.h"

typedef struct FbArena FbArena;

FbArena *fb_arena_create(FbContext *context);  /* NULL: no memory */
void fb_arena_free(FbArena *arena);            /* NULL is fine */
void *fb_arena_alloc(FbArena *arena, size_t bytes);       /* zeroed, 64-byte aligned when bytes >= 64, else 16; NULL when refused */
void *fb_arena_array(FbArena *arena, size_t count, size_t element); /* zeroed; NULL on overflow too */
char *fb_arena_strdup(FbArena *arena, const char *text);
char *fb_arena_strndup(FbArena *arena, const char *text, size_t length); /* a NUL is added */
char *fb_arena_printf(FbArena *arena, const char *format, ...) FB_PRINTF(2, 3);
FbContext *fb_arena_context(const FbArena *arena);

#endif
