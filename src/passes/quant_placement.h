/* Where Quants stand: on the inputs of integer operators, behind fused activations, through operators that move data. */
#ifndef FB_PASSES_QUANT_PLACEMENT_H
#define FB_PASSES_QUANT_PLACEMENT_H

#include "passes/quant_ops.h"

typedef struct FbQuantPlacement {
    unsigned target;          /* in: FB_QUANT_FOR_ONNXRUNTIME or FB_QUANT_FOR_OPENVINO */
    bool (*usable)(void *user, FbId value); /* in: has a known float range; NULL: all have */
    void *user;
    /* Per node id, arena arrays of node_count. */
    bool *quantized;          /* in: wished; out: computed on quantized inputs. PASS nodes: in: may hand parameters through; out: does */
    const char **reason;      /* out: why the node stays in float; NULL when quantized, or when it is the tail of a quantized node */
    /* Per value id, arena arrays of value_count. */
    FbId *range_of;           /* out: FB_NONE: no Quant; else the value whose range its Quant has (itself, or the source of moved data) */
    FbId *rule_of;            /* out: the node whose settings the Quant of this value (a range_of root) takes */
} FbQuantPlacement;

/* Fills the arrays; reads the graph only. Nodes inside subgraphs stay in float. */
FbStatus fb_quant_place(const FbGraph *graph, FbArena *arena, FbQuantPlacement *placement, FbError *err);

/* The value behind the fused activations (Relu, Clip) of a value that nothing else uses. */
FbId fb_quant_tail(const FbGraph *graph, const FbUses *uses, FbId value);

#endif
