/* Graph to graph passes. Each keeps the meaning of every graph output and of every value that the caller wants to keep. */
#ifndef FB_PASSES_PASSES_H
#define FB_PASSES_PASSES_H

#include "graph/model.h"
#include "tensor/tensor.h"

/* Values (by id) that must still exist with the same content afterwards, because somebody observes them. NULL: none. */
typedef struct FbKeep {
    const bool *values;
    size_t count; /* ids from `count` on are not kept */
} FbKeep;

static inline bool fb_keep_value(const FbKeep *keep, FbId value)
{
    return keep != NULL && value < keep->count && keep->values[value];
}

/* Replaces calls of the model's local functions by their bodies, in subgraphs too; at most FB_INLINE_DEPTH deep, FB_INLINE_NODES nodes. */
enum { FB_INLINE_DEPTH = 32, FB_INLINE_NODES = 1000000 };
FbStatus fb_pass_inline_functions(const FbModel *model, FbGraph *graph, FbError *err);

/* Removes nodes none of whose outputs is wanted. Subgraphs of the remaining nodes are cleaned, too. */
FbStatus fb_pass_dead_code(FbGraph *graph, const FbKeep *keep, FbError *err);

/* Identity, and Dropout in inference, hand their input through. */
FbStatus fb_pass_remove_identity(FbGraph *graph, const FbKeep *keep, FbError *err);

/* Quant nodes of domain "fewbit" hand their input through (a session that runs in float). Subgraphs too. */
FbStatus fb_pass_remove_quant(FbGraph *graph, const FbKeep *keep, FbError *err);

/* BatchNormalization right behind a Conv, ConvTranspose or Gemm with constant weights goes into weights and bias:
 *   w' = w * s,  b' = (b - mean) * s + beta,  s = gamma / sqrt(variance + epsilon)     per output channel, in double, rounded once.
 * Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.2. The product then has the batch norm's output as its own. Weights used
 * once keep their names. *folded (may be NULL) counts. */
FbStatus fb_pass_fold_batch_norm(FbGraph *graph, const FbKeep *keep, size_t *folded, FbError *err);

/* A Pad of spatial axes with constant zeros, read by one Conv only, goes into that Conv's pads. The Pad is left without a reader. */
FbStatus fb_pass_fold_pad(FbGraph *graph, const FbKeep *keep, FbError *err);

/* ConvTranspose with a constant weight becomes Conv and a shuffle of its channels; for execution, in any mode. */
FbStatus fb_pass_expand_conv_transpose(FbGraph *graph, const FbKeep *keep, FbError *err);

/* A Quant of one scale behind a Concat moves in front of it; for integer execution. */
FbStatus fb_pass_quant_before_concat(FbGraph *graph, const FbKeep *keep, FbError *err);

/* Integer operators with constant scales and zero points (QLinearConv, QLinearMatMul, QGemm, QLinearAdd, ...) become real operators between
 * Quants, their weights encoded constants; for integer execution, before constants are folded. What has no such form stays. Codes are the
 * same within 1 unit. Subgraphs too. */
FbStatus fb_pass_expand_qlinear(FbGraph *graph, const FbKeep *keep, FbError *err);
/* DynamicQuantizeLinear, MatMulInteger or ConvInteger, Cast, and the products with both scales become MatMul or Conv of a dynamic Quant and an
 * encoded constant; DynamicQuantizeMatMul too. Subgraphs too. */
FbStatus fb_pass_expand_dynamic(FbGraph *graph, const FbKeep *keep, FbError *err);

/* FusedConv, FusedGemm, the Gelus and SkipLayerNormalization of ONNX Runtime's optimizer become ONNX's own operators, for execution in every
 * mode. After the semantic check, which knows their attributes. Subgraphs too. */
FbStatus fb_pass_expand_fused(FbGraph *graph, const FbKeep *keep, FbError *err);

/* Runs one node on constants. outputs[i].data is fb_alloc'ed and goes to the caller. *done false: cannot or should not be folded (random,
 * more than max_bytes of output, a failure that belongs to run time). */
typedef FbStatus (*FbEvaluateNode)(void *user, const FbGraph *graph, const FbNode *node, const FbTensor *const *inputs, FbTensor *outputs,
                                   uint64_t max_bytes, bool *done, FbError *err);
/* Nodes all of whose inputs are constants become constants, unless they grow: output bytes <= 4 * input bytes + 1 MiB. */
FbStatus fb_pass_fold_constants(FbGraph *graph, const FbKeep *keep, FbEvaluateNode evaluate, void *user, FbError *err);

#endif
