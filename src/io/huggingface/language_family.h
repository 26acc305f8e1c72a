/* Rows of the table of families, one file each. */
#ifndef FB_IO_HUGGINGFACE_LANGUAGE_FAMILY_H
#define FB_IO_HUGGINGFACE_LANGUAGE_FAMILY_H

#include "io/huggingface/language_spec.h"

extern const FbLanguageFamily fb_family_llama;

#endif
