/* The rules of the presets' mixes as a table, see gguf_mix.h. The first rule that fits decides; without one the preset's own type stays. */
#include "quantize/gguf_mix.h"

#include <stdio.h>
#include <string.h>

/* What a weight is for, told by its name. */
enum {
    OUTPUT = 1 << 0, EMBEDDING = 1 << 1, ATTN_V = 1 << 2, ATTN_K = 1 << 3, ATTN_OUTPUT = 1 << 4, FFN_DOWN = 1 << 5, OTHER = 1 << 6, ANY = (1 << 7) - 1
};

/* What must hold for a rule. */
enum {
    EXPERTS_8 = 1 << 0,      /* a mixture of exactly eight */
    NOT_EXPERTS_8 = 1 << 1,
    FALCON = 1 << 2,
    NOT_FALCON = 1 << 3,
    SHARED_4 = 1 << 4,       /* four or more query heads share a key-value head */
    GROUPED_70B = 1 << 5,    /* 80 layers with shared heads */
    IMPORTANCE = 1 << 6,
    NO_IMPORTANCE = 1 << 7,
    FIRST_2 = 1 << 8,        /* layers, counted by these weights */
    FIRST_4 = 1 << 9,
    FIRST_8TH = 1 << 10,
    FIRST_16TH = 1 << 11,
    MORE_BITS = 1 << 12,     /* the first and last eighth, and every third between */
    NOT_WHOLE = 1 << 13,     /* rows are no whole blocks of the preset's type */
    STACKED = 1 << 14        /* a matrix per expert */
};

#define P(id) (1u << FB_GGUF_##id)
#define FLOATS (P(F32) | P(F16) | P(BF16))
#define ALL (~FLOATS)
#define IQ4 (P(IQ4_NL) | P(IQ4_XS))
#define EIGHTFOLD (P(Q2_K) | P(Q3_K_S) | P(Q3_K_M) | P(Q4_K_S) | P(Q4_K_M) | IQ4)

typedef struct FbGgufRule {
    uint32_t presets;
    unsigned roles, when;
    uint32_t type;
} FbGgufRule;

