/* Reading and applying a map of characters, see tokenizer_charsmap.h. The trie is that of darts-clone. */
#include "data/tokenizer_charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "data/tokenizer_unicode.h"

enum { GRAPHEME_MAX = 6, SEQUENCE_MAX = 256 }; /* longer sequences would make a text quadratic in time */

struct FbCharsmap {
    uint32_t *units;
    uint32_t unit_count;
    char *texts; /* ends with a NUL */
    size_t text_bytes;
};

static uint32_t little(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

FbStatus fb_charsmap_read(FbArena *arena, const uint8_t *data, size_t bytes, FbCharsmap **out, FbError *err)
{
    if (bytes < 8 || little(data) > bytes - 4 || little(data) < 4 || little(data) % 4 != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "the map of characters is cut or damaged: %zu bytes", bytes);
    }
    uint32_t trie = little(data);
    FbCharsmap *map = fb_arena_alloc(arena, sizeof *map);
    size_t text_bytes = bytes - 4 - trie;
    uint32_t *units = fb_arena_array(arena, trie / 4, sizeof *units);
    char *texts = fb_arena_alloc(arena, text_bytes + 1);
    if (map == NULL || units == NULL || texts == NULL) {
        return fb_error_memory(fb_arena_context(arena), err, "a map of characters", bytes);
    }
    for (uint32_t i = 0; i < trie / 4; i++) {
        units[i] = little(data + 4 + 4 * (size_t)i);
    }
    memcpy(texts, data + 4 + trie, text_bytes);
    if (fb_utf8_valid(texts, text_bytes) != text_bytes) { /* what follows takes normalized text for valid */
        return fb_error_set(err, FB_ERR_FORMAT, "the map of characters has a text that is no UTF-8, at byte %zu", fb_utf8_valid(texts, text_bytes));
    }
    *map = (FbCharsmap){units, trie / 4, texts, text_bytes + 1};
    *out = map;
    return FB_OK;
}

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

/* The replacement of the first (or longest) sequence that `text` begins with, and its length; NULL: none. */
static const char *match(const FbCharsmap *map, const char *text, size_t bytes, bool longest, size_t *length)
{
    uint32_t node = 0, unit = map->units[0];
    const char *best = NULL;
    node ^= offset_of(unit);
    for (size_t i = 0; i < bytes && i < SEQUENCE_MAX; i++) {
        uint8_t byte = (uint8_t)text[i];
        node ^= byte;
        if (byte == 0 || node >= map->unit_count) {
            break;
        }
        unit = map->units[node];
        if ((unit & (1u << 31 | 0xff)) != byte) {
            break;
        }
        node ^= offset_of(unit);
        if (((unit >> 8) & 1) != 0) {
            uint32_t place = node < map->unit_count ? map->units[node] & 0x7fffffff : UINT32_MAX;
            if (place >= map->text_bytes || ((uint8_t)map->texts[place] & 0xc0) == 0x80) { /* not inside a character */
                break;
            }
            best = map->texts + place;
            *length = i + 1;
            if (!longest) {
                break;
            }
        }
    }
    return best;
}

const char *fb_charsmap_longest(const FbCharsmap *map, const char *text, size_t bytes, size_t *length)
{
    return match(map, text, bytes, true, length);
}

static void apply_grapheme(const FbCharsmap *map, const char *text, size_t bytes, size_t most, FbText *out)
{
    size_t length;
    const char *to = bytes < GRAPHEME_MAX ? match(map, text, bytes, false, &length) : NULL;
    if (to != NULL) {
        fb_text_add(out, to);
        return;
    }
    for (size_t at = 0; at < bytes && out->length <= most;) {
        size_t start = at;
        (void)fb_utf8_next(text, &at);
        to = match(map, text + start, at - start, false, &length);
        if (to != NULL) {
            fb_text_add(out, to);
        } else {
            fb_text_add_n(out, text + start, at - start);
        }
    }
}

void fb_charsmap_apply(const FbCharsmap *map, const char *text, size_t bytes, size_t most, FbText *out)
{
    for (size_t at = 0; at < bytes && out->length <= most;) {
        size_t start = at;
        utf8proc_int32_t state = 0;
        uint32_t code = fb_utf8_next(text, &at);
        while (at < bytes) {
            size_t next = at;
            uint32_t after = fb_utf8_next(text, &next);
            if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)after, &state)) {
                break;
            }
            code = after;
            at = next;
        }
        apply_grapheme(map, text + start, at - start, most, out);
    }
}
