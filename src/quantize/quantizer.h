/* The state of one run of fb_quantize; its steps are in files of their own. */
#ifndef FB_QUANTIZE_QUANTIZER_H
#define FB_QUANTIZE_QUANTIZER_H

#include "base/array.h"
#include "graph/model.h"
#include "passes/quant_placement.h"
#include "quantize/recipe.h"
#include "quantize/units.h"
#include "quantize/weights.h"

typedef struct FbCachedWeight { /* an encoded form of a constant that other nodes may share */
    const FbConst *from;
    FbEncoding encoding;
    bool symmetric;
    FbId value;
} FbCachedWeight;

typedef struct FbQuantizer {
    FbContext *context;
    FbArena *arena;                 /* scratch of this run */
    FbModel *model;                 /* the clone that is edited */
    FbGraph *graph;
    const FbRecipe *recipe;
    const FbStatistics *statistics; /* may be NULL */
    size_t node_count;              /* of the graph before Quants and helpers are added: what rules speak of */
    FbId *order;                    /* its live nodes, topological */
    size_t order_count;
    const FbRule **rule;            /* per node id: the first that matches; NULL */
    const char **reason;            /* per node id: why it stays in float; NULL: it does not */
    bool *computes;                 /* per node id: it makes float values by arithmetic or by moving them */
    FB_ARRAY(FbCachedWeight) cache;
    FbUnits units;                  /* weights whose codes are made in the end */
    FB_ARRAY(FbLeftInFloat) left;   /* texts in the arena */
    uint64_t weight_elements, weight_bits, dead_scales;
    size_t weights_quantized, activations_quantized;
} FbQuantizer;

/* rules.c: fills order, rule and reason. */
FbStatus fb_quantizer_match(FbQuantizer *quantizer, FbError *err);
/* static_plan.c: weights, biases and Quants of the nodes with static activations. */
FbStatus fb_quantizer_static(FbQuantizer *quantizer, FbError *err);
/* dynamic.c: products whose inputs get their range at run time, as standard operators. */
FbStatus fb_quantizer_dynamic(FbQuantizer *quantizer, FbError *err);
/* A new initializer named after `base`, its data copied. */
FbStatus fb_quantizer_add_constant(FbQuantizer *quantizer, const char *base, const char *suffix, const FbTensor *tensor, FbId *value,
                                   FbError *err);
/* dynamic_lstm.c: LSTM as ONNX Runtime's DynamicQuantizeLSTM. Why the node cannot be one; NULL: it can. */
typedef struct FbDynamicLstm { FbConst *w, *r; } FbDynamicLstm; /* weights in codes, a row per direction and gate */
const char *fb_dynamic_lstm_obstacle(const FbQuantizer *quantizer, FbId node);
/* Queues the codes; they must be made before the rewriting. */
FbStatus fb_dynamic_lstm_prepare(FbQuantizer *quantizer, FbId node, FbDynamicLstm **lstm, FbError *err);
FbStatus fb_dynamic_lstm_rewrite(FbQuantizer *quantizer, FbId node, const FbDynamicLstm *lstm, FbError *err);
/* weights_only.c: weights in codes or halves, arithmetic in float. */
FbStatus fb_quantizer_weights(FbQuantizer *quantizer, FbError *err);
/* qoperator.c: turns convolutions and products between Quants into QLinearConv, QLinearMatMul and MatMulInteger. */
FbStatus fb_quantizer_qoperator(FbQuantizer *quantizer, FbError *err);

/* left_in_float.c: fills computes; then, when all is done, a line for every node that computes in float. */
FbStatus fb_quantizer_types(FbQuantizer *quantizer, FbError *err);
FbStatus fb_quantizer_list_left(FbQuantizer *quantizer, FbError *err);

/* constants.c */
/* Prepares the codes of a constant as a unit of the queue and counts it. */
FbStatus fb_quantizer_push(FbQuantizer *quantizer, FbId value, const FbConst *from, const FbEncoding *encoding, bool symmetric,
                           const double *least, FbConst **made, FbError *err);
/* Runs the units whose constant is still an initializer. */
FbStatus fb_quantizer_run_units(FbQuantizer *quantizer, FbError *err);
/* Puts an encoded form of input `index` of the node in its place, shared with other nodes that want the same; least as in
 * fb_weight_prepare (then it is not shared). */
FbStatus fb_quantizer_encode_input(FbQuantizer *quantizer, FbId node, uint32_t index, const FbEncoding *encoding, bool symmetric,
                                   const double *least, FbError *err);
/* Makes `constant` what input `index` of the node reads: in place when nobody else reads the old value. */
FbStatus fb_quantizer_replace_input(FbQuantizer *quantizer, FbId node, uint32_t index, FbConst *constant, FbId *value, FbError *err);
/* The encoding of a weight as the rule wants it; false: this input has no such axis. */
bool fb_quantizer_encoding(const FbNode *node, uint32_t index, const FbShape *shape, const FbWeightSpec *spec, FbEncoding *encoding);
/* Drops initializers that nothing reads any more. */
FbStatus fb_quantizer_sweep(FbQuantizer *quantizer, FbError *err);
/* A name for messages and patterns: the node's own, else its first output's. */
const char *fb_quantizer_node_name(const FbGraph *graph, const FbNode *node);
static inline bool fb_quantizer_is_recurrent(const FbNode *node)
{
    return fb_node_is(node, "", "LSTM") || fb_node_is(node, "", "GRU") || fb_node_is(node, "", "RNN");
}
static inline FbStatus fb_quantizer_memory(const FbQuantizer *quantizer, FbError *err)
{
    return fb_error_memory(quantizer->context, err, "quantization", 0);
}

#endif