static const FbGgufRule rules[] = {
    {P(MXFP4_MOE), OUTPUT, 0, FB_GGML_Q8_0},
    {ALL, OUTPUT, FALCON, FB_GGML_Q8_0},
    {ALL, OUTPUT, NOT_WHOLE, FB_GGML_Q8_0},
    {ALL & ~P(Q8_0), OUTPUT, 0, FB_GGML_Q6_K},
    {P(MXFP4_MOE), ANY, STACKED, FB_GGML_MXFP4},
    {P(MXFP4_MOE), ANY, 0, FB_GGML_Q8_0},
    {P(TQ1_0) | P(TQ2_0), EMBEDDING, 0, FB_GGML_Q4_K},

    {ALL, ATTN_V | ATTN_K, EXPERTS_8, FB_GGML_Q8_0},
    {P(Q2_K), ATTN_V, SHARED_4 | GROUPED_70B, FB_GGML_Q5_K},
    {P(Q2_K), ATTN_V, SHARED_4, FB_GGML_Q4_K},
    {P(Q2_K), ATTN_V, GROUPED_70B, FB_GGML_Q5_K},
    {P(Q2_K), ATTN_V, 0, FB_GGML_Q3_K},
    {P(Q2_K_S), ATTN_V, SHARED_4 | GROUPED_70B, FB_GGML_Q5_K},
    {P(Q2_K_S), ATTN_V, SHARED_4, FB_GGML_Q4_K},
    {P(Q3_K_M), ATTN_V, FIRST_2, FB_GGML_Q5_K},
    {P(Q3_K_M) | P(Q3_K_S), ATTN_V, GROUPED_70B, FB_GGML_Q5_K},
    {P(Q3_K_M), ATTN_V, 0, FB_GGML_Q4_K},
    {P(Q3_K_L), ATTN_V, 0, FB_GGML_Q5_K},
    {IQ4, ATTN_V, SHARED_4, FB_GGML_Q5_K},
    {P(Q4_K_M) | P(Q5_K_M), ATTN_V, MORE_BITS, FB_GGML_Q6_K},
    {P(Q4_K_M) | P(Q4_K_S), ATTN_V, GROUPED_70B, FB_GGML_Q5_K},
    {P(Q4_K_S), ATTN_V, FIRST_4, FB_GGML_Q5_K},

    {P(Q2_K), FFN_DOWN, 0, FB_GGML_Q3_K},
    {P(Q2_K_S), FFN_DOWN, FIRST_8TH, FB_GGML_Q4_K},
    {P(Q3_K_M), FFN_DOWN, FIRST_16TH, FB_GGML_Q5_K},
    {P(Q3_K_M), FFN_DOWN, NOT_FALCON, FB_GGML_Q4_K},
    {P(Q3_K_M), FFN_DOWN, MORE_BITS, FB_GGML_Q4_K},
    {P(Q3_K_L), FFN_DOWN, FALCON, FB_GGML_Q4_K},
    {P(Q3_K_L), FFN_DOWN, 0, FB_GGML_Q5_K},
    {P(Q4_K_M), FFN_DOWN, FALCON | FIRST_16TH, FB_GGML_Q6_K},
    {P(Q4_K_M), FFN_DOWN, FALCON | MORE_BITS, FB_GGML_Q5_K},
    {P(Q4_K_M), FFN_DOWN, NOT_FALCON | MORE_BITS, FB_GGML_Q6_K},
    {IQ4, FFN_DOWN, FIRST_8TH | NO_IMPORTANCE, FB_GGML_Q5_K},
    {P(Q5_K_M), FFN_DOWN, MORE_BITS, FB_GGML_Q6_K},
    {P(Q4_K_S), FFN_DOWN, NOT_FALCON | FIRST_8TH, FB_GGML_Q5_K},
    {P(Q4_0), FFN_DOWN, IMPORTANCE | FIRST_8TH, FB_GGML_Q4_1},
    {P(Q5_0), FFN_DOWN, IMPORTANCE | FIRST_8TH, FB_GGML_Q5_1},

    {P(Q3_K_L), ATTN_OUTPUT, FALCON, FB_GGML_Q4_K},
    {EIGHTFOLD, ATTN_OUTPUT, NOT_FALCON | EXPERTS_8, FB_GGML_Q5_K},
    {P(Q2_K), ATTN_OUTPUT, NOT_FALCON | NOT_EXPERTS_8, FB_GGML_Q3_K},
    {P(Q3_K_M), ATTN_OUTPUT, NOT_FALCON | NOT_EXPERTS_8, FB_GGML_Q4_K},
    {P(Q3_K_L), ATTN_OUTPUT, NOT_FALCON | NOT_EXPERTS_8, FB_GGML_Q5_K},
};

/* By the first that the name holds; a whole name first. */
static const struct {
    const char *text;
    bool whole;
    unsigned role;
} role_names[] = {
    {"output.weight", true, OUTPUT},
    {"token_embd.weight", true, EMBEDDING},
    {"per_layer_token_embd.weight", true, EMBEDDING},
    {"attn_qkv.weight", false, ATTN_V},
    {"attn_kv_b.weight", false, ATTN_V},
    {"attn_v.weight", false, ATTN_V},
    {"attn_k.weight", false, ATTN_K},
    {"attn_q.weight", false, OTHER},
    {"attn_output.weight", false, ATTN_OUTPUT},
    {"ffn_up", false, OTHER},
    {"ffn_gate", false, OTHER},
    {"ffn_down", false, FFN_DOWN},
};

static unsigned role_of(const char *name)
{
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (role_names[i].whole ? strcmp(name, role_names[i].text) == 0 : strstr(name, role_names[i].text) != NULL) {
            return role_names[i].role;
        }
    }
    return OTHER;
}

/* "blk.12.": 12; -1: in no block. */
static int64_t block_of(const char *name)
{
    int block = -1;
    return sscanf(name, "blk.%9d.", &block) == 1 ? block : -1;
}

