/* Which block type a tensor of a GGUF file gets: the presets, and the rules of a preset's mix.
 *
 * The names and the mixes are those of llama.cpp's llama-quantize (src/llama-quant.cpp), so that a file of a given name is what its name says. */
#ifndef FB_QUANTIZE_GGUF_MIX_H
#define FB_QUANTIZE_GGUF_MIX_H

#include "io/gguf/gguf_rows.h"

/* Numbers of ggml's types that the rules name. */
enum {
    FB_GGML_F32 = 0, FB_GGML_F16 = 1, FB_GGML_Q4_0 = 2, FB_GGML_Q4_1 = 3, FB_GGML_Q5_0 = 6, FB_GGML_Q5_1 = 7, FB_GGML_Q8_0 = 8, FB_GGML_Q2_K = 10,
    FB_GGML_Q3_K = 11, FB_GGML_Q4_K = 12, FB_GGML_Q5_K = 13, FB_GGML_Q6_K = 14, FB_GGML_IQ4_NL = 20, FB_GGML_IQ4_XS = 23, FB_GGML_BF16 = 30,
    FB_GGML_TQ1_0 = 34, FB_GGML_TQ2_0 = 35, FB_GGML_MXFP4 = 39, FB_GGML_NONE = 0xffff
};

typedef enum FbGgufPresetId {
    FB_GGUF_F32 = 0, FB_GGUF_F16, FB_GGUF_BF16, FB_GGUF_Q8_0, FB_GGUF_Q4_0, FB_GGUF_Q4_1, FB_GGUF_Q5_0, FB_GGUF_Q5_1, FB_GGUF_Q2_K, FB_GGUF_Q2_K_S,
    FB_GGUF_Q3_K_S, FB_GGUF_Q3_K_M, FB_GGUF_Q3_K_L, FB_GGUF_Q4_K_S, FB_GGUF_Q4_K_M, FB_GGUF_Q5_K_S, FB_GGUF_Q5_K_M, FB_GGUF_Q6_K, FB_GGUF_IQ4_NL,
    FB_GGUF_IQ4_XS, FB_GGUF_TQ1_0, FB_GGUF_TQ2_0, FB_GGUF_MXFP4_MOE
} FbGgufPresetId;

typedef struct FbGgufPreset {
    const char *name, *summary; /* lower case */
    uint32_t file_type;         /* general.file_type */
    uint32_t type;              /* ggml number of what has no rule */
} FbGgufPreset;

extern const FbGgufPreset fb_gguf_presets[]; /* in the order of FbGgufPresetId */
extern const size_t fb_gguf_preset_count;
/* In any case, "q4_k" for "q4_k_m" and so on; NULL: unknown. */
const FbGgufPreset *fb_gguf_preset_find(const char *name);
/* The preset that a misspelt name means; NULL: none is near. */
const char *fb_gguf_preset_nearest(const char *name);
/* "q4_K" or "Q4_K" or "f16": FB_GGML_NONE when fewbit writes no such type. */
uint32_t fb_ggml_type_of_name(const char *name);
const char *fb_ggml_type_name(uint32_t number); /* "?" when unknown */
int fb_ggml_type_block(uint32_t number);        /* elements of a block; 1: plain elements, or unknown */
bool fb_ggml_type_quantized(uint32_t number);

/* The state of one walk over the tensors, which must come in the order of fb_gguf_name_order: rules count layers. */
typedef struct FbGgufMix {
    const FbGgufPreset *preset;
    const FbGgufFacts *facts;
    bool importance;   /* there is an importance matrix */
    bool pure;         /* no mix: the preset's own type everywhere */
    bool tied;         /* there is no output.weight */
    int64_t attention_v_count, attention_v, ffn_down;
} FbGgufMix;

/* Blocks by number, names inside; what is in no block first. Like strcmp. */
int fb_gguf_name_order(const char *a, const char *b);

void fb_gguf_mix_begin(FbGgufMix *mix, const FbGgufPreset *preset, const FbGgufFacts *facts);
/* One of all names, before the first type is chosen. */
void fb_gguf_mix_count(FbGgufMix *mix, const char *name);
/* NULL: a weight that is quantized; otherwise why it is not. */
const char *fb_gguf_keep_reason(const char *name, const FbShape *shape);
/* The type of a weight that is quantized. *wanted is the type before rows that do not divide were provided for. */
uint32_t fb_gguf_mix_type(FbGgufMix *mix, const char *name, const FbShape *shape, uint32_t *wanted);
/* `type`, or what takes its place where rows of `columns` elements are no whole blocks. */
uint32_t fb_ggml_type_fitting(uint32_t type, int64_t columns);
/* True when weights of this type are poor without an importance matrix, so that it is an error to lack it. */
bool fb_gguf_needs_importance(const FbGgufPreset *preset, uint32_t type, const char *name);

#endif
