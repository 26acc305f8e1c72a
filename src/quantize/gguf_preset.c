/* The presets of GGUF files and the names of ggml's types, see gguf_mix.h. */
#include <string.h>

#include "base/text.h"
#include "io/gguf/gguf.h"
#include "quantize/gguf_mix.h"
#include "tensor/block_type.h"

enum { NAME_ROOM = 24 };

const FbGgufPreset fb_gguf_presets[] = {
    {"f32", "GGUF: 32-bit floats", 0, FB_GGML_F32},
    {"f16", "GGUF: 16-bit floats", 1, FB_GGML_F16},
    {"bf16", "GGUF: bfloat16", 32, FB_GGML_BF16},
    {"q8_0", "GGUF: 8.5 bits per weight, next to lossless", 7, FB_GGML_Q8_0},
    {"q4_0", "GGUF: 4.5 bits, one scale per 32", 2, FB_GGML_Q4_0},
    {"q4_1", "GGUF: 5 bits, scale and minimum per 32", 3, FB_GGML_Q4_1},
    {"q5_0", "GGUF: 5.5 bits, one scale per 32", 8, FB_GGML_Q5_0},
    {"q5_1", "GGUF: 6 bits, scale and minimum per 32", 9, FB_GGML_Q5_1},
    {"q2_k", "GGUF: 2.6 bits and up, mix of Q2_K, Q3_K and Q4_K", 10, FB_GGML_Q2_K},
    {"q2_k_s", "GGUF: 2.6 bits, smaller mix; needs an importance matrix", 21, FB_GGML_Q2_K},
    {"q3_k_s", "GGUF: 3.4 bits", 11, FB_GGML_Q3_K},
    {"q3_k_m", "GGUF: 3.9 bits, mix of Q3_K, Q4_K and Q5_K", 12, FB_GGML_Q3_K},
    {"q3_k_l", "GGUF: 4.2 bits, mix of Q3_K and Q5_K", 13, FB_GGML_Q3_K},
    {"q4_k_s", "GGUF: 4.6 bits, mostly Q4_K", 14, FB_GGML_Q4_K},
    {"q4_k_m", "GGUF: 4.8 bits, mix of Q4_K and Q6_K; the usual choice", 15, FB_GGML_Q4_K},
    {"q5_k_s", "GGUF: 5.5 bits, mostly Q5_K", 16, FB_GGML_Q5_K},
    {"q5_k_m", "GGUF: 5.7 bits, mix of Q5_K and Q6_K", 17, FB_GGML_Q5_K},
    {"q6_k", "GGUF: 6.6 bits", 18, FB_GGML_Q6_K},
    {"iq4_nl", "GGUF: 4.5 bits, uneven levels, one scale per 32", 25, FB_GGML_IQ4_NL},
    {"iq4_xs", "GGUF: 4.25 bits, uneven levels, scales in 6 bits", 30, FB_GGML_IQ4_XS},
    {"tq1_0", "GGUF: 1.7 bits, for models trained with ternary weights", 36, FB_GGML_TQ1_0},
    {"tq2_0", "GGUF: 2.06 bits, for models trained with ternary weights", 37, FB_GGML_TQ2_0},
    {"mxfp4_moe", "GGUF: experts in MXFP4, all else Q8_0", 38, FB_GGML_MXFP4},
};
const size_t fb_gguf_preset_count = sizeof fb_gguf_presets / sizeof fb_gguf_presets[0];

static const struct {
    const char *name, *preset;
} short_names[] = {{"q3_k", "q3_k_m"}, {"q4_k", "q4_k_m"}, {"q5_k", "q5_k_m"}, {"mxfp4", "mxfp4_moe"}};

/* In lower case, '-' as '_'; empty when it does not fit. */
static void lower(const char *name, char *out)
{
    size_t length = strlen(name);
    if (length >= NAME_ROOM) {
        length = 0;
    }
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c == '-' ? '_' : c);
    }
    out[length] = '\0';
}

const FbGgufPreset *fb_gguf_preset_find(const char *name)
{
    char wanted[NAME_ROOM];
    lower(name, wanted);
    for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; i++) {
        if (strcmp(wanted, short_names[i].name) == 0) {
            lower(short_names[i].preset, wanted);
        }
    }
    for (size_t i = 0; i < fb_gguf_preset_count; i++) {
        if (strcmp(fb_gguf_presets[i].name, wanted) == 0) {
            return &fb_gguf_presets[i];
        }
    }
    return NULL;
}

const char *fb_gguf_preset_nearest(const char *name)
{
    const char *names[FB_GGUF_MXFP4_MOE + 1];
    char wanted[NAME_ROOM];
    lower(name, wanted);
    for (size_t i = 0; i < fb_gguf_preset_count; i++) {
        names[i] = fb_gguf_presets[i].name;
    }
    return fb_nearest_name(wanted, names, fb_gguf_preset_count);
}

static const struct {
    const char *name;
    uint32_t number;
} plain_types[] = {{"f32", FB_GGML_F32}, {"f16", FB_GGML_F16}, {"bf16", FB_GGML_BF16}};

uint32_t fb_ggml_type_of_name(const char *name)
{
    char wanted[NAME_ROOM], row[NAME_ROOM];
    lower(name, wanted);
    for (size_t i = 0; i < sizeof plain_types / sizeof plain_types[0]; i++) {
        if (strcmp(wanted, plain_types[i].name) == 0) {
            return plain_types[i].number;
        }
    }
    for (size_t i = 0; i < fb_block_type_count; i++) {
        lower(fb_block_types[i].code.name, row);
        if (strcmp(wanted, row) == 0) {
            return fb_block_types[i].encode != NULL ? (uint32_t)fb_block_types[i].number : FB_GGML_NONE;
        }
    }
    return FB_GGML_NONE;
}

const char *fb_ggml_type_name(uint32_t number)
{
    FbDtype plain = fb_gguf_plain_dtype(number);
    const FbBlockType *type = fb_block_type_of_number(number);
    return plain != FB_DTYPE_NONE ? fb_dtype_name(plain) : type != NULL ? type->code.name : "?";
}

int fb_ggml_type_block(uint32_t number)
{
    const FbBlockType *type = fb_gguf_plain_dtype(number) == FB_DTYPE_NONE ? fb_block_type_of_number(number) : NULL;
    return type != NULL ? type->elements : 1;
}

bool fb_ggml_type_quantized(uint32_t number) { return fb_gguf_plain_dtype(number) == FB_DTYPE_NONE; }