int fb_gguf_name_order(const char *a, const char *b)
{
    int64_t block_a = block_of(a);
    int64_t block_b = block_of(b);
    return block_a != block_b ? (block_a < block_b ? -1 : 1) : strcmp(a, b);
}

void fb_gguf_mix_begin(FbGgufMix *mix, const FbGgufPreset *preset, const FbGgufFacts *facts)
{
    *mix = (FbGgufMix){.preset = preset, .facts = facts, .tied = true};
}

void fb_gguf_mix_count(FbGgufMix *mix, const char *name)
{
    unsigned role = role_of(name);
    mix->attention_v_count += role == ATTN_V;
    mix->tied = mix->tied && role != OUTPUT;
}

/* Weights that stay as they are: small, or read in ways that the block types do not serve. */
static const struct {
    const char *text, *reason;
} kept_names[] = {
    {"_norm.weight", "a norm"},
    {"ffn_gate_inp.weight", "chooses the experts"},
    {"ffn_gate_tid2eid.weight", "chooses the experts"},
    {"altup", "small"},
    {"laurel", "small"},
    {"per_layer_model_proj", "small"},
    {"ssm_conv1d", "small"},
    {"shortconv.conv.weight", "small"},
    {"indexer.k_proj.weight", "small"},
    {"indexer.q_proj.weight", "small"},
    {"time_mix_first.weight", "small"},
    {"time_mix_w0.weight", "small"},
    {"time_mix_w1.weight", "small"},
    {"time_mix_w2.weight", "small"},
    {"time_mix_v0.weight", "small"},
    {"time_mix_v1.weight", "small"},
    {"time_mix_v2.weight", "small"},
    {"time_mix_a0.weight", "small"},
    {"time_mix_a1.weight", "small"},
    {"time_mix_a2.weight", "small"},
    {"time_mix_g1.weight", "small"},
    {"time_mix_g2.weight", "small"},
    {"time_mix_decay_w1.weight", "small"},
    {"time_mix_decay_w2.weight", "small"},
    {"time_mix_lerp_fused.weight", "small"},
    {"attn_rel_b.weight", "positions"},
    {".position_embd", "positions"},
    {".rel_pos", "positions"},
    {"sam.pos_embd", "positions"},
    {"sam.neck.", "not a part of the text model"},
    {"sam.net_", "not a part of the text model"},
    {".patch_embd", "not a part of the text model"},
    {".patch_merger", "not a part of the text model"},
    {"a.rvq.codebook", "not a part of the text model"},
    {"mm.a.code_embd", "not a part of the text model"},
};

const char *fb_gguf_keep_reason(const char *name, const FbShape *shape)
{
    size_t length = strlen(name);
    int outer = 0; /* axes as ggml counts them: those of one element at the outside are none */
    while (outer < shape->rank - 1 && shape->dims[outer] == 1) {
        outer++;
    }
    if (shape->rank - outer < 2) {
        return "one dimension";
    }
    if (length < 6 || strcmp(name + length - 6, "weight") != 0) {
        return "not a weight by its name";
    }
    if (strcmp(name, "position_embd.weight") == 0 || strcmp(name, "token_types.weight") == 0) {
        return "positions";
    }
    for (size_t i = 0; i < sizeof kept_names / sizeof kept_names[0]; i++) {
        if (strstr(name, kept_names[i].text) != NULL) {
            return kept_names[i].reason;
        }
    }
    return NULL;
}

/* Conditions that hold for all weights of a model. */
static unsigned model_conditions(const FbGgufFacts *facts, bool importance)
{
    bool falcon = strcmp(facts->architecture, "falcon") == 0;
    int64_t shared = facts->kv_heads > 0 ? facts->heads / facts->kv_heads : 0;
    static const char *const with_80_layers[] = {"qwen2", "deci", "olmo"};
    bool grouped = strcmp(facts->architecture, "jais2") == 0 && facts->layers == 68;
    if (facts->layers == 80) {
        grouped = grouped || (strcmp(facts->architecture, "llama") == 0 && facts->heads != facts->kv_heads);
        for (size_t i = 0; i < sizeof with_80_layers / sizeof with_80_layers[0]; i++) {
            grouped = grouped || strcmp(facts->architecture, with_80_layers[i]) == 0;
        }
    }
    return (unsigned)((facts->experts == 8 ? EXPERTS_8 : NOT_EXPERTS_8) | (falcon ? FALCON : NOT_FALCON) | (shared >= 4 ? SHARED_4 : 0) |
                      (grouped ? GROUPED_70B : 0) | (importance ? IMPORTANCE : NO_IMPORTANCE));
}

