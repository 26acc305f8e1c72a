/* A Hugging Face checkpoint seen as a GGUF file to be: tensors under GGUF's names, and the key-values that llama.cpp expects.
 *
 * Source of names and keys: the GGUF specification and llama.cpp's convert_hf_to_gguf.py. */
#ifndef FB_IO_GGUF_HF_MODEL_H
#define FB_IO_GGUF_HF_MODEL_H

#include "base/json.h"
#include "io/safetensors/text_part.h"
#include "io/gguf/gguf_rows.h"
#include "io/gguf/gguf_write.h"
#include "io/sentencepiece/sentencepiece.h"

/* What is peculiar to a family. */
enum {
    FB_HF_PERMUTED = 1 << 0,     /* rows of queries and keys are paired otherwise in GGUF */
    FB_HF_NORM_PLUS_ONE = 1 << 1, /* stored weights of norms are w - 1 */
    FB_HF_CONV1D = 1 << 2,       /* weights are [in, out] */
    FB_HF_QKV_HEADS = 1 << 3,    /* queries, keys and values lie head by head */
    FB_HF_NO_HEAD = 1 << 4,      /* llama.cpp takes the embedding as head */
    FB_HF_SANDWICH = 1 << 5,     /* norms behind attention and feed-forward, too */
    FB_HF_WIDE_FEED = 1 << 6,    /* feed-forward is four times as wide where nothing is said */
    FB_HF_INPUTS_FIRST = 1 << 7, /* fused experts are [experts, in, out] */
    FB_HF_INTERLEAVED = 1 << 8   /* their outputs are gate, up, gate, up, ... */
};

typedef struct FbHfFamily {
    const char *type;            /* model_type of config.json */
    const char *architecture;    /* general.architecture */
    unsigned flags;
} FbHfFamily;

extern const FbHfFamily fb_hf_families[];
extern const size_t fb_hf_family_count;

typedef struct FbHfModel {
    FbContext *context;
    FbArena *arena;
    const FbCheckpoint *checkpoint;
    char *folder;
    const FbHfFamily *family;    /* of an unknown type: one made up */
    bool known;
    FbTextPart part;             /* of a larger model that is known; otherwise its `larger` is NULL */
    json_t *config;              /* config.json; an empty object where there is none */
    const json_t *text;          /* the part of it that describes the language model */
    json_t *generation, *tokenizer, *tokenizer_config, *added_tokens; /* other files of the folder; NULL: absent */
    const FbSentencePieceModel *pieces; /* of tokenizer.model or spiece.model, where there is no tokenizer.json, or of a unigram one; NULL: none */
    FbBytes chat_template;       /* chat_template.jinja; count 0: absent */
    FbGgufFacts facts;
    FbGgufTensor *tensors; size_t tensor_count, tensor_capacity;
    int64_t stacked;             /* experts that the stacks have room for */
    int64_t vocabulary;          /* rows of the embedding */
} FbHfModel;

/* Reads the folder's small files and maps the tensors. `arena` keeps what the tensors need; the rest is freed by fb_hf_close. */
FbStatus fb_hf_open(FbHfModel *model, FbContext *context, FbArena *arena, const FbCheckpoint *checkpoint, FbError *err);
void fb_hf_close(FbHfModel *model);

/* The parts of opening: from the JSON of the files on; of one kind of tensors. */
FbStatus fb_hf_prepare(FbHfModel *model, FbError *err);
FbStatus fb_hf_map_tensors(FbHfModel *model, FbError *err);
FbStatus fb_hf_add_rope_tensors(FbHfModel *model, FbError *err);
FbGgufTensor *fb_hf_add_tensor(FbHfModel *model, const char *name); /* zeroed; NULL: no memory */

/* A tensor of one piece; and one that holds matrices (or biases) of all experts, gate and up together ("ffn_gate_up_exps") or down. */
FbStatus fb_hf_add_single(FbHfModel *model, const char *name, const FbTableTensor *row, FbGgufTensor **out, FbError *err);
struct FbHfName;
FbStatus fb_hf_add_fused(FbHfModel *model, const struct FbHfName *name, const FbTableTensor *row, FbError *err);
FbStatus fb_hf_wrong_shape(const FbTableTensor *row, FbError *err);

/* GGUF's name for one of Hugging Face's, or NULL. *layer and *expert are -1 where the name has none. */
typedef struct FbHfName {
    const char *part;            /* "attn_q", without block and suffix; NULL: unknown */
    const char *suffix;          /* ".weight" or ".bias" */
    int64_t layer, expert;
} FbHfName;
FbHfName fb_hf_name(const FbHfFamily *family, const char *name);

/* Look-ups in config.json by the first key that is there. */
const json_t *fb_hf_find(const FbHfModel *model, const char *const *keys);
bool fb_hf_integer(const FbHfModel *model, const char *const *keys, int64_t *out);
bool fb_hf_number(const FbHfModel *model, const char *const *keys, double *out);
/* Whether several queries may share a head of keys: GPT-2, GPT-NeoX and BLOOM ignore keys that say so. */
bool fb_hf_shares_heads(const FbHfModel *model);
/* A member of the rotary parameters of full attention; NULL: absent. */
const json_t *fb_hf_rope(const FbHfModel *model, const char *key);

/* Key-values in the order of llama.cpp's converter, but general.file_type and general.quantization_version. */
FbStatus fb_hf_put_keys(const FbHfModel *model, FbGgufWriter *writer, FbError *err);
bool fb_hf_carries_tokenizer(const FbHfModel *model); /* whether the file gets a vocabulary */
FbStatus fb_hf_put_tokenizer(const FbHfModel *model, FbGgufWriter *writer, FbError *err);
FbStatus fb_hf_put_special_tokens(const FbHfModel *model, FbGgufWriter *writer, FbError *err);
FbStatus fb_hf_put_chat_template(const FbHfModel *model, FbGgufWriter *writer, FbError *err);
/* model->pieces of a tokenizer.json whose model is unigram; stays NULL, with a warning, where its steps have no form in GGUF. */
FbStatus fb_hf_read_unigram(FbHfModel *model, FbError *err);
/* llama.cpp's name for the way a tokenizer.json cuts text before merging; NULL: it has none. */
const char *fb_hf_pretokenizer(const json_t *tokenizer);

#endif
