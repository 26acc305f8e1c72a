/* Text: growing strings, escaping, patterns, nearest names. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

void fb_text_init(FbText *text, FbContext *context)
{
    *text = (FbText){.context = context};
}

void fb_text_reset(FbText *text)
{
    fb_free(text->context, text->data);
    fb_text_init(text, text->context);
}

static bool make_room(FbText *text, size_t more)
{
    size_t needed;
    if (text->failed || !fb_add_size(text->length, more, &needed) || !fb_add_size(needed, 1, &needed)) {
        text->failed = true;
        return false;
    }
    if (text->data && needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : 2 * capacity;
    }
    char *grown = fb_realloc_array(text->context, text->data, capacity, 1);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

void fb_text_add_n(FbText *text, const char *bytes, size_t length)
{
    if (make_room(text, length)) {
        if (length) {
            memcpy(text->data + text->length, bytes, length);
        }
        text->length += length;
        text->data[text->length] = '\0';
    }
}

void fb_text_add(FbText *text, const char *bytes)
{
    fb_text_add_n(text, bytes, strlen(bytes));
}

void fb_text_printf(FbText *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (make_room(text, (size_t)length)) {
        va_start(args, format);
        vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
        va_end(args);
        text->length += (size_t)length;
    }
}

char *fb_text_take(FbText *text)
{
    if (!text->failed && !text->data) {
        fb_text_add(text, "");
    }
    if (text->failed) {
        fb_text_reset(text);
        return NULL;
    }
    char *data = text->data;
    fb_text_init(text, text->context);
    return data;
}

/* Length of the well-formed UTF-8 character at `s` that is safe to show; 0 for control characters (C0, DEL, C1), bidirectional
 * overrides and malformed bytes. */
static size_t shown_length(const unsigned char *s)
{
    if (s[0] < 0x80) {
        return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
    }
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    uint32_t point = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (s[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool malformed = point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff);
    bool control = point < 0xa0 || (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0x200e ||
                   point == 0x200f || point == 0x2028 || point == 0x2029;
    return malformed || control ? 0 : length;
}

const char *fb_escape(const char *name, char *out, size_t out_bytes)
{
    if (out_bytes == 0) {
        return out;
    }
    size_t used = 0, mark = 0; /* mark: where "..." would still fit */
    for (const unsigned char *s = (const unsigned char *)name; *s;) {
        char piece[8];
        size_t length = shown_length(s), taken = length ? length : 1;
        if (length) {
            memcpy(piece, s, length);
        } else {
            length = (size_t)snprintf(piece, sizeof piece, "\\x%02x", *s);
        }
        if (used + length >= out_bytes) {
            const char *dots = "...";
            size_t room = out_bytes - 1 - mark;
            memcpy(out + mark, dots, room < 3 ? room : 3);
            out[mark + (room < 3 ? room : 3)] = '\0';
            return out;
        }
        memcpy(out + used, piece, length);
        used += length;
        if (used + 3 < out_bytes) {
            mark = used;
        }
        s += taken;
    }
    out[used] = '\0';
    return out;
}

/* One [set] at *pattern (just behind '['): whether `c` is in it; *pattern moves behind ']'. An unclosed set matches nothing. */
static bool in_set(const char **pattern, unsigned char c)
{
    const unsigned char *p = (const unsigned char *)*pattern;
    bool negate = *p == '!' || *p == '^', found = false, first = true;
    p += negate;
    while (*p && (first || *p != ']')) {
        first = false;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            found = found || (p[0] <= c && c <= p[2]);
            p += 3;
        } else {
            found = found || *p == c;
            p++;
        }
    }
    if (!*p) {
        *pattern = (const char *)p;
        return false;
    }
    *pattern = (const char *)p + 1;
    return found != negate;
}

bool fb_glob_match(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL; /* the last star and where its run ends so far: earlier stars need no second look */
    for (;;) {
        const char *next = pattern;
        bool match = false;
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        if (!*name) {
            return !*pattern;
        }
        if (*pattern == '?') {
            match = true;
            next = pattern + 1;
        } else if (*pattern == '[') {
            next = pattern + 1;
            match = in_set(&next, (unsigned char)*name);
        } else if (*pattern) {
            match = *pattern == *name;
            next = pattern + 1;
        }
        if (match) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
}

enum { NEAR_LENGTH = 64 };

/* Edit distance with swaps of neighbours (optimal string alignment), both lengths <= NEAR_LENGTH. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][NEAR_LENGTH + 1];
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *fb_nearest_name(const char *name, const char *const *candidates, size_t count)
{
    size_t length = strlen(name), best = SIZE_MAX;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        if (length > NEAR_LENGTH || other > NEAR_LENGTH) {
            continue;
        }
        size_t distance = edit_distance(name, length, candidates[i], other);
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    /* A third of the letters may be wrong: "int8-statc" is a typo, "foo" is not one of "bar". */
    if (nearest && best <= length / 3) {
        return nearest;
    }
    const char *longer = NULL; /* the only one that begins so: "temp" */
    for (size_t i = 0; i < count && length >= 2; i++) {
        if (strncmp(candidates[i], name, length) == 0) {
            if (longer) {
                return NULL;
            }
            longer = candidates[i];
        }
    }
    return longer;
}