static unsigned layer_conditions(int64_t layer, int64_t layers)
{
    bool more = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    return (unsigned)((layer < 2 ? FIRST_2 : 0) | (layer < 4 ? FIRST_4 : 0) | (layer < layers / 8 ? FIRST_8TH : 0) |
                      (layer < layers / 16 ? FIRST_16TH : 0) | (more ? MORE_BITS : 0));
}

uint32_t fb_ggml_type_fitting(uint32_t type, int64_t columns)
{
    static const struct {
        uint32_t type, smaller;
    } substitutes[] = {{FB_GGML_IQ4_XS, FB_GGML_IQ4_NL}, {FB_GGML_Q2_K, FB_GGML_Q4_0}, {FB_GGML_Q3_K, FB_GGML_Q4_0}, {FB_GGML_TQ1_0, FB_GGML_Q4_0},
                       {FB_GGML_TQ2_0, FB_GGML_Q4_0}, {FB_GGML_Q4_K, FB_GGML_Q5_0}, {FB_GGML_Q5_K, FB_GGML_Q5_1}, {FB_GGML_Q6_K, FB_GGML_Q8_0}};
    if (columns % fb_ggml_type_block(type) == 0) {
        return type;
    }
    for (size_t i = 0; i < sizeof substitutes / sizeof substitutes[0]; i++) {
        if (substitutes[i].type == type && columns % fb_ggml_type_block(substitutes[i].smaller) == 0) {
            return substitutes[i].smaller;
        }
    }
    return FB_GGML_F16;
}

uint32_t fb_gguf_mix_type(FbGgufMix *mix, const char *name, const FbShape *shape, uint32_t *wanted)
{
    const FbGgufPreset *preset = mix->preset;
    int64_t columns = shape->dims[shape->rank - 1];
    unsigned role = role_of(name);
    unsigned holds = model_conditions(mix->facts, mix->importance);
    *wanted = preset->type;
    if (!fb_ggml_type_quantized(preset->type)) {
        return preset->type;
    }
    if (role == ATTN_V) {
        holds |= layer_conditions(mix->attention_v++, mix->attention_v_count);
    } else if (role == FFN_DOWN) {
        /* The weights of a mixture do not come one per layer. */
        int64_t layer = mix->facts->experts > 1 ? block_of(name) : mix->ffn_down;
        holds |= layer_conditions(layer, mix->facts->layers);
        mix->ffn_down++;
    } else if (role == EMBEDDING && mix->tied) {
        role = OUTPUT; /* it is the output matrix too */
    }
    holds |= columns % fb_ggml_type_block(preset->type) != 0 ? NOT_WHOLE : 0u;
    holds |= shape->rank > 2 && shape->dims[shape->rank - 3] > 1 ? STACKED : 0u;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && !mix->pure; i++) {
        const FbGgufRule *rule = &rules[i];
        if ((rule->presets >> (preset - fb_gguf_presets) & 1u) != 0 && (rule->roles & role) != 0 && (rule->when & ~holds) == 0) {
            *wanted = rule->type;
            break;
        }
    }
    return fb_ggml_type_fitting(*wanted, columns);
}

bool fb_gguf_needs_importance(const FbGgufPreset *preset, uint32_t type, const char *name)
{
    return preset == &fb_gguf_presets[FB_GGUF_Q2_K_S] && type == FB_GGML_Q2_K && (role_of(name) & (OUTPUT | EMBEDDING)) == 0;
}
