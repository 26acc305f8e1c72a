/* Rows of the table of families, one file each. */
#ifndef FB_IO_HUGGINGFACE_LANGUAGE_FAMILY_H
#define FB_IO_HUGGINGFACE_LANGUAGE_FAMILY_H

#include "io/huggingface/language_spec.h"

extern const FbLanguageFamily fb_family_llama;
extern const FbLanguageFamily fb_family_mistral;
extern const FbLanguageFamily fb_family_mixtral;
extern const FbLanguageFamily fb_family_qwen2;
extern const FbLanguageFamily fb_family_qwen3;
extern const FbLanguageFamily fb_family_qwen3_moe;
extern const FbLanguageFamily fb_family_gemma;
extern const FbLanguageFamily fb_family_gemma2;
extern const FbLanguageFamily fb_family_gemma3;
extern const FbLanguageFamily fb_family_phi3;
extern const FbLanguageFamily fb_family_gpt2;
extern const FbLanguageFamily fb_family_gpt_neox;
extern const FbLanguageFamily fb_family_bloom;
extern const FbLanguageFamily fb_family_opt;

#endif
