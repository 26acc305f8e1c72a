/* Small checkpoints of language models in memory: a configuration as JSON, and tensors of zeros. */
#ifndef LANGUAGE_MAKER_H
#define LANGUAGE_MAKER_H

#include <string.h>

#include "fewbit/language.h"
#include "graph/tensor_table.h"

typedef struct MakerTensor { const char *name; int rank; int64_t dims[3]; } MakerTensor;

enum { MAKER_BYTES = 4096 }; /* of the largest tensor */

#define LLAMA_ATTENTION                                                                                                              \
    {"model.embed_tokens.weight", 2, {5, 8}}, {"model.norm.weight", 1, {8}}, {"lm_head.weight", 2, {5, 8}},                          \
        {"model.layers.0.input_layernorm.weight", 1, {8}}, {"model.layers.0.self_attn.q_proj.weight", 2, {8, 8}},                    \
        {"model.layers.0.self_attn.k_proj.weight", 2, {4, 8}}, {"model.layers.0.self_attn.v_proj.weight", 2, {4, 8}},                \
        {"model.layers.0.self_attn.o_proj.weight", 2, {8, 8}}, {"model.layers.0.post_attention_layernorm.weight", 1, {8}}

static const MakerTensor maker_llama[] = {
    LLAMA_ATTENTION,
    {"model.layers.0.mlp.gate_proj.weight", 2, {12, 8}},
    {"model.layers.0.mlp.up_proj.weight", 2, {12, 8}},
    {"model.layers.0.mlp.down_proj.weight", 2, {8, 12}},
    {NULL, 0, {0}},
};

static const MakerTensor maker_mixtral[] = {
    LLAMA_ATTENTION,
    {"model.layers.0.block_sparse_moe.gate.weight", 2, {2, 8}},
    {"model.layers.0.block_sparse_moe.experts.0.w1.weight", 2, {12, 8}},
    {"model.layers.0.block_sparse_moe.experts.0.w2.weight", 2, {8, 12}},
    {"model.layers.0.block_sparse_moe.experts.0.w3.weight", 2, {12, 8}},
    {"model.layers.0.block_sparse_moe.experts.1.w1.weight", 2, {12, 8}},
    {"model.layers.0.block_sparse_moe.experts.1.w2.weight", 2, {8, 12}},
    {"model.layers.0.block_sparse_moe.experts.1.w3.weight", 2, {12, 8}},
    {NULL, 0, {0}},
};

static const MakerTensor maker_gpt2[] = {
    {"wte.weight", 2, {5, 8}},
    {"wpe.weight", 2, {6, 8}},
    {"ln_f.weight", 1, {8}},
    {"ln_f.bias", 1, {8}},
    {"h.0.ln_1.weight", 1, {8}},
    {"h.0.ln_1.bias", 1, {8}},
    {"h.0.attn.bias", 3, {1, 6, 6}},
    {"h.0.attn.c_attn.weight", 2, {8, 24}},
    {"h.0.attn.c_attn.bias", 1, {24}},
    {"h.0.attn.c_proj.weight", 2, {8, 8}},
    {"h.0.attn.c_proj.bias", 1, {8}},
    {"h.0.ln_2.weight", 1, {8}},
    {"h.0.ln_2.bias", 1, {8}},
    {"h.0.mlp.c_fc.weight", 2, {8, 32}},
    {"h.0.mlp.c_fc.bias", 1, {32}},
    {"h.0.mlp.c_proj.weight", 2, {32, 8}},
    {"h.0.mlp.c_proj.bias", 1, {8}},
    {NULL, 0, {0}},
};

static inline FbStatus maker_tensor(FbCheckpoint *checkpoint, const MakerTensor *from, FbDtype dtype, FbError *err)
{
    FbTableTensor *tensor;
    FB_TRY(fb_checkpoint_add_tensor(checkpoint, from->name, strlen(from->name), &tensor, err));
    tensor->constant.dtype = dtype;
    tensor->constant.shape = fb_shape_make(from->rank, from->dims);
    uint64_t bytes = (uint64_t)fb_shape_elements(&tensor->constant.shape) * (uint64_t)fb_dtype_bits(dtype) / 8;
    tensor->constant.planes[FB_PLANE_CODES] = (FbPlane){.source = checkpoint->files[0].source, .bytes = bytes};
    return FB_OK;
}

/* config NULL: a folder without config.json. */
static inline FbStatus maker_checkpoint(FbContext *context, const char *config, size_t config_bytes, const MakerTensor *tensors,
                                        FbCheckpoint **out, FbError *err)
{
    static const uint8_t zeros[MAKER_BYTES];
    FbSource *source;
    uint32_t file;
    FB_TRY(fb_checkpoint_create(context, "model", "safetensors", out, err));
    FbStatus status = fb_source_from_memory(context, zeros, sizeof zeros, &source, err);
    status = status == FB_OK ? fb_checkpoint_add_file(*out, source, "model.safetensors", &file, err) : status;
    for (size_t i = 0; status == FB_OK && tensors[i].name != NULL; i++) {
        status = maker_tensor(*out, &tensors[i], FB_DTYPE_F32, err);
    }
    if (status != FB_OK) {
        fb_checkpoint_free(*out);
        *out = NULL;
        return status;
    }
    (*out)->config = (FbBytes){(const uint8_t *)config, config_bytes};
    return FB_OK;
}

#endif
