/* Patterns of tokenizers: fixed text, or regular expressions in the dialect of tokenizer.json (Oniguruma's), run by PCRE2 within limits. */
#ifndef FB_DATA_TOKENIZER_PATTERN_H
#define FB_DATA_TOKENIZER_PATTERN_H

#include "base/context.h"

enum { FB_PATTERN_BYTES_MAX = 16384 };

typedef struct FbPattern FbPattern;
typedef struct FbPatternRun FbPatternRun; /* scratch of one search */

/* What PCRE2 would read otherwise than Oniguruma, or could run without bound, is refused by name. */
FbStatus fb_pattern_regex(FbContext *context, const char *regex, size_t bytes, FbPattern **out, FbError *err);
FbStatus fb_pattern_text(FbContext *context, const char *text, size_t bytes, FbPattern **out, FbError *err);
void fb_pattern_free(FbPattern *pattern);

FbStatus fb_pattern_start(FbContext *context, const FbPattern *pattern, FbPatternRun **run, FbError *err);
void fb_pattern_end(FbPatternRun *run);
/* The next match at or behind `from`, looking back at all of the text, which is UTF-8; *found false: none. An empty match has begin == end.
 * A search that takes too long is FB_ERR_BUDGET. */
FbStatus fb_pattern_next(FbPatternRun *run, const char *text, size_t bytes, size_t from, size_t *begin, size_t *end, bool *found, FbError *err);

#endif
