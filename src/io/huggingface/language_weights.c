/* Tensors of a checkpoint as constants of the graph: matrices stay in the file, vectors are loaded as float. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/huggingface/language_build.h"
#include "tensor/block_type.h"

enum { NAME_BYTES = 256 };

static FbTableTensor *tensor_of(const FbLanguageBuild *b, FbLanguageRole role, int64_t expert, const char *suffix, char *name)
{
    return fb_language_tensor_name(b->spec, b->gguf, role, b->layer, expert, suffix, name, NAME_BYTES) != NULL
               ? fb_checkpoint_tensor(b->checkpoint, name)
               : NULL;
}

bool fb_build_has(const FbLanguageBuild *b, FbLanguageRole role, int64_t expert, const char *suffix)
{
    char name[NAME_BYTES];
    return tensor_of(b, role, expert, suffix, name) != NULL;
}

/* The tensor, which must be there with this shape. NULL after a failure. */
static const FbConst *take(FbLanguageBuild *b, FbLanguageRole role, int64_t expert, const char *suffix, const FbShape *shape, char *name)
{
    char shown[NAME_BYTES], got[64], wanted[64];
    name[0] = '\0';
    FbTableTensor *tensor = b->status == FB_OK ? tensor_of(b, role, expert, suffix, name) : NULL;
    if (b->status != FB_OK) {
        return NULL;
    }
    fb_escape(name[0] != '\0' ? name : "?", shown, sizeof shown);
    if (tensor == NULL) {
        fb_build_fail(b, fb_error_set(b->err, FB_ERR_FORMAT, "tensor '%s' is missing", shown));
        return NULL;
    }
    b->used[tensor - b->checkpoint->tensors] = true;
    if (!fb_shape_equal(&tensor->constant.shape, shape)) {
        fb_shape_text(&tensor->constant.shape, got, sizeof got);
        fb_shape_text(shape, wanted, sizeof wanted);
        fb_build_fail(b, fb_error_set(b->err, FB_ERR_FORMAT, "tensor '%s' has shape %s, expected %s", shown, got, wanted));
        return NULL;
    }
    return &tensor->constant;
}

/* The encoding that a constant in the graph gets: halves are blocks of one. */
static bool encoding_of(const FbConst *from, FbEncoding *encoding, bool *plain)
{
    *plain = from->encoding == NULL && from->dtype == FB_DTYPE_F32;
    if (*plain) {
        return true;
    }
    if (from->encoding != NULL) {
        *encoding = *from->encoding;
        return true;
    }
    bool half = from->dtype == FB_DTYPE_F16 || from->dtype == FB_DTYPE_BF16;
    const FbBlockType *type = half ? fb_block_type_find(from->dtype == FB_DTYPE_F16 ? "f16" : "bf16") : NULL;
    if (type != NULL) {
        *encoding = fb_block_encoding(type, from->shape.rank);
    }
    return type != NULL;
}

/* The constant, or some of its rows: indices [first, first + rows) of its first axis. */
static FbId share(FbLanguageBuild *b, const char *name, const FbConst *from, int64_t first, int64_t rows)
{
    FbEncoding encoding;
    bool plain;
    char shown[NAME_BYTES];
    FbId value = FB_NONE;
    if (from->shape.dims[0] <= 0 || !encoding_of(from, &encoding, &plain)) {
        fb_build_fail(b, fb_error_set(b->err, FB_ERR_UNSUPPORTED, "tensor '%s' has type %s, which is not computed with",
                                      fb_escape(name, shown, sizeof shown), fb_dtype_name(from->dtype)));
        return FB_NONE;
    }
    FbConst *constant = fb_graph_share_const(b->graph, from);
    FbEncoding *kept = constant != NULL && !plain ? fb_arena_alloc(b->graph->arena, sizeof *kept) : NULL;
    if (constant == NULL || (!plain && kept == NULL)) {
        fb_build_fail(b, fb_error_memory(b->context, b->err, "a weight", 0));
        return FB_NONE;
    }
    FbPlane *plane = &constant->planes[FB_PLANE_CODES];
    uint64_t row_bytes = plane->bytes / (uint64_t)from->shape.dims[0]; /* rows are whole blocks: readers have proved it */
    plane->offset += (uint64_t)first * row_bytes;
    plane->bytes = (uint64_t)rows * row_bytes;
    constant->shape.dims[0] = rows;
    constant->dtype = FB_DTYPE_F32;
    constant->encoding = kept;
    if (!plain) {
        *kept = encoding;
    }
    fb_build_fail(b, fb_graph_add_value(b->graph, name, &value, b->err));
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_set_initializer(b->graph, value, constant, b->err));
    }
    return b->status == FB_OK ? value : FB_NONE;
}

static FbId whole(FbLanguageBuild *b, FbLanguageRole role, int64_t expert, const FbShape *shape)
{
    char name[NAME_BYTES];
    const FbConst *from = take(b, role, expert, ".weight", shape, name);
    FbId value = from != NULL ? fb_graph_find_value(b->graph, name) : FB_NONE;
    return from == NULL || value != FB_NONE ? value : share(b, name, from, 0, shape->dims[0]);
}

FbId fb_build_matrix(FbLanguageBuild *b, FbLanguageRole role, int64_t expert, int64_t rows, int64_t columns)
{
    FbShape shape = fb_shape_make(2, (const int64_t[]){rows, columns});
    return whole(b, role, expert, &shape);
}

