/* SentencePiece's precompiled map of characters: a double-array trie of sequences, and what each becomes. */
#ifndef FB_DATA_TOKENIZER_CHARSMAP_H
#define FB_DATA_TOKENIZER_CHARSMAP_H

#include "base/arena.h"
#include "base/text.h"

typedef struct FbCharsmap FbCharsmap;

/* Little-endian: bytes of the trie, its units of 32 bits, then texts that end with NUL. Every index is checked when it is used; the texts must be UTF-8. The
 * bytes are copied. */
FbStatus fb_charsmap_read(FbArena *arena, const uint8_t *data, size_t bytes, FbCharsmap **out, FbError *err);
/* As the tokenizers library does: a grapheme of less than six bytes at once, then character by character, taking the shortest. Ends early, with a text of more than `most` bytes, where what the map makes would be that long. */
void fb_charsmap_apply(const FbCharsmap *map, const char *text, size_t bytes, size_t most, FbText *out);
/* What the longest sequence that `text` begins with becomes, and the length of that sequence; NULL: none is in the map. */
const char *fb_charsmap_longest(const FbCharsmap *map, const char *text, size_t bytes, size_t *length);

#endif
