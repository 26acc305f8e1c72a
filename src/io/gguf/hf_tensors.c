/* Tensors of a Hugging Face checkpoint as those of a GGUF file: names, experts stacked, rows in llama.cpp's order. See hf_model.h. */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "graph/name_table.h"
#include "io/gguf/hf_model.h"

enum { EXPERTS_MORE = 1 << 16 }; /* than there are tensors are made room for, before it is seen which are missing */

/* Tensors that no runtime reads. */
static bool is_ignored(const FbHfModel *model, const char *name)
{
    static const char *const tails[] = {".attention.masked_bias", ".attention.bias", ".attn.masked_bias", ".rotary_emb.inv_freq", ".position_ids"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        size_t bytes = strlen(tails[i]);
        if (length > bytes && strcmp(name + length - bytes, tails[i]) == 0) {
            return true;
        }
    }
    bool triangle = (model->family->flags & FB_HF_CONV1D) != 0 && length > 10 && strcmp(name + length - 10, ".attn.bias") == 0;
    bool said = json_is_true(json_object_get(model->config, "tie_word_embeddings")) || json_is_true(json_object_get(model->text, "tie_word_embeddings"));
    bool tied = (model->family->flags & FB_HF_NO_HEAD) != 0 || (said && model->part.larger == NULL); /* larger models use a head that is there */
    bool head = length >= 14 && strcmp(name + length - 14, "lm_head.weight") == 0;
    return triangle || (tied && head);
}

/* Parts of models for pictures and sound: they go into a file of their own. */
static bool is_other_part(const char *name)
{
    static const char *const marks[] = {"visual.", "vision", "audio", "multi_modal_projector", "mm_projector"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(name, marks[i]) != NULL) {
            return true;
        }
    }
    return false;
}

FbGgufTensor *fb_hf_add_tensor(FbHfModel *model, const char *name)
{
    if (!fb_array_reserve_bytes(model->context, (void **)&model->tensors, model->tensor_count, &model->tensor_capacity, sizeof *model->tensors)) {
        return NULL;
    }
    FbGgufTensor *tensor = &model->tensors[model->tensor_count];
    *tensor = (FbGgufTensor){.name = fb_arena_strdup(model->arena, name)};
    if (tensor->name == NULL) {
        return NULL;
    }
    model->tensor_count++;
    return tensor;
}

static FbStatus no_memory(const FbHfModel *model, FbError *err) { return fb_error_memory(model->context, err, "a table of tensors", 0); }

FbStatus fb_hf_wrong_shape(const FbTableTensor *row, FbError *err)
{
    char shown[160], dims[128];
    fb_shape_text(&row->constant.shape, dims, sizeof dims);
    return fb_error_set(err, FB_ERR_FORMAT, "tensor '%s' has a shape of %s, which does not go with config.json", fb_escape(row->name, shown, sizeof shown),
                        dims);
}

FbStatus fb_hf_add_single(FbHfModel *model, const char *name, const FbTableTensor *row, FbGgufTensor **out, FbError *err)
{
    FbGgufTensor *tensor = fb_hf_add_tensor(model, name);
    const FbConst **pieces = fb_arena_array(model->arena, 1, sizeof *pieces);
    char shown[160];
    if (tensor == NULL || pieces == NULL) {
        return no_memory(model, err);
    }
    pieces[0] = &row->constant;
    tensor->pieces = pieces;
    tensor->piece_count = 1;
    tensor->shape = row->constant.shape;
    if (!fb_gguf_number_of_constant(&row->constant, &tensor->number)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s' has elements of type %s, which GGUF does not have; take the checkpoint in floats",
                            fb_escape(row->name, shown, sizeof shown), fb_dtype_name(row->constant.dtype));
    }
    *out = tensor;
    return FB_OK;
}

static bool has_rows(const FbTableTensor *row) { return row->constant.shape.rank == 1 || row->constant.shape.rank == 2; }

/* llama.cpp rotates neighbours, Hugging Face the two halves of a head: rows (head, half, pair) become (head, pair, half). */
static FbStatus permute(const FbHfModel *model, const FbTableTensor *row, FbGgufTensor *tensor, int64_t heads, FbError *err)
{
    int64_t rows = row->constant.shape.dims[0];
    (void)model;
    if (!has_rows(row) || heads <= 0 || rows % (2 * heads) != 0) {
        return fb_hf_wrong_shape(row, err);
    }
    tensor->outer = heads;
    tensor->left = rows / heads / 2;
    tensor->right = 2;
    tensor->inner = 1;
    return FB_OK;
}

