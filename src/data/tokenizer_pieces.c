/* SentencePiece's normalizer: the map of characters and what is done about spaces, in one walk. Tokens that are looked for as they stand are left
 * alone by the map. */
#include <string.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

/* What the start of `text` becomes, in *to and *count; returns the bytes of it that this takes. */
static size_t normalize_start(const FbTokenWork *work, const FbNormalStep *step, const char *text, size_t bytes, const char **to, size_t *count)
{
    const FbTrie *kept = &work->tokenizer->added.exact;
    size_t length = 0;
    *to = text;
    if (kept->count > 0 && fb_trie_longest(kept, text, bytes, &length) >= 0) {
        *count = length;
        return length;
    }
    const char *mapped = step->charsmap != NULL ? fb_charsmap_longest(step->charsmap, text, bytes, &length) : NULL;
    if (mapped != NULL) {
        *to = mapped;
        *count = strlen(mapped);
        return length;
    }
    length = 0;
    (void)fb_utf8_next(text, &length);
    *count = length;
    return length;
}

static void add_spaced(FbText *out, const char *text, size_t bytes, bool escape)
{
    size_t kept = 0;
    for (size_t i = 0; escape && i < bytes; i++) {
        if (text[i] == ' ') {
            fb_text_add_n(out, text + kept, i - kept);
            fb_text_add_n(out, FB_MARK, sizeof FB_MARK - 1);
            kept = i + 1;
        }
    }
    fb_text_add_n(out, text + kept, bytes - kept);
}

FbStatus fb_normalize_pieces(FbTokenWork *work, const FbNormalStep *step, const char *text, size_t bytes, size_t original, FbText *out)
{
    const FbPieceSpaces *rule = &step->spaces;
    const char *space = rule->escape ? FB_MARK : " ", *to;
    size_t space_bytes = strlen(space), at = 0, count = 0;
    while (rule->squeeze && at < bytes) { /* a text of spaces is empty */
        size_t taken = normalize_start(work, step, text + at, bytes - at, &to, &count);
        if (count != 1 || to[0] != ' ') {
            break;
        }
        at += taken;
    }
    if (rule->prefix && at < bytes && !work->continued && (work->first || !rule->prefix_first)) {
        fb_text_add_n(out, space, space_bytes);
    }
    bool behind_space = rule->squeeze;
    while (at < bytes) {
        at += normalize_start(work, step, text + at, bytes - at, &to, &count);
        while (behind_space && count > 0 && to[0] == ' ') {
            to++;
            count--;
        }
        if (count > 0) {
            add_spaced(out, to, count, rule->escape);
            behind_space = rule->squeeze && to[count - 1] == ' ';
        }
        FB_TRY(fb_normalize_check(work, out, original));
    }
    while (rule->squeeze && out->length >= space_bytes && memcmp(out->data + out->length - space_bytes, space, space_bytes) == 0) {
        out->length -= space_bytes;
    }
    return FB_OK;
}
