/* The names of pre-tokenizers in GGUF files (tokenizer.ggml.pre) and what they mean. */
#ifndef FB_DATA_TOKENIZER_GGUF_PATTERNS_H
#define FB_DATA_TOKENIZER_GGUF_PATTERNS_H

#include <stdbool.h>

enum { FB_GGUF_PATTERNS_MAX = 4 };

typedef struct FbGgufPattern {
    const char *const *names;                    /* NULL-terminated */
    const char *patterns[FB_GGUF_PATTERNS_MAX];  /* regular expressions one after the other, the matches of each alone; NULL ends */
    bool whole_words, add_bos;
    bool compose;                                /* its models were trained on normalization form C */
} FbGgufPattern;

const FbGgufPattern *fb_gguf_pattern(const char *name); /* NULL: unknown */

#endif
