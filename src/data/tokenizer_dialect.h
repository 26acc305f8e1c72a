/* Regular expressions of tokenizer.json (Oniguruma, Ruby's syntax) in PCRE2's words. */
#ifndef FB_DATA_TOKENIZER_DIALECT_H
#define FB_DATA_TOKENIZER_DIALECT_H

#include "base/text.h"

/* Adds the translation to `out`; what has no equal, or could run without bound, is FB_ERR_UNSUPPORTED and named. */
FbStatus fb_dialect_translate(const char *regex, size_t bytes, FbText *out, FbError *err);

#endif