/* Rows (head, which, depth) become (which, head, depth), which: query, key, value. */
static FbStatus part_heads(const FbHfModel *model, const FbTableTensor *row, FbGgufTensor *tensor, FbError *err)
{
    int64_t rows = row->constant.shape.dims[0], heads = model->facts.heads;
    if (!has_rows(row) || heads <= 0 || rows % (3 * heads) != 0) {
        return fb_hf_wrong_shape(row, err);
    }
    tensor->outer = 1;
    tensor->left = 3;
    tensor->right = heads;
    tensor->inner = rows / heads / 3;
    return FB_OK;
}

static bool is_norm(const FbHfName *name)
{
    size_t length = strlen(name->part);
    return length >= 4 && strcmp(name->part + length - 4, "norm") == 0 && strcmp(name->suffix, ".weight") == 0;
}

static FbStatus arrange(FbHfModel *model, const FbHfName *name, const FbTableTensor *row, FbGgufTensor *tensor, FbError *err)
{
    unsigned flags = model->family->flags;
    bool q = strcmp(name->part, "attn_q") == 0, k = strcmp(name->part, "attn_k") == 0, qkv = strcmp(name->part, "attn_qkv") == 0;
    if ((flags & FB_HF_PERMUTED) != 0 && (q || k)) {
        return permute(model, row, tensor, q ? model->facts.heads : model->facts.kv_heads, err);
    }
    if ((flags & FB_HF_QKV_HEADS) != 0 && qkv) {
        return part_heads(model, row, tensor, err);
    }
    bool linear = qkv || strcmp(name->part, "attn_output") == 0 || strcmp(name->part, "ffn_up") == 0 || strcmp(name->part, "ffn_down") == 0;
    if ((flags & FB_HF_CONV1D) != 0 && linear && tensor->shape.rank == 2) {
        int64_t rows = tensor->shape.dims[1];
        tensor->shape.dims[1] = tensor->shape.dims[0];
        tensor->shape.dims[0] = rows;
        tensor->transposed = true;
    }
    if ((flags & FB_HF_NORM_PLUS_ONE) != 0 && is_norm(name)) {
        tensor->added = 1.0f;
    }
    if (strcmp(name->part, "token_embd") == 0 && tensor->shape.rank == 2) {
        model->vocabulary = tensor->shape.dims[0];
    }
    return FB_OK;
}

/* A matrix of one expert becomes a part of the stack of all. */
static FbStatus stack(FbHfModel *model, struct FbNameTable *stacks, const FbHfName *name, const char *full, const FbTableTensor *row, FbError *err)
{
    int64_t experts = model->facts.experts;
    const FbShape *shape = &row->constant.shape;
    FbId found = fb_name_table_find(stacks, full);
    FbGgufTensor *tensor = found != FB_NONE ? &model->tensors[found] : NULL;
    if (shape->rank != 2 || name->expert >= experts) {
        return fb_hf_wrong_shape(row, err);
    }
    if (tensor == NULL && (model->stacked += experts) > (int64_t)model->checkpoint->tensor_count + EXPERTS_MORE) {
        return fb_error_set(err, FB_ERR_FORMAT, "the checkpoint has far less tensors than %lld experts in every layer", (long long)experts);
    }
    if (tensor == NULL) {
        FB_TRY(fb_hf_add_single(model, full, row, &tensor, err));
        tensor->shape = (FbShape){3, {experts, shape->dims[0], shape->dims[1]}};
        tensor->pieces = fb_arena_array(model->arena, (size_t)experts, sizeof *tensor->pieces);
        tensor->piece_count = (size_t)experts;
        if (tensor->pieces == NULL || !fb_name_table_add(stacks, tensor->name, (FbId)(model->tensor_count - 1))) {
            return no_memory(model, err);
        }
    }
    uint32_t number;
    bool same = fb_gguf_number_of_constant(&row->constant, &number) && number == tensor->number && shape->dims[0] == tensor->shape.dims[1] &&
                shape->dims[1] == tensor->shape.dims[2] && tensor->pieces[name->expert] == NULL;
    if (!same) {
        return fb_hf_wrong_shape(row, err);
    }
    tensor->pieces[name->expert] = &row->constant;
    return FB_OK;
}

