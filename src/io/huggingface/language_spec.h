/* What a configuration means, whoever wrote it: the facts from which the blocks of a language model are built. */
#ifndef FB_IO_HUGGINGFACE_LANGUAGE_SPEC_H
#define FB_IO_HUGGINGFACE_LANGUAGE_SPEC_H

#include "base/json.h"
#include "fewbit/language.h"
#include "graph/tensor_table.h"
#include "io/safetensors/text_part.h"

enum {
    FB_LANGUAGE_LAYERS_MAX = 4096,
    FB_LANGUAGE_SIZE_MAX = 1 << 24,   /* of hidden, feed-forward, vocabulary */
    FB_LANGUAGE_HEADS_MAX = 4096,
    FB_LANGUAGE_DEPTH_MAX = 4096,     /* of a head */
    FB_LANGUAGE_EXPERTS_MAX = 4096,
    FB_LANGUAGE_CONTEXT_MAX = 1 << 26
};

/* Tensors of a model by what they are for. Patterns of names: '#' is the number of the layer, '@' that of the expert; ".weight" and ".bias" are
 * added. */
typedef enum FbLanguageRole {
    FB_ROLE_EMBEDDING = 0, FB_ROLE_EMBEDDING_NORM, FB_ROLE_POSITIONS, FB_ROLE_FINAL_NORM, FB_ROLE_HEAD,
    FB_ROLE_ATTENTION_NORM, FB_ROLE_QKV, FB_ROLE_Q, FB_ROLE_K, FB_ROLE_V, FB_ROLE_Q_NORM, FB_ROLE_K_NORM, FB_ROLE_ATTENTION_OUT,
    FB_ROLE_AFTER_ATTENTION_NORM, FB_ROLE_FEED_NORM, FB_ROLE_GATE_UP, FB_ROLE_GATE, FB_ROLE_UP, FB_ROLE_DOWN, FB_ROLE_AFTER_FEED_NORM,
    FB_ROLE_ROUTER, FB_ROLE_EXPERT_GATE, FB_ROLE_EXPERT_UP, FB_ROLE_EXPERT_DOWN,
    FB_ROLE_EXPERTS_GATE, FB_ROLE_EXPERTS_UP, FB_ROLE_EXPERTS_DOWN, /* of all experts in one tensor */
    FB_ROLE_WIDEN, FB_ROLE_NARROW,                                  /* between the embedding's width and the layers' */
    FB_ROLE_COUNT
} FbLanguageRole;

typedef enum FbLanguageActivation { FB_LANGUAGE_SILU = 0, FB_LANGUAGE_GELU_TANH, FB_LANGUAGE_GELU_ERF, FB_LANGUAGE_RELU } FbLanguageActivation;

typedef enum FbLanguagePositions { FB_POSITIONS_ROTARY = 0, FB_POSITIONS_LEARNED, FB_POSITIONS_ALIBI } FbLanguagePositions;

/* How queries, keys and values lie in the file. */
typedef enum FbLanguageQkv {
    FB_QKV_SEPARATE = 0,
    FB_QKV_ROWS,       /* one weight [q | k | v, hidden] */
    FB_QKV_COLUMNS,    /* one weight [hidden, q | k | v] */
    FB_QKV_HEADS       /* one weight [heads x (q, k, v), hidden] */
} FbLanguageQkv;

typedef enum FbRotaryScaling {
    FB_ROTARY_PLAIN = 0, FB_ROTARY_LINEAR, FB_ROTARY_DYNAMIC, FB_ROTARY_LLAMA3, FB_ROTARY_YARN, FB_ROTARY_LONGROPE
} FbRotaryScaling;

typedef struct FbRotarySpec {
    int64_t dims;             /* of a head that are rotated, even */
    double theta;
    FbRotaryScaling scaling;
    double factor, attention_factor; /* attention_factor 0: what the scaling says */
    double low_factor, high_factor;  /* llama3 */
    double beta_fast, beta_slow;     /* yarn */
    bool whole_dims;                 /* yarn: the ramp's ends are rounded to whole dimensions */
    int64_t original;                /* positions before the scaling */
    const double *divisors;          /* dims / 2 numbers by which frequencies are divided; NULL */
    const double *long_divisors;     /* longrope: those for more than `original` positions; NULL */
} FbRotarySpec;

