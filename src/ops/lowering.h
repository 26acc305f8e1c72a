/* How an operator with constant operands becomes a step with packed constants and an epilogue. */
#ifndef FB_OPS_LOWERING_H
#define FB_OPS_LOWERING_H

#include "kernels/epilogue.h"
#include "ops/op.h"

/* What follows a product in the same step, as the compiler fused it from the graph. */
typedef struct FbFusedOp {
    FbEpilogueKind kind;
    float a, b;              /* parameters of the kind */
    int32_t low, high;       /* ROUND: code range */
    int operand;             /* ADD, MUL: index into call->inputs (>= prepare->input_count), same shape and form as the output; -1 */
    const FbCodeGrid *operand_grid; /* ADD, MUL: the operand's tensor holds u8 codes of this grid; NULL: float */
} FbFusedOp;

static inline bool fb_fused_has_operand(const FbFusedOp *op) { return op->kind == FB_EPILOGUE_ADD || op->kind == FB_EPILOGUE_MUL; }

typedef struct FbPrepare {
    FbContext *context;
    FbArena *arena;               /* lives as long as the plan */
    const FbNode *node;
    const void *params;
    int input_count;              /* the node's inputs; 3 for MatMul, Gemm, Conv without a bias when the compiler found one behind them:
                                     constants[2] is then F32 of as many elements as the output has columns or channels */
    FbConst *const *constants;    /* per input: the constant, or NULL */
    const FbType *inputs;         /* types as far as known without shapes of this run */
    bool channels_last;           /* the form that the compiler would like for input and output */
    int fused_count;
    FbFusedOp fused[FB_EPILOGUE_MAX];
    /* Integer lowerings only. A tensor with a grid holds u8 codes (FbCodeGrid) and has dtype U8 in the call, whatever the graph says. */
    const FbCodeGrid *const *grids; /* per input: NULL: real */
    const FbCodeGrid *store_grid;   /* the output is stored as codes of this grid: that of fused[fused_count - 1], a ROUND that the store does;
                                       NULL: stored as reals. An operator that moves data stores its input's grid, ROUND or not */
    /* Lowerings of constants in block types (FbOp.blocks) only. */
    struct FbBlockStore *store;     /* the plan's packed constants */
    bool integer_mode;              /* FB_MODE_INTEGER: activations may be rounded to 8 bits on the fly */
    bool dynamic_a;                 /* input 0 is real; the step quantizes it per run as DynamicQuantizeLinear does (u8, per tensor) */
} FbPrepare;

typedef struct FbBind {
    FbContext *context;
    FbArena *arena;               /* lives as long as this binding */
    const void *params;
    const void *state;
    const FbCall *call;           /* inputs and outputs with dtype and dims (physical), no data */
    size_t scratch_bytes;         /* out */
    void *bound;                  /* out */
} FbBind;

/* Parts of the scratch begin at lines of the cache. */
static inline size_t fb_up_to_line(size_t bytes) { return (bytes + 63) / 64 * 64; }

typedef struct FbLowering {
    const char *name;
    /* True when this node (constant operands, types, form) is served. Cheap; reads no weights. */
    bool (*accepts)(const FbPrepare *prepare);
    FbStatus (*prepare)(const FbPrepare *prepare, void **state, FbError *err); /* packs constants; frees nothing it does not own */
    void (*release)(FbContext *context, void *state);                            /* NULL: everything is in the arena */
    FbStatus (*bind)(FbBind *bind, FbError *err);
    FbStatus (*run)(const FbCall *call, FbError *err);                           /* call->inputs: prepare's inputs (constants have dims,
                                                                                    data may be NULL), then fused operands */
    uint64_t (*macs)(const FbCall *call);                                        /* multiply-accumulates of one run */
    const char *(*kernel)(const void *state);                                    /* which primitive of kernel_list.h serves; NULL: see name */
    FbStrided strided;                                                           /* NULL: never */
} FbLowering;

#endif
