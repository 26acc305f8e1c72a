/* UTF-8 and what tokenizers ask about characters. */
#ifndef FB_DATA_TOKENIZER_UNICODE_H
#define FB_DATA_TOKENIZER_UNICODE_H

#include "base/text.h"

/* Bytes of the well-formed character at `text`; 0: it is none (overlong, surrogate, cut). *code may be NULL. */
size_t fb_utf8_take(const char *text, size_t bytes, uint32_t *code);
/* Length of the valid start of a text. */
size_t fb_utf8_valid(const char *text, size_t bytes);
/* The same for text that is known to be valid. */
uint32_t fb_utf8_next(const char *text, size_t *at);
/* Where the character before `at` begins; at > 0. */
size_t fb_utf8_before(const char *text, size_t at);
void fb_utf8_add(FbText *text, uint32_t code);

bool fb_is_space(uint32_t code);       /* White_Space */
bool fb_is_word(uint32_t code);        /* letters, marks, digits, connectors */
bool fb_is_punctuation(uint32_t code); /* P*, and all ASCII marks */
bool fb_is_number(uint32_t code);      /* N* */
bool fb_is_mark(uint32_t code);        /* M* */
bool fb_is_nonspacing(uint32_t code);  /* Mn */
bool fb_is_other(uint32_t code);       /* controls, formats, private use */
bool fb_is_chinese(uint32_t code);     /* BERT's list of ideographs */

#endif