typedef struct FbLanguageSpec {
    const struct FbLanguageFamily *family;
    FbLanguageInfo info;
    const char *prefix;              /* in front of every name but the head's; "" */
    const char *body, *head;         /* of a larger model's text part: instead of "model.", in front of the head; NULL, "" */
    const char *larger;              /* that model; NULL */
    FbLanguagePositions positions;
    FbRotarySpec rotary[2];          /* of full attention; of sliding attention */
    bool interleaved;                /* rotary: neighbours are a pair, not the two halves */
    bool layer_norm;                 /* LayerNormalization; RMSNormalization otherwise */
    bool norm_plus_one;              /* stored weights of norms are w - 1 */
    double epsilon;
    FbLanguageActivation activation;
    bool gated;                      /* act(gate) * up; act(up) otherwise */
    bool fused_gate;                 /* one weight [gate | up, hidden] */
    FbLanguageQkv qkv;
    bool transposed;                 /* weights are [in, out] */
    bool head_norms;                 /* queries and keys are normalized per head */
    bool after_norms;                /* what attention and feed-forward give is normalized, too */
    bool parallel;                   /* both parts read the same input */
    bool norms_behind;               /* a part's norm follows the sum with what it has read */
    bool norm_is_residual;           /* what is added to a part is what its norm gave */
    bool no_final_norm;
    int64_t embedding_width;         /* 0: that of the layers */
    bool embedding_norm;
    bool tied;                       /* no head of its own */
    double embedding_scale;          /* 1: none */
    double attention_scale, attention_softcap, logit_softcap; /* soft-capping 0: none */
    int64_t position_offset;         /* learned positions: rows in front of position 0's */
    const bool *sliding, *mixture;   /* per layer; NULL: no layer */
    int64_t expert_width;            /* feed-forward of one expert */
    bool normalize_experts;
} FbLanguageSpec;

/* A configuration: config.json, or the keys of a GGUF file. */
typedef struct FbLanguageConfig {
    FbContext *context;
    const FbCheckpoint *checkpoint;
    FbArena *arena;            /* of the spec's lists */
    json_t *json;              /* NULL: keys of the table, "ARCHITECTURE.key" */
    FbTextPart part;           /* whose settings `json` are */
    const char *architecture;
} FbLanguageConfig;

/* One architecture or several alike. */
typedef struct FbLanguageFamily {
    const char *name, *summary;
    const char *const *architectures; /* names in config.json and in GGUF files, NULL-terminated */
    FbStatus (*read)(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err);
    const char *const *names;         /* FB_ROLE_COUNT patterns of Hugging Face's files; NULL: as in `common` */
    const char *const *common;        /* the same of the families this one is like; no table, or NULL in it: no such tensor */
    const char *const *prefixes;      /* that such files may have, NULL-terminated; NULL: none but "" */
} FbLanguageFamily;

extern const FbLanguageFamily *const fb_language_families[]; /* NULL-terminated */
extern const char *const fb_language_gguf_names[FB_ROLE_COUNT];
extern const char *const fb_language_llama_names[FB_ROLE_COUNT];

/* Reads what config.json or the keys say. Strings and lists live in `arena`, or as long as the checkpoint. */
FbStatus fb_language_spec_read(FbContext *context, const FbCheckpoint *checkpoint, FbArena *arena, FbLanguageSpec *spec, FbError *err);

/* "model.layers.3.mlp.up_proj.weight" for a role, in out; NULL when this family has none. */
const char *fb_language_tensor_name(const FbLanguageSpec *spec, bool gguf, FbLanguageRole role, int64_t layer, int64_t expert, const char *suffix,
                                    char *out, size_t bytes);

#endif