typedef struct FbHfTally {
    size_t unknown, others;
    const char *first_unknown, *first_other;
    FbOtherParts parts; /* of a larger model that is known */
} FbHfTally;

/* What the family says of a tensor; of a larger model, of those of its part for text, whose plain names lie in `plain`. */
static FbHfName name_of(const FbHfModel *model, const FbTableTensor *row, char plain[FB_TEXT_PART_NAME])
{
    if (model->part.larger == NULL) {
        return fb_hf_name(model->family, row->name);
    }
    const char *own = fb_text_part_plain_name(&model->part, row->name, plain);
    return own != NULL ? fb_hf_name(model->family, own) : (FbHfName){.part = NULL};
}

static FbStatus map_one(FbHfModel *model, struct FbNameTable *stacks, const FbTableTensor *row, FbHfTally *tally, FbError *err)
{
    bool larger = model->part.larger != NULL;
    char plain[FB_TEXT_PART_NAME], full[128];
    FbHfName name = name_of(model, row, plain);
    FbGgufTensor *tensor;
    if (is_ignored(model, row->name) || (larger && fb_text_part_is_other(row->name, &tally->parts))) {
        return FB_OK;
    }
    if (name.part == NULL && is_other_part(row->name)) {
        tally->first_other = tally->others++ == 0 ? row->name : tally->first_other;
        return FB_OK;
    }
    if (name.part == NULL) {
        tally->first_unknown = tally->unknown++ == 0 ? row->name : tally->first_unknown;
        return fb_hf_add_single(model, row->name, row, &tensor, err);
    }
    bool fused = name.expert < 0 && (strcmp(name.part, "ffn_gate_up_exps") == 0 || strcmp(name.part, "ffn_down_exps") == 0);
    if (fused) {
        return fb_hf_add_fused(model, &name, row, err);
    }
    if (name.layer >= 0) {
        snprintf(full, sizeof full, "blk.%lld.%s%s", (long long)name.layer, name.part, name.suffix);
    } else {
        snprintf(full, sizeof full, "%s%s", name.part, name.suffix);
    }
    if (name.expert >= 0) {
        return stack(model, stacks, &name, full, row, err);
    }
    FB_TRY(fb_hf_add_single(model, full, row, &tensor, err));
    return arrange(model, &name, row, tensor, err);
}

/* Every stack must have all its experts. */
static FbStatus check_stacks(const FbHfModel *model, FbError *err)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        const FbGgufTensor *tensor = &model->tensors[i];
        for (size_t j = 0; j < tensor->piece_count; j++) {
            if (tensor->pieces[j] == NULL) {
                return fb_error_set(err, FB_ERR_FORMAT, "expert %zu of '%s' is missing", j, tensor->name);
            }
        }
    }
    return FB_OK;
}

FbStatus fb_hf_map_tensors(FbHfModel *model, FbError *err)
{
    FbHfTally tally = {0};
    FbStatus status = FB_OK;
    char shown[160];
    struct FbNameTable *stacks = fb_name_table_create(model->context);
    if (stacks == NULL) {
        return no_memory(model, err);
    }
    for (size_t i = 0; i < model->checkpoint->tensor_count && status == FB_OK; i++) {
        status = map_one(model, stacks, &model->checkpoint->tensors[i], &tally, err);
    }
    fb_name_table_free(stacks);
    FB_TRY(status);
    FB_TRY(check_stacks(model, err));
    if (tally.unknown > 0) {
        fb_log(model->context, FB_LOG_WARNING, "unknown-names", "%zu tensors keep their names, because GGUF's are not known: '%s'%s", tally.unknown,
               fb_escape(tally.first_unknown, shown, sizeof shown), tally.unknown > 1 ? " and others" : "");
    }
    fb_text_part_note(model->context, &model->part, &tally.parts);
    if (tally.others > 0) {
        fb_log(model->context, FB_LOG_WARNING, "other-parts", "%zu tensors of parts for pictures or sound are left out: '%s'%s", tally.others,
               fb_escape(tally.first_other, shown, sizeof shown), tally.others > 1 ? " and others" : "");
    }
    return FB_OK;
}
