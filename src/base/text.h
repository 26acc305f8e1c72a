/* Text: a growing string, escaping of names that come from files, patterns, nearest names. */
#ifndef FB_BASE_TEXT_H
#define FB_BASE_TEXT_H

#include "base/context.h"

/* A growing string. After a refused allocation it stays as it is and `failed` is set: check once at the end. */
typedef struct FbText {
    FbContext *context;
    char *data; /* NUL-terminated once something was added; owned */
    size_t length, capacity;
    bool failed;
} FbText;

void fb_text_init(FbText *text, FbContext *context);
void fb_text_reset(FbText *text);
void fb_text_add(FbText *text, const char *bytes);
void fb_text_add_n(FbText *text, const char *bytes, size_t length);
void fb_text_printf(FbText *text, const char *format, ...) FB_PRINTF(2, 3);
char *fb_text_take(FbText *text); /* ownership to the caller (fb_free); NULL when failed */

/* Copies `name` into out, control characters, escapes and invalid UTF-8 as \xNN, cut with "..." to fit; always NUL-terminated; returns out. */
const char *fb_escape(const char *name, char *out, size_t out_bytes);

/* Glob: * any run (also '/'), ? one character, [abc] sets; the whole name must match. Linear in practice, no recursion. */
bool fb_glob_match(const char *pattern, const char *name);

/* The candidate with the smallest edit distance; where none is near enough to be a typo, the only one that begins so, or NULL. */
const char *fb_nearest_name(const char *name, const char *const *candidates, size_t count);

/* Standard base64 to bytes; freed with fb_free. */
FbStatus fb_base64_decode(FbContext *context, const char *text, size_t length, uint8_t **out, size_t *bytes, FbError *err);

#endif
