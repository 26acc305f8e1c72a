/* Unicode's normalization forms. */
#ifndef FB_DATA_TOKENIZER_FORM_H
#define FB_DATA_TOKENIZER_FORM_H

#include "data/tokenizer_parts.h"

/* Adds the valid UTF-8 text in that form. Linear in time, also for a million marks on one letter. */
FbStatus fb_form_apply(FbContext *context, FbUnicodeForm form, const char *text, size_t bytes, FbText *out, FbError *err);

#endif