FbId fb_build_stack(FbLanguageBuild *b, FbLanguageRole role, int64_t experts, int64_t rows, int64_t columns)
{
    FbShape shape = fb_shape_make(3, (const int64_t[]){experts, rows, columns});
    return whole(b, role, 0, &shape);
}

FbId fb_build_rows(FbLanguageBuild *b, FbLanguageRole role, const char *part, int64_t total, int64_t first, int64_t rows, int64_t columns)
{
    char name[NAME_BYTES];
    FbShape shape = fb_shape_make(2, (const int64_t[]){total, columns});
    const FbConst *from = take(b, role, 0, ".weight", &shape, name);
    if (from == NULL) {
        return FB_NONE;
    }
    size_t length = strlen(name);
    snprintf(name + length, sizeof name - length, ".%s", part);
    return share(b, name, from, first, rows);
}

FbId fb_build_vector(FbLanguageBuild *b, FbLanguageRole role, const char *suffix, const char *part, int64_t total, int64_t first, int64_t count,
                     double add, bool needed)
{
    char name[NAME_BYTES];
    float *data = NULL;
    FbShape shape = fb_shape_make(1, &total);
    if (b->status != FB_OK || (!needed && !fb_build_has(b, role, 0, suffix))) {
        return FB_NONE;
    }
    const FbConst *from = take(b, role, 0, suffix, &shape, name);
    if (from == NULL) {
        return FB_NONE;
    }
    if (part != NULL) {
        size_t length = strlen(name);
        snprintf(name + length, sizeof name - length, ".%s", part);
    }
    FbId value = fb_build_floats(b, name, 1, &count, &data);
    if (value != FB_NONE) {
        fb_build_fail(b, fb_const_read_f32(b->context, from, (uint64_t)first, (size_t)count, data, b->err));
    }
    for (int64_t i = 0; b->status == FB_OK && add != 0.0 && i < count; i++) {
        data[i] = (float)((double)data[i] + add);
    }
    return b->status == FB_OK ? value : FB_NONE;
}

/* ---- products and norms ---- */

static FbId gemm(FbLanguageBuild *b, const char *name, FbId x, FbId weight, FbId bias, bool transposed)
{
    FbId y = fb_build_node(b, "", "Gemm", name, (const FbId[]){x, weight, bias}, 3);
    fb_build_int(b, "transB", transposed ? 0 : 1);
    return y;
}

FbId fb_build_linear(FbLanguageBuild *b, FbLanguageRole role, const char *name, FbId x, int64_t out, int64_t in)
{
    bool transposed = b->spec->transposed && role != FB_ROLE_HEAD && role != FB_ROLE_EMBEDDING;
    FbId weight = transposed ? fb_build_matrix(b, role, 0, in, out) : fb_build_matrix(b, role, 0, out, in);
    FbId bias = fb_build_vector(b, role, ".bias", NULL, out, 0, out, 0.0, false);
    return gemm(b, name, x, weight, bias, transposed);
}

FbId fb_build_linear_rows(FbLanguageBuild *b, FbLanguageRole role, const char *part, FbId x, int64_t total, int64_t first, int64_t out, int64_t in)
{
    FbId weight = fb_build_rows(b, role, part, total, first, out, in);
    FbId bias = fb_build_vector(b, role, ".bias", part, total, first, out, 0.0, false);
    return gemm(b, part, x, weight, bias, false);
}

FbId fb_build_norm(FbLanguageBuild *b, FbLanguageRole role, const char *name, FbId x, int64_t width)
{
    FbId weight = fb_build_vector(b, role, ".weight", NULL, width, 0, width, b->spec->norm_plus_one ? 1.0 : 0.0, true);
    FbId bias = b->spec->layer_norm ? fb_build_vector(b, role, ".bias", NULL, width, 0, width, 0.0, false) : FB_NONE;
    FbId y = fb_build_node(b, "", b->spec->layer_norm ? "LayerNormalization" : "RMSNormalization", name, (const FbId[]){x, weight, bias}, 3);
    fb_build_float(b, "epsilon", b->spec->epsilon);
    return y;
}

/* ---- nothing left over ---- */

/* Tables that files may carry although the configuration says what is in them. */
static bool is_derived(const char *name)
{
    static const char *const patterns[] = {"*.rotary_emb.inv_freq", "*.attn.bias", "*.attn.masked_bias", "*.attention.bias",
                                           "*.attention.masked_bias", "rope_freqs.weight", "rope_factors_long.weight",
                                           "rope_factors_short.weight", "*.attn_rot_embd.weight"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        if (fb_glob_match(patterns[i], name)) {
            return true;
        }
    }
    return false;
}

FbStatus fb_build_check_used(FbLanguageBuild *b)
{
    const FbTextPart part = {.larger = b->spec->larger};
    FbOtherParts others = {0};
    for (size_t i = 0; b->status == FB_OK && i < b->checkpoint->tensor_count; i++) {
        const char *name = b->checkpoint->tensors[i].name;
        bool copy = part.larger == NULL && strcmp(name, "lm_head.weight") == 0; /* of the embedding */
        bool elsewhere = !b->used[i] && part.larger != NULL && fb_text_part_is_other(name, &others);
        if (!b->used[i] && !elsewhere && !copy && !is_derived(name)) {
            char shown[NAME_BYTES];
            fb_build_fail(b, fb_error_set(b->err, FB_ERR_UNSUPPORTED, "tensor '%s' has no place in architecture '%s'",
                                          fb_escape(name, shown, sizeof shown), b->spec->info.architecture));
        }
    }
    if (b->status == FB_OK) {
        fb_text_part_note(b->context, &part, &others);
    }
    return b->status;
}
